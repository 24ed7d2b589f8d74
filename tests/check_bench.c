/* The reference programs of bench/, against each other and against synfind: each mode moves frames,
 * every byte verified, and closes as it should. What they measure is not looked at here. */
#include "config.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

static const char client_path[] = TOP_BUILDDIR "/bench/raw_client";
static const char raw_path[] = TOP_BUILDDIR "/bench/raw_server";
static const char bev_path[] = TOP_BUILDDIR "/bench/bev_server";

/* Starts a program with these words after its name and its first arguments, n of them. */
static struct program *begin(const char *path, const char *arguments[PAIR_ARGUMENTS_MAX],
                             unsigned n, const char *options, const char *last, int in)
{
    struct start start = {.program = path, .arguments = arguments, .in = in};
    char words[256], *save = NULL;

    snprintf(words, sizeof words, "%s", options);
    for (char *w = strtok_r(words, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        arguments[n++] = w;
    arguments[n++] = last;
    arguments[n] = NULL;
    return pair_start(&start);
}

/* A reference server that listens. */
static struct program *serve(const char *path, const char *options)
{
    static unsigned count;
    char name[32];

    snprintf(name, sizeof name, "%u.port", count++);
    const char *file = pair_file(name), *arguments[PAIR_ARGUMENTS_MAX] = {"--port-file", file};
    struct program *server = begin(path, arguments, 2, options, NULL, 0);
    pair_await_port(server, file);
    return server;
}

static struct program *drive_start(const char *options, const char *port, int in)
{
    const char *arguments[PAIR_ARGUMENTS_MAX];

    return begin(client_path, arguments, 0, options, port, in);
}

/* The number after NAME= in what a program printed. */
static double figure(struct program *program, const char *name)
{
    char key[64];
    const char *at = pair_out(program, NULL);

    snprintf(key, sizeof key, "%s=", name);
    while (at != NULL && (at = strstr(at, key)) != NULL) {
        if (at == program->out_text || at[-1] == ' ' || at[-1] == '\n')
            return strtod(at + strlen(key), NULL);
        at++;
    }
    ck_abort_msg("%s does not tell %s: %s", program->command, name, program->out_text);
}

static struct program *drive(const char *options, const char *port)
{
    struct program *client = drive_start(options, port, 0);

    ck_assert_msg(pair_wait(client) == 0, "%s: %s", client->command, pair_err(client));
    return client;
}

/* Both ends of the raw pair count the same. */
static void raw_pair(const char *server_options, const char *client_options, bool echo)
{
    struct program *server = serve(raw_path, server_options);
    struct program *client = drive(client_options, server->port_text);

    ck_assert_int_eq(pair_stop(server), 0);
    ck_assert(figure(client, "messages") > 0);
    ck_assert(figure(server, "connections") == figure(client, "connections"));
    ck_assert(figure(server, "clean") == figure(client, "connections"));
    ck_assert(figure(server, "unsent") == 0);
    if (echo)
        ck_assert(figure(server, "bytes_in") == figure(server, "bytes_out"));
    ck_assert(strstr(server_options, "--source") != NULL ||
              figure(server, "frames") >= figure(client, "messages"));
}

START_TEST(echo)
{
    static const char *const shapes[] = {
        "--connections 1 --milliseconds 30",
        "--connections 20 --pipeline 32 --milliseconds 30",
        "--connections 3 --pipeline 3 --size 0 --milliseconds 20",
        "--connections 3 --pipeline 3 --size 7 --milliseconds 20",
        "--connections 2 --pipeline 4 --size 4090 --milliseconds 30",
        "--connections 2 --pipeline 8 --size 65536 --milliseconds 50",
        "--connections 2 --pipeline 3 --size 1000000 --milliseconds 50",
        "--connections 1 --spin 50 --milliseconds 30",
        "--connections 10 --rate 5000 --milliseconds 50",
    };

    raw_pair("--spin 20", shapes[_i], true);
    raw_pair("", shapes[_i], true);
}
END_TEST

START_TEST(one_way)
{
    raw_pair("--discard --congestion cubic",
             "--send --size 65536 --congestion cubic --milliseconds 40", false);
    raw_pair("--discard", "--send --size 5 --connections 3 --milliseconds 20", false);
    raw_pair("--source 65536", "--receive --milliseconds 40", false);
    raw_pair("--source 5", "--receive --connections 3 --milliseconds 20", false);
}
END_TEST

START_TEST(churn)
{
    raw_pair("", "--churn --connections 5 --milliseconds 50", true);
}
END_TEST

START_TEST(plain_bufferevents)
{
    struct program *server = serve(bev_path, "");

    drive("--connections 20 --pipeline 32 --milliseconds 30", server->port_text);
    drive("--pipeline 8 --size 65536 --milliseconds 30", server->port_text);
    drive("--churn --connections 5 --milliseconds 30", server->port_text);
    ck_assert_int_eq(pair_stop(server), 0);
    server = serve(bev_path, "--discard --congestion cubic");
    drive("--send --size 65536 --milliseconds 30", server->port_text);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

START_TEST(product)
{
    struct program *server = pair_server("-t", "1", NULL);

    drive("--connections 20 --pipeline 32 --milliseconds 30", server->port_text);
    drive("--pipeline 8 --size 65536 --milliseconds 30", server->port_text);
    drive("--churn --connections 5 --milliseconds 30", server->port_text);
    drive("--connections 10 --rate 2000 --milliseconds 50", server->port_text);
    ck_assert_int_eq(pair_stop(server), 0);
    server = pair_server("-H", "source", NULL);
    drive("--receive --milliseconds 30", server->port_text);
    ck_assert_int_eq(pair_stop(server), 0);
    server = pair_server("-F", "crlf", NULL);
    drive("--ask +PONG\\r\\n --answer +PONG\\r\\n --pipeline 8 --milliseconds 30",
          server->port_text);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

START_TEST(held)
{
    int in;
    int out = pair_pipe(&in);
    struct program *server = serve(raw_path, "");
    struct program *client =
        drive_start("--hold --connections 300 --connecting 7", server->port_text, in);

    pair_await_out(client, "held connections=300");
    close(out);
    ck_assert_int_eq(pair_wait(client), 0);
    ck_assert_int_eq(pair_stop(server), 0);
    ck_assert(figure(server, "clean") == 300);
    ck_assert(figure(server, "frames") == 300);
}
END_TEST

/* SIGTERM while connections are open: each gets its FIN, and nothing that was answered is lost. */
START_TEST(drained)
{
    int in;
    int out = pair_pipe(&in);
    struct program *server = serve(raw_path, "");
    struct program *idle = drive_start("--hold --connections 50", server->port_text, in);

    pair_await_out(idle, "held connections=50");
    struct program *busy = drive_start("--milliseconds 20000", server->port_text, 0);
    pair_signal(server, SIGTERM);
    ck_assert_int_eq(pair_wait(busy), 1); /* no reply, no connection, or a FIN in place of one */
    close(out);
    ck_assert_int_eq(pair_wait(idle), 0);
    ck_assert_int_eq(pair_wait(server), 0);
    ck_assert(figure(server, "unsent") == 0);
    ck_assert(figure(server, "clean") >= 50);
}
END_TEST

/* A server that answers something else is noticed. */
START_TEST(wrong_bytes)
{
    struct program *server = pair_server("-H", "upper", NULL);
    struct program *client = drive_start("--milliseconds 1000", server->port_text, 0);

    ck_assert_int_eq(pair_wait(client), 1);
    ck_assert_ptr_nonnull(strstr(pair_err(client), "reply 0 is not what was expected"));
    pair_stop(server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench");
    TCase *tcase = tcase_create("references");
    SRunner *runner = srunner_create(suite);

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, pair_begin, pair_end);
    tcase_add_loop_test(tcase, echo, 0, 9);
    tcase_add_test(tcase, one_way);
    tcase_add_test(tcase, churn);
    tcase_add_test(tcase, plain_bufferevents);
    tcase_add_test(tcase, product);
    tcase_add_test(tcase, held);
    tcase_add_test(tcase, drained);
    tcase_add_test(tcase, wrong_bytes);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
