#include "config.h"

#include "life.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "err.h"
#include "log.h"

static const char *const phase_names[PHASE_COUNT] = {
#define PHASE(NAME, word) [PHASE_##NAME] = #word,
#include "phase.def"
#undef PHASE
};

static const struct fate_row fate_rows[FATE_COUNT] = {
#define FATE(NAME, word, error, exit, end, text)                                                   \
    [FATE_##NAME] = {word, error, exit, FATE_ENDS_##end, text},
#include "fate.def"
#undef FATE
};

static const enum phase client_phases[] = {PHASE_RESOLVE,  PHASE_CREATE, PHASE_CONNECT,
                                           PHASE_TRANSFER, PHASE_DRAIN,  PHASE_LINGER,
                                           PHASE_CLOSE};
static const enum phase server_phases[] = {PHASE_QUEUE, PHASE_TRANSFER, PHASE_DRAIN, PHASE_LINGER,
                                           PHASE_CLOSE};

const char *phase_name(enum phase phase)
{
    return phase_names[phase];
}

const struct fate_row *fate_row(enum fate fate)
{
    return &fate_rows[fate];
}

const char *side_name(enum side side)
{
    return side == SIDE_CLIENT ? "client" : "server";
}

const char *closed_first_name(enum closed_first first)
{
    static const char *const names[] = {"nobody", "local", "peer", "both"};
    return names[first];
}

const char *time_wait_name(enum time_wait holder)
{
    static const char *const names[] = {"nobody", "ours", "theirs", "both"};
    return names[holder];
}

uint64_t life_run(void)
{
    static _Atomic uint64_t run;
    uint64_t known = atomic_load(&run);
    if (known != 0) {
        return known;
    }
    uint64_t fresh = 0;
    if (getrandom(&fresh, sizeof fresh, GRND_NONBLOCK) != sizeof fresh || fresh == 0) {
        fresh = clock_wall_us() * 0x9e3779b97f4a7c15u | 1; /* early boot: the clock must do */
    }
    return atomic_compare_exchange_strong(&run, &known, fresh) ? fresh : known;
}

const enum phase *life_phases(enum side side, unsigned *count)
{
    if (side == SIDE_CLIENT) {
        *count = sizeof client_phases / sizeof *client_phases;
        return client_phases;
    }
    *count = sizeof server_phases / sizeof *server_phases;
    return server_phases;
}

void life_init(struct life *life, enum side side, uint64_t queue_us)
{
    static _Atomic uint64_t numbers;
    unsigned count;

    *life = (struct life){
        .number = atomic_fetch_add_explicit(&numbers, 1, memory_order_relaxed) + 1,
        .side = side,
        .phase = life_phases(side, &count)[0],
        .began_us = clock_us() - queue_us,
        .fate = FATE_CLEAN,
    };
    life->phases = (uint16_t)(1u << life->phase);
}

/* --- what it owns --- */

static void disown(struct life *life)
{
    life->detail = NULL;
    life->kernel = NULL;
    life->attempts = NULL;
    life->attempt_count = 0;
}

void life_fini(struct life *life)
{
    free(life->detail);
    free(life->kernel);
    free(life->attempts);
    disown(life);
}

void life_take(struct life *to, struct life *from)
{
    *to = *from;
    disown(from);
}

/* The two texts stand one behind the other, each with its NUL. */
static size_t words_bytes(const struct life *life)
{
    if (life->detail == NULL) {
        return 0;
    }
    size_t detail = strlen(life->detail) + 1;
    return detail + strlen(life->detail + detail) + 1;
}

static size_t attempts_bytes(const struct life *life)
{
    return life->attempt_count * sizeof *life->attempts;
}

/* Result false: no memory. Nothing has no copy. */
static bool copy(void *to, const void *from, size_t n)
{
    void *made = from != NULL ? malloc(n) : NULL;
    if (made != NULL) {
        memcpy(made, from, n);
    }
    memcpy(to, &made, sizeof made);
    return made != NULL || from == NULL;
}

int life_copy(struct life *to, const struct life *from)
{
    *to = *from;
    disown(to);
    bool whole = copy(&to->detail, from->detail, words_bytes(from)) &&
                 copy(&to->kernel, from->kernel, sizeof *from->kernel) &&
                 copy(&to->attempts, from->attempts, attempts_bytes(from));
    if (!whole) {
        life_fini(to);
        return ERR_MEMORY;
    }
    to->attempt_count = from->attempt_count;
    return 0;
}

size_t life_bytes(const struct life *life)
{
    return sizeof *life + words_bytes(life) + attempts_bytes(life) +
           (life->kernel != NULL ? sizeof *life->kernel : 0);
}

void life_set_path(struct life *life, const char *path)
{
    union life_address *address = life->side == SIDE_SERVER ? &life->local : &life->remote;
    address->un = (struct life_unix){.family = AF_UNIX, .path = path};
}

/* --- phases --- */

_Static_assert(PHASE_RESOLVE == 0 && PHASE_QUEUE == 1, "the two that share the first slot");

static unsigned slot(enum phase phase)
{
    return phase > PHASE_QUEUE ? phase - 1 : 0;
}

uint64_t life_phase_us(const struct life *life, enum phase phase)
{
    return (life->phases & 1u << phase) != 0 ? life->phase_us[slot(phase)] : 0;
}

/* Of the phases left. */
static uint64_t sum_us(const struct life *life)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LIFE_PHASE_SLOTS; i++) {
        sum += life->phase_us[i];
    }
    return sum;
}

