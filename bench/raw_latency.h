/* raw_latency: times in steps of 100 ns up to a second (what is longer counts as a second). A table
 * whose pages come into being when used. Threads: one. */
#ifndef SYNFIN_BENCH_RAW_LATENCY_H
#define SYNFIN_BENCH_RAW_LATENCY_H

#include <stdint.h>

void latency_init(void);
void latency_add(uint64_t ns);
/* The time that this share of all (0.5: the median; 1: the longest) does not exceed; 0 if there is
 * none. */
uint64_t latency_at(double share);

#endif
