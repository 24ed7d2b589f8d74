#include "config.h"

#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "nearest.h"
#include "units.h"

#define ROWS_MAX 64
#define LONG_BASE 256 /* getopt_long's value of a long option: this and its row's number */
#define VERBOSE_MAX 2
#define SPELLING 80

/* The member of *options that the row fills. */
static void *member(struct options *options, const struct options_row *row)
{
    return (char *)options + row->offset;
}

/* All enums of struct options are of one size; memcpy keeps clear of which. */
static void put_enum(struct options *options, const struct options_row *row, unsigned value)
{
    memcpy(member(options, row), &value, sizeof(enum options_family));
}

static void put_number(struct options *options, const struct options_row *row, uint64_t value)
{
    *(uint64_t *)member(options, row) = value;
}

/* Values */

static const char *number_text(const struct options_row *row, char buf[UNITS_TEXT], uint64_t value)
{
    if (row->kind == KIND_SIZE)
        return units_text_exact_bytes(buf, value);
    if (row->kind == KIND_DURATION)
        return units_text_duration(buf, value);
    return units_text_count(buf, value);
}

static int check_range(const struct options_row *row, const char *text, uint64_t value,
                       struct error *e)
{
    char low[UNITS_TEXT], high[UNITS_TEXT];
    if (value >= row->min && value <= row->max)
        return 0;
    bool under = value < row->min;
    error_what(e, "'%s' is %s %s", text, under ? "under" : "over",
               number_text(row, low, under ? row->min : row->max));
    error_mend(e, "write from %s to %s%s", number_text(row, low, row->min),
               number_text(row, high, row->max), row->kind == KIND_DURATION ? ", or off" : "");
    return ERR_RANGE;
}

static int parse_duration(const struct options_row *row, const char *text, uint64_t *value,
                          struct error *e)
{
    int rc = units_duration(text, value, e);
    if (rc < 0 || strcasecmp(text, "off") == 0)
        return rc;
    return check_range(row, text, *value, e);
}

static int parse_number(const struct options_row *row, const char *text, uint64_t *value,
                        struct error *e)
{
    if (row->kind == KIND_DURATION)
        return parse_duration(row, text, value, e);
    int rc = row->kind == KIND_SIZE ? units_size(text, value, e) : units_count(text, value, e);
    return rc < 0 ? rc : check_range(row, text, *value, e);
}

/* The number of `text` among "a|b|c", or -1. */
static int word_number(const char *words, const char *text)
{
    size_t length = strlen(text);
    for (int i = 0;; i++) {
        size_t word = strcspn(words, "|");
        if (word == length && strncmp(words, text, length) == 0)
            return i;
        if (words[word] == '\0')
            return -1;
        words += word + 1;
    }
}

static int take_word(struct options *options, const struct options_row *row, const char *text,
                     struct error *e)
{
    int number = word_number(row->words, text);
    if (number < 0) {
        error_what(e, "'%s' is none of %s", text, row->words);
        error_mend(e, "write one of these words");
        return ERR_SYNTAX;
    }
    put_enum(options, row, (unsigned)number);
    return 0;
}

static int check_text(const struct options_row *row, const char *text, struct error *e)
{
    if (*text)
        return 0;
    error_what(e, "the value is empty");
    error_mend(e, "write %s after it", row->argument);
    return ERR_SYNTAX;
}

static int take_text(struct options *options, const struct options_row *row, const char *text,
                     struct error *e)
{
    int rc = check_text(row, text, e);
    if (rc == 0)
        *(const char **)member(options, row) = text;
    return rc;
}

/* One more of an option that may be repeated. */
static int take_listed(const struct options_row *row, const char **list, unsigned *count,
                       const char *text, struct error *e)
{
    if (*count == OPTIONS_SET_MAX) {
        error_what(e, "'%s' is one too many", text);
        error_mend(e, "write it at most %d times", OPTIONS_SET_MAX);
        return ERR_RANGE;
    }
    int rc = check_text(row, text, e);
    if (rc == 0)
        list[(*count)++] = text;
    return rc;
}

