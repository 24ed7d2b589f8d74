#include "config.h"

#include "sockopt_internal.h"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "nearest.h"
#include "units.h"

#define BOTH (ON_CONNECT | ON_LISTEN)
#define SECOND_US 1000000
#define MS_US 1000

static const struct sockopt_row rows[] = {
    {.name = "nodelay",
     .level = IPPROTO_TCP,
     .option = TCP_NODELAY,
     .kind = SOCKOPT_FLAG,
     .on = BOTH},
    {.name = "rcvbuf",
     .level = SOL_SOCKET,
     .option = SO_RCVBUF,
     .kind = SOCKOPT_BYTES,
     .on = BOTH,
     .unix_too = true,
     .min = 1,
     .max = 1 << 30,
     .back = BACK_DOUBLE,
     .limit = "net.core.rmem_max",
     .example = "1M"},
    {.name = "sndbuf",
     .level = SOL_SOCKET,
     .option = SO_SNDBUF,
     .kind = SOCKOPT_BYTES,
     .on = BOTH,
     .unix_too = true,
     .min = 1,
     .max = 1 << 30,
     .back = BACK_DOUBLE,
     .limit = "net.core.wmem_max",
     .example = "1M"},
    {.name = "congestion",
     .level = IPPROTO_TCP,
     .option = TCP_CONGESTION,
     .kind = SOCKOPT_TEXT,
     .on = BOTH,
     .max = 15, /* TCP_CA_NAME_MAX with its NUL is 16 */
     .example = "cubic"},
    {.name = "keepalive",
     .level = SOL_SOCKET,
     .option = SO_KEEPALIVE,
     .kind = SOCKOPT_FLAG,
     .on = BOTH},
    {.name = "keepidle",
     .level = IPPROTO_TCP,
     .option = TCP_KEEPIDLE,
     .kind = SOCKOPT_TIME,
     .on = BOTH,
     .unit_us = SECOND_US,
     .min = 1,
     .max = 32767,
     .example = "60s"},
    {.name = "keepintvl",
     .level = IPPROTO_TCP,
     .option = TCP_KEEPINTVL,
     .kind = SOCKOPT_TIME,
     .on = BOTH,
     .unit_us = SECOND_US,
     .min = 1,
     .max = 32767,
     .example = "10s"},
    {.name = "keepcnt",
     .level = IPPROTO_TCP,
     .option = TCP_KEEPCNT,
     .kind = SOCKOPT_NUMBER,
     .on = BOTH,
     .min = 1,
     .max = 127,
     .example = "3"},
    {.name = "user-timeout",
     .level = IPPROTO_TCP,
     .option = TCP_USER_TIMEOUT,
     .kind = SOCKOPT_TIME,
     .on = BOTH,
     .unit_us = MS_US,
     .min = 0,
     .max = INT32_MAX,
     .example = "30s"},
    {.name = "notsent-lowat",
     .level = IPPROTO_TCP,
     .option = TCP_NOTSENT_LOWAT,
     .kind = SOCKOPT_BYTES,
     .on = BOTH,
     .min = 1,
     .max = INT32_MAX,
     .example = "128K"},
    {.name = "quickack",
     .level = IPPROTO_TCP,
     .option = TCP_QUICKACK,
     .kind = SOCKOPT_FLAG,
     .on = ON_CONNECTED}, /* the handshake sets it anew */
    {.name = "maxseg",
     .level = IPPROTO_TCP,
     .option = TCP_MAXSEG,
     .kind = SOCKOPT_BYTES,
     .on = BOTH,
     .min = 88,
     .max = 32767,
     .example = "1400"},
    {.name = "window-clamp",
     .level = IPPROTO_TCP,
     .option = TCP_WINDOW_CLAMP,
     .kind = SOCKOPT_BYTES,
     .on = BOTH,
     .min = 1,
     .max = 1 << 30,
     .example = "64K"},
    {.name = "max-pacing-rate",
     .level = SOL_SOCKET,
     .option = SO_MAX_PACING_RATE,
     .kind = SOCKOPT_BYTES,
     .on = BOTH,
     .min = 1,
     .max = UINT32_MAX - 1, /* all ones: no limit */
     .example = "10M"},
    {.name = "syncnt",
     .level = IPPROTO_TCP,
     .option = TCP_SYNCNT,
     .kind = SOCKOPT_NUMBER,
     .on = ON_CONNECT,
     .min = 1,
     .max = 127,
     .example = "2"},
    {.name = "defer-accept",
     .level = IPPROTO_TCP,
     .option = TCP_DEFER_ACCEPT,
     .kind = SOCKOPT_TIME,
     .on = ON_LISTEN,
     .unit_us = SECOND_US,
     .min = 1,
     .max = 3600,
     .back = BACK_AT_LEAST,
     .example = "5s"},
    {.name = "tos",
     .level = IPPROTO_IP,
     .option = IP_TOS,
     .level6 = IPPROTO_IPV6,
     .option6 = IPV6_TCLASS,
     .kind = SOCKOPT_NUMBER,
     .on = BOTH,
     .min = 0,
     .max = 255,
     .example = "0x10"},
    {.name = "ttl",
     .level = IPPROTO_IP,
     .option = IP_TTL,
     .level6 = IPPROTO_IPV6,
     .option6 = IPV6_UNICAST_HOPS,
     .kind = SOCKOPT_NUMBER,
     .on = BOTH,
     .min = 1,
     .max = 255,
     .example = "64"},
    {.name = "priority",
     .level = SOL_SOCKET,
     .option = SO_PRIORITY,
     .kind = SOCKOPT_NUMBER,
     .on = BOTH | ON_CONNECTED, /* accepted sockets do not inherit it */
     .min = 0,
     .max = INT32_MAX,
     .example = "6",
     .may = "over 6 it takes the capability CAP_NET_ADMIN"},
    {.name = "mark",
     .level = SOL_SOCKET,
     .option = SO_MARK,
     .kind = SOCKOPT_NUMBER,
     .on = BOTH,
     .min = 0,
     .max = UINT32_MAX,
     .example = "0x1",
     .may = "it takes the capability CAP_NET_ADMIN"},
    {.name = "bindtodevice",
     .level = SOL_SOCKET,
     .option = SO_BINDTODEVICE,
     .kind = SOCKOPT_TEXT,
     .on = BOTH,
     .max = IFNAMSIZ - 1,
     .example = "eth0",
     .may = "another interface than before takes the capability CAP_NET_RAW"},
    {.name = "freebind",
     .level = IPPROTO_IP,
     .option = IP_FREEBIND,
     .kind = SOCKOPT_FLAG,
     .on = ON_LISTEN},
};

