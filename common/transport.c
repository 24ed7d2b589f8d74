#include "config.h"

#include "transport.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport_internal.h"

#define WRITE_MOST (512 * 1024) /* in one go of libevent's own writing; its default is 16 KiB */

/* --- leases --- */

struct transport_lease *transport_lease_new(struct loop *loop, int fd)
{
    struct transport_lease *lease = calloc(1, sizeof *lease);
    if (lease == NULL) {
        return NULL;
    }
    /* Not BEV_OPT_CLOSE_ON_FREE: libevent would close in a later turn, and SO_LINGER has to be set
     * before. */
    lease->bev = bufferevent_socket_new(loop_base(loop), fd, 0);
    if (lease->bev == NULL) {
        free(lease);
        return NULL;
    }
    lease->bound = fd >= 0;
    bufferevent_disable(lease->bev, EV_READ | EV_WRITE);
    bufferevent_setwatermark(lease->bev, EV_WRITE, TRANSPORT_OUTPUT_LOW, 0);
    bufferevent_set_max_single_write(lease->bev, WRITE_MOST);
    return lease;
}

void transport_lease_free(struct transport_lease *lease)
{
    /* Freed inside its own callback it would keep its events until that returns, and the next
     * socket with this number would not be polled. */
    bufferevent_disable(lease->bev, EV_READ | EV_WRITE);
    bufferevent_free(lease->bev);
    free(lease);
}

static void free_few(const void *bytes, size_t n, void *copy)
{
    (void)bytes;
    (void)n;
    free(copy);
}

/* A few bytes next to a lent body: evbuffer_add would take a chain as long as that body for them.
 */
static int append_few(struct evbuffer *out, const void *bytes, size_t n)
{
    void *copy = n > 0 ? malloc(n) : NULL;

    if (copy == NULL) {
        return n > 0 ? -1 : 0;
    }
    memcpy(copy, bytes, n);
    if (evbuffer_add_reference(out, copy, n, free_few, copy) < 0) {
        free(copy);
        return -1;
    }
    return 0;
}

/* Where it fails, what has been appended is the beginning of it: nothing goes out over a gap. */
static bool append_lent(struct evbuffer *out, const struct transport_bytes *bytes)
{
    return append_few(out, bytes->head, bytes->head_length) == 0 &&
           evbuffer_add_reference(out, bytes->body, bytes->body_length, NULL, NULL) == 0 &&
           append_few(out, bytes->tail, bytes->tail_length) == 0;
}

static uint8_t *put(uint8_t *to, const void *bytes, size_t n)
{
    if (n > 0) {
        memcpy(to, bytes, n);
    }
    return to + n;
}

/* In one piece: evbuffer_add after a lent body would take a chain as long as that. */
static bool append_copied(struct evbuffer *out, const struct transport_bytes *bytes)
{
    size_t total = bytes->head_length + bytes->body_length + bytes->tail_length;
    struct evbuffer_iovec room;

    if (total == 0) {
        return true;
    }
    if (evbuffer_reserve_space(out, (ev_ssize_t)total, &room, 1) != 1) {
        return false;
    }
    uint8_t *to = put(room.iov_base, bytes->head, bytes->head_length);
    to = put(to, bytes->body, bytes->body_length);
    put(to, bytes->tail, bytes->tail_length);
    room.iov_len = total;
    return evbuffer_commit_space(out, &room, 1) == 0;
}

int transport_append(struct transport_lease *lease, const struct transport_bytes *bytes)
{
    struct evbuffer *out = bufferevent_get_output(lease->bev);
    bool appended = bytes->body_lasts ? append_lent(out, bytes) : append_copied(out, bytes);

    return appended ? 0 : ERR_MEMORY;
}

void transport_close_fd(int fd, bool reset)
{
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(fd);
}

/* --- plain: a socket bufferevent as libevent makes it --- */

static int plain_read(struct transport *t, bool on)
{
    int result = on ? bufferevent_enable(t->lease->bev, EV_READ)
                    : bufferevent_disable(t->lease->bev, EV_READ);
    return result < 0 ? ERR_MEMORY : 0;
}

