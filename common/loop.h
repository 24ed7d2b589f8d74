/* loop: an event_base with a mailbox, signals, deadlines, watches and a reaper; one a thread.
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
/* Before loop_run: where nothing is to be done, watches are asked again and again for so long
 * before the thread sleeps. 0: it sleeps at once. */
void loop_busy_poll(struct loop *loop, uint64_t us);

/* A thing of a higher level's that is the loop's, one: loop_free frees it, last. */
void loop_attach(struct loop *loop, void *thing, void (*free_thing)(void *thing));
struct loop_slot { /* what every loop begins with */
    void *attached;
};
static inline void *loop_attached(const struct loop *loop)
{
    return ((const struct loop_slot *)(const void *)loop)->attached;
}

/* Watches: readiness to read, for many descriptors. All are in one epoll, which is a single event
 * of the base, so each costs the loop no memory and no work of libevent's. Embed the struct and
 * fill `ready`; the watch must stay where it is until the descriptor is closed or unwatched and the
 * callbacks under way have returned (free it from the reaper): `ready` may still run once. */
struct watch {
    void (*ready)(struct watch *watch);
};
enum watch_mode {
    WATCH_LEVEL, /* runs `ready` as long as there is something to read, an end or an error */
    WATCH_EDGE,  /* runs `ready` each time the descriptor's state has changed */
};
/* `again`: the descriptor is watched already. Closing it ends the watch. 0, ERR_MEMORY or
 * ERR_SYSTEM. */
int loop_watch(struct loop *loop, int fd, struct watch *watch, enum watch_mode mode, bool again);
void loop_unwatch(struct loop *loop, int fd);

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
 * inside a callback of its own; from inside a `reap`, in a later turn of the loop. Not again before
 * it has run. */
struct reapable {
    STAILQ_ENTRY(reapable) link;
    void (*reap)(struct reapable *reapable);
};
void loop_reap(struct loop *loop, struct reapable *reapable);

/* Signals: the main loop only. `fn` runs in the loop. Result 0, ERR_MEMORY or ERR_SYSTEM.
 * loop_free takes them back and leaves the signals ignored. */
int loop_on_signal(struct loop *loop, int signal_number, void (*fn)(int signal_number, void *arg),
                   void *arg);

#endif
