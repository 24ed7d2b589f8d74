#include "config.h"

#include "timer.h"

#include <stddef.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"

/* The descriptor stays readable until the timer is set anew. */
static void readable(struct watch *watch)
{
    struct timer *timer = (struct timer *)((char *)watch - offsetof(struct timer, watch));

    if (timer->at_ns == 0 || clock_ns() < timer->at_ns)
        return; /* set anew or ended since the loop looked */
    timer->at_ns = 0;
    timer->passed(timer->arg);
    if (timer->at_ns == 0 && timer->fd >= 0)
        timer_unset(timer);
}

int timer_init(struct timer *timer, struct loop *loop, void (*passed)(void *arg), void *arg)
{
    timer->passed = passed;
    timer->arg = arg;
    timer->watch.ready = readable;
    timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer->fd < 0)
        return ERR_SYSTEM;
    int result = loop_watch(loop, timer->fd, &timer->watch, WATCH_LEVEL, false);
    timer->made = true;
    if (result < 0)
        timer_fini(timer);
    return result;
}

void timer_fini(struct timer *timer)
{
    if (timer->made) {
        close(timer->fd);
        timer->fd = -1;
        timer->at_ns = 0;
        timer->made = false;
    }
}

void timer_set(struct timer *timer, uint64_t at_ns)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000),
                                         .tv_nsec = (long)(at_ns % 1000000000)}};
    timer->at_ns = at_ns;
    timerfd_settime(timer->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

void timer_unset(struct timer *timer)
{
    static const struct itimerspec never;
    timer->at_ns = 0;
    timerfd_settime(timer->fd, 0, &never, NULL);
}
