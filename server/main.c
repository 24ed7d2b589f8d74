/* synfind: the server's command line. */
#include "config.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "frame.h"
#include "descriptors.h"
#include "log.h"
#include "options.h"
#include "server.h"
#include "server_config.h"

#define EXIT_OUTPUT 23 /* standard output could not be written, as in the fate table */

static int fail_usage(const struct error *e)
{
    log_error(e);
    return SERVER_EXIT_USAGE;
}

/* After what was asked for only to be printed. */
static int printed(void)
{
    struct error e;

    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    error_what(&e, "standard output cannot be written: %s", strerror(errno));
    log_error(&e);
    return EXIT_OUTPUT;
}

static int run(const struct options *options)
{
    static struct server_config config;
    struct error e;

    if (server_config_init(&config, options, &e) < 0)
        return fail_usage(&e);
    log_init("synfind", options_level(options), true);
    return server_run(&config);
}

int main(int argc, char **argv)
{
    struct options options;
    struct error e;
    int result;

    descriptors_hold_standard();
    setlocale(LC_CTYPE, "");
    log_init("synfind", LOG_LEVEL_NOTE, false);
    result = options_parse(&options, USE_SERVER, argc, argv, &e);
    if (result < 0)
        return fail_usage(&e);
    switch ((enum options_result)result) {
    case OPTIONS_RUN:
        return run(&options);
    case OPTIONS_HELP:
        options_help(USE_SERVER);
        return printed();
    case OPTIONS_VERSION:
        options_version(USE_SERVER);
        return printed();
    case OPTIONS_FRAME_LIST:
        frame_codec_list(stdout);
        return printed();
    }
    return SERVER_EXIT_USAGE;
}
