#include "config.h"

#include "load_internal.h"

#include <string.h>

#include "clock.h"

#define DUE_MOST 4096  /* frames sent in one turn, for the replies' sake */
#define CLOCK_EVERY 64 /* after so many the time is looked up anew */

uint64_t load_send_limit(const struct load_slot *slot)
{
    const struct result_shape *shape = &slot->worker->load->plan.shape;

    if (shape->count == 0)
        return UINT64_MAX;
    return schedule_share(shape->count, shape->connections, load_slot_connection(slot));
}

uint64_t load_send_ns(const struct load_slot *slot, uint64_t number)
{
    uint32_t mask = slot->worker->ring_mask;
    return mask == 0 ? slot->sent_ns : slot->ring_ns[number & mask];
}

uint64_t load_intended_ns(const struct load_slot *slot, uint64_t number)
{
    const struct schedule *schedule = &slot->worker->load->plan.schedule;

    return schedule->rate == 0 ? load_send_ns(slot, number)
                               : schedule_frame_ns(schedule, load_slot_connection(slot), number);
}

void load_send_forgo(struct load_slot *slot)
{
    struct load_worker *worker = slot->worker;

    if (worker->left != UINT64_MAX)
        worker->left -= load_send_limit(slot) - slot->sent;
}

/* --- one frame --- */

static int put(struct load_slot *slot, struct error *e)
{
    struct load_worker *worker = slot->worker;
    struct payload_body body;

    payload_body(worker->load->plan.payload, load_slot_connection(slot), slot->sent, &body);
    memcpy(worker->body, body.stamp, body.stamp_length);
    memcpy(worker->body + body.stamp_length, body.rest, body.rest_length);
    return conn_send(slot->conn, worker->body, body.stamp_length + body.rest_length, e);
}

static void note_sent(struct load_slot *slot, uint64_t now_ns)
{
    struct load_worker *worker = slot->worker;

    if (worker->ring_mask == 0)
        slot->sent_ns = now_ns;
    else
        slot->ring_ns[slot->sent & worker->ring_mask] = now_ns;
    slot->in_flight++;
    if (worker->owed++ == 0)
        worker->quiet_since_ns = now_ns;
}

/* Whether it was sent; otherwise the connection is at its end. */
static bool send_one(struct load_slot *slot, uint64_t now_ns)
{
    struct load_worker *worker = slot->worker;
    const struct load_plan *plan = &worker->load->plan;
    struct error e;
    int result = put(slot, &e);

    if (result < 0) {
        slot->state = SLOT_ENDING;
        if (result != ERR_CLOSED)
            conn_fail(slot->conn, result == ERR_MEMORY ? FATE_MEMORY : FATE_INPUT, "%s", e.what);
        return false;
    }
    if (plan->answers)
        note_sent(slot, now_ns);
    uint64_t meant_ns = plan->shape.rate > 0 ? load_intended_ns(slot, slot->sent) : now_ns;
    worker->result.sent += meant_ns >= plan->counted_ns;
    slot->sent++;
    if (worker->left != UINT64_MAX)
        worker->left--;
    return true;
}

/* Whether the connection can take a frame now. */
static bool has_room(const struct load_slot *slot)
{
    const struct load_plan *plan = &slot->worker->load->plan;

    return slot->state == SLOT_OPEN && slot->in_flight < plan->shape.pipeline &&
           (plan->shape.frames_per_conn == UINT64_MAX ||
            conn_life(slot->conn)->frames_out < plan->shape.frames_per_conn) &&
           conn_room(slot->conn) > 0;
}

/* A connection on which no reply is waited for ends with its last frame. */
static void finish_sent(struct load_slot *slot)
{
    const struct load_plan *plan = &slot->worker->load->plan;

    if (!plan->answers && slot->state == SLOT_OPEN &&
        conn_life(slot->conn)->frames_out >= plan->shape.frames_per_conn)
        load_conn_finish(slot, "all its frames are sent");
}

void load_send_more(struct load_slot *slot, uint64_t now_ns)
{
    struct load_worker *worker = slot->worker;
    const struct load_plan *plan = &worker->load->plan;

    if (!worker->producing || !plan->sends)
        return;
    if (plan->shape.rate == 0) {
        uint64_t limit = load_send_limit(slot);
        while (slot->sent < limit && has_room(slot) && send_one(slot, now_ns))
            ;
    } else {
        uint64_t due = schedule_cursor_passed(&worker->cursor, (uint64_t)(slot - worker->slots));
        while (slot->sent < due && has_room(slot)) {
            uint64_t meant_ns = load_intended_ns(slot, slot->sent);
            if (!send_one(slot, now_ns))
                break;
            if (meant_ns >= plan->counted_ns)
                histogram_record(worker->result.stages[STAGE_SLOT_WAIT],
                                 now_ns > meant_ns ? now_ns - meant_ns : 0);
        }
    }
    finish_sent(slot);
    if (worker->left == 0)
        load_worker_look(worker);
}

/* --- an open loop --- */

static void send_place(struct load_worker *worker, uint64_t due_ns, uint64_t now_ns)
{
    const struct load_plan *plan = &worker->load->plan;
    struct load_slot *slot = &worker->slots[worker->cursor.index];
    uint64_t number = worker->cursor.number;
    bool counted = due_ns >= plan->counted_ns;

    if (counted)
        histogram_record(worker->result.stages[STAGE_LAG], now_ns - due_ns);
    schedule_cursor_step(&worker->cursor);
    /* Behind one that waits for a slot, this one waits too. */
    if (slot->sent != number || !has_room(slot) || !send_one(slot, now_ns))
        return;
    worker->at_once += counted;
    finish_sent(slot);
}

bool load_send_due(struct load_worker *worker, uint64_t until_ns)
{
    const struct schedule *schedule = &worker->load->plan.schedule;
    uint64_t now_ns = clock_ns();
    uint64_t due = schedule_due(schedule, until_ns);
    unsigned passed = 0;

    while (schedule_cursor_place(&worker->cursor, schedule) < due && passed < DUE_MOST) {
        uint64_t due_ns =
            schedule_place_ns(schedule, schedule_cursor_place(&worker->cursor, schedule));
        if (++passed % CLOCK_EVERY == 0)
            now_ns = clock_ns();
        send_place(worker, due_ns, now_ns > due_ns ? now_ns : due_ns);
    }
    uint64_t next = schedule_cursor_place(&worker->cursor, schedule);
    if (next < schedule->limit && !worker->stopping)
        load_timer_set(worker->send_timer, schedule_place_ns(schedule, next));
    return next < due;
}

uint64_t load_send_due_count(const struct load_slot *slot, uint64_t now_ns)
{
    const struct schedule *schedule = &slot->worker->load->plan.schedule;

    return schedule_share(schedule_due(schedule, now_ns), schedule->connections,
                          load_slot_connection(slot));
}
