/* handler: what the server does with frames; one row and one file each. A handler is an owner of
 * connections without a `closed` of its own duty: the worker keeps the record, the handler only its
 * state. Level: the server's. Threads: prepare and finish run in the main thread, before the
 * workers start and after they have ended; the rest in the connection's loop. */
#ifndef SYNFIN_HANDLER_H
#define SYNFIN_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "err.h"
#include "frame.h"

/* What a handler is told at the start; outlives it. */
struct handler_setup {
    const struct frame_codec *codec;
    uint64_t source_bytes; /* -s */
    uint64_t source_rate;  /* -r, frames/s; 0: as fast as it goes */
};

struct handler {
    const char *name;
    const char *meaning; /* a few words for a person */
    bool answers;        /* one frame for each accepted, in order */
    size_t state_bytes;  /* kept for each connection, zeroed, aligned to 8; handler_state */
    /* Checks that it can serve in this setup, and prepares what its connections share. 0, or a
     * negative enum err with `e`: ERR_SYSTEM if the system refused, else a usage error. May be
     * NULL, as `finish`, which undoes it. */
    int (*prepare)(const struct handler_setup *setup, struct error *e);
    void (*finish)(void);
    /* As conn.h has them. `closed` (may be NULL) releases the state; the worker does the rest. */
    struct conn_owner owner;
};

extern const struct handler handler_echo;
extern const struct handler handler_discard;
extern const struct handler handler_source;
extern const struct handler handler_ack;
extern const struct handler handler_upper;

/* The handler of that name. NULL with `e`, which lists the names. */
const struct handler *handler_find(const char *name, struct error *e);

/* The connection's `state_bytes`. */
void *handler_state(const struct conn *conn);

/* Sends a frame, or ends the connection: by `handler` where the body cannot be framed, by `memory`
 * where there is none. Result 0, or what conn_send said. */
int handler_send_failed(struct conn *conn, int result, const uint8_t *body, size_t n);
static inline int handler_send(struct conn *conn, const uint8_t *body, size_t n)
{
    int result = conn_send(conn, body, n, NULL);
    return result == 0 ? 0 : handler_send_failed(conn, result, body, n);
}
/* The same with conn_send_lent. */
int handler_send_lent(struct conn *conn, const uint8_t *begin, size_t begin_length,
                      const uint8_t *rest, size_t rest_length);

/* The offset in a body at which the codec's own header ends: 0 where the codec strips it. */
size_t handler_text_begins(const struct frame_codec *codec, const uint8_t *body, size_t n);

#endif
