/* The peer killed (SIGKILL) in each phase of a connection's life, both ways round: what the one
 * that is left says of it, its exit status, and that it ends. The kernel of the killed side sends
 * FIN, or RST if bytes were left unread there; a stop (SIGSTOP) before the kill settles which. */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"
#include "records.h"

static struct program *server, *client;
static int in, out; /* our ends of the client's stdin and stdout pipes, or -1 */
static char server_journal[512], client_journal[512];

static void begin(void)
{
    pair_begin();
    snprintf(server_journal, sizeof server_journal, "jsonl:%s", pair_file("server"));
    snprintf(client_journal, sizeof client_journal, "jsonl:%s", pair_file("client"));
    in = out = -1;
}

static void server_start(const char *handler, const char *option)
{
    server = pair_server("-v", "-t", "1", "--linger-timeout", "60s", "--set", "rcvbuf=8K", "--set",
                         "sndbuf=8K", "--journal", server_journal, "-H", handler, option, NULL);
}

/* Its stdin is a pipe that stays open, or `input`; its stdout a pipe nobody reads, if asked for. */
static void client_start(const char *fin_after, const char *input, size_t input_length,
                         bool stalled_stdout)
{
    const char *arguments[] = {"-v",
                               "--set",
                               "rcvbuf=8K",
                               "--set",
                               "sndbuf=8K",
                               "--linger-timeout",
                               "60s",
                               "--journal",
                               client_journal,
                               "--fin-after",
                               fin_after,
                               "127.0.0.1",
                               server->port_text,
                               NULL};
    struct start start = {
        .program = "synfin", .arguments = arguments, .input = input, .input_length = input_length};
    int fds[2];
    if (input == NULL)
        in = pair_pipe(&start.in);
    if (stalled_stdout) {
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        out = fds[0];
        start.out = fds[1];
    }
    client = pair_start(&start);
    if (input == NULL)
        close(start.in);
    if (stalled_stdout)
        close(start.out);
}

static void type(const char *text)
{
    ck_assert_int_eq(write(in, text, strlen(text)), (ssize_t)strlen(text));
}

static void read_out(void)
{
    char some[65536];
    ssize_t n;
    while ((n = read(out, some, sizeof some)) > 0)
        ;
    ck_assert_int_eq(n, 0);
}

/* Whether a connection of this port's has, on either side, bytes that the other has not
 * acknowledged.
 */
static bool has_unsent(int port)
{
    char line[512];
    bool found = false;
    FILE *file = fopen("/proc/net/tcp", "re");
    ck_assert_ptr_nonnull(file);
    while (!found && fgets(line, sizeof line, file) != NULL) {
        unsigned local, remote, unsent;
        found = sscanf(line, " %*d: %*x:%x %*x:%x %*x %x:", &local, &remote, &unsent) == 3 &&
                (local == (unsigned)port || remote == (unsigned)port) && unsent > 0;
    }
    fclose(file);
    return found;
}

/* The kernel tells nobody when a foreign socket's queue fills, so it is asked again and again. */
static void await_unsent(int port)
{
    int64_t due = pair_now_ms() + pair_patience(20000);
    while (!has_unsent(port)) {
        ck_assert_msg(pair_now_ms() < due, "nothing was sent; %s", pair_err(client));
        poll(NULL, 0, 2);
    }
}

static void check_record(const char *name, const char *fate, const char *phase)
{
    struct records records = records_read(pair_file(name));
    ck_assert_uint_eq(records.count, 1);
    ck_assert_str_eq(record_text(records.line[0], "fate"), fate);
    if (phase != NULL)
        ck_assert_str_eq(record_text(records.line[0], "failed_at"), phase);
    records_free(&records);
}

/* Kills the server and holds the client's end against this. */
static void server_dies(int status, const char *fate, const char *phase)
{
    pair_signal(server, SIGKILL);
    pair_wait(server);
    if (out >= 0)
        read_out();
    ck_assert_msg(pair_wait(client) == status, "status %d, not %d; stderr: %s", client->status,
                  status, pair_err(client));
    check_record("client", fate, phase);
    if (phase != NULL) {
        char verdict[128];
        snprintf(verdict, sizeof verdict, "synfin: verdict: %s at %s: ", fate, phase);
        ck_assert_msg(strstr(pair_err(client), verdict) != NULL, "%s", pair_err(client));
    }
}

/* Kills the client, lets the server go on, and holds its record of it against this. */
static void client_dies(const char *fate, const char *closed)
{
    pair_signal(client, SIGKILL);
    pair_wait(client);
    pair_signal(server, SIGCONT);
    pair_await_err(server, closed);
    ck_assert_msg(pair_stop(server) == 0, "%s", pair_err(server));
    check_record("server", fate, NULL);
}

static char *lines(size_t bytes, size_t each)
{
    char *text = malloc(bytes + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', bytes);
    for (size_t i = each - 1; i < bytes; i += each)
        text[i] = '\n';
    text[bytes] = '\0';
    return text;
}

/* --- the server killed --- */

/* Its accept queue is full: our SYN waits; nobody answers its repetition any more. */
START_TEST(server_in_connect)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server_start("echo", "--backlog=1");
    address.sin_port = htons((uint16_t)server->port);
    pair_signal(server, SIGSTOP);
    for (int i = 0; i < 4; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fd, (struct sockaddr *)&address, sizeof address);
    }
    client_start("replies", "", 0, false);
    pair_await_err(client, "create > connect");
    server_dies(7, "refused", "connect");
}
END_TEST

