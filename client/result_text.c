#include "config.h"

#include "result.h"

#include <string.h>

#include "page.h"
#include "result_figures.h"
#include "result_stages.h"
#include "units.h"

#define LABEL 10 /* of the lines below the table */
#define NAME_BYTES 48

/* A table on its way to the reader. */
struct telling {
    struct page page;
    const struct result *result;
    const struct result_style *style;
};

static const char *none(const struct telling *telling)
{
    return telling->style->utf8 ? "–" : "-";
}

/* --- what was asked --- */

static void shape(struct telling *telling)
{
    struct page *page = &telling->page;
    const struct result *result = telling->result;
    const struct result_shape *asked = &result->shape;
    char n[NAME_BYTES], in_flight[NAME_BYTES];

    page_begin(page, "", 0);
    page_part(page, "", "%s", result->target);
    if (result->address[0] != '\0' && strcmp(result->address, result->target) != 0)
        page_part(page, " ", "= %s", result->address);
    page_part(page, "   ", "%s", asked->codec);
    if (asked->size_bytes > 0 && asked->expect != EXPECT_STREAM && asked->frames_per_conn > 0)
        page_part(page, "   ", "%s", units_text_bytes(n, asked->size_bytes));
    units_plural(n, sizeof n, asked->connections, "connection");
    if (result_awaits_replies(asked))
        page_part(page, "   ", "%s, at most %s in flight on each", n,
                  units_plural(in_flight, sizeof in_flight, asked->pipeline, "frame"));
    else
        page_part(page, "   ", "%s", n);
    page_end(page);
}

static const char *loop_words(const struct result_shape *asked)
{
    if (asked->expect == EXPECT_STREAM)
        return "receiving only: frames are counted, none is sent";
    if (asked->frames_per_conn == 0)
        return "connections only: no frame is sent";
    if (asked->expect == EXPECT_NONE)
        return asked->rate > 0 ? "one way, open loop: frames go when they are due"
                               : "one way: frames go as fast as the peer takes them";
    return asked->rate > 0 ? "open loop: latency counts from the intended send time"
                           : "closed loop: latency counts from sending";
}

static void way(struct telling *telling)
{
    struct page *page = &telling->page;
    const struct result_shape *asked = &telling->result->shape;
    char time[UNITS_TEXT], n[NAME_BYTES];

    page_begin(page, "", 0);
    page_part(page, "", "%s", loop_words(asked));
    if (result_awaits_replies(asked))
        page_part(page, "; ", "%s",
                  asked->expect == EXPECT_ECHO ? "every reply compared with what was sent"
                                               : "replies counted, not compared");
    if (asked->omit_us > 0)
        page_part(page, "; ", "the first %s not counted",
                  units_text_duration(time, asked->omit_us));
    if (result_churns(telling->result) && asked->frames_per_conn > 0)
        page_part(page, "; ", "each closed after %s",
                  units_plural(n, sizeof n, asked->frames_per_conn, "frame"));
    page_end(page);
}

/* --- asked and got --- */

/* A line of it. */
struct row {
    const char *label;
    char asked[UNITS_TEXT], got[UNITS_TEXT];
    void (*notes)(struct page *page, const struct result *result);
};

/* Of those that failed: the others had been up. */
static uint64_t never_up(const struct result *result)
{
    uint64_t ended = 0;
    for (unsigned i = 0; i < FATE_COUNT; i++)
        ended += result->fates[i];
    uint64_t never = ended > result->opened ? ended - result->opened : 0;
    return never < result->failed ? never : result->failed;
}

static void connection_notes(struct page *page, const struct result *result)
{
    const struct result_shape *asked = &result->shape;
    char n[UNITS_TEXT];

    page_part(page, "", result->opened > 0 ? "up in %s" : "none up after %s",
              units_text_duration(n, result->up_us));
    if (asked->connecting > 0 && asked->connections > 1)
        page_part(page, ", ", "at most %s connecting at once",
                  units_text_count(n, asked->connecting));
    if (asked->connect_rate > 0)
        page_part(page, ", ", "at most %s/s", units_text_count(n, asked->connect_rate));
    uint64_t never = result->opened > 0 ? never_up(result) : 0; /* none: that is told already */
    if (result->failed > never)
        page_part(page, ", ", "%s failed", units_text_count(n, result->failed - never));
    if (never > 0)
        page_part(page, ", ", "%s never up", units_text_count(n, never));
}