static int plain_send(struct transport *t, const struct transport_bytes *bytes)
{
    return transport_append(t->lease, bytes);
}

static void plain_nothing(struct transport *t)
{
    (void)t;
}

static void plain_close(struct transport *t, bool reset)
{
    transport_lease_free(t->lease);
    transport_close_fd(t->fd, reset);
}

const struct transport_kind transport_plain = {
    .read = plain_read,
    .send = plain_send,
    .flush = plain_nothing,
    .rest = plain_nothing,
    .close = plain_close,
};

/* --- beginning --- */

static void become(struct transport *t, struct loop *loop, int fd, bool fast)
{
    assert(fd < 1 << 23); /* what fits its field; the system's own limit, fs.nr_open, is 1 << 20 */
    *t = (struct transport){.kind = fast ? &transport_fast : &transport_plain,
                            .loop = loop,
                            .fd = fd,
                            .fast = fast,
                            .backlog = !fast};
}

int transport_init(struct transport *t, struct loop *loop, int fd, bool fast)
{
    become(t, loop, fd, fast);
    if (!fast) {
        t->lease = transport_lease_new(loop, fd);
    }
    if (fast ? !fastio_is_there(loop) : t->lease == NULL) {
        close(fd);
        *t = (struct transport){.fd = -1};
        return ERR_MEMORY;
    }
    return 0;
}

static void connect_event(struct bufferevent *bev, short what, void *arg)
{
    struct transport *t = arg;
    int error = EVUTIL_SOCKET_ERROR();

    if (what & BEV_EVENT_CONNECTED) {
        error = 0;
    } else if (t->refused) {
        error = ECONNREFUSED;
    }
    bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
    bufferevent_disable(bev, EV_READ | EV_WRITE);
    t->connected(t, error);
}

int transport_connect(struct transport *t, struct loop *loop, int fd, bool fast,
                      const struct sockaddr *address, socklen_t length,
                      void (*connected)(struct transport *t, int error))
{
    become(t, loop, fd, fast);
    if (!fast) {
        t->lease = transport_lease_new(loop, -1);
    } else if (fastio_is_there(loop)) {
        t->lease = fastio_lease(loop);
    }
    if (t->lease == NULL) {
        close(fd);
        *t = (struct transport){.fd = -1};
        return ERR_MEMORY;
    }
    bufferevent_setfd(t->lease->bev, fd);
    t->lease->bound = true;
    t->connected = connected;
    bufferevent_setcb(t->lease->bev, NULL, NULL, connect_event, t);
    if (address->sa_family == AF_UNIX) {
        /* It connects at once or not at all, and libevent only tells of it if it writes. */
        bufferevent_enable(t->lease->bev, EV_WRITE);
    }
    errno = 0;
    if (bufferevent_socket_connect(t->lease->bev, address, (int)length) < 0) {
        int error = errno;
        transport_close(t, false);
        errno = error;
        return ERR_SYSTEM;
    }
    /* A refusal that connect(2) itself returned reaches the callback later, without an errno. */
    t->refused = errno == ECONNREFUSED;
    return 0;
}

void transport_take(struct transport *to, struct transport *from)
{
    *to = *from;
    *from = (struct transport){.fd = -1};
}

/* --- what the user calls --- */

void transport_start(struct transport *t, const struct transport_callbacks *callbacks)
{
    t->callbacks = callbacks;
    if (t->lease != NULL) {
        bufferevent_setcb(t->lease->bev, callbacks->read, callbacks->write, callbacks->event, t);
    }
    if (!t->fast) {
        bufferevent_enable(t->lease->bev, EV_WRITE);
    }
}

int transport_read(struct transport *t, bool on)
{
    if (t->reading == on || t->awaits_ack) {
        return 0;
    }
    t->reading = on;
    return t->kind->read(t, on);
}

int transport_send(struct transport *t, const struct transport_bytes *bytes)
{
    return t->kind->send(t, bytes);
}

void transport_flush(struct transport *t)
{
    t->kind->flush(t);
}

void transport_rest(struct transport *t)
{
    t->kind->rest(t);
}

int transport_finish(struct transport *t)
{
    return shutdown(t->fd, SHUT_WR) < 0 ? ERR_SYSTEM : 0;
}

