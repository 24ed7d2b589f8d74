/* raw_peer: for tests: one raw connection at a time, by blocking calls that give up after a while:
 * for scripts that are told step by step. (peer.h is for many at once.) Threads: one. */
#ifndef SYNFIN_TESTS_RAW_PEER_H
#define SYNFIN_TESTS_RAW_PEER_H

#include <stdbool.h>
#include <stddef.h>

/* A listening socket on 127.0.0.1, its port as text; on a unix path. */
int raw_listen(char port[8]);
int raw_listen_unix(const char *path, int backlog);
/* The next connection; the listener stays open. */
int raw_accept(int listener);

/* All of these bytes, which the other end must take. */
void raw_send(int fd, const void *bytes, size_t n);
/* Exactly these bytes, and no FIN before them. */
void raw_expect(int fd, const void *bytes, size_t n);
/* A frame of u32be with this text as its body. */
void raw_send_frame(int fd, const char *body);
void raw_expect_frame(int fd, const char *body);
/* The other end's FIN, with nothing before it; its RST, whatever comes before it. */
void raw_expect_fin(int fd);
void raw_expect_reset(int fd);
/* Reads on, whatever comes, until the other end's FIN. */
void raw_read_to_fin(int fd);
/* That nothing, not even a FIN, comes for so long. */
void raw_expect_silence(int fd, int ms);
/* shutdown(SHUT_WR); close() with SO_LINGER 0. */
void raw_fin(int fd);
void raw_reset(int fd);

#endif
