#include "config.h"

#include "frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const frames_codecs[] = {
    "u8",
    "u16be",
    "u16le",
    "u24be",
    "u24le",
    "u32be",
    "u32le",
    "u64be",
    "u64le",
    "field",
    "varint",
    "netstring",
    "octet",
    "line",
    "crlf",
    "nul",
    "mllp",
    "raw",
    "dns",
    "kafka",
    "mqtt",
    "mysql",
    "postgres",
    "u32be:adjust=-4",
    "u16le:adjust=3",
    "u8:adjust=-1",
    "u64be:adjust=-8",
    "field:offset=0,width=4,adjust=-4,strip=no", /* SMPP */
    "field:offset=1,width=3,adjust=-4",          /* Diameter */
    "field:offset=16,width=2,adjust=-18",        /* BGP */
    "field:offset=4,width=2",                    /* Modbus TCP */
    "field:offset=3,width=2,order=le,strip=yes",
    "field:offset=28,width=4",
    "field:offset=2,width=8,order=le,adjust=-10,strip=no",
    "varint:max=3",
    "varint:max=5,adjust=2",
    "varint:offset=2,max=3,strip=yes",
    "varint:offset=3,max=10",
    "delim:61",
    "delim:616162",
    "delim:61626162",
    "delim:00ff00",
    "delim:6162616361626162",
    "delim:6161616161616161616161616161616161616161616161616161616161616162",
};
const int frames_codec_count = sizeof frames_codecs / sizeof frames_codecs[0];

