#include "config.h"

#include "result_out.h"

#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "stream.h"
#include "units.h"

struct result_style result_out_style(void)
{
    const char *no_colour = getenv("NO_COLOR");
    bool plain = no_colour && no_colour[0] != '\0';
    return (struct result_style){.utf8 = units_utf8(), .colour = !plain && isatty(1)};
}

int result_out(const struct result *result, bool json)
{
    struct result_style style = result_out_style();
    if (!json) {
        result_text(result, &style, stdout);
    } else if (result_json(result, stdout) < 0) {
        log_line(LOG_LEVEL_ERROR, "no memory for the result as JSON");
        return fate_row(FATE_MEMORY)->exit_status;
    }
    return stream_finish();
}

int result_conditions_init(struct result_conditions *conditions, const struct options *options,
                           struct error *e)
{
    conditions->count = options->fail_if_count;
    for (unsigned i = 0; i < conditions->count; i++) {
        int rc = result_condition_parse(&conditions->each[i], options->fail_if[i], e);
        if (rc < 0) {
            error_context(e, "--fail-if '%s'", options->fail_if[i]);
            return rc;
        }
    }
    return 0;
}

bool result_conditions_hold(const struct result_conditions *conditions, const struct result *result)
{
    bool some = false;
    char evidence[200];
    for (unsigned i = 0; i < conditions->count; i++) {
        if (!result_condition_holds(&conditions->each[i], result, evidence, sizeof evidence))
            continue;
        log_line(LOG_LEVEL_ERROR, "--fail-if %s", evidence);
        some = true;
    }
    return some;
}
