/* journal: records to a sink. Any thread puts lives into a queue bounded in bytes; one writer
 * thread puts them into the sink. Level 3. Threads: journal_put from any; open and close from the
 * main thread. */
#ifndef SYNFIN_JOURNAL_H
#define SYNFIN_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "life.h"

struct journal;

/* What a sink does; one file each. All run in the writer's thread but `open`. */
struct journal_sink {
    const char *scheme; /* "jsonl" */
    /* `rest` is what follows "scheme:". Result 0 with *state, or a negative enum err with `e`. */
    int (*open)(const char *rest, void **state, struct error *e);
    /* A batch of records as JSON lines, all or nothing. 0, or ERR_SYSTEM with `e`: the batch is
     * counted as dropped. */
    int (*put)(void *state, const char *const *lines, unsigned count, struct error *e);
    int (*close)(void *state, struct error *e);
};
extern const struct journal_sink journal_jsonl;

/* Whether `url` is one, without opening it. Result 0, or ERR_SYNTAX with `e`. */
int journal_check(const char *url, struct error *e);
/* Opens the sink of `url` and starts the writer. NULL with `e` (unknown scheme, or what the sink
 * says). */
struct journal *journal_open(const char *url, struct error *e);
/* Queues the record (copied). Never blocks on the sink; a full queue drops it and counts. */
void journal_put(struct journal *journal, const struct life *life);
/* Whether records were dropped so far: `e` says why the first was. From any thread. */
bool journal_loses(struct journal *journal, struct error *e);
/* Writes what is queued, closes the sink, stops the writer. Result 0, or ERR_SYSTEM if records were
 * dropped: `e` says how many and why. A sink that takes nothing is waited for, and the log says so.
 */
int journal_close(struct journal *journal, struct error *e);

#endif
