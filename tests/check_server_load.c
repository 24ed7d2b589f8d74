/* synfind under its limits: full, out of descriptors, flooded, before readers that stop. */
#include "config.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "serving.h"
#include "wire.h"

#define BODY 64
#define WIRE (BODY + 4) /* with its header */

/* --- what the tests share --- */

/* Nanoseconds of processor time that it has used. */
static int64_t processor_ns(const struct program *program)
{
    clockid_t clock;
    struct timespec t;
    ck_assert_int_eq(clock_getcpuclockid(program->pid, &clock), 0);
    ck_assert_int_eq(clock_gettime(clock, &t), 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t peak_bytes(const struct program *program)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)program->pid);
    char *text = pair_read_file(path, NULL);
    const char *line = text != NULL ? strstr(text, "VmHWM:") : NULL;
    ck_assert_ptr_nonnull(line);
    int64_t bytes = strtoll(line + 6, NULL, 10) * 1024;
    free(text);
    return bytes;
}

/* Whether a checker's own memory counts as the server's. */
static bool shadowed(void)
{
#ifdef __SANITIZE_THREAD__
    return true;
#else
    return pair_wrapped();
#endif
}

/* --- full --- */

START_TEST(full_defers)
{
    struct program *server = pair_server("-m", "2", NULL);
    int a = wire_connect(server->port), b = wire_connect(server->port);
    wire_talk(a, "a", "a");
    wire_talk(b, "b", "b");
    int c = wire_connect(server->port);
    wire_send(c, "c");
    pair_await_err(server, "full, 2 open: new connections wait in the accept queue");
    ck_assert(wire_silent(c));
    wire_finish(a);
    ck_assert_pstr_eq(wire_read(c), "c");
    wire_finish(b);
    wire_finish(c);
    ck_assert_int_eq(pair_stop(server), 0);
    serving_expect_err(server, "3 connections: all clean");
}
END_TEST

START_TEST(full_rejects)
{
    /* One loop: the place is free before the next connection is looked at. With more, it is so a
     * moment after the line that says who left it. */
    struct program *server = pair_server("-t", "1", "-m", "2", "--when-full", "reject", "--journal",
                                         serving_journal(), NULL);
    int a = wire_connect(server->port), b = wire_connect(server->port);
    wire_talk(a, "a", "a");
    wire_talk(b, "b", "b");
    int c = wire_connect(server->port);
    ck_assert_int_eq(wire_end(c), WIRE_RST);
    close(c);
    wire_finish(a);
    pair_await_err(server, "clean: ");
    c = wire_connect(server->port);
    wire_talk(c, "c", "c");
    wire_finish(b);
    wire_finish(c);
    ck_assert_int_eq(pair_stop(server), 0);
    serving_expect_err(server, "4 connections: 3 clean, 1 shed");
    struct records records = serving_records();
    ck_assert_uint_eq(records.count, 4);
    ck_assert_uint_eq(serving_count_fate(&records, "shed"), 1);
    records_free(&records);
}
END_TEST

/* --- out of descriptors --- */

static unsigned room_of(struct program *server)
{
    const char *text = strstr(pair_err(server), "room for ");
    ck_assert_ptr_nonnull(text);
    unsigned room = 0;
    for (text += strlen("room for "); *text == ',' || (*text >= '0' && *text <= '9'); text++) {
        room = *text == ',' ? room : room * 10 + (unsigned)(*text - '0');
    }
    return room;
}

