/* A connection against a socket of our own: the order of its owner's callbacks, its deadlines, its
 * bounds, its record. What the close contract gives over its whole table is check_close.c's. */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "conn.h"

#define LONG_US 60000000

static struct loop *loop;
static struct conn_config config;
static bool fast; /* config.fast of all connections of a test */
static struct conn *conn;
static int peer; /* the other end: blocking */
static int ours_fd;
static char said[4096];
static struct life last; /* the record, as `closed` got it */
static char last_detail[300];
static void (*on_frame)(const uint8_t *body, size_t n);
static bool keep_owing, tell_room;
static unsigned rooms;

static void say(const char *word)
{
    strncat(said, word, sizeof said - strlen(said) - 1);
    strncat(said, " ", sizeof said - strlen(said) - 1);
}

/* --- an owner that echoes and notes what it was told --- */

static void owner_open(struct conn *c)
{
    ck_assert_ptr_eq(c, conn);
    say("open");
}

static void owner_frame(struct conn *c, const uint8_t *body, size_t n)
{
    char word[64];
    snprintf(word, sizeof word, "frame:%.*s", n > 20 ? 20 : (int)n, (const char *)body);
    say(word);
    if (on_frame != NULL) {
        on_frame(body, n);
    } else {
        struct error e;
        int result = conn_send(c, body, n, &e);
        ck_assert(result == 0 || (peer == -1 && result == ERR_CLOSED));
    }
}

static void owner_room(struct conn *c)
{
    ck_assert_uint_le(conn_unsent(c), CONN_OUTPUT_HIGH / 2);
    if (tell_room && rooms++ == 0) {
        say("room"); /* once more when the output is empty; whether both are one depends on the
                        peer's reads */
    }
}

static void owner_drain(struct conn *c)
{
    say("drain");
    if (!keep_owing) {
        conn_nothing_owed(c);
    }
}

static void owner_peer_done(struct conn *c)
{
    (void)c;
    say("peer_done");
}

static void owner_closed(struct conn *c, struct life *life)
{
    ck_assert_ptr_eq(c, conn);
    say("closed");
    last = *life;
    snprintf(last_detail, sizeof last_detail, "%s", life->detail != NULL ? life->detail : "");
    conn = NULL;
    loop_stop(loop);
}

static const struct conn_owner owner = {.open = owner_open,
                                        .frame = owner_frame,
                                        .room = owner_room,
                                        .drain = owner_drain,
                                        .peer_done = owner_peer_done,
                                        .closed = owner_closed};

/* --- the fixture --- */

static void make_pair(int *ours, int *theirs)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int small = 8192;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    *theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(*theirs, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ck_assert_int_eq(connect(*theirs, (struct sockaddr *)&address, length), 0);
    *ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(*ours, 0);
    close(listener);
}

static void begin_codec(const char *codec, uint64_t max_body)
{
    struct error e;
    loop = loop_new(&e);
    ck_assert_msg(loop != NULL, "%s", e.what);
    config = (struct conn_config){.side = SIDE_SERVER,
                                  .fast = fast,
                                  .answers = true,
                                  .linger_us = LONG_US,
                                  .drain_us = LONG_US};
    ck_assert_msg(frame_codec_parse(&config.codec, codec, max_body, &e) == 0, "%s", e.what);
}

static void begin(void)
{
    begin_codec("line", 1 << 20);
}

static void begin_fast(void)
{
    fast = true;
    begin();
}

static void open_conn(void)
{
    struct transport transport = {0};
    make_pair(&ours_fd, &peer);
    ck_assert_int_eq(transport_init(&transport, loop, ours_fd, config.fast), 0);
    conn = conn_new(loop, &config, &owner, NULL, 0);
    ck_assert_ptr_nonnull(conn);
    conn_open(conn, &transport);
}

static void end(void)
{
    if (peer > 0) {
        close(peer);
    }
    loop_free(loop);
}

static void peer_sends(const char *text)
{
    ck_assert_int_eq(send(peer, text, strlen(text), 0), (ssize_t)strlen(text));
}

