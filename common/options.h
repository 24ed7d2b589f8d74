/* options: one table of options for both programs: it makes getopt_long, --help and the check of
 * the man pages. Level 0. Threads: used once, before any thread starts. */
#ifndef SYNFIN_OPTIONS_H
#define SYNFIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "frame.h"
#include "log.h"

/* Who takes an option: bits. The client has a mode, chosen by an option of that name. */
enum options_use {
    USE_SERVER = 1 << 0,
    USE_TALK = 1 << 1,    /* the client as a filter or by hand */
    USE_LOAD = 1 << 2,    /* --load */
    USE_MERGE = 1 << 3,   /* --merge */
    USE_COMPARE = 1 << 4, /* --compare */
    USE_CLIENT = USE_TALK | USE_LOAD | USE_MERGE | USE_COMPARE
};

#define OPTIONS_SET_MAX 32 /* --set and --fail-if, each at most so often */

enum options_full { FULL_DEFER, FULL_REJECT };
enum options_fin { FIN_AFTER_REPLIES, FIN_AFTER_EOF, FIN_AFTER_NEVER };
enum options_family { FAMILY_ANY, FAMILY_4, FAMILY_6 };
enum options_expect { OPTIONS_ECHO, OPTIONS_ANY, OPTIONS_NONE, OPTIONS_STREAM };

/* What the command line said, defaults filled in. Texts are borrowed from argv. Durations in
 * microseconds, 0: off. */
struct options {
    /* both */
    const char *frame;          /* -F */
    uint64_t max_frame_bytes;   /* --max-frame */
    bool trace;                 /* -x */
    enum options_family family; /* -4 -6 */
    bool no_fastio;
    uint64_t busy_poll_us; /* 0: off */
    const char *set[OPTIONS_SET_MAX];
    unsigned set_count;
    uint64_t idle_timeout_us, linger_timeout_us, drain_timeout_us;
    const char *journal; /* NULL: none */
    int verbose;         /* -v, -vv */
    bool quiet;
    /* the server's source, and the load */
    uint64_t size_bytes; /* -s, 0: not given (64) */
    uint64_t rate;       /* -r frames/s, 0: as fast as it goes */
    uint64_t threads;    /* -t, 0: one per processor */
    /* server */
    const char *handler;
    uint64_t max_conns; /* -m, 0: as many as descriptors allow */
    enum options_full when_full;
    uint64_t backlog;
    bool reuseport;
    const char *port_file;
    bool one_off;
    /* client */
    enum options_use mode; /* one of USE_CLIENT's bits; USE_SERVER for the server */
    bool load, merge, compare;
    const char *stdio;
    enum options_fin fin_after;
    uint64_t connect_timeout_us, reply_timeout_us;
    /* load */
    uint64_t connections, connecting;
    uint64_t connect_rate;    /* 0: as fast as it goes */
    uint64_t pipeline;        /* -P */
    uint64_t duration_us;     /* -d, 0: off, or not given (options_given tells) */
    uint64_t count;           /* -n, 0: no limit */
    uint64_t frames_per_conn; /* UINT64_MAX: no limit */
    uint64_t omit_us, interval_us, hold_us;
    const char *payload; /* NULL: made */
    enum options_expect expect;
    bool json, json_stream;
    const char *fail_if[OPTIONS_SET_MAX];
    unsigned fail_if_count;
    uint64_t given; /* bit 1 << i for row i of the table: it was on the command line */
    /* what is no option */
    int argument_count;
    char **arguments;
};

/* What an option's value is, and so how it is parsed and kept in struct options. */
enum options_kind {
    KIND_FLAG,     /* bool, takes no value */
    KIND_CHOICE,   /* an enum, takes no value: the option itself is the word; `min` is its number */
    KIND_TEXT,     /* const char *, not empty */
    KIND_WORD,     /* an enum, one of `words` in their order */
    KIND_COUNT,    /* uint64_t, from `min` to `max` */
    KIND_SIZE,     /* uint64_t bytes, from `min` to `max` */
    KIND_DURATION, /* uint64_t us, from `min` to `max`, or off */
    KIND_SET,      /* --set: repeated, each is kept */
    KIND_FAIL_IF,  /* --fail-if: the same */
    KIND_VERBOSE,
    KIND_QUIET,
    KIND_HELP,
    KIND_VERSION,
};

/* One option. */
struct options_row {
    char letter;          /* 0: none */
    const char *name;     /* without "--" */
    const char *argument; /* what --help calls its value; NULL: it takes none */
    enum options_kind kind;
    unsigned use;          /* enum options_use */
    size_t offset;         /* where in struct options */
    uint64_t min, max;     /* numbers only */
    const char *words;     /* KIND_WORD: "defer|reject" */
    const char *initial;   /* the default, parsed like a value from the command line; NULL: none */
    const char *otherwise; /* what holds by default where `initial` is NULL, in words; or NULL */
    const char *group;     /* its heading in --help */
    const char *help;
};

/* The table, row by row: NULL after the last. */
const struct options_row *options_row(unsigned i);
/* "synfind" or "synfin". */
const char *options_program(enum options_use program);

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_FRAME_LIST };

/* Fills *options from the defaults and argv (which may be permuted). Result: an enum
 * options_result, or ERR_SYNTAX / ERR_RANGE with `e`: it names the option, the value, and the
 * program or mode it belongs to ("--backlog belongs to synfind, the server"), or the nearest option
 * for a misspelt one. `program` is USE_SERVER or USE_CLIENT, here and below. */
int options_parse(struct options *options, enum options_use program, int argc, char **argv,
                  struct error *e);
/* --help to stdout: a usage line, examples, the options of this program from the table with their
 * defaults. The caller flushes stdout and checks it. */
void options_help(enum options_use program);
/* --version to stdout: "synfin 0.1.0"; the same of the caller. */
void options_version(enum options_use program);

/* Whether the option of this long name was on the command line. */
bool options_given(const struct options *options, const char *name);
/* How much is logged: -q, -v, -vv. */
enum log_level options_level(const struct options *options);
/* The codec that -F and --max-frame name. 0, or as frame_codec_parse, the error naming -F. */
int options_codec(const struct options *options, struct frame_codec *codec, struct error *e);

#endif
