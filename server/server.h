/* server: puts listener, acceptor, crew and drain together, runs them to their end. Level: the
 * server's. Threads: the main one. */
#ifndef SYNFIN_SERVER_H
#define SYNFIN_SERVER_H

#include "server_config.h"

#define SERVER_EXIT_CUT 1
#define SERVER_EXIT_USAGE 2
#define SERVER_EXIT_SYSTEM 71 /* the system refused (EX_OSERR) */

/* Runs until it has drained or was cut. Returns the exit status; what went wrong is logged. */
int server_run(const struct server_config *config);

#endif
