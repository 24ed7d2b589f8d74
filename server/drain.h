/* drain: the server's end: no new connections, what was accepted is answered, then what is left is
 * cut: at --drain-timeout, or at the second signal. Level: the server's. Threads: the main loop's.
 */
#ifndef SYNFIN_DRAIN_H
#define SYNFIN_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "acceptor.h"
#include "crew.h"
#include "loop.h"

struct drain {
    struct acceptor *acceptor;
    struct crew *crew;
    struct loop *loop;
    uint64_t limit_us; /* 0: none */
    bool begun, cut;
    enum fate cut_fate;  /* where `cut` */
    bool told;           /* all workers have heard of the last step */
    uint64_t began_us;   /* at */
    uint64_t began_with; /* connections */
    uint64_t timeouts;   /* lives ended by drain-timeout before: on their own, not by this drain */
    struct deadline limit;
};

/* SIGINT or SIGTERM: begins; the second one cuts. */
void drain_signal(struct drain *drain, int signal_number);
/* Once a second: says how far it is. */
void drain_turn(struct drain *drain);

#endif
