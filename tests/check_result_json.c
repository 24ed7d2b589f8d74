/* Results of loads as JSON: there and back, against the schema, and files that are no result. */
#include "config.h"

#include "result.h"

#include <check.h>
#include <jansson.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "life.h"
#include "pair.h"
#include "results.h"

static struct result result, again;

static void begin(void)
{
    pair_begin();
    ck_assert(setlocale(LC_CTYPE, "C.UTF-8"));
    result_init(&result);
    result_init(&again);
}

static void end(void)
{
    result_fini(&result);
    result_fini(&again);
    pair_end();
}

static void read_back(const char *path)
{
    struct error e = {"", ""};
    ck_assert_msg(result_read(&again, path, &e) == 0, "%s; %s", e.what, e.mend);
}

/* --- there and back --- */

START_TEST(written_read_and_written_it_is_the_same)
{
    results_maker(_i)->make(&result);
    char *text = results_json(&result);
    read_back(results_file("r.json", text));
    char *second = results_json(&again);
    ck_assert_str_eq(text, second);
    char *table = results_text(&result, true, false),
         *table_again = results_text(&again, true, false);
    ck_assert_str_eq(table, table_again);
    free(text);
    free(second);
    free(table);
    free(table_again);
}
END_TEST

START_TEST(a_name_that_is_no_utf8_makes_no_broken_json)
{
    results_closed(&result);
    strcpy(result.target, "unix:/tmp/\xff\xe9\"\\\n");
    char *text = results_json(&result);
    ck_assert_ptr_nonnull(strstr(text, "\"unix:/tmp/\303\277\303\251\\\"\\\\\\n\""));
    read_back(results_file("r.json", text));
    char *second = results_json(&again);
    ck_assert_str_eq(text, second);
    free(text);
    free(second);
}
END_TEST

