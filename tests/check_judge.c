/* The verdict on a load, its doubts about the client and its exit status, from results made up for
 * each. */
#include "config.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "result.h"

#define US 1000ULL
#define MS 1000000ULL
#define SECOND 1000000000ULL

static struct result r;

static void record(enum result_stage stage, uint64_t ns, uint64_t n)
{
    histogram_record_many(result_stage(&r, stage), ns, n);
}

/* 1,000 connections, 500,000 frames in 10 s, all well. */
static void begin(void)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
    setenv("TZ", "UTC", 1);
    result_init(&r);
    strcpy(r.target, "broker-1:9000");
    r.shape.connections = 1000;
    r.shape.pipeline = 1;
    r.shape.duration_us = 10000000;
    r.shape.threads = 1;
    r.measured_us = 10000000;
    r.opened = r.fates[FATE_CLEAN] = r.time_wait[TIME_WAIT_OURS] = 1000;
    r.sent = r.replies = r.equal = 500000;
    r.processors = 2;
    r.cpu_us = r.busiest_thread_us = 3800000;
    r.descriptors = 20000;
    record(STAGE_CONNECT, 412 * US, 1000);
    record(STAGE_FIRST_FRAME, 233 * US, 1000);
    record(STAGE_ROUND_TRIP, 221 * US, 500000);
    record(STAGE_DRAIN_LINGER, 227 * US, 1000);
}

static void end(void)
{
    result_fini(&r);
}

static void open_loop(void)
{
    r.shape.rate = 50000;
    record(STAGE_FROM_SEND, 221 * US, 500000);
    record(STAGE_LAG, 14 * US, 500000);
}

static void judged(const char *word, const char *stage, const char *evidence, const char *mend,
                   int status)
{
    result_judge(&r);
    const char *is = r.verdict.slow                 ? "slow"
                     : r.verdict.fate == FATE_CLEAN ? "ok"
                                                    : fate_row(r.verdict.fate)->name;
    ck_assert_str_eq(is, word);
    ck_assert_str_eq(r.verdict.stage, stage);
    ck_assert_str_eq(r.verdict.evidence, evidence);
    ck_assert_str_eq(r.verdict.try_, mend);
    ck_assert_int_eq(r.exit_status, status);
}

/* --- nothing wrong --- */

START_TEST(ok)
{
    judged("ok", "", "500,000 of 500,000 frames equal, 1,000 connections closed clean", "", 0);
    ck_assert(!r.client_limited);
    open_loop();
    judged("ok", "", "500,000 of 500,000 frames equal, 1,000 connections closed clean", "", 0);
    r.shape.expect = EXPECT_ANY;
    judged("ok", "", "500,000 of 500,000 frames answered, 1,000 connections closed clean", "", 0);
    r.shape.expect = EXPECT_NONE;
    judged("ok", "", "500,000 frames sent, 1,000 connections closed clean", "", 0);
    r.shape.expect = EXPECT_STREAM;
    judged("ok", "", "500,000 frames received, 1,000 connections closed clean", "", 0);
    r.shape.omit_us = 1000000;
    r.measured_us = 0;
    r.sent = r.replies = 0;
    judged("ok", "", "1,000 connections closed clean; nothing was counted: it ended within --omit",
           "", 0);
    r.shape.omit_us = 0;
    r.shape.expect = EXPECT_ECHO;
    r.shape.frames_per_conn = r.shape.rate = 0;
    r.sent = r.replies = 0;
    judged("ok", "", "1,000 connections closed clean", "", 0);
}
END_TEST

/* Judging again, as after --merge, finds the same. */
START_TEST(again)
{
    r.busiest_thread_us = 9900000;
    result_judge(&r);
    struct result before = r;
    result_judge(&r);
    ck_assert_str_eq(r.verdict.evidence, before.verdict.evidence);
    ck_assert_str_eq(r.client_limit, before.client_limit);
    r.busiest_thread_us = 1;
    result_judge(&r);
    ck_assert(!r.client_limited);
    ck_assert_str_eq(r.client_limit, "");
}
END_TEST

/* --- failures --- */

static void some(enum fate fate, uint64_t n)
{
    r.fates[FATE_CLEAN] -= n;
    r.fates[fate] += n;
}

static void first_life(enum fate fate, enum phase phase, const char *detail, const char *mend)
{
    r.failure_fate = fate;
    r.failure_phase = phase;
    strcpy(r.failure_detail, detail);
    strcpy(r.failure_mend, mend);
}

