/* The handlers, and one life alone. */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serving.h"
#include "wire.h"

/* --- handlers --- */

START_TEST(echo_and_upper)
{
    static const char *const replies[][2] = {{"-Hecho", "gr\xc3\xbc\xc3\x9f 1z"},
                                             {"-Hupper", "GR\xc3\xbc\xc3\x9f 1Z"}};
    struct program *server = pair_server(replies[_i][0], NULL);
    int fd = wire_connect(server->port);
    wire_talk(fd, "gr\xc3\xbc\xc3\x9f 1z", replies[_i][1]);
    wire_talk(fd, "", "");
    wire_finish(fd);
    ck_assert_int_eq(pair_stop(server), 0);
    serving_expect_err(server, "2 frames accepted, 2 answered, 0 lost");
}
END_TEST

/* A length of 97 is an 'a'. */
START_TEST(upper_leaves_headers)
{
    struct program *server =
        pair_server("-H", "upper", "-F", "field:offset=0,width=1,strip=no", NULL);
    int fd = wire_connect(server->port);
    char bytes[98];
    memset(bytes, 'b', sizeof(bytes));
    bytes[0] = 'a';
    ck_assert_int_eq(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), (ssize_t)sizeof(bytes));
    ck_assert_int_eq(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), (ssize_t)sizeof(bytes));
    ck_assert_int_eq(bytes[0], 'a');
    for (size_t i = 1; i < sizeof(bytes); i++)
        ck_assert_int_eq(bytes[i], 'B');
    wire_finish(fd);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

