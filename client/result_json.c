#include "config.h"

#include "result.h"

#include <jansson.h>

#include "result_fields.h"
#include "result_figures.h"
#include "result_stages.h"

#define DIGITS JSON_REAL_PRECISION(15) /* more than a time or a rate has */

/* Each puts a part of the result into the object. 0 or ERR_MEMORY. */

static int put_number(json_t *object, const char *name, uint64_t number)
{
    return result_fields_set(object, name, json_integer((json_int_t)number));
}

static int put_shape(json_t *object, const struct result *result)
{
    json_t *shape = json_object();
    if (result_fields_set(object, "shape", shape) < 0)
        return ERR_MEMORY;
    return result_fields_put(shape, result_fields_shape, &result->shape);
}

static int put_rates(json_t *object, const struct result *result)
{
    const struct {
        const char *name;
        double value;
    } rates[] = {{"connections_per_s", result_connections_per_s(result)},
                 {"frames_per_s", result_frames_per_s(result)},
                 {"bytes_out_per_s", result_bytes_out_per_s(result)},
                 {"bytes_in_per_s", result_bytes_in_per_s(result)},
                 {"client_cpu_percent", result_cpu_percent(result)}};
    for (unsigned i = 0; i < sizeof rates / sizeof *rates; i++) {
        if (result_fields_set(object, rates[i].name, json_real(rates[i].value)) < 0)
            return ERR_MEMORY;
    }
    return 0;
}

/* Those that occurred. */
static int put_fates(json_t *object, const struct result *result)
{
    json_t *fates = json_object();
    if (result_fields_set(object, "fates", fates) < 0)
        return ERR_MEMORY;
    for (enum fate fate = 0; fate < FATE_COUNT; fate++) {
        if (result->fates[fate] > 0 &&
            put_number(fates, fate_row(fate)->name, result->fates[fate]) < 0)
            return ERR_MEMORY;
    }
    return 0;
}

static int put_closes(json_t *object, const struct result *result)
{
    json_t *first = json_object(), *holder = json_object();
    if ((result_fields_set(object, "closed_first", first) |
         result_fields_set(object, "time_wait", holder)) < 0)
        return ERR_MEMORY;
    for (unsigned i = 0; i < 4; i++) {
        if ((put_number(first, closed_first_name(i), result->closed_first[i]) |
             put_number(holder, time_wait_name(i), result->time_wait[i])) < 0)
            return ERR_MEMORY;
    }
    return 0;
}

static int put_parts(json_t *object, const struct result *result)
{
    json_t *failure = result->failure_fate != FATE_CLEAN ? json_object() : json_null();
    json_t *stall = result->stall.to_us > 0 ? json_object() : json_null();
    json_t *verdict = json_object();
    if ((result_fields_set(object, "failure", failure) | result_fields_set(object, "stall", stall) |
         result_fields_set(object, "verdict", verdict)) < 0)
        return ERR_MEMORY;
    if (json_is_object(failure) && result_fields_put(failure, result_fields_failure, result) < 0)
        return ERR_MEMORY;
    if (json_is_object(stall) && result_fields_put(stall, result_fields_stall, &result->stall) < 0)
        return ERR_MEMORY;
    if (result_fields_set(verdict, "word", json_string(result_verdict_word(result))) < 0)
        return ERR_MEMORY;
    return result_fields_put(verdict, result_fields_verdict, result);
}

/* --- distributions --- */

static int put_time(json_t *object, const char *stage, const char *stat, bool told, double ns)
{
    char name[48];
    int length = snprintf(name, sizeof name, "%s_%s_us", stage, stat);
    for (int i = 0; i < length; i++)
        name[i] = name[i] == '.' ? '_' : name[i];
    return result_fields_set(object, name, told ? json_real(ns / 1000) : json_null());
}

/* "round_trip_count", "round_trip_p99_us" ...; null where it is not told. */
static int put_stats(json_t *object, const struct result *result, enum result_stage stage)
{
    const struct histogram *h = result->stages[stage];
    const char *name = result_stage_name(stage);
    char count[48];
    bool some = h && h->count > 0;
    snprintf(count, sizeof count, "%s_count", name);
    if (put_number(object, count, some ? h->count : 0) < 0 ||
        put_time(object, name, "mean", some, some ? histogram_mean_ns(h) : 0) < 0)
        return ERR_MEMORY;
    for (enum result_stat stat = 0; stat < STAT_COUNT; stat++) {
        uint64_t ns = 0;
        bool told = result_stat_ns(h, stat, &ns);
        if (put_time(object, name, result_stat_name(stat), told, (double)ns) < 0)
            return ERR_MEMORY;
    }
    return 0;
}

