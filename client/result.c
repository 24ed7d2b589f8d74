#include "config.h"

#include "result.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *label;
} stages[STAGE_COUNT] = {
    [STAGE_CONNECT] = {"connect", "connect"},
    [STAGE_FIRST_FRAME] = {"first_frame", "first frame"},
    [STAGE_ROUND_TRIP] = {"round_trip", "round trip"},
    [STAGE_FROM_SEND] = {"from_send", "from send"},
    [STAGE_DRAIN_LINGER] = {"drain_linger", "drain+linger"},
    [STAGE_SLOT_WAIT] = {"slot_wait", "slot wait"},
    [STAGE_LAG] = {"lag", "lag"},
};

const char *result_stage_name(enum result_stage stage)
{
    return stages[stage].name;
}

const char *result_stage_label(enum result_stage stage)
{
    return stages[stage].label;
}

const char *result_expect_name(enum result_expect expect)
{
    static const char *const names[] = {"echo", "any", "none", "stream"};
    return names[expect];
}

void result_init(struct result *result)
{
    memset(result, 0, sizeof *result);
    result->shape.frames_per_conn = UINT64_MAX;
    result->failure_fate = result->verdict.fate = FATE_CLEAN;
}

void result_fini(struct result *result)
{
    for (unsigned i = 0; i < STAGE_COUNT; i++)
        free(result->stages[i]);
    free(result->intervals);
    memset(result->stages, 0, sizeof result->stages);
    result->intervals = NULL;
    result->interval_count = 0;
}

struct histogram *result_stage(struct result *result, enum result_stage stage)
{
    if (!result->stages[stage])
        result->stages[stage] = histogram_new();
    return result->stages[stage];
}

/* --- adding up --- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void add_each(uint64_t *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

/* All that can fail, before anything is added. */
static int make_room(struct result *to, const struct result *from)
{
    for (unsigned i = 0; i < STAGE_COUNT; i++) {
        if (from->stages[i] && !result_stage(to, i))
            return ERR_MEMORY;
    }
    if (from->interval_count <= to->interval_count)
        return 0;
    struct result_interval *intervals =
        realloc(to->intervals, from->interval_count * sizeof *intervals);
    if (!intervals)
        return ERR_MEMORY;
    to->intervals = intervals;
    return 0;
}

/* Percentiles of two intervals do not add up: they stay where only one of the two has any. */
static void add_interval(struct result_interval *to, const struct result_interval *from)
{
    bool both = to->replies > 0 && from->replies > 0;
    to->p50_ns = both ? 0 : to->p50_ns + from->p50_ns;
    to->p99_ns = both ? 0 : to->p99_ns + from->p99_ns;
    if (from->from_us < to->from_us)
        to->from_us = from->from_us;
    to->to_us = larger(to->to_us, from->to_us);
    to->sent += from->sent;
    to->replies += from->replies;
    to->errors += from->errors;
    to->late += from->late;
    to->oldest_late_us = larger(to->oldest_late_us, from->oldest_late_us);
    to->open += from->open;
}

static void add_intervals(struct result *to, const struct result *from)
{
    for (size_t i = 0; i < from->interval_count; i++) {
        if (i < to->interval_count)
            add_interval(&to->intervals[i], &from->intervals[i]);
        else
            to->intervals[to->interval_count++] = from->intervals[i];
    }
}

static void add_counts(struct result *to, const struct result *from)
{
    to->opened += from->opened;
    to->failed += from->failed;
    to->sent += from->sent;
    to->replies += from->replies;
    to->equal += from->equal;
    to->differed += from->differed;
    to->in_drain += from->in_drain;
    to->surplus += from->surplus;
    to->lost += from->lost;
    to->due_not_sent += from->due_not_sent;
    to->bytes_out += from->bytes_out;
    to->bytes_in += from->bytes_in;
    add_each(to->fates, from->fates, FATE_COUNT);
    add_each(to->closed_first, from->closed_first, 4);
    add_each(to->time_wait, from->time_wait, 4);
}

