/* crew: the workers: threads with a loop each (or the main loop alone), their connections, limits
 * and counts. Level: the server's. Threads: all calls from the main loop's thread; the connections
 * live in their worker's. */
#ifndef SYNFIN_CREW_H
#define SYNFIN_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "journal.h"
#include "life.h"
#include "loop.h"
#include "server_config.h"
#include "tally.h"

struct worker;

/* An accepted socket on its way to a worker. */
struct arrival {
    int fd;
    uint64_t queue_us; /* in the accept queue */
    uint64_t at_us;    /* when it was accepted */
    /* The listener's, which outlives it; AF_UNSPEC: not known. */
    const union life_address *local;
    /* As accept gave it: of a socket that was reset meanwhile getpeername no longer says it. */
    union life_address peer;
};
#define CREW_ARRIVALS_MAX 64 /* in one crew_hand_over */

/* A connection that a drain waits for. */
struct left {
    uint64_t number;
    enum phase phase;
    uint64_t for_us; /* in that phase */
    size_t unsent_bytes;
};
#define CREW_LEFT_MAX 3

struct crew {
    const struct server_config *config;
    struct journal *journal; /* NULL: none */
    struct loop *main_loop;
    struct conn_owner owner; /* the handler's, and the worker's `closed` */
    struct conn_config conn; /* config's, with room for what a worker keeps */
    struct worker *workers;
    unsigned count, next;
    struct tally refused;    /* those that never came to a worker */
    _Atomic uint64_t open;   /* connections, from accept to closed */
    atomic_bool wants_place; /* run `place`, in the main loop, when one has closed */
    atomic_bool tells_empty; /* run `empty`, in the main loop, when none is open any more */
    atomic_int last_fate;
    void (*place)(void *arg);
    void (*empty)(void *arg);
    void *arg;
    /* The question of crew_ask_left under way. */
    unsigned asked;
    void (*tell_left)(const struct left *left, unsigned count, void *arg);
    void *left_arg;
};

/* Makes the workers. Fill place, empty and arg before the loop runs. 0, or a negative enum err with
 * `e`. */
int crew_init(struct crew *crew, const struct server_config *config, struct journal *journal,
              struct loop *main_loop, struct error *e);
int crew_start(struct crew *crew, struct error *e);
/* Ends the threads; no connection may be open. */
void crew_stop(struct crew *crew);
void crew_fini(struct crew *crew);

uint64_t crew_open(const struct crew *crew);
/* Deals the sockets out (taken), in turn. Counts them as open. */
void crew_hand_over(struct crew *crew, const struct arrival *arrivals, unsigned count);
/* Closes the socket by RST, with a record of its own. */
void crew_refuse(struct crew *crew, const struct arrival *arrival, enum fate fate, const char *why);

/* On every connection, soon: begin the drain; end with this fate. ERR_MEMORY: not all workers were
 * told: try again. */
int crew_drain(struct crew *crew);
int crew_cut(struct crew *crew, enum fate fate);
/* Calls `tell` from the main loop, soon, with some of those still open; not if such a question is
 * under way already. */
void crew_ask_left(struct crew *crew,
                   void (*tell)(const struct left *left, unsigned count, void *arg), void *arg);

/* Over all lives finished so far. */
struct tally_sum crew_sum(const struct crew *crew);

#endif
