#include "config.h"

#include "peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"

#define BUFFER_BYTES 8192
#define SEGMENT_BYTES 1448 /* loopback's own, 64 KiB, would make small windows stall */

/* Sockets. */

static int make_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int bytes = BUFFER_BYTES, segment = SEGMENT_BYTES;
    ck_assert_msg(fd >= 0, "socket: %s", strerror(errno));
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)), 0);
    return fd;
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int tcp_state(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_state : -1;
}

static void add(struct peers *peers, int fd, uint32_t id, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.u32 = id};
    ck_assert_int_eq(epoll_ctl(peers->epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

static void begin(struct peers *peers, int fd, uint32_t interest)
{
    struct peer *peer = &peers->all[peers->begun];
    struct sockaddr_in address;
    socklen_t n = sizeof(address);
    peer->fd = fd;
    peer->interest = interest;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    peer->port = ntohs(address.sin_port);
    add(peers, fd, peers->begun++, interest);
}

static void init(struct peers *peers, unsigned count, const struct peer_script *script)
{
    memset(peers, 0, sizeof(*peers));
    peers->all = calloc(count, sizeof(*peers->all));
    ck_assert_ptr_nonnull(peers->all);
    for (unsigned i = 0; i < count; i++)
        peers->all[i].fd = -1;
    peers->count = count;
    peers->script = script;
    peers->listener = -1;
    peers->epoll = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_ge(peers->epoll, 0);
}

void peers_connect(struct peers *peers, unsigned count, const struct peer_script *script,
                   uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    init(peers, count, script);
    for (unsigned i = 0; i < count; i++) {
        int fd = make_socket();
        ck_assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
                  errno == EINPROGRESS);
        begin(peers, fd, EPOLLOUT);
        peers->all[i].remote_port = port;
    }
}

void peers_listen(struct peers *peers, unsigned count, const struct peer_script *script)
{
    struct sockaddr_in address = loopback(0);
    socklen_t n = sizeof(address);
    init(peers, count, script);
    peers->listener = make_socket();
    ck_assert_int_eq(bind(peers->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(peers->listener, (int)count), 0);
    ck_assert_int_eq(getsockname(peers->listener, (struct sockaddr *)&address, &n), 0);
    peers->port = ntohs(address.sin_port);
    add(peers, peers->listener, count, EPOLLIN);
}

void peers_free(struct peers *peers)
{
    for (unsigned i = 0; i < peers->count; i++)
        if (peers->all[i].fd >= 0)
            close(peers->all[i].fd);
    if (peers->listener >= 0)
        close(peers->listener);
    close(peers->epoll);
    free(peers->all);
}

struct peer *peers_find(struct peers *peers, uint16_t port)
{
    for (unsigned i = 0; i < peers->count; i++) {
        uint16_t own = peers->listener >= 0 ? peers->all[i].remote_port : peers->all[i].port;
        if (own == port)
            return &peers->all[i];
    }
    return NULL;
}

/* What one connection does. */

static void finish(struct peers *peers, struct peer *peer)
{
    if (peer->done)
        return;
    peer->done = true;
    peers->done++;
}

static void was_cut(struct peers *peers, struct peer *peer)
{
    peer->cut = true;
    close(peer->fd);
    peer->fd = -1;
    finish(peers, peer);
}

/* Who was first is known when the second of the two FINs is sent or seen. */
static void send_fin(struct peer *peer)
{
    int before = tcp_state(peer->fd), after;
    if (shutdown(peer->fd, SHUT_WR) != 0)
        return;
    after = tcp_state(peer->fd);
    peer->fin_sent = true;
    if (before == TCP_CLOSE_WAIT)
        peer->first = PEER_FIRST_THEM;
    else if (after == TCP_CLOSING)
        peer->first = PEER_FIRST_BOTH;
    else
        peer->first = PEER_FIRST_US;
}

static void close_hard(struct peer *peer, bool reset)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(peer->fd);
    peer->fd = -1;
}

/* Reads at most `most` bytes. Whether there was something: bytes, FIN or RST. */
static bool read_some(struct peers *peers, struct peer *peer, size_t most)
{
    uint8_t bytes[16384];
    const struct peer_script *script = peers->script;
    ssize_t n;
    if (peer->fin_seen)
        return false;
    n = recv(peer->fd, bytes, most < sizeof(bytes) ? most : sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0) {
        was_cut(peers, peer);
    } else if (n == 0) {
        peer->fin_seen = true;
        if (!peer->fin_sent)
            peer->first = PEER_FIRST_THEM;
    } else if (!peer->wrong) {
        if ((size_t)n > script->expect_length - peer->received ||
            memcmp(bytes, script->expect + peer->received, (size_t)n) != 0)
            peer->wrong = true;
        else
            peer->received += (size_t)n;
    }
    return true;
}

/* Whether all of the step's bytes are with the kernel. */
static bool send_some(struct peers *peers, struct peer *peer, size_t until)
{
    while (peer->sent < until) {
        ssize_t n =
            send(peer->fd, peers->script->out + peer->sent, until - peer->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0) {
            was_cut(peers, peer);
            return false;
        }
        peer->sent += (size_t)n;
    }
    return true;
}

/* Where the sending of this step ends: the sum of the steps so far. */
static size_t send_until(const struct peer_script *script, unsigned step)
{
    size_t sum = 0;
    for (unsigned i = 0; i <= step; i++) {
        if (script->steps[i].what != PEER_SEND)
            continue;
        sum = script->steps[i].n == 0 ? script->out_length : sum + script->steps[i].n;
    }
    return sum;
}

static bool take_some(struct peers *peers, struct peer *peer, size_t until)
{
    if (until == 0)
        until = peers->script->expect_length;
    while (peer->received < until && !peer->wrong && !peer->done)
        if (!read_some(peers, peer, until - peer->received))
            return false;
    return !peer->done;
}

static bool read_to_fin(struct peers *peers, struct peer *peer)
{
    while (!peer->fin_seen && !peer->done)
        if (!read_some(peers, peer, SIZE_MAX))
            return false;
    return !peer->done;
}

/* Whether the step is complete. */
static bool run_step(struct peers *peers, struct peer *peer, const struct peer_step *step)
{
    switch (step->what) {
    case PEER_SEND:
        return send_some(peers, peer, send_until(peers->script, peer->step));
    case PEER_READ:
    case PEER_DEAF:
        peer->reading = step->what == PEER_READ;
        return true;
    case PEER_TAKE:
        return take_some(peers, peer, step->n);
    case PEER_FIN:
        send_fin(peer);
        return true;
    case PEER_AWAIT_FIN:
        return read_to_fin(peers, peer);
    case PEER_RST:
    case PEER_CLOSE:
        close_hard(peer, step->what == PEER_RST);
        return true;
    case PEER_AWAIT_RST:
    case PEER_MEET: /* left by meet() */
    case PEER_END:
        return false;
    }
    return false;
}

static void advance(struct peers *peers, struct peer *peer);

/* All that are left have come to the meeting: on with each. */
static void meet(struct peers *peers)
{
    peers->meeting = 0;
    if (peers->met != NULL)
        peers->met(peers->met_arg);
    for (unsigned i = 0; i < peers->count; i++) {
        struct peer *peer = &peers->all[i];
        if (peer->done || peers->script->steps[peer->step].what != PEER_MEET)
            continue;
        peer->step++;
        advance(peers, peer);
    }
}

/* Runs steps until one has to wait. */
static void advance(struct peers *peers, struct peer *peer)
{
    const struct peer_step *steps = peers->script->steps;
    while (!peer->done && run_step(peers, peer, &steps[peer->step])) {
        peer->step++;
        if (steps[peer->step].what == PEER_END)
            finish(peers, peer);
        else if (steps[peer->step].what == PEER_MEET)
            peers->meeting++;
    }
}

/* Whether its next read would tell of an RST. */
static bool will_read(const struct peers *peers, const struct peer *peer)
{
    enum peer_do what = peers->script->steps[peer->step].what;
    return !peer->fin_seen && (peer->reading || what == PEER_TAKE || what == PEER_AWAIT_FIN);
}

/* What a peer waits for; errors and RST come unasked. */
static void set_interest(struct peers *peers, struct peer *peer, uint32_t id)
{
    enum peer_do what = peers->script->steps[peer->step].what;
    struct epoll_event event = {.data.u32 = id};
    if (peer->fd < 0 || !peer->connected)
        return;
    if (will_read(peers, peer))
        event.events |= EPOLLIN;
    if (what == PEER_SEND)
        event.events |= EPOLLOUT;
    if (event.events == peer->interest)
        return;
    peer->interest = event.events;
    epoll_ctl(peers->epoll, EPOLL_CTL_MOD, peer->fd, &event);
}

static void on_event(struct peers *peers, uint32_t id, uint32_t events)
{
    struct peer *peer = &peers->all[id];
    if (peer->done) {
        epoll_ctl(peers->epoll, EPOLL_CTL_DEL, peer->fd, NULL);
        return;
    }
    peer->connected = true;
    if ((events & EPOLLERR) != 0 && !will_read(peers, peer))
        was_cut(peers, peer);
    do {
        advance(peers, peer);
    } while (peer->reading && !peer->done && read_some(peers, peer, SIZE_MAX));
    if (peers->meeting > 0 && peers->meeting + peers->done == peers->count)
        meet(peers);
}

static void accept_one(struct peers *peers)
{
    struct sockaddr_in address;
    socklen_t n = sizeof(address);
    int fd =
        accept4(peers->listener, (struct sockaddr *)&address, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    ck_assert_msg(peers->begun < peers->count, "one connection more than %u", peers->count);
    peers->all[peers->begun].remote_port = ntohs(address.sin_port);
    begin(peers, fd, EPOLLIN);
    on_event(peers, peers->begun - 1, 0);
}

/* Running. */

static void complain(const struct peers *peers, unsigned wanted)
{
    for (unsigned i = 0; i < peers->begun; i++) {
        const struct peer *peer = &peers->all[i];
        if (!peer->done)
            ck_abort_msg("%u of %u raw connections ended; one (port %u) stands at step %u, sent "
                         "%zu, received %zu, TCP state %d",
                         peers->done, wanted, peer->port, peer->step, peer->sent, peer->received,
                         tcp_state(peer->fd));
    }
    ck_abort_msg("%u of %u raw connections ended, %u were begun", peers->done, wanted,
                 peers->begun);
}

static void run_once(struct peers *peers, int ms)
{
    struct epoll_event events[64];
    int n = epoll_wait(peers->epoll, events, 64, ms);
    for (int i = 0; i < n; i++) {
        if (events[i].data.u32 == peers->count)
            accept_one(peers);
        else
            on_event(peers, events[i].data.u32, events[i].events);
    }
    for (unsigned i = 0; n > 0 && i < peers->begun; i++)
        set_interest(peers, &peers->all[i], i);
}

void peers_run(struct peers *peers, unsigned done, int ms)
{
    int64_t due = pair_now_ms() + ms;
    do {
        int64_t left = due - pair_now_ms();
        if (left <= 0)
            complain(peers, done);
        run_once(peers, done > 0 ? (int)left : 0);
    } while (peers->done < done);
}
