#include "config.h"

#include "conn_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "units.h"

/* --- deadlines --- */

static void deadline_passed(struct deadline *deadline);

/* Our bytes that the peer has not acknowledged, in the kernel, our FIN not counted. */
static uint64_t unacked_data(const struct conn *c)
{
    uint64_t bytes = c->acked ? 0 : transport_unacked_bytes(&c->transport);
    return c->life.fin_sent_us != 0 && bytes > 0 ? bytes - 1 : bytes;
}

void conn_restart_deadline(struct conn *c)
{
    uint64_t length_us = 0;
    if (c->life.phase == PHASE_TRANSFER && c->config->idle_us == 0 && !c->eof && !c->output_dead) {
        return; /* none is wanted and none is set: by far the most common */
    }
    if (conn_is_live(c) && !c->paused) {
        length_us = c->life.phase == PHASE_LINGER || c->output_dead ? c->config->linger_us
                    : c->life.phase == PHASE_DRAIN || c->eof        ? c->config->drain_us
                                                                    : c->config->idle_us;
    }
    c->deadline_old = false;
    c->taken_bytes = c->life.bytes_out - transport_unsent(&c->transport);
    c->unacked_bytes =
        length_us > 0 && (c->life.phase >= PHASE_DRAIN || transport_unsent(&c->transport) > 0)
            ? unacked_data(c)
            : 0;
    if (deadline_set(c->transport.loop, &c->deadline, length_us, deadline_passed) < 0) {
        conn_fail(c, FATE_MEMORY, "out of memory for a deadline");
    }
}

static void fail_idle(struct conn *c)
{
    char text[UNITS_TEXT], limit[UNITS_TEXT];

    units_text_duration(limit, c->config->idle_us);
    if (transport_unsent(&c->transport) > 0) {
        conn_fail(c, FATE_SLOW_READER, "the peer took nothing of %s for %s",
                  units_text_bytes(text, transport_unsent(&c->transport)), limit);
    } else if (conn_open_frame(c) != NULL) {
        conn_fail(c, FATE_FRAME_TIMEOUT, "%s of frame %llu came, then nothing for %s",
                  units_text_exact_bytes(text, conn_open_frame(c)->seen),
                  (unsigned long long)life_frames_in(&c->life) + 1, limit);
    } else {
        c->nothing_owed = true;
        conn_fail(c, FATE_IDLE_TIMEOUT, "nothing sent or received for %s", limit);
    }
}

static void fail_drain(struct conn *c)
{
    char text[UNITS_TEXT], limit[UNITS_TEXT];

    conn_fail(c, FATE_DRAIN_TIMEOUT, "%s unsent and nothing moved for %s",
              units_text_bytes(text, transport_unsent(&c->transport)),
              units_text_duration(limit, c->config->drain_us));
}

static void fail_linger(struct conn *c)
{
    char text[UNITS_TEXT], limit[UNITS_TEXT];

    units_text_duration(limit, c->config->linger_us);
    if (transport_unacked_bytes(&c->transport) == 0) {
        conn_fail(c, FATE_LINGER_TIMEOUT, "our FIN was acknowledged, no FIN from the peer in %s",
                  limit);
    } else {
        conn_fail(c, FATE_LINGER_TIMEOUT, "our FIN and %s before it were not acknowledged in %s",
                  units_text_bytes(text, unacked_data(c)), limit);
    }
}

/* Whether the kernel took bytes of ours meanwhile, or the peer acknowledges, slowly, what it has:
 * megabytes may wait there, behind them our FIN, and a cut would lose them. */
static bool output_moves(struct conn *c)
{
    uint64_t unacked = c->unacked_bytes > 0 ? unacked_data(c) : 0;
    bool acked = unacked < c->unacked_bytes && (unacked > 0 || c->trickles);

    c->trickles = acked && unacked > 0;
    return acked || c->life.bytes_out - transport_unsent(&c->transport) != c->taken_bytes;
}

static void deadline_passed(struct deadline *deadline)
{
    struct conn *c = (struct conn *)((char *)deadline - offsetof(struct conn, deadline));

    if (output_moves(c) || transport_waits(&c->transport)) {
        conn_restart_deadline(c);
    } else if (c->output_dead) {
        conn_fail_broken(c);
    } else if (c->life.phase == PHASE_LINGER) {
        fail_linger(c);
    } else if (c->life.phase == PHASE_TRANSFER && !c->eof) {
        fail_idle(c);
    } else if (c->config->side == SIDE_CLIENT && transport_unsent(&c->transport) == 0 &&
               !c->nothing_owed) {
        conn_restart_deadline(c); /* all is sent: how long to wait for replies is the owner's say */
    } else {
        fail_drain(c);
    }
}

/* --- the end --- */

