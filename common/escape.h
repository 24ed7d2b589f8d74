/* escape: bytes of a peer's so that they cannot drive a terminal.
 * Level 0. Threads: no state. */
#ifndef SYNFIN_ESCAPE_H
#define SYNFIN_ESCAPE_H

#include <stddef.h>
#include <stdint.h>

#define ESCAPE_MAX 4 /* characters for one byte */

/* How many bytes, from the first, may be shown as they are: text of the locale's charset without
 * control characters; tabs are text. */
size_t escape_plain(const uint8_t *bytes, size_t n);
/* The byte after those: \r, \n, \x1b. Result: how many characters. */
size_t escape_byte(char to[ESCAPE_MAX], uint8_t byte);
/* All of it into `to`, which has room for ESCAPE_MAX * n. Result: how many characters. */
size_t escape_copy(char *to, const uint8_t *bytes, size_t n);

#endif
