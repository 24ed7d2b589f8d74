#include "config.h"

#include "peer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned read_number(const char *path, const char *after)
{
    char text[512] = "";
    FILE *file = fopen(path, "re");
    const char *p;
    if (file == NULL)
        return 0;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    p = strstr(text, after);
    return p != NULL ? (unsigned)strtoul(p + strlen(after), NULL, 10) : 0;
}

static void read_table(struct peers *peers)
{
    FILE *file = fopen("/proc/net/tcp", "re");
    char line[512];
    ck_assert_msg(file != NULL, "/proc/net/tcp cannot be read");
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned local, remote, state;
        if (sscanf(line, " %*d: %*x:%x %*x:%x %x", &local, &remote, &state) != 3 || state != 6)
            continue;
        for (unsigned i = 0; i < peers->count; i++) {
            struct peer *peer = &peers->all[i];
            peer->time_wait_ours |= local == peer->port && remote == peer->remote_port;
            peer->time_wait_theirs |= remote == peer->port && local == peer->remote_port;
        }
    }
    fclose(file);
}

bool peers_time_wait(struct peers *peers)
{
    unsigned most = read_number("/proc/sys/net/ipv4/tcp_max_tw_buckets", "");
    unsigned missing = 1;
    if (read_number("/proc/net/sockstat", " tw ") + peers->count >= most)
        return false;
    /* While other sockets come and go, a reading of the table may pass over some that stay. */
    for (unsigned reading = 0; reading < 5 && missing > 0; reading++) {
        missing = 0;
        read_table(peers);
        for (unsigned i = 0; i < peers->count; i++) {
            const struct peer *peer = &peers->all[i];
            missing += peer->fin_sent && peer->fin_seen && !peer->cut && !peer->time_wait_ours &&
                       !peer->time_wait_theirs;
        }
    }
    return true;
}
