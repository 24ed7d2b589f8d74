/* What goes to stderr: log lines, frame traces, and the texts of errors. */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "log.h"
#include "trace.h"

#define STAMP_MS "^[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3} "
#define STAMP_US "^[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6} "

/* --- stderr as packets: each write(2) arrives as one --- */

static int reader;
static char packet[8192];

static void begin(void)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    ck_assert_int_eq(dup2(pair[1], STDERR_FILENO), STDERR_FILENO);
    close(pair[1]);
    reader = pair[0];
    log_init("synfin", LOG_LEVEL_NOTE, false);
}

/* The next packet, or "" if there is none now. */
static const char *written(void)
{
    ssize_t got = recv(reader, packet, sizeof packet - 1, MSG_DONTWAIT);
    packet[got > 0 ? got : 0] = '\0';
    return packet;
}

static void matches(const char *text, const char *pattern)
{
    regex_t regex;
    ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&regex, text, 0, NULL, 0) == 0, "'%s' is not %s", text, pattern);
    regfree(&regex);
}

/* --- log --- */

START_TEST(a_line_is_one_write)
{
    log_line(LOG_LEVEL_NOTE, "verdict: %s at %s", "reset", "transfer");
    ck_assert_str_eq(written(), "synfin: verdict: reset at transfer\n");
    ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(levels_above_the_chosen_one_are_silent)
{
    for (int shown = LOG_LEVEL_ERROR; shown <= LOG_LEVEL_CALL; shown++) {
        log_init("synfin", (enum log_level)shown, false);
        for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_CALL; level++) {
            ck_assert(log_on((enum log_level)level) == (level <= shown));
            log_line((enum log_level)level, "line");
            ck_assert_int_eq(written()[0] != '\0', level <= shown);
        }
    }
}
END_TEST

START_TEST(stamps)
{
    log_init("synfind", LOG_LEVEL_PHASE, true);
    log_line(LOG_LEVEL_NOTE, "listening");
    matches(written(), STAMP_MS "listening\n$");
    log_init("synfind", LOG_LEVEL_CALL, true);
    log_line(LOG_LEVEL_NOTE, "listening");
    matches(written(), STAMP_US "listening\n$");
    log_init("synfin", LOG_LEVEL_PHASE, false);
    log_line(LOG_LEVEL_PHASE, "#1 resolve > create");
    matches(written(), STAMP_MS "#1 resolve > create\n$");
    log_line(LOG_LEVEL_NOTE, "hint");
    ck_assert_str_eq(written(), "synfin: hint\n");
}
END_TEST

START_TEST(an_error_names_program_cause_and_mend)
{
    struct error e;
    error_what(&e, "cannot listen on %s: %s", "[::1]:9000", "Address already in use");
    log_error(&e);
    ck_assert_str_eq(written(), "synfin: cannot listen on [::1]:9000: Address already in use\n");
    error_mend(&e, "ss -ltnp shows who does");
    log_error(&e);
    ck_assert_str_eq(written(), "synfin: cannot listen on [::1]:9000: Address already in use; "
                                "ss -ltnp shows who does\n");
    log_init("synfind", LOG_LEVEL_ERROR, true);
    log_error(&e);
    matches(written(), STAMP_MS "synfind: cannot listen on .*; ss -ltnp shows who does\n$");
}
END_TEST

START_TEST(a_line_stays_a_line)
{
    static char huge[5000];
    memset(huge, 'x', sizeof huge - 1);
    log_line(LOG_LEVEL_NOTE, "two\nlines\r\x1b[31m");
    ck_assert_str_eq(written(), "synfin: two?lines??[31m\n");
    log_line(LOG_LEVEL_NOTE, "%s", huge);
    matches(written(), "^synfin: x+\\.\\.\\.\n$");
}
END_TEST

START_TEST(errno_is_kept)
{
    struct error e;
    errno = EDOM;
    log_line(LOG_LEVEL_NOTE, "line");
    error_what(&e, "cause");
    close(STDERR_FILENO);
    errno = EDOM;
    log_line(LOG_LEVEL_NOTE, "line");
    ck_assert_int_eq(errno, EDOM);
}
END_TEST

START_TEST(a_stderr_that_takes_nothing_is_survived)
{
    int gone[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(full, 0);
    dup2(full, STDERR_FILENO);
    log_line(LOG_LEVEL_NOTE, "line");
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe(gone), 0);
    close(gone[0]);
    dup2(gone[1], STDERR_FILENO);
    log_line(LOG_LEVEL_NOTE, "line");
    close(STDERR_FILENO);
    log_line(LOG_LEVEL_NOTE, "line");
}
END_TEST

