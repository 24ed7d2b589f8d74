#include "config.h"

#include "client_config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sockopt.h"

/* A hex line is two digits a byte, with room for a blank after each. */
static uint64_t hex_line_max(uint64_t max_body)
{
    return max_body < UINT64_MAX / 4 ? max_body * 3 + 1 : UINT64_MAX;
}

static int init_stdio(struct stdio_format *stdio, const struct options *options, struct error *e)
{
    stdio->hex = strcmp(options->stdio, "hex") == 0;
    if (stdio->hex)
        return frame_codec_parse(&stdio->codec, "line", hex_line_max(options->max_frame_bytes), e);
    int result = frame_codec_parse(&stdio->codec, options->stdio, options->max_frame_bytes, e);
    if (result < 0) {
        struct error cause = *e;
        error_context(e, "--stdio %s", options->stdio);
        error_mend(e, "%s%sor --stdio hex", cause.mend, cause.mend[0] ? ", " : "");
    }
    return result;
}

static int check_endpoint(const struct options *options, const struct endpoint *endpoint,
                          struct error *e)
{
    if (endpoint->kind == ENDPOINT_UNIX && options->family != FAMILY_ANY) {
        error_what(e, "-%c does not go with %s, which is no internet address",
                   options->family == FAMILY_4 ? '4' : '6', endpoint->text);
        error_mend(e, "leave one of the two out");
        return ERR_SYNTAX;
    }
    return 0;
}

/* Tries the socket options on a socket that is thrown away, so that what the system refuses is told
 * before a connection is begun. */
static int try_sockopts(const struct options *options, const struct endpoint *endpoint,
                        struct error *e)
{
    for (unsigned i = 0; i < options->set_count; i++) {
        int result = sockopt_check(options->set[i], USE_TALK, e);
        if (result < 0)
            return result;
    }
    int family = endpoint->kind == ENDPOINT_UNIX ? AF_UNIX
                 : options->family == FAMILY_6   ? AF_INET6
                                                 : AF_INET;
    int fd = options->set_count > 0 ? socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0)
        return 0;
    int result = sockopt_apply(fd, SOCKOPT_BEFORE_CONNECT, options->set, options->set_count, e);
    close(fd);
    return result;
}

int client_config_init(struct client_config *config, const struct options *options, struct error *e)
{
    *config = (struct client_config){.options = options};
    if (options->argument_count == 0) {
        error_what(e, "which server? a host and a port are missing");
        error_mend(e, "as in: synfin localhost 9000 (--help shows more)");
        return ERR_SYNTAX;
    }
    struct conn_config *conn = &config->conn;
    int result =
        endpoint_parse(&config->endpoint, false, options->argument_count, options->arguments, e);
    if (result == 0)
        result = check_endpoint(options, &config->endpoint, e);
    if (result == 0)
        result = options_codec(options, &conn->codec, e);
    if (result == 0)
        result = init_stdio(&config->stdio, options, e);
    if (result == 0)
        result = try_sockopts(options, &config->endpoint, e);
    if (result < 0)
        return result;
    conn->side = SIDE_CLIENT;
    conn->trace = options->trace;
    conn->fast = !options->no_fastio;
    conn->path = config->endpoint.kind == ENDPOINT_UNIX ? config->endpoint.path : NULL;
    conn->idle_us = options->idle_timeout_us;
    conn->linger_us = options->linger_timeout_us;
    conn->drain_us = options->drain_timeout_us;
    return 0;
}
