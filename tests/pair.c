#include "config.h"

#include "pair.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pair_folder.h"

static struct program *programs; /* of this test, the youngest first */
static unsigned program_count;
static int children = -1; /* a signalfd: readable when one has ended */
static pid_t owner;       /* a forked child must not tidy up after its parent */

int64_t pair_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The beginning, and the end of everything. */

static void kill_and_reap(struct program *program)
{
    if (!program->ended) {
        kill(program->pid, SIGKILL);
        waitpid(program->pid, NULL, 0);
    }
    free(program->out_text);
    free(program->err_text);
    free(program);
}

void pair_end(void)
{
    if (owner != getpid())
        return;
    while (programs != NULL) {
        struct program *program = programs;
        programs = program->next;
        kill_and_reap(program);
    }
    if (children >= 0)
        close(children);
    children = -1;
    pair_folder_remove();
}

/* Not a pidfd each: valgrind 3.19 does not know them. */
static void watch_children(void)
{
    sigset_t mask;
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    if (children < 0)
        children = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    ck_assert_msg(children >= 0, "signalfd: %s", strerror(errno));
}

void pair_begin(void)
{
    owner = getpid();
    program_count = 0;
    watch_children();
    pair_folder_make();
}

const char *pair_out(struct program *program, size_t *n)
{
    free(program->out_text);
    program->out_text = pair_read_file(program->out_path, n);
    ck_assert_msg(program->out_text != NULL, "%s: its stdout was not captured", program->command);
    return program->out_text;
}

const char *pair_err(struct program *program)
{
    free(program->err_text);
    program->err_text = pair_read_file(program->err_path, NULL);
    if (program->err_text == NULL)
        program->err_text = strdup("(stderr was not captured)");
    return program->err_text;
}

/* Starting. */

static const char *program_path(const char *name, char *buf, size_t size)
{
    const char *folder = getenv("SYNFIN_PROGRAMS_DIR");
    bool server = strcmp(name, "synfind") == 0;
    if (!server && strcmp(name, "synfin") != 0)
        return name;
    if (folder != NULL)
        snprintf(buf, size, "%s/%s", folder, name);
    else
        snprintf(buf, size, "%s/%s/%s", TOP_BUILDDIR, server ? "server" : "client", name);
    return buf;
}

/* SYNFIN_OPTION, for what makes connections; NULL: none. */
static const char *option_for(const char *const *arguments)
{
    for (; arguments != NULL && *arguments != NULL; arguments++)
        if (strcmp(*arguments, "--merge") == 0 || strcmp(*arguments, "--compare") == 0)
            return NULL;
    return getenv("SYNFIN_OPTION");
}

/* argv: the words of SYNFIN_WRAP (`wrap` is cut up for them), the program, an option, its
 * arguments. */
static void make_argv(const char *argv[PAIR_ARGUMENTS_MAX], char *wrap, const char *path,
                      const char *option, const char *const *arguments)
{
    unsigned n = 0;
    char *save = NULL;
    for (char *word = strtok_r(wrap, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        ck_assert_uint_lt(n, PAIR_ARGUMENTS_MAX / 2);
        argv[n++] = word;
    }
    argv[n++] = path;
    if (option != NULL)
        argv[n++] = option;
    for (; arguments != NULL && *arguments != NULL; arguments++) {
        ck_assert_uint_lt(n, PAIR_ARGUMENTS_MAX - 1);
        argv[n++] = *arguments;
    }
    argv[n] = NULL;
}

static void name_command(struct program *program, const char *const *argv)
{
    size_t have = 0;
    for (; *argv != NULL && have < sizeof(program->command); argv++)
        have += (size_t)snprintf(program->command + have, sizeof(program->command) - have, "%s%s",
                                 have > 0 ? " " : "", *argv);
}

/* The descriptor given, or a new one: a capture file (its path is told), or for stdin a file with
 * `input`, or /dev/null. */
static int open_input(const struct start *start)
{
    char path[256];
    size_t n = start->input_length;
    int fd;
    if (start->in != 0)
        return start->in;
    if (start->input == NULL)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (n == 0)
        n = strlen(start->input);
    snprintf(path, sizeof(path), "%s/%u.in", pair_dir(), program_count);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, start->input, n), (ssize_t)n);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static int open_capture(int given, const char *suffix, char path[256])
{
    int fd;
    if (given != 0)
        return given;
    snprintf(path, 256, "%s/%u.%s", pair_dir(), program_count, suffix);
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    return fd;
}

