#include "config.h"

#include "frame.h"

#include <string.h>

#include "frame_internal.h"
#include "nearest.h"

#define TAKES_FIELD                                                                                \
    (FRAME_TAKES_OFFSET | FRAME_TAKES_WIDTH | FRAME_TAKES_ORDER | FRAME_TAKES_ADJUST |             \
     FRAME_TAKES_STRIP)
#define TAKES_VARINT (FRAME_TAKES_OFFSET | FRAME_TAKES_MAX | FRAME_TAKES_ADJUST | FRAME_TAKES_STRIP)
#define STRIPPED(w, is_little)                                                                     \
    {                                                                                              \
        .kind = FRAME_LENGTH, .strip = true, .width = (w), .little = (is_little)                   \
    }
#define UNTIL(n, ...)                                                                              \
    {                                                                                              \
        .kind = FRAME_DELIMITER, .strip = true, .end_length = (n), .end = { __VA_ARGS__ }          \
    }

/* A client's StartupMessage has no type byte. */
static const struct frame_codec postgres_startup = {
    .name = "postgres startup", .kind = FRAME_LENGTH, .width = 4, .adjust = -4};

static const struct frame_row rows[] = {
    {"u8", "length:1 body", "", FRAME_TAKES_ADJUST, STRIPPED(1, false)},
    {"u16be", "length:2 body", "Erlang packet 2, Twisted Int16", FRAME_TAKES_ADJUST,
     STRIPPED(2, false)},
    {"u16le", "length:2 body, low byte first", "", FRAME_TAKES_ADJUST, STRIPPED(2, true)},
    {"u24be", "length:3 body", "", FRAME_TAKES_ADJUST, STRIPPED(3, false)},
    {"u24le", "length:3 body, low byte first", "", FRAME_TAKES_ADJUST, STRIPPED(3, true)},
    {"u32be", "length:4 body", "Erlang packet 4, Twisted, Tokio, Thrift framed", FRAME_TAKES_ADJUST,
     STRIPPED(4, false)},
    {"u32le", "length:4 body, low byte first", "", FRAME_TAKES_ADJUST, STRIPPED(4, true)},
    {"u64be", "length:8 body", "", FRAME_TAKES_ADJUST, STRIPPED(8, false)},
    {"u64le", "length:8 body, low byte first", "", FRAME_TAKES_ADJUST, STRIPPED(8, true)},
    {"field", "any shape with a length field", "synfin-frame(7)", TAKES_FIELD, STRIPPED(4, false)},
    {"varint",
     "length:1-10 body, 7 bits a byte",
     "Protocol Buffers, delimited",
     TAKES_VARINT,
     {.kind = FRAME_VARINT, .strip = true, .width = 10}},
    {"netstring",
     "\"5:hello,\"",
     "cr.yp.to/proto/netstrings.txt",
     0,
     {.kind = FRAME_NETSTRING, .strip = true}},
    {"octet",
     "\"5 hello\"",
     "RFC 6587 3.4.1, octet counting (syslog)",
     0,
     {.kind = FRAME_OCTET, .strip = true}},
    {"line", "body 0a", "a CR before it stays in the body", 0, UNTIL(1, '\n')},
    {"crlf", "body 0d 0a", "redis, memcached, SMTP", 0, UNTIL(2, '\r', '\n')},
    {"nul", "body 00", "", 0, UNTIL(1, 0)},
    {"mllp",
     "0b body 1c 0d",
     "HL7 Minimal Lower Layer Protocol",
     0,
     {.kind = FRAME_DELIMITER,
      .strip = true,
      .start_length = 1,
      .start = {0x0b},
      .end_length = 2,
      .end = {0x1c, 0x0d}}},
    {"delim", "body delimiter", "delim:0d0a is crlf", FRAME_TAKES_HEX, UNTIL(0, 0)},
    {"raw", "body", "what one read brings", 0, {.kind = FRAME_RAW, .strip = true}},
    {"dns", "length:2 body", "RFC 1035 4.2.2, RFC 7766 8", 0, STRIPPED(2, false)},
    {"kafka", "length:4 body", "kafka.apache.org/protocol, Common Structure", 0,
     STRIPPED(4, false)},
    {"mqtt",
     "type:1 varint:1-4 rest",
     "OASIS MQTT 3.1.1 2.2, MQTT 5.0 2.1",
     0,
     {.kind = FRAME_VARINT, .offset = 1, .width = 4}},
    {"mysql",
     "length:3 number:1 rest, low byte first",
     "MySQL Source Code Documentation, MySQL Packets",
     0,
     {.kind = FRAME_LENGTH, .width = 3, .little = true, .adjust = 1}},
    {"postgres",
     "type:1 length:4 (counts itself) rest",
     "PostgreSQL documentation, Message Formats",
     0,
     {.kind = FRAME_LENGTH, .offset = 1, .width = 4, .adjust = -4, .first = &postgres_startup}},
};
#define ROWS (sizeof rows / sizeof rows[0])

const struct frame_row *frame_row_find(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

void frame_row_nearest(const char *name, char *out, size_t size)
{
    struct nearest nearest = {0};
    size_t used = 0;

    /* "u32" is short for two of them. */
    out[0] = '\0';
    for (size_t i = 0; i < ROWS && name[0] != '\0' && used < size; i++)
        if (strncmp(rows[i].name, name, strlen(name)) == 0)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used == 0 ? "" : " or ",
                                     rows[i].name);
    if (used > 0)
        return;
    for (size_t i = 0; i < ROWS; i++)
        nearest_try(&nearest, name, rows[i].name);
    if (nearest.name != NULL)
        snprintf(out, size, "%s", nearest.name);
}

void frame_codec_list(FILE *out)
{
    fputs("codec      on the wire                             spoken by, read from\n", out);
    for (size_t i = 0; i < ROWS; i++) {
        bool document = rows[i].document[0] != '\0';
        fprintf(out, "%-9s  %-*s%s%s\n", rows[i].name, document ? 38 : 0, rows[i].wire,
                document ? "  " : "", rows[i].document);
    }
    fputs(
        "\n"
        "length:4 is a length of 4 bytes, high byte first, that counts the body. mqtt, mysql and\n"
        "postgres hand the header over with the rest; elsewhere it is taken off.\n"
        "u8 ... u64le:adjust=N    the body has N bytes more than the length says (-4: it counts\n"
        "                         itself)\n"
        "field:offset=O,width=W,order=be|le,adjust=N,strip=yes|no\n"
        "                         a length of W bytes (4) after O bytes (0), then length + N (0)\n"
        "                         bytes; strip=no hands the header over too (default if O > 0)\n"
        "varint:offset=O,max=M,adjust=N,strip=yes|no\n"
        "                         the same with a varint of at most M bytes (10)\n"
        "delim:HEX                any delimiter of 1 to 32 bytes, written in hex\n",
        out);
}
