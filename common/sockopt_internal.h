/* sockopt_internal: the table of socket options and its parser, for sockopt*.c alone.
 * Level 1. Threads: no state. */
#ifndef SYNFIN_SOCKOPT_INTERNAL_H
#define SYNFIN_SOCKOPT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "sockopt.h"

#define SOCKOPT_WORD 32 /* room for a text value: a congestion control, an interface */

enum sockopt_kind {
    SOCKOPT_FLAG,
    SOCKOPT_NUMBER,
    SOCKOPT_BYTES,
    SOCKOPT_TIME, /* the kernel counts in `unit_us` */
    SOCKOPT_TEXT,
};

/* What reading an option back gives, as against what was set. */
enum sockopt_back {
    BACK_SAME,
    BACK_DOUBLE,   /* twice as much: the kernel adds room for its own bookkeeping */
    BACK_AT_LEAST, /* rounded up to the kernel's steps */
};

/* When to apply, bits: the client sets CONNECT and CONNECTED, the server LISTEN and CONNECTED. */
enum sockopt_on {
    ON_CONNECT = 1 << SOCKOPT_BEFORE_CONNECT,
    ON_LISTEN = 1 << SOCKOPT_BEFORE_LISTEN,
    ON_CONNECTED = 1 << SOCKOPT_CONNECTED,
};

struct sockopt_row {
    const char *name;
    int level, option;
    int level6, option6; /* on an IPv6 socket, where they differ; else 0 */
    enum sockopt_kind kind;
    unsigned on;       /* enum sockopt_on */
    bool unix_too;     /* has a meaning on a unix socket */
    uint32_t unit_us;  /* SOCKOPT_TIME */
    uint64_t min, max; /* in the kernel's unit */
    enum sockopt_back back;
    const char *limit;   /* the sysctl that caps it silently, or NULL */
    const char *example; /* a value, for messages */
    const char *may;     /* who may set it, told when the kernel says EPERM; or NULL */
};

/* A parsed --set text. */
struct sockopt_value {
    const struct sockopt_row *row;
    uint32_t number;
    char text[SOCKOPT_WORD];
};

/* Result 0, or ERR_SYNTAX / ERR_RANGE with `e` (may be NULL). */
int sockopt_parse(struct sockopt_value *value, const char *text, struct error *e);

#endif
