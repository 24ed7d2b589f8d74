#include "config.h"

#include "listener.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener_unix.h"
#include "sockopt.h"

#define PORT_TRIES 50 /* for one that is free on every address */

/* What the system said to one address, and what helps. */
static void tell(struct error *e, const struct sockaddr *address, uint16_t port, int error)
{
    union life_address where;
    char text[LIFE_ADDRESS_TEXT];

    memcpy(&where, address, address->sa_family == AF_INET6 ? sizeof where.in6 : sizeof where.in);
    if (address->sa_family == AF_INET6)
        where.in6.sin6_port = htons(port);
    else
        where.in.sin_port = htons(port);
    error_what(e, "cannot listen on %s: %s", life_address_text(text, &where), strerror(error));
    if (error == EADDRINUSE)
        error_mend(e, "ss -ltnp 'sport = :%u' shows who holds it; port 0 takes a free one", port);
    else if (error == EACCES || error == EPERM)
        error_mend(e, "ports under 1024 are for root or CAP_NET_BIND_SERVICE; take a higher one");
    else if (error == EADDRNOTAVAIL)
        error_mend(e,
                   "no interface here has this address; ip -brief address lists those there are");
    else if (error == EAFNOSUPPORT)
        error_mend(e, "this system has no %s",
                   address->sa_family == AF_INET6 ? "IPv6; say -4" : "IPv4; say -6");
    else if (error == EMFILE || error == ENFILE)
        error_mend(e, "raise the limit on descriptors: ulimit -n");
}

static int set_flag(int fd, int level, int name)
{
    static const int on = 1;

    return setsockopt(fd, level, name, &on, sizeof on);
}

/* Accepted sockets inherit TCP_NODELAY; a --set after it may take it back. */
static int prepare(int fd, int family, const struct options *o, struct error *e)
{
    if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR) < 0 || set_flag(fd, IPPROTO_TCP, TCP_NODELAY) < 0 ||
        (family == AF_INET6 && set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0) ||
        (o->reuseport && set_flag(fd, SOL_SOCKET, SO_REUSEPORT) < 0)) {
        error_what(e, "cannot prepare a socket: %s", strerror(errno));
        return ERR_SYSTEM;
    }
    return sockopt_apply(fd, SOCKOPT_BEFORE_LISTEN, o->set, o->set_count, e);
}

static void put_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

/* A listening socket, or ERR_SYSTEM with `e` and errno. */
static int listen_on(const struct addrinfo *a, uint16_t port, const struct options *o,
                     struct error *e)
{
    struct sockaddr_storage address;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0) {
        tell(e, a->ai_addr, port, errno);
        return ERR_SYSTEM;
    }
    memcpy(&address, a->ai_addr, a->ai_addrlen);
    put_port(&address, port);
    errno = 0;
    if (prepare(fd, a->ai_family, o, e) < 0) {
        error = errno;
    } else if (bind(fd, (struct sockaddr *)&address, a->ai_addrlen) < 0 ||
               listen(fd, (int)o->backlog) < 0) {
        error = errno;
        tell(e, a->ai_addr, port, error);
    } else {
        return fd;
    }
    close(fd);
    errno = error;
    return ERR_SYSTEM;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

