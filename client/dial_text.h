/* dial_text: what a failed dial is called, and how it is said: fate, evidence, mend.
 * Threads: no state. */
#ifndef SYNFIN_DIAL_TEXT_H
#define SYNFIN_DIAL_TEXT_H

#include <stdbool.h>

#include "client_config.h"
#include "endpoint.h"
#include "err.h"
#include "life.h"

/* The fate that the attempts add up to: that of the last one that says more than "no route" does.
 * `expired`: an attempt was ended by our deadline, and stands there as ETIMEDOUT. */
enum fate dial_fate(const struct life *life, bool expired);
/* The attempts and what they came to, and what to do. */
void dial_text(const struct life *life, const struct endpoint *endpoint, enum fate fate,
               struct error *e);

/* The same of a name that getaddrinfo refused with this code (and errno, for EAI_SYSTEM). */
enum fate dial_resolve_fate(int code);
void dial_resolve_text(const struct client_config *config, int code, int error, struct error *e);

#endif
