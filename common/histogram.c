#include "config.h"

#include "histogram.h"

#include <stdlib.h>
#include <string.h>

#define LINEAR_BITS 10               /* 1,024 buckets to a power of two */
#define LINEAR (1ULL << LINEAR_BITS) /* below twice this a bucket is 1 ns wide */
#define LAST (HISTOGRAM_BUCKETS - 1)
#define BEYOND 10 /* so many values lie beyond a percentile that is told */

_Static_assert(HISTOGRAM_BUCKETS % LINEAR == 0, "the buckets end with a power of two");

unsigned histogram_bucket(uint64_t ns)
{
    unsigned shift = 63 - LINEAR_BITS - (unsigned)__builtin_clzll(ns | LINEAR);
    unsigned bucket = shift * (unsigned)LINEAR + (unsigned)(ns >> shift);
    return bucket < LAST ? bucket : LAST;
}

/* How often a value is halved to be counted in this bucket: the bucket is 1 << shift wide. */
static unsigned shift_of(unsigned bucket)
{
    return bucket < 2 * LINEAR ? 0 : bucket / (unsigned)LINEAR - 1;
}

uint64_t histogram_bucket_low_ns(unsigned bucket)
{
    unsigned shift = shift_of(bucket);
    return (uint64_t)(bucket - shift * (unsigned)LINEAR) << shift;
}

struct histogram *histogram_new(void)
{
    struct histogram *h = calloc(1, sizeof *h);
    if (h)
        h->min_ns = UINT64_MAX;
    return h;
}

/* The buckets in use lie from that of the minimum to that of the maximum: only they are touched. */
static unsigned first_used(const struct histogram *h)
{
    return histogram_bucket(h->min_ns);
}

static unsigned end_used(const struct histogram *h)
{
    return h->count > 0 ? histogram_bucket(h->max_ns) + 1 : 0;
}

void histogram_clear(struct histogram *h)
{
    if (h->count > 0) {
        unsigned first = first_used(h);
        memset(h->buckets + first, 0, (end_used(h) - first) * sizeof *h->buckets);
    }
    h->count = h->sum_ns = h->max_ns = 0;
    h->min_ns = UINT64_MAX;
}

void histogram_record(struct histogram *h, uint64_t ns)
{
    histogram_record_many(h, ns, 1);
}

static void widen(struct histogram *h, uint64_t min_ns, uint64_t max_ns)
{
    if (min_ns < h->min_ns)
        h->min_ns = min_ns;
    if (max_ns > h->max_ns)
        h->max_ns = max_ns;
}

void histogram_record_many(struct histogram *h, uint64_t ns, uint64_t n)
{
    if (n == 0)
        return;
    h->count += n;
    h->sum_ns += ns * n;
    widen(h, ns, ns);
    h->buckets[histogram_bucket(ns)] += n;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (unsigned i = first_used(from); i < end_used(from); i++)
        to->buckets[i] += from->buckets[i];
    to->count += from->count;
    to->sum_ns += from->sum_ns;
    widen(to, from->min_ns, from->max_ns);
}

/* How many values lie at or below the percentile: at least one. */
static uint64_t rank_of(uint64_t count, double share)
{
    double exact = share * (double)count - 1e-6; /* 0.999 * 10,000 is not to become 9,991 */
    uint64_t rank = exact > 0 ? (uint64_t)exact : 0;
    if ((double)rank < exact)
        rank++;
    return rank < 1 ? 1 : rank > count ? count : rank;
}

static uint64_t value_of_rank(const struct histogram *h, uint64_t rank)
{
    unsigned bucket = first_used(h);
    for (uint64_t below = h->buckets[bucket]; below < rank; below += h->buckets[bucket])
        bucket++;
    uint64_t middle = histogram_bucket_low_ns(bucket) + ((1ULL << shift_of(bucket)) >> 1);
    return middle < h->min_ns ? h->min_ns : middle > h->max_ns ? h->max_ns : middle;
}

bool histogram_percentile(const struct histogram *h, double share, uint64_t *ns)
{
    if (h->count == 0)
        return false;
    if (share >= 1.0) {
        *ns = h->max_ns;
        return true;
    }
    uint64_t rank = rank_of(h->count, share);
    if (share > 0.5 && h->count - rank < BEYOND)
        return false;
    *ns = value_of_rank(h, rank);
    return true;
}

double histogram_mean_ns(const struct histogram *h)
{
    return h->count > 0 ? (double)h->sum_ns / (double)h->count : 0;
}

int histogram_add_bucket(struct histogram *h, uint64_t low_ns, uint64_t n)
{
    if (histogram_bucket_low_ns(histogram_bucket(low_ns)) != low_ns || n > UINT64_MAX - h->count)
        return ERR_RANGE;
    histogram_record_many(h, low_ns, n);
    return 0;
}
