#include "config.h"

#include "worker.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "endlog.h"
#include "log.h"
#include "sockopt.h"
#include "transport.h"

void *handler_state(const struct conn *conn)
{
    return ((struct served *)conn_arg(conn))->state;
}

/* --- the end of a connection --- */

static void record(struct crew *crew, struct tally *tally, struct life *life)
{
    tally_add(tally, life);
    endlog_tell(life);
    if (crew->journal != NULL)
        journal_put(crew->journal, life);
    atomic_store(&crew->last_fate, (int)life->fate);
}

/* The descriptor is closed by now. Letters that cannot be sent for want of memory are made up for
 * by the server's tick. */
void worker_count_out(struct crew *crew)
{
    bool last = atomic_fetch_sub(&crew->open, 1) == 1;

    if (atomic_load(&crew->wants_place) && atomic_exchange(&crew->wants_place, false))
        loop_post(crew->main_loop, crew->place, crew->arg);
    if (last && atomic_load(&crew->tells_empty))
        loop_post(crew->main_loop, crew->empty, crew->arg);
}

static void served_closed(struct conn *conn, struct life *life)
{
    struct served *served = conn_arg(conn);
    struct worker *worker = served->worker;
    const struct conn_owner *handler = &worker->crew->config->handler->owner;

    if (handler->closed != NULL)
        handler->closed(conn, life);
    TAILQ_REMOVE(&worker->served, served, link);
    record(worker->crew, &worker->tally, life);
    worker_count_out(worker->crew);
}

void worker_refuse(struct crew *crew, struct tally *tally, const struct arrival *arrival,
                   enum fate fate, const char *why)
{
    static const struct linger now = {.l_onoff = 1, .l_linger = 0};
    struct transport transport = {.fd = arrival->fd};
    struct life life;

    life_init(&life, SIDE_SERVER, arrival->queue_us + clock_us() - arrival->at_us);
    if (crew->config->conn.path != NULL)
        life_set_path(&life, crew->config->conn.path);
    else
        life.local = *arrival->local;
    life.remote = arrival->peer;
    transport_addresses(&transport, &life.local, &life.remote);
    life_fail(&life, fate, "%s", why);
    life_move(&life, PHASE_CLOSE, fate_row(fate)->name);
    setsockopt(arrival->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(arrival->fd);
    life_end(&life, "SO_LINGER 0, close");
    record(crew, tally, &life);
    life_fini(&life);
}

/* --- its beginning --- */

/* What the system refuses here it refuses for all: told once. */
static void apply_sockopts(const struct crew *crew, int fd)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    const struct options *o = crew->config->options;
    struct error e;

    if (o->set_count > 0 && sockopt_apply(fd, SOCKOPT_CONNECTED, o->set, o->set_count, &e) < 0 &&
        !atomic_flag_test_and_set(&told))
        log_error(&e);
}

static struct conn *new_conn(struct worker *worker, const struct arrival *arrival)
{
    struct crew *crew = worker->crew;
    struct conn *conn = conn_new(worker->loop, &crew->conn, &crew->owner, NULL,
                                 arrival->queue_us + clock_us() - arrival->at_us);
    struct served *served;
    struct life *life;

    if (conn == NULL)
        return NULL;
    life = conn_life(conn);
    if (crew->config->conn.path == NULL)
        life->local = *arrival->local;
    life->remote = arrival->peer;
    served = conn_arg(conn);
    served->worker = worker;
    TAILQ_INSERT_TAIL(&worker->served, served, link);
    return conn;
}

void worker_take(struct worker *worker, const struct arrival *arrival)
{
    struct conn *conn = new_conn(worker, arrival);
    struct transport transport;

    if (conn == NULL) {
        worker_refuse(worker->crew, &worker->tally, arrival, FATE_MEMORY,
                      "no memory for a connection");
        worker_count_out(worker->crew);
        return;
    }
    apply_sockopts(worker->crew, arrival->fd);
    if (transport_init(&transport, worker->loop, arrival->fd, worker->crew->config->conn.fast) < 0)
        conn_fail(conn, FATE_MEMORY, "no memory for a connection");
    else
        conn_open(conn, &transport);
}

struct conn_owner worker_owner(const struct handler *handler)
{
    struct conn_owner owner = handler->owner;

    owner.closed = served_closed;
    return owner;
}