START_TEST(discard_says_nothing)
{
    struct program *server = pair_server("-H", "discard", NULL);
    int fd = wire_connect(server->port);
    wire_send(fd, "hello");
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    ck_assert_ptr_null(wire_read(fd));
    close(fd);
    pair_await_err(server, "clean: ");
    serving_expect_err(server, "1 frame in, 0 out");
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

START_TEST(ack_prints_and_confirms)
{
    struct program *server = pair_server("-H", "ack", NULL);
    int fd = wire_connect(server->port);
    wire_talk(fd, "hello", "1 5");
    wire_talk(fd, "", "2 0");
    wire_talk(fd, "a\tb\x01", "3 4");
    /* What is confirmed is printed. */
    ck_assert_str_eq(pair_out(server, NULL), "hello\n\na\tb\x01\n");
    wire_finish(fd);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

static struct program *ack_to(int out, const char *journal)
{
    const char *arguments[] = {"-x", "-H", "ack", "--journal", journal, "0", NULL};
    struct start start = {.arguments = arguments, .out = out};
    return pair_server_start(&start);
}

START_TEST(ack_without_room_to_print)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct program *server = ack_to(full, serving_journal());
    int fd = wire_connect(server->port);
    wire_send(fd, "hello");
    ck_assert_int_eq(wire_end(fd), WIRE_RST);
    close(fd);
    ck_assert_int_eq(pair_stop(server), 0);
    close(full);
    serving_expect_err(server, "standard output: No space left on device");
    struct records records = serving_records();
    ck_assert_uint_eq(records.count, 1);
    ck_assert_str_eq(record_text(records.line[0], "fate"), "output");
    records_free(&records);
}
END_TEST

/* A reader of our output that stops must not keep the server from its end. */
START_TEST(ack_stuck_in_a_write)
{
    int in, out = pair_pipe(&in);
    struct program *server = ack_to(out, serving_journal());
    char text[4001];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    int fd = wire_connect(server->port);
    for (int i = 0; i < 40; i++)
        wire_send(fd, text);
    pair_await_err(server, "frame 40, "); /* by then more is accepted than the pipe holds */
    pair_signal(server, SIGTERM);
    pair_await_err(server, "draining 1,");
    pair_signal(server, SIGTERM);
    ck_assert_int_eq(pair_wait(server), 1);
    ck_assert_int_eq(wire_end(fd), WIRE_RST);
    close(fd);
    close(in);
    close(out);
}
END_TEST

/* Standard output may be a pipe that another process has made non-blocking. */
START_TEST(ack_waits_for_room_to_print)
{
    enum { LENGTH = 4000, COUNT = 40 };
    int in, out = pair_pipe(&in);
    ck_assert_int_eq(fcntl(out, F_SETFL, O_NONBLOCK), 0);
    struct program *server = ack_to(out, serving_journal());
    char text[LENGTH + 1], line[LENGTH + 1], reply[24];
    memset(text, 'x', LENGTH);
    text[LENGTH] = '\0';
    int fd = wire_connect(server->port);
    for (int i = 0; i < COUNT; i++)
        wire_send(fd, text);
    pair_await_err(server, "frame 40, "); /* by then more is accepted than the pipe holds */
    for (int i = 0; i < COUNT; i++)
        for (size_t have = 0; have < sizeof line;) {
            ssize_t n = read(in, line + have, sizeof line - have);
            ck_assert_int_gt(n, 0);
            have += (size_t)n;
        }
    for (int i = 0; i < COUNT; i++) {
        snprintf(reply, sizeof reply, "%d %d", i + 1, LENGTH);
        ck_assert_str_eq(wire_read(fd), reply);
    }
    wire_finish(fd);
    ck_assert_int_eq(pair_stop(server), 0);
    close(in);
    close(out);
}
END_TEST

/* Frames without a body take memory too while they wait to be printed. */
START_TEST(ack_of_empty_frames_is_bounded)
{
    static const uint8_t frames[80000]; /* of four bytes each */
    int in, out = pair_pipe(&in), size = fcntl(out, F_SETPIPE_SZ, 4096);
    struct program *server = ack_to(out, serving_journal());
    ck_assert_int_gt(size, 0);
    ck_assert_int_le(size, (int)sizeof frames);
    ck_assert_int_eq(write(out, frames, (size_t)size), size); /* no room for a line */
    int fd = wire_connect(server->port);
    for (size_t sent = 0; sent < sizeof frames;) {
        ssize_t n = send(fd, frames + sent, sizeof frames - sent, MSG_NOSIGNAL);
        ck_assert_int_gt(n, 0);
        sent += (size_t)n;
    }
    pair_await_err(server, "frame 4,096, ");
    pair_signal(server, SIGTERM);
    pair_await_err(server, "draining 1,");
    pair_await_err(server, "frame 20,000, ");
    pair_signal(server, SIGTERM);
    ck_assert_int_eq(pair_wait(server), 1);
    ck_assert_int_eq(wire_end(fd), WIRE_RST);
    close(fd);
    close(in);
    close(out);
    struct records records = serving_records();
    ck_assert_uint_eq(records.count, 1);
    ck_assert_int_eq(record_number(records.line[0], "accepted"), 4096);
    ck_assert_int_eq(record_number(records.line[0], "discarded"), 20000 - 4096);
    records_free(&records);
}
END_TEST

START_TEST(source_counts)
{
    static const struct {
        const char *size, *first, *second;
    } sizes[] = {{"3", "000", "001"},
                 {"12", "000000000000", "000000000001"},
                 {"16", "0000000000000000", "0000000000000001"}};
    struct program *server =
        pair_server("-H", "source", "-s", sizes[_i % 3].size, _i < 3 ? NULL : "-r", "1k", NULL);
    int fd = wire_connect(server->port);
    ck_assert_pstr_eq(wire_read(fd), sizes[_i % 3].first);
    ck_assert_pstr_eq(wire_read(fd), sizes[_i % 3].second);
    wire_finish(fd);
    fd = wire_connect(server->port);
    ck_assert_pstr_eq(wire_read(fd), sizes[_i % 3].first);
    pair_signal(server, SIGTERM);
    ck_assert_int_eq(wire_end(fd), WIRE_FIN);
    close(fd);
    ck_assert_int_eq(pair_wait(server), 0);
}
END_TEST

/* Header and length agree where the codec hands the header over. */
START_TEST(source_makes_headers)
{
    struct program *server = pair_server("-H", "source", "-s", "10", "-F",
                                         "field:offset=1,width=2,order=le,adjust=0,strip=no", NULL);
    int fd = wire_connect(server->port);
    unsigned char bytes[20];
    ck_assert_int_eq(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), (ssize_t)sizeof(bytes));
    ck_assert_mem_eq(bytes,
                     "\0\7\0"
                     "0000000",
                     10);
    ck_assert_mem_eq(bytes + 10,
                     "\0\7\0"
                     "0000001",
                     10);
    wire_reset(fd);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

/* --- one-off --- */

START_TEST(one_off_clean)
{
    struct program *server = pair_server("-1", NULL);
    int fd = wire_connect(server->port);
    wire_talk(fd, "hello", "hello");
    ck_assert_int_lt(wire_try("127.0.0.1", server->port), 0);
    wire_finish(fd);
    ck_assert_int_eq(pair_wait(server), 0);
}
END_TEST

START_TEST(one_off_reset)
{
    struct program *server = pair_server("--one-off", "-t", "2", NULL);
    int fd = wire_connect(server->port);
    wire_talk(fd, "hello", "hello");
    wire_reset(fd);
    ck_assert_int_eq(pair_wait(server), 56);
}
END_TEST

START_TEST(one_off_without_a_connection)
{
    struct program *server = pair_server("-1", NULL);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

START_TEST(ack_with_stdout_closed)
{
    const char *arguments[] = {"-H", "ack", "0", NULL};
    struct start start = {.program = "synfind", .arguments = arguments, .out = PAIR_CLOSED};
    struct program *server = pair_start(&start);
    ck_assert_int_eq(pair_wait(server), 71);
    serving_expect_err(server, "standard output is closed");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handlers");
    TCase *tc = tcase_create("from outside");
    tcase_add_checked_fixture(tc, pair_begin, pair_end);
    tcase_set_timeout(tc, pair_patience(60000) / 1000.0);
    tcase_add_loop_test(tc, echo_and_upper, 0, 2);
    tcase_add_test(tc, upper_leaves_headers);
    tcase_add_test(tc, discard_says_nothing);
    tcase_add_test(tc, ack_prints_and_confirms);
    tcase_add_test(tc, ack_without_room_to_print);
    tcase_add_test(tc, ack_stuck_in_a_write);
    tcase_add_test(tc, ack_waits_for_room_to_print);
    tcase_add_test(tc, ack_of_empty_frames_is_bounded);
    tcase_add_loop_test(tc, source_counts, 0, 6);
    tcase_add_test(tc, source_makes_headers);
    tcase_add_test(tc, one_off_clean);
    tcase_add_test(tc, one_off_reset);
    tcase_add_test(tc, one_off_without_a_connection);
    tcase_add_test(tc, ack_with_stdout_closed);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
