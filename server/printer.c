#include "config.h"

#include "printer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "escape.h"
#include "log.h"

struct job {
    TAILQ_ENTRY(job) link;
    struct loop *loop;
    void (*done)(void *arg, int error);
    void *arg;
    int error;
    size_t n;
    uint8_t line[];
};
TAILQ_HEAD(job_list, job);

/* A job stands in `waiting` until it is written, then in `written` until its loop has taken it. */
static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct job_list waiting, written;
    bool terminal, stopping;
    int told; /* errno of the last failure that was logged */
} printer = {.lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER};

/* Standard output may be non-blocking by another process's wish; this thread may wait. */
static bool may_go_on(int error)
{
    struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};

    if (error == EAGAIN)
        return poll(&room, 1, -1) > 0 || errno == EINTR;
    return error == EINTR;
}

static int write_whole(const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDOUT_FILENO, bytes, n);
        if (done < 0 && may_go_on(errno))
            continue;
        if (done < 0)
            return errno;
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Only here may the thread be cancelled: it holds no lock. */
static int write_line(const struct job *job)
{
    int state, error;

    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    error = write_whole(job->line, job->n);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return error;
}

static void tell_once(int error)
{
    if (error != 0 && error != printer.told)
        log_line(LOG_LEVEL_ERROR,
                 "standard output: %s; frames that cannot be printed are not confirmed",
                 strerror(error));
    printer.told = error;
}

static void take_done(void *arg)
{
    struct job *job = arg;

    pthread_mutex_lock(&printer.lock);
    TAILQ_REMOVE(&printer.written, job, link);
    pthread_mutex_unlock(&printer.lock);
    job->done(job->arg, job->error);
    free(job);
}

/* Waits for a job; NULL: the end. */
static struct job *next_job(void)
{
    struct job *job;

    while ((job = TAILQ_FIRST(&printer.waiting)) == NULL && !printer.stopping)
        pthread_cond_wait(&printer.some, &printer.lock);
    return printer.stopping ? NULL : job;
}

/* The first job stays in `waiting` while it is written, so that it is found there if the thread is
 * cancelled meanwhile. */
static void *printer_run(void *unused)
{
    struct job *job;
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&printer.lock);
    while ((job = next_job()) != NULL) {
        pthread_mutex_unlock(&printer.lock);
        job->error = write_line(job);
        tell_once(job->error);
        pthread_mutex_lock(&printer.lock);
        TAILQ_REMOVE(&printer.waiting, job, link);
        TAILQ_INSERT_TAIL(&printer.written, job, link);
        if (loop_post(job->loop, take_done, job) != 0)
            log_line(LOG_LEVEL_ERROR, "no memory to confirm a printed frame");
    }
    pthread_mutex_unlock(&printer.lock);
    return unused;
}

int printer_start(struct error *e)
{
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    int error;

    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
        error_what(e, "-H ack prints what it receives, and standard output is closed");
        error_mend(e, "give it one, > FILE");
        return ERR_SYSTEM;
    }
    TAILQ_INIT(&printer.waiting);
    TAILQ_INIT(&printer.written);
    printer.terminal = isatty(STDOUT_FILENO) == 1;
    printer.stopping = false;
    error = pthread_create(&printer.thread, NULL, printer_run, NULL);
    if (error != 0) {
        error_what(e, "cannot start the thread that prints: %s", strerror(error));
        return ERR_SYSTEM;
    }
    return 0;
}

int printer_put(struct loop *loop, const uint8_t *bytes, size_t n,
                void (*done)(void *arg, int error), void *arg)
{
    struct job *job = malloc(sizeof *job + (printer.terminal ? ESCAPE_MAX * n : n) + 1);

    if (job == NULL)
        return ERR_MEMORY;
    job->loop = loop;
    job->done = done;
    job->arg = arg;
    job->n = n;
    if (printer.terminal)
        job->n = escape_copy((char *)job->line, bytes, n);
    else if (n > 0)
        memcpy(job->line, bytes, n);
    job->line[job->n++] = '\n';
    pthread_mutex_lock(&printer.lock);
    TAILQ_INSERT_TAIL(&printer.waiting, job, link);
    pthread_cond_signal(&printer.some);
    pthread_mutex_unlock(&printer.lock);
    return 0;
}

static void give_up(struct job_list *list)
{
    struct job *job;

    while ((job = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, job, link);
        job->done(job->arg, ECANCELED);
        free(job);
    }
}

void printer_stop(void)
{
    pthread_mutex_lock(&printer.lock);
    printer.stopping = true;
    pthread_cond_signal(&printer.some);
    pthread_mutex_unlock(&printer.lock);
    pthread_cancel(printer.thread);
    pthread_join(printer.thread, NULL);
    give_up(&printer.waiting);
    give_up(&printer.written);
}
