#include "config.h"

#include "result_shape.h"

#include <stdio.h>
#include <string.h>

#include "result_figures.h"
#include "units.h"

/* The numbers that make a shape, by the option that sets them. */
static const struct {
    const char *option;
    size_t offset;
    bool adds_up; /* may differ between clients side by side */
} numbers[] = {
    {"-c", offsetof(struct result_shape, connections), true},
    {"-P", offsetof(struct result_shape, pipeline), false},
    {"-s", offsetof(struct result_shape, size_bytes), false},
    {"-r", offsetof(struct result_shape, rate), true},
    {"--frames-per-conn", offsetof(struct result_shape, frames_per_conn), false},
};

static const char *number_text(char buf[UNITS_TEXT], uint64_t number)
{
    return number == UINT64_MAX ? "no limit" : units_text_count(buf, number);
}

static int differ(const char *a_name, const char *b_name, const char *option, const char *a,
                  const char *b, struct error *e)
{
    error_what(e, "%s and %s differ in %s: %s and %s", a_name, b_name, option, a, b);
    error_mend(e, "give runs of the same -F --expect -c -P -s -r --frames-per-conn");
    return ERR_SYNTAX;
}

int result_shape_check(const struct result_shape *a, const char *a_name,
                       const struct result_shape *b, const char *b_name, bool side_by_side,
                       struct error *e)
{
    char a_text[UNITS_TEXT], b_text[UNITS_TEXT];
    int rc = 0;
    if (strcmp(a->codec, b->codec) != 0)
        rc = differ(a_name, b_name, "-F", a->codec, b->codec, e);
    else if (a->expect != b->expect)
        rc = differ(a_name, b_name, "--expect", result_expect_name(a->expect),
                    result_expect_name(b->expect), e);
    else if ((a->rate > 0) != (b->rate > 0))
        rc = differ(a_name, b_name, "-r", a->rate > 0 ? "an open loop" : "a closed loop",
                    b->rate > 0 ? "an open loop" : "a closed loop", e);
    for (unsigned i = 0; rc == 0 && i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t in_a = *(const uint64_t *)((const char *)a + numbers[i].offset);
        uint64_t in_b = *(const uint64_t *)((const char *)b + numbers[i].offset);
        if (in_a != in_b && !(side_by_side && numbers[i].adds_up))
            rc = differ(a_name, b_name, numbers[i].option, number_text(a_text, in_a),
                        number_text(b_text, in_b), e);
    }
    if (rc < 0 && side_by_side)
        error_mend(e, "give runs of the same -F --expect -P -s --frames-per-conn, all of them with "
                      "-r or none");
    return rc;
}

const char *result_shape_text(char buf[RESULT_SHAPE_TEXT], const struct result_shape *shape)
{
    char connections[UNITS_TEXT], pipeline[UNITS_TEXT + 4] = "", size[UNITS_TEXT + 4] = "";
    char rate[UNITS_TEXT], number[UNITS_TEXT];
    if (result_awaits_replies(shape))
        snprintf(pipeline, sizeof pipeline, " x %s", units_text_count(number, shape->pipeline));
    if (shape->size_bytes > 0 && shape->expect != EXPECT_STREAM)
        snprintf(size, sizeof size, " x %s", units_text_bytes(number, shape->size_bytes));
    units_text_count(rate, shape->rate);
    snprintf(buf, RESULT_SHAPE_TEXT, "%s%s%s, %s%s%s, %s",
             units_text_count(connections, shape->connections), pipeline, size,
             shape->rate > 0 ? "open loop " : "closed loop", shape->rate > 0 ? rate : "",
             shape->rate > 0 ? "/s" : "", shape->codec);
    return buf;
}