/* The failure told is the one whose row comes first in the table, as for the exit status. */
static void add_failure(struct result *to, const struct result *from)
{
    if (from->failure_fate < to->failure_fate) {
        to->failure_fate = from->failure_fate;
        to->failure_phase = from->failure_phase;
        memcpy(to->failure_detail, from->failure_detail, sizeof to->failure_detail);
        memcpy(to->failure_mend, from->failure_mend, sizeof to->failure_mend);
    }
    if (to->differed_detail[0] == '\0')
        memcpy(to->differed_detail, from->differed_detail, sizeof to->differed_detail);
}

static void add_client(struct result *to, const struct result *from)
{
    to->cpu_us += from->cpu_us;
    to->busiest_thread_us = larger(to->busiest_thread_us, from->busiest_thread_us);
    to->busy_poll_us = larger(to->busy_poll_us, from->busy_poll_us);
    if (to->descriptors == 0 || (from->descriptors > 0 && from->descriptors < to->descriptors))
        to->descriptors = from->descriptors;
    if (from->client_limited && !to->client_limited)
        memcpy(to->client_limit, from->client_limit, sizeof to->client_limit);
    to->client_limited = to->client_limited || from->client_limited;
}

/* --- several clients at once --- */

/* 0 is no limit, and so is the sum with it. */
static uint64_t add_limit(uint64_t a, uint64_t b)
{
    return a > 0 && b > 0 ? a + b : 0;
}

static void add_shape(struct result_shape *to, const struct result_shape *from)
{
    to->connections += from->connections;
    to->connecting += from->connecting;
    to->connect_rate = add_limit(to->connect_rate, from->connect_rate);
    to->rate += from->rate;
    to->count = add_limit(to->count, from->count);
    to->threads += from->threads;
    to->duration_us = larger(to->duration_us, from->duration_us);
    to->omit_us = larger(to->omit_us, from->omit_us);
}

/* Several addresses are named as the first and others. */
static void add_name(char *to, size_t size, const char *from)
{
    static const char others[] = " and others";
    size_t length = strlen(to), more = sizeof others - 1;
    if (strcmp(to, from) == 0 || (length >= more && strcmp(to + length - more, others) == 0))
        return;
    if (length + more >= size)
        length = size - 1 - more;
    memcpy(to + length, others, sizeof others);
}

static uint64_t silent_until(const struct result *result)
{
    return result->stall.wall_us + (result->stall.to_us - result->stall.from_us);
}

/* All were silent only while each of them was. */
static void add_stall_side_by_side(struct result *to, const struct result *from)
{
    struct result_stall *stall = &to->stall;
    uint64_t began = larger(stall->wall_us, from->stall.wall_us);
    uint64_t until = silent_until(to) < silent_until(from) ? silent_until(to) : silent_until(from);
    if (stall->to_us == 0 || from->stall.to_us == 0 || until <= began) {
        memset(stall, 0, sizeof *stall);
        return;
    }
    stall->from_us = began > to->start_wall_us ? began - to->start_wall_us : 0;
    stall->to_us = stall->from_us + (until - began);
    stall->wall_us = began;
    stall->waiting += from->stall.waiting;
}

static void add_stall(struct result *to, const struct result *from)
{
    if (from->stall.to_us - from->stall.from_us > to->stall.to_us - to->stall.from_us)
        to->stall = from->stall;
}

static void add_side_by_side(struct result *to, const struct result *from)
{
    add_shape(&to->shape, &from->shape);
    add_name(to->target, sizeof to->target, from->target);
    add_name(to->address, sizeof to->address, from->address);
    to->processors += from->processors;
    if (from->start_wall_us < to->start_wall_us)
        to->start_wall_us = from->start_wall_us;
    add_stall_side_by_side(to, from);
}

int result_add(struct result *to, const struct result *from, bool side_by_side)
{
    if (make_room(to, from) < 0)
        return ERR_MEMORY;
    for (unsigned i = 0; i < STAGE_COUNT; i++) {
        if (from->stages[i])
            histogram_merge(to->stages[i], from->stages[i]);
    }
    add_intervals(to, from);
    add_counts(to, from);
    add_failure(to, from);
    add_client(to, from);
    to->measured_us = larger(to->measured_us, from->measured_us);
    to->up_us = larger(to->up_us, from->up_us);
    if (side_by_side)
        add_side_by_side(to, from);
    else
        add_stall(to, from);
    return 0;
}
