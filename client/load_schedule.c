#include "config.h"

#include "load_schedule.h"

#define SECOND_NS UINT64_C(1000000000)

uint64_t schedule_place_ns(const struct schedule *s, uint64_t place)
{
    /* Seconds apart, so that the product stays within 64 bits. */
    return s->start_ns + place / s->rate * SECOND_NS + place % s->rate * SECOND_NS / s->rate;
}

uint64_t schedule_frame_ns(const struct schedule *s, uint64_t connection, uint64_t number)
{
    return schedule_place_ns(s, number * s->connections + connection);
}

uint64_t schedule_due(const struct schedule *s, uint64_t now_ns)
{
    if (now_ns < s->start_ns)
        return 0;
    uint64_t ns = now_ns - s->start_ns;
    /* Places whose time, rounded down, is not after this nanosecond. */
    uint64_t part = (ns % SECOND_NS + 1) * s->rate;
    uint64_t due = ns / SECOND_NS * s->rate + part / SECOND_NS + (part % SECOND_NS > 0);
    return due < s->limit ? due : s->limit;
}

uint64_t schedule_share(uint64_t places, uint64_t connections, uint64_t connection)
{
    return places / connections + (connection < places % connections);
}

uint64_t schedule_count(uint64_t rate, uint64_t length_us)
{
    uint64_t part = length_us % 1000000 * rate;
    return length_us / 1000000 * rate + part / 1000000 + (part % 1000000 > 0);
}

uint64_t schedule_cursor_place(const struct schedule_cursor *c, const struct schedule *s)
{
    return c->number * s->connections + c->first + c->index * c->stride;
}

void schedule_cursor_step(struct schedule_cursor *c)
{
    if (++c->index == c->count) {
        c->index = 0;
        c->number++;
    }
}

uint64_t schedule_cursor_passed(const struct schedule_cursor *c, uint64_t index)
{
    return c->number + (index < c->index);
}

uint64_t schedule_cursor_share(const struct schedule_cursor *c, const struct schedule *s,
                               uint64_t places)
{
    uint64_t rest = places % s->connections;
    uint64_t of_rest = rest > c->first ? (rest - c->first - 1) / c->stride + 1 : 0;

    return places / s->connections * c->count + of_rest;
}

uint64_t schedule_cursor_position(const struct schedule_cursor *c)
{
    return c->number * c->count + c->index;
}

void schedule_cursor_go(struct schedule_cursor *c, uint64_t position)
{
    c->number = position / c->count;
    c->index = position % c->count;
}

static uint64_t wait_ns(const struct schedule *s, const struct schedule_cursor *c,
                        uint64_t position, uint64_t at_ns)
{
    uint64_t place =
        position / c->count * s->connections + c->first + position % c->count * c->stride;
    uint64_t due_ns = schedule_place_ns(s, place);

    return at_ns > due_ns ? at_ns - due_ns : 0;
}

void schedule_record_waits(const struct schedule *s, const struct schedule_cursor *c, uint64_t from,
                           uint64_t to, uint64_t at_ns, uint64_t pieces, struct histogram *h)
{
    if (from >= to)
        return;
    uint64_t step = (to - from) / pieces + 1;
    /* Connections that are alike are cut at different places: together they are even again. */
    uint64_t length = 1 + c->first * UINT64_C(2654435761) % step;

    histogram_record(h, wait_ns(s, c, from, at_ns));
    for (uint64_t at = from + 1; at + 1 < to; at += length, length = step) {
        length = length < to - 1 - at ? length : to - 1 - at;
        histogram_record_many(h, wait_ns(s, c, at + length / 2, at_ns), length);
    }
    if (to - from > 1)
        histogram_record(h, wait_ns(s, c, to - 1, at_ns));
}