uint64_t life_entered_us(const struct life *life)
{
    return life->began_us +
           (life->ended ? sum_us(life) - life_phase_us(life, PHASE_CLOSE) : sum_us(life));
}

uint64_t life_total_us(const struct life *life)
{
    return life->ended ? sum_us(life) : clock_us() - life->began_us;
}

uint64_t life_start_us(const struct life *life)
{
    return clock_wall_us() - (clock_us() - life->began_us);
}

uint64_t life_frames_in(const struct life *life)
{
    return life->accepted + life->discarded;
}

bool life_may_move(enum side side, enum phase from, enum phase to)
{
    if (to == PHASE_CLOSE) {
        return from != PHASE_CLOSE;
    }
    unsigned count;
    const enum phase *phases = life_phases(side, &count);
    for (unsigned i = 0; i + 1 < count; i++) {
        if (phases[i] == from) {
            return phases[i + 1] == to;
        }
    }
    return false;
}

void life_move(struct life *life, enum phase to, const char *why)
{
    assert(life_may_move(life->side, life->phase, to));
    life->phase_us[slot(life->phase)] = clock_us() - life_entered_us(life);
    if (log_on(LOG_LEVEL_PHASE)) {
        char moved[48];
        snprintf(moved, sizeof moved, "%s > %s", phase_name(life->phase), phase_name(to));
        log_line(LOG_LEVEL_PHASE, "#%llu %-20s %s", (unsigned long long)life->number, moved, why);
    }
    life->phase = to;
    life->phases |= (uint16_t)(1u << to);
}

void life_end(struct life *life, const char *why)
{
    assert(life->phase == PHASE_CLOSE && !life->ended);
    life->phase_us[slot(PHASE_CLOSE)] = clock_us() - life_entered_us(life);
    life->ended = true;
    log_line(LOG_LEVEL_PHASE, "#%llu %-20s %s", (unsigned long long)life->number, "close > closed",
             why);
}

/* --- failure --- */

bool life_fail(struct life *life, enum fate fate, const char *format, ...)
{
    if (life->fate != FATE_CLEAN) {
        return false;
    }
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    /* Its end is the empty mend. */
    life->detail = length < 0 ? NULL : realloc(text, (size_t)length + 2);
    if (life->detail != NULL) {
        life->detail[length + 1] = '\0';
    } else if (length >= 0) {
        free(text);
    }
    life->fate = fate;
    life->failed_at = life->phase;
    return true;
}

void life_mend(struct life *life, const char *text)
{
    if (life->detail == NULL) {
        return;
    }
    size_t detail = strlen(life->detail) + 1, mend = strlen(text) + 1;
    char *words = realloc(life->detail, detail + mend);
    if (words != NULL) {
        memcpy(words + detail, text, mend);
        life->detail = words;
    }
}

const char *life_mend_text(const struct life *life)
{
    const char *mend = life->detail != NULL ? life->detail + strlen(life->detail) + 1 : "";
    return *mend != '\0' ? mend : NULL;
}
