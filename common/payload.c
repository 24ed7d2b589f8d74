#include "config.h"

#include "payload.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "payload_internal.h"
#include "units.h"

#define DIGITS 16      /* of a stamp: the connection's and the frame's number, in hex */
#define NUMBER_BITS 40 /* of these, the frame's */
#define EACH_BYTE UINT64_C(0x0101010101010101)
#define EACH_PAIR UINT64_C(0x0001000100010001)
#define PLACES 4096    /* where in the pattern a body's rest may begin */
#define PLACE_SHIFT 52 /* so many of a product's upper bits are a place */
#define PLACE_FACTOR 0x9e3779b97f4a7c15u

/* --- the header of a codec that hands it over --- */

static uint64_t field_of(const struct frame_codec *codec, uint64_t follows)
{
    return (uint64_t)((int64_t)follows - codec->adjust);
}

static size_t put_length(const struct frame_codec *codec, uint8_t *to, size_t bytes)
{
    size_t head = (size_t)codec->offset + codec->width;
    uint64_t field;

    if (bytes < head)
        return 0;
    field = field_of(codec, bytes - head);
    for (unsigned i = 0; i < codec->width; i++) {
        unsigned at = codec->little ? i : codec->width - 1U - i;
        to[codec->offset + at] = (uint8_t)(field >> (8 * i));
    }
    return head;
}

static unsigned varint_width(uint64_t value)
{
    unsigned width = 1;

    while (value >>= 7)
        width++;
    return width;
}

static size_t put_varint(const struct frame_codec *codec, uint8_t *to, size_t bytes)
{
    for (unsigned width = 1; width <= codec->width && codec->offset + width <= bytes; width++) {
        uint64_t field = field_of(codec, bytes - codec->offset - width);
        if (varint_width(field) != width)
            continue;
        for (unsigned i = 0; i < width; i++, field >>= 7)
            to[codec->offset + i] = (uint8_t)((field & 0x7f) | (i + 1 < width ? 0x80 : 0));
        return (size_t)codec->offset + width;
    }
    return 0;
}

static size_t make_head(const struct frame_codec *codec, uint8_t *to, size_t bytes)
{
    if (codec->strip || (size_t)codec->offset + codec->width > FRAME_HEAD_MAX)
        return 0;
    if (codec->kind == FRAME_LENGTH)
        return put_length(codec, to, bytes);
    return codec->kind == FRAME_VARINT ? put_varint(codec, to, bytes) : 0;
}

/* --- what bodies are made of --- */

static bool is_taken(const struct frame_codec *codec, char c)
{
    return codec->kind == FRAME_DELIMITER &&
           (codec->end[0] == (uint8_t)c ||
            (codec->start_length > 0 && codec->start[0] == (uint8_t)c));
}

static bool holds_taken(const struct frame_codec *codec, const char *alphabet)
{
    for (; *alphabet != '\0'; alphabet++)
        if (is_taken(codec, *alphabet))
            return true;
    return false;
}

/* Sixteen digits that do not begin the delimiter. A start and an end cannot take one of each. */
static const char *digits_for(const struct frame_codec *codec)
{
    static const char *const alphabets[] = {"0123456789abcdef", "ghijklmnopqrstuv",
                                            "GHIJKLMNOPQRSTUV"};
    unsigned i = 0;

    while (i < 2 && holds_taken(codec, alphabets[i]))
        i++;
    return alphabets[i];
}

static void choose_digits(struct payload *payload)
{
    const char *digits = digits_for(payload->codec);

    payload->zero = (uint8_t)digits[0];
    payload->gap = (uint8_t)(digits[10] - digits[0] - 10);
}

static uint8_t *make_pattern(const struct frame_codec *codec, size_t length)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    uint8_t alphabet[64], *pattern = malloc(length > 0 ? length : 1);
    uint64_t random = PLACE_FACTOR;
    unsigned count = 0;

    for (const char *c = all; *c != '\0' && count < sizeof alphabet; c++)
        if (!is_taken(codec, *c))
            alphabet[count++] = (uint8_t)*c;
    for (size_t i = 0; pattern != NULL && i < length; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        pattern[i] = alphabet[random >> 58];
    }
    return pattern;
}

