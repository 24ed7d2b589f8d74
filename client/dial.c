#include "config.h"

#include "dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "dial_text.h"
#include "log.h"
#include "report.h"
#include "resolve.h"
#include "sockopt.h"
#include "transport.h"
#include "units.h"

#define RETRY_FIRST_US 1000 /* a unix socket whose accept queue is full is asked again */
#define RETRY_LONGEST_US 100000
#define SHARE_STEP_US 1000

struct dial {
    struct loop *loop;
    struct conn *conn;
    struct life *life; /* the conn's */
    const struct client_config *config;
    struct resolve *resolve;   /* NULL: none under way */
    struct addrinfo *resolved; /* owned */
    struct sockaddr_un unix_address;
    struct addrinfo unix_list;  /* the one address of a unix endpoint */
    struct addrinfo *address;   /* being tried, or to be tried next */
    unsigned left;              /* how many those are, `address` among them */
    struct transport transport; /* the attempt's */
    struct deadline deadline;   /* of resolve, or of the attempt */
    struct deadline retry;
    uint64_t retry_us; /* 0: no retry so far on this address */
    uint64_t due_us;   /* of resolve and all attempts together; 0: none */
    bool expired;      /* an attempt was ended by our deadline, not by the system */
};

#define DIAL_OF(member, pointer)                                                                   \
    ((struct dial *)(void *)((char *)(pointer)-offsetof(struct dial, member)))

static void try_next(struct dial *dial);

/* --- the record of the attempts --- */

static struct life_attempt *current(struct dial *dial)
{
    return &dial->life->attempts[dial->life->attempt_count - 1];
}

static int attempt_add(struct dial *dial)
{
    struct life *life = dial->life;
    struct life_attempt *attempts =
        realloc(life->attempts, (life->attempt_count + 1) * sizeof *attempts);
    if (attempts == NULL)
        return ERR_MEMORY;
    life->attempts = attempts;
    struct life_attempt *attempt = &attempts[life->attempt_count++];
    *attempt = (struct life_attempt){.began_us = clock_us() - life->began_us};
    size_t n = dial->address->ai_addrlen;
    if (dial->address->ai_family == AF_UNIX)
        attempt->address = life->remote; /* life_set_path */
    else
        memcpy(&attempt->address, dial->address->ai_addr,
               n < sizeof attempt->address ? n : sizeof attempt->address);
    life->remote = attempt->address;
    return 0;
}

static void attempt_over(struct dial *dial, int error)
{
    struct life_attempt *attempt = current(dial);
    deadline_unset(&dial->deadline);
    attempt->took_us = clock_us() - dial->life->began_us - attempt->began_us;
    attempt->error = error;
    dial->retry_us = 0;
    dial->address = dial->address->ai_next;
    dial->left--;
}

static void give_up(struct dial *dial)
{
    struct error e;
    enum fate fate = dial_fate(dial->life, dial->expired);
    dial_text(dial->life, &dial->config->endpoint, fate, &e);
    report_fail(dial->conn, fate, &e);
}

static void out_of_memory(struct dial *dial)
{
    conn_fail(dial->conn, FATE_MEMORY, "no memory to connect to %s", dial->config->endpoint.text);
}

/* --- one attempt --- */

/* What remains to the deadline, fairly shared among the addresses that are left. 0: none is set. */
static uint64_t share_us(const struct dial *dial)
{
    uint64_t now = clock_us();
    if (dial->due_us == 0)
        return 0;
    uint64_t share = dial->due_us > now ? (dial->due_us - now) / dial->left : 0;
    /* Whole milliseconds: a load's many dials then share their loop's queues of deadlines. */
    return share - share % SHARE_STEP_US + SHARE_STEP_US;
}

static void attempt_failed(struct dial *dial, int error)
{
    attempt_over(dial, error);
    try_next(dial);
}

static void attempt_expired(struct deadline *deadline)
{
    struct dial *dial = DIAL_OF(deadline, deadline);
    deadline_unset(&dial->retry);
    transport_close(&dial->transport, false);
    dial->expired = true;
    attempt_failed(dial, ETIMEDOUT);
}

/* A port of our own in the range the system picks from may be picked for this very connection: then
 * a socket connects to itself. */
