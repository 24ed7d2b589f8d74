#include "config.h"

#include "dial_text.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "units.h"

#define ATTEMPTS_SHOWN 4

static enum fate fate_of(int error, bool expired)
{
    switch (error) {
    case ECONNREFUSED:
    case ENOENT:
    case ENOTSOCK:
    case EPROTOTYPE:
        return FATE_REFUSED;
    case ETIMEDOUT:
        return expired ? FATE_CONNECT_TIMEOUT : FATE_TIMED_OUT;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
        return FATE_NO_PORT;
    case EMFILE:
    case ENFILE:
        return FATE_NO_DESCRIPTOR;
    case ENOMEM:
    case ENOBUFS:
        return FATE_MEMORY;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return FATE_RESET;
    default: /* an errno, not an enum: ENETUNREACH, EHOSTUNREACH, EACCES, EPERM, EAFNOSUPPORT ... */
        return FATE_UNREACHABLE;
    }
}

enum fate dial_fate(const struct life *life, bool expired)
{
    enum fate fate = FATE_UNREACHABLE;
    for (unsigned i = 0; i < life->attempt_count; i++) {
        enum fate this = fate_of(life->attempts[i].error, expired);
        if (this != FATE_UNREACHABLE)
            fate = this;
    }
    return fate;
}

/* The attempt that the fate comes from, for the mend. */
static const struct life_attempt *attempt_of(const struct life *life, enum fate fate)
{
    const struct life_attempt *found = &life->attempts[life->attempt_count - 1];
    for (unsigned i = 0; i < life->attempt_count; i++) {
        enum fate this = fate_of(life->attempts[i].error, true);
        if (this == fate || (this == FATE_CONNECT_TIMEOUT && fate == FATE_TIMED_OUT))
            found = &life->attempts[i];
    }
    return found;
}

/* --- evidence --- */

/* The system refuses either alike. */
static bool is_socket(const char *path)
{
    struct stat status;
    return path[0] == '@' || stat(path, &status) < 0 || S_ISSOCK(status.st_mode);
}

static const char *error_text(int error, const char *path)
{
    if (path != NULL && error == ENOENT)
        return "no such socket";
    if (path != NULL && error == ECONNREFUSED)
        return is_socket(path) ? "nobody listens on it" : "it is no socket";
    if (path != NULL && error == ETIMEDOUT)
        return "its accept queue stayed full";
    if (error == ETIMEDOUT)
        return "no answer";
    return strerror(error);
}

static void attempts_text(const struct life *life, struct error *e)
{
    char text[sizeof e->what] = "", address[LIFE_ADDRESS_TEXT], took[UNITS_TEXT];
    const char *path = life->remote.sa.sa_family == AF_UNIX ? life->remote.un.path : NULL;
    size_t used = 0;
    for (unsigned i = 0; i < life->attempt_count && i < ATTEMPTS_SHOWN; i++) {
        const struct life_attempt *attempt = &life->attempts[i];
        used +=
            snprintf(text + used, sizeof text - used, "%s%s: %s after %s", i > 0 ? "; " : "",
                     life_address_text(address, &attempt->address),
                     error_text(attempt->error, path), units_text_duration(took, attempt->took_us));
        if (used >= sizeof text)
            break;
    }
    unsigned more = life->attempt_count > ATTEMPTS_SHOWN ? life->attempt_count - ATTEMPTS_SHOWN : 0;
    if (more > 0)
        error_what(e, "%s; and %u more", text, more);
    else
        error_what(e, "%s", text);
}

/* --- no local port: what the system has and what waits --- */

static bool read_port_range(unsigned long *low, unsigned long *high)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file == NULL)
        return false;
    bool found = fscanf(file, "%lu %lu", low, high) == 2;
    fclose(file);
    return found;
}

static bool read_time_wait(unsigned long *waiting)
{
    char line[256];
    bool found = false;
    FILE *file = fopen("/proc/net/sockstat", "re");
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "TCP: inuse %*u orphan %*u tw %lu", waiting) == 1;
    fclose(file);
    return found;
}

static void no_port_text(const struct life_attempt *attempt, struct error *e)
{
    unsigned long low, high, waiting;
    char address[LIFE_ADDRESS_TEXT], ports[UNITS_TEXT], count[UNITS_TEXT];
    life_address_text(address, &attempt->address);
    if (!read_port_range(&low, &high) || !read_time_wait(&waiting)) {
        error_what(e, "no free local port towards %s: %s", address, strerror(attempt->error));
        return;
    }
    error_what(e, "no free local port towards %s: all %s (%lu to %lu) are taken; %s in TIME_WAIT",
               address, units_text_count(ports, high - low + 1), low, high,
               units_text_count(count, waiting));
}

/* --- mends --- */

