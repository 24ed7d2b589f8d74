#include "config.h"

#include "result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "result_fields.h"

/* Each takes a part out of the object. 0, or a negative enum err with `e`, which does not name the
 * file. */

static int read_fates(const json_t *object, struct result *result, struct error *e)
{
    const json_t *fates = result_fields_need(object, "fates", JSON_OBJECT, e);
    if (!fates)
        return ERR_SYNTAX;
    for (void *at = json_object_iter((json_t *)fates); at;
         at = json_object_iter_next((json_t *)fates, at)) {
        const char *name = json_object_iter_key(at);
        enum fate fate = result_fields_fate(name);
        if (fate == FATE_COUNT) {
            error_what(e, "its fate \"%.60s\" is none that this synfin knows", name);
            return ERR_SYNTAX;
        }
        if (result_fields_number(fates, name, &result->fates[fate], e) < 0)
            return ERR_SYNTAX;
    }
    return 0;
}

static int read_closes(const json_t *object, struct result *result, struct error *e)
{
    const json_t *first = result_fields_need(object, "closed_first", JSON_OBJECT, e);
    const json_t *holder = first ? result_fields_need(object, "time_wait", JSON_OBJECT, e) : NULL;
    if (!holder)
        return ERR_SYNTAX;
    for (unsigned i = 0; i < 4; i++) {
        if (result_fields_number(first, closed_first_name(i), &result->closed_first[i], e) < 0 ||
            result_fields_number(holder, time_wait_name(i), &result->time_wait[i], e) < 0)
            return ERR_SYNTAX;
    }
    return 0;
}

/* A part that is null where there is none. */
static int read_part(const json_t *object, const char *name, const struct result_field *fields,
                     void *to, struct error *e)
{
    const json_t *part = json_object_get(object, name);
    if (part && json_is_null(part))
        return 0;
    part = result_fields_need(object, name, JSON_OBJECT, e);
    return part ? result_fields_get(part, fields, to, e) : ERR_SYNTAX;
}

