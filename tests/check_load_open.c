/* The load's open loop against the server: its schedule, a server that pauses, signals, and the
 * result's form in each mode. */
#include "config.h"

#include <check.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "load_run.h"

#define JOURNAL "server.jsonl"
#define INTERVAL "\"event\":\"interval\""

static struct program *recording(void)
{
    return pair_server("--journal", load_journal(JOURNAL), NULL);
}

/* --- the schedule --- */

/* All that is due in the time is sent, or counted as not sent: rate x time, to the frame. */
START_TEST(rate)
{
    static const char *const threads[] = {"1", "2"};
    struct program *server = recording();
    struct load load = load_run(server, "-c", "10", "-r", "4k", "-d", "500ms", "-t", threads[_i],
                                "-P", "100", NULL);
    load_ends(&load, 0, NULL);
    int64_t sent = load_number(&load, "frames_sent");
    ck_assert_int_eq(sent + load_number(&load, "frames_due_not_sent"), 2000);
    ck_assert_int_eq(load_number(&load, "frames_equal"), sent);
    ck_assert_int_gt(sent, 0);
    ck_assert_int_eq(load_number(&load, "round_trip_count"), 2000);
    ck_assert_int_eq(load_number(&load, "from_send_count"), sent);
    ck_assert_int_gt(load_number(&load, "lag_count"), 0);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* -n ends it too; and a rate under one frame in the whole time sends the one that is due at once.
 */
START_TEST(count_at_a_rate)
{
    static const struct {
        const char *rate, *count, *connections;
        int frames;
    } cases[] = {{"2k", "301", "7", 301}, {"1", "1", "3", 1}};
    struct program *server = recording();
    struct load load = load_run(server, "-c", cases[_i].connections, "-r", cases[_i].rate, "-n",
                                cases[_i].count, NULL);
    load_ends(&load, 0, NULL);
    ck_assert_int_eq(load_number(&load, "frames_sent"), cases[_i].frames);
    ck_assert_int_eq(load_number(&load, "frames_equal"), cases[_i].frames);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* Far more than can be sent with one in flight: nothing due is forgotten, what was not sent counts
 * with its wait, and that is slow, not failed. */
START_TEST(more_than_it_can)
{
    struct program *server = recording();
    struct load load = load_run(server, "-c", "1", "-r", "1m", "-d", "300ms", NULL);
    load_ends(&load, 0, "slow");
    int64_t sent = load_number(&load, "frames_sent");
    ck_assert_int_eq(sent + load_number(&load, "frames_due_not_sent"), 300000);
    ck_assert_int_eq(load_number(&load, "round_trip_count"), 300000);
    ck_assert_int_eq(load_number(&load, "from_send_count"), sent);
    ck_assert(load_real(&load, "round_trip_p99_us") > 100000);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* However many: the end and ^C are obeyed, and each frame is sent or told as not sent. */
START_TEST(far_more_than_it_can)
{
    static const struct {
        const char *connections, *threads, *in_flight;
    } cases[] = {{"1", "1", "1"}, {"10", "2", "1"}, {"1000", "2", "100"}};
    struct program *server = recording();
    int64_t began = pair_now_ms();
    struct load load = load_run(server, "-c", cases[_i].connections, "-t", cases[_i].threads, "-P",
                                cases[_i].in_flight, "-r", "1g", "-d", "300ms", NULL);
    ck_assert_int_lt(pair_now_ms() - began, pair_patience(3000));
    load_ends(&load, 0, "slow");
    int64_t sent = load_number(&load, "frames_sent");
    ck_assert_int_eq(sent + load_number(&load, "frames_due_not_sent"), 300000000);
    ck_assert_int_eq(load_number(&load, "round_trip_count"), 300000000);
    ck_assert_int_eq(load_number(&load, "slot_wait_count"), 300000000);
    ck_assert_int_ge(load_number(&load, "lag_count"), 300000000); /* and own pauses */
    /* most were never sent, and waited from when they were due to the end: evenly, 0 to 300 ms */
    ck_assert(load_real(&load, "slot_wait_p50_us") > 130000);
    ck_assert(load_real(&load, "slot_wait_p50_us") < 170000);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

START_TEST(far_more_and_interrupted)
{
    struct program *server = recording();
    struct program *client =
        load_start(server, "-d", "1h", "-r", "1g", "-i", "20ms", "--json-stream", NULL);
    pair_await_out(client, INTERVAL);
    int64_t began = pair_now_ms();
    pair_signal(client, SIGINT);
    struct load load = load_end(client);
    ck_assert_int_lt(pair_now_ms() - began, pair_patience(3000));
    load_ends(&load, 0, NULL);
    ck_assert_int_gt(load_number(&load, "frames_due_not_sent"), 0);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* Lives that follow one another keep the schedule. */
START_TEST(churn)
{
    struct program *server = recording();
    struct load load = load_run(server, "-c", "5", "-r", "1k", "-d", "400ms", "--frames-per-conn",
                                "10", "-P", "100", NULL);
    load_ends(&load, 0, NULL);
    int64_t sent = load_number(&load, "frames_sent");
    ck_assert_int_eq(sent + load_number(&load, "frames_due_not_sent"), 400);
    ck_assert_int_gt(load_number(&load, "connections_opened"), 5);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* --- a server that pauses --- */

/* The longest wait of a late frame in any interval, and whether there were late ones. */
static int64_t oldest_late_us(const struct load *load)
{
    int64_t oldest = 0;
    size_t i;
    const json_t *interval;
    json_array_foreach(json_object_get(load->json, "intervals"), i, interval)
    {
        int64_t late = json_integer_value(json_object_get(interval, "late"));
        int64_t us = json_integer_value(json_object_get(interval, "oldest_late_us"));
        if (late > 0 && us > oldest)
            oldest = us;
    }
    return oldest;
}

/* Stopped for a tenth of a second of one: a tenth of all frames were due then, and waited. (Where
 * each round trip takes milliseconds, for other programs' sake, a pause does not stand out.) */
START_TEST(stopped_server)
{
    if (pair_wrapped())
        return; /* it is always late there, and the pause does not stand out */
    struct program *server = recording();
    struct program *client = load_start(server, "-c", "50", "-r", "10k", "-d", "1s", "-i", "20ms",
                                        "-P", "1000", "--json-stream", NULL);
    pair_await_out(client, INTERVAL);
    pair_signal(server, SIGSTOP);
    poll(NULL, 0, 100); /* the length of the pause, not a wait for something */
    pair_signal(server, SIGCONT);
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    ck_assert_int_eq(load_number(&load, "frames_sent") + load_number(&load, "frames_due_not_sent"),
                     10000);
    ck_assert_msg(load_real(&load, "round_trip_p99_9_us") > 80000, "p99.9: %f us",
                  load_real(&load, "round_trip_p99_9_us"));
    if (load_real(&load, "round_trip_p50_us") < 5000) {
        load_ends(&load, 0, "slow");
        ck_assert_int_gt(oldest_late_us(&load), 20000);
        ck_assert(!load_is_null(&load, "stall"));
        ck_assert_int_gt(load_number(&load, "stall.waiting"), 100);
        ck_assert_int_gt(load_number(&load, "stall.to_us") - load_number(&load, "stall.from_us"),
                         80000);
    }
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* A client that was stopped itself, in a closed loop, does not blame the server. */
START_TEST(stopped_client)
{
    if (pair_wrapped())
        return; /* it is always late there */
    struct program *server = recording();
    struct program *client =
        load_start(server, "-d", "1s", "-i", "20ms", "-t", _i ? "2" : "1", "--json-stream", NULL);
    pair_await_out(client, INTERVAL);
    pair_signal(client, SIGSTOP);
    poll(NULL, 0, 150); /* the length of the pause, not a wait for something */
    pair_signal(client, SIGCONT);
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    ck_assert_msg(load_real(&load, "lag_max_us") > 100000, "lag: %f us",
                  load_real(&load, "lag_max_us"));
    ck_assert_int_gt(load_number(&load, "lag_count"), 20);
    if (!load_is_null(&load, "stall")) {
        ck_assert_ptr_nonnull(strstr(load_text(&load, "verdict.evidence"), "this client itself"));
        ck_assert_ptr_nonnull(strstr(load_text(&load, "verdict.try"), "this machine paused"));
        ck_assert(!load_is_null(&load, "client_limit"));
    }
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* Stopped beyond the end: the last interval holds what the missed ones would, and ends where the
 * measured time does. */
START_TEST(stopped_over_the_end)
{
    struct program *server = recording();
    struct program *client =
        load_start(server, "-d", "500ms", "-i", "100ms", "--json-stream", NULL);
    pair_await_out(client, INTERVAL);
    pair_signal(client, SIGSTOP);
    poll(NULL, 0, 600); /* the length of the pause, not a wait for something */
    pair_signal(client, SIGCONT);
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    const json_t *intervals = json_object_get(load.json, "intervals");
    const json_t *last = json_array_get(intervals, json_array_size(intervals) - 1);
    ck_assert_int_ge(json_integer_value(json_object_get(last, "to_us")) + 1000,
                     load_number(&load, "measured_us"));
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* --- signals --- */

/* Until the signal has been taken: a second one while it is pending would be the same one. */
static void signal_taken(const struct program *program, int signal_number)
{
    char path[64], line[128];
    int64_t until = pair_now_ms() + pair_patience(PAIR_DEADLINE_MS);
    snprintf(path, sizeof path, "/proc/%d/status", (int)program->pid);
    for (bool pending = true; pending; sched_yield()) {
        FILE *status = fopen(path, "r");
        ck_assert_ptr_nonnull(status);
        pending = false;
        while (fgets(line, sizeof line, status) != NULL) {
            unsigned long long mask;
            if ((sscanf(line, "SigPnd: %llx", &mask) == 1 ||
                 sscanf(line, "ShdPnd: %llx", &mask) == 1) &&
                (mask >> (signal_number - 1) & 1))
                pending = true;
        }
        fclose(status);
        ck_assert_int_lt(pair_now_ms(), until);
    }
}

START_TEST(interrupted)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct program *server = recording();
    struct program *client = load_start(server, "-d", "off", "-i", "20ms", "-P", "4",
                                        "--json-stream", _i % 2 ? "-r" : NULL, "5k", NULL);
    pair_await_out(client, INTERVAL);
    pair_signal(client, signals[_i / 2]);
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    ck_assert_int_gt(load_number(&load, "frames_sent"), 0);
    ck_assert_int_eq(load_number(&load, "frames_equal"), load_number(&load, "frames_sent"));
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* Replies that never come are waited for, until the second signal. */
START_TEST(interrupted_twice)
{
    struct program *server = pair_server("-H", "discard", NULL);
    struct program *client = load_start(server, "-d", "off", "-i", "20ms", "--json-stream", "-c",
                                        "5", "--reply-timeout", "1h", NULL);
    pair_await_out(client, INTERVAL);
    pair_signal(client, SIGINT);
    signal_taken(client, SIGINT);
    pair_signal(client, SIGINT);
    struct load load = load_end(client);
    load_ends(&load, 130, "aborted");
    ck_assert_int_eq(load_number(&load, "fates.aborted"), 5);
    ck_assert_int_eq(load_number(&load, "frames_lost"), load_number(&load, "frames_sent"));
    load_free(&load);
}
END_TEST

/* Before the clock starts: what is up is closed in order, what is on its way is given up, and the
 * result is whole. */
START_TEST(interrupted_early)
{
    struct program *server = pair_server("-v", "--journal", load_journal(JOURNAL), NULL);
    struct program *client =
        load_start(server, "-c", "1000", "--connect-rate", "20", "-n", "1000", NULL);
    pair_await_err(server, "#2 ");
    pair_signal(client, SIGINT);
    struct load load = load_end(client);
    int64_t given_up = load_number(&load, "fates.aborted");
    load_ends(&load, given_up > 0 ? 130 : 0, NULL);
    ck_assert_int_eq(load_number(&load, "frames_sent"), 0);
    ck_assert_int_lt(load_number(&load, "connections_opened"), 1000);
    ck_assert_int_eq(load_number(&load, "fates.clean"), load_number(&load, "connections_opened"));
    ck_assert_int_eq(load_number(&load, "connections_failed"), given_up);
    pair_stop(server);
    load_free(&load);
}
END_TEST

/* --- the form of what is printed --- */

/* A mode against a handler; `handler` NULL: nobody listens. */
static const struct mode {
    const char *handler;
    const char *options[8];
    int status;
} modes[] = {
    {"echo", {"-n", "10"}, 0},
    {"echo", {"-d", "50ms", "-O", "10ms", "-t", "1"}, 0},
    {"echo", {"-r", "1k", "-n", "50", "-i", "10ms"}, 0},
    {"echo", {"-d", "100ms", "-i", "10ms", "--json-stream"}, 0},
    {"echo", {"-r", "1m", "-d", "100ms", "-c", "1", "--json-stream"}, 0},
    {"echo", {"-d", "50ms", "--frames-per-conn", "0"}, 0},
    {"echo", {"-n", "100", "--frames-per-conn", "3"}, 0},
    {"ack", {"-n", "10", "--expect", "any"}, 0},
    {"discard", {"-n", "10", "--expect", "none"}, 0},
    {"discard", {"-n", "10", "-c", "2", "--reply-timeout", "100ms"}, 28},
    {"discard", {"-n", "10", "--reply-timeout", "100ms", "--json-stream"}, 28},
    {"source", {"-d", "50ms", "--expect", "stream"}, 0},
    {"upper", {"-n", "10"}, 1},
    {NULL, {"-n", "10"}, 7},
    {NULL, {"-n", "10", "--json-stream"}, 7},
};
#define MODES (sizeof modes / sizeof *modes)

START_TEST(form)
{
    struct program *clients[MODES];
    for (unsigned i = 0; i < MODES; i++) {
        const struct mode *mode = &modes[i];
        const char *const *o = mode->options;
        struct program *server =
            pair_server("-q", "-H", mode->handler ? mode->handler : "echo", NULL);
        if (mode->handler == NULL)
            pair_stop(server);
        struct load load = load_run(server, o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7], NULL);
        load_ends(&load, mode->status, NULL);
        clients[i] = load.client;
        load_free(&load);
        if (mode->handler != NULL)
            pair_stop(server);
    }
    load_fits_schema(clients, MODES);
}
END_TEST

/* The client's stderr: a terminal, and what it has got so far. */
struct terminal {
    int ours;
    size_t have;
    char said[65536];
};

static struct program *load_at_terminal(struct terminal *terminal, const struct program *server,
                                        const char *duration, const char *option)
{
    int theirs;
    struct winsize size = {.ws_row = 24, .ws_col = 120};
    const char *arguments[] = {"--load",          "-r",   "2k", "-d", duration, "-J", "127.0.0.1",
                               server->port_text, option, NULL};
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    terminal->have = 0;
    ck_assert_int_eq(openpty(&terminal->ours, &theirs, NULL, NULL, &size), 0);
    struct program *client =
        pair_start(&(struct start){.program = "synfin", .arguments = arguments, .err = theirs});
    close(theirs);
    return client;
}

/* Reads on until it has said this (NULL: all there is). Returns where. */
static const char *read_until(struct terminal *terminal, const char *text)
{
    for (;;) {
        terminal->said[terminal->have] = '\0';
        const char *found = text != NULL ? strstr(terminal->said, text) : NULL;
        if (found != NULL)
            return found;
        size_t room = sizeof terminal->said - 1 - terminal->have;
        ssize_t n = read(terminal->ours, terminal->said + terminal->have, room);
        ck_assert_msg(n > 0 || text == NULL, "not '%s' but: %s", text, terminal->said);
        if (n <= 0)
            return terminal->said;
        terminal->have += (size_t)n;
    }
}

/* At a terminal: a line that is redrawn while it runs, and gone when the result comes. */
START_TEST(live_line)
{
    static struct terminal t;
    struct program *server = pair_server("-q", NULL);
    struct program *client = load_at_terminal(&t, server, "400ms", NULL);
    read_until(&t, " s of 0.4 s  10 open  ");
    read_until(&t, " of 2.00 k/s  p50 ");
    read_until(&t, "  0 errors\33[K");
    read_until(&t, NULL);
    ck_assert_msg(t.have > 4 && strcmp(t.said + t.have - 4, "\r\33[K") == 0, "%s", t.said);
    ck_assert_ptr_null(strchr(t.said, '\n'));
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    load_free(&load);
    close(t.ours);
}
END_TEST

START_TEST(no_live_line)
{
    static struct terminal t;
    struct program *server = pair_server("-q", NULL);
    struct program *client = load_at_terminal(&t, server, "300ms", "-q");
    read_until(&t, NULL);
    ck_assert_str_eq(t.said, "");
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    load_free(&load);
    close(t.ours);
}
END_TEST

/* A server that has stopped shows as frames that are late, with no percentiles beside them. */
START_TEST(live_line_of_a_stall)
{
    static struct terminal t;
    struct program *server = pair_server("-q", NULL);
    struct program *client = load_at_terminal(&t, server, "1h", NULL);
    read_until(&t, "  10 open  ");
    pair_signal(server, SIGSTOP);
    const char *late = read_until(&t, " late, oldest ");
    while (late > t.said && *late != '\r')
        late--;
    ck_assert_ptr_null(strstr(late, "p99"));
    pair_signal(server, SIGCONT);
    pair_signal(client, SIGINT);
    read_until(&t, NULL);
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    load_free(&load);
    close(t.ours);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("load_open");
    TCase *schedule = tcase_create("schedule"), *pause = tcase_create("pause"),
          *signals = tcase_create("signals"), *printed = tcase_create("printed");
    TCase *all[] = {schedule, pause, signals, printed};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        tcase_add_checked_fixture(all[i], pair_begin, pair_end);
        tcase_set_timeout(all[i], pair_wrapped() ? 600 : 60);
        suite_add_tcase(suite, all[i]);
    }
    tcase_add_loop_test(schedule, rate, 0, 2);
    tcase_add_loop_test(schedule, count_at_a_rate, 0, 2);
    tcase_add_test(schedule, more_than_it_can);
    tcase_add_loop_test(schedule, far_more_than_it_can, 0, 3);
    tcase_add_test(schedule, far_more_and_interrupted);
    tcase_add_test(schedule, churn);
    tcase_add_test(pause, stopped_server);
    tcase_add_loop_test(pause, stopped_client, 0, 2);
    tcase_add_test(pause, stopped_over_the_end);
    tcase_add_loop_test(signals, interrupted, 0, 4);
    tcase_add_test(signals, interrupted_twice);
    tcase_add_test(signals, interrupted_early);
    tcase_add_test(printed, form);
    tcase_add_test(printed, live_line);
    tcase_add_test(printed, no_live_line);
    tcase_add_test(printed, live_line_of_a_stall);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
