/* The modes --merge and --compare of synfin, over files as a load writes them. */
#include "config.h"

#include "result.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pair.h"
#include "results.h"

static struct result first, second;

static void begin(void)
{
    pair_begin();
    results_open(&first);
    results_open(&second);
}

static void end(void)
{
    result_fini(&first);
    result_fini(&second);
    pair_end();
}

static const char *file_of(const char *name, const struct result *result)
{
    char *text = results_json(result);
    const char *path = results_file(name, text);
    free(text);
    return path;
}

static struct program *both(const char *mode, const char *option, const char *value)
{
    return pair_client("", mode, file_of("a.json", &first), file_of("b.json", &second), option,
                       value, NULL);
}

START_TEST(the_sum_is_told_as_a_table)
{
    struct program *program = both("--merge", NULL, NULL);
    ck_assert_msg(program->status == 0, "%s", pair_err(program));
    const char *out = pair_out(program, NULL);
    ck_assert_ptr_nonnull(strstr(out, "\nconnections   2,000      2,000    up in 41.2 ms"));
    ck_assert_ptr_nonnull(strstr(out, "\nframes/s    100,000    100,000    1,000,000 sent"));
    ck_assert_ptr_nonnull(strstr(out, "\nround trip    1,000,000   174 "));
    ck_assert_ptr_nonnull(strstr(out, "\nverdict: "));
    ck_assert_str_eq(pair_err(program), "");
}
END_TEST

START_TEST(the_sum_as_json_can_be_added_to)
{
    struct program *program = both("--merge", "-J", NULL);
    struct error e = {"", ""};
    struct result sum;
    ck_assert_msg(program->status == 0, "%s", pair_err(program));
    const char *path = results_file("sum.json", pair_out(program, NULL));
    ck_assert_msg(result_read(&sum, path, &e) == 0, "%s", e.what);
    ck_assert_int_eq(result_add(&first, &second, true), 0);
    for (unsigned stage = 0; stage < STAGE_COUNT; stage++)
        ck_assert_mem_eq(sum.stages[stage], first.stages[stage], sizeof *sum.stages[stage]);
    ck_assert_uint_eq(sum.sent, 1000000);
    result_fini(&sum);
    program = pair_client("", "--merge", path, file_of("a.json", &second), NULL);
    ck_assert_int_eq(program->status, 0);
    ck_assert_ptr_nonnull(
        strstr(pair_out(program, NULL), "\nconnections   3,000      3,000    up"));
}
END_TEST

START_TEST(one_file_is_told_again)
{
    struct program *program = pair_client("", "--merge", file_of("a.json", &first), NULL);
    ck_assert_int_eq(program->status, 0);
    ck_assert_ptr_nonnull(strstr(pair_out(program, NULL), "\nframes/s    50,000     50,000 "));
}
END_TEST

START_TEST(a_condition_is_held_against_the_sum)
{
    struct program *program = both("--merge", "--fail-if", "connections.opened > 1500");
    ck_assert_int_eq(program->status, 99);
    ck_assert_str_eq(pair_err(program),
                     "synfin: --fail-if connections.opened > 1500: it is 2,000\n");
    ck_assert_ptr_nonnull(strstr(pair_out(program, NULL), "\nverdict: "));
    program = both("--merge", "--fail-if", "connections.opened > 2000");
    ck_assert_int_eq(program->status, 0);
    program = both("--merge", "--fail-if", "connections > 2000");
    ck_assert_int_eq(program->status, 2);
    ck_assert_ptr_nonnull(strstr(pair_err(program), "synfin: --fail-if 'connections > 2000': "));
    ck_assert_str_eq(pair_out(program, NULL), "");
}
END_TEST

START_TEST(two_are_compared)
{
    struct program *program = both("--compare", NULL, NULL);
    ck_assert_msg(program->status == 0, "%s", pair_err(program));
    ck_assert_ptr_nonnull(strstr(pair_out(program, NULL), "same shape: 1,000 x 1 x 64 B"));
    ck_assert_ptr_nonnull(strstr(pair_out(program, NULL), "3 %: no difference"));
}
END_TEST

START_TEST(what_does_not_fit_together_is_refused)
{
    static const char *const modes[] = {"--merge", "--compare"};
    second.shape.pipeline = 32;
    for (unsigned i = 0; i < 2; i++) {
        struct program *program = both(modes[i], NULL, NULL);
        ck_assert_int_eq(program->status, 2);
        ck_assert_ptr_nonnull(
            strstr(pair_err(program), "b.json differ in -P: 1 and 32; give runs"));
        ck_assert_str_eq(pair_out(program, NULL), "");
    }
}
END_TEST

START_TEST(files_that_cannot_be_used_are_named)
{
    static const char *const modes[] = {"--merge", "--compare"};
    const char *good = file_of("a.json", &first), *bad = results_file("bad.json", "{\"x\":");
    for (unsigned i = 0; i < 2; i++) {
        struct program *program = pair_client("", modes[i], good, bad, NULL);
        ck_assert_int_eq(program->status, 2);
        ck_assert_ptr_nonnull(strstr(pair_err(program), "bad.json: it is no whole JSON: "));
        program = pair_client("", modes[i], pair_file("gone.json"), good, NULL);
        ck_assert_int_eq(program->status, 2);
        ck_assert_ptr_nonnull(strstr(pair_err(program), "gone.json: No such file"));
        program = pair_client("", modes[i], NULL);
        ck_assert_int_eq(program->status, 2);
        ck_assert_ptr_nonnull(strstr(pair_err(program), modes[i]));
    }
    struct program *program = pair_client("", "--compare", good, good, good, NULL);
    ck_assert_int_eq(program->status, 2);
    ck_assert_ptr_nonnull(strstr(pair_err(program), "--compare takes two files, not 3; "));
}
END_TEST

START_TEST(an_output_that_cannot_be_written_is_told)
{
    static const char *const modes[] = {"--merge", "--compare"};
    const char *a = file_of("a.json", &first), *b = file_of("b.json", &second);
    for (unsigned i = 0; i < 2; i++) {
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        ck_assert_int_ge(full, 0);
        struct start start = {.program = "synfin",
                              .arguments = (const char *const[]){modes[i], a, b, NULL},
                              .out = full};
        struct program *program = pair_start(&start);
        ck_assert_int_eq(pair_wait(program), 23);
        ck_assert_ptr_nonnull(strstr(pair_err(program), "standard output: No space left"));
        close(full);
        start.out = PAIR_CLOSED;
        program = pair_start(&start);
        ck_assert_int_eq(pair_wait(program), 23);
        ck_assert_ptr_nonnull(strstr(pair_err(program), "standard output: closed"));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("result_modes");
    TCase *modes = tcase_create("modes");
    tcase_add_checked_fixture(modes, begin, end);
    tcase_set_timeout(modes, 60);
    tcase_add_test(modes, the_sum_is_told_as_a_table);
    tcase_add_test(modes, the_sum_as_json_can_be_added_to);
    tcase_add_test(modes, one_file_is_told_again);
    tcase_add_test(modes, a_condition_is_held_against_the_sum);
    tcase_add_test(modes, two_are_compared);
    tcase_add_test(modes, what_does_not_fit_together_is_refused);
    tcase_add_test(modes, files_that_cannot_be_used_are_named);
    tcase_add_test(modes, an_output_that_cannot_be_written_is_told);
    suite_add_tcase(suite, modes);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
