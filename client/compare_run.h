/* compare_run: the mode --compare: two results next to each other, and what of it is noise.
 * Threads: the main thread. */
#ifndef SYNFIN_COMPARE_RUN_H
#define SYNFIN_COMPARE_RUN_H

#include "options.h"

/* Reads the two files that are the arguments and prints the comparison. Result: the exit status: 0;
 * 2 for files that cannot be read or are of different shapes; 23 if it could not be printed; 27
 * without memory. */
int compare_run(const struct options *options);

#endif
