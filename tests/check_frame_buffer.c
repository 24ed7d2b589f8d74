/* Codecs over evbuffers: however the stream lies in chains and whenever it is looked at, what comes
 * out is what the decoder gives over memory. */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "frame_buffer.h"
#include "frames.h"

static struct frames_run run;
static uint8_t stream[1 << 18];

static struct frame_codec parse(const char *text, uint64_t limit)
{
    struct frame_codec codec;

    ck_assert_int_eq(frame_codec_parse(&codec, text, limit, NULL), 0);
    return codec;
}

static struct evbuffer *buffer_new(void)
{
    struct evbuffer *buffer = evbuffer_new();

    ck_assert_ptr_nonnull(buffer);
    return buffer;
}

/* As a bufferevent's input: only its own reading may add to it. */
static void arrive(struct evbuffer *in, const uint8_t *bytes, size_t n, bool own_chain)
{
    evbuffer_unfreeze(in, 0);
    if (own_chain)
        ck_assert_int_eq(evbuffer_add_reference(in, bytes, n, NULL, NULL), 0);
    else
        ck_assert_int_eq(evbuffer_add(in, bytes, n), 0);
    evbuffer_freeze(in, 0);
}

/* Puts random frames through frame_buffer_put, whose output must be what it says it is. */
static size_t fill_stream(const struct frame_codec *codec, struct frames_random *random)
{
    struct evbuffer *out = buffer_new();
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;
    static uint8_t body[8192];
    size_t n = 0;

    frame_state_init(&state, codec, FRAME_FROM_CLIENT);
    for (int i = 0; i < 30; i++) {
        size_t length = frames_body(codec, state.first, random, i == 7 ? 5000 : 60, body);
        int rc = frame_buffer_put(codec, &state, out, body, length, &wrap, &fault);
        if (rc == 0)
            n += wrap.head_length + length + wrap.tail_length;
        ck_assert(rc == 0 || codec->kind == FRAME_DELIMITER);
        ck_assert_uint_eq(evbuffer_get_length(out), n);
    }
    ck_assert_uint_le(n, sizeof stream);
    ck_assert_int_eq(evbuffer_remove(out, stream, n), (int)n);
    evbuffer_free(out);
    return n;
}

/* Takes all frames there are; each must be the next of `run`. */
static int take_frames(const struct frame_codec *codec, struct frame_state *state,
                       struct evbuffer *in, size_t *count, size_t *at, struct frame_fault *fault)
{
    struct frame_view view;
    int rc;

    while ((rc = frame_buffer_next(codec, state, in, &view, fault)) == 1) {
        ck_assert_mem_eq(view.wire, stream + *at, view.wire_length);
        if (codec->kind != FRAME_RAW) {
            ck_assert_uint_lt(*count, run.count);
            ck_assert_uint_eq(view.wire_length, run.frames[*count].total);
            ck_assert_uint_eq(view.body_length, run.frames[*count].body_length);
            ck_assert_uint_eq((size_t)(view.body - view.wire), run.frames[*count].body);
        }
        ck_assert_int_eq(evbuffer_drain(in, view.wire_length), 0);
        *at += view.wire_length;
        ++*count;
    }
    return rc;
}

static void through_buffer(const struct frame_codec *codec, size_t n, struct frames_random *random)
{
    struct evbuffer *in = buffer_new();
    struct frame_state state;
    struct frame_fault fault;
    size_t count = 0, taken = 0;
    int rc = 0;

    frame_state_init(&state, codec, FRAME_FROM_CLIENT);
    for (size_t at = 0; at < n && rc == 0;) {
        size_t size = frames_random(random, at, n - at);
        arrive(in, stream + at, size, frames_below(random, 1) == 0);
        at += size;
        if (frames_below(random, 2) == 0 || at == n)
            rc = take_frames(codec, &state, in, &count, &taken, &fault);
    }
    ck_assert_int_eq(rc, run.result);
    if (codec->kind != FRAME_RAW)
        ck_assert_uint_eq(count, run.count);
    if (rc < 0) {
        ck_assert_uint_eq(fault.length, run.fault.length);
        ck_assert_ptr_eq(fault.why, run.fault.why);
        ck_assert_uint_eq(fault.prefix_length, run.fault.prefix_length);
        ck_assert_mem_eq(fault.prefix, run.fault.prefix, fault.prefix_length);
    } else {
        ck_assert_uint_eq(state.seen, run.state.seen);
        ck_assert_uint_eq(state.total, run.state.total);
        ck_assert_uint_eq(evbuffer_get_length(in), state.seen);
    }
    evbuffer_free(in);
}

