#include "config.h"

#include "report.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "log.h"
#include "units.h"

void report_fail(struct conn *conn, enum fate fate, const struct error *e)
{
    struct life *life = conn_life(conn);
    bool first = life->fate == FATE_CLEAN;
    conn_fail(conn, fate, "%s", e->what);
    if (first && life->fate == fate)
        life_mend(life, e->mend);
}

/* --- evidence: the figures that say how far it came --- */

/* How much of ours the peer has acknowledged. Known only while our FIN was not sent: the kernel is
 * asked before it. */
static bool is_acked_known(const struct life *life)
{
    return life->kernel != NULL && life->fin_sent_us == 0 && life->kernel->acked_bytes > 0;
}

static uint64_t acked_bytes(const struct life *life)
{
    uint64_t acked = life->kernel->acked_bytes - 1; /* our SYN counts as one */
    return acked < life->bytes_out ? acked : life->bytes_out;
}

static void sent_text(const struct life *life, char *buf, size_t size)
{
    char bytes[UNITS_TEXT], rest[UNITS_TEXT];
    units_text_exact_bytes(bytes, life->bytes_out);
    if (!is_acked_known(life))
        snprintf(buf, size, "%s sent", bytes);
    else if (acked_bytes(life) == life->bytes_out)
        snprintf(buf, size, "%s sent and acknowledged", bytes);
    else
        snprintf(buf, size, "%s sent, %s of it not acknowledged", bytes,
                 units_text_exact_bytes(rest, life->bytes_out - acked_bytes(life)));
}

static void figures_text(const struct life *life, char *buf, size_t size)
{
    char in[64], sent[128];
    sent_text(life, sent, sizeof sent);
    snprintf(buf, size, "after %s back, %s",
             units_plural(in, sizeof in, life_frames_in(life), "frame"), sent);
}

static void evidence(const struct life *life, const struct client_config *config, struct error *e)
{
    char text[256], back[UNITS_TEXT], wait[UNITS_TEXT];
    const char *detail = life->detail != NULL ? life->detail : fate_row(life->fate)->meaning;
    if (life->fate == FATE_REPLY_TIMEOUT && life_frames_in(life) > 0) {
        figures_text(life, text, sizeof text);
        error_what(e, "%s; %s", detail, text);
    } else if (life->fate == FATE_REPLY_TIMEOUT) {
        sent_text(life, text, sizeof text);
        error_what(e, "%s, %s back in %s", text, units_text_exact_bytes(back, life->bytes_in),
                   units_text_duration(wait, config->options->reply_timeout_us));
    } else if (life->failed_at < PHASE_TRANSFER) {
        error_what(e, "%s", detail);
    } else if (life->fate == FATE_RESET || life->fate == FATE_TIMED_OUT ||
               life->fate == FATE_ABORTED || life->fate == FATE_LINGER_TIMEOUT) {
        figures_text(life, text, sizeof text);
        error_what(e, "%s; %s", detail, text);
    } else {
        error_what(e, "%s", detail);
    }
}

/* --- what to try --- */

/* The time of the end by this machine's clock, to be looked up in the peer's log. */
static void its_log(const struct life *life, struct error *e, const char *cause)
{
    uint64_t at_us = life_start_us(life) + life_total_us(life);
    time_t seconds = (time_t)(at_us / 1000000);
    struct tm tm;
    char at[16];
    localtime_r(&seconds, &tm);
    strftime(at, sizeof at, "%H:%M:%S", &tm);
    error_mend(e, "%s: its log at %s.%03u", cause, at, (unsigned)(at_us / 1000 % 1000));
}

static void try_reply_timeout(const struct life *life, const struct client_config *config,
                              struct error *e)
{
    uint64_t body = life->frames_out > 0 ? life->bytes_out / life->frames_out : 0, reads;
    uint64_t head = config->conn.codec.width;
    char ours[UNITS_TEXT], theirs[UNITS_TEXT];
    body = body > head ? body - head : 0;
    const char *other = frame_other_order(&config->conn.codec, body, &reads);
    bool load = config->options->load;
    if (life_frames_in(life) > 0)
        its_log(life, e, "the peer stopped answering, or needs a longer --reply-timeout");
    else if (is_acked_known(life) && acked_bytes(life) == 0 && life->bytes_out > 0)
        error_mend(e, "the peer's system takes nothing: on it, ss -ltn (Recv-Q > Send-Q: accept "
                      "queue full); else the way to it is gone");
    else if (life->bytes_in > 0)
        error_mend(e,
                   "-F: what came back is no whole frame of %s (--frame list; -x); or "
                   "--reply-timeout 30s",
                   config->conn.codec.name);
    else if (other != NULL)
        error_mend(e, "-F %s (such a peer reads our %s as %s and waits); or --reply-timeout 30s%s",
                   other, units_text_count(ours, body), units_text_exact_bytes(theirs, reads),
                   load ? "; or --expect none" : "; or --fin-after eof");
    else if (load)
        error_mend(e, "another -F (--frame list); or --reply-timeout 30s; or --expect none, if "
                      "it does not answer");
    else
        error_mend(e, "--fin-after eof if it reads to the end first; another -F (--frame list); "
                      "or --reply-timeout 30s");
}

