/* synfin against servers that people run: BIND over TCP (-F dns), redis and memcached (-F crlf);
 * and BIND's dig against synfind. The servers are killed at the end: memcached takes a second over
 * its own. */
#include "config.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interop.h"
#include "pair.h"

/* A text that grows, and ends up in a file where it is input. */
struct text {
    char *bytes;
    size_t length;
    FILE *file;
};

static struct text text_new(void)
{
    return (struct text){NULL, 0, NULL};
}

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    if (text->file == NULL) {
        text->file = open_memstream(&text->bytes, &text->length);
        ck_assert_ptr_nonnull(text->file);
    }
    va_start(arguments, format);
    vfprintf(text->file, format, arguments);
    va_end(arguments);
}

/* `n` times this byte. */
static void add_run(struct text *text, int byte, size_t n)
{
    add(text, "%s", "");
    while (n-- > 0) {
        putc(byte, text->file);
    }
}

static void text_free(struct text *text)
{
    fclose(text->file);
    free(text->bytes);
    *text = text_new();
}

static const char *as_file(struct text *text)
{
    const char *path = pair_file("input");
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fflush(text->file);
    ck_assert_uint_eq(fwrite(text->bytes, 1, text->length, file), text->length);
    ck_assert_int_eq(fclose(file), 0);
    text_free(text);
    return path;
}

static void expect_replies(struct program *client, struct text *replies)
{
    fflush(replies->file);
    ck_assert_msg(client->status == 0, "%d: %s", client->status, pair_err(client));
    interop_equal_bytes(client, replies->bytes, replies->length);
    text_free(replies);
}

/* --- a DNS server --- */

/* A copy: where a security profile is tied to the path of the installed one, that may read no
 * folder of ours. */
static const char *copy_of_named(void)
{
    const char *copy = pair_file("named");
    size_t n;
    char *bytes = pair_read_file(interop_find("named"), &n);
    FILE *file = fopen(copy, "we");
    ck_assert(bytes != NULL && file != NULL);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    fclose(file);
    free(bytes);
    ck_assert_int_eq(chmod(copy, 0700), 0);
    return copy;
}

