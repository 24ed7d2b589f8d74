/* The live line: its text, and what a terminal gets of it. */
#include "config.h"

#include "live.h"

#include <check.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "log.h"

static const struct result_style utf8 = {true, false}, ascii = {false, false}, red = {true, true};

/* LOOK's figures: a load of 1,000 connections at 50,000 frames/s for 10 s. */
static struct live_view view(void)
{
    return (struct live_view){.stage = LIVE_MEASURING,
                              .timed = true,
                              .at_us = 4600000,
                              .of_us = 10000000,
                              .open = 1000,
                              .of_open = 1000,
                              .rate = 50000,
                              .of_rate = 50000,
                              .p50_ns = 221000,
                              .p99_ns = 290000};
}

static const char *text(const struct live_view *v, unsigned columns,
                        const struct result_style *style)
{
    static char buf[LIVE_TEXT];
    size_t width = live_text(buf, v, columns, style);
    ck_assert_uint_lt(width, columns > 0 ? columns : 1);
    return buf;
}

static void says(const struct live_view *v, const char *expected)
{
    ck_assert_str_eq(text(v, 200, &utf8), expected);
}

static void utf8_locale(void)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
}

static void c_locale(void)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C"));
}

START_TEST(good_and_stalled)
{
    struct live_view v = view();
    says(&v, "[█████▌      ]  4.6 s of 10 s  1,000 open  50.0 k/s of 50.0 k/s  "
             "p50 221 µs  p99 290 µs  0 errors");
    v.at_us = 6300000;
    v.rate = 45000;
    v.late = 5000;
    v.oldest_late_us = 100000;
    says(&v, "[███████▌    ]  6.3 s of 10 s  1,000 open  45.0 k/s of 50.0 k/s  "
             "5,000 late, oldest 100 ms  0 errors");
}
END_TEST

START_TEST(by_frames_and_without_an_end)
{
    struct live_view v = view();
    v.of_us = 0;
    v.of_rate = 0;
    v.frames = 25000;
    v.of_frames = 100000;
    v.p99_ns = 0;
    v.errors = 1;
    v.open = 999;
    says(&v, "[███         ]  25,000 of 100,000 frames  999 of 1,000 open  50.0 k/s  "
             "p50 221 µs  p99 –  1 error");
    v.of_frames = 0;
    v.timed = false;
    v.rate = 0;
    says(&v, "4.6 s  999 of 1,000 open  0 /s  1 error");
}
END_TEST

START_TEST(before_and_after)
{
    struct live_view v = view();
    v.stage = LIVE_CONNECTING;
    v.at_us = 300000;
    v.open = 250;
    says(&v, "[███         ]  connecting for 0.3 s  250 of 1,000 open  0 errors");
    v.stage = LIVE_DRAINING;
    v.owed = 31;
    says(&v, "31 frames unanswered  250 open  0 errors");
    v.owed = 0;
    says(&v, "closing  250 open  0 errors");
}
END_TEST

START_TEST(rates)
{
    static const struct {
        double rate;
        const char *said;
    } cases[] = {{0, "  0 /s  "},          {0.25, "  0.25 /s  "},    {12, "  12 /s  "},
                 {99.96, "  100 /s  "},    {999.4, "  999 /s  "},    {999.6, "  1.00 k/s  "},
                 {9994, "  9.99 k/s  "},   {9996, "  10.0 k/s  "},   {99960, "  100 k/s  "},
                 {999600, "  1.00 M/s  "}, {6.27e6, "  6.27 M/s  "}, {2e9, "  2.00 G/s  "},
                 {1e13, "  10000 G/s  "}};
    struct live_view v = view();
    v.of_rate = 0;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        v.rate = cases[i].rate;
        ck_assert_msg(strstr(text(&v, 200, &utf8), cases[i].said) != NULL, "%f: %s, not %s", v.rate,
                      text(&v, 200, &utf8), cases[i].said);
    }
}
END_TEST

START_TEST(outside_utf8)
{
    struct live_view v = view();
    v.p99_ns = 0;
    ck_assert_str_eq(text(&v, 200, &ascii),
                     "[#####       ]  4.6 s of 10 s  1,000 open  50.0 k/s of 50.0 k/s  "
                     "p50 221 us  p99 -  0 errors");
}
END_TEST

/* At each width it fits, and lateness is the last to go. */
START_TEST(narrow)
{
    struct live_view v = view();
    v.late = 5000;
    v.oldest_late_us = 100000;
    for (unsigned columns = 0; columns < 200; columns++) {
        const char *line = text(&v, columns, &utf8);
        if (columns > strlen("5,000 late, oldest 100 ms"))
            ck_assert_msg(strstr(line, "5,000 late, oldest 100 ms") != NULL, "%u: %s", columns,
                          line);
        if (columns >= 110)
            ck_assert_ptr_nonnull(strstr(line, "█"));
    }
    /* A figure that does not fit is left out, not cut. */
    ck_assert_str_eq(text(&v, 20, &utf8), "0 errors");
    v.late = 0;
    ck_assert_str_eq(text(&v, 80, &utf8), "4.6 s of 10 s  50.0 k/s of 50.0 k/s  p50 221 µs  "
                                          "p99 290 µs  0 errors");
    v.late = 5000;
    v.errors = 7;
    ck_assert_str_eq(text(&v, 40, &utf8), "5,000 late, oldest 100 ms  7 errors");
    ck_assert_str_eq(text(&v, 60, &utf8), "4.6 s of 10 s  5,000 late, oldest 100 ms  7 errors");
}
END_TEST

