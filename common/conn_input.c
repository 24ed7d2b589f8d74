#include "config.h"

#include "conn_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "frame_buffer.h"
#include "frame_simple.h"
#include "log.h"
#include "units.h"

static bool is_full(const struct conn *c)
{
    return c->config->answers && !c->output_dead &&
           transport_unsent(&c->transport) >= CONN_OUTPUT_HIGH;
}

static bool takes_input(const struct conn *c)
{
    return conn_is_live(c) && c->opened && (c->discard || (!c->paused && !is_full(c)));
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
        conn_trace(c, '<', life_frames_in(life), view->wire, (size_t)(view->body - view->wire),
                   view->body, view->body_length, end,
                   view->wire_length - (size_t)(end - view->wire));
    }
    if (log_on(LOG_LEVEL_CALL)) {
        char what[48], bytes[UNITS_TEXT];
        snprintf(what, sizeof what, "frame in, %s%s",
                 units_text_exact_bytes(bytes, view->body_length), c->discard ? ", discarded" : "");
        conn_tell(c, what, "read callback");
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

bool conn_pump(struct conn *c)
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

void conn_want_reading(struct conn *c)
{
    if (transport_read(&c->transport, takes_input(c) && !c->eof) < 0) {
        conn_fail(c, FATE_MEMORY, "the system refused to watch the socket: %s", strerror(errno));
    }
}
