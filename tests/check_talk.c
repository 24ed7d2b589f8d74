/* The client's talk against a raw peer: what it sends and prints, when its FIN goes, what it says
 * of each way a connection can fail, and its exit status. */
#include "config.h"

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "talk_run.h"

#define CLEAN 0, "clean"
#define QUIET (const char *)NULL

/* --- frames both ways --- */

START_TEST(lines_are_frames)
{
    struct talk_run run;
    talk_start(&run, "one\n\ncarriage\r\nlast", NULL);
    raw_expect_frame(run.fd, "one");
    raw_expect_frame(run.fd, "");
    raw_expect_frame(run.fd, "carriage\r");
    raw_expect_frame(run.fd, "last");
    raw_send_frame(run.fd, "eno");
    raw_send_frame(run.fd, "");
    raw_send_frame(run.fd, "\x1b[31m\r");
    raw_send_frame(run.fd, "\xff");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "eno\n\n\x1b[31m\r\n\xff\n", QUIET);
    ck_assert_str_eq(talk_record_text(&run, "closed_first"), "local");
    ck_assert_str_eq(talk_record_text(&run, "time_wait"), "ours");
    ck_assert_int_eq(talk_record(&run, "frames_in"), 4);
    ck_assert_int_eq(talk_record(&run, "frames_out"), 4);
}
END_TEST

START_TEST(hex_both_ways)
{
    struct talk_run run;
    talk_start(&run, "00ff\n\n 0A 0d\n7E", "--stdio", "hex", NULL);
    raw_expect(run.fd, "\0\0\0\2\0\377\0\0\0\0\0\0\0\2\n\r\0\0\0\1~", 21);
    raw_send(run.fd, "\0\0\0\2\n\0\0\0\0\0\0\0\0\3abc\0\0\0\0", 21);
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "0a00\n\n616263\n\n", QUIET);
}
END_TEST

/* stdin and stdout in one framing, the wire in another. */
START_TEST(other_codecs)
{
    struct talk_run run;
    talk_start(&run, "3:a\nb,0:,", "--stdio", "netstring", "-F", "u16le", NULL);
    raw_expect(run.fd, "\3\0a\nb\0\0", 7);
    raw_send(run.fd, "\0\0\2\0,:", 6);
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "0:,2:,:,", QUIET);
}
END_TEST

START_TEST(delimiter_in_a_reply)
{
    struct talk_run run;
    talk_start(&run, "a\nb\n", NULL);
    raw_send_frame(run.fd, "two\nlines");
    raw_send_frame(run.fd, "one");
    raw_expect_frame(run.fd, "a");
    raw_expect_frame(run.fd, "b");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "two\nlines\none\n", "1 of 2 frames held the delimiter of --stdio line",
              "--stdio hex", NULL);
}
END_TEST

START_TEST(trace_shows_frames)
{
    struct talk_run run;
    talk_start(&run, "hello\n", "-x", NULL);
    raw_expect_frame(run.fd, "hello");
    raw_send_frame(run.fd, "he");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "he\n", " > frame 1, 5 B   00 00 00 05 | 68 65 6c 6c 6f",
              " < frame 1, 2 B   00 00 00 02 | 68 65", NULL);
}
END_TEST

/* --- when our FIN goes --- */

START_TEST(fin_after_replies)
{
    struct talk_run run;
    talk_start(&run, "a\nb\n", NULL);
    raw_expect_frame(run.fd, "a");
    raw_expect_frame(run.fd, "b");
    raw_send_frame(run.fd, "A");
    raw_expect_silence(run.fd, 100);
    raw_send_frame(run.fd, "B");
    raw_expect_fin(run.fd);
    raw_send_frame(run.fd, "after it");
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "A\nB\nafter it\n", QUIET);
    ck_assert_int_eq(talk_record(&run, "bytes_after_fin"), 12);
}
END_TEST

