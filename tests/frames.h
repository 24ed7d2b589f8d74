/* frames: random frames and every way of cutting a stream, for tests of codecs. */
#ifndef SYNFIN_TESTS_FRAMES_H
#define SYNFIN_TESTS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

/* Codecs as a person writes them: every row of the table, and shapes made with parameters. */
extern const char *const frames_codecs[];
extern const int frames_codec_count;

/* A generator of its own, so that a seed repeats a run anywhere. */
struct frames_random {
    uint64_t state;
};
/* From SYNFIN_SEED, or the clock; printed once, to repeat a failure with. */
uint64_t frames_seed(void);
uint64_t frames_next(struct frames_random *random);
/* 0 to most, both included. */
uint64_t frames_below(struct frames_random *random, uint64_t most);

/* What a stream was decoded into. */
#define FRAMES_MOST 4096
struct frames_run {
    size_t count;
    struct {
        uint64_t at, body, body_length, total; /* `at`: in the stream */
    } frames[FRAMES_MOST];
    int result;               /* 0: the stream ended; or the error */
    size_t shown;             /* bytes shown when it ended */
    struct frame_fault fault; /* with an error */
    struct frame_state state; /* with none */
    bool truthful;            /* no frame ended sooner than "at least so many more" had said */
};

/* How much of the stream is shown next, 1 to left. */
typedef size_t frames_cut(void *arg, size_t at, size_t left);
frames_cut frames_whole;  /* all of it */
frames_cut frames_single; /* one byte */
frames_cut frames_random; /* arg: struct frames_random */
frames_cut frames_masked; /* arg: uint32_t, bit i set: a cut after byte i */

void frames_decode(const struct frame_codec *codec, enum frame_from from, const uint8_t *bytes,
                   size_t n, frames_cut *cut, void *arg, struct frames_run *run);
/* The same frames and end, or the same error? For raw: the same bytes. */
bool frames_same(const struct frame_codec *codec, const struct frames_run *a,
                 const struct frames_run *b);

/* Fills `body` with something that this codec (`first`: the one of the first message) may carry,
 * at most `most` bytes beyond its header; one with a delimiter may turn out to be refused. Returns
 * its length. */
size_t frames_body(const struct frame_codec *codec, bool first, struct frames_random *random,
                   size_t most, uint8_t *body);
/* A body of exactly this length, for limits. False: no varint gives a message of that length. */
bool frames_body_exact(const struct frame_codec *codec, size_t n, uint8_t *body);

#endif