void conn_enter_close(struct conn *c, const char *why)
{
    c->changed = true;
    if (c->life.phase != PHASE_CLOSE) {
        if (c->transport.kind != NULL) {
            transport_read(&c->transport, false);
        }
        deadline_unset(&c->deadline);
        life_move(&c->life, PHASE_CLOSE, why);
        conn_wake(c);
    }
}

static enum time_wait time_wait_holder(const struct conn *c)
{
    if (c->reset || c->life.fin_sent_us == 0 || c->life.fin_seen_us == 0 ||
        c->life.kernel == NULL || c->broken != 0) {
        return TIME_WAIT_NOBODY;
    }
    switch (c->life.closed_first) {
    case FIRST_LOCAL:
        return TIME_WAIT_OURS;
    case FIRST_PEER:
        return TIME_WAIT_THEIRS;
    case FIRST_BOTH:
        return TIME_WAIT_BOTH;
    case FIRST_NOBODY:
        break;
    }
    return TIME_WAIT_NOBODY;
}

/* Replies of which some byte may be missing at the peer: exact when nothing is unacknowledged;
 * otherwise at most so many frames fit into the unacknowledged bytes. */
static uint64_t count_unanswered(const struct conn *c)
{
    uint64_t pending = 0;
    if (c->life.unacked_bytes > 0 && c->smallest_out > 0) {
        pending = (c->life.unacked_bytes + c->smallest_out - 1) / c->smallest_out;
    }
    uint64_t answered = c->life.frames_out > pending ? c->life.frames_out - pending : 0;
    return c->life.accepted > answered ? c->life.accepted - answered : 0;
}