/* A run with --json-stream: its events in a file. */
static const char *stream_file(const char *name, const struct result *of, bool ended)
{
    const char *path = pair_file(name);
    FILE *out = fopen(path, "w");
    ck_assert(out);
    ck_assert_int_eq(result_json_start(of, out), 0);
    for (size_t i = 0; i < of->interval_count; i++)
        ck_assert_int_eq(result_json_interval(&of->intervals[i], out), 0);
    if (ended)
        ck_assert_int_eq(result_json_end(of, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return path;
}

START_TEST(the_end_event_holds_the_same_result)
{
    results_open(&result);
    read_back(stream_file("s.json", &result, true));
    char *text = results_json(&result), *second = results_json(&again);
    ck_assert_str_eq(text, second);
    free(text);
    free(second);
}
END_TEST

START_TEST(a_file_made_pretty_is_read_too)
{
    results_failures(&result);
    char *text = results_json(&result);
    const char *ugly = results_file("r.json", text), *pretty = pair_file("pretty.json");
    struct start start = {.program = "python3",
                          .arguments =
                              (const char *const[]){"-m", "json.tool", ugly, pretty, NULL}};
    ck_assert_int_eq(pair_wait(pair_start(&start)), 0);
    read_back(pretty);
    char *second = results_json(&again);
    ck_assert_str_eq(text, second);
    free(text);
    free(second);
}
END_TEST

/* --- without memory --- */

static unsigned allocations_left;

static void *fail_in_turn(size_t n)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return malloc(n);
}

/* The JSON library's allocations fail, from the first to the last that is needed. */
START_TEST(without_memory_writing_says_so)
{
    int rc = ERR_MEMORY;
    results_failures(&result);
    json_set_alloc_funcs(fail_in_turn, free);
    for (unsigned n = 0; rc != 0; n++) {
        FILE *nowhere = fopen("/dev/null", "w");
        ck_assert(nowhere && n < 100000);
        allocations_left = n;
        rc = result_json(&result, nowhere);
        ck_assert(rc == 0 || rc == ERR_MEMORY);
        allocations_left = n;
        int end_rc = result_json_end(&result, nowhere);
        ck_assert(end_rc == ERR_MEMORY || (end_rc == 0 && rc == 0));
        fclose(nowhere);
        n += n / 20;
    }
}
END_TEST

/* The library takes some of these failures for faults of the file, and so do we. */
START_TEST(without_memory_reading_fails)
{
    int rc = ERR_MEMORY;
    results_failures(&result);
    char *text = results_json(&result);
    const char *path = results_file("r.json", text);
    json_set_alloc_funcs(fail_in_turn, free);
    for (unsigned n = 0; rc != 0; n++) {
        struct error e = {"", ""};
        ck_assert(n < 100000);
        allocations_left = n;
        rc = result_read(&again, path, &e);
        ck_assert(rc == 0 || rc == ERR_MEMORY || rc == ERR_SYNTAX);
        ck_assert(rc == 0 ||
                  strstr(e.what, rc == ERR_MEMORY ? "no memory" : "it is no whole JSON"));
        n += n / 20;
    }
    free(text);
}
END_TEST

/* --- the schema --- */

#define SCHEMA TOP_SRCDIR "/doc/synfin-result.schema.json"

/* What the validator says of these files; NULL where there is none. */
static const char *invalid(const char *const files[], int status)
{
    const char *arguments[24] = {TOP_SRCDIR "/tests/interop/result_schema.py", SCHEMA};
    for (unsigned i = 0; files[i]; i++)
        arguments[i + 2] = files[i];
    struct program *program =
        pair_start(&(struct start){.program = "python3", .arguments = arguments});
    int ended = pair_wait(program);
    if (ended == 77)
        return NULL;
    const char *said = pair_out(program, NULL);
    ck_assert_msg(ended == status, "%s%s", said, pair_err(program));
    return said;
}

START_TEST(all_results_are_valid)
{
    char *texts[RESULTS_MAKERS], name[32];
    const char *files[RESULTS_MAKERS + 2] = {NULL};
    for (int i = 0; i < RESULTS_MAKERS; i++) {
        struct result made;
        results_maker(i)->make(&made);
        texts[i] = results_json(&made);
        snprintf(name, sizeof name, "%s.json", results_maker(i)->name);
        files[i] = results_file(name, texts[i]);
        free(texts[i]);
        result_fini(&made);
    }
    results_open(&result);
    files[RESULTS_MAKERS] = stream_file("stream.json", &result, true);
    invalid(files, 0);
}
END_TEST

/* A text that stands once in `text` as another, allocated. */
static char *changed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    ck_assert_msg(at, "%s is not there", from);
    char *made = malloc(strlen(text) + strlen(to) + 1);
    ck_assert(made);
    sprintf(made, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return made;
}

START_TEST(the_schema_is_strict)
{
    static const struct {
        const char *from, *to;
    } changes[] = {{"\"frames_sent\":", "\"frames_send\":"},
                   {"\"version\":", "\"more\":1,\"version\":"},
                   {"\"fates\":{", "\"fates\":{\"lucky\":1,"},
                   {"\"round_trip_p50_us\":", "\"round_trip_p50_us\":\"\",\"x\":"}};
    results_open(&result);
    char *text = results_json(&result);
    for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *wrong = changed(text, changes[i].from, changes[i].to);
        const char *files[] = {results_file("wrong.json", wrong), NULL};
        const char *said = invalid(files, 1);
        ck_assert(!said || strstr(said, "wrong.json: line 1: "));
        free(wrong);
    }
    free(text);
}
END_TEST

START_TEST(the_schema_knows_every_fate_and_phase)
{
    char *schema = pair_read_file(SCHEMA, NULL), word[64];
    ck_assert(schema);
    for (enum fate fate = 0; fate < FATE_COUNT; fate++) {
        snprintf(word, sizeof word, "\"%s\"", fate_row(fate)->name);
        ck_assert_msg(strstr(schema, word), "%s is not in %s", word, SCHEMA);
    }
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        snprintf(word, sizeof word, "\"%s\"", phase_name(phase));
        ck_assert_msg(strstr(schema, word), "%s is not in %s", word, SCHEMA);
    }
    free(schema);
}
END_TEST

