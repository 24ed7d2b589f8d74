/* The histogram against the sorted values themselves: accuracy over the whole range, merging, the
 * ten-samples rule, the sparse form, values above the range. */
#include "config.h"

#include "histogram.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define HOUR 3600000000000ULL
#define VALUES 20000

static struct histogram *h, *other;
static uint64_t values[VALUES];

static void begin(void)
{
    h = histogram_new();
    other = histogram_new();
    ck_assert(h && other);
}

static void end(void)
{
    free(h);
    free(other);
}

static uint64_t random_bits(void)
{
    return (uint64_t)random() << 31 ^ (uint64_t)random();
}

/* Values of every size from 1 us to 1 h, as many in each power of two. */
static uint64_t random_ns(void)
{
    uint64_t ns;
    do
        ns = 1000 + (random_bits() & ((1ULL << (11 + random() % 32)) - 1));
    while (ns > HOUR);
    return ns;
}

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void fill(unsigned seed)
{
    srandom(seed);
    for (int i = 0; i < VALUES; i++) {
        values[i] = random_ns();
        histogram_record(h, values[i]);
    }
}

static const double shares[] = {0.0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999};
#define SHARES ((int)(sizeof shares / sizeof *shares))

/* The exact percentile by the same words: the smallest value with that share at or below it. */
static uint64_t exact(double share)
{
    unsigned rank = (unsigned)(share * VALUES + 0.999999);
    return values[rank > 0 ? rank - 1 : 0];
}

START_TEST(percentiles_have_three_digits)
{
    fill((unsigned)_i);
    qsort(values, VALUES, sizeof *values, ascending);
    for (int i = 0; i < SHARES; i++) {
        uint64_t ns = 0, want = exact(shares[i]);
        ck_assert(histogram_percentile(h, shares[i], &ns));
        uint64_t apart = ns > want ? ns - want : want - ns;
        ck_assert_msg(apart * 2000 <= want, "%g: %llu for %llu", shares[i], (unsigned long long)ns,
                      (unsigned long long)want);
    }
}
END_TEST

START_TEST(extremes_and_mean_are_exact)
{
    uint64_t sum = 0, ns = 0;
    fill(1);
    qsort(values, VALUES, sizeof *values, ascending);
    for (int i = 0; i < VALUES; i++)
        sum += values[i];
    ck_assert_uint_eq(h->count, VALUES);
    ck_assert_uint_eq(h->min_ns, values[0]);
    ck_assert_uint_eq(h->max_ns, values[VALUES - 1]);
    ck_assert_uint_eq(h->sum_ns, sum);
    ck_assert(histogram_percentile(h, 1.0, &ns));
    ck_assert_uint_eq(ns, values[VALUES - 1]);
    ck_assert_double_eq_tol(histogram_mean_ns(h), (double)sum / VALUES, 1);
}
END_TEST

/* Each bucket holds exactly the values from its lowest to before the next one's. */
START_TEST(buckets_have_no_gap)
{
    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        uint64_t low = histogram_bucket_low_ns(i), next = histogram_bucket_low_ns(i + 1);
        ck_assert(low < next);
        ck_assert_uint_eq(histogram_bucket(low), i);
        ck_assert_uint_eq(histogram_bucket(next - 1), i);
        ck_assert((next - low) * 1024 <= low || next - low == 1);
    }
    ck_assert(histogram_bucket_low_ns(HISTOGRAM_BUCKETS - 1) > HOUR);
}
END_TEST

static void same(const struct histogram *a, const struct histogram *b)
{
    ck_assert_mem_eq(a, b, sizeof *a);
}

START_TEST(merging_is_recording_all_in_one)
{
    struct histogram *all = histogram_new();
    ck_assert(all);
    srandom(3);
    for (int i = 0; i < VALUES; i++) {
        uint64_t ns = random_ns();
        histogram_record(i % 3 ? h : other, ns);
        histogram_record(all, ns);
    }
    histogram_merge(h, other);
    same(h, all);
    histogram_clear(other);
    histogram_merge(h, other);
    same(h, all);
    histogram_merge(other, all);
    same(other, all);
    free(all);
}
END_TEST

START_TEST(many_is_each_of_them)
{
    for (int i = 0; i < 1000; i++)
        histogram_record(h, 77777);
    histogram_record_many(other, 77777, 1000);
    histogram_record_many(other, 5, 0);
    same(h, other);
}
END_TEST

START_TEST(cleared_is_new)
{
    fill(4);
    histogram_clear(h);
    same(h, other);
    histogram_clear(h);
    same(h, other);
}
END_TEST