static uint32_t saturated(uint64_t bytes)
{
    return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

static void final_account(struct conn *c)
{
    struct life *life = &c->life;
    if (c->transport.kind == NULL) {
        return;
    }
    if (life->kernel == NULL) {
        life->kernel = transport_sample(&c->transport, NULL);
    }
    /* After the peer's FIN the kernel holds nothing more to read. */
    uint64_t unread = c->acked ? 0 : transport_unread_bytes(&c->transport);
    life->unread_bytes = saturated(unread + transport_received(&c->transport));
    life->unacked_bytes = saturated(unacked_data(c) + transport_unsent(&c->transport));
    life->bytes_out -= transport_unsent(&c->transport);
    life->time_wait = time_wait_holder(c);
    if (c->config->answers) {
        life->unanswered = count_unanswered(c);
    }
}

static void tell_end(const struct conn *c, char why[120])
{
    why[0] = '\0';
    if (!log_on(LOG_LEVEL_PHASE)) {
        return;
    }
    if (c->transport.kind == NULL) {
        snprintf(why, 120, "%s, never connected", fate_row(c->life.fate)->name);
    } else {
        snprintf(why, 120, "%s(%d): %s, first FIN: %s, TIME_WAIT: %s",
                 c->reset ? "SO_LINGER 0, close" : "close", c->transport.fd,
                 fate_row(c->life.fate)->name, closed_first_name(c->life.closed_first),
                 time_wait_name(c->life.time_wait));
    }
}

void conn_dispose(struct conn *c)
{
    char why[120];

    final_account(c);
    tell_end(c, why);
    transport_close(&c->transport, c->reset);
    life_end(&c->life, why);
    c->owner->closed(c, &c->life);
    life_fini(&c->life);
    free(c);
}

/* The connection is over by an error of the socket's, whatever else may still be said of it. */
void conn_fail_broken(struct conn *c)
{
    char text[UNITS_TEXT];
    enum fate fate = c->broken == ETIMEDOUT                                  ? FATE_TIMED_OUT
                     : c->broken == EHOSTUNREACH || c->broken == ENETUNREACH ? FATE_UNREACHABLE
                     : c->broken == ENOMEM || c->broken == ENOBUFS           ? FATE_MEMORY
                                                                             : FATE_RESET;
    if (conn_open_frame(c) != NULL) {
        conn_fail(c, fate, "%s, %s into a frame", strerror(c->broken),
                  units_text_exact_bytes(text, conn_open_frame(c)->seen));
    } else {
        conn_fail(c, fate, "%s", strerror(c->broken));
    }
}

/* --- the close contract --- */

void conn_begin_drain(struct conn *c, bool discard, const char *why)
{
    if (c->life.phase == PHASE_TRANSFER) {
        life_move(&c->life, PHASE_DRAIN, why);
        deadline_unset(&c->deadline);
        c->deadline_old = true;
    }
    c->discard = c->discard || discard;
    c->changed = true;
    conn_wake(c);
}

static void judge_truncated(struct conn *c)
{
    const struct frame_state *open = conn_open_frame(c);
    char seen[UNITS_TEXT], total[UNITS_TEXT];
    if (c->discard || open == NULL || frame_finish(&c->config->codec, open)) {
        return;
    }
    units_text_exact_bytes(seen, open->seen);
    if (open->total > 0) {
        conn_fail(c, FATE_TRUNCATED, "the peer's FIN came %s into frame %llu of %s", seen,
                  (unsigned long long)life_frames_in(&c->life) + 1,
                  units_text_exact_bytes(total, open->total));
    } else {
        conn_fail(c, FATE_TRUNCATED,
                  "the peer's FIN came %s into frame %llu, before its end could be known", seen,
                  (unsigned long long)life_frames_in(&c->life) + 1);
    }
}

void conn_peer_fin(struct conn *c)
{
    c->life.fin_seen_us = clock_us();
    if (c->life.fin_sent_us == 0) {
        c->life.closed_first = FIRST_PEER;
    } else if (c->life.closed_first == FIRST_LOCAL &&
               transport_tcp_state(&c->transport) == TRANSPORT_TCP_CLOSING) {
        c->life.closed_first = FIRST_BOTH; /* it came before ours was acknowledged: they crossed
                                              (RFC 9293 3.6, case 3) */
    }
    judge_truncated(c);
    if (c->owner->peer_done != NULL && conn_is_live(c)) {
        c->owner->peer_done(c);
    }
    conn_begin_drain(c, false, "event callback BEV_EVENT_READING|BEV_EVENT_EOF: the peer's FIN");
}

static void tell_drain(struct conn *c)
{
    if (c->life.phase != PHASE_DRAIN || c->drain_told) {
        return;
    }
    c->drain_told = true;
    if (c->owner->drain != NULL) {
        c->owner->drain(c);
    } else {
        c->nothing_owed = true;
    }
}

/* Who was first is what the kernel knew at our shutdown: a FIN of the peer's may wait behind bytes
 * that we have not read, or come in between. */
static void send_fin(struct conn *c)
{
    int state;
    c->life.kernel = transport_sample(&c->transport, &state);
    if (CONTRACT(2) && transport_finish(&c->transport) < 0) {
        int error = transport_error(&c->transport);
        c->broken = (error != 0 ? error : ECONNRESET);
        conn_fail_broken(c);
        return;
    }
    c->life.fin_sent_us = clock_us();
    if (c->life.closed_first == FIRST_NOBODY) {
        bool peer = state == TRANSPORT_TCP_CLOSE_WAIT ||
                    transport_tcp_state(&c->transport) == TRANSPORT_TCP_LAST_ACK;
        c->life.closed_first = peer ? FIRST_PEER : FIRST_LOCAL;
    }
    life_move(&c->life, PHASE_LINGER, "output empty, shutdown(SHUT_WR): our FIN");
    c->deadline_old = true;
    if (!CONTRACT(3)) {
        conn_enter_close(c, "no linger");
    }
}

/* After both FINs. With nothing of ours outstanding the peer has acknowledged our FIN, and no RST
 * can undo that; a unix socket, which has no kernel sample, may hold an error nevertheless. */
static bool is_settled(const struct conn *c)
{
    return c->life.kernel != NULL && transport_unacked_bytes(&c->transport) == 0;
}

static void end_linger(struct conn *c)
{
    if (is_settled(c)) {
        c->acked = true;
        conn_enter_close(c, "both FINs exchanged, ours acknowledged");
        return;
    }
    if (!transport_acked(&c->transport)) {
        if (transport_await_ack(&c->transport) < 0) {
            conn_fail(c, FATE_MEMORY, "out of memory to wait for the peer's acknowledgement");
        }
        return;
    }
    /* CLOSE is also where an RST leads. */
    c->broken = transport_error(&c->transport);
    if (c->broken != 0) {
        conn_fail_broken(c);
    } else {
        c->acked = true;
        conn_enter_close(c, "both FINs exchanged, ours acknowledged");
    }
}

void conn_settle(struct conn *c)
{
    tell_drain(c);
    if (c->life.phase == PHASE_DRAIN && c->nothing_owed) {
        transport_flush(&c->transport);
    }
    if (c->life.phase == PHASE_DRAIN && c->nothing_owed && !c->output_dead &&
        (transport_unsent(&c->transport) == 0 || !CONTRACT(1))) {
        send_fin(c);
    }
    if (c->life.phase == PHASE_LINGER && c->life.fin_seen_us != 0) {
        end_linger(c);
    }
    if (!CONTRACT(4) && c->life.phase == PHASE_LINGER &&
        transport_unacked_bytes(&c->transport) == 0) {
        conn_enter_close(c, "our FIN acknowledged");
    }
    if (c->deadline_old && conn_is_live(c)) {
        conn_restart_deadline(c);
    }
}
