/* load_silence: stretches of time without a reply on any connection while some were owed: the
 * longest are kept, and at the end those that all workers share are found. */
#include "config.h"

#include "load_internal.h"

/* Frames owed: due by the schedule and not answered, or in flight. */
static uint64_t count_waiting(const struct load_worker *worker, uint64_t now_ns)
{
    uint64_t waiting = worker->owed;

    for (uint32_t i = 0; i < worker->count && worker->load->plan.shape.rate > 0; i++) {
        const struct load_slot *slot = load_slot_at(worker, i);
        uint64_t due = load_send_due_count(slot, now_ns);
        waiting += due > slot->sent ? due - slot->sent : 0;
    }
    return waiting;
}

static uint64_t length_of(const struct load_silence *silence)
{
    return silence->to_ns - silence->from_ns;
}

static struct load_silence *shortest(struct load_worker *worker)
{
    struct load_silence *found = &worker->silences[0];

    for (unsigned i = 1; i < worker->silence_count; i++) {
        struct load_silence *each = &worker->silences[i];
        if (length_of(each) < length_of(found))
            found = each;
    }
    return found;
}

void load_silence_note(struct load_worker *worker, uint64_t now_ns)
{
    uint64_t stopped_ns = worker->stopped_ns;
    struct load_silence *place;

    /* The closes that begin then keep both ends busy: that is no pause of the peer. */
    if (stopped_ns != 0 && now_ns > stopped_ns)
        now_ns = stopped_ns;
    if (worker->quiet_since_ns < worker->load->plan.counted_ns ||
        now_ns < worker->quiet_since_ns + LOAD_SILENCE_NS)
        return;
    uint64_t length_ns = now_ns - worker->quiet_since_ns;
    if (worker->silence_count < LOAD_SILENCES_MAX) {
        place = &worker->silences[worker->silence_count++];
    } else {
        place = shortest(worker);
        if (length_of(place) >= length_ns)
            return;
    }
    *place = (struct load_silence){worker->quiet_since_ns, now_ns, count_waiting(worker, now_ns)};
}

/* What two silences have in common. */
static struct load_silence common(const struct load_silence *a, const struct load_silence *b)
{
    struct load_silence c = {a->from_ns > b->from_ns ? a->from_ns : b->from_ns,
                             a->to_ns < b->to_ns ? a->to_ns : b->to_ns, a->waiting + b->waiting};
    if (c.to_ns < c.from_ns)
        c.to_ns = c.from_ns;
    return c;
}

/* The longest part of `silence` that a silence of each worker from number `i` on covers. */
static struct load_silence longest_common(const struct load *load, unsigned i,
                                          struct load_silence silence)
{
    for (; i < load->worker_count; i++) {
        const struct load_worker *worker = &load->workers[i];
        struct load_silence best = {0, 0, 0};
        for (unsigned k = 0; k < worker->silence_count; k++) {
            struct load_silence each = common(&silence, &worker->silences[k]);
            best = length_of(&each) > length_of(&best) ? each : best;
        }
        silence = best;
    }
    return silence;
}

void load_silence_longest(const struct load *load, struct load_silence *longest)
{
    const struct load_worker *first = &load->workers[0];

    *longest = (struct load_silence){0, 0, 0};
    for (unsigned k = 0; k < first->silence_count; k++) {
        struct load_silence each = longest_common(load, 1, first->silences[k]);
        *longest = length_of(&each) > length_of(longest) ? each : *longest;
    }
}
