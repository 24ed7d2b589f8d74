#include "config.h"

#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define LINE_MAX_BYTES 2048
#define STALL_MS 1000 /* a stderr that takes nothing for so long loses the line */

static const char *log_program = "synfin";
static enum log_level log_shown = LOG_LEVEL_NOTE;
static bool log_stamped;
static const char *_Atomic log_first; /* see log_before */

void log_init(const char *program, enum log_level level, bool stamped)
{
    log_program = program;
    log_shown = level;
    log_stamped = stamped;
}

bool log_on(enum log_level level)
{
    return level <= log_shown;
}

void log_before(const char *text)
{
    log_first = text;
}

/* stderr may be non-blocking, by a program that shares it: then wait a while, and give up. */
static bool wait_writable(void)
{
    struct pollfd wait = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&wait, 1, STALL_MS) > 0 && !(wait.revents & (POLLERR | POLLNVAL));
}

static void write_all(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN && wait_writable())
            continue;
        if (written < 0)
            break;
        text += written;
        length -= (size_t)written;
    }
}

void log_raw(const char *text, unsigned long length)
{
    int errno_before = errno;
    const char *first = log_first;
    if (first != NULL)
        write_all(first, strlen(first));
    write_all(text, length);
    errno = errno_before;
}

static size_t stamp(char *to, size_t size)
{
    uint64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    unsigned us = (unsigned)(now_us % 1000000);
    struct tm day;
    localtime_r(&seconds, &day);
    int length = log_on(LOG_LEVEL_CALL) ? snprintf(to, size, "%02d:%02d:%02d.%06u ", day.tm_hour,
                                                   day.tm_min, day.tm_sec, us)
                                        : snprintf(to, size, "%02d:%02d:%02d.%03u ", day.tm_hour,
                                                   day.tm_min, day.tm_sec, us / 1000);
    return (size_t)length;
}

/* A name or path in a line must not end it, nor steer a terminal. */
static void mask_controls(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
    }
}

/* Completes the line whose first `used` bytes are there, and writes it. */
static void __attribute__((format(printf, 3, 0)))
put(char line[LINE_MAX_BYTES], size_t used, const char *format, va_list arguments)
{
    size_t room = LINE_MAX_BYTES - used - 1;
    int length = vsnprintf(line + used, room, format, arguments);
    if (length < 0)
        return;
    if ((size_t)length >= room)
        memcpy(line + used + room - 4, "...", 4);
    mask_controls(line + used);
    used += strlen(line + used);
    line[used++] = '\n';
    log_raw(line, used);
}

static size_t put_program(char *to, size_t size)
{
    return (size_t)snprintf(to, size, "%.100s: ", log_program);
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    if (!log_on(level))
        return;
    bool plain = !log_stamped && level <= LOG_LEVEL_NOTE;
    size_t used = plain ? put_program(line, sizeof line) : stamp(line, sizeof line);
    va_list arguments;
    va_start(arguments, format);
    put(line, used, format, arguments);
    va_end(arguments);
}

static void put_formatted(char line[LINE_MAX_BYTES], size_t used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put_formatted(char line[LINE_MAX_BYTES], size_t used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put(line, used, format, arguments);
    va_end(arguments);
}

void log_error(const struct error *e)
{
    char line[LINE_MAX_BYTES];
    size_t used = log_stamped ? stamp(line, sizeof line) : 0;
    used += put_program(line + used, sizeof line - used);
    put_formatted(line, used, "%s%s%s", e->what, e->mend[0] ? "; " : "", e->mend);
}
