/* Socket options by name: what is refused without a socket, what the kernel then holds, and that
 * nothing it makes differently goes untold. */
#include "config.h"

#include "sockopt.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "units.h"

static struct error e;

/* --- without a socket --- */

struct row {
    const char *text;
    int client, server; /* what sockopt_check says: 0 or an enum err */
    const char *cause;  /* part of what is said where it is refused */
};

static const struct row rows[] = {
    {"nodelay", 0, 0, NULL},
    {"nodelay=on", 0, 0, NULL},
    {"nodelay=off", 0, 0, NULL},
    {"nodelay=0", 0, 0, NULL},
    {"keepalive=1", 0, 0, NULL},
    {"rcvbuf=8K", 0, 0, NULL},
    {"sndbuf=1G", 0, 0, NULL},
    {"congestion=cubic", 0, 0, NULL},
    {"keepidle=60s", 0, 0, NULL},
    {"keepidle=1m", 0, 0, NULL},
    {"keepintvl=2", 0, 0, NULL},
    {"keepcnt=3", 0, 0, NULL},
    {"user-timeout=500ms", 0, 0, NULL},
    {"user-timeout=off", 0, 0, NULL},
    {"notsent-lowat=16K", 0, 0, NULL},
    {"quickack", 0, 0, NULL},
    {"maxseg=1400", 0, 0, NULL},
    {"window-clamp=64K", 0, 0, NULL},
    {"max-pacing-rate=1M", 0, 0, NULL},
    {"tos=0x10", 0, 0, NULL},
    {"tos=16", 0, 0, NULL},
    {"ttl=5", 0, 0, NULL},
    {"priority=6", 0, 0, NULL},
    {"mark=0xffffffff", 0, 0, NULL},
    {"bindtodevice=lo", 0, 0, NULL},
    {"syncnt=2", 0, ERR_SYNTAX, "belongs to synfin, the client"},
    {"defer-accept=5s", ERR_SYNTAX, 0, "belongs to synfind, the server"},
    {"freebind", ERR_SYNTAX, 0, "belongs to synfind, the server"},

    {"", ERR_SYNTAX, ERR_SYNTAX, "''"},
    {"=1", ERR_SYNTAX, ERR_SYNTAX, "''"},
    {" nodelay", ERR_SYNTAX, ERR_SYNTAX, "' nodelay'"},
    {"NODELAY", ERR_SYNTAX, ERR_SYNTAX, "'NODELAY'"},
    {"nodela", ERR_SYNTAX, ERR_SYNTAX, "'nodela'"},
    {"TCP_NODELAY", ERR_SYNTAX, ERR_SYNTAX, "'TCP_NODELAY'"},
    {"linger=0", ERR_SYNTAX, ERR_SYNTAX, "'linger'"}, /* the close contract's own */
    {"nodelay=", ERR_SYNTAX, ERR_SYNTAX, "''"},
    {"nodelay=yes", ERR_SYNTAX, ERR_SYNTAX, "'yes'"},
    {"nodelay=2", ERR_SYNTAX, ERR_SYNTAX, "'2'"},
    {"rcvbuf", ERR_SYNTAX, ERR_SYNTAX, "no value"},
    {"rcvbuf=", ERR_SYNTAX, ERR_SYNTAX, "empty"},
    {"rcvbuf=many", ERR_SYNTAX, ERR_SYNTAX, "'many'"},
    {"rcvbuf=0", ERR_RANGE, ERR_RANGE, "under 1 B"},
    {"rcvbuf=-1", ERR_RANGE, ERR_RANGE, "negative"},
    {"rcvbuf=2G", ERR_RANGE, ERR_RANGE, "over 1,073,741,824 B"},
    {"rcvbuf=99999999999999999999", ERR_RANGE, ERR_RANGE, "too large"},
    {"congestion=", ERR_SYNTAX, ERR_SYNTAX, "empty"},
    {"congestion=a-name-of-sixteen", ERR_RANGE, ERR_RANGE, "longer than 15"},
    {"bindtodevice=a-name-of-sixteen", ERR_RANGE, ERR_RANGE, "longer than 15"},
    {"keepidle=500ms", ERR_RANGE, ERR_RANGE, "whole number of seconds"},
    {"keepidle=off", ERR_RANGE, ERR_RANGE, "under 1 s"},
    {"keepidle=10h", ERR_RANGE, ERR_RANGE, "over 32,767 s"},
    {"keepcnt=0", ERR_RANGE, ERR_RANGE, "under 1"},
    {"keepcnt=128", ERR_RANGE, ERR_RANGE, "over 127"},
    {"keepcnt=1.5", ERR_RANGE, ERR_RANGE, "whole"},
    {"user-timeout=1500us", ERR_RANGE, ERR_RANGE, "whole number of milliseconds"},
    {"tos=256", ERR_RANGE, ERR_RANGE, "over 255"},
    {"tos=0x", ERR_SYNTAX, ERR_SYNTAX, "'0x'"},
    {"tos=0x1g", ERR_SYNTAX, ERR_SYNTAX, "'0x1g'"},
    {"tos=0x11111111111111111", ERR_SYNTAX, ERR_SYNTAX, "hexadecimal"},
    {"mark=0x100000000", ERR_RANGE, ERR_RANGE, "over 4,294,967,295"},
    {"ttl=0", ERR_RANGE, ERR_RANGE, "under 1"},
};

