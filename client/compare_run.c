#include "config.h"

#include "compare_run.h"

#include "log.h"
#include "result.h"
#include "result_out.h"
#include "stream.h"

#define EXIT_USAGE 2

static int compare(const struct result *before, const struct options *options, struct error *e)
{
    struct result after;
    struct result_style style = result_out_style();
    int rc = result_read(&after, options->arguments[1], e);
    if (rc < 0)
        return rc;
    rc = result_compare(before, &after, options->arguments[0], options->arguments[1], &style,
                        stdout, e);
    result_fini(&after);
    return rc;
}

static int read_and_compare(const struct options *options, struct error *e)
{
    struct result before;
    if (options->argument_count != 2) {
        error_what(e, "--compare takes two files, not %d", options->argument_count);
        error_mend(e, "synfin --compare before.json after.json");
        return ERR_SYNTAX;
    }
    int rc = result_read(&before, options->arguments[0], e);
    if (rc < 0)
        return rc;
    rc = compare(&before, options, e);
    result_fini(&before);
    return rc;
}

int compare_run(const struct options *options)
{
    struct error e = {"", ""};
    int rc = read_and_compare(options, &e);
    if (rc == 0)
        return stream_finish();
    log_error(&e);
    return rc == ERR_MEMORY ? fate_row(FATE_MEMORY)->exit_status : EXIT_USAGE;
}
