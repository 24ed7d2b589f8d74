/* conn: a connection: a transport's bufferevent, a codec, phases, deadlines, the close contract and
 * the record. The only user of bufferevents' callbacks; its owner sees frames and phases. Level 3.
 * Threads: its loop's.
 *
 * The close contract (RFC 9293 3.6, RFC 1122 4.2.2.13):
 * - drain begins with conn_drain, or when the peer's FIN has come and all it sent before has been
 *   handed over. It ends when the owner has said conn_nothing_owed and the output is empty.
 * - linger begins with our FIN. What comes is still handed over (or discarded). It ends when the
 *   peer's FIN is there and ours is acknowledged, or at the deadline, which restarts with every
 *   byte, and while the peer goes on acknowledging what the kernel still holds.
 * - close is the descriptor's, with nothing unread. A fate whose row says RST skips to it at once.
 */
#ifndef SYNFIN_CONN_H
#define SYNFIN_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "life.h"
#include "loop.h"
#include "transport.h"

struct conn;

/* What a connection's owner does; any member but `frame` and `closed` may be NULL. All run in the
 * loop, never inside a call of the owner's to conn_*. */
struct conn_owner {
    void (*open)(struct conn *conn); /* connected, entering transfer: frames may be sent */
    /* A whole frame. `body` is borrowed until it returns. */
    void (*frame)(struct conn *conn, const uint8_t *body, size_t n);
    void (*room)(struct conn *conn);  /* the output fell to half of the high mark, or is empty now:
                                         produce */
    void (*drain)(struct conn *conn); /* stop producing; say conn_nothing_owed when nothing is.
                                         NULL: nothing is owed, ever */
    void (*peer_done)(struct conn *conn); /* the peer's FIN, all it sent before handed over; `drain`
                                             follows if no drain is under way */
    /* Exactly once, last. `life` is final; take what is needed, the connection is freed when this
     * returns. */
    void (*closed)(struct conn *conn, struct life *life);
};

/* Constant, shared by connections, outlives them. */
struct conn_config {
    struct frame_codec codec;
    enum side side;
    bool trace;         /* -x */
    bool fast;          /* fastio under the connection, not libevent's own reading and writing */
    bool answers;       /* the owner sends one frame for each it accepts, in order: `unanswered` is
                           counted */
    const char *path;   /* the unix socket's, or NULL */
    size_t owner_bytes; /* zeroed, in one allocation with the connection: conn_arg where conn_new's
                           `arg` is NULL */
    uint64_t idle_us, linger_us, drain_us; /* 0: none */
};

/* The output's high mark: at and above it no frame is handed to an owner that answers. With one
 * frame more and one read ahead, user memory is at most max-frame + 1 MiB a direction. */
#define CONN_OUTPUT_HIGH (512 * 1024)

/* A connection without a socket, in its side's first phase (its life's clock runs). Server: after
 * accept, `queue_us` as life_init. NULL: no memory. */
struct conn *conn_new(struct loop *loop, const struct conn_config *config,
                      const struct conn_owner *owner, void *arg, uint64_t queue_us);
/* Takes the connected transport, moves to transfer and runs owner->open, later, from the loop. */
void conn_open(struct conn *conn, struct transport *transport);

void *conn_arg(const struct conn *conn);
/* The connection whose owner's bytes (conn_config.owner_bytes) these are. */
struct conn *conn_owning(void *owner_bytes);
struct loop *conn_loop(const struct conn *conn);
struct life *conn_life(
    struct conn *conn); /* to read; a client's dial may also move and fill it before conn_open */

/* Sends a frame with this body (copied). 0; ERR_FRAME_*: it cannot be framed, `e` says why, nothing
 * was sent; ERR_CLOSED: our FIN was sent or the connection has failed, and its end is on its way:
 * may be ignored; ERR_MEMORY: it may have been sent in part, fail the connection. */
int conn_send(struct conn *conn, const uint8_t *body, size_t n, struct error *e);
/* The same of a body that conn_send has taken on a connection like this, in two parts: `begin`
 * (copied) and `rest`, which stays as it is until the process ends (not copied, where it is long).
 */
#define CONN_BEGIN_MAX 64
int conn_send_lent(struct conn *conn, const uint8_t *begin, size_t begin_length,
                   const uint8_t *rest, size_t rest_length, struct error *e);
/* Bytes below the high mark, 0: wait for `room`. */
size_t conn_room(struct conn *conn);
/* Bytes in the output, not yet given to the kernel. */
size_t conn_unsent(const struct conn *conn);
/* Bytes received and not handed over: once all whole frames have been, those of the open one. */
size_t conn_partial(const struct conn *conn);

/* Stops handing frames over, and, the input's bound being full, reading. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* Begins the drain, if none is under way; runs owner->drain from the loop. With `discard`, frames
 * decoded from now on are counted and not handed over. */
void conn_drain(struct conn *conn, bool discard, const char *why);
/* The owner owes nothing more: our FIN goes when the output is empty. Only in a drain. */
void conn_nothing_owed(struct conn *conn);
/* Ends with this fate, by FIN or RST as its row says; printf's format is the evidence. In a phase
 * before transfer: closes at once. */
void conn_fail(struct conn *conn, enum fate fate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