START_TEST(colour_takes_no_column)
{
    struct live_view v = view();
    v.late = 5000;
    v.oldest_late_us = 100000;
    v.errors = 7;
    ck_assert_str_eq(text(&v, 36, &red),
                     "\33[33m5,000 late, oldest 100 ms\33[0m  \33[31m7 errors\33[0m");
    char buf[LIVE_TEXT];
    ck_assert_uint_eq(live_text(buf, &v, 36, &red), 35);
}
END_TEST

START_TEST(the_longest_fits)
{
    struct live_view v = {.stage = LIVE_MEASURING,
                          .at_us = UINT64_MAX,
                          .of_frames = UINT64_MAX,
                          .frames = UINT64_MAX,
                          .open = UINT64_MAX,
                          .of_open = UINT64_MAX - 1,
                          .rate = 1.8e19,
                          .of_rate = 1.8e19,
                          .late = UINT64_MAX,
                          .oldest_late_us = UINT64_MAX,
                          .errors = UINT64_MAX};
    const char *line = text(&v, 1000, &red);
    ck_assert_uint_lt(strlen(line), LIVE_TEXT);
    ck_assert_ptr_nonnull(strstr(line, "18,446,744,073,709,551,615 errors\33[0m"));
}
END_TEST

/* --- at a terminal --- */

static const struct result_shape shape = {
    .connections = 1000, .rate = 50000, .duration_us = 10000000, .expect = EXPECT_ECHO};

struct terminal {
    pid_t child;
    int fd;
    char said[8192];
};

/* Runs `body` in a child whose stderr is a terminal of its own, and keeps all that it writes. */
static void run(struct terminal *terminal, unsigned short columns, void (*body)(void))
{
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    size_t have = 0;
    terminal->child = forkpty(&terminal->fd, NULL, NULL, &size);
    ck_assert_msg(terminal->child >= 0,
                  "forkpty; in a folder of its own: mount -t devpts devpts /dev/pts");
    if (terminal->child == 0) {
        body();
        tcdrain(STDERR_FILENO);
        _exit(0);
    }
    for (;;) { /* the end of the child is an error here: EIO */
        ssize_t n = read(terminal->fd, terminal->said + have, sizeof terminal->said - 1 - have);
        if (n <= 0)
            break;
        have += (size_t)n;
        ck_assert_uint_lt(have, sizeof terminal->said - 1);
    }
    terminal->said[have] = '\0';
    close(terminal->fd);
    int status;
    ck_assert_int_eq(waitpid(terminal->child, &status, 0), terminal->child);
    ck_assert_msg(status == 0, "status %d: %s", status, terminal->said);
}

static unsigned count(const char *in, const char *what)
{
    unsigned n = 0;
    for (; (in = strstr(in, what)) != NULL; in += strlen(what))
        n++;
    return n;
}

static struct result_interval interval(unsigned number, unsigned ms)
{
    return (struct result_interval){.from_us = (uint64_t)number * ms * 1000,
                                    .to_us = (uint64_t)(number + 1) * ms * 1000,
                                    .sent = 50 * ms,
                                    .replies = 50 * ms,
                                    .open = 1000,
                                    .p50_ns = 221000,
                                    .p99_ns = 290000};
}

static void once(void)
{
    struct live *live = live_new(&shape);
    struct result_interval i = interval(0, 100);
    live_interval(live, &i);
    live_free(live);
    fputs("result\n", stderr);
}

START_TEST(drawn_and_cleared)
{
    struct terminal t;
    run(&t, 120, once);
    ck_assert_str_eq(t.said, "\r[            ]  0.1 s of 10 s  1,000 open  50.0 k/s of 50.0 k/s  "
                             "p50 221 µs  p99 290 µs  0 errors\33[K\r\33[Kresult\r\n");
    run(&t, 60, once);
    ck_assert_str_eq(t.said, "\r0.1 s of 10 s  1,000 open  p50 221 µs  p99 290 µs  0 errors\33[K"
                             "\r\33[Kresult\r\n");
}
END_TEST

static void all_at_once(void)
{
    struct live *live = live_new(&shape);
    for (unsigned n = 0; n < 1000; n++) {
        struct result_interval i = interval(n, 1);
        live_interval(live, &i);
    }
    live_free(live);
}

/* A thousand calls in far less than a second: hardly a redraw, a hundred at the very most. */
START_TEST(not_too_often)
{
    struct terminal t;
    run(&t, 120, all_at_once);
    unsigned drawn = count(t.said, " open ");
    ck_assert_uint_ge(drawn, 1);
    ck_assert_uint_lt(drawn, 100);
}
END_TEST

