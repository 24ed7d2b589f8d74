#include "config.h"

#include "trace.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "units.h"

#define SHOWN_BYTES 256
#define LINE_BYTES 16
#define PREFIX_BYTES 160
/* Columns of hex up to the text: of a short frame (ten bytes and a bar), and of a whole line of
 * sixteen bytes and two bars, so that the texts of like frames stand below each other. */
#define SHORT_COLUMNS 31
#define FULL_COLUMNS 51
#define TEXT_GAP 3
#define OUT_BYTES                                                                                  \
    ((SHOWN_BYTES / LINE_BYTES + 2) * (PREFIX_BYTES + FULL_COLUMNS + TEXT_GAP + LINE_BYTES + 16))

/* The wire form of a frame in its three parts. */
struct wire {
    const uint8_t *part[3];
    size_t length[3];
};

struct out {
    char text[OUT_BYTES];
    size_t used;
};

static void put_text(struct out *out, const char *text, size_t length)
{
    memcpy(out->text + out->used, text, length);
    out->used += length;
}

static void put_spaces(struct out *out, size_t n)
{
    memset(out->text + out->used, ' ', n);
    out->used += n;
}

static void put_byte(struct out *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    const char hex[3] = {digits[byte >> 4], digits[byte & 15], ' '};
    put_text(out, hex, sizeof hex);
}

static size_t wire_length(const struct wire *wire)
{
    return wire->length[0] + wire->length[1] + wire->length[2];
}

/* The byte at `offset`, and which part it is in. */
static uint8_t wire_byte(const struct wire *wire, size_t offset, int *part)
{
    for (*part = 0; offset >= wire->length[*part]; ++*part)
        offset -= wire->length[*part];
    return wire->part[*part][offset];
}

/* How many bars stand before `offset`: one between header and body, one before the trailer. */
static int bars_before(const struct wire *wire, size_t offset)
{
    size_t body = wire->length[0], tail = body + wire->length[1];
    bool head_bar = wire->length[0] > 0 && offset == body;
    bool tail_bar = wire->length[2] > 0 && offset == tail;
    return head_bar + tail_bar;
}

static void put_bars(struct out *out, int bars)
{
    for (; bars > 0; bars--)
        put_text(out, "| ", 2);
}

static void put_hex(struct out *out, const struct wire *wire, size_t offset, size_t end)
{
    int part;
    size_t start = out->used;
    for (size_t i = offset; i < end; i++) {
        put_bars(out, bars_before(wire, i));
        put_byte(out, wire_byte(wire, i, &part));
    }
    if (end == wire_length(wire) && wire->length[2] == 0)
        put_bars(out, bars_before(wire, end));
    if (out->used > start)
        out->used--; /* the last space */
}

static void put_body_text(struct out *out, const struct wire *wire, size_t offset, size_t end)
{
    for (size_t i = offset; i < end; i++) {
        int part;
        uint8_t byte = wire_byte(wire, i, &part);
        if (part == 1)
            out->text[out->used++] = byte >= 0x20 && byte < 0x7f ? (char)byte : '.';
    }
}

/* Whether bytes of the body are among those from `offset` to `end`. */
static bool has_body(const struct wire *wire, size_t offset, size_t end)
{
    return offset < wire->length[0] + wire->length[1] && end > wire->length[0];
}

static void put_line(struct out *out, const struct wire *wire, size_t offset, size_t end)
{
    size_t length = wire_length(wire), start = out->used;
    put_hex(out, wire, offset, end);
    if (has_body(wire, offset, end) && wire->length[1] > 0) {
        size_t used = out->used - start;
        size_t columns =
            length <= LINE_BYTES && used <= SHORT_COLUMNS ? SHORT_COLUMNS : FULL_COLUMNS;
        put_spaces(out, (used < columns ? columns - used : 0) + TEXT_GAP);
        put_body_text(out, wire, offset, end);
    }
    put_text(out, "\n", 1);
}

static size_t put_prefix(struct out *out, uint64_t since_us, uint64_t conn_number, char direction,
                         uint64_t frame_number, size_t body_length)
{
    char prefix[PREFIX_BYTES], number[UNITS_TEXT], bytes[UNITS_TEXT], conn[UNITS_TEXT + 2] = "";
    if (conn_number)
        snprintf(conn, sizeof conn, "#%llu ", (unsigned long long)conn_number);
    int length = snprintf(prefix, sizeof prefix, "%2llu.%03u ms %s%c frame %s, %s   ",
                          (unsigned long long)(since_us / 1000), (unsigned)(since_us % 1000), conn,
                          direction, units_text_count(number, frame_number),
                          units_text_exact_bytes(bytes, body_length));
    put_text(out, prefix, (size_t)length);
    return (size_t)length;
}

/* The start of a further line: the offset of its first byte, where the first line has its length.
 */
static void put_offset(struct out *out, size_t columns, size_t offset)
{
    char prefix[PREFIX_BYTES];
    int length = snprintf(prefix, sizeof prefix, "%*zu   ", (int)columns - 3, offset);
    put_text(out, prefix, (size_t)length);
}

static void put_rest(struct out *out, size_t columns, size_t bytes)
{
    char number[UNITS_TEXT], line[PREFIX_BYTES];
    int length = snprintf(line, sizeof line, "%s %s more B\n", units_utf8() ? "…" : "...",
                          units_text_count(number, bytes));
    put_spaces(out, columns);
    put_text(out, line, (size_t)length);
}

void trace_frame(uint64_t since_us, uint64_t conn_number, char direction, uint64_t frame_number,
                 const uint8_t *head, size_t head_length, const uint8_t *body, size_t body_length,
                 const uint8_t *tail, size_t tail_length)
{
    struct wire wire = {{head, body, tail}, {head_length, body_length, tail_length}};
    size_t length = wire_length(&wire);
    size_t shown = length < SHOWN_BYTES ? length : SHOWN_BYTES;
    struct out out;

    out.used = 0;
    size_t columns = put_prefix(&out, since_us, conn_number, direction, frame_number, body_length);
    size_t offset = 0;
    do {
        size_t end = offset + LINE_BYTES < shown ? offset + LINE_BYTES : shown;
        if (offset > 0)
            put_offset(&out, columns, offset);
        put_line(&out, &wire, offset, end);
        offset = end;
    } while (offset < shown);
    if (shown < length)
        put_rest(&out, columns, length - shown);
    log_raw(out.text, out.used);
}