void transport_close(struct transport *t, bool reset)
{
    if (t->kind != NULL) {
        t->kind->close(t, reset);
        *t = (struct transport){.fd = -1};
    }
}

/* --- what the kernel knows --- */

static bool tcp_info(const struct transport *t, struct tcp_info *info)
{
    socklen_t length = sizeof *info;
    memset(info, 0, sizeof *info); /* an older kernel fills less of it */
    return getsockopt(t->fd, IPPROTO_TCP, TCP_INFO, info, &length) == 0;
}

int transport_tcp_state(const struct transport *t)
{
    struct tcp_info info;
    return tcp_info(t, &info) ? info.tcpi_state : -1;
}

struct life_kernel *transport_sample(const struct transport *t, int *state)
{
    struct tcp_info info;
    bool known = tcp_info(t, &info);
    struct life_kernel *kernel = known ? malloc(sizeof *kernel) : NULL;
    if (state != NULL) {
        *state = known ? info.tcpi_state : -1;
    }
    if (kernel == NULL) {
        return NULL;
    }
    *kernel = (struct life_kernel){
        .rtt_us = info.tcpi_rtt,
        .rttvar_us = info.tcpi_rttvar,
        .mss_bytes = info.tcpi_snd_mss,
        .cwnd_segments = info.tcpi_snd_cwnd,
        .retransmits = info.tcpi_total_retrans,
        .lost_segments = info.tcpi_lost,
        .delivery_rate_bytes = info.tcpi_delivery_rate,
        .acked_bytes = info.tcpi_bytes_acked,
    };
    return kernel;
}

int transport_error(const struct transport *t)
{
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

static uint64_t queue_bytes(int fd, unsigned long request)
{
    int bytes = 0;
    return ioctl(fd, request, &bytes) < 0 || bytes < 0 ? 0 : (uint64_t)bytes;
}

uint64_t transport_unread_bytes(const struct transport *t)
{
    return queue_bytes(t->fd, SIOCINQ);
}

bool transport_waits(const struct transport *t)
{
    struct pollfd readable = {.fd = t->fd, .events = POLLIN};
    return t->reading && poll(&readable, 1, 0) > 0;
}

uint64_t transport_unacked_bytes(const struct transport *t)
{
    /* On a unix socket what was written is the peer's already, and SIOCOUTQ counts memory. */
    uint64_t bytes = queue_bytes(t->fd, SIOCOUTQ);
    return bytes > 0 && transport_tcp_state(t) == -1 ? 0 : bytes;
}

static void ask_address(union life_address *address, int fd,
                        int (*ask)(int fd, struct sockaddr *to, socklen_t *length))
{
    union life_address said;
    socklen_t length = sizeof said;
    if (address->sa.sa_family == AF_UNSPEC && ask(fd, &said.sa, &length) == 0 &&
        said.sa.sa_family != AF_UNIX) {
        *address = said;
    }
}

void transport_addresses(const struct transport *t, union life_address *local,
                         union life_address *remote)
{
    ask_address(local, t->fd, getsockname);
    ask_address(remote, t->fd, getpeername);
}

/* --- the acknowledgement of our FIN --- */

bool transport_acked(const struct transport *t)
{
    /* After FINs both ways and our last acknowledgement TCP reads CLOSE, in TIME_WAIT as well. */
    int state = transport_tcp_state(t);
    return state == -1 || state == TRANSPORT_TCP_CLOSE || state == TRANSPORT_TCP_TIME_WAIT;
}

static void state_changed(struct watch *watch)
{
    struct transport *t = (struct transport *)((char *)watch - offsetof(struct transport, watch));
    if (t->awaits_ack) {
        t->callbacks->acked(t);
    }
}

int transport_await_ack(struct transport *t)
{
    if (t->awaits_ack) {
        return 0;
    }
    transport_read(t, false);
    t->awaits_ack = true;
    t->watch.ready = state_changed;
    /* Both directions are shut, so the descriptor stays readable: only an edge tells of a change.
     */
    int result = loop_watch(t->loop, t->fd, &t->watch, WATCH_EDGE, t->watched);
    t->watched = true;
    return result;
}
