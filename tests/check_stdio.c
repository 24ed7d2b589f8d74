/* The client's standard input and output of every kind, against synfind's echo: what goes through,
 * what is said when it cannot, and that nobody who shares a descriptor finds it non-blocking. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "pair.h"
#include "talk_run.h"

static struct program *server;

static void begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    pair_begin();
    server = pair_server("-q", NULL);
}

static struct program *client_start(const struct start *start, const char *option)
{
    const char *arguments[] = {"127.0.0.1", server->port_text, option, NULL};
    struct start whole = *start;
    whole.program = "synfin";
    whole.arguments = arguments;
    return pair_start(&whole);
}

static void ends(struct program *client, int status)
{
    ck_assert_msg(pair_wait(client) == status, "%s: status %d, not %d; stderr: %s", client->command,
                  client->status, status, pair_err(client));
}

/* --- each kind of stdin with each kind of stdout --- */

START_TEST(every_kind)
{
    struct channel in = channel_open(_i / CHANNEL_COUNT, true);
    struct channel out = channel_open(_i % CHANNEL_COUNT, false);
    struct program *client =
        client_start(&(struct start){.in = in.theirs, .out = out.theirs}, "-v");
    channel_feed(&in);
    if (out.kind == CHANNEL_FILE)
        pair_wait(client);
    channel_expect(&out);
    channel_assert_blocking(in.theirs);
    channel_assert_blocking(out.theirs);
    ck_assert_msg(pair_wait(client) == 0, "%s to %s: %s", channel_kinds[in.kind],
                  channel_kinds[out.kind], pair_err(client));
    channel_assert_blocking(in.theirs);
    channel_assert_blocking(out.theirs);
}
END_TEST

/* A terminal that is both, as at a shell's prompt: by hand. */
START_TEST(shared_terminal)
{
    struct channel both = channel_open(CHANNEL_TERMINAL, true);
    struct program *client = client_start(&(struct start){.in = both.theirs, .out = both.theirs},
                                          "--linger-timeout=60s");
    channel_feed(&both);
    channel_expect(&both);
    channel_assert_blocking(both.theirs);
    ends(client, 0);
    channel_assert_blocking(both.theirs);
    talk_said(
        client,
        "synfin: each line is a frame (u32be: 4-byte big-endian length); ^D ends, ^C twice cuts\n",
        NULL);
}
END_TEST

START_TEST(terminal_shows_control_bytes)
{
    static const char shown[] = "\\x1b[31mred\\r\tend\n";
    char got[64] = "";
    struct channel out = channel_open(CHANNEL_TERMINAL, false);
    struct program *client =
        client_start(&(struct start){.input = "\x1b[31mred\r\tend\n", .out = out.theirs}, "-v");
    for (size_t have = 0; have < strlen(shown);) {
        ssize_t n = read(out.ours, got + have, sizeof got - 1 - have);
        ck_assert_int_gt(n, 0);
        have += (size_t)n;
    }
    ck_assert_str_eq(got, shown);
    ends(client, 0);
}
END_TEST

/* After two seconds without an answer: once, and no timeout follows. */
START_TEST(hint_by_hand)
{
    char port[8];
    int listener = raw_listen(port);
    struct channel in = channel_open(CHANNEL_TERMINAL, true);
    const char *arguments[] = {"--reply-timeout", "1ms", "127.0.0.1", port, NULL};
    struct program *client =
        pair_start(&(struct start){.program = "synfin", .arguments = arguments, .in = in.theirs});
    int fd = raw_accept(listener);
    ck_assert_int_eq(write(in.ours, "hello\n", 6), 6);
    raw_expect_frame(fd, "hello");
    pair_await_err(client, "    try: -F u32le (such a peer reads our 5 as 83,886,080 B and waits)");
    talk_said(client, "synfin: no answer for 2.00 s; what went out: 00 00 00 05 68 65 6c 6c 6f\n",
              NULL);
    raw_send_frame(fd, "at last");
    pair_await_out(client, "at last\n");
    ck_assert_int_eq(write(in.ours, "\4", 1), 1);
    raw_expect_fin(fd);
    raw_fin(fd);
    ends(client, 0);
}
END_TEST

/* --- what cannot be read or written --- */

START_TEST(stdin_closed)
{
    struct program *client = client_start(&(struct start){.in = PAIR_CLOSED}, "-v");
    ends(client, 26);
    talk_said(client, "synfin: standard input is closed; to send nothing: < /dev/null\n", NULL);
}
END_TEST

START_TEST(stdin_directory)
{
    int fd = open(pair_dir(), O_RDONLY | O_CLOEXEC);
    struct program *client = client_start(&(struct start){.in = fd}, "-v");
    ends(client, 26);
    talk_said(client, "synfin: standard input is a directory; ", NULL);
}
END_TEST

