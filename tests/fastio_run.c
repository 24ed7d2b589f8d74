#include "config.h"

#include "fastio_run.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "faults.h"

#define ENDS_MOST 10
#define FRAMES_MOST 64
#define BODY_MOST (400 * 1024)
#define PATTERN_PERIOD ((size_t)1024 * 1024)
#define PATTERN_BYTES (PATTERN_PERIOD + BODY_MOST + 2048)
#define TURNS_MOST 4000000
#define DRAIN_US 60000000

/* ck_assert of Check allocates, also where it holds. */
#define must(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            faults.fail_end = 0;                                                                   \
            ck_abort_msg(__VA_ARGS__);                                                             \
        }                                                                                          \
    } while (0)

/* A connection, its peer, and what each is to have of the other. */
struct end {
    struct conn *conn;
    struct conn_config config;
    unsigned number;
    int peer;
    bool paused, ended, peer_shut, peer_eof, peer_gone, cut;
    enum fate fate;
    /* The peer's: frames to send, the one on its way, the lengths of those sent. */
    unsigned left, sent, handed;
    uint8_t *wire;
    size_t wire_at, wire_length;
    uint64_t made_at, handed_at; /* in the stream of bodies */
    uint64_t wire_bytes;         /* written */
    size_t lengths[FRAMES_MOST];
    /* What the owner has sent, and how much of it the peer has had. */
    uint8_t *due;
    size_t due_length, due_room, due_at;
};

static struct run {
    const struct fastio_run *run;
    struct loop *loop;
    struct reapable turn;
    unsigned long turns;
    uint64_t random;
    unsigned count;
    struct end ends[ENDS_MOST];
} r;
static uint8_t *pattern; /* in it no byte is a delimiter's */

/* --- chance --- */

