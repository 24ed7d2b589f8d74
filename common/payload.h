/* payload: the bodies that a load (or a source) sends: printable, framed by any codec, carrying the
 * connection's and the frame's number, and made again to be compared with what comes back, never
 * stored. Level 1. Threads: constant once made.
 *
 * A body is: a header of the codec's where it hands its header over (strip=no); a stamp, the
 * numbers in 16 characters; and a piece of a constant pattern, at a place that depends on the
 * stamp. A body shorter than the stamp holds the stamp's end. No character begins the codec's
 * delimiter. */
#ifndef SYNFIN_PAYLOAD_H
#define SYNFIN_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "frame.h"

#define PAYLOAD_STAMP_MAX (FRAME_HEAD_MAX + 16)

/* What the bodies of payload_read may take, with what is kept of each. */
#define PAYLOAD_BYTES_MAX (1 << 30)

struct payload;

/* Bodies of `bytes` each. NULL with `e`: no memory, or such a body cannot be framed. `codec` is
 * borrowed. */
struct payload *payload_new(const struct frame_codec *codec, size_t bytes, struct error *e);
/* Bodies from a file (cut by `stdio`, as standard input would be; then `decode`, if it is not NULL,
 * makes a body of each piece, in place: text_hex_decode's contract) or from the files of a folder
 * (one body each, by name), sent in turn: body number i of connection c is (c + i) modulo their
 * count. Held in memory, read-only. NULL with `e` as above; an empty file is
 * an error, as are what is no regular file and more than PAYLOAD_BYTES_MAX. */
struct payload *payload_read(const struct frame_codec *codec, const struct frame_codec *stdio,
                             ssize_t (*decode)(const uint8_t *text, size_t n, uint8_t *out),
                             const char *path, struct error *e);
void payload_free(struct payload *payload);

/* One body in two parts, together its bytes: `stamp_length` bytes in `stamp`, then `rest_length`
 * bytes at `rest`, which stay where they are as long as the payload does. */
struct payload_body {
    uint8_t stamp[PAYLOAD_STAMP_MAX];
    size_t stamp_length;
    const uint8_t *rest;
    size_t rest_length;
};
void payload_body(const struct payload *payload, uint64_t connection, uint64_t number,
                  struct payload_body *body);
/* Whether these bytes are that body; the first difference's offset to *at if not (a shorter or
 * longer one differs at the end of the shorter). */
bool payload_equal(const struct payload *payload, uint64_t connection, uint64_t number,
                   const uint8_t *bytes, size_t n, size_t *at);
/* The longest body; how many different ones a payload_read holds (0: made, not read). */
size_t payload_longest(const struct payload *payload);
size_t payload_count(const struct payload *payload);

#endif
