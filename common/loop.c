#include "config.h"

#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "timer.h"

#define BASE_DESCRIPTORS 3 /* an event_base's epoll, and pair for signals */
#define READY_MOST 256     /* watches served in one go */
#define READY_BUSY 2       /* more than so many at once: more may be ready by now */
#define ROUNDS_MOST 16     /* before libevent's own events have their turn */
#define TURN_US 100        /* how often a busy poll looks at what is not a watch */

struct letter {
    STAILQ_ENTRY(letter) link;
    void (*fn)(void *arg);
    void *arg;
};
STAILQ_HEAD(letters, letter);

/* Deadlines of one length: appended at the tail, so the head is the first due. */
struct deadline_queue {
    SLIST_ENTRY(deadline_queue) link;
    uint64_t length_us;
    TAILQ_HEAD(, deadline) deadlines;
};

struct loop_signal {
    SLIST_ENTRY(loop_signal) link;
    struct event *event;
    void (*fn)(int signal_number, void *arg);
    void *arg;
};

struct loop {
    struct loop_slot slot; /* first */
    struct event_base *base;
    pthread_mutex_t mail_lock; /* guards `mail` */
    struct letters mail;
    int mail_fd; /* eventfd: written when the mailbox stops being empty */
    struct event *mail_event;
    SLIST_HEAD(, deadline_queue) queues;
    struct timer timer;
    uint64_t timer_due_us; /* 0: not armed */
    STAILQ_HEAD(reapables, reapable) to_reap;
    bool reaping;
    struct event *reaper;
    int watch_fd; /* epoll of the watches */
    struct event *watch_event;
    uint64_t busy_us;
    bool stopped;
    void (*free_attached)(void *thing);
    SLIST_HEAD(, loop_signal) signals;
};

/* --- mailbox --- */

static void read_mail(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    struct letters mail = STAILQ_HEAD_INITIALIZER(mail);
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) {
        return;
    }
    pthread_mutex_lock(&loop->mail_lock);
    STAILQ_CONCAT(&mail, &loop->mail);
    pthread_mutex_unlock(&loop->mail_lock);
    struct letter *letter;
    while ((letter = STAILQ_FIRST(&mail)) != NULL) {
        STAILQ_REMOVE_HEAD(&mail, link);
        letter->fn(letter->arg);
        free(letter);
    }
}

int loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    static const uint64_t one = 1;
    struct letter *letter = malloc(sizeof *letter);
    if (letter == NULL) {
        return ERR_MEMORY;
    }
    letter->fn = fn;
    letter->arg = arg;
    pthread_mutex_lock(&loop->mail_lock);
    bool was_empty = STAILQ_EMPTY(&loop->mail);
    STAILQ_INSERT_TAIL(&loop->mail, letter, link);
    /* Under the lock, so that the loop cannot be freed between the two by what the letter makes it
     * do. An eventfd's write fails only if the count would overflow, and then the loop is awake
     * anyway. */
    if (was_empty && write(loop->mail_fd, &one, sizeof one) < 0) {
        was_empty = false;
    }
    pthread_mutex_unlock(&loop->mail_lock);
    return 0;
}

/* --- deadlines --- */

static void arm_timer(struct loop *loop, uint64_t due_us)
{
    loop->timer_due_us = due_us;
    timer_set(&loop->timer, due_us * 1000);
}

/* The deadline due first of all queues; NULL: none is set. */
static struct deadline *first_due(const struct loop *loop)
{
    struct deadline *first = NULL;
    struct deadline_queue *queue;
    SLIST_FOREACH(queue, &loop->queues, link)
    {
        struct deadline *head = TAILQ_FIRST(&queue->deadlines);
        if (head != NULL && (first == NULL || head->due_us < first->due_us)) {
            first = head;
        }
    }
    return first;
}

static void timer_passed(void *arg)
{
    struct loop *loop = arg;
    struct deadline *deadline;
    uint64_t now = clock_us();

    loop->timer_due_us = 0;
    while ((deadline = first_due(loop)) != NULL && deadline->due_us <= now) {
        deadline_unset(deadline);
        deadline->passed(deadline);
    }
    if (deadline != NULL && (loop->timer_due_us == 0 || deadline->due_us < loop->timer_due_us)) {
        arm_timer(loop, deadline->due_us);
    }
}

static struct deadline_queue *queue_of_length(struct loop *loop, uint64_t length_us)
{
    struct deadline_queue *queue;
    SLIST_FOREACH(queue, &loop->queues, link)
    {
        if (queue->length_us == length_us) {
            return queue;
        }
    }
    queue = malloc(sizeof *queue);
    if (queue != NULL) {
        queue->length_us = length_us;
        TAILQ_INIT(&queue->deadlines);
        SLIST_INSERT_HEAD(&loop->queues, queue, link);
    }
    return queue;
}

