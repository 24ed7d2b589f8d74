/* The close contract over its whole table, on both ends, against raw peers that know nothing of
 * our code. A row's name says
 *   who closes first: the first FIN is ours, or the peer's;
 *   whether input is unread: "unread" when 64 KiB and more are still under way, or unread, at the
 *     moment of that first FIN (or RST); "read" when everything had come;
 *   how the peer ends: by FIN; half-close: its FIN with replies still owed to it, or, where we are
 *     first, its data still owed to us; RST; FIN inside a header or a body; no FIN ever.
 * What must come of it (conn.h, RFC 9293 3.6):
 *   first, time_wait: whose FIN was first holds TIME_WAIT, if both were exchanged; RST leaves none;
 *   fate: nothing but what happened on the wire;
 *   the peer gets, we print: no byte that is owed is lost, whoever was first. */
#include "config.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "close_cell.h"
#include "pair.h"

#define CLOSES 200
#define ALL CLOSE_WHOLE
#define PART CLOSE_PART
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Deadlines where the peer never ends; elsewhere none may pass. */
#define SHORT "--idle-timeout SOON --linger-timeout SOON --drain-timeout SOON"
#define LONG "--idle-timeout off --linger-timeout 100s --drain-timeout 100s"

/* The table is laid out by hand. */
/* clang-format off */

/* Steps that rows share. */
#define TALK {PEER_SEND, ALL}, {PEER_TAKE, ALL}            /* all sent, then all replies read */
#define ANSWER {PEER_READ, 0}, {PEER_SEND, ALL}, {PEER_TAKE, ALL} /* both ways at once */
#define SIGTERM_COMES {PEER_MEET, 0}
#define FIN_THEN_THEIRS {PEER_FIN, 0}, {PEER_AWAIT_FIN, 0}, {PEER_CLOSE, 0}
#define THEIRS_THEN_FIN {PEER_AWAIT_FIN, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}

