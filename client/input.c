#include "config.h"

#include "input.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame_buffer.h"
#include "stream.h"
#include "text.h"
#include "units.h"

#define READ_BYTES (64 * 1024)

struct input {
    struct stream stream;
    const struct stdio_format *format;
    struct frame_state state;
    struct evbuffer *bytes;
    size_t used;            /* bytes at the front that the last frame took */
    struct event *readable; /* NULL: it cannot be polled */
    uint64_t frames;
    bool ended;   /* the end of standard input was read */
    bool stopped; /* nothing more is returned */
    uint8_t *hex; /* the last body, decoded */
    size_t hex_room;
    void (*ready)(void *arg);
    void *arg;
};

static void readable(evutil_socket_t fd, short what, void *arg)
{
    struct input *input = arg;
    (void)fd;
    (void)what;
    input->ready(input->arg);
}

/* What cannot be read at all is told before a connection is made. */
static int check_stdin(struct error *e)
{
    struct stat status;
    if (stream_was_closed(STDIN_FILENO)) {
        error_what(e, "standard input is closed");
        error_mend(e, "to send nothing: < /dev/null");
        return ERR_SYSTEM;
    }
    if (fstat(STDIN_FILENO, &status) == 0 && S_ISDIR(status.st_mode)) {
        error_what(e, "standard input is a directory");
        error_mend(e, "to send the files in it: cat DIRECTORY/* |");
        return ERR_SYSTEM;
    }
    return 0;
}

struct input *input_new(struct loop *loop, const struct stdio_format *format,
                        void (*ready)(void *arg), void *arg, struct error *e)
{
    if (check_stdin(e) < 0)
        return NULL;
    struct input *input = calloc(1, sizeof *input);
    if (input == NULL)
        goto out;
    input->format = format;
    input->ready = ready;
    input->arg = arg;
    frame_state_init(&input->state, &format->codec, FRAME_FROM_CLIENT);
    stream_open(&input->stream, STDIN_FILENO);
    input->bytes = evbuffer_new();
    if (input->stream.way != STREAM_DIRECT)
        input->readable = event_new(loop_base(loop), input->stream.fd, EV_READ, readable, input);
    if (input->bytes != NULL && (input->readable != NULL || input->stream.way == STREAM_DIRECT))
        return input;
    input_free(input);
out:
    error_what(e, "out of memory for standard input");
    return NULL;
}

void input_free(struct input *input)
{
    if (input == NULL)
        return;
    if (input->readable != NULL)
        event_free(input->readable);
    if (input->bytes != NULL)
        evbuffer_free(input->bytes);
    stream_close(&input->stream);
    free(input->hex);
    free(input);
}

bool input_is_terminal(const struct input *input)
{
    return input->stream.terminal;
}

uint64_t input_frames(const struct input *input)
{
    return input->frames;
}

/* A block into the buffer: bytes read, 0 at the end, or -1 with errno. */
static ssize_t read_block(struct input *input)
{
    struct evbuffer_iovec space[2];
    int count = evbuffer_reserve_space(input->bytes, READ_BYTES, space, 2);
    if (count <= 0) {
        errno = ENOMEM;
        return -1;
    }
    struct iovec parts[2];
    for (int i = 0; i < count; i++)
        parts[i] = (struct iovec){space[i].iov_base, space[i].iov_len};
    ssize_t n = stream_read(&input->stream, parts, count);
    size_t left = n > 0 ? (size_t)n : 0;
    for (int i = 0; i < count; i++) {
        space[i].iov_len = left < space[i].iov_len ? left : space[i].iov_len;
        left -= space[i].iov_len;
    }
    evbuffer_commit_space(input->bytes, space, count);
    return n;
}

static void read_failure(struct error *e)
{
    int error = errno;
    error_what(e, "standard input: %s", strerror(error));
    if (error == EBADF) {
        error_what(e, "standard input is not open for reading");
        error_mend(e, "< FILE, or < /dev/null to send nothing");
    } else if (error == ENOMEM) {
        error_mend(e, "give this process more memory");
    } else if (error == EIO) {
        error_mend(e, "a terminal that hung up, or a disk that fails (dmesg)");
    }
}

/* Reads on. INPUT_FRAME: there is more to decode; otherwise what input_next shall return. */
static enum input_result read_more(struct input *input, struct error *e)
{
    ssize_t n = read_block(input);
    if (n > 0)
        return INPUT_FRAME;
    if (n == 0) {
        input->ended = true;
        return INPUT_FRAME;
    }
    if (errno == EAGAIN && input->readable != NULL && event_add(input->readable, NULL) == 0)
        return INPUT_WAIT;
    read_failure(e);
    return INPUT_FAILED;
}

/* --- one frame --- */

static int hex_room(struct input *input, size_t n)
{
    if (n <= input->hex_room)
        return 0;
    uint8_t *bigger = realloc(input->hex, n);
    if (bigger == NULL)
        return ERR_MEMORY;
    input->hex = bigger;
    input->hex_room = n;
    return 0;
}

