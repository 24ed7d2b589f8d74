/* source: sends frames of -s bytes, at -r a second on each connection or as fast as the peer takes
 * them, until the peer's FIN or the drain. Each frame is printable and carries its number. */
#include "config.h"

#include "handler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "units.h"

#define SOURCE_DIGITS 12    /* of the frame's number */
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
    size_t bytes;
    size_t head; /* of `bytes`: an unstripped codec's header */
    uint8_t head_bytes[FRAME_HEAD_MAX];
    const char *alphabet;  /* ten characters, none of which begins the codec's delimiter */
    uint64_t period_ns;    /* 0: as fast as it goes */
    pthread_key_t scratch; /* each thread's frame under construction */
} source_shared;

static uint64_t field_of(const struct frame_codec *codec, uint64_t follows)
{
    return (uint64_t)((int64_t)follows - codec->adjust);
}

static size_t put_length(const struct frame_codec *codec, uint8_t *to, size_t bytes)
{
    size_t head = (size_t)codec->offset + codec->width;
    uint64_t field;

    if (bytes < head)
        return 0;
    field = field_of(codec, bytes - head);
    for (unsigned i = 0; i < codec->width; i++) {
        unsigned at = codec->little ? i : codec->width - 1U - i;
        to[codec->offset + at] = (uint8_t)(field >> (8 * i));
    }
    return head;
}

static unsigned varint_width(uint64_t value)
{
    unsigned width = 1;

    while (value >>= 7)
        width++;
    return width;
}

static size_t put_varint(const struct frame_codec *codec, uint8_t *to, size_t bytes)
{
    for (unsigned width = 1; width <= codec->width && codec->offset + width <= bytes; width++) {
        uint64_t field = field_of(codec, bytes - codec->offset - width);
        if (varint_width(field) != width)
            continue;
        for (unsigned i = 0; i < width; i++, field >>= 7)
            to[codec->offset + i] = (uint8_t)((field & 0x7f) | (i + 1 < width ? 0x80 : 0));
        return (size_t)codec->offset + width;
    }
    return 0;
}

/* A body of an unstripped codec begins with the header, which must agree with the length. */
static void make_head(const struct frame_codec *codec)
{
    source_shared.head = 0;
    memset(source_shared.head_bytes, 0, sizeof source_shared.head_bytes);
    if (codec->strip || (size_t)codec->offset + codec->width > sizeof source_shared.head_bytes)
        return;
    if (codec->kind == FRAME_LENGTH)
        source_shared.head = put_length(codec, source_shared.head_bytes, source_shared.bytes);
    else if (codec->kind == FRAME_VARINT)
        source_shared.head = put_varint(codec, source_shared.head_bytes, source_shared.bytes);
}

static uint8_t *new_body(void)
{
    size_t head = source_shared.head;
    uint8_t *body = malloc(source_shared.bytes);

    if (body == NULL)
        return NULL;
    memcpy(body, source_shared.head_bytes, head);
    for (size_t i = head; i < source_shared.bytes; i++)
        body[i] = (uint8_t)source_shared.alphabet[(i - head) % 10];
    return body;
}

/* Made once a thread, not once a connection: only the number changes. */
static uint8_t *thread_body(void)
{
    uint8_t *body = pthread_getspecific(source_shared.scratch);

    if (body != NULL)
        return body;
    body = new_body();
    if (body != NULL && pthread_setspecific(source_shared.scratch, body) != 0) {
        free(body);
        return NULL;
    }
    return body;
}

static void put_number(uint8_t *body, uint64_t number)
{
    size_t text = source_shared.bytes - source_shared.head;
    size_t digits = text < SOURCE_DIGITS ? text : SOURCE_DIGITS;

    for (size_t i = digits; i-- > 0; number /= 10)
        body[source_shared.head + i] = (uint8_t)source_shared.alphabet[number % 10];
}

static int try_frame(const struct handler_setup *setup, struct error *e)
{
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;
    struct error why;
    uint8_t *body = new_body();
    int result;

    if (body == NULL) {
        error_what(e, "-s %llu: no memory for a frame", (unsigned long long)setup->source_bytes);
        error_mend(e, "ask for smaller frames");
        return ERR_MEMORY;
    }
    frame_state_init(&state, setup->codec, FRAME_FROM_SERVER);
    result = frame_encode(setup->codec, &state, body, source_shared.bytes, &wrap, &fault);
    if (result < 0) {
        frame_fault_text(setup->codec, &fault, &why);
        error_what(e, "-s %llu: such a frame cannot be made: %s",
                   (unsigned long long)setup->source_bytes, why.what);
        error_mend(e, "choose another length with -s, or another codec");
    }
    free(body);
    return result;
}

static bool is_ten(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static int source_prepare(const struct handler_setup *setup, struct error *e)
{
    const struct frame_codec *codec = setup->codec;
    bool digits_end = codec->kind == FRAME_DELIMITER && is_ten(codec->end[0]);
    char limit[UNITS_TEXT];

    if (setup->source_bytes > codec->max_body) {
        error_what(e, "-s %llu: longer than --max-frame allows, %s",
                   (unsigned long long)setup->source_bytes,
                   units_text_exact_bytes(limit, codec->max_body));
        error_mend(e, "ask for shorter frames or raise --max-frame");
        return ERR_RANGE;
    }
    source_shared.bytes = (size_t)setup->source_bytes;
    source_shared.alphabet = digits_end ? "abcdefghij" : "0123456789";
    source_shared.period_ns = setup->source_rate > 0 ? 1000000000 / setup->source_rate : 0;
    make_head(codec);
    if (pthread_key_create(&source_shared.scratch, free) != 0) {
        error_what(e, "-H source: the system has no thread key left");
        return ERR_SYSTEM;
    }
    return try_frame(setup, e);
}

static void source_finish(void)
{
    free(pthread_getspecific(source_shared.scratch));
    pthread_key_delete(source_shared.scratch);
}

/* 0: sent. Otherwise the connection has failed or is ending, and there is no more to do. */
static int send_next(struct source *source)
{
    uint8_t *body = thread_body();

    if (body == NULL) {
        conn_fail(source->conn, FATE_MEMORY, "no memory for a frame of %zu bytes",
                  source_shared.bytes);
        return ERR_MEMORY;
    }
    put_number(body, source->number);
    if (handler_send(source->conn, body, source_shared.bytes) < 0) {
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
