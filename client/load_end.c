#include "config.h"

#include "load_internal.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "stream.h"

#define PIECES (1 << 19) /* values that stand for the frames not sent, of all connections ... */
#define PIECES_EACH 16   /* ... and of one, at least */
#define STALL_OF_P50 10  /* a silence so many times as long as the usual round trip is a stall */

/* Frames that were due and never sent count with the time they had waited. */
static void add_slot_unsent(struct load_worker *worker, uint32_t i, uint64_t pieces)
{
    const struct load_plan *plan = &worker->load->plan;
    const struct schedule *schedule = &plan->schedule;
    struct result *result = &worker->result;
    struct load_slot *slot = load_slot_at(worker, i);
    struct schedule_cursor own = {
        .first = load_slot_connection(slot), .stride = schedule->connections, .count = 1};
    uint64_t due = schedule_cursor_passed(&worker->cursor, i);
    uint64_t from = load_send_due_count(slot, plan->counted_ns - 1);

    from = slot->sent > from ? slot->sent : from;
    if (from < due)
        result->due_not_sent += due - from;
    schedule_record_waits(schedule, &own, from, due, worker->stopped_ns, pieces,
                          result->stages[STAGE_SLOT_WAIT]);
    if (plan->answers)
        schedule_record_waits(schedule, &own, from, due, worker->stopped_ns, pieces,
                              worker->round_trip);
}

static void add_unsent(struct load_worker *worker)
{
    const struct load_plan *plan = &worker->load->plan;
    uint64_t pieces = PIECES / plan->shape.connections;

    if (plan->shape.rate == 0)
        return;
    for (uint32_t i = 0; i < worker->count; i++)
        add_slot_unsent(worker, i, pieces > PIECES_EACH ? pieces : PIECES_EACH);
    histogram_record_many(worker->result.stages[STAGE_SLOT_WAIT], 0, worker->at_once);
}

static void complete(struct load_worker *worker)
{
    const struct load_plan *plan = &worker->load->plan;
    struct result *result = &worker->result;

    add_unsent(worker);
    result->in_drain = result->replies - worker->replies_stopped;
    if (plan->shape.expect == EXPECT_ECHO)
        result->equal = result->replies - result->differed;
    /* A stream goes on until the peer has seen our FIN: what came by then is not counted. */
    if (plan->shape.expect == EXPECT_STREAM && worker->counting)
        result->bytes_in = worker->bytes_in_stopped;
    result->bytes_in -= worker->bytes_in_before;
    result->bytes_out -= worker->bytes_out_before;
    if (worker->counting && worker->stopped_ns > plan->counted_ns)
        result->measured_us = (worker->stopped_ns - plan->counted_ns) / 1000;
}

/* Cut to fit, as struct error is. */
void load_failure_text(struct result *result, const struct error *e)
{
    snprintf(result->failure_detail, sizeof result->failure_detail, "%.*s",
             (int)sizeof result->failure_detail - 1, e->what);
    snprintf(result->failure_mend, sizeof result->failure_mend, "%s", e->mend);
}

static void find_stall(struct load *load)
{
    struct result *result = &load->result;
    struct load_silence longest;
    uint64_t p50_ns;

    load_silence_longest(load, &longest);
    uint64_t length_ns = longest.to_ns - longest.from_ns;
    if (length_ns < LOAD_SILENCE_NS || result->stages[STAGE_ROUND_TRIP] == NULL ||
        !histogram_percentile(result->stages[STAGE_ROUND_TRIP], 0.5, &p50_ns) ||
        length_ns < STALL_OF_P50 * p50_ns)
        return;
    result->stall.from_us = (longest.from_ns - load->plan.counted_ns) / 1000;
    result->stall.to_us = (longest.to_ns - load->plan.counted_ns) / 1000;
    result->stall.waiting = longest.waiting;
    result->stall.wall_us = result->start_wall_us + result->stall.from_us;
}

static uint64_t processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint64_t)CPU_COUNT(&set) : 1;
}

static int add_up(struct load *load)
{
    struct result *result = &load->result;

    for (unsigned i = 0; i < load->worker_count; i++) {
        struct load_worker *worker = &load->workers[i];
        complete(worker);
        if (result_add(result, &worker->result, false) < 0)
            return ERR_MEMORY;
        if (result->address[0] == '\0')
            memcpy(result->address, worker->result.address, sizeof result->address);
        histogram_merge(result->stages[STAGE_ROUND_TRIP], worker->round_trip);
        if (worker->all_cpu_us > result->cpu_us)
            result->cpu_us = worker->all_cpu_us;
    }
    for (unsigned i = 0; i < STAGE_COUNT; i++) {
        if (result->stages[i] != NULL && result->stages[i]->count == 0) {
            free(result->stages[i]);
            result->stages[i] = NULL;
        }
    }
    find_stall(load);
    return 0;
}

/* --- telling it --- */

/* The end event of --json-stream. An exit status. */
static int tell_end(const struct load *load)
{
    if (result_json_end(&load->result, stdout) == ERR_MEMORY) {
        log_line(LOG_LEVEL_ERROR, "out of memory for the result");
        return fate_row(FATE_MEMORY)->exit_status;
    }
    return stream_finish();
}

static int tell(struct load *load)
{
    const struct options *options = load->config->options;

    live_free(load->live);
    load->live = NULL;
    result_judge(&load->result);
    int status = options->json_stream ? tell_end(load) : result_out(&load->result, options->json);
    if (status != 0)
        return status;
    bool holds = result_conditions_hold(&load->plan.conditions, &load->result);
    return holds ? RESULT_EXIT_CONDITION : load->result.exit_status;
}

int load_end(struct load *load)
{
    load_intervals_finish(load);
    if (add_up(load) < 0) {
        log_line(LOG_LEVEL_ERROR, "out of memory for the result");
        return fate_row(FATE_MEMORY)->exit_status;
    }
    load->result.processors = processors();
    return tell(load);
}

int load_end_early(struct load *load, enum fate fate, enum phase phase, const struct error *e)
{
    struct result *result = &load->result;

    result->fates[fate] = result->failed = load->plan.shape.connections;
    result->failure_fate = fate;
    result->failure_phase = phase;
    load_failure_text(result, e);
    return tell(load);
}
