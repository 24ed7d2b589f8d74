#include "config.h"

#include "result.h"

#include <stdlib.h>
#include <string.h>

#include "page.h"
#include "result_figures.h"
#include "result_shape.h"
#include "result_stages.h"
#include "units.h"

#define LABEL 17
#define CELL 10
#define NAME_BYTES 20
#define INTERVALS_MIN 3 /* so many figures show a spread */
#define NO_CHANGE 1e9   /* from nothing to something */
#define NOISE_MIN 0.01  /* a few intervals show less than there is */
#define STALLED 10      /* so many times the median: what came in between, not noise */

struct comparison {
    struct page page;
    const struct result *before, *after;
    const char *names[2];
    const char *none;
};

/* What can be read off each interval. 0: not told. */
static double interval_p50(const struct result_interval *interval)
{
    return (double)interval->p50_ns;
}

static double interval_p99(const struct result_interval *interval)
{
    return (double)interval->p99_ns;
}

/* As a length of time for each frame, so that, as with the others, more is worse. */
static double interval_pace(const struct result_interval *interval)
{
    uint64_t frames = interval->sent > 0 ? interval->sent : interval->replies;
    return frames > 0 ? (double)(interval->to_us - interval->from_us) / (double)frames : 0;
}

typedef double interval_figure(const struct result_interval *interval);

/* --- noise --- */

/* How the intervals of a run lie around their median, leaving out the stalled ones. */
struct spread {
    size_t told, stalled;
    double share; /* from the least to the greatest, of the median */
};

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* The last interval is the shorter one in which the run ended: it is not like the others. */
static size_t whole_intervals(const struct result *result)
{
    size_t n = result->interval_count;
    const struct result_interval *first = result->intervals, *last = first + n - 1;
    if (n > 1 && (last->to_us - last->from_us) * 10 < (first->to_us - first->from_us) * 9)
        n--;
    return n;
}

static struct spread spread_of(const struct result *result, interval_figure *figure,
                               double *figures)
{
    struct spread spread = {0, 0, 0};
    size_t whole = result->interval_count > 0 ? whole_intervals(result) : 0;
    for (size_t i = 0; i < whole; i++) {
        double value = figure(&result->intervals[i]);
        if (value > 0)
            figures[spread.told++] = value;
        else if (result->intervals[i].late > 0)
            spread.stalled++;
    }
    if (spread.told == 0)
        return spread;
    qsort(figures, spread.told, sizeof *figures, ascending);
    double median = figures[spread.told / 2];
    while (figures[spread.told - 1] > STALLED * median) {
        spread.told--;
        spread.stalled++;
    }
    spread.share = (figures[spread.told - 1] - figures[0]) / median;
    return spread;
}

static int spreads_of(const struct comparison *comparison, interval_figure *figure,
                      struct spread spreads[2])
{
    size_t n = comparison->before->interval_count;
    if (comparison->after->interval_count > n)
        n = comparison->after->interval_count;
    double *figures = calloc(n + 1, sizeof *figures);
    if (!figures)
        return ERR_MEMORY;
    spreads[0] = spread_of(comparison->before, figure, figures);
    spreads[1] = spread_of(comparison->after, figure, figures);
    free(figures);
    return 0;
}

/* --- a row --- */

static void change_text(char buf[UNITS_TEXT], double change, const char *none)
{
    double percent = change * 100, size = percent < 0 ? -percent : percent;
    bool fine = size < 0.95 || (size > 99 && size < 100);
    if (change >= NO_CHANGE)
        strcpy(buf, none);
    else if (size < 0.05)
        strcpy(buf, "0 %");
    else if (change >= 9.995)
        snprintf(buf, UNITS_TEXT, "x%.0f", change + 1);
    else
        snprintf(buf, UNITS_TEXT, fine ? "%+.1f %%" : "%+.0f %%", percent);
}

static void stalls(struct page *page, const char *name, const struct spread *spread, bool *some)
{
    char text[64];
    if (spread->stalled == 0)
        return;
    units_plural(text, sizeof text, spread->stalled, "stalled interval");
    page_part(page, *some ? "; " : " ", "%s%s: %s of %zu", *some ? "" : "(", name, text,
              spread->told + spread->stalled);
    *some = true;
}

