/* page: lines of a table for people: cells aligned by what a reader sees, parts that go on in a
 * further line where one is full. Threads: no state beside.
 *
 * Write errors are the stream's (ferror). */
#ifndef SYNFIN_PAGE_H
#define SYNFIN_PAGE_H

#include <stddef.h>
#include <stdio.h>

#define PAGE_COLUMNS 100

struct page {
    FILE *out;
    size_t column; /* where the line is now */
    size_t indent; /* where its next part would begin on a further line */
};

/* Blanks up to this column. */
void page_pad(struct page *page, size_t column);
void page_put(struct page *page, const char *text);
/* Right-aligned in `width` columns, after a blank at least. */
void page_cell(struct page *page, size_t width, const char *text);
/* A label; what follows begins at `indent`, on further lines too. */
void page_begin(struct page *page, const char *label, size_t indent);
/* One part of a line (printf's format), after the separator; on a further line, the separator's
 * blanks left out, where it does not fit. The first part of a line has no separator. */
void page_part(struct page *page, const char *separator, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A text, broken between words, but not between a number and its unit. */
void page_words(struct page *page, const char *text);
/* Ends the line. */
void page_end(struct page *page);

#endif
