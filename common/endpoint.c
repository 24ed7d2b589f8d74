#include "config.h"

#include "endpoint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX 65535
#define UNIX_PREFIX "unix:"

static const char *forms(bool server)
{
    return server ? "write PORT, HOST:PORT, :PORT or unix:PATH" : "write HOST PORT or unix:PATH";
}

static int refuse(int rc, struct error *e, bool server)
{
    error_mend(e, "%s", forms(server));
    return rc;
}

/* Ports */

static bool all_digits(const char *text)
{
    return *text && text[strspn(text, "0123456789")] == '\0';
}

/* The port of a TCP service by its name (nsswitch's services), or -1. */
static int service_port(const char *name)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    if (!*name || getaddrinfo(NULL, name, &hints, &list) != 0)
        return -1;
    struct sockaddr_in address;
    memcpy(&address, list->ai_addr, sizeof address);
    freeaddrinfo(list);
    return ntohs(address.sin_port);
}

static int parse_port_number(const char *text, bool server, uint16_t *port, struct error *e)
{
    unsigned number = 0;
    for (const char *at = text; *at; at++) {
        number = number * 10 + (unsigned)(*at - '0');
        if (number > PORT_MAX) {
            error_what(e, "port %s is over %d", text, PORT_MAX);
            error_mend(e, "write a port from %d to %d", server ? 0 : 1, PORT_MAX);
            return ERR_RANGE;
        }
    }
    if (number == 0 && !server) {
        error_what(e, "port 0 cannot be connected to");
        error_mend(e, "write the port that the server listens on, 1 to %d", PORT_MAX);
        return ERR_RANGE;
    }
    *port = (uint16_t)number;
    return 0;
}

static int parse_port(const char *text, bool server, uint16_t *port, struct error *e)
{
    if (!*text) {
        error_what(e, "the port is empty");
        return refuse(ERR_SYNTAX, e, server);
    }
    if (all_digits(text))
        return parse_port_number(text, server, port, e);
    int number = isalpha((unsigned char)*text) ? service_port(text) : -1;
    if (number < 0) {
        error_what(e, "port '%s' is neither a number nor a service this system knows", text);
        error_mend(e, "write a port from %d to %d", server ? 0 : 1, PORT_MAX);
        return ERR_SYNTAX;
    }
    *port = (uint16_t)number;
    return 0;
}

/* Hosts */

/* Whether the text is an IPv6 address, with or without a scope (fe80::1%eth0). */
static bool is_ipv6(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr in6;
    size_t length = strcspn(text, "%");
    if (length >= sizeof address || (text[length] && !text[length + 1]))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    return inet_pton(AF_INET6, address, &in6) == 1;
}

static bool printable(const char *text)
{
    for (; *text; text++) {
        if (isspace((unsigned char)*text) || iscntrl((unsigned char)*text))
            return false;
    }
    return true;
}

/* Why `host`, without brackets, cannot be one; NULL if it can. */
static const char *host_fault(const char *host)
{
    if (!*host)
        return "the host is empty";
    if (!printable(host))
        return "the host holds blank space or control characters";
    if (strlen(host) >= sizeof((struct endpoint *)0)->host)
        return "the host is longer than 255 bytes";
    return NULL;
}

/* Fills the TCP form; `host` is checked here, `port_text` read here. */
static int put_host_port(struct endpoint *endpoint, bool server, const char *host,
                         const char *port_text, struct error *e)
{
    uint16_t port;
    const char *fault = host_fault(host);
    if (fault) {
        error_what(e, "%s", fault);
        return refuse(ERR_SYNTAX, e, server);
    }
    if (strcmp(host, "*") == 0) { /* getaddrinfo would take it for this machine alone */
        error_what(e, "'*' is no host");
        error_mend(e, server ? "for every interface write :%.20s" : "for this machine write :%.20s",
                   port_text);
        return ERR_SYNTAX;
    }
    int rc = parse_port(port_text, server, &port, e);
    if (rc < 0)
        return rc;
    endpoint->kind = ENDPOINT_TCP;
    endpoint->port = port;
    snprintf(endpoint->host, sizeof endpoint->host, "%s", host);
    bool bracket = strchr(host, ':') != NULL;
    snprintf(endpoint->text, sizeof endpoint->text, "%s%s%s:%u", bracket ? "[" : "", endpoint->host,
             bracket ? "]" : "", port);
    return 0;
}

