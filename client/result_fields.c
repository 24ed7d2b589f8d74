#include "config.h"

#include "result_fields.h"

#include <stdio.h>
#include <string.h>

#define SHAPE(name, kind, member)                                                                  \
    {                                                                                              \
        name, kind, offsetof(struct result_shape, member), 0                                       \
    }
#define RUN(name, kind, member)                                                                    \
    {                                                                                              \
        name, kind, offsetof(struct result, member), 0                                             \
    }
#define TEXT(name, type, member)                                                                   \
    {                                                                                              \
        name, FIELD_STRING, offsetof(struct type, member), sizeof((struct type *)0)->member        \
    }
#define STALL(name, member)                                                                        \
    {                                                                                              \
        name, FIELD_NUMBER, offsetof(struct result_stall, member), 0                               \
    }
#define INTERVAL(name, kind, member)                                                               \
    {                                                                                              \
        name, kind, offsetof(struct result_interval, member), 0                                    \
    }

const struct result_field result_fields_shape[] = {
    TEXT("codec", result_shape, codec),
    SHAPE("expect", FIELD_EXPECT_NAME, expect),
    SHAPE("connections", FIELD_NUMBER, connections),
    SHAPE("connecting", FIELD_NUMBER, connecting),
    SHAPE("connect_rate_per_s", FIELD_LIMIT, connect_rate),
    SHAPE("pipeline", FIELD_NUMBER, pipeline),
    SHAPE("size_bytes", FIELD_LIMIT, size_bytes),
    SHAPE("rate_per_s", FIELD_LIMIT, rate),
    SHAPE("duration_us", FIELD_LIMIT, duration_us),
    SHAPE("count", FIELD_LIMIT, count),
    SHAPE("frames_per_conn", FIELD_MOST, frames_per_conn),
    SHAPE("omit_us", FIELD_NUMBER, omit_us),
    SHAPE("threads", FIELD_NUMBER, threads),
    {NULL, 0, 0, 0},
};

const struct result_field result_fields_start[] = {
    TEXT("target", result, target),
    TEXT("address", result, address),
    RUN("start_wall_us", FIELD_NUMBER, start_wall_us),
    RUN("up_us", FIELD_NUMBER, up_us),
    RUN("connections_opened", FIELD_NUMBER, opened),
    RUN("connections_failed", FIELD_NUMBER, failed),
    {NULL, 0, 0, 0},
};

const struct result_field result_fields_run[] = {
    RUN("measured_us", FIELD_NUMBER, measured_us),
    RUN("frames_sent", FIELD_NUMBER, sent),
    RUN("frames_replies", FIELD_NUMBER, replies),
    RUN("frames_replies_in_drain", FIELD_NUMBER, in_drain),
    RUN("frames_equal", FIELD_NUMBER, equal),
    RUN("frames_differed", FIELD_NUMBER, differed),
    RUN("frames_surplus", FIELD_NUMBER, surplus),
    RUN("frames_lost", FIELD_NUMBER, lost),
    RUN("frames_due_not_sent", FIELD_NUMBER, due_not_sent),
    RUN("bytes_out", FIELD_NUMBER, bytes_out),
    RUN("bytes_in", FIELD_NUMBER, bytes_in),
    RUN("client_cpu_us", FIELD_NUMBER, cpu_us),
    RUN("client_processors", FIELD_NUMBER, processors),
    RUN("client_busiest_thread_us", FIELD_NUMBER, busiest_thread_us),
    RUN("client_descriptors", FIELD_NUMBER, descriptors),
    RUN("client_busy_poll_us", FIELD_LIMIT, busy_poll_us),
    RUN("client_limited", FIELD_FLAG, client_limited),
    TEXT("client_limit", result, client_limit),
    TEXT("differed_detail", result, differed_detail),
    RUN("exit_status", FIELD_STATUS, exit_status),
    {NULL, 0, 0, 0},
};

