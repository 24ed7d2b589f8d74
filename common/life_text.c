#include "config.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "life.h"
#include "units.h"

const char *life_address_text(char buf[LIFE_ADDRESS_TEXT], const union life_address *address)
{
    char host[INET6_ADDRSTRLEN];
    if (address->sa.sa_family == AF_UNIX) {
        snprintf(buf, LIFE_ADDRESS_TEXT, "unix:%s", address->un.path);
    } else if (address->sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof host);
        snprintf(buf, LIFE_ADDRESS_TEXT, "%s:%u", host, ntohs(address->in.sin_port));
    } else if (address->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof host);
        snprintf(buf, LIFE_ADDRESS_TEXT, "[%s]:%u", host, ntohs(address->in6.sin6_port));
    } else {
        snprintf(buf, LIFE_ADDRESS_TEXT, "-");
    }
    return buf;
}

/* --- the record as JSON: every column once, in this order --- */

/* The length of the UTF-8 character that begins here, 0 if there is none (RFC 3629: no longer form
 * than needed, no surrogate, nothing over U+10FFFF). A NUL ends every sequence. */
static unsigned utf8_length(const unsigned char *c)
{
    unsigned length = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] >= 0xa0) ||
        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] >= 0x90) || c[0] > 0xf4) {
        return 0;
    }
    for (unsigned i = 1; i < length; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/* A byte that is no part of a UTF-8 character is written as the character with its number, so the
 * line is valid JSON whatever a path holds. */
static void json_text(FILE *out, const char *name, const char *text)
{
    if (text == NULL) {
        fprintf(out, ",\"%s\":null", name);
        return;
    }
    fprintf(out, ",\"%s\":\"", name);
    const unsigned char *c = (const unsigned char *)text;
    while (*c != '\0') {
        unsigned length = utf8_length(c);
        if (*c == '"' || *c == '\\') {
            fprintf(out, "\\%c", *c);
        } else if (length == 0 || *c < 0x20 || *c == 0x7f) {
            fprintf(out, "\\u%04x", *c);
        } else {
            fwrite(c, 1, length, out);
        }
        c += length > 0 ? length : 1;
    }
    putc('"', out);
}

static void json_number(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, ",\"%s\":%" PRIu64, name, value);
}

/* A stamp as microseconds since the life began; null if it never came. */
static void json_stamp(FILE *out, const char *name, const struct life *life, uint64_t at_us)
{
    if (at_us == 0) {
        fprintf(out, ",\"%s\":null", name);
    } else {
        json_number(out, name, at_us - life->began_us);
    }
}

static void json_phases(FILE *out, const struct life *life)
{
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        char name[32];
        snprintf(name, sizeof name, "%s_us", phase_name(phase));
        if ((life->phases & 1u << phase) != 0) {
            json_number(out, name, life_phase_us(life, phase));
        } else {
            fprintf(out, ",\"%s\":null", name);
        }
    }
    json_number(out, "total_us", life_total_us(life));
}

static void json_kernel(FILE *out, const struct life_kernel *kernel)
{
    static const struct life_kernel none;
    const struct life_kernel *known = kernel != NULL ? kernel : &none;
    const struct {
        const char *name;
        uint64_t value;
    } columns[] = {
        {"rtt_us", known->rtt_us},
        {"rttvar_us", known->rttvar_us},
        {"mss", known->mss_bytes},
        {"cwnd", known->cwnd_segments},
        {"retransmits", known->retransmits},
        {"lost", known->lost_segments},
        {"delivery_rate", known->delivery_rate_bytes},
        {"acked_bytes", known->acked_bytes},
    };
    for (unsigned i = 0; i < sizeof columns / sizeof *columns; i++) {
        if (kernel != NULL) {
            json_number(out, columns[i].name, columns[i].value);
        } else {
            fprintf(out, ",\"%s\":null", columns[i].name);
        }
    }
}

static void json_attempt(FILE *out, const struct life_attempt *a)
{
    char text[LIFE_ADDRESS_TEXT];
    fprintf(out, "{\"began_us\":%" PRIu64 ",\"took_us\":%" PRIu64, a->began_us, a->took_us);
    json_text(out, "address", life_address_text(text, &a->address));
    json_text(out, "error", a->error == 0 ? NULL : strerrorname_np(a->error));
    putc('}', out);
}

static void json_attempts(FILE *out, const struct life *life)
{
    fputs(",\"attempts\":[", out);
    for (unsigned i = 0; i < life->attempt_count; i++) {
        fputs(i == 0 ? "" : ",", out);
        json_attempt(out, &life->attempts[i]);
    }
    if (life->attempts == NULL && (life->phases & 1u << PHASE_TRANSFER) != 0 &&
        life->side == SIDE_CLIENT) {
        json_attempt(out, &(struct life_attempt){
                              .address = life->remote,
                              .began_us = life_phase_us(life, PHASE_RESOLVE),
                              .took_us = life_phase_us(life, PHASE_CREATE) +
                                         life_phase_us(life, PHASE_CONNECT),
                          });
    }
    putc(']', out);
}

static void json_address(FILE *out, const char *name, const union life_address *address)
{
    char text[LIFE_ADDRESS_TEXT];
    life_address_text(text, address);
    json_text(out, name, address->sa.sa_family == AF_UNSPEC ? NULL : text);
}