static void checked(const struct row *row, enum options_use program, int expected)
{
    e = (struct error){"", ""};
    ck_assert_msg(sockopt_check(row->text, program, &e) == expected, "%s: %s", row->text, e.what);
    ck_assert_int_eq(sockopt_check(row->text, program, NULL), expected);
    if (expected == 0)
        return;
    ck_assert_msg(strstr(e.what, row->cause), "%s: %s", row->text, e.what);
    ck_assert_msg(strncmp(e.what, "--set ", 6) == 0, "%s", e.what);
    ck_assert_msg(e.mend[0] != '\0', "%s: no mend", e.what);
}

START_TEST(is_checked)
{
    checked(&rows[_i], USE_TALK, rows[_i].client);
    checked(&rows[_i], USE_SERVER, rows[_i].server);
}
END_TEST

/* A value each option takes anywhere, or NULL: it needs a privilege, or one of the two programs. */
static const char *any_value(const char *name)
{
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t length = strlen(name);
        if (strncmp(rows[i].text, name, length) == 0 && strchr("=", rows[i].text[length]))
            return rows[i].text;
    }
    return NULL;
}

START_TEST(unknown_names_are_told_all)
{
    ck_assert_int_eq(sockopt_check("nodelya", USE_TALK, &e), ERR_SYNTAX);
    ck_assert_msg(strstr(e.mend, "did you mean nodelay?"), "%s", e.mend);
    for (unsigned i = 0; sockopt_name(i); i++) {
        ck_assert_msg(strstr(e.mend, sockopt_name(i)), "%s lacks %s", e.mend, sockopt_name(i));
        ck_assert_msg(any_value(sockopt_name(i)), "no test for %s", sockopt_name(i));
    }
}
END_TEST

/* Whether the man page has an item ".It Cm name". */
static bool page_has(const char *page, const char *name)
{
    char path[1000], line[1000], item[60];
    bool found = false;
    snprintf(path, sizeof path, "%s/doc/%s", TOP_SRCDIR, page);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    size_t length = (size_t)snprintf(item, sizeof item, ".It Cm %s", name);
    while (!found && fgets(line, sizeof line, file))
        found = strncmp(line, item, length) == 0 && strchr(" \n", line[length]);
    fclose(file);
    return found;
}

START_TEST(man_pages_have_each)
{
    for (unsigned i = 0; sockopt_name(i); i++) {
        const char *name = sockopt_name(i), *text = any_value(name);
        bool client = sockopt_check(text, USE_TALK, NULL) == 0;
        bool server = sockopt_check(text, USE_SERVER, NULL) == 0;
        ck_assert_msg(page_has("synfin.1", name) == client, "%s in synfin.1", name);
        ck_assert_msg(page_has("synfind.8", name) == server, "%s in synfind.8", name);
    }
}
END_TEST

/* --- on sockets --- */

static int tcp_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static int apply(int fd, enum sockopt_when when, const char *text)
{
    e = (struct error){"", ""};
    return sockopt_apply(fd, when, &text, 1, &e);
}

static int number(int fd, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    ck_assert_int_eq(getsockopt(fd, level, option, &value, &size), 0);
    return value;
}

