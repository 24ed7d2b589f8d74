/* The journal and its jsonl sink: a line for each record whatever the threads do, what a full disk
 * or a slow sink costs is counted and told, and nobody waits for the sink. */
#include "config.h"

#include "journal.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pair.h"
#include "records.h"

static struct error e;
static const char *path; /* of the journal */
static char url[300];

static void begin(void)
{
    pair_begin();
    path = pair_file("journal");
    snprintf(url, sizeof url, "jsonl:%s", path);
    e = (struct error){"", ""};
}

static struct journal *open_journal(const char *at)
{
    struct journal *journal = journal_open(at, &e);
    ck_assert_msg(journal != NULL, "%s; %s", e.what, e.mend);
    return journal;
}

static void close_whole(struct journal *journal)
{
    ck_assert_msg(journal_close(journal, &e) == 0, "%s; %s", e.what, e.mend);
}

/* A life that has ended; each has a number of its own. */
static void put_life(struct journal *journal, const char *detail)
{
    struct life life;
    life_init(&life, SIDE_SERVER, 0);
    if (detail != NULL) {
        life_fail(&life, FATE_BAD_FRAME, "%s", detail);
    }
    life_move(&life, PHASE_CLOSE, "test");
    life_end(&life, "test");
    journal_put(journal, &life);
    life_fini(&life);
}

static void put_lives(struct journal *journal, unsigned count, const char *detail)
{
    for (unsigned i = 0; i < count; i++) {
        put_life(journal, detail);
    }
}

/* A text of `length` bytes, to be freed. */
static char *long_text(size_t length)
{
    char *text = malloc(length + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', length);
    text[length] = '\0';
    return text;
}

/* Its lines, each a whole record with an id of its own. */
static unsigned whole_lines(void)
{
    return records_strict(path, NULL, NULL, 0);
}

/* The count in "journal: 1,234 records lost: ...". */
static unsigned lost(void)
{
    unsigned count = 0;
    const char *c = e.what;
    ck_assert_msg(strncmp(c, "journal: ", 9) == 0, "%s", e.what);
    for (c += 9; *c == ',' || (*c >= '0' && *c <= '9'); c++) {
        if (*c != ',') {
            count = count * 10 + (unsigned)(*c - '0');
        }
    }
    ck_assert_msg(
        strncmp(c, count == 1 ? " record lost: " : " records lost: ", count == 1 ? 14 : 15) == 0,
        "%s", e.what);
    return count;
}

/* --- where to --- */

static const struct refused {
    const char *url, *what, *mend;
} refused[] = {
    {"", "no such kind of journal", "jsonl:FILE"},
    {"journal.jsonl", "--journal journal.jsonl: no such kind", "jsonl:FILE"},
    {"xml:records", "--journal xml:records: no such kind", "jsonl:FILE"},
    {"JSONL:records", "--journal JSONL:records: no such kind", "jsonl:FILE"},
    {"json:records", "no such kind", "jsonl:FILE"},
    {"jsonl2:records", "no such kind", "jsonl:FILE"},
    {"jsonl:", "nothing follows the colon", "jsonl:FILE"},
    {"jsonl:/nowhere/records", "/nowhere/records: No such file or directory", "folder"},
    {"jsonl:/dev", "/dev: Is a directory", "name a file"},
    {"jsonl:/dev/null/x", "/dev/null/x: Not a directory", "name a file"},
};

START_TEST(what_cannot_be_opened_is_named_with_a_mend)
{
    ck_assert_ptr_null(journal_open(refused[_i].url, &e));
    ck_assert_msg(strstr(e.what, refused[_i].what) != NULL, "%s", e.what);
    ck_assert_msg(strstr(e.mend, refused[_i].mend) != NULL, "%s; %s", e.what, e.mend);
}
END_TEST

START_TEST(without_records_the_file_is_there_and_empty)
{
    struct stat status;
    close_whole(open_journal(url));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_size, 0);
}
END_TEST

START_TEST(records_are_appended_to_what_is_there)
{
    for (unsigned run = 1; run <= 3; run++) {
        struct journal *journal = open_journal(url);
        put_lives(journal, 10, NULL);
        close_whole(journal);
        ck_assert_uint_eq(whole_lines(), run * 10);
    }
    struct records records = records_read(path);
    for (unsigned i = 1; i < records.count; i++) {
        ck_assert_int_gt(record_number(records.line[i], "number"),
                         record_number(records.line[i - 1], "number"));
    }
    records_free(&records);
}
END_TEST

