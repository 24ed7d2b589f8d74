/* result: what a load measured: filled by the load's threads (one each, added up at the end), told
 * as a table (result_text), written and read as JSON (result_json, result_read), compared.
 * Threads: each its own; no state beside. */
#ifndef SYNFIN_RESULT_H
#define SYNFIN_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"
#include "histogram.h"
#include "life.h"

/* What is kept as a distribution, in the table's order. */
enum result_stage {
    STAGE_CONNECT,      /* the connect phase of those that connected */
    STAGE_FIRST_FRAME,  /* open to the first reply on each connection */
    STAGE_ROUND_TRIP,   /* closed loop: from sending; open loop: from the intended send time */
    STAGE_FROM_SEND,    /* open loop only: from sending */
    STAGE_DRAIN_LINGER, /* drain and linger phases of those that ended clean */
    STAGE_SLOT_WAIT,    /* open loop only: from due (and noticed) to sent, for want of a slot */
    STAGE_LAG,          /* open loop: from due to noticed by the loop; else: a timer's lateness */
    STAGE_COUNT
};
/* "connect", "first_frame", ...: JSON, --fail-if. result_stage_label: for people ("first frame").
 */
const char *result_stage_name(enum result_stage stage);
const char *result_stage_label(enum result_stage stage);

enum result_expect { EXPECT_ECHO, EXPECT_ANY, EXPECT_NONE, EXPECT_STREAM };
/* "echo", "any", "none", "stream". */
const char *result_expect_name(enum result_expect expect);

/* What was asked: the shape of the load. Two results with the same shape may be compared and
 * merged. */
struct result_shape {
    char codec[64];
    enum result_expect expect;
    uint64_t connections, connecting, connect_rate, pipeline, size_bytes;
    uint64_t rate;            /* frames/s in all; 0: closed loop */
    uint64_t duration_us;     /* 0: none */
    uint64_t count;           /* frames in all; 0: no limit */
    uint64_t frames_per_conn; /* UINT64_MAX: no limit */
    uint64_t omit_us, threads;
};

/* One interval (--interval, 1 s) of the measured time. */
struct result_interval {
    uint64_t from_us, to_us;        /* since the clock started */
    uint64_t sent, replies, errors; /* frames sent; replies; connections failed, replies that
                                       differed */
    uint64_t late, oldest_late_us;  /* at its end: frames due and unanswered for longer than the
                                       run's p99 so far, and the oldest of them */
    uint64_t open;                  /* connections at its end */
    uint64_t p50_ns, p99_ns;        /* of its round trips; 0: not told (ten-samples rule) */
};

/* A silence: no reply on any connection although some were owed. Times since the clock started. */
struct result_stall {
    uint64_t from_us, to_us, waiting; /* frames owed at its end */
    uint64_t wall_us;                 /* its beginning, wall clock */
};

struct result {
    struct result_shape shape;
    char target[160], address[128]; /* as given; as connected to */
    uint64_t start_wall_us;         /* when the clock started */
    uint64_t measured_us; /* from then to the end of sending; closed loop, -n: to the last reply;
                             EXPECT_NONE, -n: to the last close */
    uint64_t up_us;       /* from the first connect to the last that was up or failed */

    uint64_t opened, failed;      /* connections, in all (churn: more than shape.connections) */
    uint64_t sent, replies;       /* frames, within the measured time; received in answer */
    uint64_t equal, differed;     /* of the replies, compared (EXPECT_ECHO) */
    uint64_t in_drain;            /* of the replies, those that came after the measured time */
    uint64_t surplus;             /* EXPECT_ANY: frames received that answer none; not in replies */
    uint64_t lost;                /* sent, owed a reply, and never answered */
    uint64_t due_not_sent;        /* open loop: due before the end and never sent */
    uint64_t bytes_out, bytes_in; /* on the wire */
    uint64_t fates[FATE_COUNT];
    uint64_t closed_first[4], time_wait[4]; /* by enum closed_first, enum time_wait */
    struct histogram *stages[STAGE_COUNT];  /* owned; NULL: nothing recorded */

