#include "config.h"

#include "result_figures.h"

bool result_churns(const struct result *result)
{
    return result->shape.frames_per_conn != UINT64_MAX;
}

bool result_awaits_replies(const struct result_shape *shape)
{
    return (shape->expect == EXPECT_ECHO || shape->expect == EXPECT_ANY) &&
           shape->frames_per_conn > 0;
}

static double per_s(uint64_t count, uint64_t us)
{
    return us > 0 ? (double)count * 1e6 / (double)us : 0;
}

double result_frames_per_s(const struct result *result)
{
    const struct result_shape *shape = &result->shape;
    bool by_replies =
        shape->expect == EXPECT_STREAM || (shape->rate == 0 && result_awaits_replies(shape));
    return per_s(by_replies ? result->replies - result->in_drain : result->sent,
                 result->measured_us);
}

double result_connections_per_s(const struct result *result)
{
    uint64_t measured_us = result_churns(result) ? result->measured_us : 0;
    return per_s(result->opened, result->up_us + measured_us);
}

double result_bytes_out_per_s(const struct result *result)
{
    return per_s(result->bytes_out, result->measured_us);
}

double result_bytes_in_per_s(const struct result *result)
{
    return per_s(result->bytes_in, result->measured_us);
}

double result_cpu_percent(const struct result *result)
{
    if (result->measured_us == 0 || result->processors == 0)
        return 0;
    return 100.0 * (double)result->cpu_us /
           ((double)result->measured_us * (double)result->processors);
}

const char *result_verdict_word(const struct result *result)
{
    if (result->verdict.fate != FATE_CLEAN)
        return fate_row(result->verdict.fate)->name;
    return result->verdict.slow ? "slow" : "ok";
}
