#include "config.h"

#include "results.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define US 1000ULL /* in nanoseconds */
#define MS 1000000ULL

void results_fill(struct result *result, enum result_stage stage, uint64_t n, uint64_t low_ns,
                  uint64_t span_ns)
{
    struct histogram *h = result_stage(result, stage);
    ck_assert(h);
    for (uint64_t i = 0; i < n; i++)
        histogram_record(h, low_ns + span_ns * i / n);
}

void results_intervals(struct result *result, size_t n, uint64_t p50_ns, uint64_t p99_ns,
                       unsigned noise_percent)
{
    result->intervals = calloc(n, sizeof *result->intervals);
    ck_assert(result->intervals);
    result->interval_count = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t percent = 100 + (i % 2) * noise_percent;
        result->intervals[i] = (struct result_interval){
            .from_us = i * 1000000,
            .to_us = (i + 1) * 1000000,
            .sent = result->sent / n,
            .replies = result->replies / n,
            .open = result->shape.connections,
            .p50_ns = p50_ns * percent / 100,
            .p99_ns = p99_ns * percent / 100,
        };
    }
}

/* What all of them have in common. */
static void begin(struct result *result, uint64_t connections, uint64_t seconds)
{
    result_init(result);
    strcpy(result->target, "broker-1:9000");
    strcpy(result->address, "10.0.4.17:9000");
    strcpy(result->shape.codec, "u32be");
    result->shape.connections = connections;
    result->shape.connecting = 64;
    result->shape.pipeline = 1;
    result->shape.size_bytes = 64;
    result->shape.duration_us = seconds * 1000000;
    result->shape.threads = 2;
    result->start_wall_us = 1795350127000000;
    result->measured_us = seconds * 1000000;
    result->up_us = 41200;
    result->opened = connections;
    result->fates[FATE_CLEAN] = connections;
    result->closed_first[FIRST_LOCAL] = connections;
    result->time_wait[TIME_WAIT_OURS] = connections;
    result->cpu_us = seconds * 760000;
    result->busiest_thread_us = seconds * 400000;
    result->processors = 2;
    result->descriptors = 20000;
}

static void count_frames(struct result *result, uint64_t frames, uint64_t bytes)
{
    result->sent = result->replies = result->equal = frames;
    result->bytes_out = result->bytes_in = frames * bytes;
}

static void ends(struct result *result, uint64_t n)
{
    results_fill(result, STAGE_CONNECT, n, 203 * US, 700 * US);
    results_fill(result, STAGE_DRAIN_LINGER, n, 201 * US, 400 * US);
}

void results_closed(struct result *result)
{
    begin(result, 64, 3);
    count_frames(result, 637035, 68);
    ends(result, 64);
    results_fill(result, STAGE_FIRST_FRAME, 64, 181 * US, 300 * US);
    results_fill(result, STAGE_ROUND_TRIP, 637035, 98765, 400000);
    results_fill(result, STAGE_LAG, 2000, 900, 15000);
    results_intervals(result, 3, 221 * US, 290 * US, 2);
    strcpy(result->verdict.evidence, "637,035 of 637,035 frames equal, closed clean");
}

void results_open(struct result *result)
{
    begin(result, 1000, 10);
    result->shape.rate = 50000;
    count_frames(result, 500000, 68);
    ends(result, 1000);
    results_fill(result, STAGE_FIRST_FRAME, 1000, 181 * US, 1240 * US);
    results_fill(result, STAGE_ROUND_TRIP, 491000, 174 * US, 110 * US);
    results_fill(result, STAGE_ROUND_TRIP, 9000, 280 * US, 179 * MS);
    results_fill(result, STAGE_FROM_SEND, 499000, 174 * US, 110 * US);
    results_fill(result, STAGE_FROM_SEND, 1000, 280 * US, 179 * MS);
    results_fill(result, STAGE_SLOT_WAIT, 8000, 0, 178 * MS);
    results_fill(result, STAGE_LAG, 500000, 1200, 13000);
    histogram_record(result_stage(result, STAGE_LAG), 61234);
    results_intervals(result, 10, 221 * US, 290 * US, 3);
    result->intervals[6].p99_ns = 173 * MS;
    result->stall = (struct result_stall){6200000, 6380000, 9000, 1795350133600000};
    result->verdict.slow = true;
    strcpy(result->verdict.stage, "transfer");
    strcpy(result->verdict.evidence,
           "no reply on any connection from 6.20 s to 6.38 s; 9,000 frames waited");
    strcpy(result->verdict.try_,
           "the peer paused as a whole (collector, lock, SIGSTOP): its log at 14:02:13.6");
}

void results_none(struct result *result)
{
    begin(result, 1, 10);
    result->shape.expect = EXPECT_NONE;
    result->shape.size_bytes = 65536;
    result->sent = 1720000;
    result->bytes_out = result->sent * 65540;
    results_fill(result, STAGE_CONNECT, 1, 203 * US, 0);
    results_fill(result, STAGE_DRAIN_LINGER, 1, 1201 * US, 0);
    results_intervals(result, 10, 0, 0, 0);
    strcpy(result->verdict.evidence, "1,720,000 frames sent and acknowledged, closed clean");
}

