#include "config.h"

#include "result_judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

#define MEND_BYTES 320
#define LIMITED "; but the client was the limit"

/* --- texts --- */

static void __attribute__((format(printf, 3, 0)))
add(char *buf, size_t size, const char *format, va_list arguments)
{
    size_t used = strlen(buf);
    vsnprintf(buf + used, size - used, format, arguments);
}

void result_evidence(struct result *result, const char *format, ...)
{
    va_list arguments;
    result->verdict.evidence[0] = '\0';
    va_start(arguments, format);
    add(result->verdict.evidence, sizeof result->verdict.evidence, format, arguments);
    va_end(arguments);
}

void result_evidence_add(struct result *result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(result->verdict.evidence, sizeof result->verdict.evidence, format, arguments);
    va_end(arguments);
}

void result_try(struct result *result, const char *format, ...)
{
    va_list arguments;
    result->verdict.try_[0] = '\0';
    va_start(arguments, format);
    add(result->verdict.try_, sizeof result->verdict.try_, format, arguments);
    va_end(arguments);
}

static void at_stage(struct result *result, enum phase phase)
{
    snprintf(result->verdict.stage, sizeof result->verdict.stage, "%s", phase_name(phase));
}

uint64_t result_share_ns(const struct result *result, enum result_stage stage, double share)
{
    uint64_t ns = 0;
    const struct histogram *h = result->stages[stage];
    if (h == NULL || !histogram_percentile(h, share, &ns))
        return 0;
    return ns;
}

/* --- failures --- */

/* Connections that have ended, however. */
static uint64_t ended(const struct result *result)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < FATE_COUNT; i++)
        n += result->fates[i];
    return n;
}

/* The first failure in the table's order. FATE_CLEAN: none. */
static enum fate worst(const struct result *result)
{
    for (unsigned i = 0; i < FATE_COUNT; i++) {
        bool is_there = result->fates[i] > 0 || (i == FATE_DIFFERED && result->differed > 0);
        if (is_there && fate_row((enum fate)i)->is_error)
            return (enum fate)i;
    }
    if (result->lost > 0)
        return FATE_UNANSWERED;
    return result->surplus > 0 ? FATE_DIFFERED : FATE_CLEAN;
}

/* Where a fate is met, if no life says so. */
static enum phase usual_phase(enum fate fate)
{
    if (fate == FATE_RESOLVE_FAILED || fate == FATE_RESOLVE_TIMEOUT)
        return PHASE_RESOLVE;
    if (fate == FATE_NO_DESCRIPTOR)
        return PHASE_CREATE;
    if (fate == FATE_NO_PORT || fate == FATE_REFUSED || fate == FATE_UNREACHABLE ||
        fate == FATE_CONNECT_TIMEOUT)
        return PHASE_CONNECT;
    if (fate == FATE_LINGER_TIMEOUT)
        return PHASE_LINGER;
    return fate == FATE_DRAIN_TIMEOUT ? PHASE_DRAIN : PHASE_TRANSFER;
}

static void how_many(struct result *result, enum fate fate)
{
    char n[UNITS_TEXT], all[64];
    uint64_t of = ended(result);
    if (fate == FATE_DIFFERED) {
        result_evidence(result, "%s of %s replies %s not what was sent",
                        units_text_count(n, result->differed),
                        units_text_count(all, result->equal + result->differed),
                        result->differed == 1 ? "is" : "are");
    } else if (result->fates[fate] < of) {
        result_evidence(result, "%s of %s", units_text_count(n, result->fates[fate]),
                        units_plural(all, sizeof all, of, "connection"));
    } else if (of > 1) {
        result_evidence(result, "all %s", units_plural(all, sizeof all, of, "connection"));
    }
}

static void lost(struct result *result)
{
    char n[UNITS_TEXT], sent[64];
    if (result->lost > 0)
        result_evidence_add(result, "; %s of %s lost", units_text_count(n, result->lost),
                            units_plural(sent, sizeof sent, result->sent, "frame"));
}

