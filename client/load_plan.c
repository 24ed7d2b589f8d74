#include "config.h"

#include "load_internal.h"

#include <dirent.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "text.h"
#include "units.h"

#define SIZE_DEFAULT 64
#define DURATION_DEFAULT_US 10000000
#define DESCRIPTORS_EACH 12 /* a loop's, at most */
#define DESCRIPTORS_KEPT 16 /* names, the journal, what the C library opens */

/* --- what contradicts itself --- */

static int refuse(struct error *e, const char *option, const char *why)
{
    error_what(e, "--%s %s", option, why);
    error_mend(e, "leave one of the two out");
    return ERR_SYNTAX;
}

/* Refuses the first of these options that was given. */
static int refuse_given(const struct options *o, const char *const *names, const char *why,
                        struct error *e)
{
    for (; *names != NULL; names++)
        if (options_given(o, *names))
            return refuse(e, *names, why);
    return 0;
}

static int check_together(const struct options *o, const struct frame_codec *codec, struct error *e)
{
    static const char *const sending[] = {"count",           "rate", "size", "payload", "pipeline",
                                          "frames-per-conn", NULL};
    static const char *const frames[] = {"count", "rate", "size", "payload", "pipeline", NULL};
    static const char *const waiting[] = {"pipeline", NULL};

    if (o->payload != NULL && options_given(o, "size"))
        return refuse(e, "payload", "does not go with --size: its bodies have their own lengths");
    if (o->json && o->json_stream)
        return refuse(e, "json", "does not go with --json-stream: its last line holds the same");
    if (o->hold_us > 0 && options_given(o, "frames-per-conn"))
        return refuse(e, "hold", "does not go with --frames-per-conn: it closes them itself");
    if (o->journal != NULL && strcmp(o->journal, "jsonl:-") == 0) {
        error_what(e, "--journal jsonl:- does not go with --load: the result goes to stdout");
        error_mend(e, "name a file, as in --journal jsonl:lives.json");
        return ERR_SYNTAX;
    }
    if (o->expect == OPTIONS_ECHO && codec->kind == FRAME_RAW) {
        error_what(e, "-F raw does not go with --expect echo: it cannot tell one reply from two");
        error_mend(e, "choose --expect any, none or stream, or another codec");
        return ERR_SYNTAX;
    }
    if (o->expect != OPTIONS_STREAM && codec->first != NULL) {
        error_what(e, "-F %s: a client's first message has another shape, which a load cannot make",
                   codec->name);
        error_mend(e, "write the other messages' shape as field:..., see synfin-frame(7)");
        return ERR_SYNTAX;
    }
    int result = 0;
    if (o->expect == OPTIONS_STREAM)
        result = refuse_given(o, sending, "does not go with --expect stream: nothing is sent", e);
    else if (o->frames_per_conn == 0)
        result =
            refuse_given(o, frames, "does not go with --frames-per-conn 0: no frame is sent", e);
    else if (o->expect == OPTIONS_NONE)
        result = refuse_given(o, waiting,
                              "does not go with --expect none: no frame waits for a reply", e);
    return result;
}

/* --- the shape --- */

static uint64_t processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint64_t)CPU_COUNT(&set) : 1;
}

