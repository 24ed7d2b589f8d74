/* The table of options: every row's good and bad values. --help and man pages: check_help.c. */
#include "config.h"

#include "options.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 80

static struct options options;
static struct error e;

/* A command line, in memory of its own: getopt_long moves its arguments about. */
static char words[20000];
static size_t words_used;
static char *argv[ARGUMENTS_MAX];
static int argc;

static void add(const char *word)
{
    size_t size = strlen(word) + 1;
    ck_assert_uint_le(words_used + size, sizeof words);
    ck_assert_int_lt(argc, ARGUMENTS_MAX - 1);
    argv[argc++] = memcpy(words + words_used, word, size);
    argv[argc] = NULL;
    words_used += size;
}

static void add_program(enum options_use program)
{
    argc = 0;
    words_used = 0;
    add(options_program(program));
}

/* The option that chooses the mode, or NULL. */
static const char *mode_option(enum options_use use)
{
    return use == USE_LOAD      ? "--load"
           : use == USE_MERGE   ? "--merge"
           : use == USE_COMPARE ? "--compare"
                                : NULL;
}

/* Parses the texts up to NULL as the command line of the program, or of the client's mode. */
static int parse(enum options_use use, ...)
{
    enum options_use program = use == USE_SERVER ? USE_SERVER : USE_CLIENT;
    va_list texts;
    add_program(program);
    if (mode_option(use))
        add(mode_option(use));
    va_start(texts, use);
    for (const char *word; (word = va_arg(texts, const char *));)
        add(word);
    va_end(texts);
    e = (struct error){"", ""};
    return options_parse(&options, program, argc, argv, &e);
}

/* A program or mode that takes the row; below, a program that does not (0: all take it). */
static enum options_use program_of(const struct options_row *row)
{
    for (enum options_use use = USE_TALK; use <= USE_COMPARE; use *= 2) {
        if (row->use & use)
            return use;
    }
    return USE_SERVER;
}

static enum options_use other_program(const struct options_row *row)
{
    if (!(row->use & USE_SERVER))
        return USE_SERVER;
    return row->use == USE_SERVER ? USE_CLIENT : 0;
}

static const char *long_form(const struct options_row *row)
{
    static char text[80];
    snprintf(text, sizeof text, "--%s", row->name);
    return text;
}

static const char *letter_form(const struct options_row *row)
{
    static char text[3] = "-?";
    text[1] = row->letter;
    return text;
}

/* A value the row takes. */
static const char *good_value(const struct options_row *row)
{
    static char word[40];
    switch (row->kind) {
    case KIND_WORD:
        snprintf(word, sizeof word, "%.*s", (int)strcspn(row->words, "|"), row->words);
        return word;
    case KIND_COUNT:
    case KIND_SIZE:
        return "7";
    case KIND_DURATION:
        return "7s";
    case KIND_TEXT:
    case KIND_SET:
    case KIND_FAIL_IF:
        return "text";
    case KIND_FLAG:
    case KIND_CHOICE:
    case KIND_VERBOSE:
    case KIND_QUIET:
    case KIND_HELP:
    case KIND_VERSION:
        return NULL;
    }
    return NULL;
}

static int good_result(const struct options_row *row)
{
    if (row->kind == KIND_HELP)
        return OPTIONS_HELP;
    return row->kind == KIND_VERSION ? OPTIONS_VERSION : OPTIONS_RUN;
}

/* The failure says what was written, and what to do. */
static void told(int rc, const char *spelling, const char *value)
{
    ck_assert_msg(rc == ERR_SYNTAX || rc == ERR_RANGE, "%s '%s': %d", spelling, value, rc);
    ck_assert_msg(strncmp(e.what, spelling, strlen(spelling)) == 0, "%s: %s", spelling, e.what);
    ck_assert_msg(!*value || strstr(e.what, value), "%s '%s': %s", spelling, value, e.what);
    ck_assert_msg(e.mend[0] != '\0', "%s: no mend", e.what);
    ck_assert_msg(!strchr(e.what, '\n') && !strchr(e.mend, '\n'), "%s; %s", e.what, e.mend);
}

