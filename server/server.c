#include "config.h"

#include "server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "acceptor.h"
#include "clock.h"
#include "crew.h"
#include "drain.h"
#include "endlog.h"
#include "journal.h"
#include "descriptors.h"
#include "listener.h"
#include "log.h"
#include "units.h"

#define DESCRIPTORS_KEPT 8 /* for turning connections away, and for what libraries open */

static const struct timeval a_second = {.tv_sec = 1};

struct server {
    const struct server_config *config;
    struct loop *loop;
    struct journal *journal;
    struct listener listener;
    struct crew crew;
    struct acceptor acceptor;
    struct drain drain;
    struct event *tick;
    uint64_t descriptors; /* the limit */
    uint64_t room;        /* connections that this allows */
    bool prepared;        /* the handler is */
    bool loss_told;       /* that the journal loses records */
};

/* --- while it runs --- */

static void on_place(void *arg)
{
    struct server *s = arg;

    acceptor_resume(&s->acceptor);
}

static void on_empty(void *arg)
{
    struct server *s = arg;

    if (s->acceptor.stopped && crew_open(&s->crew) == 0)
        loop_stop(s->loop);
}

static void on_signal(int signal_number, void *arg)
{
    struct server *s = arg;

    drain_signal(&s->drain, signal_number);
    event_add(s->tick, &a_second); /* the drain's seconds begin here */
}

/* Once, as soon as it happens: a server may run for months before it can say so at the end. */
static void tell_loss(struct server *s)
{
    struct error e;

    if (s->journal == NULL || s->loss_told || !journal_loses(s->journal, &e))
        return;
    s->loss_told = true;
    log_error(&e);
}

/* Once a second. The last two make up for letters that there was no memory for. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct server *s = arg;

    (void)fd;
    (void)what;
    tell_loss(s);
    endlog_turn();
    drain_turn(&s->drain);
    acceptor_resume(&s->acceptor);
    on_empty(s);
}

/* --- the first lines --- */

static void tell_room(const struct server *s)
{
    const struct options *o = s->config->options;
    char most[UNITS_TEXT], room[UNITS_TEXT], limit[UNITS_TEXT];

    if (o->max_conns == 0)
        return;
    log_line(LOG_LEVEL_NOTE, "at most %s at a time, more %s", units_text_count(most, o->max_conns),
             o->when_full == FULL_REJECT ? "are reset" : "wait in the accept queue");
    if (o->max_conns > s->room)
        log_line(LOG_LEVEL_NOTE,
                 "-m %s is more than there is room for: descriptors allow %s (ulimit -n %s)",
                 units_text_count(most, o->max_conns), units_text_count(room, s->room),
                 units_text_count(limit, s->descriptors));
}

static void tell_listening(const struct server *s)
{
    const struct options *o = s->config->options;
    const struct endpoint *endpoint = &s->config->endpoint;
    char got[UNITS_TEXT], asked[UNITS_TEXT];

    log_line(LOG_LEVEL_NOTE, "listening on %s, backlog %s%s%s%s", s->listener.text,
             units_text_count(got, s->listener.backlog),
             s->listener.backlog < o->backlog ? " (" : "",
             s->listener.backlog < o->backlog ? units_text_count(asked, o->backlog) : "",
             s->listener.backlog < o->backlog ? " is over net.core.somaxconn)" : "");
    if (endpoint->kind == ENDPOINT_TCP && !endpoint->any && endpoint->host[0] == '\0')
        log_line(LOG_LEVEL_NOTE, "only this machine can connect; for all: synfind :%u",
                 s->listener.port);
}

static void tell_start(const struct server *s)
{
    const struct server_config *c = s->config;
    char frame[UNITS_TEXT], threads[40], room[40];

    log_line(LOG_LEVEL_NOTE, "synfind %s: %s, %s up to %s, %s, room for %s", PACKAGE_VERSION,
             c->handler->name, c->conn.codec.name, units_text_bytes(frame, c->conn.codec.max_body),
             units_plural(threads, sizeof threads, c->threads, "thread"),
             units_plural(room, sizeof room, s->room, "connection"));
    tell_room(s);
    tell_listening(s);
}

/* --- the last lines --- */

