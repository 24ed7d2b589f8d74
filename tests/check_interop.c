/* The pair, each end with a peer that is not ours: Python's standard library, socat and ncat, both
 * ways; every byte equal, and the records say how the connections ended. */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interop.h"
#include "pair.h"

static const char *journal_url(const char *path)
{
    static char url[512];
    snprintf(url, sizeof url, "jsonl:%s", path);
    return url;
}

static struct program *start_echo(const char *codec)
{
    return pair_server("-F", codec, "--journal", journal_url(interop_server_journal()), NULL);
}

/* --- Python --- */

/* A Python client against synfind. Who closes first: the client half-closes when all is sent, or
 * waits for the server, which is told to end. */
static const struct client_row {
    const char *codec;
    bool we_close;
} client_rows[] = {
    {"u8", false},        {"u16be", false}, {"u16le", false}, {"u32be", false},
    {"u32le", false},     {"u64be", false}, {"u64le", false}, {"line", false},
    {"netstring", false}, {"crlf", false},  {"nul", false},   {"octet", false},
    {"u16le", true},      {"u32be", true},  {"line", true},   {"netstring", true},
};

START_TEST(python_client)
{
    const struct client_row *row = &client_rows[_i];
    struct program *server = start_echo(row->codec);
    struct program *client = interop_script((const char *[]){
        "frames.py", "client", row->codec, server->port_text, row->we_close ? "peer" : "we", NULL});
    if (row->we_close) {
        pair_await_out(client, "all came back\n");
        interop_stop(server);
    }
    interop_script_ends(client);
    if (!row->we_close) {
        interop_stop(server);
    }
    const char *journal = interop_server_journal();
    long frames = interop_recorded(journal, "frames_in");
    ck_assert_int_gt(frames, 2000);
    interop_expect(journal, 0, "clean", row->we_close ? "local" : "peer", frames, frames);
    ck_assert_int_eq(interop_recorded(journal, "accepted"), frames);
    ck_assert_int_eq(interop_recorded(journal, "unanswered"), 0);
    ck_assert_int_eq(interop_recorded(journal, "bytes_in"), interop_recorded(journal, "bytes_out"));
}
END_TEST

START_TEST(python_client_on_a_unix_socket)
{
    const char *path = pair_file("echo.sock");
    char address[512];
    snprintf(address, sizeof address, "unix:%s", path);
    struct program *server =
        interop_start("synfind",
                      (const char *[]){"-F", "u32be", "--journal",
                                       journal_url(interop_server_journal()), address, NULL},
                      NULL);
    pair_await_err(server, "listening on");
    interop_script_ends(
        interop_script((const char *[]){"frames.py", "client", "u32be", path, "we", NULL}));
    interop_stop(server);
    interop_expect(interop_server_journal(), 0, "clean", "peer", -1, -1);
}
END_TEST

/* synfin against a Python server, which answers each frame, or all when it has read to the end. */
static const struct server_row {
    const char *codec, *when, *who, *fin_after, *closed_first;
} server_rows[] = {
    {"u8", "each", "peer", "replies", "local"},
    {"u16be", "each", "peer", "replies", "local"},
    {"u16le", "each", "peer", "replies", "local"},
    {"u32be", "each", "peer", "replies", "local"},
    {"u32le", "each", "peer", "replies", "local"},
    {"u64be", "each", "peer", "replies", "local"},
    {"u64le", "each", "peer", "replies", "local"},
    {"line", "each", "peer", "replies", "local"},
    {"netstring", "each", "peer", "replies", "local"},
    {"crlf", "each", "peer", "replies", "local"},
    {"nul", "each", "peer", "replies", "local"},
    {"octet", "each", "peer", "replies", "local"},
    {"u32be", "each", "we", "never", "peer"},
    {"line", "each", "we", "never", "peer"},
    {"u32be", "end", "peer", "eof", "local"},
    {"line", "end", "peer", "eof", "local"},
    {"netstring", "end", "we", "eof", "local"},
};

/* Its bodies, in frames of u32be as synfin's stdin and stdout are to have them. */
static const char *make_input(const char *codec)
{
    const char *path = pair_file("input");
    interop_script_ends(
        interop_script((const char *[]){"frames.py", "make", codec, "u32be", path, NULL}));
    return path;
}

static struct program *start_python_server(const char *codec, const char *when, const char *who)
{
    struct program *server =
        interop_script((const char *[]){"frames.py", "server", codec, when, who, NULL});
    snprintf(server->port_text, sizeof server->port_text, "%d",
             interop_number_after(server, "listens on "));
    return server;
}

