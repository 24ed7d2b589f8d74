#include "config.h"

#include "conn_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "frame_simple.h"
#include "units.h"

#define STAMP_BYTES 16   /* what a load lends begins with so many */
#define SIMPLE_MOST 2048 /* longer bodies may be worth not copying */

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

/* For -x a body in two parts is put together. */
static void trace_sent(struct conn *c, const struct frame_wrap *wrap, const uint8_t *begin,
                       size_t begin_length, const uint8_t *rest, size_t rest_length)
{
    uint8_t *body = malloc(begin_length + rest_length + 1);
    if (body == NULL) {
        return;
    }
    if (begin_length > 0) {
        memcpy(body, begin, begin_length);
    }
    if (rest_length > 0) {
        memcpy(body + begin_length, rest, rest_length);
    }
    conn_trace(c, '>', c->life.frames_out, wrap->head, wrap->head_length, body,
               begin_length + rest_length, wrap->tail, wrap->tail_length);
    free(body);
}

/* Any frame, its body in two parts. `lent`: conn_send_lent's, else `begin` is empty. Apart, so that
 * the common case does not pay for what this needs. */
__attribute__((noinline)) static int send_any(struct conn *c, const uint8_t *begin,
                                              size_t begin_length, const uint8_t *rest,
                                              size_t rest_length, bool lent, struct error *e)
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
    int result = lent ? frame_encode_known(&c->config->codec, &encoder, n, &wrap, &fault)
                      : frame_encode(&c->config->codec, &encoder, rest, n, &wrap, &fault);
    if (result == 0) {
        memcpy(head, wrap.head, wrap.head_length);
        if (begin_length > 0) {
            memcpy(head + wrap.head_length, begin, begin_length);
        }
        struct transport_bytes bytes = {.head = head,
                                        .head_length = wrap.head_length + begin_length,
                                        .body = rest,
                                        .body_length = rest_length,
                                        .body_lasts = lent,
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
        trace_sent(c, &wrap, begin, begin_length, rest, rest_length);
    }
    return 0;
}

int conn_send(struct conn *c, const uint8_t *body, size_t n, struct error *e)
{
    return send_simple(c, NULL, 0, body, n) ? 0 : send_any(c, NULL, 0, body, n, false, e);
}

int conn_send_lent(struct conn *c, const uint8_t *begin, size_t begin_length, const uint8_t *rest,
                   size_t rest_length, struct error *e)
{
    bool sent = begin_length == STAMP_BYTES /* a length known here is copied in line */
                    ? send_simple(c, begin, STAMP_BYTES, rest, rest_length)
                    : send_simple(c, begin, begin_length, rest, rest_length);
    return sent ? 0 : send_any(c, begin, begin_length, rest, rest_length, true, e);
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
