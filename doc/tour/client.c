/* A client of framed TCP on libevent 2.1's plain bufferevents, to learn from: each line of standard
 * input goes out as a frame of a 4-byte big-endian length, each reply comes back as a line. Memory
 * is bounded, and the connection ends in order: drain, FIN, linger, close (see server.c).
 * Build: cc -o client client.c -levent_core     Use: ./client HOST PORT < LINES > REPLIES
 * Exit: 0 all answered, 1 not all, 2 usage, 7 connect, 23 stdout, 26 stdin, 28 time, 56 reset. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

enum { HEADER = 4, MAX_FRAME = 1 << 20, OUTPUT_HIGH = 512 << 10 };
static const struct timeval REPLY = {5, 0}, STUCK = {30, 0};

static struct {
    struct event_base *base;
    struct bufferevent *bev;
    struct event *input;    /* standard input is readable */
    struct evbuffer *lines; /* read from it, and not sent yet */
    bool input_done, fin_sent, peer_done;
    unsigned long sent, replies;
    int status;
} client;

/* A failure ends the connection by RST (SO_LINGER 0): a plain close would go on sending. */
static void fail(int status, const char *what, const char *why)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(bufferevent_getfd(client.bev), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    bufferevent_disable(client.bev, EV_READ | EV_WRITE);
    event_del(client.input);
    fprintf(stderr, "client: %s: %s\n", what, why);
    client.status = status;
    event_base_loopbreak(client.base);
}

/* The length of the line at the front; -1: its end is not there yet. At the end of the input an
 * unterminated line is a line. */
static ev_ssize_t line_length(size_t *end_length)
{
    struct evbuffer_ptr end = evbuffer_search_eol(client.lines, NULL, end_length, EVBUFFER_EOL_LF);
    size_t rest = evbuffer_get_length(client.lines);
    return end.pos < 0 && client.input_done && rest ? (ev_ssize_t)rest : end.pos;
}

/* Sends lines while the output is below its high mark; then standard input is not read either, so
 * whoever writes to it waits, and a file of any size passes in constant memory. on_write comes back
 * when half of the output is gone. */
static void send_lines(void)
{
    struct evbuffer *out = bufferevent_get_output(client.bev);
    ev_ssize_t length = 0;
    size_t end_length;
    while (evbuffer_get_length(out) < OUTPUT_HIGH && (length = line_length(&end_length)) >= 0 &&
           length <= MAX_FRAME) {
        uint32_t field = htonl((uint32_t)length);
        evbuffer_add(out, &field, HEADER);
        evbuffer_remove_buffer(client.lines, out, (size_t)length);
        evbuffer_drain(client.lines, end_length);
        client.sent++;
    }
    if (length > MAX_FRAME || (length < 0 && evbuffer_get_length(client.lines) > MAX_FRAME))
        fail(26, "a line is too long for a frame", "1 MiB is the limit");
    else if (evbuffer_get_length(out) >= OUTPUT_HIGH)
        event_del(client.input);
    else if (!client.input_done)
        event_add(client.input, NULL);
}

/* Takes the connection as far as it can go now. Every callback ends here, so the order of the steps
 * stands in one place. */
static void advance(void)
{
    struct evbuffer *out = bufferevent_get_output(client.bev);
    if (!client.peer_done && !client.fin_sent)
        send_lines();
    if (client.status || evbuffer_get_length(out) > 0)
        return;
    /* All is sent. Servers that close as soon as they see a FIN would cut answers off, so ours
     * waits until nothing more is owed; or until the peer has sent its own (RFC 9293 3.6, cases 1
     * and 2). The read timeout, which restarts with every byte, bounds this wait and the linger. */
    bool all_sent = client.input_done && evbuffer_get_length(client.lines) == 0;
    if (all_sent)
        bufferevent_set_timeouts(client.bev, &REPLY, &STUCK);
    if ((client.peer_done || (all_sent && client.replies >= client.sent)) && !client.fin_sent) {
        shutdown(bufferevent_getfd(client.bev), SHUT_WR);
        client.fin_sent = true;
    }
    /* Linger: until the peer's FIN too. Then nothing can be unread, and close sends no RST. */
    if (client.fin_sent && client.peer_done)
        event_base_loopbreak(client.base);
}

