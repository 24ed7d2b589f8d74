#include "config.h"

#include "by_hand.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "text.h"
#include "units.h"

#define HINT_AFTER_US 2000000

static void length_text(char *buf, size_t size, const struct frame_codec *codec)
{
    char where[48] = "";
    if (codec->offset > 0)
        snprintf(where, sizeof where, " after %u bytes", codec->offset);
    if (codec->width == 1)
        snprintf(buf, size, "1-byte length%s", where);
    else
        snprintf(buf, size, "%u-byte %s-endian length%s", codec->width,
                 codec->little ? "little" : "big", where);
}

static void delimiter_text(char *buf, size_t size, const struct frame_codec *codec)
{
    char start[3 * FRAME_HEAD_MAX], end[3 * FRAME_HEAD_MAX];
    text_hex(end, sizeof end, codec->end, codec->end_length);
    if (codec->start_length > 0)
        snprintf(buf, size, "between %s and %s",
                 text_hex(start, sizeof start, codec->start, codec->start_length), end);
    else
        snprintf(buf, size, "ended by %s", end);
}

static void codec_text(char *buf, size_t size, const struct frame_codec *codec)
{
    switch (codec->kind) {
    case FRAME_LENGTH:
        length_text(buf, size, codec);
        break;
    case FRAME_VARINT:
        snprintf(buf, size, "a varint length");
        break;
    case FRAME_NETSTRING:
    case FRAME_OCTET:
        snprintf(buf, size, "a decimal length");
        break;
    case FRAME_DELIMITER:
        delimiter_text(buf, size, codec);
        break;
    case FRAME_RAW:
        snprintf(buf, size, "no framing");
        break;
    }
}

void by_hand_begin(struct by_hand *hand, struct loop *loop, const struct client_config *config)
{
    char wire[256], unit[96] = "line";
    const struct stdio_format *stdio = &config->stdio;
    hand->loop = loop;
    hand->config = config;
    frame_state_init(&hand->state, &config->conn.codec, FRAME_FROM_CLIENT);
    codec_text(wire, sizeof wire, &config->conn.codec);
    if (!stdio->hex && strcmp(stdio->codec.name, "line") != 0)
        snprintf(unit, sizeof unit, "%s message", stdio->codec.name);
    log_line(LOG_LEVEL_NOTE, "each %s%s is a frame (%s: %s); ^D ends, ^C twice cuts", unit,
             stdio->hex ? " of hex digits" : "", config->conn.codec.name, wire);
}

/* What to try when a frame of this length meets silence. */
static void mend_text(const struct by_hand *hand, char *buf, size_t size)
{
    uint64_t reads;
    char ours[UNITS_TEXT], theirs[UNITS_TEXT];
    const char *other = frame_other_order(&hand->config->conn.codec, hand->body_length, &reads);
    if (other != NULL)
        snprintf(buf, size,
                 "-F %s (such a peer reads our %s as %s and waits), or another -F; "
                 "--fin-after eof if it reads to the end first",
                 other, units_text_count(ours, hand->body_length),
                 units_text_exact_bytes(theirs, reads));
    else
        snprintf(buf, size,
                 "another -F (--frame list); --fin-after eof if it reads to the end "
                 "first");
}

static void tell_waiting(void)
{
    log_line(LOG_LEVEL_NOTE, "the input has ended, a reply is waited for; ^C ends without it");
}

static void no_answer(struct deadline *deadline)
{
    struct by_hand *hand =
        (struct by_hand *)(void *)((char *)deadline - offsetof(struct by_hand, hint));
    char hex[3 * BY_HAND_KEPT + 8], mend[256], line[320], wait[UNITS_TEXT];
    hand->hinted = true;
    text_hex(hex, sizeof hex, hand->first, hand->first_length);
    log_line(LOG_LEVEL_NOTE, "no answer for %s; what went out: %s",
             units_text_duration(wait, HINT_AFTER_US), hex);
    mend_text(hand, mend, sizeof mend);
    if (log_on(LOG_LEVEL_NOTE))
        log_raw(line, (unsigned long)snprintf(line, sizeof line, "    try: %s\n", mend));
    if (hand->waits)
        tell_waiting();
}

static void keep(struct by_hand *hand, const struct frame_wrap *wrap, const uint8_t *body, size_t n)
{
    size_t head = wrap->head_length < BY_HAND_KEPT ? wrap->head_length : BY_HAND_KEPT;
    size_t part = n < BY_HAND_KEPT - head ? n : BY_HAND_KEPT - head;
    memcpy(hand->first, wrap->head, head);
    if (part > 0)
        memcpy(hand->first + head, body, part);
    hand->first_length = head + part;
    hand->body_length = n;
}

void by_hand_sent(struct by_hand *hand, const uint8_t *body, size_t n)
{
    struct frame_wrap wrap;
    struct frame_fault fault;
    if (hand->loop == NULL || hand->hinted)
        return;
    int result = frame_encode(&hand->config->conn.codec, &hand->state, body, n, &wrap, &fault);
    if (result < 0 || hand->hint.queue != NULL)
        return;
    keep(hand, &wrap, body, n);
    /* Without memory for a deadline there is no hint, and nothing else is lost. */
    (void)deadline_set(hand->loop, &hand->hint, HINT_AFTER_US, no_answer);
}

void by_hand_answered(struct by_hand *hand)
{
    deadline_unset(&hand->hint);
}

void by_hand_wait(struct by_hand *hand)
{
    if (hand->loop == NULL || hand->waits)
        return;
    hand->waits = true;
    if (hand->hinted)
        tell_waiting();
}

void by_hand_end(struct by_hand *hand)
{
    deadline_unset(&hand->hint);
    hand->loop = NULL;
}
