#include "config.h"

#include "close_cell.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pair.h"
#include "payload.h"
#include "records.h"

#define OPTIONS_MAX 32
#define BODY_MAX 2004
#define SOURCE_BODY 1000
#define SOURCE_BYTES (1 << 20)

/* What is sent, as frames and as lines, and where each frame ends. */
static struct {
    uint8_t wire[CLOSE_WHOLE + CLOSE_IN_BODY];
    char lines[CLOSE_WHOLE];
    size_t wire_end[CLOSE_FRAMES + 1], lines_end[CLOSE_FRAMES + 1];
    uint8_t source[SOURCE_BYTES]; /* what `synfind -H source -s 1000` sends */
} data;

static size_t put_frame(uint8_t *to, const char *body, size_t n)
{
    to[0] = 0;
    to[1] = 0;
    to[2] = (uint8_t)(n >> 8);
    to[3] = (uint8_t)n;
    memcpy(to + 4, body, n);
    return n + 4;
}

/* Lengths of two frames in turn add up to 2048, so the whole is known beforehand. */
static size_t body_length(unsigned i)
{
    size_t off = i / 2 * 37 % (BODY_MAX - 1020);
    return i % 2 == 0 ? 1020 - off : 1020 + off;
}

static void make_data(void)
{
    size_t wire = 0, line = 0;
    char body[BODY_MAX + 1];
    for (unsigned i = 0; i < CLOSE_FRAMES; i++) {
        size_t n = body_length(i);
        snprintf(body, sizeof(body), "%04u ", i);
        for (size_t k = 5; k < n; k++)
            body[k] = (char)('!' + (i * 31 + k * 7) % 94);
        wire += put_frame(data.wire + wire, body, n);
        memcpy(data.lines + line, body, n);
        line += n;
        data.lines[line++] = '\n';
        data.wire_end[i + 1] = wire;
        data.lines_end[i + 1] = line;
    }
    ck_assert_uint_eq(wire, CLOSE_WHOLE);
    memset(data.wire + wire, 'x', CLOSE_IN_BODY);
    memcpy(data.wire + wire, "\0\0\2\0", 4);
}

static void make_source(void)
{
    struct frame_codec codec;
    struct payload_body body;
    char whole[SOURCE_BODY];
    ck_assert_int_eq(frame_codec_parse(&codec, "u32be", SOURCE_BODY, NULL), 0);
    struct payload *payload = payload_new(&codec, SOURCE_BODY, NULL);
    ck_assert_ptr_nonnull(payload);
    for (unsigned i = 0; i < SOURCE_BYTES / (SOURCE_BODY + 4); i++) {
        payload_body(payload, 0, i, &body);
        memcpy(whole, body.stamp, body.stamp_length);
        memcpy(whole + body.stamp_length, body.rest, body.rest_length);
        put_frame(data.source + i * (SOURCE_BODY + 4), whole, SOURCE_BODY);
    }
    payload_free(payload);
}

static struct peer_script script_of(const struct close_cell *cell)
{
    struct peer_script script = {.out = data.wire,
                                 .out_length = CLOSE_WHOLE + cell->cut,
                                 .expect = data.wire,
                                 .expect_length = CLOSE_WHOLE};
    if (cell->peer_gets == OWED_SENT) {
        script.expect = data.source;
        script.expect_length = SOURCE_BYTES;
    }
    memcpy(script.steps, cell->steps, sizeof(script.steps));
    return script;
}

/* Our program's arguments: first ones, the cell's (`words` is cut up for them), those of all, and
 * the last ones. */
