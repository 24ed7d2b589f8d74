#include "config.h"

#include "faults.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PARTS_MOST 64

struct faults faults;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
ssize_t __real_send(int fd, const void *bytes, size_t n, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_recv(int fd, void *bytes, size_t n, int flags);
ssize_t __real_readv(int fd, const struct iovec *parts, int count);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
ssize_t __wrap_send(int fd, const void *bytes, size_t n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t n, int flags);
ssize_t __wrap_readv(int fd, const struct iovec *parts, int count);

/* --- memory --- */

static bool fails(void)
{
    unsigned long number = faults.allocations++;
    bool it_does = number >= faults.fail_from && number < faults.fail_end;

    faults.failed += it_does;
    if (it_does) {
        errno = ENOMEM;
    }
    return it_does;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t n)
{
    return fails() ? NULL : __real_calloc(count, n);
}

static void *reallocate(void *old, size_t n)
{
    return fails() ? NULL : realloc(old, n);
}

static void say_nothing(int severity, const char *text)
{
    (void)severity;
    (void)text;
}

void faults_begin(void)
{
    event_set_mem_functions(__wrap_malloc, reallocate, free);
    event_set_log_callback(say_nothing);
}

void faults_fail(unsigned long after, unsigned long count)
{
    faults.fail_from = faults.allocations + after;
    faults.fail_end = faults.fail_from + count;
}

/* --- sockets --- */

static size_t sum(const struct iovec *parts, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        n += parts[i].iov_len;
    }
    return n;
}

/* What of the parts lies from `from` on, at most `n` bytes. Returns how many parts those are. */
static size_t cut(const struct iovec *parts, size_t count, size_t from, size_t n,
                  struct iovec out[PARTS_MOST])
{
    size_t used = 0;

    for (size_t i = 0; i < count && n > 0; i++) {
        size_t skip = from < parts[i].iov_len ? from : parts[i].iov_len;
        size_t take = parts[i].iov_len - skip < n ? parts[i].iov_len - skip : n;
        from -= skip;
        n -= take;
        if (take > 0) {
            out[used++] = (struct iovec){(char *)parts[i].iov_base + skip, take};
        }
    }
    return used;
}

/* How many bytes may move, or -1 with errno. */
static ssize_t allowed(enum faults_call call, int fd, size_t n)
{
    ssize_t most = faults.moves == NULL ? (ssize_t)n : faults.moves(call, fd, n);

    if (most < 0) {
        errno = (int)-most;
        return -1;
    }
    return most < (ssize_t)n ? most : (ssize_t)n;
}

static ssize_t send_parts(int fd, const struct iovec *parts, size_t count, int flags)
{
    struct iovec now[PARTS_MOST];
    ssize_t most = allowed(FAULTS_SEND, fd, sum(parts, count)), sent = 0;

    while (most > sent) {
        struct msghdr message = {.msg_iov = now};
        message.msg_iovlen = cut(parts, count, (size_t)sent, (size_t)(most - sent), now);
        ssize_t n = __real_sendmsg(fd, &message, flags);
        if (n < 0 && (errno != EAGAIN || faults.make_room == NULL)) {
            return sent > 0 ? sent : -1;
        }
        sent += n > 0 ? n : 0;
        if (faults.make_room == NULL) {
            return sent;
        }
        faults.make_room(fd);
    }
    return most < 0 ? -1 : sent;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t n, int flags)
{
    struct iovec part = {(void *)(uintptr_t)bytes, n};
    return send_parts(fd, &part, 1, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return send_parts(fd, message->msg_iov, message->msg_iovlen, flags);
}

ssize_t __wrap_readv(int fd, const struct iovec *parts, int count)
{
    struct iovec now[PARTS_MOST];
    ssize_t most = allowed(FAULTS_RECEIVE, fd, sum(parts, (size_t)count));

    if (most < 0) {
        return -1;
    }
    return __real_readv(fd, now, (int)cut(parts, (size_t)count, 0, (size_t)most, now));
}

ssize_t __wrap_recv(int fd, void *bytes, size_t n, int flags)
{
    ssize_t most = allowed(FAULTS_RECEIVE, fd, n);

    return most < 0 ? -1 : __real_recv(fd, bytes, (size_t)most, flags);
}
