/* conn_internal: what conn.c (input, callbacks, the owner's calls) and conn_close.c (deadlines, the
 * close contract, the final account) share; for these two only. Level 3. Threads: the connection's
 * loop. */
#ifndef SYNFIN_CONN_INTERNAL_H
#define SYNFIN_CONN_INTERNAL_H

#include <event2/buffer.h>

#include "conn.h"

/* The tests take one rule of the close contract out (-DCONTRACT_WITHOUT=n) to see that they notice:
 * 1 the drain waits until the output is empty; 2 our FIN is a shutdown, before the close; 3 the
 * linger; 4 no close with unread input; 5 what the peer sent before its FIN is handled, answered
 * and drained; 6 fates that are not clean are cut by RST. */
#ifdef CONTRACT_WITHOUT
#define CONTRACT(rule) ((rule) != CONTRACT_WITHOUT)
#else
#define CONTRACT(rule) true
#endif

struct conn {
    struct loop *loop;
    const struct conn_config *config;
    const struct conn_owner *owner;
    void *arg;
    struct transport transport;
    struct life life;
    struct frame_state in, out;
    struct deadline deadline;
    struct reapable wake;
    uint64_t queued_bytes;  /* handed to the bufferevent's output since the beginning */
    uint64_t taken_bytes;   /* of these, taken by the kernel when the deadline was last set */
    uint64_t unacked_bytes; /* of these, in the kernel unacknowledged then; 0: not asked */
    uint64_t emptied_bytes; /* of these, when the owner was last told that the output is empty */
    uint64_t handled_bytes; /* decoded and drained from the input */
    size_t smallest_out;    /* the smallest frame sent, wire bytes */
    int broken;  /* errno that ended the connection, told once the input has been handed over */
    bool woken;  /* `wake` is queued at the loop */
    bool opened; /* owner->open has run */
    bool paused; /* by the owner */
    bool room_wanted;  /* the output reached the high mark */
    bool trickles;     /* the kernel's bytes moved until a deadline, and not all of them */
    bool output_dead;  /* writing failed: only what still comes in matters */
    bool eof;          /* nothing more comes; judged once all that came has been handed over */
    bool drain_told;   /* owner->drain has run */
    bool nothing_owed; /* the owner has said so */
    bool discard;      /* frames are counted, not handed over */
    bool deaf;         /* what comes is discarded undecoded: it could not be decoded */
    bool reset;        /* close by RST */
};

static inline struct evbuffer *conn_input(const struct conn *c)
{
    return bufferevent_get_input(c->transport.bev);
}

static inline size_t conn_output_bytes(const struct conn *c)
{
    return c->transport.bev == NULL ? 0
                                    : evbuffer_get_length(bufferevent_get_output(c->transport.bev));
}

static inline bool conn_is_live(const struct conn *c)
{
    return c->life.phase >= PHASE_TRANSFER && c->life.phase < PHASE_CLOSE;
}

/* conn.c: runs conn_step (or the end) from the loop: what the owner's calls bring about never
 * happens inside them. */
void conn_wake(struct conn *conn);
/* conn.c: everything a connection does next follows from its state, here. */
void conn_step(struct conn *conn);

/* conn_close.c: (re)starts the phase's deadline: at its beginning and with every sign of life. An
 * owner's pause stops the clock: the peer is not to blame. */
void conn_restart_deadline(struct conn *conn);
/* From transfer to drain, if that has not happened yet. */
void conn_begin_drain(struct conn *conn, bool discard, const char *why);
/* The peer's FIN, all that came before it handed over. */
void conn_peer_fin(struct conn *conn);
/* Takes the close as far as it can go now. */
void conn_settle(struct conn *conn);
/* The socket has failed (conn->broken), and what came before has been handed over. */
void conn_fail_broken(struct conn *conn);
/* Ends the life's last phase but one; conn_dispose follows from the loop. */
void conn_enter_close(struct conn *conn, const char *why);
/* Closes, completes the record, tells the owner, frees. */
void conn_dispose(struct conn *conn);

#endif
