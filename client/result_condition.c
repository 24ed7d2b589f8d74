#include "config.h"

#include "result.h"

#include <stdlib.h>
#include <string.h>

#include "result_figures.h"
#include "result_stages.h"
#include "units.h"

#define EXAMPLE "write it as in 'round_trip.p99 > 5ms'"
#define STAT_MEAN STAT_COUNT

/* `what` of a condition: a stage, then the fates, then the figures. */
#define WHAT_FATES STAGE_COUNT
#define WHAT_FIGURES (STAGE_COUNT + 1)

/* What kind of number a figure is. */
enum unit { UNIT_TIME, UNIT_COUNT, UNIT_PERCENT };

struct figure {
    const char *name;
    size_t offset;                         /* of a uint64_t in struct result, or */
    double (*made)(const struct result *); /* what makes it */
    enum unit unit;
};

#define COUNTED(name, member)                                                                      \
    {                                                                                              \
        name, offsetof(struct result, member), NULL, UNIT_COUNT                                    \
    }

static const struct figure figures[] = {
    COUNTED("frames.sent", sent),
    COUNTED("frames.replies", replies),
    COUNTED("frames.equal", equal),
    COUNTED("frames.differed", differed),
    COUNTED("frames.surplus", surplus),
    COUNTED("frames.lost", lost),
    COUNTED("frames.due_not_sent", due_not_sent),
    {"frames.rate", 0, result_frames_per_s, UNIT_COUNT},
    COUNTED("bytes.out", bytes_out),
    COUNTED("bytes.in", bytes_in),
    {"bytes.out_rate", 0, result_bytes_out_per_s, UNIT_COUNT},
    {"bytes.in_rate", 0, result_bytes_in_per_s, UNIT_COUNT},
    COUNTED("connections.opened", opened),
    COUNTED("connections.failed", failed),
    {"connections.rate", 0, result_connections_per_s, UNIT_COUNT},
    {"client.cpu", 0, result_cpu_percent, UNIT_PERCENT},
};
#define FIGURES (sizeof figures / sizeof *figures)

static const char *const operators[] = {">=", "<=", "==", "!=", ">", "<"};
#define OPERATORS (sizeof operators / sizeof *operators)

/* --- parsing --- */

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* Whether the `n` bytes are this word. */
static bool is_word(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && strncmp(text, word, n) == 0;
}

static bool find_stage(struct result_condition *condition, const char *name, size_t n)
{
    const char *dot = memchr(name, '.', n);
    size_t head = (size_t)(dot - name), tail = n - head - 1;
    enum result_stage stage = 0;
    while (stage < STAGE_COUNT && !is_word(name, head, result_stage_name(stage)))
        stage++;
    if (stage == STAGE_COUNT)
        return false;
    condition->what = (int)stage;
    condition->stat = is_word(dot + 1, tail, "mean") ? STAT_MEAN : -1;
    for (enum result_stat stat = 0; stat < STAT_COUNT; stat++) {
        if (is_word(dot + 1, tail, result_stat_name(stat)))
            condition->stat = (int)stat;
    }
    return condition->stat >= 0;
}

static bool find_fate(struct result_condition *condition, const char *name, size_t n)
{
    if (n < 6 || strncmp(name, "fates.", 6) != 0)
        return false;
    for (enum fate fate = 0; fate < FATE_COUNT; fate++) {
        if (is_word(name + 6, n - 6, fate_row(fate)->name)) {
            condition->what = WHAT_FATES;
            condition->stat = (int)fate;
            return true;
        }
    }
    return false;
}

static bool find_figure(struct result_condition *condition, const char *name, size_t n)
{
    for (unsigned i = 0; i < FIGURES; i++) {
        if (is_word(name, n, figures[i].name)) {
            condition->what = (int)(WHAT_FIGURES + i);
            condition->stat = 0;
            return true;
        }
    }
    return false;
}

static int parse_name(struct result_condition *condition, const char *name, size_t n,
                      struct error *e)
{
    if (memchr(name, '.', n) && (find_stage(condition, name, n) || find_fate(condition, name, n) ||
                                 find_figure(condition, name, n)))
        return 0;
    error_what(e, "'%.*s' is no figure of a result", (int)n, name);
    error_mend(e,
               "connect, first_frame, round_trip, from_send, drain_linger, slot_wait or lag with "
               ".min .mean .p50 .p90 .p99 .p99.9 .p99.99 .max; frames.sent .replies .equal "
               ".differed .lost .due_not_sent .rate; bytes.out .in .out_rate .in_rate; "
               "connections.opened .failed .rate; fates.NAME; client.cpu");
    return ERR_SYNTAX;
}

static enum unit unit_of(const struct result_condition *condition)
{
    if (condition->what < STAGE_COUNT)
        return UNIT_TIME;
    return condition->what == WHAT_FATES ? UNIT_COUNT
                                         : figures[condition->what - WHAT_FIGURES].unit;
}

