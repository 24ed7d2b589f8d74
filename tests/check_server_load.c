/* synfind under its limits: full, out of descriptors, drained, cut, flooded. */
#include "config.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pair.h"
#include "peer.h"
#include "records.h"
#include "wire.h"

#define BODY 64
#define WIRE (BODY + 4) /* with its header */

/* --- what the tests share --- */

/* `count` numbered frames of `body` bytes. */
static uint8_t *make_frames(unsigned count, unsigned body)
{
    size_t wire = body + 4U;
    uint8_t *bytes = calloc(count, wire);
    ck_assert_ptr_nonnull(bytes);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *frame = bytes + i * wire;
        for (unsigned b = 0; b < 4; b++) {
            frame[b] = (uint8_t)(body >> (24 - 8 * b));
            frame[4 + b] = (uint8_t)(i >> (24 - 8 * b));
        }
    }
    return bytes;
}

static void expect_err(struct program *program, const char *text)
{
    ck_assert_msg(strstr(pair_err(program), text) != NULL, "%s does not say '%s' but:\n%s",
                  program->command, text, pair_err(program));
}

static void terminate(void *server)
{
    pair_signal(server, SIGTERM);
}

static struct records records_of(const char *name)
{
    return records_read(pair_file(name));
}

static const char *journal_to(const char *name)
{
    static char url[320];
    snprintf(url, sizeof(url), "jsonl:%s", pair_file(name));
    return url;
}

static unsigned count_fate(const struct records *records, const char *fate)
{
    unsigned n = 0;
    for (unsigned i = 0; i < records->count; i++)
        n += strcmp(record_text(records->line[i], "fate"), fate) == 0;
    return n;
}

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
    expect_err(server, "3 connections: all clean");
}
END_TEST

START_TEST(full_rejects)
{
    struct program *server = pair_server("-m", "2", "--when-full", "reject", "--journal",
                                         journal_to("full.jsonl"), NULL);
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
    expect_err(server, "4 connections: 3 clean, 1 shed");
    struct records records = records_of("full.jsonl");
    ck_assert_uint_eq(records.count, 4);
    ck_assert_uint_eq(count_fate(&records, "shed"), 1);
    records_free(&records);
}
END_TEST

/* --- out of descriptors --- */

static unsigned room_of(struct program *server)
{
    const char *text = strstr(pair_err(server), "room for ");
    ck_assert_ptr_nonnull(text);
    return (unsigned)atoi(text + 9);
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
    uint8_t *bytes = make_frames(1, BODY);
    struct peer_script script = {bytes, bytes, WIRE, WIRE, {{PEER_SEND, 0}, {PEER_TAKE, 0}}};
    unsigned room = room_of(server), count = 200, served = 0;
    struct peers peers;

    ck_assert_uint_lt(room, 64);
    peers_connect(&peers, count, &script, (uint16_t)server->port);
    peers_run(&peers, room, pair_patience(PAIR_DEADLINE_MS));
    pair_await_err(server, _i == 0 ? "full, " : "Too many open files");
    ck_assert_uint_lt(peers.done, 64);
    double percent = processor_percent(server);
    ck_assert_msg(pair_wrapped() || percent < 5, "%.1f %% of a processor while full", percent);
    while ((served = peers.done) < count) {
        close_done(&peers);
        peers_run(&peers, served + 1, pair_patience(PAIR_DEADLINE_MS));
    }
    for (unsigned i = 0; i < count; i++)
        ck_assert_uint_eq(peers.all[i].received, WIRE);
    peers_free(&peers);
    ck_assert_int_eq(pair_stop(server), 0);
    expect_err(server, "200 frames accepted, 200 answered, 0 lost");
    free(bytes);
}
END_TEST

/* --- drain --- */

static uint16_t port_in(const char *address)
{
    const char *colon = strrchr(address, ':');
    ck_assert_ptr_nonnull(colon);
    return (uint16_t)atoi(colon + 1);
}

/* The server's records against what the raw clients received: every accepted frame answered. */
static void hold_against_records(struct peers *peers, const struct records *records)
{
    ck_assert_uint_eq(records->count, peers->count);
    for (unsigned i = 0; i < records->count; i++) {
        const char *line = records->line[i];
        struct peer *peer = peers_find(peers, port_in(record_text(line, "remote")));
        ck_assert_ptr_nonnull(peer);
        ck_assert(!peer->wrong && !peer->cut);
        ck_assert_str_eq(record_text(line, "fate"), "clean");
        ck_assert_str_eq(record_text(line, "closed_first"), "local");
        ck_assert_int_eq(record_number(line, "unanswered"), 0);
        ck_assert_uint_eq(peer->received, (size_t)record_number(line, "accepted") * WIRE);
    }
}