static uint64_t random_next(void)
{
    r.random ^= r.random << 13;
    r.random ^= r.random >> 7;
    r.random ^= r.random << 17;
    return r.random * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

static size_t below(size_t n)
{
    return (size_t)(random_next() % n);
}

static bool one_in(size_t n)
{
    return below(n) == 0;
}

/* Lengths of bodies: mostly short, some round each bound of fastio's, some long. */
static size_t random_length(void)
{
    static const size_t bounds[] = {2048, 4096, 65536, 262144, 327680};

    switch (below(10)) {
    case 0:
        return bounds[below(5)] + below(80) - 40;
    case 1:
        return below(BODY_MOST);
    case 2:
    case 3:
        return below(20000);
    case 4:
        return 0;
    default:
        return below(300);
    }
}

static size_t body_length(const struct end *end)
{
    size_t n = random_length();

    if (end->config.codec.kind == FRAME_LENGTH && end->config.codec.width == 2 && n > 65535) {
        n = 65535;
    }
    return n == 0 && end->config.codec.kind == FRAME_RAW ? 1 : n;
}

static ssize_t random_moves(enum faults_call call, int fd, size_t n)
{
    (void)fd;
    switch (below(6)) {
    case 0:
        return call == FAULTS_SEND && one_in(2) ? -EAGAIN : (ssize_t)(1 + below(n));
    case 1:
        return (ssize_t)(1 + below(n < 40 ? n : 40));
    case 2:
        return one_in(8) ? -EINTR : one_in(8) ? -EAGAIN : (ssize_t)n;
    default:
        return (ssize_t)n;
    }
}

/* --- what is to come --- */

static const uint8_t *stream_at(const struct end *end, uint64_t at)
{
    return pattern + (end->number * 7919 + at) % PATTERN_PERIOD;
}

static void expect_bytes(struct end *end, const void *bytes, size_t n)
{
    if (end->due_length + n > end->due_room) {
        end->due_room = 2 * (end->due_length + n);
        end->due = realloc(end->due, end->due_room);
        must(end->due != NULL, "end %u: not end->due != NULL", end->number);
    }
    if (n > 0) {
        memcpy(end->due + end->due_length, bytes, n);
    }
    end->due_length += n;
}

static void expect_frame(struct end *end, const uint8_t *begin, size_t begin_length,
                         const uint8_t *rest, size_t rest_length)
{
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;

    frame_state_init(&state, &end->config.codec, FRAME_FROM_SERVER);
    must(frame_encode_known(&end->config.codec, &state, begin_length + rest_length, &wrap,
                            &fault) == 0,
         "end %u: not frame_encode_known(&end->config.codec, &state, begin_length + rest_length, "
         "&wrap, &fault) == 0",
         end->number);
    expect_bytes(end, wrap.head, wrap.head_length);
    expect_bytes(end, begin, begin_length);
    expect_bytes(end, rest, rest_length);
    expect_bytes(end, wrap.tail, wrap.tail_length);
}

/* --- the owner --- */

static void sent(struct end *end, int result, const uint8_t *begin, size_t begin_length,
                 const uint8_t *rest, size_t rest_length)
{
    if (result == ERR_MEMORY) {
        must(r.run->lacks_memory, "end %u: not r.run->lacks_memory", end->number);
        expect_frame(end, begin, begin_length, rest, rest_length); /* in part, perhaps */
        conn_fail(end->conn, FATE_MEMORY, "no memory");
    } else if (result == 0) {
        expect_frame(end, begin, begin_length, rest, rest_length);
    } else {
        must(result == ERR_CLOSED, "end %u: not result == ERR_CLOSED", end->number);
    }
}

static void send_copied(struct end *end, const uint8_t *body, size_t n)
{
    struct error e;

    if (end->conn != NULL && (n > 0 || end->config.codec.kind != FRAME_RAW)) {
        sent(end, conn_send(end->conn, body, n, &e), NULL, 0, body, n);
    }
}

/* Something of its own, if there is room. */
static void send_own(struct end *end)
{
    const uint8_t *begin = pattern + below(1000), *rest = pattern + below(PATTERN_PERIOD);
    size_t n = body_length(end), begin_length = one_in(2) ? 16 : below(CONN_BEGIN_MAX + 1);
    struct error e;

    if (end->conn == NULL || conn_room(end->conn) == 0) {
        return;
    }
    if (n < begin_length || one_in(2)) {
        send_copied(end, rest, n);
    } else {
        sent(end, conn_send_lent(end->conn, begin, begin_length, rest, n - begin_length, &e), begin,
             begin_length, rest, n - begin_length);
    }
}

static struct end *somebody(void)
{
    return &r.ends[below(r.count)];
}

static void owner_open(struct conn *conn)
{
    struct end *end = conn_arg(conn);

    must(end->conn == conn, "end %u: not end->conn == conn", end->number);
    if (one_in(3)) {
        send_own(end);
    }
}

static void act(struct end *end, const uint8_t *body, size_t n)
{
    switch (below(8)) {
    case 0:
        send_own(somebody());
        break;
    case 1:
        send_own(end);
        break;
    case 2:
        for (size_t few = below(40); few > 0; few--) {
            send_copied(end, pattern, 1 + below(100));
        }
        break;
    case 3: { /* of the same kind, or it might hold what cannot be framed */
        struct end *other = somebody();
        if (other->conn != NULL && conn_room(other->conn) > 0 && n <= 65535) {
            send_copied(other, body, n);
        }
        send_copied(end, body, n);
        break;
    }
    default:
        send_copied(end, body, n);
    }
}

static void owner_frame(struct conn *conn, const uint8_t *body, size_t n)
{
    struct end *end = conn_arg(conn);
    const uint8_t *expected = stream_at(end, end->handed_at);

    must(end->conn == conn, "end %u: not end->conn == conn", end->number);
    must(!end->paused, "end %u: a frame while it is paused", end->number);
    if (end->config.codec.kind == FRAME_RAW) { /* in pieces as they come, over frames' ends */
        must(end->handed_at + n <= end->made_at, "end %u: not end->handed_at + n <= end->made_at",
             end->number);
        for (size_t i = 0; i < n; i++) {
            must(body[i] == *stream_at(end, end->handed_at + i),
                 "end %u: not body[i] == *stream_at(end, end->handed_at + i)", end->number);
        }
    } else {
        must(end->handed < end->sent, "end %u: not end->handed < end->sent", end->number);
        must(n == end->lengths[end->handed], "end %u: not n == end->lengths[end->handed]",
             end->number);
        must(memcmp(body, expected, n) == 0, "end %u: frame %u is wrong", end->number, end->handed);
    }
    end->handed++;
    end->handed_at += n;
    act(end, body, n);
    if (one_in(40)) {
        end->paused = true;
        conn_pause(conn);
    }
    if (one_in(300)) {
        conn_drain(conn, one_in(2), "at random");
    }
}

static void owner_room(struct conn *conn)
{
    must(conn_unsent(conn) <= CONN_OUTPUT_HIGH / 2,
         "not conn_unsent(conn) <= CONN_OUTPUT_HIGH / 2");
    if (one_in(8)) {
        send_own(conn_arg(conn));
    }
}

static void owner_drain(struct conn *conn)
{
    conn_nothing_owed(conn);
}

static void assert_all_told(const struct end *end, const struct life *life)
{
    must(life->fate == FATE_CLEAN, "end %u: %s (%s)", end->number, fate_row(life->fate)->name,
         life->detail == NULL ? "" : life->detail);
    must(life->bytes_in == end->wire_bytes, "end %u: not life->bytes_in == end->wire_bytes",
         end->number);
    must(life->bytes_out == end->due_length, "end %u: not life->bytes_out == end->due_length",
         end->number);
    if (end->config.codec.kind != FRAME_RAW) {
        must(life->accepted == end->handed, "end %u: not life->accepted == end->handed",
             end->number);
        must(life->accepted + life->discarded == end->sent,
             "end %u: not life->accepted + life->discarded == end->sent", end->number);
    }
}

static void owner_closed(struct conn *conn, struct life *life)
{
    struct end *end = conn_arg(conn);

    must(end->conn == conn, "end %u: not end->conn == conn", end->number);
    end->conn = NULL;
    end->fate = life->fate;
    end->ended = true;
    if (!r.run->lacks_memory || life->fate == FATE_CLEAN) {
        assert_all_told(end, life);
    }
}

static const struct conn_owner owner = {.open = owner_open,
                                        .frame = owner_frame,
                                        .room = owner_room,
                                        .drain = owner_drain,
                                        .closed = owner_closed};

/* --- the peer --- */

static void make_frame(struct end *end)
{
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;
    size_t n = body_length(end);

    frame_state_init(&state, &end->config.codec, FRAME_FROM_SERVER);
    must(frame_encode_known(&end->config.codec, &state, n, &wrap, &fault) == 0,
         "end %u: not frame_encode_known(&end->config.codec, &state, n, &wrap, &fault) == 0",
         end->number);
    memcpy(end->wire, wrap.head, wrap.head_length);
    memcpy(end->wire + wrap.head_length, stream_at(end, end->made_at), n);
    memcpy(end->wire + wrap.head_length + n, wrap.tail, wrap.tail_length);
    end->wire_at = 0;
    end->wire_length = wrap.head_length + n + wrap.tail_length;
    end->lengths[end->sent++] = n;
    end->made_at += n;
    end->left--;
}

/* Whether it may yet write more. */
static bool peer_writes(struct end *end)
{
    if (end->peer_gone || end->peer_shut) {
        return false;
    }
    if (end->wire_at == end->wire_length && end->left > 0) {
        make_frame(end);
    }
    if (end->wire_at == end->wire_length) {
        shutdown(end->peer, SHUT_WR);
        end->peer_shut = true;
        return false;
    }
    size_t piece = end->wire_length - end->wire_at;
    ssize_t n = write(end->peer, end->wire + end->wire_at, one_in(3) ? 1 + below(piece) : piece);
    if (n < 0 && errno != EAGAIN) {
        must(r.run->lacks_memory, "end %u: %s", end->number, strerror(errno));
        end->peer_gone = true;
        return false;
    }
    end->wire_at += n > 0 ? (size_t)n : 0;
    end->wire_bytes += n > 0 ? (uint64_t)n : 0;
    return n > 0;
}

static bool peer_reads(struct end *end)
{
    static uint8_t got[256 * 1024];
    ssize_t n;

    if (end->peer_eof || end->peer_gone) {
        return false;
    }
    n = read(end->peer, got, one_in(2) ? sizeof got : 1 + below(5000));
    if (n < 0 && errno == EAGAIN) {
        return false;
    }
    if (n < 0) {
        must(r.run->lacks_memory, "end %u: %s", end->number, strerror(errno));
        end->peer_gone = true;
        return false;
    }
    if (n == 0) {
        end->peer_eof = true;
        end->left = 0;
        return false;
    }
    must(end->due_at + (size_t)n <= end->due_length, "end %u: %zu bytes more than were sent",
         end->number, end->due_at + (size_t)n - end->due_length);
    must(memcmp(got, end->due + end->due_at, (size_t)n) == 0,
         "end %u: wrong bytes from %zu on, of %zd", end->number, end->due_at, n);
    end->due_at += (size_t)n;
    return true;
}

/* --- all of it --- */

static void take_turn(struct end *end)
{
    if (end->conn != NULL && end->paused && one_in(20)) {
        end->paused = false;
        conn_resume(end->conn);
    }
    while (one_in(3) && peer_writes(end))
        ;
    while (one_in(3) && peer_reads(end))
        ;
}

static void turn(struct reapable *reapable)
{
    unsigned ended = 0;

    for (unsigned i = 0; i < r.count; i++) {
        take_turn(&r.ends[i]);
        ended += r.ends[i].ended;
    }
    must(++r.turns < TURNS_MOST, "no end in sight");
    if (ended == r.count) {
        loop_stop(r.loop);
    } else {
        loop_reap(r.loop, reapable);
    }
}

static void make_tcp(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int small = 4096 + (int)below(60000), listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&address, length), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(fds[0], 0);
    close(listener);
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
}

