#include "config.h"

#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "dial_text.h"
#include "load_internal.h"
#include "log.h"
#include "units.h"

#define EXIT_USAGE 2
#define START_NS 1000000 /* from the last connection to the clock's start: letters take a while */

static void post_all(struct load *load, void (*fn)(void *worker))
{
    static const struct timespec a_while = {.tv_nsec = 10000000};

    for (unsigned i = 0; i < load->worker_count; i++)
        while (loop_post(load->workers[i].loop, fn, &load->workers[i]) < 0)
            nanosleep(&a_while, NULL); /* without memory for a letter there is nothing better */
}

/* --- what the workers tell --- */

static void set_times(struct load *load)
{
    struct load_plan *plan = &load->plan;
    const struct result_shape *shape = &plan->shape;

    plan->start_ns = clock_ns() + START_NS;
    plan->counted_ns = plan->start_ns + shape->omit_us * 1000;
    plan->end_ns = shape->duration_us > 0 ? plan->start_ns + shape->duration_us * 1000 : UINT64_MAX;
    plan->schedule.start_ns = plan->start_ns;
    load->result.start_wall_us = clock_wall_us() + (plan->counted_ns - clock_ns()) / 1000;
}

static void set_ticks(struct load *load)
{
    uint64_t interval_us = load->config->options->interval_us;
    struct load_plan *plan = &load->plan;
    uint64_t each_us = load->live == NULL ? interval_us : LOAD_LIVE_US;

    plan->ticks_each = interval_us == 0        ? 0
                       : interval_us > each_us ? (unsigned)(interval_us / each_us)
                                               : 1;
    plan->tick_ns = 1000 * (plan->ticks_each > 0 ? interval_us / plan->ticks_each : each_us);
}

static void tell_start(const struct load *load)
{
    struct result start = load->result; /* what it owns stays where it is */

    start.opened = atomic_load(&load->up);
    start.failed = atomic_load(&load->failed);
    for (unsigned i = 0; i < load->worker_count && start.address[0] == '\0'; i++)
        memcpy(start.address, load->workers[i].result.address, sizeof start.address);
    result_json_start(&start, stdout);
    fflush(stdout);
}

static void begin_measuring(struct load *load)
{
    load->phase = LOAD_MEASURING;
    set_times(load);
    if (load->config->options->json_stream)
        tell_start(load);
    post_all(load, load_worker_measure);
}

void load_worker_up(void *arg)
{
    struct load *load = arg;

    if (++load->up_count < load->worker_count || load->phase != LOAD_CONNECTING)
        return;
    load->result.up_us = clock_us() - load->first_connect_us;
    if (atomic_load(&load->up) == 0)
        post_all(load, load_worker_stop);
    else
        begin_measuring(load);
}

void load_worker_stopped(void *arg)
{
    struct load *load = arg;

    if (++load->stopped_count < load->worker_count)
        return;
    load->phase = LOAD_DRAINING;
}

void load_worker_holds(void *arg)
{
    struct load *load = arg;
    char open[64], length[UNITS_TEXT];

    if (++load->hold_count < load->worker_count)
        return;
    live_clear(load->live);
    units_plural(open, sizeof open, atomic_load(&load->up), "connection");
    log_line(LOG_LEVEL_NOTE, "holding %s for %s; ^C ends it", open,
             units_text_duration(length, load->config->options->hold_us));
}

void load_worker_done(void *arg)
{
    struct load *load = arg;

    if (++load->done_count == load->worker_count)
        loop_stop(load->loop);
}

/* --- resolve --- */

static void fail_early(struct load *load, enum fate fate, enum phase phase, const struct error *e)
{
    load->status = load_end_early(load, fate, phase, e);
    load->failed_early = true;
    loop_stop(load->loop);
}

static void connect_all(struct load *load)
{
    load->phase = LOAD_CONNECTING;
    load->first_connect_us = clock_us();
    post_all(load, load_admit_all);
}

static void resolved(void *arg, int code, int error, struct addrinfo *list)
{
    struct load *load = arg;
    struct error e = {"", ""};

    load->resolve = NULL;
    deadline_unset(&load->resolve_deadline);
    if (code == 0) {
        load->addresses = list;
        connect_all(load);
        return;
    }
    dial_resolve_text(load->config, code, error, &e);
    fail_early(load, dial_resolve_fate(code), PHASE_RESOLVE, &e);
}

static void resolve_expired(struct deadline *deadline)
{
    struct load *load =
        (struct load *)(void *)((char *)deadline - offsetof(struct load, resolve_deadline));
    char text[UNITS_TEXT];
    struct error e = {"", ""};

    resolve_cancel(load->resolve);
    load->resolve = NULL;
    error_what(&e, "no address for %s in %s", load->config->endpoint.host,
               units_text_duration(text, load->config->options->connect_timeout_us));
    error_mend(&e, "ask the name server, or name the address itself");
    fail_early(load, FATE_RESOLVE_TIMEOUT, PHASE_RESOLVE, &e);
}

static int begin(struct load *load)
{
    const struct options *options = load->config->options;

    if (load->config->endpoint.kind == ENDPOINT_UNIX) {
        connect_all(load);
        return 0;
    }
    int result = deadline_set(load->loop, &load->resolve_deadline, options->connect_timeout_us,
                              resolve_expired);
    if (result == 0)
        result = resolve_start(&load->resolve, load->loop, &load->config->endpoint, options->family,
                               resolved, load);
    return result;
}

/* --- signals: once gracefully, twice at once --- */