static bool is_itself(const union life_address *local, const union life_address *remote)
{
    if (local->sa.sa_family != remote->sa.sa_family)
        return false;
    if (local->sa.sa_family == AF_INET)
        return local->in.sin_port == remote->in.sin_port &&
               local->in.sin_addr.s_addr == remote->in.sin_addr.s_addr;
    return local->sa.sa_family == AF_INET6 && local->in6.sin6_port == remote->in6.sin6_port &&
           IN6_ARE_ADDR_EQUAL(&local->in6.sin6_addr, &remote->in6.sin6_addr);
}

/* As the system has them: who connects to 0.0.0.0 reaches 127.0.0.1. A unix socket keeps its path.
 */
static void ask_addresses(struct life *life, const struct transport *transport)
{
    if (life->remote.sa.sa_family != AF_UNIX)
        life->remote.sa.sa_family = AF_UNSPEC;
    transport_addresses(transport, &life->local, &life->remote);
}

/* The one that connected at once says nothing that the life does not. */
static void forget_only_attempt(struct life *life)
{
    if (life->attempt_count == 1) {
        free(life->attempts);
        life->attempts = NULL;
        life->attempt_count = 0;
    }
}

static void succeed(struct dial *dial)
{
    const struct options *options = dial->config->options;
    struct error e;
    attempt_over(dial, 0);
    forget_only_attempt(dial->life);
    if (sockopt_apply(dial->transport.fd, SOCKOPT_CONNECTED, options->set, options->set_count, &e) <
        0) {
        log_error(&e);
    }
    conn_open(dial->conn, &dial->transport);
}

static void connected(struct transport *transport, int error)
{
    struct dial *dial = DIAL_OF(transport, transport);
    if (error == 0)
        ask_addresses(dial->life, transport);
    if (error == 0 && is_itself(&dial->life->local, &dial->life->remote)) {
        dial->life->local.sa.sa_family = AF_UNSPEC;
        error = ECONNREFUSED;
    }
    if (error == 0) {
        succeed(dial);
        return;
    }
    transport_close(transport, false);
    attempt_failed(dial, error);
}

