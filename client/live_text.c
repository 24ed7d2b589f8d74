#include "config.h"

#include <stdio.h>
#include <string.h>

#include "live.h"
#include "units.h"

#define BAR_CELLS 12
#define PART_BYTES 160

/* The line's parts, from left to right. */
enum part { PART_BAR, PART_TIME, PART_OPEN, PART_RATE, PART_LATENCY, PART_ERRORS, PART_COUNT };

/* The ones that matter most first: on a narrow terminal each of the others is there if it fits. */
static const enum part by_weight[] = {PART_LATENCY, PART_ERRORS, PART_TIME,
                                      PART_RATE,    PART_OPEN,   PART_BAR};

struct parts {
    char text[PART_COUNT][PART_BYTES]; /* "": left out */
    const char *colour[PART_COUNT];    /* how it is shown; NULL: plainly */
};

/* --- the parts --- */

/* Shares move by a half of a cell where there are characters for that. */
static void bar_text(char *buf, double share, bool utf8)
{
    unsigned halves = (unsigned)((share < 0 ? 0 : share > 1 ? 1 : share) * (2 * BAR_CELLS));
    char *to = buf;
    *to++ = '[';
    for (unsigned cell = 0; cell < BAR_CELLS; cell++) {
        unsigned filled = halves > 2 * cell ? halves - 2 * cell : 0;
        const char *glyph = filled >= 2 ? (utf8 ? "█" : "#") : filled == 1 && utf8 ? "▌" : " ";
        size_t n = strlen(glyph);
        memcpy(to, glyph, n);
        to += n;
    }
    memcpy(to, "]", 2);
}

/* One decimal, so that the line does not jump as time goes by; whole seconds without one if
 * `round`. */
static const char *time_text(char buf[UNITS_TEXT], uint64_t us, bool round)
{
    if (us >= 1000 * 1000000ULL)
        return units_text_duration(buf, us);
    if (round && us % 1000000 == 0)
        snprintf(buf, UNITS_TEXT, "%u s", (unsigned)(us / 1000000));
    else
        snprintf(buf, UNITS_TEXT, "%u.%u s", (unsigned)(us / 1000000),
                 (unsigned)(us / 100000 % 10));
    return buf;
}

static const char *rate_text(char buf[UNITS_TEXT], double rate)
{
    static const char *const names[] = {"", "k", "M", "G"};
    unsigned unit = 0;
    for (; rate >= 999.5 && unit < 3; unit++)
        rate /= 1000;
    int decimals = unit == 0 && rate == (double)(unsigned)rate ? 0
                   : rate < 9.995                              ? 2
                   : rate < 99.95                              ? 1
                                                               : 0;
    snprintf(buf, UNITS_TEXT, "%.*f %s/s", decimals, rate, names[unit]);
    return buf;
}

static const char *percentile_text(char buf[UNITS_TEXT], uint64_t ns, bool utf8)
{
    if (ns > 0)
        return units_text_ns(buf, ns);
    strcpy(buf, utf8 ? "–" : "-");
    return buf;
}

static void progress(struct parts *parts, const struct live_view *view, bool utf8)
{
    char at[UNITS_TEXT], of[UNITS_TEXT];
    char *text = parts->text[PART_TIME];
    time_text(at, view->at_us, false);
    if (view->of_us > 0) {
        bar_text(parts->text[PART_BAR], (double)view->at_us / (double)view->of_us, utf8);
        snprintf(text, PART_BYTES, "%s of %s", at, time_text(of, view->of_us, true));
    } else if (view->of_frames > 0) {
        bar_text(parts->text[PART_BAR], (double)view->frames / (double)view->of_frames, utf8);
        snprintf(text, PART_BYTES, "%s of %s frames", units_text_count(at, view->frames),
                 units_text_count(of, view->of_frames));
    } else {
        snprintf(text, PART_BYTES, "%s", at);
    }
}

static void rate(struct parts *parts, const struct live_view *view)
{
    char now[UNITS_TEXT], of[UNITS_TEXT];
    rate_text(now, view->rate);
    if (view->of_rate > 0)
        snprintf(parts->text[PART_RATE], PART_BYTES, "%s of %s", now, rate_text(of, view->of_rate));
    else
        snprintf(parts->text[PART_RATE], PART_BYTES, "%s", now);
}