START_TEST(python_server)
{
    const struct server_row *row = &server_rows[_i];
    const char *input = make_input(row->codec);
    struct program *server = start_python_server(row->codec, row->when, row->who);
    struct program *client =
        interop_client((const char *[]){"-F", row->codec, "--stdio", "u32be", "--fin-after",
                                        row->fin_after, "127.0.0.1", server->port_text, NULL},
                       input);
    ck_assert_msg(client->status == 0, "%d: %s", client->status, pair_err(client));
    interop_script_ends(server);
    interop_equal(client, input);
    const char *journal = interop_client_journal();
    long frames = interop_recorded(journal, "frames_out");
    ck_assert_int_gt(frames, 2000);
    interop_expect(journal, 0, "clean", row->closed_first, frames, frames);
}
END_TEST

/* A server that reads to the end first never gets there while the client waits for replies. */
START_TEST(python_server_that_waits_for_the_end_needs_fin_after_eof)
{
    const char *input = make_input("u32be");
    struct program *server = start_python_server("u32be", "end", "peer");
    struct program *client =
        interop_client((const char *[]){"-F", "u32be", "--stdio", "u32be", "--reply-timeout",
                                        "300ms", "127.0.0.1", server->port_text, NULL},
                       input);
    ck_assert_int_eq(client->status, 28);
    interop_expect(interop_client_journal(), 0, "reply-timeout", "nobody", 0, -1);
    ck_assert_int_ne(pair_wait(server), 0); /* it saw the RST */
}
END_TEST

/* --- socat and ncat --- */