/* A connection's own deadline may pass just before the drain's. */
static bool was_cut(const struct server *s, const struct tally_sum *sum)
{
    return s->drain.cut || sum->fates[FATE_DRAIN_TIMEOUT] > s->drain.timeouts;
}

static void tell_frames(const struct server *s, const struct tally_sum *sum)
{
    uint64_t accepted = sum->counts[COUNT_ACCEPTED], lost = sum->counts[COUNT_UNANSWERED];
    char how[60] = "", took[UNITS_TEXT], frames[40], answers[90] = "", later[60] = "";
    char a[UNITS_TEXT], b[UNITS_TEXT];

    if (s->drain.began_with > 0)
        snprintf(how, sizeof how, "%s %s: ", was_cut(s, sum) ? "cut after" : "drained in",
                 units_text_duration(took, clock_us() - s->drain.began_us));
    if (s->config->handler->answers)
        snprintf(answers, sizeof answers, ", %s answered, %s lost",
                 units_text_count(a, accepted - lost), units_text_count(b, lost));
    if (sum->counts[COUNT_DISCARDED] > 0)
        snprintf(later, sizeof later, "; %s came later, discarded",
                 units_text_count(a, sum->counts[COUNT_DISCARDED]));
    log_line(LOG_LEVEL_NOTE, "%s%s accepted%s%s", how,
             units_plural(frames, sizeof frames, accepted, "frame"), answers, later);
}

static void tell_lives(const struct tally_sum *sum)
{
    uint64_t lives = tally_lives(sum->fates);
    char n[40], fates[300], first[UNITS_TEXT], wait[UNITS_TEXT], closed[120] = "";

    if (sum->counts[COUNT_WE_FIRST] > 0)
        snprintf(closed, sizeof closed, "; we closed %s first: %s TIME_WAIT here",
                 units_text_count(first, sum->counts[COUNT_WE_FIRST]),
                 units_text_count(wait, sum->counts[COUNT_TIME_WAIT_OURS]));
    log_line(LOG_LEVEL_NOTE, "%s%s%s%s", units_plural(n, sizeof n, lives, "connection"),
             lives > 0 ? ": " : "",
             lives > 0 ? tally_fates_text(fates, sizeof fates, sum->fates) : "", closed);
}

static void tell_queue(const struct server *s, const struct tally_sum *sum)
{
    char fullest[UNITS_TEXT], most[UNITS_TEXT], overflows[40], wait[UNITS_TEXT];

    if (s->listener.port == 0 || tally_lives(sum->fates) == 0)
        return;
    log_line(LOG_LEVEL_NOTE, "accept queue: fullest seen %s of %s, %s, longest wait %s",
             units_text_count(fullest, s->acceptor.fullest_queue),
             units_text_count(most, s->listener.backlog),
             units_plural(overflows, sizeof overflows, s->acceptor.overflows, "overflow"),
             units_text_duration(wait, sum->longest_queue_us));
}

static int tell_end(const struct server *s)
{
    struct tally_sum sum = crew_sum(&s->crew);

    endlog_turn();
    if (s->config->options->one_off && tally_lives(sum.fates) > 0)
        return fate_row((enum fate)atomic_load(&s->crew.last_fate))->exit_status;
    tell_frames(s, &sum);
    tell_lives(&sum);
    tell_queue(s, &sum);
    return was_cut(s, &sum) ? SERVER_EXIT_CUT : 0;
}

/* --- setting up; each step returns 0 or an exit status with `e` --- */

static int set_up_handler(struct server *s, struct error *e)
{
    const struct handler *handler = s->config->handler;
    int result = handler->prepare == NULL ? 0 : handler->prepare(&s->config->handler_setup, e);

    s->prepared = result == 0;
    return result == 0 ? 0 : result == ERR_SYSTEM ? SERVER_EXIT_SYSTEM : SERVER_EXIT_USAGE;
}

static int set_up_journal(struct server *s, struct error *e)
{
    if (s->config->options->journal == NULL)
        return 0;
    s->journal = journal_open(s->config->options->journal, e);
    return s->journal == NULL ? SERVER_EXIT_SYSTEM : 0;
}