uint64_t frames_seed(void)
{
    static uint64_t seed;
    const char *given = getenv("SYNFIN_SEED");
    struct timespec now;

    if (seed != 0)
        return seed;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = given != NULL
               ? strtoull(given, NULL, 10)
               : (uint64_t)now.tv_sec * 1000003 + (uint64_t)now.tv_nsec + (uint64_t)getpid();
    seed += seed == 0;
    printf("to repeat: SYNFIN_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

/* Steele, Lea and Flood's SplitMix. */
uint64_t frames_next(struct frames_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t frames_below(struct frames_random *random, uint64_t most)
{
    return frames_next(random) % (most + 1);
}

size_t frames_whole(void *arg, size_t at, size_t left)
{
    (void)arg;
    (void)at;
    return left;
}

size_t frames_single(void *arg, size_t at, size_t left)
{
    (void)arg;
    (void)at;
    (void)left;
    return 1;
}

size_t frames_random(void *arg, size_t at, size_t left)
{
    struct frames_random *random = arg;
    size_t most = frames_below(random, 3) == 0 ? 300 : 7;

    (void)at;
    return 1 + (size_t)frames_below(random, (left < most ? left : most) - 1);
}

size_t frames_masked(void *arg, size_t at, size_t left)
{
    uint32_t mask = *(uint32_t *)arg;
    size_t n = 1;

    while (n < left && (mask >> (at + n - 1) & 1) == 0)
        n++;
    return n;
}

/* Raw's are only counted: where they end is where the cuts were. */
static void add_frame(const struct frame_codec *codec, struct frames_run *run, size_t at,
                      const struct frame_found *found)
{
    if (codec->kind == FRAME_RAW || run->count == FRAMES_MOST)
        return;
    run->frames[run->count].at = at;
    run->frames[run->count].body = found->body;
    run->frames[run->count].body_length = found->body_length;
    run->frames[run->count].total = found->total;
    run->count++;
}

void frames_decode(const struct frame_codec *codec, enum frame_from from, const uint8_t *bytes,
                   size_t n, frames_cut *cut, void *arg, struct frames_run *run)
{
    struct frame_state state;
    struct frame_found found;
    size_t start = 0, at = 0;
    uint64_t sooner = 0;

    frame_state_init(&state, codec, from);
    run->count = 0;
    run->truthful = true;
    run->result = 0;
    while (at < n && run->result == 0) {
        size_t end = at + cut(arg, at, n - at);
        while (at < end) {
            memset(&found, 0xa5, sizeof found);
            int rc = frame_decode(codec, &state, bytes + at, end - at, &found, &run->fault);
            if (rc < 0) {
                run->result = rc;
                at = end;
            } else if (rc == 0) {
                at = end;
                run->truthful = run->truthful && found.total > 0 && state.seen == at - start;
                sooner = at + found.total;
            } else {
                add_frame(codec, run, start, &found);
                at = start += found.total;
                run->truthful = run->truthful && start <= end && start >= sooner;
            }
        }
    }
    run->shown = at;
    run->state = state;
}

static bool same_fault(const struct frame_fault *a, const struct frame_fault *b)
{
    return a->err == b->err && a->length == b->length && a->limit == b->limit && a->why == b->why &&
           a->prefix_length == b->prefix_length &&
           memcmp(a->prefix, b->prefix, a->prefix_length) == 0;
}

bool frames_same(const struct frame_codec *codec, const struct frames_run *a,
                 const struct frames_run *b)
{
    if (codec->kind == FRAME_RAW)
        return a->result == b->result && a->shown == b->shown;
    if (a->count != b->count || a->result != b->result)
        return false;
    if (memcmp(a->frames, b->frames, a->count * sizeof a->frames[0]) != 0)
        return false;
    if (a->result < 0)
        return same_fault(&a->fault, &b->fault);
    return a->state.seen == b->state.seen && a->state.total == b->state.total &&
           frame_finish(codec, &a->state) == frame_finish(codec, &b->state);
}

static void fill_random(struct frames_random *random, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)frames_next(random);
}

/* Letters that make delimiters likely, whole and in part; in every second body, without the last.
 */
static void fill_near(const struct frame_codec *codec, struct frames_random *random, uint8_t *bytes,
                      size_t n)
{
    bool fits = frames_below(random, 1) == 0;
    uint8_t last = codec->end[codec->end_length - 1];

    for (size_t i = 0; i < n; i++) {
        uint64_t dice = frames_below(random, 5);
        bytes[i] = dice < 2   ? codec->end[0]
                   : dice < 4 ? codec->end[frames_below(random, codec->end_length - 1u)]
                              : (uint8_t)frames_next(random);
        if (fits && bytes[i] == last)
            bytes[i] ^= 1;
    }
}

static size_t put_varint(uint8_t *field, uint64_t value)
{
    size_t n = 0;

    for (; value > 0x7f; value >>= 7)
        field[n++] = (uint8_t)(value | 0x80);
    field[n++] = (uint8_t)value;
    return n;
}

static uint64_t field_most(const struct frame_codec *codec)
{
    if (codec->kind == FRAME_LENGTH)
        return codec->width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * codec->width) - 1;
    return codec->width == 10 ? UINT64_MAX : (UINT64_C(1) << 7 * codec->width) - 1;
}

/* Writes the length field of a message whose header `follow` bytes follow. The header's length. */
static size_t put_field(const struct frame_codec *codec, size_t follow, uint8_t *message)
{
    uint64_t value = (uint64_t)follow - (uint64_t)codec->adjust;
    uint8_t *field = message + codec->offset;

    if (codec->kind == FRAME_VARINT)
        return codec->offset + put_varint(field, value);
    for (unsigned i = 0; i < codec->width; i++)
        field[codec->little ? i : codec->width - 1u - i] = (uint8_t)(value >> 8 * i);
    return (size_t)codec->offset + codec->width;
}

/* The least and most bytes that can follow the header. */
static void follow_range(const struct frame_codec *codec, size_t *least, size_t *most)
{
    uint64_t field = field_most(codec);

    *least = codec->adjust > 0 ? (size_t)codec->adjust : 0;
    if (codec->adjust < 0)
        field -= 0 - (uint64_t)codec->adjust;
    if (*most < *least)
        *most = *least;
    if (*most > field + *least)
        *most = (size_t)field + *least;
}

size_t frames_body(const struct frame_codec *codec, bool first, struct frames_random *random,
                   size_t most, uint8_t *body)
{
    size_t least = codec->kind == FRAME_OCTET || codec->kind == FRAME_RAW;

    if (first && codec->first != NULL)
        codec = codec->first;
    if (codec->kind == FRAME_LENGTH || codec->kind == FRAME_VARINT)
        follow_range(codec, &least, &most);
    size_t n = least + (size_t)frames_below(random, most - least);
    if (codec->kind == FRAME_DELIMITER) {
        fill_near(codec, random, body, n);
        return n;
    }
    fill_random(random, body, n + FRAME_HEAD_MAX);
    return codec->strip ? n : n + put_field(codec, n, body);
}

bool frames_body_exact(const struct frame_codec *codec, size_t n, uint8_t *body)
{
    memset(body, 'x', n);
    if (codec->strip)
        return true;
    for (size_t head = codec->offset; head <= n && head <= FRAME_HEAD_MAX; head++) {
        memset(body, 'x', n);
        if (put_field(codec, n - head, body) == head)
            return true;
    }
    return false;
}
