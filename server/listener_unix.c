#include "config.h"

#include "listener_unix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sockopt.h"

/* A name that is no file's: it ends with the socket. */
static bool is_abstract(const char *path)
{
    return path[0] == '@';
}

static int refuse(struct error *e, const struct endpoint *endpoint, int error)
{
    error_what(e, "cannot listen on %s: %s", endpoint->text,
               error == EADDRINUSE ? "a server is listening there" : strerror(error));
    if (error == EADDRINUSE)
        error_mend(e, "ss -xlp src %s shows which", endpoint->path);
    else if (error == ENOENT || error == ENOTDIR)
        error_mend(e, "its folder is not there: make it first");
    else if (error == EACCES || error == EPERM || error == EROFS)
        error_mend(e, "its folder may not be written to: choose another, or its owner's account");
    return ERR_SYSTEM;
}

/* Whether a server answers at the socket: 1, 0 (stale), or ERR_SYSTEM with errno. */
static int is_live(const char *path)
{
    struct sockaddr_un address;
    socklen_t length = endpoint_unix_address(path, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int result, error;

    if (fd < 0)
        return ERR_SYSTEM;
    result = connect(fd, (struct sockaddr *)&address, length);
    error = result < 0 ? errno : 0;
    close(fd);
    errno = error;
    if (error == ECONNREFUSED)
        return 0;
    /* EAGAIN: its queue is full; EPROTOTYPE: it is not for streams. Both are somebody's. */
    return error == 0 || error == EAGAIN || error == EPROTOTYPE ? 1 : ERR_SYSTEM;
}

/* Makes way for our own: 0, or ERR_SYSTEM with `e`. */
static int clear_path(const struct endpoint *endpoint, struct error *e)
{
    struct stat there;
    int live;

    if (is_abstract(endpoint->path))
        return 0;
    if (lstat(endpoint->path, &there) < 0)
        return errno == ENOENT ? 0 : refuse(e, endpoint, errno);
    if (!S_ISSOCK(there.st_mode)) {
        error_what(e, "cannot listen on %s: a file that is no socket is there", endpoint->text);
        error_mend(e, "remove it, or choose another path");
        return ERR_SYSTEM;
    }
    live = is_live(endpoint->path);
    if (live == 1)
        return refuse(e, endpoint, EADDRINUSE);
    if (live < 0 && errno != ENOENT)
        return refuse(e, endpoint, errno);
    if (unlink(endpoint->path) < 0 && errno != ENOENT)
        return refuse(e, endpoint, errno);
    return 0;
}

int listener_unix_open(struct listener *listener, const struct server_config *config,
                       struct error *e)
{
    const struct endpoint *endpoint = &config->endpoint;
    const struct options *o = config->options;
    struct sockaddr_un address;
    socklen_t length = endpoint_unix_address(endpoint->path, &address);
    struct stat made = {0};
    int fd;

    if (clear_path(endpoint, e) < 0)
        return ERR_SYSTEM;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refuse(e, endpoint, errno);
    if (sockopt_apply(fd, SOCKOPT_BEFORE_LISTEN, o->set, o->set_count, e) < 0) {
        close(fd);
        return ERR_SYSTEM;
    }
    if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, (int)o->backlog) < 0 ||
        (!is_abstract(endpoint->path) && lstat(endpoint->path, &made) < 0)) {
        refuse(e, endpoint, errno);
        close(fd);
        return ERR_SYSTEM;
    }
    listener->fds[listener->count++] = fd;
    listener->path = endpoint->path;
    listener->path_device = made.st_dev;
    listener->path_inode = made.st_ino;
    return 0;
}

void listener_unix_remove(const struct listener *listener)
{
    struct stat there;

    if (!is_abstract(listener->path) && lstat(listener->path, &there) == 0 &&
        there.st_dev == listener->path_device && there.st_ino == listener->path_inode)
        unlink(listener->path);
}