/* --- every row --- */

START_TEST(good_values)
{
    const struct options_row *row = options_row((unsigned)_i);
    const char *value = good_value(row);
    enum options_use program = program_of(row);
    char together[160];
    snprintf(together, sizeof together, "--%s=%s", row->name, value ? value : "");

    ck_assert_int_eq(!value, !row->argument);
    ck_assert_int_eq(parse(program, long_form(row), value, NULL), good_result(row));
    if (value)
        ck_assert_int_eq(parse(program, together, NULL), good_result(row));
    if (row->letter)
        ck_assert_int_eq(parse(program, letter_form(row), value, NULL), good_result(row));
    if (row->letter && value) {
        snprintf(together, sizeof together, "-%c%s", row->letter, value);
        ck_assert_int_eq(parse(program, together, NULL), good_result(row));
    }
    if (row->initial)
        ck_assert_int_eq(parse(program, long_form(row), row->initial, NULL), OPTIONS_RUN);
}
END_TEST

START_TEST(missing_and_needless_values)
{
    const struct options_row *row = options_row((unsigned)_i);
    enum options_use program = program_of(row);
    char together[160];
    if (row->argument) {
        told(parse(program, long_form(row), NULL), long_form(row), "no value");
        if (row->letter)
            told(parse(program, letter_form(row), NULL), letter_form(row), "no value");
        told(parse(program, long_form(row), "", NULL), long_form(row), "");
        snprintf(together, sizeof together, "--%s=", row->name);
        told(parse(program, together, NULL), long_form(row), "");
    } else {
        snprintf(together, sizeof together, "--%s=yes", row->name);
        told(parse(program, together, NULL), long_form(row), "yes");
    }
}
END_TEST

static void refused_number(const struct options_row *row, const char *value)
{
    enum options_use program = program_of(row);
    told(parse(program, long_form(row), value, NULL), long_form(row), value);
    if (row->letter)
        told(parse(program, letter_form(row), value, NULL), letter_form(row), value);
}

START_TEST(bad_values)
{
    static const char *const bad[] = {
        "x", " ", "1 ", "-1", "+1", "1x", "0x1", "1.2.", "1e9", "nan", "99999999999999999999"};
    const struct options_row *row = options_row((unsigned)_i);
    char number[40];
    if (row->kind == KIND_WORD) {
        refused_number(row, "x");
        refused_number(row, "DEFER");
        refused_number(row, row->words);
    }
    if (row->kind != KIND_COUNT && row->kind != KIND_SIZE && row->kind != KIND_DURATION)
        return;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        refused_number(row, bad[i]);
    const char *unit = row->kind == KIND_DURATION ? "us" : "";
    snprintf(number, sizeof number, "%llu%s", (unsigned long long)row->max + 1, unit);
    refused_number(row, number);
    snprintf(number, sizeof number, "%llu%s", (unsigned long long)row->max, unit);
    ck_assert_int_eq(parse(program_of(row), long_form(row), number, NULL), OPTIONS_RUN);
    snprintf(number, sizeof number, "%llu%s", (unsigned long long)row->min, unit);
    ck_assert_int_eq(parse(program_of(row), long_form(row), number, NULL), OPTIONS_RUN);
    if (row->min > 0) {
        snprintf(number, sizeof number, "%llu%s", (unsigned long long)row->min - 1, unit);
        refused_number(row, number);
    }
}
END_TEST

START_TEST(options_of_the_other_program)
{
    const struct options_row *row = options_row((unsigned)_i);
    enum options_use other = other_program(row);
    if (!other)
        return;
    const char *belongs = other == USE_CLIENT ? "belongs to synfind" : "belongs to synfin,";
    told(parse(other, long_form(row), good_value(row), NULL), long_form(row), belongs);
    told(parse(other, long_form(row), NULL), long_form(row), belongs);
    if (row->letter)
        told(parse(other, letter_form(row), good_value(row), NULL), letter_form(row), belongs);
}
END_TEST

