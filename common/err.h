/* err: what went wrong, for the program (enum err) and for the person (struct error).
 * Level 0. Threads: no shared state; any thread. */
#ifndef SYNFIN_ERR_H
#define SYNFIN_ERR_H

/* Results of functions that can fail: 0 or a count is success, one of these is not. */
enum err {
    ERR_MEMORY = -1,          /* an allocation failed */
    ERR_SYSTEM = -2,          /* a system call failed; errno says how */
    ERR_SYNTAX = -3,          /* a text could not be understood */
    ERR_RANGE = -4,           /* a number is outside what is allowed */
    ERR_FRAME_BAD = -5,       /* bytes that no frame of this codec begins with */
    ERR_FRAME_TOO_LARGE = -6, /* a frame's length is over the limit, or over its field */
    ERR_CLOSED = -7,          /* too late: the other side of the call has ended */
};

/* A failure as a person reads it. `what`: what was tried, with which value, what the system said.
 * `mend`: what to do about it, or "". Both are single lines without a full stop, cut to fit. */
struct error {
    char what[400];
    char mend[300];
};

/* Each writes its part (printf's format) and leaves the other; error_what also empties `mend`.
 * A NULL `e` is allowed and does nothing. errno is kept. */
void error_what(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_mend(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts the context, and ": ", before `what`: "-F nope: ...". `mend` stays. */
void error_context(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
