/* merge_run: the mode --merge: results of several clients side by side, added up.
 * Threads: the main thread. */
#ifndef SYNFIN_MERGE_RUN_H
#define SYNFIN_MERGE_RUN_H

#include "options.h"

/* Reads the files that are the arguments and prints their sum, as a table or with --json as JSON.
 * Result: the exit status: 0; 2 for files that cannot be read or do not fit together; 99 if a
 * --fail-if holds on the sum; 23 if it could not be printed; 27 without memory. */
int merge_run(const struct options *options);

#endif