/* Whether the option chooses a mode, and so belongs to none of the others. */
static bool is_mode(const struct options_row *row)
{
    const char *option = mode_option(row->use);
    return option && strcmp(option + 2, row->name) == 0;
}

/* In every mode that does not take it, an option of the client's is refused by name. */
START_TEST(options_of_another_mode)
{
    const struct options_row *row = options_row((unsigned)_i);
    for (enum options_use use = USE_TALK; use <= USE_COMPARE && row->use & USE_CLIENT; use *= 2) {
        if (row->use & use || is_mode(row))
            continue;
        told(parse(use, long_form(row), good_value(row), NULL), long_form(row),
             "belongs to synfin ");
    }
}
END_TEST

START_TEST(one_mode_only)
{
    told(parse(USE_LOAD, "--merge", NULL), "--merge", "--load");
    told(parse(USE_COMPARE, "--load", NULL), "--compare", "--load");
    ck_assert_int_eq(parse(USE_CLIENT, NULL), OPTIONS_RUN);
    ck_assert_int_eq(options.mode, USE_TALK);
    for (enum options_use use = USE_LOAD; use <= USE_COMPARE; use *= 2) {
        ck_assert_int_eq(parse(use, NULL), OPTIONS_RUN);
        ck_assert_int_eq(options.mode, use);
    }
}
END_TEST

static bool is_name(const char *text)
{
    for (unsigned i = 0; options_row(i); i++) {
        if (strcmp(options_row(i)->name, text) == 0)
            return true;
    }
    return false;
}

/* Every beginning of a name, with its value before or after the "=". */
START_TEST(names_in_full_only)
{
    const struct options_row *row = options_row((unsigned)_i);
    enum options_use program = program_of(row);
    for (int length = 1; length < (int)strlen(row->name); length++) {
        char name[80], together[160];
        snprintf(name, sizeof name, "--%.*s", length, row->name);
        snprintf(together, sizeof together, "%s=7", name);
        if (is_name(name + 2))
            continue;
        told(parse(program, name, "7", NULL), name, "no option");
        ck_assert_msg(strstr(e.mend, row->name), "%s: %s", name, e.mend);
        told(parse(program, together, NULL), name, "no option");
    }
}
END_TEST

START_TEST(misspelt_names)
{
    const struct options_row *row = options_row((unsigned)_i);
    char name[80];
    if (strlen(row->name) < 5)
        return;
    snprintf(name, sizeof name, "--%sx", row->name);
    told(parse(program_of(row), name, NULL), name, "no option");
    ck_assert_msg(strstr(e.mend, row->name), "%s: %s", name, e.mend);
    snprintf(name, sizeof name, "--%c%c%s", row->name[1], row->name[0], row->name + 2);
    told(parse(program_of(row), name, NULL), name, "no option");
    ck_assert_msg(strstr(e.mend, row->name), "%s: %s", name, e.mend);
}
END_TEST

START_TEST(no_name_or_letter_twice)
{
    const struct options_row *row = options_row((unsigned)_i);
    for (unsigned i = 0; i < (unsigned)_i; i++) {
        ck_assert_str_ne(options_row(i)->name, row->name);
        ck_assert(!row->letter || options_row(i)->letter != row->letter);
    }
}
END_TEST

/* --- the whole --- */

