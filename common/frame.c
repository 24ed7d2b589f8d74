#include "config.h"

#include "frame.h"

#include <endian.h>
#include <string.h>

#include "frame_internal.h"

/* Bytes a frame has after its body, by kind: netstring's comma. */
#define NETSTRING_TAIL 1

const char frame_why_negative[] = "the length is less than what it must count";
const char frame_why_field[] = "the length does not fit its field";
const char frame_why_short[] = "the length is less than what the field can say";
const char frame_why_disagrees[] = "the length field disagrees with the length";
const char frame_why_empty[] = "an octet count cannot be zero: no empty frame";
const char frame_why_delimiter[] = "the body holds the delimiter";

/* What a header says, or how many bytes it lacks at least. */
struct head {
    uint64_t follow;       /* bytes of body after the header */
    uint32_t length, need; /* of the header */
};

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static int fault_fill(struct frame_fault *fault, enum err err, const char *why,
                      const uint8_t *prefix, size_t n)
{
    *fault = (struct frame_fault){.err = err, .why = why};
    fault->prefix_length = (uint8_t)least(n, sizeof fault->prefix);
    if (n > 0)
        memcpy(fault->prefix, prefix, fault->prefix_length);
    return err;
}

static int fault_large(struct frame_fault *fault, uint64_t length, uint64_t limit,
                       const uint8_t *prefix, size_t n)
{
    fault_fill(fault, ERR_FRAME_TOO_LARGE, NULL, prefix, n);
    fault->length = length;
    fault->limit = limit;
    return ERR_FRAME_TOO_LARGE;
}

uint64_t frame_field_most(unsigned width)
{
    return width >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
}

uint64_t frame_varint_most(unsigned width)
{
    return width >= 10 ? UINT64_MAX : (UINT64_C(1) << (7 * width)) - 1;
}

uint64_t frame_field_read(const uint8_t *field, unsigned width, bool little)
{
    uint64_t wide;
    uint32_t word;
    uint16_t half;

    switch (width) {
    case 1:
        return field[0];
    case 2:
        memcpy(&half, field, 2);
        return little ? le16toh(half) : be16toh(half);
    case 3:
        return little ? field[0] | (uint64_t)field[1] << 8 | (uint64_t)field[2] << 16
                      : field[2] | (uint64_t)field[1] << 8 | (uint64_t)field[0] << 16;
    case 4:
        memcpy(&word, field, 4);
        return little ? le32toh(word) : be32toh(word);
    default:
        memcpy(&wide, field, 8);
        return little ? le64toh(wide) : be64toh(wide);
    }
}

/* Bytes that follow a header whose field says `field`. False: fewer than none. */
static bool follow_from(uint64_t field, int64_t adjust, uint64_t *follow)
{
    if (adjust >= 0) {
        *follow = sum(field, (uint64_t)adjust);
        return true;
    }
    uint64_t less = 0 - (uint64_t)adjust;
    *follow = field - less;
    return field >= less;
}

/* The three header readers: over the first n bytes of a frame, 1 with *head, 0 with head->need, or
 * a fault. Each decides at the first byte that can decide, so that a cut changes nothing. */

static int head_field(const struct frame_codec *codec, const uint8_t *p, size_t n,
                      struct head *head, struct frame_fault *fault)
{
    uint32_t length = (uint32_t)codec->offset + codec->width;

    if (n < length) {
        head->need = length - (uint32_t)n;
        return 0;
    }
    uint64_t field = frame_field_read(p + codec->offset, codec->width, codec->little);
    if (!follow_from(field, codec->adjust, &head->follow)) {
        fault_fill(fault, ERR_FRAME_BAD, frame_why_negative, p, length);
        fault->length = field;
        return ERR_FRAME_BAD;
    }
    head->length = length;
    return 1;
}

static int head_varint(const struct frame_codec *codec, const uint8_t *p, size_t n,
                       struct head *head, struct frame_fault *fault)
{
    uint64_t field = 0;

    for (unsigned i = 0; i < codec->width; i++) {
        size_t at = (size_t)codec->offset + i;
        if (n <= at) {
            head->need = (uint32_t)(at + 1 - n);
            return 0;
        }
        if (i == 9 && (p[at] & 0x7e) != 0 && (p[at] & 0x80) == 0)
            return fault_fill(fault, ERR_FRAME_BAD, "a varint over 64 bits", p, at + 1);
        field |= (uint64_t)(p[at] & 0x7f) << (7 * i);
        if ((p[at] & 0x80) != 0)
            continue;
        if (!follow_from(field, codec->adjust, &head->follow)) {
            fault_fill(fault, ERR_FRAME_BAD, frame_why_negative, p, at + 1);
            fault->length = field;
            return ERR_FRAME_BAD;
        }
        head->length = (uint32_t)at + 1;
        return 1;
    }
    return fault_fill(fault, ERR_FRAME_BAD, "a varint with more bytes than this codec allows", p,
                      (size_t)codec->offset + codec->width);
}

