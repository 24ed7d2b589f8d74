#include "config.h"

#include "raw_peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pair.h"

#define PATIENCE_MS 20000
#define BUFFER_BYTES 8192

static int raw_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {pair_patience(PATIENCE_MS) / 1000, 0};
    ck_assert_msg(fd >= 0, "socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){BUFFER_BYTES}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){BUFFER_BYTES}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

int raw_listen(char port[8])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int fd = raw_socket(AF_INET);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, n), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    snprintf(port, 8, "%d", ntohs(address.sin_port));
    return fd;
}

int raw_listen_unix(const char *path, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = raw_socket(AF_UNIX);
    ck_assert_uint_lt(strlen(path), sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    ck_assert_msg(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind %s: %s", path,
                  strerror(errno));
    ck_assert_int_eq(listen(fd, backlog), 0);
    return fd;
}

int raw_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct timeval patience = {pair_patience(PATIENCE_MS) / 1000, 0};
    ck_assert_msg(fd >= 0, "accept: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

void raw_send(int fd, const void *bytes, size_t n)
{
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
    ck_assert_msg(sent == (ssize_t)n, "%zd of %zu bytes were taken: %s", sent, n, strerror(errno));
}

void raw_expect(int fd, const void *bytes, size_t n)
{
    char *got = malloc(n + 1);
    size_t have = 0;
    ck_assert_ptr_nonnull(got);
    while (have < n) {
        ssize_t some = recv(fd, got + have, n - have, 0);
        ck_assert_msg(some > 0, "%zu of %zu bytes came, then %s", have, n,
                      some == 0 ? "FIN" : strerror(errno));
        have += (size_t)some;
    }
    ck_assert_mem_eq(got, bytes, n);
    free(got);
}

void raw_send_frame(int fd, const char *body)
{
    char frame[1024];
    uint32_t n = (uint32_t)strlen(body), length = htonl(n);
    ck_assert_uint_lt(n, sizeof frame - 4);
    memcpy(frame, &length, 4);
    memcpy(frame + 4, body, n);
    raw_send(fd, frame, n + 4);
}

void raw_expect_frame(int fd, const char *body)
{
    char frame[1024];
    uint32_t n = (uint32_t)strlen(body), length = htonl(n);
    ck_assert_uint_lt(n, sizeof frame - 4);
    memcpy(frame, &length, 4);
    memcpy(frame + 4, body, n);
    raw_expect(fd, frame, n + 4);
}

void raw_expect_fin(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    ck_assert_msg(n == 0, "not FIN but %s", n > 0 ? "a byte" : strerror(errno));
}

void raw_expect_reset(int fd)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    ck_assert_msg(n < 0 && errno == ECONNRESET, "not RST but %s", n == 0 ? "FIN" : strerror(errno));
}

void raw_read_to_fin(int fd)
{
    char bytes[16384];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    ck_assert_msg(n == 0, "not FIN but %s", strerror(errno));
}

void raw_expect_silence(int fd, int ms)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN | POLLRDHUP};
    ck_assert_msg(poll(&polled, 1, ms) == 0, "something came: events 0x%x", polled.revents);
}

void raw_fin(int fd)
{
    ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
}

void raw_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}
