/* What recording one value costs: nanoseconds, for one value again and again, for round trips that
 * lie close together, and for values of every size, which miss the cache. Usage: histogram */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "histogram.h"

#define VALUES 65536
#define RUN_US 300000

static uint64_t values[VALUES];

/* xorshift: the same values on every machine. */
static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t one_value(void)
{
    return 221000;
}

static uint64_t close_together(void)
{
    return 200000 + next_random() % 50000;
}

static uint64_t of_every_size(void)
{
    return next_random() >> (22 + next_random() % 32);
}

static void measure(struct histogram *h, const char *name, uint64_t (*value)(void))
{
    for (unsigned i = 0; i < VALUES; i++)
        values[i] = value();
    histogram_clear(h);
    uint64_t began = clock_us(), took;
    do {
        for (unsigned i = 0; i < VALUES; i++)
            histogram_record(h, values[i]);
        took = clock_us() - began;
    } while (took < RUN_US);
    printf("%-16s %6.2f ns a record\n", name, (double)took * 1000 / (double)h->count);
}

int main(void)
{
    struct histogram *h = histogram_new();
    if (!h) {
        fprintf(stderr, "histogram: no memory\n");
        return EXIT_FAILURE;
    }
    measure(h, "one value", one_value);
    measure(h, "close together", close_together);
    measure(h, "of every size", of_every_size);
    free(h);
    return EXIT_SUCCESS;
}
