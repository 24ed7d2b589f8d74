#include "config.h"

#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "life.h"
#include "log.h"

static bool was_closed[3];

void stream_guard(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        was_closed[fd] = true;
        /* The lowest free number is this one, since those below are open by now. */
        if (open("/dev/null", O_RDWR) < 0)
            return;
    }
}

bool stream_was_closed(int fd)
{
    return fd >= 0 && fd <= 2 && was_closed[fd];
}

int stream_finish(void)
{
    bool failed = was_closed[1] || fflush(stdout) != 0 || ferror(stdout);
    if (!failed)
        return 0;
    log_line(LOG_LEVEL_ERROR, "standard output: %s", was_closed[1] ? "closed" : strerror(errno));
    return fate_row(FATE_OUTPUT)->exit_status;
}

/* Asked of epoll itself, because event_add would print a warning of its own. */
static bool can_be_polled(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return true;
    bool can = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 || errno != EPERM;
    close(epoll);
    return can;
}

/* Opening the master side of a pseudo-terminal again would make a new pair. */
static bool is_terminal_master(int fd)
{
    int number;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int mode = fd == STDIN_FILENO ? O_RDONLY : O_WRONLY;
    return open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void stream_open(struct stream *stream, int fd)
{
    struct stat status;
    *stream = (struct stream){.fd = fd, .way = STREAM_DIRECT, .terminal = isatty(fd) == 1};
    if (fstat(fd, &status) < 0 || !can_be_polled(fd))
        return;
    stream->way = STREAM_SHARED;
    if (S_ISSOCK(status.st_mode)) {
        stream->way = STREAM_SOCKET;
    } else if (S_ISFIFO(status.st_mode) || (stream->terminal && !is_terminal_master(fd))) {
        int own = open_again(fd);
        if (own >= 0) {
            stream->fd = own;
            stream->way = STREAM_OWN;
        }
    }
}

void stream_close(struct stream *stream)
{
    if (stream->way == STREAM_OWN)
        close(stream->fd);
    stream->fd = -1;
}

static bool ready(int fd, short events)
{
    struct pollfd polled = {.fd = fd, .events = events};
    return poll(&polled, 1, 0) != 0;
}

static int shorten(struct iovec *parts, int count, size_t limit)
{
    int used = 0;
    for (size_t left = limit; used < count && left > 0; used++) {
        if (parts[used].iov_len > left)
            parts[used].iov_len = left;
        left -= parts[used].iov_len;
    }
    return used;
}

static ssize_t read_once(const struct stream *stream, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    switch (stream->way) {
    case STREAM_SOCKET:
        return recvmsg(stream->fd, &message, MSG_DONTWAIT);
    case STREAM_SHARED:
        if (!ready(stream->fd, POLLIN)) {
            errno = EAGAIN;
            return -1;
        }
        break;
    case STREAM_DIRECT:
    case STREAM_OWN:
        break;
    }
    return readv(stream->fd, parts, count);
}

ssize_t stream_read(const struct stream *stream, struct iovec *parts, int count)
{
    ssize_t n;
    if (stream_was_closed(stream->fd)) {
        errno = EBADF;
        return -1;
    }
    do
        n = read_once(stream, parts, count);
    while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t write_shared(const struct stream *stream, const struct iovec *parts, int count)
{
    struct iovec some[8];
    if (!ready(stream->fd, POLLOUT)) {
        errno = EAGAIN;
        return -1;
    }
    count = count > 8 ? 8 : count;
    memcpy(some, parts, count * sizeof *some);
    return writev(stream->fd, some, shorten(some, count, PIPE_BUF));
}

static ssize_t write_once(const struct stream *stream, const struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    switch (stream->way) {
    case STREAM_SOCKET:
        return sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    case STREAM_SHARED:
        return write_shared(stream, parts, count);
    case STREAM_DIRECT:
    case STREAM_OWN:
        break;
    }
    return writev(stream->fd, parts, count);
}

ssize_t stream_write(const struct stream *stream, const struct iovec *parts, int count)
{
    ssize_t n;
    if (stream_was_closed(stream->fd)) {
        errno = EBADF;
        return -1;
    }
    do
        n = write_once(stream, parts, count);
    while (n < 0 && errno == EINTR);
    return n;
}