void results_stream(struct result *result)
{
    begin(result, 4, 10);
    result->shape.expect = EXPECT_STREAM;
    result->shape.omit_us = 1000000;
    result->replies = 3000000;
    result->bytes_in = result->replies * 68;
    result->closed_first[FIRST_LOCAL] = 3;
    result->closed_first[FIRST_PEER] = 1;
    result->time_wait[TIME_WAIT_OURS] = 3;
    result->time_wait[TIME_WAIT_THEIRS] = 1;
    ends(result, 4);
    results_intervals(result, 10, 0, 0, 0);
    strcpy(result->verdict.evidence, "3,000,000 frames received, closed clean");
}

void results_failures(struct result *result)
{
    begin(result, 20, 2);
    result->shape.connect_rate = 500;
    result->shape.pipeline = 8;
    result->shape.rate = 100;
    result->opened = 18;
    result->failed = 6;
    result->sent = 150;
    result->replies = 140;
    result->equal = 139;
    result->differed = 1;
    result->lost = 10;
    result->due_not_sent = 50;
    result->bytes_out = 150 * 68;
    result->bytes_in = 140 * 68;
    result->fates[FATE_CLEAN] = 14;
    result->fates[FATE_CONNECT_TIMEOUT] = 2;
    result->fates[FATE_RESET] = 3;
    result->fates[FATE_DIFFERED] = 1;
    result->closed_first[FIRST_LOCAL] = 12;
    result->closed_first[FIRST_BOTH] = 2;
    result->time_wait[TIME_WAIT_OURS] = 12;
    result->time_wait[TIME_WAIT_BOTH] = 2;
    results_fill(result, STAGE_CONNECT, 18, 203 * US, 700 * US);
    results_fill(result, STAGE_FIRST_FRAME, 18, 181 * US, 300 * US);
    results_fill(result, STAGE_ROUND_TRIP, 140, 198765, 400000);
    results_fill(result, STAGE_FROM_SEND, 140, 178765, 400000);
    results_fill(result, STAGE_DRAIN_LINGER, 14, 201 * US, 400 * US);
    results_fill(result, STAGE_LAG, 150, 900, 15000);
    result->client_limited = true;
    strcpy(result->client_limit, "its processor: 99 % of one");
    result->failure_fate = FATE_CONNECT_TIMEOUT;
    result->failure_phase = PHASE_CONNECT;
    strcpy(result->failure_detail, "no answer to the handshake in 1.00 s");
    strcpy(result->failure_mend, "--connect-timeout 30s");
    strcpy(result->differed_detail, "connection 7, frame 3: at byte 16 00, not 78");
    result->verdict.fate = FATE_CONNECT_TIMEOUT;
    strcpy(result->verdict.stage, "connect");
    strcpy(result->verdict.evidence,
           "2 of 20 connections, the first with no answer to the handshake in 1.00 s; 3 more were "
           "reset, and 1 of 140 replies differed from what was sent");
    strcpy(result->verdict.try_, "--connect-timeout 30s");
    result->exit_status = 28;
}

void results_refused(struct result *result)
{
    begin(result, 10, 0);
    result->opened = result->fates[FATE_CLEAN] = 0;
    result->closed_first[FIRST_LOCAL] = result->time_wait[TIME_WAIT_OURS] = 0;
    result->failed = result->fates[FATE_REFUSED] = 10;
    result->start_wall_us = 0;
    result->failure_fate = FATE_REFUSED;
    result->failure_phase = PHASE_CONNECT;
    result->verdict.fate = FATE_REFUSED;
    strcpy(result->verdict.stage, "connect");
    strcpy(result->verdict.evidence, "10 of 10 connections");
    strcpy(result->verdict.try_, "is the server running?");
    result->exit_status = 7;
}

void results_churn(struct result *result)
{
    begin(result, 16, 2);
    result->shape.frames_per_conn = 1;
    result->shape.expect = EXPECT_ANY;
    result->opened = 26543;
    count_frames(result, 26543, 68);
    result->equal = 0;
    result->fates[FATE_CLEAN] = 26543;
    result->closed_first[FIRST_LOCAL] = result->time_wait[TIME_WAIT_OURS] = 26543;
    ends(result, 26543);
    results_fill(result, STAGE_ROUND_TRIP, 26543, 98765, 400000);
    results_intervals(result, 2, 221 * US, 290 * US, 0);
    strcpy(result->verdict.evidence, "26,543 connections, all clean");
}

void results_connects(struct result *result)
{
    begin(result, 16, 2);
    result->shape.frames_per_conn = 0;
    result->opened = 31000;
    result->fates[FATE_CLEAN] = 31000;
    result->closed_first[FIRST_LOCAL] = result->time_wait[TIME_WAIT_OURS] = 31000;
    ends(result, 31000);
    strcpy(result->verdict.evidence, "31,000 connections, all clean");
}

const struct results_maker *results_maker(int i)
{
    static const struct results_maker makers[RESULTS_MAKERS + 1] = {
        {"closed", results_closed}, {"open", results_open},         {"none", results_none},
        {"stream", results_stream}, {"failures", results_failures}, {"refused", results_refused},
        {"churn", results_churn},   {"connects", results_connects}, {NULL, NULL}};
    return &makers[i];
}

/* --- what is told of them --- */

char *results_text(const struct result *result, bool utf8, bool colour)
{
    struct result_style style = {utf8, colour};
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    ck_assert(out);
    result_text(result, &style, out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

char *results_json(const struct result *result)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    ck_assert(out);
    ck_assert_int_eq(result_json(result, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

const char *results_file(const char *name, const char *text)
{
    const char *path = pair_file(name);
    FILE *out = fopen(path, "w");
    ck_assert(out);
    ck_assert_int_ge(fputs(text, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return path;
}