/* Sixteen digits as they stand in memory, made all at once: in vectors of what each half of them
 * comes from. They are stored at once, too: who loads two stores as one has to wait for them. */
typedef uint64_t stamp_digits __attribute__((vector_size(DIGITS)));

static inline stamp_digits each_byte(uint64_t byte)
{
    return (stamp_digits){EACH_BYTE * byte, EACH_BYTE * byte};
}

static inline stamp_digits each_pair(uint64_t pair)
{
    return (stamp_digits){EACH_PAIR * pair, EACH_PAIR * pair};
}

static inline stamp_digits stamp_of(const struct payload *payload, uint64_t key)
{
    const stamp_digits apart = {UINT64_C(0x0000ffff0000ffff), UINT64_C(0x0000ffff0000ffff)};
    /* The highest byte first, each in a pair of bytes: its upper half and its lower half. */
    stamp_digits digits = {__builtin_bswap32((uint32_t)(key >> 32)),
                           __builtin_bswap32((uint32_t)key)};
    digits = (digits | digits << 16) & apart;
    digits = (digits | digits << 8) & each_pair(0xff);
    digits = (digits >> 4 & each_pair(0xf)) | (digits & each_pair(0xf)) << 8;
    stamp_digits above_nine = (digits + each_byte(6)) >> 4 & each_byte(1);
    digits +=
        each_byte(payload->zero) + (((above_nine << 8) - above_nine) & each_byte(payload->gap));
    return (stamp_digits){htole64(digits[0]), htole64(digits[1])};
}

static inline uint64_t key_of(uint64_t connection, uint64_t number)
{
    return connection << NUMBER_BITS | (number & ((UINT64_C(1) << NUMBER_BITS) - 1));
}

static inline const uint8_t *rest_of(const struct payload *payload, uint64_t key)
{
    return payload->bytes + (key * PLACE_FACTOR >> PLACE_SHIFT);
}

/* Whether a body is a whole stamp and a rest: nearly all are. */
static inline bool is_plain(const struct payload *payload)
{
    return payload->digits == DIGITS && payload->head_length == 0;
}

/* --- making, comparing --- */

int payload_try(const struct frame_codec *codec, const uint8_t *body, size_t n, struct error *e)
{
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;
    char length[UNITS_TEXT], limit[UNITS_TEXT];
    struct error why = {"", ""};

    units_text_exact_bytes(length, n);
    if (n > codec->max_body) {
        error_what(e, "a body of %s is longer than --max-frame allows, %s", length,
                   units_text_exact_bytes(limit, codec->max_body));
        error_mend(e, "send shorter frames, or raise --max-frame");
        return ERR_RANGE;
    }
    frame_state_init(&state, codec, FRAME_FROM_SERVER);
    int result = frame_encode(codec, &state, body, n, &wrap, &fault);
    if (result < 0) {
        frame_fault_text(codec, &fault, &why);
        error_what(e, "a body of %s cannot be framed by %s: %s", length, codec->name, why.what);
        error_mend(e, "choose another length, or another codec with -F");
    }
    return result;
}

/* The first body that will be sent. */
static int try_first(const struct payload *payload, struct error *e)
{
    uint8_t *whole = malloc(payload->longest + 1);
    struct payload_body body;

    if (whole == NULL) {
        error_what(e, "no memory for a frame of %zu B", payload->longest);
        return ERR_MEMORY;
    }
    payload_body(payload, 0, 0, &body);
    memcpy(whole, body.stamp, body.stamp_length);
    memcpy(whole + body.stamp_length, body.rest, body.rest_length);
    int result = payload_try(payload->codec, whole, payload->longest, e);
    free(whole);
    return result;
}

struct payload *payload_new(const struct frame_codec *codec, size_t bytes, struct error *e)
{
    struct payload *payload = calloc(1, sizeof *payload);

