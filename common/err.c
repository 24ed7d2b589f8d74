#include "config.h"

#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts an over-long text with "..." and never inside a UTF-8 character. */
static void cut(char *text, size_t size)
{
    size_t end = size - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(text + end, "...", 4);
}

static void __attribute__((format(printf, 3, 0)))
write_part(char *text, size_t size, const char *format, va_list arguments)
{
    int errno_before = errno;
    int length = vsnprintf(text, size, format, arguments);
    if (length >= (int)size)
        cut(text, size);
    errno = errno_before;
}

static void __attribute__((format(printf, 2, 3)))
write_what(struct error *e, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_part(e->what, sizeof e->what, format, arguments);
    va_end(arguments);
}

void error_what(struct error *e, const char *format, ...)
{
    if (!e)
        return;
    va_list arguments;
    va_start(arguments, format);
    write_part(e->what, sizeof e->what, format, arguments);
    va_end(arguments);
    e->mend[0] = '\0';
}

void error_mend(struct error *e, const char *format, ...)
{
    if (!e)
        return;
    va_list arguments;
    va_start(arguments, format);
    write_part(e->mend, sizeof e->mend, format, arguments);
    va_end(arguments);
}

void error_context(struct error *e, const char *format, ...)
{
    char before[sizeof e->what], context[sizeof e->what];
    if (!e)
        return;
    va_list arguments;
    va_start(arguments, format);
    write_part(context, sizeof context, format, arguments);
    va_end(arguments);
    memcpy(before, e->what, sizeof before);
    write_what(e, "%s: %s", context, before);
}
