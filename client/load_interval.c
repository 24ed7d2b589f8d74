/* load_interval: figures of parts of the run: closed by each worker in its own loop, added up in
 * the main one, for --interval, --json-stream and the live line. */
#include "config.h"

#include "load_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* --- in a worker --- */

/* Frames of a slot that have waited for longer than `after_ns`. */
static void look_late(const struct load_slot *slot, uint64_t now_ns, uint64_t after_ns,
                      struct load_slice *slice)
{
    const struct load_plan *plan = &load_slot_worker(slot)->load->plan;
    uint64_t oldest = slot->sent - slot->in_flight;
    uint64_t late = 0;

    if (plan->shape.rate > 0)
        late = load_send_due_count(slot, now_ns - after_ns);
    else
        for (late = oldest; late < slot->sent; late++)
            if (load_send_ns(slot, late) + after_ns > now_ns)
                break;
    if (late <= oldest)
        return;
    uint64_t age_ns = now_ns - load_intended_ns(slot, oldest);
    slice->late += late - oldest;
    slice->oldest_late_ns = age_ns > slice->oldest_late_ns ? age_ns : slice->oldest_late_ns;
}

static void look_all_late(const struct load_worker *worker, uint64_t now_ns,
                          struct load_slice *slice)
{
    uint64_t after_ns = atomic_load_explicit(&worker->load->late_after_ns, memory_order_relaxed);

    if (!worker->load->plan.answers || after_ns == 0 || after_ns > now_ns)
        return;
    for (uint32_t i = 0; i < worker->count; i++)
        look_late(load_slot_at(worker, i), now_ns, after_ns, slice);
}

static uint64_t errors(const struct load_worker *worker)
{
    return worker->result.failed;
}

void load_slice_begin(struct load_worker *worker)
{
    worker->slice = (struct load_slice){
        .sent = worker->result.sent, .replies = worker->result.replies, .errors = errors(worker)};
}

static void came(void *arg);

void load_slice_close(struct load_worker *worker, uint64_t number, uint64_t now_ns)
{
    struct load_slice *slice = calloc(1, sizeof *slice);
    struct histogram *next = histogram_new();

    if (slice == NULL || next == NULL) {
        free(slice);
        free(next);
        return; /* what it would have told is in the next one */
    }
    *slice = (struct load_slice){.worker = worker,
                                 .number = number,
                                 .until_ns = worker->stopped_ns != 0 ? worker->stopped_ns : now_ns,
                                 .last = worker->stopped_ns != 0,
                                 .sent = worker->result.sent - worker->slice.sent,
                                 .replies = worker->result.replies - worker->slice.replies,
                                 .errors = errors(worker) - worker->slice.errors,
                                 .open = worker->open,
                                 .owed = worker->owed,
                                 .round_trip = worker->round_trip};
    if (number != LOAD_SLICE_LAST)
        look_all_late(worker, now_ns, slice);
    worker->round_trip = next;
    load_slice_begin(worker);
    if (loop_post(worker->load->loop, came, slice) < 0) {
        histogram_merge(worker->round_trip, slice->round_trip);
        free(slice->round_trip);
        free(slice);
    }
}

void load_slice_tick(struct load_worker *worker, uint64_t now_ns)
{
    load_slice_close(worker, worker->slices, now_ns);
    worker->slices++;
}

/* --- in the main loop: intervals --- */

static int make_interval_room(struct load *load, size_t count)
{
    struct result *result = &load->result;
    size_t room = load->interval_room;

    if (count > room) {
        room = room * 2 > count ? room * 2 : count + 16;
        struct result_interval *intervals = realloc(result->intervals, room * sizeof *intervals);
        if (intervals == NULL)
            return ERR_MEMORY;
        result->intervals = intervals;
        struct load_open_interval *open = realloc(load->open_intervals, room * sizeof *open);
        if (open == NULL)
            return ERR_MEMORY;
        load->open_intervals = open;
        load->interval_room = room;
    }
    for (; result->interval_count < count; result->interval_count++) {
        result->intervals[result->interval_count] = (struct result_interval){0};
        load->open_intervals[result->interval_count] = (struct load_open_interval){0};
    }
    return 0;
}

static void tell_percentiles(struct result_interval *interval, const struct histogram *trips)
{
    if (trips == NULL)
        return;
    if (!histogram_percentile(trips, 0.5, &interval->p50_ns))
        interval->p50_ns = 0;
    if (!histogram_percentile(trips, 0.99, &interval->p99_ns))
        interval->p99_ns = 0;
}

/* What is so at its end: as each worker said last. */
static void add_state(const struct load *load, struct result_interval *to)
{
    to->late = to->oldest_late_us = to->open = 0;
    for (unsigned i = 0; i < load->worker_count; i++) {
        const struct load_slice *seen = &load->workers[i].seen;
        uint64_t oldest_us = seen->oldest_late_ns / 1000;
        to->late += seen->late;
        to->open += seen->open;
        to->oldest_late_us = oldest_us > to->oldest_late_us ? oldest_us : to->oldest_late_us;
    }
}

static void tell_interval(struct load *load, size_t number)
{
    struct result_interval *interval = &load->result.intervals[number];
    struct load_open_interval *open = &load->open_intervals[number];

    tell_percentiles(interval, open->trips);
    add_state(load, interval);
    free(open->trips);
    open->trips = NULL;
    if (load->config->options->json_stream) {
        result_json_interval(interval, stdout);
        fflush(stdout);
    }
}

static void add_counts(struct result_interval *to, const struct load_slice *slice)
{
    to->sent += slice->sent;
    to->replies += slice->replies;
    to->errors += slice->errors;
}

