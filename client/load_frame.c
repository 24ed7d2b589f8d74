/* load_frame: the path of a frame: a reply read, compared and timed, and the next frame sent. The
 * clock is asked once for all frames of a read; nothing is allocated. */
#include "config.h"

#include "load_internal.h"

#include <string.h>

#include "clock.h"

#define LARGE_BODY 4096 /* handling one takes so long that the time is looked up anew */

/* --- sending --- */

static int put(struct load_slot *slot, uint64_t connection, struct error *e)
{
    struct load_worker *worker = load_slot_worker(slot);
    struct payload_body body;

    payload_body(worker->load->plan.payload, connection, slot->sent, &body);
    return conn_send_lent(slot->conn, body.stamp, body.stamp_length, body.rest, body.rest_length,
                          e);
}

static void note_sent(struct load_slot *slot, uint64_t now_ns)
{
    struct load_worker *worker = load_slot_worker(slot);

    if (worker->ring_mask == 0)
        slot->sent_ns = now_ns;
    else
        slot->ring_ns[slot->sent & worker->ring_mask] = now_ns;
    slot->in_flight++;
    if (worker->owed++ == 0)
        worker->quiet_since_ns = now_ns;
}

static void send_failed(struct load_slot *slot, int result, const struct error *e)
{
    slot->state = SLOT_ENDING;
    if (result != ERR_CLOSED)
        conn_fail(slot->conn, result == ERR_MEMORY ? FATE_MEMORY : FATE_INPUT, "%s", e->what);
}

static inline bool send_one(struct load_slot *slot, uint64_t connection, uint64_t meant_ns,
                            uint64_t now_ns)
{
    struct load_worker *worker = load_slot_worker(slot);
    const struct load_plan *plan = &worker->load->plan;
    struct error e;
    int result = put(slot, connection, &e);

    if (result < 0) {
        send_failed(slot, result, &e);
        return false;
    }
    if (plan->answers)
        note_sent(slot, now_ns);
    worker->result.sent += meant_ns >= plan->counted_ns;
    slot->sent++;
    if (worker->left != UINT64_MAX)
        worker->left--;
    return true;
}

bool load_frame_send(struct load_slot *slot, uint64_t meant_ns, uint64_t now_ns)
{
    return send_one(slot, load_slot_connection(slot), meant_ns, now_ns);
}

/* Whether its life may have one more frame. */
static inline bool has_life(const struct load_slot *slot, const struct load_plan *plan)
{
    return !plan->churns || conn_life(slot->conn)->frames_out < plan->shape.frames_per_conn;
}

/* Where so few frames are in flight that the output cannot be full, it is not asked. */
static inline bool may_send(const struct load_slot *slot, const struct load_plan *plan)
{
    return slot->in_flight < plan->shape.pipeline && has_life(slot, plan) &&
           (plan->fits_output || conn_room(slot->conn) > 0);
}

bool load_frame_may_send(const struct load_slot *slot)
{
    return slot->state == SLOT_OPEN && may_send(slot, &load_slot_worker(slot)->load->plan);
}

/* A closed loop: as many as may be in flight. */
static inline void send_closed(struct load_slot *slot, const struct load_plan *plan,
                               uint64_t connection, uint64_t now_ns)
{
    uint64_t limit = load_send_limit(slot);

    while (slot->sent < limit && may_send(slot, plan) && send_one(slot, connection, now_ns, now_ns))
        ;
}

/* An open loop: those that are due and had to wait. */
static void send_waiting(struct load_slot *slot, const struct load_plan *plan, uint64_t connection,
                         uint64_t now_ns)
{
    struct load_worker *worker = load_slot_worker(slot);
    uint64_t due = schedule_cursor_passed(&worker->cursor, load_slot_index(slot));

    while (slot->sent < due && may_send(slot, plan)) {
        uint64_t meant_ns = schedule_frame_ns(&plan->schedule, connection, slot->sent);
        if (!send_one(slot, connection, meant_ns, now_ns))
            break;
        if (meant_ns >= plan->counted_ns)
            histogram_record(worker->result.stages[STAGE_SLOT_WAIT],
                             now_ns > meant_ns ? now_ns - meant_ns : 0);
    }
}

static void send_more(struct load_slot *slot, const struct load_plan *plan, uint64_t connection,
                      uint64_t now_ns)
{
    struct load_worker *worker = load_slot_worker(slot);

    if (!worker->producing || slot->state != SLOT_OPEN) {
        if (worker->holding && worker->owed == 0)
            load_worker_look(worker);
        return;
    }
    if (plan->shape.rate == 0)
        send_closed(slot, plan, connection, now_ns);
    else
        send_waiting(slot, plan, connection, now_ns);
    if (worker->left == 0)
        load_worker_look(worker);
}

