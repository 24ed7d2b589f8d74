/* A server of framed TCP on libevent 2.1's plain bufferevents, to learn from. It echoes frames of a
 * 4-byte big-endian length, takes no more than it can give back, and ends connections in order.
 * Build: cc -o server server.c -levent_core     Use: ./server PORT     (client.c is the other end)
 *
 * An orderly end has four steps, and many programs leave one of them out:
 *   drain   take on nothing new; write what is owed, until the output is empty;
 *   FIN     shutdown(SHUT_WR): "no more from me", while the other direction stays open;
 *   linger  read on until the peer's FIN, or until a deadline;
 *   close   the descriptor, with nothing unread. Otherwise the kernel sends RST, and RST destroys
 *           what the peer has not read yet (RFC 1122 4.2.2.13, RFC 2525 2.17). */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

enum { HEADER = 4, MAX_FRAME = 1 << 20, OUTPUT_HIGH = 512 << 10 };
static const struct timeval RETRY = {0, 100000}, LINGER = {5, 0}, DRAIN = {30, 0};

struct conn {
    struct bufferevent *bev;
    bool draining, fin_sent, peer_done; /* our drain has begun; our FIN; the peer's */
    bool truncated;                     /* the peer's FIN came inside a frame */
    unsigned long accepted;             /* frames taken on: each is owed an echo */
    LIST_ENTRY(conn) link;
};

static struct {
    struct event_base *base;
    struct evconnlistener *listener;
    bool draining;
    unsigned long accepted, lost;
    LIST_HEAD(, conn) conns;
} server;

/* The end of a connection's life. libevent counts references, so a bufferevent may be freed inside
 * its own callback; but `c` is gone too, so every caller returns at once. */
static void conn_free(struct conn *c, bool reset, const char *why)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (reset) /* A plain close would go on delivering what is meant to be cut; this sends RST. */
        setsockopt(bufferevent_getfd(c->bev), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fprintf(stderr, "%s: %lu frames\n", why, c->accepted);
    server.accepted += c->accepted;
    server.lost += reset ? c->accepted : 0; /* which of them arrived we cannot know: count all */
    bufferevent_free(c->bev);
    LIST_REMOVE(c, link);
    free(c);
    if (server.draining && LIST_EMPTY(&server.conns))
        event_base_loopbreak(server.base);
}

/* The length on the wire of the frame at the front of `in`; 0: it is not whole yet; -1: it is too
 * large, which its header alone decides, before its body takes any memory. */
static ev_ssize_t frame_length(struct evbuffer *in)
{
    uint32_t field;
    if (evbuffer_copyout(in, &field, HEADER) < HEADER)
        return 0;
    if (ntohl(field) > MAX_FRAME)
        return -1;
    size_t length = HEADER + (size_t)ntohl(field);
    return evbuffer_get_length(in) < length ? 0 : (ev_ssize_t)length;
}

/* Echoes whole frames, while the output is below its high mark. From a peer that sends and does not
 * read, we then stop reading: our window closes (RFC 9293 3.8.6), and the memory it can take is
 * bounded. on_data comes back when half of the output is gone. The peer's FIN waits its turn behind
 * what we have not read. False: the connection is gone. */
static bool conn_echo(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev), *out = bufferevent_get_output(c->bev);
    ev_ssize_t length;
    while ((length = frame_length(in)) > 0 && evbuffer_get_length(out) < OUTPUT_HIGH) {
        evbuffer_remove_buffer(in, out, (size_t)length); /* moves memory from list to list */
        c->accepted++;
    }
    if (length < 0) {
        conn_free(c, true, "frame too large");
        return false;
    }
    if (length > 0)
        bufferevent_disable(c->bev, EV_READ);
    else if (!c->peer_done)
        bufferevent_enable(c->bev, EV_READ);
    else { /* the peer's FIN first: all it sent is answered, now we end too */
        c->truncated = evbuffer_get_length(in) > 0;
        c->draining = true;
    }
    return true;
}

/* Takes a connection as far as it can go now. Every callback ends here, so the order of the steps
 * stands in one place. */
static void conn_advance(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev), *out = bufferevent_get_output(c->bev);
    if (!c->draining && (!conn_echo(c) || !c->draining))
        return;
    /* Drain. What still comes is read and dropped, not left: a peer stuck in a write of its own
     * would not read ours, and unread input would turn the close into RST. */
    evbuffer_drain(in, evbuffer_get_length(in));
    if (!c->peer_done)
        bufferevent_enable(c->bev, EV_READ);
    if (evbuffer_get_length(out) > 0)
        return; /* to come back from on_data; bufferevent_flush does nothing on a socket */
    /* FIN, after the last byte (RFC 9293 3.6). Linger: a read timeout restarts with every byte. */
    if (!c->fin_sent) {
        shutdown(bufferevent_getfd(c->bev), SHUT_WR);
        bufferevent_set_timeouts(c->bev, &LINGER, NULL);
        c->fin_sent = true;
    }
    /* Both FINs, nothing unread: close. The kernel delivers the rest of ours by itself; whose FIN
     * was first holds TIME_WAIT (RFC 9293 3.6.1). */
    if (c->peer_done)
        conn_free(c, false, c->truncated ? "truncated" : "clean");
}

