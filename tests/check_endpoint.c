/* Addresses as people write them: what each form becomes, and what is said of each that is none. */
#include "config.h"

#include "endpoint.h"

#include <arpa/inet.h>
#include <check.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT false
#define SERVER true

static int parse(struct endpoint *endpoint, bool server, const char *const *words, struct error *e)
{
    char copies[3][400], *arguments[4] = {NULL};
    int count = 0;
    for (; words[count]; count++) {
        ck_assert_uint_lt(strlen(words[count]), sizeof *copies);
        arguments[count] = strcpy(copies[count], words[count]);
    }
    return endpoint_parse(endpoint, server, count, arguments, e);
}

/* --- good ones --- */

struct good {
    const char *words[3];
    bool server;
    const char *host;
    bool any;
    int port;
    const char *text;
};

static const struct good good[] = {
    {{"localhost", "9000"}, CLIENT, "localhost", false, 9000, "localhost:9000"},
    {{"localhost:9000"}, CLIENT, "localhost", false, 9000, "localhost:9000"},
    {{"127.0.0.1", "1"}, CLIENT, "127.0.0.1", false, 1, "127.0.0.1:1"},
    {{"broker-1.example.org", "65535"},
     CLIENT,
     "broker-1.example.org",
     false,
     65535,
     "broker-1.example.org:65535"},
    {{"::1", "9000"}, CLIENT, "::1", false, 9000, "[::1]:9000"},
    {{"[::1]", "9000"}, CLIENT, "::1", false, 9000, "[::1]:9000"},
    {{"[::1]:9000"}, CLIENT, "::1", false, 9000, "[::1]:9000"},
    {{"fe80::1%lo", "9000"}, CLIENT, "fe80::1%lo", false, 9000, "[fe80::1%lo]:9000"},
    {{"[fe80::1%lo]:9000"}, CLIENT, "fe80::1%lo", false, 9000, "[fe80::1%lo]:9000"},
    {{"::ffff:10.0.0.1", "9000"}, CLIENT, "::ffff:10.0.0.1", false, 9000, "[::ffff:10.0.0.1]:9000"},
    {{":9000"}, CLIENT, "localhost", false, 9000, "localhost:9000"},
    {{"localhost", "0009000"}, CLIENT, "localhost", false, 9000, "localhost:9000"},
    {{"9000", "9000"}, CLIENT, "9000", false, 9000, "9000:9000"},
    {{"9000"}, SERVER, "", false, 9000, "localhost:9000"},
    {{"0"}, SERVER, "", false, 0, "localhost:0"},
    {{":9000"}, SERVER, "", true, 9000, ":9000"},
    {{":0"}, SERVER, "", true, 0, ":0"},
    {{"127.0.0.1:0"}, SERVER, "127.0.0.1", false, 0, "127.0.0.1:0"},
    {{"127.0.0.1", "0"}, SERVER, "127.0.0.1", false, 0, "127.0.0.1:0"},
    {{"[::]:9000"}, SERVER, "::", false, 9000, "[::]:9000"},
    {{"broker-1:9000"}, SERVER, "broker-1", false, 9000, "broker-1:9000"},
};

START_TEST(becomes)
{
    const struct good *row = &good[_i];
    struct endpoint endpoint;
    struct error e = {"", ""};
    ck_assert_msg(parse(&endpoint, row->server, row->words, &e) == 0, "%s", e.what);
    ck_assert_int_eq(endpoint.kind, ENDPOINT_TCP);
    ck_assert_str_eq(endpoint.host, row->host);
    ck_assert_int_eq(endpoint.any, row->any);
    ck_assert_int_eq(endpoint.port, row->port);
    ck_assert_str_eq(endpoint.text, row->text);
    ck_assert_str_eq(endpoint.path, "");
}
END_TEST

START_TEST(a_service_name_is_its_port)
{
    static const char *const words[] = {"localhost", "http", NULL}, *const word[] = {"http", NULL};
    struct addrinfo *list;
    struct endpoint endpoint;
    if (getaddrinfo(NULL, "http", NULL, &list) != 0)
        return; /* this system knows no services */
    freeaddrinfo(list);
    ck_assert_int_eq(parse(&endpoint, CLIENT, words, NULL), 0);
    ck_assert_int_eq(endpoint.port, 80);
    ck_assert_int_eq(parse(&endpoint, SERVER, word, NULL), 0);
    ck_assert_int_eq(endpoint.port, 80);
    ck_assert_str_eq(endpoint.host, "");
}
END_TEST