/* --- files that are no result --- */

/* Refused with these words; the file is named, and `again` left as it was. */
static void refused(const char *path, int status, const char *words)
{
    struct error e = {"", ""};
    struct result before = again;
    ck_assert_int_eq(result_read(&again, path, &e), status);
    ck_assert_mem_eq(&again, &before, sizeof before);
    ck_assert_msg(strncmp(e.what, path, strlen(path)) == 0, "%s", e.what);
    ck_assert_msg(strstr(e.what, words), "%s", e.what);
    ck_assert_ptr_null(strchr(e.what, '\n'));
    if (status == ERR_SYNTAX)
        ck_assert_ptr_nonnull(strstr(e.mend, "synfin --load -J"));
}

static const struct {
    const char *text, *words;
} no_results[] = {
    {"", "it is empty"},
    {" \n\t", "it is empty"},
    {"hello\n", "it is no whole JSON"},
    {"{\"a\":", "it is no whole JSON"},
    {"{\"a\":1,\"a\":2}", "duplicate"},
    {"[1,2]", "it is JSON, but no result"},
    {"7", "it is no whole JSON"},
    {"{}", "it is JSON, but no result"},
    {"{\"name\":\"x\"}\n", "it is JSON, but no result"},
    {"{\"synfin_result\":2}", "format is number 2, this synfin reads number 1"},
    {"{\"synfin_result\":-1}", "not a number from 0 on"},
    {"{\"synfin_result\":\"1\"}", "\"synfin_result\" is not a whole number"},
    {"{\"synfin_result\":1}", "it has no \"target\""},
    {"{\"event\":\"start\"}\n{\"event\":\"interval\"}\n", "it has no \"end\" event"},
    {"{\"event\":\"end\"}\n", "\"end\" event has no \"result\""},
    {"{\"event\":\"end\",\"result\":[]}\n", "it is JSON, but no result"},
};

START_TEST(what_is_no_result_is_refused)
{
    refused(results_file("bad.json", no_results[_i].text), ERR_SYNTAX, no_results[_i].words);
}
END_TEST

/* Members that do not fit: what stands there, and in its place. */
static const struct {
    const char *from, *to, *words;
} misfits[] = {
    {"\"frames_sent\":", "\"frames_send\":", "it has no \"frames_sent\""},
    {"\"frames_sent\":", "\"frames_sent\":-5,\"x\":", "not a number from 0 on"},
    {"\"frames_sent\":", "\"frames_sent\":1.5,\"x\":", "not a whole number"},
    {"\"frames_sent\":", "\"frames_sent\":null,\"x\":", "\"frames_sent\""},
    {"\"frames_sent\":", "\"frames_sent\":99999999999999999999,\"x\":", "it is no whole JSON"},
    {"\"expect\":\"echo\"", "\"expect\":\"more\"", "echo, any, none or stream"},
    {"\"codec\":\"u32be\"", "\"codec\":4", "\"codec\" is not a text"},
    {"\"fates\":{", "\"fates\":{\"lucky\":1,", "its fate \"lucky\" is none"},
    {"\"verdict\":{", "\"verdict\":7,\"x\":{", "\"verdict\" is not an object"},
    {"\"closed_first\":{", "\"closed_first\":{},\"x\":{", "it has no \"nobody\""},
    {"\"intervals\":[{\"from_us\":0", "\"intervals\":[{\"from_us\":\"0\"", "interval 1: "},
    {"\"intervals\":[", "\"intervals\":[3,", "interval 1: "},
    {"\"exit_status\":0", "\"exit_status\":256", "an exit status"},
    {"\"buckets\":[[", "\"buckets\":[7,[", "a bucket is not [lowest value, count]"},
    {"\"buckets\":[[", "\"buckets\":[[4097,1],[", "a bucket is not [lowest value, count]"},
    {"\"buckets\":[[", "\"buckets\":[[4096,1],[", "\"connect\": its buckets and its count"},
    {"\"buckets\":[[", "\"buckets\":[[4096,0],[", "a bucket is not [lowest value, count]"},
    {"\"min_ns\":203000", "\"min_ns\":1203000", "\"connect\": its buckets and its count"},
    {"\"connect\":{\"count\":1000", "\"connect\":{\"count\":0", "its buckets and its count"},
    {"\"p50_us\":221.0", "\"p50_us\":-1", "a time in microseconds"},
    {"\"slow\":true", "\"slow\":1", "true or false"},
};

