/* raw_server: the reference that synfind is measured against: the fastest framed TCP server that we
 * can write straight on epoll, in one thread. Frames have a 4-byte big-endian length, each is
 * parsed and must be there as a whole; it is echoed, counted and dropped (--discard), or the server
 * sends frames itself as fast as each peer takes them (--source SIZE). It keeps the close contract:
 * a peer's FIN comes after all is answered; SIGTERM drains and prints one line of accounts.
 *
 * What makes it fast: level-triggered epoll, one read of up to 256 KiB for all connections into the
 * same memory, frames parsed there, and all whole frames of a read sent back from there by one
 * call. What it holds of a connection is one entry of a table, and bytes only while a frame is
 * incomplete or the peer does not take its replies; such a peer is not read from. */
#include "config.h"

#include "raw.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define COPIED 4096             /* a shorter beginning of a frame is copied before the next read */
#define DRAIN_NS 10000000000ULL /* what still is there then is reset */
#define ACCEPTS 64              /* at a time, for fairness */

enum { ECHO, DISCARD, SOURCE };
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

static uint8_t scratch[RAW_SCRATCH];
static struct peer *peers; /* by descriptor */
static size_t peer_limit, open_peers;
static int epoll_fd, listener, signal_fd, mode;
static bool draining;
static uint64_t spin_ns;
static uint8_t *block; /* source: whole frames */
static uint32_t block_bytes, block_frame;
static struct {
    uint64_t connections, clean, reset, truncated, frames, bytes_in, bytes_out, unsent;
} counts;

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
        counts.unsent += peer->out->length - peer->at;
    if (count == &counts.reset)
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
    counts.bytes_out += gone;
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
        counts.frames++;
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
        peer_close(fd, &counts.reset);
        return;
    }
    if (first != NULL) {
        counts.frames++;
        pieces[count++] = (struct iovec){first->bytes, first->length};
    }
    if (whole > 0)
        pieces[count++] = (struct iovec){bytes, whole};
    keep(&peers[fd], bytes + whole, n - whole);
    if (mode == ECHO && count > 0)
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
    if (mode == SOURCE && peer->at % block_frame != 0) {
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
        peer_close(fd, &counts.reset);
    else if (mode == SOURCE && peers[fd].state == OPEN)
        peer_drain(fd);
    else
        peer_close(fd, peers[fd].in != NULL ? &counts.truncated : &counts.clean);
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
    counts.bytes_in += (uint64_t)n;
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
    counts.bytes_in += (uint64_t)n;
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
    counts.bytes_out += (uint64_t)n;
    peer->at += (uint32_t)n;
    if ((size_t)n < left)
        return;
    peer->at = 0;
    free(out);
    peer->out = NULL;
    if (peer->state == ENDING)
        peer_drain(fd);
    else if (mode != SOURCE)
        watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void peer_ready(int fd, uint32_t events)
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

static void accept_peers(int most)
{
    for (int i = 0; i < most; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if ((size_t)fd >= peer_limit)
            raw_die(0, "descriptor %d is over the limit of %zu", fd, peer_limit);
        peers[fd].state = OPEN;
        counts.connections++;
        open_peers++;
        watch(EPOLL_CTL_ADD, fd, mode == SOURCE ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void begin_drain(void)
{
    draining = true;
    accept_peers((int)peer_limit);
    close(listener);
    for (size_t fd = 0; fd < peer_limit; fd++)
        if (peers[fd].state == OPEN)
            peer_drain((int)fd);
}

static void run(void)
{
    struct epoll_event events[RAW_EVENTS];
    uint64_t until = 0;

    while (!draining || open_peers > 0) {
        int n = raw_await(epoll_fd, events, spin_ns, draining ? 100000000 : -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener && !draining)
                accept_peers(ACCEPTS);
            else if (fd != signal_fd)
                peer_ready(fd, events[i].events);
            else if (!draining)
                begin_drain();
        }
        if (draining && until == 0)
            until = raw_ns() + DRAIN_NS;
        if (draining && raw_ns() > until)
            break;
    }
    for (size_t fd = 0; fd < peer_limit && open_peers > 0; fd++)
        if (peers[fd].state != FREE)
            peer_close((int)fd, &counts.reset);
}

static void make_block(size_t size)
{
    block_frame = (uint32_t)(RAW_HEAD + size);
    block_bytes = block_frame * (uint32_t)(1 + RAW_SCRATCH / block_frame);
    block = malloc(block_bytes);
    if (size > RAW_FRAME_MAX || block == NULL)
        raw_die(0, "frames of %zu bytes are too long", size);
    memset(block, 'x', block_bytes);
    for (uint32_t at = 0; at < block_bytes; at += block_frame)
        raw_put_be32(block + at, (uint32_t)size);
}

static void make_loop(const struct raw_listen *how)
{
    sigset_t ends;

    peer_limit = raw_descriptors();
    peers = calloc(peer_limit, sizeof *peers);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    signal_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (peers == NULL || epoll_fd < 0 || signal_fd < 0)
        raw_die(errno, "the loop cannot be made");
    listener = raw_listen(how);
    watch(EPOLL_CTL_ADD, signal_fd, EPOLLIN | EPOLLONESHOT);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
}

static void read_options(int argc, char **argv, struct raw_listen *how)
{
    static const struct option options[] = {
        {"discard", no_argument, NULL, 'd'},         {"source", required_argument, NULL, 's'},
        {"address", required_argument, NULL, 'a'},   {"port", required_argument, NULL, 'p'},
        {"port-file", required_argument, NULL, 'f'}, {"congestion", required_argument, NULL, 'c'},
        {"backlog", required_argument, NULL, 'b'},   {"spin", required_argument, NULL, 't'},
        {"reuseport", no_argument, NULL, 'r'},       {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'd')
            mode = DISCARD;
        else if (option == 's') {
            mode = SOURCE;
            make_block(raw_number("--source", optarg));
        } else if (option == 'a')
            how->address = optarg;
        else if (option == 'p')
            how->port = (uint16_t)raw_number("--port", optarg);
        else if (option == 'f')
            how->port_file = optarg;
        else if (option == 'c')
            how->congestion = optarg;
        else if (option == 'b')
            how->backlog = (int)raw_number("--backlog", optarg);
        else if (option == 't')
            spin_ns = raw_number("--spin", optarg) * 1000;
        else if (option == 'r')
            how->reuseport = 1;
        else
            exit(2);
    }
    if (optind < argc)
        raw_die(0,
                "'%s' is not expected: raw_server [--discard | --source SIZE] [--port PORT] "
                "[--port-file FILE] [--address A] [--congestion NAME] [--backlog N] "
                "[--reuseport] [--spin MICROSECONDS]",
                argv[optind]);
}

int main(int argc, char **argv)
{
    struct raw_listen how = {.address = "127.0.0.1", .backlog = 4096};

    read_options(argc, argv, &how);
    make_loop(&how);
    run();
    printf("connections=%lu clean=%lu reset=%lu truncated=%lu frames=%lu bytes_in=%lu "
           "bytes_out=%lu unsent=%lu cpu_us=%lu\n",
           counts.connections, counts.clean, counts.reset, counts.truncated, counts.frames,
           counts.bytes_in, counts.bytes_out, counts.unsent, raw_cpu_us());
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