static void churn_notes(struct page *page, const struct result *result)
{
    char n[UNITS_TEXT];
    page_part(page, "", "%s opened in all", units_text_count(n, result->opened));
}

static void frame_counts(struct page *page, const struct result *result)
{
    char n[UNITS_TEXT];
    bool compared = result->shape.expect == EXPECT_ECHO;

    if (result->shape.expect == EXPECT_STREAM) {
        page_part(page, "", "%s received", units_text_count(n, result->replies));
        return;
    }
    page_part(page, "", "%s sent", units_text_count(n, result->sent));
    if (result_awaits_replies(&result->shape)) {
        page_part(page, ", ", compared ? "%s equal" : "%s answered",
                  units_text_count(n, compared ? result->equal : result->replies));
        if (result->in_drain > 0)
            page_part(page, " ", "(%s after the time)", units_text_count(n, result->in_drain));
        if (result->differed > 0)
            page_part(page, ", ", "%s differed", units_text_count(n, result->differed));
        if (result->surplus > 0)
            page_part(page, ", ", "%s surplus", units_text_count(n, result->surplus));
        page_part(page, ", ", "%s lost", units_text_count(n, result->lost));
    }
    if (result->due_not_sent > 0)
        page_part(page, ", ", "%s due and not sent", units_text_count(n, result->due_not_sent));
}

static void throughput(struct page *page, const struct result *result)
{
    char n[UNITS_TEXT];
    uint64_t out = (uint64_t)(result_bytes_out_per_s(result) + 0.5);
    uint64_t in = (uint64_t)(result_bytes_in_per_s(result) + 0.5);

    if (out > 0 && result->bytes_out == result->bytes_in) {
        page_part(page, "; ", "%s each way", units_text_byte_rate(n, out));
        return;
    }
    if (out > 0)
        page_part(page, "; ", "%s out", units_text_byte_rate(n, out));
    if (in > 0)
        page_part(page, out > 0 ? ", " : "; ", "%s in", units_text_byte_rate(n, in));
}

static void frame_notes(struct page *page, const struct result *result)
{
    frame_counts(page, result);
    throughput(page, result);
}

static struct row connections(const struct result *result)
{
    struct row row = {.label = "connections", .notes = connection_notes};
    uint64_t asked = result->shape.connections;
    bool over = result_churns(result) && result->opened > asked;
    units_text_count(row.asked, asked);
    units_text_count(row.got, over ? asked : result->opened);
    return row;
}

/* Three digits; all of them where they are to be held against what was asked. */
static struct row rate(const struct telling *telling, const char *label, uint64_t asked, double got)
{
    struct row row = {.label = label};
    uint64_t rounded = (uint64_t)(got + 0.5), unit = 1;
    while (asked == 0 && rounded / unit >= 1000)
        unit *= 10;
    units_text_count(row.got, (rounded + unit / 2) / unit * unit);
    if (asked > 0)
        units_text_count(row.asked, asked);
    else
        strcpy(row.asked, none(telling));
    return row;
}

static size_t widest(const struct row *rows, unsigned n, bool got, size_t least)
{
    for (unsigned i = 0; i < n; i++) {
        size_t columns = units_columns(got ? rows[i].got : rows[i].asked);
        if (columns > least)
            least = columns;
    }
    return least;
}

static void asked_and_got(struct telling *telling)
{
    struct page *page = &telling->page;
    const struct result *result = telling->result;
    struct row rows[4] = {{.asked = "asked", .got = "got"}, connections(result)};
    unsigned n = 2;

    if (result_churns(result)) {
        rows[n] =
            rate(telling, "conns/s", result->shape.connect_rate, result_connections_per_s(result));
        rows[n++].notes = churn_notes;
    }
    if (result->shape.frames_per_conn > 0) {
        rows[n] = rate(telling, "frames/s", result->shape.rate, result_frames_per_s(result));
        rows[n++].notes = frame_notes;
    }
    size_t asked = 1 + widest(rows, n, false, 6), got = 4 + widest(rows, n, true, 7);
    for (unsigned i = 0; i < n; i++) {
        page_begin(page, rows[i].label ? rows[i].label : "", 11);
        page_cell(page, asked, rows[i].asked);
        page_cell(page, got, rows[i].got);
        if (rows[i].notes) {
            page_begin(page, "", page->column + 4);
            rows[i].notes(page, result);
        }
        page_end(page);
    }
    page_end(page);
}

