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
