/* load_schedule: when each frame of an open loop is due. Frame `number` of connection `connection`
 * of C is due at start + (number * C + connection) / rate: staggered over the connections, never
 * moved by what replies do, and never stored. Pure. Threads: constant once made; a cursor belongs
 * to its thread. */
#ifndef SYNFIN_LOAD_SCHEDULE_H
#define SYNFIN_LOAD_SCHEDULE_H

#include <stdint.h>

#include "histogram.h"

struct schedule {
    uint64_t start_ns;
    uint64_t rate;        /* frames/s in all, 1 to 1e9 */
    uint64_t connections; /* C */
    uint64_t limit;       /* frames in all; UINT64_MAX: no limit */
};

/* When the frame at this place of the schedule (number * C + connection) is due. */
uint64_t schedule_place_ns(const struct schedule *s, uint64_t place);
uint64_t schedule_frame_ns(const struct schedule *s, uint64_t connection, uint64_t number);
/* How many places of the schedule are due at `now_ns`, at most its limit. */
uint64_t schedule_due(const struct schedule *s, uint64_t now_ns);
/* How many of the first `places` places are this connection's. */
uint64_t schedule_share(uint64_t places, uint64_t connections, uint64_t connection);
/* How many places are due before `length_us` after the start: the frames of a run so long. */
uint64_t schedule_count(uint64_t rate, uint64_t length_us);

/* A thread's way along the schedule: it has connections first, first + stride, ... */
struct schedule_cursor {
    uint64_t number; /* of the frame it stands before */
    uint64_t index;  /* of that frame's connection among the thread's, 0 to count - 1 */
    uint64_t first, stride, count;
};
/* The place it stands before. */
uint64_t schedule_cursor_place(const struct schedule_cursor *c, const struct schedule *s);
void schedule_cursor_step(struct schedule_cursor *c);
/* How many frames of the thread's connection `index` it has passed. */
uint64_t schedule_cursor_passed(const struct schedule_cursor *c, uint64_t index);
/* How many frames the thread has within the first `places` places; how many it has passed; and to
 * stand where it has passed so many. */
uint64_t schedule_cursor_share(const struct schedule_cursor *c, const struct schedule *s,
                               uint64_t places);
uint64_t schedule_cursor_position(const struct schedule_cursor *c);
void schedule_cursor_go(struct schedule_cursor *c, uint64_t position);
/* Records how long the thread's frames at the positions `from` to `to` - 1 had been due at `at_ns`
 * (0: not yet). Their waits fall evenly, so about `pieces` values stand for all, however many they
 * are: each piece counts with its middle, the first and the last frame with their own. */
void schedule_record_waits(const struct schedule *s, const struct schedule_cursor *c, uint64_t from,
                           uint64_t to, uint64_t at_ns, uint64_t pieces, struct histogram *h);

#endif
