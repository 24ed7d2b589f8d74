/* printer: what handlers print to standard output, in order, by one thread of its own, so that a
 * slow reader there stalls no loop. Level: the server's. Threads: start and stop from the main
 * thread, put from any loop. */
#ifndef SYNFIN_PRINTER_H
#define SYNFIN_PRINTER_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "loop.h"

/* Starts the thread. 0, or ERR_SYSTEM with `e` (standard output is closed, no thread). */
int printer_start(struct error *e);

/* Prints `n` bytes (copied) as a line: as they are, or, if standard output is a
 * terminal, escaped (escape.h). `done` runs once, later, in `loop`, with 0 or the errno of the
 * write; or, after printer_stop, in its caller's thread with ECANCELED. 0 or ERR_MEMORY. */
int printer_put(struct loop *loop, const uint8_t *bytes, size_t n,
                void (*done)(void *arg, int error), void *arg);

/* Ends the thread, also one that is stuck in a write. No loop may run any more. */
void printer_stop(void);

#endif
