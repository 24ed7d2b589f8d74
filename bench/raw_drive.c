#include "config.h"

#include "raw_drive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw_latency.h"

#define GATHER (512 * 1024) /* one send, at most */
#define COPIED 4096         /* a shorter message is copied into the send, a longer one lent */
#define PIECES 128
#define STDIN_EVENT UINT32_MAX
#define PATIENCE_NS 20000000000ULL /* without any event something hangs */

enum { UNUSED, CONNECTING, OPEN, ENDING };

struct peer {
    uint64_t sent, replies; /* whole messages */
    uint32_t out_at, in_at; /* bytes of the next ones; receiving: of the frame's header */
    uint32_t skip, head;    /* receiving: bytes of the body still to come; the header so far */
    int fd;
    uint8_t state;
    bool wants_out; /* EPOLLOUT is on */
};

static const struct drive *drive;
static struct drive_result *result;
static struct sockaddr_in address;
static struct peer *peers;
static int epoll_fd;
static uint8_t scratch[RAW_SCRATCH], gather[GATHER];
static uint64_t now_ns, began_ns, ends_ns; /* of the measured time; 0: it has not begun */
static uint64_t due;                       /* open loop: messages due so far, in all */
static uint64_t launched, on_the_way, up, ended;
static bool stopping;

static void watch(int op, uint32_t i, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = i};

    if (epoll_ctl(epoll_fd, op, peers[i].fd, &event) < 0)
        raw_die(errno, "epoll_ctl");
}

