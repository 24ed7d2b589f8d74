/* nearest: the name that a misspelt one probably meant.
 * Level 0. Threads: no shared state; any thread. */
#ifndef SYNFIN_NEAREST_H
#define SYNFIN_NEAREST_H

/* A search: start with {0}, hand every candidate to nearest_try(), read `name`: the nearest one so
 * far (borrowed), or NULL while none is near enough to be worth naming. */
struct nearest {
    const char *name;
    unsigned distance;
};

void nearest_try(struct nearest *nearest, const char *text, const char *candidate);

#endif