static void make_arguments(const char *arguments[OPTIONS_MAX], const struct close_cell *cell,
                           char words[512], const char *journal, const char *last)
{
    static char url[512], soon[16];
    const char *const common[] = {"--set",     "rcvbuf=8K", "--set", "sndbuf=8K",
                                  "--journal", url,         last,    NULL};
    unsigned n = 0;
    char *save = NULL;
    snprintf(words, 512, "%s", cell->options);
    snprintf(url, sizeof(url), "jsonl:%s", journal);
    snprintf(soon, sizeof(soon), "%dms", pair_patience(500));
    for (char *word = strtok_r(words, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        arguments[n++] = strcmp(word, "SOON") == 0 ? soon : word;
    for (unsigned i = 0; common[i] != NULL; i++)
        arguments[n++] = common[i];
    arguments[n] = NULL;
}

/* Judging one close. */

struct judged {
    const struct close_cell *cell;
    const char *record;
    const struct peer *peer;
};

#define judge(j, condition, ...)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            complain(j, __VA_ARGS__);                                                              \
    } while (0)

static void __attribute__((format(printf, 2, 3)))
complain(const struct judged *j, const char *format, ...)
{
    char what[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    ck_abort_msg("[%s] %s; the peer sent %zu, got %zu%s%s%s; the record: %s", j->cell->name, what,
                 j->peer->sent, j->peer->received, j->peer->wrong ? ", one byte wrong" : "",
                 j->peer->fin_seen ? ", saw a FIN" : "", j->peer->cut ? ", saw an RST" : "",
                 j->record);
}

static void judge_word(const struct judged *j, const char *key, const char *wanted)
{
    const char *text = record_text(j->record, key);
    judge(j, strcmp(text, wanted) == 0, "%s is %s, not %s", key, text, wanted);
}

static size_t whole_frames(const struct judged *j, const char *key)
{
    int64_t n = record_number(j->record, key);
    judge(j, n >= 0 && n <= CLOSE_FRAMES, "%s is %lld", key, (long long)n);
    return (size_t)n;
}

/* What the peer was entitled to, to the byte. */
static void judge_peer_gets(const struct judged *j)
{
    size_t wanted = CLOSE_WHOLE;
    judge(j, !j->peer->wrong, "a byte differs from what is owed, or is one too many");
    switch (j->cell->peer_gets) {
    case OWED_ALL:
        break;
    case OWED_ACCEPTED:
        wanted = data.wire_end[whole_frames(j, "accepted")];
        break;
    case OWED_SENT:
        wanted = (size_t)record_number(j->record, "bytes_out");
        judge(j, wanted % (SOURCE_BODY + 4) == 0 && wanted >= 65536, "frames were cut");
        break;
    case OWED_SOME:
        return;
    }
    judge(j, j->peer->received == wanted, "%zu bytes were owed", wanted);
}

/* The order of FINs as the peer's kernel saw it. */
static void judge_order(const struct judged *j)
{
    bool ours = strcmp(j->cell->time_wait, "ours") == 0;
    if (ours || strcmp(j->cell->time_wait, "theirs") == 0)
        judge(j, j->peer->first == (ours ? PEER_FIRST_THEM : PEER_FIRST_US),
              "the peer's kernel saw another order of FINs");
}

static void judge_clean(const struct judged *j)
{
    if (strcmp(j->cell->fate, "clean") != 0)
        return;
    judge(j, record_number(j->record, "unacked_bytes") == 0, "some bytes are unacknowledged");
    judge(j, record_number(j->record, "unanswered") == 0, "some frames are unanswered");
    judge(j, (size_t)record_number(j->record, "unread_bytes") == j->cell->cut,
          "more is unread than the cut frame");
    judge(j, (size_t)record_number(j->record, "bytes_in") == j->peer->sent,
          "not every byte of the peer's was read");
}

static void judge_close(const struct judged *j)
{
    int64_t accepted = record_number(j->record, "accepted");
    judge_peer_gets(j);
    judge_word(j, "fate", j->cell->fate);
    judge_word(j, "closed_first", j->cell->first);
    judge_word(j, "time_wait", j->cell->time_wait);
    judge(j,
          accepted + record_number(j->record, "discarded") == record_number(j->record, "frames_in"),
          "accepted and discarded do not add up");
    judge_order(j);
    judge_clean(j);
}

/* Who holds TIME_WAIT by the system's table: never the wrong end, and the right one but for a few.
 * A duplicate of the last FIN, which a busy machine's timers can bring about, ends TIME_WAIT early
 * (RFC 1337): its acknowledgement meets a socket that is closed, and RST comes back. */
static void judge_time_wait(const struct close_cell *cell, struct peers *peers)
{
    unsigned ours = 0, theirs = 0, few = 1 + peers->count / 50;
    bool want_ours = strcmp(cell->time_wait, "ours") == 0;
    bool want_theirs = strcmp(cell->time_wait, "theirs") == 0;
    if (!peers_time_wait(peers))
        return;
    for (unsigned i = 0; i < peers->count; i++) {
        ours += peers->all[i].time_wait_theirs;
        theirs += peers->all[i].time_wait_ours;
    }
    ck_assert_msg((want_ours ? ours + few >= peers->count : ours == 0) &&
                      (want_theirs ? theirs + few >= peers->count : theirs == 0),
                  "[%s] of %u connections the kernel has %u in TIME_WAIT here, %u there",
                  cell->name, peers->count, ours, theirs);
}

/* The port at the end of "127.0.0.1:41872". */
static uint16_t port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon != NULL ? (uint16_t)atoi(colon + 1) : 0;
}

/* The server's end. */

struct server {
    struct program *program;
    bool stopped; /* a second SIGTERM would cut */
};

static void stop_server(void *arg)
{
    struct server *server = arg;
    if (!server->stopped)
        pair_signal(server->program, SIGTERM);
    server->stopped = true;
}

static void judge_server(const struct close_cell *cell, struct peers *peers, const char *journal)
{
    struct records records = records_read(journal);
    struct judged j = {.cell = cell};
    ck_assert_msg(records.count == peers->count, "[%s] %u records of %u connections", cell->name,
                  records.count, peers->count);
    for (unsigned i = 0; i < records.count; i++) {
        j.record = records.line[i];
        j.peer = peers_find(peers, port_of(record_text(j.record, "remote")));
        ck_assert_msg(j.peer != NULL, "[%s] a record of nobody's: %s", cell->name, j.record);
        judge_close(&j);
    }
    records_free(&records);
}

void close_cell_server(const struct close_cell *cell, unsigned count)
{
    const char *arguments[OPTIONS_MAX], *journal = pair_file("journal");
    char words[512];
    struct start start = {.arguments = arguments};
    struct peer_script script = script_of(cell);
    struct server server = {.program = NULL};
    struct peers peers;

    make_data();
    make_source();
    make_arguments(arguments, cell, words, journal, "0");
    server.program = pair_server_start(&start);
    peers_connect(&peers, count, &script, (uint16_t)server.program->port);
    peers.met = stop_server;
    peers.met_arg = &server;
    peers_run(&peers, count, pair_patience(PAIR_DEADLINE_MS));
    pair_await_lines(server.program, journal, count);
    stop_server(&server);
    ck_assert_msg(pair_wait(server.program) == cell->exit_status,
                  "[%s] exit status %d, not %d:\n%s", cell->name, server.program->status,
                  cell->exit_status, pair_err(server.program));
    judge_server(cell, &peers, journal);
    judge_time_wait(cell, &peers);
    peers_free(&peers);
}

/* The client's end. */

static struct program *start_client(const struct close_cell *cell, const char *input,
                                    const char *port, const char *journal)
{
    const char *arguments[OPTIONS_MAX];
    char words[512];
    struct start start = {.program = "synfin", .arguments = arguments};
    struct program *program;
    unsigned n = 0;
    make_arguments(arguments, cell, words, journal, "127.0.0.1");
    while (arguments[n] != NULL)
        n++;
    arguments[n++] = port;
    arguments[n] = NULL;
    start.in = open(input, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(start.in, 0);
    program = pair_start(&start);
    close(start.in);
    return program;
}

static void judge_printed(const struct judged *j, struct program *program)
{
    size_t n, frames = whole_frames(j, "frames_in");
    const char *text = pair_out(program, &n);
    judge(j, j->cell->we_print == OWED_SOME || frames == CLOSE_FRAMES, "replies are missing");
    judge(j, n == data.lines_end[frames], "%zu bytes were printed, not %zu", n,
          data.lines_end[frames]);
    judge(j, memcmp(text, data.lines, n) == 0, "what was printed differs");
}

static void judge_client(const struct close_cell *cell, struct peers *peers,
                         struct program *program, const char *journal)
{
    struct records records = records_read(journal);
    struct judged j = {.cell = cell};
    ck_assert_msg(records.count == 1, "[%s] %u records; stderr:\n%s", cell->name, records.count,
                  pair_err(program));
    j.record = records.line[0];
    j.peer = peers_find(peers, port_of(record_text(j.record, "local")));
    ck_assert_msg(j.peer != NULL, "[%s] a record of nobody's: %s", cell->name, j.record);
    judge_printed(&j, program);
    judge_close(&j);
    judge(&j, program->status == cell->exit_status, "exit status %d, not %d", program->status,
          cell->exit_status);
    records_free(&records);
}

static const char *file_with_lines(void)
{
    const char *path = pair_file("lines");
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data.lines, 1, CLOSE_WHOLE - 3 * CLOSE_FRAMES, file),
                      CLOSE_WHOLE - 3 * CLOSE_FRAMES);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* One journal for each: they are judged when all is over. */
static const char *journal_of(unsigned i)
{
    char name[32];
    snprintf(name, sizeof(name), "journal.%u", i);
    return pair_file(name);
}

void close_cell_client(const struct close_cell *cell, unsigned count, unsigned together)
{
    struct program **programs = calloc(count, sizeof(struct program *));
    const char **journals = calloc(count, sizeof(char *));
    struct peer_script script = script_of(cell);
    struct peers peers;
    char port[8];
    const char *input;

    ck_assert(programs != NULL && journals != NULL);
    make_data();
    make_source();
    input = file_with_lines();
    peers_listen(&peers, count, &script);
    snprintf(port, sizeof(port), "%u", peers.port);
    for (unsigned i = 0; i < count;) {
        unsigned first = i, end = i + together < count ? i + together : count;
        for (; i < end; i++) {
            journals[i] = journal_of(i);
            programs[i] = start_client(cell, input, port, journals[i]);
            peers_run(&peers, 0, 1000);
        }
        peers_run(&peers, end, pair_patience(PAIR_DEADLINE_MS));
        for (unsigned k = first; k < end; k++)
            pair_wait(programs[k]);
    }
    for (unsigned i = 0; i < count; i++)
        judge_client(cell, &peers, programs[i], journals[i]);
    judge_time_wait(cell, &peers);
    peers_free(&peers);
    free(programs);
    free(journals);
}
