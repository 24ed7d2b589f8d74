#include "config.h"

#include "raw_peer.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw_latency.h"

#define GATHER (512 * 1024) /* one send, at most */
#define COPIED 4096         /* a shorter message is copied into the send, a longer one lent */
#define PIECES 128

struct run run;

static uint8_t scratch[RAW_SCRATCH], gather[GATHER];

static void watch(int op, uint32_t i, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = i};

    if (epoll_ctl(run.epoll_fd, op, run.peers[i].fd, &event) < 0)
        raw_die(errno, "epoll_ctl");
}

static void want_out(uint32_t i, bool wanted)
{
    if (run.asked->mode == DRIVE_SEND && !run.stopping)
        wanted = true; /* there is always more to send */
    if (run.peers[i].wants_out == wanted)
        return;
    run.peers[i].wants_out = wanted;
    watch(EPOLL_CTL_MOD, i, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* How many messages may have been sent on this connection by now. */
static uint64_t allowed(const struct peer *peer, uint32_t i)
{
    uint64_t most = UINT64_MAX;

    if (run.asked->churn || run.asked->hold)
        return 1;
    if (run.began_ns == 0 || run.asked->mode == DRIVE_RECEIVE)
        return 0;
    if (run.stopping && run.asked->rate == 0)
        return peer->sent + (peer->out_at > 0);
    if (run.asked->mode == DRIVE_SEND)
        return most;
    if (run.asked->rate > 0) {
        most = run.due > i ? (run.due - i - 1) / run.asked->connections + 1 : 0;
    }
    return peer->replies + run.asked->pipeline < most ? peer->replies + run.asked->pipeline : most;
}

/* What one send takes: short messages copied together, long ones lent where they are. */
static size_t fill(const struct peer *peer, uint32_t i, uint64_t limit, struct iovec *pieces,
                   int *count, uint64_t *number)
{
    static struct message messages[PIECES / 2];
    const struct message_format *ask = &run.asked->ask;
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

void peer_send(uint32_t i)
{
    struct peer *peer = &run.peers[i];
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
        peer->sent += total / run.asked->ask.length;
        peer->out_at = (uint32_t)(total % run.asked->ask.length);
    }
    want_out(i, gone < (ssize_t)n || number < limit);
}

void peer_launch(uint32_t i)
{
    struct peer *peer = &run.peers[i];
    int on = 1;

    memset(peer, 0, sizeof *peer);
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (peer->fd < 0 || setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        raw_die(errno, "connection %u: a socket cannot be made", i);
    raw_congestion(peer->fd, run.asked->congestion);
    if (connect(peer->fd, (struct sockaddr *)&run.address, sizeof run.address) < 0 &&
        errno != EINPROGRESS)
        raw_die(errno, "connection %u: connect", i);
    peer->state = PEER_CONNECTING;
    peer->wants_out = true;
    run.on_the_way++;
    run.launched++;
    /* By loopback it may be up already, and its message goes without another turn of the
     * loop. */
    if (run.asked->churn || run.asked->hold) {
        struct iovec pieces[PIECES];
        int count;
        uint64_t number;
        size_t n = fill(peer, i, 1, pieces, &count, &number);
        if (count == 1 && send(peer->fd, pieces->iov_base, n, MSG_NOSIGNAL) == (ssize_t)n) {
            peer->sent = 1;
            peer->state = PEER_OPEN;
            peer->wants_out = false;
        }
    }
    watch(EPOLL_CTL_ADD, i, peer->wants_out ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void peer_up(void)
{
    run.on_the_way--;
    run.up++;
}

static void peer_connected(uint32_t i)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (getsockopt(run.peers[i].fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0)
        raw_die(error, "connection %u: connect", i);
    run.peers[i].state = PEER_OPEN;
    if (!run.asked->churn && !run.asked->hold)
        peer_up();
    peer_send(i);
}

/* All that was to be sent is, and answered: our FIN. */
static void finish_if_done(uint32_t i)
{
    struct peer *peer = &run.peers[i];

    if (peer->state != PEER_OPEN || !(run.stopping || run.asked->churn) || peer->out_at > 0 ||
        peer->sent < allowed(peer, i) ||
        (run.asked->mode == DRIVE_ECHO && peer->replies < peer->sent))
        return;
    peer->state = PEER_ENDING;
    shutdown(peer->fd, SHUT_WR);
    if (peer->wants_out)
        want_out(i, false);
}

static void count_reply(struct peer *peer, uint32_t i)
{
    if (peer->replies++ == 0 && (run.asked->churn || run.asked->hold))
        peer_up();
    if (run.began_ns == 0)
        return;
    run.result->messages += run.now_ns <= run.ends_ns;
    if (run.asked->rate > 0) {
        double turn = (double)((peer->replies - 1) * run.asked->connections + i);
        latency_add(run.now_ns - run.began_ns - (uint64_t)(turn * 1e9 / (double)run.asked->rate));
    }
}

static void take_replies(uint32_t i, const uint8_t *bytes, uint32_t n)
{
    struct peer *peer = &run.peers[i];
    const struct message_format *answer = &run.asked->answer;
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
    if (run.now_ns <= run.ends_ns)
        run.result->bytes += n;
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
            run.result->messages += run.now_ns <= run.ends_ns;
        }
    }
}

static void peer_ended(uint32_t i, ssize_t n)
{
    struct peer *peer = &run.peers[i];

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        raw_die(errno, "connection %u: receiving", i);
    if (peer->state != PEER_ENDING || peer->in_at > 0)
        raw_die(0, "connection %u: the peer's FIN came after %lu of %lu replies", i, peer->replies,
                peer->sent);
    close(peer->fd);
    peer->state = PEER_UNUSED;
    run.result->connections++;
    if (run.asked->churn && !run.stopping)
        peer_launch(i);
    else
        run.ended++;
}

static void peer_read(uint32_t i)
{
    struct peer *peer = &run.peers[i];
    ssize_t n = recv(peer->fd, scratch, sizeof scratch, 0);

    if (n <= 0) {
        peer_ended(i, n);
        return;
    }
    if (run.asked->rate > 0)
        run.now_ns = raw_ns(); /* others were read in this turn before */
    if (run.asked->mode == DRIVE_RECEIVE)
        take_stream(peer, scratch, (uint32_t)n);
    else
        take_replies(i, scratch, (uint32_t)n);
    finish_if_done(i);
    if (peer->state == PEER_OPEN && run.asked->mode == DRIVE_ECHO && !peer->wants_out)
        peer_send(i);
}

void peer_ready(uint32_t i, uint32_t events)
{
    struct peer *peer = &run.peers[i];

    if (peer->state == PEER_CONNECTING) {
        peer_connected(i);
        return;
    }
    if (events & EPOLLOUT && peer->state == PEER_OPEN) {
        peer_send(i);
        finish_if_done(i);
    }
    if (events & ~(uint32_t)EPOLLOUT && peer->state != PEER_UNUSED)
        peer_read(i);
}

void peer_stop(uint32_t i)
{
    const struct peer *peer = &run.peers[i];

    if (peer->state == PEER_OPEN && run.asked->mode == DRIVE_SEND)
        want_out(i, peer->out_at > 0);
    finish_if_done(i);
}
