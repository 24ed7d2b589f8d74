/* Codecs: the decoder gives the same frames, or the same error, however a stream is cut; what is
 * encoded decodes to itself or is refused; limits hold to the byte. */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "frames.h"

#define LIMIT (1024 * 1024)

static struct frames_run run, other;
static uint8_t stream[1 << 16], bodies[1 << 16];

static struct frame_codec parse(const char *text, uint64_t limit)
{
    struct frame_codec codec;
    struct error e = {0};

    ck_assert_msg(frame_codec_parse(&codec, text, limit, &e) == 0, "%s: %s", text, e.what);
    return codec;
}

/* A generator for this test and row: any order of tests gives the same. */
static struct frames_random random_for(int test, int row)
{
    return (struct frames_random){frames_seed() * 1000003 + (uint64_t)test * 1009 + (uint64_t)row};
}

/* Whether the first place the delimiter appears, once the body is framed, is where it was put. */
static bool delimiter_fits(const struct frame_codec *codec, const uint8_t *body, size_t n)
{
    uint8_t all[4096];

    memcpy(all, body, n);
    memcpy(all + n, codec->end, codec->end_length);
    return memmem(all, n + codec->end_length, codec->end, codec->end_length) == all + n;
}

/* Appends a random frame to the stream. False: the codec refused the body, rightly. */
static bool append(const struct frame_codec *codec, struct frame_state *sender,
                   struct frames_random *random, size_t most, size_t *n, uint8_t *body,
                   size_t *body_length)
{
    struct frame_wrap wrap;
    struct frame_fault fault;

    *body_length = frames_body(codec, sender->first, random, most, body);
    int rc = frame_encode(codec, sender, body, *body_length, &wrap, &fault);
    if (codec->kind == FRAME_DELIMITER)
        ck_assert_int_eq(rc == 0, delimiter_fits(codec, body, *body_length));
    else
        ck_assert_int_eq(rc, 0);
    if (rc != 0)
        return false;
    ck_assert_uint_le(*n + FRAME_HEAD_MAX * 2 + *body_length, sizeof stream);
    memcpy(stream + *n, wrap.head, wrap.head_length);
    memcpy(stream + *n + wrap.head_length, body, *body_length);
    memcpy(stream + *n + wrap.head_length + *body_length, wrap.tail, wrap.tail_length);
    *n += wrap.head_length + *body_length + wrap.tail_length;
    return true;
}

static void same_however_cut(const struct frame_codec *codec, enum frame_from from, size_t n,
                             struct frames_random *random, int cuts)
{
    frames_decode(codec, from, stream, n, frames_whole, NULL, &run);
    frames_decode(codec, from, stream, n, frames_single, NULL, &other);
    ck_assert_msg(frames_same(codec, &run, &other) && run.truthful && other.truthful,
                  "%s: whole and byte by byte differ", codec->name);
    for (int i = 0; i < cuts; i++) {
        frames_decode(codec, from, stream, n, frames_random, random, &other);
        ck_assert_msg(frames_same(codec, &run, &other) && other.truthful,
                      "%s: whole and random cuts differ", codec->name);
    }
}

START_TEST(round_trip)
{
    struct frame_codec codec = parse(frames_codecs[_i], LIMIT);
    struct frames_random random = random_for(1, _i);

    for (int round = 0; round < 60; round++) {
        enum frame_from from = round % 2 == 0 ? FRAME_FROM_CLIENT : FRAME_FROM_SERVER;
        size_t lengths[20], n = 0, count = 0, used = 0, most = round < 50 ? 40 : 900;
        struct frame_state sender;
        frame_state_init(&sender, &codec, from);
        for (int i = 0; i < 20; i++)
            if (append(&codec, &sender, &random, most, &n, bodies + used, &lengths[count]))
                used += lengths[count++];
        same_however_cut(&codec, from, n, &random, 10);
        if (codec.kind == FRAME_RAW)
            continue;
        ck_assert_int_eq(run.result, 0);
        ck_assert(frame_finish(&codec, &run.state));
        ck_assert_uint_eq(run.count, count);
        for (size_t i = 0, at = 0; i < count; at += lengths[i++]) {
            ck_assert_uint_eq(run.frames[i].body_length, lengths[i]);
            ck_assert_mem_eq(stream + run.frames[i].at + run.frames[i].body, bodies + at,
                             lengths[i]);
        }
    }
}
END_TEST

