/* tally: counts over finished lives. Level: the server's. Threads: one adds to a tally, any other
 * may sum it meanwhile. */
#ifndef SYNFIN_TALLY_H
#define SYNFIN_TALLY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "life.h"

enum count {
    COUNT_ACCEPTED,
    COUNT_UNANSWERED,
    COUNT_DISCARDED,
    COUNT_WE_FIRST,
    COUNT_TIME_WAIT_OURS,
    COUNT_COUNT
};

struct tally {
    _Atomic uint64_t fates[FATE_COUNT];
    _Atomic uint64_t counts[COUNT_COUNT];
    _Atomic uint64_t longest_queue_us;
};

struct tally_sum {
    uint64_t fates[FATE_COUNT];
    uint64_t counts[COUNT_COUNT];
    uint64_t longest_queue_us;
};

void tally_add(struct tally *tally, const struct life *life);
/* Adds the tally to the sum. */
void tally_sum(struct tally_sum *sum, const struct tally *tally);

/* How many lives there are in `fates`, and in words: "all clean", "12,500 clean, 4 reset". */
uint64_t tally_lives(const uint64_t fates[FATE_COUNT]);
const char *tally_fates_text(char *buf, size_t size, const uint64_t fates[FATE_COUNT]);

#endif