static void on_signal(int signal_number, void *arg)
{
    struct load *load = arg;
    const char *name = signal_number == SIGINT ? "SIGINT" : "SIGTERM";
    struct error e = {"", ""};

    live_clear(load->live);
    if (load->phase == LOAD_RESOLVING) {
        if (load->resolve != NULL)
            resolve_cancel(load->resolve);
        load->resolve = NULL;
        error_what(&e, "%s before the name was resolved", name);
        fail_early(load, FATE_ABORTED, PHASE_RESOLVE, &e);
    } else if (++load->signals > 1) {
        post_all(load, load_worker_cut);
    } else {
        log_line(LOG_LEVEL_NOTE, "%s: sending no more, waiting for what is owed; again cuts", name);
        post_all(load, load->phase == LOAD_CONNECTING ? load_worker_give_up : load_worker_stop);
    }
}

/* --- threads --- */

static void *run_worker(void *arg)
{
    struct load_worker *worker = arg;

    if (loop_run(worker->loop) < 0)
        log_line(LOG_LEVEL_ERROR, "a thread's loop failed: %s", strerror(errno));
    return NULL;
}

static int start_workers(struct load *load, struct error *e)
{
    sigset_t all, before;
    int error = 0;

    if (load->worker_count == 1)
        return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main loop's */
    for (unsigned i = 0; i < load->worker_count && error == 0; i++) {
        struct load_worker *worker = &load->workers[i];
        error = pthread_create(&worker->thread, NULL, run_worker, worker);
        worker->runs = error == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return 0;
    error_what(e, "cannot start %u threads: %s", load->worker_count, strerror(error));
    error_mend(e, "start fewer with -t, or raise the limit on processes: ulimit -u");
    return ERR_SYSTEM;
}

static void stop_worker(void *arg)
{
    loop_stop(((struct load_worker *)arg)->loop);
}

static void stop_workers(struct load *load)
{
    for (unsigned i = 0; i < load->worker_count; i++) {
        static const struct timespec a_while = {.tv_nsec = 10000000};
        struct load_worker *worker = &load->workers[i];
        while (worker->runs && loop_post(worker->loop, stop_worker, worker) < 0)
            nanosleep(&a_while, NULL);
        if (worker->runs)
            pthread_join(worker->thread, NULL);
        worker->runs = false;
    }
}

static int make_workers(struct load *load, struct error *e)
{
    unsigned count = (unsigned)load->plan.shape.threads;
    int result = 0;

    load->workers = calloc(count, sizeof *load->workers);
    if (load->workers == NULL || result_stage(&load->result, STAGE_ROUND_TRIP) == NULL) {
        error_what(e, "out of memory for %u threads", count);
        return ERR_MEMORY;
    }
    for (; result == 0 && load->worker_count < count; load->worker_count++)
        result = load_worker_init(&load->workers[load->worker_count], load, load->worker_count, e);
    return result;
}

/* --- the run --- */

static int fail(enum fate fate, const struct error *e)
{
    log_error(e);
    return fate_row(fate)->exit_status;
}

static int run_threads(struct load *load)
{
    struct error e = {"", ""};

    if (make_workers(load, &e) < 0)
        return fail(FATE_MEMORY, &e);
    if (loop_on_signal(load->loop, SIGINT, on_signal, load) < 0 ||
        loop_on_signal(load->loop, SIGTERM, on_signal, load) < 0 || load_live_begin(load) < 0) {
        error_what(&e, "out of memory for a load");
        return fail(FATE_MEMORY, &e);
    }
    set_ticks(load);
    if (start_workers(load, &e) < 0 || begin(load) < 0) {
        if (e.what[0] == '\0')
            error_what(&e, "out of memory for a load");
        return fail(FATE_MEMORY, &e);
    }
    if (loop_run(load->loop) < 0) {
        error_what(&e, "the event loop failed");
        return fail(FATE_MEMORY, &e);
    }
    stop_workers(load);
    return load->failed_early ? load->status : load_end(load);
}

static int run(struct load *load)
{
    struct error e = {"", ""};

    if (load_plan_descriptors(load, &e) < 0)
        return load_end_early(load, FATE_NO_DESCRIPTOR, PHASE_CREATE, &e);
    load->loop = loop_new(&e);
    if (load->loop == NULL)
        return fail(FATE_NO_DESCRIPTOR, &e);
    int status = run_threads(load);
    stop_workers(load);
    return status;
}

static void clean_up(struct load *load)
{
    struct error e = {"", ""};

    load_intervals_free(load);
    live_free(load->live);
    if (load->live_timer != NULL)
        event_free(load->live_timer);
    for (unsigned i = 0; i < load->worker_count; i++)
        load_worker_fini(&load->workers[i]);
    free(load->workers);
    if (load->addresses != NULL)
        freeaddrinfo(load->addresses);
    if (load->loop != NULL)
        loop_free(load->loop);
    /* After the loop: then a signal can end the wait for a reader that has stopped. */
    if (load->journal != NULL && journal_close(load->journal, &e) < 0)
        log_error(&e);
    load_plan_fini(&load->plan);
    result_fini(&load->result);
}

int load_run(const struct client_config *config)
{
    struct load load = {.config = config};
    struct error e = {"", ""};

    result_init(&load.result);
    if (load_plan_init(&load.plan, config, &e) < 0 ||
        (config->options->journal != NULL &&
         (load.journal = journal_open(config->options->journal, &e)) == NULL)) {
        log_error(&e);
        load_plan_fini(&load.plan);
        result_fini(&load.result);
        return EXIT_USAGE;
    }
    load.result.shape = load.plan.shape;
    load.result.busy_poll_us = config->options->busy_poll_us;
    snprintf(load.result.target, sizeof load.result.target, "%.*s",
             (int)sizeof load.result.target - 1, config->endpoint.text);
    int status = run(&load);
    clean_up(&load);
    return status;
}
