/* The conditions of --fail-if: what they hold of a result, and texts that are none. */
#include "config.h"

#include "result.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "results.h"

static struct result result;

static void begin(void)
{
    ck_assert(setlocale(LC_CTYPE, "C.UTF-8"));
    results_open(&result);
}

static void end(void)
{
    result_fini(&result);
}

static const struct held {
    const char *condition;
    bool holds;
    const char *evidence;
} held[] = {
    {"round_trip.p99 > 5ms", true, "it is 79.8 ms"},
    {"round_trip.p99>5ms", true, "it is 79.8 ms"},
    {"  round_trip.p99\t<= 5ms ", false, "it is 79.8 ms"},
    {"round_trip.p99 > 0.079", true, "it is 79.8 ms"},
    {"round_trip.p99 > 80000us", false, "it is 79.8 ms"},
    {"round_trip.min < 174.1us", true, "it is 174 µs"},
    {"round_trip.p50 >= 1h", false, "it is 230 µs"},
    {"round_trip.p90 > 1m", false, "it is 275 µs"},
    {"round_trip.p99.9 > 1ms", true, "it is 169 ms"},
    {"round_trip.p99.99 > 1s", false, "it is 178 ms"},
    {"round_trip.mean > 1ms", true, "it is 1.84 ms"},
    {"connect.max >= 902us", true, "it is 902 µs"},
    {"connect.p99.9 > 1us", false, "not told, fewer than ten values lie beyond it"},
    {"slot_wait.max > 1ms", true, "it is 178 ms"},
    {"lag.p99 > 1ms", false, "it is 14.1 µs"},
    {"drain_linger.p50 != 401us", true, "it is 401 µs"},
    {"first_frame.max == 1s", false, "it is 1.42 ms"},
    {"frames.sent == 500k", true, "it is 500,000"},
    {"frames.replies < 500000", false, "it is 500,000"},
    {"frames.equal != 0.5m", false, "it is 500,000"},
    {"frames.lost > 0", false, "it is 0"},
    {"frames.differed >= 0", true, "it is 0"},
    {"frames.due_not_sent > 0", false, "it is 0"},
    {"frames.rate < 49.9k", false, "it is 50,000"},
    {"frames.rate < 50.1k", true, "it is 50,000"},
    {"bytes.out > 1g", false, "it is 34,000,000"},
    {"bytes.in == 34m", true, "it is 34,000,000"},
    {"bytes.out_rate > 3m", true, "it is 3,400,000"},
    {"bytes.in_rate > 4m", false, "it is 3,400,000"},
    {"connections.opened != 1000", false, "it is 1,000"},
    {"connections.failed > 0", false, "it is 0"},
    {"connections.rate > 20k", true, "it is 24,272"},
    {"fates.clean < 1000", false, "it is 1,000"},
    {"fates.reset > 0", false, "it is 0"},
    {"fates.linger-timeout == 0", true, "it is 0"},
    {"client.cpu > 30", true, "it is 38 %"},
    {"client.cpu > 38.5%", false, "it is 38 %"},
};

START_TEST(a_condition_holds_or_not_with_its_figure)
{
    struct result_condition condition;
    struct error e = {"", ""};
    char evidence[160], wanted[160];
    int rc = result_condition_parse(&condition, held[_i].condition, &e);
    ck_assert_msg(rc == 0, "%s; %s", e.what, e.mend);
    ck_assert_int_eq(result_condition_holds(&condition, &result, evidence, sizeof evidence),
                     held[_i].holds);
    snprintf(wanted, sizeof wanted, "%s: %s", held[_i].condition, held[_i].evidence);
    ck_assert_str_eq(evidence, wanted);
}
END_TEST

START_TEST(what_did_not_happen_holds_nothing)
{
    static const char *const conditions[] = {"round_trip.p50 >= 0us", "round_trip.mean < 1h",
                                             "first_frame.max != 1s", "lag.min < 1s"};
    struct result_condition condition;
    char evidence[160];
    result_fini(&result);
    results_none(&result);
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(result_condition_parse(&condition, conditions[i], NULL), 0);
        ck_assert(!result_condition_holds(&condition, &result, evidence, sizeof evidence));
        ck_assert_ptr_nonnull(strstr(evidence, ": not told, it did not happen"));
    }
}
END_TEST

static const struct unheard {
    const char *condition, *what, *mend;
} unheard[] = {
    {"", "'' is no figure of a result", "round_trip"},
    {"round_trip > 5ms", "'round_trip' is no figure of a result", ".p99.99"},
    {"roundtrip.p99 > 5ms", "'roundtrip.p99' is no figure of a result", "round_trip"},
    {"round_trip.p98 > 5ms", "'round_trip.p98' is no figure", ".p90"},
    {"round_trip. > 5ms", "'round_trip.' is no figure", ".p90"},
    {".p99 > 5ms", "'.p99' is no figure", "round_trip"},
    {"fates.lucky > 0", "'fates.lucky' is no figure", "fates.NAME"},
    {"frames.gone > 0", "'frames.gone' is no figure", "frames.sent"},
    {"> 5ms", "'' is no figure", "round_trip"},
    {"round_trip.p99", "has none of > >= < <= == !=", "round_trip.p99 > 5ms"},
    {"round_trip.p99 = 5ms", "has none of > >= < <= == !=", "round_trip.p99 > 5ms"},
    {"round_trip.p99 5ms", "has none of > >= < <= == !=", "round_trip.p99 > 5ms"},
    {"round_trip.p99 >", "there is nothing to compare with", "as in 5ms"},
    {"round_trip.p99 > ms", "'ms' is no value", "as in 5ms"},
    {"round_trip.p99 > 5 ms", "'5 ms' is no value", "as in 5ms"},
    {"round_trip.p99 > 5k", "'5k' is no value", "as in 5ms"},
    {"round_trip.p99 > -5ms", "'-5ms' is no value", "as in 5ms"},
    {"round_trip.p99 > 5..1ms", "'5..1ms' is no value", "as in 5ms"},
    {"round_trip.p99 > nan", "'nan' is no value", "as in 5ms"},
    {"round_trip.p99 >> 5ms", "'> 5ms' is no value", "as in 5ms"},
    {"round_trip.p99 > 5ms and more", "'5ms and more' is no value", "as in 5ms"},
    {"frames.lost > 5ms", "'5ms' is no value", "as in 49.5k"},
    {"client.cpu > 5k", "'5k' is no value", "as in 90"},
    {"round_trip.p99 > 5ms                                                                        "
     "                                                          ",
     "longer than any condition", "round_trip.p99 > 5ms"},
};

START_TEST(a_condition_that_says_nothing_is_refused)
{
    struct result_condition condition = {.what = -7};
    struct error e = {"", ""};
    ck_assert_int_eq(result_condition_parse(&condition, unheard[_i].condition, &e), ERR_SYNTAX);
    ck_assert_msg(strstr(e.what, unheard[_i].what), "%s", e.what);
    ck_assert_msg(strstr(e.mend, unheard[_i].mend), "%s", e.mend);
    ck_assert_ptr_null(strstr(e.mend, "...") ? e.mend : NULL);
    ck_assert_int_eq(condition.what, -7);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

static TCase *conditions(void)
{
    TCase *tcase = tcase_create("conditions");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, a_condition_holds_or_not_with_its_figure, 0, ROWS(held));
    tcase_add_test(tcase, what_did_not_happen_holds_nothing);
    tcase_add_loop_test(tcase, a_condition_that_says_nothing_is_refused, 0, ROWS(unheard));
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("result_condition");
    suite_add_tcase(suite, conditions());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
