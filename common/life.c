#include "config.h"

#include "life.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "clock.h"
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
        .start_us = clock_wall_us() - queue_us,
        .began_us = clock_us() - queue_us,
        .fate = FATE_CLEAN,
    };
    life->entered_us = life->began_us;
    life->phases = 1u << life->phase;
}

void life_fini(struct life *life)
{
    free(life->detail);
    free(life->mend);
    free(life->attempts);
    life->detail = life->mend = NULL;
    life->attempts = NULL;
    life->attempt_count = 0;
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
    uint64_t now = clock_us();
    life->phase_us[life->phase] = now - life->entered_us;
    if (log_on(LOG_LEVEL_PHASE)) {
        char moved[48];
        snprintf(moved, sizeof moved, "%s > %s", phase_name(life->phase), phase_name(to));
        log_line(LOG_LEVEL_PHASE, "#%llu %-20s %s", (unsigned long long)life->number, moved, why);
    }
    life->phase = to;
    life->phases |= 1u << to;
    life->entered_us = now;
}

void life_end(struct life *life, const char *why)
{
    assert(life->phase == PHASE_CLOSE && life->ended_us == 0);
    life->ended_us = clock_us();
    life->phase_us[PHASE_CLOSE] = life->ended_us - life->entered_us;
    log_line(LOG_LEVEL_PHASE, "#%llu %-20s %s", (unsigned long long)life->number, "close > closed",
             why);
}

bool life_fail(struct life *life, enum fate fate, const char *format, ...)
{
    if (life->fate != FATE_CLEAN) {
        return false;
    }
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&life->detail, format, arguments) < 0) {
        life->detail = NULL;
    }
    va_end(arguments);
    life->fate = fate;
    life->failed_at = life->phase;
    return true;
}

void life_mend(struct life *life, const char *text)
{
    free(life->mend);
    life->mend = NULL;
    if (*text != '\0' && asprintf(&life->mend, "%s", text) < 0) {
        life->mend = NULL;
    }
}

uint64_t life_total_us(const struct life *life)
{
    return (life->ended_us != 0 ? life->ended_us : clock_us()) - life->began_us;
}