static void *read_all(void *arg)
{
    FILE *file = fdopen(*(int *)arg, "r");
    char line[256];
    static size_t lines;
    lines = 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "fill", 4) != 0)
            lines++;
        if (strncmp(line, "fill", 4) != 0 && strcmp(line, "synfin: 0123456789\n") != 0)
            lines += 1000000;
    }
    fclose(file);
    return &lines;
}

/* Ends stderr, and returns how many lines the reading thread found; all must have been whole. */
static size_t end_of_reading(pthread_t thread)
{
    void *lines;
    close(STDERR_FILENO);
    ck_assert_int_eq(pthread_join(thread, &lines), 0);
    return *(size_t *)lines;
}

START_TEST(a_full_pipe_is_waited_for)
{
    int pipes[2];
    pthread_t thread;
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(pipes[1], "fill\n", 5) == 5) {
    }
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(fcntl(pipes[0], F_SETFL, 0), 0);
    ck_assert_int_ge(dup2(pipes[1], STDERR_FILENO), 0);
    close(pipes[1]);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_all, &pipes[0]), 0);
    log_line(LOG_LEVEL_NOTE, "0123456789");
    ck_assert_uint_eq(end_of_reading(thread), 1);
}
END_TEST

#define WRITERS 4
#define LINES 2000

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_line(LOG_LEVEL_NOTE, "%s", "0123456789");
    return arg;
}

START_TEST(lines_of_threads_do_not_mix)
{
    int pipes[2];
    pthread_t thread, writers[WRITERS];
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    ck_assert_int_ge(dup2(pipes[1], STDERR_FILENO), 0);
    close(pipes[1]);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_all, &pipes[0]), 0);
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&writers[i], NULL, write_lines, NULL), 0);
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_join(writers[i], NULL), 0);
    ck_assert_uint_eq(end_of_reading(thread), WRITERS * LINES);
}
END_TEST

/* --- error texts --- */

START_TEST(error_texts_are_cut_between_characters)
{
    struct error e;
    char text[sizeof e.what * 2 + 2];
    for (unsigned odd = 0; odd < 2; odd++) { /* "µ" begins at even or at odd places */
        size_t used = odd;
        memset(text, 'x', odd);
        for (; used < sizeof e.what * 2 - 2; used += 2)
            memcpy(text + used, "µ", 2);
        text[used] = '\0';
        error_what(&e, "%s", text);
        size_t length = strlen(e.what);
        ck_assert_uint_lt(length, sizeof e.what);
        ck_assert_str_eq(e.what + length - 3, "...");
        ck_assert_uint_eq((length - 3 - odd) % 2, 0);
    }
}
END_TEST

START_TEST(a_cause_empties_the_mend)
{
    struct error e = {"", "old"};
    error_mend(&e, "try %d", 1);
    ck_assert_str_eq(e.mend, "try 1");
    error_what(&e, "cause %d", 2);
    ck_assert_str_eq(e.what, "cause 2");
    ck_assert_str_eq(e.mend, "");
    error_what(NULL, "nothing");
    error_mend(NULL, "nothing");
}
END_TEST

/* --- clock --- */

START_TEST(clocks_go_forward)
{
    uint64_t last = clock_us();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_us();
        ck_assert_uint_ge(now, last);
        last = now;
    }
    ck_assert_uint_gt(clock_wall_us(), 1600000000ULL * 1000000);
}
END_TEST

/* --- trace --- */

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1
#define NONE NULL, 0
#define HEAD BYTES("\0\0\0\5")

START_TEST(a_frame_of_the_documents)
{
    trace_frame(0, 0, '>', 1, HEAD, BYTES("hello"), NONE);
    ck_assert_str_eq(written(),
                     " 0.000 ms > frame 1, 5 B   00 00 00 05 | 68 65 6c 6c 6f      hello\n");
    trace_frame(61, 0, '<', 1, HEAD, BYTES("hello"), NONE);
    ck_assert_str_eq(written(),
                     " 0.061 ms < frame 1, 5 B   00 00 00 05 | 68 65 6c 6c 6f      hello\n");
    ck_assert_str_eq(written(), "");
}
END_TEST

START_TEST(frames_without_a_part)
{
    trace_frame(0, 0, '>', 1, HEAD, NONE, NONE);
    ck_assert_str_eq(written(), " 0.000 ms > frame 1, 0 B   00 00 00 05 |\n");
    trace_frame(0, 0, '>', 1, NONE, NONE, BYTES("\n"));
    ck_assert_str_eq(written(), " 0.000 ms > frame 1, 0 B   | 0a\n");
    trace_frame(0, 0, '>', 1, NONE, NONE, NONE);
    ck_assert_str_eq(written(), " 0.000 ms > frame 1, 0 B   \n");
    trace_frame(0, 0, '>', 1, BYTES("0:"), NONE, BYTES(","));
    ck_assert_str_eq(written(), " 0.000 ms > frame 1, 0 B   30 3a | | 2c\n");
    trace_frame(1234567, 12, '<', 1000, BYTES("3:"), BYTES("\0\x7f\xb5"), BYTES(","));
    ck_assert_str_eq(written(), "1234.567 ms #12 < frame 1,000, 3 B   "
                                "33 3a | 00 7f b5 | 2c             ...\n");
}
END_TEST

