#include "config.h"

#include "raw_latency.h"

#include <errno.h>
#include <stdlib.h>

#include "raw.h"

#define STEP_NS 100
#define STEPS 10000000

static uint32_t *steps;
static uint64_t count;

void latency_init(void)
{
    steps = calloc(STEPS + 1, sizeof *steps);
    if (steps == NULL)
        raw_die(ENOMEM, "the table of times cannot be made");
}

void latency_add(uint64_t ns)
{
    uint64_t step = ns / STEP_NS;

    steps[step < STEPS ? step : STEPS]++;
    count++;
}

uint64_t latency_at(double share)
{
    uint64_t wanted = (uint64_t)(share * (double)count + 0.5), seen = 0;

    if (count == 0)
        return 0;
    if (wanted == 0)
        wanted = 1;
    for (uint64_t i = 0;; i++) {
        seen += steps[i];
        if (seen >= wanted)
            return i * STEP_NS;
    }
}
