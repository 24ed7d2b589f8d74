/* The record: which phase may follow which, times that add up, fates, and its JSON as a strict
 * reader sees it. */
#include "config.h"

#include "life.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "pair.h"
#include "records.h"

static struct life life;

static void begin(void)
{
    pair_begin();
    life_init(&life, SIDE_CLIENT, 0);
}

static void end(void)
{
    life_fini(&life);
    pair_end();
}

static void restart(enum side side)
{
    life_fini(&life);
    life_init(&life, side, 0);
}

/* --- phases --- */

/* What the design says may follow, beside close. */
static const struct step {
    enum side side;
    enum phase from, to;
} steps[] = {
    {SIDE_CLIENT, PHASE_RESOLVE, PHASE_CREATE},   {SIDE_CLIENT, PHASE_CREATE, PHASE_CONNECT},
    {SIDE_CLIENT, PHASE_CONNECT, PHASE_TRANSFER}, {SIDE_CLIENT, PHASE_TRANSFER, PHASE_DRAIN},
    {SIDE_CLIENT, PHASE_DRAIN, PHASE_LINGER},     {SIDE_SERVER, PHASE_QUEUE, PHASE_TRANSFER},
    {SIDE_SERVER, PHASE_TRANSFER, PHASE_DRAIN},   {SIDE_SERVER, PHASE_DRAIN, PHASE_LINGER},
};

static bool may_follow(enum side side, enum phase from, enum phase to)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i].side == side && steps[i].from == from && steps[i].to == to) {
            return true;
        }
    }
    return to == PHASE_CLOSE && from != PHASE_CLOSE;
}

START_TEST(a_phase_is_followed_by_the_next_or_by_close_only)
{
    enum side side = (enum side)_i;
    for (enum phase from = 0; from < PHASE_COUNT; from++) {
        for (enum phase to = 0; to < PHASE_COUNT; to++) {
            ck_assert_msg(life_may_move(side, from, to) == may_follow(side, from, to),
                          "%s: %s > %s", side_name(side), phase_name(from), phase_name(to));
        }
    }
}
END_TEST

/* In a child, which has to be stopped by the assertion. */
static bool move_is_stopped(enum phase to)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        life_move(&life, to, "a move that is not allowed");
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

START_TEST(a_move_that_is_not_allowed_is_stopped)
{
    unsigned count;
    enum side side = (enum side)_i;
    const enum phase *phases = life_phases(side, &count);
    restart(side);
    for (unsigned i = 0; i < count; i++) {
        ck_assert_int_eq(life.phase, phases[i]);
        for (enum phase to = 0; to < PHASE_COUNT; to++) {
            if (!may_follow(side, life.phase, to)) {
                ck_assert_msg(move_is_stopped(to), "%s > %s", phase_name(life.phase),
                              phase_name(to));
            }
        }
        if (i + 1 < count) {
            life_move(&life, phases[i + 1], "the next");
        }
    }
}
END_TEST

/* Until the clock has gone on, so that no length is 0. */
static void spend_time(void)
{
    uint64_t from_us = clock_us();
    while (clock_us() < from_us + 3) {
        ;
    }
}

static uint64_t sum_of_phases(void)
{
    uint64_t sum = 0;
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        sum += life_phase_us(&life, phase);
    }
    return sum;
}

/* Lives that go `_i` phases far and then to close. */
START_TEST(phases_are_contiguous_and_add_up)
{
    for (enum side side = SIDE_CLIENT; side <= SIDE_SERVER; side++) {
        unsigned count, entered = 0;
        const enum phase *phases = life_phases(side, &count);
        unsigned far = (unsigned)_i < count - 1 ? (unsigned)_i : count - 2;
        restart(side);
        for (unsigned i = 0; i <= far; i++) {
            ck_assert_int_eq(life.phase, phases[i]);
            entered |= 1u << phases[i];
            spend_time();
            life_move(&life, i < far ? phases[i + 1] : PHASE_CLOSE, "next");
        }
        spend_time();
        life_end(&life, "closed");
        ck_assert_uint_eq(life.phases, entered | 1u << PHASE_CLOSE);
        ck_assert_uint_eq(sum_of_phases(), life_total_us(&life));
        ck_assert_uint_eq(life_total_us(&life), life_entered_us(&life) - life.began_us +
                                                    life_phase_us(&life, PHASE_CLOSE));
        for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
            ck_assert_int_eq(life_phase_us(&life, phase) > 0, (life.phases >> phase & 1) != 0);
        }
    }
}
END_TEST

