/* transport: a socket under a bufferevent. Each kind makes and feeds the bufferevent, takes what is
 * to be sent, says how our FIN is sent and how the socket is closed; above it nothing depends on
 * the kind. Two kinds: plain, as libevent does it, and fast (fastio.c), which reads and sends
 * itself and takes a bufferevent of the loop's pool only while there is something in it. Level 2.
 * Threads: the loop's. */
#ifndef SYNFIN_TRANSPORT_H
#define SYNFIN_TRANSPORT_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "err.h"
#include "frame.h"
#include "life.h"
#include "loop.h"

struct transport;

/* What its user is called for, always with the transport; as a bufferevent's callbacks (`bev` may
 * be NULL but in `read`). */
struct transport_callbacks {
    bufferevent_data_cb read; /* there is new input */
    /* The output has fallen to TRANSPORT_OUTPUT_LOW, or, with `tells_sent`, is empty. */
    bufferevent_data_cb write;
    bufferevent_event_cb event;         /* EOF, an error */
    void (*acked)(struct transport *t); /* see transport_await_ack */
};
#define TRANSPORT_OUTPUT_LOW (256 * 1024)

/* What a connection needs only while something of it is buffered: its bufferevent, and where its
 * decoder stands. The fast kind gives it back to the loop's pool when all is empty. */
struct transport_lease {
    SLIST_ENTRY(transport_lease) link;
    struct bufferevent *bev;
    struct frame_state decoder; /* the user's; `started`: initialized since it was taken */
    size_t wanted;              /* the user's word: bytes that the open frame lacks, 0: unknown */
    struct transport *untold;   /* fast: whose, if its user is yet to learn that all is sent */
    int failure;                /* fast: errno of the sending that failed */
    bool started;
    bool bound; /* the bufferevent knows the descriptor */
};

/* Bytes to be sent, one after the other. */
struct transport_bytes {
    const void *head, *body, *tail;
    size_t head_length, body_length, tail_length;
    bool body_lasts; /* `body` stays as it is until the process ends: it need not be copied */
};

struct transport_kind {
    int (*read)(struct transport *t, bool on);
    int (*send)(struct transport *t, const struct transport_bytes *bytes);
    void (*flush)(struct transport *t);
    void (*rest)(struct transport *t);
    void (*close)(struct transport *t, bool reset);
};

/* Embedded in its owner, who zeroes it first. */
struct transport {
    struct watch watch;
    const struct transport_kind *kind;
    struct loop *loop;
    struct transport_lease *lease; /* NULL: nothing is buffered */
    union {
        void (*connected)(struct transport *t, int error); /* while it connects */
        const struct transport_callbacks *callbacks;       /* from transport_start on */
    };
    uint32_t gathered;   /* fast: bytes of its output that wait in the loop's gather buffer, or, if
                            sending has failed, that no memory was left to keep */
    signed int fd : 24;  /* with the flags a word, in each of a million connections */
    bool fast : 1;       /* what it becomes when it is connected */
    bool refused : 1;    /* connect(2) returned ECONNREFUSED at once */
    bool reading : 1;    /* wanted */
    bool watched : 1;    /* the loop's watch is on */
    bool awaits_ack : 1; /* transport_await_ack */
    bool failed : 1;     /* sending has */
    bool backlog : 1;    /* the bufferevent's output may hold something */
    bool tells_sent : 1; /* the user's: `write` is to run when all output has been sent */
};

/* Puts a connected descriptor (non-blocking; taken, also on failure closed) under the transport. 0
 * or ERR_MEMORY. */
int transport_init(struct transport *t, struct loop *loop, int fd, bool fast);

/* Begins to connect a fresh, non-blocking socket (taken). `connected` runs once, later, from the
 * loop, with 0 or an errno; not after transport_close. 0, ERR_MEMORY, or ERR_SYSTEM (errno: refused
 * at once); then the transport is closed and `connected` does not run. */
