/* raw_serve: the connections of the reference server, one epoll, one thread. */
#ifndef SYNFIN_BENCH_RAW_SERVE_H
#define SYNFIN_BENCH_RAW_SERVE_H

#include <stddef.h>
#include <stdint.h>

enum serve_mode { SERVE_ECHO, SERVE_DISCARD, SERVE_SOURCE };

extern struct serve_counts {
    uint64_t connections, clean, reset, truncated, frames, bytes_in, bytes_out, unsent;
} serve_counts;

/* `size`: of the bodies that are sent (SERVE_SOURCE). */
void serve_init(int epoll, enum serve_mode mode, uint64_t size);
/* How many connections there are. */
size_t serve_open(void);
/* A connection that was accepted. */
void serve_begin(int fd);
/* Its descriptor is ready for these events of epoll. */
void serve_ready(int fd, uint32_t events);
/* All connections: our FIN once their output has gone; what comes then is read and dropped. */
void serve_drain(void);
/* All that are left are reset. */
void serve_cut(void);

#endif
