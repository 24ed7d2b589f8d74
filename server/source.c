/* source: sends frames of -s bytes, at -r a second on each connection or as fast as the peer takes
 * them, until the peer's FIN or the drain. Each frame is printable and carries its number. */
#include "config.h"

#include "handler.h"

#include "clock.h"
#include "payload.h"

#define SOURCE_TICK_US 1000 /* frames due sooner than this after each other go together */
#define SOURCE_ROUND 4096   /* most frames sent in one go, for the other connections' sake */

struct source {
    struct deadline next; /* set: its turn will come */
    struct conn *conn;
    uint64_t number; /* of the next frame */
    uint64_t due_ns; /* when it is due; only with a rate */
    bool stopped;
};

static struct {
    struct payload *payload;
    uint64_t period_ns; /* 0: as fast as it goes */
} source_shared;

static int source_prepare(const struct handler_setup *setup, struct error *e)
{
    source_shared.period_ns = setup->source_rate > 0 ? 1000000000 / setup->source_rate : 0;
    source_shared.payload = payload_new(setup->codec, (size_t)setup->source_bytes, e);
    if (source_shared.payload != NULL)
        return 0;
    error_context(e, "-s %llu", (unsigned long long)setup->source_bytes);
    return ERR_RANGE;
}

static void source_finish(void)
{
    payload_free(source_shared.payload);
    source_shared.payload = NULL;
}

/* 0: sent. Otherwise the connection has failed or is ending, and there is no more to do. */
static int send_next(struct source *source)
{
    struct payload_body body;

    payload_body(source_shared.payload, 0, source->number, &body);
    if (handler_send_lent(source->conn, body.stamp, body.stamp_length, body.rest,
                          body.rest_length) < 0) {
        source->stopped = true;
        return ERR_CLOSED;
    }
    source->number++;
    return 0;
}

static void source_turn(struct deadline *deadline);

static void turn_later(struct source *source, uint64_t in_us)
{
    if (deadline_set(conn_loop(source->conn), &source->next, in_us, source_turn) < 0)
        conn_fail(source->conn, FATE_MEMORY, "no memory for a deadline");
}

static void produce_freely(struct source *source)
{
    for (unsigned sent = 0; conn_room(source->conn) > 0; sent++) {
        if (sent == SOURCE_ROUND) {
            turn_later(source, 1);
            return;
        }
        if (send_next(source) < 0)
            return;
    }
}

/* What the peer's slowness held up is not made up for afterwards: the rate is a ceiling. */
static void produce_at_rate(struct source *source)
{
    uint64_t period_us = source_shared.period_ns / 1000;
    uint64_t now_ns = clock_us() * 1000;

    if (source->due_ns == 0)
        source->due_ns = now_ns;
    while (source->due_ns <= now_ns) {
        if (conn_room(source->conn) == 0) {
            source->due_ns = now_ns;
            deadline_unset(&source->next);
            return; /* `room` goes on */
        }
        if (send_next(source) < 0)
            return;
        source->due_ns += source_shared.period_ns > 0 ? source_shared.period_ns : 1;
    }
    /* A fixed length, so that all connections share one queue; up to a second late by less than
     * one period, and caught up with in the next turn. */
    turn_later(source, period_us < SOURCE_TICK_US ? SOURCE_TICK_US : period_us);
}

static void produce(struct source *source)
{
    if (source->stopped)
        return;
    if (source_shared.period_ns > 0)
        produce_at_rate(source);
    else
        produce_freely(source);
}

static void source_turn(struct deadline *deadline)
{
    produce((struct source *)((char *)deadline - offsetof(struct source, next)));
}

static void source_open(struct conn *conn)
{
    struct source *source = handler_state(conn);

    source->conn = conn;
    produce(source);
}

static void source_room(struct conn *conn)
{
    struct source *source = handler_state(conn);

    if (source->next.queue == NULL)
        produce(source);
}

/* What it is sent, it does not look at. */
static void source_frame(struct conn *conn, const uint8_t *body, size_t n)
{
    (void)conn;
    (void)body;
    (void)n;
}

static void source_drain(struct conn *conn)
{
    struct source *source = handler_state(conn);

    source->stopped = true;
    deadline_unset(&source->next);
    conn_nothing_owed(conn);
}

static void source_closed(struct conn *conn, struct life *life)
{
    struct source *source = handler_state(conn);

    (void)life;
    deadline_unset(&source->next);
}

const struct handler handler_source = {
    .name = "source",
    .meaning = "sends frames of -s bytes, -r a second",
    .state_bytes = sizeof(struct source),
    .prepare = source_prepare,
    .finish = source_finish,
    .owner = {.open = source_open,
              .frame = source_frame,
              .room = source_room,
              .drain = source_drain,
              .closed = source_closed},
};
