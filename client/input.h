/* input: the bodies on standard input, pulled one by one; nothing is read that is not asked for.
 * Threads: the loop's. */
#ifndef SYNFIN_INPUT_H
#define SYNFIN_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client_config.h"
#include "err.h"
#include "loop.h"

struct input;

/* `ready` runs in the loop when there is more after INPUT_WAIT. `format` is borrowed. NULL with
 * `e`: standard input is closed or a directory, or no memory. */
struct input *input_new(struct loop *loop, const struct stdio_format *format,
                        void (*ready)(void *arg), void *arg, struct error *e);
void input_free(struct input *input);
bool input_is_terminal(const struct input *input);

enum input_result {
    INPUT_FRAME,  /* *body and *n are filled, borrowed until the next call */
    INPUT_WAIT,   /* nothing for now; `ready` will run */
    INPUT_END,    /* the end was reached */
    INPUT_FAILED, /* `e` says why, and where: this and all after it is lost */
};
enum input_result input_next(struct input *input, const uint8_t **body, size_t *n, struct error *e);

/* Frames returned so far; the open one has this number plus one. */
uint64_t input_frames(const struct input *input);

/* No more is wanted: `ready` will not run, and input_next says INPUT_END. */
void input_stop(struct input *input);
/* Whether anything is left that input_next has not returned: buffered, or there to be read without
 * waiting. False for a terminal. Reads; to be asked at the end. */
bool input_has_more(struct input *input);

#endif
