#include "config.h"

#include "raw_serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw.h"

#define COPIED 4096 /* a shorter beginning of a frame is copied before the next read */

enum { FREE, OPEN, ENDING, LINGER }; /* ENDING: our FIN comes when the output has gone */

struct held {
    uint32_t length, room;
    uint8_t bytes[];
};

struct peer {
    struct held *in;  /* a frame that is not whole yet */
    struct held *out; /* what the peer has not taken */
    uint32_t at;      /* bytes of `out` that went; source: place in `block` */
    uint8_t state;
};

struct serve_counts serve_counts;

static uint8_t scratch[RAW_SCRATCH];
static struct peer *peers; /* by descriptor */
static size_t peer_limit, open_peers;
static int epoll_fd;
static enum serve_mode mode;
static uint8_t *block; /* source: whole frames */
static uint32_t block_bytes, block_frame;

static void watch(int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    if (epoll_ctl(epoll_fd, op, fd, &event) < 0)
        raw_die(errno, "epoll_ctl");
}

static struct held *hold(size_t room)
{
    struct held *held = malloc(sizeof *held + room);

    if (held == NULL)
        raw_die(ENOMEM, "a frame cannot be kept");
    held->length = 0;
    held->room = (uint32_t)room;
    return held;
}

/* The end of a connection: by FIN, or by RST where something went wrong. */
static void peer_close(int fd, uint64_t *count)
{
    struct peer *peer = &peers[fd];
    struct linger cut = {.l_onoff = 1};

    if (peer->out != NULL)
        serve_counts.unsent += peer->out->length - peer->at;
    if (count == &serve_counts.reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &cut, sizeof cut);
    else if (peer->state == OPEN)
        shutdown(fd, SHUT_WR);
    free(peer->in);
    free(peer->out);
    memset(peer, 0, sizeof *peer);
    close(fd);
    ++*count;
    open_peers--;
}

/* Sends the pieces; what the kernel does not take is kept, and nothing is read until it has gone.
 */
