#include "config.h"

#include "interop.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "records.h"

#define PORTS_TRIED 20

/* --- which are there --- */

const char *interop_find(const char *program)
{
    static char found[16][256];
    static unsigned next;
    char folders[4096], *save = NULL;
    const char *path = getenv("PATH");

    if (strchr(program, '/') != NULL) {
        return program;
    }
    snprintf(folders, sizeof folders, "%s:/usr/sbin:/sbin:/usr/local/sbin", path ? path : "");
    for (char *f = strtok_r(folders, ":", &save); f != NULL; f = strtok_r(NULL, ":", &save)) {
        char *file = found[next % 16];
        snprintf(file, sizeof found[0], "%s/%s", f, program);
        if (access(file, X_OK) == 0) {
            next++;
            return file;
        }
    }
    return NULL;
}

static unsigned cases;

TCase *interop_case(Suite *suite, const char *name, const char *const *programs)
{
    for (; *programs != NULL; programs++) {
        if (interop_find(*programs) == NULL) {
            fprintf(stderr, "skipped: %s: no %s; ./bootstrap check installs it\n", name, *programs);
            return NULL;
        }
    }
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, pair_patience(60000) / 1000);
    tcase_add_checked_fixture(tcase, pair_begin, pair_end);
    suite_add_tcase(suite, tcase);
    cases++;
    return tcase;
}

int interop_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    if (cases > 0) {
        srunner_run_all(runner, CK_ENV);
    }
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0 ? EXIT_FAILURE : cases > 0 ? EXIT_SUCCESS : 77;
}

/* --- starting them --- */

struct program *interop_start(const char *program, const char *const *arguments,
                              const char *input_path)
{
    struct start start = {.program = interop_find(program), .arguments = arguments};
    if (strncmp(program, "synfin", 6) == 0) {
        start.program = program;
    }
    ck_assert_msg(start.program != NULL, "no %s", program);
    if (input_path != NULL) {
        start.in = open(input_path, O_RDONLY | O_CLOEXEC);
        ck_assert_msg(start.in >= 0, "%s", input_path);
    }
    struct program *started = pair_start(&start);
    if (input_path != NULL) {
        close(start.in);
    }
    return started;
}

/* Free a moment ago; the system does not give it out again at once. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* The arguments with the port in the place of each "@". The texts are valid until the next call. */
static void put_port(const char *to[PAIR_ARGUMENTS_MAX], const char *const *from, int port)
{
    static char texts[PAIR_ARGUMENTS_MAX][256];
    unsigned n = 0;
    for (; from[n] != NULL; n++) {
        const char *at = strchr(from[n], '@');
        ck_assert_uint_lt(n, PAIR_ARGUMENTS_MAX - 1);
        to[n] = from[n];
        if (at != NULL) {
            snprintf(texts[n], sizeof texts[n], "%.*s%d%s", (int)(at - from[n]), from[n], port,
                     at + 1);
            to[n] = texts[n];
        }
    }
    to[n] = NULL;
}

struct program *interop_server(const char *program, const char *const *arguments,
                               const char *input_path, const char *ready, const char *taken)
{
    const char *with_port[PAIR_ARGUMENTS_MAX];
    struct program *server = NULL;
    for (unsigned i = 0; i < PORTS_TRIED; i++) {
        int port = free_port();
        put_port(with_port, arguments, port);
        server = interop_start(program, with_port, input_path);
        if (pair_tells(server, ready) && strstr(pair_err(server), taken) == NULL) {
            server->port = port;
            snprintf(server->port_text, sizeof server->port_text, "%d", port);
            return server;
        }
        pair_stop(server);
    }
    ck_abort_msg("%s does not say \"%s\"; its stdout and stderr:\n%s\n%s", server->command, ready,
                 pair_out(server, NULL), pair_err(server));
    return NULL;
}

