/* frame_simple: the codecs that are nothing but a length of two or four bytes before the body,
 * inlined for where each frame counts. They do what frame_decode and frame_encode do, which take
 * over wherever one of these says no. Level 0. Threads: no state. */
#ifndef SYNFIN_FRAME_SIMPLE_H
#define SYNFIN_FRAME_SIMPLE_H

#include <endian.h>
#include <string.h>

#include "frame.h"

static inline bool frame_is_simple(const struct frame_codec *codec)
{
    return codec->kind == FRAME_LENGTH && codec->strip && codec->offset == 0 &&
           codec->adjust == 0 && codec->first == NULL && (codec->width == 4 || codec->width == 2);
}

/* Whether the bytes, between frames, begin with a whole frame within the limit; its length. */
static inline bool frame_simple_find(const struct frame_codec *codec, const uint8_t *bytes,
                                     size_t n, size_t *total)
{
    uint32_t word;
    uint16_t half;
    size_t length;

    if (n < codec->width)
        return false;
    if (codec->width == 4) {
        memcpy(&word, bytes, 4);
        length = codec->little ? le32toh(word) : be32toh(word);
    } else {
        memcpy(&half, bytes, 2);
        length = codec->little ? le16toh(half) : be16toh(half);
    }
    *total = codec->width + length;
    return length <= n - codec->width && length <= codec->max_body;
}

/* Puts the header of a body of n bytes. false: the field cannot say it, nothing was put. */
static inline bool frame_simple_put(const struct frame_codec *codec, uint8_t *to, size_t n)
{
    if (codec->width == 4) {
        uint32_t word = codec->little ? htole32((uint32_t)n) : htobe32((uint32_t)n);
        if (n > UINT32_MAX)
            return false;
        memcpy(to, &word, 4);
    } else {
        uint16_t half = codec->little ? htole16((uint16_t)n) : htobe16((uint16_t)n);
        if (n > UINT16_MAX)
            return false;
        memcpy(to, &half, 2);
    }
    return true;
}

#endif
