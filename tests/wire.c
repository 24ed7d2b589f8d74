#include "config.h"

#include "wire.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "pair.h"

#define WIRE_BODY_MAX 4096

static int try_address(int family, const void *address, socklen_t length)
{
    struct timeval deadline = {.tv_sec = pair_patience(PAIR_DEADLINE_MS) / 1000};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)), 0);
    if (connect(fd, address, length) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int wire_try(const char *host, int port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &four.sin_addr) == 1)
        return try_address(AF_INET, &four, sizeof(four));
    ck_assert_int_eq(inet_pton(AF_INET6, host, &six.sin6_addr), 1);
    return try_address(AF_INET6, &six, sizeof(six));
}

int wire_try_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    return try_address(AF_UNIX, &address, sizeof(address));
}

int wire_connect(int port)
{
    int fd = wire_try("127.0.0.1", port);
    ck_assert_msg(fd >= 0, "connect to port %d: %s", port, strerror(errno));
    return fd;
}

void wire_send(int fd, const char *text)
{
    size_t n = strlen(text);
    uint8_t frame[4 + WIRE_BODY_MAX] = {0, 0, (uint8_t)(n >> 8), (uint8_t)n};
    ck_assert_uint_le(n, WIRE_BODY_MAX);
    memcpy(frame + 4, text, n);
    ck_assert_int_eq(send(fd, frame, 4 + n, MSG_NOSIGNAL), (ssize_t)(4 + n));
}

/* Whether all came before the end. */
static bool read_whole(int fd, uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t got = recv(fd, bytes, n, 0);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return false;
        ck_assert_msg(got > 0, "nothing came: %s", strerror(errno));
        bytes += got;
        n -= (size_t)got;
    }
    return true;
}

const char *wire_read(int fd)
{
    static char body[WIRE_BODY_MAX + 1];
    uint8_t head[4];
    if (!read_whole(fd, head, sizeof(head)))
        return NULL;
    size_t n = (size_t)head[2] << 8 | head[3];
    ck_assert(head[0] == 0 && head[1] == 0);
    ck_assert_uint_le(n, WIRE_BODY_MAX);
    body[n] = '\0';
    return read_whole(fd, (uint8_t *)body, n) ? body : NULL;
}

void wire_talk(int fd, const char *text, const char *reply)
{
    wire_send(fd, text);
    ck_assert_pstr_eq(wire_read(fd), reply);
}

bool wire_silent(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    return poll(&readable, 1, 0) == 0;
}

enum wire_end wire_end(int fd)
{
    char bytes[4096];
    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n == 0)
            return WIRE_FIN;
        if (n < 0) {
            ck_assert_msg(errno == ECONNRESET, "the end did not come: %s", strerror(errno));
            return WIRE_RST;
        }
    }
}

void wire_finish(int fd)
{
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
    ck_assert_int_eq(wire_end(fd), WIRE_FIN);
    close(fd);
}

void wire_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(fd);
}