/* Fewer replies than frames: a second of silence must do. */
START_TEST(fin_after_silence)
{
    struct talk_run run;
    talk_start(&run, "a\nb\n", "-v", NULL);
    raw_expect_frame(run.fd, "a");
    raw_expect_frame(run.fd, "b");
    raw_send_frame(run.fd, "A");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "A\n", "the peer is silent", NULL);
    ck_assert_int_ge(talk_record(&run, "fin_sent_us") - talk_record(&run, "first_frame_us"),
                     999000);
}
END_TEST

/* An answer of several frames, as redis and memcached give: half-closing after the first of them
 * would lose the rest. */
START_TEST(fin_not_inside_an_answer)
{
    struct talk_run run;
    talk_start(&run, "get\n", "-F", "crlf", NULL);
    raw_expect(run.fd, "get\r\n", 5);
    raw_send(run.fd, "VALUE\r\n12", 9);
    raw_expect_silence(run.fd, 300);
    raw_send(run.fd, "34\r\nEND\r\n", 9);
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "VALUE\n1234\nEND\n", QUIET);
    ck_assert_int_eq(talk_record(&run, "bytes_after_fin"), 0);
}
END_TEST

START_TEST(fin_after_eof)
{
    struct talk_run run;
    talk_start(&run, "a\n", "--fin-after", "eof", NULL);
    raw_expect_frame(run.fd, "a");
    raw_expect_fin(run.fd);
    raw_send_frame(run.fd, "A");
    raw_send_frame(run.fd, "B");
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "A\nB\n", QUIET);
    ck_assert_str_eq(talk_record_text(&run, "closed_first"), "local");
}
END_TEST

START_TEST(fin_after_eof_needs_no_reply)
{
    struct talk_run run;
    talk_start(&run, "a\n", "--fin-after", "eof", NULL);
    raw_expect_frame(run.fd, "a");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "", QUIET);
}
END_TEST

START_TEST(fin_never_first)
{
    struct talk_run run;
    talk_start(&run, "a\n", "--fin-after", "never", NULL);
    raw_expect_frame(run.fd, "a");
    raw_send_frame(run.fd, "A");
    raw_send_frame(run.fd, "B");
    raw_expect_silence(run.fd, 1500);
    raw_fin(run.fd);
    raw_expect_fin(run.fd);
    talk_ends(&run, CLEAN, "A\nB\n", QUIET);
    ck_assert_str_eq(talk_record_text(&run, "closed_first"), "peer");
    ck_assert_str_eq(talk_record_text(&run, "time_wait"), "theirs");
}
END_TEST

/* Nothing to send: nothing is owed. */
START_TEST(empty_input)
{
    struct talk_run run;
    talk_start(&run, NULL, NULL);
    talk_type_end(&run);
    raw_expect_fin(run.fd);
    raw_send_frame(run.fd, "greeting");
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "greeting\n", QUIET);
}
END_TEST

/* Answers while standard input stays open; no reply is late before its end. */
START_TEST(a_dialogue)
{
    struct talk_run run;
    talk_start(&run, NULL, "--reply-timeout", "100ms", NULL);
    talk_type(&run, "ask\npart");
    raw_expect_frame(run.fd, "ask");
    raw_expect_silence(run.fd, 400);
    raw_send_frame(run.fd, "answer");
    pair_await_out(run.client, "answer\n");
    talk_type(&run, "ly");
    talk_type_end(&run);
    raw_expect_frame(run.fd, "partly");
    raw_send_frame(run.fd, "2");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "answer\n2\n", QUIET);
}
END_TEST

/* With standard input open but empty, a peer that has answered may end. */
START_TEST(peer_ends_first)
{
    struct talk_run run;
    talk_start(&run, NULL, NULL);
    talk_type(&run, "a\n");
    raw_expect_frame(run.fd, "a");
    raw_send_frame(run.fd, "A");
    raw_fin(run.fd);
    raw_expect_fin(run.fd);
    talk_ends(&run, CLEAN, "A\n", QUIET);
    ck_assert_str_eq(talk_record_text(&run, "closed_first"), "peer");
}
END_TEST

