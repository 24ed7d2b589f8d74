#include "config.h"

#include "tally.h"

#include <stdio.h>

#include "units.h"

/* There is one writer, so a load and a store will do: no locked instruction. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

void tally_add(struct tally *tally, const struct life *life)
{
    uint64_t queue_us = life_phase_us(life, PHASE_QUEUE);

    add(&tally->fates[life->fate], 1);
    add(&tally->counts[COUNT_ACCEPTED], life->accepted);
    add(&tally->counts[COUNT_UNANSWERED], life->unanswered);
    add(&tally->counts[COUNT_DISCARDED], life->discarded);
    add(&tally->counts[COUNT_WE_FIRST], life->closed_first == FIRST_LOCAL);
    add(&tally->counts[COUNT_TIME_WAIT_OURS],
        life->time_wait == TIME_WAIT_OURS || life->time_wait == TIME_WAIT_BOTH);
    if (queue_us > atomic_load_explicit(&tally->longest_queue_us, memory_order_relaxed))
        atomic_store_explicit(&tally->longest_queue_us, queue_us, memory_order_relaxed);
}

void tally_sum(struct tally_sum *sum, const struct tally *tally)
{
    uint64_t queue_us = atomic_load_explicit(&tally->longest_queue_us, memory_order_relaxed);

    for (unsigned i = 0; i < FATE_COUNT; i++)
        sum->fates[i] += atomic_load_explicit(&tally->fates[i], memory_order_relaxed);
    for (unsigned i = 0; i < COUNT_COUNT; i++)
        sum->counts[i] += atomic_load_explicit(&tally->counts[i], memory_order_relaxed);
    if (queue_us > sum->longest_queue_us)
        sum->longest_queue_us = queue_us;
}

uint64_t tally_lives(const uint64_t fates[FATE_COUNT])
{
    uint64_t lives = 0;

    for (unsigned i = 0; i < FATE_COUNT; i++)
        lives += fates[i];
    return lives;
}

/* Clean first, the rest in the table's order. */
const char *tally_fates_text(char *buf, size_t size, const uint64_t fates[FATE_COUNT])
{
    size_t used = 0;
    char n[UNITS_TEXT];

    if (fates[FATE_CLEAN] == tally_lives(fates)) {
        snprintf(buf, size, "all clean");
        return buf;
    }
    buf[0] = '\0';
    for (unsigned i = 0; i < FATE_COUNT && used < size; i++) {
        unsigned fate = i == 0 ? FATE_CLEAN : i - 1;
        if (fates[fate] > 0)
            used +=
                (size_t)snprintf(buf + used, size - used, "%s%s %s", used > 0 ? ", " : "",
                                 units_text_count(n, fates[fate]), fate_row((enum fate)fate)->name);
    }
    return buf;
}
