/* sockopt: socket options by name (--set), from a table that knows when each applies.
 * Level 1. Threads: no state. */
#ifndef SYNFIN_SOCKOPT_H
#define SYNFIN_SOCKOPT_H

#include <stddef.h>

#include "err.h"
#include "options.h"

/* When in a socket's life an option is applied: before connect(), before the listener's bind(), or
 * on a socket that is connected or was just accepted. What belongs to the listener is set there,
 * and accepted sockets inherit it; what they would not inherit is applied to them. */
enum sockopt_when { SOCKOPT_BEFORE_CONNECT, SOCKOPT_BEFORE_LISTEN, SOCKOPT_CONNECTED };

/* Checks a --set text ("nodelay", "rcvbuf=1M", "congestion=cubic") without a socket: name, value,
 * and that `program` (USE_SERVER, or the client) has a use for it. Result 0, or ERR_SYNTAX /
 * ERR_RANGE with `e`. */
int sockopt_check(const char *text, enum options_use program, struct error *e);
/* The names, one by one: NULL after the last. */
const char *sockopt_name(unsigned i);
/* Applies those of `texts` that apply at `when` to `fd` (options for TCP are passed over on a unix
 * socket). Result 0, or ERR_SYSTEM with `e` naming the option, the value and what the kernel said,
 * or what value it made of it where it refuses silently. */
int sockopt_apply(int fd, enum sockopt_when when, const char *const *texts, unsigned count,
                  struct error *e);
/* The values read back after applying, "nodelay; sndbuf 85.0 KiB", for -v. Returns buf. */
const char *sockopt_text(int fd, const char *const *texts, unsigned count, char *buf, size_t size);

#endif
