#include "config.h"

#include "frame.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "frame_internal.h"

static int refuse(struct frame_fault *fault, enum err err, const char *why, uint64_t length,
                  uint64_t limit)
{
    *fault = (struct frame_fault){.err = err, .why = why, .length = length, .limit = limit};
    return err;
}

static uint64_t field_largest(const struct frame_codec *codec)
{
    return codec->kind == FRAME_LENGTH ? frame_field_most(codec->width)
                                       : frame_varint_most(codec->width);
}

/* The field's value for a body of n bytes after the header. */
static int field_value(const struct frame_codec *codec, uint64_t n, uint64_t *value,
                       struct frame_fault *fault)
{
    uint64_t most = field_largest(codec), size = (uint64_t)codec->adjust;

    if (codec->adjust >= 0) {
        if (n < size)
            return refuse(fault, ERR_FRAME_BAD, frame_why_short, n, size);
        *value = n - size;
        if (*value > most)
            return refuse(fault, ERR_FRAME_TOO_LARGE, frame_why_field, n, most + size);
        return 0;
    }
    size = 0 - size;
    if (n > most - size)
        return refuse(fault, ERR_FRAME_TOO_LARGE, frame_why_field, n, most - size);
    *value = n + size;
    return 0;
}

static void put_width(uint8_t *field, unsigned width, bool little, uint64_t value)
{
    uint64_t wide = little ? htole64(value) : htobe64(value << (64 - 8 * width));

    switch (width) {
    case 4:
        memcpy(field, &wide, 4);
        return;
    case 2:
        memcpy(field, &wide, 2);
        return;
    default:
        memcpy(field, &wide, width);
    }
}

static int put_field(const struct frame_codec *codec, size_t n, struct frame_wrap *wrap,
                     struct frame_fault *fault)
{
    uint64_t value;
    int rc = field_value(codec, n, &value, fault);

    if (rc < 0)
        return rc;
    uint8_t *field = wrap->head + codec->offset;
    memset(wrap->head, 0, codec->offset);
    if (codec->kind == FRAME_LENGTH) {
        put_width(field, codec->width, codec->little, value);
        wrap->head_length = (uint8_t)(codec->offset + codec->width);
        return 0;
    }
    for (; value > 0x7f; value >>= 7)
        *field++ = (uint8_t)(value | 0x80);
    *field++ = (uint8_t)value;
    wrap->head_length = (uint8_t)(field - wrap->head);
    return 0;
}

/* An unstripped body brings its header: decoding it must give it back, whole. */
static int check_own(const struct frame_codec *codec, const uint8_t *body, size_t n,
                     struct frame_fault *fault)
{
    struct frame_codec alone = *codec;
    struct frame_state state = {0};
    struct frame_found found = {0};

    alone.first = NULL;
    alone.max_body = FRAME_LIMIT_MAX;
    int rc = frame_decode(&alone, &state, body, n, &found, fault);
    if (rc < 0)
        return rc;
    if (rc == 1 && found.total == n)
        return 0;
    refuse(fault, ERR_FRAME_BAD, frame_why_disagrees, rc == 1 ? found.total : state.total, n);
    fault->prefix_length = (uint8_t)(n < sizeof fault->prefix ? n : sizeof fault->prefix);
    if (n > 0)
        memcpy(fault->prefix, body, fault->prefix_length);
    return ERR_FRAME_BAD;
}

/* The end must first appear where it is put: neither in the body nor across the body's end. */
static int check_delimiter(const struct frame_codec *codec, const uint8_t *body, size_t n,
                           struct frame_fault *fault)
{
    struct frame_codec alone = *codec;
    struct frame_state state = {.started = true};
    struct frame_found found;

    alone.start_length = 0;
    alone.max_body = FRAME_LIMIT_MAX;
    int rc = frame_decode(&alone, &state, body, n, &found, fault);
    if (rc == 0)
        rc = frame_decode(&alone, &state, codec->end, codec->end_length, &found, fault);
    if (rc == 1 && found.body_length == n)
        return 0;
    return refuse(fault, ERR_FRAME_BAD, frame_why_delimiter, found.body_length, n);
}

static void put_decimal(struct frame_wrap *wrap, size_t n, char after)
{
    char text[FRAME_HEAD_MAX];
    int length = snprintf(text, sizeof text, "%zu%c", n, after);

    memcpy(wrap->head, text, (size_t)length);
    wrap->head_length = (uint8_t)length;
}

static void put_delimiters(const struct frame_codec *codec, struct frame_wrap *wrap)
{
    memcpy(wrap->head, codec->start, codec->start_length);
    memcpy(wrap->tail, codec->end, codec->end_length);
    wrap->head_length = codec->start_length;
    wrap->tail_length = codec->end_length;
}

/* Whether a codec that looks at bodies can send this one. */
static int check_body(const struct frame_codec *codec, const uint8_t *body, size_t n,
                      struct frame_fault *fault)
{
    if (codec->kind == FRAME_DELIMITER)
        return check_delimiter(codec, body, n, fault);
    if ((codec->kind == FRAME_LENGTH || codec->kind == FRAME_VARINT) && !codec->strip)
        return check_own(codec, body, n, fault);
    return 0;
}

static int wrap_up(const struct frame_codec *codec, size_t n, struct frame_wrap *wrap,
                   struct frame_fault *fault)
{
    int rc = 0;

    if (codec->kind == FRAME_OCTET && n == 0)
        return refuse(fault, ERR_FRAME_BAD, frame_why_empty, 0, 0);
    if (codec->strip && (codec->kind == FRAME_LENGTH || codec->kind == FRAME_VARINT))
        rc = put_field(codec, n, wrap, fault);
    else
        wrap->head_length = 0;
    if (rc < 0)
        return rc;
    wrap->tail_length = 0;
    if (codec->kind == FRAME_NETSTRING) {
        put_decimal(wrap, n, ':');
        wrap->tail[0] = ',';
        wrap->tail_length = 1;
    } else if (codec->kind == FRAME_OCTET) {
        put_decimal(wrap, n, ' ');
    } else if (codec->kind == FRAME_DELIMITER) {
        put_delimiters(codec, wrap);
    }
    return 0;
}

int frame_encode_known(const struct frame_codec *codec, struct frame_state *state, size_t n,
                       struct frame_wrap *wrap, struct frame_fault *fault)
{
    int rc = wrap_up(state->first ? codec->first : codec, n, wrap, fault);

    if (rc == 0)
        state->first = false;
    return rc;
}

int frame_encode(const struct frame_codec *codec, struct frame_state *state, const uint8_t *body,
                 size_t n, struct frame_wrap *wrap, struct frame_fault *fault)
{
    int rc = check_body(state->first ? codec->first : codec, body, n, fault);

    return rc < 0 ? rc : frame_encode_known(codec, state, n, wrap, fault);
}
