/* units: numbers with units, from and to text, the same at every option and in every message.
 * Level 0. Threads: no state; any thread. */
#ifndef SYNFIN_UNITS_H
#define SYNFIN_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Parsers: the whole text must be the number (blank space refused). Result 0, ERR_SYNTAX or
 * ERR_RANGE; *value is untouched on failure and `e` (may be NULL) then holds the cause and the
 * mend, without the option's name.
 *
 * units_duration: microseconds. Suffixes us ms s m h, either case; bare is seconds; a fraction is
 * allowed (1.5s). "off" is UNITS_OFF. units_size:     bytes. Suffixes K M G (1024's), either case,
 * optionally followed by "B" or "iB"; fractions allowed. units_count:    a plain number. Suffixes k
 * m g (1000's), either case; fractions allowed where the result is whole. */
#define UNITS_OFF 0
int units_duration(const char *text, uint64_t *value_us, struct error *e);
int units_size(const char *text, uint64_t *value_bytes, struct error *e);
int units_count(const char *text, uint64_t *value, struct error *e);

/* Formatters: they write into `buf` and return it. Three significant digits and a unit (1.84
 * ms, 61.4 KiB, 214 µs, 5.00 s, 1.50 h), but counts are exact with thousands separated by commas,
 * and bytes below 1024 are whole ("64 B"). UNITS_TEXT is room enough for any. "µ" is written "u"
 * unless units_utf8(). */
#define UNITS_TEXT 32
const char *units_text_duration(char buf[UNITS_TEXT], uint64_t us);
const char *units_text_bytes(char buf[UNITS_TEXT], uint64_t bytes);
const char *units_text_count(char buf[UNITS_TEXT], uint64_t n);
const char *units_text_exact_bytes(char buf[UNITS_TEXT], uint64_t bytes); /* 83,886,080 B */

/* As units_text_duration, from nanoseconds: 850 ns, 12.3 µs. */
const char *units_text_ns(char buf[UNITS_TEXT], uint64_t ns);
/* Bytes a second, in 1000s, as link speeds are: 640 B/s, 3.40 MB/s. */
const char *units_text_byte_rate(char buf[UNITS_TEXT], uint64_t bytes_per_s);
/* How many columns a text takes: its characters, counted as UTF-8. */
size_t units_columns(const char *text);

/* Whether the locale's charset is UTF-8 (setlocale must have been called). */
int units_utf8(void);

/* "1 frame", "3 frames": the count with commas, a space, the noun, an "s" unless n is 1. Returns
 * buf. */
const char *units_plural(char *buf, size_t size, uint64_t n, const char *noun);

#endif