char *life_json(const struct life *life)
{
    char *line = NULL;
    size_t length;
    FILE *out = open_memstream(&line, &length);
    if (out == NULL) {
        return NULL;
    }
    fprintf(out, "{\"run\":\"%016" PRIx64 "\",\"number\":%" PRIu64, life_run(), life->number);
    json_text(out, "side", side_name(life->side));
    json_number(out, "start_us", life_start_us(life));
    json_address(out, "local", &life->local);
    json_address(out, "remote", &life->remote);
    json_phases(out, life);
    json_stamp(out, "fin_sent_us", life, life->fin_sent_us);
    json_stamp(out, "fin_seen_us", life, life->fin_seen_us);
    json_stamp(out, "first_frame_us", life, life->first_frame_us);
    json_number(out, "frames_in", life_frames_in(life));
    json_number(out, "frames_out", life->frames_out);
    json_number(out, "bytes_in", life->bytes_in);
    json_number(out, "bytes_out", life->bytes_out);
    json_number(out, "accepted", life->accepted);
    json_number(out, "discarded", life->discarded);
    json_number(out, "unanswered", life->unanswered);
    json_number(out, "bytes_after_fin", life->bytes_after_fin);
    json_number(out, "unread_bytes", life->unread_bytes);
    json_number(out, "unacked_bytes", life->unacked_bytes);
    json_text(out, "fate", fate_row(life->fate)->name);
    json_text(out, "failed_at",
              fate_row(life->fate)->is_error ? phase_name(life->failed_at) : NULL);
    json_text(out, "detail", life->detail);
    json_text(out, "closed_first", closed_first_name(life->closed_first));
    json_text(out, "time_wait", time_wait_name(life->time_wait));
    json_kernel(out, life->kernel);
    json_attempts(out, life);
    putc('}', out);
    if (fclose(out) != 0) {
        free(line);
        return NULL;
    }
    return line;
}

/* --- the account for a person --- */

/* Right-aligned to `width` columns: "µ" is two bytes and one column. */
static void put_right(FILE *out, const char *text, int width)
{
    int extra = 0;
    for (const char *c = text; *c != '\0'; c++) {
        extra += ((unsigned char)*c & 0xc0) == 0x80;
    }
    fprintf(out, "%*s", width + extra, text);
}

static void account_stages(const struct life *life, FILE *out)
{
    unsigned count;
    char text[UNITS_TEXT];
    const enum phase *phases = life_phases(life->side, &count);
    uint64_t began = 0;

    fputs("stage        began       took\n", out);
    for (unsigned i = 0; i < count; i++) {
        if ((life->phases & 1u << phases[i]) == 0) {
            continue;
        }
        fprintf(out, "%-8s", phase_name(phases[i]));
        put_right(out, units_text_duration(text, began), 10);
        put_right(out, units_text_duration(text, life_phase_us(life, phases[i])), 11);
        putc('\n', out);
        began += life_phase_us(life, phases[i]);
    }
    fputs("total   ", out);
    put_right(out, units_text_duration(text, began), 10 + 11);
    putc('\n', out);
}

static void account_counts(const struct life *life, FILE *out)
{
    char frames_out[64], frames_in[64], out_text[UNITS_TEXT], in_text[UNITS_TEXT];
    fprintf(out, "%s sent, %s received; %s out, %s in\n",
            units_plural(frames_out, sizeof frames_out, life->frames_out, "frame"),
            units_plural(frames_in, sizeof frames_in, life_frames_in(life), "frame"),
            units_text_bytes(out_text, life->bytes_out), units_text_bytes(in_text, life->bytes_in));
    if (life->discarded + life->unanswered + life->bytes_after_fin != 0) {
        char discarded[UNITS_TEXT], unanswered[UNITS_TEXT], late[UNITS_TEXT];
        fprintf(out, "%s discarded in the drain, %s unanswered; %s came after our FIN\n",
                units_text_count(discarded, life->discarded),
                units_text_count(unanswered, life->unanswered),
                units_text_bytes(late, life->bytes_after_fin));
    }
}

static void account_kernel(const struct life_kernel *kernel, FILE *out)
{
    char rtt[UNITS_TEXT], var[UNITS_TEXT], mss[UNITS_TEXT], count[UNITS_TEXT];
    if (kernel != NULL) {
        fprintf(out, "kernel: rtt %s ± %s; mss %s; cwnd %u; %s retransmitted\n",
                units_text_duration(rtt, kernel->rtt_us),
                units_text_duration(var, kernel->rttvar_us),
                units_text_exact_bytes(mss, kernel->mss_bytes), kernel->cwnd_segments,
                units_text_count(count, kernel->retransmits));
    }
}

void life_account(const struct life *life, FILE *out)
{
    char local[LIFE_ADDRESS_TEXT], remote[LIFE_ADDRESS_TEXT];
    const struct fate_row *fate = fate_row(life->fate);

    fprintf(out, "%s #%" PRIu64 ": %s to %s\n", side_name(life->side), life->number,
            life_address_text(local, &life->local), life_address_text(remote, &life->remote));
    account_stages(life, out);
    account_counts(life, out);
    account_kernel(life->kernel, out);
    fprintf(out, "fate: %s (%s%s%s); closed first: %s; TIME_WAIT: %s\n", fate->name, fate->meaning,
            life->detail != NULL ? ": " : "", life->detail != NULL ? life->detail : "",
            closed_first_name(life->closed_first), time_wait_name(life->time_wait));
}