const struct result_field result_fields_failure[] = {
    RUN("fate", FIELD_FATE_NAME, failure_fate),
    RUN("phase", FIELD_PHASE_NAME, failure_phase),
    TEXT("detail", result, failure_detail),
    TEXT("mend", result, failure_mend),
    {NULL, 0, 0, 0},
};

const struct result_field result_fields_verdict[] = {
    RUN("fate", FIELD_FATE_NAME, verdict.fate), RUN("slow", FIELD_FLAG, verdict.slow),
    TEXT("stage", result, verdict.stage),       TEXT("evidence", result, verdict.evidence),
    TEXT("try", result, verdict.try_),          {NULL, 0, 0, 0},
};

const struct result_field result_fields_stall[] = {
    STALL("from_us", from_us), STALL("to_us", to_us), STALL("waiting", waiting),
    STALL("wall_us", wall_us), {NULL, 0, 0, 0},
};

const struct result_field result_fields_interval[] = {
    INTERVAL("from_us", FIELD_NUMBER, from_us),
    INTERVAL("to_us", FIELD_NUMBER, to_us),
    INTERVAL("sent", FIELD_NUMBER, sent),
    INTERVAL("replies", FIELD_NUMBER, replies),
    INTERVAL("errors", FIELD_NUMBER, errors),
    INTERVAL("late", FIELD_NUMBER, late),
    INTERVAL("oldest_late_us", FIELD_NUMBER, oldest_late_us),
    INTERVAL("open", FIELD_NUMBER, open),
    INTERVAL("p50_us", FIELD_NS, p50_ns),
    INTERVAL("p99_us", FIELD_NS, p99_ns),
    {NULL, 0, 0, 0},
};

/* A text that is not UTF-8 (a path may be anything) is written as the characters with its bytes'
 * numbers. */
static json_t *string_of(const char *text)
{
    char buf[1024];
    size_t n = 0;
    json_t *string = json_string(text);
    if (string)
        return string;
    for (; *text != '\0' && n + 2 < sizeof buf; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x80)
            buf[n++] = (char)(0xc0 | c >> 6);
        buf[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
    }
    return json_stringn(buf, n);
}

static json_t *number_of(uint64_t number)
{
    return json_integer(number < INT64_MAX ? (json_int_t)number : INT64_MAX);
}

static json_t *value_of(const struct result_field *field, const void *at)
{
    uint64_t number;
    switch (field->kind) {
    case FIELD_NUMBER:
        return number_of(*(const uint64_t *)at);
    case FIELD_LIMIT:
        number = *(const uint64_t *)at;
        return number > 0 ? number_of(number) : json_null();
    case FIELD_MOST:
        number = *(const uint64_t *)at;
        return number < UINT64_MAX ? number_of(number) : json_null();
    case FIELD_NS:
        number = *(const uint64_t *)at;
        return number > 0 ? json_real((double)number / 1000) : json_null();
    case FIELD_STATUS:
        return json_integer(*(const int *)at);
    case FIELD_FLAG:
        return json_boolean(*(const bool *)at);
    case FIELD_STRING:
        return *(const char *)at != '\0' ? string_of(at) : json_null();
    case FIELD_FATE_NAME:
        if (*(const enum fate *)at == FATE_CLEAN)
            return json_null();
        return json_string(fate_row(*(const enum fate *)at)->name);
    case FIELD_PHASE_NAME:
        return json_string(phase_name(*(const enum phase *)at));
    case FIELD_EXPECT_NAME:
        return json_string(result_expect_name(*(const enum result_expect *)at));
    }
    return NULL;
}

int result_fields_set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) < 0 ? ERR_MEMORY : 0;
}

int result_fields_put(json_t *object, const struct result_field *fields, const void *from)
{
    for (; fields->name; fields++) {
        const void *at = (const char *)from + fields->offset;
        if (result_fields_set(object, fields->name, value_of(fields, at)) < 0)
            return ERR_MEMORY;
    }
    return 0;
}
