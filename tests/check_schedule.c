/* The schedule of an open loop: when frames are due, how many are, and a thread's way along it. */
#include "config.h"

#include <check.h>
#include <stdlib.h>

#include "load_schedule.h"

static const uint64_t rates[] = {1,     2,     3,      7,         1000,      1023,
                                 49999, 50000, 333333, 999999937, 1000000000};
#define RATES ((int)(sizeof rates / sizeof *rates))

static struct schedule schedule_of(uint64_t rate, uint64_t connections)
{
    return (struct schedule){
        .start_ns = 123456789012345, .rate = rate, .connections = connections, .limit = UINT64_MAX};
}

START_TEST(place_is_its_number_over_the_rate)
{
    struct schedule s = schedule_of(rates[_i], 10);
    for (uint64_t place = 0; place < 5000; place++) {
        /* the same in 128 bits, beside the seconds that keep it within 64 */
        uint64_t far = place * 7919 * s.rate / 5000;
        unsigned __int128 exact = (unsigned __int128)far * 1000000000 / s.rate;
        ck_assert_uint_eq(schedule_place_ns(&s, far), s.start_ns + (uint64_t)exact);
    }
}
END_TEST

START_TEST(due_count_is_how_many_places_have_come)
{
    struct schedule s = schedule_of(rates[_i], 10);
    ck_assert_uint_eq(schedule_due(&s, 0), 0);
    ck_assert_uint_eq(schedule_due(&s, s.start_ns - 1), 0);
    ck_assert_uint_ge(schedule_due(&s, s.start_ns), 1);
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t now = s.start_ns + i * i * 1009 + i;
        uint64_t due = schedule_due(&s, now);
        ck_assert_uint_le(schedule_place_ns(&s, due - 1), now);
        ck_assert_uint_gt(schedule_place_ns(&s, due), now);
    }
}
END_TEST

START_TEST(no_more_than_the_limit)
{
    struct schedule s = schedule_of(rates[_i], 10);
    s.limit = 5;
    ck_assert_uint_eq(schedule_due(&s, s.start_ns + UINT64_C(3600000000000)), 5);
}
END_TEST

START_TEST(frames_are_staggered_over_the_connections)
{
    struct schedule s = schedule_of(rates[_i], 7);
    uint64_t before = 0;
    for (uint64_t number = 0; number < 50; number++) {
        for (uint64_t connection = 0; connection < 7; connection++) {
            uint64_t at = schedule_frame_ns(&s, connection, number);
            ck_assert_uint_ge(at, before);
            ck_assert_uint_eq(at, schedule_place_ns(&s, number * 7 + connection));
            before = at;
        }
    }
}
END_TEST

START_TEST(shares_add_up)
{
    for (uint64_t connections = 1; connections < 40; connections++) {
        for (uint64_t places = 0; places < 200; places++) {
            uint64_t sum = 0;
            for (uint64_t c = 0; c < connections; c++) {
                uint64_t share = schedule_share(places, connections, c);
                /* the last of its frames is within, the next is not */
                ck_assert(share == 0 || (share - 1) * connections + c < places);
                ck_assert_uint_ge(share * connections + c, places);
                sum += share;
            }
            ck_assert_uint_eq(sum, places);
        }
    }
}
END_TEST

/* Due before the end, not at it: a second at 50 a second has the places 0 to 49. */
START_TEST(count_of_a_run)
{
    ck_assert_uint_eq(schedule_count(50, 1000000), 50);
    ck_assert_uint_eq(schedule_count(3, 1000000), 3);
    ck_assert_uint_eq(schedule_count(3, 333333), 1);
    ck_assert_uint_eq(schedule_count(3, 333334), 2);
    ck_assert_uint_eq(schedule_count(1, 1), 1);
    for (int i = 0; i < RATES; i++) {
        struct schedule s = schedule_of(rates[i], 1);
        uint64_t lengths[] = {1000, 10000000, 1234567, UINT64_C(86400000000)};
        for (int k = 0; k < 4; k++) {
            uint64_t count = schedule_count(rates[i], lengths[k]);
            uint64_t end = s.start_ns + lengths[k] * 1000;
            ck_assert_uint_lt(schedule_place_ns(&s, count - 1), end);
            ck_assert_uint_ge(schedule_place_ns(&s, count), end);
        }
    }
}
END_TEST

/* All threads together come by each place once, each in order. */
START_TEST(cursors_cover_the_schedule)
{
    uint64_t connections = 1 + (uint64_t)_i % 13, threads = 1 + (uint64_t)_i % 5;
    struct schedule s = schedule_of(1000, connections);
    unsigned seen[400] = {0};
    if (threads > connections)
        threads = connections;
    for (uint64_t t = 0; t < threads; t++) {
        struct schedule_cursor c = {
            .first = t, .stride = threads, .count = schedule_share(connections, threads, t)};
        for (uint64_t before = 0, place; (place = schedule_cursor_place(&c, &s)) < 400;
             before = place) {
            ck_assert_uint_ge(place, before);
            ck_assert_uint_eq(place % connections, t + c.index * threads);
            ck_assert_uint_eq(schedule_cursor_passed(&c, c.index), c.number);
            seen[place]++;
            uint64_t index = c.index, number = c.number;
            schedule_cursor_step(&c);
            ck_assert_uint_eq(schedule_cursor_passed(&c, index), number + 1);
        }
    }
    for (int place = 0; place < 400; place++)
        ck_assert_uint_eq(seen[place], 1);
}
END_TEST

