#include "config.h"

#include "handler.h"

static void discard_frame(struct conn *conn, const uint8_t *body, size_t n)
{
    (void)conn;
    (void)body;
    (void)n;
}

const struct handler handler_discard = {
    .name = "discard",
    .meaning = "reads and says nothing",
    .owner = {.frame = discard_frame},
};