static int make_socket(struct dial *dial)
{
    const struct options *options = dial->config->options;
    struct error e;
    int fd = socket(dial->address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (sockopt_apply(fd, SOCKOPT_BEFORE_CONNECT, options->set, options->set_count, &e) < 0)
        log_error(&e);
    if (dial->life->phase == PHASE_CREATE) {
        char text[512];
        sockopt_text(fd, options->set, options->set_count, text, sizeof text);
        life_move(dial->life, PHASE_CONNECT, text[0] != '\0' ? text : "socket, connect");
    }
    return fd;
}

static void retry(struct deadline *deadline);

static void retry_later(struct dial *dial)
{
    uint64_t next = dial->retry_us * 2;
    dial->retry_us = next < RETRY_FIRST_US ? RETRY_FIRST_US : next;
    if (dial->retry_us > RETRY_LONGEST_US)
        dial->retry_us = RETRY_LONGEST_US;
    if (deadline_set(dial->loop, &dial->retry, dial->retry_us, retry) < 0)
        attempt_failed(dial, ENOMEM);
}

/* 0: under way. Otherwise an errno. */
static int connect_socket(struct dial *dial)
{
    int fd = make_socket(dial);
    if (fd < 0)
        return errno;
    int result = transport_connect(&dial->transport, dial->loop, fd, dial->config->conn.fast,
                                   dial->address->ai_addr, dial->address->ai_addrlen, connected);
    if (result == ERR_MEMORY)
        return ENOMEM;
    return result < 0 ? errno : 0;
}

static void retry(struct deadline *deadline)
{
    struct dial *dial = DIAL_OF(retry, deadline);
    int error = connect_socket(dial);
    if (error == EAGAIN)
        retry_later(dial);
    else if (error != 0)
        attempt_failed(dial, error);
}

/* Begins with dial->address. true: under way; false: it failed at once. */
static bool attempt(struct dial *dial)
{
    if (attempt_add(dial) < 0 ||
        deadline_set(dial->loop, &dial->deadline, share_us(dial), attempt_expired) < 0) {
        out_of_memory(dial);
        return true;
    }
    int error = connect_socket(dial);
    if (error == EAGAIN && dial->address->ai_family == AF_UNIX) {
        retry_later(dial);
    } else if (error != 0) {
        attempt_over(dial, error);
        return false;
    }
    return true;
}

static void try_next(struct dial *dial)
{
    while (dial->left > 0)
        if (attempt(dial))
            return;
    give_up(dial);
}

/* --- resolve --- */

static void resolved_text(const struct addrinfo *list, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (; list != NULL && used < size; list = list->ai_next) {
        union life_address address = {.sa = {.sa_family = AF_UNSPEC}};
        char text[LIFE_ADDRESS_TEXT];
        memcpy(&address, list->ai_addr,
               list->ai_addrlen < sizeof address ? list->ai_addrlen : sizeof address);
        used += snprintf(buf + used, size - used, "%s%s", used > 0 ? ", " : "",
                         life_address_text(text, &address));
    }
}

static void use_addresses(struct dial *dial, struct addrinfo *list)
{
    char text[256] = "a unix socket needs no resolving";
    dial->address = list;
    for (const struct addrinfo *each = list; each != NULL; each = each->ai_next)
        dial->left++;
    if (dial->config->endpoint.kind == ENDPOINT_TCP && log_on(LOG_LEVEL_PHASE))
        resolved_text(list, text, sizeof text);
    life_move(dial->life, PHASE_CREATE, text);
    try_next(dial);
}

static void resolved(void *arg, int code, int error, struct addrinfo *list)
{
    struct dial *dial = arg;
    dial->resolve = NULL;
    deadline_unset(&dial->deadline);
    if (code == 0) {
        dial->resolved = list;
        use_addresses(dial, list);
        return;
    }
    struct error e;
    enum fate fate = dial_resolve_fate(code);
    dial_resolve_text(dial->config, code, error, &e);
    report_fail(dial->conn, fate, &e);
}

static void resolve_expired(struct deadline *deadline)
{
    struct dial *dial = DIAL_OF(deadline, deadline);
    char text[UNITS_TEXT];
    resolve_cancel(dial->resolve);
    dial->resolve = NULL;
    conn_fail(dial->conn, FATE_RESOLVE_TIMEOUT, "no address for %s in %s",
              dial->config->endpoint.host,
              units_text_duration(text, dial->config->options->connect_timeout_us));
}

static void resolve_begin(struct dial *dial)
{
    const struct options *options = dial->config->options;
    int result =
        deadline_set(dial->loop, &dial->deadline, options->connect_timeout_us, resolve_expired);
    if (result == 0)
        result = resolve_start(&dial->resolve, dial->loop, &dial->config->endpoint, options->family,
                               resolved, dial);
    if (result < 0) {
        deadline_unset(&dial->deadline);
        out_of_memory(dial);
    }
}

static void use_unix(struct dial *dial)
{
    struct sockaddr_un *address = &dial->unix_address;
    dial->unix_list = (struct addrinfo){
        .ai_family = AF_UNIX,
        .ai_addr = (struct sockaddr *)address,
        .ai_addrlen = endpoint_unix_address(dial->config->endpoint.path, address),
    };
    use_addresses(dial, &dial->unix_list);
}

struct dial *dial_new(struct loop *loop, struct conn *conn, const struct client_config *config,
                      struct addrinfo *addresses)
{
    struct dial *dial = calloc(1, sizeof *dial);
    if (dial == NULL)
        return NULL;
    dial->loop = loop;
    dial->conn = conn;
    dial->life = conn_life(conn);
    dial->config = config;
    uint64_t timeout = config->options->connect_timeout_us;
    dial->due_us = timeout > 0 ? clock_us() + timeout : 0;
    if (config->endpoint.kind == ENDPOINT_UNIX)
        use_unix(dial);
    else if (addresses != NULL)
        use_addresses(dial, addresses);
    else
        resolve_begin(dial);
    return dial;
}

void dial_free(struct dial *dial)
{
    if (dial == NULL)
        return;
    if (dial->resolve != NULL)
        resolve_cancel(dial->resolve);
    deadline_unset(&dial->deadline);
    deadline_unset(&dial->retry);
    transport_close(&dial->transport, false);
    if (dial->resolved != NULL)
        freeaddrinfo(dial->resolved);
    free(dial);
}
