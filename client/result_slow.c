#include "config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "result_figures.h"
#include "result_judge.h"
#include "units.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)

/* A silence is told where it is long enough for a person to notice, or where so many of a hundred
 * frames waited in it that it is what the p99 says. */
#define STALL_US 50000
#define STALL_PERCENT 1
/* A tail is told where it is so many times the median, and long enough for a person to notice. */
#define TAIL_TIMES 10
#define TAIL_NS (20 * MS)
/* A maximum, where there are too few for a p99, is one sample: it must say more. */
#define MAX_TIMES 20
#define MAX_NS (200 * MS)
/* A stage's median against that of a round trip. */
#define MEDIAN_TIMES 10
#define MEDIAN_NS (20 * MS)
/* At the end all connections close at once, which keeps both ends busy for so long each. */
#define CLOSE_NS 100000
/* A SYN without an answer is sent again after whole seconds (RFC 6298, 5.7; Linux: 1, 3, 7 s, since
 * 6.5 each second at first), so connects then take these and a round trip. */
#define SYN_LAST_S 15
#define SYN_ROUND_TRIP_NS (150 * MS)
/* The rate is missed when so many of a hundred are. */
#define RATE_PERCENT 1
#define RATE_OVER_US 200000 /* the first and the last frame's places matter in less */

static void slow_at(struct result *result, enum phase phase)
{
    result->verdict.fate = FATE_CLEAN;
    result->verdict.slow = true;
    snprintf(result->verdict.stage, sizeof result->verdict.stage, "%s", phase_name(phase));
}

/* The wall clock's time of day, to be looked up in a log. */
static const char *time_of_day(char *buf, size_t size, uint64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    char at[16];
    struct tm tm;
    localtime_r(&seconds, &tm);
    strftime(at, sizeof at, "%H:%M:%S", &tm);
    snprintf(buf, size, "%s.%u", at, (unsigned)(wall_us / 100000 % 10));
    return buf;
}

/* --- a silence of the peer as a whole --- */

bool result_own_pause(const struct result *result, uint64_t *late_ns)
{
    uint64_t length_us = result->stall.to_us - result->stall.from_us;

    *late_ns = result_share_ns(result, STAGE_LAG, 1.0);
    return length_us > 0 && *late_ns / 1000 * 2 > length_us;
}

bool result_stalled(struct result *result)
{
    const struct result_stall *stall = &result->stall;
    char from[UNITS_TEXT], to[UNITS_TEXT], late[UNITS_TEXT], waiting[64], at[32];
    if (stall->to_us == 0 || (stall->to_us - stall->from_us < STALL_US &&
                              stall->waiting * 100 < result->sent * STALL_PERCENT))
        return false;
    uint64_t late_ns;
    slow_at(result, PHASE_TRANSFER);
    result_evidence(result, "no reply on any connection from %s to %s; %s waited",
                    units_text_duration(from, stall->from_us),
                    units_text_duration(to, stall->to_us),
                    units_plural(waiting, sizeof waiting, stall->waiting, "frame"));
    /* A pause of this machine looks the same, but for its own loops being late by as much. */
    if (result_own_pause(result, &late_ns)) {
        result_evidence_add(result, "; this client itself was late by up to %s",
                            units_text_ns(late, late_ns));
        result_try(result, "%s", RESULT_OWN_PAUSE_TRY);
    } else {
        result_try(result, "the peer paused as a whole (collector, lock, SIGSTOP): its log at %s",
                   time_of_day(at, sizeof at, stall->wall_us));
    }
    return true;
}

/* --- SYNs sent again --- */

static uint64_t count_from_to(const struct histogram *h, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t n = 0;
    unsigned last = histogram_bucket(to_ns);
    for (unsigned i = histogram_bucket(from_ns); i <= last; i++)
        n += h->buckets[i];
    return n;
}

/* Connects that took as long as one after a lost SYN does; 0 if they are not most of those that
 * took long. */
