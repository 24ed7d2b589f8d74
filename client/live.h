/* live: the line on stderr that says how a load goes while it runs, drawn only to a terminal.
 * Threads: the main loop's.
 *
 *   [█████▌      ]  4.6 s of 10 s  1,000 open  50.0 k/s of 50.0 k/s  p50 221 µs  p99 290 µs  0
 * errors [███████▌    ]  6.3 s of 10 s  1,000 open  45.0 k/s of 50.0 k/s  5,000 late, oldest 100 ms
 * 0 errors
 *
 * Percentiles are of replies that came, so a peer that has stopped would keep the last good ones:
 * where frames are late, the line says so in their place. */
#ifndef SYNFIN_LIVE_H
#define SYNFIN_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "result.h"

struct live;

/* NULL: stderr is no terminal that can redraw a line, or no memory. All the functions below take
 * NULL for a live line that is not there. `shape` is borrowed. */
struct live *live_new(const struct result_shape *shape);
/* Clears the line. */
void live_free(struct live *live);

/* Call these as often as is handy, say every 100 ms: it is drawn at most ten times a second.
 *
 * Before the clock starts: how many connections are up and how many have failed, `elapsed_us` after
 * the first began. */
void live_connecting(struct live *live, uint64_t up, uint64_t failed, uint64_t elapsed_us);
/* While it measures: what came since the last call, however long ago (not only each --interval).
 * The times are since the clock started, `sent`, `replies` and `errors` are those from from_us to
 * to_us, the percentiles may be of a longer time; the rest is as in struct result_interval. */
void live_interval(struct live *live, const struct result_interval *interval);
/* After it: frames that are owed a reply, and connections that are not closed yet. */
void live_draining(struct live *live, uint64_t owed, uint64_t open);
/* Takes the line away, before something else is written to the terminal; it comes back with the
 * next call that draws. */
void live_clear(struct live *live);

/* What the line says; its text alone, for tests. */
enum live_stage { LIVE_CONNECTING, LIVE_MEASURING, LIVE_DRAINING };
struct live_view {
    enum live_stage stage;
    bool timed;                    /* replies are awaited, so there are percentiles */
    uint64_t at_us, of_us;         /* time: so far, and asked for (0: no end by time) */
    uint64_t frames, of_frames;    /* frames: sent so far, and asked for (0: no end by frames) */
    uint64_t open, of_open;        /* connections: up, and asked for */
    double rate, of_rate;          /* frames/s now, and asked for (0: a closed loop) */
    uint64_t p50_ns, p99_ns;       /* 0: not told */
    uint64_t late, oldest_late_us; /* 0: none worth telling */
    uint64_t owed;                 /* draining: replies waited for */
    uint64_t errors;               /* so far */
};
/* The line, without cursor movement, at most `columns` - 1 wide: on a narrow terminal parts are
 * left out, the bar first, lateness last. `buf`: LIVE_TEXT bytes. Result: its width in columns. */
#define LIVE_TEXT 512
size_t live_text(char buf[LIVE_TEXT], const struct live_view *view, unsigned columns,
                 const struct result_style *style);

#endif