START_TEST(the_wait_in_the_accept_queue_is_part_of_the_life)
{
    uint64_t wall_us = clock_wall_us();
    life_fini(&life);
    life_init(&life, SIDE_SERVER, 812000);
    ck_assert_uint_lt(life_start_us(&life), wall_us);
    life_move(&life, PHASE_TRANSFER, "accept4");
    ck_assert_uint_ge(life_phase_us(&life, PHASE_QUEUE), 812000);
    life_move(&life, PHASE_CLOSE, "cut");
    life_end(&life, "closed");
    ck_assert_uint_eq(sum_of_phases(), life_total_us(&life));
}
END_TEST

/* --- fates and names --- */

START_TEST(the_first_failure_stays)
{
    ck_assert_int_eq(life.fate, FATE_CLEAN);
    life_move(&life, PHASE_CREATE, "resolved");
    ck_assert(life_fail(&life, FATE_REFUSED, "nobody listens on port %d", 9));
    life_mend(&life, "start it");
    life_move(&life, PHASE_CLOSE, "refused");
    ck_assert(!life_fail(&life, FATE_MEMORY, "later"));
    ck_assert_int_eq(life.fate, FATE_REFUSED);
    ck_assert_int_eq(life.failed_at, PHASE_CREATE);
    ck_assert_str_eq(life.detail, "nobody listens on port 9");
    ck_assert_str_eq(life_mend_text(&life), "start it");
    life_mend(&life, "");
    ck_assert_ptr_null(life_mend_text(&life));
    ck_assert_str_eq(life.detail, "nobody listens on port 9");
}
END_TEST

START_TEST(fates_have_names_of_their_own_and_the_statuses_of_the_design)
{
    static const int statuses[] = {1, 6, 7, 23, 26, 27, 28, 56, 130};
    for (enum fate fate = 0; fate < FATE_COUNT; fate++) {
        const struct fate_row *row = fate_row(fate);
        bool known = row->exit_status == 0;
        for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
            known |= row->exit_status == statuses[i];
        }
        ck_assert_msg(known, "%s: %d", row->name, row->exit_status);
        ck_assert_int_eq(row->is_error, fate != FATE_CLEAN);
        ck_assert_int_eq(row->exit_status != 0, row->is_error);
        ck_assert_uint_gt(strlen(row->meaning), 0);
        for (enum fate other = 0; other < fate; other++) {
            ck_assert_str_ne(row->name, fate_row(other)->name);
        }
    }
    ck_assert_int_eq(FATE_CLEAN, FATE_COUNT - 1); /* every failure comes before it */
}
END_TEST

/* --- ids --- */

#define NAMERS 8
#define NAMED 5000

static uint64_t numbers[NAMERS][NAMED], runs[NAMERS];

static void *name_lives(void *arg)
{
    size_t n = (size_t)arg;
    for (unsigned i = 0; i < NAMED; i++) {
        struct life one;
        life_init(&one, SIDE_SERVER, 0);
        numbers[n][i] = one.number;
    }
    runs[n] = life_run();
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

START_TEST(lives_of_several_threads_have_ids_of_their_own)
{
    pthread_t threads[NAMERS];
    for (size_t i = 0; i < NAMERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, name_lives, (void *)i), 0);
    }
    for (size_t i = 0; i < NAMERS; i++) {
        pthread_join(threads[i], NULL);
    }
    uint64_t *all = &numbers[0][0];
    qsort(all, NAMERS * NAMED, sizeof *all, by_number);
    for (size_t i = 1; i < NAMERS * NAMED; i++) {
        ck_assert_uint_lt(all[i - 1], all[i]);
    }
    for (size_t i = 0; i < NAMERS; i++) {
        ck_assert_uint_eq(runs[i], life_run());
    }
    ck_assert_uint_ne(life_run(), 0);
}
END_TEST

/* --- addresses --- */

static union life_address address(const char *host, uint16_t port)
{
    union life_address a = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) != 1) {
        a = (union life_address){.in = {.sin_family = AF_INET, .sin_port = htons(port)}};
        ck_assert_int_eq(inet_pton(AF_INET, host, &a.in.sin_addr), 1);
    }
    return a;
}

START_TEST(addresses_are_written_as_people_write_them)
{
    char text[LIFE_ADDRESS_TEXT];
    char path[109] = "/";
    union life_address a = address("10.0.4.17", 9000);
    ck_assert_str_eq(life_address_text(text, &a), "10.0.4.17:9000");
    a = address("fd00:4::17", 65535);
    ck_assert_str_eq(life_address_text(text, &a), "[fd00:4::17]:65535");
    a = address("1111:2222:3333:4444:5555:6666:7777:8888", 65535);
    ck_assert_str_eq(life_address_text(text, &a),
                     "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
    ck_assert_str_eq(life_address_text(text, &life.local), "-");
    memset(path + 1, 'x', 107); /* as long as sun_path, without its NUL */
    a.un = (struct life_unix){.family = AF_UNIX, .path = path};
    life_address_text(text, &a);
    ck_assert_uint_eq(strlen(text), 5 + 108);
    ck_assert_str_eq(text + 5, path);
}
END_TEST

/* --- the record as JSON --- */

static void append_record(const char *path, const struct life *record)
{
    FILE *file = fopen(path, "ae");
    char *line = life_json(record);
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strchr(line, '\n'));
    fprintf(file, "%s\n", line);
    ck_assert_int_eq(fclose(file), 0);
    free(line);
}

