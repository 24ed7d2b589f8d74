#include "config.h"

#include "frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frame_internal.h"

/* The keys of parameters and the bits that allow them. */
static const struct {
    const char *key;
    unsigned bit;
} keys[] = {
    {"offset", FRAME_TAKES_OFFSET}, {"width", FRAME_TAKES_WIDTH}, {"order", FRAME_TAKES_ORDER},
    {"adjust", FRAME_TAKES_ADJUST}, {"strip", FRAME_TAKES_STRIP}, {"max", FRAME_TAKES_MAX},
};
#define KEYS (sizeof keys / sizeof keys[0])

#define TEXT_MOST 200 /* bytes of a codec's text that can be right */

static int unknown(const char *name, struct error *e)
{
    char near[64];

    error_what(e, "\"%s\" is no codec", name);
    frame_row_nearest(name, near, sizeof near);
    if (near[0] != '\0')
        error_mend(e, "did you mean %s? --frame list shows them all", near);
    else
        error_mend(e, "--frame list shows them all");
    return ERR_SYNTAX;
}

/* ": it takes offset, max": what to write instead. */
static int no_such_key(const struct frame_row *row, const char *key, struct error *e)
{
    char list[64] = "";

    for (size_t i = 0; i < KEYS; i++)
        if ((row->takes & keys[i].bit) != 0) {
            size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", used == 0 ? "" : ", ", keys[i].key);
        }
    error_what(e, "the codec %s has no parameter \"%.40s\"", row->name, key);
    if (list[0] != '\0')
        error_mend(e, "it takes %s", list);
    else if (row->codec.kind == FRAME_DELIMITER)
        error_mend(e, "it takes none; another delimiter is written in hex, such as delim:0d0a");
    else
        error_mend(e, "it takes none; another shape is written with field:, see synfin-frame(7)");
    return ERR_SYNTAX;
}

static int parse_number(const char *key, const char *text, int64_t least, int64_t most,
                        int64_t *value, struct error *e)
{
    char *end;
    const char *digits = text + (text[0] == '-' || text[0] == '+');

    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '\0') {
        error_what(e, "%s=%.40s is not a whole number", key, text);
        error_mend(e, "write %s=%lld", key, (long long)(least > 0 ? least : 0));
        return ERR_SYNTAX;
    }
    if (errno == ERANGE || n < least || n > most) {
        error_what(e, "%s=%.40s is out of range", key, text);
        error_mend(e, "%s is from %lld to %lld", key, (long long)least, (long long)most);
        return ERR_RANGE;
    }
    *value = n;
    return 0;
}

static int parse_choice(const char *key, const char *text, const char *yes, const char *no,
                        bool *value, struct error *e)
{
    *value = strcmp(text, yes) == 0;
    if (*value || strcmp(text, no) == 0)
        return 0;
    error_what(e, "%s=%.40s is not known", key, text);
    error_mend(e, "%s is %s or %s", key, yes, no);
    return ERR_SYNTAX;
}

static int set_width(struct frame_codec *codec, int64_t width, struct error *e)
{
    if (width > 4 && width != 8) {
        error_what(e, "width=%d is not a width a length field can have", (int)width);
        error_mend(e, "width is 1, 2, 3, 4 or 8");
        return ERR_RANGE;
    }
    codec->width = (uint8_t)width;
    return 0;
}

static int set_parameter(struct frame_codec *codec, unsigned bit, const char *key,
                         const char *value, struct error *e)
{
    int64_t n = 0;
    int rc = 0;

    switch (bit) {
    case FRAME_TAKES_OFFSET:
        rc = parse_number(key, value, 0, FRAME_HEAD_MAX - 1, &n, e);
        codec->offset = (uint8_t)n;
        return rc;
    case FRAME_TAKES_WIDTH:
        rc = parse_number(key, value, 1, 8, &n, e);
        return rc < 0 ? rc : set_width(codec, n, e);
    case FRAME_TAKES_MAX:
        rc = parse_number(key, value, 1, 10, &n, e);
        codec->width = (uint8_t)n;
        return rc;
    case FRAME_TAKES_ORDER:
        return parse_choice(key, value, "le", "be", &codec->little, e);
    case FRAME_TAKES_STRIP:
        return parse_choice(key, value, "yes", "no", &codec->strip, e);
    default:
        return parse_number(key, value, INT32_MIN, INT32_MAX, &codec->adjust, e);
    }
}

/* "key=value,key=value", which is taken apart. */
static int parse_parameters(struct frame_codec *codec, const struct frame_row *row, char *text,
                            struct error *e)
{
    unsigned given = 0;