/* How many values it takes until a percentile is told: ten beyond it. */
static const struct told {
    double share;
    unsigned from;
} told[] = {{0.5, 1}, {0.9, 100}, {0.99, 1000}, {0.999, 10000}, {0.9999, 100000}, {1.0, 1}};

START_TEST(a_percentile_needs_ten_values_beyond_it)
{
    uint64_t ns = 4711;
    const struct told *row = &told[_i];
    ck_assert(!histogram_percentile(h, row->share, &ns));
    histogram_record_many(h, 1500, row->from - 1);
    ck_assert(!histogram_percentile(h, row->share, &ns));
    ck_assert_uint_eq(ns, 4711);
    histogram_record(h, 1500);
    ck_assert(histogram_percentile(h, row->share, &ns));
    ck_assert_uint_eq(ns, 1500);
}
END_TEST

START_TEST(empty_tells_nothing)
{
    uint64_t ns = 4711;
    for (int i = 0; i < SHARES; i++)
        ck_assert(!histogram_percentile(h, shares[i], &ns));
    ck_assert(!histogram_percentile(h, 1.0, &ns));
    ck_assert_uint_eq(ns, 4711);
    ck_assert_double_eq(histogram_mean_ns(h), 0);
}
END_TEST

START_TEST(a_percentile_lies_between_the_extremes)
{
    uint64_t ns = 0;
    histogram_record(h, 1000001);
    ck_assert(histogram_percentile(h, 0.5, &ns));
    ck_assert_uint_eq(ns, 1000001);
    histogram_record_many(h, 1000002, 1000);
    ck_assert(histogram_percentile(h, 0.99, &ns));
    ck_assert(ns >= 1000001 && ns <= 1000002);
}
END_TEST

START_TEST(the_sparse_form_holds_all)
{
    fill(5);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h->buckets[i] > 0)
            ck_assert_int_eq(histogram_add_bucket(other, histogram_bucket_low_ns(i), h->buckets[i]),
                             0);
    }
    ck_assert_uint_eq(other->count, h->count);
    ck_assert_mem_eq(other->buckets, h->buckets, sizeof h->buckets);
    ck_assert_uint_eq(histogram_bucket(other->min_ns), histogram_bucket(h->min_ns));
    ck_assert_uint_eq(histogram_bucket(other->max_ns), histogram_bucket(h->max_ns));
}
END_TEST

START_TEST(what_begins_no_bucket_is_refused)
{
    ck_assert_int_eq(histogram_add_bucket(h, 4097, 1), ERR_RANGE);
    ck_assert_int_eq(histogram_add_bucket(h, UINT64_MAX, 1), ERR_RANGE);
    ck_assert_int_eq(histogram_add_bucket(h, 4096, UINT64_MAX), 0);
    ck_assert_int_eq(histogram_add_bucket(h, 4096, 1), ERR_RANGE);
    ck_assert_uint_eq(h->count, UINT64_MAX);
}
END_TEST

START_TEST(values_above_the_range_are_in_the_last_bucket)
{
    uint64_t ns = 0;
    histogram_record(h, UINT64_MAX);
    histogram_record(h, 24 * HOUR);
    histogram_record_many(h, 2000, 38);
    ck_assert_uint_eq(h->buckets[HISTOGRAM_BUCKETS - 1], 2);
    ck_assert_uint_eq(h->count, 40);
    ck_assert_uint_eq(h->max_ns, UINT64_MAX);
    ck_assert(histogram_percentile(h, 0.5, &ns));
    ck_assert_uint_eq(ns, 2000);
    histogram_record_many(h, 24 * HOUR, 100);
    ck_assert(histogram_percentile(h, 0.5, &ns));
    ck_assert(ns > HOUR);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, begin, end);
    tcase_add_loop_test(all, percentiles_have_three_digits, 0, 20);
    tcase_add_test(all, extremes_and_mean_are_exact);
    tcase_add_test(all, buckets_have_no_gap);
    tcase_add_test(all, merging_is_recording_all_in_one);
    tcase_add_test(all, many_is_each_of_them);
    tcase_add_test(all, cleared_is_new);
    tcase_add_loop_test(all, a_percentile_needs_ten_values_beyond_it, 0,
                        (int)(sizeof told / sizeof *told));
    tcase_add_test(all, empty_tells_nothing);
    tcase_add_test(all, a_percentile_lies_between_the_extremes);
    tcase_add_test(all, the_sparse_form_holds_all);
    tcase_add_test(all, what_begins_no_bucket_is_refused);
    tcase_add_test(all, values_above_the_range_are_in_the_last_bucket);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
