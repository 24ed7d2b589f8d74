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
#include "frame_simple.h"
#include "log.h"
#include "trace.h"
#include "units.h"

void conn_tell(const struct conn *c, const char *what, const char *by)
{
    log_line(LOG_LEVEL_CALL, "#%llu %-20s %s", (unsigned long long)c->life.number, what, by);
}

void conn_trace(const struct conn *c, char direction, uint64_t number, const uint8_t *head,
                size_t head_length, const uint8_t *body, size_t n, const uint8_t *tail,
                size_t tail_length)
{
    if (c->config->trace) {
        trace_frame(clock_us() - c->life.began_us,
                    c->config->side == SIDE_SERVER ? c->life.number : 0, direction, number, head,
                    head_length, body, n, tail, tail_length);
    }
}

void conn_wake(struct conn *c)
{
    if (!c->woken) {
        c->woken = true;
        loop_reap(c->transport.loop, &c->wake);
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
    if (conn_pump(c) && conn_is_live(c)) {
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
        conn_want_reading(c);
    }
}

static void on_wake(struct reapable *wake)
{
    struct conn *c = (struct conn *)((char *)wake - offsetof(struct conn, wake));
    c->woken = false;
    if (c->life.phase == PHASE_CLOSE) {
        conn_dispose(c);
    } else if (conn_is_live(c)) {
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
        conn_tell(c, what, "write callback");
    }
    conn_restart_deadline(c);
    bool emptied = unsent == 0 && !c->sent_told;
    c->transport.tells_sent = c->transport.tells_sent && unsent > 0;
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
        conn_tell(c, what & BEV_EVENT_ERROR ? strerror(error) : "end of input",
                  event_text(text, what));
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
