/* result_stages: the table of a result's distributions, one row for each stage.
 * Threads: no state. */
#ifndef SYNFIN_RESULT_STAGES_H
#define SYNFIN_RESULT_STAGES_H

#include "page.h"
#include "result.h"

/* The statistics of a stage, in the table's order. "p99", and whether the histogram tells it. */
enum result_stat { STAT_MIN, STAT_P50, STAT_P90, STAT_P99, STAT_P999, STAT_P9999, STAT_MAX };
#define STAT_COUNT 7
const char *result_stat_name(enum result_stat stat);
bool result_stat_ns(const struct histogram *h, enum result_stat stat, uint64_t *ns);

/* A time of a stage as text. */
const char *result_time_text(char *buf, const struct histogram *h, uint64_t ns);

/* The rows of the stages that happened, with a heading and a blank line after them; nothing if none
 * did. */
void result_stages(struct page *page, const struct result *result,
                   const struct result_style *style);

#endif
