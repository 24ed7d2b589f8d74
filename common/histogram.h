/* histogram: how long things took, in nanoseconds, to three significant digits, from 1 us to 1 h.
 * Level 0: pure. Threads: a histogram belongs to one thread; a snapshot may be merged elsewhere.
 *
 * Buckets are linear within a power of two (2,048 to the first, 1,024 to each further one), so a
 * value is kept with an error below 1/2048 of itself. A value above the range counts in the last
 * bucket, one below 2 us is kept exactly; minimum, maximum and sum are exact. */
#ifndef SYNFIN_HISTOGRAM_H
#define SYNFIN_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

#define HISTOGRAM_BUCKETS 33792 /* from 0 ns to 73 minutes */

struct histogram {
    uint64_t count, sum_ns;
    uint64_t min_ns, max_ns; /* UINT64_MAX and 0 while it is empty */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Empty, allocated (264 KiB, touched only where values fall); free() it. NULL: no memory. */
struct histogram *histogram_new(void);
/* Costs what the span of its values costs, as does histogram_merge. */
void histogram_clear(struct histogram *h);
/* Allocates nothing; under 10 ns. */
void histogram_record(struct histogram *h, uint64_t ns);
/* `n` values alike. */
void histogram_record_many(struct histogram *h, uint64_t ns, uint64_t n);
/* Adds `from` up into `to`. */
void histogram_merge(struct histogram *to, const struct histogram *from);

/* The value below or at which this share of the values lies (0.5: the median): the middle of its
 * bucket, at least min_ns and at most max_ns. false, *ns untouched: empty, or fewer than ten values
 * lie beyond it (p50 is told from the first value on, so is 1.0, the maximum). */
bool histogram_percentile(const struct histogram *h, double share, uint64_t *ns);
double histogram_mean_ns(const struct histogram *h); /* 0 while it is empty */

/* The bucket of a value, and the bounds of a bucket: for the sparse form in files, which names a
 * bucket by its lowest value. histogram_add_bucket takes `n` values as if all were `low_ns`, so the
 * reader then sets the sum, and the minimum and the maximum within their buckets; ERR_RANGE if
 * `low_ns` begins no bucket, or the count would overflow. */
unsigned histogram_bucket(uint64_t ns);
uint64_t histogram_bucket_low_ns(unsigned bucket);
int histogram_add_bucket(struct histogram *h, uint64_t low_ns, uint64_t n);

#endif
