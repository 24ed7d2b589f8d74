/* worker: a thread with a loop (or the main loop), and the connections in it: their beginning and
 * their end. Level: the server's; below crew. Threads: the worker's own. */
#ifndef SYNFIN_WORKER_H
#define SYNFIN_WORKER_H

#include <pthread.h>
#include <stddef.h>
#include <sys/queue.h>

#include "conn.h"
#include "crew.h"
#include "tally.h"

/* What a connection carries (conn_config.owner_bytes): its place here, its handler's state. */
struct served {
    TAILQ_ENTRY(served) link;
    struct worker *worker;
    uint64_t state[]; /* aligned as they are: for all that handlers keep */
};

struct worker {
    struct crew *crew;
    struct loop *loop;
    pthread_t thread;
    bool runs; /* `thread` */
    TAILQ_HEAD(, served) served;
    struct tally tally;
    struct left left[CREW_LEFT_MAX];
    unsigned left_count;
};

/* Makes a connection of an accepted socket (taken). */
void worker_take(struct worker *worker, const struct arrival *arrival);

/* Closes an accepted socket by RST, with a record of its own. From the thread that adds to
 * `tally`. */
void worker_refuse(struct crew *crew, struct tally *tally, const struct arrival *arrival,
                   enum fate fate, const char *why);

/* The handler's owner functions with the worker's around them. */
struct conn_owner worker_owner(const struct handler *handler);

/* One connection less: tells the main loop if it waits for that. */
void worker_count_out(struct crew *crew);

#endif
