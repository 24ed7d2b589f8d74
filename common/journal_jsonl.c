#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "journal.h"

/* Non-blocking, because opening a FIFO would otherwise wait for its reader, without a word. */
#define FILE_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK)

/* One JSON object a line, appended to a file or to standard output. */
struct jsonl {
    int fd;
    bool regular; /* a file that can be cut back to whole batches */
    char *name;
};

static const char *open_mend(int error)
{
    if (error == ENOENT) {
        return "make its folder first";
    }
    if (error == ENXIO) {
        return "it is a FIFO that nobody reads: start its reader first";
    }
    return "name a file that can be written";
}

static int jsonl_open(const char *rest, void **state, struct error *e)
{
    struct stat status;
    bool to_stdout = strcmp(rest, "-") == 0;

    struct jsonl *jsonl = calloc(1, sizeof *jsonl);
    char *name = strdup(to_stdout ? "standard output" : rest);
    if (jsonl == NULL || name == NULL) {
        free(jsonl);
        free(name);
        error_what(e, "out of memory for the journal");
        return ERR_MEMORY;
    }
    jsonl->name = name;
    jsonl->fd = to_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open(rest, FILE_FLAGS, 0644);
    if (jsonl->fd < 0 || fstat(jsonl->fd, &status) < 0) {
        error_what(e, "cannot open the journal %s: %s", name, strerror(errno));
        error_mend(e, "%s", open_mend(errno));
        if (jsonl->fd >= 0) {
            close(jsonl->fd);
        }
        free(name);
        free(jsonl);
        return ERR_SYSTEM;
    }
    jsonl->regular = S_ISREG(status.st_mode) && !to_stdout;
    *state = jsonl;
    return 0;
}

/* Standard output may be non-blocking by another process's wish; the writer's thread may wait. */
static bool may_go_on(int fd, int error)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    if (error == EAGAIN) {
        return poll(&room, 1, -1) > 0 || errno == EINTR;
    }
    return error == EINTR;
}

/* Takes `length` bytes off the front of the vector. */
static void advance(struct iovec **iov, unsigned *count, size_t length)
{
    while (*count > 0 && length >= (*iov)->iov_len) {
        length -= (*iov)->iov_len;
        ++*iov;
        --*count;
    }
    if (*count > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + length;
        (*iov)->iov_len -= length;
    }
}

static int write_all(int fd, struct iovec *iov, unsigned count)
{
    while (count > 0) {
        ssize_t written = writev(fd, iov, count < IOV_MAX ? (int)count : IOV_MAX);
        if (written < 0 && !may_go_on(fd, errno)) {
            return ERR_SYSTEM;
        }
        if (written > 0) {
            advance(&iov, &count, (size_t)written);
        }
    }
    return 0;
}

static int jsonl_put(void *state, const char *const *lines, unsigned count, struct error *e)
{
    struct jsonl *jsonl = state;
    off_t before = jsonl->regular ? lseek(jsonl->fd, 0, SEEK_END) : -1;
    struct iovec *iov = malloc(2 * count * sizeof *iov);
    if (iov == NULL && count > 0) {
        error_what(e, "out of memory for a batch");
        return ERR_MEMORY;
    }
    for (unsigned i = 0; i < count; i++) {
        iov[2 * i] = (struct iovec){.iov_base = (char *)lines[i], .iov_len = strlen(lines[i])};
        iov[2 * i + 1] = (struct iovec){.iov_base = (char *)"\n", .iov_len = 1};
    }
    int result = write_all(jsonl->fd, iov, 2 * count);
    if (result < 0) {
        error_what(e, "cannot write to the journal %s: %s", jsonl->name, strerror(errno));
        error_mend(e, errno == EPIPE ? "let its reader read to the end, or name a file"
                                     : "make room, or name another file");
        /* No half line stays; another process that appends as well keeps what it wrote only if it
         * came before. */
        if (before >= 0 && ftruncate(jsonl->fd, before) < 0) {
            error_mend(e, "make room; the last line may be cut off");
        }
    }
    free(iov);
    return result;
}

static int jsonl_close(void *state, struct error *e)
{
    struct jsonl *jsonl = state;
    int result = close(jsonl->fd) < 0 ? ERR_SYSTEM : 0;
    if (result < 0) {
        error_what(e, "cannot close the journal %s: %s", jsonl->name, strerror(errno));
    }
    free(jsonl->name);
    free(jsonl);
    return result;
}

const struct journal_sink journal_jsonl = {
    .scheme = "jsonl", .open = jsonl_open, .put = jsonl_put, .close = jsonl_close};