/* After a pause all that was missed is due at once, and its times are those of the schedule. */
START_TEST(catches_up)
{
    struct schedule s = schedule_of(10000, 100);
    struct schedule_cursor c = {.stride = 1, .count = 100};
    uint64_t now = s.start_ns + 100000000, passed = 0, due = schedule_due(&s, now);
    ck_assert_uint_eq(due, 1001);
    for (; schedule_cursor_place(&c, &s) < due; passed++) {
        uint64_t place = schedule_cursor_place(&c, &s);
        ck_assert_uint_eq(schedule_frame_ns(&s, c.index, c.number), s.start_ns + place * 100000);
        schedule_cursor_step(&c);
    }
    ck_assert_uint_eq(passed, 1001);
    ck_assert_uint_eq(c.number, 10);
    ck_assert_uint_eq(c.index, 1);
}
END_TEST

/* What a thread has within so many places is what it comes by. */
START_TEST(cursor_goes_where_it_would_step)
{
    uint64_t connections = 1 + (uint64_t)_i % 13, threads = 1 + (uint64_t)_i % 5;
    struct schedule s = schedule_of(1000, connections);
    threads = threads > connections ? connections : threads;
    for (uint64_t t = 0; t < threads; t++) {
        struct schedule_cursor c = {
            .first = t, .stride = threads, .count = schedule_share(connections, threads, t)};
        struct schedule_cursor far = c;
        for (uint64_t places = 0; places < 100; places++) {
            while (schedule_cursor_place(&c, &s) < places)
                schedule_cursor_step(&c);
            uint64_t position = schedule_cursor_share(&c, &s, places);
            ck_assert_uint_eq(position, schedule_cursor_position(&c));
            schedule_cursor_go(&far, position);
            ck_assert_uint_eq(far.number, c.number);
            ck_assert_uint_eq(far.index, c.index);
        }
    }
}
END_TEST

/* In few pieces or in many, all are counted, the ends exactly, and the middle is the middle. */
START_TEST(waits_of_many)
{
    static const uint64_t pieces[] = {1, 7, 16, 1000, 50000, 1000000};
    struct schedule s = schedule_of(1000000, 10);
    struct schedule_cursor c = {.first = 3, .stride = 10, .count = 1};
    struct histogram *h = histogram_new();
    uint64_t at = s.start_ns + 1000000000, p50;
    schedule_record_waits(&s, &c, 5, 5, at, pieces[_i], h);
    ck_assert_uint_eq(h->count, 0);
    schedule_record_waits(&s, &c, 0, 50000, at, pieces[_i], h);
    ck_assert_uint_eq(h->count, 50000);
    ck_assert_uint_eq(h->max_ns, at - schedule_frame_ns(&s, 3, 0));
    ck_assert_uint_eq(h->min_ns, at - schedule_frame_ns(&s, 3, 49999));
    ck_assert(histogram_percentile(h, 0.5, &p50));
    uint64_t off = 1000000000 / pieces[_i] + 1000000;
    ck_assert_uint_ge(p50 + off, 750000000);
    ck_assert_uint_le(p50, 750000000 + off);
    histogram_clear(h);
    schedule_record_waits(&s, &c, 7, 8, at, pieces[_i], h);
    schedule_record_waits(&s, &c, 7, 9, s.start_ns, pieces[_i], h);
    ck_assert_uint_eq(h->count, 3);
    ck_assert_uint_eq(h->max_ns, at - schedule_frame_ns(&s, 3, 7));
    ck_assert_uint_eq(h->min_ns, 0);
    free(h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tcase = tcase_create("schedule");
    tcase_add_loop_test(tcase, place_is_its_number_over_the_rate, 0, RATES);
    tcase_add_loop_test(tcase, due_count_is_how_many_places_have_come, 0, RATES);
    tcase_add_loop_test(tcase, no_more_than_the_limit, 0, RATES);
    tcase_add_loop_test(tcase, frames_are_staggered_over_the_connections, 0, RATES);
    tcase_add_test(tcase, shares_add_up);
    tcase_add_test(tcase, count_of_a_run);
    tcase_add_loop_test(tcase, cursors_cover_the_schedule, 0, 65);
    tcase_add_test(tcase, catches_up);
    tcase_add_loop_test(tcase, cursor_goes_where_it_would_step, 0, 65);
    tcase_add_loop_test(tcase, waits_of_many, 0, 6);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