static void on_data(struct bufferevent *bev, void *arg) /* the read and the write callback */
{
    (void)bev;
    conn_advance(arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct conn *c = arg;
    (void)bev;
    if (what & BEV_EVENT_EOF) { /* a FIN ends the peer's direction only: ours stays open */
        c->peer_done = true;
        conn_advance(c);
    } else if (what & BEV_EVENT_TIMEOUT) {
        conn_free(c, true, what & BEV_EVENT_READING ? "linger timeout" : "slow reader");
    } else {
        conn_free(c, true, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    }
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *arg)
{
    struct conn *c = calloc(1, sizeof *c);
    (void)listener, (void)address, (void)length, (void)arg;
    if (!c || !(c->bev = bufferevent_socket_new(server.base, fd, BEV_OPT_CLOSE_ON_FREE))) {
        free(c);
        close(fd);
        return;
    }
    LIST_INSERT_HEAD(&server.conns, c, link);
    /* Input: room for one whole frame, or it would never become whole. Output: calls from half
     * down. The write timeout passes when the peer takes nothing of what waits for it. */
    bufferevent_setwatermark(c->bev, EV_READ, 0, HEADER + MAX_FRAME);
    bufferevent_setwatermark(c->bev, EV_WRITE, OUTPUT_HIGH / 2, 0);
    bufferevent_set_timeouts(c->bev, NULL, &DRAIN);
    bufferevent_setcb(c->bev, on_data, on_data, on_event, c);
    bufferevent_enable(c->bev, EV_READ);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    if (!server.draining)
        evconnlistener_enable(server.listener);
}

/* Out of descriptors (EMFILE), a connection stays in the queue and the listener stays readable:
 * left alone, this would be called again at once, for ever. So look away for a moment. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    fprintf(stderr, "accept: %s\n", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    evconnlistener_disable(listener);
    event_base_once(server.base, -1, EV_TIMEOUT, on_retry, NULL, &RETRY);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    while (!LIST_EMPTY(&server.conns))
        conn_free(LIST_FIRST(&server.conns), true, "cut");
}

/* SIGTERM: no new connections, and each that is there drains. The second time: cut. */
static void on_signal(evutil_socket_t number, short what, void *arg)
{
    evutil_socket_t fd;
    if (server.draining) {
        on_deadline(number, what, arg);
        return;
    }
    /* Closing a listener resets what waits in its queue: take that in first, to end it in order. */
    while ((fd = accept(evconnlistener_get_fd(server.listener), NULL, NULL)) >= 0) {
        evutil_make_socket_nonblocking(fd);
        on_accept(server.listener, fd, NULL, 0, NULL);
    }
    evconnlistener_free(server.listener);
    for (struct conn *c = LIST_FIRST(&server.conns), *next; c; c = next) {
        next = LIST_NEXT(c, link);
        c->draining = true;
        conn_advance(c);
    }
    server.draining = true; /* from here on, the last connection's end is the loop's */
    if (LIST_EMPTY(&server.conns))
        event_base_loopbreak(server.base);
    event_base_once(server.base, -1, EV_TIMEOUT, on_deadline, NULL, &DRAIN); /* for all: absolute */
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    address.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0)); /* 0: from the system */
    signal(SIGPIPE, SIG_IGN); /* a write to a closed connection concerns that connection only */
    server.base = event_base_new();
    /* Reuseable: what is left in TIME_WAIT must not keep a restarted server from its port. */
    server.listener = evconnlistener_new_bind(server.base, on_accept, NULL,
                                              LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE, SOMAXCONN,
                                              (struct sockaddr *)&address, sizeof address);
    if (!server.listener) {
        fprintf(stderr, "port %d: %s\n", ntohs(address.sin_port), strerror(errno));
        return 71;
    }
    evconnlistener_set_error_cb(server.listener, on_accept_error);
    getsockname(evconnlistener_get_fd(server.listener), (struct sockaddr *)&address, &length);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct event *sigterm = evsignal_new(server.base, SIGTERM, on_signal, NULL);
    evsignal_add(sigterm, NULL);
    event_base_dispatch(server.base);
    printf("drained: %lu frames accepted, %lu lost\n", server.accepted, server.lost);
    event_free(sigterm);
    event_base_free(server.base);
    return server.lost ? 1 : 0;
}
