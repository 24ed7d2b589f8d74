/* pair: for tests: starts synfind, synfin and other programs, waits for them with a deadline, and
 * reads what they wrote. Threads: one, which must outlive the programs (they die with it).
 *
 * Use pair_begin and pair_end as a checked fixture. Whatever goes wrong in here fails the test with
 * the command line and the program's stderr. Environment:
 *   SYNFIN_PROGRAMS_DIR  the folder of synfind and synfin, in place of the build's
 *   SYNFIN_WRAP          a command put before each of the two, "valgrind -q --error-exitcode=99";
 *                        deadlines are then ten times as long
 *   SYNFIN_OPTION        an option for each of the two, "--no-fastio"
 *   SYNFIN_DEADLINE      no wait is longer, in milliseconds
 *   SYNFIN_SCALE         divides the repeat counts (pair_scaled) */
#ifndef SYNFIN_TESTS_PAIR_H
#define SYNFIN_TESTS_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define PAIR_ARGUMENTS_MAX 64
#define PAIR_DEADLINE_MS 30000 /* before pair_patience: every wait's */
#define PAIR_CLOSED (-1)       /* in struct start: the program finds this descriptor closed */

/* How to start a program. Members left 0 take the default. */
struct start {
    const char *program;          /* "synfind", "synfin", or another looked up in PATH */
    const char *const *arguments; /* NULL-ended, without the program's name */
    const char *input;            /* stdin is a regular file with these bytes ... */
    size_t input_length;          /* (0: strlen) */
    int in;                       /* ... or this descriptor; default /dev/null */
    int out, err;                 /* default: captured, see pair_out and pair_err */
    rlim_t descriptors;           /* RLIMIT_NOFILE, soft and hard */
};

struct program {
    pid_t pid;
    bool ended;
    int status;          /* once ended: exit status, or 128 + the signal that killed it */
    struct rusage usage; /* once ended */
    int port;            /* pair_server: where it listens */
    char port_text[8];
    char command[1024];                /* for messages */
    char out_path[256], err_path[256]; /* the captures, "" where `out` or `err` was given */
    char *out_text, *err_text;
    struct program *next;
};

void pair_begin(void);
/* Kills what still runs, by pid, and removes the folder. A failed test does not come here: what it
 * started dies with it, and its folder stays in TMPDIR to be looked at. */
void pair_end(void);

/* This test's own folder, empty at its beginning; and NAME in it (kept until pair_end). */
const char *pair_dir(void);
const char *pair_file(const char *name);

/* n / SYNFIN_SCALE, at least 1; a deadline in milliseconds, longer under SYNFIN_WRAP; whether there
 * is a SYNFIN_WRAP. */
unsigned pair_scaled(unsigned n);
int pair_patience(int ms);
int64_t pair_now_ms(void); /* monotonic */
bool pair_wrapped(void);

/* A pipe's reading end that holds these bytes (at most 1 MiB), its writing end closed. */
int pair_pipe_with(const char *bytes, size_t n);
/* The writing end of a pipe whose reading end is `*in`; both close-on-exec. */
int pair_pipe(int *in);

struct program *pair_start(const struct start *start);
/* Starts synfind with these options (NULL-ended), `--port-file` and port 0, and waits until it
 * listens. pair_server_start takes a whole struct start whose arguments hold an address but no
 * `--port-file`. */
struct program *pair_server(const char *option, ...) __attribute__((sentinel));
struct program *pair_server_start(const struct start *start);
/* Waits until a server of another kind has written its port to this file in pair_dir, and sets
 * `port` and `port_text`. */
void pair_await_port(struct program *program, const char *path);
/* Runs synfin with these arguments (NULL-ended) and this text as stdin, and waits for its end. */
struct program *pair_client(const char *input, const char *argument, ...) __attribute__((sentinel));

/* Waits for its end and returns `status`. pair_ends_within: false if it still runs after so long
 * (not stretched: pass pair_patience). */
int pair_wait(struct program *program);
bool pair_ends_within(struct program *program, int ms);
/* Waits until a program ends or this descriptor is readable; what it holds is read and forgotten.
 */
void pair_poll(int fd, int ms);
/* Waits until its captured stderr, or stdout, holds `text` (or fails, if it ends without). */
void pair_await_err(struct program *program, const char *text);
void pair_await_out(struct program *program, const char *text);
/* Waits until its captured stdout or stderr holds `text`. Result: false if it ends without. */
bool pair_tells(struct program *program, const char *text);
/* Waits until the file has so many lines, or more (or fails, if the program ends without). */
void pair_await_lines(struct program *program, const char *path, unsigned lines);
void pair_signal(struct program *program, int signal_number);
/* SIGTERM, then pair_wait. */
int pair_stop(struct program *program);

/* What it wrote so far, ended by a NUL; valid until the next call for the same program. */
const char *pair_out(struct program *program, size_t *n);
const char *pair_err(struct program *program);

/* A whole file, allocated, ended by a NUL; NULL if it cannot be read. */
char *pair_read_file(const char *path, size_t *n);

#endif