START_TEST(unix_paths)
{
    static char word[5 + 108 + 1] = "unix:";
    const char *words[] = {"unix:/run/echo.sock", NULL};
    struct endpoint endpoint;
    struct error e;
    for (int server = 0; server < 2; server++) {
        words[0] = "unix:/run/echo.sock";
        ck_assert_int_eq(parse(&endpoint, server, words, &e), 0);
        ck_assert_int_eq(endpoint.kind, ENDPOINT_UNIX);
        ck_assert_str_eq(endpoint.path, "/run/echo.sock");
        ck_assert_str_eq(endpoint.text, "unix:/run/echo.sock");
        words[0] = "unix:a:b c"; /* a path holds what it likes */
        ck_assert_int_eq(parse(&endpoint, server, words, &e), 0);
        ck_assert_str_eq(endpoint.path, "a:b c");
        words[0] = "unix:@name";
        ck_assert_int_eq(parse(&endpoint, server, words, &e), 0);
        struct sockaddr_un address;
        ck_assert_uint_eq(endpoint_unix_address(endpoint.path, &address),
                          offsetof(struct sockaddr_un, sun_path) + strlen("@name"));
        ck_assert_mem_eq(address.sun_path, "\0name", 5);
        words[0] = word;
        memset(word + 5, 'p', 108);
        ck_assert_int_eq(parse(&endpoint, server, words, &e), ERR_RANGE);
        ck_assert_msg(strstr(e.what, "108 bytes") && strstr(e.mend, "107"), "%s; %s", e.what,
                      e.mend);
        word[5 + 107] = '\0';
        ck_assert_int_eq(parse(&endpoint, server, words, &e), 0);
        ck_assert_uint_eq(strlen(endpoint.path), 107);
    }
}
END_TEST

/* --- bad ones --- */

struct bad {
    const char *words[4];
    bool server;
    int rc;
    const char *cause, *mend;
};

static const struct bad bad[] = {
    {{NULL}, CLIENT, ERR_SYNTAX, "no address", "HOST PORT"},
    {{NULL}, SERVER, ERR_SYNTAX, "no address", "write PORT"},
    {{"a", "1", "b"}, CLIENT, ERR_SYNTAX, "too many arguments: 'b'", "HOST PORT"},
    {{"a", "1", "b"}, SERVER, ERR_SYNTAX, "too many arguments: 'b'", "write PORT"},
    {{"unix:/x", "1"}, CLIENT, ERR_SYNTAX, "too many arguments: '1'", "alone"},
    {{"unix:"}, CLIENT, ERR_SYNTAX, "no path", "unix:PATH"},
    {{"unix:"}, SERVER, ERR_SYNTAX, "no path", "unix:PATH"},
    {{"unix:@"}, SERVER, ERR_SYNTAX, "unix:@ has no name", "unix:PATH"},
    {{""}, CLIENT, ERR_SYNTAX, "address is empty", "HOST PORT"},
    {{""}, SERVER, ERR_SYNTAX, "address is empty", "write PORT"},
    {{":"}, CLIENT, ERR_SYNTAX, "port is empty", "HOST PORT"},
    {{":"}, SERVER, ERR_SYNTAX, "port is empty", ":PORT"},
    {{"a:"}, CLIENT, ERR_SYNTAX, "port is empty", "HOST PORT"},
    {{"", "1"}, CLIENT, ERR_SYNTAX, "host is empty", "HOST PORT"},
    {{"a", ""}, CLIENT, ERR_SYNTAX, "port is empty", "HOST PORT"},
    {{"9000"}, CLIENT, ERR_SYNTAX, "'9000' is a port without a host", "localhost 9000"},
    {{"broker-1"}, CLIENT, ERR_SYNTAX, "'broker-1' is a host without a port", "broker-1 9000"},
    {{"no-such-service"}, SERVER, ERR_SYNTAX, "'no-such-service'", "HOST:PORT"},
    {{"a", "70000"}, CLIENT, ERR_RANGE, "port 70000 is over 65535", "1 to 65535"},
    {{"70000"}, SERVER, ERR_RANGE, "port 70000 is over 65535", "0 to 65535"},
    {{"a:65536"}, CLIENT, ERR_RANGE, "port 65536 is over 65535", "1 to 65535"},
    {{"a:99999999999999999999999"}, CLIENT, ERR_RANGE, "over 65535", "1 to 65535"},
    {{"a:4294967297"}, CLIENT, ERR_RANGE, "over 65535", "1 to 65535"},
    {{"a", "0"}, CLIENT, ERR_RANGE, "port 0", "1 to 65535"},
    {{"a:0"}, CLIENT, ERR_RANGE, "port 0", "1 to 65535"},
    {{"a", "-1"}, CLIENT, ERR_SYNTAX, "'-1'", "1 to 65535"},
    {{"a", "+1"}, CLIENT, ERR_SYNTAX, "'+1'", "1 to 65535"},
    {{"a", " 1"}, CLIENT, ERR_SYNTAX, "' 1'", "1 to 65535"},
    {{"a", "1 "}, CLIENT, ERR_SYNTAX, "'1 '", "1 to 65535"},
    {{"a", "0x50"}, CLIENT, ERR_SYNTAX, "'0x50'", "1 to 65535"},
    {{"a", "80.0"}, CLIENT, ERR_SYNTAX, "'80.0'", "1 to 65535"},
    {{"a", "no-such-service"}, CLIENT, ERR_SYNTAX, "'no-such-service'", "1 to 65535"},
    {{"9000", "localhost"}, CLIENT, ERR_SYNTAX, "'localhost' is no port", "localhost 9000"},
    {{"*:9000"}, SERVER, ERR_SYNTAX, "'*' is no host", "every interface write :9000"},
    {{"*", "9000"}, CLIENT, ERR_SYNTAX, "'*' is no host", "this machine write :9000"},
    {{"::1:9000"}, CLIENT, ERR_SYNTAX, "two ways", "[::1]:9000"},
    {{"::1:9000"}, SERVER, ERR_SYNTAX, "two ways", "[::1]:9000"},
    {{"fe80::1%eth0:9000"}, CLIENT, ERR_SYNTAX, "two ways", "[fe80::1%eth0]:9000"},
    {{"::1"}, CLIENT, ERR_SYNTAX, "two ways", "[::1]:PORT"},
    {{"a:b:c"}, CLIENT, ERR_SYNTAX, "two ways", "HOST PORT"},
    {{"[::1"}, CLIENT, ERR_SYNTAX, "does not close", "[::1]:9000"},
    {{"[::1", "9000"}, CLIENT, ERR_SYNTAX, "does not close", "[::1]:9000"},
    {{"[::1]"}, CLIENT, ERR_SYNTAX, "has no port", "[::1]:PORT"},
    {{"[::1]9000"}, CLIENT, ERR_SYNTAX, "has no port", "[::1]:PORT"},
    {{"[::1]:"}, CLIENT, ERR_SYNTAX, "port is empty", "HOST PORT"},
    {{"[::1]:9000", "9000"}, CLIENT, ERR_SYNTAX, "'[::1]:9000' holds a colon", "HOST PORT"},
    {{"[]:9000"}, CLIENT, ERR_SYNTAX, "no IPv6 address", "[::1]:9000"},
    {{"[localhost]:9000"}, CLIENT, ERR_SYNTAX, "no IPv6 address", "without brackets"},
    {{"[127.0.0.1]:9000"}, CLIENT, ERR_SYNTAX, "no IPv6 address", "without brackets"},
    {{"[fe80::1%]:9000"}, CLIENT, ERR_SYNTAX, "no IPv6 address", "[::1]:9000"},
    {{"a:1", "2"}, CLIENT, ERR_SYNTAX, "'a:1' holds a colon", "HOST PORT"},
    {{"a b", "1"}, CLIENT, ERR_SYNTAX, "blank", "HOST PORT"},
    {{"a\n:1"}, CLIENT, ERR_SYNTAX, "control", "HOST PORT"},
};

