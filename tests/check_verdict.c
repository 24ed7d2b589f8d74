/* What the client says of each way a connection can fail: fate, stage, evidence, what to try, exit
 * status; against a raw peer. */
#include "config.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talk_run.h"

START_TEST(reply_timeout)
{
    struct talk_run run;
    talk_start(&run, "hello\n", "--reply-timeout", "200ms", NULL);
    raw_expect_reset(run.fd);
    talk_ends(&run, 28, "reply-timeout", "",
              "synfin: verdict: reply-timeout at transfer: 9 B sent and acknowledged, 0 B back in "
              "200 ms\n",
              "    try: -F u32le (such a peer reads our 5 as 83,886,080 B and waits)", NULL);
}
END_TEST

START_TEST(reply_timeout_inside_a_reply)
{
    struct talk_run run;
    talk_start(&run, "hello\n", "--reply-timeout", "200ms", "-F", "u16be", NULL);
    raw_send(run.fd, "\0\7par", 5);
    raw_expect_reset(run.fd);
    talk_ends(&run, 28, "reply-timeout", "",
              "reply-timeout at transfer: 7 B sent and acknowledged, 5 B back in 200 ms",
              "    try: -F: what came back is no whole frame of u16be", NULL);
}
END_TEST

START_TEST(unanswered)
{
    struct talk_run run;
    talk_start(&run, "a\nb\n", NULL);
    raw_expect_frame(run.fd, "a");
    raw_expect_frame(run.fd, "b");
    raw_fin(run.fd);
    raw_expect_fin(run.fd);
    talk_ends(&run, 1, "unanswered", "",
              "verdict: unanswered at transfer: the peer's FIN came after 2 frames and no reply",
              "    try: ", "its log at ", NULL);
}
END_TEST

static char *many_lines(size_t bytes)
{
    char *text = malloc(bytes + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', bytes);
    for (size_t i = 99; i < bytes; i += 100)
        text[i] = '\n';
    text[bytes] = '\0';
    return text;
}

/* The peer ends while there is more to send: that was lost, whatever it answered before. */
START_TEST(unanswered_rest)
{
    struct talk_run run;
    char *text = many_lines(8 << 20);
    talk_start(&run, text, "--set", "sndbuf=8K", NULL);
    raw_send_frame(run.fd, "A");
    raw_fin(run.fd);
    pair_await_out(run.client, "A\n");
    raw_read_to_fin(run.fd);
    talk_ends(&run, 1, "unanswered", "A\n",
              "verdict: unanswered at transfer: ", "with more on standard input", NULL);
    ck_assert_int_lt(talk_record(&run, "bytes_out"), 8 << 20);
    free(text);
}
END_TEST

START_TEST(reset_in_transfer)
{
    struct talk_run run;
    talk_start(&run, "a\nb\nc\n", NULL);
    raw_expect_frame(run.fd, "a");
    raw_expect_frame(run.fd, "b");
    raw_expect_frame(run.fd, "c");
    raw_send_frame(run.fd, "A");
    pair_await_out(run.client, "A\n");
    raw_reset(run.fd);
    talk_ends(&run, 56, "reset", "A\n",
              "verdict: reset at transfer: Connection reset by peer; after 1 frame back, 15 B sent "
              "and acknowledged",
              "    try: the peer crashed or closed with input unread: its log at ", NULL);
}
END_TEST

START_TEST(truncated)
{
    struct talk_run run;
    talk_start(&run, "a\nb\n", NULL);
    raw_expect_frame(run.fd, "a");
    raw_expect_frame(run.fd, "b");
    raw_send_frame(run.fd, "A");
    raw_send(run.fd, "\0\0\2\0half", 8);
    raw_fin(run.fd);
    raw_expect_fin(run.fd);
    talk_ends(&run, 56, "truncated", "A\n",
              "verdict: truncated at transfer: the peer's FIN came 8 B into frame 2 of 516 B",
              "    try: ", NULL);
}
END_TEST

START_TEST(frame_too_large)
{
    struct talk_run run;
    talk_start(&run, "a\n", NULL);
    raw_send(run.fd, "\5\0\0\0hello", 9);
    raw_expect_reset(run.fd);
    talk_ends(&run, 56, "frame-too-large", "",
              "verdict: frame-too-large at transfer: a length of 83,886,080 B is over 16.0 MiB; "
              "prefix 05 00 00 00\n",
              "    try: -F u32le reads it as 5 B", NULL);
}
END_TEST

START_TEST(bad_frame)
{
    struct talk_run run;
    talk_start(&run, "a\n", "-F", "netstring", NULL);
    raw_send(run.fd, "HTTP/1.1 400\r\n", 14);
    raw_expect_reset(run.fd);
    talk_ends(&run, 56, "bad-frame", "", "verdict: bad-frame at transfer: ", "    try: ", NULL);
}
END_TEST

START_TEST(idle_timeout)
{
    struct talk_run run;
    talk_start(&run, NULL, "--idle-timeout", "200ms", NULL);
    talk_type(&run, "a\n");
    raw_expect_frame(run.fd, "a");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, 28, "idle-timeout", "",
              "verdict: idle-timeout at transfer: nothing sent or received for 200 ms",
              "    try: a longer --idle-timeout", NULL);
}
END_TEST

