#include "config.h"

#include "payload_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "units.h"

/* What has been read so far. */
struct reading {
    struct payload *payload;
    size_t length, room; /* of payload->bytes */
    size_t piece_room;
};

static int no_memory(struct error *e)
{
    error_what(e, "out of memory");
    return ERR_MEMORY;
}

static int system_failed(struct error *e)
{
    error_what(e, "%s", strerror(errno));
    error_mend(e, "name a file or a folder that can be read");
    return ERR_SYSTEM;
}

static int too_much(struct error *e)
{
    error_what(e, "its bodies need more than the %d MiB of memory that a payload may have",
               PAYLOAD_BYTES_MAX >> 20);
    error_mend(e, "name less: the bodies there are go in turn, again and again");
    return ERR_RANGE;
}

/* Whether so many bytes more, and what is kept of each body, would be too much. */
static bool is_too_much(const struct reading *r, uint64_t more)
{
    uint64_t used = r->length + r->payload->count * sizeof *r->payload->pieces;
    return used > PAYLOAD_BYTES_MAX || more > PAYLOAD_BYTES_MAX - used;
}

static int make_room(struct reading *r, size_t more, struct error *e)
{
    if (r->room - r->length >= more)
        return 0;
    size_t room = r->room * 2 > r->length + more ? r->room * 2 : r->length + more;
    uint8_t *bigger = realloc(r->payload->bytes, room);
    if (bigger == NULL)
        return no_memory(e);
    r->payload->bytes = bigger;
    r->room = room;
    return 0;
}

static int add_piece(struct reading *r, size_t at, size_t length, struct error *e)
{
    struct payload *payload = r->payload;

    if (is_too_much(r, sizeof *payload->pieces))
        return too_much(e);
    if (payload->count == r->piece_room) {
        size_t room = r->piece_room > 0 ? r->piece_room * 2 : 64;
        struct payload_piece *bigger = realloc(payload->pieces, room * sizeof *bigger);
        if (bigger == NULL)
            return no_memory(e);
        payload->pieces = bigger;
        r->piece_room = room;
    }
    int result = payload_try(payload->codec, payload->bytes + at, length, e);
    if (result < 0) {
        error_context(e, "body %zu", payload->count + 1);
        return result;
    }
    payload->pieces[payload->count++] = (struct payload_piece){at, length};
    payload->longest = length > payload->longest ? length : payload->longest;
    return 0;
}

/* Appends what a descriptor has. */
static int read_all(struct reading *r, int fd, struct error *e)
{
    for (;;) {
        int result = make_room(r, 65536, e);
        if (result < 0)
            return result;
        ssize_t n = read(fd, r->payload->bytes + r->length, r->room - r->length);
        if (n < 0 && errno != EINTR)
            return system_failed(e);
        if (n == 0)
            return 0;
        if (n > 0 && is_too_much(r, (uint64_t)n))
            return too_much(e); /* one that grows, or does not tell its length */
        r->length += n > 0 ? (size_t)n : 0;
    }
}

/* What is no file may have no end, or keep its reader waiting. */
static const char *kind_name(mode_t mode)
{
    return S_ISFIFO(mode)   ? "a FIFO"
           : S_ISCHR(mode)  ? "a character device"
           : S_ISBLK(mode)  ? "a block device"
           : S_ISSOCK(mode) ? "a socket"
                            : "no file";
}

static int check_file(const struct reading *r, int folder, const char *name, struct error *e)
{
    struct stat status;

    if (fstatat(folder, name, &status, 0) < 0)
        return system_failed(e);
    if (!S_ISREG(status.st_mode)) {
        error_what(e, "it is %s: bodies are read from files only", kind_name(status.st_mode));
        error_mend(e, "write what it gives to a file, and name that");
        return ERR_SYNTAX;
    }
    return is_too_much(r, (uint64_t)status.st_size) ? too_much(e) : 0;
}

static int read_file(struct reading *r, int folder, const char *name, struct error *e)
{
    if (check_file(r, folder, name, e) < 0)
        return ERR_SYNTAX;
    /* Without waiting: it may have become another since. */
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return system_failed(e);
    int result = read_all(r, fd, e);
    close(fd);
    return result;
}

/* --- a file, cut into bodies --- */

