#include "config.h"

#include "conn_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "frame_buffer.h"
#include "frame_simple.h"
#include "log.h"
#include "trace.h"
#include "units.h"

#define STAMP_BYTES 16   /* what a load lends begins with so many */
#define SIMPLE_MOST 2048 /* longer bodies may be worth not copying */

/* What happened, by libevent's name and ours (-vv). */
static void tell(const struct conn *c, const char *what, const char *by)
{
    log_line(LOG_LEVEL_CALL, "#%llu %-20s %s", (unsigned long long)c->life.number, what, by);
}

void conn_wake(struct conn *c)
{
    if (!c->woken) {
        c->woken = true;
        loop_reap(c->transport.loop, &c->wake);
    }
}

/* --- input --- */

static bool is_full(const struct conn *c)
{
    return c->config->answers && !c->output_dead &&
           transport_unsent(&c->transport) >= CONN_OUTPUT_HIGH;
}

static bool takes_input(const struct conn *c)
{
    return conn_is_live(c) && c->opened && (c->discard || (!c->paused && !is_full(c)));
}

static void trace(const struct conn *c, char direction, uint64_t number, const uint8_t *head,
                  size_t head_length, const uint8_t *body, size_t n, const uint8_t *tail,
                  size_t tail_length)
{
    if (c->config->trace) {
        trace_frame(clock_us() - c->life.began_us,
                    c->config->side == SIDE_SERVER ? c->life.number : 0, direction, number, head,
                    head_length, body, n, tail, tail_length);
    }
}

static void stamp_first(struct conn *c)
{
    if (c->life.first_frame_us == 0) {
        c->life.first_frame_us = clock_us();
    }
}

static void hand_over(struct conn *c, const struct frame_view *view)
{
    struct life *life = &c->life;
    life->discarded += c->discard;
    life->accepted += !c->discard;
    stamp_first(c);
    if (c->config->trace) {
        const uint8_t *end = view->body + view->body_length;
        trace(c, '<', life_frames_in(life), view->wire, (size_t)(view->body - view->wire),
              view->body, view->body_length, end, view->wire_length - (size_t)(end - view->wire));
    }
    if (log_on(LOG_LEVEL_CALL)) {
        char what[48], bytes[UNITS_TEXT];
        snprintf(what, sizeof what, "frame in, %s%s",
                 units_text_exact_bytes(bytes, view->body_length), c->discard ? ", discarded" : "");
        tell(c, what, "read callback");
    }
    if (!c->discard) {
        c->owner->frame(c, view->body, view->body_length);
    }
}

static void frame_failed(struct conn *c, int result, const struct frame_fault *fault)
{
    struct error e;
    if (c->discard) {
        c->deaf = true; /* our answers are on their way: junk that is discarded anyway must not cut
                           them off */
        return;
    }
    if (result == ERR_MEMORY) {
        conn_fail(c, FATE_MEMORY, "out of memory for a frame");
        return;
    }
    frame_fault_text(&c->config->codec, fault, &e);
    bool first = c->life.fate == FATE_CLEAN;
    conn_fail(c, result == ERR_FRAME_TOO_LARGE ? FATE_FRAME_TOO_LARGE : FATE_BAD_FRAME, "%s",
              e.what);
    if (first) {
        life_mend(&c->life, e.mend);
    }
}

/* Where the decoder stands is kept only while there is input. */
static struct frame_state *decoder_of(struct conn *c)
{
    struct transport_lease *lease = c->transport.lease;
    if (!lease->started) {
        frame_state_init(&lease->decoder, &c->config->codec, FRAME_FROM_SERVER);
        lease->decoder.first = c->first_in;
        lease->started = true;
    }
    return &lease->decoder;
}

static void drain_input(struct conn *c, size_t n)
{
    c->handled_bytes += n;
    evbuffer_drain(transport_input(&c->transport), n);
}

/* The same loop for the simple codecs, as short as it can be. Returns the bytes used. */
static size_t pump_simple(struct conn *c, const uint8_t *bytes, size_t n)
{
    const struct frame_codec *codec = &c->config->codec;
    void (*frame)(struct conn *, const uint8_t *, size_t) = c->owner->frame;
    size_t used = 0, total;

    c->changed = false;
    while (!c->changed && frame_simple_find(codec, bytes + used, n - used, &total)) {
        const uint8_t *body = bytes + used + codec->width;
        if (c->life.accepted++ == 0) {
            stamp_first(c);
        }
        used += total;
        frame(c, body, total - codec->width);
    }
    return used;
}

