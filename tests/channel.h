/* channel: for tests: what a program's stdin or stdout can be: its end, which it finds blocking and
 * shares with the test, and ours. Threads: one. */
#ifndef SYNFIN_TESTS_CHANNEL_H
#define SYNFIN_TESTS_CHANNEL_H

#include <stdbool.h>

enum channel_kind { CHANNEL_FILE, CHANNEL_PIPE, CHANNEL_TERMINAL, CHANNEL_SOCKET, CHANNEL_COUNT };
extern const char *const channel_kinds[CHANNEL_COUNT];

struct channel {
    enum channel_kind kind;
    int theirs, ours; /* a file has no end of ours: -1 */
};

/* To be read by the program (`input`) or written. A terminal hands lines over as they are, knows
 * ^D, and does not echo. */
struct channel channel_open(enum channel_kind kind, bool input);

#define CHANNEL_TEXT "first\nsecond\n\nlast\n"
/* Writes CHANNEL_TEXT and the end; reads exactly it (of a file: what is there by now). */
void channel_feed(struct channel *channel);
void channel_expect(struct channel *channel);

/* That its open file is blocking still. */
void channel_assert_blocking(int fd);

#endif
