/* result_judge: the parts of a load's verdict, for result_judge of result.h.
 * Threads: no state. */
#ifndef SYNFIN_RESULT_JUDGE_H
#define SYNFIN_RESULT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "result.h"

/* Fills client_limited and client_limit; `mend`: what to do about it, "" if nothing is to be done.
 */
void result_limits(struct result *result, char *mend, size_t size);

/* Fills the verdict if the peer paused as a whole, with what this client did meanwhile. Result:
 * whether it did. */
bool result_stalled(struct result *result);
/* Whether the longest silence was this machine's: its own loops were late by about as much. */
bool result_own_pause(const struct result *result, uint64_t *late_ns);
#define RESULT_OWN_PAUSE_TRY                                                                       \
    "this machine paused (or SIGSTOP of the client): less load on it, or the peer on another"
/* Fills the verdict if a stage was slow. Result: whether one was. */
bool result_slow(struct result *result);

/* The share of a stage's distribution, nanoseconds; 0 if it is not told. share 1.0: the maximum. */
uint64_t result_share_ns(const struct result *result, enum result_stage stage, double share);

/* The verdict's evidence and what to try, in printf's format, cut to fit. */
void result_evidence(struct result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void result_evidence_add(struct result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void result_try(struct result *result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
