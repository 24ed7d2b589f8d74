/* Results of loads: the table against expected bytes (tests/results/NAME.txt), and adding up. */
#include "config.h"

#include "result.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "results.h"
#include "units.h"

#define MS 1000000ULL

static struct result result, other;

static void begin(void)
{
    pair_begin();
    ck_assert(setlocale(LC_CTYPE, "C.UTF-8"));
    result_init(&result);
    result_init(&other);
}

static void end(void)
{
    result_fini(&result);
    result_fini(&other);
    pair_end();
}

/* --- the table --- */

static char *expected(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/results/%s.txt", TOP_SRCDIR, name);
    char *text = pair_read_file(path, NULL);
    ck_assert_msg(text, "%s cannot be read", path);
    return text;
}

START_TEST(the_table_is_as_expected)
{
    const struct results_maker *maker = results_maker(_i);
    maker->make(&result);
    char *text = results_text(&result, true, false), *wanted = expected(maker->name);
    ck_assert_str_eq(text, wanted);
    free(text);
    free(wanted);
}
END_TEST

/* The text with each of these characters as its stand-in, in place. */
static void in_ascii(char *text)
{
    static const struct {
        const char *character, *stand_in;
    } pairs[] = {{"µ", "u"}, {"–", "-"}};
    for (unsigned i = 0; i < 2; i++) {
        size_t n = strlen(pairs[i].character);
        for (char *at = text; (at = strstr(at, pairs[i].character)); at++) {
            *at = pairs[i].stand_in[0];
            memmove(at + 1, at + n, strlen(at + n) + 1);
        }
    }
}

START_TEST(outside_utf8_it_has_the_same_shape)
{
    const struct results_maker *maker = results_maker(_i);
    ck_assert(setlocale(LC_CTYPE, "C"));
    maker->make(&result);
    char *text = results_text(&result, false, false), *wanted = expected(maker->name);
    in_ascii(wanted);
    ck_assert_str_eq(text, wanted);
    for (const char *at = text; *at; at++)
        ck_assert_int_ge(*at, 0);
    free(text);
    free(wanted);
}
END_TEST

START_TEST(colour_only_repeats_what_words_say)
{
    const struct results_maker *maker = results_maker(_i);
    maker->make(&result);
    char *text = results_text(&result, true, true), *wanted = expected(maker->name);
    unsigned escapes = 0;
    for (char *at = text; (at = strchr(at, '\33')); escapes++) {
        char *rest = strchr(at, 'm') + 1;
        memmove(at, rest, strlen(rest) + 1);
    }
    ck_assert_uint_eq(escapes, 2);
    ck_assert_str_eq(text, wanted);
    free(text);
    free(wanted);
}
END_TEST

static void fits(const struct result *told)
{
    char *text = results_text(told, true, false), *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        ck_assert_msg(units_columns(line) <= 100, "%zu columns: %s", units_columns(line), line);
    free(text);
}

START_TEST(a_table_of_large_numbers_fits_into_100_columns)
{
    results_open(&result);
    memset(result.target, 't', 90);
    result.shape.connections = result.opened = 1000000;
    result.shape.connecting = 100000;
    result.shape.connect_rate = 1000000;
    result.shape.pipeline = 100000;
    result.shape.rate = 100000000;
    result.sent = 123456789012;
    result.equal = 123456789000;
    result.lost = result.differed = result.due_not_sent = 1234567890;
    result.bytes_in--;
    for (enum fate fate = 0; fate < FATE_COUNT; fate++)
        result.fates[fate] = 100000;
    for (unsigned i = 0; i < 4; i++)
        result.closed_first[i] = result.time_wait[i] = 1000000;
    histogram_record_many(result_stage(&result, STAGE_ROUND_TRIP), 3599 * 1000 * MS, 123456789012);
    strcpy(result.client_limit,
           "its processors: 100 % of 128 are used by the loops of this client");
    result.client_limited = true;
    fits(&result);
}
END_TEST

START_TEST(stages_measured_in_microseconds_show_no_further_digits)
{
    results_closed(&result);
    results_fill(&other, STAGE_CONNECT, 20, 12000, 20000);
    free(result.stages[STAGE_CONNECT]);
    result.stages[STAGE_CONNECT] = other.stages[STAGE_CONNECT];
    other.stages[STAGE_CONNECT] = NULL;
    char *text = results_text(&result, true, false);
    ck_assert_ptr_nonnull(strstr(text, "connect            20    12 µs    21 µs"));
    ck_assert_ptr_nonnull(strstr(text, "  98.8 µs"));
    free(text);
}
END_TEST

START_TEST(a_number_stays_with_its_unit)
{
    results_closed(&result);
    for (unsigned n = 1; n < 80; n++) {
        snprintf(result.verdict.evidence, sizeof result.verdict.evidence, "%0*d %s", (int)n, 0,
                 "of 4 replies, the first after 97 µs");
        char *text = results_text(&result, true, false);
        ck_assert(strstr(text, "97 µs\n") && strstr(text, "4 replies,"));
        free(text);
        fits(&result);
    }
}
END_TEST

/* --- adding up --- */

