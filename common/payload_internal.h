/* payload_internal: what payload.c (made bodies) and payload_read.c (bodies from files) share; for
 * these only. Level 1. Threads: constant once made. */
#ifndef SYNFIN_PAYLOAD_INTERNAL_H
#define SYNFIN_PAYLOAD_INTERNAL_H

#include "payload.h"

/* Bodies read from files: pieces of `bytes`. */
struct payload_piece {
    size_t at, length;
};

struct payload {
    const struct frame_codec *codec;
    size_t longest;
    uint8_t *bytes; /* owned: the pattern, or what was read */
    /* made */
    uint8_t head[FRAME_HEAD_MAX]; /* the codec's header, where a body includes it */
    size_t head_length, digits, rest_length;
    uint8_t zero; /* the digit 0 */
    uint8_t gap; /* how far the digit 10 is from where it would be if all were next to each other */
    /* read */
    struct payload_piece *pieces; /* owned; NULL: made */
    size_t count;
};

/* 0, or what frame_encode says, with `e`: such a body cannot be framed, or not with this limit. */
int payload_try(const struct frame_codec *codec, const uint8_t *body, size_t n, struct error *e);

#endif
