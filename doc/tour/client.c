/* A client of framed TCP on libevent 2.1's plain bufferevents, to learn from: it sends so many
 * frames of a 4-byte big-endian length, each with its number as text, and expects them all back.
 * The connection ends in order: drain, FIN, linger, close (server.c says why).
 * Build: cc -o client client.c -levent_core     Use: ./client 127.0.0.1:PORT FRAMES
 * Exit: 0 all are back, 1 not all, 2 usage, 7 connect, 28 time, 56 reset or not what was sent. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

enum { HEADER = 4, MAX_FRAME = 1 << 20, OUTPUT_HIGH = 512 << 10, NUMBER = 24 };
static const struct timeval DEADLINE = {5, 0};
static struct event_base *base;
static bool connected, peer_done; /* peer_done: the peer's FIN has come */
static unsigned long wanted, sent, replies;
static int status;

/* An end out of order is an RST: a plain close would go on delivering what is meant to be cut. */
static void fail(struct bufferevent *bev, int exit_status, const char *why)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fprintf(stderr, "client: %s\n", why);
    status = exit_status;
    event_base_loopbreak(base);
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

/* Writes the frame with this number, header and body, and returns its length. */
static int frame_make(char frame[HEADER + NUMBER], unsigned long number)
{
    int body = snprintf(frame + HEADER, NUMBER, "%lu", number);
    uint32_t field = htonl((uint32_t)body);
    memcpy(frame, &field, HEADER);
    return HEADER + body;
}

/* Does what can be done now. All callbacks end here, so the order of the steps stands in one place;
 * what was done before is done again without harm. */
static void advance(struct bufferevent *bev, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(bev), *out = bufferevent_get_output(bev);
    char frame[HEADER + NUMBER];
    ev_ssize_t length;
    (void)arg;
    while ((length = frame_length(in)) != 0) {
        if (length != frame_make(frame, replies) ||
            memcmp(evbuffer_pullup(in, length), frame, (size_t)length) != 0) {
            fail(bev, 56, "a reply is not what was sent");
            return;
        }
        evbuffer_drain(in, (size_t)length);
        if (replies++ == 0)
            fprintf(stderr, "client: the first reply is here\n");
    }
    /* Back-pressure: no more is made than the output's high mark. When half of it is gone, the
     * write callback brings us back: any number of frames passes in constant memory. */
    while (!peer_done && sent < wanted && evbuffer_get_length(out) < OUTPUT_HIGH)
        evbuffer_add(out, frame, (size_t)frame_make(frame, sent++));
    /* Drain. Servers that close as soon as they see a FIN would cut answers off, so ours waits
     * until no reply is owed; or until the peer has sent its own (RFC 9293 3.6, cases 1 and 2). */
    if (evbuffer_get_length(out) > 0 || !(peer_done || replies >= wanted))
        return;
    shutdown(bufferevent_getfd(bev), SHUT_WR);
    if (peer_done) /* the end of the linger: nothing can be unread now, and close sends no RST */
        event_base_loopbreak(base);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    if (what & BEV_EVENT_TIMEOUT) {
        fail(bev, 28, what & BEV_EVENT_READING ? "no reply, or no FIN" : "the peer takes nothing");
    } else if (what & BEV_EVENT_ERROR) {
        fail(bev, connected ? 56 : 7, strerror(errno));
    } else {
        connected = true;
        peer_done = what & BEV_EVENT_EOF; /* the end of the peer's direction: ours stays open */
        if (!peer_done)
            bufferevent_enable(bev, EV_READ);
        advance(bev, arg);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_storage at;
    int n = sizeof at;
    wanted = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (!wanted || evutil_parse_sockaddr_port(argv[1], (struct sockaddr *)&at, &n) < 0)
        return fprintf(stderr, "usage: client 127.0.0.1:PORT FRAMES\n"), 2;
    signal(SIGPIPE, SIG_IGN); /* a write to a closed connection is an error to tell, not our end */
    base = event_base_new();
    struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(bev, advance, advance, on_event, NULL);
    bufferevent_setwatermark(bev, EV_READ, 0, HEADER + MAX_FRAME); /* a frame must fit */
    bufferevent_setwatermark(bev, EV_WRITE, OUTPUT_HIGH / 2, 0);
    bufferevent_set_timeouts(bev, &DEADLINE, &DEADLINE); /* restarts with every byte */
    if (bufferevent_socket_connect(bev, (struct sockaddr *)&at, n) < 0)
        fail(bev, 7, strerror(errno));
    event_base_dispatch(base);
    if (!status && (replies != wanted || evbuffer_get_length(bufferevent_get_input(bev)) > 0))
        status = 1;
    fprintf(stderr, "client: %lu frames sent, %lu replies\n", sent, replies);
    bufferevent_free(bev);
    event_base_free(base);
    return status;
}
