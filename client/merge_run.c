#include "config.h"

#include "merge_run.h"

#include "log.h"
#include "result.h"
#include "result_out.h"
#include "result_shape.h"

#define EXIT_USAGE 2

static int add_file(struct result *sum, const char *first, const char *path, struct error *e)
{
    struct result result;
    int rc = result_read(&result, path, e);
    if (rc < 0)
        return rc;
    rc = result_shape_check(&sum->shape, first, &result.shape, path, true, e);
    if (rc == 0) {
        rc = result_add(sum, &result, true);
        if (rc < 0)
            error_what(e, "%s: no memory to add it", path);
    }
    result_fini(&result);
    return rc;
}

static int add_files(struct result *sum, const struct options *options, struct error *e)
{
    char **paths = options->arguments;
    if (options->argument_count < 1) {
        error_what(e, "--merge has no files to add up");
        error_mend(e, "name those that synfin --load -J wrote: synfin --merge a.json b.json");
        return ERR_SYNTAX;
    }
    int rc = result_read(sum, paths[0], e);
    if (rc < 0)
        return rc;
    for (int i = 1; rc == 0 && i < options->argument_count; i++)
        rc = add_file(sum, paths[0], paths[i], e);
    if (rc < 0)
        result_fini(sum);
    return rc;
}

int merge_run(const struct options *options)
{
    struct result_conditions conditions;
    struct result sum;
    struct error e = {"", ""};
    int rc = result_conditions_init(&conditions, options, &e);
    if (rc == 0)
        rc = add_files(&sum, options, &e);
    if (rc < 0) {
        log_error(&e);
        return rc == ERR_MEMORY ? fate_row(FATE_MEMORY)->exit_status : EXIT_USAGE;
    }
    result_judge(&sum);
    int status = result_out(&sum, options->json);
    if (status == 0 && result_conditions_hold(&conditions, &sum))
        status = RESULT_EXIT_CONDITION;
    result_fini(&sum);
    return status;
}
