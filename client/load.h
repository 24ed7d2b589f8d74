/* load: many connections at once, frames sent on all of them, replies compared and timed.
 * Threads: the main thread; it starts one for each loop of connections. */
#ifndef SYNFIN_LOAD_H
#define SYNFIN_LOAD_H

#include "client_config.h"

/* One run from beginning to end: connects, measures, drains, prints the result. Result: the exit
 * status. */
int load_run(const struct client_config *config);

#endif
