/* load_admit: which slots may connect, and when: those that wait, in their turn, so many on their
 * way at once (--connecting), so many a second (--connect-rate). */
#include "config.h"

#include "load_internal.h"

#include "clock.h"

#define CATCH_UP_NS 10000000

void load_admit_queue(struct load_slot *slot)
{
    struct load_worker *worker = load_slot_worker(slot);

    slot->state = SLOT_WAITING;
    slot->next = NULL;
    *worker->last_waiting = slot;
    worker->last_waiting = &slot->next;
}

static struct load_slot *next_waiting(struct load_worker *worker)
{
    struct load_slot *slot = worker->first_waiting;

    worker->first_waiting = slot->next;
    if (worker->first_waiting == NULL)
        worker->last_waiting = &worker->first_waiting;
    return slot;
}

/* Whether --connect-rate lets this worker's next connection go; if not, the timer is set. What was
 * missed for want of a place is not made up for, but for CATCH_UP_NS of it, so that a late timer
 * does not lower the rate. */
static bool rate_allows(struct load_worker *worker)
{
    uint64_t rate = worker->load->plan.shape.connect_rate, now_ns;

    if (rate == 0)
        return true;
    now_ns = clock_ns();
    if (worker->connect_due_ns > now_ns) {
        timer_set(&worker->connect_timer, worker->connect_due_ns);
        return false;
    }
    if (worker->connect_due_ns + CATCH_UP_NS < now_ns)
        worker->connect_due_ns = now_ns - CATCH_UP_NS;
    worker->connect_due_ns += worker->cursor.stride * 1000000000 / rate;
    return true;
}

void load_admit(void *arg)
{
    struct load_worker *worker = arg;

    while (worker->first_waiting != NULL && worker->on_their_way < worker->on_their_way_most &&
           rate_allows(worker))
        load_conn_dial(next_waiting(worker));
}

void load_admit_all(void *arg)
{
    struct load_worker *worker = arg;
    uint64_t rate = worker->load->plan.shape.connect_rate;

    worker->connect_due_ns = clock_ns() + (rate > 0 ? worker->number * 1000000000 / rate : 0);
    for (uint32_t i = 0; i < worker->count && !worker->stopping; i++)
        load_admit_queue(load_slot_at(worker, i));
    load_worker_look(worker);
}

void load_admit_nobody(struct load_worker *worker)
{
    while (worker->first_waiting != NULL)
        next_waiting(worker)->state = SLOT_GONE;
}
