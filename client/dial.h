/* dial: from an address as written to an open connection: resolve, create, connect, the addresses
 * tried in turn, within one deadline.
 * Threads: the loop's. */
#ifndef SYNFIN_DIAL_H
#define SYNFIN_DIAL_H

#include <netdb.h>

#include "client_config.h"
#include "conn.h"
#include "loop.h"

struct dial;

/* Begins, for a fresh conn. It ends with conn_open or with conn_fail, which the conn's owner hears
 * of. `config` is borrowed, and so are `addresses`, tried in their order; NULL: the endpoint is
 * resolved first. NULL: no memory. */
struct dial *dial_new(struct loop *loop, struct conn *conn, const struct client_config *config,
                      struct addrinfo *addresses);
/* Stops it wherever it stands, without a word to the conn, and frees it; not from inside its own
 * callbacks (the conn's `closed` comes later than those). NULL is allowed. */
void dial_free(struct dial *dial);

#endif
