/* The client before it is connected: names, addresses tried in turn, unix sockets, and every way a
 * connection can fail to come about: fate, evidence, what to try, exit status. What needs a network
 * of its own runs in a namespace, and is passed over where there may be none (not root). */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pair.h"
#include "raw_peer.h"
#include "records.h"
#include "talk_run.h"

static char journal[512]; /* the option's value, of this test */

static void begin(void)
{
    pair_begin();
    snprintf(journal, sizeof journal, "jsonl:%s", pair_file("journal"));
}

/* synfin with this address, `more` an option or NULL, stdin empty. */
static struct program *dial(const char *host, const char *port, const char *more)
{
    const char *arguments[] = {"--journal", journal, host, port, more, NULL};
    if (port == NULL) {
        arguments[3] = more;
        arguments[4] = NULL;
    }
    return pair_start(&(struct start){.program = "synfin", .arguments = arguments});
}

static void ends(struct program *client, int status, const char *verdict, const char *mend)
{
    struct records records;
    char fate[64];
    ck_assert_msg(pair_wait(client) == status, "%s: status %d, not %d; stderr: %s", client->command,
                  client->status, status, pair_err(client));
    if (verdict == NULL) {
        talk_said(client, NULL);
        return;
    }
    talk_said(client, verdict, mend, NULL);
    records = records_read(pair_file("journal"));
    ck_assert_uint_eq(records.count, 1);
    ck_assert_int_eq(sscanf(strstr(verdict, "verdict: "), "verdict: %63s", fate), 1);
    ck_assert_str_eq(record_text(records.line[0], "fate"), fate);
    records_free(&records);
}

/* A port of 127.0.0.1 that nobody listens on, for as long as the descriptor is open. */
static int unused_port(char port[8])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    snprintf(port, 8, "%d", ntohs(address.sin_port));
    return fd;
}

/* --- refused, and who is asked --- */

START_TEST(refused)
{
    char port[8], verdict[128], mend[128];
    int held = unused_port(port);
    snprintf(verdict, sizeof verdict,
             "synfin: verdict: refused at connect: 127.0.0.1:%s: Connection refused after ", port);
    snprintf(mend, sizeof mend,
             "    try: is the server running there? on 127.0.0.1: ss -ltn 'sport = :%s'", port);
    ends(dial("127.0.0.1", port, "-q"), 7, verdict, mend);
    close(held);
}
END_TEST

START_TEST(no_such_name)
{
    ends(dial("no..such..name", "9000", NULL), 6,
         "synfin: verdict: resolve-failed at resolve: no..such..name: ",
         "    try: the spelling; getent ahosts no..such..name");
}
END_TEST

START_TEST(not_of_that_family)
{
    ends(dial("127.0.0.1", "9000", "-6"), 6,
         "synfin: verdict: resolve-failed at resolve: 127.0.0.1 has no IPv6 address: ",
         "    try: without -6");
}
END_TEST

START_TEST(no_descriptor)
{
    const char *arguments[] = {"localhost", "9000", NULL};
    struct program *client = pair_start(
        &(struct start){.program = "synfin", .arguments = arguments, .descriptors = (rlim_t)_i});
    if (pair_wrapped())
        return; /* valgrind keeps some of them */
    ck_assert_int_eq(pair_wait(client), 27);
    talk_said(client, "synfin: ", "ulimit -n", NULL);
}
END_TEST

START_TEST(ipv6)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t n = sizeof address;
    char text[64];
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, n) != 0) {
        fprintf(stderr, "passed over: no IPv6 here\n");
        return;
    }
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &n), 0);
    snprintf(text, sizeof text, "[::1]:%d", ntohs(address.sin6_port));
    const char *arguments[] = {"-6", text, NULL};
    struct program *client =
        pair_start(&(struct start){.program = "synfin", .arguments = arguments, .input = "a\n"});
    int fd = raw_accept(listener);
    raw_expect_frame(fd, "a");
    raw_send_frame(fd, "A");
    raw_expect_fin(fd);
    close(fd);
    ends(client, 0, NULL, NULL);
    ck_assert_str_eq(pair_out(client, NULL), "A\n");
}
END_TEST

/* --- unix sockets --- */

static const char *unix_name(char name[300])
{
    snprintf(name, 300, "unix:%s", pair_file("socket"));
    return name;
}