int deadline_set(struct loop *loop, struct deadline *deadline, uint64_t length_us,
                 void (*passed)(struct deadline *))
{
    deadline_unset(deadline);
    if (length_us == 0) {
        return 0;
    }
    struct deadline_queue *queue = queue_of_length(loop, length_us);
    if (queue == NULL) {
        return ERR_MEMORY;
    }
    deadline->queue = queue;
    deadline->due_us = clock_us() + length_us;
    deadline->passed = passed;
    TAILQ_INSERT_TAIL(&queue->deadlines, deadline, link);
    if (loop->timer_due_us == 0 || deadline->due_us < loop->timer_due_us) {
        arm_timer(loop, deadline->due_us);
    }
    return 0;
}

void deadline_unset(struct deadline *deadline)
{
    if (deadline->queue != NULL) {
        TAILQ_REMOVE(&deadline->queue->deadlines, deadline, link);
        deadline->queue = NULL;
    }
}

/* --- reaper --- */

static void reap_all(struct loop *loop)
{
    static const struct timeval next_turn = {0, 0};
    struct reapables now = STAILQ_HEAD_INITIALIZER(now);
    struct reapable *reapable;

    if (STAILQ_EMPTY(&loop->to_reap)) {
        return;
    }
    STAILQ_CONCAT(&now, &loop->to_reap);
    loop->reaping = true;
    while ((reapable = STAILQ_FIRST(&now)) != NULL) {
        STAILQ_REMOVE_HEAD(&now, link);
        reapable->reap(reapable);
    }
    loop->reaping = false;
    /* What they asked for comes after a look at the descriptors: none may keep the loop. */
    if (!STAILQ_EMPTY(&loop->to_reap)) {
        event_add(loop->reaper, &next_turn);
    }
}

static void reaper_came(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    reap_all(arg);
}

void loop_reap(struct loop *loop, struct reapable *reapable)
{
    if (STAILQ_EMPTY(&loop->to_reap) && !loop->reaping) {
        event_active(loop->reaper, EV_TIMEOUT, 0);
    }
    STAILQ_INSERT_TAIL(&loop->to_reap, reapable, link);
}

/* --- watches --- */

/* Serves the watches that are ready now. Returns how many. */
static int serve_watches(struct loop *loop)
{
    struct epoll_event ready[READY_MOST];
    int count = epoll_wait(loop->watch_fd, ready, READY_MOST, 0);

    for (int i = 0; i < count; i++) {
        struct watch *watch = ready[i].data.ptr;
        watch->ready(watch);
    }
    return count;
}

static void watches_ready(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    unsigned rounds = 0;

    (void)fd;
    (void)what;
    while (serve_watches(loop) > READY_BUSY && ++rounds < ROUNDS_MOST && !loop->stopped) {
        reap_all(loop);
    }
}

int loop_watch(struct loop *loop, int fd, struct watch *watch, enum watch_mode mode, bool again)
{
    struct epoll_event event = {
        .events = EPOLLIN | (mode == WATCH_EDGE ? (uint32_t)EPOLLET | EPOLLRDHUP : 0),
        .data.ptr = watch,
    };
    if (epoll_ctl(loop->watch_fd, again ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) < 0) {
        return errno == ENOMEM ? ERR_MEMORY : ERR_SYSTEM;
    }
    return 0;
}

void loop_unwatch(struct loop *loop, int fd)
{
    epoll_ctl(loop->watch_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* --- signals --- */

static void signal_came(evutil_socket_t number, short what, void *arg)
{
    struct loop_signal *s = arg;
    (void)what;
    s->fn((int)number, s->arg);
}

int loop_on_signal(struct loop *loop, int signal_number, void (*fn)(int signal_number, void *arg),
                   void *arg)
{
    struct loop_signal *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return ERR_MEMORY;
    }
    s->fn = fn;
    s->arg = arg;
    /* What libevent puts back when the event goes: a signal that comes then, at the very end, must
     * not kill a program that is done. */
    signal(signal_number, SIG_IGN);
    s->event = evsignal_new(loop->base, signal_number, signal_came, s);
    if (s->event == NULL || evsignal_add(s->event, NULL) < 0) {
        if (s->event != NULL) {
            event_free(s->event);
        }
        free(s);
        return ERR_SYSTEM;
    }
    SLIST_INSERT_HEAD(&loop->signals, s, link);
    return 0;
}

/* --- the loop itself --- */

/* libevent ends the process, by a message of its own, where it finds no descriptor for its epoll,
 * and pair: whether there are as many is asked first. */
static bool has_descriptors(void)
{
    int fds[BASE_DESCRIPTORS];
    int count = 0, error;

    while (count < BASE_DESCRIPTORS &&
           (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        count++;
    }
    error = errno;
    bool enough = count == BASE_DESCRIPTORS || (error != EMFILE && error != ENFILE);
    while (count > 0) {
        close(fds[--count]);
    }
    errno = error;
    return enough;
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;
    if (config != NULL) {
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK); /* one thread a loop */
        base = event_base_new_with_config(config);
        event_config_free(config);
    }
    return base;
}

/* libevent's heap of timers gets its memory now: without it the reaper could not be told to come
 * again, and what waits for it would wait for ever. */
static bool reserve_turn(struct event *reaper)
{
    static const struct timeval now = {0, 0};

    return event_add(reaper, &now) == 0 && event_del(reaper) == 0;
}

static bool make_events(struct loop *loop)
{
    if (!has_descriptors()) {
        return false;
    }
    loop->base = new_base();
    loop->mail_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->base == NULL || loop->mail_fd < 0 || loop->watch_fd < 0) {
        return false;
    }
    loop->mail_event = event_new(loop->base, loop->mail_fd, EV_READ | EV_PERSIST, read_mail, loop);
    loop->reaper = evtimer_new(loop->base, reaper_came, loop);
    loop->watch_event =
        event_new(loop->base, loop->watch_fd, EV_READ | EV_PERSIST, watches_ready, loop);
    return loop->mail_event != NULL && loop->reaper != NULL && loop->watch_event != NULL &&
           reserve_turn(loop->reaper) && event_add(loop->mail_event, NULL) == 0 &&
           event_add(loop->watch_event, NULL) == 0 &&
           timer_init(&loop->timer, loop, timer_passed, loop) == 0;
}

