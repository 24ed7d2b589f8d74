#include "config.h"

#include "load_internal.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "report.h"
#include "units.h"

/* --- a life's end, in figures --- */

static void note_failure(struct load_worker *worker, const struct life *life)
{
    struct result *result = &worker->result;
    struct error e = {"", ""};

    result->failed++;
    atomic_fetch_add_explicit(&worker->load->failed, 1, memory_order_relaxed);
    if (life->fate >= result->failure_fate)
        return;
    report_explain(life, worker->load->config, &e);
    result->failure_fate = life->fate;
    result->failure_phase = life->failed_at;
    load_failure_text(result, &e);
}

static void account(struct load_worker *worker, const struct life *life)
{
    struct result *result = &worker->result;

    result->fates[life->fate]++;
    result->closed_first[life->closed_first]++;
    result->time_wait[life->time_wait]++;
    result->bytes_in += life->bytes_in;
    result->bytes_out += life->bytes_out;
    if (life->fate != FATE_CLEAN)
        note_failure(worker, life);
    else
        histogram_record(
            result->stages[STAGE_DRAIN_LINGER],
            1000 * (life_phase_us(life, PHASE_DRAIN) + life_phase_us(life, PHASE_LINGER)));
}

/* Frames that were sent and will not be answered count with the time they have waited. */
static void lose(struct load_slot *slot, uint64_t now_ns)
{
    struct load_worker *worker = load_slot_worker(slot);

    worker->owed -= slot->in_flight;
    for (; slot->in_flight > 0; slot->in_flight--) {
        uint64_t number = slot->sent - slot->in_flight;
        uint64_t sent_ns = load_send_ns(slot, number);
        uint64_t intended_ns = load_intended_ns(slot, number);
        if (intended_ns < worker->load->plan.counted_ns)
            continue;
        worker->result.lost++;
        histogram_record(worker->round_trip, now_ns - intended_ns);
        if (worker->load->plan.shape.rate > 0)
            histogram_record(worker->result.stages[STAGE_FROM_SEND], now_ns - sent_ns);
    }
}

/* --- its beginning --- */

void load_conn_off_the_way(struct load_slot *slot)
{
    if (slot->on_its_way) {
        slot->on_its_way = false;
        load_slot_worker(slot)->on_their_way--;
        load_worker_look(load_slot_worker(slot));
    }
}

/* Not even the memory for a life. */
static void no_life(struct load_slot *slot)
{
    struct load_worker *worker = load_slot_worker(slot);
    struct life life;

    life_init(&life, SIDE_CLIENT, 0);
    life_fail(&life, FATE_MEMORY, "out of memory for a connection");
    life_move(&life, PHASE_CLOSE, "no memory");
    life_end(&life, "no memory");
    account(worker, &life);
    life_fini(&life);
    slot->state = SLOT_GONE;
    load_send_forgo(slot);
}

void load_conn_dial(struct load_slot *slot)
{
    struct load_worker *worker = load_slot_worker(slot);
    const struct client_config *config = worker->load->config;

    slot->conn = conn_new(worker->loop, &config->conn,
                          worker->load->plan.fits_output ? &load_owner_fits : &load_owner, slot, 0);
    if (slot->conn == NULL) {
        no_life(slot);
        return;
    }
    slot->state = SLOT_DIALING;
    slot->on_its_way = true;
    worker->on_their_way++;
    worker->live++;
    slot->dial = dial_new(worker->loop, slot->conn, config, worker->load->addresses);
    if (slot->dial == NULL)
        conn_fail(slot->conn, FATE_MEMORY, "out of memory to connect");
}

static bool make_ring(struct load_slot *slot)
{
    const struct load_worker *worker = load_slot_worker(slot);

    slot->sent_ns = 0;
    if (worker->ring_mask == 0 || !worker->load->plan.answers)
        return true;
    slot->ring_ns = malloc((worker->ring_mask + 1) * sizeof *slot->ring_ns);
    return slot->ring_ns != NULL;
}

static bool has_ring(const struct load_slot *slot)
{
    return load_slot_worker(slot)->ring_mask != 0 && load_slot_worker(slot)->load->plan.answers;
}

static void note_open(struct load_slot *slot)
{
    struct load_worker *worker = load_slot_worker(slot);
    const struct life *life = conn_life(slot->conn);

    worker->open++;
    worker->result.opened++;
    atomic_fetch_add_explicit(&worker->load->up, 1, memory_order_relaxed);
    histogram_record(worker->result.stages[STAGE_CONNECT],
                     1000 * life_phase_us(life, PHASE_CONNECT));
    if (worker->result.address[0] == '\0')
        life_address_text(worker->result.address, &life->remote);
}