/* A machine without IPv6 serves by IPv4 alone. */
static bool may_lack(const struct addrinfo *a, int error)
{
    return a->ai_family == AF_INET6 && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

static bool came_before(const struct addrinfo *list, const struct addrinfo *a)
{
    for (const struct addrinfo *b = list; b != a; b = b->ai_next)
        if (b->ai_addrlen == a->ai_addrlen && memcmp(b->ai_addr, a->ai_addr, a->ai_addrlen) == 0)
            return true;
    return false;
}

static void close_all(struct listener *listener)
{
    while (listener->count > 0)
        close(listener->fds[--listener->count]);
}

/* All addresses on one port: the asked one, or the one that the first of them gets. errno tells
 * why not. */
static int listen_on_all(struct listener *listener, const struct addrinfo *list, uint16_t port,
                         const struct options *o, struct error *e)
{
    for (const struct addrinfo *a = list; a != NULL && listener->count < LISTENER_SOCKETS_MAX;
         a = a->ai_next) {
        int fd;
        if (came_before(list, a))
            continue;
        fd = listen_on(a, port, o, e);
        if (fd < 0 && may_lack(a, errno))
            continue;
        if (fd < 0) {
            int error = errno;
            close_all(listener);
            errno = error;
            return ERR_SYSTEM;
        }
        listener->fds[listener->count++] = fd;
        if (port == 0)
            port = port_of(fd);
    }
    listener->port = port;
    return listener->count > 0 ? 0 : ERR_SYSTEM;
}

static int open_tcp(struct listener *listener, const struct server_config *config, struct error *e)
{
    const struct endpoint *endpoint = &config->endpoint;
    struct addrinfo *list;
    int said = endpoint_resolve(endpoint, config->options->family, true, &list);
    int result = ERR_SYSTEM;

    if (said != 0) {
        error_what(e, "%s has no address to listen on: %s", endpoint->text,
                   said == EAI_SYSTEM ? strerror(errno) : gai_strerror(said));
        if (config->options->family != FAMILY_ANY)
            error_mend(e, "leave -%c out, or write an address of that family",
                       config->options->family == FAMILY_4 ? '4' : '6');
        else
            error_mend(e, "write an address of this machine, or :PORT for all of them");
        return ERR_SYSTEM;
    }
    for (int tries = 0; tries < PORT_TRIES && result < 0; tries++) {
        result = listen_on_all(listener, list, endpoint->port, config->options, e);
        if (result < 0 && (endpoint->port != 0 || errno != EADDRINUSE))
            break;
    }
    freeaddrinfo(list);
    return result;
}

static bool is_every_address(const union life_address *address)
{
    if (address->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
    return address->sa.sa_family == AF_INET && address->in.sin_addr.s_addr == htonl(INADDR_ANY);
}

/* "A", "A and B", "A, B and C" */
static void fill_text(struct listener *listener)
{
    size_t used = 0;

    for (unsigned i = 0; i < listener->count && used < sizeof listener->text; i++) {
        union life_address address = {.sa.sa_family = AF_UNSPEC};
        socklen_t length = sizeof address;
        char text[LIFE_ADDRESS_TEXT];
        const char *before = i == 0 ? "" : i + 1 == listener->count ? " and " : ", ";
        if (listener->path != NULL)
            address.un = (struct life_unix){.family = AF_UNIX, .path = listener->path};
        else
            getsockname(listener->fds[i], &address.sa, &length);
        used += (size_t)snprintf(listener->text + used, sizeof listener->text - used, "%s%s",
                                 before, life_address_text(text, &address));
        if (!is_every_address(&address))
            listener->addresses[i] = address;
    }
}

/* The system cuts a long backlog silently (net.core.somaxconn). */
static unsigned backlog_of(int fd, unsigned asked)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
        info.tcpi_state != TCP_LISTEN || info.tcpi_sacked == 0)
        return asked;
    return info.tcpi_sacked;
}

int listener_open(struct listener *listener, const struct server_config *config, struct error *e)
{
    int result;

    memset(listener, 0, sizeof *listener);
    result = config->endpoint.kind == ENDPOINT_UNIX ? listener_unix_open(listener, config, e)
                                                    : open_tcp(listener, config, e);
    if (result < 0)
        return result;
    listener->backlog = backlog_of(listener->fds[0], (unsigned)config->options->backlog);
    fill_text(listener);
    return 0;
}

void listener_hide(struct listener *listener)
{
    if (listener->count > 0 && listener->path != NULL)
        listener_unix_remove(listener);
    listener->path = NULL;
}

void listener_close(struct listener *listener)
{
    listener_hide(listener);
    close_all(listener);
}

static int write_line(const char *file, unsigned port)
{
    FILE *out = fopen(file, "we");
    bool failed;

    if (out == NULL)
        return ERR_SYSTEM;
    failed = fprintf(out, "%u\n", port) < 0;
    return fclose(out) != 0 || failed ? ERR_SYSTEM : 0;
}

int listener_write_port(const struct listener *listener, const char *file, struct error *e)
{
    char *beside;

    if (asprintf(&beside, "%s.%ld", file, (long)getpid()) < 0) {
        error_what(e, "--port-file %.200s: no memory", file);
        return ERR_MEMORY;
    }
    if (write_line(beside, listener->port) == 0 && rename(beside, file) == 0) {
        free(beside);
        return 0;
    }
    error_what(e, "--port-file %.200s cannot be written: %s", file, strerror(errno));
    error_mend(e, "name a file in a folder that is there and may be written to");
    unlink(beside);
    free(beside);
    return ERR_SYSTEM;
}

unsigned listener_waiting(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 || info.tcpi_state != TCP_LISTEN)
        return 0;
    return info.tcpi_unacked;
}

unsigned listener_overflows(int fd)
{
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t length = sizeof memory;

    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) < 0)
        return 0;
    return memory[SK_MEMINFO_DROPS];
}