START_TEST(frame_timeout)
{
    struct talk_run run;
    talk_start(&run, NULL, "--idle-timeout", "200ms", NULL);
    raw_send(run.fd, "\0\0\0\7par", 7);
    raw_expect_reset(run.fd);
    talk_ends(&run, 28, "frame-timeout", "",
              "verdict: frame-timeout at transfer: 7 B of frame 1 came",
              "    try: the peer stopped inside a frame", NULL);
}
END_TEST

START_TEST(slow_reader)
{
    struct talk_run run;
    char *text = many_lines(8 << 20);
    talk_start(&run, text, "--idle-timeout", "300ms", "--set", "sndbuf=8K", NULL);
    talk_ends(&run, 28, "slow-reader", "",
              "verdict: slow-reader at transfer: the peer took nothing",
              "    try: the peer stopped reading", NULL);
    free(text);
}
END_TEST

/* A peer that stops reading once stdin has come to its end, whether replies are waited for or not.
 */
START_TEST(drain_timeout)
{
    struct talk_run run;
    char *text = many_lines(300 << 10);
    talk_start(&run, text, "--drain-timeout", "300ms", "--set", "sndbuf=8K", "--fin-after",
               _i == 0 ? "eof" : "replies", NULL);
    talk_ends(&run, 28, "drain-timeout", "",
              _i == 0 ? "verdict: drain-timeout at drain: "
                      : "verdict: drain-timeout at transfer: ",
              "unsent", "    try: the peer stopped reading", NULL);
    free(text);
}
END_TEST

START_TEST(linger_timeout)
{
    struct talk_run run;
    talk_start(&run, "a\n", "--linger-timeout", "200ms", NULL);
    raw_expect_frame(run.fd, "a");
    raw_send_frame(run.fd, "A");
    raw_expect_fin(run.fd);
    talk_ends(
        &run, 28, "linger-timeout", "A\n",
        "verdict: linger-timeout at linger: our FIN was acknowledged, no FIN from the peer in "
        "200 ms",
        "    try: the server does not close at EOF; on it, ss -tn state close-wait", NULL);
}
END_TEST

/* What was sent before it is still sent, its replies are still printed. */
START_TEST(input_that_is_no_frame)
{
    struct talk_run run;
    talk_start(&run, "61\n62\n6x\n64\n", "--stdio", "hex", NULL);
    raw_expect_frame(run.fd, "a");
    raw_expect_frame(run.fd, "b");
    raw_send_frame(run.fd, "A");
    raw_expect_silence(run.fd, 100);
    raw_send_frame(run.fd, "B");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, 26, "input", "41\n42\n",
              "verdict: input at transfer: line 3 of standard input, column 2: 'x' is no hex digit",
              "    try: two digits a byte", NULL);
}
END_TEST

static const struct {
    const char *option, *value, *input, *what;
} refused_inputs[] = {
    {"-F", "u8",
     "ok\n0123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456789012345678901234567890123456789012345678901234567890123456789\n",
     "frame 2 of standard input: a body of 280 B does not fit the length field of u8"},
    {"-F", "delim:2c", "ok\nno,x\n",
     "frame 2 of standard input: the body of 4 B holds the delimiter 2c of delim:2c"},
    {"--max-frame", "4", "ok\n12345\n", "frame 2 of standard input: no delimiter 0a in 4 B"},
    {"--stdio", "u8", "\2ok\3no", "standard input ends inside frame 2, after 3 B of 4 B"},
    {"--stdio", "netstring", "2:ok,x", "frame 2 of standard input: "},
};

START_TEST(input_that_cannot_be_sent)
{
    struct talk_run run;
    talk_start(&run, refused_inputs[_i].input, refused_inputs[_i].option, refused_inputs[_i].value,
               NULL);
    raw_fin(run.fd);
    talk_ends(&run, 26, "input", "", "verdict: input at transfer: ", refused_inputs[_i].what,
              "    try: ", NULL);
}
END_TEST

START_TEST(quiet_keeps_the_verdict)
{
    struct talk_run run;
    talk_start(&run, "a\n", "-q", NULL);
    raw_expect_frame(run.fd, "a");
    raw_reset(run.fd);
    talk_ends(&run, 56, "reset", "", "synfin: verdict: reset at transfer: ", NULL);
}
END_TEST

static void add_fates(Suite *suite)
{
    TCase *t = tcase_create("fates");
    tcase_add_checked_fixture(t, pair_begin, pair_end);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, quiet_keeps_the_verdict);
    tcase_add_test(t, reply_timeout);
    tcase_add_test(t, reply_timeout_inside_a_reply);
    tcase_add_test(t, unanswered);
    tcase_add_test(t, unanswered_rest);
    tcase_add_test(t, reset_in_transfer);
    tcase_add_test(t, truncated);
    tcase_add_test(t, frame_too_large);
    tcase_add_test(t, bad_frame);
    tcase_add_test(t, idle_timeout);
    tcase_add_test(t, frame_timeout);
    tcase_add_test(t, slow_reader);
    tcase_add_loop_test(t, drain_timeout, 0, 2);
    tcase_add_test(t, linger_timeout);
    tcase_add_test(t, input_that_is_no_frame);
    tcase_add_loop_test(t, input_that_cannot_be_sent, 0,
                        (int)(sizeof refused_inputs / sizeof *refused_inputs));
    suite_add_tcase(suite, t);
}

int main(void)
{
    Suite *suite = suite_create("verdict");
    add_fates(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