static uint64_t smallest(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

static void make_shape(struct result_shape *shape, const struct options *o,
                       const struct frame_codec *codec)
{
    uint64_t duration_us = options_given(o, "duration") ? o->duration_us
                           : o->count > 0               ? 0
                                                        : DURATION_DEFAULT_US;
    *shape = (struct result_shape){
        .expect = (enum result_expect)o->expect,
        .connections = o->connections,
        .connecting = o->connecting,
        .connect_rate = o->connect_rate,
        .pipeline = o->pipeline,
        .size_bytes = o->size_bytes > 0 ? o->size_bytes : SIZE_DEFAULT,
        .rate = o->rate,
        .duration_us = duration_us,
        .count = o->count,
        .frames_per_conn = o->frames_per_conn,
        .omit_us = o->omit_us,
        .threads =
            smallest(o->threads > 0 ? o->threads : processors(), o->connections, o->connecting),
    };
    snprintf(shape->codec, sizeof shape->codec, "%s", codec->name);
}

static int make_payload(struct load_plan *plan, const struct client_config *config, struct error *e)
{
    const struct options *o = config->options;

    if (o->payload != NULL) {
        plan->payload = payload_read(&config->conn.codec, &config->stdio.codec,
                                     config->stdio.hex ? text_hex_decode : NULL, o->payload, e);
        plan->shape.size_bytes = plan->payload == NULL ? 0 : payload_longest(plan->payload);
    } else {
        plan->payload = payload_new(&config->conn.codec, (size_t)plan->shape.size_bytes, e);
        if (plan->payload == NULL)
            error_context(e, "-s %llu", (unsigned long long)plan->shape.size_bytes);
    }
    return plan->payload == NULL ? ERR_SYNTAX : 0;
}

static void make_schedule(struct load_plan *plan)
{
    const struct result_shape *shape = &plan->shape;
    uint64_t limit = shape->count > 0 ? shape->count : UINT64_MAX;
    uint64_t timed =
        shape->duration_us > 0 ? schedule_count(shape->rate, shape->duration_us) : UINT64_MAX;
    plan->schedule = (struct schedule){.rate = shape->rate,
                                       .connections = shape->connections,
                                       .limit = limit < timed ? limit : timed};
}

int load_plan_init(struct load_plan *plan, const struct client_config *config, struct error *e)
{
    const struct options *o = config->options;
    int result = check_together(o, &config->conn.codec, e);

    if (result < 0)
        return result;
    make_shape(&plan->shape, o, &config->conn.codec);
    plan->sends = o->expect != OPTIONS_STREAM && o->frames_per_conn > 0;
    plan->answers = plan->sends && o->expect != OPTIONS_NONE;
    plan->churns = o->frames_per_conn != UINT64_MAX;
    if (o->omit_us > 0 && plan->shape.duration_us > 0 && o->omit_us >= plan->shape.duration_us)
        return refuse(e, "omit", "leaves nothing of --duration");
    if (plan->sends)
        result = make_payload(plan, config, e);
    /* A header and a trailer, each as long as any may be. */
    plan->fits_output =
        plan->answers &&
        (plan->shape.size_bytes + 2 * FRAME_HEAD_MAX) * plan->shape.pipeline < CONN_OUTPUT_HIGH / 2;
    if (plan->shape.rate > 0)
        make_schedule(plan);
    if (result == 0)
        result = result_conditions_init(&plan->conditions, o, e);
    return result;
}

void load_plan_fini(struct load_plan *plan)
{
    payload_free(plan->payload);
    plan->payload = NULL;
}

/* --- descriptors --- */

static uint64_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (folder == NULL)
        return DESCRIPTORS_KEPT;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

int load_plan_descriptors(struct load *load, struct error *e)
{
    const struct result_shape *shape = &load->plan.shape;
    struct rlimit limit;
    char have[UNITS_TEXT], want[64], own[64];

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    load->result.descriptors = limit.rlim_cur;
    uint64_t other = open_descriptors() + DESCRIPTORS_KEPT + shape->threads * DESCRIPTORS_EACH;
    if (limit.rlim_cur >= other + shape->connections)
        return 0;
    error_what(e, "%s and %s of this client's own need more than the %s that there may be",
               units_plural(want, sizeof want, shape->connections, "connection"),
               units_plural(own, sizeof own, other, "descriptor"),
               units_text_count(have, limit.rlim_cur));
    if (limit.rlim_cur > other)
        error_mend(e, "-c %llu fits; ulimit -Hn raises the limit; or several clients, see --merge",
                   (unsigned long long)(limit.rlim_cur - other));
    else
        error_mend(e, "ulimit -Hn raises the limit");
    return ERR_RANGE;
}
