/* listener_unix: the part of the listener for a unix socket, whose name in the file system outlives
 * its server. Level: the server's. Threads: the main one. */
#ifndef SYNFIN_LISTENER_UNIX_H
#define SYNFIN_LISTENER_UNIX_H

#include "listener.h"

/* Replaces a stale socket (nobody listens), refuses a live one and any other file. 0, or
 * ERR_SYSTEM with `e`. */
int listener_unix_open(struct listener *listener, const struct server_config *config,
                       struct error *e);
/* Removes the socket from the file system, if it is still the one we made. */
void listener_unix_remove(const struct listener *listener);

#endif