static int take_number(struct options *options, const struct options_row *row, const char *text,
                       struct error *e)
{
    uint64_t value;
    int rc = parse_number(row, text, &value, e);
    if (rc == 0)
        put_number(options, row, value);
    return rc;
}

static void take_verbose(struct options *options)
{
    if (options->verbose < VERBOSE_MAX)
        options->verbose++;
    options->quiet = false;
}

static void take_quiet(struct options *options)
{
    options->quiet = true;
    options->verbose = 0;
}

/* One option into *options. Result: OPTIONS_RUN to go on, OPTIONS_HELP, OPTIONS_VERSION, or an enum
 * err with `e` about the value alone. */
static int take(struct options *options, const struct options_row *row, const char *text,
                struct error *e)
{
    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)member(options, row) = true;
        return OPTIONS_RUN;
    case KIND_CHOICE:
        put_enum(options, row, (unsigned)row->min);
        return OPTIONS_RUN;
    case KIND_TEXT:
        return take_text(options, row, text, e);
    case KIND_WORD:
        return take_word(options, row, text, e);
    case KIND_COUNT:
    case KIND_SIZE:
    case KIND_DURATION:
        return take_number(options, row, text, e);
    case KIND_SET:
        return take_listed(row, options->set, &options->set_count, text, e);
    case KIND_FAIL_IF:
        return take_listed(row, options->fail_if, &options->fail_if_count, text, e);
    case KIND_VERBOSE:
        take_verbose(options);
        return OPTIONS_RUN;
    case KIND_QUIET:
        take_quiet(options);
        return OPTIONS_RUN;
    case KIND_HELP:
        return OPTIONS_HELP;
    case KIND_VERSION:
        return OPTIONS_VERSION;
    }
    return ERR_SYNTAX;
}

static void set_defaults(struct options *options)
{
    memset(options, 0, sizeof *options);
    options->frames_per_conn = UINT64_MAX;
    for (unsigned i = 0; options_row(i); i++) {
        if (options_row(i)->initial)
            take(options, options_row(i), options_row(i)->initial, NULL);
    }
}

/* The command line */

/* The table as getopt_long takes it. */
struct getopt_table {
    struct option longs[ROWS_MAX + 1];
    char letters[2 * ROWS_MAX + 2];
};

static void make_getopt_table(struct getopt_table *table)
{
    memset(table, 0, sizeof *table);
    char *letter = table->letters;
    *letter++ = ':'; /* a missing value is told apart from an unknown option */
    for (int i = 0; options_row((unsigned)i); i++) {
        const struct options_row *row = options_row((unsigned)i);
        int argument = row->argument ? required_argument : no_argument;
        table->longs[i] = (struct option){row->name, argument, NULL, LONG_BASE + i};
        if (row->letter)
            *letter++ = row->letter;
        if (row->letter && row->argument)
            *letter++ = ':';
    }
}

/* The row of what getopt_long returned (a letter, or LONG_BASE and more), or NULL. */
static const struct options_row *find_row(int value)
{
    if (value >= LONG_BASE)
        return options_row((unsigned)(value - LONG_BASE));
    for (unsigned i = 0; value && options_row(i); i++) {
        if (options_row(i)->letter == value)
            return options_row(i);
    }
    return NULL;
}

/* The option as it was written, "-F" or "--frame". */
static const char *spell(char spelling[SPELLING], const struct options_row *row, int value)
{
    if (value >= LONG_BASE)
        snprintf(spelling, SPELLING, "--%s", row->name);
    else
        snprintf(spelling, SPELLING, "-%c", row->letter);
    return spelling;
}

static int mend_by_help(enum options_use program, struct error *e)
{
    error_mend(e, "%s --help lists the options", options_program(program));
    return ERR_SYNTAX;
}

static int refuse_foreign(const char *spelling, enum options_use program, struct error *e)
{
    error_what(e, "%s belongs to %s", spelling,
               program == USE_SERVER ? "synfin, the client" : "synfind, the server");
    return mend_by_help(program, e);
}

/* Adds " or --name" to the list in `text`. */
static void add_name(char *text, size_t size, const char *name)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s--%s", used ? " or " : "", name);
}

