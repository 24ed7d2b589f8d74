#include "config.h"

#include "talk.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "report.h"
#include "talk_internal.h"
#include "units.h"

#define EXIT_USAGE 2

static int fail(enum fate fate, const struct error *e)
{
    log_error(e);
    return fate_row(fate)->exit_status;
}

static int begin(struct talk *talk, struct error *e)
{
    const struct client_config *config = talk->config;
    talk->output = output_new(talk->loop, &config->stdio, &talk_output_owner, talk);
    talk->conn = conn_new(talk->loop, &config->conn, &talk_owner, talk, 0);
    if (talk->output == NULL || talk->conn == NULL) {
        error_what(e, "out of memory for a connection");
        return ERR_MEMORY;
    }
    if (loop_on_signal(talk->loop, SIGINT, talk_on_signal, talk) < 0 ||
        loop_on_signal(talk->loop, SIGTERM, talk_on_signal, talk) < 0) {
        error_what(e, "out of memory for signals");
        return ERR_MEMORY;
    }
    talk->dial = dial_new(talk->loop, talk->conn, config, NULL);
    if (talk->dial == NULL) {
        error_what(e, "out of memory for a connection");
        return ERR_MEMORY;
    }
    return 0;
}

static void tell_ambiguous(const struct talk *talk)
{
    char number[UNITS_TEXT], all[64];
    uint64_t ambiguous = output_ambiguous(talk->output);
    if (ambiguous > 0)
        log_line(LOG_LEVEL_NOTE,
                 "%s of %s held the delimiter of --stdio %s, so where they end cannot be told; "
                 "--stdio hex or --stdio u32be keeps them apart",
                 units_text_count(number, ambiguous),
                 units_plural(all, sizeof all, talk->replies, "frame"),
                 talk->config->stdio.codec.name);
}

/* Several lines may be one request, so fewer replies are no failure; but they are told. */
static void tell_fewer(const struct talk *talk)
{
    char sent[64], replies[UNITS_TEXT];
    bool expected = talk->config->options->fin_after == FIN_AFTER_REPLIES &&
                    talk->config->conn.codec.kind != FRAME_RAW;
    if (expected && talk->life.fate == FATE_CLEAN && talk->replies < talk->sent)
        log_line(LOG_LEVEL_NOTE, "%s sent, %s received as replies",
                 units_plural(sent, sizeof sent, talk->sent, "frame"),
                 units_text_count(replies, talk->replies));
}

/* Standard output may fail after the connection has ended: then that is the fate. */
static void judge_output(struct talk *talk)
{
    struct life *life = &talk->life;
    if (talk->output_failed && life->fate != FATE_OUTPUT) {
        if (life->fate == FATE_CLEAN) {
            life_fail(life, FATE_OUTPUT, "%s", talk->output_error.what);
            life_mend(life, talk->output_error.mend);
        } else {
            log_error(&talk->output_error);
        }
    }
    if (talk->signals > 1 && life->fate == FATE_CLEAN)
        life_fail(life, FATE_ABORTED, "the second signal came before all replies were written");
}

static int finish(struct talk *talk, struct journal *journal)
{
    judge_output(talk);
    if (journal != NULL)
        journal_put(journal, &talk->life);
    if (log_on(LOG_LEVEL_PHASE))
        life_account(&talk->life, stderr);
    tell_ambiguous(talk);
    tell_fewer(talk);
    report_verdict(&talk->life, talk->config);
    enum fate fate = talk->output_failed ? FATE_OUTPUT : talk->life.fate;
    return fate_row(fate)->exit_status;
}

static int run(struct talk *talk, struct journal *journal)
{
    struct error e = {"", ""};
    talk->input = input_new(talk->loop, &talk->config->stdio, talk_input_ready, talk, &e);
    if (talk->input == NULL)
        return fail(FATE_INPUT, &e);
    if (begin(talk, &e) < 0)
        return fail(FATE_MEMORY, &e);
    if (loop_run(talk->loop) < 0) {
        error_what(&e, "the event loop failed");
        return fail(FATE_MEMORY, &e);
    }
    return finish(talk, journal);
}

int talk_run(const struct client_config *config)
{
    struct talk talk = {.config = config};
    struct error e = {"", ""};
    struct journal *journal = NULL;
    if (config->options->journal != NULL &&
        (journal = journal_open(config->options->journal, &e)) == NULL) {
        log_error(&e);
        return EXIT_USAGE;
    }
    talk.loop = loop_new(&e);
    if (talk.loop == NULL)
        return fail(FATE_NO_DESCRIPTOR, &e);
    loop_busy_poll(talk.loop, config->options->busy_poll_us);
    int status = run(&talk, journal);
    input_free(talk.input);
    output_free(talk.output);
    loop_free(talk.loop);
    /* After the loop: then a signal can end the wait for a reader that has stopped. */
    if (journal != NULL && journal_close(journal, &e) < 0)
        log_error(&e);
    life_fini(&talk.life);
    return status;
}
