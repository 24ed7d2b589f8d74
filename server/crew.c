#include "config.h"

#include "crew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "conn.h"
#include "log.h"
#include "worker.h"

/* Arrivals for one worker, in one letter. */
struct batch {
    struct worker *worker;
    unsigned count;
    struct arrival arrivals[];
};

/* --- arrivals --- */

void crew_refuse(struct crew *crew, const struct arrival *arrival, enum fate fate, const char *why)
{
    worker_refuse(crew, &crew->refused, arrival, fate, why);
}

static void refuse_all(struct crew *crew, const struct arrival *arrivals, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        crew_refuse(crew, &arrivals[i], FATE_MEMORY, "no memory to hand it to a worker");
        worker_count_out(crew);
    }
}

static void take_all(struct worker *worker, const struct arrival *arrivals, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        worker_take(worker, &arrivals[i]);
}

static void take_batch(void *arg)
{
    struct batch *batch = arg;

    take_all(batch->worker, batch->arrivals, batch->count);
    free(batch);
}

static void post_batch(struct worker *worker, const struct arrival *arrivals, unsigned count)
{
    struct batch *batch = malloc(sizeof *batch + count * sizeof *arrivals);

    if (batch == NULL) {
        refuse_all(worker->crew, arrivals, count);
        return;
    }
    batch->worker = worker;
    batch->count = count;
    memcpy(batch->arrivals, arrivals, count * sizeof *arrivals);
    if (loop_post(worker->loop, take_batch, batch) < 0) {
        free(batch);
        refuse_all(worker->crew, arrivals, count);
    }
}

void crew_hand_over(struct crew *crew, const struct arrival *arrivals, unsigned count)
{
    atomic_fetch_add(&crew->open, count);
    if (crew->workers[0].loop == crew->main_loop) {
        take_all(&crew->workers[0], arrivals, count);
        return;
    }
    for (unsigned turn = 0; turn < crew->count && turn < count; turn++) {
        struct arrival dealt[CREW_ARRIVALS_MAX];
        unsigned n = 0;
        for (unsigned i = turn; i < count; i += crew->count)
            dealt[n++] = arrivals[i];
        post_batch(&crew->workers[(crew->next + turn) % crew->count], dealt, n);
    }
    crew->next = (crew->next + count) % crew->count;
}

/* --- what the server asks of all --- */

static int post_all(struct crew *crew, void (*fn)(void *worker))
{
    int result = 0;

    for (unsigned i = 0; i < crew->count; i++)
        if (loop_post(crew->workers[i].loop, fn, &crew->workers[i]) < 0)
            result = ERR_MEMORY;
    return result;
}

static void drain_worker(void *arg)
{
    struct worker *worker = arg;
    struct served *served;

    TAILQ_FOREACH (served, &worker->served, link)
        conn_drain(conn_owning(served), true, "the server drains");
}

int crew_drain(struct crew *crew)
{
    return post_all(crew, drain_worker);
}

static void cut_worker(struct worker *worker, enum fate fate, const char *why)
{
    struct served *served;

    TAILQ_FOREACH (served, &worker->served, link)
        conn_fail(conn_owning(served), fate, "%s", why);
}

static void cut_late(void *worker)
{
    cut_worker(worker, FATE_DRAIN_TIMEOUT, "the server's drain took longer than --drain-timeout");
}

static void cut_now(void *worker)
{
    cut_worker(worker, FATE_ABORTED, "the second signal cut the server's drain");
}

int crew_cut(struct crew *crew, enum fate fate)
{
    return post_all(crew, fate == FATE_DRAIN_TIMEOUT ? cut_late : cut_now);
}

static void gather_left(void *arg)
{
    struct crew *crew = arg;
    struct left left[CREW_LEFT_MAX];
    unsigned n = 0;

    if (--crew->asked > 0)
        return;
    for (unsigned w = 0; w < crew->count; w++)
        for (unsigned i = 0; i < crew->workers[w].left_count && n < CREW_LEFT_MAX; i++)
            left[n++] = crew->workers[w].left[i];
    crew->tell_left(left, n, crew->left_arg);
}

