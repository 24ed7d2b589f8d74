/* descriptors: those this process has and may have. Level: the server's. Threads: the main one, at
 * the start. */
#ifndef SYNFIN_DESCRIPTORS_H
#define SYNFIN_DESCRIPTORS_H

#include <stdint.h>

/* Fills closed standard descriptors, so that no socket gets their numbers. What stands in for them
 * fails as a closed one would: it cannot be read (0) or written (1, 2). */
void descriptors_hold_standard(void);

/* Raises RLIMIT_NOFILE to its hard limit and returns what holds now. */
uint64_t descriptors_raise(void);

/* How many descriptors are open. */
uint64_t descriptors_open(void);

#endif