/* Hands over the frames that lie whole in the input's first chain, in place. Result as
 * frame_decode; 1: some of the chain may be left. */
static int pump_chain(struct conn *c, struct frame_state *decoder, size_t *used,
                      struct frame_fault *fault)
{
    struct evbuffer_iovec chain = {NULL, 0};
    struct frame_found found;
    int result = 1;

    evbuffer_peek(transport_input(&c->transport), -1, NULL, &chain, 1);
    transport_hold(&c->transport, chain.iov_base, chain.iov_len);
    *used = c->simple && !c->discard ? pump_simple(c, chain.iov_base, chain.iov_len) : 0;
    while (*used < chain.iov_len && takes_input(c)) {
        const uint8_t *wire = (const uint8_t *)chain.iov_base + *used;
        result =
            frame_decode(&c->config->codec, decoder, wire, chain.iov_len - *used, &found, fault);
        if (result != 1) {
            break;
        }
        struct frame_view view = {.wire = wire,
                                  .body = wire + found.body,
                                  .wire_length = (size_t)found.total,
                                  .body_length = (size_t)found.body_length};
        *used += view.wire_length;
        hand_over(c, &view);
    }
    transport_release(&c->transport);
    return result;
}

/* Hands over a frame that lies in several chains. Result as frame_buffer_next. */
static int pump_open(struct conn *c, struct frame_state *decoder, size_t *used,
                     struct frame_fault *fault)
{
    struct frame_view view;
    int result =
        frame_buffer_next(&c->config->codec, decoder, transport_input(&c->transport), &view, fault);
    *used = 0;
    if (result == 1) {
        *used = view.wire_length;
        transport_hold(&c->transport, view.wire, view.wire_length);
        hand_over(c, &view);
        transport_release(&c->transport);
    }
    return result;
}

/* Hands over every whole frame that may be handed over. Returns whether the input is exhausted: no
 * whole frame is left in it. */
static bool pump(struct conn *c)
{
    struct frame_fault fault;
    size_t left = transport_received(&c->transport), used;
    bool exhausted = left == 0 && takes_input(c);

    while (!exhausted && takes_input(c) && !c->deaf) {
        struct frame_state *decoder = decoder_of(c);
        int result = decoder->seen == 0 ? pump_chain(c, decoder, &used, &fault)
                                        : pump_open(c, decoder, &used, &fault);
        if (used > 0) {
            drain_input(c, used);
            left -= used;
        }
        c->first_in = decoder->first;
        if (result < 0) {
            frame_failed(c, result, &fault);
            break;
        }
        exhausted = (left == 0 || (result == 0 && decoder->seen >= left)) && takes_input(c);
        c->transport.lease->wanted =
            decoder->total > decoder->seen ? (size_t)(decoder->total - decoder->seen) : 0;
    }
    if (c->deaf && c->transport.lease != NULL) {
        drain_input(c, transport_received(&c->transport));
    }
    return exhausted || c->deaf;
}

static void want_reading(struct conn *c)
{
    if (transport_read(&c->transport, takes_input(c) && !c->eof) < 0) {
        conn_fail(c, FATE_MEMORY, "the system refused to watch the socket: %s", strerror(errno));
    }
}

void conn_step(struct conn *c)
{
    if (!conn_is_live(c)) {
        return;
    }
    if (!c->opened) {
        c->opened = true;
        if (c->owner->open != NULL) {
            c->owner->open(c);
        }
    }
    if (c->eof && !CONTRACT(5)) {
        conn_enter_close(c, "the peer's FIN");
        return;
    }
    if (pump(c) && conn_is_live(c)) {
        if (c->eof && c->broken != 0) {
            conn_fail_broken(c);
        } else if (c->eof && c->life.fin_seen_us == 0) {
            conn_peer_fin(c);
        }
    }
    if (conn_is_live(c)) {
        conn_settle(c);
    }
    if (conn_is_live(c)) {
        want_reading(c);
    }
}

static void on_wake(struct reapable *wake)
{
    struct conn *c = (struct conn *)((char *)wake - offsetof(struct conn, wake));
    c->woken = false;
    if (c->life.phase == PHASE_CLOSE) {
        conn_dispose(c);
    } else {
        conn_step(c);
        transport_rest(&c->transport);
    }
}

/* --- the bufferevent's callbacks --- */

