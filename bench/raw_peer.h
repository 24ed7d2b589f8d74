/* raw_peer: a connection of the reference client: what is sent on it and what has to come back. For
 * raw_drive.c only. */
#ifndef SYNFIN_BENCH_RAW_PEER_H
#define SYNFIN_BENCH_RAW_PEER_H

#include <netinet/in.h>

#include "raw_drive.h"

enum peer_state { PEER_UNUSED, PEER_CONNECTING, PEER_OPEN, PEER_ENDING };

struct peer {
    uint64_t sent, replies; /* whole messages */
    uint32_t out_at, in_at; /* bytes of the next ones; receiving: of the frame's header */
    uint32_t skip, head;    /* receiving: bytes of the body still to come; the header so far */
    int fd;
    uint8_t state;
    bool wants_out; /* EPOLLOUT is on */
};

/* The one run of this program. */
extern struct run {
    const struct drive *asked;
    struct drive_result *result;
    struct sockaddr_in address;
    struct peer *peers;
    int epoll_fd;
    uint64_t now_ns, began_ns, ends_ns; /* of the measured time; 0: it has not begun */
    uint64_t due;                       /* open loop: messages due so far, in all */
    uint64_t launched, on_the_way, up, ended;
    bool stopping;
} run;

void peer_launch(uint32_t i);
void peer_ready(uint32_t i, uint32_t events);
/* Sends what may be sent now. */
void peer_send(uint32_t i);
/* The run is over: our FIN, once all that was sent is answered. */
void peer_stop(uint32_t i);

#endif
