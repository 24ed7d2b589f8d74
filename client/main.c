#include "config.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>

#include "client_config.h"
#include "log.h"
#include "options.h"
#include "stream.h"
#include "talk.h"

#define EXIT_USAGE 2

/* After --help and its kin: whether it could be written. */
static int written(void)
{
    bool failed = stream_was_closed(1) || fflush(stdout) != 0 || ferror(stdout);
    if (failed) {
        log_line(LOG_LEVEL_ERROR, "standard output: %s",
                 stream_was_closed(1) ? "closed" : strerror(errno));
        return fate_row(FATE_OUTPUT)->exit_status;
    }
    return 0;
}

static int talk(const struct options *options)
{
    struct client_config config;
    struct error e = {"", ""};
    log_init("synfin", options_level(options), false);
    if (client_config_init(&config, options, &e) < 0) {
        log_error(&e);
        return EXIT_USAGE;
    }
    return talk_run(&config);
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
    int result = options_parse(&options, USE_TALK, argc, argv, &e);
    if (result < 0) {
        log_error(&e);
        return EXIT_USAGE;
    }
    switch ((enum options_result)result) {
    case OPTIONS_RUN:
        return talk(&options);
    case OPTIONS_HELP:
        options_help(USE_TALK);
        return written();
    case OPTIONS_VERSION:
        options_version(USE_TALK);
        return written();
    case OPTIONS_FRAME_LIST:
        frame_codec_list(stdout);
        return written();
    }
    return EXIT_USAGE;
}