START_TEST(some_failed)
{
    some(FATE_RESET, 17);
    r.lost = 20;
    r.replies = r.equal = 499980;
    first_life(FATE_RESET, PHASE_LINGER, "Connection reset by peer", "its log at 14:03:22.118");
    judged("reset", "linger",
           "17 of 1,000 connections; the first: Connection reset by peer; 20 of 500,000 frames "
           "lost",
           "its log at 14:03:22.118", 56);
}
END_TEST

START_TEST(all_failed)
{
    r.opened = 0;
    r.failed = 1000;
    some(FATE_REFUSED, 1000);
    r.sent = r.replies = r.equal = 0;
    first_life(FATE_REFUSED, PHASE_CONNECT, "10.0.4.17:9000: Connection refused after 52 us", "");
    judged("refused", "connect",
           "all 1,000 connections; the first: 10.0.4.17:9000: Connection refused after 52 us", "",
           7);
}
END_TEST

START_TEST(the_only_one_failed)
{
    r.fates[FATE_CLEAN] = 1;
    some(FATE_TRUNCATED, 1);
    first_life(FATE_TRUNCATED, PHASE_TRANSFER, "47 of 512 B into the 4th", "");
    judged("truncated", "transfer", "47 of 512 B into the 4th", "", 56);
}
END_TEST

/* Each pair of fates: the first row of the table wins, whichever failed first and most. */
START_TEST(precedence)
{
    for (unsigned a = 0; a < FATE_CLEAN; a++) {
        for (unsigned b = a + 1; b < FATE_CLEAN; b++) {
            memset(r.fates, 0, sizeof r.fates);
            r.fates[FATE_CLEAN] = 5;
            r.fates[a] = 1;
            r.fates[b] = 100;
            first_life((enum fate)b, PHASE_TRANSFER, "of another", "not this");
            result_judge(&r);
            ck_assert_int_eq(r.verdict.fate, a);
            ck_assert_int_eq(r.exit_status, fate_row((enum fate)a)->exit_status);
            ck_assert_ptr_null(strstr(r.verdict.evidence, "of another"));
            ck_assert_ptr_null(strstr(r.verdict.try_, "not this"));
            ck_assert_ptr_nonnull(strstr(r.verdict.evidence, "; the first: "));
            ck_assert_str_ne(r.verdict.stage, "");
        }
    }
}
END_TEST

START_TEST(differed)
{
    some(FATE_DIFFERED, 1);
    r.equal = 499999;
    r.differed = 1;
    strcpy(r.differed_detail, "connection 3, frame 7, byte 12: 41, not 61");
    judged("differed", "transfer",
           "1 of 500,000 replies is not what was sent; the first: connection 3, frame 7, byte 12: "
           "41, not 61",
           "--expect any, if the peer is not to echo", 1);
}
END_TEST

/* All are answered, and more came: which one answers which frame is open. */
START_TEST(surplus)
{
    r.shape.expect = EXPECT_ANY;
    r.surplus = 1000;
    judged("differed", "transfer",
           "1,000 frames came that answer none of the 500,000 sent: round trips cannot be told",
           "a framing in which one reply is one frame (-F); or --expect none", 1);
    r.surplus = 1;
    judged("differed", "transfer",
           "1 frame came that answers none of the 500,000 sent: round trips cannot be told",
           "a framing in which one reply is one frame (-F); or --expect none", 1);
}
END_TEST

START_TEST(lost)
{
    r.lost = 12;
    r.replies = r.equal = 499988;
    judged("unanswered", "transfer", "12 of 500,000 frames sent had no reply",
           "--expect none, if the peer does not answer each frame", 1);
}
END_TEST

/* A failure hides neither behind slowness nor behind a busy client. */
START_TEST(failure_before_slow)
{
    some(FATE_ABORTED, 1000);
    r.busiest_thread_us = 10000000;
    r.stall = (struct result_stall){1, 180000, 9000, 1};
    first_life(FATE_ABORTED, PHASE_TRANSFER, "a second signal", "one ^C, and patience");
    judged("aborted", "transfer", "all 1,000 connections; the first: a second signal",
           "one ^C, and patience", 130);
    ck_assert(r.client_limited);
}
END_TEST

/* --- slow --- */