static struct conn *conn_of(void *transport)
{
    return (struct conn *)((char *)transport - offsetof(struct conn, transport));
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct conn *c = conn_of(arg);
    uint64_t now_in = c->handled_bytes + evbuffer_get_length(bufferevent_get_input(bev));
    if (c->life.fin_sent_us != 0) {
        c->life.bytes_after_fin += now_in - c->life.bytes_in;
    }
    c->life.bytes_in = now_in;
    conn_restart_deadline(c);
    conn_step(c);
}

/* The output is at half of the high mark or below, or has been sent. */
static void on_write(struct bufferevent *bev, void *arg)
{
    struct conn *c = conn_of(arg);
    (void)bev;
    if (!conn_is_live(c)) {
        return;
    }
    size_t unsent = transport_unsent(&c->transport);
    if (log_on(LOG_LEVEL_CALL)) {
        char what[48], bytes[UNITS_TEXT];
        snprintf(what, sizeof what, "output %s", units_text_bytes(bytes, unsent));
        tell(c, what, "write callback");
    }
    conn_restart_deadline(c);
    bool emptied = unsent == 0 && !c->sent_told;
    c->transport.tells_sent = false;
    if ((c->room_wanted || emptied) && c->life.phase < PHASE_LINGER && c->opened) {
        c->room_wanted = false;
        c->sent_told = c->sent_told || emptied;
        if (c->owner->room != NULL) {
            c->owner->room(c);
        }
    }
    conn_step(c);
    transport_rest(&c->transport);
}

static const char *event_text(char buf[128], short what)
{
    snprintf(buf, 128, "event callback%s%s%s%s%s",
             what & BEV_EVENT_READING ? " BEV_EVENT_READING" : "",
             what & BEV_EVENT_WRITING ? " BEV_EVENT_WRITING" : "",
             what & BEV_EVENT_EOF ? " BEV_EVENT_EOF" : "",
             what & BEV_EVENT_ERROR ? " BEV_EVENT_ERROR" : "",
             what & BEV_EVENT_TIMEOUT ? " BEV_EVENT_TIMEOUT" : "");
    return buf;
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct conn *c = conn_of(arg);
    int error = EVUTIL_SOCKET_ERROR();
    char text[128];

    (void)bev;
    if (log_on(LOG_LEVEL_CALL)) {
        tell(c, what & BEV_EVENT_ERROR ? strerror(error) : "end of input", event_text(text, what));
    }
    if ((what & BEV_EVENT_ERROR) && c->broken == 0) {
        c->broken = error;
    }
    if (what & BEV_EVENT_WRITING) {
        /* The peer's RST. Replies that it sent before may still wait in the kernel: read on to the
         * end. */
        c->output_dead = true;
        conn_restart_deadline(c);
    } else {
        c->eof = true;
    }
    conn_step(c);
}

static void on_acked(struct transport *t)
{
    conn_step(conn_of(t));
}

static const struct transport_callbacks callbacks = {
    .read = on_read,
    .write = on_write,
    .event = on_event,
    .acked = on_acked,
};

/* --- what the owner calls --- */

/* Where the owner's bytes begin: aligned for anything. */
#define OWNER_AT                                                                                   \
    ((sizeof(struct conn) + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t))

struct conn *conn_new(struct loop *loop, const struct conn_config *config,
                      const struct conn_owner *owner, void *arg, uint64_t queue_us)
{
    size_t bytes = config->owner_bytes > 0 ? OWNER_AT + config->owner_bytes : sizeof(struct conn);
    struct conn *c = calloc(1, bytes);
    if (c == NULL) {
        return NULL;
    }
    c->config = config;
    c->owner = owner;
    c->arg = arg != NULL ? arg : (char *)c + OWNER_AT;
    c->transport.loop = loop;
    c->transport.fd = -1;
    c->wake.reap = on_wake;
    c->first_in = config->codec.first != NULL && config->side == SIDE_SERVER;
    c->first_out = config->codec.first != NULL && config->side == SIDE_CLIENT;
    c->sent_told = true;
    c->simple = config->fast && frame_is_simple(&config->codec) && !config->trace &&
                !log_on(LOG_LEVEL_CALL);
    life_init(&c->life, config->side, queue_us);
    if (config->path != NULL) {
        life_set_path(&c->life, config->path);
    }
    return c;
}

static void tell_open(struct conn *c)
{
    char why[80] = "", wait[UNITS_TEXT];

    if (log_on(LOG_LEVEL_PHASE) && c->config->side == SIDE_SERVER) {
        snprintf(why, sizeof why, "accept4: fd %d, %s in the accept queue", c->transport.fd,
                 units_text_duration(wait, clock_us() - c->life.began_us));
    } else if (log_on(LOG_LEVEL_PHASE)) {
        snprintf(why, sizeof why, "event callback BEV_EVENT_CONNECTED: fd %d", c->transport.fd);
    }
    life_move(&c->life, PHASE_TRANSFER, why);
}

