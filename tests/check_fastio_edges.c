/* fastio where it is on edge: calls that fall short at each byte, sending that fails, one
 * connection's callbacks that send on another, bufferevents that come from the pool. */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "faults.h"

#define LONG_US 20000000
#define ENDS 4
#define LENT_BYTES ((size_t)800 * 1024)

static struct loop *loop;
static struct conn_config config;
static struct deadline too_long;
static struct watch answered;
static struct end {
    struct conn *conn;
    int peer;
    unsigned frames, rooms, peer_dones;
    size_t last_length;
    struct life life; /* as `closed` got it */
} ends[ENDS];
static unsigned ended;
static bool keeps_owing;
static uint8_t lent[LENT_BYTES];
static void (*on_open)(struct end *end);
static void (*on_frame)(struct end *end, const uint8_t *body, size_t n);

/* --- the owner --- */

static void owner_open(struct conn *conn)
{
    if (on_open != NULL) {
        on_open(conn_arg(conn));
    }
}

static void owner_frame(struct conn *conn, const uint8_t *body, size_t n)
{
    struct end *end = conn_arg(conn);

    end->frames++;
    end->last_length = n;
    if (on_frame != NULL) {
        on_frame(end, body, n);
    }
}

static void owner_room(struct conn *conn)
{
    struct end *end = conn_arg(conn);
    end->rooms++;
}

static void owner_drain(struct conn *conn)
{
    if (!keeps_owing) {
        conn_nothing_owed(conn);
    }
}

static void owner_peer_done(struct conn *conn)
{
    struct end *end = conn_arg(conn);
    end->peer_dones++;
}

static void owner_closed(struct conn *conn, struct life *life)
{
    struct end *end = conn_arg(conn);

    end->conn = NULL;
    end->life = *life;
    if (++ended == ENDS || ends[1].peer == 0) {
        loop_stop(loop);
    }
}

static struct conn_owner owner = {.open = owner_open,
                                  .frame = owner_frame,
                                  .room = owner_room,
                                  .drain = owner_drain,
                                  .peer_done = owner_peer_done,
                                  .closed = owner_closed};

/* --- the fixture --- */

static void passed(struct deadline *deadline)
{
    (void)deadline;
    ck_abort_msg("nothing happens any more");
}

static void use_codec(const char *codec)
{
    struct error e;
    ck_assert_msg(frame_codec_parse(&config.codec, codec, 1 << 20, &e) == 0, "%s", e.what);
}

static void begin(void)
{
    struct error e;

    signal(SIGPIPE, SIG_IGN);
    loop = loop_new(&e);
    ck_assert_msg(loop != NULL, "%s", e.what);
    config = (struct conn_config){
        .side = SIDE_SERVER, .fast = true, .linger_us = LONG_US, .drain_us = LONG_US};
    use_codec("u32be");
    memset(lent, 'l', sizeof lent);
    ck_assert_int_eq(deadline_set(loop, &too_long, LONG_US, passed), 0);
}

static void open_end(struct end *end, int fd)
{
    struct transport transport = {0};

    ck_assert_int_eq(transport_init(&transport, loop, fd, config.fast), 0);
    end->conn = conn_new(loop, &config, &owner, end, 0);
    ck_assert_ptr_nonnull(end->conn);
    conn_open(end->conn, &transport);
}

static void open_unix(struct end *end)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    end->peer = fds[1];
    open_end(end, fds[0]);
}