static uint64_t whole_seconds(const struct histogram *h)
{
    uint64_t n = 0;
    for (unsigned s = 1; s <= SYN_LAST_S; s++)
        n += count_from_to(h, s * SECOND, s * SECOND + SYN_ROUND_TRIP_NS);
    return n * 2 > count_from_to(h, SECOND / 2, UINT64_MAX) ? n : 0;
}

/* "on HOST, ss -ltn 'sport = :PORT'", as far as the target is such. */
static void accept_queue(struct result *result)
{
    char host[sizeof result->target];
    snprintf(host, sizeof host, "%s", result->target);
    char *cut = strrchr(host, ' ');
    cut = cut != NULL ? cut : strrchr(host, ':');
    const char *port = cut != NULL ? cut + 1 : "";
    if (cut != NULL)
        *cut = '\0';
    result_try(result,
               "on %s, ss -ltn%s%s%s (Recv-Q > Send-Q: accept queue full; a larger backlog, or a "
               "smaller --connecting); else packet loss",
               cut != NULL && host[0] != '\0' ? host : "the server", *port ? " 'sport = :" : "",
               port, *port ? "'" : "");
}

static bool syn_again(struct result *result)
{
    const struct histogram *h = result->stages[STAGE_CONNECT];
    char n[UNITS_TEXT], all[64], max[UNITS_TEXT], min[UNITS_TEXT];
    if (h == NULL || h->max_ns < SECOND || h->min_ns > SECOND / 2)
        return false;
    uint64_t again = whole_seconds(h);
    if (again == 0)
        return false;
    slow_at(result, PHASE_CONNECT);
    result_evidence(
        result, "%s of %s took whole seconds, as a SYN sent again does: up to %s (the fastest %s)",
        units_text_count(n, again), units_plural(all, sizeof all, h->count, "connect"),
        units_text_ns(max, h->max_ns), units_text_ns(min, h->min_ns));
    accept_queue(result);
    return true;
}

/* --- an open loop behind its schedule --- */

static bool missed_rate(const struct result *result, double *got)
{
    uint64_t due = result->sent + result->due_not_sent;
    *got = result_frames_per_s(result);
    return result->due_not_sent * 100 > due * RATE_PERCENT ||
           (result->shape.count == 0 && result->measured_us >= RATE_OVER_US &&
            *got < (double)result->shape.rate * (100 - RATE_PERCENT) / 100);
}

/* What so many in flight can carry at this round trip. */
static void in_flight(struct result *result)
{
    uint64_t p50_ns = result_share_ns(result, STAGE_FROM_SEND, 0.5);
    uint64_t places = result->shape.connections * result->shape.pipeline;
    char n[64], p50[UNITS_TEXT], carried[UNITS_TEXT], wait[UNITS_TEXT];
    uint64_t wait_ns = result_share_ns(result, STAGE_SLOT_WAIT, 1.0);
    if (wait_ns > 0)
        result_evidence_add(result, "; they waited up to %s for a place in flight",
                            units_text_ns(wait, wait_ns));
    if (p50_ns == 0)
        return;
    result_try(result, "a faster peer, or more in flight (-P, -c): %s at p50 %s carry %s/s",
               units_plural(n, sizeof n, places, "frame"), units_text_ns(p50, p50_ns),
               units_text_count(carried, (uint64_t)((double)places * 1e9 / (double)p50_ns)));
}

static bool behind(struct result *result)
{
    double got;
    char n[UNITS_TEXT], asked[UNITS_TEXT], left[64];
    if (result->shape.rate == 0 || result->measured_us == 0 || !missed_rate(result, &got))
        return false;
    slow_at(result, PHASE_TRANSFER);
    result_evidence(result, "%s frames/s of %s asked", units_text_count(n, (uint64_t)(got + 0.5)),
                    units_text_count(asked, result->shape.rate));
    if (result->due_not_sent > 0)
        result_evidence_add(result, "; %s due and never sent",
                            units_plural(left, sizeof left, result->due_not_sent, "frame"));
    in_flight(result);
    return true;
}

/* --- a stage that stands out --- */

