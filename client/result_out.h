/* result_out: results on standard output, and the conditions of --fail-if held against them, the
 * same after a load and after --merge. Threads: the main thread. */
#ifndef SYNFIN_RESULT_OUT_H
#define SYNFIN_RESULT_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "options.h"
#include "result.h"

/* How standard output is written: its charset; colour if it is a terminal and NO_COLOR is not set.
 */
struct result_style result_out_style(void);

/* The table, or one JSON object, to stdout, finished. An exit status: 0, or of `output` or
 * `memory`, told on stderr. */
int result_out(const struct result *result, bool json);

/* The conditions of the command line. */
struct result_conditions {
    struct result_condition each[OPTIONS_SET_MAX];
    unsigned count;
};
/* 0 or ERR_SYNTAX with `e`, which names --fail-if. */
int result_conditions_init(struct result_conditions *conditions, const struct options *options,
                           struct error *e);
/* Whether one holds; those that do are told on stderr, with the figure. The exit status is then
 * RESULT_EXIT_CONDITION. */
#define RESULT_EXIT_CONDITION 99
bool result_conditions_hold(const struct result_conditions *conditions,
                            const struct result *result);

#endif