static struct program *start_named(void)
{
    const char *zone = pair_file("zone"), *conf = pair_file("named.conf");
    FILE *file = fopen(conf, "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "options { directory \"%s\"; listen-on { 127.0.0.1; }; listen-on-v6 { none; };\n"
            "  pid-file none; lock-file none; session-keyfile \"%s/session.key\";\n"
            "  recursion no; notify no; dnssec-validation no; allow-transfer { 127.0.0.1; };\n"
            "  tcp-idle-timeout 10; transfer-message-size 4096; };\n"
            "controls { };\n"
            "zone \"test\" { type primary; file \"%s\"; };\n",
            pair_dir(), pair_dir(), zone);
    fclose(file);
    interop_script_ends(interop_script((const char *[]){"dns.py", "zone", zone, NULL}));
    /* A port taken for UDP: "creating IPv4 interface lo failed"; for TCP alone: "creating TCP
     * socket: address in use", and it goes on without. */
    struct program *named =
        interop_server(copy_of_named(), (const char *[]){"-g", "-p", "@", "-c", conf, NULL}, NULL,
                       " running", "creating ");
    ck_assert_msg(strstr(pair_err(named), "loading") == NULL ||
                      strstr(pair_err(named), "not loaded") == NULL,
                  "%s", pair_err(named));
    return named;
}

static const char *made_by(const char *job)
{
    const char *path = pair_file("input");
    interop_script_ends(interop_script((const char *[]){"dns.py", job, path, NULL}));
    return path;
}

static void judged_by(const char *job, struct program *client)
{
    interop_script_ends(interop_script((const char *[]){"dns.py", job, client->out_path, NULL}));
}

START_TEST(dns_answers_each_of_many_queries_in_flight)
{
    struct program *named = start_named();
    struct program *client = interop_client(
        (const char *[]){"-F", "dns", "--stdio", "hex", "127.0.0.1", named->port_text, NULL},
        made_by("queries"));
    ck_assert_msg(client->status == 0, "%d: %s", client->status, pair_err(client));
    judged_by("answers", client);
    interop_expect(interop_client_journal(), 0, "clean", "local", 1920, 1920);
    ck_assert_int_gt(interop_recorded(interop_client_journal(), "bytes_in"), 20 * 45000);
}
END_TEST

/* More replies than queries: the client stays until the server, idle for a second, closes. */
START_TEST(dns_transfers_a_zone_in_many_messages)
{
    struct program *named = start_named();
    struct program *client =
        interop_client((const char *[]){"-F", "dns", "--stdio", "hex", "--fin-after", "never",
                                        "127.0.0.1", named->port_text, NULL},
                       made_by("axfr"));
    ck_assert_msg(client->status == 0, "%d: %s", client->status, pair_err(client));
    judged_by("transfer", client);
    interop_expect(interop_client_journal(), 0, "clean", "peer", -1, 1);
}
END_TEST

static unsigned id_after(const char **at, const char *text)
{
    const char *found = strstr(*at, text);
    ck_assert_msg(found != NULL, "no %s", text);
    found = strstr(found, ", id: ");
    ck_assert_ptr_nonnull(found);
    *at = found + 6;
    return (unsigned)strtoul(*at, NULL, 10);
}

/* An echo is no answer, and dig says so; but it takes it for the one to its query. */
START_TEST(dig_reads_back_its_queries)
{
    char url[512];
    snprintf(url, sizeof url, "jsonl:%s", interop_server_journal());
    struct program *server = pair_server("-F", "dns", "--journal", url, NULL);
    struct program *dig = interop_start(
        "dig",
        (const char *[]){"@127.0.0.1", "-p", server->port_text, "+tcp", "+keepopen", "+qr",
                         "+tries=1", "+timeout=20", "h1.test", "h2.test", "h3.test", NULL},
        NULL);
    ck_assert_msg(pair_wait(dig) == 0, "%s", pair_err(dig));
    interop_stop(server);
    const char *out = pair_out(dig, NULL);
    for (unsigned i = 0; i < 3; i++) {
        unsigned sent = id_after(&out, "Sending:");
        ck_assert_uint_eq(sent, id_after(&out, "Got answer:"));
    }
    interop_expect(interop_server_journal(), 0, "clean", "peer", 3, 3);
}
END_TEST

/* --- redis --- */

static struct program *start_redis(void)
{
    return interop_server("redis-server",
                          (const char *[]){"--port", "@", "--bind", "127.0.0.1", "--unixsocket",
                                           pair_file("redis.sock"), "--dir", pair_dir(), "--save",
                                           "", "--appendonly", "no", "--daemonize", "no",
                                           "--logfile", "", NULL},
                          NULL, "Ready to accept connections", "Address already in use");
}

/* On its unix socket, or its port of 127.0.0.1. */
static struct program *ask(struct program *server, const char *socket_name, const char *fin_after,
                           struct text *input)
{
    char address[512];
    if (socket_name != NULL) {
        snprintf(address, sizeof address, "unix:%s", pair_file(socket_name));
    } else {
        snprintf(address, sizeof address, "127.0.0.1:%s", server->port_text);
    }
    return interop_client((const char *[]){"-F", "crlf", "--fin-after", fin_after, address, NULL},
                          as_file(input));
}

START_TEST(redis_answers_a_ping)
{
    struct program *redis = start_redis();
    struct text input = text_new(), replies = text_new();
    add(&input, "PING\n");
    add(&replies, "+PONG\n");
    struct program *client = ask(redis, _i == 0 ? NULL : "redis.sock", "replies", &input);
    expect_replies(client, &replies);
    interop_expect(interop_client_journal(), 0, "clean", "local", 1, 1);
}
END_TEST

/* A line for a line: our FIN goes with the last. */
START_TEST(redis_answers_ten_thousand_lines)
{
    struct program *redis = start_redis();
    struct text input = text_new(), replies = text_new();
    for (unsigned i = 1; i <= 5000; i++) {
        add(&input, "SET k%u value-%u\nINCR n\n", i, i);
        add(&replies, "+OK\n:%u\n", i);
    }
    struct program *client = ask(redis, _i == 0 ? NULL : "redis.sock", "replies", &input);
    expect_replies(client, &replies);
    interop_expect(interop_client_journal(), 0, "clean", "local", 10000, 10000);
}
END_TEST

/* Two lines for a GET; the end is the server's, which is asked for it. */
START_TEST(redis_closes_after_quit)
{
    struct program *redis = start_redis();
    struct text input = text_new(), replies = text_new();
    for (unsigned i = 0; i < 5000; i++) {
        add(&input, "SET k%u value-%05u\nGET k%u\n", i, i, i);
        add(&replies, "+OK\n$11\nvalue-%05u\n", i);
    }
    add(&input, "QUIT\n");
    add(&replies, "+OK\n");
    struct program *client = ask(redis, _i == 0 ? NULL : "redis.sock", "never", &input);
    expect_replies(client, &replies);
    interop_expect(interop_client_journal(), 0, "clean", "peer", 15001, 10001);
}
END_TEST

#define BIG_BYTES (4 << 20)

/* redis drops what it has not sent when the peer's FIN comes: to half-close at the end of stdin
 * loses answers, and the loss is told; to wait for them does not. */
START_TEST(redis_answers_in_whole_only_to_who_waits)
{
    struct program *redis = start_redis();
    struct text input = text_new(), replies = text_new();
    unsigned count = pair_scaled(10) + 2;
    bool waits = _i == 0;

    add(&input, "SETRANGE big %d x\n", BIG_BYTES - 1);
    add(&replies, ":%d\n", BIG_BYTES);
    expect_replies(ask(redis, NULL, "replies", &input), &replies);
    for (unsigned i = 0; i < count; i++) {
        add(&input, "GET big\n");
        add(&replies, "$%d\n", BIG_BYTES);
        add_run(&replies, 0, BIG_BYTES - 1);
        add(&replies, "x\n");
    }
    struct program *client = ask(redis, NULL, waits ? "replies" : "eof", &input);
    if (waits) {
        expect_replies(client, &replies);
        interop_expect(interop_client_journal(), 0, "clean", "local", 2 * count, count);
    } else {
        ck_assert_msg(client->status == 56, "%d: %s", client->status, pair_err(client));
        interop_expect(interop_client_journal(), 0, "truncated", "local", -1, count);
        ck_assert_int_lt(interop_recorded(interop_client_journal(), "bytes_in"),
                         (long)count * BIG_BYTES);
        text_free(&replies);
    }
}
END_TEST

/* --- memcached --- */

static struct program *start_memcached(const char *socket_name)
{
    const char *user = geteuid() == 0 ? "root" : "nobody"; /* ignored unless root starts it */
    if (socket_name != NULL) {
        return interop_server(
            "memcached",
            (const char *[]){"-vv", "-U", "0", "-u", user, "-s", pair_file(socket_name), NULL},
            NULL, "server listening", "failed to listen");
    }
    return interop_server(
        "memcached",
        (const char *[]){"-vv", "-U", "0", "-u", user, "-l", "127.0.0.1", "-p", "@", NULL}, NULL,
        "server listening", "failed to listen");
}

START_TEST(memcached_answers_ten_thousand_lines)
{
    const char *name = _i == 0 ? NULL : "memcached.sock";
    struct program *memcached = start_memcached(name);
    struct text input = text_new(), replies = text_new();
    add(&input, "set n 0 0 1\n0\n");
    add(&replies, "STORED\n");
    expect_replies(ask(memcached, name, "replies", &input), &replies);
    for (unsigned i = 1; i <= 10000; i++) {
        add(&input, "incr n 1\n");
        add(&replies, "%u\n", i);
    }
    struct program *client = ask(memcached, name, "replies", &input);
    expect_replies(client, &replies);
    interop_expect(interop_client_journal(), 0, "clean", "local", 10000, 10000);
}
END_TEST

START_TEST(memcached_closes_after_quit)
{
    const char *name = _i == 0 ? NULL : "memcached.sock";
    struct program *memcached = start_memcached(name);
    struct text input = text_new(), replies = text_new();
    for (unsigned i = 0; i < 3333; i++) {
        add(&input, "set k%u 0 0 11\nvalue-%05u\nget k%u\n", i, i, i);
        add(&replies, "STORED\nVALUE k%u 0 11\nvalue-%05u\nEND\n", i, i);
    }
    add(&input, "quit\n");
    struct program *client = ask(memcached, name, "never", &input);
    expect_replies(client, &replies);
    interop_expect(interop_client_journal(), 0, "clean", "peer", 4 * 3333, 3 * 3333 + 1);
}
END_TEST

#define VALUE_BYTES 1000000

/* Frames of a megabyte each way. */
START_TEST(memcached_takes_and_gives_large_values)
{
    struct program *memcached = start_memcached(NULL);
    struct text input = text_new(), replies = text_new();
    for (unsigned i = 0; i < 5; i++) {
        add(&input, "set big%u 0 0 %d\n", i, VALUE_BYTES);
        add_run(&input, 'a' + (int)i, VALUE_BYTES);
        add(&input, "\nget big%u\n", i);
        add(&replies, "STORED\nVALUE big%u 0 %d\n", i, VALUE_BYTES);
        add_run(&replies, 'a' + (int)i, VALUE_BYTES);
        add(&replies, "\nEND\n");
    }
    struct program *client = ask(memcached, NULL, "replies", &input);
    expect_replies(client, &replies);
    interop_expect(interop_client_journal(), 0, "clean", "local", 20, 15);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("services");
    TCase *dns = interop_case(suite, "BIND", (const char *[]){"named", "python3", NULL});
    if (dns != NULL) {
        tcase_add_test(dns, dns_answers_each_of_many_queries_in_flight);
        tcase_add_test(dns, dns_transfers_a_zone_in_many_messages);
    }
    TCase *dig = interop_case(suite, "dig", (const char *[]){"dig", NULL});
    if (dig != NULL) {
        tcase_add_test(dig, dig_reads_back_its_queries);
    }
    TCase *redis = interop_case(suite, "redis", (const char *[]){"redis-server", NULL});
    if (redis != NULL) {
        tcase_add_loop_test(redis, redis_answers_a_ping, 0, 2);
        tcase_add_loop_test(redis, redis_answers_ten_thousand_lines, 0, 2);
        tcase_add_loop_test(redis, redis_closes_after_quit, 0, 2);
        tcase_add_loop_test(redis, redis_answers_in_whole_only_to_who_waits, 0, 2);
    }
    TCase *memcached = interop_case(suite, "memcached", (const char *[]){"memcached", NULL});
    if (memcached != NULL) {
        tcase_add_loop_test(memcached, memcached_answers_ten_thousand_lines, 0, 2);
        tcase_add_loop_test(memcached, memcached_closes_after_quit, 0, 2);
        tcase_add_test(memcached, memcached_takes_and_gives_large_values);
    }
    return interop_run(suite);
}
