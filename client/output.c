#include "config.h"

#include "output.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frame_buffer.h"
#include "stream.h"
#include "text.h"
#include "units.h"

#define QUEUE_HIGH (256 * 1024)
#define PARTS 16

struct output {
    struct stream stream;
    const struct stdio_format *format;
    struct frame_state state;
    struct evbuffer *queue;
    struct event *writable; /* made active to flush at the end of a turn; polls if need be */
    bool escape;            /* a person reads it at a terminal */
    bool full, failed;
    uint64_t bodies, ambiguous;
    const struct output_owner *owner;
    void *arg;
};

static void flush(evutil_socket_t fd, short what, void *arg);

struct output *output_new(struct loop *loop, const struct stdio_format *format,
                          const struct output_owner *owner, void *arg)
{
    struct output *output = calloc(1, sizeof *output);
    if (output == NULL)
        return NULL;
    output->format = format;
    output->owner = owner;
    output->arg = arg;
    frame_state_init(&output->state, &format->codec, FRAME_FROM_SERVER);
    stream_open(&output->stream, STDOUT_FILENO);
    bool text = format->codec.kind == FRAME_DELIMITER || format->codec.kind == FRAME_RAW;
    output->escape = output->stream.terminal && text && !format->hex;
    output->queue = evbuffer_new();
    int fd = output->stream.way == STREAM_DIRECT ? -1 : output->stream.fd;
    output->writable = event_new(loop_base(loop), fd, fd < 0 ? 0 : EV_WRITE, flush, output);
    if (output->queue != NULL && output->writable != NULL)
        return output;
    output_free(output);
    return NULL;
}

void output_free(struct output *output)
{
    if (output == NULL)
        return;
    if (output->writable != NULL)
        event_free(output->writable);
    if (output->queue != NULL)
        evbuffer_free(output->queue);
    stream_close(&output->stream);
    free(output);
}

size_t output_queued(const struct output *output)
{
    return evbuffer_get_length(output->queue);
}

bool output_is_full(const struct output *output)
{
    return output->full;
}

uint64_t output_ambiguous(const struct output *output)
{
    return output->ambiguous;
}

void output_drop(struct output *output)
{
    output->failed = true;
    evbuffer_drain(output->queue, evbuffer_get_length(output->queue));
}

static void fail(struct output *output, const struct error *e)
{
    if (output->failed)
        return;
    output_drop(output);
    output->owner->failed(output->arg, e);
}

/* --- writing --- */

static void write_failure(struct output *output)
{
    struct error e = {"", ""};
    int error = errno;
    error_what(&e, "standard output: %s", strerror(error));
    if (error == EPIPE || error == ECONNRESET) {
        error_what(&e, "standard output is a pipe whose reader has gone (%s)", strerror(error));
        error_mend(&e, "let the reader read to the end, or write to a file: > FILE");
    } else if (error == ENOSPC || error == EDQUOT) {
        error_what(&e, "standard output is full (%s)", strerror(error));
        error_mend(&e, "make room where it goes (df -h), or write to another file system");
    } else if (error == EBADF) {
        error_what(&e, "standard output is %s",
                   stream_was_closed(STDOUT_FILENO) ? "closed" : "not open for writing");
        error_mend(&e, "> FILE, or > /dev/null to drop the replies");
    } else if (error == EFBIG) {
        error_mend(&e, "the limit on a file's size (ulimit -f), or the file system's own");
    }
    fail(output, &e);
}

/* Writes until it would block. false: wait, or failed. */
static bool write_some(struct output *output)
{
    struct evbuffer_iovec vec[PARTS];
    struct iovec parts[PARTS];
    int count = evbuffer_peek(output->queue, -1, NULL, vec, PARTS);
    if (count > PARTS)
        count = PARTS;
    for (int i = 0; i < count; i++)
        parts[i] = (struct iovec){vec[i].iov_base, vec[i].iov_len};
    ssize_t n = stream_write(&output->stream, parts, count);
    if (n >= 0) {
        evbuffer_drain(output->queue, (size_t)n);
        return true;
    }
    if (errno != EAGAIN || event_add(output->writable, NULL) < 0)
        write_failure(output);
    return false;
}

static void flush(evutil_socket_t fd, short what, void *arg)
{
    struct output *output = arg;
    (void)fd;
    (void)what;
    while (!output->failed && evbuffer_get_length(output->queue) > 0 && write_some(output))
        ;
    size_t left = evbuffer_get_length(output->queue);
    if (output->full && left <= QUEUE_HIGH / 2) {
        output->full = false;
        output->owner->room(output->arg);
    }
    if (left == 0)
        output->owner->empty(output->arg);
}

/* --- bodies --- */

/* A body that holds its own delimiter is written all the same, exactly; it is told at the end. */
static int put_ambiguous(struct output *output, const uint8_t *body, size_t n)
{
    const struct frame_codec *codec = &output->format->codec;
    output->ambiguous++;
    bool failed = evbuffer_add(output->queue, codec->start, codec->start_length) < 0 ||
                  evbuffer_add(output->queue, body, n) < 0 ||
                  evbuffer_add(output->queue, codec->end, codec->end_length) < 0;
    return failed ? ERR_MEMORY : 0;
}

static int put_text(struct output *output, const uint8_t *body, size_t n)
{
    int result = output->format->hex ? text_hex_add(output->queue, body, n)
                                     : text_escaped_add(output->queue, body, n);
    if (result == 0 && evbuffer_add(output->queue, "\n", 1) < 0)
        result = ERR_MEMORY;
    return result;
}

static int put_framed(struct output *output, const uint8_t *body, size_t n,
                      struct frame_fault *fault)
{
    struct frame_wrap wrap;
    int result = frame_buffer_put(&output->format->codec, &output->state, output->queue, body, n,
                                  &wrap, fault);
    if (result == ERR_FRAME_BAD && output->format->codec.kind == FRAME_DELIMITER)
        result = put_ambiguous(output, body, n);
    return result;
}

static void put_failure(struct output *output, int result, const struct frame_fault *fault)
{
    struct error e = {"", ""}, cause = {"", ""};
    char count[UNITS_TEXT];
    units_text_count(count, output->bodies);
    if (result == ERR_MEMORY) {
        error_what(&e, "out of memory for reply %s", count);
    } else {
        frame_fault_text(&output->format->codec, fault, &cause);
        error_what(&e, "reply %s cannot be written with --stdio %s: %s", count,
                   output->format->codec.name, cause.what);
        error_mend(&e, "--stdio hex, or --stdio u32be");
    }
    fail(output, &e);
}

void output_put(struct output *output, const uint8_t *body, size_t n)
{
    struct frame_fault fault;
    if (output->failed)
        return;
    output->bodies++;
    bool text = output->format->hex || output->escape;
    int result = text ? put_text(output, body, n) : put_framed(output, body, n, &fault);
    if (result < 0) {
        put_failure(output, result, &fault);
        return;
    }
    if (!output->full && evbuffer_get_length(output->queue) > QUEUE_HIGH) {
        output->full = true;
        output->owner->full(output->arg);
    }
    if (!event_pending(output->writable, EV_WRITE, NULL))
        event_active(output->writable, EV_WRITE, 0);
}