static void latency(struct parts *parts, const struct live_view *view, bool utf8)
{
    char a[UNITS_TEXT], b[UNITS_TEXT];
    if (view->late > 0) {
        snprintf(parts->text[PART_LATENCY], PART_BYTES, "%s late, oldest %s",
                 units_text_count(a, view->late), units_text_duration(b, view->oldest_late_us));
        parts->colour[PART_LATENCY] = "\33[33m";
    } else if (view->timed) {
        snprintf(parts->text[PART_LATENCY], PART_BYTES, "p50 %s  p99 %s",
                 percentile_text(a, view->p50_ns, utf8), percentile_text(b, view->p99_ns, utf8));
    }
}

static void open_of(struct parts *parts, const struct live_view *view)
{
    char open[UNITS_TEXT], of[UNITS_TEXT];
    units_text_count(open, view->open);
    if (view->open == view->of_open)
        snprintf(parts->text[PART_OPEN], PART_BYTES, "%s open", open);
    else
        snprintf(parts->text[PART_OPEN], PART_BYTES, "%s of %s open", open,
                 units_text_count(of, view->of_open));
}

static void draining(struct parts *parts, const struct live_view *view)
{
    char owed[64], open[UNITS_TEXT];
    if (view->owed > 0)
        snprintf(parts->text[PART_TIME], PART_BYTES, "%s unanswered",
                 units_plural(owed, sizeof owed, view->owed, "frame"));
    else
        snprintf(parts->text[PART_TIME], PART_BYTES, "closing");
    snprintf(parts->text[PART_OPEN], PART_BYTES, "%s open", units_text_count(open, view->open));
}

static void fill(struct parts *parts, const struct live_view *view, bool utf8)
{
    char at[UNITS_TEXT];
    memset(parts, 0, sizeof *parts);
    units_plural(parts->text[PART_ERRORS], PART_BYTES, view->errors, "error");
    if (view->errors > 0)
        parts->colour[PART_ERRORS] = "\33[31m";
    switch (view->stage) {
    case LIVE_CONNECTING:
        if (view->of_open > 0)
            bar_text(parts->text[PART_BAR], (double)view->open / (double)view->of_open, utf8);
        snprintf(parts->text[PART_TIME], PART_BYTES, "connecting for %s",
                 time_text(at, view->at_us, false));
        open_of(parts, view);
        break;
    case LIVE_MEASURING:
        progress(parts, view, utf8);
        open_of(parts, view);
        rate(parts, view);
        latency(parts, view, utf8);
        break;
    case LIVE_DRAINING:
        draining(parts, view);
        break;
    }
}

/* --- the line --- */

/* Takes out what does not fit; where no part does, the first that there is is cut. */
static void narrow(struct parts *parts, size_t room)
{
    size_t width = 0;
    bool fits = false;
    for (unsigned i = 0; i < PART_COUNT; i++) {
        size_t columns = units_columns(parts->text[i]);
        fits = fits || (columns > 0 && columns <= room);
    }
    for (unsigned i = 0; i < PART_COUNT; i++) {
        char *text = parts->text[by_weight[i]];
        size_t more = units_columns(text) + (width > 0 ? 2 : 0);
        if ((fits || width > 0) && width + more > room)
            text[0] = '\0';
        else
            width += text[0] != '\0' ? more : 0;
    }
}

/* Adds `text`, as much of it as fits into `*room` columns. */
static size_t add(char *buf, size_t used, const char *text, size_t *room)
{
    while (*text != '\0' && used + 8 < LIVE_TEXT) {
        bool begins = (*text & 0xc0) != 0x80;
        if (begins && *room == 0)
            break;
        *room -= begins ? 1 : 0;
        buf[used++] = *text++;
    }
    buf[used] = '\0';
    return used;
}

/* A colour takes no column. */
static size_t add_escape(char *buf, size_t used, const char *escape)
{
    size_t n = strlen(escape);
    memcpy(buf + used, escape, n + 1);
    return used + n;
}

size_t live_text(char buf[LIVE_TEXT], const struct live_view *view, unsigned columns,
                 const struct result_style *style)
{
    struct parts parts;
    size_t used = 0, all = columns > 1 ? columns - 1 : 0, room = all;
    fill(&parts, view, style->utf8);
    narrow(&parts, room);
    buf[0] = '\0';
    for (unsigned i = 0; i < PART_COUNT; i++) {
        const char *colour = style->colour ? parts.colour[i] : NULL;
        if (parts.text[i][0] == '\0' || used + PART_BYTES >= LIVE_TEXT)
            continue;
        if (used > 0)
            used = add(buf, used, "  ", &room);
        if (colour != NULL)
            used = add_escape(buf, used, colour);
        used = add(buf, used, parts.text[i], &room);
        if (colour != NULL)
            used = add_escape(buf, used, "\33[0m");
    }
    return all - room;
}