static void open_all(void)
{
    for (unsigned i = 0; i < ENDS; i++) {
        open_unix(&ends[i]);
    }
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void run(void)
{
    ck_assert_int_eq(loop_run(loop), 0);
}

/* So many turns of the loop at least: what is under way has been done then, if it is done at all.
 */
static void run_turns(unsigned turns)
{
    while (turns-- > 0) {
        ck_assert_int_eq(loop_post(loop, stop, NULL), 0);
        run();
    }
}

static void finish(void)
{
    for (unsigned i = 0; i < ENDS; i++) {
        if (ends[i].peer > 0) {
            close(ends[i].peer);
        }
        if (ends[i].conn != NULL) {
            conn_fail(ends[i].conn, FATE_ABORTED, "the test is over");
        }
    }
    run_turns(4);
    deadline_unset(&too_long);
    loop_free(loop);
}

static void peer_sends(const struct end *end, const void *bytes, size_t n)
{
    ck_assert_int_eq(write(end->peer, bytes, n), (ssize_t)n);
}

/* A u32be frame of this body length. */
static void peer_sends_frame(const struct end *end, uint32_t n)
{
    uint8_t frame[16384] = {0};
    uint32_t field = htonl(n);

    ck_assert_uint_le(n + 4, sizeof frame);
    memcpy(frame, &field, 4);
    memset(frame + 4, 'f', n);
    peer_sends(end, frame, n + 4);
}

static void send_short(struct end *end, const char *text)
{
    struct error e;
    ck_assert_int_eq(conn_send(end->conn, (const uint8_t *)text, strlen(text), &e), 0);
}

/* --- calls that fall short --- */

static ssize_t first_most;
static unsigned sends;

static ssize_t first_falls_short(enum faults_call call, int fd, size_t n)
{
    (void)fd;
    if (call != FAULTS_SEND || sends++ > 0) {
        return (ssize_t)n;
    }
    return first_most == 0 ? -EAGAIN : first_most;
}

/* Each kind of part: copied, held, copied, lasting, copied. */
static void send_all_kinds(struct end *end, const uint8_t *body, size_t n)
{
    struct error e;

    send_short(end, "one");
    ck_assert_int_eq(conn_send(end->conn, body, n, &e), 0);
    send_short(end, "two");
    ck_assert_int_eq(conn_send_lent(end->conn, body, 16, lent, 4096, &e), 0);
    send_short(end, "three");
}

#define KINDS_BYTES ((size_t)4 + 3 + 4 + 4096 + 4 + 3 + 4 + 16 + 4096 + 4 + 5)

START_TEST(a_send_cut_at_any_byte_goes_on_there)
{
    static const size_t near[] = {0,    1,    6,    7,    10,   11,   12,   4106,
                                  4107, 4111, 4113, 4114, 4118, 4133, 4134, 4135,
                                  8229, 8230, 8231, 8233, 8234, 8237, 8238};
    uint8_t got[KINDS_BYTES + 1], expected[KINDS_BYTES], *p = expected;

    on_frame = send_all_kinds;
    first_most = (ssize_t)near[_i];
    faults.moves = first_falls_short;
    open_unix(&ends[0]);
    peer_sends_frame(&ends[0], 4096);
    shutdown(ends[0].peer, SHUT_WR);
    run();
    p = mempcpy(p, "\0\0\0\3one\0\0\20\0", 11);
    p = (uint8_t *)memset(p, 'f', 4096) + 4096;
    p = mempcpy(p, "\0\0\0\3two\0\0\20\20ffffffffffffffff", 27);
    p = (uint8_t *)memset(p, 'l', 4096) + 4096;
    p = mempcpy(p, "\0\0\0\5three", 9);
    ck_assert_uint_eq((size_t)(p - expected), KINDS_BYTES);
    ck_assert_int_eq(read(ends[0].peer, got, sizeof got), (ssize_t)KINDS_BYTES);
    ck_assert_mem_eq(got, expected, KINDS_BYTES);
    ck_assert_int_eq(ends[0].life.fate, FATE_CLEAN);
    ck_assert_uint_eq(ends[0].life.bytes_out, KINDS_BYTES);
}
END_TEST

static ssize_t sends_are_reset(enum faults_call call, int fd, size_t n)
{
    (void)fd;
    return call == FAULTS_SEND ? -ECONNRESET : (ssize_t)n;
}

static void echo(struct end *end, const uint8_t *body, size_t n)
{
    struct error e;
    int result = conn_send(end->conn, body, n, &e);
    ck_assert(result == 0 || result == ERR_CLOSED);
}

/* Several at once, so that the watches are looked at again before libevent has its turn: what the
 * reset left of the descriptor reads as an end, amid a frame even. */
START_TEST(a_reset_met_by_sending_is_no_end_of_input)
{
    on_frame = echo;
    faults.moves = sends_are_reset;
    open_all();
    for (unsigned i = 0; i < ENDS; i++) {
        peer_sends(&ends[i], "\0\0\0\3one\0\0\0\3tw", 13);
        shutdown(ends[i].peer, SHUT_WR);
    }
    run();
    for (unsigned i = 0; i < ENDS; i++) {
        ck_assert_msg(ends[i].life.fate == FATE_RESET, "%s", fate_row(ends[i].life.fate)->name);
        ck_assert_uint_eq(ends[i].frames, 1);
        ck_assert_uint_eq(ends[i].peer_dones, 0);
    }
}
END_TEST

/* --- the gather buffer's owner --- */

static void has_answer(struct watch *watch)
{
    (void)watch;
    loop_stop(loop);
}

static void answer_late(void *arg)
{
    send_short(arg, "late");
}

START_TEST(what_is_sent_after_the_end_of_input_goes_at_once)
{
    char got[9];

    keeps_owing = true;
    open_unix(&ends[0]);
    shutdown(ends[0].peer, SHUT_WR);
    run_turns(4);
    ck_assert_uint_eq(ends[0].peer_dones, 1);
    answered.ready = has_answer;
    ck_assert_int_eq(loop_watch(loop, ends[0].peer, &answered, WATCH_LEVEL, false), 0);
    ck_assert_int_eq(loop_post(loop, answer_late, &ends[0]), 0);
    run();
    ck_assert_int_eq(read(ends[0].peer, got, sizeof got), 8);
    ck_assert_mem_eq(got, "\0\0\0\4late", 8);
}
END_TEST

static void send_at_open(struct end *end)
{
    struct error e;
    size_t n = end == &ends[1] ? 100000 : 100; /* more than is gathered, and less */
    ck_assert_int_eq(conn_send(end->conn, lent, n, &e), 0);
}

/* Each but the last is flushed by another's sending, or by its own. */
START_TEST(each_learns_that_all_of_its_has_been_sent)
{
    on_open = send_at_open;
    open_all();
    run_turns(6);
    for (unsigned i = 0; i < ENDS; i++) {
        ck_assert_msg(ends[i].rooms == 1, "end %u: %u times", i, ends[i].rooms);
        ck_assert_uint_eq(conn_unsent(ends[i].conn), 0);
    }
}
END_TEST

static void drop_output(int fd)
{
    uint8_t bytes[65536];
    (void)fd;
    while (read(ends[0].peer, bytes, sizeof bytes) > 0)
        ;
}

static void answer_at_length(struct end *end, const uint8_t *body, size_t n)
{
    struct error e;
    ck_assert_int_eq(conn_send_lent(end->conn, body, n, lent, LENT_BYTES - n, &e), 0);
}

/* The kernel takes all: nothing will tell the reading, stopped by so much output, to go on. */
START_TEST(long_lent_answers_do_not_stop_the_reading)
{
    config.answers = true;
    owner.room = NULL;
    on_frame = answer_at_length;
    faults.make_room = drop_output;
    open_unix(&ends[0]);
    for (unsigned i = 1; i <= 3; i++) {
        peer_sends_frame(&ends[0], 10);
        run_turns(4);
        ck_assert_uint_eq(ends[0].frames, i);
    }
}
END_TEST

static void send_to_all(struct end *end, const uint8_t *body, size_t n)
{
    (void)end;
    for (unsigned i = 0; i < ENDS; i++) {
        echo(&ends[i], body, n);
        send_short(&ends[i], "more");
    }
}

/* A held body is sent on others: from memory that is another's input. */
START_TEST(a_held_body_reaches_others_whole)
{
    uint8_t got[20000], expected[4 + 8000 + 8];

    on_frame = send_to_all;
    open_all();
    peer_sends_frame(&ends[2], 8000);
    run_turns(4);
    memcpy(expected, "\0\0\37\100", 4);
    memset(expected + 4, 'f', 8000);
    memcpy(expected + 8004, "\0\0\0\4more", 8);
    for (unsigned i = 0; i < ENDS; i++) {
        ck_assert_int_eq(read(ends[i].peer, got, sizeof got), (ssize_t)sizeof expected);
        ck_assert_mem_eq(got, expected, sizeof expected);
    }
}
END_TEST

/* --- bufferevents of the pool --- */

static struct transport dialled;

static void connected(struct transport *t, int error)
{
    ck_assert_int_eq(error, 0);
    ends[1].conn = conn_new(loop, &config, &owner, &ends[1], 0);
    ck_assert_ptr_nonnull(ends[1].conn);
    conn_open(ends[1].conn, t);
}

static int dial(int *listener, unsigned long fail_after)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(*listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(*listener, 1), 0);
    ck_assert_int_eq(getsockname(*listener, (struct sockaddr *)&address, &length), 0);
    faults_fail(fail_after, 1);
    int result =
        transport_connect(&dialled, loop, fd, true, (struct sockaddr *)&address, length, connected);
    faults.fail_end = 0;
    return result;
}

