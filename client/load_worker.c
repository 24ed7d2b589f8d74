#include "config.h"

#include "load_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"

#define SEND_LAST_NS 20000000 /* so much longer a loop that is behind its schedule sends */

static const struct timespec a_while = {.tv_nsec = 10000000};

static uint64_t cpu_ns(clockid_t whose)
{
    struct timespec used;
    clock_gettime(whose, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void post(struct load_worker *worker, void (*fn)(void *load))
{
    while (loop_post(worker->load->loop, fn, worker->load) < 0)
        nanosleep(&a_while, NULL); /* without memory for a letter there is nothing better */
}

/* --- the end of sending, and of all --- */

static void await_for(struct load_worker *worker, uint64_t us);

/* Of --reply-timeout, since the last reply; whole milliseconds, which share a queue of deadlines.
 */
static uint64_t left_to_wait_us(const struct load_worker *worker)
{
    uint64_t all_us = worker->load->config->options->reply_timeout_us;
    uint64_t quiet_us = worker->owed > 0 ? (clock_ns() - worker->quiet_since_ns) / 1000 : 0;

    return quiet_us < all_us ? (all_us - quiet_us) / 1000 * 1000 + 1000 : 1000;
}

static void patience_passed(struct deadline *deadline)
{
    struct load_worker *worker =
        (struct load_worker *)(void *)((char *)deadline - offsetof(struct load_worker, patience));
    bool silent = worker->owed > 0 && worker->replied == worker->patience_replied;

    for (uint32_t i = 0; i < worker->count && silent; i++)
        load_conn_lose_patience(load_slot_at(worker, i));
    if (!silent)
        await_for(worker, left_to_wait_us(worker));
}

static void await_for(struct load_worker *worker, uint64_t us)
{
    worker->patience_replied = worker->replied;
    /* Without memory for it, ^C ends the wait. */
    (void)deadline_set(worker->loop, &worker->patience, us, patience_passed);
}

/* For --reply-timeout without any reply on all connections. */
static void await_replies(struct load_worker *worker)
{
    await_for(worker, worker->load->config->options->reply_timeout_us);
}

/* What came since the last tick: an interval of its own, if that is long enough. */
static void close_last_tick(struct load_worker *worker, uint64_t now_ns)
{
    const struct load_plan *plan = &worker->load->plan;
    uint64_t length_ns = now_ns - (plan->counted_ns + worker->slices * plan->tick_ns);

    bool alone = worker->slices == 0 || length_ns > plan->tick_ns / 100;
    load_slice_close(worker, alone ? worker->slices : worker->slices - 1, now_ns);
}

/* A pause of this loop shows as a beat that comes late. In an open loop each frame tells how late
 * it was noticed; only a pause between two of them is told here. */
static void note_beat(struct load_worker *worker, uint64_t now_ns)
{
    uint64_t late_ns = now_ns > worker->beat_ns ? now_ns - worker->beat_ns : 0;

    if (worker->load->plan.shape.rate == 0 || late_ns >= LOAD_SILENCE_NS)
        histogram_record(worker->result.stages[STAGE_LAG], late_ns);
}

static void beat(void *arg)
{
    struct load_worker *worker = arg;
    uint64_t now_ns = clock_ns();

    note_beat(worker, now_ns);
    worker->beat_ns = now_ns + LOAD_BEAT_NS;
    timer_set(&worker->beat_timer, worker->beat_ns);
}

/* The last may be due and not yet have come. */
static void end_beats(struct load_worker *worker, uint64_t now_ns)
{
    if (worker->beat_ns > 0 && worker->beat_ns <= now_ns)
        note_beat(worker, now_ns);
    worker->beat_ns = 0;
    timer_unset(&worker->beat_timer);
}

/* What was due by the end is sent, so far as that ends soon; the rest is told as not sent. */
static void send_last(struct load_worker *worker, uint64_t now_ns, uint64_t until_ns)
{
    while (load_send_due(worker, until_ns))
        if (clock_ns() > now_ns + SEND_LAST_NS) {
            load_send_pass(worker, until_ns);
            return;
        }
}

static void note_processor_time(struct load_worker *worker)
{
    worker->result.busiest_thread_us =
        (cpu_ns(CLOCK_THREAD_CPUTIME_ID) - worker->cpu_from_ns) / 1000;
    worker->all_cpu_us = (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - worker->all_cpu_from_ns) / 1000;
}

static void stop_measuring(struct load_worker *worker)
{
    const struct load_plan *plan = &worker->load->plan;
    uint64_t now = clock_ns();

    end_beats(worker, now);
    if (plan->shape.rate > 0)
        send_last(worker, now, now < plan->end_ns ? now : plan->end_ns);
    worker->producing = false;
    worker->replies_stopped = worker->result.replies;
    /* The frames of an open loop are those due by the end, however late this is noticed. */
    worker->stopped_ns = plan->shape.rate > 0 && now > plan->end_ns ? plan->end_ns : now;
    if (worker->counting) {
        note_processor_time(worker);
        close_last_tick(worker, now);
        load_worker_bytes(worker, &worker->bytes_in_stopped, NULL);
    }
}

/* Nothing more is sent; what is owed is waited for. */
static void end_sending(struct load_worker *worker)
{
    if (worker->sent_all)
        return;
    worker->sent_all = true;
    if (worker->producing)
        stop_measuring(worker);
    timer_unset(&worker->send_timer);
    if (worker->load->live != NULL)
        timer_set(&worker->tick_timer, clock_ns() + 1000 * LOAD_LIVE_US);
    else
        timer_unset(&worker->tick_timer);
    if (worker->owed > 0)
        await_replies(worker);
    post(worker, load_worker_stopped);
}

void load_worker_stop(void *arg)
{
    struct load_worker *worker = arg;

    if (worker->stopping)
        return;
    worker->stopping = true;
    end_sending(worker);
    load_admit_nobody(worker);
    timer_unset(&worker->connect_timer);
    timer_unset(&worker->end_timer);
    for (uint32_t i = 0; i < worker->count; i++)
        load_conn_stop(load_slot_at(worker, i));
    load_worker_look(worker);
}

/* The last frame was sent, or its time has come. */
static void all_sent(struct load_worker *worker)
{
    uint64_t hold_us = worker->load->config->options->hold_us;

    if (hold_us == 0) {
        load_worker_stop(worker);
        return;
    }
    end_sending(worker);
    worker->holding = true;
    timer_set(&worker->end_timer, clock_ns() + 1000 * hold_us);
    load_worker_look(worker);
}

void load_worker_give_up(void *arg)
{
    struct load_worker *worker = arg;

    for (uint32_t i = 0; i < worker->count; i++)
        if (load_slot_at(worker, i)->state == SLOT_DIALING)
            conn_fail(load_slot_at(worker, i)->conn, FATE_ABORTED,
                      "interrupted before it was connected");
    load_worker_stop(worker);
}

void load_worker_cut(void *arg)
{
    struct load_worker *worker = arg;

    load_worker_stop(worker);
    for (uint32_t i = 0; i < worker->count; i++)
        if (load_slot_at(worker, i)->conn != NULL)
            conn_fail(load_slot_at(worker, i)->conn, FATE_ABORTED, "the second interrupt cut it");
}

/* One way, what was put into the sockets is not yet with the peer: -n is done when the last
 * connection is closed, all that was sent acknowledged. */
static void measure_closes(struct load_worker *worker)
{
    const struct load_plan *plan = &worker->load->plan;
    bool one_way = plan->sends && !plan->answers && plan->shape.rate == 0;

    if (!one_way || !worker->counting || worker->left > 0 ||
        worker->load->config->options->hold_us > 0)
        return;
    worker->stopped_ns = clock_ns();
    note_processor_time(worker);
}

static void finish(struct load_worker *worker)
{
    measure_closes(worker);
    worker->done_told = true;
    timer_unset(&worker->tick_timer);
    deadline_unset(&worker->patience);
    load_slice_close(worker, LOAD_SLICE_LAST, clock_ns());
    post(worker, load_worker_done);
}

/* Whether -n is done. In a closed loop the last replies are part of what it took: its rate would
 * otherwise be that of filling the sockets. */
static bool is_count_done(struct load_worker *worker)
{
    const struct load_plan *plan = &worker->load->plan;

    if (worker->left > 0)
        return false;
    if (plan->shape.rate == 0 && worker->owed > 0 && !worker->last_awaited) {
        worker->last_awaited = true;
        await_replies(worker);
    }
    return plan->shape.rate > 0 || worker->owed == 0;
}

void load_worker_look(struct load_worker *worker)
{
    if (!worker->stopping)
        load_admit(worker);
    if (!worker->up_told && worker->first_waiting == NULL && worker->on_their_way == 0) {
        worker->up_told = true;
        post(worker, load_worker_up);
    }
    bool idle = worker->live == 0 && worker->first_waiting == NULL;
    if (worker->holding && worker->owed == 0 && !worker->hold_told) {
        worker->hold_told = true;
        post(worker, load_worker_holds);
    }
    if (!worker->stopping && idle && (worker->producing || worker->holding))
        load_worker_stop(worker); /* which looks again */
    else if (!worker->stopping && worker->producing && is_count_done(worker))
        all_sent(worker); /* so does this */
    else if (worker->stopping && idle && !worker->done_told)
        finish(worker);
}

/* --- measuring --- */

void load_worker_bytes(const struct load_worker *worker, uint64_t *in, uint64_t *out)
{
    uint64_t sum_in = worker->result.bytes_in, sum_out = worker->result.bytes_out;

    for (uint32_t i = 0; i < worker->count; i++) {
        const struct load_slot *slot = load_slot_at(worker, i);
        if (slot->conn != NULL) {
            sum_in += conn_life(slot->conn)->bytes_in;
            sum_out += conn_life(slot->conn)->bytes_out;
        }
    }
    if (in != NULL)
        *in = sum_in;
    if (out != NULL)
        *out = sum_out;
}

static void begin_counting(struct load_worker *worker)
{
    worker->counting = true;
    worker->cpu_from_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    worker->all_cpu_from_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (worker->load->plan.shape.omit_us > 0)
        load_worker_bytes(worker, &worker->bytes_in_before, &worker->bytes_out_before);
    load_slice_begin(worker);
    worker->slice.sent = worker->slice.replies = 0; /* those due since, however late this comes */
    worker->beat_ns = clock_ns() + LOAD_BEAT_NS;
    timer_set(&worker->beat_timer, worker->beat_ns);
}

static uint64_t next_tick_ns(const struct load_worker *worker)
{
    const struct load_plan *plan = &worker->load->plan;

    return plan->counted_ns + (worker->slices + 1) * plan->tick_ns;
}

static void tick(void *arg)
{
    struct load_worker *worker = arg;
    const struct load_plan *plan = &worker->load->plan;
    uint64_t now = clock_ns();

    if (worker->sent_all)
        load_slice_close(worker, LOAD_SLICE_LAST, now);
    else if (!worker->counting)
        begin_counting(worker);
    else
        load_slice_tick(worker, now);
    if (worker->sent_all)
        timer_set(&worker->tick_timer, now + 1000 * LOAD_LIVE_US);
    else if (plan->tick_ns > 0 && next_tick_ns(worker) < plan->end_ns)
        timer_set(&worker->tick_timer, next_tick_ns(worker)); /* the end closes the last one */
}

static void end_due(void *arg)
{
    struct load_worker *worker = arg;

    if (worker->holding)
        load_worker_stop(worker);
    else
        all_sent(worker);
}

static void send_due(void *arg)
{
    struct load_worker *worker = arg;
    const struct load_plan *plan = &worker->load->plan;

    if (!worker->producing) {
        worker->producing = true;
        if (plan->counted_ns == plan->start_ns)
            tick(worker);
        if (plan->shape.rate == 0)
            for (uint32_t i = 0; i < worker->count; i++)
                load_conn_begin(load_slot_at(worker, i));
    }
    if (plan->shape.rate > 0)
        load_send_due(worker, clock_ns());
    load_worker_look(worker);
}

void load_worker_measure(void *arg)
{
    struct load_worker *worker = arg;
    const struct load_plan *plan = &worker->load->plan;

    if (worker->stopping)
        return;
    timer_set(&worker->send_timer, plan->start_ns);
    if (plan->counted_ns > plan->start_ns)
        timer_set(&worker->tick_timer, plan->counted_ns);
    if (plan->end_ns != UINT64_MAX)
        timer_set(&worker->end_timer, plan->end_ns);
    else if (plan->answers)
        await_replies(worker); /* else a silent peer would keep it for good */
}

/* --- making one --- */

static int make_timers(struct load_worker *worker)
{
    int result = timer_init(&worker->connect_timer, worker->loop, load_admit, worker);

    if (result == 0)
        result = timer_init(&worker->send_timer, worker->loop, send_due, worker);
    if (result == 0)
        result = timer_init(&worker->tick_timer, worker->loop, tick, worker);
    if (result == 0)
        result = timer_init(&worker->end_timer, worker->loop, end_due, worker);
    if (result == 0)
        result = timer_init(&worker->beat_timer, worker->loop, beat, worker);
    return result;
}

static int make_figures(struct load_worker *worker)
{
    const struct load_plan *plan = &worker->load->plan;
    struct result *result = &worker->result;
    bool rate = plan->shape.rate > 0;

    result_init(result);
    worker->round_trip = histogram_new();
    if (worker->round_trip == NULL || result_stage(result, STAGE_CONNECT) == NULL ||
        result_stage(result, STAGE_FIRST_FRAME) == NULL ||
        result_stage(result, STAGE_DRAIN_LINGER) == NULL || result_stage(result, STAGE_LAG) == NULL)
        return ERR_MEMORY;
    if (rate && (result_stage(result, STAGE_FROM_SEND) == NULL ||
                 result_stage(result, STAGE_SLOT_WAIT) == NULL))
        return ERR_MEMORY;
    if (plan->payload != NULL)
        worker->body = malloc(payload_longest(plan->payload) + 1);
    return plan->payload != NULL && worker->body == NULL ? ERR_MEMORY : 0;
}

static void make_shares(struct load_worker *worker)
{
    const struct result_shape *shape = &worker->load->plan.shape;

    worker->cursor = (struct schedule_cursor){
        .first = worker->number, .stride = shape->threads, .count = worker->count};
    worker->on_their_way_most =
        (uint32_t)schedule_share(shape->connecting, shape->threads, worker->number);
    while (worker->ring_mask + 1 < shape->pipeline)
        worker->ring_mask = worker->ring_mask * 2 + 1;
    worker->left = shape->count > 0 ? 0 : UINT64_MAX;
    for (uint32_t i = 0; i < worker->count && shape->count > 0; i++)
        worker->left += load_send_limit(load_slot_at(worker, i));
}

int load_worker_init(struct load_worker *worker, struct load *load, unsigned number,
                     struct error *e)
{
    const struct result_shape *shape = &load->plan.shape;

    worker->load = load;
    worker->number = number;
    worker->last_waiting = &worker->first_waiting;
    worker->count = (uint32_t)schedule_share(shape->connections, shape->threads, number);
    worker->cursor.stride = shape->threads;
    /* A single one has the main loop: in a process of one thread each system call costs less. */
    worker->loop = shape->threads == 1 ? load->loop : loop_new(e);
    if (worker->loop == NULL)
        return ERR_SYSTEM;
    loop_busy_poll(worker->loop, load->config->options->busy_poll_us);
    if (load_slots_make(worker) < 0 || make_timers(worker) < 0 || make_figures(worker) < 0) {
        error_what(e, "out of memory for %u connections", (unsigned)worker->count);
        return ERR_MEMORY;
    }
    make_shares(worker);
    return 0;
}

void load_worker_fini(struct load_worker *worker)
{
    timer_fini(&worker->connect_timer);
    timer_fini(&worker->send_timer);
    timer_fini(&worker->tick_timer);
    timer_fini(&worker->end_timer);
    timer_fini(&worker->beat_timer);
    load_slots_free(worker);
    free(worker->body);
    free(worker->round_trip);
    result_fini(&worker->result);
    if (worker->loop != NULL && worker->loop != worker->load->loop)
        loop_free(worker->loop);
}
