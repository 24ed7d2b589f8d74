#include "config.h"

#include "handler.h"

#include <stdio.h>
#include <string.h>

static const struct handler *const handlers[] = {
    &handler_echo, &handler_discard, &handler_source, &handler_ack, &handler_upper,
};
#define HANDLER_COUNT (sizeof handlers / sizeof handlers[0])

static void list_names(char *buf, size_t size)
{
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < HANDLER_COUNT && used < size; i++)
        used += (size_t)snprintf(buf + used, size - used, "%s%s (%s)", i > 0 ? ", " : "",
                                 handlers[i]->name, handlers[i]->meaning);
}

const struct handler *handler_find(const char *name, struct error *e)
{
    char names[280];

    for (size_t i = 0; i < HANDLER_COUNT; i++)
        if (strcmp(handlers[i]->name, name) == 0)
            return handlers[i];
    list_names(names, sizeof names);
    error_what(e, "-H %.100s: there is no such handler", name);
    error_mend(e, "there are %s", names);
    return NULL;
}

static int send_failed(struct conn *conn, int result, size_t n, const struct error *e)
{
    if (result == ERR_FRAME_BAD || result == ERR_FRAME_TOO_LARGE)
        conn_fail(conn, FATE_HANDLER, "its reply cannot be framed: %s", e->what);
    else if (result == ERR_MEMORY)
        conn_fail(conn, FATE_MEMORY, "no memory for a reply of %zu bytes", n);
    return result;
}

int handler_send_failed(struct conn *conn, int result, const uint8_t *body, size_t n)
{
    struct error e;

    /* What cannot be framed sent nothing: the same again gives the words. */
    if (result == ERR_FRAME_BAD || result == ERR_FRAME_TOO_LARGE)
        result = conn_send(conn, body, n, &e);
    return send_failed(conn, result, n, &e);
}

int handler_send_lent(struct conn *conn, const uint8_t *begin, size_t begin_length,
                      const uint8_t *rest, size_t rest_length)
{
    struct error e;
    int result = conn_send_lent(conn, begin, begin_length, rest, rest_length, &e);

    return result == 0 ? 0 : send_failed(conn, result, begin_length + rest_length, &e);
}

size_t handler_text_begins(const struct frame_codec *codec, const uint8_t *body, size_t n)
{
    size_t begins = codec->offset;

    if (codec->strip)
        return 0;
    if (codec->kind == FRAME_LENGTH)
        begins += codec->width;
    else if (codec->kind == FRAME_VARINT)
        while (begins < n && body[begins++] & 0x80)
            ;
    else
        begins = 0;
    return begins < n ? begins : n;
}