/* What the change means, next to how far the intervals of each run lie apart by themselves. */
static void judgement(struct comparison *comparison, const struct spread spreads[2], double change,
                      bool more_is_better)
{
    struct page *page = &comparison->page;
    double noise = spreads[0].share > spreads[1].share ? spreads[0].share : spreads[1].share;
    bool some = false;
    if (spreads[0].told < INTERVALS_MIN || spreads[1].told < INTERVALS_MIN) {
        page_part(page, "", "%s (too few intervals)", comparison->none);
        return;
    }
    bool same = (change < 0 ? -change : change) <= (noise > NOISE_MIN ? noise : NOISE_MIN);
    page_part(page, "", "%.*f %%: %s", noise < 0.0095 ? 1 : 0, noise * 100,
              same                             ? "no difference"
              : (change > 0) == more_is_better ? "better"
                                               : "worse");
    stalls(page, comparison->names[0], &spreads[0], &some);
    stalls(page, comparison->names[1], &spreads[1], &some);
    if (some)
        page_put(page, ")");
}

static void cells(struct comparison *comparison, const char *label, const char *before,
                  const char *after, const char *change)
{
    struct page *page = &comparison->page;
    size_t wide[2];
    for (unsigned i = 0; i < 2; i++) {
        size_t columns = units_columns(comparison->names[i]);
        wide[i] = columns + 2 > CELL ? columns + 2 : CELL;
    }
    page_put(page, label);
    page_pad(page, LABEL);
    page_cell(page, wide[0] - 1, before);
    page_cell(page, wide[1], after);
    page_cell(page, CELL, change);
    page_put(page, "   ");
    page->indent = page->column;
}

static int figure_row(struct comparison *comparison, const char *label, const char *texts[2],
                      double before, double after, interval_figure *figure, const char *otherwise,
                      bool more_is_better)
{
    struct spread spreads[2];
    char change[UNITS_TEXT];
    double by = before > 0 ? (after - before) / before : NO_CHANGE;
    if (figure && spreads_of(comparison, figure, spreads) < 0)
        return ERR_MEMORY;
    change_text(change, by, comparison->none);
    cells(comparison, label, texts[0], texts[1], change);
    if (figure && before > 0)
        judgement(comparison, spreads, by, more_is_better);
    else
        page_part(&comparison->page, "", "%s%s", comparison->none, otherwise);
    page_end(&comparison->page);
    return 0;
}

/* A stage's statistic, where both tell it. */
static int stage_row(struct comparison *comparison, enum result_stage stage, enum result_stat stat,
                     interval_figure *figure)
{
    const struct histogram *before = comparison->before->stages[stage];
    const struct histogram *after = comparison->after->stages[stage];
    char label[40], a[UNITS_TEXT], b[UNITS_TEXT];
    uint64_t before_ns, after_ns;
    bool burst = stage == STAGE_CONNECT && !result_churns(comparison->before);
    if (!result_stat_ns(before, stat, &before_ns) || !result_stat_ns(after, stat, &after_ns))
        return 0;
    snprintf(label, sizeof label, "%s %s", result_stage_label(stage), result_stat_name(stat));
    const char *texts[2] = {result_time_text(a, before, before_ns),
                            result_time_text(b, after, after_ns)};
    return figure_row(comparison, label, texts, (double)before_ns, (double)after_ns, figure,
                      burst ? " (one burst)" : "", false);
}

static int rate_row(struct comparison *comparison)
{
    double before = result_frames_per_s(comparison->before);
    double after = result_frames_per_s(comparison->after);
    char a[UNITS_TEXT], b[UNITS_TEXT];
    if (before <= 0 && after <= 0)
        return 0;
    const char *texts[2] = {units_text_count(a, (uint64_t)(before + 0.5)),
                            units_text_count(b, (uint64_t)(after + 0.5))};
    return figure_row(comparison, "frames/s", texts, before, after, interval_pace, "", true);
}

/* Failures are counted, not measured: one more is one more. */
static void count_row(struct comparison *comparison, const char *label, uint64_t before,
                      uint64_t after)
{
    char a[UNITS_TEXT], b[UNITS_TEXT];
    if (before == 0 && after == 0)
        return;
    cells(comparison, label, units_text_count(a, before), units_text_count(b, after),
          comparison->none);
    page_part(&comparison->page, "", "%s",
              after > before   ? "worse"
              : after < before ? "better"
                               : "no difference");
    page_end(&comparison->page);
}

/* --- the whole --- */