static void try_descriptors(struct error *e)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        error_mend(e, "a higher limit than %llu: ulimit -n; system-wide: sysctl fs.file-nr",
                   (unsigned long long)limit.rlim_cur);
}

static void try_linger(const struct life *life, const struct client_config *config, struct error *e)
{
    if (life->fin_seen_us == 0 && life->unacked_bytes == 0)
        error_mend(e, "the server does not close at EOF; on it, ss -tn state close-wait; "
                      "or --linger-timeout 30s");
    else
        error_mend(e, "the peer or the way to it is gone: ping %s", config->endpoint.host);
}

/* Where nobody nearer to the fault has named a mend. */
static void try_this(const struct life *life, const struct client_config *config, struct error *e)
{
    switch (life->fate) {
    case FATE_OUTPUT:
        error_mend(e, "another place for standard output: > FILE");
        break;
    case FATE_INPUT:
        error_mend(e, "the --stdio that it is written in (--frame list)");
        break;
    case FATE_MEMORY:
        error_mend(e, "a smaller --max-frame, or more memory for this process");
        break;
    case FATE_NO_DESCRIPTOR:
        try_descriptors(e);
        break;
    case FATE_NO_PORT:
        error_mend(e, "wait 60 s for TIME_WAIT to end, or a wider "
                      "sysctl net.ipv4.ip_local_port_range");
        break;
    case FATE_RESOLVE_FAILED:
        error_mend(e, "the spelling, or the address itself");
        break;
    case FATE_RESOLVE_TIMEOUT:
        error_mend(e, "no name server answers (/etc/resolv.conf): the address itself, or "
                      "--connect-timeout 30s");
        break;
    case FATE_REFUSED:
        error_mend(e, "is the server running?");
        break;
    case FATE_UNREACHABLE:
    case FATE_TIMED_OUT:
        error_mend(e, "the way to it: ping %s, ip route get", config->endpoint.host);
        break;
    case FATE_CONNECT_TIMEOUT:
        error_mend(e, "--connect-timeout 30s");
        break;
    case FATE_RESET:
        its_log(life, e, "the peer crashed or closed with input unread");
        break;
    case FATE_TRUNCATED:
        its_log(life, e, "the peer ended inside a frame, or speaks another -F");
        break;
    case FATE_BAD_FRAME:
    case FATE_FRAME_TOO_LARGE:
        error_mend(e, "another -F (--frame list); -x shows what comes");
        break;
    case FATE_FRAME_TIMEOUT:
        its_log(life, e, "the peer stopped inside a frame, or speaks another -F");
        break;
    case FATE_REPLY_TIMEOUT:
        try_reply_timeout(life, config, e);
        break;
    case FATE_UNANSWERED:
        its_log(life, e,
                life_frames_in(life) > 0 ? "it ended by itself (a restart, a limit of its own)"
                                         : "it closed on what it read, or speaks another -F");
        break;
    case FATE_IDLE_TIMEOUT:
        error_mend(e, "a longer --idle-timeout, or off");
        break;
    case FATE_LINGER_TIMEOUT:
        try_linger(life, config, e);
        break;
    case FATE_DRAIN_TIMEOUT:
        error_mend(e, "the peer stopped reading: on it, ss -tn (Recv-Q grows); or "
                      "--drain-timeout 5m");
        break;
    case FATE_SLOW_READER:
        error_mend(e, "the peer stopped reading: on it, ss -tn (Recv-Q grows); or a longer "
                      "--idle-timeout");
        break;
    case FATE_ABORTED:
        error_mend(e, "one ^C, and patience, ends it gracefully");
        break;
    case FATE_DIFFERED:
    case FATE_HANDLER:
    case FATE_SHED:
    case FATE_CLEAN:
    case FATE_COUNT:
        break;
    }
}

/* A host's or a path's name must not steer the terminal. */
static void mask_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void report_explain(const struct life *life, const struct client_config *config, struct error *e)
{
    evidence(life, config, e);
    if (life_mend_text(life) != NULL)
        error_mend(e, "%s", life_mend_text(life));
    else
        try_this(life, config, e);
    mask_controls(e->what);
    mask_controls(e->mend);
}

void report_verdict(const struct life *life, const struct client_config *config)
{
    struct error e = {"", ""};
    char line[sizeof e.mend + 16];
    if (!fate_row(life->fate)->is_error)
        return;
    report_explain(life, config, &e);
    log_line(LOG_LEVEL_ERROR, "verdict: %s at %s: %s", fate_row(life->fate)->name,
             phase_name(life->failed_at), e.what);
    if (e.mend[0] == '\0')
        return;
    log_raw(line, (unsigned long)snprintf(line, sizeof line, "    try: %s\n", e.mend));
}
