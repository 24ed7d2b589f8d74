/* talk_run: for tests: the client against a raw peer in this process, and what it left behind.
 * Threads: one. */
#ifndef SYNFIN_TESTS_TALK_RUN_H
#define SYNFIN_TESTS_TALK_RUN_H

#include "pair.h"
#include "raw_peer.h"

struct talk_run {
    struct program *client;
    char port[8];
    int listener;
    int fd; /* the connection */
    int in; /* the writing end of its stdin, or -1 */
};

/* Starts `synfin OPTIONS... 127.0.0.1 PORT` with this text as a file on stdin (NULL: a pipe, whose
 * writing end is run->in) and accepts its connection. Options are NULL-ended. */
void talk_start(struct talk_run *run, const char *input, const char *option, ...);
/* More for its stdin; the end of it. */
void talk_type(struct talk_run *run, const char *text);
void talk_type_end(struct talk_run *run);

/* Waits for its end: this exit status and this stdout, and each of the texts (NULL-ended) on
 * stderr; with no text, nothing at all on stderr. The record is there, with this fate. */
void talk_ends(struct talk_run *run, int status, const char *fate, const char *out,
               const char *text, ...);
/* A member of its record. */
long talk_record(struct talk_run *run, const char *key);
const char *talk_record_text(struct talk_run *run, const char *key);

/* Holds what `client` said against these texts (NULL-ended; none: silence). */
void talk_said(struct program *client, const char *text, ...);

#endif
