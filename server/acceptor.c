#include "config.h"

#include "acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "log.h"
#include "units.h"

#define RETRY_US 100000 /* without a descriptor: look again, should no connection close */
#define TOLD_US 1000000 /* at most one line about it in so long */
#define TICK_US 1000    /* the kernel tells the wait in the queue no finer */

/* What accept said, and what to do. */
enum taken { TAKEN, TAKEN_NONE, TAKEN_SKIP, TAKEN_HOLD };

static uint64_t queue_wait_us(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    /* Nothing was sent on it yet but the handshake, so this is its age, to a tick. */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return 0;
    return (uint64_t)info.tcpi_last_data_sent * 1000;
}

static enum taken judge(int error)
{
    switch (error) {
    case EAGAIN:
        return TAKEN_NONE;
    case EINTR:
    case ECONNABORTED: /* the client gave up while it waited; the others: errors of its network */
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return TAKEN_SKIP;
    default:
        return TAKEN_HOLD;
    }
}

/* Who came since the queue was seen empty has waited no longer than that. */
static uint64_t ask_queue_wait_us(const struct gate *gate, int fd, uint64_t now_us)
{
    return now_us - gate->emptied_us < TICK_US ? 0 : queue_wait_us(fd);
}

static enum taken take_one(struct gate *gate, struct arrival *arrival)
{
    union life_address peer = {.sa.sa_family = AF_UNSPEC};
    socklen_t length = sizeof peer;
    int fd = accept4(gate->fd, &peer.sa, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    uint64_t now_us;

    if (fd < 0)
        return judge(errno);
    now_us = clock_us();
    if (peer.sa.sa_family == AF_UNIX)
        peer.sa.sa_family = AF_UNSPEC; /* what a client has bound there is not told */
    *arrival = (struct arrival){fd, ask_queue_wait_us(gate, fd, now_us), now_us, gate->local, peer};
    return TAKEN;
}

/* --- holding back --- */

static bool may_tell(struct acceptor *a)
{
    uint64_t now_us = clock_us();

    if (a->told_us != 0 && now_us - a->told_us < TOLD_US)
        return false;
    a->told_us = now_us;
    return true;
}

static void hold(struct acceptor *a)
{
    for (unsigned i = 0; i < a->listener->count; i++)
        event_del(a->gates[i].event);
    a->held = true;
}

static void retry(struct deadline *deadline)
{
    acceptor_resume((struct acceptor *)((char *)deadline - offsetof(struct acceptor, retry)));
}

/* An accept that fails for want of descriptors or memory leaves the connection in the queue, and
 * the event would come again at once, for ever. */
static void hold_failed(struct acceptor *a, int error)
{
    char n[UNITS_TEXT];

    hold(a);
    atomic_store(&a->crew->wants_place, true);
    deadline_set(a->loop, &a->retry, RETRY_US, retry);
    if (may_tell(a))
        log_line(LOG_LEVEL_ERROR,
                 "accept4 on %s: %s, with %s open; new connections wait in the accept queue",
                 a->listener->text, strerror(error), units_text_count(n, crew_open(a->crew)));
}

static bool is_full(const struct acceptor *a)
{
    return crew_open(a->crew) >= a->limit;
}

static void tell_full(struct acceptor *a)
{
    char n[UNITS_TEXT];

    if (may_tell(a))
        log_line(LOG_LEVEL_NOTE, "full, %s open: new connections %s",
                 units_text_count(n, crew_open(a->crew)),
                 a->reject ? "are reset" : "wait in the accept queue");
}

/* A worker that frees a place sees `wants_place`, or its place is seen here. */
static void hold_full(struct acceptor *a)
{
    hold(a);
    tell_full(a);
    atomic_store(&a->crew->wants_place, true);
    if (!is_full(a))
        acceptor_resume(a);
}

void acceptor_resume(struct acceptor *a)
{
    if (!a->held || a->stopped)
        return;
    if (!a->reject && is_full(a)) {
        atomic_store(&a->crew->wants_place, true);
        if (is_full(a))
            return;
    }
    a->held = false;
    deadline_unset(&a->retry);
    for (unsigned i = 0; i < a->listener->count; i++)
        event_add(a->gates[i].event, NULL);
}

/* --- accepting --- */

static void note_queue(struct acceptor *a, unsigned waiting)
{
    if (waiting > a->fullest_queue)
        a->fullest_queue = waiting;
}

/* Takes at most `room` of those that wait, as many as the system says: an accept4 that finds none
 * costs it seven times as much as the question. Result: why it stopped; TAKEN: it did not have to.
 */
static enum taken take_some(struct gate *gate, struct arrival *arrivals, unsigned room,
                            unsigned *count)
{
    uint64_t asked_us = clock_us();
    unsigned waiting = listener_waiting(gate->fd);
    unsigned turns = waiting > 0 && waiting < CREW_ARRIVALS_MAX ? waiting : CREW_ARRIVALS_MAX;
    enum taken taken = TAKEN;
    unsigned turn;

    note_queue(gate->acceptor, waiting);
    for (turn = 0; turn < turns && *count < room; turn++) {
        taken = take_one(gate, &arrivals[*count]);
        if (taken == TAKEN_NONE || taken == TAKEN_HOLD)
            break;
        if (taken == TAKEN)
            ++*count;
    }
    if (taken == TAKEN_NONE || (turn == waiting && taken != TAKEN_HOLD))
        gate->emptied_us = asked_us;
    return taken == TAKEN_SKIP ? TAKEN : taken;
}

static unsigned room(const struct acceptor *a)
{
    uint64_t open = crew_open(a->crew);
    uint64_t free_places = open < a->limit ? a->limit - open : 0;

    if (a->one_off)
        return 1;
    return free_places < CREW_ARRIVALS_MAX ? (unsigned)free_places : CREW_ARRIVALS_MAX;
}

static void reject_some(struct acceptor *a, struct gate *gate)
{
    struct arrival arrivals[CREW_ARRIVALS_MAX];
    unsigned count = 0;
    enum taken taken = take_some(gate, arrivals, CREW_ARRIVALS_MAX, &count);
    int error = errno;

    if (count > 0)
        tell_full(a);
    for (unsigned i = 0; i < count; i++)
        crew_refuse(a->crew, &arrivals[i], FATE_SHED, "the server was full (--when-full reject)");
    if (taken == TAKEN_HOLD)
        hold_failed(a, error);
}

static void on_readable(evutil_socket_t listening, short what, void *arg)
{
    struct gate *gate = arg;
    struct acceptor *a = gate->acceptor;
    struct arrival arrivals[CREW_ARRIVALS_MAX];
    unsigned count = 0;
    enum taken taken;
    int error;

    (void)listening;
    (void)what;
    if (room(a) == 0) {
        note_queue(a, listener_waiting(gate->fd));
        if (a->reject)
            reject_some(a, gate);
        else
            hold_full(a);
        return;
    }
    taken = take_some(gate, arrivals, room(a), &count);
    error = errno;
    if (count > 0 && a->one_off)
        acceptor_stop(a);
    crew_hand_over(a->crew, arrivals, count);
    if (taken == TAKEN_HOLD && !a->stopped)
        hold_failed(a, error);
}

int acceptor_start(struct acceptor *a, struct crew *crew, struct loop *loop,
                   struct listener *listener, struct error *e)
{
    a->crew = crew;
    a->loop = loop;
    a->listener = listener;
    for (unsigned i = 0; i < listener->count; i++) {
        struct gate *gate = &a->gates[i];
        *gate =
            (struct gate){.acceptor = a, .fd = listener->fds[i], .local = &listener->addresses[i]};
        gate->event = event_new(loop_base(loop), gate->fd, EV_READ | EV_PERSIST, on_readable, gate);
        if (gate->event == NULL || event_add(gate->event, NULL) < 0) {
            error_what(e, "no memory to listen on %s", listener->text);
            return ERR_MEMORY;
        }
    }
    return 0;
}

/* Those that come meanwhile must not keep it here: a full queue is what there was at most. */
static void empty_queue(struct acceptor *a, struct gate *gate)
{
    struct arrival arrivals[CREW_ARRIVALS_MAX];
    unsigned count;
    unsigned taken_in_all = 0;
    enum taken taken;

    do {
        count = 0;
        taken = take_some(gate, arrivals, CREW_ARRIVALS_MAX, &count);
        crew_hand_over(a->crew, arrivals, count);
        taken_in_all += count;
    } while (taken == TAKEN && taken_in_all <= a->listener->backlog);
    if (taken != TAKEN_NONE)
        a->left_in_queue += listener_waiting(gate->fd);
}

void acceptor_stop(struct acceptor *a)
{
    if (a->stopped || a->listener == NULL)
        return;
    a->stopped = true;
    deadline_unset(&a->retry);
    listener_hide(a->listener);
    for (unsigned i = 0; i < a->listener->count; i++) {
        struct gate *gate = &a->gates[i];
        if (gate->event == NULL)
            continue;
        event_free(gate->event);
        if (a->one_off)
            note_queue(a, listener_waiting(gate->fd));
        else
            empty_queue(a, gate);
        /* The system counts other drops as well, as of a client's RST in the handshake: without a
         * full queue none was an overflow. */
        if (a->fullest_queue >= a->listener->backlog)
            a->overflows += listener_overflows(gate->fd);
    }
    listener_close(a->listener);
}
