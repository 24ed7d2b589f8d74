#include "config.h"

#include "timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include "err.h"

/* The descriptor stays readable until the timer is set anew. */
static void readable(evutil_socket_t fd, short what, void *arg)
{
    struct timer *timer = arg;

    (void)fd;
    (void)what;
    timer->set = false;
    timer->passed(timer->arg);
    if (!timer->set)
        timer_unset(timer);
}

int timer_init(struct timer *timer, struct event_base *base, void (*passed)(void *arg), void *arg)
{
    timer->passed = passed;
    timer->arg = arg;
    timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer->fd < 0)
        return ERR_SYSTEM;
    timer->event = event_new(base, timer->fd, EV_READ | EV_PERSIST, readable, timer);
    if (timer->event != NULL && event_add(timer->event, NULL) == 0)
        return 0;
    if (timer->event != NULL)
        event_free(timer->event);
    timer->event = NULL;
    close(timer->fd);
    return ERR_MEMORY;
}

void timer_fini(struct timer *timer)
{
    if (timer->event == NULL)
        return;
    event_free(timer->event);
    close(timer->fd);
    timer->event = NULL;
}

void timer_set(struct timer *timer, uint64_t at_ns)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000),
                                         .tv_nsec = (long)(at_ns % 1000000000)}};
    timer->set = true;
    timerfd_settime(timer->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

void timer_unset(struct timer *timer)
{
    static const struct itimerspec never;
    timerfd_settime(timer->fd, 0, &never, NULL);
}
