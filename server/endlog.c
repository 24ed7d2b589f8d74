#include "config.h"

#include "endlog.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"
#include "tally.h"
#include "units.h"

#define ENDLOG_LINES 10 /* of their own, in a second */

static atomic_uint ended;                /* in this second */
static atomic_uint lines = ENDLOG_LINES; /* allowed in this second */
static _Atomic uint64_t untold[FATE_COUNT];
static uint64_t turned_us;

static const char *first_text(enum closed_first first)
{
    switch (first) {
    case FIRST_LOCAL:
        return ", we closed first";
    case FIRST_PEER:
        return ", peer closed first";
    case FIRST_BOTH:
        return ", both closed at once";
    case FIRST_NOBODY:
        break;
    }
    return "";
}

/* A unix socket's client has no address: the socket's path stands for it. */
static const union life_address *who(const struct life *life)
{
    return life->local.sa.sa_family == AF_UNIX ? &life->local : &life->remote;
}

static void tell(const struct life *life)
{
    char address[LIFE_ADDRESS_TEXT], took[UNITS_TEXT], in[40], out[UNITS_TEXT];

    log_line(LOG_LEVEL_NOTE, "#%" PRIu64 " %s %s: %s, %s in, %s out%s%s%s", life->number,
             life_address_text(address, who(life)), fate_row(life->fate)->name,
             units_text_duration(took, life_total_us(life)),
             units_plural(in, sizeof in, life_frames_in(life), "frame"),
             units_text_count(out, life->frames_out), first_text(life->closed_first),
             life->detail != NULL ? ": " : "", life->detail != NULL ? life->detail : "");
}

void endlog_tell(const struct life *life)
{
    if (!log_on(LOG_LEVEL_NOTE))
        return;
    if (log_on(LOG_LEVEL_PHASE) || atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed) <
                                       atomic_load_explicit(&lines, memory_order_relaxed))
        tell(life);
    else
        atomic_fetch_add_explicit(&untold[life->fate], 1, memory_order_relaxed);
}

/* After a busy second none has a line of its own: a steady load makes one line a second. */
void endlog_turn(void)
{
    uint64_t fates[FATE_COUNT], now_us = clock_us();
    unsigned allowed = atomic_load_explicit(&lines, memory_order_relaxed);
    char many[60], took[UNITS_TEXT], text[300];
    unsigned count = atomic_exchange_explicit(&ended, 0, memory_order_relaxed);

    atomic_store_explicit(&lines, count > ENDLOG_LINES ? 0 : ENDLOG_LINES, memory_order_relaxed);
    for (unsigned i = 0; i < FATE_COUNT; i++)
        fates[i] = atomic_exchange_explicit(&untold[i], 0, memory_order_relaxed);
    if (tally_lives(fates) > 0)
        log_line(LOG_LEVEL_NOTE, "%s in %s, %s (-v: one line each)",
                 units_plural(many, sizeof many, tally_lives(fates),
                              allowed > 0 ? "more connection" : "connection"),
                 units_text_duration(took, turned_us > 0 ? now_us - turned_us : 1000000),
                 tally_fates_text(text, sizeof text, fates));
    turned_us = now_us;
}
