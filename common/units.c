#include "config.h"

#include "units.h"

#include <ctype.h>
#include <langinfo.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Exact products of a 64-bit number, a unit and a power of ten need more than 64 bits. */
__extension__ typedef unsigned __int128 wide;

/* A unit in the base unit of its kind (microseconds, bytes, ones). */
struct unit {
    const char *suffix;
    uint64_t size;
};

static const struct unit duration_units[] = {
    {"us", 1},          {"ms", 1000},         {"s", 1000000},
    {"m", 60000000ULL}, {"h", 3600000000ULL}, {"", 1000000},
};
static const struct unit size_units[] = {{"", 1}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}};
static const struct unit count_units[] = {{"", 1}, {"k", 1000}, {"m", 1000000}, {"g", 1000000000}};

/* A kind of number: what it is called, what is accepted, and its units. */
struct kind {
    const char *noun;
    const char *accepted;
    const struct unit *units;
    size_t unit_count;
    bool rounds; /* a fraction of the base unit is rounded, otherwise refused */
    bool bytes;  /* the suffix may be followed by B or iB */
};

#define UNITS_OF(table) (table), sizeof(table) / sizeof *(table)

static const struct kind duration_kind = {
    "duration", "write a number and us, ms, s, m or h, as in 500ms (bare: seconds), or off",
    UNITS_OF(duration_units), true, false};
static const struct kind size_kind = {
    "size", "write a number of bytes, or one with K, M or G (1024s), as in 64K",
    UNITS_OF(size_units), true, true};
static const struct kind count_kind = {
    "count", "write a whole number, or one with k, m or g (1000s), as in 50k",
    UNITS_OF(count_units), false, false};

#define FRACTION_DIGITS 18 /* more digits than this cannot change any accepted result */

static int refuse_syntax(const struct kind *kind, const char *text, struct error *e)
{
    if (*text)
        error_what(e, "'%s' is not a %s", text, kind->noun);
    else
        error_what(e, "the %s is empty", kind->noun);
    error_mend(e, "%s", kind->accepted);
    return ERR_SYNTAX;
}

static int refuse_range(const struct kind *kind, const char *text, const char *why, struct error *e)
{
    error_what(e, "'%s' is %s", text, why);
    error_mend(e, "%s", kind->accepted);
    return ERR_RANGE;
}

/* Reads digits up to `*end`. False if the number does not fit 64 bits. */
static bool read_digits(const char *text, const char **end, uint64_t *number)
{
    bool fits = true;
    *number = 0;
    for (; isdigit((unsigned char)*text); text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            fits = false;
        else
            *number = *number * 10 + digit;
    }
    *end = text;
    return fits;
}

/* Reads the digits after a point as `*number` / `*scale`; `*more` if any beyond are not zero. */
static void read_fraction(const char *text, const char **end, uint64_t *number, uint64_t *scale,
                          bool *more)
{
    *number = 0;
    *scale = 1;
    *more = false;
    for (int i = 0; isdigit((unsigned char)*text); text++, i++) {
        if (i >= FRACTION_DIGITS) {
            *more = *more || *text != '0';
            continue;
        }
        *number = *number * 10 + (uint64_t)(*text - '0');
        *scale *= 10;
    }
    *end = text;
}

static bool suffix_matches(const struct kind *kind, const struct unit *unit, const char *text)
{
    size_t length = strlen(unit->suffix);
    if (strncasecmp(text, unit->suffix, length) != 0)
        return false;
    const char *rest = text + length;
    if (*rest == '\0')
        return true;
    if (!kind->bytes)
        return false;
    return strcasecmp(rest, "b") == 0 || (length > 0 && strcasecmp(rest, "ib") == 0);
}

static const struct unit *find_unit(const struct kind *kind, const char *suffix)
{
    for (size_t i = 0; i < kind->unit_count; i++) {
        if (suffix_matches(kind, &kind->units[i], suffix))
            return &kind->units[i];
    }
    return NULL;
}

/* The sum of a whole number and a fraction, in base units. */
static int combine(const struct kind *kind, const char *text, uint64_t size, uint64_t whole,
                   uint64_t fraction, uint64_t scale, bool more, uint64_t *value, struct error *e)
{
    wide part = (wide)fraction * size;
    bool exact = part % scale == 0 && !more;
    if (!exact && !kind->rounds)
        return refuse_range(kind, text, "not a whole number", e);
    wide sum = (wide)whole * size + (part + scale / 2) / scale;
    if (sum > UINT64_MAX)
        return refuse_range(kind, text, "too large", e);
    if (sum == 0 && !exact)
        return refuse_range(kind, text, "too small", e);
    *value = (uint64_t)sum;
    return 0;
}

