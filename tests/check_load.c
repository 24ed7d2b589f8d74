/* The load and the server: what both ends counted, in a closed loop; what comes back or does not;
 * failures. (check_load_open.c: the open loop, pauses, signals.) */
#include "config.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load_run.h"
#include "raw_peer.h"

#define JOURNAL "server.jsonl"

/* A finished load went well: a slow machine may well make the verdict "slow", which is no failure.
 */
static void went_well(const struct load *load)
{
    load_ends(load, 0, NULL);
    ck_assert_int_eq(load_number(load, "frames_lost"), 0);
    ck_assert_int_eq(load_number(load, "frames_differed"), 0);
}

static struct program *recording(void)
{
    return pair_server("--journal", load_journal(JOURNAL), NULL);
}

/* --- a closed loop --- */

static json_int_t interval_sum(const struct load *load, const char *name)
{
    const json_t *interval;
    json_int_t sum = 0;
    size_t i;

    json_array_foreach(json_object_get(load->json, "intervals"), i, interval) sum +=
        json_integer_value(json_object_get(interval, name));
    return sum;
}

START_TEST(exact_count)
{
    static const char *const ways[][4] = {
        {"-t", "1"}, {"-t", "2"}, {"-t", "2", "--no-fastio"}, {"-t", "2", "--busy-poll", "50us"}};
    struct program *server =
        pair_server("--journal", load_journal(JOURNAL), ways[_i][2], ways[_i][3], NULL);
    struct load load = load_run(server, "-i", "1h", "-c", "20", "-n", "5000", "-P", "3",
                                ways[_i][0], ways[_i][1], ways[_i][2], ways[_i][3], NULL);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_sent"), 5000);
    ck_assert_int_eq(load_number(&load, "frames_equal"), 5000);
    ck_assert_int_eq(load_number(&load, "round_trip_count"), 5000);
    /* Its time ends with the last reply: then its rate is the service's. */
    ck_assert_int_eq(interval_sum(&load, "sent"), 5000);
    ck_assert_int_eq(interval_sum(&load, "replies"), 5000);
    ck_assert_int_eq(load_number(&load, "connections_opened"), 20);
    ck_assert_int_eq(load_number(&load, "connect_count"), 20);
    ck_assert_int_eq(load_number(&load, "first_frame_count"), 20);
    ck_assert_int_eq(load_number(&load, "drain_linger_count"), 20);
    ck_assert_int_eq(load_number(&load, "time_wait.ours"), 20);
    ck_assert_int_eq(load_number(&load, "shape.threads"), _i == 0 ? 1 : 2);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* Fewer frames than connections, and numbers that do not divide. */
START_TEST(odd_counts)
{
    static const char *const shapes[][2] = {{"7", "3"}, {"7", "7"}, {"7", "1000"}, {"1", "1"}};
    struct program *server = recording();
    struct load load = load_run(server, "-c", shapes[_i][0], "-n", shapes[_i][1], "-t", "2", NULL);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_sent"), atoi(shapes[_i][1]));
    ck_assert_int_eq(load_number(&load, "frames_equal"), atoi(shapes[_i][1]));
    ck_assert_int_eq(load_number(&load, "fates.clean"), atoi(shapes[_i][0]));
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* The intervals follow one another, from the beginning on, and hold every frame that was sent. */
static void intervals_agree(const struct load *load)
{
    const json_t *intervals = json_object_get(load->json, "intervals"), *interval;
    json_int_t sent = 0, until_us = 0;
    size_t i;
    json_array_foreach(intervals, i, interval)
    {
        ck_assert_int_eq(json_integer_value(json_object_get(interval, "from_us")), until_us);
        until_us = json_integer_value(json_object_get(interval, "to_us"));
        sent += json_integer_value(json_object_get(interval, "sent"));
    }
    ck_assert_int_eq(sent, load_number(load, "frames_sent"));
}

START_TEST(for_a_time)
{
    static const char *const threads[] = {"1", "2"};
    struct program *server = recording();
    struct load load = load_run(server, "-c", "10", "-d", "300ms", "-s", "1K", "-i", "50ms", "-t",
                                threads[_i], NULL);
    went_well(&load);
    intervals_agree(&load);
    ck_assert_int_ge(load_number(&load, "measured_us"), 300000);
    ck_assert_int_gt(load_number(&load, "frames_sent"), 0);
    ck_assert_int_eq(load_number(&load, "frames_equal"), load_number(&load, "frames_sent"));
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* The first part is not counted: the server knows of more. */
START_TEST(omitted)
{
    struct program *server = recording();
    struct load load = load_run(server, "-d", "300ms", "-O", "100ms", NULL);
    went_well(&load);
    ck_assert_int_eq(pair_stop(server), 0);
    ck_assert_int_gt(load_number(&load, "frames_sent"), 0);
    ck_assert_int_lt(load_number(&load, "frames_sent"), load_account(JOURNAL).frames_in);
    ck_assert_int_eq(load_number(&load, "frames_equal"), load_number(&load, "frames_sent"));
    intervals_agree(&load);
    load_free(&load);
}
END_TEST

/* They stay when all is answered: here until they are told to end, and nothing is lost. */
START_TEST(held)
{
    static const char *const threads[] = {"1", "2"};
    struct program *server = recording();
    struct program *client = load_start(server, "-t", threads[_i], "-c", "20", "-n", "20", "--hold",
                                        "1h", "--reply-timeout", "50ms", NULL);
    pair_await_err(client, "holding 20 connections for 1.00 h");
    ck_assert(!pair_ends_within(client, 100)); /* longer than --reply-timeout: nothing is owed */
    pair_signal(client, SIGINT);
    struct load load = load_end(client);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_equal"), 20);
    ck_assert_int_eq(load_number(&load, "connections_opened"), 20);
    ck_assert_int_eq(load_number(&load, "fates.clean"), 20);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* So long and no longer; the measured time is not that of the hold. */
START_TEST(held_for_a_time)
{
    static const char *const limits[][2] = {{"-n", "100"}, {"-d", "50ms"}, {"-r", "2000"}};
    struct program *server = recording();
    int64_t began = pair_now_ms();
    struct load load = load_run(server, "-c", "10", "-d", "100ms", limits[_i][0], limits[_i][1],
                                "--hold", "300ms", NULL);
    went_well(&load);
    ck_assert_int_ge(pair_now_ms() - began, 300);
    ck_assert_int_lt(load_number(&load, "measured_us"), 300000);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* The server goes: what was held ends clean, and the client does not wait for its time. */
START_TEST(held_by_nobody)
{
    struct program *server = recording();
    struct program *client = load_start(server, "-c", "20", "-n", "20", "--hold", "1h", NULL);
    pair_await_err(client, "holding 20 connections");
    ck_assert_int_eq(pair_stop(server), 0);
    struct load load = load_end(client);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "closed_first.peer"), 20);
    load_free(&load);
}
END_TEST

START_TEST(unix_socket)
{
    char address[320];
    snprintf(address, sizeof address, "unix:%s", pair_file("socket"));
    struct program *server = pair_start(&(struct start){
        .program = "synfind",
        .arguments = (const char *[]){"--journal", load_journal(JOURNAL), address, NULL}});
    pair_await_err(server, "listening on");
    struct program *client = pair_start(&(struct start){
        .program = "synfin",
        .arguments = (const char *[]){"--load", "-n", "1000", "-J", address, NULL}});
    struct load load = load_end(client);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_equal"), 1000);
    ck_assert_int_eq(load_number(&load, "time_wait.ours"), 0);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* Bodies larger than any buffer on the way, many in flight. */
START_TEST(large_frames)
{
    struct program *server = recording();
    struct load load =
        load_run(server, "-c", "3", "-P", "8", "-s", "1M", "-n", "60", "-t", "2", NULL);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_equal"), 60);
    ck_assert_int_eq(load_number(&load, "bytes_in"), 60 * ((1 << 20) + 4));
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* --- lives that follow one another --- */

START_TEST(churn)
{
    static const char *const threads[] = {"1", "2"};
    struct program *server = recording();
    struct load load =
        load_run(server, "-t", threads[_i], "-c", "8", "-n", "1000", "--frames-per-conn", "5",
                 "--journal", load_journal("client.jsonl"), NULL);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_equal"), 1000);
    ck_assert_int_eq(load_number(&load, "connections_opened"), 200);
    struct account own = load_account("client.jsonl");
    ck_assert_uint_eq(own.lives, 200);
    ck_assert_uint_eq(own.clean, 200);
    ck_assert_int_eq(own.frames_out, 1000);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

START_TEST(no_frames)
{
    struct program *server = recording();
    struct load load = load_run(server, "-c", "4", "-d", "200ms", "--frames-per-conn", "0", NULL);
    went_well(&load);
    ck_assert_int_ge(load_number(&load, "connections_opened"), 4);
    ck_assert_int_eq(load_number(&load, "frames_sent"), 0);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* --- framings --- */

/* The names in the first column of --frame list, from below its heading to its first empty line. */
static unsigned codec_names(char names[64][32])
{
    struct program *list = pair_client(NULL, "--frame", "list", NULL);
    const char *line = strchr(pair_out(list, NULL), '\n');
    unsigned n = 0;
    for (; line != NULL && line[1] != '\n' && n < 64; line = strchr(line + 1, '\n'))
        n += sscanf(line + 1, "%23[a-z0-9]", names[n]) == 1;
    return n;
}

START_TEST(each_codec)
{
    static char names[64][32];
    unsigned n = codec_names(names), carried = 0;
    ck_assert_uint_gt(n, 15);
    unsigned step = pair_wrapped() ? 5 : 1;
    for (unsigned i = 0; i < n; i += step) {
        if (strcmp(names[i], "raw") == 0 || strcmp(names[i], "postgres") == 0)
            continue; /* see codecs_that_cannot */
        if (strcmp(names[i], "delim") == 0 || strcmp(names[i], "field") == 0)
            strcat(names[i], names[i][0] == 'd' ? ":0d0a2e" : ":offset=1");
        struct program *server = pair_server("-F", names[i], NULL);
        struct load load = load_run(server, "-F", names[i], "-c", "3", "-n", "60", "-P", "4", NULL);
        went_well(&load);
        ck_assert_int_eq(load_number(&load, "frames_equal"), 60);
        load_free(&load);
        carried++;
        pair_stop(server);
    }
    ck_assert_uint_ge(carried, 15 / step);
}
END_TEST

/* What one read brings need not come back as one, and in postgres a first message is of another
 * kind: told before the first connection. */
START_TEST(codecs_that_cannot)
{
    static const char *const names[] = {"raw", "postgres"};
    struct program *client =
        pair_client(NULL, "--load", "-F", names[_i], "-n", "10", "127.0.0.1", "1", NULL);
    ck_assert_int_eq(client->status, 2);
    ck_assert_msg(strstr(pair_err(client), names[_i]) != NULL, "%s", pair_err(client));
}
END_TEST

/* --- what comes back --- */

START_TEST(any_reply)
{
    struct program *server = pair_server("-H", "ack", "--journal", load_journal(JOURNAL), NULL);
    struct load load = load_run(server, "--expect", "any", "-n", "1000", "-P", "2", NULL);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_replies"), 1000);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

START_TEST(no_reply)
{
    static const char *const sizes[] = {"64", "64K"};
    struct program *server = pair_server("-H", "discard", "--journal", load_journal(JOURNAL), NULL);
    struct load load =
        load_run(server, "--expect", "none", "-c", "3", "-n", "3000", "-s", sizes[_i], NULL);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_sent"), 3000);
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

START_TEST(stream)
{
    struct program *server = pair_server("-H", "source", "-r", "2000", NULL);
    struct load load = load_run(server, "--expect", "stream", "-c", "3", "-d", "300ms", NULL);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_sent"), 0);
    ck_assert_int_gt(load_number(&load, "frames_replies"), 0);
    ck_assert_int_eq(load_number(&load, "bytes_out"), 0);
    load_free(&load);
}
END_TEST

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* Three bodies, sent in turn: 1, 22, 333. */
START_TEST(payloads)
{
    const char *file = pair_file("bodies"), *folder = pair_file("folder");
    write_file(file, "1\n22\n333\n");
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    write_file(pair_file("folder/a"), "1");
    write_file(pair_file("folder/b"), "22");
    write_file(pair_file("folder/c"), "333");
    struct program *server = recording();
    struct load load =
        load_run(server, "--payload", _i == 0 ? file : folder, "-c", "3", "-n", "300", NULL);
    went_well(&load);
    ck_assert_int_eq(load_number(&load, "frames_equal"), 300);
    ck_assert_int_eq(load_number(&load, "bytes_out"), 300 * 4 + 100 * (1 + 2 + 3));
    load_agrees(&load, server, JOURNAL);
    load_free(&load);
}
END_TEST

/* --- what goes wrong --- */

START_TEST(differed)
{
    struct program *server = pair_server("-H", "upper", NULL);
    struct load load = load_run(server, "-c", "4", "-n", "1000", NULL);
    load_ends(&load, 1, "differed");
    ck_assert_int_gt(load_number(&load, "frames_differed"), 0);
    ck_assert_int_gt(load_number(&load, "fates.differed"), 0);
    ck_assert_ptr_nonnull(strstr(load_text(&load, "verdict.try"), "--expect any"));
    ck_assert_ptr_nonnull(strstr(load_text(&load, "verdict.evidence"), "frame 1"));
    load_free(&load);
}
END_TEST

START_TEST(replies_missing)
{
    struct program *server = pair_server("-H", "discard", NULL);
    struct load load =
        load_run(server, "-c", "4", "-n", "100", "-d", "200ms", "--reply-timeout", "300ms", NULL);
    load_ends(&load, 28, "reply-timeout");
    ck_assert_int_eq(load_number(&load, "frames_lost"), load_number(&load, "frames_sent"));
    ck_assert_int_eq(load_number(&load, "fates.reply-timeout"), 4);
    ck_assert_int_eq(load_number(&load, "frames_replies"), 0);
    load_free(&load);
}
END_TEST

START_TEST(nobody_listens)
{
    struct program *server = pair_server("-q", NULL);
    pair_stop(server);
    struct load load = load_run(server, "-c", "5", "-n", "100", NULL);
    load_ends(&load, 7, "refused");
    ck_assert_int_eq(load_number(&load, "fates.refused"), 5);
    ck_assert_int_eq(load_number(&load, "connections_failed"), 5);
    ck_assert_int_eq(load_number(&load, "connections_opened"), 0);
    ck_assert_int_eq(load_number(&load, "frames_sent"), 0);
    load_free(&load);
}
END_TEST

/* The server is gone while frames are in flight; with churn, later connections are refused. */
START_TEST(server_dies)
{
    struct program *server = pair_server("-q", NULL);
    struct program *client =
        load_start(server, "-c", "8", "-d", "30s", "-i", "20ms", "--json-stream",
                   _i == 0 ? "-P" : "--frames-per-conn", "4", NULL);
    pair_await_out(client, "\"event\":\"interval\"");
    pair_signal(server, SIGKILL);
    struct load load = load_end(client);
    ck_assert_int_ne(load.client->status, 0);
    ck_assert_int_eq(load_number(&load, "exit_status"), load.client->status);
    ck_assert_int_gt(load_number(&load, "fates.reset") + load_number(&load, "fates.unanswered") +
                         load_number(&load, "fates.refused") +
                         load_number(&load, "fates.truncated"),
                     0);
    ck_assert_int_eq(load_number(&load, "frames_equal") + load_number(&load, "frames_lost"),
                     load_number(&load, "frames_sent"));
    ck_assert_int_lt(load_number(&load, "measured_us"), 30000000);
    load_free(&load);
}
END_TEST

/* The server ends in order in the middle: it answers what it had accepted, and says what came too
 * late; what is lost here is what was discarded there. */
START_TEST(server_drains)
{
    struct program *server = recording();
    struct program *client =
        load_start(server, "-c", "8", "-P", "4", "-d", "30s", "-i", "20ms", "--json-stream", NULL);
    pair_await_out(client, "\"event\":\"interval\"");
    ck_assert_int_eq(pair_stop(server), 0);
    struct load load = load_end(client);
    load_ends(&load, 1, "unanswered");
    struct account account = load_account(JOURNAL);
    ck_assert_uint_eq(account.clean, 8);
    ck_assert_int_eq(load_number(&load, "fates.unanswered"), 8);
    ck_assert_int_eq(load_number(&load, "closed_first.peer"), 8);
    ck_assert_int_eq(load_number(&load, "frames_sent"), account.frames_in);
    ck_assert_int_eq(load_number(&load, "frames_equal"), account.frames_out);
    ck_assert_int_eq(load_number(&load, "frames_lost"), account.discarded);
    load_free(&load);
}
END_TEST

/* Frames that nobody asked for. */
START_TEST(too_many_replies)
{
    struct program *server = pair_server("-H", "source", NULL);
    struct load load = load_run(server, "-c", "2", "-n", "100", NULL);
    load_ends(&load, 1, "differed");
    /* None of them, nor of those that come while the connection closes, is equal to a frame. */
    ck_assert_int_le(load_number(&load, "frames_equal"), load_number(&load, "frames_sent"));
    ck_assert_int_eq(load_number(&load, "frames_equal") + load_number(&load, "frames_differed"),
                     load_number(&load, "frames_replies"));
    load_free(&load);
}
END_TEST

/* A peer of which the test is told step by step: one connection, bodies of "1", u32be. */
static struct program *scripted(const char *port, const char *count, const char *option,
                                const char *value)
{
    static struct program peer;
    const char *file = pair_file("one");
    write_file(file, "1\n");
    snprintf(peer.port_text, sizeof peer.port_text, "%s", port);
    return load_start(&peer, "-c", "1", "--payload", file, "-n", count, option, value, NULL);
}

/* Two replies to each frame, and a greeting: none of the second answers the next frame, which was
 * not even sent when it came. */
START_TEST(surplus_replies)
{
    static const char two[] = "\0\0\0\1a\0\0\0\1b";
    char port[8];
    int listener = raw_listen(port);
    struct program *client = scripted(port, "3", "--expect", "any");
    int fd = raw_accept(listener);
    if (_i == 1)
        raw_send_frame(fd, "hello");
    for (unsigned i = 0; i < 3; i++) {
        raw_expect_frame(fd, "1");
        raw_send(fd, two, _i == 0 ? sizeof two - 1 : 5);
    }
    raw_expect_fin(fd);
    raw_fin(fd);
    struct load load = load_end(client);
    load_ends(&load, 1, "differed");
    ck_assert_int_eq(load_number(&load, "frames_replies"), 3);
    ck_assert_int_eq(load_number(&load, "frames_surplus"), _i == 0 ? 3 : 1);
    ck_assert_int_eq(load_number(&load, "frames_lost"), 0);
    ck_assert_int_eq(load_number(&load, "fates.clean"), 1);
    ck_assert(load_real(&load, "round_trip_min_us") > 0);
    load_free(&load);
    close(fd);
    close(listener);
}
END_TEST

/* What the sockets hold is not with the peer yet: the time goes on until that has read it. */
START_TEST(one_way_to_the_close)
{
    char port[8];
    int listener = raw_listen(port);
    struct program *client = scripted(port, "5", "--expect", "none");
    int fd = raw_accept(listener);
    raw_expect_frame(fd, "1");
    poll(NULL, 0, 100); /* so long it leaves the rest unread, not a wait for something */
    raw_read_to_fin(fd);
    raw_fin(fd);
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    ck_assert_int_eq(load_number(&load, "frames_sent"), 5);
    ck_assert_int_ge(load_number(&load, "measured_us"), 100000);
    ck_assert(load_real(&load, "frames_per_s") <= 5 / 0.1);
    load_free(&load);
    close(fd);
    close(listener);
}
END_TEST

/* What is answered after the time is no part of the rate, nor of the intervals. */
START_TEST(answered_late)
{
    char port[8];
    int listener = raw_listen(port);
    struct program *client = scripted(port, "5", "-P5", "-d200ms");
    int fd = raw_accept(listener);
    for (unsigned i = 0; i < 5; i++)
        raw_expect_frame(fd, "1");
    raw_send_frame(fd, "1");
    raw_send_frame(fd, "1");
    raw_expect_silence(fd, 400); /* longer than -d: no wait for something */
    for (unsigned i = 0; i < 3; i++)
        raw_send_frame(fd, "1");
    raw_expect_fin(fd);
    raw_fin(fd);
    struct load load = load_end(client);
    load_ends(&load, 0, NULL);
    ck_assert_int_eq(load_number(&load, "frames_sent"), 5);
    ck_assert_int_eq(load_number(&load, "frames_equal"), 5);
    ck_assert_int_eq(load_number(&load, "frames_replies_in_drain"), 3);
    ck_assert_int_eq(interval_sum(&load, "replies"), 2);
    ck_assert(load_real(&load, "frames_per_s") <= 2 / 0.2);
    load_free(&load);
    close(fd);
    close(listener);
}
END_TEST

/* Told before the first connection, with how many fit; and so many do fit. */
START_TEST(too_many_connections)
{
    struct program *server = pair_server("-q", NULL);
    const char *arguments[] = {"--load",          "-n", "100", "-J", "-c", "100", "127.0.0.1",
                               server->port_text, NULL};
    struct start start = {.program = "synfin", .arguments = arguments, .descriptors = 64};
    char fits[16];
    if (pair_wrapped())
        return; /* valgrind keeps the limit to itself */
    struct load load = load_end(pair_start(&start));
    load_ends(&load, 27, "no-descriptor");
    ck_assert_ptr_nonnull(strstr(load_text(&load, "verdict.evidence"), "64"));
    ck_assert_int_eq(sscanf(load_text(&load, "verdict.try"), "-c %15[0-9] fits", fits), 1);
    ck_assert(json_is_true(json_object_get(load.json, "client_limited")));
    load_free(&load);
    arguments[5] = fits;
    load = load_end(pair_start(&start));
    went_well(&load);
    load_free(&load);
}
END_TEST

START_TEST(conditions)
{
    static const struct {
        const char *condition;
        int status;
    } cases[] = {{"frames.sent > 0", 99},
                 {"frames.lost > 0", 0},
                 {"round_trip.max > 1h", 0},
                 {"fates.reset > 0", 0},
                 {"connections.opened < 11", 99}};
    struct program *server = pair_server("-q", NULL);
    struct program *client =
        load_start(server, "-n", "100", "--fail-if", cases[_i].condition, NULL);
    ck_assert_msg(pair_wait(client) == cases[_i].status, "%s: status %d; %s", client->command,
                  client->status, pair_err(client));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("load");
    TCase *closed = tcase_create("closed"), *lives = tcase_create("lives"),
          *replies = tcase_create("replies"), *wrong = tcase_create("wrong");
    TCase *all[] = {closed, lives, replies, wrong};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        tcase_add_checked_fixture(all[i], pair_begin, pair_end);
        tcase_set_timeout(all[i], pair_wrapped() ? 600 : 60);
        suite_add_tcase(suite, all[i]);
    }
    tcase_add_loop_test(closed, exact_count, 0, 4);
    tcase_add_loop_test(closed, odd_counts, 0, 4);
    tcase_add_loop_test(closed, for_a_time, 0, 2);
    tcase_add_test(closed, omitted);
    tcase_add_loop_test(closed, held, 0, 2);
    tcase_add_loop_test(closed, held_for_a_time, 0, 3);
    tcase_add_test(closed, held_by_nobody);
    tcase_add_test(closed, unix_socket);
    tcase_add_test(closed, large_frames);
    tcase_add_loop_test(lives, churn, 0, 2);
    tcase_add_test(lives, no_frames);
    tcase_add_test(replies, each_codec);
    tcase_add_loop_test(replies, codecs_that_cannot, 0, 2);
    tcase_add_test(replies, any_reply);
    tcase_add_loop_test(replies, no_reply, 0, 2);
    tcase_add_test(replies, stream);
    tcase_add_loop_test(replies, payloads, 0, 2);
    tcase_add_test(wrong, differed);
    tcase_add_test(wrong, replies_missing);
    tcase_add_test(wrong, nobody_listens);
    tcase_add_loop_test(wrong, server_dies, 0, 2);
    tcase_add_test(wrong, server_drains);
    tcase_add_test(wrong, too_many_replies);
    tcase_add_loop_test(wrong, surplus_replies, 0, 2);
    tcase_add_test(replies, one_way_to_the_close);
    tcase_add_test(replies, answered_late);
    tcase_add_test(wrong, too_many_connections);
    tcase_add_loop_test(wrong, conditions, 0, 5);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