START_TEST(is_refused)
{
    const struct bad *row = &bad[_i];
    struct endpoint endpoint, before;
    struct error e = {"", ""};
    memset(&endpoint, 0x5a, sizeof endpoint);
    before = endpoint;
    ck_assert_int_eq(parse(&endpoint, row->server, row->words, &e), row->rc);
    ck_assert_msg(strstr(e.what, row->cause), "%s; %s", e.what, e.mend);
    ck_assert_msg(strstr(e.mend, row->mend), "%s; %s", e.what, e.mend);
    ck_assert_msg(memcmp(&endpoint, &before, sizeof endpoint) == 0, "touched");
    ck_assert_int_eq(parse(&endpoint, row->server, row->words, NULL), row->rc);
}
END_TEST

START_TEST(long_hosts)
{
    static char host[260];
    const char *words[] = {host, "1", NULL};
    struct endpoint endpoint;
    struct error e;
    memset(host, 'h', 256);
    ck_assert_int_eq(parse(&endpoint, CLIENT, words, &e), ERR_SYNTAX);
    ck_assert(strstr(e.what, "255"));
    memcpy(host + 256, ":1", 3);
    words[1] = NULL;
    ck_assert_int_eq(parse(&endpoint, CLIENT, words, &e), ERR_SYNTAX);
    ck_assert(strstr(e.what, "255"));
    memcpy(host + 255, ":1", 3);
    ck_assert_int_eq(parse(&endpoint, CLIENT, words, &e), 0);
    ck_assert_uint_eq(strlen(endpoint.host), 255);
    ck_assert_uint_eq(strlen(endpoint.text), 257);
}
END_TEST

/* --- resolving --- */

