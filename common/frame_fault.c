#include "config.h"

#include "frame.h"

#include <inttypes.h>
#include <string.h>

#include "frame_internal.h"
#include "units.h"

/* Prefix bytes in hex, or as text with a backslash before what is not printable. */
#define HEX_TEXT (3 * FRAME_HEAD_MAX + 1)
#define QUOTED_TEXT (4 * 16 + 1)

static const char *hex_text(char *out, const uint8_t *bytes, size_t n)
{
    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        sprintf(out + (i == 0 ? 0 : 3 * i - 1), i == 0 ? "%02x" : " %02x", bytes[i]);
    return out;
}

/* Whether the bytes look like a text protocol. A decimal length is text too, and says nothing. */
static bool is_text(const struct frame_codec *codec, const uint8_t *bytes, size_t n)
{
    bool decimal = codec->kind == FRAME_NETSTRING || codec->kind == FRAME_OCTET;

    if (n < 2 - (size_t)decimal || (decimal && bytes[0] >= '0' && bytes[0] <= '9'))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((bytes[i] < ' ' || bytes[i] > '~') && bytes[i] != '\r' && bytes[i] != '\n' &&
            bytes[i] != '\t')
            return false;
    return true;
}

static const char *quote_text(char *out, const uint8_t *bytes, size_t n)
{
    char *p = out;

    for (size_t i = 0; i < n; i++) {
        if (bytes[i] >= ' ')
            *p++ = (char)bytes[i];
        else
            p += sprintf(p, bytes[i] == '\r' ? "\\r" : bytes[i] == '\n' ? "\\n" : "\\t");
    }
    *p = '\0';
    return out;
}

/* The codec's name with the other byte order, "u32le:adjust=-4" of "u32be:adjust=-4". False: it has
 * none, or is a preset, whose order its document settles. */
static bool other_name(const struct frame_codec *codec, char *out, size_t size)
{
    const char *order = strstr(codec->name, "order=");

    if (codec->kind != FRAME_LENGTH || codec->width == 1)
        return false;
    snprintf(out, size, "%s", codec->name);
    if (codec->name[0] == 'u') {
        char *ends = out + strcspn(out, ":") - 2;
        memcpy(ends, codec->little ? "be" : "le", 2);
        return true;
    }
    if (strncmp(codec->name, "field", 5) != 0)
        return false;
    if (order != NULL)
        memcpy(out + (order - codec->name) + strlen("order="), codec->little ? "be" : "le", 2);
    else
        snprintf(out + strlen(out), size - strlen(out), "%corder=le",
                 strchr(out, ':') == NULL ? ':' : ',');
    return true;
}

static bool other_order_hint(const struct frame_codec *codec, const struct frame_fault *fault,
                             struct error *e)
{
    char name[sizeof codec->name + sizeof ":order=le"], bytes[UNITS_TEXT];
    uint64_t head = (uint64_t)codec->offset + codec->width;

    if (codec->kind != FRAME_LENGTH || fault->prefix_length < head ||
        !other_name(codec, name, sizeof name))
        return false;
    uint64_t reads = frame_field_read(fault->prefix + codec->offset, codec->width, !codec->little);
    if (codec->adjust < 0 && reads < 0 - (uint64_t)codec->adjust)
        return false;
    reads += (uint64_t)codec->adjust + (codec->strip ? 0 : head);
    if (reads > codec->max_body)
        return false;
    error_mend(e, "-F %s reads it as %s", name, units_text_exact_bytes(bytes, reads));
    return true;
}

/* A delimiter does not come, and the bytes begin as frames of a length do. */
static bool length_hint(const struct frame_codec *codec, const struct frame_fault *fault,
                        struct error *e)
{
    char bytes[UNITS_TEXT];

    if (codec->kind != FRAME_DELIMITER || fault->prefix_length < 4 || fault->prefix[0] != 0)
        return false;
    uint64_t reads = frame_field_read(fault->prefix, 4, false);
    if (reads > codec->max_body)
        return false;
    error_mend(e, "-F u32be reads it as %s", units_text_exact_bytes(bytes, reads));
    return true;
}

static bool protocol_hint(const struct frame_codec *codec, const struct frame_fault *fault,
                          struct error *e)
{
    char text[QUOTED_TEXT];
    const uint8_t *prefix = fault->prefix;

    if (fault->prefix_length >= 2 && (prefix[0] == 0x16 || prefix[0] == 0x15) &&
        prefix[1] == 0x03) {
        error_mend(e, "the prefix is a TLS %s: the other end speaks TLS, this one does not",
                   prefix[0] == 0x16 ? "handshake" : "alert");
        return true;
    }
    if (codec->kind == FRAME_DELIMITER || !is_text(codec, prefix, fault->prefix_length))
        return false;
    error_mend(e, "the prefix is text, \"%s\": try -F line or -F crlf",
               quote_text(text, prefix, fault->prefix_length));
    return true;
}

/* "--max-frame 128M lets it in": the next power of two, if it may be asked for. */
static void limit_hint(const struct frame_fault *fault, struct error *e)
{
    uint64_t size = 1024;
    unsigned unit = 0;

    if (fault->length > FRAME_OPTION_MAX) {
        error_mend(e, "is the framing right? --frame list shows what there is");
        return;
    }
    while (size < fault->length)
        size *= 2;
    for (; size >= 1024 && unit < 3; unit++)
        size /= 1024;
    error_mend(e, "if the peer means it, --max-frame %" PRIu64 "%c lets it in", size, "BKMG"[unit]);
}

