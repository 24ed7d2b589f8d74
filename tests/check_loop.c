/* The loop: mailbox, deadlines, reaper, signals. */
#include "config.h"

#include <check.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"

static struct loop *loop;

static void begin(void)
{
    struct error e;
    loop = loop_new(&e);
    ck_assert_msg(loop != NULL, "%s", e.what);
}

static void end(void)
{
    loop_free(loop);
}

static unsigned order[8], order_count;

static void note(unsigned what)
{
    ck_assert_uint_lt(order_count, sizeof order / sizeof *order);
    order[order_count++] = what;
}

/* --- mailbox --- */

#define POSTERS 4
#define LETTERS 5000

struct letter {
    unsigned poster, number;
};

static unsigned next_of[POSTERS], letters_read;

static void read_letter(void *arg)
{
    struct letter *letter = arg;
    ck_assert_uint_eq(letter->number, next_of[letter->poster]);
    next_of[letter->poster]++;
    free(letter);
    if (++letters_read == POSTERS * LETTERS) {
        loop_stop(loop);
    }
}

static void *post_letters(void *arg)
{
    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *letter = malloc(sizeof *letter);
        *letter = (struct letter){.poster = *(unsigned *)arg, .number = i};
        ck_assert_int_eq(loop_post(loop, read_letter, letter), 0);
    }
    return NULL;
}

START_TEST(letters_of_each_thread_arrive_once_and_in_order)
{
    pthread_t threads[POSTERS];
    unsigned numbers[POSTERS];
    for (unsigned i = 0; i < POSTERS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_letters, &numbers[i]), 0);
    }
    ck_assert_int_eq(loop_run(loop), 0);
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(next_of[i], LETTERS);
    }
}
END_TEST

/* --- deadlines --- */

struct timed {
    struct deadline deadline; /* first: a pointer to it is a pointer to the whole */
    unsigned number;
    uint64_t due_us;
};

static struct timed first, second, third;

static void timed_passed(struct deadline *deadline)
{
    struct timed *timed = (struct timed *)deadline;
    ck_assert(clock_us() >= timed->due_us);
    ck_assert(deadline->queue == NULL);
    note(timed->number);
    if (timed->number == 3) {
        loop_stop(loop);
    }
}

static void set(struct timed *timed, unsigned number, uint64_t length_us)
{
    timed->number = number;
    timed->due_us = clock_us() + length_us;
    ck_assert_int_eq(deadline_set(loop, &timed->deadline, length_us, timed_passed), 0);
}

START_TEST(deadlines_of_different_lengths_pass_in_the_order_due)
{
    set(&third, 3, 30000);
    set(&first, 1, 1000);
    set(&second, 2, 15000);
    loop_run(loop);
    ck_assert_uint_eq(order_count, 3);
    ck_assert_uint_eq(order[0], 1);
    ck_assert_uint_eq(order[1], 2);
    ck_assert_uint_eq(order[2], 3);
}
END_TEST

START_TEST(a_deadline_set_again_passes_once_and_later)
{
    set(&first, 1, 2000);
    set(&second, 2, 2000);
    set(&first, 1, 2000); /* behind the second now */
    set(&third, 3, 20000);
    loop_run(loop);
    ck_assert_uint_eq(order_count, 3);
    ck_assert_uint_eq(order[0], 2);
    ck_assert_uint_eq(order[1], 1);
}
END_TEST

START_TEST(a_deadline_unset_or_of_no_length_never_passes)
{
    set(&first, 1, 1000);
    deadline_unset(&first.deadline);
    set(&second, 2, 1000);
    set(&second, 2, 0);
    set(&third, 3, 5000);
    loop_run(loop);
    ck_assert_uint_eq(order_count, 1);
    ck_assert_uint_eq(order[0], 3);
}
END_TEST

static void set_again(struct deadline *deadline)
{
    struct timed *timed = (struct timed *)deadline;
    note(timed->number);
    if (order_count == 3) {
        loop_stop(loop);
    } else {
        ck_assert_int_eq(deadline_set(loop, deadline, 1000, set_again), 0);
    }
}

START_TEST(a_deadline_may_set_itself_again)
{
    first.number = 7;
    ck_assert_int_eq(deadline_set(loop, &first.deadline, 1000, set_again), 0);
    loop_run(loop);
    ck_assert_uint_eq(order_count, 3);
}
END_TEST

/* --- reaper --- */

struct reaped {
    struct reapable reapable; /* first */
    unsigned number;
};

static struct reaped r1 = {.number = 1}, r2 = {.number = 2}, r3 = {.number = 3};

static void reap(struct reapable *reapable)
{
    struct reaped *reaped = (struct reaped *)reapable;
    note(reaped->number);
    if (reaped->number == 2) {
        loop_reap(loop, &r3.reapable); /* from a reap itself */
        note(20);
    }
    if (reaped->number == 3) {
        loop_stop(loop);
    }
}

static void reap_both(void *arg)
{
    (void)arg;
    loop_reap(loop, &r1.reapable);
    loop_reap(loop, &r2.reapable);
    note(10); /* neither has run yet */
}

START_TEST(the_reaper_runs_after_the_callback_and_in_order)
{
    r1.reapable.reap = r2.reapable.reap = r3.reapable.reap = reap;
    ck_assert_int_eq(loop_post(loop, reap_both, NULL), 0);
    loop_run(loop);
    const unsigned expected[] = {10, 1, 2, 20, 3};
    ck_assert_uint_eq(order_count, 5);
    ck_assert_mem_eq(order, expected, sizeof expected);
}
END_TEST

