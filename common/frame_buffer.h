/* frame_buffer: codecs over evbuffers: takes whole frames out of an input, puts framed bodies into
 * an output. Level 1. Threads: the buffer's. */
#ifndef SYNFIN_FRAME_BUFFER_H
#define SYNFIN_FRAME_BUFFER_H

#include <event2/buffer.h>

#include "frame.h"

/* A frame in an evbuffer: contiguous, borrowed until the buffer is touched. */
struct frame_view {
    const uint8_t *wire; /* header, body, trailer */
    const uint8_t *body;
    size_t wire_length, body_length;
};

/* Looks for a frame at the front of `in`, whose first state->seen bytes the decoder has been shown.
 * 1: whole, *view is filled (made contiguous, at most one copy), and the caller drains
 * view->wire_length when done. 0: open. Negative: as frame_decode, or ERR_MEMORY. The work is
 * linear in the bytes that arrive. */
int frame_buffer_next(const struct frame_codec *codec, struct frame_state *state,
                      struct evbuffer *in, struct frame_view *view, struct frame_fault *fault);

/* Appends the framed body to `out`; what is appended is seen in *wrap. Result 0, a frame error with
 * *fault, or ERR_MEMORY; `out` is untouched on failure. */
int frame_buffer_put(const struct frame_codec *codec, struct frame_state *state,
                     struct evbuffer *out, const uint8_t *body, size_t n, struct frame_wrap *wrap,
                     struct frame_fault *fault);

#endif
