/* server_config: the server's options, checked and made into what the modules need. Level: the
 * server's. Threads: constant once made. */
#ifndef SYNFIN_SERVER_CONFIG_H
#define SYNFIN_SERVER_CONFIG_H

#include "conn.h"
#include "endpoint.h"
#include "err.h"
#include "handler.h"
#include "options.h"

struct server_config {
    const struct options *options; /* borrowed */
    struct endpoint endpoint;
    const struct handler *handler;
    struct handler_setup handler_setup;
    struct conn_config conn;
    unsigned threads;
};

/* Result 0, or a negative enum err with `e`: a usage error. `config` must not move afterwards. */
int server_config_init(struct server_config *config, const struct options *options,
                       struct error *e);

#endif
