/* trace: a frame in hex for a person (-x).
 * Level 0. Threads: any. */
#ifndef SYNFIN_TRACE_H
#define SYNFIN_TRACE_H

#include <stddef.h>
#include <stdint.h>

/* One frame to stderr, the first 256 bytes of its wire form: when (since the connection began),
 * direction ('>' ours, '<' the peer's), number, length, header | body | trailer in hex, text beside
 * it. Long frames take several lines of 16 bytes. `conn_number` is shown where it is not 0. */
void trace_frame(uint64_t since_us, uint64_t conn_number, char direction, uint64_t frame_number,
                 const uint8_t *head, size_t head_length, const uint8_t *body, size_t body_length,
                 const uint8_t *tail, size_t tail_length);

#endif