START_TEST(drain_under_load)
{
    unsigned count = pair_scaled(500), frames = 1000;
    uint8_t *bytes = make_frames(frames, BODY);
    struct program *server = pair_server("-t", "2", "--journal", journal_to("drain.jsonl"), NULL);
    struct peer_script script = {bytes,
                                 bytes,
                                 (size_t)frames * WIRE,
                                 (size_t)frames * WIRE,
                                 {{PEER_READ, 0},
                                  {PEER_SEND, 500 * WIRE},
                                  {PEER_MEET, 0},
                                  {PEER_SEND, 0},
                                  {PEER_AWAIT_FIN, 0},
                                  {PEER_FIN, 0},
                                  {PEER_CLOSE, 0}}};
    struct peers peers;
    char closed[80];

    peers_connect(&peers, count, &script, (uint16_t)server->port);
    peers.met = terminate;
    peers.met_arg = server;
    peers_run(&peers, count, pair_patience(PAIR_DEADLINE_MS));
    ck_assert_int_eq(pair_wait(server), 0);
    expect_err(server, ", 0 lost");
    snprintf(closed, sizeof(closed), "we closed %u first: %u TIME_WAIT here", count, count);
    expect_err(server, closed);
    struct records records = records_of("drain.jsonl");
    hold_against_records(&peers, &records);
    records_free(&records);
    peers_free(&peers);
    free(bytes);
}
END_TEST

/* Closing a listener resets what waits in its queue: so it is emptied first. */
START_TEST(drain_takes_those_that_wait)
{
    struct program *server = pair_server("-m", "1", NULL);
    int served = wire_connect(server->port), waiting[20];
    wire_talk(served, "a", "a");
    for (int i = 0; i < 20; i++)
        waiting[i] = wire_connect(server->port);
    pair_await_err(server, "full, 1 open");
    pair_signal(server, SIGTERM);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(wire_end(waiting[i]), WIRE_FIN);
    for (int i = 0; i < 20; i++)
        wire_finish(waiting[i]);
    wire_finish(served);
    ck_assert_int_eq(pair_wait(server), 0);
    expect_err(server, "draining 21, at most 30.0 s");
    expect_err(server, "21 connections: all clean");
}
END_TEST

/* Three that have sent 256 KiB, and take no reply. */
static void begin_stopped(struct peers *peers, struct peer_script *script, struct program *server)
{
    *script = (struct peer_script){.out = make_frames(256, 1020),
                                   .out_length = 256 * 1024,
                                   .steps = {{PEER_SEND, 0}, {PEER_MEET, 0}, {PEER_AWAIT_RST, 0}}};
    peers_connect(peers, 3, script, (uint16_t)server->port);
    peers->met = terminate;
    peers->met_arg = server;
}

static void end_stopped(struct peers *peers, struct program *server, const char *fates)
{
    peers_run(peers, 3, pair_patience(PAIR_DEADLINE_MS));
    ck_assert_int_eq(pair_wait(server), 1);
    expect_err(server, fates);
    expect_err(server, "cut after ");
    free((void *)(uintptr_t)peers->script->out);
    peers_free(peers);
}

START_TEST(drain_is_cut_at_its_deadline)
{
    struct program *server = pair_server("--drain-timeout", "1500ms", "--set", "sndbuf=8K", NULL);
    struct peer_script script;
    struct peers peers;
    begin_stopped(&peers, &script, server);
    end_stopped(&peers, server, "3 drain-timeout");
    expect_err(server, "SIGTERM: no new connections, draining 3, at most 1.50 s");
    expect_err(server, "0 closed, 3 left: #");
    expect_err(server, " unsent");
}
END_TEST

/* Not before the server has said who is left. */
static void terminate_twice(void *server)
{
    terminate(server);
    pair_await_err(server, " unsent");
    terminate(server);
}

START_TEST(second_signal_cuts)
{
    struct program *server = pair_server("--drain-timeout", "off", "--set", "sndbuf=8K", NULL);
    struct peer_script script;
    struct peers peers;
    begin_stopped(&peers, &script, server);
    peers.met = terminate_twice;
    end_stopped(&peers, server, "3 aborted");
    expect_err(server, "draining 3, without a limit; a second one cuts them");
    expect_err(server, "second signal: cutting 3 connections");
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
    uint8_t *bytes = make_frames(frames, largest);
    struct program *server =
        pair_server("--max-frame", "256K", "--idle-timeout", idle, "--set", "rcvbuf=8K", "--set",
                    "sndbuf=8K", "--journal", journal_to("memory.jsonl"), NULL);
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
    peers_run(&peers, count, pair_patience(PAIR_DEADLINE_MS));
    int64_t peak = peak_bytes(server) - before;
    ck_assert_msg(shadowed() || peak < bound, "%lld bytes, the bound is %lld", (long long)peak,
                  (long long)bound);
    peers_free(&peers);
    ck_assert_int_eq(pair_stop(server), 0);
    struct records records = records_of("memory.jsonl");
    ck_assert_uint_eq(count_fate(&records, "slow-reader"), count);
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
    uint8_t *bytes = make_frames(1, BODY);
    struct peer_script script = {
        bytes,
        bytes,
        WIRE,
        WIRE,
        {{PEER_SEND, 0}, {PEER_TAKE, 0}, {PEER_FIN, 0}, {PEER_AWAIT_FIN, 0}, {PEER_CLOSE, 0}}};
    struct peers peers;
    peers_connect(&peers, count, &script, (uint16_t)server->port);
    peers_run(&peers, count, pair_patience(PAIR_DEADLINE_MS));
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
    expect_err(server, "400 connections: all clean");
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
    tcase_add_test(tc, drain_under_load);
    tcase_add_test(tc, drain_takes_those_that_wait);
    tcase_add_test(tc, drain_is_cut_at_its_deadline);
    tcase_add_test(tc, second_signal_cuts);
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
