#include "config.h"

#include "transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- plain: a socket bufferevent as libevent makes it --- */

static int plain_finish(struct transport *t)
{
    return shutdown(t->fd, SHUT_WR) < 0 ? ERR_SYSTEM : 0;
}

static void plain_close(struct transport *t, bool reset)
{
    /* Not BEV_OPT_CLOSE_ON_FREE: libevent would close in a later turn, and SO_LINGER has to be set
     * before. */
    /* Freed inside its own callback it would keep its events until that returns, and the next
     * socket with this number would not be polled. */
    bufferevent_disable(t->bev, EV_READ | EV_WRITE);
    bufferevent_free(t->bev);
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(t->fd);
}

static const struct transport_kind plain = {.finish = plain_finish, .close = plain_close};

int transport_plain(struct transport *t, struct loop *loop, int fd)
{
    struct bufferevent *bev = bufferevent_socket_new(loop_base(loop), fd, 0);
    if (bev == NULL) {
        close(fd);
        return ERR_MEMORY;
    }
    *t = (struct transport){.kind = &plain, .loop = loop, .bev = bev, .fd = fd};
    return 0;
}

/* --- connect --- */

static void connect_event(struct bufferevent *bev, short what, void *arg)
{
    struct transport *t = arg;
    int error = EVUTIL_SOCKET_ERROR();

    (void)bev;
    if (what & BEV_EVENT_CONNECTED) {
        error = 0;
    } else if (t->refused) {
        error = ECONNREFUSED;
    }
    bufferevent_setcb(t->bev, NULL, NULL, NULL, NULL);
    t->connected(t, error);
}

int transport_connect(struct transport *t, struct loop *loop, int fd,
                      const struct sockaddr *address, socklen_t length,
                      void (*connected)(struct transport *t, int error))
{
    int result = transport_plain(t, loop, fd);
    if (result < 0) {
        return result;
    }
    t->connected = connected;
    bufferevent_setcb(t->bev, NULL, NULL, connect_event, t);
    errno = 0;
    if (bufferevent_socket_connect(t->bev, address, (int)length) < 0) {
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
    to->connected = NULL;
    *from = (struct transport){.fd = -1};
}

int transport_finish(struct transport *t)
{
    return t->kind->finish(t);
}

void transport_close(struct transport *t, bool reset)
{
    if (t->kind == NULL) {
        return;
    }
    if (t->acked != NULL) {
        event_free(t->acked);
    }
    t->kind->close(t, reset);
    *t = (struct transport){.fd = -1};
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

struct life_kernel *transport_sample(const struct transport *t)
{
    struct tcp_info info;
    struct life_kernel *kernel = tcp_info(t, &info) ? malloc(sizeof *kernel) : NULL;
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

uint64_t transport_unsent_bytes(const struct transport *t)
{
    /* On a unix socket what was written is the peer's already, and SIOCOUTQ counts memory. */
    return transport_tcp_state(t) == -1 ? 0 : queue_bytes(t->fd, SIOCOUTQ);
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

static void state_changed(evutil_socket_t fd, short what, void *arg)
{
    struct transport *t = arg;
    (void)fd;
    (void)what;
    t->on_acked(t->on_acked_arg);
}

int transport_on_acked(struct transport *t, void (*fn)(void *arg), void *arg)
{
    if (t->acked != NULL) {
        return 0;
    }
    t->on_acked = fn;
    t->on_acked_arg = arg;
    bufferevent_disable(t->bev, EV_READ | EV_WRITE);
    /* Both directions are shut, so the descriptor stays readable: only an edge tells of a change.
     */
    t->acked = event_new(loop_base(t->loop), t->fd, EV_READ | EV_ET | EV_PERSIST, state_changed, t);
    if (t->acked == NULL) {
        return ERR_MEMORY;
    }
    return event_add(t->acked, NULL) < 0 ? ERR_SYSTEM : 0;
}
