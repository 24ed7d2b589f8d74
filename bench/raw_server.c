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

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw.h"
#include "raw_serve.h"

#define DRAIN_NS 10000000000ULL /* what still is there then is reset */
#define ACCEPTS 64              /* at a time, for fairness */

static int epoll_fd, listener, signal_fd;
static bool draining;
static struct {
    struct raw_listen listen;
    enum serve_mode mode;
    uint64_t size, spin_ns;
} asked = {.listen = {.address = "127.0.0.1", .backlog = 4096}};

static void accept_some(int most)
{
    for (int i = 0; i < most; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        serve_begin(fd);
    }
}

static void begin_drain(void)
{
    draining = true;
    accept_some(INT_MAX); /* closing the listener would reset them */
    close(listener);
    serve_drain();
}

static void handle(const struct epoll_event *event)
{
    int fd = event->data.fd;

    if (fd == listener && !draining)
        accept_some(ACCEPTS);
    else if (fd != signal_fd)
        serve_ready(fd, event->events);
    else if (!draining)
        begin_drain();
}

static void run(void)
{
    struct epoll_event events[RAW_EVENTS];
    uint64_t until = 0;

    while (!draining || serve_open() > 0) {
        int n = raw_await(epoll_fd, events, asked.spin_ns, draining ? 100000000 : -1);
        for (int i = 0; i < n; i++)
            handle(&events[i]);
        if (draining && until == 0)
            until = raw_ns() + DRAIN_NS;
        if (draining && raw_ns() > until)
            break;
    }
    serve_cut();
}

static void watch(int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        raw_die(errno, "epoll_ctl");
}

static void make_loop(void)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    signal_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (epoll_fd < 0 || signal_fd < 0)
        raw_die(errno, "the loop cannot be made");
    serve_init(epoll_fd, asked.mode, asked.size);
    listener = raw_listen(&asked.listen);
    watch(signal_fd, EPOLLIN | EPOLLONESHOT);
    watch(listener, EPOLLIN);
}

static void read_options(int argc, char **argv)
{
    struct raw_listen *how = &asked.listen;
    static const struct option options[] = {
        {"discard", no_argument, NULL, 'd'},         {"source", required_argument, NULL, 's'},
        {"address", required_argument, NULL, 'a'},   {"port", required_argument, NULL, 'p'},
        {"port-file", required_argument, NULL, 'f'}, {"congestion", required_argument, NULL, 'c'},
        {"backlog", required_argument, NULL, 'b'},   {"spin", required_argument, NULL, 't'},
        {"reuseport", no_argument, NULL, 'r'},       {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'd')
            asked.mode = SERVE_DISCARD;
        else if (option == 's') {
            asked.mode = SERVE_SOURCE;
            asked.size = raw_number("--source", optarg);
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
            asked.spin_ns = raw_number("--spin", optarg) * 1000;
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
    const struct serve_counts *counts = &serve_counts;

    read_options(argc, argv);
    make_loop();
    run();
    printf("connections=%lu clean=%lu reset=%lu truncated=%lu frames=%lu bytes_in=%lu "
           "bytes_out=%lu unsent=%lu cpu_us=%lu\n",
           counts->connections, counts->clean, counts->reset, counts->truncated, counts->frames,
           counts->bytes_in, counts->bytes_out, counts->unsent, raw_cpu_us());
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