/* Bytes of every value in lines of many lengths, the empty one too. */
static const char *write_input(size_t size)
{
    const char *path = pair_file("input");
    FILE *file = fopen(path, "we");
    uint64_t random = 1;
    ck_assert_ptr_nonnull(file);
    for (size_t i = 1; i < size; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        putc((int)(random >> 33 & 0xff), file);
    }
    putc('\n', file);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

#define SOCAT_CLIENT "socat", "-t", "60", "-", "TCP:127.0.0.1:@"
#define NCAT_CLIENT "ncat", "127.0.0.1", "@"

static const struct netcat_client {
    const char *codec;
    const char *words[8]; /* "@" in the last: the port */
} netcat_clients[] = {
    {"line", {SOCAT_CLIENT}},
    {"raw", {SOCAT_CLIENT}},
    {"line", {NCAT_CLIENT}},
    {"raw", {NCAT_CLIENT}},
};

START_TEST(netcat_client)
{
    const struct netcat_client *row = &netcat_clients[_i];
    const char *words[8], *input = write_input(4 << 20);
    char target[64];
    unsigned last = 0;
    struct program *server = start_echo(row->codec);
    memcpy(words, row->words, sizeof words);
    while (words[last + 1] != NULL) {
        last++;
    }
    snprintf(target, sizeof target, "%.*s%s", (int)strlen(words[last]) - 1, words[last],
             server->port_text);
    words[last] = target;
    struct program *client = interop_start(words[0], words + 1, input);
    ck_assert_msg(pair_wait(client) == 0, "%s: %s", client->command, pair_err(client));
    interop_stop(server);
    interop_equal(client, input);
    const char *journal = interop_server_journal();
    interop_expect(journal, 0, "clean", "peer", -1, interop_recorded(journal, "frames_in"));
    ck_assert_int_eq(interop_recorded(journal, "bytes_in"), 4 << 20);
}
END_TEST

/* Servers that answer with what they get; ncat's is for little, since it does not read what its
 * program writes while the program does not read. */
static const struct netcat_server {
    const char *codec, *fin_after;
    size_t size;
    const char *words[10];
    const char *ready; /* the port follows, or was chosen by us where `words` has "@" */
} netcat_servers[] = {
#define SOCAT_SERVER "socat", "-d", "-d", "-t", "60", "-b", "4096", "TCP-LISTEN:0,bind=127.0.0.1"
#define NCAT_SERVER "ncat", "-v", "-l"
    {"line", "replies", 4 << 20, {SOCAT_SERVER, "PIPE"}, " 127.0.0.1:"},
    {"raw", "eof", 4 << 20, {SOCAT_SERVER, "PIPE"}, " 127.0.0.1:"},
    {"raw", "replies", 4 << 20, {SOCAT_SERVER, "EXEC:cat"}, " 127.0.0.1:"},
    {"line", "replies", 30000, {NCAT_SERVER, "-e", "/bin/cat", "127.0.0.1", "@"}, "Listening on"},
    {"raw", "replies", 30000, {NCAT_SERVER, "-e", "/bin/cat", "127.0.0.1", "@"}, "Listening on"},
};

static struct program *start_netcat_server(const char *const *words, const char *ready,
                                           const char *input)
{
    if (strcmp(words[0], "ncat") == 0) {
        return interop_server("ncat", words + 1, input, ready, "Address already in use");
    }
    struct program *server = interop_start(words[0], words + 1, input);
    snprintf(server->port_text, sizeof server->port_text, "%d",
             interop_number_after(server, ready));
    return server;
}

START_TEST(netcat_server)
{
    const struct netcat_server *row = &netcat_servers[_i];
    const char *input = write_input(row->size);
    struct program *server = start_netcat_server(row->words, row->ready, NULL);
    struct program *client =
        interop_client((const char *[]){"-F", row->codec, "--stdio", row->codec, "--fin-after",
                                        row->fin_after, "127.0.0.1", server->port_text, NULL},
                       input);
    ck_assert_msg(client->status == 0, "%d: %s", client->status, pair_err(client));
    pair_wait(server);
    interop_equal(client, input);
    const char *journal = interop_client_journal();
    interop_expect(journal, 0, "clean", "local", -1, -1);
    ck_assert_int_eq(interop_recorded(journal, "bytes_out"), (long)row->size);
    ck_assert_int_eq(interop_recorded(journal, "bytes_in"), (long)row->size);
}
END_TEST

/* One way only: what the other sends, it closing first. */
START_TEST(netcat_sends)
{
    const char *codec = _i % 2 == 0 ? "line" : "raw", *input = write_input(4 << 20);
    struct program *server =
        _i < 2 ? start_netcat_server(
                     (const char *[]){NCAT_SERVER, "--send-only", "127.0.0.1", "@", NULL},
                     "Listening on", input)
               : start_netcat_server((const char *[]){"socat", "-d", "-d", "-u", "-",
                                                      "TCP-LISTEN:0,bind=127.0.0.1", NULL},
                                     " 127.0.0.1:", input);
    struct program *client =
        interop_client((const char *[]){"-F", codec, "--stdio", codec, "--fin-after", "never",
                                        "127.0.0.1", server->port_text, NULL},
                       NULL);
    ck_assert_msg(client->status == 0, "%d: %s", client->status, pair_err(client));
    ck_assert_int_eq(pair_wait(server), 0);
    interop_equal(client, input);
    interop_expect(interop_client_journal(), 0, "clean", "peer", -1, 0);
}
END_TEST

/* One way only: what we send, we closing first. ncat is given a stdin without an end, at which it
 * would half-close. */
START_TEST(netcat_receives)
{
    char no_end[64];
    int in, out = pair_pipe(&in);
    snprintf(no_end, sizeof no_end, "/proc/self/fd/%d", in);
    const char *codec = _i % 2 == 0 ? "line" : "raw", *input = write_input(4 << 20);
    struct program *server =
        _i < 2 ? start_netcat_server((const char *[]){NCAT_SERVER, "127.0.0.1", "@", NULL},
                                     "Listening on", no_end)
               : start_netcat_server((const char *[]){"socat", "-d", "-d", "-u",
                                                      "TCP-LISTEN:0,bind=127.0.0.1", "-", NULL},
                                     " 127.0.0.1:", NULL);
    struct program *client =
        interop_client((const char *[]){"-F", codec, "--stdio", codec, "--fin-after", "eof",
                                        "127.0.0.1", server->port_text, NULL},
                       input);
    ck_assert_msg(client->status == 0, "%d: %s", client->status, pair_err(client));
    ck_assert_int_eq(pair_wait(server), 0);
    interop_equal(server, input);
    close(in);
    close(out);
    interop_expect(interop_client_journal(), 0, "clean", "local", 0, -1);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof *(table))

int main(void)
{
    Suite *suite = suite_create("interop");
    TCase *python = interop_case(suite, "Python", (const char *[]){"python3", NULL});
    if (python != NULL) {
        tcase_add_loop_test(python, python_client, 0, ROWS(client_rows));
        tcase_add_test(python, python_client_on_a_unix_socket);
        tcase_add_loop_test(python, python_server, 0, ROWS(server_rows));
        tcase_add_test(python, python_server_that_waits_for_the_end_needs_fin_after_eof);
    }
    TCase *netcats = interop_case(suite, "netcats", (const char *[]){"socat", "ncat", NULL});
    if (netcats != NULL) {
        tcase_add_loop_test(netcats, netcat_client, 0, ROWS(netcat_clients));
        tcase_add_loop_test(netcats, netcat_server, 0, ROWS(netcat_servers));
        tcase_add_loop_test(netcats, netcat_sends, 0, 4);
        tcase_add_loop_test(netcats, netcat_receives, 0, 4);
    }
    return interop_run(suite);
}
