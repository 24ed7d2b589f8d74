#include "config.h"

#include "resolve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

/* Who holds the struct besides the one who asked, and frees it if that one cancels. */
enum resolve_state { RESOLVE_THREAD, RESOLVE_MAILBOX, RESOLVE_LOST };

struct resolve {
    pthread_mutex_t lock; /* guards the next two */
    enum resolve_state state;
    bool cancelled;

    struct loop *loop;
    struct endpoint endpoint;
    enum options_family family;
    int code, error;
    struct addrinfo *list;
    void (*done)(void *arg, int code, int error, struct addrinfo *list);
    void *arg;
};

static void resolve_free(struct resolve *resolve)
{
    if (resolve->list != NULL)
        freeaddrinfo(resolve->list);
    pthread_mutex_destroy(&resolve->lock);
    free(resolve);
}

static void answer(void *arg)
{
    struct resolve *resolve = arg;
    /* The thread posts under the lock: once it can be had, the thread is done with `resolve`. */
    pthread_mutex_lock(&resolve->lock);
    bool cancelled = resolve->cancelled;
    pthread_mutex_unlock(&resolve->lock);
    if (!cancelled) {
        struct addrinfo *list = resolve->list;
        resolve->list = NULL;
        resolve->done(resolve->arg, resolve->code, resolve->error, list);
    }
    resolve_free(resolve);
}

static void *resolve_thread(void *arg)
{
    struct resolve *resolve = arg;
    resolve->code = endpoint_resolve(&resolve->endpoint, resolve->family, false, &resolve->list);
    resolve->error = errno;
    pthread_mutex_lock(&resolve->lock);
    bool cancelled = resolve->cancelled;
    /* Posted under the lock: who cancels afterwards has kept the loop until now. Without memory for
     * the letter the answer is lost, and the deadline ends the wait. */
    if (!cancelled)
        resolve->state =
            loop_post(resolve->loop, answer, resolve) == 0 ? RESOLVE_MAILBOX : RESOLVE_LOST;
    pthread_mutex_unlock(&resolve->lock);
    if (cancelled)
        resolve_free(resolve);
    return NULL;
}

static int start_thread(struct resolve *resolve)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    int error = pthread_create(&thread, &attributes, resolve_thread, resolve);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

int resolve_start(struct resolve **result, struct loop *loop, const struct endpoint *endpoint,
                  enum options_family family,
                  void (*done)(void *arg, int code, int error, struct addrinfo *list), void *arg)
{
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (resolve == NULL)
        return ERR_MEMORY;
    pthread_mutex_init(&resolve->lock, NULL);
    resolve->loop = loop;
    resolve->endpoint = *endpoint;
    resolve->family = family;
    resolve->done = done;
    resolve->arg = arg;
    /* A process that never had a second thread is spared what the C library does for threads. */
    bool numeric = endpoint_numeric(endpoint, family, &resolve->list) == 0;
    if (numeric)
        resolve->state = RESOLVE_MAILBOX;
    int error = !numeric                                ? start_thread(resolve)
                : loop_post(loop, answer, resolve) == 0 ? 0
                                                        : ENOMEM;
    if (error != 0) {
        resolve_free(resolve);
        errno = error;
        return ERR_SYSTEM;
    }
    *result = resolve;
    return 0;
}

void resolve_cancel(struct resolve *resolve)
{
    pthread_mutex_lock(&resolve->lock);
    resolve->cancelled = true;
    bool lost = resolve->state == RESOLVE_LOST;
    pthread_mutex_unlock(&resolve->lock);
    if (lost)
        resolve_free(resolve);
}
