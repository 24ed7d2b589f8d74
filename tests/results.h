/* results: for tests: results of loads as they might have been measured, and what is told of them.
 * Threads: one. */
#ifndef SYNFIN_TESTS_RESULTS_H
#define SYNFIN_TESTS_RESULTS_H

#include <stdint.h>

#include "result.h"

/* Each makes a result, to be given to result_fini. */
void results_closed(struct result *result);   /* 64 connections, 3 s, all equal */
void results_open(struct result *result);     /* 1,000 connections, 50,000/s, one stall */
void results_none(struct result *result);     /* one way */
void results_stream(struct result *result);   /* receiving only */
void results_failures(struct result *result); /* resets, a difference, lost frames, few samples */
void results_refused(struct result *result);  /* no connection came up */
void results_churn(struct result *result);    /* one frame on each connection */
void results_connects(struct result *result); /* connections without a frame */

/* The makers by number, NULL after the last; and their names. */
struct results_maker {
    const char *name;
    void (*make)(struct result *result);
};
const struct results_maker *results_maker(int i);
#define RESULTS_MAKERS 8

/* `n` values from `low_ns` to below `low_ns` + `span_ns`, evenly, into this stage. */
void results_fill(struct result *result, enum result_stage stage, uint64_t n, uint64_t low_ns,
                  uint64_t span_ns);
/* `n` intervals of 1 s with these percentiles, that wander up by `noise_percent` and back. */
void results_intervals(struct result *result, size_t n, uint64_t p50_ns, uint64_t p99_ns,
                       unsigned noise_percent);

/* The table, allocated. */
char *results_text(const struct result *result, bool utf8, bool colour);
/* The JSON, allocated. */
char *results_json(const struct result *result);
/* Writes the text to NAME in the test's folder (pair.h) and returns its path. */
const char *results_file(const char *name, const char *text);

#endif