static const struct {
    const char *text;
    int level, option, value;
} held[] = {
    {"nodelay", IPPROTO_TCP, TCP_NODELAY, 1},
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE, 1},
    {"keepidle=1m", IPPROTO_TCP, TCP_KEEPIDLE, 60},
    {"keepintvl=7", IPPROTO_TCP, TCP_KEEPINTVL, 7},
    {"keepcnt=3", IPPROTO_TCP, TCP_KEEPCNT, 3},
    {"user-timeout=1.5s", IPPROTO_TCP, TCP_USER_TIMEOUT, 1500},
    {"notsent-lowat=16K", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384},
    {"rcvbuf=8K", SOL_SOCKET, SO_RCVBUF, 16384},
    {"sndbuf=8K", SOL_SOCKET, SO_SNDBUF, 16384},
    {"maxseg=1400", IPPROTO_TCP, TCP_MAXSEG, 1400},
    {"window-clamp=64K", IPPROTO_TCP, TCP_WINDOW_CLAMP, 65536},
    {"max-pacing-rate=1M", SOL_SOCKET, SO_MAX_PACING_RATE, 1 << 20},
    {"tos=0x10", IPPROTO_IP, IP_TOS, 16},
    {"ttl=5", IPPROTO_IP, IP_TTL, 5},
    {"priority=6", SOL_SOCKET, SO_PRIORITY, 6},
};

START_TEST(the_kernel_holds_it)
{
    for (int when = SOCKOPT_BEFORE_CONNECT; when <= SOCKOPT_BEFORE_LISTEN; when++) {
        int fd = tcp_socket(AF_INET);
        ck_assert_msg(apply(fd, (enum sockopt_when)when, held[_i].text) == 0, "%s", e.what);
        ck_assert_int_eq(number(fd, held[_i].level, held[_i].option), held[_i].value);
        close(fd);
    }
}
END_TEST

/* A connection over loopback: fds[0] connected, fds[1] accepted from `listener`. */
static void connect_pair(int family, int listener, int fds[2])
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    fds[0] = tcp_socket(family);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&address, size), 0);
    fds[1] = accept(listener, NULL, NULL);
    ck_assert_int_ge(fds[1], 0);
}

static int listening(int family, const char *text)
{
    int fd = tcp_socket(family);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_msg(apply(fd, SOCKOPT_BEFORE_LISTEN, text) == 0, "%s", e.what);
    if (family == AF_INET)
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    else /* an unbound unix listener gets an abstract name */
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&(struct sockaddr){.sa_family = AF_UNIX},
                              sizeof(sa_family_t)),
                         0);
    ck_assert_int_eq(listen(fd, 8), 0);
    return fd;
}

/* What is set on the listener, and what on the accepted socket, holds on the accepted one. */
START_TEST(accepted_sockets_have_it)
{
    int fds[2], listener = listening(AF_INET, held[_i].text);
    connect_pair(AF_INET, listener, fds);
    ck_assert_msg(apply(fds[1], SOCKOPT_CONNECTED, held[_i].text) == 0, "%s", e.what);
    if (held[_i].option != TCP_MAXSEG ||
        held[_i].level != IPPROTO_TCP) /* connected: what is in use */
        ck_assert_int_eq(number(fds[1], held[_i].level, held[_i].option), held[_i].value);
    else
        ck_assert_int_le(number(fds[1], IPPROTO_TCP, TCP_MAXSEG), held[_i].value);
    close(fds[0]);
    close(fds[1]);
    close(listener);
}
END_TEST

START_TEST(each_at_its_time)
{
    int fd = tcp_socket(AF_INET);
    ck_assert_int_eq(apply(fd, SOCKOPT_CONNECTED, "nodelay"), 0);
    ck_assert_int_eq(number(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_LISTEN, "syncnt=3"), 0);
    ck_assert_int_ne(number(fd, IPPROTO_TCP, TCP_SYNCNT), 3);
    ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_CONNECT, "syncnt=3"), 0);
    ck_assert_int_eq(number(fd, IPPROTO_TCP, TCP_SYNCNT), 3);
    ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_LISTEN, "defer-accept=5s"), 0);
    ck_assert_int_ge(number(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 5);
    ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_LISTEN, "freebind"), 0);
    ck_assert_int_eq(number(fd, IPPROTO_IP, IP_FREEBIND), 1);
    close(fd);
}
END_TEST

START_TEST(quickack_is_for_connected_sockets)
{
    int fds[2], listener = listening(AF_INET, "nodelay");
    connect_pair(AF_INET, listener, fds);
    ck_assert_msg(apply(fds[0], SOCKOPT_CONNECTED, "quickack=off") == 0, "%s", e.what);
    ck_assert_int_eq(number(fds[0], IPPROTO_TCP, TCP_QUICKACK), 0);
    ck_assert_msg(apply(fds[0], SOCKOPT_CONNECTED, "quickack") == 0, "%s", e.what);
    ck_assert_int_eq(number(fds[0], IPPROTO_TCP, TCP_QUICKACK), 1);
    close(fds[0]);
    close(fds[1]);
    close(listener);
}
END_TEST

