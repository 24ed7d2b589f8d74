#include "config.h"

#include "page.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "units.h"

#define PART_BYTES 600

void page_pad(struct page *page, size_t column)
{
    for (; page->column < column; page->column++)
        putc(' ', page->out);
}

void page_put(struct page *page, const char *text)
{
    fputs(text, page->out);
    page->column += units_columns(text);
}

void page_cell(struct page *page, size_t width, const char *text)
{
    size_t columns = units_columns(text);
    page_pad(page, page->column + (columns < width ? width - columns : 1));
    page_put(page, text);
}

void page_begin(struct page *page, const char *label, size_t indent)
{
    page_put(page, label);
    page_pad(page, indent);
    page->indent = page->column;
}

static void go_on(struct page *page, const char *separator)
{
    fwrite(separator, 1, strcspn(separator, " "), page->out);
    page_end(page);
    page_pad(page, page->indent);
}

void page_part(struct page *page, const char *separator, const char *format, ...)
{
    char text[PART_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (page->column > page->indent) {
        if (page->column + strlen(separator) + units_columns(text) > PAGE_COLUMNS)
            go_on(page, separator);
        else
            page_put(page, separator);
    }
    page_put(page, text);
}

/* The length of what stays together: a word, and after a number what it counts. */
static size_t word_length(const char *text)
{
    size_t length = strcspn(text, " ");
    while (length > 0 && isdigit((unsigned char)text[length - 1]) && text[length] == ' ')
        length += 1 + strcspn(text + length + 1, " ");
    return length;
}

void page_words(struct page *page, const char *text)
{
    while (*text != '\0') {
        size_t length = word_length(text);
        page_part(page, " ", "%.*s", (int)length, text);
        text += length;
        text += strspn(text, " ");
    }
}

void page_end(struct page *page)
{
    putc('\n', page->out);
    page->column = 0;
}
