/* output: replies to standard output: a queue, written as fast as it is taken.
 * Threads: the loop's. */
#ifndef SYNFIN_OUTPUT_H
#define SYNFIN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client_config.h"
#include "err.h"
#include "loop.h"

struct output;

struct output_owner {
    void (*full)(void *arg);  /* the queue is over its mark: bring no more */
    void (*room)(void *arg);  /* it fell to half of it, after `full` */
    void (*empty)(void *arg); /* all was written, or given up after a failure */
    /* Once: it cannot be written; what is queued is dropped, what is put later as well. */
    void (*failed)(void *arg, const struct error *e);
};

/* `format` and `owner` are borrowed. NULL: no memory. */
struct output *output_new(struct loop *loop, const struct stdio_format *format,
                          const struct output_owner *owner, void *arg);
void output_free(struct output *output);

/* Queues a body in its format, for the end of this turn of the loop. owner->full and owner->failed
 * may run inside. */
void output_put(struct output *output, const uint8_t *body, size_t n);
/* Bytes not yet written. */
size_t output_queued(const struct output *output);
/* Between owner->full and owner->room. */
bool output_is_full(const struct output *output);
/* Bodies so far that hold the delimiter they are written with, so that a reader cannot tell where
 * they end. */
uint64_t output_ambiguous(const struct output *output);
/* Gives up what is queued: the user wants to end now. */
void output_drop(struct output *output);

#endif
