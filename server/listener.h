/* listener: the sockets the server listens on, from an endpoint. Level: the server's. Threads: the
 * main one. */
#ifndef SYNFIN_LISTENER_H
#define SYNFIN_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "life.h"
#include "server_config.h"

#define LISTENER_SOCKETS_MAX 16

struct listener {
    int fds[LISTENER_SOCKETS_MAX];
    unsigned count;
    uint16_t port;    /* the real one; 0: a unix socket */
    unsigned backlog; /* as the system cut it */
    /* Of each socket, and so of those accepted on it; AF_UNSPEC: all of this machine's. */
    union life_address addresses[LISTENER_SOCKETS_MAX];
    char text[400];    /* "127.0.0.1:9000 and [::1]:9000" */
    const char *path;  /* the unix socket's, borrowed, or NULL */
    dev_t path_device; /* what was bound there, to remove no other's socket */
    ino_t path_inode;
};

/* Opens, binds and listens on every address of the endpoint. 0, or ERR_SYSTEM with `e`. */
int listener_open(struct listener *listener, const struct server_config *config, struct error *e);
/* Removes our unix socket's name: who comes later finds nobody, and is not reset in the queue. */
void listener_hide(struct listener *listener);
/* Closes the sockets (what waits in their queues is reset), hidden before. */
void listener_close(struct listener *listener);

/* Writes the port, whole or not at all. 0, or ERR_SYSTEM with `e`. */
int listener_write_port(const struct listener *listener, const char *file, struct error *e);

/* A listening socket's accept queue: connections in it now, and those turned away for want of room
 * since it was opened. 0 where the system does not say (unix sockets). */
unsigned listener_waiting(int fd);
unsigned listener_overflows(int fd);

#endif