START_TEST(defaults)
{
    static const enum options_use programs[] = {USE_SERVER, USE_CLIENT};
    for (unsigned p = 0; p < 2; p++) {
        enum options_use program = programs[p];
        ck_assert_int_eq(parse(program, NULL), OPTIONS_RUN);
        ck_assert_str_eq(options.frame, "u32be");
        ck_assert_str_eq(options.stdio, "line");
        ck_assert_str_eq(options.handler, "echo");
        ck_assert_uint_eq(options.max_frame_bytes, 16 << 20);
        ck_assert_uint_eq(options.connect_timeout_us, 10000000);
        ck_assert_uint_eq(options.reply_timeout_us, 5000000);
        ck_assert_uint_eq(options.idle_timeout_us, 0);
        ck_assert_uint_eq(options.linger_timeout_us, 5000000);
        ck_assert_uint_eq(options.drain_timeout_us, 30000000);
        ck_assert_uint_eq(options.size_bytes, 0);
        ck_assert_uint_eq(options.rate, 0);
        ck_assert_uint_eq(options.connections, 10);
        ck_assert_uint_eq(options.connecting, 64);
        ck_assert_uint_eq(options.pipeline, 1);
        ck_assert_uint_eq(options.duration_us, 0);
        ck_assert_uint_eq(options.frames_per_conn, UINT64_MAX);
        ck_assert_uint_eq(options.interval_us, 1000000);
        ck_assert_int_eq(options.expect, OPTIONS_ECHO);
        ck_assert_uint_eq(options.given, 0);
        ck_assert_uint_eq(options.max_conns, 0);
        ck_assert_uint_eq(options.backlog, 4096);
        ck_assert_uint_eq(options.threads, 0);
        ck_assert_int_eq(options.family, FAMILY_ANY);
        ck_assert_int_eq(options.when_full, FULL_DEFER);
        ck_assert_int_eq(options.fin_after, FIN_AFTER_REPLIES);
        ck_assert(!options.journal && !options.port_file && !options.set_count);
        ck_assert(!options.trace && !options.quiet && !options.verbose && !options.reuseport &&
                  !options.one_off);
        ck_assert_int_eq(options.argument_count, 0);
    }
}
END_TEST

START_TEST(server_values_arrive)
{
    ck_assert_int_eq(parse(USE_SERVER, "-Fline", "--max-frame", "4K", "-H", "source", "-s", "1K",
                           "-r", "50k", "-m", "7", "--when-full", "reject", "--backlog=9",
                           "--reuseport", "--port-file", "p", "-1", "-t", "3", "-6", "-x", "-q",
                           "--journal", "jsonl:-", NULL),
                     OPTIONS_RUN);
    ck_assert_str_eq(options.frame, "line");
    ck_assert_uint_eq(options.max_frame_bytes, 4096);
    ck_assert_str_eq(options.handler, "source");
    ck_assert_uint_eq(options.size_bytes, 1024);
    ck_assert_uint_eq(options.rate, 50000);
    ck_assert_uint_eq(options.max_conns, 7);
    ck_assert_int_eq(options.when_full, FULL_REJECT);
    ck_assert_uint_eq(options.backlog, 9);
    ck_assert(options.reuseport && options.one_off && options.trace && options.quiet);
    ck_assert_str_eq(options.port_file, "p");
    ck_assert_uint_eq(options.threads, 3);
    ck_assert_int_eq(options.family, FAMILY_6);
    ck_assert_str_eq(options.journal, "jsonl:-");
}
END_TEST

START_TEST(load_values_arrive)
{
    ck_assert_int_eq(parse(USE_LOAD, "-c", "1k", "--connecting", "8", "--connect-rate=2k", "-P32",
                           "-d", "off", "-n", "1m", "--frames-per-conn", "0", "-r", "50k", "-s",
                           "1K", "-t2", "-i", "100ms", "-O", "2s", "--payload", "file", "--expect",
                           "any", "-J", "--fail-if", "a > 1", "--fail-if", "b < 2", NULL),
                     OPTIONS_RUN);
    ck_assert_uint_eq(options.connections, 1000);
    ck_assert_uint_eq(options.connecting, 8);
    ck_assert_uint_eq(options.connect_rate, 2000);
    ck_assert_uint_eq(options.pipeline, 32);
    ck_assert_uint_eq(options.duration_us, 0);
    ck_assert(options_given(&options, "duration") && !options_given(&options, "max-frame"));
    ck_assert_uint_eq(options.count, 1000000);
    ck_assert_uint_eq(options.frames_per_conn, 0);
    ck_assert_uint_eq(options.rate, 50000);
    ck_assert_uint_eq(options.size_bytes, 1024);
    ck_assert_uint_eq(options.threads, 2);
    ck_assert_uint_eq(options.interval_us, 100000);
    ck_assert_uint_eq(options.omit_us, 2000000);
    ck_assert_str_eq(options.payload, "file");
    ck_assert_int_eq(options.expect, OPTIONS_ANY);
    ck_assert(options.json && !options.json_stream);
    ck_assert_uint_eq(options.fail_if_count, 2);
    ck_assert_str_eq(options.fail_if[1], "b < 2");
}
END_TEST

