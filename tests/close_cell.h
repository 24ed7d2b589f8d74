/* close_cell: for tests: runs one cell of the close contract's table: many connections between one
 * of our programs and raw peers with one script, and judges every close by our record, by what the
 * peer got, and by the kernel's table. */
#ifndef SYNFIN_TESTS_CLOSE_CELL_H
#define SYNFIN_TESTS_CLOSE_CELL_H

#include "peer.h"

/* What each peer sends and expects: whole frames of u32be, of 44 to 2004 bytes; and after them the
 * beginning of another where `cut` is not 0. PART ends inside a frame, with 64 KiB before it and 64
 * KiB after. */
#define CLOSE_FRAMES 136u
#define CLOSE_WHOLE (CLOSE_FRAMES * 1024u)
#define CLOSE_PART 70000u
#define CLOSE_IN_HEADER 2
#define CLOSE_IN_BODY 40

/* How much of what it is entitled to must have reached a receiver. */
enum close_owed {
    OWED_ALL,      /* every byte */
    OWED_ACCEPTED, /* the replies to the frames that the record calls accepted, and no byte more */
    OWED_SENT,     /* what the record says was sent */
    OWED_SOME,     /* as much as there was before the connection was cut: only its order counts */
};

struct close_cell {
    const char *name;
    const char *options; /* of our program, separated by blanks; SOON: a deadline that is to pass */
    size_t cut;
    struct peer_step steps[PEER_STEPS_MAX];
    const char *fate, *first, *time_wait;
    enum close_owed peer_gets;
    enum close_owed we_print; /* client */
    int exit_status;          /* of the client; of the server, at the end */
};

/* `count` connections of raw peers to one synfind. PEER_MEET in the script: SIGTERM. */
void close_cell_server(const struct close_cell *cell, unsigned count);
/* `count` processes of synfin, `together` at a time, to one listening raw peer. */
void close_cell_client(const struct close_cell *cell, unsigned count, unsigned together);

#endif
