/* Results of loads held against each other: what is noise, better, worse, and what cannot be
 * compared. */
#include "config.h"

#include "result.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "result_shape.h"
#include "results.h"
#include "units.h"

#define US 1000ULL /* in nanoseconds */
#define MS 1000000ULL

static struct result before, after;

static void begin(void)
{
    pair_begin();
    ck_assert(setlocale(LC_CTYPE, "C.UTF-8"));
    results_open(&before);
    results_open(&after);
}

static void end(void)
{
    result_fini(&before);
    result_fini(&after);
    pair_end();
}

/* --- comparing --- */

/* Other round trips: evenly from `low_us` on, so that p50 is in the middle of the span. */
static void round_trips(struct result *result, uint64_t low_us, uint64_t span_us)
{
    histogram_clear(result->stages[STAGE_ROUND_TRIP]);
    results_fill(result, STAGE_ROUND_TRIP, 500000, low_us * US, span_us * US);
}

static void intervals(struct result *result, size_t n, uint64_t p50_us, uint64_t p99_us,
                      unsigned noise_percent)
{
    free(result->intervals);
    results_intervals(result, n, p50_us * US, p99_us * US, noise_percent);
}

/* The comparison, allocated. */
static char *compared(const char *before_name, const char *after_name)
{
    struct result_style style = {true, false};
    struct error e = {"", ""};
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    ck_assert(out);
    int rc = result_compare(&before, &after, before_name, after_name, &style, out, &e);
    ck_assert_msg(rc == 0, "%s; %s", e.what, e.mend);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static void says(const char *line)
{
    char *text = compared("before.json", "after.json"), *rest = text, *each;
    ck_assert_msg(strstr(text, line), "'%s' is not in:\n%s", line, text);
    while ((each = strsep(&rest, "\n")))
        ck_assert_uint_le(units_columns(each), 100);
    free(text);
}

static void says_not(const char *words)
{
    char *text = compared("before.json", "after.json");
    ck_assert_msg(!strstr(text, words), "'%s' is in:\n%s", words, text);
    free(text);
}

START_TEST(it_looks_as_expected)
{
    round_trips(&after, 173, 108);
    after.intervals[6].p99_ns = 290 * US;
    char *text = compared("runs/before.json", "after.json");
    ck_assert_str_eq(text,
                     "same shape: 1,000 x 1 x 64 B, open loop 50,000/s, u32be\n"
                     "                    before     after    change   spread of 1 s intervals\n"
                     "connect p50         552 µs    552 µs       0 %   – (one burst)\n"
                     "connect p99         895 µs    895 µs       0 %   – (one burst)\n"
                     "round trip p50      230 µs    227 µs      -1 %   3 %: no difference\n"
                     "round trip p99     79.8 ms    280 µs   -99.6 %   "
                     "3 %: better (before: 1 stalled interval of 10)\n"
                     "round trip p99.9    169 ms    281 µs   -99.8 %   –\n"
                     "drain+linger p50    401 µs    401 µs       0 %   –\n"
                     "frames/s            50,000    50,000       0 %   0.0 %: no difference\n");
    free(text);
}
END_TEST

/* By how much p50 changes (of 200 us), how far the intervals lie apart, and what that is. */
static const struct judged {
    uint64_t p50_us;
    unsigned noise_percent;
    const char *line;
} judged[] = {
    {200, 3, "round trip p50      200 µs    200 µs       0 %   3 %: no difference"},
    {205, 5, "round trip p50      200 µs    205 µs      +2 %   5 %: no difference"},
    {194, 5, "round trip p50      200 µs    194 µs      -3 %   5 %: no difference"},
    {212, 5, "round trip p50      200 µs    212 µs      +6 %   5 %: worse"},
    {188, 5, "round trip p50      200 µs    188 µs      -6 %   5 %: better"},
    {280, 80, "round trip p50      200 µs    280 µs     +40 %   44 %: no difference"},
    {201, 0, "round trip p50      200 µs    201 µs    +0.5 %   0.0 %: no difference"},
    {3000, 4, "round trip p50      200 µs   3.00 ms       x15   4 %: worse"},
};

START_TEST(a_change_is_told_only_beyond_the_noise)
{
    const struct judged *row = &judged[_i];
    round_trips(&before, 100, 200);
    round_trips(&after, row->p50_us - 100, 200);
    intervals(&before, 10, 200, 290, row->noise_percent);
    intervals(&after, 10, row->p50_us, 290, 0);
    says(row->line);
}
END_TEST

START_TEST(the_noise_is_that_of_the_noisier_run)
{
    round_trips(&before, 100, 200);
    round_trips(&after, 120, 200);
    intervals(&before, 10, 200, 290, 1);
    intervals(&after, 10, 220, 310, 15);
    says("round trip p50      200 µs    220 µs     +10 %   13 %: no difference");
}
END_TEST

START_TEST(a_stalled_interval_is_no_noise)
{
    round_trips(&before, 100, 200);
    round_trips(&after, 120, 200);
    intervals(&before, 10, 200, 290, 1);
    intervals(&after, 10, 220, 310, 1);
    after.intervals[3].p50_ns = after.intervals[4].p50_ns = 900 * MS;
    after.intervals[5] = (struct result_interval){.from_us = 5000000, .to_us = 6000000, .late = 9};
    says("round trip p50      200 µs    220 µs     +10 %   1 %: worse "
         "(after: 3 stalled intervals of 10)");
}
END_TEST

START_TEST(the_short_last_interval_does_not_count)
{
    intervals(&before, 11, 200, 290, 1);
    intervals(&after, 11, 200, 290, 1);
    before.intervals[10].to_us -= 400000;
    before.intervals[10].sent = 1;
    says("frames/s            50,000    50,000       0 %   0.0 %: no difference");
}
END_TEST

START_TEST(more_frames_are_better)
{
    before.shape.rate = after.shape.rate = 0;
    after.sent = after.replies = 600000;
    intervals(&before, 10, 200, 290, 1);
    intervals(&after, 10, 200, 290, 1);
    says("frames/s            50,000    60,000     +20 %   0.0 %: better");
}
END_TEST

START_TEST(of_a_few_intervals_nothing_is_concluded)
{
    round_trips(&before, 100, 200);
    round_trips(&after, 200, 200);
    intervals(&before, 2, 200, 290, 1);
    intervals(&after, 10, 300, 390, 1);
    says("round trip p50      200 µs    300 µs     +50 %   – (too few intervals)");
    before.interval_count = 0;
    says("round trip p50      200 µs    300 µs     +50 %   – (too few intervals)");
}
END_TEST

START_TEST(what_is_not_told_of_both_has_no_row)
{
    histogram_clear(after.stages[STAGE_CONNECT]);
    results_fill(&after, STAGE_CONNECT, 20, 203 * US, 700 * US);
    says_not("connect p99");
    says("connect p50");
}
END_TEST

START_TEST(each_loss_counts)
{
    says_not("lost");
    after.lost = 1;
    before.failed = 4;
    before.differed = after.differed = 2;
    says("lost                     0         1         –   worse");
    says("failed                   4         0         –   better");
    says("differed                 2         2         –   no difference");
}
END_TEST

START_TEST(a_client_at_its_limit_is_named)
{
    after.client_limited = true;
    strcpy(after.client_limit, "its processor: 99 % of one");
    strcpy(after.target, "broker-2:9000");
    says("\nafter: the client was the limit: its processor: 99 % of one\n");
    says("\nbefore: broker-1:9000; after: broker-2:9000\n");
}
END_TEST

START_TEST(one_way_only_rates_are_compared)
{
    result_fini(&before);
    result_fini(&after);
    results_none(&before);
    results_none(&after);
    says_not("round trip");
    says("same shape: 1 x 64.0 KiB, closed loop, u32be\n");
    says("frames/s           172,000   172,000       0 %   0.0 %: no difference");
}
END_TEST

START_TEST(columns_are_named_by_the_files)
{
    char *text = compared("a/old.json", "b/new");
    ck_assert_ptr_nonnull(strstr(text, "\n                       old       new    change"));
    free(text);
    text = compared("a/run.json", "b/run.json");
    ck_assert_ptr_nonnull(strstr(text, "\n                    before     after    change"));
    free(text);
    text = compared("a-name-of-nineteen-cµ.json", "x");
    ck_assert_ptr_nonnull(
        strstr(text, "\n                  a-name-of-nineteen-c         x    change"));
    free(text);
}
END_TEST

/* --- shapes --- */

static void change_codec(struct result_shape *shape)
{
    strcpy(shape->codec, "line");
}

static void change_expect(struct result_shape *shape)
{
    shape->expect = EXPECT_ANY;
}

static void change_connections(struct result_shape *shape)
{
    shape->connections = 20;
}

static void change_pipeline(struct result_shape *shape)
{
    shape->pipeline = 32;
}

static void change_size(struct result_shape *shape)
{
    shape->size_bytes = 65536;
}

static void change_rate(struct result_shape *shape)
{
    shape->rate = 40000;
}

static void close_loop(struct result_shape *shape)
{
    shape->rate = 0;
}

static void change_frames_per_conn(struct result_shape *shape)
{
    shape->frames_per_conn = 1;
}

static void change_what_makes_no_shape(struct result_shape *shape)
{
    shape->connecting = 1;
    shape->connect_rate = 9;
    shape->duration_us = 1;
    shape->count = 5;
    shape->omit_us = 7;
    shape->threads = 128;
}

static const struct shaped {
    void (*change)(struct result_shape *shape);
    const char *words; /* NULL: may be compared */
    bool adds_up;      /* may be merged */
} shaped[] = {
    {change_codec, "a and b differ in -F: u32be and line", false},
    {change_expect, "a and b differ in --expect: echo and any", false},
    {change_connections, "a and b differ in -c: 1,000 and 20", true},
    {change_pipeline, "a and b differ in -P: 1 and 32", false},
    {change_size, "a and b differ in -s: 64 and 65,536", false},
    {change_rate, "a and b differ in -r: 50,000 and 40,000", true},
    {close_loop, "a and b differ in -r: an open loop and a closed loop", false},
    {change_frames_per_conn, "a and b differ in --frames-per-conn: no limit and 1", false},
    {change_what_makes_no_shape, NULL, true},
};

START_TEST(different_shapes_are_refused)
{
    const struct shaped *row = &shaped[_i];
    struct error e = {"", ""};
    struct result_style style = {true, false};
    row->change(&after.shape);
    FILE *nowhere = fopen("/dev/null", "w");
    ck_assert(nowhere);
    int rc = result_compare(&before, &after, "a", "b", &style, nowhere, &e);
    fclose(nowhere);
    ck_assert_int_eq(rc, row->words ? ERR_SYNTAX : 0);
    ck_assert_str_eq(e.what, row->words ? row->words : "");
    rc = result_shape_check(&before.shape, "a", &after.shape, "b", true, &e);
    ck_assert_int_eq(rc, row->adds_up ? 0 : ERR_SYNTAX);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

static TCase *comparing(void)
{
    TCase *tcase = tcase_create("comparing");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, it_looks_as_expected);
    tcase_add_loop_test(tcase, a_change_is_told_only_beyond_the_noise, 0, ROWS(judged));
    tcase_add_test(tcase, the_noise_is_that_of_the_noisier_run);
    tcase_add_test(tcase, a_stalled_interval_is_no_noise);
    tcase_add_test(tcase, the_short_last_interval_does_not_count);
    tcase_add_test(tcase, more_frames_are_better);
    tcase_add_test(tcase, of_a_few_intervals_nothing_is_concluded);
    tcase_add_test(tcase, what_is_not_told_of_both_has_no_row);
    tcase_add_test(tcase, each_loss_counts);
    tcase_add_test(tcase, a_client_at_its_limit_is_named);
    tcase_add_test(tcase, one_way_only_rates_are_compared);
    tcase_add_test(tcase, columns_are_named_by_the_files);
    tcase_add_loop_test(tcase, different_shapes_are_refused, 0, ROWS(shaped));
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("result_compare");
    suite_add_tcase(suite, comparing());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
