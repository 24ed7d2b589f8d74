/* load_timer: a timer that costs nothing until it passes. libevent's own set the system's timer
 * anew in each turn of the loop, which a load would pay for with every reply. Threads: the loop's.
 */
#ifndef SYNFIN_LOAD_TIMER_H
#define SYNFIN_LOAD_TIMER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

/* Embedded in its owner, who zeroes it first. */
struct load_timer {
    struct event *event; /* owned; NULL: not made */
    void (*passed)(void *arg);
    void *arg;
    int fd;
    bool set;
};

/* `passed` runs with `arg` each time the timer passes, never too early. 0, ERR_MEMORY, or
 * ERR_SYSTEM (errno: no descriptor is left). */
int load_timer_init(struct load_timer *timer, struct event_base *base, void (*passed)(void *arg),
                    void *arg);
void load_timer_fini(struct load_timer *timer);

/* Passes once at this time of the monotonic clock, or at once if that has gone by. */
void load_timer_set(struct load_timer *timer, uint64_t at_ns);
void load_timer_unset(struct load_timer *timer);

#endif