/* All was answered, standard input is open: the FIN is like any other. */
START_TEST(server_in_transfer_idle)
{
    server_start("echo", NULL);
    client_start("replies", NULL, 0, false);
    type("a\n");
    pair_await_out(client, "a\n");
    server_dies(0, "clean", NULL);
}
END_TEST

START_TEST(server_in_transfer_unread)
{
    char *text = lines(8 << 20, 1000);
    server_start("echo", NULL);
    pair_signal(server, SIGSTOP);
    client_start("replies", text, 0, false);
    pair_await_err(client, "connect > transfer");
    server_dies(56, "reset", "transfer");
    free(text);
}
END_TEST

/* Read, and not answered: a discarding server never does. */
START_TEST(server_in_transfer_unanswered)
{
    server_start("discard", "-x");
    client_start("replies", NULL, 0, false);
    type("a\n");
    pair_await_err(server, "frame 1, 1 B");
    server_dies(1, "unanswered", "transfer");
}
END_TEST

/* A frame of 1 MiB is under way to a client whose stdout takes nothing. */
START_TEST(server_in_transfer_inside_a_frame)
{
    server_start("source", "--size=1M");
    client_start("never", NULL, 0, true);
    await_unsent(server->port);
    server_dies(56, "truncated", "transfer");
}
END_TEST

START_TEST(server_in_drain)
{
    char *text = lines(300 << 10, 1000);
    server_start("echo", NULL);
    pair_signal(server, SIGSTOP);
    client_start("eof", text, 0, false);
    pair_await_err(client, "transfer > drain");
    server_dies(56, "reset", "drain");
    free(text);
}
END_TEST

START_TEST(server_in_linger_unread)
{
    server_start("echo", NULL);
    pair_signal(server, SIGSTOP);
    client_start("eof", "a\n", 0, false);
    pair_await_err(client, "drain > linger");
    server_dies(56, "reset", "linger");
}
END_TEST

START_TEST(server_in_linger_answered)
{
    server_start("echo", NULL);
    client_start("replies", NULL, 0, false);
    type("a\n");
    pair_await_out(client, "a\n");
    pair_signal(server, SIGSTOP);
    close(in);
    pair_await_err(client, "drain > linger");
    server_dies(0, "clean", NULL);
}
END_TEST

/* --- the client killed --- */

START_TEST(client_in_queue)
{
    server_start("echo", NULL);
    pair_signal(server, SIGSTOP);
    client_start("replies", NULL, 0, false);
    pair_await_err(client, "connect > transfer");
    client_dies("clean", "close > closed");
}
END_TEST

START_TEST(client_in_transfer_idle)
{
    server_start("echo", NULL);
    client_start("replies", NULL, 0, false);
    type("a\n");
    pair_await_out(client, "a\n");
    client_dies("clean", "close > closed");
}
END_TEST

/* A frame larger than all buffers between the two. */
START_TEST(client_in_transfer_inside_a_frame)
{
    char *text = lines(8 << 20, 8 << 20);
    server_start("echo", NULL);
    pair_signal(server, SIGSTOP);
    client_start("replies", text, 0, false);
    await_unsent(server->port);
    client_dies("truncated", "close > closed");
    free(text);
}
END_TEST

/* Frames wait unread at a client that is stopped, and at the server that goes on making them. */
static void stall_client(void)
{
    server_start("source", "--size=1000");
    client_start("never", NULL, 0, true);
    pair_await_err(server, "queue > transfer");
    pair_signal(client, SIGSTOP);
}

START_TEST(client_in_transfer_unread)
{
    stall_client();
    client_dies("reset", "close > closed");
}
END_TEST

START_TEST(client_in_drain)
{
    stall_client();
    pair_signal(server, SIGTERM);
    pair_await_err(server, "transfer > drain");
    pair_signal(client, SIGKILL);
    pair_wait(client);
    ck_assert_msg(pair_wait(server) == 0, "%s", pair_err(server));
    check_record("server", "reset", "drain");
}
END_TEST

START_TEST(client_in_linger)
{
    server_start("echo", NULL);
    client_start("replies", NULL, 0, false);
    type("a\n");
    pair_await_out(client, "a\n");
    pair_signal(client, SIGSTOP);
    pair_signal(server, SIGTERM);
    pair_await_err(server, "drain > linger");
    pair_signal(client, SIGKILL);
    pair_wait(client);
    ck_assert_msg(pair_wait(server) == 0, "%s", pair_err(server));
    check_record("server", "clean", NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kill");
    TCase *t = tcase_create("kill");
    tcase_add_checked_fixture(t, begin, pair_end);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, server_in_connect);
    tcase_add_test(t, server_in_transfer_idle);
    tcase_add_test(t, server_in_transfer_unread);
    tcase_add_test(t, server_in_transfer_unanswered);
    tcase_add_test(t, server_in_transfer_inside_a_frame);
    tcase_add_test(t, server_in_drain);
    tcase_add_test(t, server_in_linger_unread);
    tcase_add_test(t, server_in_linger_answered);
    tcase_add_test(t, client_in_queue);
    tcase_add_test(t, client_in_transfer_idle);
    tcase_add_test(t, client_in_transfer_inside_a_frame);
    tcase_add_test(t, client_in_transfer_unread);
    tcase_add_test(t, client_in_drain);
    tcase_add_test(t, client_in_linger);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