START_TEST(on_ipv6_they_have_names_of_their_own)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return; /* a kernel without IPv6 */
    ck_assert_msg(apply(fd, SOCKOPT_BEFORE_CONNECT, "tos=0x10") == 0, "%s", e.what);
    ck_assert_int_eq(number(fd, IPPROTO_IPV6, IPV6_TCLASS), 16);
    ck_assert_msg(apply(fd, SOCKOPT_BEFORE_CONNECT, "ttl=5") == 0, "%s", e.what);
    ck_assert_int_eq(number(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 5);
    ck_assert_msg(apply(fd, SOCKOPT_BEFORE_LISTEN, "freebind") == 0, "%s", e.what);
    close(fd);
}
END_TEST

START_TEST(unix_sockets_pass_over_what_is_tcp_s)
{
    int fds[2], listener = listening(AF_UNIX, "sndbuf=8K");
    for (unsigned i = 0; sockopt_name(i); i++) {
        const char *text = any_value(sockopt_name(i));
        if (strncmp(text, "sndbuf", 6) != 0) /* 1G there */
            ck_assert_msg(apply(listener, SOCKOPT_BEFORE_LISTEN, text) == 0, "%s", e.what);
    }
    connect_pair(AF_UNIX, listener, fds);
    ck_assert_int_eq(apply(fds[1], SOCKOPT_CONNECTED, "sndbuf=8K"), 0);
    ck_assert_int_eq(number(fds[1], SOL_SOCKET, SO_SNDBUF), 16384);
    close(fds[0]);
    close(fds[1]);
    close(listener);
}
END_TEST

/* --- what the kernel refuses, aloud or not --- */

static void sysctl(const char *path, char *buf, int size)
{
    FILE *file = fopen(path, "r");
    *buf = '\0';
    if (file && fgets(buf, size, file))
        buf[strcspn(buf, "\n")] = '\0';
    if (file)
        fclose(file);
}

START_TEST(a_capped_buffer_is_told)
{
    static const char *const texts[] = {"rcvbuf=1G", "sndbuf=1G"};
    static const char *const names[] = {"net.core.rmem_max", "net.core.wmem_max"};
    static const char *const paths[] = {"/proc/sys/net/core/rmem_max",
                                        "/proc/sys/net/core/wmem_max"};
    char max[64];
    int fd = tcp_socket(AF_INET);
    sysctl(paths[_i], max, sizeof max);
    if (strtoull(max, NULL, 10) < 1ULL << 30) {
        ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_CONNECT, texts[_i]), ERR_SYSTEM);
        ck_assert_msg(strstr(e.what, texts[_i]) && strstr(e.what, "iB of it"), "%s", e.what);
        ck_assert_msg(strstr(e.mend, names[_i]) && strstr(e.mend, max), "%s", e.mend);
    }
    close(fd);
}
END_TEST

START_TEST(a_value_made_larger_is_told)
{
    int fd = tcp_socket(AF_INET);
    ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_CONNECT, "rcvbuf=1"), ERR_SYSTEM);
    ck_assert_msg(strstr(e.what, "--set rcvbuf=1: the kernel made "), "%s", e.what);
    ck_assert_msg(strstr(e.mend, "ask for "), "%s", e.mend);
    ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_CONNECT, "tos=1"), ERR_SYSTEM); /* ECN's bits */
    ck_assert_msg(strstr(e.what, "made 0 of it"), "%s", e.what);
    close(fd);
}
END_TEST

START_TEST(an_unknown_congestion_control_is_told_which_there_are)
{
    char available[200], lists[200];
    int fd = tcp_socket(AF_INET);
    sysctl("/proc/sys/net/ipv4/tcp_available_congestion_control", available, sizeof available);
    sysctl("/proc/sys/net/ipv4/tcp_allowed_congestion_control", lists, sizeof lists);
    ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_CONNECT, "congestion=nonesuch"), ERR_SYSTEM);
    ck_assert_msg(strstr(e.what, "congestion=nonesuch"), "%s", e.what);
    ck_assert_msg(strstr(e.mend, available) || strstr(e.mend, lists), "%s", e.mend);
    close(fd);
}
END_TEST