/* Replies and FIN found at once, after a stop: all is printed. */
START_TEST(replies_before_its_fin)
{
    struct talk_run run;
    talk_start(&run, "a\nb\n", NULL);
    raw_expect_frame(run.fd, "a");
    raw_send_frame(run.fd, "A");
    pair_await_out(run.client, "A\n");
    pair_signal(run.client, SIGSTOP);
    raw_send_frame(run.fd, "B");
    raw_expect_frame(run.fd, "b");
    raw_fin(run.fd);
    pair_signal(run.client, SIGCONT);
    raw_expect_fin(run.fd);
    talk_ends(&run, CLEAN, "A\nB\n", QUIET);
}
END_TEST

/* --- signals --- */

START_TEST(one_signal_is_graceful)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    struct talk_run run;
    talk_start(&run, NULL, NULL);
    talk_type(&run, "a\n");
    raw_expect_frame(run.fd, "a");
    pair_signal(run.client, numbers[_i]);
    raw_expect_fin(run.fd);
    raw_send_frame(run.fd, "late");
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "late\n", _i == 0 ? "SIGINT: " : "SIGTERM: ", NULL);
}
END_TEST

START_TEST(two_signals_cut)
{
    struct talk_run run;
    talk_start(&run, NULL, NULL);
    talk_type(&run, "a\n");
    raw_expect_frame(run.fd, "a");
    pair_signal(run.client, SIGINT);
    raw_expect_fin(run.fd);
    pair_signal(run.client, SIGINT);
    talk_ends(&run, 130, "aborted", "", "verdict: aborted at linger: second SIGINT",
              "    try: one ^C", NULL);
}
END_TEST

/* --- quiet and talkative --- */

START_TEST(verbose_accounts)
{
    struct talk_run run;
    talk_start(&run, "a\n", "-v", NULL);
    raw_expect_frame(run.fd, "a");
    raw_send_frame(run.fd, "A");
    raw_expect_fin(run.fd);
    raw_fin(run.fd);
    talk_ends(&run, CLEAN, "A\n", "resolve > create", "create > connect", "connect > transfer",
              "transfer > drain", "drain > linger", "linger > close", "stage ", "clean", NULL);
}
END_TEST

static void add_frames(Suite *suite)
{
    TCase *t = tcase_create("frames");
    tcase_add_checked_fixture(t, pair_begin, pair_end);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, lines_are_frames);
    tcase_add_test(t, hex_both_ways);
    tcase_add_test(t, other_codecs);
    tcase_add_test(t, delimiter_in_a_reply);
    tcase_add_test(t, trace_shows_frames);
    tcase_add_test(t, verbose_accounts);
    suite_add_tcase(suite, t);
}

static void add_fin(Suite *suite)
{
    TCase *t = tcase_create("fin");
    tcase_add_checked_fixture(t, pair_begin, pair_end);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, fin_after_replies);
    tcase_add_test(t, fin_after_silence);
    tcase_add_test(t, fin_not_inside_an_answer);
    tcase_add_test(t, fin_after_eof);
    tcase_add_test(t, fin_after_eof_needs_no_reply);
    tcase_add_test(t, fin_never_first);
    tcase_add_test(t, empty_input);
    tcase_add_test(t, a_dialogue);
    tcase_add_test(t, peer_ends_first);
    tcase_add_test(t, replies_before_its_fin);
    tcase_add_loop_test(t, one_signal_is_graceful, 0, 2);
    tcase_add_test(t, two_signals_cut);
    suite_add_tcase(suite, t);
}

int main(void)
{
    Suite *suite = suite_create("talk");
    add_frames(suite);
    add_fin(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