/* Replies go out with plain blocking writes: while standard output is full nothing is read from the
 * socket, our window closes, and the server waits. */
static void on_read(struct bufferevent *bev, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    uint32_t field;
    (void)arg;
    while (evbuffer_copyout(in, &field, HEADER) == HEADER) {
        size_t length = ntohl(field);
        if (length > MAX_FRAME) { /* said by the header alone, before the body takes memory */
            fail(56, "the peer's frame is too large", "is its length in another byte order?");
            return;
        }
        if (evbuffer_get_length(in) < HEADER + length)
            break;
        fwrite(evbuffer_pullup(in, (ev_ssize_t)(HEADER + length)) + HEADER, 1, length, stdout);
        putchar('\n');
        evbuffer_drain(in, HEADER + length);
        client.replies++;
    }
    if (fflush(stdout) || ferror(stdout))
        fail(23, "standard output", strerror(errno));
    else
        advance();
}

static void on_write(struct bufferevent *bev,
                     void *arg) /* the output fell to half, or to nothing */
{
    (void)bev, (void)arg;
    advance();
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev, (void)arg;
    if (what & BEV_EVENT_EOF) { /* the peer's FIN: no more replies; what we still had is not sent */
        client.peer_done = true;
        event_del(client.input);
        advance();
    } else if (what & BEV_EVENT_TIMEOUT) {
        const char *reads = client.fin_sent ? "no FIN from the peer" : "no reply";
        fail(28, "timeout", what & BEV_EVENT_READING ? reads : "the peer takes nothing");
    } else {
        fail(56, "connection", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    }
}

/* Standard input is shared with whoever started us, so it is not made non-blocking: one read for
 * each time it is readable does not block. */
static void on_input(evutil_socket_t fd, short what, void *arg)
{
    char bytes[65536];
    ssize_t n = read(fd, bytes, sizeof bytes);
    (void)what, (void)arg;
    if (n > 0)
        evbuffer_add(client.lines, bytes, (size_t)n);
    if (n == 0) {
        client.input_done = true;
        event_del(client.input);
    }
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        fail(26, "standard input", strerror(errno));
    else
        advance();
}

/* A name can have several addresses, and the first may be the wrong one: each is tried in turn.
 * (bufferevent_socket_connect_hostname tries one.) Blocks, since there is nothing else to do yet.
 */
static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int fd = -1, failed = getaddrinfo(host, port, &hints, &list);
    if (failed) {
        fprintf(stderr, "client: %s: %s\n", host, gai_strerror(failed));
        return -1;
    }
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            fprintf(stderr, "client: connect to %s port %s: %s\n", host, port, strerror(errno));
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: client HOST PORT\n"), 2;
    int fd = dial(argv[1], argv[2]);
    if (fd < 0)
        return 7;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe or connection is an error to report, not our end */
    evutil_make_socket_nonblocking(fd);
    /* epoll refuses regular files (EPERM), and standard input may be one; poll takes them all. */
    struct event_config *config = event_config_new();
    event_config_require_features(config, EV_FEATURE_FDS);
    client.base = event_base_new_with_config(config);
    event_config_free(config);
    client.lines = evbuffer_new();
    client.input = event_new(client.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, NULL);
    client.bev = bufferevent_socket_new(client.base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(client.bev, on_read, on_write, on_event, NULL);
    bufferevent_setwatermark(client.bev, EV_READ, 0, HEADER + MAX_FRAME); /* a frame must fit */
    bufferevent_setwatermark(client.bev, EV_WRITE, OUTPUT_HIGH / 2, 0);
    bufferevent_set_timeouts(client.bev, NULL, &STUCK);
    bufferevent_enable(client.bev, EV_READ);
    event_add(client.input, NULL);
    event_base_dispatch(client.base);
    if (!client.status && evbuffer_get_length(bufferevent_get_input(client.bev)))
        client.status = 56; /* the peer's FIN came inside a frame */
    if (!client.status && (client.replies < client.sent || evbuffer_get_length(client.lines)))
        client.status = 1;
    fprintf(stderr, "client: %lu frames sent, %lu replies\n", client.sent, client.replies);
    bufferevent_free(client.bev);
    event_free(client.input);
    evbuffer_free(client.lines);
    event_base_free(client.base);
    return client.status;
}
