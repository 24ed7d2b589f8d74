#include "config.h"

#include "channel.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "pair.h"

const char *const channel_kinds[CHANNEL_COUNT] = {"file", "pipe", "terminal", "socket"};

static void make_raw(int fd)
{
    struct termios mode;
    ck_assert_int_eq(tcgetattr(fd, &mode), 0);
    cfmakeraw(&mode);
    mode.c_lflag |= ICANON; /* lines, and ^D; no echo, no change of what is written */
    ck_assert_int_eq(tcsetattr(fd, TCSANOW, &mode), 0);
}

struct channel channel_open(enum channel_kind kind, bool input)
{
    struct channel channel = {.kind = kind, .theirs = -1, .ours = -1};
    int fds[2];
    switch (kind) {
    case CHANNEL_FILE:
        channel.theirs = open(pair_file(input ? "in" : "out"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        break;
    case CHANNEL_PIPE:
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        channel.theirs = fds[input ? 0 : 1];
        channel.ours = fds[input ? 1 : 0];
        break;
    case CHANNEL_TERMINAL:
        ck_assert_msg(openpty(&channel.ours, &channel.theirs, NULL, NULL, NULL) == 0,
                      "openpty: %s; in a folder of its own: mount -t devpts devpts /dev/pts",
                      strerror(errno));
        make_raw(channel.theirs);
        break;
    case CHANNEL_SOCKET:
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        channel.theirs = fds[0];
        channel.ours = fds[1];
        break;
    case CHANNEL_COUNT:
        break;
    }
    ck_assert_int_ge(channel.theirs, 0);
    return channel;
}

void channel_feed(struct channel *channel)
{
    int fd = channel->kind == CHANNEL_FILE ? channel->theirs : channel->ours;
    ck_assert_int_eq(write(fd, CHANNEL_TEXT, strlen(CHANNEL_TEXT)), (ssize_t)strlen(CHANNEL_TEXT));
    if (channel->kind == CHANNEL_FILE)
        lseek(fd, 0, SEEK_SET);
    else if (channel->kind == CHANNEL_TERMINAL)
        ck_assert_int_eq(write(fd, "\4", 1), 1);
    else
        close(fd);
}

void channel_expect(struct channel *channel)
{
    char got[256];
    size_t have = 0;
    int fd = channel->kind == CHANNEL_FILE ? channel->theirs : channel->ours;
    if (channel->kind == CHANNEL_FILE)
        lseek(fd, 0, SEEK_SET);
    while (have < strlen(CHANNEL_TEXT)) {
        ssize_t n = read(fd, got + have, sizeof got - have);
        ck_assert_msg(n > 0, "%zu bytes, then %s", have, n < 0 ? strerror(errno) : "the end");
        have += (size_t)n;
    }
    got[have] = '\0';
    ck_assert_str_eq(got, CHANNEL_TEXT);
}

void channel_assert_blocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}