START_TEST(client_values_arrive)
{
    ck_assert_int_eq(parse(USE_CLIENT, "localhost", "--stdio=hex", "9000", "--fin-after", "eof",
                           "--connect-timeout", "1", "--reply-timeout", "OFF", "--idle-timeout",
                           "2m", "--linger-timeout", "3ms", "--drain-timeout", "1.5s", "-4",
                           "--set", "nodelay", "--set", "rcvbuf=8K", "-vv", NULL),
                     OPTIONS_RUN);
    ck_assert_str_eq(options.stdio, "hex");
    ck_assert_int_eq(options.fin_after, FIN_AFTER_EOF);
    ck_assert_uint_eq(options.connect_timeout_us, 1000000);
    ck_assert_uint_eq(options.reply_timeout_us, 0);
    ck_assert_uint_eq(options.idle_timeout_us, 120000000);
    ck_assert_uint_eq(options.linger_timeout_us, 3000);
    ck_assert_uint_eq(options.drain_timeout_us, 1500000);
    ck_assert_int_eq(options.family, FAMILY_4);
    ck_assert_uint_eq(options.set_count, 2);
    ck_assert_str_eq(options.set[0], "nodelay");
    ck_assert_str_eq(options.set[1], "rcvbuf=8K");
    ck_assert_int_eq(options.verbose, 2);
    ck_assert_int_eq(options.argument_count, 2);
    ck_assert_str_eq(options.arguments[0], "localhost");
    ck_assert_str_eq(options.arguments[1], "9000");
}
END_TEST

START_TEST(the_last_one_wins)
{
    parse(USE_CLIENT, "-F", "line", "-F", "crlf", "-4", "-6", "--fin-after=eof",
          "--fin-after=never", NULL);
    ck_assert_str_eq(options.frame, "crlf");
    ck_assert_int_eq(options.family, FAMILY_6);
    ck_assert_int_eq(options.fin_after, FIN_AFTER_NEVER);
    parse(USE_CLIENT, "-v", "-q", NULL);
    ck_assert(options.quiet && options.verbose == 0);
    parse(USE_CLIENT, "-q", "-vvv", NULL);
    ck_assert(!options.quiet && options.verbose == 2);
}
END_TEST

START_TEST(frame_list)
{
    ck_assert_int_eq(parse(USE_CLIENT, "--frame", "list", NULL), OPTIONS_FRAME_LIST);
    ck_assert_int_eq(parse(USE_SERVER, "-Flist", NULL), OPTIONS_FRAME_LIST);
    ck_assert_int_eq(parse(USE_SERVER, "-Flist", "--frame=line", NULL), OPTIONS_RUN);
}
END_TEST

START_TEST(what_follows_two_dashes_is_no_option)
{
    ck_assert_int_eq(parse(USE_CLIENT, "-x", "--", "-h", "--nonsense", NULL), OPTIONS_RUN);
    ck_assert(options.trace);
    ck_assert_int_eq(options.argument_count, 2);
    ck_assert_str_eq(options.arguments[0], "-h");
}
END_TEST

