#include "config.h"

#include "pair.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static unsigned server_count;

/* Waits until seen(program, arg) is true, looking again each time something in `watched` (a file or
 * a folder) changes; fails when the program ends without, or at the deadline. */
static void await(struct program *program, const char *watched,
                  bool (*seen)(struct program *, const void *), const void *arg, const char *what)
{
    int64_t due = pair_now_ms() + pair_patience(PAIR_DEADLINE_MS), left = 1;
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    bool last = false;
    ck_assert_int_ge(
        inotify_add_watch(fd, watched, IN_MODIFY | IN_MOVED_TO | IN_CLOSE_WRITE | IN_CREATE), 0);
    while (!seen(program, arg)) {
        if (last || left <= 0)
            ck_abort_msg("%s %s without %s; its stderr:\n%s", program->command,
                         program->ended ? "ended" : "is", what, pair_err(program));
        last = pair_ends_within(program, 0); /* what it wrote last is looked at once more */
        if (!last)
            pair_poll(fd, (int)left);
        left = due - pair_now_ms();
    }
    close(fd);
}

static bool err_holds(struct program *program, const void *text)
{
    return strstr(pair_err(program), text) != NULL;
}

static bool out_holds(struct program *program, const void *text)
{
    return strstr(pair_out(program, NULL), text) != NULL;
}

void pair_await_err(struct program *program, const char *text)
{
    await(program, program->err_path, err_holds, text, text);
}

void pair_await_out(struct program *program, const char *text)
{
    await(program, program->out_path, out_holds, text, text);
}

static bool tells_or_ended(struct program *program, const void *text)
{
    return err_holds(program, text) || out_holds(program, text) || program->ended;
}

bool pair_tells(struct program *program, const char *text)
{
    await(program, pair_dir(), tells_or_ended, text, text);
    return err_holds(program, text) || out_holds(program, text);
}

struct lines {
    const char *path;
    unsigned wanted;
};

static bool has_lines(struct program *program, const void *arg)
{
    const struct lines *lines = arg;
    char *text = pair_read_file(lines->path, NULL);
    unsigned n = 0;
    (void)program;
    for (const char *p = text; p != NULL && (p = strchr(p, '\n')) != NULL; p++)
        n++;
    free(text);
    return n >= lines->wanted;
}

void pair_await_lines(struct program *program, const char *path, unsigned lines)
{
    struct lines wanted = {path, lines};
    char what[64];
    snprintf(what, sizeof(what), "%u lines in a file", lines);
    await(program, path, has_lines, &wanted, what);
}

static bool port_known(struct program *program, const void *path)
{
    char *text = pair_read_file(path, NULL);
    program->port = text != NULL ? atoi(text) : 0;
    free(text);
    return program->port > 0;
}

void pair_await_port(struct program *program, const char *path)
{
    await(program, pair_dir(), port_known, path, "a port file");
    snprintf(program->port_text, sizeof(program->port_text), "%d", program->port);
}

struct program *pair_server_start(const struct start *given)
{
    const char *arguments[PAIR_ARGUMENTS_MAX];
    char name[32];
    struct start start = *given;
    struct program *program;
    const char *port_file;
    unsigned n = 2;

    snprintf(name, sizeof(name), "%u.port", server_count++);
    port_file = pair_file(name);
    arguments[0] = "--port-file";
    arguments[1] = port_file;
    for (unsigned i = 0; given->arguments != NULL && given->arguments[i] != NULL; i++)
        arguments[n++] = given->arguments[i];
    arguments[n] = NULL;
    start.program = "synfind";
    start.arguments = arguments;
    program = pair_start(&start);
    pair_await_port(program, port_file);
    return program;
}
