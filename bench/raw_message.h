/* raw_message: what the reference client sends and expects back, made again whenever it is looked
 * at and never stored: a frame with the connection's and its own number and a piece of a constant
 * pattern whose place depends on them; or, for peers that do not echo, always the same bytes.
 * Threads: one. */
#ifndef SYNFIN_BENCH_RAW_MESSAGE_H
#define SYNFIN_BENCH_RAW_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "raw.h"

#define MESSAGE_STAMP 12 /* connection and number, at the beginning of the body */
#define MESSAGE_HEAD (RAW_HEAD + MESSAGE_STAMP)
#define MESSAGE_PLACES 64 /* where in the pattern a body may begin */

struct message_format {
    const uint8_t *bytes; /* the pattern; or the whole message, if `same` */
    uint32_t body, length, head_length;
    bool same;
};

struct message {
    uint8_t head[MESSAGE_HEAD];
    const uint8_t *rest;
};

/* Frames with bodies of so many bytes. */
void message_format_frames(struct message_format *format, uint64_t body);
/* Always this text, in which \r and \n stand for CR and LF and \\ for a backslash. */
void message_format_same(struct message_format *format, const char *text);

static inline void message_make(const struct message_format *format, uint32_t connection,
                                uint64_t number, struct message *message)
{
    message->rest = format->bytes;
    if (format->same)
        return;
    raw_put_be32(message->head, format->body);
    memcpy(message->head + RAW_HEAD, &number, sizeof number);
    memcpy(message->head + RAW_HEAD + sizeof number, &connection, sizeof connection);
    message->rest += (number + connection) % MESSAGE_PLACES;
}

/* Copies the message from its byte `at` to its end. Returns the bytes. */
static inline uint32_t message_copy(const struct message_format *format,
                                    const struct message *message, uint32_t at, uint8_t *to)
{
    uint32_t head = format->head_length, begun = 0;

    if (at < head) {
        begun = head - at;
        memcpy(to, message->head + at, begun);
        at = head;
    }
    memcpy(to + begun, message->rest + (at - head), format->length - at);
    return begun + format->length - at;
}

/* Whether these n bytes are those of the message from its byte `at` on. */
static inline bool message_equal(const struct message_format *format, const struct message *message,
                                 uint32_t at, const uint8_t *bytes, uint32_t n)
{
    uint32_t head = format->head_length;

    if (at < head) {
        uint32_t k = n < head - at ? n : head - at;
        if (memcmp(bytes, message->head + at, k) != 0)
            return false;
        at += k;
        bytes += k;
        n -= k;
    }
    return n == 0 || memcmp(bytes, message->rest + (at - head), n) == 0;
}

#endif