START_TEST(standard_output_is_written_and_stays_open)
{
    int before = dup(STDOUT_FILENO);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    struct journal *journal = open_journal("jsonl:-");
    put_lives(journal, 5, NULL);
    close_whole(journal);
    ssize_t more = write(STDOUT_FILENO, "{\"run\":\"a\",\"number\":0}\n", 23);
    dup2(before, STDOUT_FILENO);
    ck_assert_int_eq(more, 23);
    ck_assert_uint_eq(whole_lines(), 6);
}
END_TEST

static void *read_to_the_end(void *arg)
{
    int in = *(int *)arg, out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    static char buf[1 << 16];
    ssize_t n;
    fcntl(in, F_SETFL, 0);
    while ((n = read(in, buf, sizeof buf)) > 0) {
        if (write(out, buf, (size_t)n) != n) {
            break;
        }
    }
    close(out);
    return NULL;
}

/* A pipe that another process has set to non-blocking is waited for, not given up. */
START_TEST(a_non_blocking_pipe_gets_every_record)
{
    int in, out = pair_pipe(&in), before = dup(STDOUT_FILENO);
    pthread_t reader;
    ck_assert_int_eq(fcntl(out, F_SETFL, O_NONBLOCK), 0);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    struct journal *journal = open_journal("jsonl:-");
    dup2(before, STDOUT_FILENO);
    close(out);
    ck_assert_int_eq(pthread_create(&reader, NULL, read_to_the_end, &in), 0);
    put_lives(journal, 2000, NULL);
    close_whole(journal);
    pthread_join(reader, NULL);
    ck_assert_uint_eq(whole_lines(), 2000);
}
END_TEST

/* --- many threads --- */

#define PUTTERS 8

static struct journal *shared;

static void *put_many(void *arg)
{
    const unsigned *count = arg;
    for (unsigned i = 0; i < *count; i++) {
        put_life(shared, i % 3 == 0 ? "a detail with \"quotes\"\n" : NULL);
    }
    return NULL;
}

START_TEST(each_record_of_each_thread_is_one_line)
{
    pthread_t threads[PUTTERS];
    unsigned count = pair_scaled(2500);
    shared = open_journal(url);
    for (unsigned i = 0; i < PUTTERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, put_many, &count), 0);
    }
    for (unsigned i = 0; i < PUTTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    close_whole(shared);
    ck_assert_uint_eq(whole_lines(), PUTTERS * count);
}
END_TEST

/* Two journals on one file, as two programs would have. */
START_TEST(two_journals_share_a_file_by_whole_lines)
{
    struct journal *one = open_journal(url), *two = open_journal(url);
    for (unsigned i = 0; i < 500; i++) {
        put_life(one, "one");
        put_life(two, "two");
    }
    close_whole(one);
    close_whole(two);
    ck_assert_uint_eq(whole_lines(), 1000);
}
END_TEST

/* --- what cannot be kept --- */

START_TEST(a_full_disk_is_told_with_the_count)
{
    unsigned count = (unsigned)_i == 0 ? 1 : pair_scaled(1000) + 1;
    struct journal *journal = open_journal("jsonl:/dev/full");
    put_lives(journal, count, NULL);
    ck_assert_int_eq(journal_close(journal, &e), ERR_SYSTEM);
    ck_assert_uint_eq(lost(), count);
    ck_assert_msg(strstr(e.what, "/dev/full: No space left on device") != NULL, "%s", e.what);
    ck_assert_str_ne(e.mend, "");
}
END_TEST

/* The limit cuts a write in the middle of a line, as a disk does that fills up. */
START_TEST(a_disk_that_fills_up_keeps_whole_lines_and_loses_the_rest_by_count)
{
    struct rlimit before, small;
    unsigned count = 4000;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 300 * 1024 + 17;
    struct journal *journal = open_journal(url);
    put_lives(journal, 10, NULL);
    close_whole(journal);
    journal = open_journal(url);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    put_lives(journal, count, NULL);
    int result = journal_close(journal, &e);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(result, ERR_SYSTEM);
    ck_assert_msg(strstr(e.what, "File too large") != NULL, "%s", e.what);
    unsigned kept = whole_lines();
    ck_assert_uint_ge(kept, 10);
    ck_assert_uint_gt(lost(), 0);
    ck_assert_uint_eq(kept - 10 + lost(), count);
}
END_TEST

