/* The client's standard input and output of every kind, against synfind's echo: what goes through,
 * what is said when it cannot, and that nobody who shares a descriptor finds it non-blocking. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "pair.h"
#include "talk_run.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

#define TEXT "first\nsecond\n\nlast\n"

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

static void set_nonblocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void assert_blocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

/* --- each kind of stdin with each kind of stdout --- */

enum kind { KIND_FILE, KIND_PIPE, KIND_TERMINAL, KIND_SOCKET, KIND_COUNT };
static const char *const kind_names[] = {"file", "pipe", "terminal", "socket"};

/* One end for the client, which keeps it as it finds it, and ours. */
struct channel {
    enum kind kind;
    int theirs, ours;
};

static void make_raw(int fd)
{
    struct termios mode;
    ck_assert_int_eq(tcgetattr(fd, &mode), 0);
    cfmakeraw(&mode);
    mode.c_lflag |= ICANON; /* lines, and ^D; no echo, no change of what is written */
    ck_assert_int_eq(tcsetattr(fd, TCSANOW, &mode), 0);
}

static struct channel channel_open(enum kind kind, bool input)
{
    struct channel channel = {.kind = kind, .theirs = -1, .ours = -1};
    int fds[2];
    switch (kind) {
    case KIND_FILE:
        channel.theirs = open(pair_file(input ? "in" : "out"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        break;
    case KIND_PIPE:
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        channel.theirs = fds[input ? 0 : 1];
        channel.ours = fds[input ? 1 : 0];
        break;
    case KIND_TERMINAL:
        ck_assert_int_eq(openpty(&channel.ours, &channel.theirs, NULL, NULL, NULL), 0);
        make_raw(channel.theirs);
        break;
    case KIND_SOCKET:
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        channel.theirs = fds[0];
        channel.ours = fds[1];
        break;
    case KIND_COUNT:
        break;
    }
    ck_assert_int_ge(channel.theirs, 0);
    return channel;
}

static void channel_feed(struct channel *channel)
{
    int fd = channel->kind == KIND_FILE ? channel->theirs : channel->ours;
    ck_assert_int_eq(write(fd, TEXT, strlen(TEXT)), (ssize_t)strlen(TEXT));
    if (channel->kind == KIND_FILE)
        lseek(fd, 0, SEEK_SET);
    else if (channel->kind == KIND_TERMINAL)
        ck_assert_int_eq(write(fd, "\4", 1), 1);
    else
        close(fd);
}

static void channel_expect(struct channel *channel)
{
    char got[256];
    size_t have = 0;
    int fd = channel->kind == KIND_FILE ? channel->theirs : channel->ours;
    if (channel->kind == KIND_FILE)
        lseek(fd, 0, SEEK_SET);
    while (have < strlen(TEXT)) {
        ssize_t n = read(fd, got + have, sizeof got - have);
        ck_assert_msg(n > 0, "%zu bytes, then %s", have, n < 0 ? strerror(errno) : "the end");
        have += (size_t)n;
    }
    got[have] = '\0';
    ck_assert_str_eq(got, TEXT);
}

START_TEST(every_kind)
{
    struct channel in = channel_open(_i / KIND_COUNT, true);
    struct channel out = channel_open(_i % KIND_COUNT, false);
    struct program *client =
        client_start(&(struct start){.in = in.theirs, .out = out.theirs}, "-v");
    channel_feed(&in);
    if (out.kind == KIND_FILE)
        pair_wait(client);
    channel_expect(&out);
    assert_blocking(in.theirs);
    assert_blocking(out.theirs);
    ck_assert_msg(pair_wait(client) == 0, "%s to %s: %s", kind_names[in.kind], kind_names[out.kind],
                  pair_err(client));
    assert_blocking(in.theirs);
    assert_blocking(out.theirs);
}
END_TEST

/* A terminal that is both, as at a shell's prompt: by hand. */
START_TEST(shared_terminal)
{
    struct channel both = channel_open(KIND_TERMINAL, true);
    struct program *client = client_start(&(struct start){.in = both.theirs, .out = both.theirs},
                                          "--linger-timeout=60s");
    channel_feed(&both);
    channel_expect(&both);
    assert_blocking(both.theirs);
    ends(client, 0);
    assert_blocking(both.theirs);
    talk_said(client,
              "synfin: each line is a frame (u32be: 4-byte big-endian length); ^D ends, ^C cuts\n",
              NULL);
}
END_TEST

START_TEST(terminal_shows_control_bytes)
{
    static const char shown[] = "\\x1b[31mred\\r\tend\n";
    char got[64] = "";
    struct channel out = channel_open(KIND_TERMINAL, false);
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
    struct channel in = channel_open(KIND_TERMINAL, true);
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
    struct program *client = client_start(&(struct start){.input = TEXT, .out = fd}, "-q");
    ends(client, 23);
    talk_said(client, "verdict: output at ", "standard output is full (No space left on device)\n",
              "    try: make room", NULL);
}
END_TEST

START_TEST(stdout_closed)
{
    struct program *client = client_start(&(struct start){.input = TEXT, .out = PAIR_CLOSED}, "-q");
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
    ends(client_start(&start, "-v"), 26);
}
END_TEST

START_TEST(stdout_for_reading)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct program *client = client_start(&(struct start){.input = TEXT, .out = fd}, "-q");
    ends(client, 23);
    talk_said(client, "standard output is not open for writing\n", NULL);
}
END_TEST

static void gone_reader(enum kind kind, const char *text)
{
    struct channel out = channel_open(kind, false);
    close(out.ours);
    struct program *client = client_start(&(struct start){.input = TEXT, .out = out.theirs}, "-q");
    ends(client, 23);
    talk_said(client, "verdict: output at ", text, "    try: ", NULL);
}

START_TEST(stdout_reader_gone)
{
    gone_reader(_i == 0 ? KIND_PIPE : KIND_SOCKET,
                "standard output is a pipe whose reader has gone (Broken pipe)\n");
}
END_TEST

/* The reader goes when much is queued, and is waited for: still an end, and the same one. */
START_TEST(stdout_reader_goes)
{
    struct channel out = channel_open(KIND_PIPE, false);
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

/* --- much data, in little memory --- */

#define LINE_BYTES 1000
#define STREAM_LINES 300000 /* 300 MB */
#define MEMORY_KB (32 * 1024)

/* The sanitizers keep what is freed for a while. */
static void assert_small(const struct program *client)
{
#if !defined __SANITIZE_ADDRESS__ && !defined SANITIZED
    if (!pair_wrapped())
        ck_assert_int_le(client->usage.ru_maxrss, MEMORY_KB);
#else
    (void)client;
#endif
}

/* The n-th line of the stream, its feed included. */
static void line_fill(char line[LINE_BYTES + 1], unsigned n)
{
    memset(line, 'a' + (int)(n % 26), LINE_BYTES);
    snprintf(line, 16, "%010u", n);
    line[10] = ' ';
    line[LINE_BYTES - 1] = '\n';
    line[LINE_BYTES] = '\0';
}

struct stream {
    int fd;
    unsigned lines, at; /* of them, this one is under way */
    size_t done;        /* bytes of it */
    char line[LINE_BYTES + 1];
};

static void stream_init(struct stream *stream, int fd, unsigned lines)
{
    *stream = (struct stream){.fd = fd, .lines = lines};
    line_fill(stream->line, 0);
    set_nonblocking(fd);
}

static void stream_next(struct stream *stream, size_t n)
{
    stream->done += n;
    if (stream->done == LINE_BYTES) {
        stream->done = 0;
        line_fill(stream->line, ++stream->at);
    }
}

/* Writes until it would block; closes it at the end. */
static void stream_write(struct stream *stream)
{
    while (stream->at < stream->lines) {
        ssize_t n = write(stream->fd, stream->line + stream->done, LINE_BYTES - stream->done);
        if (n < 0 && errno == EAGAIN)
            return;
        ck_assert_msg(n > 0, "line %u: %s", stream->at, strerror(errno));
        stream_next(stream, (size_t)n);
    }
    close(stream->fd);
    stream->fd = -1;
}

static void stream_read(struct stream *stream)
{
    char got[LINE_BYTES];
    while (stream->at < stream->lines) {
        ssize_t n = read(stream->fd, got, LINE_BYTES - stream->done);
        if (n < 0 && errno == EAGAIN)
            return;
        ck_assert_msg(n > 0, "the end at line %u of %u", stream->at, stream->lines);
        ck_assert_msg(memcmp(got, stream->line + stream->done, (size_t)n) == 0, "line %u differs",
                      stream->at);
        stream_next(stream, (size_t)n);
    }
}

static void pump(struct program *client, int in, int out, unsigned lines)
{
    struct stream write, read;
    stream_init(&write, in, lines);
    stream_init(&read, out, lines);
    while (read.at < lines) {
        struct pollfd wait[2] = {{.fd = write.fd, .events = POLLOUT},
                                 {.fd = read.fd, .events = POLLIN}};
        int n = poll(wait, 2, pair_patience(30000));
        ck_assert_msg(n > 0, "nothing moves at line %u; %s", read.at, pair_err(client));
        if (wait[0].revents != 0)
            stream_write(&write);
        if (wait[1].revents != 0)
            stream_read(&read);
    }
}

START_TEST(a_stream_in_constant_memory)
{
    struct channel in = channel_open(KIND_PIPE, true), out = channel_open(KIND_PIPE, false);
    struct program *client =
        client_start(&(struct start){.in = in.theirs, .out = out.theirs}, "-q");
    close(in.theirs);
    close(out.theirs);
    pump(client, in.ours, out.ours, pair_scaled(STREAM_LINES));
    ends(client, 0);
    assert_small(client);
}
END_TEST

/* The peer pushes; nobody reads our stdout for a while: the bytes wait at the peer, not here. */
START_TEST(a_stalled_stdout_holds_the_peer)
{
    struct channel out = channel_open(KIND_PIPE, false);
    struct program *source = pair_server("-q", "-H", "source", "-s", "1000", NULL);
    const char *arguments[] = {"-q", "--fin-after", "never", "127.0.0.1", source->port_text, NULL};
    struct program *client =
        pair_start(&(struct start){.program = "synfin", .arguments = arguments, .out = out.theirs});
    char got[65536];
    size_t total = 0, most = pair_scaled(100000) * (size_t)1000;
    close(out.theirs);
    while (total < most) {
        ssize_t n = read(out.ours, got, sizeof got);
        ck_assert_int_gt(n, 0);
        total += (size_t)n;
    }
    close(out.ours);
    ends(client, 23);
    assert_small(client);
}
END_TEST

/* --- where descriptors cannot be opened again: the careful way --- */

static const char hide_fds[] = "mount -t tmpfs none /proc/$$/fd && exec \"$0\" \"$@\"";

static const char *client_path(void)
{
    static char path[512];
    const char *folder = getenv("SYNFIN_PROGRAMS_DIR");
    snprintf(path, sizeof path, "%s/synfin", folder != NULL ? folder : TOP_BUILDDIR "/client");
    return path;
}

/* NULL where there may be no mount namespace (not root). */
static struct program *client_without_proc(int in, int out)
{
    const char *probe[] = {"-m", "true", NULL};
    const char *arguments[] = {
        "-m", "sh", "-c", hide_fds, client_path(), "-q", "127.0.0.1", server->port_text, NULL};
    struct start start = {.program = "unshare", .arguments = probe};
    if (pair_wait(pair_start(&start)) != 0) {
        fprintf(stderr, "passed over: there may be no mount namespace\n");
        return NULL;
    }
    start = (struct start){.program = "unshare", .arguments = arguments, .in = in, .out = out};
    return pair_start(&start);
}

START_TEST(shared_pipes)
{
    struct channel in = channel_open(KIND_PIPE, true), out = channel_open(KIND_PIPE, false);
    struct program *client = client_without_proc(in.theirs, out.theirs);
    if (client == NULL)
        return;
    pump(client, in.ours, out.ours, pair_scaled(20000));
    ends(client, 0);
    assert_blocking(out.theirs);
}
END_TEST

START_TEST(shared_terminals)
{
    struct channel both = channel_open(KIND_TERMINAL, true);
    struct program *client = client_without_proc(both.theirs, both.theirs);
    if (client == NULL)
        return;
    channel_feed(&both);
    channel_expect(&both);
    ends(client, 0);
    assert_blocking(both.theirs);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stdio");
    TCase *t = tcase_create("stdio");
    tcase_add_checked_fixture(t, begin, pair_end);
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, every_kind, 0, KIND_COUNT * KIND_COUNT);
    tcase_add_test(t, shared_terminal);
    tcase_add_test(t, terminal_shows_control_bytes);
    tcase_add_test(t, hint_by_hand);
    tcase_add_test(t, stdin_closed);
    tcase_add_test(t, stdin_directory);
    tcase_add_test(t, stdin_for_writing);
    tcase_add_test(t, stdin_null);
    tcase_add_test(t, stdout_full);
    tcase_add_test(t, stdout_closed);
    tcase_add_test(t, stdout_closed_unused);
    tcase_add_test(t, all_closed);
    tcase_add_test(t, stdout_for_reading);
    tcase_add_loop_test(t, stdout_reader_gone, 0, 2);
    tcase_add_test(t, stdout_reader_goes);
    tcase_add_loop_test(t, help_to_a_full_disk, 0, 3);
    tcase_add_test(t, a_stream_in_constant_memory);
    tcase_add_test(t, a_stalled_stdout_holds_the_peer);
    tcase_add_test(t, shared_pipes);
    tcase_add_test(t, shared_terminals);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