static int read_parts(const json_t *object, struct result *result, struct error *e)
{
    const struct {
        const char *name;
        const struct result_field *fields;
        void *to;
    } parts[] = {{"failure", result_fields_failure, result},
                 {"stall", result_fields_stall, &result->stall},
                 {"verdict", result_fields_verdict, result}};
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        int rc = read_part(object, parts[i].name, parts[i].fields, parts[i].to, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_intervals(const json_t *object, struct result *result, struct error *e)
{
    const json_t *intervals = result_fields_need(object, "intervals", JSON_ARRAY, e);
    size_t n = json_array_size(intervals);
    if (!intervals)
        return ERR_SYNTAX;
    result->intervals = calloc(n > 0 ? n : 1, sizeof *result->intervals);
    if (!result->intervals)
        return ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        int rc = result_fields_get(json_array_get(intervals, i), result_fields_interval,
                                   &result->intervals[i], e);
        if (rc < 0) {
            error_context(e, "interval %zu", i + 1);
            return rc;
        }
    }
    result->interval_count = n;
    return 0;
}

/* --- distributions --- */

static int read_bucket(const json_t *pair, struct histogram *h, struct error *e)
{
    const json_t *low = json_array_get(pair, 0), *count = json_array_get(pair, 1);
    if (json_array_size(pair) != 2 || !json_is_integer(low) || !json_is_integer(count) ||
        json_integer_value(low) < 0 || json_integer_value(count) < 1 ||
        histogram_add_bucket(h, (uint64_t)json_integer_value(low),
                             (uint64_t)json_integer_value(count)) < 0) {
        error_what(e, "a bucket is not [lowest value, count]");
        return ERR_SYNTAX;
    }
    return 0;
}

/* The exact figures, which have to be those of the buckets. */
static int read_extremes(const json_t *object, struct histogram *h, struct error *e)
{
    uint64_t count, sum_ns, min_ns, max_ns;
    if (result_fields_number(object, "count", &count, e) < 0 ||
        result_fields_number(object, "sum_ns", &sum_ns, e) < 0 ||
        result_fields_number(object, "min_ns", &min_ns, e) < 0 ||
        result_fields_number(object, "max_ns", &max_ns, e) < 0)
        return ERR_SYNTAX;
    if (count == 0 || count != h->count || min_ns > max_ns ||
        histogram_bucket(min_ns) != histogram_bucket(h->min_ns) ||
        histogram_bucket(max_ns) != histogram_bucket(h->max_ns)) {
        error_what(e, "its buckets and its count, least and greatest value do not agree");
        return ERR_SYNTAX;
    }
    h->sum_ns = sum_ns;
    h->min_ns = min_ns;
    h->max_ns = max_ns;
    return 0;
}

static int read_histogram(const json_t *object, struct histogram *h, struct error *e)
{
    const json_t *buckets = result_fields_need(object, "buckets", JSON_ARRAY, e);
    if (!buckets)
        return ERR_SYNTAX;
    for (size_t i = 0; i < json_array_size(buckets); i++) {
        if (read_bucket(json_array_get(buckets, i), h, e) < 0)
            return ERR_SYNTAX;
    }
    return read_extremes(object, h, e);
}

static int read_stages(const json_t *object, struct result *result, struct error *e)
{
    const json_t *histograms = result_fields_need(object, "histograms", JSON_OBJECT, e);
    if (!histograms)
        return ERR_SYNTAX;
    for (enum result_stage stage = 0; stage < STAGE_COUNT; stage++) {
        const char *name = result_stage_name(stage);
        if (!json_object_get(histograms, name))
            continue;
        const json_t *one = result_fields_need(histograms, name, JSON_OBJECT, e);
        struct histogram *h = one ? result_stage(result, stage) : NULL;
        if (!one || !h)
            return one ? ERR_MEMORY : ERR_SYNTAX;
        if (read_histogram(one, h, e) < 0) {
            error_context(e, "the distribution of \"%s\"", name);
            return ERR_SYNTAX;
        }
    }
    return 0;
}

/* --- the whole --- */

static int check_format(const json_t *object, struct error *e)
{
    uint64_t format;
    if (!json_object_get(object, "synfin_result")) {
        error_what(e, "it is JSON, but no result of a load");
        return ERR_SYNTAX;
    }
    if (result_fields_number(object, "synfin_result", &format, e) < 0)
        return ERR_SYNTAX;
    if (format != RESULT_FORMAT) {
        error_what(e, "its format is number %llu, this synfin reads number %d",
                   (unsigned long long)format, RESULT_FORMAT);
        return ERR_SYNTAX;
    }
    return 0;
}

static int read_object(const json_t *object, struct result *result, struct error *e)
{
    int (*const parts[])(const json_t *, struct result *, struct error *) = {
        read_fates, read_closes, read_parts, read_intervals, read_stages};
    int rc = check_format(object, e);
    if (rc == 0)
        rc = result_fields_get(object, result_fields_start, result, e);
    if (rc == 0)
        rc = result_fields_get(object, result_fields_run, result, e);
    const json_t *shape = rc == 0 ? result_fields_need(object, "shape", JSON_OBJECT, e) : NULL;
    if (rc == 0)
        rc = shape ? result_fields_get(shape, result_fields_shape, &result->shape, e) : ERR_SYNTAX;
    for (unsigned i = 0; rc == 0 && i < sizeof parts / sizeof *parts; i++)
        rc = parts[i](object, result, e);
    return rc;
}

/* Whether there is more than white space. */
static bool has_more(FILE *in)
{
    int c;
    while ((c = getc(in)) == ' ' || c == '\t' || c == '\r' || c == '\n')
        ;
    if (c != EOF)
        ungetc(c, in);
    return c != EOF;
}

/* The next object of the file. 0, ERR_MEMORY, or ERR_SYNTAX with `e`. */
static int next_object(FILE *in, json_t **object, struct error *e)
{
    json_error_t said;
    json_t *value = json_loadf(in, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &said);
    if (!value && said.text[0] == '\0')
        return ERR_MEMORY;
    if (!value) {
        error_what(e, "it is no whole JSON: %s (line %d, column %d)", said.text, said.line,
                   said.column);
        return ERR_SYNTAX;
    }
    if (!json_is_object(value)) {
        error_what(e, "it is JSON, but no result of a load");
        json_decref(value);
        return ERR_SYNTAX;
    }
    *object = value;
    return 0;
}

static int take_result(json_t *end, json_t **object, struct error *e)
{
    json_t *result = json_incref(json_object_get(end, "result"));
    json_decref(end);
    if (!result) {
        error_what(e, "its \"end\" event has no \"result\"");
        return ERR_SYNTAX;
    }
    *object = result;
    return 0;
}

/* The object with the result: the file's only one or, of the events of --json-stream, that of the
 * last. Result as above. */
static int find_object(FILE *in, json_t **object, struct error *e)
{
    bool events = false;
    for (; has_more(in); events = true) {
        json_t *value;
        int rc = next_object(in, &value, e);
        if (rc < 0)
            return rc;
        const char *event = json_string_value(json_object_get(value, "event"));
        if (!event) {
            *object = value;
            return 0;
        }
        if (strcmp(event, "end") == 0)
            return take_result(value, object, e);
        json_decref(value);
    }
    error_what(e,
               events ? "it has no \"end\" event: the run was cut, or still runs" : "it is empty");
    return ERR_SYNTAX;
}

static int read_file(struct result *result, FILE *in, struct error *e)
{
    json_t *object = NULL;
    int rc = find_object(in, &object, e);
    if (ferror(in)) {
        error_what(e, "it cannot be read: %s", strerror(errno));
        rc = ERR_SYSTEM;
    }
    if (rc == 0)
        rc = read_object(object, result, e);
    if (rc == 0 && has_more(in)) {
        error_what(e, "more follows its result; one file holds one");
        rc = ERR_SYNTAX;
    }
    json_decref(object);
    return rc;
}

int result_read(struct result *result, const char *path, struct error *e)
{
    struct result made;
    FILE *in = fopen(path, "re");
    if (!in) {
        error_what(e, "%s: %s", path, strerror(errno));
        return ERR_SYSTEM;
    }
    result_init(&made);
    int rc = read_file(&made, in, e);
    fclose(in);
    if (rc == 0) {
        *result = made;
        return 0;
    }
    result_fini(&made);
    if (rc == ERR_MEMORY)
        error_what(e, "no memory for what it holds");
    error_context(e, "%s", path);
    if (rc == ERR_SYNTAX)
        error_mend(e, "give a file that synfin --load -J, or --json-stream, wrote");
    return rc;
}
