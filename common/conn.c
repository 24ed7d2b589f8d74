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
#include "log.h"
#include "trace.h"
#include "units.h"

/* What happened, by libevent's name and ours (-vv). */
static void tell(const struct conn *c, const char *what, const char *by)
{
    log_line(LOG_LEVEL_CALL, "#%llu %-20s %s", (unsigned long long)c->life.number, what, by);
}

void conn_wake(struct conn *c)
{
    if (!c->woken) {
        c->woken = true;
        loop_reap(c->loop, &c->wake);
    }
}

/* --- input --- */

static bool is_full(const struct conn *c)
{
    return c->config->answers && !c->output_dead && conn_output_bytes(c) >= CONN_OUTPUT_HIGH;
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

static void hand_over(struct conn *c, const struct frame_view *view)
{
    struct life *life = &c->life;
    life->discarded += c->discard;
    life->accepted += !c->discard;
    if (life->first_frame_us == 0) {
        life->first_frame_us = clock_us();
    }
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

/* Hands over every whole frame that may be handed over. Returns whether the input is exhausted: no
 * whole frame is left in it. */
static bool pump(struct conn *c)
{
    struct evbuffer *in = conn_input(c);
    struct frame_view view;
    struct frame_fault fault;

    while (takes_input(c) && !c->deaf) {
        int result = frame_buffer_next(&c->config->codec, &c->in, in, &view, &fault);
        if (result == 0) {
            return true;
        }
        if (result < 0) {
            frame_failed(c, result, &fault);
            break;
        }
        hand_over(c, &view);
        c->handled_bytes += view.wire_length;
        evbuffer_drain(in, view.wire_length);
    }
    if (c->deaf) {
        c->handled_bytes += evbuffer_get_length(in);
        evbuffer_drain(in, evbuffer_get_length(in));
    }
    return c->deaf;
}

static void want_reading(struct conn *c)
{
    bool wanted = takes_input(c) && !c->eof && c->transport.acked == NULL;
    bool enabled = (bufferevent_get_enabled(c->transport.bev) & EV_READ) != 0;
    if (wanted && !enabled) {
        bufferevent_enable(c->transport.bev, EV_READ);
    } else if (!wanted && enabled) {
        bufferevent_disable(c->transport.bev, EV_READ);
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
    }
}

/* --- the bufferevent's callbacks --- */

static void on_read(struct bufferevent *bev, void *arg)
{
    struct conn *c = arg;
    uint64_t now_in = c->handled_bytes + evbuffer_get_length(bufferevent_get_input(bev));
    if (c->life.fin_sent_us != 0) {
        c->life.bytes_after_fin += now_in - c->life.bytes_in;
    }
    c->life.bytes_in = now_in;
    conn_restart_deadline(c);
    conn_step(c);
}

/* The output is at half of the high mark, or below. */
static void on_write(struct bufferevent *bev, void *arg)
{
    struct conn *c = arg;
    (void)bev;
    if (!conn_is_live(c)) {
        return;
    }
    if (log_on(LOG_LEVEL_CALL)) {
        char what[48], bytes[UNITS_TEXT];
        snprintf(what, sizeof what, "output %s", units_text_bytes(bytes, conn_output_bytes(c)));
        tell(c, what, "write callback");
    }
    conn_restart_deadline(c);
    bool emptied = conn_output_bytes(c) == 0 && c->queued_bytes != c->emptied_bytes;
    if ((c->room_wanted || emptied) && c->life.phase < PHASE_LINGER && c->opened) {
        c->room_wanted = false;
        c->emptied_bytes = emptied ? c->queued_bytes : c->emptied_bytes;
        if (c->owner->room != NULL) {
            c->owner->room(c);
        }
    }
    conn_step(c);
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
    struct conn *c = arg;
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

/* --- what the owner calls --- */

/* Where the owner's bytes begin: aligned for anything. */
#define OWNER_AT                                                                                   \
    ((sizeof(struct conn) + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t))

struct conn *conn_new(struct loop *loop, const struct conn_config *config,
                      const struct conn_owner *owner, void *arg, uint64_t queue_us)
{
    struct conn *c = calloc(1, OWNER_AT + config->owner_bytes);
    if (c == NULL) {
        return NULL;
    }
    c->loop = loop;
    c->config = config;
    c->owner = owner;
    c->arg = arg != NULL ? arg : (char *)c + OWNER_AT;
    c->transport.fd = -1;
    c->wake.reap = on_wake;
    bool is_client = config->side == SIDE_CLIENT;
    frame_state_init(&c->in, &config->codec, is_client ? FRAME_FROM_SERVER : FRAME_FROM_CLIENT);
    frame_state_init(&c->out, &config->codec, is_client ? FRAME_FROM_CLIENT : FRAME_FROM_SERVER);
    life_init(&c->life, config->side, queue_us);
    if (config->path != NULL) {
        life_set_path(&c->life, config->path);
    }
    return c;
}

void conn_open(struct conn *c, struct transport *transport)
{
    char why[80], wait[UNITS_TEXT];

    transport_take(&c->transport, transport);
    transport_addresses(&c->transport, &c->life.local, &c->life.remote);
    if (c->config->side == SIDE_SERVER) {
        snprintf(why, sizeof why, "accept4: fd %d, %s in the accept queue", c->transport.fd,
                 units_text_duration(wait, clock_us() - c->life.began_us));
    } else {
        snprintf(why, sizeof why, "event callback BEV_EVENT_CONNECTED: fd %d", c->transport.fd);
    }
    life_move(&c->life, PHASE_TRANSFER, why);
    bufferevent_setcb(c->transport.bev, on_read, on_write, on_event, c);
    bufferevent_setwatermark(c->transport.bev, EV_WRITE, CONN_OUTPUT_HIGH / 2, 0);
    bufferevent_enable(c->transport.bev, EV_WRITE);
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
    return c->loop;
}

struct life *conn_life(struct conn *c)
{
    return &c->life;
}

int conn_send(struct conn *c, const uint8_t *body, size_t n, struct error *e)
{
    struct frame_wrap wrap;
    struct frame_fault fault;
    char length[UNITS_TEXT];

    if (!conn_is_live(c) || c->life.phase == PHASE_LINGER || c->output_dead) {
        error_what(e, "the connection takes no more frames");
        return ERR_CLOSED;
    }
    int result = frame_buffer_put(&c->config->codec, &c->out,
                                  bufferevent_get_output(c->transport.bev), body, n, &wrap, &fault);
    if (result == ERR_MEMORY) {
        error_what(e, "out of memory for a frame of %s", units_text_exact_bytes(length, n));
    } else if (result < 0 && e != NULL) {
        frame_fault_text(&c->config->codec, &fault, e);
    }
    if (result < 0) {
        return result;
    }
    size_t wire = wrap.head_length + n + wrap.tail_length;
    c->queued_bytes += wire;
    c->smallest_out = c->smallest_out == 0 || wire < c->smallest_out ? wire : c->smallest_out;
    c->life.frames_out++;
    if (conn_output_bytes(c) >= CONN_OUTPUT_HIGH) {
        c->room_wanted = true;
    }
    if (c->config->trace) {
        trace(c, '>', c->life.frames_out, wrap.head, wrap.head_length, body, n, wrap.tail,
              wrap.tail_length);
    }
    return 0;
}

size_t conn_room(struct conn *c)
{
    size_t held = conn_output_bytes(c);
    if (held >= CONN_OUTPUT_HIGH) {
        c->room_wanted = true;
        return 0;
    }
    return CONN_OUTPUT_HIGH - held;
}

size_t conn_unsent(const struct conn *c)
{
    return conn_output_bytes(c);
}

size_t conn_partial(const struct conn *c)
{
    return c->transport.bev == NULL ? 0 : evbuffer_get_length(conn_input(c));
}

void conn_pause(struct conn *c)
{
    c->paused = true;
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
