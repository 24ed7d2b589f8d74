/* stream: the inherited descriptors 0, 1 and 2, read and written without blocking the loop and
 * without O_NONBLOCK, which would reach every process that shares their open files.
 * Threads: the main thread. */
#ifndef SYNFIN_STREAM_H
#define SYNFIN_STREAM_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

/* How a stream is read or written. */
enum stream_way {
    STREAM_DIRECT, /* a file or a device that cannot be polled: at once, whenever wanted */
    STREAM_OWN,    /* an open file of our own on the same pipe or terminal, non-blocking */
    STREAM_SOCKET, /* MSG_DONTWAIT on the inherited one */
    STREAM_SHARED, /* the inherited one: when poll says so, at most PIPE_BUF at a time */
};

struct stream {
    int fd; /* to read, write and poll; closed by stream_close if it is our own */
    enum stream_way way;
    bool terminal;
};

/* First thing in main: puts /dev/null in the place of those of 0, 1 and 2 that are closed, so that
 * no socket gets their numbers, and remembers which were. */
void stream_guard(void);
/* Whether descriptor 0, 1 or 2 was closed when the program began. */
bool stream_was_closed(int fd);
/* Writes what was printed to stdout so far. 0, or the exit status of the fate `output`, told on
 * stderr. */
int stream_finish(void);

/* Finds out how descriptor 0 (to read) or 1 (to write) can be used. Cannot fail: at worst the way
 * is SHARED or DIRECT, and reading or writing will say what is wrong. */
void stream_open(struct stream *stream, int fd);
void stream_close(struct stream *stream);

/* As readv and writev, without blocking: -1 with EAGAIN where that would be needed (poll, then try
 * again); for a stream that was closed at the start, EBADF. EINTR is not returned. */
ssize_t stream_read(const struct stream *stream, struct iovec *parts, int count);
ssize_t stream_write(const struct stream *stream, const struct iovec *parts, int count);

#endif