/* [[low_ns, count], ...]: the buckets that hold any. */
static json_t *buckets_of(const struct histogram *h)
{
    json_t *buckets = json_array();
    for (unsigned i = histogram_bucket(h->min_ns); i <= histogram_bucket(h->max_ns); i++) {
        if (h->buckets[i] == 0)
            continue;
        json_t *pair =
            json_pack("[II]", (json_int_t)histogram_bucket_low_ns(i), (json_int_t)h->buckets[i]);
        if (json_array_append_new(buckets, pair) < 0) {
            json_decref(buckets);
            return NULL;
        }
    }
    return buckets;
}

static int put_histogram(json_t *histograms, const char *name, const struct histogram *h)
{
    json_t *object = json_object();
    if (result_fields_set(histograms, name, object) < 0)
        return ERR_MEMORY;
    if ((put_number(object, "count", h->count) | put_number(object, "sum_ns", h->sum_ns) |
         put_number(object, "min_ns", h->min_ns) | put_number(object, "max_ns", h->max_ns)) < 0)
        return ERR_MEMORY;
    return result_fields_set(object, "buckets", buckets_of(h));
}

static int put_stages(json_t *object, const struct result *result)
{
    json_t *histograms = json_object();
    for (enum result_stage stage = 0; stage < STAGE_COUNT; stage++) {
        if (put_stats(object, result, stage) < 0) {
            json_decref(histograms);
            return ERR_MEMORY;
        }
    }
    if (result_fields_set(object, "histograms", histograms) < 0)
        return ERR_MEMORY;
    for (enum result_stage stage = 0; stage < STAGE_COUNT; stage++) {
        const struct histogram *h = result->stages[stage];
        if (h && h->count > 0 && put_histogram(histograms, result_stage_name(stage), h) < 0)
            return ERR_MEMORY;
    }
    return 0;
}

static int put_intervals(json_t *object, const struct result *result)
{
    json_t *intervals = json_array();
    if (result_fields_set(object, "intervals", intervals) < 0)
        return ERR_MEMORY;
    for (size_t i = 0; i < result->interval_count; i++) {
        json_t *interval = json_object();
        if (json_array_append_new(intervals, interval) < 0 ||
            result_fields_put(interval, result_fields_interval, &result->intervals[i]) < 0)
            return ERR_MEMORY;
    }
    return 0;
}

/* --- whole objects --- */

static int put_heading(json_t *object)
{
    if (put_number(object, "synfin_result", RESULT_FORMAT) < 0)
        return ERR_MEMORY;
    return result_fields_set(object, "version", json_string(PACKAGE_VERSION));
}

static int put_result(json_t *object, const struct result *result)
{
    int (*const parts[])(json_t *, const struct result *) = {
        put_shape, put_rates, put_fates, put_closes, put_parts, put_stages, put_intervals};
    if (put_heading(object) < 0 || result_fields_put(object, result_fields_start, result) < 0 ||
        result_fields_put(object, result_fields_run, result) < 0)
        return ERR_MEMORY;
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i](object, result) < 0)
            return ERR_MEMORY;
    }
    return 0;
}

/* Writes the object, if it is whole, as one line, and lets it go. What the stream says to it is the
 * stream's (ferror). */
static int write_line(json_t *object, int rc, FILE *out)
{
    if (rc == 0 && json_dumpf(object, out, JSON_COMPACT | DIGITS) < 0 && !ferror(out))
        rc = ERR_MEMORY;
    if (rc == 0)
        putc('\n', out);
    json_decref(object);
    return rc;
}

int result_json(const struct result *result, FILE *out)
{
    json_t *object = json_object();
    return write_line(object, object ? put_result(object, result) : ERR_MEMORY, out);
}

static int put_event(json_t *object, const char *name)
{
    return result_fields_set(object, "event", json_string(name));
}

static int put_start(json_t *object, const struct result *result)
{
    if (put_event(object, "start") < 0 || put_heading(object) < 0)
        return ERR_MEMORY;
    if (result_fields_put(object, result_fields_start, result) < 0)
        return ERR_MEMORY;
    return put_shape(object, result);
}

int result_json_start(const struct result *result, FILE *out)
{
    json_t *object = json_object();
    return write_line(object, object ? put_start(object, result) : ERR_MEMORY, out);
}

int result_json_interval(const struct result_interval *interval, FILE *out)
{
    json_t *object = json_object();
    int rc = object ? put_event(object, "interval") : ERR_MEMORY;
    if (rc == 0)
        rc = result_fields_put(object, result_fields_interval, interval);
    return write_line(object, rc, out);
}

int result_json_end(const struct result *result, FILE *out)
{
    json_t *object = json_object(), *whole = json_object();
    int rc = object ? put_event(object, "end") : ERR_MEMORY;
    if (result_fields_set(object, "result", whole) < 0)
        rc = ERR_MEMORY;
    if (rc == 0)
        rc = put_result(whole, result);
    return write_line(object, rc, out);
}