/* Three threads' parts, in turn, against the whole. */
START_TEST(parts_add_up_to_the_whole)
{
    struct result part[3];
    for (unsigned i = 0; i < 3; i++)
        result_init(&part[i]);
    for (uint64_t i = 0; i < 9000; i++) {
        for (unsigned stage = 0; stage < STAGE_COUNT; stage++) {
            uint64_t ns = 1000 * stage + i * i;
            histogram_record(result_stage(&part[i % 3], stage), ns);
            histogram_record(result_stage(&result, stage), ns);
        }
        part[i % 3].sent += i;
        result.sent += i;
        part[i % 3].fates[i % FATE_COUNT]++;
        result.fates[i % FATE_COUNT]++;
        part[i % 3].closed_first[i % 4] += 2;
        result.closed_first[i % 4] += 2;
    }
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(result_add(&other, &part[i], false), 0);
        result_fini(&part[i]);
    }
    char *sum = results_json(&other), *whole = results_json(&result);
    ck_assert_str_eq(sum, whole);
    free(sum);
    free(whole);
}
END_TEST

START_TEST(intervals_add_up_by_their_number)
{
    results_closed(&result);
    results_closed(&other);
    other.interval_count = 2;
    other.intervals[0].oldest_late_us = 7000;
    other.intervals[1].from_us -= 3;
    other.intervals[1].replies = 0;
    ck_assert_int_eq(result_add(&other, &result, false), 0);
    ck_assert_uint_eq(other.interval_count, 3);
    ck_assert_uint_eq(other.intervals[0].sent, 2 * result.intervals[0].sent);
    ck_assert_uint_eq(other.intervals[0].open, 128);
    ck_assert_uint_eq(other.intervals[0].oldest_late_us, 7000);
    ck_assert_uint_eq(other.intervals[0].p50_ns, 0);
    ck_assert_uint_eq(other.intervals[1].from_us, 999997);
    ck_assert_uint_eq(other.intervals[2].p99_ns, result.intervals[2].p99_ns);
}
END_TEST

START_TEST(the_failure_told_is_the_first_row_of_the_table)
{
    results_failures(&result);
    result.failure_fate = FATE_RESET;
    results_refused(&other);
    strcpy(other.failure_detail, "nobody listens");
    ck_assert_int_eq(result_add(&result, &other, false), 0);
    ck_assert_int_eq(result.failure_fate, FATE_REFUSED);
    ck_assert_str_eq(result.failure_detail, "nobody listens");
    ck_assert_str_eq(result.differed_detail, "connection 7, frame 3: at byte 16 00, not 78");
}
END_TEST

START_TEST(clients_side_by_side_asked_for_the_sum)
{
    results_open(&result);
    results_open(&other);
    strcpy(other.target, "broker-2:9000");
    other.shape.duration_us = other.measured_us = 12000000;
    other.start_wall_us -= 50000;
    other.shape.connect_rate = 100;
    ck_assert_int_eq(result_add(&result, &other, true), 0);
    ck_assert_uint_eq(result.shape.connections, 2000);
    ck_assert_uint_eq(result.shape.rate, 100000);
    ck_assert_uint_eq(result.shape.connect_rate, 0);
    ck_assert_uint_eq(result.shape.duration_us, 12000000);
    ck_assert_uint_eq(result.shape.pipeline, 1);
    ck_assert_uint_eq(result.measured_us, 12000000);
    ck_assert_uint_eq(result.start_wall_us, other.start_wall_us);
    ck_assert_uint_eq(result.processors, 4);
    ck_assert_str_eq(result.target, "broker-1:9000 and others");
    ck_assert_str_eq(result.address, other.address);
    ck_assert_int_eq(result_add(&result, &other, true), 0);
    ck_assert_str_eq(result.target, "broker-1:9000 and others");
}
END_TEST

/* When the other's silence begins and ends, and what both had in common, in ms from 6.20 s on. */
static const struct silence {
    uint64_t from, to, both_from, both_to;
} silences[] = {{0, 180, 0, 180}, {50, 100, 50, 100}, {100, 300, 100, 180}, {180, 200, 0, 0}};

START_TEST(only_a_silence_of_both_is_a_silence_of_all)
{
    const struct silence *row = &silences[_i];
    results_open(&result);
    results_open(&other);
    other.stall.wall_us += row->from * 1000;
    other.stall.to_us = other.stall.from_us + (row->to - row->from) * 1000;
    ck_assert_int_eq(result_add(&result, &other, true), 0);
    ck_assert_uint_eq(result.stall.to_us - result.stall.from_us,
                      (row->both_to - row->both_from) * 1000);
    if (row->both_to > 0)
        ck_assert_uint_eq(result.stall.wall_us, 1795350133600000 + row->both_from * 1000);
    ck_assert_uint_eq(result.stall.waiting, row->both_to > 0 ? 18000 : 0);
}
END_TEST

static TCase *table(void)
{
    TCase *tcase = tcase_create("table");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, the_table_is_as_expected, 0, RESULTS_MAKERS);
    tcase_add_loop_test(tcase, outside_utf8_it_has_the_same_shape, 0, RESULTS_MAKERS);
    tcase_add_loop_test(tcase, colour_only_repeats_what_words_say, 0, RESULTS_MAKERS);
    tcase_add_test(tcase, a_table_of_large_numbers_fits_into_100_columns);
    tcase_add_test(tcase, a_number_stays_with_its_unit);
    tcase_add_test(tcase, stages_measured_in_microseconds_show_no_further_digits);
    return tcase;
}

static TCase *adding(void)
{
    TCase *tcase = tcase_create("adding");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, parts_add_up_to_the_whole);
    tcase_add_test(tcase, intervals_add_up_by_their_number);
    tcase_add_test(tcase, the_failure_told_is_the_first_row_of_the_table);
    tcase_add_test(tcase, clients_side_by_side_asked_for_the_sum);
    tcase_add_loop_test(tcase, only_a_silence_of_both_is_a_silence_of_all, 0,
                        (int)(sizeof silences / sizeof *silences));
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("result");
    suite_add_tcase(suite, table());
    suite_add_tcase(suite, adding());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
