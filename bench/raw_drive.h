/* raw_drive: the engine of the reference client: one thread on epoll, every reply verified. The
 * first thing that goes wrong (refused, reset, a wrong byte, a missing reply) ends the program with
 * a message. Threads: one. */
#ifndef SYNFIN_BENCH_RAW_DRIVE_H
#define SYNFIN_BENCH_RAW_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "raw_message.h"

enum drive_mode {
    DRIVE_ECHO,   /* each message is answered by one, which is verified */
    DRIVE_SEND,   /* one way: as fast as the peer takes them */
    DRIVE_RECEIVE /* frames are counted as they come */
};

struct drive {
    const char *address, *congestion;
    uint16_t port;
    enum drive_mode mode;
    uint64_t connections, connecting; /* at most so many on their way at once */
    uint64_t pipeline;                /* in flight on each */
    uint64_t rate;                    /* open loop: messages a second in all; 0: closed loop */
    uint64_t length_ns, spin_ns;
    bool churn; /* each connection carries one message, is closed, and replaced */
    bool hold;  /* one message on each, then idle until standard input has a line or ends */
    struct message_format ask, answer;
};

struct drive_result {
    uint64_t connections;        /* churn: that ended well; else opened and ended well */
    uint64_t messages;           /* within the measured time: answered; one way: sent, received */
    uint64_t bytes;              /* of these */
    uint64_t measured_ns, up_ns; /* up: until the last was up; hold: with a message on each */
    uint64_t cpu_us;             /* of this process in the measured time */
    uint64_t p50_ns, p99_ns, p999_ns, max_ns; /* open loop: from the intended time */
};

void drive_run(const struct drive *drive, struct drive_result *result);

#endif
