#include "config.h"

#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void raw_die(int error, const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (error != 0)
        fprintf(stderr, ": %s", strerror(error));
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

uint64_t raw_number(const char *option, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);

    if (end != text && (*end == 'k' || *end == 'm')) {
        value *= *end == 'k' ? 1000 : 1000000;
        end++;
    }
    if (end == text || *end != '\0' || *text == '-' || errno != 0)
        raw_die(0, "%s takes a whole number, 64 or 10k, not '%s'", option, text);
    return value;
}

uint64_t raw_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t raw_cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void raw_congestion(int fd, const char *name)
{
    if (name != NULL &&
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0)
        raw_die(errno, "congestion control %s cannot be set", name);
}

static void write_port(const char *path, int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    char made[4096];

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        raw_die(errno, "getsockname");
    if (snprintf(made, sizeof made, "%s.tmp", path) >= (int)sizeof made)
        raw_die(0, "the port file's name is too long");
    FILE *file = fopen(made, "w");
    if (file == NULL || fprintf(file, "%u\n", ntohs(address.sin_port)) < 0 || fclose(file) != 0 ||
        rename(made, path) < 0)
        raw_die(errno, "the port file %s cannot be written", path);
}

int raw_listen(const struct raw_listen *how)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(how->port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (inet_pton(AF_INET, how->address, &address.sin_addr) != 1)
        raw_die(0, "'%s' is not an IPv4 address", how->address);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        (how->reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0))
        raw_die(errno, "a socket to listen with cannot be made");
    raw_congestion(fd, how->congestion);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, how->backlog) < 0)
        raw_die(errno, "cannot listen on %s port %u", how->address, how->port);
    if (how->port_file != NULL)
        write_port(how->port_file, fd);
    return fd;
}

size_t raw_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        raw_die(errno, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        raw_die(errno, "setrlimit");
    return limit.rlim_cur;
}

int raw_await(int epoll, struct epoll_event *events, uint64_t spin_ns, int64_t timeout_ns)
{
    struct timespec timeout;
    int n;

    if (spin_ns > 0) {
        uint64_t until = raw_ns() + spin_ns;
        if (timeout_ns >= 0 && (uint64_t)timeout_ns < spin_ns)
            until -= spin_ns - (uint64_t)timeout_ns;
        do
            n = epoll_wait(epoll, events, RAW_EVENTS, 0);
        while (n == 0 && raw_ns() < until);
        if (n != 0)
            return n < 0 ? 0 : n;
    }
    if (timeout_ns < 0) {
        n = epoll_wait(epoll, events, RAW_EVENTS, -1);
    } else {
        timeout.tv_sec = timeout_ns / 1000000000;
        timeout.tv_nsec = timeout_ns % 1000000000;
        n = epoll_pwait2(epoll, events, RAW_EVENTS, &timeout, NULL);
    }
    if (n < 0 && errno != EINTR)
        raw_die(errno, "epoll_wait");
    return n < 0 ? 0 : n;
}