/* Runs the loop from inside which `then` is called once, after the connection has been opened. */
static void run_after_open(void (*then)(void *))
{
    ck_assert_int_eq(loop_post(loop, then, NULL), 0);
    loop_run(loop);
}

/* Reads the peer's end until its EOF, or fails. */
static size_t peer_reads(char *buf, size_t size)
{
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(peer, buf + n, size - n, 0);
        ck_assert_msg(got >= 0, "%s", strerror(errno));
        if (got == 0) {
            return n;
        }
        n += (size_t)got;
        ck_assert_uint_lt(n, size);
    }
}

static void assert_fate(enum fate fate)
{
    ck_assert_msg(last.fate == fate, "%s (%s), not %s", fate_row(last.fate)->name, last_detail,
                  fate_row(fate)->name);
}

/* --- the order of the callbacks --- */

START_TEST(peer_first_is_answered_drained_and_clean)
{
    char buf[64];
    open_conn();
    peer_sends("one\ntwo\n");
    shutdown(peer, SHUT_WR);
    loop_run(loop);
    ck_assert_str_eq(said, "open frame:one frame:two peer_done drain closed ");
    ck_assert_uint_eq(peer_reads(buf, sizeof buf), 8);
    ck_assert_mem_eq(buf, "one\ntwo\n", 8);
    assert_fate(FATE_CLEAN);
    ck_assert_int_eq(last.closed_first, FIRST_PEER);
    ck_assert_int_eq(last.time_wait, TIME_WAIT_THEIRS);
    ck_assert_uint_eq(last.accepted, 2);
    ck_assert_uint_eq(last.unanswered, 0);
    ck_assert_uint_eq(last.frames_out, 2);
    ck_assert_uint_eq(last.bytes_in, 8);
    ck_assert_uint_eq(last.bytes_out, 8);
    ck_assert_uint_eq(last.unread_bytes + last.unacked_bytes, 0);
}
END_TEST

static void drain_now(void *arg)
{
    (void)arg;
    conn_drain(conn, true, "test");
    ck_assert_ptr_null(strstr(said, "drain")); /* never inside the owner's call */
}

/* Past our FIN: what comes is counted, not handed over; then the peer's FIN. */
static void *answer_fin(void *arg)
{
    char byte;
    (void)arg;
    ck_assert_int_eq(recv(peer, &byte, 1, 0), 0);
    peer_sends("late\n");
    shutdown(peer, SHUT_WR);
    return NULL;
}

START_TEST(our_fin_first_lingers_discards_and_is_clean)
{
    pthread_t thread;
    open_conn();
    ck_assert_int_eq(pthread_create(&thread, NULL, answer_fin, NULL), 0);
    run_after_open(drain_now);
    pthread_join(thread, NULL);
    ck_assert_str_eq(said, "open drain peer_done closed ");
    assert_fate(FATE_CLEAN);
    ck_assert_int_eq(last.closed_first, FIRST_LOCAL);
    ck_assert_int_eq(last.time_wait, TIME_WAIT_OURS);
    ck_assert_uint_eq(last.discarded, 1);
    ck_assert_uint_eq(last.accepted, 0);
    ck_assert_uint_eq(last.bytes_after_fin, 5);
    ck_assert_uint_ge(last.fin_seen_us, last.fin_sent_us);
}
END_TEST

#define SLOWLY_BYTES (256 * 1024)

/* Some of it every now and then, and all in a multiple of the linger's deadline. */
static void *read_slowly(void *arg)
{
    static const struct timespec now_and_then = {.tv_nsec = 40000000};
    char some[4096];
    size_t *n = arg;
    ssize_t got;
    while ((got = recv(peer, some, sizeof some, 0)) > 0) {
        *n += (size_t)got;
        nanosleep(&now_and_then, NULL);
    }
    ck_assert_int_eq(got, 0);
    shutdown(peer, SHUT_WR);
    return NULL;
}