START_TEST(as_over_memory)
{
    struct frames_random random = {frames_seed() * 1000003 + (uint64_t)_i};

    for (int round = 0; round < 60; round++) {
        struct frame_codec codec = parse(frames_codecs[_i], round % 3 == 0 ? 3000 : 1 << 20);
        size_t n = fill_stream(&codec, &random);
        ck_assert_uint_gt(n, 0);
        n = (size_t)frames_below(&random, n - 1) + 1;
        if (round % 4 == 0)
            stream[frames_below(&random, n - 1)] ^= (uint8_t)frames_next(&random);
        frames_decode(&codec, FRAME_FROM_CLIENT, stream, n, frames_whole, NULL, &run);
        through_buffer(&codec, n, &random);
    }
}
END_TEST

/* 16 MiB in chains of 4 KiB, looked at after each: the work must not grow with the square. */
START_TEST(long_frame)
{
    static const char *const codecs[] = {"line", "crlf", "delim:616162", "u32be", "netstring"};
    enum { LENGTH = 16 << 20, CHAIN = 4096 };
    struct frame_codec codec = parse(codecs[_i / 2], LENGTH);
    struct evbuffer *whole = buffer_new(), *in = buffer_new();
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;
    struct frame_view view;
    uint8_t *body = malloc(LENGTH);

    ck_assert_ptr_nonnull(body);
    memset(body, 'a', LENGTH);
    frame_state_init(&state, &codec, FRAME_FROM_CLIENT);
    ck_assert_int_eq(frame_buffer_put(&codec, &state, whole, body, LENGTH, &wrap, &fault), 0);
    size_t total = evbuffer_get_length(whole);
    const uint8_t *wire = evbuffer_pullup(whole, -1);
    for (size_t at = 0; at < total; at += CHAIN) {
        ck_assert_int_eq(frame_buffer_next(&codec, &state, in, &view, &fault), 0);
        arrive(in, wire + at, total - at < CHAIN ? total - at : CHAIN, _i % 2 == 1);
    }
    ck_assert_int_eq(frame_buffer_next(&codec, &state, in, &view, &fault), 1);
    ck_assert_uint_eq(view.body_length, LENGTH);
    ck_assert(memcmp(view.body, body, LENGTH) == 0);
    free(body);
    evbuffer_free(in);
    evbuffer_free(whole);
}
END_TEST

START_TEST(refused_body_leaves_no_trace)
{
    struct frame_codec codec = parse("line", 100);
    struct evbuffer *out = buffer_new();
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;

    frame_state_init(&state, &codec, FRAME_FROM_CLIENT);
    ck_assert_int_eq(
        frame_buffer_put(&codec, &state, out, (const uint8_t *)"a\nb", 3, &wrap, &fault),
        ERR_FRAME_BAD);
    ck_assert_uint_eq(evbuffer_get_length(out), 0);
    ck_assert_int_eq(frame_buffer_put(&codec, &state, out, NULL, 0, &wrap, &fault), 0);
    ck_assert_uint_eq(evbuffer_get_length(out), 1);
    evbuffer_free(out);
}
END_TEST

START_TEST(raw_is_what_is_there)
{
    struct frame_codec codec = parse("raw", 5);
    struct evbuffer *in = buffer_new();
    struct frame_state state;
    struct frame_fault fault;
    struct frame_view view;

    frame_state_init(&state, &codec, FRAME_FROM_CLIENT);
    ck_assert_int_eq(frame_buffer_next(&codec, &state, in, &view, &fault), 0);
    arrive(in, (const uint8_t *)"hello, world", 12, false);
    ck_assert_int_eq(frame_buffer_next(&codec, &state, in, &view, &fault), 1);
    ck_assert_uint_eq(view.wire_length, 5);
    ck_assert_mem_eq(view.body, "hello", 5);
    evbuffer_free(in);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("frame_buffer");
    TCase *cases = tcase_create("evbuffers");

    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, as_over_memory, 0, frames_codec_count);
    tcase_add_loop_test(cases, long_frame, 0, 10);
    tcase_add_test(cases, refused_body_leaves_no_trace);
    tcase_add_test(cases, raw_is_what_is_there);
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
