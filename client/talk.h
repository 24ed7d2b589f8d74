/* talk: the client as a filter or by hand: frames from standard input to the peer, replies to
 * standard output.
 * Threads: the main thread. */
#ifndef SYNFIN_TALK_H
#define SYNFIN_TALK_H

#include "client_config.h"

/* One connection from beginning to end; says on stderr what went wrong, writes the journal. Result:
 * the exit status. */
int talk_run(const struct client_config *config);

#endif