static void peer_send(int fd, struct iovec *pieces, int count)
{
    struct peer *peer = &peers[fd];
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    size_t all = 0;

    for (int i = 0; i < count; i++)
        all += pieces[i].iov_len;
    ssize_t n = count == 1 ? send(fd, pieces->iov_base, all, MSG_NOSIGNAL)
                           : sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return; /* the next read tells why */
    size_t gone = n < 0 ? 0 : (size_t)n;
    serve_counts.bytes_out += gone;
    if (gone == all)
        return;
    peer->out = hold(all - gone);
    peer->at = 0;
    for (int i = 0; i < count; i++) {
        size_t skip = gone < pieces[i].iov_len ? gone : pieces[i].iov_len;
        memcpy(peer->out->bytes + peer->out->length, (uint8_t *)pieces[i].iov_base + skip,
               pieces[i].iov_len - skip);
        peer->out->length += (uint32_t)(pieces[i].iov_len - skip);
        gone -= skip;
    }
    watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

/* How many bytes of whole frames there are; SIZE_MAX for a length that is over the limit. */
static size_t whole_frames(const uint8_t *bytes, size_t n)
{
    size_t at = 0;

    while (n - at >= RAW_HEAD) {
        uint32_t body = raw_be32(bytes + at);
        if (body > RAW_FRAME_MAX)
            return SIZE_MAX;
        if (n - at < RAW_HEAD + (size_t)body)
            break;
        at += RAW_HEAD + (size_t)body;
        serve_counts.frames++;
    }
    return at;
}

/* Keeps the beginning of a frame, with room for all of it. */
static void keep(struct peer *peer, const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return;
    peer->in = hold(n < RAW_HEAD ? RAW_HEAD : RAW_HEAD + (size_t)raw_be32(bytes));
    memcpy(peer->in->bytes, bytes, n);
    peer->in->length = (uint32_t)n;
}

/* Answers what was read: a frame that has just become whole (or NULL), then the scratch. */
static void take(int fd, struct held *first, uint8_t *bytes, size_t n)
{
    struct iovec pieces[2];
    int count = 0;
    size_t whole = whole_frames(bytes, n);

    if (whole == SIZE_MAX) {
        peer_close(fd, &serve_counts.reset);
        return;
    }
    if (first != NULL) {
        serve_counts.frames++;
        pieces[count++] = (struct iovec){first->bytes, first->length};
    }
    if (whole > 0)
        pieces[count++] = (struct iovec){bytes, whole};
    keep(&peers[fd], bytes + whole, n - whole);
    if (mode == SERVE_ECHO && count > 0)
        peer_send(fd, pieces, count);
}

/* Our FIN when nothing is left to send (a frame begun is sent in whole); what comes after that is
 * read and dropped. */
static void peer_drain(int fd)
{
    struct peer *peer = &peers[fd];

    peer->state = ENDING;
    if (peer->out != NULL)
        return;
    if (mode == SERVE_SOURCE && peer->at % block_frame != 0) {
        struct iovec rest = {block + peer->at, block_frame - peer->at % block_frame};
        peer->at = 0;
        peer_send(fd, &rest, 1);
        if (peer->out != NULL)
            return;
    }
    peer->state = LINGER;
    free(peer->in);
    peer->in = NULL;
    shutdown(fd, SHUT_WR);
    watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void read_ended(int fd, ssize_t n)
{
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        peer_close(fd, &serve_counts.reset);
    else if (mode == SERVE_SOURCE && peers[fd].state == OPEN)
        peer_drain(fd);
    else
        peer_close(fd, peers[fd].in != NULL ? &serve_counts.truncated : &serve_counts.clean);
}

/* Reads behind the beginning of a long frame: its rest goes where the beginning is. */
static void read_long(int fd, struct held *in)
{
    struct iovec pieces[2] = {{in->bytes + in->length, in->room - in->length},
                              {scratch, sizeof scratch}};
    ssize_t n = readv(fd, pieces, 2);

    if (n <= 0) {
        read_ended(fd, n);
        return;
    }
    serve_counts.bytes_in += (uint64_t)n;
    if ((size_t)n < pieces[0].iov_len) {
        in->length += (uint32_t)n;
        return;
    }
    in->length = in->room;
    peers[fd].in = NULL;
    take(fd, in, scratch, (size_t)n - pieces[0].iov_len);
    free(in);
}

static void peer_read(int fd)
{
    struct held *in = peers[fd].in;
    size_t before = 0;

    if (in != NULL && in->length >= COPIED) {
        read_long(fd, in);
        return;
    }
    if (in != NULL) {
        before = in->length;
        memcpy(scratch, in->bytes, before);
    }
    ssize_t n = recv(fd, scratch + before, sizeof scratch - before, 0);
    if (n <= 0) {
        read_ended(fd, n);
        return;
    }
    serve_counts.bytes_in += (uint64_t)n;
    free(in);
    peers[fd].in = NULL;
    take(fd, NULL, scratch, before + (size_t)n);
}

static void peer_write(int fd)
{
    struct peer *peer = &peers[fd];
    struct held *out = peer->out;
    const uint8_t *from = out != NULL ? out->bytes + peer->at : block + peer->at;
    size_t left = out != NULL ? out->length - peer->at : block_bytes - peer->at;
    ssize_t n = send(fd, from, left, MSG_NOSIGNAL);

    if (n < 0)
        return;
    serve_counts.bytes_out += (uint64_t)n;
    peer->at += (uint32_t)n;
    if ((size_t)n < left)
        return;
    peer->at = 0;
    free(out);
    peer->out = NULL;
    if (peer->state == ENDING)
        peer_drain(fd);
    else if (mode != SERVE_SOURCE)
        watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

void serve_ready(int fd, uint32_t events)
{
    if (peers[fd].state == FREE)
        return;
    if (events & EPOLLOUT)
        peer_write(fd);
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    if (peers[fd].state == OPEN) {
        peer_read(fd);
        return;
    }
    ssize_t n = recv(fd, scratch, sizeof scratch, 0);
    if (n <= 0)
        read_ended(fd, n);
}

static void make_block(uint64_t size)
{
    block_frame = (uint32_t)(RAW_HEAD + size);
    block_bytes = block_frame * (uint32_t)(1 + RAW_SCRATCH / block_frame);
    block = malloc(block_bytes);
    if (size > RAW_FRAME_MAX || block == NULL)
        raw_die(0, "frames of %lu bytes are too long", size);
    memset(block, 'x', block_bytes);
    for (uint32_t at = 0; at < block_bytes; at += block_frame)
        raw_put_be32(block + at, (uint32_t)size);
}

void serve_init(int epoll, enum serve_mode wanted, uint64_t size)
{
    epoll_fd = epoll;
    mode = wanted;
    peer_limit = raw_descriptors();
    peers = calloc(peer_limit, sizeof *peers);
    if (peers == NULL)
        raw_die(ENOMEM, "%zu connections cannot be kept", peer_limit);
    if (mode == SERVE_SOURCE)
        make_block(size);
}

size_t serve_open(void)
{
    return open_peers;
}

void serve_begin(int fd)
{
    if ((size_t)fd >= peer_limit)
        raw_die(0, "descriptor %d is over the limit of %zu", fd, peer_limit);
    peers[fd].state = OPEN;
    serve_counts.connections++;
    open_peers++;
    watch(EPOLL_CTL_ADD, fd, mode == SERVE_SOURCE ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void serve_drain(void)
{
    for (size_t fd = 0; fd < peer_limit; fd++)
        if (peers[fd].state == OPEN)
            peer_drain((int)fd);
}

void serve_cut(void)
{
    for (size_t fd = 0; fd < peer_limit && open_peers > 0; fd++)
        if (peers[fd].state != FREE)
            peer_close((int)fd, &serve_counts.reset);
}
