/* synfind from outside: its addresses, its unix sockets, its handlers, its usage errors. Limits,
 * load and drain: check_server_load.c. */
#include "config.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "serving.h"
#include "wire.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* --- addresses --- */

static const struct {
    const char *arguments[4];
    bool four, six; /* who can connect on loopback */
} addresses[] = {
    {{"0"}, true, true},
    {{"-4", "0"}, true, false},
    {{"-6", "0"}, false, true},
    {{":0"}, true, true},
    {{"-4", ":0"}, true, false},
    {{"127.0.0.1:0"}, true, false},
    {{"127.0.0.1", "0"}, true, false},
    {{"[::1]:0"}, false, true},
    {{"::1", "0"}, false, true},
};

static bool have_six(void)
{
    return access("/proc/net/if_inet6", R_OK) == 0 &&
           (wire_try("::1", 1) >= 0 || errno == ECONNREFUSED);
}

static void expect_reach(const char *host, int port, bool reached)
{
    int fd = wire_try(host, port);
    ck_assert_msg((fd >= 0) == reached, "%s %s: %s", host, reached ? "is not served" : "is served",
                  strerror(errno));
    if (fd < 0)
        return;
    wire_talk(fd, "hello", "hello");
    wire_finish(fd);
}

START_TEST(address_forms)
{
    bool six = have_six();
    struct start start = {.arguments = addresses[_i].arguments};
    if (addresses[_i].six && !addresses[_i].four && !six)
        return;
    struct program *server = pair_server_start(&start);
    expect_reach("127.0.0.1", server->port, addresses[_i].four);
    if (six)
        expect_reach("::1", server->port, addresses[_i].six);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

START_TEST(port_file_is_whole_and_alone)
{
    struct program *server = pair_server("-t", "1", NULL);
    char listening[64];
    DIR *folder = opendir(pair_dir());
    unsigned like_it = 0;
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        like_it += strstr(entry->d_name, ".port") != NULL;
    closedir(folder);
    ck_assert_uint_eq(like_it, 1);
    snprintf(listening, sizeof(listening), "listening on 127.0.0.1:%d", server->port);
    ck_assert_ptr_nonnull(strstr(pair_err(server), listening));
    snprintf(listening, sizeof(listening), "for all: synfind :%d", server->port);
    ck_assert_ptr_nonnull(strstr(pair_err(server), listening));
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

static struct program *start_at(const char *address, const char *option)
{
    const char *arguments[] = {address, option, NULL};
    struct start start = {.program = "synfind", .arguments = arguments};
    return pair_start(&start);
}

START_TEST(second_server_is_refused)
{
    struct program *first = pair_server("-t", "1", NULL);
    struct program *second = start_at(first->port_text, NULL);
    char where[64], mend[64];
    ck_assert_int_eq(pair_wait(second), 71);
    snprintf(where, sizeof(where), "127.0.0.1:%d: Address already in use", first->port);
    snprintf(mend, sizeof(mend), "ss -ltnp 'sport = :%d'", first->port);
    serving_expect_err(second, where);
    serving_expect_err(second, mend);
    second = start_at(first->port_text, "--reuseport");
    ck_assert_int_eq(pair_wait(second), 71);
    expect_reach("127.0.0.1", first->port, true);
    ck_assert_int_eq(pair_stop(first), 0);
}
END_TEST

START_TEST(reuseport_shares)
{
    struct program *first = pair_server("--reuseport", "-t", "1", NULL);
    const char *arguments[] = {"--reuseport", "-t", "1", first->port_text, NULL};
    struct start start = {.arguments = arguments};
    struct program *second = pair_server_start(&start);
    ck_assert_int_eq(second->port, first->port);
    ck_assert_int_eq(pair_stop(first), 0);
    expect_reach("127.0.0.1", second->port, true);
    ck_assert_int_eq(pair_stop(second), 0);
}
END_TEST

/* --- unix sockets --- */

static char unix_path[300], unix_address[310];

static void name_unix(void)
{
    snprintf(unix_path, sizeof(unix_path), "%s", pair_file("echo.sock"));
    snprintf(unix_address, sizeof(unix_address), "unix:%s", unix_path);
}

static struct program *unix_server(void)
{
    struct program *server = start_at(unix_address, NULL);
    pair_await_err(server, "listening on unix:");
    return server;
}

static void expect_unix_echo(void)
{
    int fd = wire_try_unix(unix_path);
    ck_assert_msg(fd >= 0, "%s: %s", unix_path, strerror(errno));
    wire_talk(fd, "hello", "hello");
    wire_finish(fd);
}

START_TEST(unix_socket_is_made_and_removed)
{
    name_unix();
    struct program *server = unix_server();
    expect_unix_echo();
    ck_assert_int_eq(pair_stop(server), 0);
    ck_assert_int_ne(access(unix_path, F_OK), 0);
}
END_TEST

START_TEST(abstract_unix_socket)
{
    char address[64];
    snprintf(address, sizeof(address), "unix:@synfin-check-%ld", (long)getpid());
    struct program *server = start_at(address, NULL);
    pair_await_err(server, "listening on unix:@");
    struct program *second = start_at(address, NULL);
    ck_assert_int_eq(pair_wait(second), 71);
    serving_expect_err(second, "a server is listening there; ss -xlp src @synfin-check-");
    struct program *client = pair_client("hello\n", address, NULL);
    ck_assert_msg(pair_wait(client) == 0, "%s", pair_err(client));
    ck_assert_str_eq(pair_out(client, NULL), "hello\n");
    ck_assert_int_ne(access(address + strlen("unix:"), F_OK), 0);
    ck_assert_int_eq(pair_stop(server), 0);
    client = pair_client("", address, NULL);
    ck_assert_int_eq(pair_wait(client), 7);
    serving_expect_err(client, "nobody listens on it");
}
END_TEST

START_TEST(stale_unix_socket_is_replaced)
{
    name_unix();
    struct program *server = unix_server();
    pair_signal(server, SIGKILL);
    pair_wait(server);
    ck_assert_int_eq(access(unix_path, F_OK), 0);
    server = unix_server();
    expect_unix_echo();
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

START_TEST(live_unix_socket_is_refused)
{
    name_unix();
    struct program *first = unix_server(), *second = start_at(unix_address, NULL);
    ck_assert_int_eq(pair_wait(second), 71);
    serving_expect_err(second, "a server is listening there");
    expect_unix_echo();
    ck_assert_int_eq(pair_stop(first), 0);
}
END_TEST

START_TEST(other_file_is_refused)
{
    name_unix();
    int fd = open(unix_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "mine", 4), 4);
    close(fd);
    struct program *server = start_at(unix_address, NULL);
    ck_assert_int_eq(pair_wait(server), 71);
    serving_expect_err(server, "a file that is no socket is there");
    char *text = pair_read_file(unix_path, NULL);
    ck_assert_pstr_eq(text, "mine");
    free(text);
}
END_TEST

START_TEST(other_socket_is_not_removed)
{
    name_unix();
    struct program *first = unix_server();
    ck_assert_int_eq(unlink(unix_path), 0);
    struct program *second = unix_server();
    ck_assert_int_eq(pair_stop(first), 0);
    expect_unix_echo();
    ck_assert_int_eq(pair_stop(second), 0);
    ck_assert_int_ne(access(unix_path, F_OK), 0);
}
END_TEST

/* --- the command line --- */

static const struct {
    const char *arguments[8];
    int status;
    const char *what;
} refusals[] = {
    {{NULL}, 2, "where to listen is missing"},
    {{"65536"}, 2, "port 65536 is over 65535"},
    {{"-H", "eco", "0"}, 2, "-H eco: there is no such handler; there are echo"},
    {{"-s", "64", "0"}, 2, "-s belongs to -H source, and the handler is echo"},
    {{"-r", "5", "-H", "upper", "0"}, 2, "-r belongs to -H source, and the handler is upper"},
    {{"-H", "source", "-s", "2M", "--max-frame", "1M", "0"}, 2, "longer than --max-frame"},
    {{"-H", "source", "-s", "256", "-F", "u8", "0"}, 2, "-s 256: a body of 256 B cannot be framed"},
    {{"-H", "source", "-s", "1", "-F", "field:offset=0,width=2,strip=no", "0"},
     2,
     "-s 1: a body of 1 B cannot be framed"},
    {{"-H", "ack", "-F", "field:offset=0,width=2,strip=no", "0"}, 2, "-H ack cannot say \"1 5\""},
    {{"-H", "ack", "--journal", "jsonl:-", "0"}, 2, "standard output too"},
    {{"--reuseport", "unix:/tmp/x"}, 2, "--reuseport: unix:/tmp/x is a unix socket"},
    {{"--port-file", "x", "unix:/tmp/x"}, 2, "--port-file: unix:/tmp/x has no port"},
    {{"--set", "fo", "0"}, 2, "--set"},
    {{"-t", "0", "0"}, 2, "-t: '0' is under 1"},
    {{"-m", "0", "0"}, 2, "-m: '0' is under 1"},
    {{"--when-full", "wait", "0"}, 2, "defer|reject"},
    {{"--backlog", "x", "0"}, 2, "--backlog"},
    {{"--stdio", "hex", "0"}, 2, "--stdio belongs to synfin, the client"},
    {{"--port-file", "/nowhere/x", "0"}, 71, "--port-file /nowhere/x cannot be written"},
    {{"--journal", "jsonl:/nowhere/x", "0"}, 71, "/nowhere/x: No such file or directory"},
    {{"unix:/nowhere/x"}, 71, "its folder is not there"},
    {{"192.0.2.1:0"}, 71, "no interface here has this address"},
};

START_TEST(refused_at_the_start)
{
    struct start start = {.program = "synfind", .arguments = refusals[_i].arguments};
    struct program *server = pair_start(&start);
    ck_assert_msg(pair_wait(server) == refusals[_i].status, "%s: exit status %d\n%s",
                  server->command, server->status, pair_err(server));
    serving_expect_err(server, refusals[_i].what);
}
END_TEST

/* No socket gets the number of a closed standard descriptor. */
START_TEST(closed_standard_descriptors)
{
    const char *arguments[] = {"-t", "1", "0", NULL};
    if (pair_wrapped())
        return; /* valgrind itself cannot do without */
    struct start start = {
        .arguments = arguments, .in = PAIR_CLOSED, .out = PAIR_CLOSED, .err = PAIR_CLOSED};
    struct program *server = pair_server_start(&start);
    int fd = wire_connect(server->port);
    wire_talk(fd, "hello", "hello");
    wire_finish(fd);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

/* Its address is known even if the client has gone before it is accepted. */
START_TEST(who_reset_in_the_queue_is_named)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    char line[64];
    struct program *server = pair_server("-4", NULL);
    pair_signal(server, SIGSTOP);
    int fd = wire_connect(server->port);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    wire_reset(fd);
    pair_signal(server, SIGCONT);
    snprintf(line, sizeof line, "#1 127.0.0.1:%d reset: ", ntohs(address.sin_port));
    pair_await_err(server, line);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

START_TEST(a_journal_that_loses_is_told_while_the_server_runs)
{
    struct program *server = pair_server("--journal", "jsonl:/dev/full", NULL);
    int fd = wire_connect(server->port);
    wire_talk(fd, "hello", "hello");
    wire_finish(fd);
    pair_await_err(server, "journal: records are lost: cannot write to the journal /dev/full: No "
                           "space left on device; make room");
    ck_assert_int_eq(pair_stop(server), 0);
    pair_await_err(server, "journal: 1 record lost: ");
}
END_TEST

/* The journal's pipe is full: the server says what it waits for, and a signal ends it. */
START_TEST(a_journal_that_is_not_read_is_told_at_the_end)
{
    static char text[1 << 20];
    char at[300];
    const char *fifo = pair_file("fifo");
    snprintf(at, sizeof at, "jsonl:%s", fifo);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    int in = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int out = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    while (write(out, text, sizeof text) > 0)
        ;
    struct program *server = pair_server("--journal", at, NULL);
    int fd = wire_connect(server->port);
    wire_talk(fd, "hello", "hello");
    wire_finish(fd);
    pair_signal(server, SIGTERM);
    pair_await_err(server, "journal: its reader takes nothing, and is waited for");
    pair_signal(server, SIGTERM);
    ck_assert_int_eq(pair_wait(server), 128 + SIGTERM);
    close(in);
    close(out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server");
    TCase *tc = tcase_create("from outside");
    tcase_add_checked_fixture(tc, pair_begin, pair_end);
    tcase_set_timeout(tc, pair_patience(60000) / 1000.0);
    tcase_add_loop_test(tc, address_forms, 0, COUNT(addresses));
    tcase_add_test(tc, port_file_is_whole_and_alone);
    tcase_add_test(tc, second_server_is_refused);
    tcase_add_test(tc, reuseport_shares);
    tcase_add_test(tc, unix_socket_is_made_and_removed);
    tcase_add_test(tc, abstract_unix_socket);
    tcase_add_test(tc, stale_unix_socket_is_replaced);
    tcase_add_test(tc, live_unix_socket_is_refused);
    tcase_add_test(tc, other_file_is_refused);
    tcase_add_test(tc, other_socket_is_not_removed);
    tcase_add_loop_test(tc, refused_at_the_start, 0, COUNT(refusals));
    tcase_add_test(tc, closed_standard_descriptors);
    tcase_add_test(tc, who_reset_in_the_queue_is_named);
    tcase_add_test(tc, a_journal_that_loses_is_told_while_the_server_runs);
    tcase_add_test(tc, a_journal_that_is_not_read_is_told_at_the_end);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