START_TEST(unix_talks)
{
    char name[300];
    int listener = raw_listen_unix(pair_file("socket"), 4), fd;
    const char *arguments[] = {unix_name(name), NULL};
    struct program *client =
        pair_start(&(struct start){.program = "synfin", .arguments = arguments, .input = "a\n"});
    fd = raw_accept(listener);
    raw_expect_frame(fd, "a");
    raw_send_frame(fd, "A");
    raw_expect_fin(fd);
    close(fd);
    ends(client, 0, NULL, NULL);
    ck_assert_str_eq(pair_out(client, NULL), "A\n");
}
END_TEST

START_TEST(unix_missing)
{
    char name[300];
    ends(dial(unix_name(name), NULL, NULL), 7, "synfin: verdict: refused at connect: unix:",
         "    try: the server makes it when it starts");
}
END_TEST

START_TEST(unix_stale)
{
    char name[300];
    close(raw_listen_unix(pair_file("socket"), 1));
    ends(dial(unix_name(name), NULL, NULL), 7,
         "synfin: verdict: refused at connect: unix:", "socket: nobody listens on it after ");
}
END_TEST

START_TEST(unix_no_socket)
{
    char name[300];
    int fd = open(pair_file("socket"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    ends(dial(unix_name(name), NULL, NULL), 7,
         "synfin: verdict: refused at connect: unix:", "socket: it is no socket after ");
}
END_TEST

/* As many as its accept queue holds, and one more, which gets EAGAIN. */
static int fill_unix(int fds[2])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = raw_listen_unix(pair_file("socket"), 0), count = 0;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", pair_file("socket"));
    for (; count < 2; count++) {
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fds[count], (struct sockaddr *)&address, sizeof address) != 0)
            break;
    }
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(errno, EAGAIN);
    return listener;
}

START_TEST(unix_queue_full)
{
    char name[300];
    int fds[2];
    fill_unix(fds);
    ends(dial(unix_name(name), NULL, "--connect-timeout=300ms"), 28,
         "synfin: verdict: connect-timeout at connect: unix:",
         "its accept queue stayed full after ");
}
END_TEST

START_TEST(unix_queue_has_room_again)
{
    char name[300];
    int fds[2], listener = fill_unix(fds), fd;
    struct program *client = dial(unix_name(name), NULL, "-v");
    pair_await_err(client, "create > connect");
    close(raw_accept(listener));
    fd = raw_accept(listener);
    raw_expect_fin(fd);
    close(fd);
    ck_assert_int_eq(pair_wait(client), 0);
}
END_TEST

/* --- deadlines --- */

/* With its accept queue full, a listener lets a SYN pass without an answer. */
static int fill_tcp(char port[8], int fds[4])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    int listener = raw_listen(port);
    ck_assert_int_eq(listen(listener, 0), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &n), 0);
    for (int i = 0; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fds[i], (struct sockaddr *)&address, n);
    }
    return listener;
}

START_TEST(connect_timeout)
{
    char port[8];
    int fds[4];
    fill_tcp(port, fds);
    struct program *client = dial("127.0.0.1", port, "--connect-timeout=300ms");
    ends(client, 28,
         "synfin: verdict: connect-timeout at connect: 127.0.0.1:", ": no answer after ");
    talk_said(client, "    try: a firewall drops it, the host is down, or its accept queue is full",
              NULL);
}
END_TEST

static void interrupted_dial(int signals)
{
    char port[8];
    int fds[4];
    fill_tcp(port, fds);
    struct program *client = dial("127.0.0.1", port, "-v");
    pair_await_err(client, "create > connect");
    for (int i = 0; i < signals; i++)
        pair_signal(client, SIGINT);
    ends(client, 130, "synfin: verdict: aborted at connect: SIGINT, before it was connected",
         "    try: ");
}

START_TEST(interrupt_while_connecting)
{
    interrupted_dial(_i);
}
END_TEST

/* --- a network of our own --- */

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* In place of a file of the system's, for this process and its children. */
static void replace(const char *path, const char *text)
{
    char name[64];
    snprintf(name, sizeof name, "replaced%s", strrchr(path, '/') + 1);
    write_text(pair_file(name), text);
    ck_assert_msg(mount(pair_file(name), path, "none", MS_BIND, NULL) == 0, "%s: %s", path,
                  strerror(errno));
}

