#include "config.h"

#include "sockopt.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sockopt_internal.h"
#include "units.h"

/* The level and name of the option on this kind of socket. */
struct call {
    int fd, level, option;
};

static int socket_domain(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t size = sizeof domain;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    return domain;
}

static struct call make_call(int fd, int domain, const struct sockopt_row *row)
{
    struct call call = {fd, row->level, row->option};
    if (domain == AF_INET6 && row->level6) {
        call.level = row->level6;
        call.option = row->option6;
    }
    return call;
}

/* A sysctl's value as one line. False where it cannot be read, as in some containers. */
static bool read_sysctl(const char *name, char *buf, size_t size)
{
    char path[128];
    int length = snprintf(path, sizeof path, "/proc/sys/%s", name);
    for (int i = 0; i < length; i++) {
        if (path[i] == '.')
            path[i] = '/';
    }
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(buf, (int)size, file) != NULL;
    fclose(file);
    if (got)
        buf[strcspn(buf, "\n")] = '\0';
    return got;
}

/* Failures */

static void mend_by_sysctl(struct error *e, const char *name, const char *then)
{
    char value[160];
    if (read_sysctl(name, value, sizeof value))
        error_mend(e, "%s is %s: %s", name, value, then);
    else
        error_mend(e, "see %s: %s", name, then);
}

static void mend_congestion(struct error *e, int error)
{
    if (error == EPERM)
        mend_by_sysctl(e, "net.ipv4.tcp_allowed_congestion_control",
                       "write one of these, or take the capability CAP_NET_ADMIN");
    else
        mend_by_sysctl(e, "net.ipv4.tcp_available_congestion_control",
                       "write one of these, or load its module");
}

/* The system call failed, errno says how. */
static int refused(const char *text, const struct sockopt_row *row, struct error *e)
{
    int error = errno;
    error_what(e, "--set %.100s: %s", text, strerror(error));
    if (row->level == IPPROTO_TCP && row->option == TCP_CONGESTION)
        mend_congestion(e, error);
    else if (error == EPERM && row->may)
        error_mend(e, "%s", row->may);
    else if (error == ENODEV)
        error_mend(e, "ip link lists the interfaces");
    else if (error == ENOPROTOOPT)
        error_mend(e, "this kernel does not have it: leave it out");
    errno = error;
    return ERR_SYSTEM;
}

static const char *number_text(const struct sockopt_row *row, char buf[UNITS_TEXT], uint32_t number)
{
    if (row->kind == SOCKOPT_BYTES)
        return units_text_bytes(buf, number);
    if (row->kind == SOCKOPT_TIME)
        return units_text_duration(buf, (uint64_t)number * row->unit_us);
    return units_text_count(buf, number);
}

/* The kernel took the value and made another one of it. */
static int changed(const char *text, const struct sockopt_value *value, uint32_t got,
                   struct error *e)
{
    char made[UNITS_TEXT];
    const struct sockopt_row *row = value->row;
    error_what(e, "--set %.100s: the kernel made %s of it", text, number_text(row, made, got));
    if (got < value->number && row->limit)
        mend_by_sysctl(e, row->limit, "ask for that or less, or raise it with sysctl -w");
    else
        error_mend(e, "ask for %s", made);
    errno = EINVAL;
    return ERR_SYSTEM;
}

/* Applying */

static int read_number(struct call call, uint32_t *number)
{
    socklen_t size = sizeof *number;
    *number = 0;
    return getsockopt(call.fd, call.level, call.option, number, &size);
}

static bool as_asked(const struct sockopt_value *value, uint32_t got)
{
    if (value->row->kind == SOCKOPT_FLAG)
        return !got == !value->number;
    if (value->row->back == BACK_AT_LEAST)
        return got >= value->number;
    return got == value->number;
}

static int apply_number(struct call call, const char *text, const struct sockopt_value *value,
                        struct error *e)
{
    uint32_t got;
    if (setsockopt(call.fd, call.level, call.option, &value->number, sizeof value->number) < 0 ||
        read_number(call, &got) < 0)
        return refused(text, value->row, e);
    if (value->row->back == BACK_DOUBLE)
        got /= 2;
    return as_asked(value, got) ? 0 : changed(text, value, got, e);
}

static int apply_text(struct call call, const char *text, const struct sockopt_value *value,
                      struct error *e)
{
    if (setsockopt(call.fd, call.level, call.option, value->text, (socklen_t)strlen(value->text)) <
        0)
        return refused(text, value->row, e);
    return 0;
}

/* Accepted unix sockets inherit no buffer sizes, so these are also set on them. */
static bool applies(const struct sockopt_row *row, enum sockopt_when when, int domain)
{
    if (domain == AF_UNIX)
        return row->unix_too;
    return row->on & 1U << when;
}

int sockopt_apply(int fd, enum sockopt_when when, const char *const *texts, unsigned count,
                  struct error *e)
{
    int domain = count ? socket_domain(fd) : AF_UNSPEC;
    for (unsigned i = 0; i < count; i++) {
        struct sockopt_value value;
        int rc = sockopt_parse(&value, texts[i], e);
        if (rc < 0)
            return rc;
        if (!applies(value.row, when, domain))
            continue;
        struct call call = make_call(fd, domain, value.row);
        if (value.row->kind == SOCKOPT_TEXT)
            rc = apply_text(call, texts[i], &value, e);
        else
            rc = apply_number(call, texts[i], &value, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Telling */

/* "congestion cubic", "nodelay", "nodelay off", "rcvbuf 16.0 KiB"; "" where it cannot be read. */
static void describe(struct call call, const struct sockopt_row *row, char *buf, size_t size)
{
    char made[UNITS_TEXT], word[SOCKOPT_WORD] = "";
    uint32_t number;
    socklen_t length = sizeof word - 1;

    *buf = '\0';
    if (row->kind == SOCKOPT_TEXT) {
        if (getsockopt(call.fd, call.level, call.option, word, &length) == 0)
            snprintf(buf, size, "%s %s", row->name, word);
    } else if (read_number(call, &number) < 0) {
        return;
    } else if (row->kind == SOCKOPT_FLAG) {
        snprintf(buf, size, "%s%s", row->name, number ? "" : " off");
    } else {
        snprintf(buf, size, "%s %s", row->name, number_text(row, made, number));
    }
}

const char *sockopt_text(int fd, const char *const *texts, unsigned count, char *buf, size_t size)
{
    int domain = count ? socket_domain(fd) : AF_UNSPEC;
    size_t used = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < count && used < size; i++) {
        struct sockopt_value value;
        char one[80];
        if (sockopt_parse(&value, texts[i], NULL) < 0 ||
            (domain == AF_UNIX && !value.row->unix_too))
            continue;
        describe(make_call(fd, domain, value.row), value.row, one, sizeof one);
        if (*one)
            used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "", one);
    }
    return buf;
}
