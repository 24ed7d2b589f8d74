/* fastio against a model: random schedules, each byte compared. One that fails is run again, alone,
 * by FASTIO_SEED=n; FASTIO_SEEDS=n runs so many. */
#include "config.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "fastio_run.h"
#include "faults.h"

#define SEEDS 12

static uint64_t seed_of(int i)
{
    const char *only = getenv("FASTIO_SEED");
    uint64_t seed = only != NULL ? strtoull(only, NULL, 10) : (uint64_t)i + 1;

    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

START_TEST(a_plain_one_moves_each_byte_once)
{
    fastio_run(&(struct fastio_run){.seed = seed_of(_i)});
}
END_TEST

START_TEST(a_fast_one_moves_each_byte_once)
{
    fastio_run(&(struct fastio_run){.seed = seed_of(_i), .fast = true});
}
END_TEST

START_TEST(a_fast_one_moves_each_byte_once_where_calls_fall_short)
{
    fastio_run(&(struct fastio_run){
        .seed = seed_of(_i), .fast = true, .falls_short = true, .spins = _i % 2 == 1});
}
END_TEST

START_TEST(without_memory_what_arrives_is_right)
{
    fastio_run(
        &(struct fastio_run){.seed = seed_of(_i), .fast = _i % 4 != 0, .lacks_memory = true});
}
END_TEST

START_TEST(without_memory_what_arrives_is_right_where_calls_fall_short)
{
    fastio_run(&(struct fastio_run){
        .seed = seed_of(_i), .fast = true, .falls_short = true, .lacks_memory = true});
}
END_TEST

static void begin(void)
{
    signal(SIGPIPE, SIG_IGN);
}

int main(void)
{
    const char *many = getenv("FASTIO_SEEDS");
    int seeds = getenv("FASTIO_SEED") != NULL ? 1 : many != NULL ? atoi(many) : SEEDS;
    Suite *suite = suite_create("fastio");
    TCase *tcase = tcase_create("model");

    faults_begin();
    tcase_set_timeout(tcase, 20);
    tcase_add_checked_fixture(tcase, begin, NULL);
    tcase_add_loop_test(tcase, a_plain_one_moves_each_byte_once, 0, seeds);
    tcase_add_loop_test(tcase, a_fast_one_moves_each_byte_once, 0, seeds);
    tcase_add_loop_test(tcase, a_fast_one_moves_each_byte_once_where_calls_fall_short, 0, seeds);
    tcase_add_loop_test(tcase, without_memory_what_arrives_is_right, 0, 4 * seeds);
    tcase_add_loop_test(tcase, without_memory_what_arrives_is_right_where_calls_fall_short, 0,
                        4 * seeds);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
