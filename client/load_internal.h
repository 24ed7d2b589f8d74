/* load_internal: what the parts of a load share; for these only: load_plan.c (what was asked for),
 * load.c (the run, main thread), load_worker.c (a thread's connections), load_admit.c (which of
 * them connect), load_slots.c (their memory), load_conn.c (one of them), load_frame.c (the path of
 * a frame), load_send.c (when frames are due), load_interval.c (figures while it runs), load_end.c
 * (the result). Threads: a worker and all in it are its thread's; across threads go letters of the
 * loops, and the two numbers marked atomic. */
#ifndef SYNFIN_LOAD_INTERNAL_H
#define SYNFIN_LOAD_INTERNAL_H

#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "client_config.h"
#include "conn.h"
#include "dial.h"
#include "histogram.h"
#include "journal.h"
#include "live.h"
#include "load_schedule.h"
#include "loop.h"
#include "payload.h"
#include "resolve.h"
#include "result.h"
#include "result_out.h"
#include "timer.h"

struct load_worker;

/* What was asked for, checked. Constant while threads run, but for the times of the clock's start,
 * which are set before the workers hear of it. */
struct load_plan {
    struct result_shape shape;
    struct payload *payload; /* owned; NULL: nothing is sent */
    struct result_conditions conditions;
    bool sends;               /* expect is not `stream` */
    bool answers;             /* each frame is owed a reply */
    bool fits_output;         /* what may be in flight does not fill a connection\'s output */
    bool churns;              /* a connection that has had its frames makes room for another */
    uint64_t start_ns;        /* the clock's start */
    uint64_t counted_ns;      /* from here on frames are counted: the start, and what is omitted */
    uint64_t end_ns;          /* no frame is sent from here on; UINT64_MAX: no limit of time */
    uint64_t tick_ns;         /* length of a slice; 0: none */
    unsigned ticks_each;      /* slices in an interval */
    struct schedule schedule; /* with a rate */
};

/* What a slot is doing. */
enum load_state {
    SLOT_WAITING, /* for its turn to connect */
    SLOT_DIALING,
    SLOT_OPEN,
    SLOT_ENDING, /* draining, or failed; `closed` will follow */
    SLOT_GONE,   /* it has no connection and will get none */
};

/* One of the connections asked for, and what is sent on it: with --frames-per-conn over several
 * lives. Small, because there may be a million: whose it is and which, its block knows. */
struct load_slot {
    struct conn *conn; /* NULL: none now */
    union {
        struct load_slot *next; /* SLOT_WAITING: in the queue for its turn */
        struct dial *dial;      /* SLOT_DIALING: owned */
        uint64_t sent_ns;       /* later, one in flight at most: when it was sent */
        uint64_t *ring_ns;      /* later, more in flight: when each was, by its number; owned */
    };
    uint64_t sent;      /* frames, over all lives: the number of the next */
    uint32_t in_flight; /* of these, the last so many are owed a reply */
    uint8_t state;      /* enum load_state */
    bool on_its_way;    /* counts towards --connecting */
};
_Static_assert(sizeof(struct load_slot) <= 32, "a load of a million connections has as many");

/* Slots that lie next to each other, in a block aligned to its size. */
#define LOAD_BLOCK_BYTES 65536
struct load_block {
    struct load_worker *worker;
    uint64_t first; /* the worker's number of the first slot */
    struct load_slot slots[];
};
#define LOAD_BLOCK_SLOTS ((LOAD_BLOCK_BYTES - sizeof(struct load_block)) / sizeof(struct load_slot))

/* Figures of a part of a second, from a worker to the main loop. */
struct load_slice {
    struct load_worker *worker;
    uint64_t number; /* since counting began; LOAD_SLICE_LAST: what comes after the sending */
    uint64_t until_ns;
    bool last; /* with it the measuring ended */
    uint64_t sent, replies, errors;
    uint64_t late, oldest_late_ns, open, owed;
    struct histogram *round_trip; /* owned; NULL: no memory, they are in the next */
};
#define LOAD_SLICE_LAST UINT64_MAX
#define LOAD_LIVE_US 100000 /* how often the live line is drawn */

