/* Transports: connecting, also again from inside the callback that says how it went. */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "transport.h"

#define LONG_US 30000000

static struct loop *loop;
static struct sockaddr_in address;
static struct transport transport;
static struct deadline deadline;
static int listener;
static int first_fd;
static unsigned connects;
static int last_error;
static bool fast;

static void begin(void)
{
    struct error e;
    socklen_t length = sizeof address;

    loop = loop_new(&e);
    ck_assert_msg(loop != NULL, "%s", e.what);
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
}

static void end(void)
{
    transport_close(&transport, false);
    deadline_unset(&deadline);
    loop_free(loop);
    close(listener);
}

static void connect_again(void (*connected)(struct transport *t, int error))
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(transport_connect(&transport, loop, fd, fast, (struct sockaddr *)&address,
                                       sizeof address, connected),
                     0);
}

static void too_long(struct deadline *unused)
{
    (void)unused;
    ck_abort_msg("no word of the second connect");
}

static void second(struct transport *t, int error)
{
    ck_assert_ptr_eq(t, &transport);
    connects++;
    last_error = error;
    loop_stop(loop);
}

static void first(struct transport *t, int error)
{
    connects++;
    last_error = error;
    first_fd = t->fd;
    transport_close(t, false);
    connect_again(second);
    ck_assert_int_eq(transport.fd, first_fd); /* or this shows nothing */
}

static void run(void)
{
    ck_assert_int_eq(deadline_set(loop, &deadline, LONG_US, too_long), 0);
    ck_assert_int_eq(loop_run(loop), 0);
}

START_TEST(a_connected_one_closed_in_its_callback_leaves_its_descriptor_free)
{
    ck_assert_int_eq(listen(listener, 4), 0);
    connect_again(first);
    run();
    ck_assert_uint_eq(connects, 2);
    ck_assert_int_eq(last_error, 0);
}
END_TEST

START_TEST(a_refused_one_closed_in_its_callback_leaves_its_descriptor_free)
{
    connect_again(first);
    run();
    ck_assert_uint_eq(connects, 2);
    ck_assert_int_eq(last_error, ECONNREFUSED);
}
END_TEST

static void begin_fast(void)
{
    begin();
    fast = true;
}

static void add_all(Suite *suite, const char *name, void (*begins)(void))
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, begins, end);
    tcase_add_test(tcase, a_connected_one_closed_in_its_callback_leaves_its_descriptor_free);
    tcase_add_test(tcase, a_refused_one_closed_in_its_callback_leaves_its_descriptor_free);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("transport");
    add_all(suite, "plain", begin);
    add_all(suite, "fast", begin_fast);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
