/* frame_internal: what the files of the frame module share.
 * Level 0. Threads: constants only. */
#ifndef SYNFIN_FRAME_INTERNAL_H
#define SYNFIN_FRAME_INTERNAL_H

#include "frame.h"

/* Parameters a row takes. */
enum {
    FRAME_TAKES_OFFSET = 1,
    FRAME_TAKES_WIDTH = 2,
    FRAME_TAKES_ORDER = 4,
    FRAME_TAKES_ADJUST = 8,
    FRAME_TAKES_STRIP = 16,
    FRAME_TAKES_MAX = 32,
    FRAME_TAKES_HEX = 64,
};

/* A row of the table. */
struct frame_row {
    const char *name;
    const char *wire;     /* its bytes, for a person */
    const char *document; /* what it was read from, or who speaks it */
    unsigned takes;
    struct frame_codec codec;
};

/* NULL: there is none of that name. */
const struct frame_row *frame_row_find(const char *name);
/* "u32be or u32le": the rows that a name which is none of theirs probably meant, or "". */
void frame_row_nearest(const char *name, char *out, size_t size);

/* Why a frame is refused, where the text says more than the reason itself. Compared by address. */
extern const char frame_why_negative[];  /* field + adjust is below zero; fault.length: the field */
extern const char frame_why_field[];     /* encode: does not fit; fault.limit: the longest body */
extern const char frame_why_short[];     /* encode: under what adjust allows; fault.limit: least */
extern const char frame_why_disagrees[]; /* encode, unstripped: fault.length says the field (0:
                                            shorter than its header), fault.limit has the body */
extern const char frame_why_empty[];     /* encode: the codec has no empty frame */
extern const char frame_why_delimiter[]; /* encode: the delimiter is at fault.length of limit B */

/* The largest value a length field of this many bytes holds. */
uint64_t frame_field_most(unsigned width);
/* The same for a varint of this many bytes. */
uint64_t frame_varint_most(unsigned width);
/* The value of a LENGTH codec's field, read in its byte order or the other. */
uint64_t frame_field_read(const uint8_t *field, unsigned width, bool little);

#endif