struct program *interop_script(const char *const *arguments)
{
    const char *with_path[PAIR_ARGUMENTS_MAX];
    char path[512];
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/tests/interop/%s", TOP_SRCDIR, arguments[0]);
    with_path[n++] = path;
    while (arguments[n] != NULL && n < PAIR_ARGUMENTS_MAX - 1) {
        with_path[n] = arguments[n];
        n++;
    }
    with_path[n] = NULL;
    return interop_start("python3", with_path, NULL);
}

void interop_script_ends(struct program *script)
{
    ck_assert_msg(pair_wait(script) == 0, "%s: %s", script->command, pair_err(script));
}

int interop_number_after(struct program *program, const char *text)
{
    const char *at = NULL;
    if (pair_tells(program, text)) {
        at = strstr(pair_err(program), text);
        at = at != NULL ? at : strstr(pair_out(program, NULL), text);
    }
    int number = at != NULL ? atoi(at + strlen(text)) : 0;
    ck_assert_msg(number > 0, "%s: no number after \"%s\":\n%s%s", program->command, text,
                  pair_out(program, NULL), pair_err(program));
    return number;
}

/* --- the pair's side --- */

const char *interop_client_journal(void)
{
    return pair_file("client.jsonl");
}

const char *interop_server_journal(void)
{
    return pair_file("server.jsonl");
}

struct program *interop_client(const char *const *arguments, const char *input_path)
{
    const char *all[PAIR_ARGUMENTS_MAX];
    char journal[512];
    unsigned n = 0;
    unlink(interop_client_journal());
    snprintf(journal, sizeof journal, "jsonl:%s", interop_client_journal());
    all[n++] = "--journal";
    all[n++] = journal;
    while (*arguments != NULL && n < PAIR_ARGUMENTS_MAX - 1) {
        all[n++] = *arguments++;
    }
    all[n] = NULL;
    struct program *client = interop_start("synfin", all, input_path);
    pair_wait(client);
    return client;
}

void interop_stop(struct program *server)
{
    ck_assert_msg(pair_stop(server) == 0, "%s: %s", server->command, pair_err(server));
}

static const char *line_of(struct records *records, const char *journal, unsigned n)
{
    *records = records_read(journal);
    ck_assert_msg(records->count > n, "%s has %u lines", journal, records->count);
    return records->line[n];
}

void interop_expect(const char *journal, unsigned n, const char *fate, const char *closed_first,
                    long frames_in, long frames_out)
{
    struct records records;
    const char *line = line_of(&records, journal, n);
    bool as_wanted = strcmp(record_text(line, "fate"), fate) == 0 &&
                     strcmp(record_text(line, "closed_first"), closed_first) == 0 &&
                     (frames_in < 0 || record_number(line, "frames_in") == frames_in) &&
                     (frames_out < 0 || record_number(line, "frames_out") == frames_out) &&
                     (strcmp(fate, "clean") != 0 || (record_number(line, "unread_bytes") == 0 &&
                                                     record_number(line, "unacked_bytes") == 0));
    ck_assert_msg(as_wanted, "not %s, %s first, %ld frames in, %ld out: %s", fate, closed_first,
                  frames_in, frames_out, line);
    records_free(&records);
}

long interop_recorded(const char *journal, const char *key)
{
    struct records records;
    long number = record_number(line_of(&records, journal, 0), key);
    records_free(&records);
    return number;
}

void interop_equal_bytes(struct program *program, const char *bytes, size_t n)
{
    size_t have, same = 0;
    const char *out = pair_out(program, &have);
    while (same < n && same < have && out[same] == bytes[same]) {
        same++;
    }
    ck_assert_msg(same == n && same == have,
                  "%s: %zu bytes, should be %zu, the same up to %zu; its stderr:\n%s",
                  program->command, have, n, same, pair_err(program));
}

void interop_equal(struct program *program, const char *path)
{
    size_t n;
    char *bytes = pair_read_file(path, &n);
    ck_assert_msg(bytes != NULL, "%s", path);
    interop_equal_bytes(program, bytes, n);
    free(bytes);
}