static int set_up_loop(struct server *s, struct error *e)
{
    s->loop = loop_new(e);
    if (s->loop == NULL)
        return SERVER_EXIT_SYSTEM;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a journal over ulimit -f loses records, not the server */
    s->tick = event_new(loop_base(s->loop), -1, EV_PERSIST, on_tick, s);
    if (s->tick == NULL || event_add(s->tick, &a_second) < 0 ||
        loop_on_signal(s->loop, SIGINT, on_signal, s) < 0 ||
        loop_on_signal(s->loop, SIGTERM, on_signal, s) < 0) {
        error_what(e, "cannot watch for signals: %s", strerror(errno));
        return SERVER_EXIT_SYSTEM;
    }
    return 0;
}

static int set_up_crew(struct server *s, struct error *e)
{
    if (crew_init(&s->crew, s->config, s->journal, s->loop, e) < 0)
        return SERVER_EXIT_SYSTEM;
    s->crew.place = on_place;
    s->crew.empty = on_empty;
    s->crew.arg = s;
    atomic_store(&s->crew.tells_empty, s->config->options->one_off);
    s->drain = (struct drain){.acceptor = &s->acceptor,
                              .crew = &s->crew,
                              .loop = s->loop,
                              .limit_us = s->config->options->drain_timeout_us};
    return crew_start(&s->crew, e) < 0 ? SERVER_EXIT_SYSTEM : 0;
}

/* Once all else is open. */
static int count_room(struct server *s, struct error *e)
{
    uint64_t taken = descriptors_open() + DESCRIPTORS_KEPT;
    const struct options *o = s->config->options;

    if (taken >= s->descriptors) {
        error_what(e,
                   "no room for connections: %llu descriptors are allowed, %llu are needed first",
                   (unsigned long long)s->descriptors, (unsigned long long)taken);
        error_mend(e, "raise the limit, ulimit -Hn and -n, or start fewer threads with -t");
        return SERVER_EXIT_SYSTEM;
    }
    s->room = s->descriptors - taken;
    s->acceptor.limit = o->max_conns > 0 ? o->max_conns : s->room;
    s->acceptor.reject = o->when_full == FULL_REJECT;
    s->acceptor.one_off = o->one_off;
    return 0;
}

static int begin_service(struct server *s, struct error *e)
{
    const char *file = s->config->options->port_file;

    tell_start(s);
    if ((file != NULL && listener_write_port(&s->listener, file, e) < 0) ||
        acceptor_start(&s->acceptor, &s->crew, s->loop, &s->listener, e) < 0)
        return SERVER_EXIT_SYSTEM;
    return 0;
}

static int set_up(struct server *s, struct error *e)
{
    int status;

    s->descriptors = descriptors_raise();
    if ((status = set_up_handler(s, e)) != 0 || (status = set_up_journal(s, e)) != 0 ||
        (status = set_up_loop(s, e)) != 0)
        return status;
    if (listener_open(&s->listener, s->config, e) < 0)
        return SERVER_EXIT_SYSTEM;
    if ((status = set_up_crew(s, e)) != 0 || (status = count_room(s, e)) != 0)
        return status;
    return begin_service(s, e);
}

static void take_down(struct server *s)
{
    struct error e;

    acceptor_stop(&s->acceptor);
    listener_close(&s->listener);
    crew_stop(&s->crew);
    if (s->prepared && s->config->handler->finish != NULL)
        s->config->handler->finish();
    crew_fini(&s->crew);
    if (s->tick != NULL)
        event_free(s->tick);
    if (s->loop != NULL)
        loop_free(s->loop);
    if (s->journal != NULL && journal_close(s->journal, &e) < 0)
        log_error(&e);
}

/* Threads started meanwhile keep all signals blocked: only the main loop hears them. */
static int set_up_masked(struct server *s, struct error *e)
{
    sigset_t all, before;
    int status;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    status = set_up(s, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

int server_run(const struct server_config *config)
{
    struct server server = {.config = config};
    struct error e;
    int status = set_up_masked(&server, &e);

    if (status != 0) {
        log_error(&e);
    } else if (loop_run(server.loop) < 0) {
        log_line(LOG_LEVEL_ERROR, "the main loop failed: %s", strerror(errno));
        status = SERVER_EXIT_SYSTEM;
    } else {
        crew_stop(&server.crew);
        status = tell_end(&server);
    }
    take_down(&server);
    return status;
}