/* Mends a long option that is no option: the names it begins, else the name nearest to it. */
static bool mend_long(const char *name, enum options_use program, struct error *e)
{
    char begins[200] = "";
    struct nearest nearest = {0};
    for (unsigned i = 0; options_row(i); i++) {
        const struct options_row *row = options_row(i);
        if (!(row->use & program))
            continue;
        nearest_try(&nearest, name, row->name);
        if (*name && strncmp(row->name, name, strlen(name)) == 0)
            add_name(begins, sizeof begins, row->name);
    }
    if (*begins)
        error_mend(e, "write it in full: %s", begins);
    else if (nearest.name)
        error_mend(e, "did you mean --%s?", nearest.name);
    return *begins || nearest.name;
}

static int refuse_long(const char *written, enum options_use program, struct error *e)
{
    char name[SPELLING];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(written + 2, "="), written + 2);
    error_what(e, "--%s is no option", name);
    return mend_long(name, program, e) ? ERR_SYNTAX : mend_by_help(program, e);
}

static int refuse_letter(int letter, enum options_use program, struct error *e)
{
    const struct options_row *other = find_row(letter ^ ('a' ^ 'A'));
    error_what(e, "-%c is no option", letter);
    if (!other || !other->name || !(other->use & program))
        return mend_by_help(program, e);
    error_mend(e, "-%c is --%s", other->letter, other->name);
    return ERR_SYNTAX;
}

/* Whether a long option was written in full. getopt_long also takes beginnings of names, whose
 * meaning would change with the next option. */
static bool in_full(const struct options_row *row, const char *written)
{
    size_t length = strcspn(written + 2, "=");
    return length == strlen(row->name) && strncmp(written + 2, row->name, length) == 0;
}

/* getopt_long said '?' or ':' of argv[optind - 1]; optopt holds the option where it is known. */
static int refuse(int said, char **argv, enum options_use program, struct error *e)
{
    const struct options_row *row = find_row(optopt);
    const char *written = argv[optind - 1];
    char spelling[SPELLING];

    if (!row && optopt)
        return refuse_letter(optopt, program, e);
    if (!row || (optopt >= LONG_BASE && !in_full(row, written)))
        return refuse_long(written, program, e);
    spell(spelling, row, optopt);
    if (!(row->use & program))
        return refuse_foreign(spelling, program, e);
    if (said == ':') {
        error_what(e, "%s has no value", spelling);
        error_mend(e, "write %s %s", spelling, row->argument);
    } else {
        error_what(e, "%s takes no value: '%s'", spelling, written);
        error_mend(e, "write %s alone", spelling);
    }
    return ERR_SYNTAX;
}

/* The argument that held the option which getopt_long just took. */
static const char *written_option(char **argv)
{
    bool value_apart = optarg && optarg == argv[optind - 1];
    return argv[optind - (value_apart ? 2 : 1)];
}

/* What was on the command line, by row: as getopt_long returned it, which is how it was spelt; 0:
 * it was not. */
struct given {
    int values[ROWS_MAX];
};

static void note_given(struct options *options, struct given *given, const struct options_row *row,
                       int value)
{
    unsigned number = (unsigned)(row - options_row(0));
    given->values[number] = value;
    options->given |= UINT64_C(1) << number;
}

static int take_argument(struct options *options, enum options_use program, int value, char **argv,
                         struct given *given, struct error *e)
{
    const struct options_row *row = find_row(value);
    char spelling[SPELLING];

    if (value >= LONG_BASE && !in_full(row, written_option(argv)))
        return refuse_long(written_option(argv), program, e);
    spell(spelling, row, value);
    if (!(row->use & program))
        return refuse_foreign(spelling, program, e);
    note_given(options, given, row, value);
    int rc = take(options, row, optarg, e);
    if (rc < 0)
        error_context(e, "%s", spelling);
    return rc;
}

