#include "config.h"

#include "live.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "units.h"

#define REDRAW_US 100000 /* at most so often */
#define RATE_WINDOW 10   /* redraws: the rate shown is that of about the last second */
#define COLUMNS_UNKNOWN 80
#define STILL_US 50000 /* a frame that waits for less does not make the line say "late" */
#define ERASE "\r\33[K"

/* How many frames were sent up to a time. */
struct point {
    uint64_t at_us, frames;
};

struct live {
    struct live_view view;
    struct result_style style;
    struct point window[RATE_WINDOW]; /* the oldest at `oldest` */
    unsigned oldest, points;
    uint64_t drawn_us;
    bool drawn;
};

static bool can_redraw(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
}

struct live *live_new(const struct result_shape *shape)
{
    const char *no_colour = getenv("NO_COLOR");
    if (!can_redraw())
        return NULL;
    struct live *live = calloc(1, sizeof *live);
    if (live == NULL)
        return NULL;
    live->style.utf8 = units_utf8();
    live->style.colour = no_colour == NULL || *no_colour == '\0';
    live->view.of_us = shape->duration_us;
    live->view.of_frames = shape->count;
    live->view.of_open = shape->connections;
    live->view.of_rate = (double)shape->rate;
    live->view.timed = shape->expect == EXPECT_ECHO || shape->expect == EXPECT_ANY;
    return live;
}

void live_free(struct live *live)
{
    live_clear(live);
    free(live);
}

/* --- drawing --- */

/* A job in the background leaves the terminal to whoever has it now. */
static bool in_background(void)
{
    pid_t foreground = tcgetpgrp(STDERR_FILENO);
    return foreground >= 0 && foreground != getpgrp();
}

/* A stopped terminal (^S) must not stop the load. */
static bool takes_text(void)
{
    struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&wait, 1, 0) > 0 && (wait.revents & POLLOUT) && !in_background();
}

static unsigned columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_UNKNOWN;
    return size.ws_col;
}

/* One write, and what does not go is not missed: the next one draws it all again. */
static bool put(const char *text)
{
    return write(STDERR_FILENO, text, strlen(text)) > 0;
}

static bool is_time(const struct live *live)
{
    return live != NULL && (live->drawn_us == 0 || clock_us() - live->drawn_us >= REDRAW_US);
}

static void draw(struct live *live)
{
    char line[LIVE_TEXT + 2 * sizeof ERASE] = "\r";
    live->drawn_us = clock_us();
    if (!takes_text())
        return;
    live_text(line + 1, &live->view, columns(), &live->style);
    strcat(line, "\33[K");
    live->drawn = put(line) || live->drawn;
    log_before(live->drawn ? ERASE : NULL);
}

void live_clear(struct live *live)
{
    if (live == NULL || !live->drawn)
        return;
    live->drawn = false;
    live->drawn_us = 0;
    log_before(NULL);
    if (takes_text())
        put(ERASE);
}

/* --- what it says --- */

void live_connecting(struct live *live, uint64_t up, uint64_t failed, uint64_t elapsed_us)
{
    if (live == NULL)
        return;
    live->view.stage = LIVE_CONNECTING;
    live->view.at_us = elapsed_us;
    live->view.open = up;
    live->view.errors = failed;
    if (is_time(live))
        draw(live);
}

/* The rate since the oldest point in the window, and the newest point in the oldest's place. */
static void move_window(struct live *live, uint64_t from_us, uint64_t to_us)
{
    struct point *oldest = &live->window[live->oldest], now = {to_us, live->view.frames};
    if (live->points == 0)
        *oldest = (struct point){from_us, 0};
    if (to_us > oldest->at_us)
        live->view.rate =
            (double)(now.frames - oldest->frames) * 1e6 / (double)(to_us - oldest->at_us);
    if (live->points < RATE_WINDOW - 1) {
        live->window[++live->points] = now;
    } else {
        *oldest = now;
        live->oldest = (live->oldest + 1) % RATE_WINDOW;
    }
}

/* A few frames are always older than the p99 of the run. They matter where so many are that the
 * p99 of the replies is not that of the frames, or where one has waited for very long. */
static bool is_late(const struct live_view *view, const struct result_interval *interval)
{
    if (interval->late == 0)
        return false;
    if (interval->late * 100 > interval->replies)
        return interval->oldest_late_us >= STILL_US || interval->replies == 0;
    return interval->oldest_late_us >= STILL_US &&
           interval->oldest_late_us * 1000 > 3 * view->p99_ns;
}

void live_interval(struct live *live, const struct result_interval *interval)
{
    if (live == NULL)
        return;
    struct live_view *view = &live->view;
    view->stage = LIVE_MEASURING;
    view->at_us = interval->to_us;
    view->open = interval->open;
    view->frames += interval->sent;
    view->errors += interval->errors;
    bool late = is_late(view, interval);
    view->late = late ? interval->late : 0;
    view->oldest_late_us = late ? interval->oldest_late_us : 0;
    view->p50_ns = interval->p50_ns;
    view->p99_ns = interval->p99_ns;
    if (!is_time(live))
        return;
    move_window(live, interval->from_us, interval->to_us);
    draw(live);
}

void live_draining(struct live *live, uint64_t owed, uint64_t open)
{
    if (live == NULL)
        return;
    live->view.stage = LIVE_DRAINING;
    live->view.owed = owed;
    live->view.open = open;
    if (is_time(live))
        draw(live);
}