START_TEST(long_frames_go_on_below)
{
    trace_frame(0, 0, '>', 1, HEAD, BYTES("hello world! how are you?"), BYTES("\r\n"));
    ck_assert_str_eq(
        written(),
        " 0.000 ms > frame 1, 25 B   00 00 00 05 | 68 65 6c 6c 6f 20 77 6f 72 6c 64 21     "
        "hello world!\n"
        "                       16   20 68 6f 77 20 61 72 65 20 79 6f 75 3f | 0d 0a         "
        "how are you?\n");
}
END_TEST

/* Where column `column` of line `line` of the packet begins. */
static const char *at(unsigned line, size_t column)
{
    const char *from = packet;
    for (; line > 0; line--)
        from = strchr(from, '\n') + 1;
    return from + column;
}

START_TEST(only_the_first_256_bytes_are_shown)
{
    static uint8_t body[1000];
    const size_t hex = strlen(" 0.000 ms > frame 1, 000 B   ");
    for (size_t length = 250; length < 256; length++) { /* 4 of header: around the limit */
        unsigned lines = 0;
        trace_frame(0, 0, '>', 1, HEAD, body, length, NONE);
        written();
        for (const char *c = packet; *c; c++)
            lines += *c == '\n';
        size_t left = length + 4 > 256 ? length + 4 - 256 : 0;
        ck_assert_uint_eq(lines, left ? 17 : 16);
        ck_assert_int_eq(strncmp(at(1, hex - 5), "16   00 00", 10), 0);
        if (left)
            ck_assert_int_eq(strtoul(at(16, hex + 4), NULL, 10), left);
    }
    trace_frame(0, 0, '>', 1, HEAD, body, sizeof body, NONE);
    ck_assert(strstr(written(), " ... 748 more B\n"));
    ck_assert(setlocale(LC_ALL, "C.UTF-8"));
    trace_frame(0, 0, '>', 1, NONE, body, sizeof body, NONE);
    ck_assert(strstr(written(), " … 744 more B\n"));
}
END_TEST

/* Whatever the lengths, all the bytes shown are there and in order. */
START_TEST(every_byte_is_in_the_hex)
{
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t head = 0; head <= 20; head++) {
        for (size_t tail = 0; tail + head <= sizeof bytes && tail <= 20; tail++) {
            trace_frame(0, 0, '>', 1, bytes, head, bytes + head, sizeof bytes - head - tail,
                        bytes + sizeof bytes - tail, tail);
            written();
            for (size_t i = 0; i < sizeof bytes; i++) {
                char hex[8];
                const char *c = at((unsigned)(i / 16), strlen(" 0.000 ms > frame 1, 00 B   "));
                if (sizeof bytes - head - tail < 10)
                    c--;
                for (size_t skip = i % 16; skip > 0 || *c == '|'; c += *c == '|' ? 2 : 3)
                    skip -= *c != '|';
                snprintf(hex, sizeof hex, "%02x", bytes[i]);
                ck_assert_msg(strncmp(c, hex, 2) == 0, "byte %zu of\n%s", i, packet);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *log = tcase_create("log"), *error = tcase_create("err"), *trace = tcase_create("trace");
    tcase_add_checked_fixture(log, begin, NULL);
    tcase_add_test(log, a_line_is_one_write);
    tcase_add_test(log, levels_above_the_chosen_one_are_silent);
    tcase_add_test(log, stamps);
    tcase_add_test(log, an_error_names_program_cause_and_mend);
    tcase_add_test(log, a_line_stays_a_line);
    tcase_add_test(log, errno_is_kept);
    tcase_add_test(log, a_stderr_that_takes_nothing_is_survived);
    tcase_add_test(log, a_full_pipe_is_waited_for);
    tcase_add_test(log, lines_of_threads_do_not_mix);
    tcase_add_test(error, error_texts_are_cut_between_characters);
    tcase_add_test(error, a_cause_empties_the_mend);
    tcase_add_test(error, clocks_go_forward);
    tcase_add_checked_fixture(trace, begin, NULL);
    tcase_add_test(trace, a_frame_of_the_documents);
    tcase_add_test(trace, frames_without_a_part);
    tcase_add_test(trace, long_frames_go_on_below);
    tcase_add_test(trace, only_the_first_256_bytes_are_shown);
    tcase_add_test(trace, every_byte_is_in_the_hex);
    suite_add_tcase(suite, log);
    suite_add_tcase(suite, error);
    suite_add_tcase(suite, trace);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