void load_frame_more(struct load_slot *slot, uint64_t now_ns)
{
    const struct load_plan *plan = &load_slot_worker(slot)->load->plan;

    if (!plan->sends)
        return;
    send_more(slot, plan, load_slot_connection(slot), now_ns);
    load_frame_finish_sent(slot);
}

/* A connection on which no reply is waited for ends with its last frame. */
void load_frame_finish_sent(struct load_slot *slot)
{
    const struct load_plan *plan = &load_slot_worker(slot)->load->plan;

    if (!plan->answers && slot->state == SLOT_OPEN && !has_life(slot, plan))
        load_conn_finish(slot, "all its frames are sent");
}

void load_frame_room(struct conn *conn)
{
    load_frame_more(conn_arg(conn), clock_ns());
}

/* --- replies --- */

/* When the bytes of this frame were read. */
static inline uint64_t read_ns(struct load_worker *worker, const struct load_slot *slot,
                               const struct conn *conn, const struct life *life, size_t n)
{
    bool another = worker->batch_conn != conn || worker->batch_bytes != life->bytes_in;

    if (another)
        worker->batch_sent = slot->sent;
    if (another || n >= LARGE_BODY) {
        worker->batch_conn = conn;
        worker->batch_bytes = life->bytes_in;
        worker->now_ns = clock_ns();
        if (worker->now_ns - worker->quiet_since_ns >= LOAD_SILENCE_NS && worker->owed > 0)
            load_silence_note(worker, worker->now_ns);
        worker->quiet_since_ns = worker->now_ns;
    }
    return worker->now_ns;
}

static inline void note_reply(struct load_worker *worker, const struct load_plan *plan,
                              uint64_t meant_ns, uint64_t sent_ns, uint64_t now_ns)
{
    if (meant_ns < plan->counted_ns)
        return;
    worker->result.replies++;
    histogram_record(worker->round_trip, now_ns - meant_ns);
    if (plan->shape.rate > 0)
        histogram_record(worker->result.stages[STAGE_FROM_SEND], now_ns - sent_ns);
}

static void first_reply(struct load_slot *slot, uint64_t took_ns)
{
    histogram_record(load_slot_worker(slot)->result.stages[STAGE_FIRST_FRAME], took_ns);
    load_conn_off_the_way(slot);
}

static inline void on_reply(struct load_slot *slot, const struct life *life, uint64_t now_ns,
                            const uint8_t *body, size_t n)
{
    struct load_worker *worker = load_slot_worker(slot);
    const struct load_plan *plan = &worker->load->plan;
    uint64_t connection = load_slot_connection(slot), number = slot->sent - slot->in_flight;
    uint64_t sent_ns = load_send_ns(slot, number), meant_ns = sent_ns;
    size_t at;

    if (plan->shape.rate > 0)
        meant_ns = schedule_frame_ns(&plan->schedule, connection, number);
    slot->in_flight--;
    worker->owed--;
    worker->replied++;
    note_reply(worker, plan, meant_ns, sent_ns, now_ns);
    if (plan->shape.expect == EXPECT_ECHO &&
        !payload_equal(plan->payload, connection, number, body, n, &at)) {
        load_differ_tell(slot, number, body, n, at);
        return;
    }
    if (life->accepted == 1)
        first_reply(slot, now_ns - sent_ns);
    send_more(slot, plan, connection, now_ns);
    if (slot->in_flight == 0 && slot->state == SLOT_OPEN &&
        (worker->stopping || !has_life(slot, plan)))
        load_conn_finish(slot, "all its frames are answered");
}

/* Whether it came before the frame was sent that is the next to be answered. Compared replies tell
 * by what they say. */
static inline bool is_early(const struct load_worker *worker, const struct load_slot *slot)
{
    return slot->sent - slot->in_flight >= worker->batch_sent &&
           worker->load->plan.shape.expect == EXPECT_ANY;
}

void load_frame_came(struct conn *conn, const uint8_t *body, size_t n)
{
    struct load_slot *slot = conn_arg(conn);
    struct load_worker *worker = load_slot_worker(slot);
    const struct life *life = conn_life(conn);
    uint64_t now_ns = read_ns(worker, slot, conn, life, n);

    if (slot->in_flight > 0 && !is_early(worker, slot))
        on_reply(slot, life, now_ns, body, n);
    else if (worker->load->plan.answers)
        load_differ_unasked(slot);
    else if (worker->producing && now_ns >= worker->load->plan.counted_ns)
        worker->result.replies++;
}
