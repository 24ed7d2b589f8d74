/* wire: for tests: one blocking connection that speaks u32be frames by hand, each wait with a
 * deadline. Fails the test on errors; an end of the connection is a result. Threads: one. */
#ifndef SYNFIN_TESTS_WIRE_H
#define SYNFIN_TESTS_WIRE_H

#include <stdbool.h>
#include <stddef.h>

/* Connected, or -1 (errno): refused, or no such address family here. */
int wire_try(const char *host, int port);
int wire_try_unix(const char *path);
/* Connected to 127.0.0.1. */
int wire_connect(int port);

void wire_send(int fd, const char *text);
/* A frame's body, ended by a NUL, valid until the next call; NULL: the peer's FIN or RST. */
const char *wire_read(int fd);
/* Sends `text` and reads `reply`. */
void wire_talk(int fd, const char *text, const char *reply);
/* Whether nothing has come so far. */
bool wire_silent(int fd);

enum wire_end { WIRE_FIN, WIRE_RST };
/* Reads on until the end and says which it was. */
enum wire_end wire_end(int fd);
/* FIN, then reads to the peer's FIN and closes. Fails on RST. */
void wire_finish(int fd);
/* Closes by RST. */
void wire_reset(int fd);

#endif