static void merge_trips(struct histogram **to, const struct histogram *from)
{
    if (*to == NULL)
        *to = histogram_new();
    if (*to != NULL)
        histogram_merge(*to, from);
}

static void add_to_interval(struct load *load, const struct load_slice *slice)
{
    const struct load_plan *plan = &load->plan;
    size_t number = plan->ticks_each == 0 ? 0 : slice->number / plan->ticks_each;

    if (plan->ticks_each == 0 || make_interval_room(load, number + 1) < 0)
        return;
    struct result_interval *interval = &load->result.intervals[number];
    struct load_open_interval *open = &load->open_intervals[number];
    uint64_t until_us = (slice->until_ns - plan->counted_ns) / 1000;
    uint64_t tick_us = plan->tick_ns / 1000, nominal_us = (slice->number + 1) * tick_us;
    interval->from_us = number * plan->ticks_each * tick_us;
    /* After ticks that were missed, the last one goes on to the end. */
    if (until_us > nominal_us && (!slice->last || until_us - nominal_us <= tick_us / 100))
        until_us = nominal_us;
    interval->to_us = until_us > interval->to_us ? until_us : interval->to_us;
    add_counts(interval, slice);
    merge_trips(&open->trips, slice->round_trip);
    if (++open->slices == plan->ticks_each * load->worker_count)
        tell_interval(load, number);
}

static void look_p99(struct load *load)
{
    uint64_t p99_ns, floor_ns = LOAD_SILENCE_NS;

    if (!histogram_percentile(load->result.stages[STAGE_ROUND_TRIP], 0.99, &p99_ns))
        p99_ns = 0;
    atomic_store_explicit(&load->late_after_ns, 2 * p99_ns > floor_ns ? 2 * p99_ns : floor_ns,
                          memory_order_relaxed);
}

/* Those of a run that ended within them. */
void load_intervals_finish(struct load *load)
{
    unsigned whole = load->plan.ticks_each * load->worker_count;

    for (size_t i = 0; i < load->result.interval_count; i++)
        if (load->open_intervals[i].slices < whole && load->open_intervals[i].slices > 0)
            tell_interval(load, i);
}

void load_intervals_free(struct load *load)
{
    for (size_t i = 0; i < load->result.interval_count; i++)
        free(load->open_intervals[i].trips);
    free(load->open_intervals);
    free(load->drawn_trips);
    free(load->drawn_before);
}

/* --- the live line --- */

static void add_to_drawn(struct load *load, const struct load_slice *slice)
{
    uint64_t until_us = (slice->until_ns - load->plan.counted_ns) / 1000;

    load->drawn.to_us = until_us > load->drawn.to_us ? until_us : load->drawn.to_us;
    add_counts(&load->drawn, slice);
    merge_trips(&load->drawn_trips, slice->round_trip);
}

/* Those of the last half second to second: a tenth has too few frames for a p99 at usual rates. */
static void tell_drawn_percentiles(struct load *load)
{
    struct histogram *both = NULL;

    if (load->drawn_before != NULL)
        merge_trips(&both, load->drawn_before);
    if (load->drawn_trips != NULL)
        merge_trips(&both, load->drawn_trips);
    tell_percentiles(&load->drawn, both);
    free(both);
    if (++load->drawn_times * LOAD_LIVE_US >= 500000) {
        free(load->drawn_before);
        load->drawn_before = load->drawn_trips;
        load->drawn_trips = NULL;
        load->drawn_times = 0;
    }
}

static void draw_measuring(struct load *load)
{
    struct result_interval *drawn = &load->drawn;

    if (drawn->to_us == drawn->from_us)
        return;
    tell_drawn_percentiles(load);
    add_state(load, drawn);
    live_interval(load->live, drawn);
    *drawn = (struct result_interval){.from_us = drawn->to_us, .to_us = drawn->to_us};
}

static void draw_draining(struct load *load)
{
    uint64_t owed = 0, open = 0;

    for (unsigned i = 0; i < load->worker_count; i++) {
        owed += load->workers[i].seen.owed;
        open += load->workers[i].seen.open;
    }
    live_draining(load->live, owed, open);
}

static void draw(evutil_socket_t fd, short what, void *arg)
{
    struct load *load = arg;

    (void)fd;
    (void)what;
    switch (load->phase) {
    case LOAD_RESOLVING:
        break;
    case LOAD_CONNECTING:
        live_connecting(load->live, atomic_load(&load->up), atomic_load(&load->failed),
                        clock_us() - load->first_connect_us);
        break;
    case LOAD_MEASURING:
        draw_measuring(load);
        break;
    case LOAD_DRAINING:
        draw_draining(load);
        break;
    }
}

int load_live_begin(struct load *load)
{
    static const struct timeval every = {.tv_usec = LOAD_LIVE_US};

    if (!load->config->options->quiet)
        load->live = live_new(&load->plan.shape);
    if (load->live == NULL)
        return 0;
    load->live_timer = event_new(loop_base(load->loop), -1, EV_PERSIST, draw, load);
    return load->live_timer != NULL && event_add(load->live_timer, &every) == 0 ? 0 : ERR_MEMORY;
}

/* --- from the workers --- */

static void came(void *arg)
{
    struct load_slice *slice = arg;
    struct load *load = slice->worker->load;

    histogram_merge(load->result.stages[STAGE_ROUND_TRIP], slice->round_trip);
    slice->worker->seen = *slice;
    if (slice->number != LOAD_SLICE_LAST) {
        add_to_interval(load, slice);
        look_p99(load);
        if (load->live != NULL)
            add_to_drawn(load, slice);
    }
    free(slice->round_trip);
    free(slice);
}