static void want_out(uint32_t i, bool wanted)
{
    if (drive->mode == DRIVE_SEND && !stopping)
        wanted = true; /* there is always more to send */
    if (peers[i].wants_out == wanted)
        return;
    peers[i].wants_out = wanted;
    watch(EPOLL_CTL_MOD, i, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* How many messages may have been sent on this connection by now. */
static uint64_t allowed(const struct peer *peer, uint32_t i)
{
    uint64_t most = UINT64_MAX;

    if (drive->churn || drive->hold)
        return 1;
    if (began_ns == 0 || drive->mode == DRIVE_RECEIVE)
        return 0;
    if (stopping && drive->rate == 0)
        return peer->sent + (peer->out_at > 0);
    if (drive->mode == DRIVE_SEND)
        return most;
    if (drive->rate > 0) {
        most = due > i ? (due - i - 1) / drive->connections + 1 : 0;
    }
    return peer->replies + drive->pipeline < most ? peer->replies + drive->pipeline : most;
}

/* What one send takes: short messages copied together, long ones lent where they are. */
static size_t fill(const struct peer *peer, uint32_t i, uint64_t limit, struct iovec *pieces,
                   int *count, uint64_t *number)
{
    static struct message messages[PIECES / 2];
    const struct message_format *ask = &drive->ask;
    uint32_t at = peer->out_at;
    size_t n = 0;

    *count = 0;
    *number = peer->sent;
    if (ask->length < COPIED) {
        for (; *number < limit && n + ask->length <= GATHER; ++*number, at = 0) {
            message_make(ask, i, *number, messages);
            n += message_copy(ask, messages, at, gather + n);
        }
        pieces[(*count)++] = (struct iovec){gather, n};
        return n;
    }
    for (; *number < limit && *count < PIECES && (n == 0 || n + ask->length <= GATHER);
         ++*number, at = 0) {
        struct message *message = &messages[*count / 2];
        uint32_t head = ask->head_length > at ? ask->head_length - at : 0;
        uint32_t rest = ask->length - at - head;
        message_make(ask, i, *number, message);
        pieces[(*count)++] = (struct iovec){message->head + at, head};
        pieces[(*count)++] = (struct iovec){
            (uint8_t *)(uintptr_t)message->rest + (at + head - ask->head_length), rest};
        if (head == 0)
            pieces[*count - 2].iov_base = gather;
        n += head + rest;
    }
    return n;
}

static void peer_send(uint32_t i)
{
    struct peer *peer = &peers[i];
    struct iovec pieces[PIECES];
    int count;
    uint64_t limit = allowed(peer, i), number;

    if (peer->sent >= limit && peer->out_at == 0) {
        if (peer->wants_out)
            want_out(i, false);
        return;
    }
    size_t n = fill(peer, i, limit, pieces, &count, &number);
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    ssize_t gone = count == 1 ? send(peer->fd, pieces->iov_base, n, MSG_NOSIGNAL)
                              : sendmsg(peer->fd, &message, MSG_NOSIGNAL);
    if (gone < 0 && errno != EAGAIN)
        raw_die(errno, "connection %u: sending message %lu", i, peer->sent);
    if (gone == (ssize_t)n) {
        peer->sent = number;
        peer->out_at = 0;
    } else if (gone > 0) {
        uint64_t total = peer->out_at + (uint64_t)gone;
        peer->sent += total / drive->ask.length;
        peer->out_at = (uint32_t)(total % drive->ask.length);
    }
    want_out(i, gone < (ssize_t)n || number < limit);
}

static void launch(uint32_t i)
{
    struct peer *peer = &peers[i];
    int on = 1;

    memset(peer, 0, sizeof *peer);
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (peer->fd < 0 || setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        raw_die(errno, "connection %u: a socket cannot be made", i);
    raw_congestion(peer->fd, drive->congestion);
    if (connect(peer->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        raw_die(errno, "connection %u: connect", i);
    peer->state = CONNECTING;
    peer->wants_out = true;
    on_the_way++;
    launched++;
    /* By loopback it may be up already, and its message goes without another turn of the loop. */
    if (drive->churn || drive->hold) {
        struct iovec pieces[PIECES];
        int count;
        uint64_t number;
        size_t n = fill(peer, i, 1, pieces, &count, &number);
        if (count == 1 && send(peer->fd, pieces->iov_base, n, MSG_NOSIGNAL) == (ssize_t)n) {
            peer->sent = 1;
            peer->state = OPEN;
            peer->wants_out = false;
        }
    }
    watch(EPOLL_CTL_ADD, i, peer->wants_out ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void launch_more(void)
{
    while (launched < drive->connections && on_the_way < drive->connecting)
        launch((uint32_t)launched);
}

static void peer_up(void)
{
    on_the_way--;
    up++;
}

static void peer_connected(uint32_t i)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (getsockopt(peers[i].fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0)
        raw_die(error, "connection %u: connect", i);
    peers[i].state = OPEN;
    if (!drive->churn && !drive->hold)
        peer_up();
    peer_send(i);
}

/* All that was to be sent is, and answered: our FIN. */
static void finish_if_done(uint32_t i)
{
    struct peer *peer = &peers[i];

    if (peer->state != OPEN || !(stopping || drive->churn) || peer->out_at > 0 ||
        peer->sent < allowed(peer, i) || (drive->mode == DRIVE_ECHO && peer->replies < peer->sent))
        return;
    peer->state = ENDING;
    shutdown(peer->fd, SHUT_WR);
    if (peer->wants_out)
        want_out(i, false);
}

static void count_reply(struct peer *peer, uint32_t i)
{
    if (peer->replies++ == 0 && (drive->churn || drive->hold))
        peer_up();
    if (began_ns == 0)
        return;
    result->messages += now_ns <= ends_ns;
    if (drive->rate > 0) {
        double turn = (double)((peer->replies - 1) * drive->connections + i);
        latency_add(now_ns - began_ns - (uint64_t)(turn * 1e9 / (double)drive->rate));
    }
}

static void take_replies(uint32_t i, const uint8_t *bytes, uint32_t n)
{
    struct peer *peer = &peers[i];
    const struct message_format *answer = &drive->answer;
    struct message message;

    while (n > 0) {
        uint32_t left = answer->length - peer->in_at, k = n < left ? n : left;
        message_make(answer, i, peer->replies, &message);
        if (!message_equal(answer, &message, peer->in_at, bytes, k) || peer->replies >= peer->sent)
            raw_die(0, "connection %u: reply %lu is not what was expected", i, peer->replies);
        bytes += k;
        n -= k;
        peer->in_at += k;
        if (peer->in_at == answer->length) {
            peer->in_at = 0;
            count_reply(peer, i);
        }
    }
}

/* Counts frames of any length as they pass. */
static void take_stream(struct peer *peer, const uint8_t *bytes, uint32_t n)
{
    if (now_ns <= ends_ns)
        result->bytes += n;
    while (n > 0) {
        if (peer->in_at < RAW_HEAD) {
            peer->head = peer->head << 8 | *bytes++;
            n--;
            if (++peer->in_at < RAW_HEAD)
                continue;
            peer->skip = peer->head;
        }
        uint32_t k = n < peer->skip ? n : peer->skip;
        bytes += k;
        n -= k;
        peer->skip -= k;
        if (peer->skip == 0) {
            peer->in_at = 0;
            peer->replies++;
            result->messages += now_ns <= ends_ns;
        }
    }
}

static void peer_ended(uint32_t i, ssize_t n)
{
    struct peer *peer = &peers[i];

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        raw_die(errno, "connection %u: receiving", i);
    if (peer->state != ENDING || peer->in_at > 0)
        raw_die(0, "connection %u: the peer's FIN came after %lu of %lu replies", i, peer->replies,
                peer->sent);
    close(peer->fd);
    peer->state = UNUSED;
    result->connections++;
    if (drive->churn && !stopping)
        launch(i);
    else
        ended++;
}

static void peer_read(uint32_t i)
{
    struct peer *peer = &peers[i];
    ssize_t n = recv(peer->fd, scratch, sizeof scratch, 0);

    if (n <= 0) {
        peer_ended(i, n);
        return;
    }
    if (drive->mode == DRIVE_RECEIVE)
        take_stream(peer, scratch, (uint32_t)n);
    else
        take_replies(i, scratch, (uint32_t)n);
    finish_if_done(i);
    if (peer->state == OPEN && drive->mode == DRIVE_ECHO && !peer->wants_out)
        peer_send(i);
}

static void peer_ready(uint32_t i, uint32_t events)
{
    struct peer *peer = &peers[i];

    if (peer->state == CONNECTING) {
        peer_connected(i);
        return;
    }
    if (events & EPOLLOUT && peer->state == OPEN) {
        peer_send(i);
        finish_if_done(i);
    }
    if (events & ~(uint32_t)EPOLLOUT && peer->state != UNUSED)
        peer_read(i);
}

/* Sends what has become due. */
static void schedule(void)
{
    uint64_t total = drive->rate * drive->length_ns / 1000000000, before = due;

    due = (uint64_t)((double)(now_ns - began_ns) * (double)drive->rate / 1e9) + 1;
    if (due > total)
        due = total;
    for (uint64_t g = before; g < due; g++) {
        uint32_t i = (uint32_t)(g % drive->connections);
        if (!peers[i].wants_out)
            peer_send(i);
    }
}

static int64_t until_next(void)
{
    uint64_t next = stopping || began_ns == 0 ? now_ns + PATIENCE_NS : ends_ns;

    if (began_ns != 0 && !stopping && drive->rate > 0) {
        uint64_t turn = began_ns + (uint64_t)((double)due * 1e9 / (double)drive->rate);
        next = turn < next ? turn : next;
    }
    return next > now_ns ? (int64_t)(next - now_ns) : 0;
}

static void turn(void)
{
    struct epoll_event events[RAW_EVENTS];
    int64_t timeout = until_next();
    int n = raw_await(epoll_fd, events, drive->spin_ns, timeout);

    now_ns = raw_ns();
    if (n == 0 && timeout >= (int64_t)PATIENCE_NS)
        raw_die(0, "nothing came for %lu s; %lu of %lu up, %lu ended",
                (unsigned long)(PATIENCE_NS / 1000000000), up, drive->connections, ended);
    for (int i = 0; i < n; i++)
        peer_ready(events[i].data.u32, events[i].events);
    if (drive->rate > 0 && began_ns != 0 && !stopping)
        schedule();
}

static void stop(void)
{
    stopping = true;
    for (uint32_t i = 0; i < drive->connections; i++) {
        if (peers[i].state == OPEN && drive->mode == DRIVE_SEND)
            want_out(i, peers[i].out_at > 0);
        finish_if_done(i);
    }
}

static void measure(void)
{
    uint64_t cpu = raw_cpu_us();

    now_ns = began_ns = raw_ns();
    ends_ns = began_ns + drive->length_ns;
    if (!drive->churn && drive->rate == 0)
        for (uint32_t i = 0; i < drive->connections; i++)
            peer_send(i);
    while (now_ns < ends_ns)
        turn();
    result->cpu_us = raw_cpu_us() - cpu;
    result->measured_ns = now_ns - began_ns;
    if (drive->mode == DRIVE_SEND)
        for (uint32_t i = 0; i < drive->connections; i++) {
            result->messages += peers[i].sent;
            result->bytes += peers[i].sent * drive->ask.length + peers[i].out_at;
        }
}

/* All are up and idle: told, so that they can be looked at; until standard input says something. */
static void hold(void)
{
    char line[64];

    printf("held connections=%lu up_s=%.3f\n", up, (double)result->up_ns / 1e9);
    fflush(stdout);
    if (read(STDIN_FILENO, line, sizeof line) < 0)
        raw_die(errno, "standard input");
}

static void prepare(void)
{
    uint64_t room = raw_descriptors();

    if (drive->connections + 16 > room)
        raw_die(0, "%lu connections are more than %lu descriptors allow", drive->connections, room);
    address.sin_family = AF_INET;
    address.sin_port = htons(drive->port);
    if (inet_pton(AF_INET, drive->address, &address.sin_addr) != 1)
        raw_die(0, "'%s' is not an IPv4 address", drive->address);
    peers = calloc(drive->connections, sizeof *peers);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (peers == NULL || epoll_fd < 0)
        raw_die(errno, "the loop cannot be made");
    if (drive->rate > 0)
        latency_init();
}

void drive_run(const struct drive *asked, struct drive_result *got)
{
    drive = asked;
    result = got;
    memset(result, 0, sizeof *result);
    prepare();
    uint64_t begun = now_ns = raw_ns();
    if (drive->churn)
        began_ns = now_ns;
    while (up < drive->connections) {
        launch_more();
        if (up < drive->connections)
            turn();
        if (drive->churn && launched >= drive->connections)
            break;
    }
    result->up_ns = now_ns - begun;
    if (drive->hold)
        hold();
    else
        measure();
    now_ns = raw_ns();
    stop();
    while (ended < drive->connections)
        turn();
    result->p50_ns = latency_at(0.5);
    result->p99_ns = latency_at(0.99);
    result->p999_ns = latency_at(0.999);
    result->max_ns = latency_at(1);
}