/* Bytes that look like a few short frames of this codec, with mistakes. */
static size_t short_stream(const struct frame_codec *codec, struct frames_random *random,
                           size_t most)
{
    static const char decimal[] = "0123456789:, x";
    struct frame_state sender;
    uint8_t body[256];
    size_t n = 0, length;

    frame_state_init(&sender, codec, FRAME_FROM_CLIENT);
    for (int i = 0; i < 4; i++)
        append(codec, &sender, random, 6, &n, body, &length);
    if (n > most)
        n = most;
    uint64_t mistakes = frames_below(random, 2);
    while (n < most || mistakes > 0) {
        size_t at = n < most ? n++ : (size_t)frames_below(random, n - 1);
        mistakes -= mistakes > 0;
        if (codec->kind == FRAME_NETSTRING || codec->kind == FRAME_OCTET)
            stream[at] = (uint8_t)decimal[frames_below(random, sizeof decimal - 2)];
        else
            stream[at] = (uint8_t)frames_below(random, frames_below(random, 3) == 0 ? 255 : 9);
    }
    return n;
}

static void every_way(const struct frame_codec *codec, size_t n)
{
    frames_decode(codec, FRAME_FROM_CLIENT, stream, n, frames_whole, NULL, &run);
    for (uint32_t mask = 0; mask < UINT32_C(1) << (n - 1); mask++) {
        frames_decode(codec, FRAME_FROM_CLIENT, stream, n, frames_masked, &mask, &other);
        if (!frames_same(codec, &run, &other) || !other.truthful)
            ck_abort_msg("%s: whole and cuts %#x of %zu bytes differ", codec->name, mask, n);
    }
}

START_TEST(every_cut)
{
    struct frames_random random = random_for(2, _i);

    for (int round = 0; round < 62; round++) {
        struct frame_codec codec = parse(frames_codecs[_i], 40 + frames_below(&random, 10));
        /* Under the least that parsing lets through, where the codec has a long header. */
        codec.max_body = frames_below(&random, 12) + (codec.kind == FRAME_RAW);
        every_way(&codec, short_stream(&codec, &random, round < 2 ? 16 : 10));
    }
}
END_TEST

START_TEST(random_bytes)
{
    struct frames_random random = random_for(3, _i);

    for (int round = 0; round < 400; round++) {
        struct frame_codec codec = parse(frames_codecs[_i], 100 + frames_below(&random, 300));
        size_t n = short_stream(&codec, &random, 1 + frames_below(&random, 1500));
        same_however_cut(&codec, FRAME_FROM_CLIENT, n, &random, 4);
    }
}
END_TEST

/* One frame whose body is of exactly this length, on the wire; 0: no varint makes it that long. */
static size_t exact_frame(const struct frame_codec *codec, size_t body_length)
{
    struct frame_state sender;
    struct frame_wrap wrap;
    struct frame_fault fault;

    frame_state_init(&sender, codec, FRAME_FROM_SERVER);
    if (!frames_body_exact(codec, body_length, bodies)) {
        ck_assert_int_eq(codec->kind, FRAME_VARINT);
        return 0;
    }
    ck_assert_int_eq(frame_encode(codec, &sender, bodies, body_length, &wrap, &fault), 0);
    memcpy(stream, wrap.head, wrap.head_length);
    memcpy(stream + wrap.head_length, bodies, body_length);
    memcpy(stream + wrap.head_length + body_length, wrap.tail, wrap.tail_length);
    return wrap.head_length + body_length + wrap.tail_length;
}

