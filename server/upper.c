#include "config.h"

#include "handler.h"

#include <stdlib.h>
#include <string.h>

#define UPPER_ON_STACK 4096

static const struct frame_codec *upper_codec;

static int upper_prepare(const struct handler_setup *setup, struct error *e)
{
    (void)e;
    upper_codec = setup->codec;
    return 0;
}

/* Only a to z change, so the length stays, and UTF-8 sequences (all bytes from 0x80 up) pass
 * whole. */
static void upper_copy(uint8_t *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] >= 'a' && from[i] <= 'z' ? (uint8_t)(from[i] - 'a' + 'A') : from[i];
}

static void upper_frame(struct conn *conn, const uint8_t *body, size_t n)
{
    uint8_t small[UPPER_ON_STACK];
    uint8_t *text = n <= sizeof small ? small : malloc(n);
    size_t head = handler_text_begins(upper_codec, body, n);

    if (text == NULL) {
        conn_fail(conn, FATE_MEMORY, "no memory for a reply of %zu bytes", n);
        return;
    }
    memcpy(text, body, head);
    upper_copy(text + head, body + head, n - head);
    handler_send(conn, text, n);
    if (text != small)
        free(text);
}

const struct handler handler_upper = {
    .name = "upper",
    .meaning = "upper-cases text",
    .answers = true,
    .prepare = upper_prepare,
    .owner = {.frame = upper_frame},
};
