#include "config.h"

#include "frame_buffer.h"

#include <string.h>

/* Chains looked at in one go. */
#define PEEK_MOST 16
/* Room asked for behind an open frame, so that a long one arrives in few chains. */
#define AHEAD_MOST (60 * 1024)

static int view_fill(struct evbuffer *in, const struct frame_found *found, struct frame_view *view)
{
    const uint8_t *wire = evbuffer_pullup(in, (ev_ssize_t)found->total);

    if (wire == NULL)
        return ERR_MEMORY;
    view->wire = wire;
    view->wire_length = (size_t)found->total;
    view->body = wire + found->body;
    view->body_length = (size_t)found->body_length;
    return 1;
}

/* Shows the decoder what it has not seen, chain by chain. */
static int show_rest(const struct frame_codec *codec, struct frame_state *state,
                     struct evbuffer *in, struct frame_found *found, struct frame_fault *fault)
{
    struct evbuffer_iovec chains[PEEK_MOST];
    struct evbuffer_ptr at;
    size_t length = evbuffer_get_length(in);

    while (state->seen < length) {
        if (evbuffer_ptr_set(in, &at, (size_t)state->seen, EVBUFFER_PTR_SET) < 0)
            return ERR_MEMORY;
        int count = evbuffer_peek(in, -1, &at, chains, PEEK_MOST);
        for (int i = 0; i < count && i < PEEK_MOST; i++) {
            int rc =
                frame_decode(codec, state, chains[i].iov_base, chains[i].iov_len, found, fault);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* The frame's length is known and it is not all there: only its count matters until it is. */
static bool waits(struct frame_state *state, size_t length)
{
    if (state->total == 0 || state->total <= length || state->seen < FRAME_HEAD_MAX)
        return false;
    state->seen = length;
    return true;
}

int frame_buffer_next(const struct frame_codec *codec, struct frame_state *state,
                      struct evbuffer *in, struct frame_view *view, struct frame_fault *fault)
{
    struct frame_found found;
    size_t length = evbuffer_get_length(in), n;
    int rc;

    if (length <= state->seen || waits(state, length))
        return 0;
    if (state->seen == 0) {
        /* Most frames lie in the first chain, whole. */
        n = evbuffer_get_contiguous_space(in);
        rc = frame_decode(codec, state, evbuffer_pullup(in, (ev_ssize_t)n), n, &found, fault);
        if (rc != 0)
            return rc < 0 ? rc : view_fill(in, &found, view);
    }
    rc = waits(state, length) ? 0 : show_rest(codec, state, in, &found, fault);
    if (rc < 0)
        return rc;
    if (rc == 1)
        return view_fill(in, &found, view);
    if (length >= 4096)
        (void)evbuffer_expand(in, length < AHEAD_MOST ? length : AHEAD_MOST);
    return 0;
}

int frame_buffer_put(const struct frame_codec *codec, struct frame_state *state,
                     struct evbuffer *out, const uint8_t *body, size_t n, struct frame_wrap *wrap,
                     struct frame_fault *fault)
{
    struct evbuffer_iovec room;
    bool first = state->first;
    int rc = frame_encode(codec, state, body, n, wrap, fault);

    if (rc < 0)
        return rc;
    size_t total = wrap->head_length + n + wrap->tail_length;
    if (total == 0)
        return 0;
    if (total < n || evbuffer_reserve_space(out, (ev_ssize_t)total, &room, 1) != 1) {
        state->first = first;
        return ERR_MEMORY;
    }
    uint8_t *p = room.iov_base;
    memcpy(p, wrap->head, wrap->head_length);
    if (n > 0)
        memcpy(p + wrap->head_length, body, n);
    memcpy(p + wrap->head_length + n, wrap->tail, wrap->tail_length);
    room.iov_len = total;
    if (evbuffer_commit_space(out, &room, 1) < 0) {
        state->first = first;
        return ERR_MEMORY;
    }
    return 0;
}