/* The addresses as "127.0.0.1:9000 [::1]:9000 ". */
static const char *resolved(const char *word, enum options_family family, bool server)
{
    static char text[1000];
    const char *words[] = {word, NULL};
    struct endpoint endpoint;
    struct addrinfo *list;
    ck_assert_int_eq(parse(&endpoint, server, words, NULL), 0);
    text[0] = '\0';
    int rc = endpoint_resolve(&endpoint, family, server, &list);
    if (rc != 0)
        return gai_strerror(rc);
    for (struct addrinfo *at = list; at; at = at->ai_next) {
        char host[64], port[8];
        size_t used = strlen(text);
        ck_assert_int_eq(at->ai_socktype, SOCK_STREAM);
        getnameinfo(at->ai_addr, at->ai_addrlen, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
        snprintf(text + used, sizeof text - used, at->ai_family == AF_INET6 ? "[%s]:%s " : "%s:%s ",
                 host, port);
    }
    freeaddrinfo(list);
    return text;
}

START_TEST(a_server_without_a_host_is_on_loopback)
{
    ck_assert_str_eq(resolved("9000", FAMILY_ANY, SERVER), "127.0.0.1:9000 [::1]:9000 ");
    ck_assert_str_eq(resolved("9000", FAMILY_4, SERVER), "127.0.0.1:9000 ");
    ck_assert_str_eq(resolved("9000", FAMILY_6, SERVER), "[::1]:9000 ");
    ck_assert_str_eq(resolved("0", FAMILY_4, SERVER), "127.0.0.1:0 ");
}
END_TEST

START_TEST(a_colon_alone_is_every_interface)
{
    ck_assert_str_eq(resolved(":9000", FAMILY_ANY, SERVER), "0.0.0.0:9000 [::]:9000 ");
    ck_assert_str_eq(resolved(":9000", FAMILY_4, SERVER), "0.0.0.0:9000 ");
    ck_assert_str_eq(resolved(":9000", FAMILY_6, SERVER), "[::]:9000 ");
}
END_TEST

START_TEST(literals_are_themselves)
{
    ck_assert_str_eq(resolved("127.0.0.1:9000", FAMILY_ANY, CLIENT), "127.0.0.1:9000 ");
    ck_assert_str_eq(resolved("[::1]:9000", FAMILY_ANY, CLIENT), "[::1]:9000 ");
    ck_assert_str_eq(resolved("[::1]:9000", FAMILY_6, SERVER), "[::1]:9000 ");
    ck_assert_ptr_null(strstr(resolved("[::1]:9000", FAMILY_4, CLIENT), "::1"));
    ck_assert_ptr_null(strstr(resolved("127.0.0.1:9000", FAMILY_6, CLIENT), "127"));
}
END_TEST

START_TEST(a_scope_becomes_its_interface)
{
    static const char *const words[] = {"[fe80::1%lo]:9000", NULL};
    struct endpoint endpoint;
    struct addrinfo *list;
    struct sockaddr_in6 address;
    ck_assert_int_eq(parse(&endpoint, CLIENT, words, NULL), 0);
    ck_assert_int_eq(endpoint_resolve(&endpoint, FAMILY_ANY, false, &list), 0);
    memcpy(&address, list->ai_addr, sizeof address);
    ck_assert_uint_eq(address.sin6_scope_id, if_nametoindex("lo"));
    freeaddrinfo(list);
}
END_TEST

/* /etc/hosts often names localhost twice. */
START_TEST(no_address_comes_twice)
{
    char text[1000];
    snprintf(text, sizeof text, "%s", resolved("localhost:9000", FAMILY_ANY, CLIENT));
    ck_assert_msg(strstr(text, ":9000 "), "%s", text);
    for (char *at = text, *end; *at; at = end + 1) {
        end = strchr(at, ' ');
        *end = '\0';
        ck_assert_msg(!strstr(end + 1, at), "%s twice", at);
    }
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void)
{
    Suite *suite = suite_create("endpoint");
    TCase *parsing = tcase_create("parsing"), *resolving = tcase_create("resolving");
    tcase_add_loop_test(parsing, becomes, 0, ROWS(good));
    tcase_add_test(parsing, a_service_name_is_its_port);
    tcase_add_test(parsing, unix_paths);
    tcase_add_loop_test(parsing, is_refused, 0, ROWS(bad));
    tcase_add_test(parsing, long_hosts);
    tcase_add_test(resolving, a_server_without_a_host_is_on_loopback);
    tcase_add_test(resolving, a_colon_alone_is_every_interface);
    tcase_add_test(resolving, literals_are_themselves);
    tcase_add_test(resolving, a_scope_becomes_its_interface);
    tcase_add_test(resolving, no_address_comes_twice);
    suite_add_tcase(suite, parsing);
    suite_add_tcase(suite, resolving);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
