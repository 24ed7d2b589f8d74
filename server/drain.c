#include "config.h"

#include "drain.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "units.h"

static void cut(struct drain *drain, enum fate fate)
{
    char n[40];

    if (crew_open(drain->crew) == 0)
        return;
    drain->cut = true;
    drain->cut_fate = fate;
    deadline_unset(&drain->limit);
    log_line(LOG_LEVEL_NOTE, "%s: cutting %s",
             fate == FATE_DRAIN_TIMEOUT ? "--drain-timeout has passed" : "second signal",
             units_plural(n, sizeof n, crew_open(drain->crew), "connection"));
    drain->told = crew_cut(drain->crew, fate) == 0;
}

static void limit_passed(struct deadline *deadline)
{
    cut((struct drain *)((char *)deadline - offsetof(struct drain, limit)), FATE_DRAIN_TIMEOUT);
}

static void tell_beginning(const struct drain *drain, int signal_number)
{
    const char *name = signal_number == SIGINT ? "SIGINT" : "SIGTERM";
    const char *again = signal_number == SIGINT ? "^C again" : "a second one";
    char n[UNITS_TEXT], limit[UNITS_TEXT], most[60] = "without a limit";

    if (drain->began_with == 0) {
        log_line(LOG_LEVEL_NOTE, "%s: no connection is open", name);
        return;
    }
    if (drain->limit_us > 0)
        snprintf(most, sizeof most, "at most %s", units_text_duration(limit, drain->limit_us));
    log_line(LOG_LEVEL_NOTE, "%s: no new connections, draining %s, %s; %s cuts them", name,
             units_text_count(n, drain->began_with), most, again);
}

static void begin(struct drain *drain, int signal_number)
{
    drain->begun = true;
    drain->began_us = clock_us();
    drain->timeouts = crew_sum(drain->crew).fates[FATE_DRAIN_TIMEOUT];
    /* From here on the last one to close says so. */
    atomic_store(&drain->crew->tells_empty, true);
    acceptor_stop(drain->acceptor);
    drain->began_with = crew_open(drain->crew);
    tell_beginning(drain, signal_number);
    if (drain->acceptor->left_in_queue > 0)
        log_line(LOG_LEVEL_ERROR, "%u more stood in the accept queue and are reset",
                 drain->acceptor->left_in_queue);
    if (deadline_set(drain->loop, &drain->limit, drain->limit_us, limit_passed) < 0)
        log_line(LOG_LEVEL_ERROR, "no memory for the drain's deadline");
    drain->told = crew_drain(drain->crew) == 0;
    if (drain->began_with == 0)
        drain->crew->empty(drain->crew->arg);
}

void drain_signal(struct drain *drain, int signal_number)
{
    if (!drain->begun)
        begin(drain, signal_number);
    else if (!drain->cut)
        cut(drain, FATE_ABORTED);
}

static int left_text(char *buf, size_t size, const struct left *left)
{
    char text[UNITS_TEXT];

    if (left->unsent_bytes > 0)
        return snprintf(buf, size, "#%" PRIu64 " has %s unsent", left->number,
                        units_text_bytes(text, left->unsent_bytes));
    return snprintf(buf, size, "#%" PRIu64 " in %s for %s", left->number, phase_name(left->phase),
                    units_text_duration(text, left->for_us));
}

static void tell_left(const struct left *left, unsigned count, void *arg)
{
    const struct drain *drain = arg;
    uint64_t open = crew_open(drain->crew);
    char text[300] = "", closed[UNITS_TEXT], n[UNITS_TEXT];
    size_t used = 0;

    if (open == 0)
        return;
    for (unsigned i = 0; i < count && used < sizeof text - 1; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", i > 0 ? ", " : ": ");
        if (used < sizeof text)
            used += (size_t)left_text(text + used, sizeof text - used, &left[i]);
    }
    log_line(LOG_LEVEL_NOTE, "%s closed, %s left%s%s",
             units_text_count(closed, drain->began_with - open), units_text_count(n, open), text,
             open > count ? " ..." : "");
}

void drain_turn(struct drain *drain)
{
    if (!drain->begun)
        return;
    if (!drain->told)
        drain->told =
            (drain->cut ? crew_cut(drain->crew, drain->cut_fate) : crew_drain(drain->crew)) == 0;
    if (crew_open(drain->crew) > 0 && clock_us() - drain->began_us >= 1000000)
        crew_ask_left(drain->crew, tell_left, drain);
}