static void fill(struct life *record)
{
    record->local = address("127.0.0.1", 41872);
    record->remote = address("::1", 9000);
    record->accepted = 2;
    record->discarded = 1;
    record->frames_out = UINT64_MAX;
    record->bytes_in = 1234567890123;
    record->fin_sent_us = record->began_us + 77;
    record->kernel = malloc(sizeof *record->kernel);
    ck_assert_ptr_nonnull(record->kernel);
    *record->kernel = (struct life_kernel){.rtt_us = 211, .acked_bytes = 5};
    record->attempts = calloc(2, sizeof *record->attempts);
    ck_assert_ptr_nonnull(record->attempts);
    record->attempt_count = 2;
    record->attempts[0] = (struct life_attempt){
        .address = address("fd00:4::17", 9000), .took_us = 12, .error = EHOSTUNREACH};
    record->attempts[1] = (struct life_attempt){.address = address("10.0.4.17", 9000)};
}

START_TEST(the_record_holds_what_is_known_and_null_for_the_rest)
{
    const char *path = pair_file("records");
    fill(&life);
    life_move(&life, PHASE_CREATE, "resolved");
    life_move(&life, PHASE_CLOSE, "cut");
    life_end(&life, "closed");
    append_record(path, &life);
    restart(SIDE_SERVER);
    append_record(path, &life);
    ck_assert_uint_eq(records_strict(path, NULL, NULL, 0), 2);

    struct records records = records_read(path);
    const char *line = records.line[0];
    ck_assert_str_eq(record_text(line, "side"), "client");
    ck_assert_str_eq(record_text(line, "local"), "127.0.0.1:41872");
    ck_assert_str_eq(record_text(line, "remote"), "[::1]:9000");
    ck_assert_str_eq(record_text(line, "frames_out"), "18446744073709551615");
    ck_assert_int_eq(record_number(line, "bytes_in"), 1234567890123);
    ck_assert_int_eq(record_number(line, "fin_sent_us"), 77);
    ck_assert_str_eq(record_text(line, "fin_seen_us"), "null");
    ck_assert_str_eq(record_text(line, "connect_us"), "null");
    ck_assert_str_eq(record_text(line, "queue_us"), "null");
    ck_assert_int_eq(record_number(line, "resolve_us") + record_number(line, "create_us") +
                         record_number(line, "close_us"),
                     record_number(line, "total_us"));
    ck_assert_int_eq(record_number(line, "rtt_us"), 211);
    ck_assert_str_eq(record_text(line, "fate"), "clean");
    ck_assert_str_eq(record_text(line, "failed_at"), "null");
    ck_assert_ptr_nonnull(strstr(record_text(line, "attempts"), "\"EHOSTUNREACH\""));
    line = records.line[1];
    ck_assert_str_eq(record_text(line, "side"), "server");
    ck_assert_str_eq(record_text(line, "rtt_us"), "null");
    ck_assert_str_eq(record_text(line, "attempts"), "[]");
    ck_assert_str_eq(record_text(line, "local"), "null");
    ck_assert_str_eq(record_text(line, "run"), record_text(records.line[0], "run"));
    records_free(&records);
}
END_TEST

/* What is valid UTF-8 stays; of the rest each byte is read as the character with its number. */
static const struct text {
    const char *text, *read; /* `read` NULL: the same */
} texts[] = {
    {"", NULL},
    {"plain", NULL},
    {"\"quoted\" and \\ and /", NULL},
    {"\x01\x02\x1f\x7f\t\n\r\b\f\x1b[31m", NULL},
    {"214 \xc2\xb5s", NULL},
    {"\xe2\x96\x88 \xf0\x9f\x98\x80 \xef\xbf\xbf \xf4\x8f\xbf\xbf", NULL},
    {"caf\xe9", "caf\xc3\xa9"},
    {"\xff\xfe", "\xc3\xbf\xc3\xbe"},
    {"\x80", "\xc2\x80"},
    {"\xc2", "\xc3\x82"},
    {"\xc2\"", "\xc3\x82\""},
    {"\xe2\x96", "\xc3\xa2\xc2\x96"},
    {"\xc0\xaf", "\xc3\x80\xc2\xaf"},                         /* too long a form */
    {"\xe0\x80\xaf", "\xc3\xa0\xc2\x80\xc2\xaf"},             /* the same */
    {"\xed\xa0\x80", "\xc3\xad\xc2\xa0\xc2\x80"},             /* half a surrogate pair */
    {"\xf4\x90\x80\x80", "\xc3\xb4\xc2\x90\xc2\x80\xc2\x80"}, /* over U+10FFFF */
    {"\xf8\x88\x80\x80\x80", "\xc3\xb8\xc2\x88\xc2\x80\xc2\x80\xc2\x80"},
};
#define TEXTS (sizeof texts / sizeof *texts)

