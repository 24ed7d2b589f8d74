/* Much data through the client in little memory, and the careful way with descriptors that cannot
 * be opened again; against synfind. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "pair.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

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

/* --- much data, in little memory --- */

#define LINE_BYTES 1000
#define STREAM_LINES 300000 /* 300 MB */
#define MEMORY_KB (16 * 1024)

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
    struct channel in = channel_open(CHANNEL_PIPE, true), out = channel_open(CHANNEL_PIPE, false);
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
    struct channel out = channel_open(CHANNEL_PIPE, false);
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
    struct channel in = channel_open(CHANNEL_PIPE, true), out = channel_open(CHANNEL_PIPE, false);
    struct program *client = client_without_proc(in.theirs, out.theirs);
    if (client == NULL)
        return;
    pump(client, in.ours, out.ours, pair_scaled(20000));
    ends(client, 0);
    channel_assert_blocking(out.theirs);
}
END_TEST

START_TEST(shared_terminals)
{
    struct channel both = channel_open(CHANNEL_TERMINAL, true);
    struct program *client = client_without_proc(both.theirs, both.theirs);
    if (client == NULL)
        return;
    channel_feed(&both);
    channel_expect(&both);
    ends(client, 0);
    channel_assert_blocking(both.theirs);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *t = tcase_create("stream");
    tcase_add_checked_fixture(t, begin, pair_end);
    tcase_set_timeout(t, 300);
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