struct loop *loop_new(struct error *e)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        error_what(e, "out of memory for an event loop");
        return NULL;
    }
    pthread_mutex_init(&loop->mail_lock, NULL);
    STAILQ_INIT(&loop->mail);
    SLIST_INIT(&loop->queues);
    STAILQ_INIT(&loop->to_reap);
    SLIST_INIT(&loop->signals);
    loop->mail_fd = loop->watch_fd = -1;
    errno = 0;
    if (!make_events(loop)) {
        error_what(e, "cannot make an event loop: %s", strerror(errno));
        error_mend(e, "ulimit -n: it needs six descriptors");
        loop_free(loop);
        return NULL;
    }
    return loop;
}

static void free_event(struct event *event)
{
    if (event != NULL) {
        event_free(event);
    }
}

void loop_free(struct loop *loop)
{
    struct loop_signal *s;
    struct letter *letter;
    struct deadline_queue *queue;

    while ((s = SLIST_FIRST(&loop->signals)) != NULL) {
        SLIST_REMOVE_HEAD(&loop->signals, link);
        event_free(s->event);
        free(s);
    }
    while ((letter = STAILQ_FIRST(&loop->mail)) != NULL) {
        STAILQ_REMOVE_HEAD(&loop->mail, link);
        free(letter);
    }
    while ((queue = SLIST_FIRST(&loop->queues)) != NULL) {
        SLIST_REMOVE_HEAD(&loop->queues, link);
        free(queue);
    }
    if (loop->free_attached != NULL) {
        loop->free_attached(loop->slot.attached);
    }
    free_event(loop->mail_event);
    free_event(loop->watch_event);
    timer_fini(&loop->timer);
    free_event(loop->reaper);
    if (loop->mail_fd >= 0) {
        close(loop->mail_fd);
    }
    if (loop->watch_fd >= 0) {
        close(loop->watch_fd);
    }
    if (loop->base != NULL) {
        event_base_free(loop->base);
    }
    pthread_mutex_destroy(&loop->mail_lock);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

void loop_attach(struct loop *loop, void *thing, void (*free_thing)(void *thing))
{
    loop->slot.attached = thing;
    loop->free_attached = free_thing;
}

/* Serves what comes until nothing has for `busy_us`. The watches are where time matters; libevent's
 * own events have their turn every TURN_US. */
static int spin(struct loop *loop)
{
    uint64_t now_us = clock_us(), until_us = now_us + loop->busy_us, turn_us = now_us;
    int result = 0;

    while (!loop->stopped && result >= 0 && now_us < until_us) {
        bool served = serve_watches(loop) > 0;
        reap_all(loop);
        now_us = clock_us();
        if (served) {
            until_us = now_us + loop->busy_us;
        }
        if (now_us >= turn_us) {
            result = event_base_loop(loop->base, EVLOOP_NONBLOCK | EVLOOP_NO_EXIT_ON_EMPTY);
            turn_us = now_us + TURN_US;
        }
    }
    return result;
}

int loop_run(struct loop *loop)
{
    int result = 0;

    loop->stopped = false;
    if (loop->busy_us == 0) {
        result = event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    }
    while (loop->busy_us > 0 && !loop->stopped && result >= 0) {
        result = spin(loop);
        if (result >= 0 && !loop->stopped) {
            result = event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
        }
    }
    return result < 0 ? ERR_SYSTEM : 0;
}

void loop_busy_poll(struct loop *loop, uint64_t us)
{
    loop->busy_us = us;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
    event_base_loopbreak(loop->base);
}