/* One that was short, and that few frames waited in, is not what there is to say. */
START_TEST(hardly_stalled)
{
    r.stall = (struct result_stall){6200000, 6212000, 240, 1795356133612345};
    result_judge(&r);
    ck_assert(!r.verdict.slow);
    r.stall.waiting = 5001;
    result_judge(&r);
    ck_assert(r.verdict.slow);
}
END_TEST

START_TEST(stalled)
{
    open_loop();
    r.stall = (struct result_stall){6200000, 6380000, 9000, 1795356133612345};
    judged("slow", "transfer",
           "no reply on any connection from 6.20 s to 6.38 s; 9,000 frames waited",
           "the peer paused as a whole (collector, lock, SIGSTOP): its log at 14:02:13.6", 0);
    r.busiest_thread_us = 9900000; /* however busy it was, its loops were not that late */
    judged("slow", "transfer",
           "no reply on any connection from 6.20 s to 6.38 s; 9,000 frames waited; but the client "
           "was the limit",
           "the peer paused as a whole (collector, lock, SIGSTOP): its log at 14:02:13.6", 0);
    ck_assert(r.client_limited);
    record(STAGE_LAG, 170 * MS, 1);
    judged("slow", "transfer",
           "no reply on any connection from 6.20 s to 6.38 s; 9,000 frames waited; this client "
           "itself was late by up to 170 ms",
           "this machine paused (or SIGSTOP of the client): less load on it, or the peer on "
           "another",
           0);
}
END_TEST

/* In a closed loop too, and it is among the client's limits. */
START_TEST(stood_still)
{
    r.stall = (struct result_stall){6200000, 6300000, 10, 1795356133612345};
    record(STAGE_LAG, 60 * US, 990);
    result_judge(&r);
    ck_assert(!r.client_limited);
    ck_assert_ptr_nonnull(strstr(r.verdict.try_, "the peer paused as a whole"));
    record(STAGE_LAG, 93 * MS, 1);
    result_judge(&r);
    ck_assert(r.verdict.slow);
    ck_assert(r.client_limited);
    ck_assert_str_eq(r.client_limit, "its own loops stood still for up to 93.0 ms");
    ck_assert_ptr_nonnull(strstr(r.verdict.evidence, "; this client itself was late by up to 93"));
    ck_assert_ptr_nonnull(strstr(r.verdict.try_, "this machine paused"));
}
END_TEST

static void syns(uint64_t ns, uint64_t n)
{
    record(STAGE_CONNECT, ns, n);
    r.opened += n;
    r.fates[FATE_CLEAN] += n;
}

START_TEST(syn_again)
{
    syns(SECOND + 300 * US, 15);
    syns(3 * SECOND + 90 * MS, 2);
    judged("slow", "connect",
           "17 of 1,017 connects took whole seconds, as a SYN sent again does: up to 3.09 s (the "
           "fastest 412 µs)",
           "on broker-1, ss -ltn 'sport = :9000' (Recv-Q > Send-Q: accept queue full; a larger "
           "backlog, or a smaller --connecting); else packet loss",
           0);
    strcpy(r.target, "unix:/run/s");
    result_judge(&r);
    ck_assert_ptr_nonnull(strstr(r.verdict.try_, "on unix, ss"));
}
END_TEST

/* Even where most of them were. */
START_TEST(syn_of_most)
{
    syns(SECOND + 10 * MS, 2000);
    result_judge(&r);
    ck_assert_ptr_nonnull(strstr(r.verdict.evidence, "2,000 of 3,000 connects took whole seconds"));
}
END_TEST

/* Seconds that are not whole are no SYN's; and of any times, some are near to whole ones. */
START_TEST(slow_connects)
{
    syns(1500 * MS, 20);
    judged("slow", "connect", "connect p99 1.50 s, far above its p50 of 412 µs",
           "a smaller --connecting: bursts of SYNs wait in the peer's accept queue", 0);
    for (unsigned i = 0; i < 40; i++)
        syns(500 * MS + i * 50 * MS, 10);
    result_judge(&r);
    ck_assert_ptr_null(strstr(r.verdict.evidence, "whole seconds"));
}
END_TEST

START_TEST(rate_not_reached)
{
    open_loop();
    r.sent = r.replies = r.equal = 450000;
    r.due_not_sent = 50000;
    histogram_clear(r.stages[STAGE_FROM_SEND]);
    record(STAGE_FROM_SEND, 22200 * US, 450000);
    record(STAGE_SLOT_WAIT, 980 * MS, 400000);
    judged("slow", "transfer",
           "45,000 frames/s of 50,000 asked; 50,000 frames due and never sent; they waited up to "
           "980 ms for a place in flight",
           "a faster peer, or more in flight (-P, -c): 1,000 frames at p50 22.2 ms carry 45,045/s",
           0);
}
END_TEST