    struct result_interval *intervals; /* owned */
    size_t interval_count;
    struct result_stall stall; /* the longest; to_us 0: none worth telling */

    /* The client's doubts about itself. */
    uint64_t cpu_us, processors; /* used by this process in the measured time; it may run on */
    uint64_t busiest_thread_us;  /* processor time of the busiest loop in the measured time */
    uint64_t descriptors;        /* RLIMIT_NOFILE */
    uint64_t busy_poll_us;       /* its loops spun so long before they slept; 0: not at all */
    bool client_limited;
    char client_limit[160]; /* in words: "its processor: 99 % of one" */

    /* The first failure, in the words of its life; and the verdict. */
    char failure_detail[320], failure_mend[320];
    enum fate failure_fate;
    enum phase failure_phase;
    char differed_detail[320]; /* the first difference: connection, frame, offset, bytes; or "" */
    struct {
        enum fate fate; /* FATE_CLEAN with `slow` false: ok */
        bool slow;
        char stage[24], evidence[400], try_[400];
    } verdict;
    int exit_status;
};

/* Empty, its stages allocated when first needed by result_stage. */
void result_init(struct result *result);
void result_fini(struct result *result);
/* The histogram of a stage, made if it is not there. NULL: no memory. */
struct histogram *result_stage(struct result *result, enum result_stage stage);
/* Adds `from` to `to`: counts and distributions; intervals by their number; the shape's
 * connections, rate, count and threads are added only with `side_by_side` (several clients at
 * once: --merge), as are measured times combined: the longest. ERR_MEMORY. */
int result_add(struct result *to, const struct result *from, bool side_by_side);
/* Fills client_limited, the verdict and the exit status from all the rest. */
void result_judge(struct result *result);

/* The table of LOOK.md to `out`. */
struct result_style {
    bool utf8, colour;
};
void result_text(const struct result *result, const struct result_style *style, FILE *out);

/* -J: one JSON object and a newline, to `out`; 0 or ERR_MEMORY. doc/synfin-result.schema.json. */
int result_json(const struct result *result, FILE *out);
/* --json-stream: one line each: {"event":"start",...}, {"event":"interval",...},
 * {"event":"end",...}; the last holds the same object as -J. */
int result_json_start(const struct result *result, FILE *out);
int result_json_interval(const struct result_interval *interval, FILE *out);
int result_json_end(const struct result *result, FILE *out);
/* Makes a result of what -J wrote to a file, or --json-stream (its end event). 0, or ERR_SYNTAX,
 * ERR_SYSTEM, ERR_MEMORY with `e`, which names the file; then there is nothing to result_fini. */
int result_read(struct result *result, const char *path, struct error *e);

/* --fail-if 'STAGE.STAT OP VALUE': "round_trip.p99 > 5ms", "frames.lost > 0",
 * "frames.rate < 49k", "connect.max >= 1s", "fates.reset > 0". result_condition_parse: 0 or
 * ERR_SYNTAX with `e`, which lists what there is. */
struct result_condition {
    char text[96];
    int what, stat, op; /* result_condition.c's own */
    double value;
};
int result_condition_parse(struct result_condition *condition, const char *text, struct error *e);
/* Whether it holds. A figure that is not told (too few samples) holds nothing; `evidence` says the
 * figure either way. */
bool result_condition_holds(const struct result_condition *condition, const struct result *result,
                            char *evidence, size_t size);

/* --compare: the comparison of LOOK.md to `out`. ERR_SYNTAX with `e` if the shapes differ. */
int result_compare(const struct result *before, const struct result *after, const char *before_name,
                   const char *after_name, const struct result_style *style, FILE *out,
                   struct error *e);

#endif