/* How much of a processor it uses over the next second, in percent. */
static double processor_percent(const struct program *program)
{
    struct timespec from, to;
    int64_t used = processor_ns(program);
    clock_gettime(CLOCK_MONOTONIC, &from);
    poll(NULL, 0, 1000); /* the length of the measurement, not a wait for something */
    used = processor_ns(program) - used;
    clock_gettime(CLOCK_MONOTONIC, &to);
    return 100.0 * (double)used /
           (double)((to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec);
}

/* Those that were answered make way for those that wait. */
static void close_done(struct peers *peers)
{
    for (unsigned i = 0; i < peers->count; i++) {
        if (peers->all[i].done && peers->all[i].fd >= 0) {
            close(peers->all[i].fd);
            peers->all[i].fd = -1;
        }
    }
}

/* With room to spare (`-m` unset) the server stops in time; with -m over the room accept4 fails. */
START_TEST(out_of_descriptors)
{
    static const char *const arguments[][6] = {{"-t", "2", "0"}, {"-t", "2", "-m", "1000", "0"}};
    struct start start = {.arguments = arguments[_i], .descriptors = 64};
    if (pair_wrapped() && _i == 1)
        return; /* valgrind closes what it accepts over the limit */
    struct program *server = pair_server_start(&start);
    uint8_t *bytes = serving_frames(1, BODY);
    struct peer_script script = {bytes, bytes, WIRE, WIRE, {{PEER_SEND, 0}, {PEER_TAKE, 0}}};
    unsigned room = room_of(server), count = 200, served = 0;
    struct peers peers;

    if (pair_wrapped() && room >= 64) {
        /* This test runs under valgrind itself, which keeps the limit from the programs it starts.
         */
        pair_stop(server);
        free(bytes);
        return;
    }
    ck_assert_uint_lt(room, 64);
    peers_connect(&peers, count, &script, (uint16_t)server->port);
    serving_run(&peers, room);
    pair_await_err(server, _i == 0 ? "full, " : "Too many open files");
    ck_assert_uint_lt(peers.done, 64);
    double percent = processor_percent(server);
    ck_assert_msg(pair_wrapped() || percent < 5, "%.1f %% of a processor while full", percent);
    while ((served = peers.done) < count) {
        close_done(&peers);
        serving_run(&peers, served + 1);
    }
    for (unsigned i = 0; i < count; i++)
        ck_assert_uint_eq(peers.all[i].received, WIRE);
    peers_free(&peers);
    ck_assert_int_eq(pair_stop(server), 0);
    serving_expect_err(server, "200 frames accepted, 200 answered, 0 lost");
    free(bytes);
}
END_TEST

/* --- memory --- */

static void others_are_served(void *server)
{
    int fd = wire_connect(((struct program *)server)->port);
    wire_talk(fd, "still here", "still here");
    close(fd);
}

/* Stopped readers, each with more frames of the largest size under way than its bound holds. The
 * idle deadline ends them: that is when all that could be taken in has been. */
START_TEST(stopped_readers)
{
    const unsigned largest = 256 * 1024, frames = 12;
    unsigned count = pair_scaled(200);
    char idle[24];
    snprintf(idle, sizeof(idle), "%dms", pair_patience(2000));
    uint8_t *bytes = serving_frames(frames, largest);
    struct program *server =
        pair_server("--max-frame", "256K", "--idle-timeout", idle, "--set", "rcvbuf=8K", "--set",
                    "sndbuf=8K", "--journal", serving_journal(), NULL);
    int64_t before = peak_bytes(server);
    struct peer_script script = {
        .out = bytes,
        .out_length = (size_t)frames * (largest + 4),
        .steps = {{PEER_SEND, 2 * largest}, {PEER_MEET, 0}, {PEER_SEND, 0}, {PEER_AWAIT_RST, 0}}};
    int64_t bound = (int64_t)count * 2 * (largest + 1024 * 1024);
    struct peers peers;

    peers_connect(&peers, count, &script, (uint16_t)server->port);
    peers.met = others_are_served;
    peers.met_arg = server;
    serving_run(&peers, count);
    int64_t peak = peak_bytes(server) - before;
    ck_assert_msg(shadowed() || peak < bound, "%lld bytes, the bound is %lld", (long long)peak,
                  (long long)bound);
    peers_free(&peers);
    ck_assert_int_eq(pair_stop(server), 0);
    struct records records = serving_records();
    ck_assert_uint_eq(serving_count_fate(&records, "slow-reader"), count);
    records_free(&records);
    free(bytes);
}
END_TEST

/* --- the log --- */

static unsigned count_lines(const char *text, const char *holding)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, holding)) != NULL; p++)
        n++;
    return n;
}

/* How many connections the lines for many tell of. */
static unsigned count_summed(const char *text)
{
    unsigned n = 0;
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        const char *end = strchr(line, '\n'), *mark = strstr(line, "(-v: one line each)");
        if (mark != NULL && end != NULL && mark < end)
            n += (unsigned)atoi(strchr(line, ' '));
    }
    return n;
}

static void flood(struct program *server, unsigned count)
{
    uint8_t *bytes = serving_frames(1, BODY);
    struct peer_script script = {
        bytes,
        bytes,
        WIRE,
        WIRE,
        {{PEER_SEND, 0}, {PEER_TAKE, 0}, {PEER_FIN, 0}, {PEER_AWAIT_FIN, 0}, {PEER_CLOSE, 0}}};
    struct peers peers;
    peers_connect(&peers, count, &script, (uint16_t)server->port);
    serving_run(&peers, count);
    peers_free(&peers);
    ck_assert_int_eq(pair_stop(server), 0);
    free(bytes);
}

START_TEST(many_ends_share_a_line)
{
    struct program *server = pair_server("-t", "2", NULL);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    flood(server, 400);
    clock_gettime(CLOCK_MONOTONIC, &to);
    unsigned own = count_lines(pair_err(server), " clean: ");
    ck_assert_uint_le(own, 10 * (unsigned)(to.tv_sec - from.tv_sec + 3));
    ck_assert_uint_eq(own + count_summed(pair_err(server)), 400);
    serving_expect_err(server, "400 connections: all clean");
}
END_TEST

START_TEST(verbose_has_a_line_each)
{
    struct program *server = pair_server("-t", "2", "-v", NULL);
    flood(server, 100);
    unsigned own = 0;
    for (unsigned number = 1; number <= 100; number++) {
        char line[40];
        snprintf(line, sizeof(line), "#%u 127.0.0.1:", number);
        own += strstr(pair_err(server), line) != NULL;
    }
    ck_assert_uint_eq(own, 100);
}
END_TEST

START_TEST(quiet_says_nothing)
{
    struct program *server = pair_server("-t", "2", "-q", NULL);
    flood(server, 20);
    ck_assert_str_eq(pair_err(server), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_load");
    TCase *tc = tcase_create("limits");
    tcase_add_checked_fixture(tc, pair_begin, pair_end);
    tcase_set_timeout(tc, pair_patience(120000) / 1000.0);
    tcase_add_test(tc, full_defers);
    tcase_add_test(tc, full_rejects);
    tcase_add_loop_test(tc, out_of_descriptors, 0, 2);
    tcase_add_test(tc, stopped_readers);
    tcase_add_test(tc, many_ends_share_a_line);
    tcase_add_test(tc, verbose_has_a_line_each);
    tcase_add_test(tc, quiet_says_nothing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