static void send_for_slow_reader(void *arg)
{
    static const uint8_t body[SLOWLY_BYTES - 4];
    struct error e;
    (void)arg;
    ck_assert_int_eq(conn_send(conn, body, sizeof body, &e), 0);
    conn_drain(conn, true, "test");
}

/* Our FIN waits in the kernel behind bytes that the peer takes slowly: none of them is lost. */
START_TEST(a_peer_that_reads_slowly_gets_all_before_our_fin)
{
    pthread_t thread;
    size_t n = 0;
    int large = SLOWLY_BYTES;
    loop_free(loop);
    begin_codec("u32be", SLOWLY_BYTES);
    config.linger_us = 1000000;
    open_conn();
    ck_assert_int_eq(setsockopt(ours_fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_slowly, &n), 0);
    run_after_open(send_for_slow_reader);
    pthread_join(thread, NULL);
    assert_fate(FATE_CLEAN);
    ck_assert_uint_eq(n, SLOWLY_BYTES);
    ck_assert_uint_eq(last.unacked_bytes, 0);
    ck_assert_uint_gt(life_phase_us(&last, PHASE_LINGER), config.linger_us);
}
END_TEST

static void *answer_fin_with_junk(void *arg)
{
    char byte;
    (void)arg;
    ck_assert_int_eq(recv(peer, &byte, 1, 0), 0);
    peer_sends("\xff\xff\xff\xffjunk");
    shutdown(peer, SHUT_WR);
    return NULL;
}

/* What would be discarded anyway need not be a frame. */
START_TEST(junk_after_our_fin_is_read_and_clean)
{
    pthread_t thread;
    loop_free(loop);
    begin_codec("u32be", 100);
    open_conn();
    ck_assert_int_eq(pthread_create(&thread, NULL, answer_fin_with_junk, NULL), 0);
    run_after_open(drain_now);
    pthread_join(thread, NULL);
    assert_fate(FATE_CLEAN);
    ck_assert_uint_eq(life_frames_in(&last), 0);
    ck_assert_uint_eq(last.bytes_after_fin, 8);
    ck_assert_uint_eq(last.unread_bytes, 0);
}
END_TEST

START_TEST(phases_are_contiguous_and_add_up)
{
    uint64_t sum = 0;
    open_conn();
    peer_sends("x\n");
    shutdown(peer, SHUT_WR);
    loop_run(loop);
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        sum += life_phase_us(&last, phase);
    }
    ck_assert_uint_eq(sum, life_total_us(&last));
    ck_assert_uint_eq(last.phases, 1u << PHASE_QUEUE | 1u << PHASE_TRANSFER | 1u << PHASE_DRAIN |
                                       1u << PHASE_LINGER | 1u << PHASE_CLOSE);
}
END_TEST

START_TEST(reset_is_told_after_what_came_before)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    open_conn();
    peer_sends("a\nb\npart");
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer);
    peer = -1;
    on_frame = NULL;
    loop_run(loop);
    assert_fate(FATE_RESET);
    ck_assert_int_eq(last.closed_first, FIRST_NOBODY);
    ck_assert_int_eq(last.time_wait, TIME_WAIT_NOBODY);
}
END_TEST

START_TEST(fin_inside_a_frame_is_truncated_and_what_is_owed_is_sent)
{
    char buf[64];
    open_conn();
    peer_sends("whole\npart");
    shutdown(peer, SHUT_WR);
    loop_run(loop);
    assert_fate(FATE_TRUNCATED);
    ck_assert_ptr_nonnull(strstr(last_detail, "4 B into frame 2"));
    ck_assert_uint_eq(peer_reads(buf, sizeof buf), 6);
}
END_TEST

