/* text: bodies as text for --stdio hex and for terminals.
 * Threads: no state. */
#ifndef SYNFIN_TEXT_H
#define SYNFIN_TEXT_H

#include <event2/buffer.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Decodes pairs of hex digits, blanks allowed between them, into `out` (room for n / 2 bytes; may
 * be `text` itself). Result: how many bytes; or -1 - i, where `i` is the offset of what is not hex
 * (n: an odd number of digits). */
ssize_t text_hex_decode(const uint8_t *text, size_t n, uint8_t *out);

/* Appends the body in hex, without blanks. 0 or ERR_MEMORY. */
int text_hex_add(struct evbuffer *out, const uint8_t *body, size_t n);

/* Appends the body so that it cannot drive a terminal: control bytes, and what is no valid text in
 * the locale's charset, as \r, \n, \x1b; tabs stay. 0 or ERR_MEMORY. */
int text_escaped_add(struct evbuffer *out, const uint8_t *body, size_t n);

/* "00 00 00 05 68" into `buf`, followed by " ..." if it does not hold all. Returns buf. */
const char *text_hex(char *buf, size_t size, const uint8_t *bytes, size_t n);

#endif