struct stage_row {
    enum result_stage stage;
    enum phase phase;
    const char *median; /* why its median may be long, for a person to try */
    const char *tail;   /* and its tail */
};

static const struct stage_row rows[] = {
    {STAGE_CONNECT, PHASE_CONNECT,
     "the peer accepts late: one thread that does all, or a full queue",
     "a smaller --connecting: bursts of SYNs wait in the peer's accept queue"},
    {STAGE_FIRST_FRAME, PHASE_TRANSFER,
     "the peer accepts late, or sets something up for each connection (a session, a lookup)",
     "the peer accepts some late, or sets something up for each connection: a smaller "
     "--connecting, "
     "or --connect-rate"},
    {STAGE_ROUND_TRIP, PHASE_TRANSFER, "",
     "the peer's pauses (collector, locks, disk), or loss on the way: --json has each interval"},
    {STAGE_DRAIN_LINGER, PHASE_LINGER, "the peer closes late at our FIN: does it read to its end?",
     "the peer closes some late at our FIN: on it, ss -tn state close-wait"},
};

/* What a stage may take without being slow. */
static uint64_t allowed_ns(const struct result *result, enum result_stage stage, uint64_t ns)
{
    return stage == STAGE_DRAIN_LINGER ? ns + result->shape.connections * CLOSE_NS : ns;
}

/* How far the tail is from the median, if that is far. */
static uint64_t tail_ns(const struct result *result, enum result_stage stage, const char **name,
                        uint64_t *at_ns)
{
    uint64_t p50_ns = result_share_ns(result, stage, 0.5);
    *name = "p99";
    *at_ns = result_share_ns(result, stage, 0.99);
    if (*at_ns == 0) {
        *name = "max";
        *at_ns = result_share_ns(result, stage, 1.0);
        return *at_ns > allowed_ns(result, stage, MAX_NS) && *at_ns > MAX_TIMES * p50_ns
                   ? *at_ns - p50_ns
                   : 0;
    }
    return *at_ns > allowed_ns(result, stage, TAIL_NS) && *at_ns > TAIL_TIMES * p50_ns
               ? *at_ns - p50_ns
               : 0;
}

static bool long_tail(struct result *result)
{
    const struct stage_row *far = NULL;
    uint64_t farthest_ns = 0, far_at_ns = 0;
    const char *far_name = "";
    char at[UNITS_TEXT], p50[UNITS_TEXT];
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *name;
        uint64_t at_ns, ns = tail_ns(result, rows[i].stage, &name, &at_ns);
        if (ns > farthest_ns) {
            far = &rows[i];
            farthest_ns = ns;
            far_at_ns = at_ns;
            far_name = name;
        }
    }
    if (far == NULL)
        return false;
    slow_at(result, far->phase);
    result_evidence(result, "%s %s %s, far above its p50 of %s", result_stage_label(far->stage),
                    far_name, units_text_ns(at, far_at_ns),
                    units_text_ns(p50, result_share_ns(result, far->stage, 0.5)));
    result_try(result, "%s", far->tail);
    return true;
}

static bool slow_median(struct result *result)
{
    uint64_t round_trip_ns = result_share_ns(result, STAGE_ROUND_TRIP, 0.5);
    char p50[UNITS_TEXT], other[UNITS_TEXT];
    if (round_trip_ns == 0)
        return false;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t p50_ns = result_share_ns(result, rows[i].stage, 0.5);
        if (p50_ns < allowed_ns(result, rows[i].stage, MEDIAN_NS) ||
            p50_ns < MEDIAN_TIMES * round_trip_ns)
            continue;
        slow_at(result, rows[i].phase);
        result_evidence(result, "%s p50 %s, where a round trip takes %s",
                        result_stage_label(rows[i].stage), units_text_ns(p50, p50_ns),
                        units_text_ns(other, round_trip_ns));
        result_try(result, "%s", rows[i].median);
        return true;
    }
    return false;
}

bool result_slow(struct result *result)
{
    return syn_again(result) || behind(result) || slow_median(result) || long_tail(result);
}