#define ROW_COUNT (sizeof rows / sizeof *rows)

const char *sockopt_name(unsigned i)
{
    return i < ROW_COUNT ? rows[i].name : NULL;
}

static const struct sockopt_row *find_row(const char *name, size_t length)
{
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0)
            return &rows[i];
    }
    return NULL;
}

static int refuse_name(const char *name, struct error *e)
{
    char all[300] = "";
    struct nearest nearest = {0};
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        size_t used = strlen(all);
        nearest_try(&nearest, name, rows[i].name);
        snprintf(all + used, sizeof all - used, "%s%s", used ? " " : "", rows[i].name);
    }
    error_what(e, "--set '%s' names no socket option of this list", name);
    if (nearest.name)
        error_mend(e, "did you mean %s? there are: %s", nearest.name, all);
    else
        error_mend(e, "there are: %s", all);
    return ERR_SYNTAX;
}

static int refuse_value(int rc, const struct sockopt_row *row, const char *text,
                        const struct error *inner, struct error *e)
{
    error_what(e, "--set %s: %.200s", row->name, inner->what);
    if (inner->mend[0])
        error_mend(e, "%s", inner->mend);
    else
        error_mend(e, "write %s=%s", row->name, text);
    return rc;
}

/* Values */

static int parse_flag(const char *text, uint64_t *number, struct error *e)
{
    if (strcmp(text, "on") == 0 || strcmp(text, "1") == 0)
        *number = 1;
    else if (strcmp(text, "off") == 0 || strcmp(text, "0") == 0)
        *number = 0;
    else {
        error_what(e, "'%s' is neither on nor off", text);
        return ERR_SYNTAX;
    }
    return 0;
}

/* A number, also in hex, as its users write tos and mark. */
static int parse_number(const char *text, uint64_t *number, struct error *e)
{
    if (strncasecmp(text, "0x", 2) != 0)
        return units_count(text, number, e);
    size_t digits = strspn(text + 2, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 16 || text[2 + digits]) {
        error_what(e, "'%s' is not a hexadecimal number", text);
        return ERR_SYNTAX;
    }
    *number = strtoull(text, NULL, 16);
    return 0;
}

