#include "config.h"

#include "raw_drive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raw_latency.h"
#include "raw_peer.h"

#define PATIENCE_NS 20000000000ULL /* without any event something hangs */

static void launch_more(void)
{
    while (run.launched < run.asked->connections && run.on_the_way < run.asked->connecting)
        peer_launch((uint32_t)run.launched);
}

/* Sends what has become due. */
static void schedule(void)
{
    uint64_t total = run.asked->rate * run.asked->length_ns / 1000000000, before = run.due;

    run.due = (uint64_t)((double)(run.now_ns - run.began_ns) * (double)run.asked->rate / 1e9) + 1;
    if (run.due > total)
        run.due = total;
    for (uint64_t g = before; g < run.due; g++) {
        uint32_t i = (uint32_t)(g % run.asked->connections);
        if (!run.peers[i].wants_out)
            peer_send(i);
    }
}

static int64_t until_next(void)
{
    uint64_t next = run.stopping || run.began_ns == 0 ? run.now_ns + PATIENCE_NS : run.ends_ns;

    if (run.began_ns != 0 && !run.stopping && run.asked->rate > 0) {
        uint64_t turn = run.began_ns + (uint64_t)((double)run.due * 1e9 / (double)run.asked->rate);
        next = turn < next ? turn : next;
    }
    return next > run.now_ns ? (int64_t)(next - run.now_ns) : 0;
}

static void turn(void)
{
    struct epoll_event events[RAW_EVENTS];
    int64_t timeout = until_next();
    int n = raw_await(run.epoll_fd, events, run.asked->spin_ns, timeout);

    run.now_ns = raw_ns();
    if (n == 0 && timeout >= (int64_t)PATIENCE_NS)
        raw_die(0, "nothing came for %lu s; %lu of %lu up, %lu ended",
                (unsigned long)(PATIENCE_NS / 1000000000), run.up, run.asked->connections,
                run.ended);
    for (int i = 0; i < n; i++)
        peer_ready(events[i].data.u32, events[i].events);
    if (run.asked->rate > 0 && run.began_ns != 0 && !run.stopping)
        schedule();
}

static void stop(void)
{
    run.stopping = true;
    for (uint32_t i = 0; i < run.asked->connections; i++)
        peer_stop(i);
}

static void measure(void)
{
    uint64_t cpu = raw_cpu_us();

    run.now_ns = run.began_ns = raw_ns();
    run.ends_ns = run.began_ns + run.asked->length_ns;
    if (!run.asked->churn && run.asked->rate == 0)
        for (uint32_t i = 0; i < run.asked->connections; i++)
            peer_send(i);
    while (run.now_ns < run.ends_ns)
        turn();
    run.result->cpu_us = raw_cpu_us() - cpu;
    run.result->measured_ns = run.now_ns - run.began_ns;
    if (run.asked->mode == DRIVE_SEND)
        for (uint32_t i = 0; i < run.asked->connections; i++) {
            run.result->messages += run.peers[i].sent;
            run.result->bytes += run.peers[i].sent * run.asked->ask.length + run.peers[i].out_at;
        }
}

/* All are up and idle: told, so that they can be looked at; until standard input says
 * something. */
static void hold(void)
{
    char line[64];

    printf("held connections=%lu up_s=%.3f\n", run.up, (double)run.result->up_ns / 1e9);
    fflush(stdout);
    if (read(STDIN_FILENO, line, sizeof line) < 0)
        raw_die(errno, "standard input");
}

static void prepare(void)
{
    uint64_t room = raw_descriptors();

    if (run.asked->connections + 16 > room)
        raw_die(0, "%lu connections are more than %lu descriptors allow", run.asked->connections,
                room);
    run.address.sin_family = AF_INET;
    run.address.sin_port = htons(run.asked->port);
    if (inet_pton(AF_INET, run.asked->address, &run.address.sin_addr) != 1)
        raw_die(0, "'%s' is not an IPv4 address", run.asked->address);
    run.peers = calloc(run.asked->connections, sizeof *run.peers);
    run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (run.peers == NULL || run.epoll_fd < 0)
        raw_die(errno, "the loop cannot be made");
    if (run.asked->rate > 0)
        latency_init();
}

void drive_run(const struct drive *asked, struct drive_result *result)
{
    run.asked = asked;
    run.result = result;
    memset(run.result, 0, sizeof *run.result);
    prepare();
    uint64_t begun = run.now_ns = raw_ns();
    if (run.asked->churn)
        run.began_ns = run.now_ns;
    while (run.up < run.asked->connections) {
        launch_more();
        if (run.up < run.asked->connections)
            turn();
        if (run.asked->churn && run.launched >= run.asked->connections)
            break;
    }
    run.result->up_ns = run.now_ns - begun;
    if (run.asked->hold)
        hold();
    else
        measure();
    run.now_ns = raw_ns();
    stop();
    while (run.ended < run.asked->connections)
        turn();
    run.result->p50_ns = latency_at(0.5);
    run.result->p99_ns = latency_at(0.99);
    run.result->p999_ns = latency_at(0.999);
    run.result->max_ns = latency_at(1);
}
