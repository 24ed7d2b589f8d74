/* loop: an event_base with a mailbox, signals, deadlines and a reaper; one a thread.
 * Level 1. Threads: a loop belongs to the thread that runs it; only loop_post may be called from
 * others. */
#ifndef SYNFIN_LOOP_H
#define SYNFIN_LOOP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "err.h"

struct loop;

/* NULL with `e` on failure. loop_free frees what is still in the mailbox unrun (their `arg` is the
 * poster's to care for); everything else must have been taken out before. */
struct loop *loop_new(struct error *e);
void loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);

/* Runs until loop_stop. Result 0 or ERR_SYSTEM. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Mailbox: runs fn(arg) in the loop's thread, in order of posting. From any thread. Result 0 or
 * ERR_MEMORY. */
int loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Deadlines: queues of equal lengths with one timer, so that setting one is O(1) and costs no
 * event. Embed the struct; zero it first. */
struct deadline {
    TAILQ_ENTRY(deadline) link;
    struct deadline_queue *queue; /* NULL: not set */
    uint64_t due_us;
    void (*passed)(struct deadline *deadline);
};
/* Sets (again) to `length_us` from now; `passed` runs once, in the loop, after which it is unset.
 * length_us 0 unsets. Result 0, or ERR_MEMORY the first time a length is used. */
int deadline_set(struct loop *loop, struct deadline *deadline, uint64_t length_us,
                 void (*passed)(struct deadline *));
void deadline_unset(struct deadline *deadline);

/* Reaper: runs `reap` in this loop after the callbacks under way have returned, so nothing is freed
 * inside a callback of its own. Not again before it has run. */
struct reapable {
    TAILQ_ENTRY(reapable) link;
    void (*reap)(struct reapable *reapable);
};
void loop_reap(struct loop *loop, struct reapable *reapable);

/* Signals: the main loop only. `fn` runs in the loop. Result 0, ERR_MEMORY or ERR_SYSTEM.
 * loop_free takes them back and leaves the signals ignored. */
int loop_on_signal(struct loop *loop, int signal_number, void (*fn)(int signal_number, void *arg),
                   void *arg);

#endif
