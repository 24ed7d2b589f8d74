/* by_hand: what a person at a terminal is told: what a line is, and a hint when no answer comes.
 * Threads: the loop's. */
#ifndef SYNFIN_BY_HAND_H
#define SYNFIN_BY_HAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client_config.h"
#include "loop.h"

#define BY_HAND_KEPT 24

/* Embedded in its owner, who zeroes it first. All of it does nothing until by_hand_begin. */
struct by_hand {
    struct loop *loop; /* NULL: nobody sits there */
    const struct client_config *config;
    struct frame_state state; /* of the frames sent */
    struct deadline hint;
    bool hinted;
    bool waits;                  /* the input has ended */
    uint8_t first[BY_HAND_KEPT]; /* the first bytes of the frame that waits longest */
    size_t first_length;
    uint64_t body_length; /* of that frame */
};

/* The first line. */
void by_hand_begin(struct by_hand *hand, struct loop *loop, const struct client_config *config);
/* A frame was sent; an answer, or part of one, came; the input has ended and an answer is waited
 * for; nothing more is waited for. */
void by_hand_sent(struct by_hand *hand, const uint8_t *body, size_t n);
void by_hand_answered(struct by_hand *hand);
void by_hand_wait(struct by_hand *hand);
void by_hand_end(struct by_hand *hand);

#endif
