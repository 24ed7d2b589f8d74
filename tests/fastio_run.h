/* fastio_run: for tests: connections and their peers in one loop, doing at random all that owners
 * and peers may do, each byte compared with a model. Threads: one. */
#ifndef SYNFIN_TESTS_FASTIO_RUN_H
#define SYNFIN_TESTS_FASTIO_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct fastio_run {
    uint64_t seed;
    bool fast;         /* the kind of transport */
    bool falls_short;  /* calls move fewer bytes than asked, or none */
    bool lacks_memory; /* some allocations fail: what arrives may then end anywhere, cleanly cut */
    bool spins;        /* the loop's busy poll */
};

/* Fails the test where a byte is wrong, a callback too many or a connection without an end. Returns
 * how many allocations failed. */
unsigned long fastio_run(const struct fastio_run *run);

#endif