/* A silence on all connections of a worker while frames were owed. */
struct load_silence {
    uint64_t from_ns, to_ns, waiting;
};
#define LOAD_SILENCES_MAX 64
#define LOAD_SILENCE_NS 10000000 /* shorter ones are not kept */
#define LOAD_BEAT_NS 10000000    /* how often a loop's own lateness is looked at */

struct load_worker {
    struct load *load;
    struct loop *loop;
    struct load_block **blocks; /* owned, each and all */
    unsigned number;
    uint32_t count; /* slots; slot i is connection number + i * threads of the run */

    struct load_slice seen; /* the main thread's: the last it has had */

    /* the path of a frame */
    const struct conn *batch_conn; /* whose bytes were read last: now_ns is when */
    uint64_t batch_bytes, now_ns;
    uint64_t batch_sent; /* frames of its slot sent before: what is read answers no later one */
    bool producing;
    uint64_t owed;                 /* replies awaited on all connections */
    uint64_t replied;              /* and those that came */
    uint32_t ring_mask;            /* of each slot\'s ring; 0: none */
    uint64_t quiet_since_ns;       /* the last reply, or when something was owed again */
    struct histogram *round_trip;  /* owned; the open slice's */
    uint64_t at_once;              /* open loop: frames sent without a wait for a slot */
    uint64_t left;                 /* frames not sent yet, with a limit; UINT64_MAX: no limit */
    uint64_t slot_base, slot_more; /* frames of each slot; slots below that number: one more */
    struct schedule_cursor cursor;
    uint8_t *body; /* owned: a frame put together, where it is not lent */

    /* connecting */
    struct load_slot *first_waiting, **last_waiting;
    uint32_t on_their_way, on_their_way_most;
    uint64_t connect_due_ns; /* with --connect-rate: when the next may go */
    uint32_t live;           /* slots with a conn */
    uint32_t open;
    bool up_told;
    struct timer connect_timer, send_timer, tick_timer, end_timer, beat_timer;
    uint64_t beat_ns;         /* when beat_timer is due; 0: it is not set */
    struct deadline patience; /* for replies in the drain */
    uint64_t patience_replied;

    /* figures; `result` holds those of the whole run */
    struct result result;
    struct load_slice slice; /* counts at the end of the last */
    uint64_t slices;         /* closed by the timer */
    bool counting;
    uint64_t bytes_out_before, bytes_in_before, bytes_in_stopped; /* when counting began, ended */
    uint64_t replies_stopped;                                     /* the same */
    uint64_t cpu_from_ns, all_cpu_from_ns;                        /* this thread's, the process's */
    uint64_t stopped_ns, all_cpu_us; /* when it sent no more; the process's time until then */
    struct load_silence silences[LOAD_SILENCES_MAX];
    unsigned silence_count;
    bool sent_all;           /* nothing more is sent */
    bool last_awaited;       /* with -n, in a closed loop: all are sent, the last replies are due */
    bool holding, hold_told; /* with --hold: and the connections stay; the main loop knows */
    bool stopping, done_told;
    pthread_t thread;
    bool runs;
};

enum load_phase { LOAD_RESOLVING, LOAD_CONNECTING, LOAD_MEASURING, LOAD_DRAINING };

/* What belongs to an interval besides its figures, until it is told. */
struct load_open_interval {
    struct histogram *trips; /* owned */
    unsigned slices;         /* that it has */
};

struct load {
    const struct client_config *config;
    struct load_plan plan;
    struct loop *loop; /* the main thread's */
    struct journal *journal;
    struct resolve *resolve; /* NULL: none under way */
    struct deadline resolve_deadline;
    struct addrinfo *addresses;  /* owned; NULL: a unix socket's */
    struct load_worker *workers; /* owned */
    unsigned worker_count, up_count, stopped_count, hold_count, done_count;
    enum load_phase phase;
    unsigned signals;
    uint64_t first_connect_us;
    struct result result;
    int status; /* of the exit, for a run that did not begin */
    bool failed_early;
    _Atomic uint64_t late_after_ns; /* what a frame may wait before it is told as late */
    _Atomic uint64_t up, failed;    /* connections, for the live line */

