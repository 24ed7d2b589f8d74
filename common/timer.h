/* timer: a precise timer that costs nothing until it passes: libevent's own, where they are to be
 * precise, set the system's timer anew in every turn of the loop. Level 1. Threads: the loop's. */
#ifndef SYNFIN_TIMER_H
#define SYNFIN_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

/* Embedded in its owner, who zeroes it first. */
struct timer {
    struct watch watch;
    void (*passed)(void *arg);
    void *arg;
    uint64_t at_ns; /* 0: not set */
    int fd;         /* owned, if `made` */
    bool made;
};

/* `passed` runs with `arg` each time the timer passes, never too early. 0, ERR_MEMORY, or
 * ERR_SYSTEM (errno: no descriptor is left). */
int timer_init(struct timer *timer, struct loop *loop, void (*passed)(void *arg), void *arg);
void timer_fini(struct timer *timer);

/* Passes once at this time of the monotonic clock, or at once if that has gone by. */
void timer_set(struct timer *timer, uint64_t at_ns);
void timer_unset(struct timer *timer);

#endif
