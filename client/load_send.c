/* load_send: what is to be sent, and when: shares of a limit, the schedule of an open loop. */
#include "config.h"

#include "load_internal.h"

#include "clock.h"

#define DUE_MOST 4096    /* frames sent in one turn, for the replies' sake */
#define CLOCK_EVERY 64   /* after so many the time is looked up anew */
#define PASS_PIECES 1024 /* values that stand for what is passed over at once */

uint64_t load_send_share(const struct load_slot *slot)
{
    const struct result_shape *shape = &load_slot_worker(slot)->load->plan.shape;

    return schedule_share(shape->count, shape->connections, load_slot_connection(slot));
}

uint64_t load_intended_ns(const struct load_slot *slot, uint64_t number)
{
    const struct schedule *schedule = &load_slot_worker(slot)->load->plan.schedule;

    return schedule->rate == 0 ? load_send_ns(slot, number)
                               : schedule_frame_ns(schedule, load_slot_connection(slot), number);
}

void load_send_forgo(struct load_slot *slot)
{
    struct load_worker *worker = load_slot_worker(slot);

    if (worker->left != UINT64_MAX)
        worker->left -= load_send_limit(slot) - slot->sent;
}

/* Whether a frame went out. */
static bool send_place(struct load_worker *worker, uint64_t due_ns, uint64_t now_ns)
{
    const struct load_plan *plan = &worker->load->plan;
    struct load_slot *slot = load_slot_at(worker, worker->cursor.index);
    uint64_t number = worker->cursor.number;
    bool counted = due_ns >= plan->counted_ns;

    if (counted)
        histogram_record(worker->result.stages[STAGE_LAG], now_ns - due_ns);
    schedule_cursor_step(&worker->cursor);
    /* Behind one that waits for a slot, this one waits too. */
    if (slot->sent != number || !load_frame_may_send(slot) ||
        !load_frame_send(slot, due_ns, now_ns))
        return false;
    worker->at_once += counted;
    load_frame_finish_sent(slot);
    return true;
}

static void set_send_timer(struct load_worker *worker)
{
    const struct schedule *schedule = &worker->load->plan.schedule;
    uint64_t next = schedule_cursor_place(&worker->cursor, schedule);

    if (next < schedule->limit && !worker->stopping)
        timer_set(&worker->send_timer, schedule_place_ns(schedule, next));
}

void load_send_pass(struct load_worker *worker, uint64_t until_ns)
{
    const struct load_plan *plan = &worker->load->plan;
    const struct schedule *schedule = &plan->schedule;
    struct schedule_cursor *cursor = &worker->cursor;
    uint64_t to = schedule_cursor_share(cursor, schedule, schedule_due(schedule, until_ns));
    uint64_t from = schedule_cursor_position(cursor);
    uint64_t counted =
        schedule_cursor_share(cursor, schedule, schedule_due(schedule, plan->counted_ns - 1));

    if (from >= to)
        return;
    schedule_record_waits(schedule, cursor, from > counted ? from : counted, to, clock_ns(),
                          PASS_PIECES, worker->result.stages[STAGE_LAG]);
    schedule_cursor_go(cursor, to);
}

bool load_send_due(struct load_worker *worker, uint64_t until_ns)
{
    const struct schedule *schedule = &worker->load->plan.schedule;
    uint64_t now_ns = clock_ns(), due = schedule_due(schedule, until_ns);
    uint64_t sent = 0, passed = 0, in_vain = 0, passed_most = DUE_MOST + worker->count;

    while (sent < DUE_MOST && passed < passed_most && in_vain < worker->count) {
        uint64_t place = schedule_cursor_place(&worker->cursor, schedule);
        if (place >= due)
            break;
        uint64_t due_ns = schedule_place_ns(schedule, place);
        if (++passed % CLOCK_EVERY == 0)
            now_ns = clock_ns();
        bool went = send_place(worker, due_ns, now_ns > due_ns ? now_ns : due_ns);
        sent += went;
        in_vain = went ? 0 : in_vain + 1;
    }
    /* No connection may send: then none will in this turn, and all that is due waits with them. */
    if (in_vain == worker->count)
        load_send_pass(worker, until_ns);
    set_send_timer(worker);
    return schedule_cursor_place(&worker->cursor, schedule) < due;
}

uint64_t load_send_due_count(const struct load_slot *slot, uint64_t now_ns)
{
    const struct schedule *schedule = &load_slot_worker(slot)->load->plan.schedule;

    return schedule_share(schedule_due(schedule, now_ns), schedule->connections,
                          load_slot_connection(slot));
}