    /* load_interval.c */
    struct load_open_interval *open_intervals; /* owned; one for each of the result's */
    size_t interval_room;
    struct live *live;
    struct event *live_timer;
    struct result_interval drawn;                 /* what the live line has not shown */
    struct histogram *drawn_trips, *drawn_before; /* owned: of this half second, of the last one */
    unsigned drawn_times;                         /* in this half second */
};

/* load_plan.c: from the options. 0, or a negative enum err with `e`. */
int load_plan_init(struct load_plan *plan, const struct client_config *config, struct error *e);
void load_plan_fini(struct load_plan *plan);
/* Whether so many descriptors can be had; raises the limit. 0, or ERR_RANGE with `e`. */
int load_plan_descriptors(struct load *load, struct error *e);

/* load_worker.c: makes a worker and its slots, not yet running. 0, or a negative enum err. */
int load_worker_init(struct load_worker *worker, struct load *load, unsigned number,
                     struct error *e);
void load_worker_fini(struct load_worker *worker);
/* Letters to a worker: the clock will start; send no more; the same, and do not
 * wait for connections under way; cut all. */
void load_worker_measure(void *worker);
void load_worker_stop(void *worker);
void load_worker_give_up(void *worker);
void load_worker_cut(void *worker);
/* Does what has become due: lets slots dial, as far as --connecting and --connect-rate allow; tells
 * the main loop when all are up, and when none is left. */
void load_worker_look(struct load_worker *worker);
/* Bytes on the wire so far; either may be NULL. */
void load_worker_bytes(const struct load_worker *worker, uint64_t *in, uint64_t *out);

/* load_admit.c: a letter to a worker: begin to connect. */
void load_admit_all(void *worker);
/* Lets the worker's next slots dial, as far as they may. */
void load_admit(void *worker);
/* The slot waits for its turn; none that waits will get one. */
void load_admit_queue(struct load_slot *slot);
void load_admit_nobody(struct load_worker *worker);

/* load_slots.c: the worker's blocks, by its count. 0 or ERR_MEMORY. */
int load_slots_make(struct load_worker *worker);
void load_slots_free(struct load_worker *worker);

/* load.c: letters of the workers to the main loop. */
void load_worker_up(void *load);
void load_worker_stopped(void *load);
void load_worker_holds(void *load);
void load_worker_done(void *load);

/* load_conn.c */
extern const struct conn_owner load_owner;
/* For a plan whose output cannot fill (fits_output): it need not hear of room, at every send. */
extern const struct conn_owner load_owner_fits;
/* Begins a life in a slot. */
void load_conn_dial(struct load_slot *slot);
/* The clock has started: begins to send, if it is open. */
void load_conn_begin(struct load_slot *slot);
/* The close, in order. */
void load_conn_finish(struct load_slot *slot, const char *why);
/* The same, if nothing is owed on it; else with the last reply. */
void load_conn_stop(struct load_slot *slot);
/* Ends it if a reply is owed. */
void load_conn_lose_patience(struct load_slot *slot);

/* Its first reply has come, or none is to: another may be on its way. */
void load_conn_off_the_way(struct load_slot *slot);

/* load_frame.c: what a connection's owner does with a frame, and with room in the output. */
void load_frame_came(struct conn *conn, const uint8_t *body, size_t n);
void load_frame_room(struct conn *conn);
/* Sends what may be sent now. */
void load_frame_more(struct load_slot *slot, uint64_t now_ns);
/* Sends one, which load_frame_may_send allows. Whether it was sent; if not, the connection ends. */
bool load_frame_may_send(const struct load_slot *slot);
bool load_frame_send(struct load_slot *slot, uint64_t meant_ns, uint64_t now_ns);
/* If no reply is waited for and all has been sent: the close. */
void load_frame_finish_sent(struct load_slot *slot);