static void over_limit(const struct frame_codec *codec, size_t limit)
{
    size_t n = exact_frame(codec, limit + 1);

    if (n == 0)
        return;
    frames_decode(codec, FRAME_FROM_SERVER, stream, n, frames_single, NULL, &run);
    ck_assert_int_eq(run.result, ERR_FRAME_TOO_LARGE);
    ck_assert_uint_eq(run.fault.limit, limit);
    ck_assert_uint_eq(run.fault.length, limit + 1);
    ck_assert_ptr_null(run.fault.why);
    ck_assert_uint_gt(run.fault.prefix_length, 0);
    ck_assert_mem_eq(run.fault.prefix, stream, run.fault.prefix_length);
    /* As soon as the field is complete; without a field, as soon as it is certain. */
    if (codec->kind == FRAME_DELIMITER)
        ck_assert_uint_eq(run.shown, codec->start_length + limit + 1);
    else if (codec->strip)
        ck_assert_uint_eq(run.shown, n - limit - 1 - (codec->kind == FRAME_NETSTRING));
    else
        ck_assert_uint_le(run.shown, (size_t)codec->offset + codec->width);
}

START_TEST(limits)
{
    struct frame_codec codec;

    for (size_t limit = 40; limit < 150; limit++) {
        codec = parse(frames_codecs[_i], limit);
        for (size_t length = limit - 1; length <= limit; length++) {
            size_t n = exact_frame(&codec, length);
            frames_decode(&codec, FRAME_FROM_SERVER, stream, n, frames_single, NULL, &run);
            ck_assert_int_eq(run.result, 0);
            if (n == 0 || codec.kind == FRAME_RAW)
                continue;
            ck_assert_uint_eq(run.count, 1);
            ck_assert_uint_eq(run.frames[0].body_length, length);
        }
        if (codec.kind != FRAME_RAW)
            over_limit(&codec, limit);
    }
}
END_TEST

START_TEST(truncation)
{
    struct frame_codec codec = parse(frames_codecs[_i], LIMIT);
    size_t n = exact_frame(&codec, 50);

    if (codec.kind == FRAME_RAW)
        return;
    for (size_t came = 0; came <= n; came++) {
        frames_decode(&codec, FRAME_FROM_SERVER, stream, came, frames_single, NULL, &run);
        ck_assert_int_eq(run.result, 0);
        ck_assert_uint_eq(run.count, came == n);
        ck_assert_int_eq(frame_finish(&codec, &run.state), came == 0 || came == n);
        ck_assert_uint_eq(run.state.seen, came == n ? 0 : came);
        if (run.state.total != 0)
            ck_assert_uint_eq(run.state.total, n);
        else
            ck_assert(came <= run.state.head + FRAME_HEAD_MAX || codec.kind == FRAME_DELIMITER ||
                      came == n);
    }
}
END_TEST