/* "[v6]" or "[v6]:PORT": takes the brackets off into `host` and points *rest behind them. */
static int take_brackets(const char *text, char host[INET6_ADDRSTRLEN + 32], const char **rest,
                         struct error *e)
{
    const char *end = strchr(text, ']');
    if (!end) {
        error_what(e, "'%s' opens a bracket and does not close it", text);
        error_mend(e, "write [ADDRESS]:PORT, as in [::1]:9000");
        return ERR_SYNTAX;
    }
    size_t length = (size_t)(end - text - 1);
    bool fits = length < INET6_ADDRSTRLEN + 32;
    if (fits)
        snprintf(host, INET6_ADDRSTRLEN + 32, "%.*s", (int)length, text + 1);
    if (!fits || !is_ipv6(host)) {
        error_what(e, "in '%s' the brackets hold no IPv6 address", text);
        error_mend(e, "write [ADDRESS]:PORT, as in [::1]:9000; a name stands without brackets");
        return ERR_SYNTAX;
    }
    *rest = end + 1;
    return 0;
}

static int parse_brackets(struct endpoint *endpoint, bool server, const char *text, struct error *e)
{
    char host[INET6_ADDRSTRLEN + 32];
    const char *rest;
    int rc = take_brackets(text, host, &rest, e);
    if (rc < 0)
        return rc;
    if (*rest == ':')
        return put_host_port(endpoint, server, host, rest + 1, e);
    error_what(e, "'%s' has no port", text);
    error_mend(e, "write [%s]:PORT", host);
    return ERR_SYNTAX;
}