START_TEST(a_length_over_the_limit_is_cut)
{
    char byte;
    loop_free(loop);
    begin_codec("u32be", 1000);
    open_conn();
    ck_assert_int_eq(send(peer, "\x05\0\0\0", 4, 0), 4);
    loop_run(loop);
    assert_fate(FATE_FRAME_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(last_detail, "83,886,080"));
    ck_assert_int_eq(recv(peer, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
}
END_TEST

/* --- deadlines --- */

START_TEST(idle_is_told_from_half_a_frame)
{
    config.idle_us = 20000;
    open_conn();
    if (_i == 1) {
        peer_sends("half");
    } else {
        config.linger_us = 20000; /* idle-timeout ends by FIN, which this peer never answers */
    }
    uint64_t before = clock_us();
    loop_run(loop);
    ck_assert_uint_ge(clock_us() - before, 20000);
    assert_fate(_i == 1 ? FATE_FRAME_TIMEOUT : FATE_IDLE_TIMEOUT);
}
END_TEST

static void send_much(const uint8_t *body, size_t n)
{
    static uint8_t much[256 * 1024];
    struct error e;
    (void)body;
    (void)n;
    memset(much, 'm', sizeof much);
    while (conn_room(conn) > 0) {
        ck_assert_int_eq(conn_send(conn, much, sizeof much, &e), 0);
    }
}

START_TEST(a_peer_that_does_not_read_is_a_slow_reader)
{
    config.idle_us = 50000;
    on_frame = send_much;
    open_conn();
    peer_sends("go\n");
    loop_run(loop);
    assert_fate(FATE_SLOW_READER);
    ck_assert_uint_gt(last.unacked_bytes, 0);
}
END_TEST

START_TEST(no_fin_of_the_peers_is_a_linger_timeout_and_reset)
{
    char byte;
    config.linger_us = 20000;
    open_conn();
    run_after_open(drain_now);
    assert_fate(FATE_LINGER_TIMEOUT);
    ck_assert_int_eq(last.closed_first, FIRST_LOCAL);
    ck_assert_int_eq(last.time_wait, TIME_WAIT_NOBODY);
    ck_assert_uint_ge(life_phase_us(&last, PHASE_LINGER), 20000);
    ck_assert_int_eq(send(peer, "x", 1, MSG_NOSIGNAL), -1); /* reset */
    ck_assert_int_eq(recv(peer, &byte, 1, 0), 0);
}
END_TEST

static void send_much_and_drain(const uint8_t *body, size_t n)
{
    send_much(body, n);
    conn_drain(conn, true, "test");
}

START_TEST(output_that_nobody_takes_is_a_drain_timeout)
{
    config.drain_us = 50000;
    on_frame = send_much_and_drain;
    open_conn();
    peer_sends("go\n");
    loop_run(loop);
    assert_fate(FATE_DRAIN_TIMEOUT);
    ck_assert_uint_gt(life_phase_us(&last, PHASE_DRAIN), 40000);
}
END_TEST

/* --- back-pressure and bounds --- */

static void never(struct deadline *deadline)
{
    (void)deadline;
    loop_stop(loop);
}

static struct deadline pause_over;

static void resume_later(struct deadline *deadline)
{
    (void)deadline;
    ck_assert_str_eq(said, "open frame:1 ");
    conn_resume(conn);
    ck_assert_str_eq(said, "open frame:1 "); /* never inside the owner's call */
}

static void pause_at_first(const uint8_t *body, size_t n)
{
    (void)n;
    if (body[0] == '1') {
        conn_pause(conn);
        ck_assert_int_eq(deadline_set(loop, &pause_over, 20000, resume_later), 0);
    }
}

START_TEST(pause_stops_frames_and_deadlines_until_resume)
{
    config.idle_us = 10000; /* shorter than the pause: the clock must stop */
    config.linger_us = LONG_US;
    on_frame = pause_at_first;
    open_conn();
    peer_sends("1\n2\n3\n");
    shutdown(peer, SHUT_WR);
    loop_run(loop);
    ck_assert_str_eq(said, "open frame:1 frame:2 frame:3 peer_done drain closed ");
    assert_fate(FATE_CLEAN);
}
END_TEST

static void stall(void *arg)
{
    uint64_t until_us = clock_us() + 3 * config.idle_us;
    (void)arg;
    while (clock_us() < until_us) {
    }
    peer_sends("1\n2\n"); /* behind the timer, in the order in which the loop hears of them */
    shutdown(peer, SHUT_WR);
}

/* What came while our own loop stood still is read before the peer is called idle. */
START_TEST(a_stall_of_our_own_is_not_laid_to_the_peer)
{
    config.idle_us = 10000;
    config.linger_us = 10000;
    open_conn();
    run_after_open(stall);
    ck_assert_str_eq(said, "open frame:1 frame:2 peer_done drain closed ");
    assert_fate(FATE_CLEAN);
}
END_TEST

/* A peer that writes without reading: the output stops at its high mark, and the rest of the input
 * waits in the kernel. */
START_TEST(answers_stop_at_the_high_mark)
{
    static char chunk[65536];
    struct deadline settle = {0};
    open_conn();
    memset(chunk, 'z', sizeof chunk);
    for (unsigned i = 999; i < sizeof chunk; i += 1000) {
        chunk[i] = '\n';
    }
    fcntl(peer, F_SETFL, O_NONBLOCK);
    for (unsigned round = 0; round < 200; round++) {
        while (send(peer, chunk, 64000, 0) > 0) {
        }
        ck_assert_int_eq(deadline_set(loop, &settle, 500, never), 0);
        loop_run(loop);
        ck_assert_ptr_nonnull(conn);
        ck_assert_uint_lt(conn_unsent(conn), CONN_OUTPUT_HIGH + 2000);
    }
    ck_assert_uint_ge(conn_unsent(conn), CONN_OUTPUT_HIGH);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer);
    peer = -1;
    loop_run(loop);
    assert_fate(FATE_RESET);
    ck_assert_uint_gt(last.unanswered, 0);
}
END_TEST

static size_t filled;

static void fill(void *arg)
{
    (void)arg;
    send_much(NULL, 0);
    filled = conn_life(conn)->bytes_out;
    ck_assert_uint_eq(conn_room(conn), 0);
}

static void *read_all(void *arg)
{
    static char buf[1 << 16];
    (void)arg;
    size_t n = 0;
    while (n < filled) {
        ssize_t got = recv(peer, buf, sizeof buf, 0);
        ck_assert_int_gt(got, 0);
        n += (size_t)got;
    }
    shutdown(peer, SHUT_WR);
    return NULL;
}

START_TEST(room_is_told_once_the_output_has_fallen)
{
    pthread_t thread;
    tell_room = true;
    open_conn();
    ck_assert_int_eq(loop_post(loop, fill, NULL), 0);
    ck_assert_int_eq(loop_post(loop, (void (*)(void *))loop_stop, loop), 0);
    loop_run(loop);
    ck_assert_ptr_null(strstr(said, "room"));
    ck_assert_int_eq(pthread_create(&thread, NULL, read_all, NULL), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    ck_assert_str_eq(said, "open room peer_done drain closed ");
    assert_fate(FATE_CLEAN);
}
END_TEST

static void send_after_fin(void *arg)
{
    struct error e;
    (void)arg;
    ck_assert_int_eq(conn_life(conn)->phase, PHASE_LINGER);
    ck_assert_int_eq(conn_send(conn, (const uint8_t *)"x", 1, &e), ERR_CLOSED);
    ck_assert_uint_gt(strlen(e.what), 0);
    shutdown(peer, SHUT_WR);
}

static void drain_then_send(void *arg)
{
    drain_now(arg);
    ck_assert_int_eq(loop_post(loop, send_after_fin, NULL), 0);
}

START_TEST(no_frame_is_taken_after_our_fin)
{
    open_conn();
    run_after_open(drain_then_send);
    assert_fate(FATE_CLEAN);
}
END_TEST

static void refused(const uint8_t *body, size_t n)
{
    struct error e;
    ck_assert_int_eq(conn_life(conn)->phase, PHASE_LINGER);
    ck_assert_int_eq(conn_send(conn, body, n, &e), ERR_CLOSED);
    ck_assert_int_eq(conn_send_lent(conn, body, n, (const uint8_t *)"", 0, &e), ERR_CLOSED);
}

static void *answer_fin_with_frames(void *arg)
{
    static const char frames[] = "\0\0\0\3one\0\0\0\3two";
    char byte;
    (void)arg;
    ck_assert_int_eq(recv(peer, &byte, 1, 0), 0);
    ck_assert_int_eq(send(peer, frames, sizeof frames - 1, 0), sizeof frames - 1);
    shutdown(peer, SHUT_WR);
    return NULL;
}

static void drain_and_listen(void *arg)
{
    (void)arg;
    conn_drain(conn, false, "the test");
}

/* From inside the callback that got a frame, where what is sent is gathered. */
START_TEST(no_answer_is_taken_after_our_fin)
{
    pthread_t thread;
    loop_free(loop);
    begin_codec("u32be", 100);
    on_frame = refused;
    open_conn();
    ck_assert_int_eq(pthread_create(&thread, NULL, answer_fin_with_frames, NULL), 0);
    run_after_open(drain_and_listen);
    pthread_join(thread, NULL);
    ck_assert_str_eq(said, "open drain frame:one frame:two peer_done closed ");
    assert_fate(FATE_CLEAN);
    ck_assert_uint_eq(last.frames_out, 0);
    ck_assert_uint_eq(last.bytes_out, 0);
}
END_TEST

static void owe_nothing(struct deadline *deadline)
{
    (void)deadline;
    ck_assert_int_eq(conn_life(conn)->phase, PHASE_DRAIN);
    conn_nothing_owed(conn);
}

static void owe_for_a_while(struct deadline *deadline)
{
    bool draining = conn_life(conn)->phase == PHASE_DRAIN;
    ck_assert_int_eq(deadline_set(loop, deadline, draining ? 20000 : 1000,
                                  draining ? owe_nothing : owe_for_a_while),
                     0);
}

static struct deadline look_again;

/* Once both FINs are on their way and ours still waits behind bytes that the peer has not taken,
 * the peer takes them. */
static void take_when_crossed(struct deadline *deadline)
{
    if (conn_life(conn)->fin_seen_us == 0) {
        ck_assert_int_eq(deadline_set(loop, deadline, 1000, take_when_crossed), 0);
        return;
    }
    ck_assert_int_eq(conn_life(conn)->phase, PHASE_LINGER);
    static char buf[1 << 20];
    ck_assert_uint_gt(peer_reads(buf, sizeof buf), 60000);
}

static void fin_when_lingering(struct deadline *deadline)
{
    if (conn_life(conn)->phase != PHASE_LINGER) {
        ck_assert_int_eq(deadline_set(loop, deadline, 1000, fin_when_lingering), 0);
        return;
    }
    shutdown(peer, SHUT_WR);
    take_when_crossed(deadline);
}

static void send_more_than_a_window(const uint8_t *body, size_t n)
{
    static uint8_t bytes[62000];
    struct error e;
    (void)body;
    (void)n;
    memset(bytes, 'b', sizeof bytes);
    ck_assert_int_eq(conn_send(conn, bytes, sizeof bytes, &e), 0);
    conn_drain(conn, true, "test");
}

/* The peer's FIN comes while ours is unacknowledged: CLOSING, and TIME_WAIT on both ends (RFC
 * 9293 3.6, case 3). */
START_TEST(fins_that_cross_are_both_first)
{
    open_conn();
    int large = 1 << 20; /* all of it leaves our buffer; the peer's window of 8 KiB takes a part */
    ck_assert_int_eq(setsockopt(ours_fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large), 0);
    on_frame = send_more_than_a_window;
    peer_sends("go\n");
    ck_assert_int_eq(deadline_set(loop, &look_again, 1000, fin_when_lingering), 0);
    loop_run(loop);
    assert_fate(FATE_CLEAN);
    ck_assert_int_eq(last.closed_first, FIRST_BOTH);
    ck_assert_int_eq(last.time_wait, TIME_WAIT_BOTH);
    ck_assert_uint_eq(last.unacked_bytes, 0);
}
END_TEST

START_TEST(the_drain_waits_for_what_is_owed)
{
    struct deadline owed = {0};
    keep_owing = true;
    open_conn();
    peer_sends("q\n");
    shutdown(peer, SHUT_WR);
    ck_assert_int_eq(deadline_set(loop, &owed, 1000, owe_for_a_while), 0);
    loop_run(loop);
    assert_fate(FATE_CLEAN);
    ck_assert_uint_ge(life_phase_us(&last, PHASE_DRAIN), 15000);
}
END_TEST

static void fail_in_frame(const uint8_t *body, size_t n)
{
    (void)body;
    (void)n;
    conn_fail(conn, FATE_HANDLER, "no such thing");
    ck_assert_ptr_nonnull(conn); /* not freed inside its callback */
}

START_TEST(failing_inside_the_frame_callback_is_safe)
{
    on_frame = fail_in_frame;
    open_conn();
    peer_sends("1\n2\n3\n");
    loop_run(loop);
    ck_assert_str_eq(said, "open frame:1 closed ");
    assert_fate(FATE_HANDLER);
    ck_assert_str_eq(last_detail, "no such thing");
}
END_TEST

START_TEST(failing_before_a_socket_is_there_closes_at_once)
{
    peer = -1;
    config.side = SIDE_CLIENT;
    conn = conn_new(loop, &config, &owner, NULL, 0);
    conn_fail(conn, FATE_RESOLVE_FAILED, "no such host");
    loop_run(loop);
    ck_assert_str_eq(said, "closed ");
    assert_fate(FATE_RESOLVE_FAILED);
    ck_assert_int_eq(last.failed_at, PHASE_RESOLVE);
}
END_TEST

static void add_all(Suite *suite, const char *name, void (*begins)(void))
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, begins, end);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, peer_first_is_answered_drained_and_clean);
    tcase_add_test(tcase, our_fin_first_lingers_discards_and_is_clean);
    tcase_add_test(tcase, a_peer_that_reads_slowly_gets_all_before_our_fin);
    tcase_add_test(tcase, junk_after_our_fin_is_read_and_clean);
    tcase_add_test(tcase, phases_are_contiguous_and_add_up);
    tcase_add_test(tcase, reset_is_told_after_what_came_before);
    tcase_add_test(tcase, fin_inside_a_frame_is_truncated_and_what_is_owed_is_sent);
    tcase_add_test(tcase, a_length_over_the_limit_is_cut);
    tcase_add_loop_test(tcase, idle_is_told_from_half_a_frame, 0, 2);
    tcase_add_test(tcase, a_peer_that_does_not_read_is_a_slow_reader);
    tcase_add_test(tcase, no_fin_of_the_peers_is_a_linger_timeout_and_reset);
    tcase_add_test(tcase, output_that_nobody_takes_is_a_drain_timeout);
    tcase_add_test(tcase, pause_stops_frames_and_deadlines_until_resume);
    tcase_add_test(tcase, a_stall_of_our_own_is_not_laid_to_the_peer);
    tcase_add_test(tcase, answers_stop_at_the_high_mark);
    tcase_add_test(tcase, room_is_told_once_the_output_has_fallen);
    tcase_add_test(tcase, no_frame_is_taken_after_our_fin);
    tcase_add_test(tcase, no_answer_is_taken_after_our_fin);
    tcase_add_test(tcase, fins_that_cross_are_both_first);
    tcase_add_test(tcase, the_drain_waits_for_what_is_owed);
    tcase_add_test(tcase, failing_inside_the_frame_callback_is_safe);
    tcase_add_test(tcase, failing_before_a_socket_is_there_closes_at_once);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("conn");
    add_all(suite, "plain", begin);
    add_all(suite, "fast", begin_fast);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
