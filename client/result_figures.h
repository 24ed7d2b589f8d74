/* result_figures: figures that follow from a result's counts, the same in the table, the JSON, the
 * conditions and the comparison. Each is 0 where there was no time to divide by.
 * Threads: no state. */
#ifndef SYNFIN_RESULT_FIGURES_H
#define SYNFIN_RESULT_FIGURES_H

#include <stdbool.h>

#include "result.h"

/* Whether connections were closed and made anew while it ran. */
bool result_churns(const struct result *result);
/* Whether frames are answered, so that there are round trips. */
bool result_awaits_replies(const struct result_shape *shape);

/* Frames in a second of the measured time: answered in it; EXPECT_STREAM: received; open loop,
 * EXPECT_NONE: sent. */
double result_frames_per_s(const struct result *result);
/* Connections opened in a second: of the time they took to come up or, where they are made anew, of
 * the whole run. */
double result_connections_per_s(const struct result *result);
double result_bytes_out_per_s(const struct result *result);
double result_bytes_in_per_s(const struct result *result);
/* Processor time used, of all that the client may run on, in percent. */
double result_cpu_percent(const struct result *result);

/* "ok", "slow", or the fate's name. */
const char *result_verdict_word(const struct result *result);

#endif