static void *no_bytes(size_t n)
{
    (void)n;
    return NULL;
}

static void *no_more_bytes(void *bytes, size_t n)
{
    (void)bytes;
    (void)n;
    return NULL;
}

/* What a reap asks for comes too, though libevent gets nothing any more. */
START_TEST(the_reaper_needs_no_memory)
{
    r1.reapable.reap = r2.reapable.reap = r3.reapable.reap = reap;
    ck_assert_int_eq(loop_post(loop, reap_both, NULL), 0);
    event_set_mem_functions(no_bytes, no_more_bytes, free);
    loop_run(loop);
    event_set_mem_functions(malloc, realloc, free);
    ck_assert_uint_eq(order_count, 5);
    ck_assert_uint_eq(order[4], 3);
}
END_TEST

/* --- signals --- */

static void signalled(int number, void *arg)
{
    ck_assert_ptr_eq(arg, &first);
    note((unsigned)number);
    loop_stop(loop);
}

START_TEST(a_signal_runs_its_function_in_the_loop)
{
    ck_assert_int_eq(loop_on_signal(loop, SIGUSR1, signalled, &first), 0);
    raise(SIGUSR1);
    ck_assert_uint_eq(order_count, 0);
    loop_run(loop);
    ck_assert_uint_eq(order[0], SIGUSR1);
}
END_TEST

START_TEST(a_signal_after_the_loop_has_gone_is_ignored)
{
    struct error e;
    ck_assert_int_eq(loop_on_signal(loop, SIGUSR1, signalled, &first), 0);
    loop_free(loop);
    raise(SIGUSR1);
    ck_assert_uint_eq(order_count, 0);
    loop = loop_new(&e);
    ck_assert_ptr_nonnull(loop);
}
END_TEST

/* --- watches --- */

static struct watch watch;
static int pipe_fds[2];
static unsigned readies;

static void make_pipe(void)
{
    ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void write_byte(void)
{
    ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void third_time_stops(struct watch *which)
{
    ck_assert_ptr_eq(which, &watch);
    if (++readies == 3) {
        loop_unwatch(loop, pipe_fds[0]);
        ck_assert_int_eq(loop_post(loop, stop_loop, loop), 0);
    }
}

START_TEST(a_level_watch_comes_until_it_is_taken_off)
{
    make_pipe();
    write_byte();
    watch.ready = third_time_stops;
    ck_assert_int_eq(loop_watch(loop, pipe_fds[0], &watch, WATCH_LEVEL, false), 0);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_uint_eq(readies, 3);
}
END_TEST

static void count_and_stop(struct watch *which)
{
    (void)which;
    readies++;
    ck_assert_int_eq(loop_post(loop, stop_loop, loop), 0);
}

START_TEST(an_edge_watch_comes_once_a_change)
{
    make_pipe();
    watch.ready = count_and_stop;
    ck_assert_int_eq(loop_watch(loop, pipe_fds[0], &watch, WATCH_LEVEL, false), 0);
    ck_assert_int_eq(loop_watch(loop, pipe_fds[0], &watch, WATCH_EDGE, true), 0);
    for (unsigned i = 1; i <= 3; i++) {
        write_byte();
        ck_assert_int_eq(loop_run(loop), 0);
        ck_assert_uint_eq(readies, i);
    }
}
END_TEST

START_TEST(a_watch_of_no_descriptor_is_an_error)
{
    ck_assert_int_eq(loop_watch(loop, -1, &watch, WATCH_LEVEL, false), ERR_SYSTEM);
}
END_TEST

static struct reapable again;

static void reap_again(struct reapable *reapable)
{
    loop_reap(loop, reapable);
}

/* What asks for the reaper again and again does not keep the loop from its descriptors. */
START_TEST(the_reaper_lets_watches_have_their_turn)
{
    make_pipe();
    again.reap = reap_again;
    loop_reap(loop, &again);
    write_byte();
    watch.ready = count_and_stop;
    ck_assert_int_eq(loop_watch(loop, pipe_fds[0], &watch, WATCH_LEVEL, false), 0);
    ck_assert_int_eq(loop_run(loop), 0);
    ck_assert_uint_ge(readies, 1);
}
END_TEST

static void begin_busy(void)
{
    begin();
    loop_busy_poll(loop, 500);
}

static void add_all(Suite *suite, const char *name, void (*begins)(void))
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, begins, end);
    tcase_add_test(tcase, letters_of_each_thread_arrive_once_and_in_order);
    tcase_add_test(tcase, deadlines_of_different_lengths_pass_in_the_order_due);
    tcase_add_test(tcase, a_deadline_set_again_passes_once_and_later);
    tcase_add_test(tcase, a_deadline_unset_or_of_no_length_never_passes);
    tcase_add_test(tcase, a_deadline_may_set_itself_again);
    tcase_add_test(tcase, the_reaper_runs_after_the_callback_and_in_order);
    tcase_add_test(tcase, the_reaper_needs_no_memory);
    tcase_add_test(tcase, a_signal_runs_its_function_in_the_loop);
    tcase_add_test(tcase, a_signal_after_the_loop_has_gone_is_ignored);
    tcase_add_test(tcase, a_level_watch_comes_until_it_is_taken_off);
    tcase_add_test(tcase, an_edge_watch_comes_once_a_change);
    tcase_add_test(tcase, a_watch_of_no_descriptor_is_an_error);
    tcase_add_test(tcase, the_reaper_lets_watches_have_their_turn);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("loop");
    add_all(suite, "sleeping", begin);
    add_all(suite, "spinning", begin_busy);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
