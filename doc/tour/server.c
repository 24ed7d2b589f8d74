/* A server of framed TCP on libevent 2.1's plain bufferevents, to learn from: it echoes frames of a
 * 4-byte big-endian length. Build: cc -o server server.c -levent_core. Use: ./server PORT
 * A connection ends in order by four steps, and many programs leave one of them out:
 *   drain   take on nothing new; write what is owed, until the output is empty;
 *   FIN     shutdown(SHUT_WR): "no more from me", while the other direction stays open;
 *   linger  read on until the peer's FIN, or until a deadline;
 *   close   the descriptor, with nothing unread. Otherwise the kernel sends RST, and RST destroys
 *           what the peer has not read yet (RFC 1122 4.2.2.13, RFC 2525 2.17). */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

enum { HEADER = 4, MAX_FRAME = 1 << 20, OUTPUT_HIGH = 512 << 10 };
static const struct timeval RETRY = {0, 100000}, LINGER = {5, 0}, STUCK = {30, 0};
static struct event_base *base;
static struct evconnlistener *listener;
static bool draining; /* since SIGTERM */
static unsigned long accepted, cut;
static LIST_HEAD(, conn) conns;
struct conn {
    LIST_ENTRY(conn) link;
    struct bufferevent *bev;
    bool peer_done; /* the peer's FIN has come */
};

/* An end out of order is an RST: a plain close would go on delivering what is meant to be cut. */
static void conn_free(struct conn *c, bool reset, const char *why)
{
    struct linger now = {.l_onoff = reset, .l_linger = 0};
    setsockopt(bufferevent_getfd(c->bev), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    cut += reset;
    fprintf(stderr, "connection: %s\n", why);
    bufferevent_free(c->bev);
    LIST_REMOVE(c, link);
    free(c);
}

/* The length, with its header, of the frame at the front of `in`. 0: it is not whole yet; -1: it is
 * too large, which the header alone tells, before the body takes any memory. */
static ev_ssize_t frame_length(struct evbuffer *in)
{
    uint32_t field;
    if (evbuffer_copyout(in, &field, HEADER) < HEADER)
        return 0;
    ev_ssize_t length = HEADER + (ev_ssize_t)ntohl(field);
    if (length > HEADER + MAX_FRAME)
        return -1;
    return (ev_ssize_t)evbuffer_get_length(in) < length ? 0 : length;
}

/* Does what can be done now. All callbacks end here, so the order of the steps stands in one place;
 * what was done before is done again without harm. */
static void conn_advance(struct bufferevent *bev, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(bev), *out = bufferevent_get_output(bev);
    struct conn *c = arg;
    ev_ssize_t length = 0;
    /* Back-pressure: a peer that does not read fills our output; its frames then stay in the input,
     * where libevent stops reading at the high mark; our window closes (RFC 9293 3.8.6), and the
     * peer waits. When half of the output is gone, the write callback brings us back. */
    while (!draining && evbuffer_get_length(out) < OUTPUT_HIGH && (length = frame_length(in)) > 0)
        accepted += evbuffer_remove_buffer(in, out, (size_t)length) > 0;
    /* Drain. What still comes is dropped, not left: a peer stuck in a write of its own would not
     * read ours, and unread input would turn the close into RST. */
    if (draining)
        evbuffer_drain(in, evbuffer_get_length(in));
    if (length < 0) {
        conn_free(c, true, "a frame is too large");
    } else if (evbuffer_get_length(out) == 0 && (draining || c->peer_done)) {
        shutdown(bufferevent_getfd(bev), SHUT_WR);    /* FIN, after the last byte (RFC 9293 3.6) */
        bufferevent_set_timeouts(bev, &LINGER, NULL); /* restarts with every byte */
        if (c->peer_done) /* whose FIN was first holds TIME_WAIT (RFC 9293 3.6.1) */
            conn_free(c, false, evbuffer_get_length(in) > 0 ? "truncated" : "clean");
    }
}

static void conn_event(struct bufferevent *bev, short what, void *arg)
{
    struct conn *c = arg;
    c->peer_done = what & BEV_EVENT_EOF; /* the end of the peer's direction: ours stays open */
    if (c->peer_done)
        conn_advance(bev, c);
    else
        conn_free(c, true, what & BEV_EVENT_TIMEOUT ? "timeout" : strerror(errno));
}

static void on_accept(struct evconnlistener *from, int fd, struct sockaddr *peer, int n, void *arg)
{
    struct conn *c = calloc(1, sizeof *c);
    (void)from, (void)peer, (void)n, (void)arg;
    if (!c || !(c->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE)))
        abort(); /* out of memory */
    LIST_INSERT_HEAD(&conns, c, link);
    bufferevent_setcb(c->bev, conn_advance, conn_advance, conn_event, c);
    bufferevent_setwatermark(c->bev, EV_READ, 0, HEADER + MAX_FRAME); /* a frame must fit */
    bufferevent_setwatermark(c->bev, EV_WRITE, OUTPUT_HIGH / 2, 0);
    bufferevent_set_timeouts(c->bev, NULL, &STUCK); /* the peer takes nothing for so long */
    bufferevent_enable(c->bev, EV_READ);
}

static void on_retry(int fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
    if (!draining)
        evconnlistener_enable(listener);
}

/* Out of descriptors (EMFILE), a connection stays in the queue and the listener stays readable:
 * left alone, this would be called again at once, for ever. So look away for a moment. */
static void on_accept_error(struct evconnlistener *from, void *arg)
{
    perror("accept");
    evconnlistener_disable(from);
    event_base_once(base, -1, EV_TIMEOUT, on_retry, arg, &RETRY);
}

/* No new connections, and each that is there drains; when all are gone, no event is left, and the
 * loop returns. A second SIGTERM kills, as SIGALRM does after the longest drain. */
static void on_sigterm(int fd, short what, void *event)
{
    struct conn *c;
    (void)fd, (void)what;
    alarm(30);
    event_free(event);
    draining = true;
    evconnlistener_free(listener);
    LIST_FOREACH (c, &conns, link)
        bufferevent_trigger(c->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    at.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0)); /* 0: from the system */
    signal(SIGPIPE, SIG_IGN); /* a write to a closed connection concerns that connection only */
    base = event_base_new();
    listener =
        evconnlistener_new_bind(base, on_accept, NULL, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE,
                                SOMAXCONN, (struct sockaddr *)&at, sizeof at);
    if (!listener)
        return perror("listen"), 71;
    evconnlistener_set_error_cb(listener, on_accept_error);
    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&at, &n);
    fprintf(stderr, "listening on 127.0.0.1:%d\n", ntohs(at.sin_port));
    event_add(event_new(base, SIGTERM, EV_SIGNAL, on_sigterm, event_self_cbarg()), NULL);
    event_base_dispatch(base);
    fprintf(stderr, "drained: %lu frames accepted, %lu connections cut\n", accepted, cut);
    event_base_free(base);
    return cut > 0;
}
