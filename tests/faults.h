/* faults: for tests: lets allocations fail, and the calls of fastio move fewer bytes than asked, or
 * none. A program with it is linked with FAULTS_LDFLAGS of tests.am. Threads: one. */
#ifndef SYNFIN_TESTS_FAULTS_H
#define SYNFIN_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum faults_call { FAULTS_SEND, FAULTS_RECEIVE };

/* All zero: nothing fails. */
struct faults {
    unsigned long allocations;         /* so many have been made, ours and libevent's */
    unsigned long fail_from, fail_end; /* those with numbers from, and below, these fail */
    unsigned long failed;              /* so many have */
    /* How many of `n` bytes may move, or a negative errno; NULL: all. */
    ssize_t (*moves)(enum faults_call call, int fd, size_t n);
    /* A send that took less than it should goes on after this made room; NULL: it does not. */
    void (*make_room)(int fd);
};
extern struct faults faults;

/* First of all: libevent's allocations are counted from here, and it is quiet about failures. */
void faults_begin(void);
/* `count` allocations fail, after `after` more. */
void faults_fail(unsigned long after, unsigned long count);

#endif