/* The client's modes, by the option that chooses them. */
static const struct options_mode {
    enum options_use use;
    const char *name;
    size_t offset; /* its flag in struct options */
} modes[] = {
    {USE_LOAD, "load", offsetof(struct options, load)},
    {USE_MERGE, "merge", offsetof(struct options, merge)},
    {USE_COMPARE, "compare", offsetof(struct options, compare)},
};
#define MODES (sizeof modes / sizeof *modes)

static int find_mode(struct options *options, enum options_use program, struct error *e)
{
    const struct options_mode *found = NULL;
    options->mode = program == USE_SERVER ? USE_SERVER : USE_TALK;
    for (unsigned i = 0; i < MODES; i++) {
        if (!*(const bool *)((const char *)options + modes[i].offset))
            continue;
        if (found) {
            error_what(e, "--%s does not go with --%s", modes[i].name, found->name);
            error_mend(e, "leave one of the two out");
            return ERR_SYNTAX;
        }
        found = &modes[i];
        options->mode = found->use;
    }
    return 0;
}

static const char *mode_name(enum options_use mode)
{
    for (unsigned i = 0; i < MODES; i++) {
        if (modes[i].use == mode)
            return modes[i].name;
    }
    return "";
}

/* An option of the client's that this mode does not take. */
static int refuse_mode(const char *spelling, const struct options_row *row, enum options_use mode,
                       struct error *e)
{
    char where[100] = "";
    if (row->use & USE_TALK)
        snprintf(where, sizeof where, "without --%s", mode_name(mode));
    for (unsigned i = 0; i < MODES && !(row->use & USE_TALK); i++) {
        if (row->use & modes[i].use)
            add_name(where, sizeof where, modes[i].name);
    }
    error_what(e, "%s belongs to synfin %s%s", spelling, where,
               row->use & USE_SERVER && !(row->use & USE_TALK) ? ", and to synfind, the server"
                                                               : "");
    error_mend(e, "leave %s out, or %s", spelling,
               row->use & USE_TALK ? "the other" : "choose that mode");
    return ERR_SYNTAX;
}

static int check_mode(const struct options *options, const struct given *given, struct error *e)
{
    char spelling[SPELLING];
    for (unsigned i = 0; options_row(i); i++) {
        const struct options_row *row = options_row(i);
        if (given->values[i] && !(row->use & options->mode))
            return refuse_mode(spell(spelling, row, given->values[i]), row, options->mode, e);
    }
    return 0;
}

int options_parse(struct options *options, enum options_use program, int argc, char **argv,
                  struct error *e)
{
    struct getopt_table table;
    struct given given = {{0}};
    int value, rc;

    set_defaults(options);
    make_getopt_table(&table);
    optind = 0; /* glibc: forget an earlier command line */
    opterr = 0;
    while ((value = getopt_long(argc, argv, table.letters, table.longs, NULL)) != -1) {
        if (value == '?' || value == ':')
            return refuse(value, argv, program, e);
        rc = take_argument(options, program, value, argv, &given, e);
        if (rc != OPTIONS_RUN)
            return rc;
    }
    options->argument_count = argc - optind;
    options->arguments = argv + optind;
    rc = find_mode(options, program, e);
    if (rc == 0)
        rc = check_mode(options, &given, e);
    if (rc < 0)
        return rc;
    return strcmp(options->frame, "list") == 0 ? OPTIONS_FRAME_LIST : OPTIONS_RUN;
}

bool options_given(const struct options *options, const char *name)
{
    for (unsigned i = 0; options_row(i); i++) {
        if (strcmp(options_row(i)->name, name) == 0)
            return options->given >> i & 1;
    }
    return false;
}

enum log_level options_level(const struct options *options)
{
    if (options->quiet)
        return LOG_LEVEL_ERROR;
    return options->verbose >= 2   ? LOG_LEVEL_CALL
           : options->verbose == 1 ? LOG_LEVEL_PHASE
                                   : LOG_LEVEL_NOTE;
}

int options_codec(const struct options *options, struct frame_codec *codec, struct error *e)
{
    int result = frame_codec_parse(codec, options->frame, options->max_frame_bytes, e);
    if (result < 0)
        error_context(e, "-F %s", options->frame);
    return result;
}