static int add_cut(struct reading *r, ssize_t (*decode)(const uint8_t *, size_t, uint8_t *),
                   size_t at, size_t length, struct error *e)
{
    uint8_t *bytes = r->payload->bytes + at;

    if (decode != NULL) {
        ssize_t n = decode(bytes, length, bytes);
        if (n < 0) {
            error_what(e, "body %zu is not hex from its byte %zd on", r->payload->count + 1, -n);
            error_mend(e, "two digits a byte, as in 00ff7e; for text leave --stdio hex out");
            return ERR_SYNTAX;
        }
        length = (size_t)n;
    }
    return add_piece(r, at, length, e);
}

static int cut_failed(const struct reading *r, const struct frame_codec *stdio,
                      const struct frame_fault *fault, struct error *e)
{
    struct error why = {"", ""};

    frame_fault_text(stdio, fault, &why);
    error_what(e, "body %zu: %s", r->payload->count + 1, why.what);
    error_mend(e, "%s", why.mend[0] != '\0' ? why.mend : "--stdio says how the file is cut");
    return ERR_SYNTAX;
}

static int cut(struct reading *r, const struct frame_codec *stdio,
               ssize_t (*decode)(const uint8_t *, size_t, uint8_t *), struct error *e)
{
    struct frame_state state;
    struct frame_found found;
    struct frame_fault fault;
    size_t at = 0;
    int result = 1;

    frame_state_init(&state, stdio, FRAME_FROM_CLIENT);
    while (at < r->length) {
        result =
            frame_decode(stdio, &state, r->payload->bytes + at, r->length - at, &found, &fault);
        if (result < 0)
            return cut_failed(r, stdio, &fault, e);
        if (result == 0)
            break;
        result = add_cut(r, decode, at + found.body, found.body_length, e);
        if (result < 0)
            return result;
        at += found.total;
    }
    if (at == r->length || frame_finish(stdio, &state))
        return 0;
    /* An unterminated last line is a body, as on standard input. */
    if (stdio->kind == FRAME_DELIMITER && stdio->start_length == 0)
        return add_cut(r, decode, at, r->length - at, e);
    error_what(e, "it ends inside body %zu", r->payload->count + 1);
    error_mend(e, "--stdio says how the file is cut");
    return ERR_SYNTAX;
}

/* --- a folder, each file a body --- */

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int read_entry(struct reading *r, int folder, const char *name, struct error *e)
{
    struct stat status;
    size_t at = r->length;

    if (fstatat(folder, name, &status, 0) == 0 && S_ISDIR(status.st_mode))
        return 0;
    int result = read_file(r, folder, name, e);
    if (result == 0)
        result = add_piece(r, at, r->length - at, e);
    if (result < 0)
        error_context(e, "%s", name);
    return result;
}

static int read_folder(struct reading *r, int folder, struct error *e)
{
    struct dirent **entries;
    int count = scandirat(folder, ".", &entries, is_shown, alphasort), result = 0;

    if (count < 0)
        return system_failed(e);
    for (int i = 0; i < count; i++) {
        if (result == 0)
            result = read_entry(r, folder, entries[i]->d_name, e);
        free(entries[i]);
    }
    free(entries);
    return result;
}

static int read_path(struct reading *r, const struct frame_codec *stdio,
                     ssize_t (*decode)(const uint8_t *, size_t, uint8_t *), const char *path,
                     struct error *e)
{
    int folder = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (folder >= 0) {
        int result = read_folder(r, folder, e);
        close(folder);
        return result;
    }
    if (errno != ENOTDIR)
        return system_failed(e);
    int result = read_file(r, AT_FDCWD, path, e);
    return result < 0 ? result : cut(r, stdio, decode, e);
}

struct payload *payload_read(const struct frame_codec *codec, const struct frame_codec *stdio,
                             ssize_t (*decode)(const uint8_t *text, size_t n, uint8_t *out),
                             const char *path, struct error *e)
{
    struct reading r = {.payload = calloc(1, sizeof *r.payload)};
    int result = r.payload == NULL ? no_memory(e) : 0;

    if (result == 0) {
        r.payload->codec = codec;
        result = read_path(&r, stdio, decode, path, e);
    }
    if (result == 0 && r.payload->count == 0) {
        error_what(e, "there is no body in it");
        error_mend(e, "name a file or a folder that holds some");
        result = ERR_SYNTAX;
    }
    if (result == 0)
        return r.payload;
    error_context(e, "--payload %s", path);
    payload_free(r.payload);
    return NULL;
}
