/* peer: for tests: many raw TCP connections, each driven through a script, in one process and one
 * thread. It knows nothing of synfin's code: bytes, FINs and RSTs are sent and judged here.
 *
 * Every connection runs the same script over the same bytes: `out` is what it can send, `expect`
 * what may come from the other end, in that order and not a byte else. */
#ifndef SYNFIN_TESTS_PEER_H
#define SYNFIN_TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer_do {
    PEER_END,       /* ends the script: the descriptor stays open until peers_free */
    PEER_SEND,      /* gives the kernel the next n bytes of `out` (0: all that are left) */
    PEER_READ,      /* from here on reads whatever comes, beside the steps that follow */
    PEER_DEAF,      /* from here on reads nothing (as at the beginning) */
    PEER_TAKE,      /* waits until n bytes have come in all (0: all of `expect`) */
    PEER_FIN,       /* shutdown(SHUT_WR) */
    PEER_AWAIT_FIN, /* reads until the other's FIN */
    PEER_AWAIT_RST, /* waits for the other's RST */
    PEER_RST,       /* close() with SO_LINGER 0 */
    PEER_CLOSE,     /* close() */
    PEER_MEET,      /* waits until all connections are here; then peers->met runs, once */
};

struct peer_step {
    enum peer_do what;
    size_t n;
};

#define PEER_STEPS_MAX 16

struct peer_script {
    const uint8_t *out, *expect;
    size_t out_length, expect_length;
    struct peer_step steps[PEER_STEPS_MAX];
};

/* Whose FIN was first, as the kernel on this side sees it. */
enum peer_first { PEER_FIRST_NOBODY, PEER_FIRST_US, PEER_FIRST_THEM, PEER_FIRST_BOTH };

struct peer {
    int fd; /* -1: not yet, or closed */
    unsigned step;
    uint16_t port, remote_port;
    size_t sent, received;
    bool connected, reading, fin_sent, fin_seen;
    bool cut;   /* the other's RST came */
    bool wrong; /* a byte was not as expected, or one too many; `received` is where */
    bool done;  /* the script has ended, or the connection was cut */
    enum peer_first first;
    bool time_wait_ours, time_wait_theirs; /* see peers_time_wait */
    uint32_t interest;
};

struct peers {
    struct peer *all;
    unsigned count, begun, done, meeting;
    const struct peer_script *script;
    void (*met)(void *arg);
    void *met_arg;
    int epoll, listener;
    uint16_t port; /* peers_listen: where */
};

/* `count` connections to this port on 127.0.0.1, with small socket buffers and segments of ordinary
 * size. */
void peers_connect(struct peers *peers, unsigned count, const struct peer_script *script,
                   uint16_t port);
/* Awaits `count` connections on a port from the system. */
void peers_listen(struct peers *peers, unsigned count, const struct peer_script *script);
/* Runs until `done` scripts have ended (0: does what there is to do now). Fails the test, and says
 * where the first one stands, if they have not after `ms`. */
void peers_run(struct peers *peers, unsigned done, int ms);
/* Fills time_wait_ours (this side holds it) and time_wait_theirs from the kernel's table. False,
 * and nothing filled, where the kernel may have dropped some: over its limit. */
bool peers_time_wait(struct peers *peers);
/* The one whose connecting end has this port, or NULL: by the other end's record. */
struct peer *peers_find(struct peers *peers, uint16_t port);
void peers_free(struct peers *peers);

#endif