START_TEST(an_unknown_interface_is_told)
{
    int fd = tcp_socket(AF_INET);
    ck_assert_int_eq(apply(fd, SOCKOPT_BEFORE_CONNECT, "bindtodevice=nonesuch"), ERR_SYSTEM);
    ck_assert_msg(strstr(e.what, "bindtodevice=nonesuch: "), "%s", e.what);
    ck_assert_msg(e.mend[0] != '\0', "%s: no mend", e.what);
    close(fd);
}
END_TEST

START_TEST(a_bad_descriptor_is_told)
{
    ck_assert_int_eq(apply(-1, SOCKOPT_BEFORE_CONNECT, "nodelay"), ERR_SYSTEM);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_str_eq(e.what, "--set nodelay: Bad file descriptor");
}
END_TEST

/* --- told --- */

START_TEST(text_is_what_the_kernel_holds)
{
    static const char *const texts[] = {"nodelay", "keepalive=off", "rcvbuf=8K", "keepidle=5s",
                                        "keepcnt=3"};
    char text[200], short_text[12];
    int fd = tcp_socket(AF_INET);
    ck_assert_int_eq(sockopt_apply(fd, SOCKOPT_BEFORE_CONNECT, texts, 5, &e), 0);
    ck_assert_str_eq(sockopt_text(fd, texts, 5, text, sizeof text),
                     "nodelay, keepalive off, rcvbuf 16.0 KiB, keepidle 5.00 s, keepcnt 3");
    ck_assert_str_eq(sockopt_text(fd, texts, 5, short_text, sizeof short_text), "nodelay, ke");
    ck_assert_str_eq(sockopt_text(fd, texts, 0, text, sizeof text), "");
    close(fd);
}
END_TEST

START_TEST(text_of_a_congestion_control)
{
    char name[40], set[60], text[60], expected[60];
    const char *texts[] = {set};
    int fd = tcp_socket(AF_INET);
    sysctl("/proc/sys/net/ipv4/tcp_congestion_control", name, sizeof name);
    snprintf(set, sizeof set, "congestion=%.16s", name);
    snprintf(expected, sizeof expected, "congestion %s", name);
    ck_assert_msg(apply(fd, SOCKOPT_BEFORE_CONNECT, set) == 0, "%s", e.what);
    ck_assert_str_eq(sockopt_text(fd, texts, 1, text, sizeof text), expected);
    close(fd);
}
END_TEST

START_TEST(the_first_failure_ends_it)
{
    static const char *const texts[] = {"nodelay", "rcvbuf=1", "keepalive"};
    int fd = tcp_socket(AF_INET);
    ck_assert_int_eq(sockopt_apply(fd, SOCKOPT_BEFORE_CONNECT, texts, 3, NULL), ERR_SYSTEM);
    ck_assert_int_eq(number(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    ck_assert_int_eq(number(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    close(fd);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void)
{
    Suite *suite = suite_create("sockopt");
    TCase *checking = tcase_create("checking"), *applying = tcase_create("applying"),
          *refusing = tcase_create("refusing"), *telling = tcase_create("telling");
    tcase_add_loop_test(checking, is_checked, 0, ROWS(rows));
    tcase_add_test(checking, unknown_names_are_told_all);
    tcase_add_test(checking, man_pages_have_each);
    tcase_add_loop_test(applying, the_kernel_holds_it, 0, ROWS(held));
    tcase_add_loop_test(applying, accepted_sockets_have_it, 0, ROWS(held));
    tcase_add_test(applying, each_at_its_time);
    tcase_add_test(applying, quickack_is_for_connected_sockets);
    tcase_add_test(applying, on_ipv6_they_have_names_of_their_own);
    tcase_add_test(applying, unix_sockets_pass_over_what_is_tcp_s);
    tcase_add_loop_test(refusing, a_capped_buffer_is_told, 0, 2);
    tcase_add_test(refusing, a_value_made_larger_is_told);
    tcase_add_test(refusing, an_unknown_congestion_control_is_told_which_there_are);
    tcase_add_test(refusing, an_unknown_interface_is_told);
    tcase_add_test(refusing, a_bad_descriptor_is_told);
    tcase_add_test(telling, text_is_what_the_kernel_holds);
    tcase_add_test(telling, text_of_a_congestion_control);
    tcase_add_test(telling, the_first_failure_ends_it);
    suite_add_tcase(suite, checking);
    suite_add_tcase(suite, applying);
    suite_add_tcase(suite, refusing);
    suite_add_tcase(suite, telling);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