/* What each suffix makes of a number: of microseconds, of ones, of percents. */
static bool suffix_size(enum unit unit, const char *suffix, double *size)
{
    static const struct {
        enum unit unit;
        const char *suffix;
        double size;
    } suffixes[] = {
        {UNIT_TIME, "us", 1},   {UNIT_TIME, "ms", 1e3}, {UNIT_TIME, "s", 1e6},
        {UNIT_TIME, "", 1e6},   {UNIT_TIME, "m", 60e6}, {UNIT_TIME, "h", 3600e6},
        {UNIT_COUNT, "", 1},    {UNIT_COUNT, "k", 1e3}, {UNIT_COUNT, "m", 1e6},
        {UNIT_COUNT, "g", 1e9}, {UNIT_PERCENT, "", 1},  {UNIT_PERCENT, "%", 1},
    };
    for (unsigned i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (suffixes[i].unit == unit && strcasecmp(suffixes[i].suffix, suffix) == 0) {
            *size = suffixes[i].size;
            return true;
        }
    }
    return false;
}

static int parse_value(struct result_condition *condition, const char *text, struct error *e)
{
    static const char *const accepted[] = {
        [UNIT_TIME] = "write a number and us, ms, s, m or h, as in 5ms",
        [UNIT_COUNT] = "write a number, or one with k, m or g (1000s), as in 49.5k",
        [UNIT_PERCENT] = "write percents, as in 90"};
    char number[32], suffix[8];
    double size;
    size_t n = strspn(text, "0123456789."), length = strcspn(text + n, " \t");
    bool fits = n > 0 && n < sizeof number && length < sizeof suffix &&
                *skip_blanks(text + n + length) == '\0';
    if (fits) {
        char *end;
        memcpy(number, text, n);
        number[n] = '\0';
        memcpy(suffix, text + n, length);
        suffix[length] = '\0';
        condition->value = strtod(number, &end);
        if (*end == '\0' && suffix_size(unit_of(condition), suffix, &size)) {
            condition->value *= size;
            return 0;
        }
    }
    if (*text == '\0')
        error_what(e, "there is nothing to compare with");
    else
        error_what(e, "'%s' is no value for it", text);
    error_mend(e, "%s", accepted[unit_of(condition)]);
    return ERR_SYNTAX;
}

static int parse(struct result_condition *condition, const char *text, struct error *e)
{
    const char *name = skip_blanks(text);
    size_t n = strcspn(name, " \t<>=!");
    const char *op_text = skip_blanks(name + n);
    if (strlen(text) >= sizeof condition->text) {
        error_what(e, "it is longer than any condition");
        error_mend(e, "%s", EXAMPLE);
        return ERR_SYNTAX;
    }
    if (parse_name(condition, name, n, e) < 0)
        return ERR_SYNTAX;
    unsigned op = 0;
    while (op < OPERATORS && strncmp(op_text, operators[op], strlen(operators[op])) != 0)
        op++;
    if (op == OPERATORS) {
        error_what(e, "'%s' has none of > >= < <= == !=", text);
        error_mend(e, "%s", EXAMPLE);
        return ERR_SYNTAX;
    }
    condition->op = (int)op;
    strcpy(condition->text, text);
    return parse_value(condition, skip_blanks(op_text + strlen(operators[op])), e);
}

int result_condition_parse(struct result_condition *condition, const char *text, struct error *e)
{
    struct result_condition made;
    int rc = parse(&made, text, e);
    if (rc == 0)
        *condition = made;
    return rc;
}

/* --- holding it against a result --- */

/* Stages in microseconds. false: not told. */
static bool figure_of(const struct result_condition *condition, const struct result *result,
                      double *value)
{
    uint64_t ns;
    if (condition->what == WHAT_FATES) {
        *value = (double)result->fates[condition->stat];
        return true;
    }
    if (condition->what >= WHAT_FIGURES) {
        const struct figure *figure = &figures[condition->what - WHAT_FIGURES];
        *value = figure->made ? figure->made(result)
                              : (double)*(const uint64_t *)((const char *)result + figure->offset);
        return true;
    }
    const struct histogram *h = result->stages[condition->what];
    if (condition->stat == STAT_MEAN) {
        *value = h ? histogram_mean_ns(h) / 1000 : 0;
        return h && h->count > 0;
    }
    if (!result_stat_ns(h, (enum result_stat)condition->stat, &ns))
        return false;
    *value = (double)ns / 1000;
    return true;
}

static const char *figure_text(char buf[UNITS_TEXT], enum unit unit, double value)
{
    switch (unit) {
    case UNIT_TIME:
        return units_text_ns(buf, (uint64_t)(value * 1000 + 0.5));
    case UNIT_COUNT:
        return units_text_count(buf, (uint64_t)(value + 0.5));
    case UNIT_PERCENT:
        snprintf(buf, UNITS_TEXT, "%.3g %%", value);
        return buf;
    }
    return buf;
}

static bool compare(double figure, const char *op_text, double value)
{
    switch (op_text[0]) {
    case '>':
        return op_text[1] == '=' ? figure >= value : figure > value;
    case '<':
        return op_text[1] == '=' ? figure <= value : figure < value;
    case '=':
        return figure == value;
    }
    return figure != value;
}

bool result_condition_holds(const struct result_condition *condition, const struct result *result,
                            char *evidence, size_t size)
{
    char text[UNITS_TEXT];
    double figure;
    if (!figure_of(condition, result, &figure)) {
        const struct histogram *h = result->stages[condition->what];
        snprintf(evidence, size, "%s: not told, %s", condition->text,
                 h && h->count > 0 ? "fewer than ten values lie beyond it" : "it did not happen");
        return false;
    }
    snprintf(evidence, size, "%s: it is %s", condition->text,
             figure_text(text, unit_of(condition), figure));
    return compare(figure, operators[condition->op], condition->value);
}