/* Only a loopback interface, and mounts that nobody else sees; false, without the right to, or
 * where / is not a mount (chroot): what is mounted below it could then reach others. */
static bool own_network(void)
{
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
        fprintf(stderr, "passed over: a network namespace: %s\n", strerror(errno));
        return false;
    }
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0) {
        fprintf(stderr, "passed over: mounts of its own, in a chroot: %s\n", strerror(errno));
        return false;
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strcpy(request.ifr_name, "lo");
    ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
    return true;
}

/* That, and files for the resolver that can be replaced: a bare system may lack some. */
static bool own_names(void)
{
    static const char *const paths[] = {"/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"};
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (access(paths[i], F_OK) != 0) {
            fprintf(stderr, "passed over: there is no %s to replace\n", paths[i]);
            return false;
        }
    }
    return own_network();
}

START_TEST(unreachable)
{
    if (!own_network())
        return;
    ends(dial("198.51.100.1", "9000", NULL), 7,
         "synfin: verdict: unreachable at connect: 198.51.100.1:9000: Network is unreachable after",
         "    try: the way to it: ip route get 198.51.100.1");
}
END_TEST

START_TEST(link_local_without_interface)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fprintf(stderr, "passed over: no IPv6 here\n");
        return;
    }
    close(fd);
    ends(dial("fe80::1", "9000", NULL), 7,
         "synfin: verdict: unreachable at connect: [fe80::1]:9000: Invalid argument after",
         "    try: a link-local address needs its interface: fe80::1%eth0");
}
END_TEST

START_TEST(no_port)
{
    char port[8];
    if (!own_network())
        return;
    write_text("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001");
    int listener = raw_listen(port), fds[2];
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof address;
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &n), 0);
    for (int i = 0; i < 2; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* The listener has one of the two. */
        ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&address, n) == 0, i == 0);
    }
    ends(dial("127.0.0.1", port, NULL), 7,
         "synfin: verdict: no-port at connect: no free local port towards 127.0.0.1:",
         "all 2 (40000 to 40001) are taken; 0 in TIME_WAIT");
}
END_TEST

START_TEST(resolve_timeout)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (pair_wrapped()) {
        fprintf(stderr, "passed over: a thread left inside getaddrinfo is a leak to valgrind\n");
        return;
    }
    if (!own_names())
        return;
    /* A name server that never answers. */
    int silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    replace("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    replace("/etc/nsswitch.conf", "hosts: files dns\n");
    struct program *client = dial("slow.example", "9000", "--connect-timeout=300ms");
    ends(client, 28,
         "synfin: verdict: resolve-timeout at resolve: no address for slow.example in 300 ms",
         "    try: no name server answers (/etc/resolv.conf)");
    close(silent);
}
END_TEST

START_TEST(no_name_server)
{
    if (!own_names())
        return;
    replace("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
    replace("/etc/nsswitch.conf", "hosts: files dns\n");
    ends(dial("lost.example", "9000", NULL), 6,
         "synfin: verdict: resolve-failed at resolve: lost.example: Temporary failure",
         "    try: no name server answers: /etc/resolv.conf");
}
END_TEST

/* Listens on this address, and on the port that `port` says ("": from the system). */
static int listen_at(const char *host, char port[8])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(port))};
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(inet_pton(AF_INET, host, &address.sin_addr), 1);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, n), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    snprintf(port, 8, "%d", ntohs(address.sin_port));
    return fd;
}

/* The system puts 127.0.0.1 first of such a name's addresses. */
START_TEST(addresses_in_turn)
{
    char port[8] = "", address[64];
    struct records records;
    if (!own_names())
        return;
    replace("/etc/hosts", "127.0.0.1 several\n127.0.0.2 several\n");
    replace("/etc/nsswitch.conf", "hosts: files\n");
    int listener = listen_at("127.0.0.2", port), fd;
    struct program *client = dial("several", port, "-v");
    fd = raw_accept(listener);
    raw_expect_fin(fd);
    close(fd);
    ck_assert_int_eq(pair_wait(client), 0);
    snprintf(address, sizeof address, "127.0.0.2:%s", port);
    records = records_read(pair_file("journal"));
    ck_assert_str_eq(record_text(records.line[0], "remote"), address);
    ck_assert_ptr_nonnull(strstr(record_text(records.line[0], "attempts"), "ECONNREFUSED"));
    records_free(&records);
}
END_TEST