static void add_hex(char **at, const char *text)
{
    for (; *text != '\0'; text++) {
        *at += sprintf(*at, "%02x", (unsigned char)*text);
    }
    *at += sprintf(*at, "\n");
}

START_TEST(any_text_is_valid_json_and_read_back)
{
    const char *path = pair_file("records");
    char expected[4096], read[4096], *at = expected;
    for (size_t i = 0; i < TEXTS; i++) {
        restart(SIDE_SERVER);
        life_fail(&life, FATE_BAD_FRAME, "%s", texts[i].text);
        append_record(path, &life);
        add_hex(&at, texts[i].read != NULL ? texts[i].read : texts[i].text);
    }
    ck_assert_uint_eq(records_strict(path, "detail", read, sizeof read), TEXTS);
    ck_assert_str_eq(read, expected);
}
END_TEST

/* Bytes from a generator of our own: the same every time. */
START_TEST(a_path_of_any_bytes_is_valid_json)
{
    const char *path = pair_file("records");
    uint64_t random = 1;
    char odd[109];
    for (unsigned i = 0; i < 300; i++) {
        restart(i % 2 == 0 ? SIDE_SERVER : SIDE_CLIENT);
        for (unsigned k = 0; k < 108; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            odd[k] = (char)(random >> 56 != 0 ? random >> 56 : 1);
        }
        odd[108] = '\0';
        life_set_path(&life, odd);
        append_record(path, &life);
    }
    ck_assert_uint_eq(records_strict(path, NULL, NULL, 0), 300);
}
END_TEST

/* --- the account for a person --- */

START_TEST(the_account_names_the_stages_gone_through_and_the_fate)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    life_move(&life, PHASE_CREATE, "resolved");
    life_move(&life, PHASE_CONNECT, "created");
    life_fail(&life, FATE_REFUSED, "ECONNREFUSED");
    life_move(&life, PHASE_CLOSE, "refused");
    life_end(&life, "closed");
    life_account(&life, out);
    ck_assert_int_eq(fclose(out), 0);
    static const char *const shown[] = {"client #",         "resolve",      "create ",
                                        "connect ",         "close ",       "total ",
                                        "refused",          "ECONNREFUSED", "closed first: nobody",
                                        "TIME_WAIT: nobody"};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        ck_assert_msg(strstr(text, shown[i]) != NULL, "no \"%s\" in:\n%s", shown[i], text);
    }
    ck_assert_ptr_null(strstr(text, "linger"));
    ck_assert_ptr_null(strstr(text, "queue"));
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("life");
    TCase *tcase = tcase_create("record");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, a_phase_is_followed_by_the_next_or_by_close_only, 0, 2);
#ifndef NDEBUG
    tcase_add_loop_test(tcase, a_move_that_is_not_allowed_is_stopped, 0, 2);
#endif
    tcase_add_loop_test(tcase, phases_are_contiguous_and_add_up, 0, 6);
    tcase_add_test(tcase, the_wait_in_the_accept_queue_is_part_of_the_life);
    tcase_add_test(tcase, the_first_failure_stays);
    tcase_add_test(tcase, fates_have_names_of_their_own_and_the_statuses_of_the_design);
    tcase_add_test(tcase, lives_of_several_threads_have_ids_of_their_own);
    tcase_add_test(tcase, addresses_are_written_as_people_write_them);
    tcase_add_test(tcase, the_account_names_the_stages_gone_through_and_the_fate);
    suite_add_tcase(suite, tcase);

    TCase *json = tcase_create("json");
    tcase_set_timeout(json, 60);
    tcase_add_checked_fixture(json, begin, end);
    tcase_add_test(json, the_record_holds_what_is_known_and_null_for_the_rest);
    tcase_add_test(json, any_text_is_valid_json_and_read_back);
    tcase_add_test(json, a_path_of_any_bytes_is_valid_json);
    if (records_reader()) {
        suite_add_tcase(suite, json);
    } else {
        fputs("skipped: the record as JSON: no python3 to read it\n", stderr);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
