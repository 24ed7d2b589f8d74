/* The tour's two programs, against each other, against raw peers, and against the real pair. */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pair.h"

#define SERVER TOP_BUILDDIR "/doc/tour/server"
#define CLIENT TOP_BUILDDIR "/doc/tour/client"

/* Starting the two. */

static struct program *server_start(rlim_t descriptors)
{
    struct program *server =
        pair_start(&(struct start){.program = SERVER, .descriptors = descriptors});
    pair_await_err(server, "\n");
    ck_assert_int_eq(sscanf(pair_err(server), "listening on 127.0.0.1:%d", &server->port), 1);
    snprintf(server->port_text, sizeof(server->port_text), "%d", server->port);
    return server;
}

/* `frames` is their number: each holds its own, from 0. */
static struct program *client_start(const char *port, const char *frames)
{
    char address[32];
    const char *arguments[] = {address, frames, NULL};
    snprintf(address, sizeof(address), "127.0.0.1:%s", port);
    return pair_start(&(struct start){.program = CLIENT, .arguments = arguments});
}

/* The end, and what it says of itself: all `sent` are back, or not. */
static void client_ends(struct program *client, int status, unsigned sent, unsigned replies)
{
    char wanted[100];
    snprintf(wanted, sizeof(wanted), "client: %u frames sent, %u replies\n", sent, replies);
    ck_assert_msg(pair_wait(client) == status, "status %d: %s", client->status, pair_err(client));
    ck_assert_msg(strstr(pair_err(client), wanted) != NULL, "wanted \"%s\", got \"%s\"", wanted,
                  pair_err(client));
}

/* One that was ended by the server's drain; returns how many replies it got. */
static unsigned long client_drained(struct program *client)
{
    unsigned long sent, replies;
    const char *text;
    ck_assert_msg(pair_wait(client) == 1, "status %d: %s", client->status, pair_err(client));
    text = strstr(pair_err(client), " here\n");
    ck_assert_ptr_nonnull(text);
    ck_assert_msg(sscanf(text, " here client: %lu frames sent, %lu replies", &sent, &replies) == 2,
                  "%s", pair_err(client));
    ck_assert_uint_gt(replies, 0);
    ck_assert_uint_le(replies, sent);
    return replies;
}

/* The end after SIGTERM, and what it then says of itself. (A second SIGTERM would kill.) */
static void server_ends(struct program *server, unsigned long accepted, unsigned long cut)
{
    char wanted[100];
    snprintf(wanted, sizeof(wanted), "drained: %lu frames accepted, %lu connections cut\n",
             accepted, cut);
    int status = pair_wait(server);
    ck_assert_msg(status == (cut > 0), "status %d: %s", status, pair_err(server));
    ck_assert_msg(strstr(pair_err(server), wanted) != NULL, "wanted \"%s\", got \"%s\"", wanted,
                  pair_err(server));
}

static void server_stop(struct program *server, unsigned long accepted, unsigned long cut)
{
    pair_signal(server, SIGTERM);
    server_ends(server, accepted, cut);
}

/* Numbered lines of many lengths, about `bytes` in all; allocated. */
static char *make_lines(size_t bytes, unsigned long *count)
{
    char *text = malloc(bytes + 5000);
    size_t have = 0;
    ck_assert_ptr_nonnull(text);
    for (*count = 0; have < bytes; ++*count) {
        int pad = *count % 97 == 0 ? 4000 : (int)(*count % 61);
        have += (size_t)sprintf(text + have, "%0*lu\n", pad, *count);
    }
    return text;
}

/* Raw peers: blocking sockets with small buffers. */

static int raw_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {20, 0};
    ck_assert_int_ge(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){8192}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){8192}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

static int raw_connect(const struct program *server)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = raw_socket();
    a.sin_port = htons((uint16_t)server->port);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static int raw_listen(char port[8])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = raw_socket();
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
    ck_assert_int_eq(listen(fd, 4), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    snprintf(port, 8, "%d", ntohs(a.sin_port));
    return fd;
}

/* The client's connection to a raw server. */
static int raw_accept(int listener)
{
    int fd = accept(listener, NULL, NULL);
    ck_assert_msg(fd >= 0, "accept: %s", strerror(errno));
    close(listener);
    return fd;
}

