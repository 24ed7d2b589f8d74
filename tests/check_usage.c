/* The two programs and a command line that is wrong: exit status 2, nothing on stdout, and one line
 * on stderr that names what was written and says what to do. check_options has every value of every
 * option; here it is what reaches a person, and what only the programs can judge. */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "pair.h"

#define USAGE 2
#define STAMP 12 /* 14:02:07.412 */

static const char *name_of(bool server)
{
    return server ? "synfind" : "synfin";
}

/* One line, "synfin: what; mend", that holds `part`; the server's may begin with the time. */
static void is_one_line(bool server, const char *err, const char *part)
{
    char begins[16];
    size_t length = (size_t)snprintf(begins, sizeof begins, "%s: ", name_of(server));
    if (server && strspn(err, "0123456789:.") == STAMP)
        err += STAMP + 1;
    ck_assert_msg(strncmp(err, begins, length) == 0, "'%s' for %s", err, part);
    ck_assert_msg(strchr(err, '\n') == err + strlen(err) - 1, "not one line: '%s'", err);
    ck_assert_msg(strstr(err, part) != NULL, "'%s' lacks %s", err, part);
    ck_assert_msg(strstr(err, "; ") != NULL, "'%s' has no mend", err);
}

static void refuses(bool server, const char *const *arguments, const char *part)
{
    struct start start = {.program = name_of(server), .arguments = arguments};
    struct program *program = pair_start(&start);
    int status = pair_wait(program);
    size_t length;
    ck_assert_msg(status == USAGE, "%s: exit status %d: %s", program->command, status,
                  pair_err(program));
    pair_out(program, &length);
    ck_assert_uint_eq(length, 0);
    is_one_line(server, pair_err(program), part);
}

/* --- every option --- */

/* A value the option refuses; NULL: it takes any text. */
static const char *bad_value(const struct options_row *row)
{
    switch (row->kind) {
    case KIND_WORD:
    case KIND_COUNT:
    case KIND_SIZE:
    case KIND_DURATION:
    case KIND_SET:
    case KIND_FAIL_IF:
        return "nonsense";
    case KIND_TEXT:
        return strcmp(row->name, "port-file") == 0 ? "" : "nonsense";
    case KIND_FLAG:
    case KIND_CHOICE:
    case KIND_VERBOSE:
    case KIND_QUIET:
    case KIND_HELP:
    case KIND_VERSION:
        return "yes";
    }
    return NULL;
}

START_TEST(a_bad_value)
{
    const struct options_row *row = options_row((unsigned)_i);
    char together[100], name[60];
    snprintf(name, sizeof name, "--%s", row->name);
    snprintf(together, sizeof together, "%s=%s", name, bad_value(row));
    for (int server = 0; server < 2; server++) {
        bool taken = row->use & (server ? USE_SERVER : USE_CLIENT);
        const char *const arguments[] = {together, server ? "0" : "localhost:9", NULL};
        /* codec and handler are judged by their own modules, which name the letter */
        bool by_letter = taken && row->kind == KIND_TEXT && row->letter;
        refuses(server, arguments, by_letter ? "nonsense" : name);
    }
}
END_TEST

START_TEST(no_value)
{
    const struct options_row *row = options_row((unsigned)_i);
    char name[60];
    snprintf(name, sizeof name, "--%s", row->name);
    if (!row->argument)
        return;
    for (int server = 0; server < 2; server++) {
        const char *const arguments[] = {server ? "0" : "localhost:9", name, NULL};
        refuses(server, arguments, name);
    }
}
END_TEST

/* --- what goes with what --- */

