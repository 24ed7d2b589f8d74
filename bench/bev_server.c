/* bev_server: the reference for plain bufferevents: the framed echo server that the documentation
 * of libevent leads to, with its defaults, in one thread. Each frame (a 4-byte big-endian length)
 * is moved from the input to the output once it is whole, or dropped (--discard). It ends at
 * SIGTERM. Usage: bev_server [--discard] [--congestion NAME] [--port-file FILE] */
#include "config.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "raw.h"

static bool discard;

static void read_frames(struct bufferevent *bev, void *arg)
{
    struct evbuffer *input = bufferevent_get_input(bev), *output = bufferevent_get_output(bev);
    uint8_t head[RAW_HEAD];

    (void)arg;
    while (evbuffer_copyout(input, head, sizeof head) == sizeof head) {
        size_t total = RAW_HEAD + (size_t)raw_be32(head);
        if (total > RAW_HEAD + (size_t)RAW_FRAME_MAX) {
            bufferevent_free(bev);
            return;
        }
        if (evbuffer_get_length(input) < total)
            return;
        if (discard)
            evbuffer_drain(input, total);
        else
            evbuffer_remove_buffer(input, output, total);
    }
}

static void written(struct bufferevent *bev, void *arg)
{
    (void)arg;
    bufferevent_free(bev);
}

static void ended(struct bufferevent *bev, short what, void *arg)
{
    (void)arg;
    if (what & BEV_EVENT_EOF && evbuffer_get_length(bufferevent_get_output(bev)) > 0)
        bufferevent_setcb(bev, NULL, written, ended, NULL);
    else
        bufferevent_free(bev);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                     int length, void *arg)
{
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

    (void)address, (void)length, (void)arg;
    if (bev == NULL)
        raw_die(ENOMEM, "a connection cannot be served");
    bufferevent_setcb(bev, read_frames, NULL, ended, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void end(evutil_socket_t signal, short what, void *arg)
{
    (void)signal, (void)what;
    event_base_loopbreak(arg);
}

static void read_options(int argc, char **argv, struct raw_listen *how)
{
    static const struct option options[] = {{"discard", no_argument, NULL, 'd'},
                                            {"congestion", required_argument, NULL, 'c'},
                                            {"port-file", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'd')
            discard = true;
        else if (option == 'c')
            how->congestion = optarg;
        else if (option == 'f')
            how->port_file = optarg;
        else
            exit(2);
    }
}

int main(int argc, char **argv)
{
    struct raw_listen how = {.address = "127.0.0.1", .backlog = 4096};

    read_options(argc, argv, &how);
    raw_descriptors();
    struct event_base *base = event_base_new();
    struct event *term = base != NULL ? evsignal_new(base, SIGTERM, end, base) : NULL;
    if (term == NULL || event_add(term, NULL) < 0)
        raw_die(ENOMEM, "the loop cannot be made");
    struct evconnlistener *listener =
        evconnlistener_new(base, accepted, NULL, LEV_OPT_CLOSE_ON_FREE, 0, raw_listen(&how));
    if (listener == NULL)
        raw_die(errno, "cannot listen");
    event_base_dispatch(base);
    evconnlistener_free(listener);
    event_free(term);
    event_base_free(base);
    return EXIT_SUCCESS;
}
