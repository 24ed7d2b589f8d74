/* transport: a socket under a bufferevent. Each kind (plain; later fastio and TLS) makes and feeds
 * the bufferevent, says how our FIN is sent and how the socket is closed; above it nothing depends
 * on the kind. Level 2. Threads: the loop's. */
#ifndef SYNFIN_TRANSPORT_H
#define SYNFIN_TRANSPORT_H

#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"
#include "life.h"
#include "loop.h"

struct transport;

struct transport_kind {
    /* Sends what ends our direction (close_notify, FIN). The output is empty. 0 or ERR_SYSTEM. */
    int (*finish)(struct transport *t);
    /* Frees the bufferevent and closes the descriptor, by RST (SO_LINGER 0) if asked. */
    void (*close)(struct transport *t, bool reset);
};

/* Embedded in its owner, who zeroes it first. */
struct transport {
    const struct transport_kind *kind;
    struct loop *loop;
    struct bufferevent *bev; /* owned */
    int fd;                  /* the bufferevent's, closed with it */
    bool refused;            /* connect(2) returned ECONNREFUSED at once */
    struct event *acked;     /* owned; see transport_on_acked */
    void (*connected)(struct transport *t, int error);
    void (*on_acked)(void *arg);
    void *on_acked_arg;
};

/* Puts a connected descriptor (non-blocking; taken, also on failure closed) under a bufferevent
 * without callbacks. 0 or ERR_MEMORY. */
int transport_plain(struct transport *t, struct loop *loop, int fd);

/* Begins to connect a fresh, non-blocking socket (taken). `connected` runs once, later, from the
 * loop, with 0 or an errno; not after transport_close. 0, ERR_MEMORY, or ERR_SYSTEM (errno: refused
 * at once); then the transport is closed and `connected` does not run. */
int transport_connect(struct transport *t, struct loop *loop, int fd,
                      const struct sockaddr *address, socklen_t length,
                      void (*connected)(struct transport *t, int error));

/* Moves a connected transport to another owner's struct; `from` is empty after it. */
void transport_take(struct transport *to, struct transport *from);

int transport_finish(struct transport *t);
void transport_close(struct transport *t, bool reset);

/* TCP states as TCP_INFO numbers them; the names are RFC 9293's (3.3.2). */
enum transport_tcp_state {
    TRANSPORT_TCP_ESTABLISHED = 1,
    TRANSPORT_TCP_FIN_WAIT1 = 4,
    TRANSPORT_TCP_FIN_WAIT2 = 5,
    TRANSPORT_TCP_TIME_WAIT = 6,
    TRANSPORT_TCP_CLOSE = 7,
    TRANSPORT_TCP_CLOSE_WAIT = 8,
    TRANSPORT_TCP_LAST_ACK = 9,
    TRANSPORT_TCP_CLOSING = 11,
};
/* What the kernel knows. transport_tcp_state: one of the above or another state's number, or -1 (a
 * unix socket, or an error). */
int transport_tcp_state(const struct transport *t);
/* The error pending on the socket (SO_ERROR), which this clears; 0: none. */
int transport_error(const struct transport *t);
/* A sample of TCP_INFO, allocated. NULL: a unix socket, or no memory. */
struct life_kernel *transport_sample(const struct transport *t);
uint64_t transport_unread_bytes(const struct transport *t); /* in the kernel: FIONREAD */
/* In the kernel, not acknowledged: SIOCOUTQ. A unix socket has none of these. */
uint64_t transport_unsent_bytes(const struct transport *t);
/* Asks for those that are not known (AF_UNSPEC). */
void transport_addresses(const struct transport *t, union life_address *local,
                         union life_address *remote);

/* After both FINs: whether the peer has acknowledged all of ours (TCP's state is CLOSE; always true
 * for unix sockets). If not yet, `fn` runs each time the socket's state may have changed, until
 * transport_close. */
bool transport_acked(const struct transport *t);
int transport_on_acked(struct transport *t, void (*fn)(void *arg), void *arg);

#endif