/* load_differ.c: a reply that differs from `at` on; a reply to nothing. They end the connection. */
void load_differ_tell(struct load_slot *slot, uint64_t number, const uint8_t *got, size_t n,
                      size_t at);
void load_differ_unasked(struct load_slot *slot);

/* load_send.c: an open loop: sends what was due at `until_ns`, so much of it as one turn may, and
 * sets the timer for what comes next. Result: whether more was due. */
bool load_send_due(struct load_worker *worker, uint64_t until_ns);
/* Sends nothing of what was due then and is not sent yet: it has been noticed, and waits. */
void load_send_pass(struct load_worker *worker, uint64_t until_ns);
/* When a frame in flight, or one that is due, was meant to be sent. */
uint64_t load_intended_ns(const struct load_slot *slot, uint64_t number);
/* How many frames of the slot were due by `now_ns`; its share of --count. */
uint64_t load_send_due_count(const struct load_slot *slot, uint64_t now_ns);
uint64_t load_send_share(const struct load_slot *slot);
/* Nothing more will be sent on it. */
void load_send_forgo(struct load_slot *slot);

/* load_silence.c: keeps a silence that ends now; all of a run's that were common to the workers. */
void load_silence_note(struct load_worker *worker, uint64_t now_ns);
void load_silence_longest(const struct load *load, struct load_silence *longest);

/* load_interval.c: in a worker */
void load_slice_begin(struct load_worker *worker);
void load_slice_tick(struct load_worker *worker, uint64_t now_ns);
void load_slice_close(struct load_worker *worker, uint64_t number, uint64_t now_ns);
/* ... and in the main loop. load_live_begin: 0 or ERR_MEMORY. */
int load_live_begin(struct load *load);
void load_intervals_finish(struct load *load);
void load_intervals_free(struct load *load);

/* load_end.c: a failure's words into the result. */
void load_failure_text(struct result *result, const struct error *e);
/* Adds up what the workers have, judges, prints. Result: the exit status. */
int load_end(struct load *load);
/* The same of a run that did not begin: why. */
int load_end_early(struct load *load, enum fate fate, enum phase phase, const struct error *e);

static inline struct load_slot *load_slot_at(const struct load_worker *worker, uint64_t index)
{
    return &worker->blocks[index / LOAD_BLOCK_SLOTS]->slots[index % LOAD_BLOCK_SLOTS];
}

static inline struct load_block *load_slot_block(const struct load_slot *slot)
{
    return (struct load_block *)((uintptr_t)slot & ~(uintptr_t)(LOAD_BLOCK_BYTES - 1));
}

static inline struct load_worker *load_slot_worker(const struct load_slot *slot)
{
    return load_slot_block(slot)->worker;
}

/* Which of its worker's slots it is, and which connection of the run. */
static inline uint64_t load_slot_index(const struct load_slot *slot)
{
    const struct load_block *block = load_slot_block(slot);
    return block->first + (uint64_t)(slot - block->slots);
}

static inline uint64_t load_slot_connection(const struct load_slot *slot)
{
    const struct load_worker *worker = load_slot_worker(slot);
    return worker->number + load_slot_index(slot) * worker->cursor.stride;
}

/* How many frames of the slot are to be sent in all. */
static inline uint64_t load_send_limit(const struct load_slot *slot)
{
    return load_slot_worker(slot)->load->plan.shape.count == 0 ? UINT64_MAX : load_send_share(slot);
}

/* When a frame was sent that is in flight. */
static inline uint64_t load_send_ns(const struct load_slot *slot, uint64_t number)
{
    uint32_t mask = load_slot_worker(slot)->ring_mask;
    return mask == 0 ? slot->sent_ns : slot->ring_ns[number & mask];
}

#endif
