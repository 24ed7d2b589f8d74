/* clock: monotonic and wall time in microseconds.
 * Level 0. Threads: any thread. */
#ifndef SYNFIN_CLOCK_H
#define SYNFIN_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC, microseconds: for every length of time. */
uint64_t clock_us(void);
/* The same in nanoseconds. */
uint64_t clock_ns(void);
/* CLOCK_REALTIME, microseconds since 1970: for when a thing happened, as told to people and
 * records. */
uint64_t clock_wall_us(void);

#endif
