#include "config.h"

#include "talk_internal.h"

#include <signal.h>
#include <string.h>

#include "log.h"
#include "report.h"
#include "units.h"

/* --- standard input to the peer --- */

static void stop_input(struct talk *talk)
{
    talk->input_done = true;
    input_stop(talk->input);
    talk_end_look(talk);
}

/* What was sent before the bad frame is still sent, and its replies are waited for. */
static void input_failed(struct talk *talk, const struct error *e)
{
    stop_input(talk);
    report_fail(talk->conn, FATE_INPUT, e);
}

static void frame_refused(struct talk *talk, int result, const struct error *cause)
{
    struct error e;
    char number[UNITS_TEXT];
    if (result == ERR_CLOSED) {
        stop_input(talk);
        return;
    }
    if (result == ERR_MEMORY) {
        report_fail(talk->conn, FATE_MEMORY, cause);
        return;
    }
    error_what(&e, "frame %s of standard input: %s",
               units_text_count(number, input_frames(talk->input)), cause->what);
    error_mend(&e, "%s",
               cause->mend[0] != '\0' ? cause->mend : "a -F that can hold it (--frame list)");
    input_failed(talk, &e);
}

static int send_frame(struct talk *talk, const uint8_t *body, size_t n)
{
    const struct frame_codec *codec = &talk->config->conn.codec;
    struct error e = {"", ""};
    char size[UNITS_TEXT], limit[UNITS_TEXT];
    int result;
    if (n > codec->max_body) {
        error_what(&e, "a body of %s is over %s", units_text_exact_bytes(size, n),
                   units_text_bytes(limit, codec->max_body));
        error_mend(&e, "a larger --max-frame, here and at the peer");
        result = ERR_FRAME_TOO_LARGE;
    } else {
        result = conn_send(talk->conn, body, n, &e);
    }
    if (result < 0) {
        frame_refused(talk, result, &e);
        return result;
    }
    talk->sent++;
    by_hand_sent(&talk->hand, body, n);
    return 0;
}

/* As many frames as there is room for. */
static void produce(struct talk *talk)
{
    const uint8_t *body;
    size_t n;
    struct error e = {"", ""};
    while (talk->open && !talk->input_done && conn_room(talk->conn) > 0) {
        switch (input_next(talk->input, &body, &n, &e)) {
        case INPUT_FRAME:
            if (send_frame(talk, body, n) < 0)
                return;
            break;
        case INPUT_WAIT:
            return;
        case INPUT_END:
            stop_input(talk);
            return;
        case INPUT_FAILED:
            input_failed(talk, &e);
            return;
        }
    }
}

void talk_input_ready(void *arg)
{
    produce(arg);
}

/* --- the connection's owner --- */

static void on_open(struct conn *conn)
{
    struct talk *talk = conn_arg(conn);
    talk->open = true;
    if (talk->finished)
        return;
    if (input_is_terminal(talk->input))
        by_hand_begin(&talk->hand, talk->loop, talk->config);
    produce(talk);
}

static void on_frame(struct conn *conn, const uint8_t *body, size_t n)
{
    struct talk *talk = conn_arg(conn);
    talk->replies++;
    by_hand_answered(&talk->hand);
    output_put(talk->output, body, n);
    talk_end_look(talk);
}

static void on_room(struct conn *conn)
{
    struct talk *talk = conn_arg(conn);
    produce(talk);
    talk_end_look(talk);
}

/* Also when the peer's FIN or a failure brought the drain about, not we: then nothing is waited
 * for, except for replies to what came before a bad frame on standard input. */
static void on_drain(struct conn *conn)
{
    struct talk *talk = conn_arg(conn);
    const struct life *life = conn_life(conn);
    talk->drain_told = true;
    if (!talk->input_done)
        stop_input(talk);
    if (talk->finished || life->fate != FATE_INPUT || life->fin_seen_us != 0) {
        talk->finished = true;
        conn_nothing_owed(conn);
    }
}

static void judge_unanswered(struct talk *talk)
{
    char sent[64], came[UNITS_TEXT];
    const struct life *life = conn_life(talk->conn);
    units_plural(sent, sizeof sent, talk->sent, "frame");
    bool waits = talk->config->options->fin_after == FIN_AFTER_REPLIES;
    if (waits && talk->sent > 0 && talk->replies == 0)
        conn_fail(talk->conn, FATE_UNANSWERED, "the peer's FIN came after %s and no reply", sent);
    else if (!talk->input_done && input_has_more(talk->input))
        conn_fail(talk->conn, FATE_UNANSWERED,
                  "the peer's FIN came after %s and %s of its own, with more on standard input",
                  sent, units_text_count(came, life_frames_in(life)));
}

static void on_peer_done(struct conn *conn)
{
    struct talk *talk = conn_arg(conn);
    if (!talk->finished)
        judge_unanswered(talk);
    deadline_unset(&talk->wait);
    by_hand_end(&talk->hand);
    talk->finished = true;
    if (!talk->input_done)
        stop_input(talk);
    if (talk->drain_told)
        conn_nothing_owed(conn);
}

static void maybe_end(struct talk *talk)
{
    if (talk->conn == NULL && output_queued(talk->output) == 0)
        loop_stop(talk->loop);
}

static void on_closed(struct conn *conn, struct life *life)
{
    struct talk *talk = conn_arg(conn);
    life_take(&talk->life, life);
    talk->conn = NULL;
    talk->open = false;
    talk->input_done = true;
    input_stop(talk->input);
    deadline_unset(&talk->wait);
    by_hand_end(&talk->hand);
    dial_free(talk->dial);
    talk->dial = NULL;
    maybe_end(talk);
}

const struct conn_owner talk_owner = {
    .open = on_open,
    .frame = on_frame,
    .room = on_room,
    .drain = on_drain,
    .peer_done = on_peer_done,
    .closed = on_closed,
};

/* --- standard output --- */

static void output_full(void *arg)
{
    struct talk *talk = arg;
    if (talk->conn != NULL)
        conn_pause(talk->conn);
}

static void output_room(void *arg)
{
    struct talk *talk = arg;
    if (talk->conn != NULL)
        conn_resume(talk->conn);
}

static void output_empty(void *arg)
{
    maybe_end(arg);
}

static void output_failed(void *arg, const struct error *e)
{
    struct talk *talk = arg;
    talk->output_failed = true;
    talk->output_error = *e;
    if (talk->conn != NULL)
        report_fail(talk->conn, FATE_OUTPUT, e);
    maybe_end(talk);
}

const struct output_owner talk_output_owner = {
    .full = output_full,
    .room = output_room,
    .empty = output_empty,
    .failed = output_failed,
};

/* --- signals: once gracefully, twice at once --- */

static void cut(struct talk *talk, const char *name)
{
    output_drop(talk->output);
    if (talk->conn != NULL)
        conn_fail(talk->conn, FATE_ABORTED, "second %s", name);
    maybe_end(talk);
}

void talk_on_signal(int signal_number, void *arg)
{
    struct talk *talk = arg;
    const char *name = signal_number == SIGINT ? "SIGINT" : "SIGTERM";
    talk->signals++;
    if (talk->signals > 1) {
        cut(talk, name);
        return;
    }
    log_line(LOG_LEVEL_NOTE, "%s: sending our FIN, printing what still comes; again cuts", name);
    if (talk->conn == NULL)
        return;
    if (!talk->input_done)
        stop_input(talk);
    if (!talk->finished)
        talk_end_finish(talk, name);
}
