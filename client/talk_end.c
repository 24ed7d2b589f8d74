#include "config.h"

#include "talk_internal.h"

#include "units.h"

#define SILENCE_US 1000000

static enum options_fin fin_after(const struct talk *talk)
{
    enum options_fin fin = talk->config->options->fin_after;
    /* A broken input has to come to its end, and what was sent before it deserves its replies. */
    bool broken = conn_life(talk->conn)->fate == FATE_INPUT;
    return fin == FIN_AFTER_NEVER && broken ? FIN_AFTER_REPLIES : fin;
}

/* As many replies as frames, and not a byte more: a peer that sends more has its own idea of what
 * belongs to an answer, and half-closing in the middle of it may lose the rest. */
static bool is_answered(const struct talk *talk)
{
    if (talk->sent == 0)
        return true;
    return talk->config->conn.codec.kind != FRAME_RAW && talk->replies == talk->sent &&
           conn_partial(talk->conn) == 0;
}

void talk_end_finish(struct talk *talk, const char *why)
{
    deadline_unset(&talk->wait);
    by_hand_end(&talk->hand);
    talk->finished = true;
    if (talk->drain_told)
        conn_nothing_owed(talk->conn);
    else
        conn_drain(talk->conn, false, why);
}

static void wait_passed(struct deadline *deadline);

/* How long the peer may be silent now. 0: as long as it likes. While it has not taken all of ours,
 * that is what is waited for; its replies come after. */
static uint64_t patience_us(const struct talk *talk)
{
    if (conn_unsent(talk->conn) > 0)
        return talk->config->options->drain_timeout_us;
    uint64_t reply_us = talk->config->options->reply_timeout_us;
    bool waits = talk->replies == 0 || conn_partial(talk->conn) > 0;
    if (!waits)
        return SILENCE_US;
    if (input_is_terminal(talk->input))
        return 0;
    return reply_us == 0 || reply_us > SILENCE_US || talk->replies == 0 ? reply_us : SILENCE_US;
}

static void wait_on(struct talk *talk)
{
    talk->wait_bytes = conn_life(talk->conn)->bytes_in;
    talk->wait_unsent = conn_unsent(talk->conn);
    if (deadline_set(talk->loop, &talk->wait, patience_us(talk), wait_passed) < 0)
        conn_fail(talk->conn, FATE_MEMORY, "out of memory for a deadline");
}

static void wait_passed(struct deadline *deadline)
{
    struct talk *talk = (struct talk *)(void *)((char *)deadline - offsetof(struct talk, wait));
    const struct life *life = conn_life(talk->conn);
    char text[UNITS_TEXT], unsent[UNITS_TEXT];
    if (life->bytes_in != talk->wait_bytes || conn_unsent(talk->conn) != talk->wait_unsent ||
        output_is_full(talk->output))
        wait_on(talk); /* it is not silent, or cannot be heard */
    else if (talk->wait_unsent > 0)
        conn_fail(talk->conn, FATE_DRAIN_TIMEOUT, "%s unsent and nothing moved for %s",
                  units_text_bytes(unsent, talk->wait_unsent),
                  units_text_duration(text, talk->config->options->drain_timeout_us));
    else if (talk->replies > 0 || life->fate != FATE_CLEAN)
        talk_end_finish(talk, "the peer is silent");
    else
        conn_fail(talk->conn, FATE_REPLY_TIMEOUT, "no reply in %s",
                  units_text_duration(text, talk->config->options->reply_timeout_us));
}

static void check(struct reapable *reapable)
{
    struct talk *talk = (struct talk *)(void *)((char *)reapable - offsetof(struct talk, check));
    talk->check_queued = false;
    if (talk->conn == NULL || !talk->open || !talk->input_done || talk->finished)
        return;
    if (conn_life(talk->conn)->phase > PHASE_DRAIN)
        return;
    switch (fin_after(talk)) {
    case FIN_AFTER_EOF:
        talk_end_finish(talk, "end of standard input");
        break;
    case FIN_AFTER_REPLIES:
        if (is_answered(talk))
            talk_end_finish(talk, "as many replies as frames");
        else
            wait_on(talk);
        by_hand_wait(&talk->hand);
        break;
    case FIN_AFTER_NEVER:
        break;
    }
}

void talk_end_look(struct talk *talk)
{
    if (!talk->input_done || talk->check_queued)
        return;
    talk->check_queued = true;
    talk->check.reap = check;
    loop_reap(talk->loop, &talk->check);
}