static const char *host_of(const struct endpoint *endpoint)
{
    return endpoint->host[0] != '\0' ? endpoint->host : "localhost";
}

static void refused_mend(const struct endpoint *endpoint, int error, struct error *e)
{
    if (endpoint->kind == ENDPOINT_TCP)
        error_mend(e, "is the server running there? on %s: ss -ltn 'sport = :%u'",
                   host_of(endpoint), endpoint->port);
    else if (error == ENOENT)
        error_mend(e, "the server makes it when it starts: is it running, and is the path right?");
    else if (!is_socket(endpoint->path))
        error_mend(e, "the path of the server's socket: ss -lx lists those there are");
    else
        error_mend(e, "is the server running? ss -lx src %s", endpoint->path);
}

/* Of "[::1]:9000" or "127.0.0.1:9000" what stands before the port, without brackets; in place. */
static const char *host_text(char *address)
{
    char *host = address[0] == '[' ? address + 1 : address;
    *strrchr(host, ':') = '\0';
    host[strcspn(host, "]")] = '\0';
    return host;
}

static bool is_link_local(const union life_address *address)
{
    return address->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr);
}

static void unreachable_mend(const struct life_attempt *attempt, const struct endpoint *endpoint,
                             struct error *e)
{
    char address[LIFE_ADDRESS_TEXT];
    life_address_text(address, &attempt->address);
    if (endpoint->kind == ENDPOINT_UNIX)
        error_mend(e, "the rights on it and on the folders above: namei -l %s", endpoint->path);
    else if (attempt->error == EACCES || attempt->error == EPERM)
        error_mend(e, "a firewall rule on this machine (nft list ruleset), or a broadcast address");
    else if (attempt->error == EAFNOSUPPORT)
        error_mend(e, "this machine has no %s",
                   attempt->address.sa.sa_family == AF_INET6 ? "IPv6: try -4" : "IPv4: try -6");
    else if (attempt->error == EINVAL && is_link_local(&attempt->address))
        error_mend(e, "a link-local address needs its interface: %s%%eth0; ip -brief link",
                   endpoint->host);
    else
        error_mend(e, "the way to it: ip route get %s", host_text(address));
}

static void timeout_mend(const struct endpoint *endpoint, struct error *e)
{
    if (endpoint->kind == ENDPOINT_UNIX)
        error_mend(e, "the server does not accept: ss -lx src %s (Recv-Q at Send-Q)",
                   endpoint->path);
    else
        error_mend(e,
                   "a firewall drops it, the host is down, or its accept queue is full: "
                   "ping %s; on it, ss -ltn 'sport = :%u' (Recv-Q > Send-Q)",
                   host_of(endpoint), endpoint->port);
}

void dial_text(const struct life *life, const struct endpoint *endpoint, enum fate fate,
               struct error *e)
{
    const struct life_attempt *attempt = attempt_of(life, fate);
    attempts_text(life, e);
    if (fate == FATE_REFUSED)
        refused_mend(endpoint, attempt->error, e);
    else if (fate == FATE_UNREACHABLE)
        unreachable_mend(attempt, endpoint, e);
    else if (fate == FATE_CONNECT_TIMEOUT || fate == FATE_TIMED_OUT)
        timeout_mend(endpoint, e);
    else if (fate == FATE_NO_PORT)
        no_port_text(attempt, e);
}

/* --- names --- */

/* The resolver does not say that it could not open its files: it finds no such name. */
static bool has_descriptors(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno != EMFILE && errno != ENFILE;
    close(fd);
    return true;
}

enum fate dial_resolve_fate(int code)
{
    if (code == EAI_MEMORY)
        return FATE_MEMORY;
    return has_descriptors() ? FATE_RESOLVE_FAILED : FATE_NO_DESCRIPTOR;
}

void dial_resolve_text(const struct client_config *config, int code, int error, struct error *e)
{
    const char *host = host_of(&config->endpoint);
    enum options_family family = config->options->family;
    const char *said = code == EAI_SYSTEM ? strerror(error) : gai_strerror(code);
    if (dial_resolve_fate(code) == FATE_NO_DESCRIPTOR) {
        error_what(e, "no descriptor left to resolve %s", host);
    } else if (family != FAMILY_ANY) {
        error_what(e, "%s has no IPv%c address: %s", host, family == FAMILY_4 ? '4' : '6', said);
        error_mend(e, "without -%c; getent ahosts %s", family == FAMILY_4 ? '4' : '6', host);
    } else if (code == EAI_AGAIN) {
        error_what(e, "%s: %s", host, said);
        error_mend(e, "no name server answers: /etc/resolv.conf; getent ahosts %s", host);
    } else {
        error_what(e, "%s: %s", host, said);
        error_mend(e, "the spelling; getent ahosts %s", host);
    }
}
