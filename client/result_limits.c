#include "config.h"

#include <stdio.h>
#include <string.h>

#include "result_judge.h"
#include "units.h"

#define BUSY 0.95           /* of a processor: beyond it a loop has no time to spare */
#define LAG_NS 1000000      /* a schedule noticed later than this is not the one asked for */
#define LAG_SHARE 2         /* a figure of which more than 1/2 may be the loop's own lateness ... */
#define LAG_FLOOR_NS 100000 /* ... if it is more than a wake-up costs anywhere */
#define STILL_NS 50000000   /* a loop that stood still so long is a pause a person would notice */

/* A doubt in words with figures, and its mend. */
struct doubt {
    char *text, *mend;
    size_t text_size, mend_size;
};

/* --- processors --- */

static unsigned percent(uint64_t used_us, uint64_t of_us)
{
    return of_us > 0 ? (unsigned)((double)used_us * 100 / (double)of_us + 0.5) : 0;
}

/* A loop that spins is always busy, which says nothing. */
static bool is_busy(const struct result *result, uint64_t used_us, uint64_t of_us)
{
    return result->busy_poll_us == 0 && of_us > 0 && (double)used_us > BUSY * (double)of_us;
}

static bool all_processors(const struct result *result, struct doubt *doubt)
{
    uint64_t there_us = result->measured_us * result->processors;
    char processors[48];
    if (!is_busy(result, result->cpu_us, there_us))
        return false;
    snprintf(doubt->text, doubt->text_size, "it used %u %% of the %s it may run on",
             percent(result->cpu_us, there_us),
             units_plural(processors, sizeof processors, result->processors, "processor"));
    snprintf(doubt->mend, doubt->mend_size,
             "a second client on another machine; --merge adds their results up");
    return true;
}

static bool one_loop(const struct result *result, struct doubt *doubt)
{
    if (!is_busy(result, result->busiest_thread_us, result->measured_us))
        return false;
    snprintf(doubt->text, doubt->text_size, "its busiest loop used %u %% of a processor",
             percent(result->busiest_thread_us, result->measured_us));
    if (result->shape.threads < result->processors)
        snprintf(doubt->mend, doubt->mend_size, "-t %u", (unsigned)result->processors);
    else
        snprintf(doubt->mend, doubt->mend_size,
                 "fewer frames/s; or a second client on another machine, and --merge");
    return true;
}

/* --- its schedule --- */

/* How late the loop itself was is part of each latency. */
static bool lag_shows(const struct result *result, double share, uint64_t *lag_ns,
                      uint64_t *figure_ns)
{
    *lag_ns = result_share_ns(result, STAGE_LAG, share);
    *figure_ns = result_share_ns(result, STAGE_ROUND_TRIP, share);
    return *lag_ns > LAG_FLOOR_NS && *figure_ns > 0 && *lag_ns * LAG_SHARE > *figure_ns;
}

static bool schedule(const struct result *result, struct doubt *doubt)
{
    char lag[UNITS_TEXT], round_trip[UNITS_TEXT];
    uint64_t lag_ns, figure_ns, p99_ns = result_share_ns(result, STAGE_LAG, 0.99);
    if (result->shape.rate == 0)
        return false;
    if (lag_shows(result, 0.5, &lag_ns, &figure_ns))
        snprintf(doubt->text, doubt->text_size,
                 "its schedule lagged by %s at p50, of a round trip of %s",
                 units_text_ns(lag, lag_ns), units_text_ns(round_trip, figure_ns));
    else if (lag_shows(result, 0.99, &lag_ns, &figure_ns))
        snprintf(doubt->text, doubt->text_size,
                 "its schedule lagged by %s at p99, of a round trip's p99 of %s",
                 units_text_ns(lag, lag_ns), units_text_ns(round_trip, figure_ns));
    else if (p99_ns > LAG_NS)
        snprintf(doubt->text, doubt->text_size, "its schedule lagged by %s at p99",
                 units_text_ns(lag, p99_ns));
    else
        return false;
    snprintf(doubt->mend, doubt->mend_size,
             "a machine that is less busy, processors of its own (taskset), or --busy-poll");
    return true;
}

/* Its loops stood still while frames were in flight. */
static bool stood_still(const struct result *result, struct doubt *doubt)
{
    char late[UNITS_TEXT];
    uint64_t late_ns;
    if (!result_own_pause(result, &late_ns) || late_ns < STILL_NS)
        return false;
    snprintf(doubt->text, doubt->text_size, "its own loops stood still for up to %s",
             units_text_ns(late, late_ns));
    snprintf(doubt->mend, doubt->mend_size, RESULT_OWN_PAUSE_TRY);
    return true;
}

/* --- descriptors, ports --- */

static bool descriptors(const struct result *result, struct doubt *doubt)
{
    char had[UNITS_TEXT];
    if (result->fates[FATE_NO_DESCRIPTOR] == 0)
        return false;
    snprintf(doubt->text, doubt->text_size, "it used up all %s descriptors",
             units_text_count(had, result->descriptors));
    snprintf(doubt->mend, doubt->mend_size, "ulimit -n, or fewer connections (-c)");
    return true;
}

static bool ports(const struct result *result, struct doubt *doubt)
{
    char waiting[UNITS_TEXT];
    uint64_t ours = result->time_wait[TIME_WAIT_OURS] + result->time_wait[TIME_WAIT_BOTH];
    if (result->fates[FATE_NO_PORT] == 0)
        return false;
    snprintf(doubt->text, doubt->text_size, "it used up its ports, %s of them in TIME_WAIT",
             units_text_count(waiting, ours));
    snprintf(doubt->mend, doubt->mend_size,
             "fewer new connections (--frames-per-conn, --connect-rate), several addresses of the "
             "server, or a wider sysctl net.ipv4.ip_local_port_range");
    return true;
}

void result_limits(struct result *result, char *mend, size_t size)
{
    struct doubt doubt = {result->client_limit, mend, sizeof result->client_limit, size};
    result->client_limit[0] = '\0';
    mend[0] = '\0';
    result->client_limited = descriptors(result, &doubt) || ports(result, &doubt) ||
                             all_processors(result, &doubt) || one_loop(result, &doubt) ||
                             schedule(result, &doubt) || stood_still(result, &doubt);
}
