/* ack: prints what it receives and confirms each frame, once it is printed, with its number on its
 * connection and its length: "1 5". */
#include "config.h"

#include "handler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "printer.h"

/* Frames waiting to be printed take the place of the output they will cause in a connection's
 * bound. */
#define ACK_WAITING_HIGH CONN_OUTPUT_HIGH
/* What a frame that waits takes besides its body: without it, empty frames would be without bound.
 */
#define ACK_WAITING_COST 128

/* Outlives its connection while the printer holds frames of it. */
struct ack {
    struct conn *conn; /* NULL: closed */
    uint64_t number;   /* of the last frame taken */
    uint64_t confirmed;
    size_t waiting_bytes;
    bool paused, draining;
};

struct ack_job {
    struct ack *ack;
    size_t n;
};

/* A codec whose frames say more than their length cannot carry "1 5". */
static int ack_prepare(const struct handler_setup *setup, struct error *e)
{
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;
    struct error why;
    int result;

    frame_state_init(&state, setup->codec, FRAME_FROM_SERVER);
    result = frame_encode(setup->codec, &state, (const uint8_t *)"1 5", 3, &wrap, &fault);
    if (result < 0) {
        frame_fault_text(setup->codec, &fault, &why);
        error_what(e, "-H ack cannot say \"1 5\" in this framing: %s", why.what);
        error_mend(e, "choose a codec that strips its header, or another handler");
        return result;
    }
    return printer_start(e);
}

static void ack_open(struct conn *conn)
{
    struct ack **state = handler_state(conn);

    *state = calloc(1, sizeof **state);
    if (*state == NULL) {
        conn_fail(conn, FATE_MEMORY, "no memory for a connection");
        return;
    }
    (*state)->conn = conn;
}

static bool nothing_waits(const struct ack *ack)
{
    return ack->number == ack->confirmed;
}

static void confirm(struct ack *ack, size_t n)
{
    char reply[48];
    int length = snprintf(reply, sizeof reply, "%llu %zu", (unsigned long long)ack->confirmed, n);

    handler_send(ack->conn, (const uint8_t *)reply, (size_t)length);
    if (ack->paused && ack->waiting_bytes <= ACK_WAITING_HIGH / 2) {
        ack->paused = false;
        conn_resume(ack->conn);
    }
    if (ack->draining && nothing_waits(ack))
        conn_nothing_owed(ack->conn);
}

static void printed(void *arg, int error)
{
    struct ack_job *job = arg;
    struct ack *ack = job->ack;

    ack->waiting_bytes -= job->n + ACK_WAITING_COST;
    ack->confirmed++;
    if (ack->conn != NULL && error == 0)
        confirm(ack, job->n);
    else if (ack->conn != NULL)
        conn_fail(ack->conn, FATE_OUTPUT, "standard output: %s", strerror(error));
    else if (nothing_waits(ack))
        free(ack);
    free(job);
}

static bool print(struct ack *ack, const uint8_t *body, size_t n)
{
    struct ack_job *job = malloc(sizeof *job);

    if (job == NULL)
        return false;
    *job = (struct ack_job){ack, n};
    if (printer_put(conn_loop(ack->conn), body, n, printed, job) < 0) {
        free(job);
        return false;
    }
    return true;
}

static void ack_frame(struct conn *conn, const uint8_t *body, size_t n)
{
    struct ack *ack = *(struct ack **)handler_state(conn);

    if (!print(ack, body, n)) {
        conn_fail(conn, FATE_MEMORY, "no memory to print a frame of %zu bytes", n);
        return;
    }
    ack->number++;
    ack->waiting_bytes += n + ACK_WAITING_COST;
    if (ack->waiting_bytes >= ACK_WAITING_HIGH && !ack->paused) {
        ack->paused = true;
        conn_pause(conn);
    }
}

static void ack_drain(struct conn *conn)
{
    struct ack *ack = *(struct ack **)handler_state(conn);

    ack->draining = true;
    if (nothing_waits(ack))
        conn_nothing_owed(conn);
}

static void ack_closed(struct conn *conn, struct life *life)
{
    struct ack *ack = *(struct ack **)handler_state(conn);

    (void)life;
    if (ack == NULL)
        return;
    ack->conn = NULL;
    if (nothing_waits(ack))
        free(ack);
}

const struct handler handler_ack = {
    .name = "ack",
    .meaning = "prints frames and confirms each with number and length",
    .answers = true,
    .state_bytes = sizeof(struct ack *),
    .prepare = ack_prepare,
    .finish = printer_stop,
    .owner = {.open = ack_open, .frame = ack_frame, .drain = ack_drain, .closed = ack_closed},
};