/* What stands at `at` in the line, where a hex digit should. */
static void hex_failure(const uint8_t *line, size_t n, size_t at, const char *number,
                        struct error *e)
{
    char what[32];
    if (at >= n || line[at] <= ' ')
        snprintf(what, sizeof what, "a second hex digit is missing");
    else if (line[at] < 0x7f)
        snprintf(what, sizeof what, "'%c' is no hex digit", line[at]);
    else
        snprintf(what, sizeof what, "byte 0x%02x is no hex digit", line[at]);
    error_what(e, "line %s of standard input, column %zu: %s", number, at + 1, what);
}

static enum input_result decode_hex(struct input *input, const uint8_t **body, size_t *n,
                                    struct error *e)
{
    char count[UNITS_TEXT];
    units_text_count(count, input->frames + 1);
    if (hex_room(input, *n / 2 + 1) < 0) {
        error_what(e, "out of memory for line %s of standard input", count);
        return INPUT_FAILED;
    }
    ssize_t length = text_hex_decode(*body, *n, input->hex);
    if (length >= 0) {
        *body = input->hex;
        *n = (size_t)length;
        return INPUT_FRAME;
    }
    hex_failure(*body, *n, (size_t)(-1 - length), count, e);
    error_mend(e, "two digits a byte, as in 00ff7e; for text leave --stdio hex out");
    return INPUT_FAILED;
}

static enum input_result take(struct input *input, const uint8_t **body, size_t *n, size_t wire,
                              struct error *e)
{
    input->used = wire;
    enum input_result result = INPUT_FRAME;
    if (input->format->hex)
        result = decode_hex(input, body, n, e);
    if (result == INPUT_FRAME)
        input->frames++;
    return result;
}

static enum input_result bad_frame(struct input *input, const struct frame_fault *fault,
                                   struct error *e)
{
    char count[UNITS_TEXT];
    struct error cause = {"", ""};
    frame_fault_text(&input->format->codec, fault, &cause);
    error_what(e, "frame %s of standard input: %s", units_text_count(count, input->frames + 1),
               cause.what);
    bool large = fault->err == ERR_FRAME_TOO_LARGE;
    error_mend(e, "%s",
               large ? "a larger --max-frame, or the --stdio that it is written in"
                     : "the --stdio that it is written in (--frame list)");
    return INPUT_FAILED;
}

static enum input_result cut_short(struct input *input, struct error *e)
{
    char count[UNITS_TEXT], seen[UNITS_TEXT], total[UNITS_TEXT];
    units_text_count(count, input->frames + 1);
    units_text_exact_bytes(seen, input->state.seen);
    if (input->state.total > 0)
        error_what(e, "standard input ends inside frame %s, after %s of %s", count, seen,
                   units_text_exact_bytes(total, input->state.total));
    else
        error_what(e, "standard input ends inside frame %s, after %s", count, seen);
    error_mend(e, "the --stdio that it is written in (now %s)", input->format->codec.name);
    return INPUT_FAILED;
}

/* At the end: what is left is a frame if its delimiter alone is missing. */
static enum input_result last_frame(struct input *input, const uint8_t **body, size_t *n,
                                    struct error *e)
{
    const struct frame_codec *codec = &input->format->codec;
    size_t left = evbuffer_get_length(input->bytes);
    if (frame_finish(codec, &input->state) || left == 0)
        return INPUT_END;
    if (codec->kind != FRAME_DELIMITER || codec->start_length > 0)
        return cut_short(input, e);
    *body = evbuffer_pullup(input->bytes, -1);
    *n = left;
    frame_state_init(&input->state, codec, FRAME_FROM_CLIENT);
    return take(input, body, n, left, e);
}

enum input_result input_next(struct input *input, const uint8_t **body, size_t *n, struct error *e)
{
    enum input_result result = INPUT_FRAME;
    if (input->used > 0)
        evbuffer_drain(input->bytes, input->used);
    input->used = 0;
    while (result == INPUT_FRAME && !input->stopped) {
        struct frame_view view;
        struct frame_fault fault;
        int found =
            frame_buffer_next(&input->format->codec, &input->state, input->bytes, &view, &fault);
        if (found == 1) {
            *body = view.body;
            *n = view.body_length;
            return take(input, body, n, view.wire_length, e);
        }
        if (found == ERR_MEMORY) {
            error_what(e, "out of memory for standard input");
            return INPUT_FAILED;
        }
        if (found < 0)
            return bad_frame(input, &fault, e);
        if (input->ended)
            return last_frame(input, body, n, e);
        result = read_more(input, e);
    }
    return input->stopped ? INPUT_END : result;
}

void input_stop(struct input *input)
{
    input->stopped = true;
    if (input->readable != NULL)
        event_del(input->readable);
}

bool input_has_more(struct input *input)
{
    if (evbuffer_get_length(input->bytes) > input->used)
        return true;
    if (input->ended || input->stream.terminal)
        return false;
    return read_block(input) > 0;
}