static const char *decimal_why(bool netstring, size_t at, const uint8_t *p)
{
    if (at > 0 && p[0] == '0')
        return netstring ? "a netstring's length has a leading zero"
                         : "an octet count is zero or has a leading zero";
    if (at == 0)
        return netstring ? "a netstring begins with a digit" : "an octet count begins with a digit";
    return netstring ? "a netstring's length is digits and a colon"
                     : "an octet count is digits and a space";
}

static int head_decimal(const struct frame_codec *codec, const uint8_t *p, size_t n, uint64_t limit,
                        struct head *head, struct frame_fault *fault)
{
    bool netstring = codec->kind == FRAME_NETSTRING;
    uint64_t length = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned digit = p[i] - (unsigned)'0';
        bool zero = i > 0 && p[0] == '0';
        if (i > 0 && p[i] == (netstring ? ':' : ' ') && (netstring || !zero)) {
            head->follow = length;
            head->length = (uint32_t)i + 1;
            return 1;
        }
        if (digit > 9 || zero)
            return fault_fill(fault, ERR_FRAME_BAD, decimal_why(netstring, i, p), p, i + 1);
        /* At the latest the 21st digit: the header fits in FRAME_HEAD_MAX. */
        if (length > (UINT64_MAX - digit) / 10)
            return fault_large(fault, UINT64_MAX, limit, p, i + 1);
        length = length * 10 + digit;
    }
    head->need = n == 0 ? 2 : 1;
    return 0;
}

static int head_read(const struct frame_codec *codec, const uint8_t *p, size_t n, uint64_t limit,
                     struct head *head, struct frame_fault *fault)
{
    int rc;

    if (codec->kind == FRAME_LENGTH)
        rc = head_field(codec, p, n, head, fault);
    else if (codec->kind == FRAME_VARINT)
        rc = head_varint(codec, p, n, head, fault);
    else
        rc = head_decimal(codec, p, n, limit, head, fault);
    if (rc != 1)
        return rc;
    uint64_t body = codec->strip ? head->follow : sum(head->follow, head->length);
    if (body > limit)
        return fault_large(fault, body, limit, p, head->length);
    return 1;
}

void frame_state_init(struct frame_state *state, const struct frame_codec *codec,
                      enum frame_from from)
{
    memset(state, 0, sizeof *state);
    state->first = codec->first != NULL && from == FRAME_FROM_CLIENT;
}

/* Between frames again. `kept` is only read as far as `seen`. */
static int decoded(struct frame_state *state)
{
    state->seen = state->total = 0;
    state->head = 0;
    state->matched = 0;
    state->first = state->started = false;
    return 1;
}

/* The frame stays open: its first bytes are kept, for the header and for a fault's prefix. */
static int undecided(struct frame_state *state, const uint8_t *bytes, size_t n)
{
    if (state->seen < FRAME_HEAD_MAX && n > 0)
        memcpy(state->kept + state->seen, bytes, least(n, (size_t)(FRAME_HEAD_MAX - state->seen)));
    state->seen += n;
    return 0;
}

/* The open frame's first bytes, from those kept and those just shown. Returns how many. */
static size_t gather(const struct frame_state *state, const uint8_t *bytes, size_t n,
                     uint8_t *first, size_t size)
{
    size_t old = least(state->seen, size), new = least(n, size - old);

    memcpy(first, state->kept, old);
    if (new > 0)
        memcpy(first + old, bytes, new);
    return old + new;
}

static int decode_counted(const struct frame_codec *codec, uint64_t limit,
                          struct frame_state *state, const uint8_t *bytes, size_t n,
                          struct frame_found *found, struct frame_fault *fault)
{
    uint8_t first[FRAME_HEAD_MAX];
    uint64_t seen = state->seen, total = state->total;
    uint32_t head_length = state->head;

    if (total == 0) {
        struct head head;
        const uint8_t *p = bytes;
        size_t have = n;
        if (seen > 0) {
            have = gather(state, bytes, n, first, sizeof first);
            p = first;
        }
        int rc = head_read(codec, p, have, limit, &head, fault);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            found->total = head.need;
            return undecided(state, bytes, n);
        }
        head_length = head.length;
        total = head.length + head.follow + (codec->kind == FRAME_NETSTRING ? NETSTRING_TAIL : 0);
    }
    if (total - seen > n) {
        state->head = head_length;
        state->total = total;
        found->total = total - seen - n;
        return undecided(state, bytes, n);
    }
    size_t used = (size_t)(total - seen);
    if (codec->kind == FRAME_NETSTRING && bytes[used - 1] != ',') {
        size_t have = gather(state, bytes, used, first, sizeof first);
        return fault_fill(fault, ERR_FRAME_BAD, "a netstring ends with a comma", first, have);
    }
    found->body = codec->strip ? head_length : 0;
    found->body_length =
        codec->kind == FRAME_NETSTRING ? total - head_length - NETSTRING_TAIL : total - found->body;
    found->total = total;
    return decoded(state);
}