/* Lengths meant to hurt. `shown`: bytes it takes to refuse them. */
static const struct {
    const char *codec, *bytes;
    size_t n, shown;
    enum err err;
    uint64_t length;
} hostile[] = {
    {"u32be", "\xff\xff\xff\xff", 4, 4, ERR_FRAME_TOO_LARGE, 0xffffffff},
    {"u32le", "\xff\xff\xff\xff", 4, 4, ERR_FRAME_TOO_LARGE, 0xffffffff},
    {"u64be", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 8, ERR_FRAME_TOO_LARGE, UINT64_MAX},
    {"u64le:adjust=8", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 8, ERR_FRAME_TOO_LARGE, UINT64_MAX},
    {"u64be:adjust=-8", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 8, ERR_FRAME_TOO_LARGE,
     UINT64_MAX - 8},
    {"field:width=8,strip=no", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 8, ERR_FRAME_TOO_LARGE,
     UINT64_MAX},
    {"field:width=8,strip=no", "\xff\xff\xff\xff\xff\xff\xff\xf7", 8, 8, ERR_FRAME_TOO_LARGE,
     UINT64_MAX},
    {"field:width=8,adjust=-9,strip=no", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 8,
     ERR_FRAME_TOO_LARGE, UINT64_MAX - 1},
    {"u32be:adjust=-4", "\0\0\0\3", 4, 4, ERR_FRAME_BAD, 3},
    {"postgres", "\0\0\0\3", 4, 4, ERR_FRAME_BAD, 3},
    {"varint", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10, 10, ERR_FRAME_TOO_LARGE, UINT64_MAX},
    {"varint", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\2", 10, 10, ERR_FRAME_BAD, 0},
    {"varint", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 11, 10, ERR_FRAME_BAD, 0},
    {"varint", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", 11, 10, ERR_FRAME_BAD, 0},
    {"varint:max=3", "\x80\x80\x80\0", 4, 3, ERR_FRAME_BAD, 0},
    {"varint:adjust=-2", "\1", 1, 1, ERR_FRAME_BAD, 1},
    {"mqtt", "\x10\xff\xff\xff\x7f", 5, 5, ERR_FRAME_TOO_LARGE, 268435455 + 5},
    {"mqtt", "\x10\xff\xff\xff\xff\1", 6, 5, ERR_FRAME_BAD, 0},
    {"netstring", "00:,", 4, 2, ERR_FRAME_BAD, 0},
    {"netstring", "01:x,", 5, 2, ERR_FRAME_BAD, 0},
    {"netstring", ":,", 2, 1, ERR_FRAME_BAD, 0},
    {"netstring", "-1:,", 4, 1, ERR_FRAME_BAD, 0},
    {"netstring", "5 hello", 7, 2, ERR_FRAME_BAD, 0},
    {"netstring", "5:hello\n", 8, 8, ERR_FRAME_BAD, 0},
    {"netstring", "18446744073709551615:", 21, 21, ERR_FRAME_TOO_LARGE, UINT64_MAX},
    {"netstring", "18446744073709551616:", 21, 20, ERR_FRAME_TOO_LARGE, UINT64_MAX},
    {"netstring", "100000000000000000000:", 22, 21, ERR_FRAME_TOO_LARGE, UINT64_MAX},
    {"octet", "0 ", 2, 2, ERR_FRAME_BAD, 0},
    {"octet", "05 hello", 8, 2, ERR_FRAME_BAD, 0},
    {"octet", "<34>1 text", 10, 1, ERR_FRAME_BAD, 0},
    {"octet", "5:hello", 7, 2, ERR_FRAME_BAD, 0},
    {"octet", "99999999 ", 9, 9, ERR_FRAME_TOO_LARGE, 99999999},
    {"mllp", "MSH|", 4, 1, ERR_FRAME_BAD, 0},
};

START_TEST(hostile_lengths)
{
    struct frame_codec codec = parse(hostile[_i].codec, LIMIT);
    const uint8_t *bytes = (const uint8_t *)hostile[_i].bytes;

    frames_decode(&codec, FRAME_FROM_CLIENT, bytes, hostile[_i].n, frames_single, NULL, &run);
    ck_assert_int_eq(run.result, hostile[_i].err);
    ck_assert_uint_eq(run.shown, hostile[_i].shown);
    ck_assert_uint_eq(run.fault.length, hostile[_i].length);
    ck_assert_uint_eq(run.count, 0);
    frames_decode(&codec, FRAME_FROM_CLIENT, bytes, hostile[_i].n, frames_whole, NULL, &other);
    ck_assert(frames_same(&codec, &run, &other));
    memcpy(stream, bytes, hostile[_i].n);
    every_way(&codec, hostile[_i].n > 16 ? 16 : hostile[_i].n);
}
END_TEST

START_TEST(megabyte_of_digits)
{
    struct frame_codec codec = parse("netstring", FRAME_LIMIT_MAX);
    uint8_t *digits = malloc(1 << 20);

    ck_assert_ptr_nonnull(digits);
    memset(digits, '9', 1 << 20);
    frames_decode(&codec, FRAME_FROM_CLIENT, digits, 1 << 20, frames_single, NULL, &run);
    ck_assert_int_eq(run.result, ERR_FRAME_TOO_LARGE);
    ck_assert_uint_eq(run.shown, 20);
    frames_decode(&codec, FRAME_FROM_CLIENT, digits, 1 << 20, frames_whole, NULL, &other);
    ck_assert(frames_same(&codec, &run, &other));
    free(digits);
}
END_TEST

/* What is odd and right all the same. */
static const struct {
    const char *codec, *bytes;
    size_t n, body, body_length;
} odd[] = {
    {"netstring", "0:,", 3, 2, 0},
    {"varint", "\x80\0", 2, 2, 0}, /* longer than it need be, as Protocol Buffers allow */
    {"varint", "\x81\x80\0x", 4, 3, 1},
    {"crlf", "a\r\r\n", 4, 0, 2},
    {"crlf", "a\nb\rc\r\n", 7, 0, 5},
    {"line", "\n", 1, 0, 0},
    {"line", "a\r\n", 3, 0, 2},
    {"delim:616162", "aaab", 4, 0, 1},
    {"delim:616162", "abaaaab", 7, 0, 4},
    {"delim:61626162", "aabab", 5, 0, 1},
    {"mllp", "\x0bMSH\x1c\x1c\r", 7, 1, 4},
    {"u32be:adjust=-4", "\0\0\0\4", 4, 4, 0},
    {"mysql", "\1\0\0\0\x0e", 5, 0, 5},           /* COM_PING */
    {"mqtt", "\xc0\0", 2, 0, 2},                  /* PINGREQ */
    {"postgres", "\0\0\0\x9\0\3\0\0\0", 9, 0, 9}, /* StartupMessage */
    {"dns", "\0\1x", 3, 2, 1},
    {"field:adjust=-4,strip=no", "\0\0\0\x10\0\0\0\x15\0\0\0\0\0\0\0\1", 16, 0, 16}, /* SMPP */
    {"field:offset=4,width=2", "\0\1\0\0\0\6\x11\3\0\x6b\0\3", 12, 0, 12},           /* Modbus */
    {"field:offset=1,width=3,adjust=-4", "\1\0\0\x14\x80\0\1\x18\0\0\0\0\0\0\0\1\0\0\0\1", 20, 0,
     20}, /* Diameter */
    {"field:offset=16,width=2,adjust=-18",
     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\x13\4", 19, 0,
     19}, /* BGP */
};

START_TEST(odd_but_right)
{
    struct frame_codec codec = parse(odd[_i].codec, LIMIT);
    const uint8_t *bytes = (const uint8_t *)odd[_i].bytes;

    frames_decode(&codec, FRAME_FROM_CLIENT, bytes, odd[_i].n, frames_single, NULL, &run);
    ck_assert_int_eq(run.result, 0);
    ck_assert_uint_eq(run.count, 1);
    ck_assert_uint_eq(run.frames[0].total, odd[_i].n);
    ck_assert_uint_eq(run.frames[0].body, odd[_i].body);
    ck_assert_uint_eq(run.frames[0].body_length, odd[_i].body_length);
}
END_TEST

START_TEST(first_message)
{
    struct frame_codec codec = parse("postgres", LIMIT);
    static const uint8_t startup[] = {0, 0, 0, 8, 0, 3, 0, 0};
    static const uint8_t query[] = {'Q', 0, 0, 0, 6, ';', 0};

    memcpy(stream, startup, sizeof startup);
    memcpy(stream + sizeof startup, query, sizeof query);
    every_way(&codec, sizeof startup + sizeof query);
    ck_assert_int_eq(run.result, 0);
    ck_assert_uint_eq(run.count, 2);
    ck_assert_uint_eq(run.frames[0].body_length, sizeof startup);
    ck_assert_uint_eq(run.frames[1].body_length, sizeof query);
    frames_decode(&codec, FRAME_FROM_SERVER, query, sizeof query, frames_whole, NULL, &run);
    ck_assert_uint_eq(run.count, 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("frame");
    TCase *cases = tcase_create("codecs");

    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, round_trip, 0, frames_codec_count);
    tcase_add_loop_test(cases, every_cut, 0, frames_codec_count);
    tcase_add_loop_test(cases, random_bytes, 0, frames_codec_count);
    tcase_add_loop_test(cases, limits, 0, frames_codec_count);
    tcase_add_loop_test(cases, truncation, 0, frames_codec_count);
    tcase_add_loop_test(cases, hostile_lengths, 0, (int)(sizeof hostile / sizeof hostile[0]));
    tcase_add_loop_test(cases, odd_but_right, 0, (int)(sizeof odd / sizeof odd[0]));
    tcase_add_test(cases, megabyte_of_digits);
    tcase_add_test(cases, first_message);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());

    frames_seed();
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