START_TEST(a_member_that_does_not_fit_is_named)
{
    results_open(&result);
    char *text = results_json(&result), *wrong = changed(text, misfits[_i].from, misfits[_i].to);
    refused(results_file("bad.json", wrong), ERR_SYNTAX, misfits[_i].words);
    free(text);
    free(wrong);
}
END_TEST

START_TEST(cut_anywhere_it_is_refused)
{
    results_failures(&result);
    char *text = results_json(&result);
    size_t n = strlen(text), step = n / pair_scaled(100) + 1;
    for (size_t cut = n - 2; cut < n; cut -= step) {
        text[cut] = '\0';
        refused(results_file("cut.json", text), ERR_SYNTAX, cut > 0 ? "it is no whole" : "empty");
    }
    free(text);
}
END_TEST

START_TEST(more_than_one_result_is_refused)
{
    results_refused(&result);
    char *text = results_json(&result), *twice = malloc(2 * strlen(text) + 1);
    ck_assert(twice);
    sprintf(twice, "%s%s", text, text);
    refused(results_file("two.json", twice), ERR_SYNTAX, "more follows its result");
    free(text);
    free(twice);
}
END_TEST

START_TEST(a_stream_that_was_cut_is_refused)
{
    results_open(&result);
    refused(stream_file("s.json", &result, false), ERR_SYNTAX, "it has no \"end\" event");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_says_why)
{
    refused(pair_file("gone.json"), ERR_SYSTEM, "No such file");
    refused(pair_dir(), ERR_SYSTEM, "directory");
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

static TCase *there_and_back(void)
{
    TCase *tcase = tcase_create("there_and_back");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, written_read_and_written_it_is_the_same, 0, RESULTS_MAKERS);
    tcase_add_test(tcase, a_name_that_is_no_utf8_makes_no_broken_json);
    tcase_add_test(tcase, the_end_event_holds_the_same_result);
    tcase_add_test(tcase, a_file_made_pretty_is_read_too);
    return tcase;
}

static TCase *memory(void)
{
    TCase *tcase = tcase_create("memory");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, without_memory_writing_says_so);
    tcase_add_test(tcase, without_memory_reading_fails);
    return tcase;
}

static TCase *schema(void)
{
    TCase *tcase = tcase_create("schema");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, all_results_are_valid);
    tcase_add_test(tcase, the_schema_is_strict);
    tcase_add_test(tcase, the_schema_knows_every_fate_and_phase);
    return tcase;
}

static TCase *bad_files(void)
{
    TCase *tcase = tcase_create("bad_files");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, what_is_no_result_is_refused, 0, ROWS(no_results));
    tcase_add_loop_test(tcase, a_member_that_does_not_fit_is_named, 0, ROWS(misfits));
    tcase_add_test(tcase, cut_anywhere_it_is_refused);
    tcase_add_test(tcase, more_than_one_result_is_refused);
    tcase_add_test(tcase, a_stream_that_was_cut_is_refused);
    tcase_add_test(tcase, a_file_that_cannot_be_read_says_why);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("result_json");
    suite_add_tcase(suite, there_and_back());
    suite_add_tcase(suite, memory());
    suite_add_tcase(suite, schema());
    suite_add_tcase(suite, bad_files());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
