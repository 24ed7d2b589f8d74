#include "config.h"

#include "escape.h"

#include <stdbool.h>
#include <string.h>

#include "units.h"

/* The length of the valid UTF-8 character at `s`, or 0. C1 controls (U+0080 to U+009F) count as
 * invalid, since terminals obey them. */
static size_t utf8_length(const uint8_t *s, size_t n)
{
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < length) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool control = s[0] == 0xc2 && s[1] < 0xa0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
    bool beyond = s[0] == 0xf4 && s[1] >= 0x90;
    return control || overlong || surrogate || beyond ? 0 : length;
}

static size_t shown_length(const uint8_t *s, size_t n, bool utf8)
{
    if (s[0] < 0x80) {
        return (s[0] >= ' ' && s[0] != 0x7f) || s[0] == '\t';
    }
    return utf8 ? utf8_length(s, n) : 0;
}

size_t escape_plain(const uint8_t *bytes, size_t n)
{
    bool utf8 = units_utf8();
    size_t plain = 0, length;
    while (plain < n && (length = shown_length(bytes + plain, n - plain, utf8)) > 0) {
        plain += length;
    }
    return plain;
}

size_t escape_byte(char to[ESCAPE_MAX], uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    to[0] = '\\';
    if (byte == '\r' || byte == '\n') {
        to[1] = byte == '\r' ? 'r' : 'n';
        return 2;
    }
    to[1] = 'x';
    to[2] = hex[byte >> 4];
    to[3] = hex[byte & 15];
    return 4;
}

size_t escape_copy(char *to, const uint8_t *bytes, size_t n)
{
    size_t used = 0, i = 0;
    while (i < n) {
        size_t plain = escape_plain(bytes + i, n - i);
        memcpy(to + used, bytes + i, plain);
        used += plain;
        i += plain;
        if (i < n) {
            used += escape_byte(to + used, bytes[i++]);
        }
    }
    return used;
}
