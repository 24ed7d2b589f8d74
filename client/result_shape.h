/* result_shape: whether two loads asked for the same, and what they asked for in a few words.
 * Threads: no state. */
#ifndef SYNFIN_RESULT_SHAPE_H
#define SYNFIN_RESULT_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "result.h"

/* Whether they may be compared or, with `side_by_side`, added up: then the numbers of connections
 * and the rates may differ. 0, or ERR_SYNTAX with `e`, which names both and what they differ in. */
int result_shape_check(const struct result_shape *a, const char *a_name,
                       const struct result_shape *b, const char *b_name, bool side_by_side,
                       struct error *e);

/* "1,000 x 1 x 64 B, open loop 50,000/s, u32be": connections, frames in flight, size. Returns
 * buf. */
#define RESULT_SHAPE_TEXT 200
const char *result_shape_text(char buf[RESULT_SHAPE_TEXT], const struct result_shape *shape);

#endif
