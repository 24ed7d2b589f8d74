/* load_run: for tests: runs `synfin --load` against a server and reads its result, and what the
 * server's journal says of the same connections. Threads: one. Use between pair_begin and pair_end.
 */
#ifndef SYNFIN_TESTS_LOAD_RUN_H
#define SYNFIN_TESTS_LOAD_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "pair.h"

struct load {
    struct program *client;
    json_t *json; /* -J's object, or that of the end event of --json-stream */
};

/* Starts `synfin --load` with these options (NULL-ended) towards the server; with -J, unless they
 * hold --json-stream. */
struct program *load_start(const struct program *server, const char *option, ...)
    __attribute__((sentinel));
/* Waits for its end and reads its result, which fails the test unless it is whole. */
struct load load_end(struct program *client);
/* Both. */
struct load load_run(const struct program *server, const char *option, ...)
    __attribute__((sentinel));
void load_free(struct load *load);

/* Fails the test unless it ended so; the message shows its verdict. */
void load_ends(const struct load *load, int status, const char *word);

/* A member, by its key or, for one inside of another, "fates.clean". A fate that is not there is 0;
 * anything else must be there. load_text: "" for null. */
int64_t load_number(const struct load *load, const char *key);
double load_real(const struct load *load, const char *key);
const char *load_text(const struct load *load, const char *key);
bool load_is_null(const struct load *load, const char *key);

/* Holds what these clients printed against doc/synfin-result.schema.json, by a validator that is
 * not ours. False, and nothing was checked: there is none here. */
bool load_fits_schema(struct program *const *clients, unsigned count);

/* What a journal says in all. */
struct account {
    unsigned lives, clean;
    int64_t frames_in, frames_out, bytes_in, bytes_out, unanswered, discarded;
};
/* "jsonl:..." in the test's folder; valid for four calls. */
const char *load_journal(const char *name);
struct account load_account(const char *name);
/* The server drains; both ends counted the same connections, all clean, frames and bytes. `name`:
 * its journal's. */
void load_agrees(const struct load *load, struct program *server, const char *name);

#endif