static void beside_the_log(void)
{
    struct live *live = live_new(&shape);
    struct result_interval i = interval(0, 100);
    log_init("synfin", LOG_LEVEL_NOTE, false);
    live_interval(live, &i);
    log_line(LOG_LEVEL_NOTE, "a note");
    live_free(live);
    log_line(LOG_LEVEL_NOTE, "another");
}

START_TEST(log_takes_it_away)
{
    struct terminal t;
    run(&t, 120, beside_the_log);
    ck_assert_ptr_nonnull(strstr(t.said, "0 errors\33[K\r\33[Ksynfin: a note\r\n"));
    ck_assert_ptr_nonnull(strstr(t.said, "\r\33[Ksynfin: another\r\n"));
}
END_TEST

static void stall(void)
{
    struct live *live = live_new(&shape);
    struct result_interval i = interval(0, 100);
    i.replies = 0;
    i.late = 5000;
    i.oldest_late_us = 100000;
    live_interval(live, &i);
    live_free(live);
}

START_TEST(a_stall_has_no_percentiles)
{
    struct terminal t;
    run(&t, 120, stall);
    ck_assert_ptr_nonnull(strstr(t.said, "\33[33m5,000 late, oldest 100 ms\33[0m"));
    ck_assert_ptr_null(strstr(t.said, "p99"));
    setenv("NO_COLOR", "1", 1);
    run(&t, 120, stall);
    ck_assert_ptr_nonnull(strstr(t.said, "5,000 late, oldest 100 ms  0 errors"));
    ck_assert_ptr_null(strstr(t.said, "\33[33m"));
}
END_TEST

static void few_late(void)
{
    struct live *live = live_new(&shape);
    struct result_interval i = interval(0, 100);
    i.late = 3;
    i.oldest_late_us = 400;
    live_interval(live, &i);
    live_free(live);
}

START_TEST(what_is_always_late_is_not_told)
{
    struct terminal t;
    run(&t, 120, few_late);
    ck_assert_ptr_nonnull(strstr(t.said, "p99 290 µs"));
    ck_assert_ptr_null(strstr(t.said, "late"));
}
END_TEST

/* Two seconds' worth of calls, the second at half the rate: the line shows the last second. */
static void slower(void)
{
    struct live *live = live_new(&shape);
    for (unsigned n = 0; n < 20; n++) {
        struct result_interval i = interval(n, 100);
        i.sent /= n < 10 ? 1 : 2;
        live_clear(live); /* so that each is drawn */
        live_interval(live, &i);
    }
    live_free(live);
}

START_TEST(rate_of_the_last_second)
{
    struct terminal t;
    run(&t, 120, slower);
    ck_assert_uint_eq(count(t.said, "  50.0 k/s of"), 10);
    ck_assert_uint_eq(count(t.said, "  25.0 k/s of"), 1);
}
END_TEST

static void no_line(void)
{
    struct live *live = live_new(&shape);
    if (live != NULL)
        _exit(1);
    struct result_interval i = interval(0, 100);
    live_connecting(live, 1, 0, 1);
    live_interval(live, &i);
    live_draining(live, 1, 1);
    live_clear(live);
    live_free(live);
}

static void to_a_file(void)
{
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    no_line();
}

START_TEST(only_where_it_can_be_redrawn)
{
    struct terminal t;
    setenv("TERM", "dumb", 1);
    run(&t, 120, no_line);
    ck_assert_str_eq(t.said, "");
    unsetenv("TERM");
    run(&t, 120, no_line);
    setenv("TERM", "xterm", 1);
    run(&t, 120, to_a_file);
    ck_assert_str_eq(t.said, "");
}
END_TEST

static void terminal_begins(void)
{
    utf8_locale();
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
}

int main(void)
{
    Suite *suite = suite_create("live");
    TCase *line = tcase_create("line"), *plain = tcase_create("ascii"),
          *terminal = tcase_create("terminal");
    tcase_add_checked_fixture(line, utf8_locale, NULL);
    tcase_add_test(line, good_and_stalled);
    tcase_add_test(line, by_frames_and_without_an_end);
    tcase_add_test(line, before_and_after);
    tcase_add_test(line, rates);
    tcase_add_test(line, narrow);
    tcase_add_test(line, colour_takes_no_column);
    tcase_add_test(line, the_longest_fits);
    suite_add_tcase(suite, line);
    tcase_add_checked_fixture(plain, c_locale, NULL);
    tcase_add_test(plain, outside_utf8);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(terminal, terminal_begins, NULL);
    tcase_add_test(terminal, drawn_and_cleared);
    tcase_add_test(terminal, not_too_often);
    tcase_add_test(terminal, log_takes_it_away);
    tcase_add_test(terminal, a_stall_has_no_percentiles);
    tcase_add_test(terminal, what_is_always_late_is_not_told);
    tcase_add_test(terminal, rate_of_the_last_second);
    tcase_add_test(terminal, only_where_it_can_be_redrawn);
    suite_add_tcase(suite, terminal);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