/* Looks for the end from bytes[at] on, state->matched bytes of it matched before. Returns where it
 * is past, or 0: not within n; state->matched is then what n ends with. */
static size_t find_end(const struct frame_codec *codec, struct frame_state *state,
                       const uint8_t *bytes, size_t at, size_t n)
{
    const uint8_t *end = codec->end;
    unsigned matched = state->matched;

    while (at < n) {
        if (matched == 0) {
            const uint8_t *p = memchr(bytes + at, end[0], n - at);
            if (p == NULL)
                break;
            at = (size_t)(p - bytes) + 1;
            matched = 1;
        } else {
            while (matched > 0 && end[matched] != bytes[at])
                matched = codec->back[matched];
            matched += end[matched] == bytes[at];
            at++;
        }
        if (matched == codec->end_length)
            return at;
    }
    state->matched = (uint8_t)matched;
    return 0;
}

/* Passes over the start bytes. Where the body begins in `bytes` (n: not reached yet), or negative.
 */
static ptrdiff_t pass_start(const struct frame_codec *codec, struct frame_state *state,
                            const uint8_t *bytes, size_t n, struct frame_fault *fault)
{
    uint8_t first[FRAME_HEAD_MAX];
    size_t at = 0;

    while (!state->started && state->matched < codec->start_length && at < n) {
        if (bytes[at++] != codec->start[state->matched++]) {
            size_t have = gather(state, bytes, at, first, sizeof first);
            return fault_fill(fault, ERR_FRAME_BAD, "a frame begins with its start bytes", first,
                              have);
        }
    }
    if (!state->started && state->matched == codec->start_length) {
        state->started = true;
        state->matched = 0;
    }
    return (ptrdiff_t)at;
}

static int decode_delimiter(const struct frame_codec *codec, uint64_t limit,
                            struct frame_state *state, const uint8_t *bytes, size_t n,
                            struct frame_found *found, struct frame_fault *fault)
{
    uint8_t first[FRAME_HEAD_MAX];
    ptrdiff_t start = pass_start(codec, state, bytes, n, fault);

    if (start < 0)
        return (int)start;
    if (!state->started) {
        found->total = (uint64_t)codec->start_length - state->matched + codec->end_length;
        return undecided(state, bytes, n);
    }
    /* Past `last` an end would be that of a body over the limit. */
    uint64_t last = codec->start_length + limit + codec->end_length - state->seen;
    size_t past = find_end(codec, state, bytes, (size_t)start, least(last, n));
    uint64_t shown = state->seen + n;
    if (past > 0) {
        found->body = codec->start_length;
        found->total = state->seen + past;
        found->body_length = found->total - codec->start_length - codec->end_length;
        return decoded(state);
    }
    if (shown > codec->start_length + limit + state->matched) {
        gather(state, bytes, n, first, sizeof first);
        return fault_large(fault, limit + 1, limit, first,
                           least(codec->start_length + limit + 1, sizeof first));
    }
    found->total = (uint64_t)codec->end_length - state->matched;
    return undecided(state, bytes, n);
}

static int decode_raw(uint64_t limit, size_t n, struct frame_state *state,
                      struct frame_found *found)
{
    if (n == 0) {
        found->total = 1;
        return 0;
    }
    found->body = 0;
    found->body_length = found->total = least(limit, n);
    return decoded(state);
}

/* The common case: a length frame that is whole. false: not that; nothing has been done. */
static bool decode_whole(const struct frame_codec *codec, const uint8_t *bytes, size_t n,
                         struct frame_found *found)
{
    size_t head = (size_t)codec->offset + codec->width;
    uint64_t follow;

    if (n < head ||
        !follow_from(frame_field_read(bytes + codec->offset, codec->width, codec->little),
                     codec->adjust, &follow) ||
        follow > n - head || follow + (codec->strip ? 0 : head) > codec->max_body)
        return false;
    found->body = codec->strip ? head : 0;
    found->total = head + follow;
    found->body_length = found->total - found->body;
    return true;
}

int frame_decode(const struct frame_codec *codec, struct frame_state *state, const uint8_t *bytes,
                 size_t n, struct frame_found *found, struct frame_fault *fault)
{
    uint64_t limit = codec->max_body;

    if (codec->kind == FRAME_LENGTH && state->seen == 0 && !state->first &&
        decode_whole(codec, bytes, n, found))
        return 1;
    if (state->first)
        codec = codec->first;
    if (codec->kind == FRAME_DELIMITER)
        return decode_delimiter(codec, limit, state, bytes, n, found, fault);
    if (codec->kind == FRAME_RAW)
        return decode_raw(limit, n, state, found);
    return decode_counted(codec, limit, state, bytes, n, found, fault);
}

bool frame_finish(const struct frame_codec *codec, const struct frame_state *state)
{
    return codec->kind == FRAME_RAW || state->seen == 0;
}