START_TEST(unknown_options)
{
    told(parse(USE_CLIENT, "-Z", NULL), "-Z", "no option");
    told(parse(USE_CLIENT, "-xZ", NULL), "-Z", "no option");
    told(parse(USE_CLIENT, "-f", "line", NULL), "-f", "no option");
    ck_assert(strstr(e.mend, "-F is --frame"));
    ck_assert_int_eq(parse(USE_CLIENT, "--", NULL), OPTIONS_RUN);
    told(parse(USE_CLIENT, "--=5", NULL), "--", "no option");
    told(parse(USE_CLIENT, "--quite-something-else", NULL), "--quite-something-else", "no option");
    ck_assert(strstr(e.mend, "synfin --help"));
    told(parse(USE_SERVER, "--max", "5", NULL), "--max", "no option");
    ck_assert(strstr(e.mend, "--max-frame or --max-conns"));
    /* what later versions may have is no option of this one */
    told(parse(USE_CLIENT, "--probe", NULL), "--probe", "no option");
}
END_TEST

START_TEST(an_endless_option_is_cut)
{
    static char name[3000];
    memset(name, 'y', sizeof name - 1);
    memcpy(name, "--", 2);
    ck_assert_int_eq(parse(USE_CLIENT, name, NULL), ERR_SYNTAX);
    ck_assert_int_eq(parse(USE_CLIENT, "--max-frame", name + 2, NULL), ERR_SYNTAX);
    ck_assert_int_eq(parse(USE_CLIENT, "--fin-after", name + 2, NULL), ERR_SYNTAX);
    ck_assert_int_eq(strncmp(e.what, "--fin-after: 'yyy", 17), 0);
}
END_TEST

START_TEST(set_is_taken_so_often)
{
    add_program(USE_CLIENT);
    for (int i = 0; i < OPTIONS_SET_MAX; i++) {
        add("--set");
        add("nodelay");
    }
    ck_assert_int_eq(options_parse(&options, USE_CLIENT, argc, argv, &e), OPTIONS_RUN);
    ck_assert_uint_eq(options.set_count, OPTIONS_SET_MAX);
    add("--set");
    add("nodelay");
    told(options_parse(&options, USE_CLIENT, argc, argv, &e), "--set", "nodelay");
}
END_TEST

START_TEST(no_command_line_at_all)
{
    char *none[] = {NULL};
    ck_assert_int_eq(options_parse(&options, USE_CLIENT, 0, none, NULL), OPTIONS_RUN);
    ck_assert_int_eq(options.argument_count, 0);
}
END_TEST

static int row_count(void)
{
    int count = 0;
    while (options_row((unsigned)count))
        count++;
    return count;
}

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *each = tcase_create("each"), *whole = tcase_create("whole");
    int rows = row_count();
    tcase_add_loop_test(each, good_values, 0, rows);
    tcase_add_loop_test(each, missing_and_needless_values, 0, rows);
    tcase_add_loop_test(each, bad_values, 0, rows);
    tcase_add_loop_test(each, options_of_the_other_program, 0, rows);
    tcase_add_loop_test(each, options_of_another_mode, 0, rows);
    tcase_add_loop_test(each, names_in_full_only, 0, rows);
    tcase_add_loop_test(each, misspelt_names, 0, rows);
    tcase_add_loop_test(each, no_name_or_letter_twice, 0, rows);
    tcase_add_test(whole, defaults);
    tcase_add_test(whole, server_values_arrive);
    tcase_add_test(whole, client_values_arrive);
    tcase_add_test(whole, load_values_arrive);
    tcase_add_test(whole, one_mode_only);
    tcase_add_test(whole, the_last_one_wins);
    tcase_add_test(whole, frame_list);
    tcase_add_test(whole, what_follows_two_dashes_is_no_option);
    tcase_add_test(whole, unknown_options);
    tcase_add_test(whole, an_endless_option_is_cut);
    tcase_add_test(whole, set_is_taken_so_often);
    tcase_add_test(whole, no_command_line_at_all);
    suite_add_tcase(suite, each);
    suite_add_tcase(suite, whole);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
