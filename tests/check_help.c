/* --help and the man pages, held against the table of options. */
#include "config.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "options.h"

static char text[100000];
static const enum options_use programs[] = {USE_SERVER, USE_CLIENT};

/* What `print` writes to stdout, into `text`. */
static const char *printed(void (*print)(enum options_use), enum options_use program)
{
    int file = memfd_create("stdout", MFD_CLOEXEC), before = dup(STDOUT_FILENO);
    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    print(program);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    ck_assert_int_ge(length, 0);
    text[length] = '\0';
    close(file);
    return text;
}

/* The line of --help that begins with the row's names, or NULL. */
static const char *help_line(const char *help, const struct options_row *row)
{
    char names[100];
    snprintf(names, sizeof names, "\n  %c%c%c --%s%s%s ", row->letter ? '-' : ' ',
             row->letter ? row->letter : ' ', row->letter ? ',' : ' ', row->name,
             row->argument ? " " : "", row->argument ? row->argument : "");
    const char *line = strstr(help, names);
    return line ? line + 1 : NULL;
}

static bool line_holds(const char *line, const char *part)
{
    const char *found = strstr(line, part), *end = strchr(line, '\n');
    return found && found < end;
}

START_TEST(help_has_each_option)
{
    const struct options_row *row = options_row((unsigned)_i);
    for (unsigned p = 0; p < 2; p++) {
        enum options_use program = programs[p];
        const char *line = help_line(printed(options_help, program), row);
        ck_assert_msg(!line == !(row->use & program), "--%s in %s --help", row->name,
                      options_program(program));
        if (!line)
            continue;
        const char *initial = row->initial ? row->initial : row->otherwise;
        ck_assert_msg(!initial || line_holds(line, initial), "%s", line);
        ck_assert_msg(!row->words || line_holds(line, row->words), "%s", line);
        ck_assert_msg(line_holds(line, row->help), "%s", line);
    }
}
END_TEST

START_TEST(help_fits_a_terminal)
{
    for (unsigned p = 0; p < 2; p++) {
        enum options_use program = programs[p];
        for (const char *line = printed(options_help, program); *line;) {
            size_t length = strcspn(line, "\n");
            ck_assert_msg(length <= 100, "%.*s", (int)length, line);
            ck_assert_msg(length == 0 || line[length - 1] != ' ', "%.*s", (int)length, line);
            line += length + 1;
        }
    }
}
END_TEST

START_TEST(version_is_the_package_s)
{
    ck_assert_str_eq(printed(options_version, USE_CLIENT), "synfin " PACKAGE_VERSION "\n");
    ck_assert_str_eq(printed(options_version, USE_SERVER), "synfind " PACKAGE_VERSION "\n");
}
END_TEST

/* The man page of the program, into `text`. */
static const char *man_page(enum options_use program)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/doc/%s", TOP_SRCDIR,
             program == USE_SERVER ? "synfind.8" : "synfin.1");
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    ck_assert_uint_lt(length, sizeof text - 1);
    fclose(file);
    text[length] = '\0';
    return text;
}

/* The row's item of an option list: ".It Fl F , Fl -frame Ar codec", or ".It Fl -backlog Ar n". */
static const char *man_item(const char *page, const struct options_row *row)
{
    char item[100], letter[20] = "";
    if (row->letter)
        snprintf(letter, sizeof letter, "Fl %c , ", row->letter);
    size_t length = (size_t)snprintf(item, sizeof item, "\n.It %sFl -%s", letter, row->name);
    for (const char *at = page; (at = strstr(at, item)); at += length) {
        bool ends = at[length] == '\n' || at[length] == ' ';
        bool argument =
            strncmp(at + length, " Ar ", 4) == 0 || strncmp(at + length, " Cm ", 4) == 0;
        if (ends && argument == (row->argument != NULL))
            return at + 1;
    }
    return NULL;
}

/* Up to the next option or the end of the section. */
static bool item_holds(const char *item, const char *part)
{
    const char *next = strstr(item, "\n.It Fl "), *end = strstr(item, "\n.Sh "),
               *found = strstr(item, part);
    if (next && (!end || next < end))
        end = next;
    return found && (!end || found < end);
}

START_TEST(man_pages_have_each_option)
{
    const struct options_row *row = options_row((unsigned)_i);
    for (unsigned p = 0; p < 2; p++) {
        enum options_use program = programs[p];
        const char *item = man_item(man_page(program), row);
        ck_assert_msg(!item == !(row->use & program),
                      "--%s is %s the man page of %s as '.It Fl %c , Fl -%s%s'", row->name,
                      item ? "in" : "not in", options_program(program),
                      row->letter ? row->letter : '-', row->name, row->argument ? " Ar value" : "");
        ck_assert_msg(!item || !row->initial || item_holds(item, row->initial),
                      "the man page of %s does not say that --%s is %s by default",
                      options_program(program), row->name, row->initial);
    }
}
END_TEST

/* And the other way round: no item but those of the table. */
START_TEST(man_pages_have_no_other_option)
{
    for (unsigned p = 0; p < 2; p++) {
        enum options_use program = programs[p];
        unsigned items = 0, taken = 0;
        const char *page = man_page(program);
        for (const char *at = page; (at = strstr(at, "\n.It Fl ")); at++)
            items++;
        for (unsigned i = 0; options_row(i); i++)
            taken += (options_row(i)->use & program) != 0;
        ck_assert_msg(items == taken, "the man page of %s has %u options, the table %u",
                      options_program(program), items, taken);
    }
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
    Suite *suite = suite_create("help");
    TCase *help = tcase_create("help"), *pages = tcase_create("man pages");
    tcase_add_loop_test(help, help_has_each_option, 0, row_count());
    tcase_add_test(help, help_fits_a_terminal);
    tcase_add_test(help, version_is_the_package_s);
    tcase_add_loop_test(pages, man_pages_have_each_option, 0, row_count());
    tcase_add_test(pages, man_pages_have_no_other_option);
    suite_add_tcase(suite, help);
    suite_add_tcase(suite, pages);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