/* Junk that is discarded leaves a decoder amid a frame behind. */
START_TEST(a_connect_does_not_go_on_in_the_frame_of_another)
{
    int listener;

    keeps_owing = true;
    open_unix(&ends[0]);
    peer_sends(&ends[0], "\0\20", 2);
    run_turns(4);
    conn_drain(ends[0].conn, true, "the test discards");
    peer_sends(&ends[0], "\377\377junk", 6);
    run_turns(4);
    ck_assert_uint_eq(conn_partial(ends[0].conn), 0);
    ck_assert_int_eq(dial(&listener, 1000000), 0);
    ends[1].peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(ends[1].peer, 0);
    peer_sends_frame(&ends[1], 10);
    for (unsigned turns = 0; ends[1].frames == 0 && turns < 1000; turns++) {
        run_turns(1);
    }
    ck_assert_uint_eq(ends[1].frames, 1);
    ck_assert_uint_eq(ends[1].last_length, 10);
    close(listener);
}
END_TEST

START_TEST(a_connect_without_memory_is_told)
{
    int listener, result = dial(&listener, (unsigned long)_i);

    ck_assert(result == ERR_MEMORY || _i > 2);
    transport_close(&dialled, false);
    close(listener);
}
END_TEST

/* --- pieces --- */