void conn_open(struct conn *c, struct transport *transport)
{
    transport_take(&c->transport, transport);
    transport_addresses(&c->transport, &c->life.local, &c->life.remote);
    tell_open(c);
    transport_start(&c->transport, &callbacks);
    conn_restart_deadline(c);
    conn_wake(c);
}

void *conn_arg(const struct conn *c)
{
    return c->arg;
}

struct conn *conn_owning(void *owner_bytes)
{
    return (struct conn *)(void *)((char *)owner_bytes - OWNER_AT);
}

struct loop *conn_loop(const struct conn *c)
{
    return c->transport.loop;
}

struct life *conn_life(struct conn *c)
{
    return &c->life;
}

static int send_failed(struct conn *c, int result, const struct frame_fault *fault, size_t n,
                       struct error *e)
{
    char length[UNITS_TEXT];
    if (result == ERR_MEMORY) {
        error_what(e, "out of memory for a frame of %s", units_text_exact_bytes(length, n));
    } else if (e != NULL) {
        frame_fault_text(&c->config->codec, fault, e);
    }
    return result;
}

static inline bool takes_output(const struct conn *c)
{
    return (c->life.phase == PHASE_TRANSFER || c->life.phase == PHASE_DRAIN) && !c->output_dead;
}

static inline void count_sent(struct conn *c, size_t wire)
{
    uint32_t small = wire < UINT32_MAX ? (uint32_t)wire : UINT32_MAX;
    c->life.bytes_out += wire;
    c->life.frames_out++;
    if (small - 1 < c->smallest_out - 1) { /* 0, none, wraps round to the largest */
        c->smallest_out = small;
    }
    if (c->sent_told) {
        c->sent_told = false;
        c->transport.tells_sent = c->owner->room != NULL;
    }
}

static void note_high(struct conn *c)
{
    if (transport_unsent(&c->transport) >= CONN_OUTPUT_HIGH) {
        c->room_wanted = true;
        c->changed = true;
    }
}

/* The common case: a short frame into the gather buffer, which is far smaller than the high mark.
 */
static inline bool send_simple(struct conn *c, const uint8_t *begin, size_t begin_length,
                               const uint8_t *rest, size_t rest_length)
{
    const struct frame_codec *codec = &c->config->codec;
    size_t n = begin_length + rest_length;
    uint8_t *to = c->simple && n <= SIMPLE_MOST && takes_output(c)
                      ? transport_room(&c->transport, codec->width + n)
                      : NULL;

    if (to == NULL || !frame_simple_put(codec, to, n)) {
        return false;
    }
    to += codec->width;
    if (begin_length > 0) {
        memcpy(to, begin, begin_length);
    }
    if (rest_length > 0) {
        memcpy(to + begin_length, rest, rest_length);
    }
    transport_took(&c->transport, codec->width + n);
    count_sent(c, codec->width + n);
    return true;
}

/* Apart, so that the common case does not pay for what this needs. */
__attribute__((noinline)) static int send_any(struct conn *c, const uint8_t *body, size_t n,
                                              struct error *e)
{
    struct frame_state encoder;
    struct frame_wrap wrap;
    struct frame_fault fault;

    if (!takes_output(c)) {
        error_what(e, "the connection takes no more frames");
        return ERR_CLOSED;
    }
    encoder.first = c->first_out;
    int result = frame_encode(&c->config->codec, &encoder, body, n, &wrap, &fault);
    struct transport_bytes bytes = {.head = wrap.head,
                                    .head_length = wrap.head_length,
                                    .body = body,
                                    .body_length = n,
                                    .tail = wrap.tail,
                                    .tail_length = wrap.tail_length};
    if (result == 0) {
        result = transport_send(&c->transport, &bytes);
    }
    if (result < 0) {
        return send_failed(c, result, &fault, n, e);
    }
    c->first_out = false;
    count_sent(c, wrap.head_length + n + wrap.tail_length);
    note_high(c);
    if (c->config->trace) {
        trace(c, '>', c->life.frames_out, wrap.head, wrap.head_length, body, n, wrap.tail,
              wrap.tail_length);
    }
    return 0;
}

int conn_send(struct conn *c, const uint8_t *body, size_t n, struct error *e)
{
    return send_simple(c, NULL, 0, body, n) ? 0 : send_any(c, body, n, e);
}