/* --- how it ended --- */

static void fates(struct telling *telling)
{
    struct page *page = &telling->page;
    const struct result *result = telling->result;
    char a[UNITS_TEXT];
    uint64_t ended = 0;

    page_begin(page, "fates", LABEL);
    for (enum fate i = 0; i < FATE_COUNT; i++) {
        enum fate fate = i == 0 ? FATE_CLEAN : i - 1; /* clean, then the failures in their order */
        ended += result->fates[fate];
        if (result->fates[fate] > 0)
            page_part(page, ", ", "%s %s", units_text_count(a, result->fates[fate]),
                      fate_row(fate)->name);
    }
    if (ended == 0)
        page_part(page, "", "%s", none(telling));
}

static void closes(struct telling *telling)
{
    static const char *const words[] = {[FIRST_LOCAL] = "our FIN first",
                                        [FIRST_PEER] = "the peer's FIN first",
                                        [FIRST_BOTH] = "FINs crossed"};
    struct page *page = &telling->page;
    const struct result *result = telling->result;
    char n[UNITS_TEXT];
    uint64_t ours = result->time_wait[TIME_WAIT_OURS] + result->time_wait[TIME_WAIT_BOTH];
    const char *separator = "; ";

    for (unsigned first = FIRST_LOCAL; first <= FIRST_BOTH; first++) {
        if (result->closed_first[first] == 0)
            continue;
        page_part(page, separator, "%s on %s", words[first],
                  units_text_count(n, result->closed_first[first]));
        separator = ", ";
    }
    if (ours > 0)
        page_part(page, ": ", "%s TIME_WAIT here for 60 s", units_text_count(n, ours));
    page_end(page);
}

static void percent(struct page *page, double value, const char *of)
{
    page_part(page, "", value < 9.95 ? "%.1f %% of %s" : "%.0f %% of %s", value, of);
}

static void client(struct telling *telling)
{
    struct page *page = &telling->page;
    const struct result *result = telling->result;
    const struct histogram *lag = result->stages[STAGE_LAG];
    char n[NAME_BYTES], time[UNITS_TEXT];
    uint64_t p99_ns;

    if (result->measured_us == 0 && !result->client_limited)
        return;
    page_begin(page, "client", LABEL);
    if (result->measured_us > 0)
        percent(page, result_cpu_percent(result),
                units_plural(n, sizeof n, result->processors, "processor"));
    if (lag && lag->count > 0) {
        page_part(page, "; ", "%s", result->shape.rate > 0 ? "schedule lag" : "timer lag");
        if (histogram_percentile(lag, 0.99, &p99_ns))
            page_part(page, " ", "p99 %s,", units_text_ns(time, p99_ns));
        page_part(page, " ", "max %s", units_text_ns(time, lag->max_ns));
    }
    page_part(page, ": ", "%s",
              result->client_limited ? "the client was the limit" : "not the limit");
    if (result->client_limited)
        page_part(page, ": ", "%s", result->client_limit);
    page_end(page);
}

static void verdict(struct telling *telling)
{
    struct page *page = &telling->page;
    const struct result *result = telling->result;
    bool failed = result->verdict.fate != FATE_CLEAN, slow = !failed && result->verdict.slow;

    page_put(page, "verdict: ");
    if (telling->style->colour)
        fputs(failed ? "\33[31m" : slow ? "\33[33m" : "\33[32m", page->out);
    page_put(page, result_verdict_word(result));
    if (telling->style->colour)
        fputs("\33[0m", page->out);
    page->indent = 4;
    if ((failed || slow) && result->verdict.stage[0] != '\0')
        page_part(page, " ", "at %s", result->verdict.stage);
    if (result->verdict.evidence[0] != '\0') {
        page_put(page, ":");
        page_words(page, result->verdict.evidence);
    }
    page_end(page);
    if (result->verdict.try_[0] == '\0')
        return;
    page_begin(page, "    try: ", 9);
    page_words(page, result->verdict.try_);
    page_end(page);
}

void result_text(const struct result *result, const struct result_style *style, FILE *out)
{
    struct telling telling = {{out, 0, 0}, result, style};
    shape(&telling);
    way(&telling);
    page_end(&telling.page);
    asked_and_got(&telling);
    result_stages(&telling.page, result, style);
    fates(&telling);
    closes(&telling);
    client(&telling);
    verdict(&telling);
}