static void prefix_text(const struct frame_fault *fault, char *out, size_t size)
{
    char hex[HEX_TEXT];

    out[0] = '\0';
    if (fault->prefix_length > 0)
        snprintf(out, size, "; prefix %s", hex_text(hex, fault->prefix, fault->prefix_length));
}

static void large_text(const struct frame_codec *codec, const struct frame_fault *fault,
                       struct error *e)
{
    char prefix[HEX_TEXT + 16], hex[HEX_TEXT], length[UNITS_TEXT], limit[UNITS_TEXT];

    prefix_text(fault, prefix, sizeof prefix);
    units_text_bytes(limit, fault->limit);
    if (codec->kind == FRAME_DELIMITER)
        error_what(e, "no delimiter %s in %s%s", hex_text(hex, codec->end, codec->end_length),
                   limit, prefix);
    else
        error_what(e, "a length of %s%s is over %s%s",
                   fault->length == UINT64_MAX ? "at least " : "",
                   units_text_exact_bytes(length, fault->length), limit, prefix);
    if (protocol_hint(codec, fault, e) || other_order_hint(codec, fault, e) ||
        length_hint(codec, fault, e))
        return;
    limit_hint(fault, e);
}

static void negative_text(const struct frame_codec *codec, const struct frame_fault *fault,
                          struct error *e)
{
    char prefix[HEX_TEXT + 16], length[UNITS_TEXT];
    long long counts = -(long long)codec->adjust;

    prefix_text(fault, prefix, sizeof prefix);
    error_what(e, "a length of %s is under the %lld B it must count%s",
               units_text_exact_bytes(length, fault->length), counts, prefix);
    if (protocol_hint(codec, fault, e) || other_order_hint(codec, fault, e))
        return;
    if (strstr(codec->name, "adjust") != NULL)
        error_mend(e, "if the length does not count its header: %s without adjust=%lld",
                   codec->name, -counts);
    else
        error_mend(e, "is the framing right? --frame list shows what there is");
}

static void encode_text(const struct frame_codec *codec, const struct frame_fault *fault,
                        struct error *e)
{
    char length[UNITS_TEXT], limit[UNITS_TEXT], hex[HEX_TEXT];

    units_text_exact_bytes(length, fault->length);
    units_text_exact_bytes(limit, fault->limit);
    if (fault->why == frame_why_field) {
        error_what(e, "a body of %s does not fit the length field of %s, at most %s", length,
                   codec->name, limit);
        error_mend(e, "a wider field, such as -F u32be or -F u64be, or a smaller body");
    } else if (fault->why == frame_why_short) {
        error_what(e, "a body of %s is shorter than %s can say, at least %s", length, codec->name,
                   limit);
        error_mend(e, "a longer body, or a smaller adjust");
    } else if (fault->why == frame_why_disagrees) {
        error_what(e, "a message of %s whose own length field makes it %s, in %s", limit,
                   fault->length == 0 ? "longer" : length, codec->name);
        error_mend(e, "%s takes messages whole, with their header", codec->name);
    } else {
        error_what(e,
                   "the body of %s holds the delimiter %s of %s: the peer would read %s of it "
                   "as a frame",
                   limit, hex_text(hex, codec->end, codec->end_length), codec->name, length);
        error_mend(e, "a codec with a length, such as -F u32be, carries any byte");
    }
}

void frame_fault_text(const struct frame_codec *codec, const struct frame_fault *fault,
                      struct error *e)
{
    char prefix[HEX_TEXT + 16];

    if (fault->why == NULL) {
        large_text(codec, fault, e);
        return;
    }
    if (fault->why == frame_why_negative) {
        negative_text(codec, fault, e);
        return;
    }
    if (fault->why == frame_why_field || fault->why == frame_why_short ||
        fault->why == frame_why_disagrees || fault->why == frame_why_delimiter) {
        encode_text(codec, fault, e);
        return;
    }
    prefix_text(fault, prefix, sizeof prefix);
    error_what(e, "%s%s", fault->why, prefix);
    if (fault->why == frame_why_empty)
        error_mend(e, "leave empty frames out; -F line and -F u32be have them");
    if (fault->prefix_length > 0 && !protocol_hint(codec, fault, e))
        error_mend(e, "is the framing right? --frame list shows what there is");
}

const char *frame_other_order(const struct frame_codec *codec, uint64_t length, uint64_t *reads)
{
    static const char *const names[][2] = {
        {"u16be", "u16le"}, {"u24be", "u24le"}, {"u32be", "u32le"}, {"u64be", "u64le"}};
    uint8_t field[8];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(codec->name, names[i][codec->little]) != 0)
            continue;
        if (length > frame_field_most(codec->width))
            return NULL;
        for (unsigned b = 0; b < codec->width; b++)
            field[b] = (uint8_t)(length >> (8 * b));
        *reads = frame_field_read(field, codec->width, false);
        return names[i][!codec->little];
    }
    return NULL;
}