START_TEST(all_addresses_refuse)
{
    char port[8], text[2][64];
    if (!own_names())
        return;
    replace("/etc/hosts", "127.0.0.2 several\n127.0.0.3 several\n");
    replace("/etc/nsswitch.conf", "hosts: files\n");
    int held = unused_port(port);
    struct program *client = dial("several", port, NULL);
    snprintf(text[0], sizeof text[0], "127.0.0.2:%s: Connection refused after ", port);
    snprintf(text[1], sizeof text[1], "127.0.0.3:%s: Connection refused after ", port);
    ends(client, 7, "synfin: verdict: refused at connect: ", "    try: ");
    talk_said(client, text[0], text[1], NULL);
    close(held);
}
END_TEST

/* The first does not answer: the second gets its share of the time. */
START_TEST(a_silent_address_does_not_take_all)
{
    char port[8];
    if (!own_names())
        return;
    int fds[4], fd;
    fill_tcp(port, fds);
    int second = listen_at("127.0.0.2", port);
    replace("/etc/hosts", "127.0.0.1 several\n127.0.0.2 several\n");
    replace("/etc/nsswitch.conf", "hosts: files\n");
    struct program *client = dial("several", port, "--connect-timeout=2s");
    fd = raw_accept(second);
    raw_expect_fin(fd);
    close(fd);
    ck_assert_int_eq(pair_wait(client), 0);
}
END_TEST

/* --- usage --- */

static const struct {
    const char *argument[3], *what;
} wrong[] = {
    {{NULL}, "synfin: which server? a host and a port are missing; as in: synfin localhost 9000"},
    {{"localhost"}, "synfin: 'localhost' is a host without a port"},
    {{"localhost", "70000"}, "synfin: port 70000 is over 65535"},
    {{"localhost", "0"}, "synfin: "},
    {{"a", "1", "b"}, "synfin: "},
    {{"-4", "unix:/x"}, "synfin: -4 does not go with unix:/x"},
    {{"--stdio=hexx", "localhost:1"}, "synfin: --stdio hexx: "},
    {{"--frame=u33", "localhost:1"}, "u33"},
    {{"--set=sndbuf=many", "localhost:1"}, "many"},
    {{"--journal=nosuch:x", "localhost:1"}, "nosuch"},
    {{"--backlog=3", "localhost:1"}, "--backlog belongs to synfind"},
};

START_TEST(usage_errors)
{
    const char *arguments[] = {wrong[_i].argument[0], wrong[_i].argument[1], wrong[_i].argument[2],
                               NULL};
    struct program *client =
        pair_start(&(struct start){.program = "synfin", .arguments = arguments});
    ck_assert_int_eq(pair_wait(client), 2);
    talk_said(client, wrong[_i].what, NULL);
    const char *said = pair_err(client);
    ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "not one line: %s", said);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dial");
    TCase *t = tcase_create("dial");
    tcase_add_checked_fixture(t, begin, pair_end);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, refused);
    tcase_add_test(t, no_such_name);
    tcase_add_test(t, not_of_that_family);
    tcase_add_loop_test(t, no_descriptor, 5, 9);
    tcase_add_test(t, ipv6);
    tcase_add_test(t, unix_talks);
    tcase_add_test(t, unix_missing);
    tcase_add_test(t, unix_stale);
    tcase_add_test(t, unix_no_socket);
    tcase_add_test(t, unix_queue_full);
    tcase_add_test(t, unix_queue_has_room_again);
    tcase_add_test(t, connect_timeout);
    tcase_add_loop_test(t, interrupt_while_connecting, 1, 3);
    tcase_add_test(t, unreachable);
    tcase_add_test(t, link_local_without_interface);
    tcase_add_test(t, no_port);
    tcase_add_test(t, resolve_timeout);
    tcase_add_test(t, no_name_server);
    tcase_add_test(t, addresses_in_turn);
    tcase_add_test(t, all_addresses_refuse);
    tcase_add_test(t, a_silent_address_does_not_take_all);
    tcase_add_loop_test(t, usage_errors, 0, (int)(sizeof wrong / sizeof *wrong));
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