/* For -x a body in two parts is put together. */
static void trace_parts(struct conn *c, const struct frame_wrap *wrap, const uint8_t *begin,
                        size_t begin_length, const uint8_t *rest, size_t rest_length)
{
    uint8_t *body = malloc(begin_length + rest_length + 1);
    if (body != NULL) {
        memcpy(body, begin, begin_length);
        memcpy(body + begin_length, rest, rest_length);
        trace(c, '>', c->life.frames_out, wrap->head, wrap->head_length, body,
              begin_length + rest_length, wrap->tail, wrap->tail_length);
        free(body);
    }
}

static int send_lent(struct conn *c, const uint8_t *begin, size_t begin_length, const uint8_t *rest,
                     size_t rest_length, struct error *e)
{
    uint8_t head[FRAME_HEAD_MAX + CONN_BEGIN_MAX];
    struct frame_state encoder;
    struct frame_wrap wrap;
    struct frame_fault fault;
    size_t n = begin_length + rest_length;

    assert(begin_length <= CONN_BEGIN_MAX);
    if (!takes_output(c)) {
        error_what(e, "the connection takes no more frames");
        return ERR_CLOSED;
    }
    encoder.first = c->first_out;
    int result = frame_encode_known(&c->config->codec, &encoder, n, &wrap, &fault);
    if (result == 0) {
        memcpy(head, wrap.head, wrap.head_length);
        memcpy(head + wrap.head_length, begin, begin_length);
        struct transport_bytes bytes = {.head = head,
                                        .head_length = wrap.head_length + begin_length,
                                        .body = rest,
                                        .body_length = rest_length,
                                        .body_lasts = true,
                                        .tail = wrap.tail,
                                        .tail_length = wrap.tail_length};
        result = transport_send(&c->transport, &bytes);
    }
    if (result < 0) {
        return send_failed(c, result, &fault, n, e);
    }
    c->first_out = false;
    count_sent(c, wrap.head_length + n + wrap.tail_length);
    note_high(c);
    if (c->config->trace) {
        trace_parts(c, &wrap, begin, begin_length, rest, rest_length);
    }
    return 0;
}

int conn_send_lent(struct conn *c, const uint8_t *begin, size_t begin_length, const uint8_t *rest,
                   size_t rest_length, struct error *e)
{
    bool sent = begin_length == STAMP_BYTES /* a length known here is copied in line */
                    ? send_simple(c, begin, STAMP_BYTES, rest, rest_length)
                    : send_simple(c, begin, begin_length, rest, rest_length);
    return sent ? 0 : send_lent(c, begin, begin_length, rest, rest_length, e);
}

size_t conn_room(struct conn *c)
{
    size_t held = transport_unsent(&c->transport);
    if (held >= CONN_OUTPUT_HIGH) {
        c->room_wanted = true;
        return 0;
    }
    return CONN_OUTPUT_HIGH - held;
}

size_t conn_unsent(const struct conn *c)
{
    return transport_unsent(&c->transport);
}

size_t conn_partial(const struct conn *c)
{
    return transport_received(&c->transport);
}

void conn_pause(struct conn *c)
{
    c->paused = c->changed = true;
    deadline_unset(&c->deadline);
    conn_wake(c);
}

void conn_resume(struct conn *c)
{
    c->paused = false;
    conn_restart_deadline(c);
    conn_wake(c);
}

void conn_drain(struct conn *c, bool discard, const char *why)
{
    if (c->life.phase < PHASE_TRANSFER) {
        conn_fail(c, FATE_ABORTED, "%s, before it was connected", why);
        return;
    }
    if (conn_is_live(c)) {
        conn_begin_drain(c, discard, why);
    }
}

void conn_nothing_owed(struct conn *c)
{
    assert(c->life.phase >= PHASE_DRAIN);
    c->nothing_owed = true;
    conn_wake(c);
}

void conn_fail(struct conn *c, enum fate fate, const char *format, ...)
{
    char detail[300];
    va_list arguments;

    if (c->life.phase == PHASE_CLOSE) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    life_fail(&c->life, fate, "%s", detail);
    /* The first failure is the fate; how it ends is up to the latest. */
    if (c->life.phase >= PHASE_TRANSFER && fate_row(fate)->ends == FATE_ENDS_FIN) {
        conn_begin_drain(c, c->config->side == SIDE_SERVER, fate_row(fate)->name);
        return;
    }
    c->reset = fate_row(fate)->ends == FATE_ENDS_RST && CONTRACT(6);
    conn_enter_close(c, fate_row(fate)->name);
}