    if (payload == NULL || bytes > SIZE_MAX - PLACES)
        goto no_memory;
    payload->codec = codec;
    payload->longest = bytes;
    payload->head_length = make_head(codec, payload->head, bytes);
    bytes -= payload->head_length;
    payload->digits = bytes < DIGITS ? bytes : DIGITS;
    payload->rest_length = bytes - payload->digits;
    payload->bytes = make_pattern(codec, payload->rest_length + PLACES);
    if (payload->bytes == NULL)
        goto no_memory;
    choose_digits(payload);
    if (try_first(payload, e) == 0)
        return payload;
    payload_free(payload);
    return NULL;
no_memory:
    payload_free(payload);
    error_what(e, "no memory for frames of %zu B", bytes);
    error_mend(e, "ask for shorter ones with -s");
    return NULL;
}

void payload_free(struct payload *payload)
{
    if (payload == NULL)
        return;
    free(payload->bytes);
    free(payload->pieces);
    free(payload);
}

static void read_body(const struct payload *payload, uint64_t turn, struct payload_body *body)
{
    const struct payload_piece *piece = &payload->pieces[turn % payload->count];

    body->stamp_length = 0;
    body->rest = payload->bytes + piece->at;
    body->rest_length = piece->length;
}

/* A codec's header, and of the stamp what there is room for. */
static void put_begin(const struct payload *payload, const stamp_digits *stamp, uint8_t *to)
{
    memcpy(to, payload->head, payload->head_length);
    memcpy(to + payload->head_length, (const uint8_t *)stamp + DIGITS - payload->digits,
           payload->digits);
}

void payload_body(const struct payload *payload, uint64_t connection, uint64_t number,
                  struct payload_body *body)
{
    if (payload->pieces != NULL) {
        read_body(payload, connection + number, body);
        return;
    }
    uint64_t key = key_of(connection, number);
    stamp_digits stamp = stamp_of(payload, key);
    if (is_plain(payload))
        memcpy(body->stamp, &stamp, sizeof stamp);
    else
        put_begin(payload, &stamp, body->stamp);
    body->stamp_length = payload->head_length + payload->digits;
    body->rest = rest_of(payload, key);
    body->rest_length = payload->rest_length;
}

/* Where the two differ within the first n bytes, or n. */
static size_t difference(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t i = 0;

    while (i < n && a[i] == b[i])
        i++;
    return i;
}

static size_t find_difference(const struct payload_body *body, const uint8_t *bytes, size_t n)
{
    size_t stamp = body->stamp_length < n ? body->stamp_length : n;
    size_t at = difference(body->stamp, bytes, stamp);

    if (at < stamp || n <= stamp)
        return at;
    size_t rest = body->rest_length < n - stamp ? body->rest_length : n - stamp;
    return stamp + difference(body->rest, bytes + stamp, rest);
}

static bool is_equal(const struct payload *payload, uint64_t connection, uint64_t number,
                     const uint8_t *bytes, size_t n)
{
    struct payload_body body;

    payload_body(payload, connection, number, &body);
    return n == body.stamp_length + body.rest_length &&
           memcmp(bytes, body.stamp, body.stamp_length) == 0 &&
           memcmp(bytes + body.stamp_length, body.rest, body.rest_length) == 0;
}

static bool is_equal_plain(const struct payload *payload, uint64_t key, const uint8_t *bytes)
{
    stamp_digits stamp = stamp_of(payload, key), there;

    memcpy(&there, bytes, sizeof there);
    return stamp[0] == there[0] && stamp[1] == there[1] &&
           memcmp(bytes + DIGITS, rest_of(payload, key), payload->rest_length) == 0;
}

bool payload_equal(const struct payload *payload, uint64_t connection, uint64_t number,
                   const uint8_t *bytes, size_t n, size_t *at)
{
    struct payload_body body;
    bool equal = is_plain(payload) && n == payload->longest
                     ? is_equal_plain(payload, key_of(connection, number), bytes)
                     : is_equal(payload, connection, number, bytes, n);

    if (!equal) {
        payload_body(payload, connection, number, &body);
        *at = find_difference(&body, bytes, n);
    }
    return equal;
}

size_t payload_longest(const struct payload *payload)
{
    return payload->longest;
}

size_t payload_count(const struct payload *payload)
{
    return payload->count;
}
