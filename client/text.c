#include "config.h"

#include "text.h"

#include <stdio.h>
#include <string.h>

#include "err.h"
#include "escape.h"

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

int text_escaped_add(struct evbuffer *out, const uint8_t *body, size_t n)
{
    char escaped[ESCAPE_MAX];
    for (size_t i = 0; i < n;) {
        size_t plain = escape_plain(body + i, n - i);
        if (evbuffer_add(out, body + i, plain) < 0)
            return ERR_MEMORY;
        i += plain;
        if (i < n && evbuffer_add(out, escaped, escape_byte(escaped, body[i++])) < 0)
            return ERR_MEMORY;
    }
    return 0;
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