START_TEST(stdin_for_writing)
{
    int fd = open(pair_file("file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct program *client = client_start(&(struct start){.in = fd}, "-q");
    ends(client, 26);
    talk_said(client, "verdict: input at transfer: standard input is not open for reading\n",
              "    try: < FILE", NULL);
}
END_TEST

START_TEST(stdin_null)
{
    struct program *client = client_start(&(struct start){.in = 0}, "-q");
    ends(client, 0);
    talk_said(client, NULL);
    ck_assert_str_eq(pair_out(client, NULL), "");
}
END_TEST

START_TEST(stdout_full)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct program *client = client_start(&(struct start){.input = CHANNEL_TEXT, .out = fd}, "-q");
    ends(client, 23);
    talk_said(client, "verdict: output at ", "standard output is full (No space left on device)\n",
              "    try: make room", NULL);
}
END_TEST

/* The system would end the client by SIGXFSZ. */
START_TEST(stdout_over_limit)
{
    struct rlimit before, small;
    int fd = open(pair_file("out"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
    ck_assert_int_eq(lseek(fd, 1 << 20, SEEK_SET), 1 << 20);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct program *client = client_start(&(struct start){.input = CHANNEL_TEXT, .out = fd}, "-q");
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ends(client, 23);
    talk_said(client, "verdict: output at ", "    try: ", NULL);
}
END_TEST

START_TEST(stdout_closed)
{
    struct program *client =
        client_start(&(struct start){.input = CHANNEL_TEXT, .out = PAIR_CLOSED}, "-q");
    ends(client, 23);
    talk_said(client, "verdict: output at ", "standard output is closed\n", NULL);
}
END_TEST

/* Nothing to print: nothing is missing. */
START_TEST(stdout_closed_unused)
{
    struct program *client = client_start(&(struct start){.out = PAIR_CLOSED}, "-q");
    ends(client, 0);
    talk_said(client, NULL);
}
END_TEST

START_TEST(all_closed)
{
    const struct start start = {.in = PAIR_CLOSED, .out = PAIR_CLOSED, .err = PAIR_CLOSED};
    if (pair_wrapped())
        return; /* valgrind cannot do without */
    ends(client_start(&start, "-v"), 26);
}
END_TEST

START_TEST(stdout_for_reading)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct program *client = client_start(&(struct start){.input = CHANNEL_TEXT, .out = fd}, "-q");
    ends(client, 23);
    talk_said(client, "standard output is not open for writing\n", NULL);
}
END_TEST

static void gone_reader(enum channel_kind kind, const char *text)
{
    struct channel out = channel_open(kind, false);
    close(out.ours);
    struct program *client =
        client_start(&(struct start){.input = CHANNEL_TEXT, .out = out.theirs}, "-q");
    ends(client, 23);
    talk_said(client, "verdict: output at ", text, "    try: ", NULL);
}

START_TEST(stdout_reader_gone)
{
    gone_reader(_i == 0 ? CHANNEL_PIPE : CHANNEL_SOCKET,
                "standard output is a pipe whose reader has gone (Broken pipe)\n");
}
END_TEST

/* The reader goes when much is queued, and is waited for: still an end, and the same one. */
START_TEST(stdout_reader_goes)
{
    struct channel out = channel_open(CHANNEL_PIPE, false);
    char *text = malloc(4 << 20), some[4096];
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', 4 << 20);
    for (size_t i = 999; i < 4 << 20; i += 1000)
        text[i] = '\n';
    struct program *client = client_start(
        &(struct start){.input = text, .input_length = 4 << 20, .out = out.theirs}, "-q");
    close(out.theirs);
    ck_assert_int_gt(read(out.ours, some, sizeof some), 0);
    close(out.ours);
    ends(client, 23);
    free(text);
}
END_TEST

/* --help and its kin notice too. */
START_TEST(help_to_a_full_disk)
{
    static const char *const options[] = {"--help", "--version", "--frame=list"};
    const char *arguments[] = {options[_i], NULL};
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct program *client =
        pair_start(&(struct start){.program = "synfin", .arguments = arguments, .out = fd});
    ends(client, 23);
    talk_said(client, "synfin: standard output: No space left on device\n", NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stdio");
    TCase *t = tcase_create("stdio");
    tcase_add_checked_fixture(t, begin, pair_end);
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, every_kind, 0, CHANNEL_COUNT * CHANNEL_COUNT);
    tcase_add_test(t, shared_terminal);
    tcase_add_test(t, terminal_shows_control_bytes);
    tcase_add_test(t, hint_by_hand);
    tcase_add_test(t, stdin_closed);
    tcase_add_test(t, stdin_directory);
    tcase_add_test(t, stdin_for_writing);
    tcase_add_test(t, stdin_null);
    tcase_add_test(t, stdout_full);
    tcase_add_test(t, stdout_over_limit);
    tcase_add_test(t, stdout_closed);
    tcase_add_test(t, stdout_closed_unused);
    tcase_add_test(t, all_closed);
    tcase_add_test(t, stdout_for_reading);
    tcase_add_loop_test(t, stdout_reader_gone, 0, 2);
    tcase_add_test(t, stdout_reader_goes);
    tcase_add_loop_test(t, help_to_a_full_disk, 0, 3);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