START_TEST(rate_all_but_reached)
{
    open_loop();
    r.sent = r.replies = r.equal = 499500;
    r.due_not_sent = 1;
    judged("ok", "", "499,500 of 499,500 frames equal, 1,000 connections closed clean", "", 0);
    r.measured_us = 100000; /* too short to tell */
    r.cpu_us = r.busiest_thread_us = 1;
    r.sent = r.replies = r.equal = 4900;
    judged("ok", "", "4,900 of 4,900 frames equal, 1,000 connections closed clean", "", 0);
}
END_TEST

START_TEST(tails)
{
    record(STAGE_ROUND_TRIP, 30 * MS, 6000);
    judged("slow", "transfer", "round trip p99 30.0 ms, far above its p50 of 221 µs",
           "the peer's pauses (collector, locks, disk), or loss on the way: --json has each "
           "interval",
           0);
    record(STAGE_DRAIN_LINGER, 119 * MS, 20); /* a thousand at once may take as long */
    judged("slow", "transfer", "round trip p99 30.0 ms, far above its p50 of 221 µs",
           "the peer's pauses (collector, locks, disk), or loss on the way: --json has each "
           "interval",
           0);
    record(STAGE_DRAIN_LINGER, 140 * MS, 20);
    judged("slow", "linger", "drain+linger p99 140 ms, far above its p50 of 227 µs",
           "the peer closes some late at our FIN: on it, ss -tn state close-wait", 0);
}
END_TEST

START_TEST(tail_of_few)
{
    histogram_clear(r.stages[STAGE_DRAIN_LINGER]);
    record(STAGE_DRAIN_LINGER, 227 * US, 10);
    record(STAGE_DRAIN_LINGER, 299 * MS, 1);
    result_judge(&r);
    ck_assert(!r.verdict.slow);
    record(STAGE_DRAIN_LINGER, 1020 * MS, 1);
    judged("slow", "linger", "drain+linger max 1.02 s, far above its p50 of 227 µs",
           "the peer closes some late at our FIN: on it, ss -tn state close-wait", 0);
}
END_TEST

START_TEST(median)
{
    histogram_clear(r.stages[STAGE_FIRST_FRAME]);
    record(STAGE_FIRST_FRAME, 300 * MS, 1000);
    judged("slow", "transfer", "first frame p50 300 ms, where a round trip takes 221 µs",
           "the peer accepts late, or sets something up for each connection (a session, a lookup)",
           0);
}
END_TEST

/* A peer that is far away is slow in everything, and nothing stands out. */
START_TEST(far_away)
{
    for (unsigned i = 0; i < STAGE_COUNT; i++)
        if (r.stages[i] != NULL)
            histogram_clear(r.stages[i]);
    record(STAGE_CONNECT, 180 * MS, 1000);
    record(STAGE_FIRST_FRAME, 181 * MS, 1000);
    record(STAGE_ROUND_TRIP, 180 * MS, 50000);
    record(STAGE_ROUND_TRIP, 800 * MS, 100);
    record(STAGE_DRAIN_LINGER, 180 * MS, 1000);
    result_judge(&r);
    ck_assert(!r.verdict.slow);
}
END_TEST

/* --- the client's limits --- */

static void limited(const char *words, const char *mend)
{
    result_judge(&r);
    ck_assert(r.client_limited);
    ck_assert_str_eq(r.client_limit, words);
    if (r.verdict.fate == FATE_CLEAN) {
        ck_assert_str_eq(r.verdict.try_, mend);
        ck_assert_ptr_nonnull(strstr(r.verdict.evidence, "; but the client was the limit"));
        ck_assert_int_eq(r.exit_status, 0);
    }
}

START_TEST(busy)
{
    r.busiest_thread_us = 9500000;
    result_judge(&r);
    ck_assert(!r.client_limited);
    r.busiest_thread_us = 9700000;
    limited("its busiest loop used 97 % of a processor", "-t 2");
    r.shape.threads = 2;
    limited("its busiest loop used 97 % of a processor",
            "fewer frames/s; or a second client on another machine, and --merge");
    r.cpu_us = 19400000;
    limited("it used 97 % of the 2 processors it may run on",
            "a second client on another machine; --merge adds their results up");
    r.busy_poll_us = 50;
    result_judge(&r);
    ck_assert(!r.client_limited);
}
END_TEST

