/* SIGTERM: what was accepted is answered, none is lost; what does not end is cut. */
#include "config.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serving.h"
#include "wire.h"

#define BODY 64
#define WIRE (BODY + 4) /* with its header */

static void terminate(void *server)
{
    pair_signal(server, SIGTERM);
}

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
    uint8_t *bytes = serving_frames(frames, BODY);
    struct program *server = pair_server("-t", "2", "--journal", serving_journal(), NULL);
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
    serving_run(&peers, count);
    ck_assert_int_eq(pair_wait(server), 0);
    serving_expect_err(server, ", 0 lost");
    snprintf(closed, sizeof(closed), "we closed %u first: %u TIME_WAIT here", count, count);
    serving_expect_err(server, closed);
    struct records records = serving_records();
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
    serving_expect_err(server, "draining 21, at most 30.0 s");
    serving_expect_err(server, "21 connections: all clean");
}
END_TEST

/* Three that have sent 256 KiB, and take no reply. */
static void begin_stopped(struct peers *peers, struct peer_script *script, struct program *server)
{
    *script = (struct peer_script){.out = serving_frames(256, 1020),
                                   .out_length = 256 * 1024,
                                   .steps = {{PEER_SEND, 0}, {PEER_MEET, 0}, {PEER_AWAIT_RST, 0}}};
    peers_connect(peers, 3, script, (uint16_t)server->port);
    peers->met = terminate;
    peers->met_arg = server;
}

static void end_stopped(struct peers *peers, struct program *server, const char *fates)
{
    serving_run(peers, 3);
    ck_assert_int_eq(pair_wait(server), 1);
    serving_expect_err(server, fates);
    serving_expect_err(server, "cut after ");
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
    serving_expect_err(server, "SIGTERM: no new connections, draining 3, at most 1.50 s");
    serving_expect_err(server, "0 closed, 3 left: #");
    serving_expect_err(server, " unsent");
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
    serving_expect_err(server, "draining 3, without a limit; a second one cuts them");
    serving_expect_err(server, "second signal: cutting 3 connections");
}
END_TEST

/* A connection that its own deadline ended earlier is no fault of the server's drain. */
START_TEST(earlier_timeouts_do_not_count)
{
    struct program *server = pair_server("--drain-timeout", "300ms", "--set", "sndbuf=8K", NULL);
    struct peer_script script = {.out = serving_frames(256, 1020),
                                 .out_length = 256 * 1024,
                                 .steps = {{PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_AWAIT_RST, 0}}};
    struct peers peers;
    peers_connect(&peers, 1, &script, (uint16_t)server->port);
    serving_run(&peers, 1);
    pair_await_err(server, " drain-timeout: ");
    ck_assert_int_eq(pair_stop(server), 0);
    ck_assert_ptr_null(strstr(pair_err(server), "cut after"));
    peers_free(&peers);
    free((void *)(uintptr_t)script.out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("drain");
    TCase *tc = tcase_create("SIGTERM");
    tcase_add_checked_fixture(tc, pair_begin, pair_end);
    tcase_set_timeout(tc, pair_patience(120000) / 1000.0);
    tcase_add_test(tc, drain_under_load);
    tcase_add_test(tc, drain_takes_those_that_wait);
    tcase_add_test(tc, drain_is_cut_at_its_deadline);
    tcase_add_test(tc, second_signal_cuts);
    tcase_add_test(tc, earlier_timeouts_do_not_count);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
