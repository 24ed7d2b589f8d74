/* acceptor: takes connections off the accept queues and hands them to the crew, holds back while
 * the server is full or the system has no descriptor. Level: the server's. Threads: the main
 * loop's. */
#ifndef SYNFIN_ACCEPTOR_H
#define SYNFIN_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "crew.h"
#include "err.h"
#include "listener.h"
#include "loop.h"

struct acceptor;

/* One listening socket. */
struct gate {
    struct acceptor *acceptor;
    struct event *event;
    int fd;
    const union life_address *local; /* the listener's */
    uint64_t emptied_us;             /* who is in its queue now came after this; 0: not known */
};

struct acceptor {
    struct crew *crew;
    struct loop *loop;
    struct listener *listener;
    struct gate gates[LISTENER_SOCKETS_MAX];
    struct deadline retry;
    uint64_t limit; /* connections at a time */
    bool reject;    /* when full */
    bool one_off;   /* take one connection, then close the listener */
    bool held;      /* not listening for events: full, or no descriptor */
    bool stopped;
    uint64_t told_us;       /* when the log last heard that it is held */
    unsigned fullest_queue; /* seen in an accept queue */
    unsigned left_in_queue; /* at the stop, for want of descriptors: reset */
    unsigned overflows;     /* of the accept queues, final at the stop */
};

/* Begins to accept. `limit`, `reject` and `one_off` are set before. 0, or a negative enum err with
 * `e`. */
int acceptor_start(struct acceptor *acceptor, struct crew *crew, struct loop *loop,
                   struct listener *listener, struct error *e);
/* A place may have become free: goes on if it was held. */
void acceptor_resume(struct acceptor *acceptor);
/* Takes what waits in the accept queues, then closes the listener: closing it would reset them. */
void acceptor_stop(struct acceptor *acceptor);

#endif