static int parse_time(const struct sockopt_row *row, const char *text, uint64_t *number,
                      struct error *e)
{
    uint64_t us;
    int rc = units_duration(text, &us, e);
    if (rc < 0)
        return rc;
    if (us % row->unit_us != 0) {
        error_what(e, "'%s' is not a whole number of %s", text,
                   row->unit_us == SECOND_US ? "seconds" : "milliseconds");
        return ERR_RANGE;
    }
    *number = us / row->unit_us;
    return 0;
}

static int parse_word(const struct sockopt_row *row, const char *text, char word[SOCKOPT_WORD],
                      struct error *e)
{
    if (!*text) {
        error_what(e, "the value is empty");
        return ERR_SYNTAX;
    }
    if (strlen(text) > row->max) {
        error_what(e, "'%s' is longer than %u bytes", text, (unsigned)row->max);
        return ERR_RANGE;
    }
    snprintf(word, SOCKOPT_WORD, "%s", text);
    return 0;
}

static int parse_by_kind(const struct sockopt_row *row, const char *text, uint64_t *number,
                         char word[SOCKOPT_WORD], struct error *e)
{
    switch (row->kind) {
    case SOCKOPT_FLAG:
        return parse_flag(text, number, e);
    case SOCKOPT_NUMBER:
        return parse_number(text, number, e);
    case SOCKOPT_BYTES:
        return units_size(text, number, e);
    case SOCKOPT_TIME:
        return parse_time(row, text, number, e);
    case SOCKOPT_TEXT:
        return parse_word(row, text, word, e);
    }
    return ERR_SYNTAX;
}

static int check_range(const struct sockopt_row *row, const char *text, uint64_t number,
                       struct error *e)
{
    char low[UNITS_TEXT], high[UNITS_TEXT];
    const char *unit = "";
    if (row->kind == SOCKOPT_FLAG || row->kind == SOCKOPT_TEXT ||
        (number >= row->min && number <= row->max))
        return 0;
    if (row->kind == SOCKOPT_BYTES)
        unit = " B";
    else if (row->kind == SOCKOPT_TIME)
        unit = row->unit_us == SECOND_US ? " s" : " ms";
    error_what(e, "'%s' is %s %s%s", text, number < row->min ? "under" : "over",
               units_text_count(low, number < row->min ? row->min : row->max), unit);
    error_mend(e, "write from %s to %s%s", units_text_count(low, row->min),
               units_text_count(high, row->max), unit);
    return ERR_RANGE;
}

int sockopt_parse(struct sockopt_value *value, const char *text, struct error *e)
{
    struct error inner = {0};
    char name[80], word[SOCKOPT_WORD] = "";
    uint64_t number = 0;
    size_t length = strcspn(text, "=");
    const struct sockopt_row *row = find_row(text, length);

    snprintf(name, sizeof name, "%.*s", (int)(length < 79 ? length : 79), text);
    if (!row)
        return refuse_name(name, e);
    const char *example = row->example ? row->example : "on";
    if (text[length] == '\0' && row->kind != SOCKOPT_FLAG) {
        error_what(&inner, "it has no value");
        return refuse_value(ERR_SYNTAX, row, example, &inner, e);
    }
    const char *given = text[length] ? text + length + 1 : "on";
    int rc = parse_by_kind(row, given, &number, word, &inner);
    if (rc == 0)
        rc = check_range(row, given, number, &inner);
    if (rc < 0)
        return refuse_value(rc, row, example, &inner, e);
    value->row = row;
    value->number = (uint32_t)number;
    memcpy(value->text, word, sizeof word);
    return 0;
}

int sockopt_check(const char *text, enum options_use program, struct error *e)
{
    struct sockopt_value value;
    int rc = sockopt_parse(&value, text, e);
    if (rc < 0)
        return rc;
    if (value.row->on & (program == USE_SERVER ? ON_LISTEN : ON_CONNECT) ||
        value.row->on & ON_CONNECTED)
        return 0;
    error_what(e, "--set %s belongs to %s", value.row->name,
               program == USE_SERVER ? "synfin, the client" : "synfind, the server");
    error_mend(e, "leave it out here");
    return ERR_SYNTAX;
}