/* The two arguments of "HOST PORT". */
static int parse_pair(struct endpoint *endpoint, bool server, const char *host, const char *port,
                      struct error *e)
{
    char bare[INET6_ADDRSTRLEN + 32];
    const char *rest;
    if (*host == '[') {
        int rc = take_brackets(host, bare, &rest, e);
        if (rc < 0)
            return rc;
        host = *rest ? host : bare;
    }
    if (strncmp(host, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        error_what(e, "too many arguments: '%s' after '%s'", port, host);
        error_mend(e, "a unix socket has no port: write its path alone");
        return ERR_SYNTAX;
    }
    if (strchr(host, ':') && !is_ipv6(host)) {
        error_what(e, "'%s' holds a colon and a port follows it: '%s'", host, port);
        return refuse(ERR_SYNTAX, e, server);
    }
    if (all_digits(host) && isalpha((unsigned char)*port) && service_port(port) < 0) {
        error_what(e, "'%s' is no port", port);
        error_mend(e, "the other way round: %s %s", port, host);
        return ERR_SYNTAX;
    }
    return put_host_port(endpoint, server, host, port, e);
}

/* Single arguments */

static int parse_unix(struct endpoint *endpoint, const char *path, struct error *e)
{
    if (!*path || strcmp(path, "@") == 0) {
        error_what(e, *path ? "unix:@ has no name" : "unix: has no path");
        error_mend(e, "write unix:PATH, as in unix:/run/echo.sock");
        return ERR_SYNTAX;
    }
    if (strlen(path) >= sizeof endpoint->path) {
        error_what(e, "the path of the unix socket is %zu bytes long: '%s'", strlen(path), path);
        error_mend(e, "the system takes at most %zu: change directory and write a relative path",
                   sizeof endpoint->path - 1);
        return ERR_RANGE;
    }
    endpoint->kind = ENDPOINT_UNIX;
    snprintf(endpoint->path, sizeof endpoint->path, "%s", path);
    snprintf(endpoint->text, sizeof endpoint->text, UNIX_PREFIX "%s", path);
    return 0;
}

socklen_t endpoint_unix_address(const char *path, struct sockaddr_un *address)
{
    size_t length = strnlen(path, sizeof address->sun_path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, length);
    if (*path != '@')
        return sizeof *address;
    address->sun_path[0] = '\0'; /* then its length counts */
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* ":PORT": every interface for a server, this machine for a client. */
static int parse_colon_port(struct endpoint *endpoint, bool server, const char *port,
                            struct error *e)
{
    int rc = put_host_port(endpoint, server, "localhost", port, e);
    if (rc < 0 || !server)
        return rc;
    endpoint->any = true;
    endpoint->host[0] = '\0';
    snprintf(endpoint->text, sizeof endpoint->text, ":%u", endpoint->port);
    return 0;
}

/* A word without a colon: the server's port; the client is told what is missing. */
static int parse_word(struct endpoint *endpoint, bool server, const char *word, struct error *e)
{
    if (!server) {
        error_what(e, "'%s' is %s", word,
                   all_digits(word) ? "a port without a host" : "a host without a port");
        error_mend(e,
                   all_digits(word) ? "write HOST PORT, as in localhost %.100s"
                                    : "write HOST PORT, as in %.100s 9000",
                   word);
        return ERR_SYNTAX;
    }
    int rc = put_host_port(endpoint, server, "localhost", word, e);
    if (rc == 0)
        endpoint->host[0] = '\0';
    else if (rc == ERR_SYNTAX)
        refuse(rc, e, server);
    return rc;
}

/* More than one colon and no brackets: where the port begins is anyone's guess. */
static int refuse_colons(const char *text, bool server, struct error *e)
{
    char host[INET6_ADDRSTRLEN + 32];
    const char *last = strrchr(text, ':');
    int length = (int)(last - text);
    snprintf(host, sizeof host, "%.*s", length, text);
    error_what(e, "'%s' can be read in two ways", text);
    if (is_ipv6(host) && all_digits(last + 1))
        error_mend(e, "write [%s]:%s", host, last + 1);
    else if (is_ipv6(text))
        error_mend(e, "write [%s]:PORT", text);
    else
        refuse(ERR_SYNTAX, e, server);
    return ERR_SYNTAX;
}

static int parse_one(struct endpoint *endpoint, bool server, const char *text, struct error *e)
{
    if (!*text) {
        error_what(e, "the address is empty");
        return refuse(ERR_SYNTAX, e, server);
    }
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return parse_unix(endpoint, text + strlen(UNIX_PREFIX), e);
    if (*text == '[')
        return parse_brackets(endpoint, server, text, e);
    const char *colon = strchr(text, ':');
    if (!colon)
        return parse_word(endpoint, server, text, e);
    if (strchr(colon + 1, ':'))
        return refuse_colons(text, server, e);
    if (colon == text)
        return parse_colon_port(endpoint, server, colon + 1, e);
    char host[sizeof endpoint->host + 1]; /* one more, so that over-long hosts stay over-long */
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    return put_host_port(endpoint, server, host, colon + 1, e);
}

int endpoint_parse(struct endpoint *endpoint, bool server, int argument_count, char **arguments,
                   struct error *e)
{
    struct endpoint found = {0};
    int rc;

    if (argument_count == 0) {
        error_what(e, "no address is given");
        return refuse(ERR_SYNTAX, e, server);
    }
    if (argument_count > 2) {
        error_what(e, "too many arguments: '%s'", arguments[2]);
        return refuse(ERR_SYNTAX, e, server);
    }
    if (argument_count == 2)
        rc = parse_pair(&found, server, arguments[0], arguments[1], e);
    else
        rc = parse_one(&found, server, arguments[0], e);
    if (rc == 0)
        *endpoint = found;
    return rc;
}

/* Resolving */

static bool same_address(const struct addrinfo *a, const struct addrinfo *b)
{
    return a->ai_family == b->ai_family && a->ai_addrlen == b->ai_addrlen &&
           memcmp(a->ai_addr, b->ai_addr, a->ai_addrlen) == 0;
}

/* Takes repeated addresses out: /etc/hosts may give localhost twice, and binding or trying an
 * address twice helps nobody. */
static void drop_repeated(struct addrinfo *list)
{
    for (; list; list = list->ai_next) {
        for (struct addrinfo **at = &list->ai_next; *at;) {
            struct addrinfo *one = *at;
            if (!same_address(list, one)) {
                at = &one->ai_next;
                continue;
            }
            *at = one->ai_next;
            one->ai_next = NULL;
            freeaddrinfo(one);
        }
    }
}

/* Moves IPv4 addresses to the front, else in order: so a server names 127.0.0.1 before [::1]. */
static struct addrinfo *ipv4_first(struct addrinfo *list)
{
    struct addrinfo *first = NULL, **first_end = &first, *rest = NULL, **rest_end = &rest;
    for (; list; list = list->ai_next) {
        struct addrinfo ***end = list->ai_family == AF_INET ? &first_end : &rest_end;
        **end = list;
        *end = &list->ai_next;
    }
    *rest_end = NULL;
    *first_end = rest;
    return first;
}

/* AI_ADDRCONFIG is left out: it does not count loopback, so in a machine (or namespace) that has
 * nothing else it hides 127.0.0.1 and ::1 themselves. getaddrinfo puts what has no route last. */
static int resolve(const struct endpoint *endpoint, enum options_family family, int flags,
                   struct addrinfo **list)
{
    static const int families[] = {
        [FAMILY_ANY] = AF_UNSPEC, [FAMILY_4] = AF_INET, [FAMILY_6] = AF_INET6};
    struct addrinfo hints = {
        .ai_family = families[family],
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (endpoint->any ? AI_PASSIVE : 0) | flags,
    };
    char port[8];

    snprintf(port, sizeof port, "%u", endpoint->port);
    const char *host = endpoint->host[0] ? endpoint->host : NULL;
    int rc = getaddrinfo(host, port, &hints, list);
    if (rc == 0)
        drop_repeated(*list);
    return rc;
}

int endpoint_resolve(const struct endpoint *endpoint, enum options_family family, bool server,
                     struct addrinfo **list)
{
    struct addrinfo *found;
    int rc = resolve(endpoint, family, 0, &found);

    if (rc == 0)
        *list = server ? ipv4_first(found) : found;
    return rc;
}

int endpoint_numeric(const struct endpoint *endpoint, enum options_family family,
                     struct addrinfo **list)
{
    struct addrinfo *found;

    if (endpoint->host[0] == '\0')
        return EAI_NONAME;
    int rc = resolve(endpoint, family, AI_NUMERICHOST, &found);
    if (rc == 0)
        *list = found;
    return rc;
}
