/* log: lines on stderr, each written by one write(2), so lines of several threads never mix.
 * Level 0. Threads: log_init before any thread starts; the rest from any thread. */
#ifndef SYNFIN_LOG_H
#define SYNFIN_LOG_H

#include <stdbool.h>

#include "err.h"

enum log_level {
    LOG_LEVEL_ERROR, /* always shown, even with -q */
    LOG_LEVEL_NOTE,  /* the default */
    LOG_LEVEL_PHASE, /* -v: each connection's phases */
    LOG_LEVEL_CALL,  /* -vv: libevent's callbacks and our calls by name, stamps in microseconds */
};

/* `program` is borrowed for good. With `stamped`, each line begins with the time of day
 * (14:02:07.412; six digits at LOG_LEVEL_CALL), otherwise a line of LOG_LEVEL_ERROR or
 * LOG_LEVEL_NOTE begins with "program: " and others with a stamp. */
void log_init(const char *program, enum log_level level, bool stamped);
/* Whether lines of this level are shown: ask before building a costly line. */
bool log_on(enum log_level level);
/* One line (printf's format, no newline at its end). */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A failure of set-up as one line: "program: what; mend" (stamped where lines are). */
void log_error(const struct error *e);
/* What is written before anything else from now on, to take a line away that is being redrawn at
 * the bottom of a terminal; NULL: nothing. Borrowed; from any thread. */
void log_before(const char *text);
/* Several lines of ready text, unstamped, in one write: traces and tables. */
void log_raw(const char *text, unsigned long length);

#endif