START_TEST(late)
{
    static const char mend[] =
        "a machine that is less busy, processors of its own (taskset), or --busy-poll";
    open_loop();
    record(STAGE_LAG, 1200 * US, 6000);
    limited("its schedule lagged by 1.20 ms at p99, of a round trip's p99 of 221 µs", mend);
    record(STAGE_ROUND_TRIP, 5 * MS, 6000);
    limited("its schedule lagged by 1.20 ms at p99", mend);
    record(STAGE_LAG, 150 * US, 1000000);
    record(STAGE_ROUND_TRIP, 250 * US, 1000000);
    limited("its schedule lagged by 150 µs at p50, of a round trip of 250 µs", mend);
    r.shape.rate = 0; /* a closed loop has no schedule */
    result_judge(&r);
    ck_assert(!r.client_limited);
}
END_TEST

/* Of a few microseconds, none is an accusation. */
START_TEST(hardly_late)
{
    open_loop();
    histogram_clear(r.stages[STAGE_ROUND_TRIP]);
    record(STAGE_ROUND_TRIP, 40 * US, 500000);
    record(STAGE_LAG, 90 * US, 500000);
    result_judge(&r);
    ck_assert(!r.client_limited);
}
END_TEST

START_TEST(used_up)
{
    some(FATE_NO_PORT, 100);
    limited("it used up its ports, 1,000 of them in TIME_WAIT", "");
    ck_assert_int_eq(r.exit_status, 7);
    some(FATE_NO_DESCRIPTOR, 100);
    limited("it used up all 20,000 descriptors", "");
    ck_assert_int_eq(r.exit_status, 27);
}
END_TEST

/* Whatever it says fits, and ends. */
START_TEST(the_longest)
{
    memset(r.failure_detail, 'd', sizeof r.failure_detail - 1);
    memset(r.failure_mend, 'm', sizeof r.failure_mend - 1);
    r.failure_fate = FATE_RESET;
    r.fates[FATE_RESET] = UINT64_MAX / 4;
    r.fates[FATE_CLEAN] = UINT64_MAX / 4;
    r.lost = r.sent = UINT64_MAX;
    result_judge(&r);
    ck_assert_uint_lt(strlen(r.verdict.evidence), sizeof r.verdict.evidence);
    ck_assert_uint_lt(strlen(r.verdict.try_), sizeof r.verdict.try_);
}
END_TEST

/* A run that came to nothing has no figures: no division by them. */
START_TEST(empty)
{
    result_fini(&r);
    result_init(&r);
    r.shape.rate = 1000;
    judged("ok", "", "0 connections closed clean", "", 0);
}
END_TEST

static TCase *tcase(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, begin, end);
    suite_add_tcase(suite, tc);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("judge");
    TCase *tc = tcase(suite, "ok");
    tcase_add_test(tc, ok);
    tcase_add_test(tc, again);
    tcase_add_test(tc, empty);
    tc = tcase(suite, "failed");
    tcase_add_test(tc, some_failed);
    tcase_add_test(tc, all_failed);
    tcase_add_test(tc, the_only_one_failed);
    tcase_add_test(tc, precedence);
    tcase_add_test(tc, differed);
    tcase_add_test(tc, surplus);
    tcase_add_test(tc, lost);
    tcase_add_test(tc, failure_before_slow);
    tcase_add_test(tc, the_longest);
    tc = tcase(suite, "slow");
    tcase_add_test(tc, stalled);
    tcase_add_test(tc, hardly_stalled);
    tcase_add_test(tc, stood_still);
    tcase_add_test(tc, syn_again);
    tcase_add_test(tc, syn_of_most);
    tcase_add_test(tc, slow_connects);
    tcase_add_test(tc, rate_not_reached);
    tcase_add_test(tc, rate_all_but_reached);
    tcase_add_test(tc, tails);
    tcase_add_test(tc, tail_of_few);
    tcase_add_test(tc, median);
    tcase_add_test(tc, far_away);
    tc = tcase(suite, "client");
    tcase_add_test(tc, busy);
    tcase_add_test(tc, late);
    tcase_add_test(tc, hardly_late);
    tcase_add_test(tc, used_up);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