static int parse(const struct kind *kind, const char *text, uint64_t *value, struct error *e)
{
    const char *at = text;
    uint64_t whole = 0, fraction = 0, scale = 1;
    bool more = false;

    if (*at == '-' && isdigit((unsigned char)at[1]))
        return refuse_range(kind, text, "negative", e);
    if (!isdigit((unsigned char)*at))
        return refuse_syntax(kind, text, e);
    bool fits = read_digits(at, &at, &whole);
    if (*at == '.') {
        if (!isdigit((unsigned char)at[1]))
            return refuse_syntax(kind, text, e);
        read_fraction(at + 1, &at, &fraction, &scale, &more);
    }
    const struct unit *unit = find_unit(kind, at);
    if (!unit)
        return refuse_syntax(kind, text, e);
    if (!fits)
        return refuse_range(kind, text, "too large", e);
    return combine(kind, text, unit->size, whole, fraction, scale, more, value, e);
}

int units_duration(const char *text, uint64_t *value_us, struct error *e)
{
    if (strcasecmp(text, "off") == 0) {
        *value_us = UNITS_OFF;
        return 0;
    }
    return parse(&duration_kind, text, value_us, e);
}

int units_size(const char *text, uint64_t *value_bytes, struct error *e)
{
    return parse(&size_kind, text, value_bytes, e);
}

int units_count(const char *text, uint64_t *value, struct error *e)
{
    return parse(&count_kind, text, value, e);
}

int units_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

const char *units_text_count(char buf[UNITS_TEXT], uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    char *to = buf;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return buf;
}

/* Writes value / size in three significant digits and the unit's name, rounded half up. False if
 * that comes to `limit` or more: the next unit is due. */
static bool three_digits(char buf[UNITS_TEXT], uint64_t value, uint64_t size, uint64_t limit,
                         const char *name)
{
    uint64_t rounded = 0, scale = 100;
    for (; scale >= 1; scale /= 10) {
        rounded = (uint64_t)(((wide)value * scale + size / 2) / size);
        if (rounded < 1000)
            break;
    }
    if (scale == 0)
        scale = 1;
    if (rounded >= limit * scale)
        return false;
    char whole[UNITS_TEXT];
    units_text_count(whole, rounded / scale);
    unsigned fraction = (unsigned)(rounded % scale);
    if (scale == 1)
        snprintf(buf, UNITS_TEXT, "%.20s %s", whole, name);
    else
        snprintf(buf, UNITS_TEXT, "%.20s.%0*u %s", whole, scale == 100 ? 2 : 1, fraction, name);
    return true;
}

const char *units_text_duration(char buf[UNITS_TEXT], uint64_t us)
{
    if (us < 1000) {
        snprintf(buf, UNITS_TEXT, "%u %ss", (unsigned)us, units_utf8() ? "µ" : "u");
        return buf;
    }
    if (three_digits(buf, us, 1000, 1000, "ms") || three_digits(buf, us, 1000000, 60, "s") ||
        three_digits(buf, us, 60000000ULL, 60, "m"))
        return buf;
    three_digits(buf, us, 3600000000ULL, UINT64_MAX / 100, "h");
    return buf;
}

const char *units_text_ns(char buf[UNITS_TEXT], uint64_t ns)
{
    if (ns < 1000)
        snprintf(buf, UNITS_TEXT, "%u ns", (unsigned)ns);
    else if (!three_digits(buf, ns, 1000, 1000, units_utf8() ? "µs" : "us") &&
             !three_digits(buf, ns, 1000000, 1000, "ms"))
        units_text_duration(buf, (ns + 500) / 1000);
    return buf;
}

const char *units_text_byte_rate(char buf[UNITS_TEXT], uint64_t bytes_per_s)
{
    static const char *const names[] = {"kB/s", "MB/s", "GB/s", "TB/s"};
    uint64_t size = 1000;
    if (bytes_per_s < 1000) {
        snprintf(buf, UNITS_TEXT, "%u B/s", (unsigned)bytes_per_s);
        return buf;
    }
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++, size *= 1000) {
        if (three_digits(buf, bytes_per_s, size, i == 3 ? UINT64_MAX / 100 : 1000, names[i]))
            break;
    }
    return buf;
}

size_t units_columns(const char *text)
{
    size_t columns = 0;
    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

const char *units_text_bytes(char buf[UNITS_TEXT], uint64_t bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024)
        return units_text_exact_bytes(buf, bytes);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (three_digits(buf, bytes, 1ULL << (10 * (i + 1)), 1024, names[i]))
            break;
    }
    return buf;
}

const char *units_text_exact_bytes(char buf[UNITS_TEXT], uint64_t bytes)
{
    units_text_count(buf, bytes);
    strcat(buf, " B");
    return buf;
}

const char *units_plural(char *buf, size_t size, uint64_t n, const char *noun)
{
    char number[UNITS_TEXT];
    snprintf(buf, size, "%s %s%s", units_text_count(number, n), noun, n == 1 ? "" : "s");
    return buf;
}
