/* talk_internal: what talk.c (the connection's owner), talk_end.c (when our FIN goes) and
 * talk_run.c (from set-up to exit status) share; for these only.
 * Threads: the loop's. */
#ifndef SYNFIN_TALK_INTERNAL_H
#define SYNFIN_TALK_INTERNAL_H

#include "by_hand.h"
#include "client_config.h"
#include "conn.h"
#include "dial.h"
#include "input.h"
#include "output.h"

struct talk {
    const struct client_config *config;
    struct loop *loop;
    struct conn *conn; /* NULL once closed */
    struct dial *dial;
    struct input *input;
    struct output *output;
    struct by_hand hand;
    struct life life; /* taken over from the connection when it is closed */
    bool open;        /* frames can be sent */
    bool input_done;  /* no more frames will be sent */
    bool drain_told;  /* the connection waits for conn_nothing_owed */
    bool finished;    /* nothing more is waited for: our FIN may go */
    uint64_t sent, replies;
    unsigned signals;
    struct deadline wait;  /* for replies */
    uint64_t wait_bytes;   /* received when it was set */
    size_t wait_unsent;    /* and what the peer had not taken */
    struct reapable check; /* runs talk_end_check at the end of a turn */
    bool check_queued;
    bool output_failed;
    struct error output_error;
};

/* talk.c */
extern const struct conn_owner talk_owner;
extern const struct output_owner talk_output_owner;
/* More on standard input. */
void talk_input_ready(void *arg);
void talk_on_signal(int signal_number, void *arg);

/* talk_end.c: looks, at the end of this turn of the loop, whether all that was asked for is there.
 * To be called whenever that may have changed. */
void talk_end_look(struct talk *talk);
/* Nothing more is waited for. */
void talk_end_finish(struct talk *talk, const char *why);

#endif