/* The first life that failed so speaks for the others. */
static void first_of_them(struct result *result, enum fate fate, enum phase *phase)
{
    bool known = result->failure_fate == fate && result->fates[fate] > 0;
    const char *detail = known ? result->failure_detail : "";
    if (fate == FATE_DIFFERED && result->differed_detail[0] != '\0')
        detail = result->differed_detail;
    if (known)
        *phase = result->failure_phase;
    if (detail[0] == '\0')
        detail = fate_row(fate)->meaning;
    result_evidence_add(result, "%s%s", result->verdict.evidence[0] != '\0' ? "; the first: " : "",
                        detail);
    if (known && result->failure_mend[0] != '\0')
        result_try(result, "%s", result->failure_mend);
    else if (fate == FATE_DIFFERED)
        result_try(result, "--expect any, if the peer is not to echo");
}

/* Replies in order are told from others by their number only: with more of them than frames, none
 * can be said to answer a certain one. */
static void too_many(struct result *result)
{
    char n[64], sent[UNITS_TEXT];
    result_evidence(result, "%s came that answer%s none of the %s sent: round trips cannot be told",
                    units_plural(n, sizeof n, result->surplus, "frame"),
                    result->surplus == 1 ? "s" : "", units_text_count(sent, result->sent));
    result_try(result, "a framing in which one reply is one frame (-F); or --expect none");
}

static void failed(struct result *result, enum fate fate)
{
    enum phase phase = usual_phase(fate);
    result->verdict.fate = fate;
    if (fate == FATE_UNANSWERED && result->fates[fate] == 0) {
        char n[UNITS_TEXT], all[64];
        result_evidence(result, "%s of %s sent had no reply", units_text_count(n, result->lost),
                        units_plural(all, sizeof all, result->sent, "frame"));
        result_try(result, "--expect none, if the peer does not answer each frame");
    } else if (fate == FATE_DIFFERED && result->fates[fate] == 0 && result->differed == 0) {
        too_many(result);
    } else {
        how_many(result, fate);
        first_of_them(result, fate, &phase);
        lost(result);
    }
    at_stage(result, phase);
}

/* --- nothing wrong --- */

static void frames_ok(struct result *result)
{
    char n[UNITS_TEXT], all[64];
    switch (result->shape.expect) {
    case EXPECT_ECHO:
        result_evidence(result, "%s of %s equal", units_text_count(n, result->equal),
                        units_plural(all, sizeof all, result->sent, "frame"));
        break;
    case EXPECT_ANY:
        result_evidence(result, "%s of %s answered", units_text_count(n, result->replies),
                        units_plural(all, sizeof all, result->sent, "frame"));
        break;
    case EXPECT_NONE:
        result_evidence(result, "%s sent", units_plural(all, sizeof all, result->sent, "frame"));
        break;
    case EXPECT_STREAM:
        result_evidence(result, "%s received",
                        units_plural(all, sizeof all, result->replies, "frame"));
        break;
    }
}

static void ok(struct result *result)
{
    char n[64];
    uint64_t clean = result->fates[FATE_CLEAN];
    result->verdict.fate = FATE_CLEAN;
    if (result->sent + result->replies > 0)
        frames_ok(result);
    result_evidence_add(result, "%s%s closed clean",
                        result->verdict.evidence[0] != '\0' ? ", " : "",
                        units_plural(n, sizeof n, clean, "connection"));
    if (result->measured_us == 0 && result->shape.omit_us > 0 && clean > 0)
        result_evidence_add(result, "; nothing was counted: it ended within --omit");
}

/* Figures of a client at its limit say little of the peer. (The words are in its own line.) */
static void doubt(struct result *result, const char *mend)
{
    if (!result->client_limited)
        return;
    result_evidence_add(result, LIMITED);
    result_try(result, "%s", mend);
}

void result_judge(struct result *result)
{
    char mend[MEND_BYTES];
    memset(&result->verdict, 0, sizeof result->verdict);
    result_limits(result, mend, sizeof mend);
    enum fate fate = worst(result);
    if (fate != FATE_CLEAN) {
        failed(result, fate);
    } else if (result_stalled(result)) {
        uint64_t late_ns;
        if (result->client_limited && !result_own_pause(result, &late_ns))
            result_evidence_add(result, LIMITED);
    } else {
        if (!result_slow(result))
            ok(result);
        doubt(result, mend);
    }
    result->exit_status = fate_row(result->verdict.fate)->exit_status;
}
