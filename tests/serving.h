/* serving: for tests of synfind: what they share beside pair, peer and wire. Threads: one. */
#ifndef SYNFIN_TESTS_SERVING_H
#define SYNFIN_TESTS_SERVING_H

#include <stdint.h>

#include "pair.h"
#include "peer.h"
#include "records.h"

/* Fails unless the program's stderr holds the text. */
void serving_expect_err(struct program *program, const char *text);

/* `count` u32be frames of `body` bytes, numbered. Free it. */
uint8_t *serving_frames(unsigned count, unsigned body);

/* The journal's URL (valid until the next call) and what is in it. */
const char *serving_journal(void);
struct records serving_records(void);
unsigned serving_count_fate(const struct records *records, const char *fate);

/* peers_run with the usual deadline. */
void serving_run(struct peers *peers, unsigned done);

#endif
