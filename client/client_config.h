/* client_config: the client's options, checked and made into what the modules need.
 * Threads: constant once made. */
#ifndef SYNFIN_CLIENT_CONFIG_H
#define SYNFIN_CLIENT_CONFIG_H

#include <stdbool.h>

#include "conn.h"
#include "endpoint.h"
#include "err.h"
#include "frame.h"
#include "options.h"

/* How stdin and stdout are cut into bodies. */
struct stdio_format {
    struct frame_codec codec; /* for `hex`: of its lines */
    bool hex;
};

struct client_config {
    const struct options *options; /* borrowed */
    struct endpoint endpoint;
    struct conn_config conn;
    struct stdio_format stdio;
};

/* Result 0, or a negative enum err with `e`. */
int client_config_init(struct client_config *config, const struct options *options,
                       struct error *e);

#endif