static void become(const int fds[3], rlim_t descriptors, pid_t parent, const char *const *argv)
{
    struct rlimit limit = {descriptors, descriptors};
    int safe[3];
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    for (int i = 0; i < 3; i++)
        safe[i] = fds[i] >= 0 ? fcntl(fds[i], F_DUPFD, 10) : -1;
    for (int i = 0; i < 3; i++) {
        if (safe[i] < 0)
            close(i);
        else
            dup2(safe[i], i);
    }
    syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (descriptors > 0)
        setrlimit(RLIMIT_NOFILE, &limit);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

struct program *pair_start(const struct start *start)
{
    const char *argv[PAIR_ARGUMENTS_MAX];
    char path[512], wrap[512];
    const char *real = program_path(start->program, path, sizeof(path));
    struct program *program = calloc(1, sizeof(*program));
    pid_t parent = getpid();
    int fds[3];

    ck_assert_ptr_nonnull(program);
    ck_assert_msg(*pair_dir() != '\0', "pair_begin was not called");
    snprintf(wrap, sizeof(wrap), "%s",
             pair_wrapped() && real != start->program ? getenv("SYNFIN_WRAP") : "");
    make_argv(argv, wrap, real, real != start->program ? option_for(start->arguments) : NULL,
              start->arguments);
    name_command(program, argv);
    program_count++;
    fds[0] = open_input(start);
    fds[1] = open_capture(start->out, "out", program->out_path);
    fds[2] = open_capture(start->err, "err", program->err_path);

    fflush(NULL);
    program->pid = fork();
    ck_assert_msg(program->pid >= 0, "fork: %s", strerror(errno));
    if (program->pid == 0)
        become(fds, start->descriptors, parent, argv);
    program->next = programs;
    programs = program;
    if (start->in == 0)
        close(fds[0]);
    if (start->out == 0)
        close(fds[1]);
    if (start->err == 0)
        close(fds[2]);
    return program;
}

/* Waiting. */

static void reap(struct program *program)
{
    int status;
    pid_t pid = program->ended ? 0 : wait4(program->pid, &status, WNOHANG, &program->usage);
    if (pid == 0)
        return;
    ck_assert_msg(pid == program->pid, "wait4: %s", strerror(errno));
    program->ended = true;
    program->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void pair_poll(int fd, int ms)
{
    struct pollfd wait[2] = {{.fd = children, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    char bytes[4096];
    poll(wait, 2, ms);
    for (int i = 0; i < 2; i++)
        while (wait[i].revents != 0 && read(wait[i].fd, bytes, sizeof(bytes)) > 0)
            ;
}

bool pair_ends_within(struct program *program, int ms)
{
    int64_t due = pair_now_ms() + ms, left = ms;
    for (reap(program); !program->ended && left > 0; reap(program)) {
        pair_poll(-1, (int)left);
        left = due - pair_now_ms();
    }
    return program->ended;
}

int pair_wait(struct program *program)
{
    if (!pair_ends_within(program, pair_patience(PAIR_DEADLINE_MS)))
        ck_abort_msg("%s (pid %d) did not end; its stderr:\n%s", program->command,
                     (int)program->pid, pair_err(program));
    return program->status;
}

void pair_signal(struct program *program, int signal_number)
{
    if (!program->ended)
        ck_assert_int_eq(kill(program->pid, signal_number), 0);
}

int pair_stop(struct program *program)
{
    pair_signal(program, SIGTERM);
    return pair_wait(program);
}

/* The two programs. */

static void gather(const char *arguments[PAIR_ARGUMENTS_MAX], const char *first, va_list rest)
{
    unsigned n = 0;
    for (; first != NULL; first = va_arg(rest, const char *)) {
        ck_assert_uint_lt(n, PAIR_ARGUMENTS_MAX - 8);
        arguments[n++] = first;
    }
    arguments[n] = NULL;
}

struct program *pair_server(const char *option, ...)
{
    const char *arguments[PAIR_ARGUMENTS_MAX];
    struct start start = {.arguments = arguments};
    unsigned n = 0;
    va_list rest;
    va_start(rest, option);
    gather(arguments, option, rest);
    va_end(rest);
    while (arguments[n] != NULL)
        n++;
    arguments[n++] = "0";
    arguments[n] = NULL;
    return pair_server_start(&start);
}

struct program *pair_client(const char *input, const char *argument, ...)
{
    const char *arguments[PAIR_ARGUMENTS_MAX];
    struct start start = {.program = "synfin", .arguments = arguments, .input = input};
    struct program *program;
    va_list rest;
    va_start(rest, argument);
    gather(arguments, argument, rest);
    va_end(rest);
    program = pair_start(&start);
    pair_wait(program);
    return program;
}