static void look_left(void *arg)
{
    struct worker *worker = arg;
    struct served *served;
    uint64_t now_us = clock_us();

    worker->left_count = 0;
    TAILQ_FOREACH (served, &worker->served, link) {
        const struct life *life = conn_life(conn_owning(served));
        if (worker->left_count == CREW_LEFT_MAX)
            break;
        worker->left[worker->left_count++] =
            (struct left){life->number, life->phase, now_us - life_entered_us(life),
                          conn_unsent(conn_owning(served))};
    }
    loop_post(worker->crew->main_loop, gather_left, worker->crew);
}

void crew_ask_left(struct crew *crew,
                   void (*tell)(const struct left *left, unsigned count, void *arg), void *arg)
{
    if (crew->asked > 0)
        return;
    crew->tell_left = tell;
    crew->left_arg = arg;
    crew->asked = crew->count;
    post_all(crew, look_left);
}

uint64_t crew_open(const struct crew *crew)
{
    return atomic_load(&crew->open);
}

struct tally_sum crew_sum(const struct crew *crew)
{
    struct tally_sum sum = {0};

    tally_sum(&sum, &crew->refused);
    for (unsigned i = 0; i < crew->count; i++)
        tally_sum(&sum, &crew->workers[i].tally);
    return sum;
}

/* --- workers --- */

static void *run_worker(void *arg)
{
    struct worker *worker = arg;

    if (loop_run(worker->loop) < 0)
        log_line(LOG_LEVEL_ERROR, "a worker's loop failed: %s", strerror(errno));
    return NULL;
}

int crew_init(struct crew *crew, const struct server_config *config, struct journal *journal,
              struct loop *main_loop, struct error *e)
{
    memset(crew, 0, sizeof *crew);
    crew->config = config;
    crew->journal = journal;
    crew->main_loop = main_loop;
    crew->owner = worker_owner(config->handler);
    crew->conn = config->conn;
    crew->conn.owner_bytes = sizeof(struct served) + config->handler->state_bytes;
    crew->workers = calloc(config->threads, sizeof *crew->workers);
    if (crew->workers == NULL) {
        error_what(e, "no memory for %u threads", config->threads);
        error_mend(e, "start fewer with -t");
        return ERR_MEMORY;
    }
    for (; crew->count < config->threads; crew->count++) {
        struct worker *worker = &crew->workers[crew->count];
        worker->crew = crew;
        TAILQ_INIT(&worker->served);
        worker->loop = config->threads == 1 ? main_loop : loop_new(e);
        if (worker->loop == NULL)
            return ERR_SYSTEM;
        loop_busy_poll(worker->loop, config->options->busy_poll_us);
    }
    return 0;
}

int crew_start(struct crew *crew, struct error *e)
{
    for (unsigned i = 0; i < crew->count && crew->count > 1; i++) {
        struct worker *worker = &crew->workers[i];
        int error = pthread_create(&worker->thread, NULL, run_worker, worker);
        if (error != 0) {
            error_what(e, "cannot start thread %u of %u: %s", i + 1, crew->count, strerror(error));
            error_mend(e, "start fewer with -t, or raise the limit on processes: ulimit -u");
            return ERR_SYSTEM;
        }
        worker->runs = true;
    }
    return 0;
}

static void stop_worker(void *arg)
{
    loop_stop(((struct worker *)arg)->loop);
}

/* Without memory for the letter there is nothing better than to wait for some. */
static void post_surely(struct worker *worker)
{
    static const struct timespec a_while = {.tv_nsec = 10000000};

    for (int tries = 0; tries < 1000; tries++) {
        if (loop_post(worker->loop, stop_worker, worker) == 0)
            return;
        nanosleep(&a_while, NULL);
    }
    log_line(LOG_LEVEL_ERROR, "no memory to end a thread");
    _exit(71);
}

void crew_stop(struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++)
        if (crew->workers[i].runs)
            post_surely(&crew->workers[i]);
    for (unsigned i = 0; i < crew->count; i++)
        if (crew->workers[i].runs)
            pthread_join(crew->workers[i].thread, NULL);
    for (unsigned i = 0; i < crew->count; i++)
        crew->workers[i].runs = false;
}

void crew_fini(struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++)
        if (crew->workers[i].loop != crew->main_loop)
            loop_free(crew->workers[i].loop);
    free(crew->workers);
}