static const struct close_cell server_cells[] = {
    /* The peer first: what it sent before its FIN is handled, answered and drained; then our FIN.
     * A source owes nothing when the FIN comes, and may be stopped, but only between frames. */
    {"peer first, read, FIN", "-H echo " LONG, 0, {TALK, FIN_THEN_THEIRS},
     "clean", "peer", "theirs", OWED_ALL, 0, 0},
    {"peer first, unread, FIN", "-H source -s 1000 " LONG, 0,
     {{PEER_SEND, ALL}, FIN_THEN_THEIRS},
     "clean", "peer", "theirs", OWED_SENT, 0, 0},
    {"peer first, read, half-close", "-H echo " LONG, 0,
     {{PEER_SEND, ALL}, {PEER_TAKE, ALL - PART}, FIN_THEN_THEIRS},
     "clean", "peer", "theirs", OWED_ALL, 0, 0},
    {"peer first, unread, half-close", "-H echo " LONG, 0, {{PEER_SEND, ALL}, FIN_THEN_THEIRS},
     "clean", "peer", "theirs", OWED_ALL, 0, 0},
    {"peer first, read, RST", "-H echo " LONG, 0, {TALK, {PEER_RST, 0}},
     "reset", "nobody", "nobody", OWED_ALL, 0, 0},
    {"peer first, unread, RST", "-H echo " LONG, 0, {{PEER_SEND, ALL}, {PEER_RST, 0}},
     "reset", "nobody", "nobody", OWED_SOME, 0, 0},
    /* A frame that is cut is an error; the whole ones before it are owed their replies. */
    {"peer first, read, FIN in header", "-H echo " LONG, CLOSE_IN_HEADER,
     {TALK, {PEER_SEND, CLOSE_IN_HEADER}, FIN_THEN_THEIRS},
     "truncated", "peer", "theirs", OWED_ALL, 0, 0},
    {"peer first, unread, FIN in header", "-H echo " LONG, CLOSE_IN_HEADER,
     {{PEER_SEND, 0}, FIN_THEN_THEIRS}, "truncated", "peer", "theirs", OWED_ALL, 0, 0},
    {"peer first, read, FIN in body", "-H echo " LONG, CLOSE_IN_BODY,
     {TALK, {PEER_SEND, CLOSE_IN_BODY}, FIN_THEN_THEIRS},
     "truncated", "peer", "theirs", OWED_ALL, 0, 0},
    {"peer first, unread, FIN in body", "-H echo " LONG, CLOSE_IN_BODY,
     {{PEER_SEND, 0}, FIN_THEN_THEIRS}, "truncated", "peer", "theirs", OWED_ALL, 0, 0},
    /* The peer falls silent: our FIN is the first, and the last; after the linger, RST. */
    {"peer first, read, no FIN", "-H echo " SHORT, 0,
     {TALK, {PEER_AWAIT_FIN, 0}, {PEER_AWAIT_RST, 0}},
     "idle-timeout", "local", "nobody", OWED_ALL, 0, 0},
    /* It does not take its replies either: no FIN can be sent behind them. */
    {"peer first, unread, no FIN", "-H echo " SHORT, 0, {{PEER_SEND, ALL}, {PEER_AWAIT_RST, 0}},
     "slow-reader", "nobody", "nobody", OWED_SOME, 0, 0},

    /* We first: SIGTERM. What was decoded before is answered; later frames are discarded and
     * counted, but read: unread, they would turn our close into RST. */
    {"we first, read, FIN", "-H echo " LONG, 0, {TALK, SIGTERM_COMES, THEIRS_THEN_FIN},
     "clean", "local", "ours", OWED_ALL, 0, 0},
    {"we first, unread, FIN", "-H echo " LONG, 0,
     {{PEER_SEND, PART}, SIGTERM_COMES, {PEER_SEND, 0}, THEIRS_THEN_FIN},
     "clean", "local", "ours", OWED_ACCEPTED, 0, 0},
    {"we first, read, half-close", "-H echo " LONG, 0,
     {{PEER_SEND, PART}, {PEER_TAKE, PART - 2048}, SIGTERM_COMES, {PEER_AWAIT_FIN, 0},
      {PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "clean", "local", "ours", OWED_ACCEPTED, 0, 0},
    {"we first, unread, half-close", "-H echo " LONG, 0,
     {{PEER_SEND, PART}, SIGTERM_COMES, {PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_FIN, 0},
      {PEER_CLOSE, 0}},
     "clean", "local", "ours", OWED_ACCEPTED, 0, 0},
    {"we first, read, RST", "-H echo " LONG, 0,
     {TALK, SIGTERM_COMES, {PEER_AWAIT_FIN, 0}, {PEER_RST, 0}},
     "reset", "local", "nobody", OWED_ALL, 0, 0},
    {"we first, unread, RST", "-H echo " LONG, 0,
     {{PEER_SEND, PART}, SIGTERM_COMES, {PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_RST, 0}},
     "reset", "local", "nobody", OWED_ACCEPTED, 0, 0},
    /* What is discarded anyway may be cut anywhere. */
    {"we first, read, FIN in header", "-H echo " LONG, CLOSE_IN_HEADER,
     {TALK, SIGTERM_COMES, {PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "clean", "local", "ours", OWED_ALL, 0, 0},
    {"we first, unread, FIN in header", "-H echo " LONG, CLOSE_IN_HEADER,
     {{PEER_SEND, PART}, SIGTERM_COMES, {PEER_SEND, 0}, THEIRS_THEN_FIN},
     "clean", "local", "ours", OWED_ACCEPTED, 0, 0},
    {"we first, read, FIN in body", "-H echo " LONG, CLOSE_IN_BODY,
     {TALK, SIGTERM_COMES, {PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "clean", "local", "ours", OWED_ALL, 0, 0},
    {"we first, unread, FIN in body", "-H echo " LONG, CLOSE_IN_BODY,
     {{PEER_SEND, PART}, SIGTERM_COMES, {PEER_SEND, 0}, THEIRS_THEN_FIN},
     "clean", "local", "ours", OWED_ACCEPTED, 0, 0},
    {"we first, read, no FIN", "-H echo --idle-timeout off --linger-timeout SOON", 0,
     {TALK, SIGTERM_COMES, {PEER_AWAIT_FIN, 0}, {PEER_AWAIT_RST, 0}},
     "linger-timeout", "local", "nobody", OWED_ALL, 0, 0},
    /* Replies that it does not take keep our FIN back until the drain's deadline cuts. */
    {"we first, unread, no FIN", "-H echo --idle-timeout off --drain-timeout SOON", 0,
     {{PEER_SEND, ALL}, SIGTERM_COMES, {PEER_AWAIT_RST, 0}},
     "drain-timeout", "nobody", "nobody", OWED_SOME, 0, 1},
};

static const struct close_cell client_cells[] = {
    /* We first: stdin has ended, and by --fin-after the replies have come, or are not waited for.
     * All that comes between the FINs is printed. */
    {"we first, read, FIN", "--fin-after replies " LONG, 0, {ANSWER, THEIRS_THEN_FIN},
     "clean", "local", "ours", OWED_ALL, OWED_ALL, 0},
    {"we first, unread, FIN", "--fin-after eof " LONG, 0,
     {{PEER_TAKE, ALL - 4096}, {PEER_SEND, ALL}, THEIRS_THEN_FIN},
     "clean", "local", "ours", OWED_ALL, OWED_ALL, 0},
    {"we first, read, half-close", "--fin-after eof " LONG, 0,
     {{PEER_AWAIT_FIN, 0}, {PEER_SEND, ALL}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "clean", "local", "ours", OWED_ALL, OWED_ALL, 0},
    {"we first, unread, half-close", "--fin-after eof " LONG, 0,
     {{PEER_SEND, PART}, {PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "clean", "local", "ours", OWED_ALL, OWED_ALL, 0},
    {"we first, read, RST", "--fin-after replies " LONG, 0,
     {ANSWER, {PEER_AWAIT_FIN, 0}, {PEER_RST, 0}},
     "reset", "local", "nobody", OWED_ALL, OWED_ALL, 56},
    {"we first, unread, RST", "--fin-after eof " LONG, 0,
     {{PEER_AWAIT_FIN, 0}, {PEER_SEND, ALL}, {PEER_RST, 0}},
     "reset", "local", "nobody", OWED_ALL, OWED_SOME, 56},
    {"we first, read, FIN in header", "--fin-after replies " LONG, CLOSE_IN_HEADER,
     {ANSWER, {PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "truncated", "local", "ours", OWED_ALL, OWED_ALL, 56},
    {"we first, unread, FIN in header", "--fin-after eof " LONG, CLOSE_IN_HEADER,
     {{PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "truncated", "local", "ours", OWED_ALL, OWED_ALL, 56},
    {"we first, read, FIN in body", "--fin-after replies " LONG, CLOSE_IN_BODY,
     {ANSWER, {PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "truncated", "local", "ours", OWED_ALL, OWED_ALL, 56},
    {"we first, unread, FIN in body", "--fin-after eof " LONG, CLOSE_IN_BODY,
     {{PEER_AWAIT_FIN, 0}, {PEER_SEND, 0}, {PEER_FIN, 0}, {PEER_CLOSE, 0}},
     "truncated", "local", "ours", OWED_ALL, OWED_ALL, 56},
    {"we first, read, no FIN", "--fin-after replies --linger-timeout SOON", 0,
     {ANSWER, {PEER_AWAIT_FIN, 0}, {PEER_AWAIT_RST, 0}},
     "linger-timeout", "local", "nobody", OWED_ALL, OWED_ALL, 28},
    {"we first, unread, no FIN", "--fin-after eof --drain-timeout SOON", 0,
     {{PEER_SEND, ALL}, {PEER_AWAIT_RST, 0}},
     "drain-timeout", "nobody", "nobody", OWED_SOME, OWED_ALL, 28},

    /* The peer first: its replies are printed, what we had to send is sent; then our FIN. */
    {"peer first, read, FIN", "--fin-after never " LONG, 0, {ANSWER, FIN_THEN_THEIRS},
     "clean", "peer", "theirs", OWED_ALL, OWED_ALL, 0},
    {"peer first, unread, FIN", "--fin-after never " LONG, 0,
     {{PEER_TAKE, ALL}, {PEER_SEND, ALL}, FIN_THEN_THEIRS},
     "clean", "peer", "theirs", OWED_ALL, OWED_ALL, 0},
    {"peer first, read, half-close", "--fin-after never " LONG, 0,
     {{PEER_SEND, ALL}, {PEER_TAKE, ALL - PART}, FIN_THEN_THEIRS},
     "clean", "peer", "theirs", OWED_ALL, OWED_ALL, 0},
    {"peer first, unread, half-close", "--fin-after never " LONG, 0,
     {{PEER_SEND, ALL}, FIN_THEN_THEIRS},
     "clean", "peer", "theirs", OWED_ALL, OWED_ALL, 0},
    {"peer first, read, RST", "--fin-after never " LONG, 0, {ANSWER, {PEER_RST, 0}},
     "reset", "nobody", "nobody", OWED_ALL, OWED_SOME, 56},
    {"peer first, unread, RST", "--fin-after never " LONG, 0, {{PEER_SEND, ALL}, {PEER_RST, 0}},
     "reset", "nobody", "nobody", OWED_SOME, OWED_SOME, 56},
    {"peer first, read, FIN in header", "--fin-after never " LONG, CLOSE_IN_HEADER,
     {ANSWER, {PEER_SEND, 0}, FIN_THEN_THEIRS},
     "truncated", "peer", "theirs", OWED_ALL, OWED_ALL, 56},
    {"peer first, unread, FIN in header", "--fin-after never " LONG, CLOSE_IN_HEADER,
     {{PEER_SEND, 0}, FIN_THEN_THEIRS}, "truncated", "peer", "theirs", OWED_ALL, OWED_ALL, 56},
    {"peer first, read, FIN in body", "--fin-after never " LONG, CLOSE_IN_BODY,
     {ANSWER, {PEER_SEND, 0}, FIN_THEN_THEIRS},
     "truncated", "peer", "theirs", OWED_ALL, OWED_ALL, 56},
    {"peer first, unread, FIN in body", "--fin-after never " LONG, CLOSE_IN_BODY,
     {{PEER_SEND, 0}, FIN_THEN_THEIRS}, "truncated", "peer", "theirs", OWED_ALL, OWED_ALL, 56},
    {"peer first, read, no FIN", "--fin-after never " SHORT, 0,
     {ANSWER, {PEER_AWAIT_FIN, 0}, {PEER_AWAIT_RST, 0}},
     "idle-timeout", "local", "nobody", OWED_ALL, OWED_ALL, 28},
    {"peer first, unread, no FIN", "--fin-after never " SHORT, 0,
     {{PEER_SEND, ALL}, {PEER_AWAIT_RST, 0}},
     "slow-reader", "nobody", "nobody", OWED_SOME, OWED_ALL, 28},
};

/* clang-format on */

START_TEST(server)
{
    close_cell_server(&server_cells[_i], pair_scaled(CLOSES));
}
END_TEST

START_TEST(client)
{
    const struct close_cell *cell = &client_cells[_i];
    unsigned together = strstr(cell->options, "SOON") != NULL ? 100 : 40;
    /* A process each is slow under a wrapper. */
    close_cell_client(cell, pair_scaled(pair_wrapped() ? CLOSES / 5 : CLOSES), together);
}
END_TEST

static bool is_wanted(const struct close_cell *cell, const char *end, char **names)
{
    if (*names == NULL)
        return true;
    if (strcmp(*names++, end) != 0)
        return false;
    if (*names == NULL)
        return true;
    for (; *names != NULL; names++)
        if (strcmp(*names, cell->name) == 0)
            return true;
    return false;
}

/* `check_close` runs the whole table; `check_close server` or `client` one end, and names after
 * that only those rows. */
int main(int argc, char **argv)
{
    Suite *suite = suite_create("close");
    SRunner *runner = srunner_create(suite);
    TCase *servers = tcase_create("server"), *clients = tcase_create("client");
    int failed;

    (void)argc;
    tcase_add_checked_fixture(servers, pair_begin, pair_end);
    tcase_add_checked_fixture(clients, pair_begin, pair_end);
    tcase_set_timeout(servers, pair_wrapped() ? 600 : 120);
    tcase_set_timeout(clients, pair_wrapped() ? 600 : 120);
    for (int i = 0; i < COUNT(server_cells); i++)
        if (is_wanted(&server_cells[i], "server", argv + 1))
            tcase_add_loop_test(servers, server, i, i + 1);
    for (int i = 0; i < COUNT(client_cells); i++)
        if (is_wanted(&client_cells[i], "client", argv + 1))
            tcase_add_loop_test(clients, client, i, i + 1);
    suite_add_tcase(suite, servers);
    suite_add_tcase(suite, clients);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
