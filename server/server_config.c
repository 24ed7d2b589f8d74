#include "config.h"

#include "server_config.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"
#include "sockopt.h"

#define SOURCE_BYTES_DEFAULT 64 /* as options_table.c says */

/* -t, or one per processor that this process may use; one life needs one thread. */
static unsigned count_threads(const struct options *o)
{
    cpu_set_t set;

    if (o->threads > 0)
        return (unsigned)o->threads;
    return o->one_off || sched_getaffinity(0, sizeof set, &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

static int check_address(struct server_config *config, struct error *e)
{
    const struct options *o = config->options;
    int result;

    if (o->argument_count == 0) {
        error_what(e, "where to listen is missing");
        error_mend(e, "synfind 9000 for this machine, synfind :9000 for all, synfind 0 for any "
                      "free port, synfind unix:PATH; synfind --help says more");
        return ERR_SYNTAX;
    }
    result = endpoint_parse(&config->endpoint, true, o->argument_count, o->arguments, e);
    if (result < 0)
        return result;
    if (config->endpoint.kind == ENDPOINT_UNIX && o->reuseport) {
        error_what(e, "--reuseport: %s is a unix socket, which one server holds alone",
                   config->endpoint.text);
        error_mend(e, "leave it out, or listen on a TCP port");
        return ERR_SYNTAX;
    }
    if (config->endpoint.kind == ENDPOINT_UNIX && o->family != FAMILY_ANY) {
        error_what(e, "-%c does not go with %s, which is no internet address",
                   o->family == FAMILY_4 ? '4' : '6', config->endpoint.text);
        error_mend(e, "leave it out, or listen on a TCP port");
        return ERR_SYNTAX;
    }
    if (config->endpoint.kind == ENDPOINT_UNIX && o->port_file != NULL) {
        error_what(e, "--port-file: %s has no port", config->endpoint.text);
        error_mend(e, "leave it out, or listen on a TCP port");
        return ERR_SYNTAX;
    }
    return 0;
}

static int check_sockopts(const struct options *o, struct error *e)
{
    for (unsigned i = 0; i < o->set_count; i++) {
        int result = sockopt_check(o->set[i], USE_SERVER, e);
        if (result < 0)
            return result;
    }
    return 0;
}

static int check_handler(struct server_config *config, struct error *e)
{
    const struct options *o = config->options;

    config->handler = handler_find(o->handler, e);
    if (config->handler == NULL)
        return ERR_SYNTAX;
    config->handler_setup = (struct handler_setup){
        .codec = &config->conn.codec,
        .source_bytes = o->size_bytes > 0 ? o->size_bytes : SOURCE_BYTES_DEFAULT,
        .source_rate = o->rate,
    };
    if (config->handler != &handler_source && (o->size_bytes > 0 || o->rate > 0)) {
        error_what(e, "%s belongs to -H source, and the handler is %s",
                   o->size_bytes > 0 ? "-s" : "-r", o->handler);
        error_mend(e, "leave it out, or say -H source");
        return ERR_SYNTAX;
    }
    if (config->handler == &handler_ack && o->journal != NULL &&
        strcmp(o->journal, "jsonl:-") == 0) {
        error_what(e, "--journal jsonl:-: -H ack prints what it receives to standard output too");
        error_mend(e, "give the journal a file: --journal jsonl:FILE");
        return ERR_SYNTAX;
    }
    return 0;
}

static void fill_conn(struct server_config *config)
{
    const struct options *o = config->options;
    struct conn_config *conn = &config->conn;

    conn->side = SIDE_SERVER;
    conn->trace = o->trace;
    conn->fast = !o->no_fastio;
    conn->answers = config->handler->answers;
    conn->path = config->endpoint.kind == ENDPOINT_UNIX ? config->endpoint.path : NULL;
    conn->idle_us = o->idle_timeout_us;
    conn->linger_us = o->linger_timeout_us;
    conn->drain_us = o->drain_timeout_us;
}

int server_config_init(struct server_config *config, const struct options *options, struct error *e)
{
    int result;

    *config = (struct server_config){.options = options};
    if ((result = options_codec(options, &config->conn.codec, e)) < 0 ||
        (result = check_address(config, e)) < 0 || (result = check_sockopts(options, e)) < 0 ||
        (result = check_handler(config, e)) < 0 ||
        (options->journal != NULL && (result = journal_check(options->journal, e)) < 0))
        return result;
    fill_conn(config);
    config->threads = count_threads(options);
    return 0;
}
