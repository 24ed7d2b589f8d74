#include "config.h"

#include "result_stages.h"

#include "units.h"

#define LABEL 13
#define COUNT 8
#define CELL 9

static const struct {
    const char *name;
    double share;
} stats[STAT_COUNT] = {
    [STAT_MIN] = {"min", 0},    [STAT_P50] = {"p50", 0.5},      [STAT_P90] = {"p90", 0.9},
    [STAT_P99] = {"p99", 0.99}, [STAT_P999] = {"p99.9", 0.999}, [STAT_P9999] = {"p99.99", 0.9999},
    [STAT_MAX] = {"max", 1.0},
};

const char *result_stat_name(enum result_stat stat)
{
    return stats[stat].name;
}

bool result_stat_ns(const struct histogram *h, enum result_stat stat, uint64_t *ns)
{
    if (!h || h->count == 0)
        return false;
    if (stat == STAT_MIN) {
        *ns = h->min_ns;
        return true;
    }
    return histogram_percentile(h, stats[stat].share, ns);
}

/* Stages stamped in whole microseconds are not shown with digits that nobody measured. */
const char *result_time_text(char *buf, const struct histogram *h, uint64_t ns)
{
    if (h->min_ns % 1000 == 0 && h->max_ns % 1000 == 0)
        return units_text_duration(buf, (ns + 500) / 1000);
    return units_text_ns(buf, ns);
}

static void row(struct page *page, const char *label, const struct histogram *h, size_t count_width,
                const char *none)
{
    char text[UNITS_TEXT];
    uint64_t ns;
    page_put(page, label);
    page_pad(page, LABEL);
    page_cell(page, count_width, units_text_count(text, h->count));
    for (enum result_stat stat = 0; stat < STAT_COUNT; stat++)
        page_cell(page, CELL, result_stat_ns(h, stat, &ns) ? result_time_text(text, h, ns) : none);
    page_end(page);
}

static void heading(struct page *page, size_t count_width)
{
    page_put(page, "stage");
    page_pad(page, LABEL);
    page_cell(page, count_width, "n");
    for (enum result_stat stat = 0; stat < STAT_COUNT; stat++)
        page_cell(page, CELL, stats[stat].name);
    page_end(page);
}

/* Whether a stage has a row. Those that explain the round trip of an open loop stand below it; the
 * lag is the client's, and told with it. */
static bool is_shown(const struct result *result, enum result_stage stage)
{
    const struct histogram *h = result->stages[stage];
    if (!h || h->count == 0 || stage == STAGE_LAG)
        return false;
    if (stage == STAGE_FROM_SEND)
        return result->shape.rate > 0;
    return stage != STAGE_SLOT_WAIT || (result->shape.rate > 0 && h->max_ns > 0);
}

void result_stages(struct page *page, const struct result *result, const struct result_style *style)
{
    static const struct {
        enum result_stage stage;
        const char *label; /* NULL: its own */
    } rows[] = {{STAGE_CONNECT, NULL},
                {STAGE_FIRST_FRAME, NULL},
                {STAGE_ROUND_TRIP, NULL},
                {STAGE_FROM_SEND, "  from send"},
                {STAGE_SLOT_WAIT, "  slot wait"},
                {STAGE_DRAIN_LINGER, NULL}};
    size_t width = 0;
    char text[UNITS_TEXT];

    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!is_shown(result, rows[i].stage))
            continue;
        units_text_count(text, result->stages[rows[i].stage]->count);
        if (width == 0)
            width = COUNT;
        if (units_columns(text) + 1 > width)
            width = units_columns(text) + 1;
    }
    if (width == 0)
        return;
    heading(page, width);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (is_shown(result, rows[i].stage))
            row(page, rows[i].label ? rows[i].label : result_stage_label(rows[i].stage),
                result->stages[rows[i].stage], width, style->utf8 ? "–" : "-");
    }
    page_end(page);
}
