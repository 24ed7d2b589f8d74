/* raw: what the reference programs share: numbers of the command line, sockets that listen, time.
 * Threads: one. */
#ifndef SYNFIN_BENCH_RAW_H
#define SYNFIN_BENCH_RAW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#define RAW_SCRATCH (256 * 1024)  /* what one read may bring */
#define RAW_FRAME_MAX (16u << 20) /* the largest body, as the product's default */
#define RAW_HEAD 4                /* a frame's header: its body's length, big-endian */
#define RAW_EVENTS 256

/* One line to stderr, with errno's text if `error` is not 0; then the end. */
void raw_die(int error, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* A whole number with an optional k or m (1000s), or the end. */
uint64_t raw_number(const char *option, const char *text);

uint64_t raw_ns(void);     /* CLOCK_MONOTONIC */
uint64_t raw_cpu_us(void); /* user and system time of this process so far */

/* A listening TCP socket, non-blocking, with TCP_NODELAY, which those accepted inherit.
 * `congestion` may be NULL. With `port_file` the port is written there, as a whole (a rename). */
struct raw_listen {
    const char *address, *port_file, *congestion;
    uint16_t port; /* 0: the system chooses */
    int reuseport, backlog;
};
int raw_listen(const struct raw_listen *how);

/* Sets the congestion control of a socket that is to connect. */
void raw_congestion(int fd, const char *name);

/* As many descriptors as the hard limit allows. Returns how many. */
size_t raw_descriptors(void);

/* epoll_wait, after spinning for `spin_ns`. `timeout_ns` < 0: for ever. The count, 0 at a signal.
 */
int raw_await(int epoll, struct epoll_event *events, uint64_t spin_ns, int64_t timeout_ns);

static inline uint32_t raw_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void raw_put_be32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

#endif