int transport_connect(struct transport *t, struct loop *loop, int fd, bool fast,
                      const struct sockaddr *address, socklen_t length,
                      void (*connected)(struct transport *t, int error));

/* Moves a connected transport that has not started to another owner's struct; `from` is empty after
 * it. */
void transport_take(struct transport *to, struct transport *from);

/* Its user begins: `callbacks` run from now on. Nothing is read before transport_read. */
void transport_start(struct transport *t, const struct transport_callbacks *callbacks);
/* Whether to read. 0, ERR_MEMORY or ERR_SYSTEM. */
int transport_read(struct transport *t, bool on);

/* Appends to the output: sent at the latest when the callbacks under way have returned; an error
 * comes as an event. 0 or ERR_MEMORY. */
int transport_send(struct transport *t, const struct transport_bytes *bytes);
/* Fast only: where the next `n` bytes of this transport's output may be put directly (what follows
 * is transport_took), or NULL: transport_send. */
struct transport_gather { /* what fastio attaches to the loop begins with this */
    struct transport *sender;
    uint8_t *at, *end;
};
static inline uint8_t *transport_room(const struct transport *t, size_t n)
{
    const struct transport_gather *gather = loop_attached(t->loop);
    return gather->sender == t && (size_t)(gather->end - gather->at) >= n ? gather->at : NULL;
}
static inline void transport_took(struct transport *t, size_t n)
{
    struct transport_gather *gather = loop_attached(t->loop);
    gather->at += n;
    t->gathered += (uint32_t)n;
}
/* Sends now what it can. */
void transport_flush(struct transport *t);
/* The user has done what there was to do: what is empty may be given back. Ask for the lease again
 * afterwards. */
void transport_rest(struct transport *t);

/* While bytes at this place are handed out as bodies, those that are sent from within need not be
 * copied. One at a time on a loop; transport_release sends what still lies there. */
void transport_hold(struct transport *t, const void *bytes, size_t n);
void transport_release(struct transport *t);

/* NULL: nothing is buffered. */
static inline struct evbuffer *transport_input(const struct transport *t)
{
    return t->lease == NULL ? NULL : bufferevent_get_input(t->lease->bev);
}

/* Bytes received that the user has not drained. */
static inline size_t transport_received(const struct transport *t)
{
    return t->lease == NULL ? 0 : evbuffer_get_length(bufferevent_get_input(t->lease->bev));
}

/* Bytes not yet given to the kernel. */
static inline size_t transport_unsent(const struct transport *t)
{
    return t->gathered +
           (t->backlog ? evbuffer_get_length(bufferevent_get_output(t->lease->bev)) : 0);
}

/* Sends our FIN. The output is empty. 0 or ERR_SYSTEM. */
int transport_finish(struct transport *t);
/* Ends all callbacks and closes the descriptor, by RST (SO_LINGER 0) if asked. Not inside a
 * callback of its own, but for `connected`. */
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
/* A sample of TCP_INFO, allocated, and (unless NULL) the state as above. NULL: a unix socket, or no
 * memory. */
struct life_kernel *transport_sample(const struct transport *t, int *state);
uint64_t transport_unread_bytes(const struct transport *t); /* in the kernel: FIONREAD */
/* Whether bytes, the peer's FIN or an error are there and will be read: it is not the peer that is
 * late. */
bool transport_waits(const struct transport *t);
/* In the kernel, not acknowledged: SIOCOUTQ. A unix socket has none of these. */
uint64_t transport_unacked_bytes(const struct transport *t);
/* Asks for those that are not known (AF_UNSPEC). */
void transport_addresses(const struct transport *t, union life_address *local,
                         union life_address *remote);

/* After both FINs: whether the peer has acknowledged all of ours (TCP's state is CLOSE; always true
 * for unix sockets). If not yet, after transport_await_ack `acked` runs each time the socket's
 * state may have changed, until transport_close. 0, ERR_MEMORY or ERR_SYSTEM. */
bool transport_acked(const struct transport *t);
int transport_await_ack(struct transport *t);

#endif
