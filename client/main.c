#include "config.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>

#include "client_config.h"
#include "compare_run.h"
#include "load.h"
#include "log.h"
#include "merge_run.h"
#include "options.h"
#include "stream.h"
#include "talk.h"

#define EXIT_USAGE 2

/* One of the modes that have connections. */
static int run_on(const struct options *options, int (*mode)(const struct client_config *config))
{
    struct client_config config;
    struct error e = {"", ""};
    if (client_config_init(&config, options, &e) < 0) {
        log_error(&e);
        return EXIT_USAGE;
    }
    return mode(&config);
}

static int run(const struct options *options)
{
    log_init("synfin", options_level(options), false);
    if (options->merge)
        return merge_run(options);
    if (options->compare)
        return compare_run(options);
    return run_on(options, options->load ? load_run : talk_run);
}

int main(int argc, char **argv)
{
    struct options options;
    struct error e = {"", ""};

    stream_guard();
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file over ulimit -f: write(2) says EFBIG, and we say where */
    log_init("synfin", LOG_LEVEL_NOTE, false);
    int result = options_parse(&options, USE_CLIENT, argc, argv, &e);
    if (result < 0) {
        log_error(&e);
        return EXIT_USAGE;
    }
    switch ((enum options_result)result) {
    case OPTIONS_RUN:
        return run(&options);
    case OPTIONS_HELP:
        options_help(USE_CLIENT);
        return stream_finish();
    case OPTIONS_VERSION:
        options_version(USE_CLIENT);
        return stream_finish();
    case OPTIONS_FRAME_LIST:
        frame_codec_list(stdout);
        return stream_finish();
    }
    return EXIT_USAGE;
}
