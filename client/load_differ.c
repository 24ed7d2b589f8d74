/* load_differ: a reply that is not what was sent: what is said of it, and the end of its
 * connection.
 */
#include "config.h"

#include "load_internal.h"

#include <stdio.h>
#include <string.h>

#include "report.h"
#include "text.h"
#include "units.h"

/* What stands at this place of the bytes, for a person. */
static const char *bytes_at(char *buf, size_t size, const uint8_t *bytes, size_t n, size_t at)
{
    if (at >= n)
        snprintf(buf, size, "its end");
    else
        text_hex(buf, size, bytes + at, n - at < 8 ? n - at : 8);
    return buf;
}

void load_differ_tell(struct load_slot *slot, uint64_t number, const uint8_t *got, size_t n,
                      size_t at)
{
    struct load_worker *worker = load_slot_worker(slot);
    struct payload_body body;
    char expected[40], came[40], which[32], where[32];

    worker->result.differed++;
    payload_body(worker->load->plan.payload, load_slot_connection(slot), number, &body);
    memcpy(worker->body, body.stamp, body.stamp_length);
    memcpy(worker->body + body.stamp_length, body.rest, body.rest_length);
    struct result *result = &worker->result;
    char detail[sizeof result->differed_detail];
    snprintf(
        detail, sizeof detail,
        "the reply to frame %s of connection %llu differs at byte %s: sent %s, came %s",
        units_text_count(which, number + 1), (unsigned long long)load_slot_connection(slot) + 1,
        units_text_count(where, at),
        bytes_at(expected, sizeof expected, worker->body, body.stamp_length + body.rest_length, at),
        bytes_at(came, sizeof came, got, n, at));
    if (result->differed_detail[0] == '\0')
        snprintf(result->differed_detail, sizeof result->differed_detail, "%s", detail);
    struct error e = {"", ""};
    error_what(&e, "%s", detail);
    error_mend(&e, "--expect any, if this service does not send back what it gets");
    slot->state = SLOT_ENDING;
    report_fail(slot->conn, FATE_DIFFERED, &e);
}

void load_differ_unasked(struct load_slot *slot)
{
    struct load_worker *worker = load_slot_worker(slot);
    struct error e = {"", ""};

    if (worker->load->plan.shape.expect != EXPECT_ECHO) {
        worker->result.surplus++;
        return;
    }
    worker->result.replies++;
    worker->result.differed++; /* also while it closes: what nobody sent is equal to nothing */
    if (conn_life(slot->conn)->fate != FATE_CLEAN)
        return;
    error_what(&e, "a frame more came than the %llu that were sent",
               (unsigned long long)conn_life(slot->conn)->frames_out);
    error_mend(&e, "--expect any, if this service does not send back what it gets");
    slot->state = SLOT_ENDING;
    report_fail(slot->conn, FATE_DIFFERED, &e);
}
