/* transport_internal: what transport.c and fastio.c share; for these two only. Level 2. Threads:
 * the loop's. */
#ifndef SYNFIN_TRANSPORT_INTERNAL_H
#define SYNFIN_TRANSPORT_INTERNAL_H

#include "transport.h"

extern const struct transport_kind transport_plain;
extern const struct transport_kind transport_fast;

/* A lease with a bufferevent on this descriptor (-1: none yet), nothing enabled; NULL: no memory.
 */
struct transport_lease *transport_lease_new(struct loop *loop, int fd);
void transport_lease_free(struct transport_lease *lease);
/* Appends to the bufferevent's output. 0 or ERR_MEMORY. */
int transport_append(struct transport_lease *lease, const struct transport_bytes *bytes);
/* Closes the descriptor, by RST if asked. */
void transport_close_fd(int fd, bool reset);

/* fastio.c. Makes what the loop needs for fast transports, if it is not there: false, no memory. No
 * fast transport is without. */
bool fastio_is_there(struct loop *loop);
/* The lease of a fresh connect. NULL: no memory. */
struct transport_lease *fastio_lease(struct loop *loop);

#endif
