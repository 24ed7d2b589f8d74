/* resolve: getaddrinfo in a thread of its own, which may outlive whoever asked.
 * Threads: the loop's; the thread inside only touches what it shares with resolve.c. */
#ifndef SYNFIN_RESOLVE_H
#define SYNFIN_RESOLVE_H

#include <netdb.h>

#include "endpoint.h"
#include "loop.h"

struct resolve;

/* Resolves a client's endpoint. `done` runs once, later, from the loop: `code` 0 with `list`
 * (freeaddrinfo), or an EAI_ code and, for EAI_SYSTEM, an errno; *resolve is gone then. `endpoint`
 * is copied. 0 with *resolve, ERR_MEMORY, or ERR_SYSTEM (no thread; errno). */
int resolve_start(struct resolve **resolve, struct loop *loop, const struct endpoint *endpoint,
                  enum options_family family,
                  void (*done)(void *arg, int code, int error, struct addrinfo *list), void *arg);
/* Gives it up: `done` does not run, and nothing of the loop's is touched any more. */
void resolve_cancel(struct resolve *resolve);

#endif