static void make_unix(int fds[2])
{
    int small = 4096 + (int)below(60000);

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

static void open_end(unsigned number)
{
    static const char *const codecs[] = {"u32be", "u16le",     "varint", "line", "raw",
                                         "u32le", "netstring", "crlf",   "u64be"};
    struct end *end = &r.ends[number];
    struct transport transport = {0};
    struct error e;
    int fds[2];

    (one_in(2) ? make_tcp : make_unix)(fds);
    end->number = number;
    end->peer = fds[1];
    end->left = 1 + (unsigned)below(FRAMES_MOST);
    end->wire = malloc(BODY_MOST + 100 + (size_t)2 * FRAME_HEAD_MAX);
    ck_assert_ptr_nonnull(end->wire);
    end->config = (struct conn_config){.side = SIDE_SERVER,
                                       .fast = r.run->fast,
                                       .answers = one_in(4) == 0,
                                       .linger_us = DRAIN_US,
                                       .drain_us = DRAIN_US};
    ck_assert_int_eq(frame_codec_parse(&end->config.codec, codecs[below(9)], BODY_MOST + 100, &e),
                     0);
    ck_assert_int_eq(transport_init(&transport, r.loop, fds[0], r.run->fast), 0);
    end->conn = conn_new(r.loop, &end->config, &owner, end, 0);
    ck_assert_ptr_nonnull(end->conn);
    conn_open(end->conn, &transport);
}

static void begin(const struct fastio_run *run)
{
    struct error e;

    memset(&r, 0, sizeof r);
    r.run = run;
    r.random = run->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    pattern = malloc(PATTERN_BYTES);
    ck_assert_ptr_nonnull(pattern);
    for (size_t i = 0; i < PATTERN_BYTES; i++) {
        pattern[i] =
            i < PATTERN_PERIOD ? (uint8_t)(' ' + random_next() % 200) : pattern[i - PATTERN_PERIOD];
    }
    r.loop = loop_new(&e);
    ck_assert_msg(r.loop != NULL, "%s", e.what);
    loop_busy_poll(r.loop, run->spins ? 50 : 0);
    r.count = 1 + (unsigned)below(ENDS_MOST);
    for (unsigned i = 0; i < r.count; i++) {
        open_end(i);
    }
    r.turn.reap = turn;
    loop_reap(r.loop, &r.turn);
}

static void end_all(void)
{
    for (unsigned i = 0; i < r.count; i++) {
        struct end *end = &r.ends[i];
        while (peer_reads(end))
            ;
        if (end->fate == FATE_CLEAN) {
            ck_assert_uint_eq(end->due_at, end->due_length);
        }
        close(end->peer);
        free(end->wire);
        free(end->due);
    }
    loop_free(r.loop);
    free(pattern);
}

unsigned long fastio_run(const struct fastio_run *run)
{
    begin(run);
    faults = (struct faults){.moves = run->falls_short ? random_moves : NULL};
    if (run->lacks_memory) {
        faults_fail(below(300), 1 + below(one_in(2) ? 3 : 30));
    }
    int result = loop_run(r.loop);
    faults.moves = NULL;
    faults.fail_end = 0;
    ck_assert_int_eq(result, 0);
    end_all();
    return faults.failed;
}