static const struct wrong {
    bool server;
    const char *arguments[8];
    const char *part;
} wrong[] = {
    {false, {NULL}, "synfin localhost 9000"},
    {true, {NULL}, "synfind 9000"},
    {false, {"localhost"}, "'localhost' is a host without a port"},
    {false, {"9000"}, "'9000' is a port without a host"},
    {false, {"localhost", "70000"}, "port 70000 is over 65535"},
    {false, {"localhost", "0"}, "port 0"},
    {false, {"localhost", "9", "more"}, "too many arguments: 'more'"},
    {false, {"::1:9000"}, "[::1]:9000"},
    {false, {"unix:"}, "unix:PATH"},
    {true, {"0", "0", "0"}, "too many arguments: '0'"},
    {true, {"70000"}, "port 70000 is over 65535"},
    {true, {"no-such-service"}, "'no-such-service'"},
    {true, {"[::1"}, "does not close"},
    {false, {"-4", "unix:/nonesuch"}, "-4 does not go with unix:/nonesuch"},
    {true, {"-6", "unix:/nonesuch"}, "-6 does not go with unix:/nonesuch"},
    {true, {"--reuseport", "unix:/nonesuch"}, "--reuseport"},
    {true, {"--port-file", "file", "unix:/nonesuch"}, "--port-file"},
    {false, {"-F", "nonesuch", "localhost:9"}, "-F nonesuch: "},
    {true, {"-F", "nonesuch", "0"}, "-F nonesuch: "},
    {false, {"-F", "field:offset=x", "localhost:9"}, "-F field:offset=x: "},
    {false, {"--stdio", "nonesuch", "localhost:9"}, "--stdio nonesuch: "},
    {true, {"-H", "nonesuch", "0"}, "-H nonesuch: "},
    {true, {"-s", "64", "0"}, "-s belongs to -H source, and the handler is echo"},
    {true, {"-H", "ack", "-r", "5", "0"}, "-r belongs to -H source, and the handler is ack"},
    {true, {"-H", "source", "-s", "2M", "--max-frame", "1M", "0"}, "-s 2097152: "},
    {true, {"-H", "source", "-s", "300", "-F", "u8", "0"}, "-s 300: "},
    {true, {"-H", "ack", "--journal", "jsonl:-", "0"}, "--journal jsonl:-: -H ack"},
    {true, {"--journal", "sqlite:x", "0"}, "--journal sqlite:x: "},
    {true, {"--journal", "jsonl:", "0"}, "--journal jsonl:: "},
    {false, {"--journal", "jsonl:", "localhost:9"}, "--journal jsonl:: "},
    {false, {"--set", "rcvbuf", "localhost:9"}, "--set rcvbuf: "},
    {false, {"--set", "defer-accept=5s", "localhost:9"}, "belongs to synfind, the server"},
    {true, {"--set", "syncnt=3", "0"}, "belongs to synfin, the client"},
    /* options that a later version may have are no options of this one */
    {false, {"--probe", "localhost:9"}, "--probe is no option"},
    {false, {"--bind", "127.0.0.1", "localhost:9"}, "--bind is no option"},
    {true, {"0", "--", "cat"}, "'cat'"},
};

START_TEST(wrong_together)
{
    refuses(wrong[_i].server, wrong[_i].arguments, wrong[_i].part);
}
END_TEST

/* --- what is asked for only to be printed --- */

static const char *const printing[][3] = {
    {"--help"}, {"--version"}, {"--frame", "list"}, {"-h"}, {"-V"}};

START_TEST(prints_and_ends)
{
    const char *const *arguments = printing[_i];
    for (int server = 0; server < 2; server++) {
        struct start start = {.program = name_of(server), .arguments = arguments};
        struct program *program = pair_start(&start);
        size_t length;
        ck_assert_int_eq(pair_wait(program), 0);
        pair_out(program, &length);
        ck_assert_uint_gt(length, 0);
        ck_assert_str_eq(pair_err(program), "");
    }
}
END_TEST

START_TEST(and_says_so_if_it_cannot)
{
    for (int server = 0; server < 2; server++) {
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        struct start start = {.program = name_of(server), .arguments = printing[_i], .out = full};
        struct program *program = pair_start(&start);
        ck_assert_int_eq(pair_wait(program), 23);
        ck_assert(strstr(pair_err(program), "No space left on device"));
        close(full);
        start.out = PAIR_CLOSED;
        program = pair_start(&start);
        ck_assert_int_eq(pair_wait(program), 23);
        ck_assert_str_ne(pair_err(program), "");
    }
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void)
{
    Suite *suite = suite_create("usage");
    TCase *tcase = tcase_create("usage");
    int options = 0;
    while (options_row((unsigned)options))
        options++;
    tcase_add_checked_fixture(tcase, pair_begin, pair_end);
    tcase_set_timeout(tcase, pair_patience(20000) / 1000);
    tcase_add_loop_test(tcase, a_bad_value, 0, options);
    tcase_add_loop_test(tcase, no_value, 0, options);
    tcase_add_loop_test(tcase, wrong_together, 0, ROWS(wrong));
    tcase_add_loop_test(tcase, prints_and_ends, 0, ROWS(printing));
    tcase_add_loop_test(tcase, and_says_so_if_it_cannot, 0, ROWS(printing));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
