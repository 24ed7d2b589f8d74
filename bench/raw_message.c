#include "config.h"

#include "raw_message.h"

#include <errno.h>
#include <stdlib.h>

void message_format_frames(struct message_format *format, uint64_t body)
{
    uint32_t seed = 1;
    uint8_t *pattern = malloc(body + MESSAGE_PLACES);

    if (body > RAW_FRAME_MAX || pattern == NULL)
        raw_die(0, "frames of %lu bytes are too long", body);
    for (uint64_t i = 0; i < body + MESSAGE_PLACES; i++) {
        seed = seed * 1664525 + 1013904223;
        pattern[i] = (uint8_t)(seed >> 24);
    }
    format->bytes = pattern;
    format->body = (uint32_t)body;
    format->length = (uint32_t)body + RAW_HEAD;
    format->head_length = RAW_HEAD + (body < MESSAGE_STAMP ? (uint32_t)body : MESSAGE_STAMP);
    format->same = false;
}

void message_format_same(struct message_format *format, const char *text)
{
    uint8_t *bytes = malloc(strlen(text) + 1);
    uint32_t n = 0;

    if (bytes == NULL)
        raw_die(ENOMEM, "the message cannot be kept");
    for (; *text != '\0'; text++) {
        bool escaped = *text == '\\' && text[1] != '\0';
        if (escaped)
            text++;
        bytes[n++] = (uint8_t)(escaped && *text == 'r'   ? '\r'
                               : escaped && *text == 'n' ? '\n'
                                                         : *text);
    }
    if (n == 0)
        raw_die(0, "an empty message cannot be sent");
    *format = (struct message_format){.bytes = bytes, .length = n, .same = true};
}