static void raw_send(int fd, const void *bytes, size_t n)
{
    ck_assert_int_eq(send(fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Exactly these bytes; a frame is an `n` of header and body. */
static void raw_expect(int fd, const void *bytes, size_t n)
{
    char got[256];
    ck_assert_uint_le(n, sizeof(got));
    ck_assert_int_eq(recv(fd, got, n, MSG_WAITALL), (ssize_t)n);
    ck_assert_mem_eq(got, bytes, n);
}

static void raw_expect_fin(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    ck_assert_msg(n == 0, "wanted FIN: %s", n > 0 ? "a byte" : strerror(errno));
}

static void raw_expect_reset(int fd)
{
    char byte;
    ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
}

static void raw_reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

#define HI "\0\0\0\2hi"
#define HI_LENGTH 6
#define NUMBER(digit) "\0\0\0\1" digit /* a frame of the client's */
#define NUMBER_LENGTH 5

/* Against each other. */

START_TEST(frames_go_through)
{
    struct program *server = server_start(0);
    client_ends(client_start(server->port_text, "3"), 0, 3, 3);
    server_stop(server, 3, 0);
    ck_assert_ptr_nonnull(strstr(pair_err(server), "connection: clean\n"));
}
END_TEST

START_TEST(millions_go_through)
{
    unsigned count = pair_scaled(10) * 100000;
    char frames[16];
    struct program *server = server_start(0), *client[4];
    snprintf(frames, sizeof(frames), "%u", count);
    for (int i = 0; i < 4; i++)
        client[i] = client_start(server->port_text, frames);
    for (int i = 0; i < 4; i++)
        client_ends(client[i], 0, count, count);
    server_stop(server, 4ul * count, 0);
}
END_TEST

#define NO_END "4000000000" /* frames */

/* SIGTERM while clients without an end send: what was accepted is answered, all end at once. */
START_TEST(sigterm_loses_nothing)
{
    enum { CLIENTS = 8 };
    struct program *server = server_start(0), *client[CLIENTS];
    unsigned long total = 0;
    for (int i = 0; i < CLIENTS; i++) {
        client[i] = client_start(server->port_text, NO_END);
        pair_await_err(client[i], "first reply");
    }
    pair_signal(server, SIGTERM);
    for (int i = 0; i < CLIENTS; i++)
        total += client_drained(client[i]);
    server_ends(server, total, 0);
}
END_TEST

/* The server, against raw peers. */

START_TEST(server_answers_all_before_a_fin)
{
    struct program *server = server_start(0);
    int fd = raw_connect(server);
    for (int i = 0; i < 100; i++)
        raw_send(fd, HI, HI_LENGTH);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 100; i++)
        raw_expect(fd, HI, HI_LENGTH);
    raw_expect_fin(fd);
    close(fd);
    server_stop(server, 100, 0);
}
END_TEST

/* A FIN in each place inside a frame: the whole frame before it is still answered. */
START_TEST(server_sees_a_truncated_frame)
{
    struct program *server = server_start(0);
    int fd = raw_connect(server);
    raw_send(fd, HI HI, HI_LENGTH + (size_t)_i);
    shutdown(fd, SHUT_WR);
    raw_expect(fd, HI, HI_LENGTH);
    raw_expect_fin(fd);
    close(fd);
    server_stop(server, 1, 0);
    ck_assert_ptr_nonnull(strstr(pair_err(server), "connection: truncated\n"));
}
END_TEST

START_TEST(server_cuts_a_frame_too_large)
{
    struct program *server = server_start(0);
    int fd = raw_connect(server);
    raw_send(fd, "\0\x10\0\1", 4);
    raw_expect_reset(fd);
    close(fd);
    server_stop(server, 0, 1);
}
END_TEST

START_TEST(server_outlives_a_reset)
{
    struct program *server = server_start(0);
    int fd = raw_connect(server), other = raw_connect(server);
    raw_send(fd, HI, HI_LENGTH);
    raw_expect(fd, HI, HI_LENGTH);
    raw_reset(fd);
    raw_send(other, HI, HI_LENGTH);
    raw_expect(other, HI, HI_LENGTH);
    close(other);
    server_stop(server, 2, 1);
}
END_TEST

/* A peer that sends and does not read: the server takes a bounded part of it, and the rest when the
 * peer reads. */
START_TEST(server_stops_reading_from_who_does_not_read)
{
    enum { BODY = 65536, FRAMES = 800 };
    struct program *server = server_start(0);
    static char frame[4 + BODY], got[4 + BODY];
    int fd = raw_connect(server);
    size_t sent = 0, all = (size_t)FRAMES * sizeof(frame), back = 0;
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    memcpy(frame, "\0\1\0\0", 4);
    while (poll(&room, 1, 300) > 0 && sent < all) {
        ssize_t n = send(fd, frame + sent % sizeof(frame), sizeof(frame) - sent % sizeof(frame),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
    }
    ck_assert_msg(sent < all / 2, "%zu bytes were taken from a peer that reads none", sent);
    for (room.events = POLLIN | POLLOUT; back < all;) {
        ssize_t n = 0;
        ck_assert_int_gt(poll(&room, 1, 20000), 0);
        if (room.revents & POLLIN)
            n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
        ck_assert_int_ge(n, 0);
        back += (size_t)n;
        if (sent == all)
            room.events = POLLIN;
        n = sent < all ? send(fd, frame + sent % sizeof(frame),
                              sizeof(frame) - sent % sizeof(frame), MSG_DONTWAIT | MSG_NOSIGNAL)
                       : 0;
        sent += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    server_stop(server, FRAMES, 0);
}
END_TEST

/* More connections than descriptors: the server looks away, does not spin, and serves all in turn.
 */
START_TEST(server_out_of_descriptors_recovers)
{
    enum { PEERS = 40 };
    if (pair_wrapped())
        return; /* valgrind, under which this test runs then, keeps the limit from the server */
    struct program *server = server_start(24);
    int fd[PEERS];
    unsigned refusals = 0;
    for (int i = 0; i < PEERS; i++) {
        fd[i] = raw_connect(server);
        raw_send(fd[i], HI, HI_LENGTH);
    }
    pair_await_err(server, "accept: ");
    for (int i = 0; i < PEERS; i++) {
        raw_expect(fd[i], HI, HI_LENGTH);
        close(fd[i]);
    }
    server_stop(server, PEERS, 0);
    for (const char *line = pair_err(server); (line = strstr(line, "accept: ")) != NULL; line++)
        refusals++;
    ck_assert_uint_lt(refusals, 300);
}
END_TEST

/* The server's drain as the peer sees it: FIN, frames after it discarded, no reset. */
START_TEST(server_drains_in_order)
{
    struct program *server = server_start(0);
    int fd = raw_connect(server);
    raw_send(fd, HI, HI_LENGTH);
    raw_expect(fd, HI, HI_LENGTH);
    pair_signal(server, SIGTERM);
    raw_expect_fin(fd);
    for (int i = 0; i < 100; i++)
        raw_send(fd, HI, HI_LENGTH);
    shutdown(fd, SHUT_WR);
    raw_expect_fin(fd);
    close(fd);
    ck_assert_int_eq(pair_wait(server), 0);
}
END_TEST

/* A peer that never says FIN holds the drain for the linger's time only, and is cut. */
START_TEST(server_lingers_so_long)
{
    struct program *server = server_start(0);
    int fd = raw_connect(server);
    raw_send(fd, HI, HI_LENGTH);
    raw_expect(fd, HI, HI_LENGTH);
    pair_signal(server, SIGTERM);
    raw_expect_fin(fd);
    server_ends(server, 1, 1);
    ck_assert_int_eq(send(fd, HI, HI_LENGTH, MSG_NOSIGNAL), -1);
    ck_assert_ptr_nonnull(strstr(pair_err(server), "connection: timeout\n"));
    close(fd);
}
END_TEST

/* The client, against raw peers. */

START_TEST(client_ends_by_fin_after_its_replies)
{
    char port[8];
    int listener = raw_listen(port), fd;
    struct program *client = client_start(port, "2");
    fd = raw_accept(listener);
    raw_expect(fd, NUMBER("0") NUMBER("1"), 2 * NUMBER_LENGTH);
    raw_send(fd, NUMBER("0") NUMBER("1"), 2 * NUMBER_LENGTH);
    raw_expect_fin(fd);
    close(fd);
    client_ends(client, 0, 2, 2);
}
END_TEST

/* It reads on after its FIN, and says so; what comes then is not reset. */
START_TEST(client_lingers)
{
    char port[8];
    int listener = raw_listen(port), fd;
    struct program *client = client_start(port, "1");
    fd = raw_accept(listener);
    raw_expect(fd, NUMBER("0"), NUMBER_LENGTH);
    raw_send(fd, NUMBER("0"), NUMBER_LENGTH);
    raw_expect_fin(fd);
    raw_send(fd, NUMBER("1"), NUMBER_LENGTH);
    raw_send(fd, NUMBER("2"), NUMBER_LENGTH);
    shutdown(fd, SHUT_WR);
    client_ends(client, 1, 1, 3);
    raw_expect_fin(fd);
    close(fd);
}
END_TEST

START_TEST(client_tells_missing_replies)
{
    char port[8];
    int listener = raw_listen(port), fd;
    struct program *client = client_start(port, "2");
    fd = raw_accept(listener);
    raw_expect(fd, NUMBER("0") NUMBER("1"), 2 * NUMBER_LENGTH);
    raw_send(fd, NUMBER("0"), NUMBER_LENGTH);
    shutdown(fd, SHUT_WR);
    raw_expect_fin(fd);
    close(fd);
    client_ends(client, 1, 2, 1);
}
END_TEST

/* The peer's FIN first, and output of ours still to be taken: all that was made arrives, then FIN.
 */
START_TEST(client_drains_after_the_peers_fin)
{
    char port[8], made[4 << 10];
    unsigned long sent, frames = 0;
    size_t have = 0;
    ssize_t n;
    int listener = raw_listen(port), fd;
    struct program *client = client_start(port, NO_END);
    fd = raw_accept(listener);
    shutdown(fd, SHUT_WR);
    while ((n = recv(fd, made + have, sizeof(made) - have, 0)) > 0) {
        size_t at = 0, whole;
        for (have += (size_t)n; at + 4 <= have; at += whole, frames++) {
            whole = 4 + (size_t)made[at + 3];
            if (at + whole > have)
                break;
        }
        memmove(made, made + at, have -= at);
    }
    ck_assert_msg(n == 0 && have == 0, "%s, %zu bytes left", n < 0 ? strerror(errno) : "FIN", have);
    close(fd);
    ck_assert_int_eq(pair_wait(client), 1);
    ck_assert_int_eq(sscanf(pair_err(client), "client: %lu frames sent", &sent), 1);
    ck_assert_uint_gt(sent, 0);
    ck_assert_uint_eq(frames, sent);
}
END_TEST

/* A server that reads nothing: the client makes a bounded part of its frames, and ends in time. */
START_TEST(client_stops_making_for_who_does_not_read)
{
    char port[8];
    unsigned long sent;
    const char *log, *last;
    int listener = raw_listen(port), fd;
    struct program *client = client_start(port, NO_END);
    fd = raw_accept(listener);
    ck_assert_int_eq(pair_wait(client), 28);
    log = pair_err(client);
    last = strstr(log, "reply, or no FIN\n");
    ck_assert_msg(last != NULL, "%s", log);
    ck_assert_int_eq(sscanf(last, "reply, or no FIN client: %lu frames sent", &sent), 1);
    ck_assert_uint_lt(sent, 4000000);
    close(fd);
}
END_TEST

enum end { RESET, TRUNCATED, TOO_LARGE, ANOTHER, SILENT, NO_FIN };
static const struct {
    enum end end;
    int status;
} ends[] = {{RESET, 56},   {TRUNCATED, 1}, {TOO_LARGE, 56},
            {ANOTHER, 56}, {SILENT, 28},   {NO_FIN, 28}};

START_TEST(client_says_how_it_failed)
{
    char port[8];
    int listener = raw_listen(port), fd;
    struct program *client = client_start(port, "1");
    fd = raw_accept(listener);
    raw_expect(fd, NUMBER("0"), NUMBER_LENGTH);
    switch (ends[_i].end) {
    case RESET:
        raw_reset(fd);
        break;
    case TRUNCATED:
        raw_send(fd, NUMBER("0") NUMBER("1"), 2 * NUMBER_LENGTH - 1);
        shutdown(fd, SHUT_WR);
        raw_expect_fin(fd);
        close(fd);
        break;
    case TOO_LARGE:
        raw_send(fd, "\2\0\0\0hi", HI_LENGTH);
        raw_expect_reset(fd);
        close(fd);
        break;
    case ANOTHER:
        raw_send(fd, NUMBER("1"), NUMBER_LENGTH);
        raw_expect_reset(fd);
        close(fd);
        break;
    case NO_FIN:
        raw_send(fd, NUMBER("0"), NUMBER_LENGTH);
        raw_expect_fin(fd);
        break;
    case SILENT:
        break;
    }
    ck_assert_int_eq(pair_wait(client), ends[_i].status);
}
END_TEST

START_TEST(client_says_what_is_wrong_here)
{
    char port[8];
    int listener = raw_listen(port);
    close(listener);
    client_ends(client_start(port, "1"), 7, 0, 0);
    ck_assert_int_eq(pair_wait(client_start("no port", "1")), 2);
    ck_assert_int_eq(pair_wait(client_start(port, "none")), 2);
}
END_TEST

/* With the real pair. */

START_TEST(synfin_talks_to_the_tours_server)
{
    unsigned long count;
    char *text = make_lines((size_t)pair_scaled(4) << 20, &count);
    struct program *server = server_start(0), *client;
    client = pair_client(text, "--set", "rcvbuf=8K", "--set", "sndbuf=8K", "127.0.0.1",
                         server->port_text, NULL);
    ck_assert_msg(client->status == 0, "status %d: %s", client->status, pair_err(client));
    ck_assert_msg(strcmp(pair_out(client, NULL), text) == 0, "not all of %zu bytes came back",
                  strlen(text));
    server_stop(server, count, 0);
    ck_assert_ptr_nonnull(strstr(pair_err(server), "connection: clean\n"));
    free(text);
}
END_TEST

START_TEST(the_tours_client_talks_to_synfind)
{
    unsigned count = pair_scaled(4) * 100000;
    char frames[16];
    struct program *server = pair_server("-4", "--set", "rcvbuf=8K", "--set", "sndbuf=8K", NULL);
    snprintf(frames, sizeof(frames), "%u", count);
    client_ends(client_start(server->port_text, frames), 0, count, count);
    ck_assert_int_eq(pair_stop(server), 0);
}
END_TEST

/* From synfind's last account, "...: 1,248,112 frames accepted, ...". */
static unsigned long frames_accepted(const char *log)
{
    unsigned long n = 0;
    const char *text = strstr(log, " frames accepted");
    ck_assert_ptr_nonnull(text);
    while (text > log && text[-1] != ' ')
        text--;
    for (; *text != ' '; text++)
        if (*text != ',')
            n = n * 10 + (unsigned long)(*text - '0');
    return n;
}

START_TEST(synfind_drains_the_tours_client)
{
    struct program *server = pair_server("-4", NULL), *client;
    client = client_start(server->port_text, NO_END);
    pair_await_err(client, "first reply");
    ck_assert_int_eq(pair_stop(server), 0);
    ck_assert_uint_eq(client_drained(client), frames_accepted(pair_err(server)));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tour");
    TCase *alone = tcase_create("alone"), *pair = tcase_create("pair");
    SRunner *runner = srunner_create(suite);
    tcase_add_checked_fixture(alone, pair_begin, pair_end);
    tcase_add_checked_fixture(pair, pair_begin, pair_end);
    tcase_set_timeout(alone, 120);
    tcase_set_timeout(pair, 300);
    tcase_add_test(alone, frames_go_through);
    tcase_add_test(alone, millions_go_through);
    tcase_add_test(alone, sigterm_loses_nothing);
    tcase_add_test(alone, server_answers_all_before_a_fin);
    tcase_add_loop_test(alone, server_sees_a_truncated_frame, 1, HI_LENGTH);
    tcase_add_test(alone, server_cuts_a_frame_too_large);
    tcase_add_test(alone, server_outlives_a_reset);
    tcase_add_test(alone, server_stops_reading_from_who_does_not_read);
    tcase_add_test(alone, server_out_of_descriptors_recovers);
    tcase_add_test(alone, server_drains_in_order);
    tcase_add_test(alone, server_lingers_so_long);
    tcase_add_test(alone, client_ends_by_fin_after_its_replies);
    tcase_add_test(alone, client_lingers);
    tcase_add_test(alone, client_tells_missing_replies);
    tcase_add_test(alone, client_drains_after_the_peers_fin);
    tcase_add_test(alone, client_stops_making_for_who_does_not_read);
    tcase_add_loop_test(alone, client_says_how_it_failed, 0, sizeof(ends) / sizeof(*ends));
    tcase_add_test(alone, client_says_what_is_wrong_here);
    tcase_add_test(pair, synfin_talks_to_the_tours_server);
    tcase_add_test(pair, the_tours_client_talks_to_synfind);
    tcase_add_test(pair, synfind_drains_the_tours_client);
    suite_add_tcase(suite, alone);
    suite_add_tcase(suite, pair);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