    for (char *next = text; next != NULL;) {
        char *key = strsep(&next, ","), *value = strchr(key, '=');
        size_t i = 0;
        if (value != NULL)
            *value++ = '\0';
        while (i < KEYS && ((row->takes & keys[i].bit) == 0 || strcmp(keys[i].key, key) != 0))
            i++;
        if (i == KEYS)
            return no_such_key(row, key, e);
        if (value == NULL || (given & keys[i].bit) != 0) {
            error_what(e, "the codec's parameter \"%s\" %s", key,
                       value == NULL ? "has no value" : "is given twice");
            error_mend(e, value == NULL ? "write %s=VALUE" : "give %s once", key);
            return ERR_SYNTAX;
        }
        given |= keys[i].bit;
        int rc = set_parameter(codec, keys[i].bit, key, value, e);
        if (rc < 0)
            return rc;
    }
    /* What stands before a length field is part of the message, unless it is said not to be. */
    if ((given & FRAME_TAKES_STRIP) == 0 && codec->offset > 0)
        codec->strip = false;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_hex(struct frame_codec *codec, const char *text, struct error *e)
{
    size_t n = strlen(text);
    const char *wrong = NULL;

    for (size_t i = 0; i < n && wrong == NULL; i++)
        if (hex_digit(text[i]) < 0)
            wrong = "is not hex digits";
    if (wrong == NULL && (n == 0 || n % 2 != 0))
        wrong = n == 0 ? "is empty" : "has an odd number of hex digits";
    if (wrong == NULL && n / 2 > FRAME_HEAD_MAX)
        wrong = "is longer than 32 bytes";
    if (wrong != NULL) {
        error_what(e, "the delimiter \"%.80s\" %s", text, wrong);
        error_mend(e, "write 1 to 32 bytes in hex, such as delim:0d0a");
        return ERR_SYNTAX;
    }
    codec->end_length = (uint8_t)(n / 2);
    for (size_t i = 0; i < n / 2; i++)
        codec->end[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return 0;
}

/* Knuth, Morris and Pratt: what stays matched where the next byte is wrong. */
static void fill_back(struct frame_codec *codec)
{
    unsigned k = 0;

    for (unsigned i = 2; i < codec->end_length; i++) {
        while (k > 0 && codec->end[k] != codec->end[i - 1])
            k = codec->back[k];
        k += codec->end[k] == codec->end[i - 1];
        codec->back[i] = (uint8_t)k;
    }
}

/* Parameters that are each in range, and together describe no frame. */
static int check_field(const struct frame_codec *codec, struct error *e)
{
    uint64_t head = (uint64_t)codec->offset + codec->width, more = 0;
    uint64_t most = codec->kind == FRAME_LENGTH ? frame_field_most(codec->width)
                                                : frame_varint_most(codec->width);

    if (head > FRAME_HEAD_MAX) {
        error_what(e, "offset=%u and %u bytes of length make a header over %d bytes", codec->offset,
                   codec->width, FRAME_HEAD_MAX);
        error_mend(e, "an offset up to %d fits", FRAME_HEAD_MAX - codec->width);
        return ERR_RANGE;
    }
    if (codec->adjust < 0 && 0 - (uint64_t)codec->adjust > most) {
        error_what(e, "adjust=%lld makes every length negative: the field holds at most %llu",
                   (long long)codec->adjust, (unsigned long long)most);
        error_mend(e, "a length that counts its own header of %u bytes has adjust=-%u",
                   (unsigned)head, (unsigned)head);
        return ERR_RANGE;
    }
    if (codec->adjust > 0)
        more = (uint64_t)codec->adjust;
    if (!codec->strip)
        more += codec->kind == FRAME_LENGTH ? head : codec->offset + 1u;
    if (more > codec->max_body) {
        error_what(e, "every frame of the codec %s has at least %llu B, over the limit of %llu B",
                   codec->name, (unsigned long long)more, (unsigned long long)codec->max_body);
        error_mend(e, "a larger --max-frame");
        return ERR_RANGE;
    }
    return 0;
}

static int check(const struct frame_codec *codec, struct error *e)
{
    if (codec->kind == FRAME_LENGTH || codec->kind == FRAME_VARINT)
        return check_field(codec, e);
    if (codec->max_body == 0 && (codec->kind == FRAME_RAW || codec->kind == FRAME_OCTET)) {
        error_what(e, "the codec %s has no empty frame, and the limit is 0 B", codec->name);
        error_mend(e, "--max-frame 1 or more");
        return ERR_RANGE;
    }
    return 0;
}

static int parse_rest(struct frame_codec *codec, const struct frame_row *row, char *rest,
                      struct error *e)
{
    if ((row->takes & FRAME_TAKES_HEX) != 0)
        return parse_hex(codec, rest == NULL ? "" : rest, e);
    return rest == NULL ? 0 : parse_parameters(codec, row, rest, e);
}

int frame_codec_parse(struct frame_codec *codec, const char *text, uint64_t max_body,
                      struct error *e)
{
    char copy[TEXT_MOST + 1], *rest = copy;

    if (strlen(text) > TEXT_MOST) {
        error_what(e, "a codec of %zu letters, \"%.40s...\"", strlen(text), text);
        error_mend(e, "--frame list shows them all");
        return ERR_SYNTAX;
    }
    strcpy(copy, text);
    char *name = strsep(&rest, ":");
    const struct frame_row *row = frame_row_find(name);
    if (row == NULL)
        return unknown(name, e);

    struct frame_codec made = row->codec;
    snprintf(made.name, sizeof made.name, "%s", text);
    made.max_body = max_body < FRAME_LIMIT_MAX ? max_body : FRAME_LIMIT_MAX;
    int rc = parse_rest(&made, row, rest, e);
    if (rc == 0)
        rc = check(&made, e);
    if (rc < 0)
        return rc;
    fill_back(&made);
    *codec = made;
    return 0;
}