static void heading(struct comparison *comparison)
{
    const struct result *before = comparison->before, *after = comparison->after;
    struct page *page = &comparison->page;
    char text[RESULT_SHAPE_TEXT], length[UNITS_TEXT];
    page_begin(page, "", 0);
    page_part(page, "", "same shape: %s", result_shape_text(text, &before->shape));
    page_end(page);
    if (strcmp(before->target, after->target) != 0) {
        page_part(page, "", "%s: %s", comparison->names[0], before->target);
        page_part(page, "; ", "%s: %s", comparison->names[1], after->target);
        page_end(page);
    }
    cells(comparison, "", comparison->names[0], comparison->names[1], "change");
    uint64_t us =
        before->interval_count > 0 ? before->intervals[0].to_us - before->intervals[0].from_us : 0;
    if (us > 0 && us % 1000000 == 0)
        page_part(page, "", "spread of %u s intervals", (unsigned)(us / 1000000));
    else if (us > 0)
        page_part(page, "", "spread of %s intervals", units_text_duration(length, us));
    else
        page_put(page, "spread of intervals");
    page_end(page);
}

static void limits(struct comparison *comparison)
{
    const struct result *results[] = {comparison->before, comparison->after};
    for (unsigned i = 0; i < 2; i++) {
        if (!results[i]->client_limited)
            continue;
        page_begin(&comparison->page, "", 0);
        page_part(&comparison->page, "", "%s: the client was the limit", comparison->names[i]);
        page_part(&comparison->page, ": ", "%s", results[i]->client_limit);
        page_end(&comparison->page);
    }
}

static int rows(struct comparison *comparison)
{
    static const struct {
        enum result_stage stage;
        enum result_stat stat;
        interval_figure *figure;
    } stages[] = {{STAGE_CONNECT, STAT_P50, NULL},
                  {STAGE_CONNECT, STAT_P99, NULL},
                  {STAGE_ROUND_TRIP, STAT_P50, interval_p50},
                  {STAGE_ROUND_TRIP, STAT_P99, interval_p99},
                  {STAGE_ROUND_TRIP, STAT_P999, NULL},
                  {STAGE_DRAIN_LINGER, STAT_P50, NULL}};
    const struct result *before = comparison->before, *after = comparison->after;
    for (unsigned i = 0; i < sizeof stages / sizeof *stages; i++) {
        if (stage_row(comparison, stages[i].stage, stages[i].stat, stages[i].figure) < 0)
            return ERR_MEMORY;
    }
    if (rate_row(comparison) < 0)
        return ERR_MEMORY;
    count_row(comparison, "failed", before->failed, after->failed);
    count_row(comparison, "differed", before->differed, after->differed);
    count_row(comparison, "lost", before->lost, after->lost);
    count_row(comparison, "due and not sent", before->due_not_sent, after->due_not_sent);
    return 0;
}

/* A file's name without folders and ".json", as a column's heading. */
static void short_name(char buf[NAME_BYTES + 1], const char *name)
{
    const char *base = strrchr(name, '/');
    base = base && base[1] != '\0' ? base + 1 : name;
    size_t n = strlen(base);
    if (n > 5 && strcmp(base + n - 5, ".json") == 0)
        n -= 5;
    if (n > NAME_BYTES) {
        n = NAME_BYTES;
        while (n > 0 && ((unsigned char)base[n] & 0xc0) == 0x80)
            n--;
    }
    snprintf(buf, NAME_BYTES + 1, "%.*s", (int)n, base);
}

int result_compare(const struct result *before, const struct result *after, const char *before_name,
                   const char *after_name, const struct result_style *style, FILE *out,
                   struct error *e)
{
    char names[2][NAME_BYTES + 1];
    int rc = result_shape_check(&before->shape, before_name, &after->shape, after_name, false, e);
    if (rc < 0)
        return rc;
    short_name(names[0], before_name);
    short_name(names[1], after_name);
    bool alike = strcmp(names[0], names[1]) == 0;
    struct comparison comparison = {
        .page = {out, 0, 0},
        .before = before,
        .after = after,
        .names = {alike ? "before" : names[0], alike ? "after" : names[1]},
        .none = style->utf8 ? "–" : "-"};
    heading(&comparison);
    if (rows(&comparison) < 0) {
        error_what(e, "no memory to compare the intervals");
        return ERR_MEMORY;
    }
    limits(&comparison);
    return 0;
}
