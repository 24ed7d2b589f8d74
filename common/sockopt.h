/* sockopt: socket options by name (--set), from a table that knows when each applies.
 * Level 1. Threads: no state. */
#ifndef SYNFIN_SOCKOPT_H
#define SYNFIN_SOCKOPT_H

#include <stdio.h>

#include "err.h"

/* When in a socket's life an option is applied. An option that belongs to the listener is set
 * there; accepted sockets inherit it. */
enum sockopt_when { SOCKOPT_BEFORE_CONNECT, SOCKOPT_BEFORE_LISTEN, SOCKOPT_CONNECTED };

/* Checks a --set text ("nodelay", "rcvbuf=1M", "congestion=cubic") without a socket. Result 0, or
 * ERR_SYNTAX / ERR_RANGE with `e`. */
int sockopt_check(const char *text, struct error *e);
/* Applies those of `texts` that apply at `when` to `fd` (options for TCP are passed over on a unix
 * socket). Result 0, or ERR_SYSTEM with `e` naming the option, the value and what the kernel said,
 * or what value it made of it where it refuses silently. */
int sockopt_apply(int fd, enum sockopt_when when, const char *const *texts, unsigned count,
                  struct error *e);
/* The values read back after applying, "nodelay; sndbuf 85.0 KiB", for -v. Returns buf. */
const char *sockopt_text(int fd, const char *const *texts, unsigned count, char *buf, size_t size);

#endif