/* Opening it would wait for a reader, and nobody would know for what. */
START_TEST(a_fifo_that_nobody_reads_is_refused)
{
    char at[300];
    snprintf(at, sizeof at, "jsonl:%s", pair_file("fifo"));
    ck_assert_int_eq(mkfifo(pair_file("fifo"), 0600), 0);
    ck_assert_ptr_null(journal_open(at, &e));
    ck_assert_msg(strstr(e.mend, "start its reader first") != NULL, "%s; %s", e.what, e.mend);
}
END_TEST

/* A pipe that nobody reads: the queue fills, puts go on at once, what did not fit is counted. */
START_TEST(a_sink_that_stalls_holds_up_nobody)
{
    const char *fifo = pair_file("fifo");
    char *detail = long_text(1 << 20);
    char at[300];
    unsigned count = 100;
    pthread_t reader;
    snprintf(at, sizeof at, "jsonl:%s", fifo);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    int in = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct journal *journal = open_journal(at);
    put_lives(journal, count, detail); /* would never end if it waited for the pipe */
    ck_assert_int_eq(pthread_create(&reader, NULL, read_to_the_end, &in), 0);
    int result = journal_close(journal, &e);
    pthread_join(reader, NULL);
    ck_assert_int_eq(result, ERR_SYSTEM);
    ck_assert_msg(strstr(e.what, "slower than the connections") != NULL, "%s", e.what);
    /* 64 MiB of queue, and as much that the writer had taken before. */
    ck_assert_uint_gt(lost(), 0);
    ck_assert_uint_ge(whole_lines(), 63);
    ck_assert_uint_eq(whole_lines() + lost(), count);
    free(detail);
}
END_TEST

START_TEST(a_reader_that_goes_away_is_told)
{
    char at[300];
    const char *fifo = pair_file("fifo");
    signal(SIGPIPE, SIG_IGN); /* as both programs do */
    snprintf(at, sizeof at, "jsonl:%s", fifo);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    int in = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct journal *journal = open_journal(at);
    close(in);
    put_lives(journal, 3, NULL);
    ck_assert_int_eq(journal_close(journal, &e), ERR_SYSTEM);
    ck_assert_uint_eq(lost(), 3);
    ck_assert_msg(strstr(e.what, "Broken pipe") != NULL, "%s", e.what);
}
END_TEST

/* --- the writer's thread --- */

static volatile sig_atomic_t in_this_thread;
static pthread_t main_thread;

static void on_usr1(int number)
{
    (void)number;
    in_this_thread = pthread_equal(pthread_self(), main_thread) != 0;
}

START_TEST(signals_are_left_to_the_thread_that_opened)
{
    main_thread = pthread_self();
    signal(SIGUSR1, on_usr1);
    struct journal *journal = open_journal(url);
    sigset_t usr1, before;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, &before);
    kill(getpid(), SIGUSR1); /* only the writer could take it now */
    put_lives(journal, 100, NULL);
    close_whole(journal);
    ck_assert_int_eq(in_this_thread, 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ck_assert_int_eq(in_this_thread, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tcase = tcase_create("journal");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, begin, pair_end);
    tcase_add_loop_test(tcase, what_cannot_be_opened_is_named_with_a_mend, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(tcase, without_records_the_file_is_there_and_empty);
    tcase_add_loop_test(tcase, a_full_disk_is_told_with_the_count, 0, 2);
    tcase_add_test(tcase, a_reader_that_goes_away_is_told);
    tcase_add_test(tcase, signals_are_left_to_the_thread_that_opened);
    suite_add_tcase(suite, tcase);

    TCase *lines = tcase_create("lines");
    tcase_set_timeout(lines, 60);
    tcase_add_checked_fixture(lines, begin, pair_end);
    tcase_add_test(lines, records_are_appended_to_what_is_there);
    tcase_add_test(lines, standard_output_is_written_and_stays_open);
    tcase_add_test(lines, a_non_blocking_pipe_gets_every_record);
    tcase_add_test(lines, each_record_of_each_thread_is_one_line);
    tcase_add_test(lines, two_journals_share_a_file_by_whole_lines);
    tcase_add_test(lines, a_disk_that_fills_up_keeps_whole_lines_and_loses_the_rest_by_count);
    tcase_add_test(lines, a_fifo_that_nobody_reads_is_refused);
    tcase_add_test(lines, a_sink_that_stalls_holds_up_nobody);
    if (records_reader()) {
        suite_add_tcase(suite, lines);
    } else {
        fputs("skipped: the lines of a journal: no python3 to read them\n", stderr);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
