#include "config.h"

#include "handler.h"

static void echo_frame(struct conn *conn, const uint8_t *body, size_t n)
{
    handler_send(conn, body, n);
}

const struct handler handler_echo = {
    .name = "echo",
    .meaning = "sends each frame back",
    .answers = true,
    .owner = {.frame = echo_frame},
};
