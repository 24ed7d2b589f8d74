/* raw_client: the reference that synfin --load is measured against, and that drives every server of
 * a comparison alike. Closed loop by default: on each connection so many frames in flight, every
 * byte of every echo verified. Prints one line of figures. Usage: raw_client [OPTION...] PORT */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "raw.h"
#include "raw_drive.h"

enum option_name {
    ADDRESS,
    CONNECTIONS,
    PIPELINE,
    SIZE,
    MILLISECONDS,
    RATE,
    SEND,
    RECEIVE,
    CHURN,
    HOLD,
    CONNECTING,
    CONGESTION,
    SPIN,
    ASK,
    ANSWER
};

static const struct option options[] = {
    [ADDRESS] = {"address", required_argument, NULL, ADDRESS},
    [CONNECTIONS] = {"connections", required_argument, NULL, CONNECTIONS},
    [PIPELINE] = {"pipeline", required_argument, NULL, PIPELINE},
    [SIZE] = {"size", required_argument, NULL, SIZE},
    [MILLISECONDS] = {"milliseconds", required_argument, NULL, MILLISECONDS},
    [RATE] = {"rate", required_argument, NULL, RATE},
    [SEND] = {"send", no_argument, NULL, SEND},
    [RECEIVE] = {"receive", no_argument, NULL, RECEIVE},
    [CHURN] = {"churn", no_argument, NULL, CHURN},
    [HOLD] = {"hold", no_argument, NULL, HOLD},
    [CONNECTING] = {"connecting", required_argument, NULL, CONNECTING},
    [CONGESTION] = {"congestion", required_argument, NULL, CONGESTION},
    [SPIN] = {"spin", required_argument, NULL, SPIN},
    [ASK] = {"ask", required_argument, NULL, ASK},
    [ANSWER] = {"answer", required_argument, NULL, ANSWER},
    {NULL, 0, NULL, 0}};

static uint64_t number(enum option_name name)
{
    return raw_number(options[name].name, optarg);
}

static void read_option(struct drive *drive, enum option_name name)
{
    switch (name) {
    case ADDRESS:
        drive->address = optarg;
        break;
    case CONNECTIONS:
        drive->connections = number(name);
        break;
    case PIPELINE:
        drive->pipeline = number(name);
        break;
    case SIZE:
        message_format_frames(&drive->ask, number(name));
        drive->answer = drive->ask;
        break;
    case MILLISECONDS:
        drive->length_ns = number(name) * 1000000;
        break;
    case RATE:
        drive->rate = number(name);
        break;
    case SEND:
        drive->mode = DRIVE_SEND;
        break;
    case RECEIVE:
        drive->mode = DRIVE_RECEIVE;
        break;
    case CHURN:
        drive->churn = true;
        break;
    case HOLD:
        drive->hold = true;
        break;
    case CONNECTING:
        drive->connecting = number(name);
        break;
    case CONGESTION:
        drive->congestion = optarg;
        break;
    case SPIN:
        drive->spin_ns = number(name) * 1000;
        break;
    case ASK:
        message_format_same(&drive->ask, optarg);
        break;
    case ANSWER:
        message_format_same(&drive->answer, optarg);
        break;
    }
}

static void usage(void)
{
    fprintf(stderr, "usage: raw_client [OPTION...] PORT\n"
                    "  --connections N (1)  --pipeline N (1)  --size BYTES (64)\n"
                    "  --milliseconds N (1000)  --rate N: open loop, messages a second in all\n"
                    "  --send: one way  --receive: count frames  --churn: a frame, then a new one\n"
                    "  --hold: a frame on each, then idle until a line comes on stdin\n"
                    "  --ask TEXT --answer TEXT: in place of frames; \\r\\n as written\n"
                    "  --connecting N (64)  --address A (127.0.0.1)  --congestion NAME\n"
                    "  --spin MICROSECONDS\n");
    exit(2);
}

static void read_options(int argc, char **argv, struct drive *drive)
{
    int name;

    while ((name = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (name == '?')
            usage();
        read_option(drive, (enum option_name)name);
    }
    if (optind + 1 != argc)
        usage();
    uint64_t port = raw_number("PORT", argv[optind]);
    if (port == 0 || port > 65535)
        raw_die(0, "%lu is not a port", port);
    drive->port = (uint16_t)port;
    if (drive->connections == 0 || drive->connections >= UINT32_MAX || drive->pipeline == 0 ||
        drive->connecting == 0)
        raw_die(0, "connections, pipeline and connecting are at least 1");
}

static void print(const struct drive *drive, const struct drive_result *result)
{
    double seconds = (double)result->measured_ns / 1e9;
    uint64_t bytes = result->bytes;

    if (drive->mode == DRIVE_ECHO)
        bytes = result->messages * drive->ask.length;
    printf("connections=%lu messages=%lu bytes=%lu seconds=%.6f", result->connections,
           result->messages, bytes, seconds);
    if (!drive->hold)
        printf(" rate=%.1f bytes_per_s=%.0f cpu_us=%lu", (double)result->messages / seconds,
               (double)bytes / seconds, result->cpu_us);
    printf(" up_s=%.6f", (double)result->up_ns / 1e9);
    if (drive->rate > 0)
        printf(" p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f", (double)result->p50_ns / 1e3,
               (double)result->p99_ns / 1e3, (double)result->p999_ns / 1e3,
               (double)result->max_ns / 1e3);
    printf("\n");
}

int main(int argc, char **argv)
{
    static struct drive drive = {.address = "127.0.0.1",
                                 .connections = 1,
                                 .connecting = 64,
                                 .pipeline = 1,
                                 .length_ns = 1000000000};
    struct drive_result result;

    read_options(argc, argv, &drive);
    if (drive.ask.bytes == NULL)
        message_format_frames(&drive.ask, 64);
    if (drive.answer.bytes == NULL)
        drive.answer = drive.ask;
    prctl(PR_SET_TIMERSLACK, 1UL); /* the open loop's sends are due to the microsecond */
    drive_run(&drive, &result);
    print(&drive, &result);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
