/* conn_internal: what conn.c (callbacks, the owner's calls), conn_input.c, conn_send.c and
 * conn_close.c (deadlines, the close contract, the final account) share; for these only. Level 3.
 * Threads: the connection's loop. */
#ifndef SYNFIN_CONN_INTERNAL_H
#define SYNFIN_CONN_INTERNAL_H

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
    /* What each frame touches comes first, together. */
    const struct conn_config *config;
    const struct conn_owner *owner;
    struct transport transport;
    bool simple : 1;  /* the codec is one of frame_simple.h's, and frames are not told one by one */
    bool changed : 1; /* what takes_input looks at, since it was looked at */
    bool woken : 1;   /* `wake` is queued at the loop */
    bool opened : 1;  /* owner->open has run */
    bool paused : 1;  /* by the owner */
    bool first_in : 1; /* the decoder, the encoder stand before the first message */
    bool first_out : 1;
    bool room_wanted : 1;   /* the output reached the high mark */
    bool sent_told : 1;     /* the owner knows that the output is empty */
    bool trickles : 1;      /* the kernel's bytes moved until a deadline, and not all of them */
    bool output_dead : 1;   /* writing failed: only what still comes in matters */
    bool eof : 1;           /* nothing more comes; judged once all that came has been handed over */
    bool acked : 1;         /* after both FINs the kernel holds nothing of ours any more */
    bool drain_told : 1;    /* owner->drain has run */
    bool deadline_old : 1;  /* it is of a phase that is over; conn_settle sets the new one */
    bool nothing_owed : 1;  /* the owner has said so */
    bool discard : 1;       /* frames are counted, not handed over */
    bool deaf : 1;          /* what comes is discarded undecoded: it could not be decoded */
    bool reset : 1;         /* close by RST */
    int broken : 13;        /* errno that ended the connection, told once the input has been handed
                               over */
    uint32_t smallest_out;  /* the smallest frame sent, wire bytes; saturates; 0: none */
    uint64_t handled_bytes; /* decoded and drained from the input */
    struct life life;       /* its bytes_out counts what was queued, until the final account */
    void *arg;
    struct deadline deadline;
    struct reapable wake;
    uint64_t taken_bytes;   /* of the output, by the kernel when the deadline was last set */
    uint64_t unacked_bytes; /* of these, in the kernel unacknowledged then; 0: not asked */
};
_Static_assert(sizeof(struct conn) <= 416, "a million of them are kept");

/* The decoder, if it stands inside a frame; NULL: between frames. */
static inline const struct frame_state *conn_open_frame(const struct conn *c)
{
    const struct transport_lease *lease = c->transport.lease;
    return lease != NULL && lease->started && lease->decoder.seen > 0 ? &lease->decoder : NULL;
}

static inline bool conn_is_live(const struct conn *c)
{
    return c->life.phase >= PHASE_TRANSFER && c->life.phase < PHASE_CLOSE;
}

/* conn.c: what happened, by libevent's name and ours (-vv); a frame (-x), if that is asked for. */
void conn_tell(const struct conn *conn, const char *what, const char *by);
void conn_trace(const struct conn *conn, char direction, uint64_t number, const uint8_t *head,
                size_t head_length, const uint8_t *body, size_t n, const uint8_t *tail,
                size_t tail_length);

/* conn_input.c: hands over every whole frame that may be handed over. Returns whether the input is
 * exhausted: no whole frame is left in it. */
bool conn_pump(struct conn *conn);
/* conn_input.c: reads or does not read, as the state says. */
void conn_want_reading(struct conn *conn);

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
