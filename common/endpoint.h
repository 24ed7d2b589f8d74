/* endpoint: the addresses people write, to the addresses sockets take.
 * Level 1. Threads: no state; endpoint_resolve blocks, so it runs in a thread of its own. */
#ifndef SYNFIN_ENDPOINT_H
#define SYNFIN_ENDPOINT_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "err.h"
#include "options.h"

enum endpoint_kind { ENDPOINT_TCP, ENDPOINT_UNIX };

struct endpoint {
    enum endpoint_kind kind;
    char host[256]; /* without brackets; "" where none was given */
    bool any;       /* written ":PORT": every interface */
    uint16_t port;  /* 0: from the system (server only) */
    char path[108]; /* UNIX; "@name": in the abstract namespace (unix(7)), no file */
    char text[300]; /* as a person reads it: "broker-1:9000", "[::1]:9000", ":9000",
                       "unix:/run/echo.sock" */
};

/* From the arguments left on the command line: "HOST PORT", "HOST:PORT", "[v6]:PORT", ":PORT",
 * "unix:PATH", and for the server "PORT" alone. PORT: 0 to 65535 for the server, 1 to 65535 for the
 * client, or a service name. A client's ":PORT" is localhost. Result 0 or ERR_SYNTAX / ERR_RANGE
 * with `e`. */
int endpoint_parse(struct endpoint *endpoint, bool server, int argument_count, char **arguments,
                   struct error *e);

/* Resolves a TCP endpoint (server without a host: 127.0.0.1 and ::1; `any`: the wildcards). Result
 * 0 with *list (freeaddrinfo), or an EAI_ code (nonzero; errno kept for EAI_SYSTEM). Blocks. */
int endpoint_resolve(const struct endpoint *endpoint, enum options_family family, bool server,
                     struct addrinfo **list);

/* The socket address of a UNIX endpoint's path. Result: its length. */
socklen_t endpoint_unix_address(const char *path, struct sockaddr_un *address);
/* The same of a client's endpoint whose host is an address as it stands: does not block.
 * EAI_NONAME: it is a name. */
int endpoint_numeric(const struct endpoint *endpoint, enum options_family family,
                     struct addrinfo **list);

#endif