static ssize_t byte_by_byte(enum faults_call call, int fd, size_t n)
{
    (void)fd;
    return call == FAULTS_RECEIVE ? 1 : (ssize_t)n;
}

/* The first message has a codec of its own, each is cut at each byte, and each is paused in. */
START_TEST(a_first_message_in_pieces_is_the_first)
{
    use_codec("postgres");
    faults.moves = byte_by_byte;
    open_unix(&ends[0]);
    peer_sends(&ends[0], "\0\0\0\11start", 9);
    peer_sends(&ends[0], "Q\0\0\0\10text", 9);
    peer_sends(&ends[0], "X\0\0\0\4", 5);
    for (unsigned turns = 0; turns < 40; turns++) {
        conn_pause(ends[0].conn);
        run_turns(1);
        conn_resume(ends[0].conn);
        run_turns(2);
    }
    ck_assert_uint_eq(ends[0].frames, 3);
    ck_assert_uint_eq(ends[0].last_length, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fastio_edges");
    TCase *tcase = tcase_create("edges");

    faults_begin();
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, begin, finish);
    tcase_add_loop_test(tcase, a_send_cut_at_any_byte_goes_on_there, 0, 23);
    tcase_add_test(tcase, a_reset_met_by_sending_is_no_end_of_input);
    tcase_add_test(tcase, what_is_sent_after_the_end_of_input_goes_at_once);
    tcase_add_test(tcase, each_learns_that_all_of_its_has_been_sent);
    tcase_add_test(tcase, long_lent_answers_do_not_stop_the_reading);
    tcase_add_test(tcase, a_held_body_reaches_others_whole);
    tcase_add_test(tcase, a_connect_does_not_go_on_in_the_frame_of_another);
    tcase_add_loop_test(tcase, a_connect_without_memory_is_told, 0, 8);
    tcase_add_test(tcase, a_first_message_in_pieces_is_the_first);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