static void on_open(struct conn *conn)
{
    struct load_slot *slot = conn_arg(conn);

    dial_free(slot->dial);
    slot->dial = NULL;
    slot->state = SLOT_OPEN;
    note_open(slot);
    if (!make_ring(slot)) {
        slot->state = SLOT_ENDING;
        conn_fail(conn, FATE_MEMORY, "out of memory for %u frames in flight",
                  (unsigned)load_slot_worker(slot)->ring_mask + 1);
        return;
    }
    if (load_slot_worker(slot)->stopping)
        load_conn_finish(slot, "the load has ended");
    else if (load_slot_worker(slot)->producing)
        load_conn_begin(slot);
    /* One that sends at once is on its way until its first reply. */
    if (slot->in_flight == 0)
        load_conn_off_the_way(slot);
}

void load_conn_begin(struct load_slot *slot)
{
    if (slot->state != SLOT_OPEN)
        return;
    if (load_slot_worker(slot)->load->plan.shape.frames_per_conn == 0)
        load_conn_finish(slot, "no frames are sent");
    else
        load_frame_more(slot, clock_ns());
}

/* --- its end --- */

void load_conn_finish(struct load_slot *slot, const char *why)
{
    slot->state = SLOT_ENDING;
    conn_drain(slot->conn, false, why);
}

void load_conn_stop(struct load_slot *slot)
{
    if (slot->state == SLOT_OPEN && slot->in_flight == 0)
        load_conn_finish(slot, "the load has ended");
}

void load_conn_lose_patience(struct load_slot *slot)
{
    char text[UNITS_TEXT];

    if (slot->state == SLOT_OPEN && slot->in_flight > 0) {
        slot->state = SLOT_ENDING;
        conn_fail(slot->conn, FATE_REPLY_TIMEOUT, "no reply in %s",
                  units_text_duration(
                      text, load_slot_worker(slot)->load->config->options->reply_timeout_us));
    }
}

static void on_drain(struct conn *conn)
{
    struct load_slot *slot = conn_arg(conn);

    slot->state = SLOT_ENDING;
    conn_nothing_owed(conn);
}

static void on_peer_done(struct conn *conn)
{
    struct load_slot *slot = conn_arg(conn);
    const struct load_worker *worker = load_slot_worker(slot);
    char owed[64], sent[64];

    if (slot->state != SLOT_OPEN)
        return;
    slot->state = SLOT_ENDING;
    units_plural(sent, sizeof sent, conn_life(conn)->frames_out, "frame");
    if (slot->in_flight > 0)
        conn_fail(conn, FATE_UNANSWERED, "the peer's FIN came after %s of ours; %s unanswered",
                  sent, units_plural(owed, sizeof owed, slot->in_flight, "frame"));
    else if (worker->load->plan.sends && !worker->sent_all && slot->sent < load_send_limit(slot))
        conn_fail(conn, FATE_UNANSWERED, "the peer's FIN came after %s of ours, with more to send",
                  sent);
}

/* What the slot does next. */
static void after_life(struct load_slot *slot, const struct life *life)
{
    struct load_worker *worker = load_slot_worker(slot);
    bool was_open = (life->phases & 1u << PHASE_TRANSFER) != 0;
    bool again = worker->load->plan.churns && was_open && worker->producing &&
                 slot->sent < load_send_limit(slot);

    slot->conn = NULL;
    worker->live--;
    worker->open -= was_open;
    if (again) {
        load_admit_queue(slot);
    } else {
        slot->state = SLOT_GONE;
        load_send_forgo(slot);
    }
}

static void on_closed(struct conn *conn, struct life *life)
{
    struct load_slot *slot = conn_arg(conn);
    struct load_worker *worker = load_slot_worker(slot);

    (void)conn;
    worker->batch_conn = NULL; /* the next one may have its address */
    if (slot->in_flight > 0)
        lose(slot, clock_ns());
    if ((life->phases & 1u << PHASE_TRANSFER) == 0)
        dial_free(slot->dial);
    else if (has_ring(slot))
        free(slot->ring_ns);
    account(worker, life);
    if (worker->load->journal != NULL)
        journal_put(worker->load->journal, life);
    after_life(slot, life);
    if (slot->on_its_way)
        load_conn_off_the_way(slot);
    else
        load_worker_look(worker);
}

const struct conn_owner load_owner = {
    .open = on_open,
    .frame = load_frame_came,
    .room = load_frame_room,
    .drain = on_drain,
    .peer_done = on_peer_done,
    .closed = on_closed,
};

const struct conn_owner load_owner_fits = {
    .open = on_open,
    .frame = load_frame_came,
    .drain = on_drain,
    .peer_done = on_peer_done,
    .closed = on_closed,
};
