#include "config.h"

#include "text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "units.h"

static const char hex_digits[] = "0123456789abcdef";

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ssize_t text_hex_decode(const uint8_t *text, size_t n, uint8_t *out)
{
    size_t length = 0;
    for (size_t i = 0; i < n;) {
        if (text[i] == ' ' || text[i] == '\t' || text[i] == '\r') {
            i++;
            continue;
        }
        int high = hex_value(text[i]);
        if (high < 0)
            return -1 - (ssize_t)i;
        int low = i + 1 < n ? hex_value(text[i + 1]) : -1;
        if (low < 0)
            return -1 - (ssize_t)(i + 1);
        out[length++] = high << 4 | low;
        i += 2;
    }
    return length;
}

int text_hex_add(struct evbuffer *out, const uint8_t *body, size_t n)
{
    char block[4096];
    while (n > 0) {
        size_t part = n < sizeof block / 2 ? n : sizeof block / 2;
        for (size_t i = 0; i < part; i++) {
            block[2 * i] = hex_digits[body[i] >> 4];
            block[2 * i + 1] = hex_digits[body[i] & 15];
        }
        if (evbuffer_add(out, block, 2 * part) < 0)
            return ERR_MEMORY;
        body += part;
        n -= part;
    }
    return 0;
}

/* The length of the valid UTF-8 character at `s`, or 0. C1 controls (U+0080 to U+009F) count as
 * invalid, since terminals obey them. */
static size_t utf8_length(const uint8_t *s, size_t n)
{
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool control = s[0] == 0xc2 && s[1] < 0xa0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
    bool beyond = s[0] == 0xf4 && s[1] >= 0x90;
    return control || overlong || surrogate || beyond ? 0 : length;
}

/* The length of what may be shown as it is at `s`, or 0. */
static size_t shown_length(const uint8_t *s, size_t n)
{
    if (s[0] < 0x80)
        return (s[0] >= ' ' && s[0] != 0x7f) || s[0] == '\t';
    return units_utf8() ? utf8_length(s, n) : 0;
}

static int escape_add(struct evbuffer *out, uint8_t c)
{
    int n = c == '\r'   ? evbuffer_add_printf(out, "\\r")
            : c == '\n' ? evbuffer_add_printf(out, "\\n")
                        : evbuffer_add_printf(out, "\\x%02x", c);
    return n < 0 ? ERR_MEMORY : 0;
}

int text_escaped_add(struct evbuffer *out, const uint8_t *body, size_t n)
{
    size_t plain = 0; /* bytes before body + i that are still to be appended */
    for (size_t i = 0; i < n;) {
        size_t length = shown_length(body + i, n - i);
        if (length > 0) {
            plain += length;
            i += length;
            continue;
        }
        if (evbuffer_add(out, body + i - plain, plain) < 0 || escape_add(out, body[i]) < 0)
            return ERR_MEMORY;
        plain = 0;
        i++;
    }
    return evbuffer_add(out, body + n - plain, plain) < 0 ? ERR_MEMORY : 0;
}

const char *text_hex(char *buf, size_t size, const uint8_t *bytes, size_t n)
{
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (used + sizeof "00 ..." + 1 > size) {
            snprintf(buf + used, size - used, " ...");
            break;
        }
        used += snprintf(buf + used, size - used, i > 0 ? " %02x" : "%02x", bytes[i]);
    }
    return buf;
}
