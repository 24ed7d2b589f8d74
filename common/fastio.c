/* Level 2, with transport.h. fastio: the transport that reads and sends at the kernel's pace, under
 * the same bufferevent.
 *
 * libevent's own reading asks FIONREAD, takes at most 4096 bytes into a chain just allocated, and
 * its writing adds an event, goes through the loop once more and takes the event away. Here
 * instead:
 *
 *  - The descriptor is in the loop's watches, not in libevent. When it is readable, one read fills
 *    the loop's scratch; the bytes are lent to the bufferevent's input by reference, and its read
 *    callback runs (bufferevent_trigger). What the callback leaves, the beginning of a frame, is
 *    copied out, with room for the rest of the frame, into which the next read goes directly.
 *  - What is sent from callbacks is gathered in one buffer of the loop's, long bodies by reference
 *    where they are held, and goes out in one call when the read callback has returned. What the
 *    kernel does not take goes to the bufferevent's output, and libevent sends it.
 *  - A bufferevent is only needed while there is something in it, and is otherwise in the loop's
 *    pool: an idle connection costs none.
 *
 * One connection at a time owns the gather buffer (`sender`); another that sends flushes it first.
 */
#include "config.h"

#include "transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "transport_internal.h"

#define SCRATCH_BYTES (256 * 1024) /* most that is read at once: fairness, and a bound */
#define GATHER_BYTES (64 * 1024)
#define GATHER_MOST (256 * 1024) /* sent when so much waits, by copy and by reference */
#define IN_PLACE_LEAST 4096      /* shorter bodies are copied: cheaper than another part */
#define PARTS_MOST 64
#define POOL_MOST 64

struct fastio {
    struct transport_gather gather; /* first; its `sender`: whose bytes are gathered, or NULL */
    struct loop *loop;
    SLIST_HEAD(, transport_lease) pool;
    unsigned pooled;
    SLIST_HEAD(transport_leases, transport_lease) untold;
    struct transport *serving; /* whose read callback runs */
    unsigned part_count;
    uint8_t *run;      /* the copies from here to gather.at are no part yet */
    bool lies_outside; /* some part is neither in `gather` nor lasting */
    const uint8_t *held, *held_end;
    struct reapable later;
    bool later_asked;
    struct iovec parts[PARTS_MOST];
    bool lasts[PARTS_MOST];
    uint8_t copies[GATHER_BYTES];
    uint8_t scratch[SCRATCH_BYTES];
};

static void flush_later(struct reapable *later);

/* --- the loop's part --- */

static void fastio_free(void *thing)
{
    struct fastio *f = thing;
    struct transport_lease *lease;

    while ((lease = SLIST_FIRST(&f->pool)) != NULL) {
        SLIST_REMOVE_HEAD(&f->pool, link);
        transport_lease_free(lease);
    }
    free(f);
}

bool fastio_is_there(struct loop *loop)
{
    struct fastio *f = loop_attached(loop);
    if (f == NULL) {
        f = malloc(sizeof *f);
        if (f != NULL) {
            memset(f, 0, offsetof(struct fastio, parts));
            f->loop = loop;
            f->later.reap = flush_later;
            f->gather.at = f->run = f->copies;
            f->gather.end = f->copies + GATHER_BYTES;
            loop_attach(loop, f, fastio_free);
        }
    }
    return f != NULL;
}

struct transport_lease *fastio_lease(struct loop *loop)
{
    struct fastio *f = loop_attached(loop);
    struct transport_lease *lease = SLIST_FIRST(&f->pool);

    if (lease != NULL) {
        SLIST_REMOVE_HEAD(&f->pool, link);
        f->pooled--;
        lease->started = false;
        lease->wanted = 0;
        return lease;
    }
    lease = transport_lease_new(loop, -1);
    if (lease != NULL) {
        /* Only we put anything in. */
        evbuffer_unfreeze(bufferevent_get_input(lease->bev), 0);
    }
    return lease;
}

static void give(struct fastio *f, struct transport_lease *lease)
{
    if (f->pooled >= POOL_MOST) {
        transport_lease_free(lease);
        return;
    }
    if (lease->bound) {
        /* Enabled, it would poll its next descriptor with nothing to send. */
        bufferevent_disable(lease->bev, EV_WRITE);
        bufferevent_setfd(lease->bev, -1);
        lease->bound = false;
    }
    SLIST_INSERT_HEAD(&f->pool, lease, link);
    f->pooled++;
}

/* Makes sure that there is one. 0 or ERR_MEMORY. */
static int take(struct transport *t)
{
    if (t->lease == NULL) {
        const struct transport_callbacks *callbacks = t->callbacks;
        t->lease = fastio_lease(t->loop);
        if (t->lease == NULL) {
            return ERR_MEMORY;
        }
        bufferevent_setcb(t->lease->bev, callbacks->read, callbacks->write, callbacks->event, t);
    }
    return 0;
}

/* Whether there is something in the bufferevent's output. */
static bool has_backlog(struct transport *t)
{
    if (t->backlog && evbuffer_get_length(bufferevent_get_output(t->lease->bev)) == 0) {
        t->backlog = false;
    }
    return t->backlog;
}

static void fast_rest(struct transport *t)
{
    if (t->lease != NULL && !t->failed && t->lease->untold == NULL && !has_backlog(t) &&
        transport_received(t) == 0) {
        give(loop_attached(t->loop), t->lease);
        t->lease = NULL;
    }
}

/* --- sending --- */

/* To the bufferevent's output, after what is there; libevent goes on from here. */
static int append(struct transport *t, const struct transport_bytes *bytes)
{
    if (take(t) < 0) {
        return ERR_MEMORY;
    }
    if (!t->lease->bound) {
        bufferevent_setfd(t->lease->bev, t->fd);
        t->lease->bound = true;
    }
    int result = transport_append(t->lease, bytes);
    t->backlog = true;
    if (!t->failed && result == 0 && bufferevent_enable(t->lease->bev, EV_WRITE) < 0) {
        result = ERR_MEMORY;
    }
    return result;
}

static void ready(struct watch *watch);

static void tell_lost(struct watch *watch)
{
    struct transport *t = (struct transport *)((char *)watch - offsetof(struct transport, watch));

    t->watch.ready = ready;
    errno = ENOMEM;
    t->callbacks->event(NULL, BEV_EVENT_WRITING | BEV_EVENT_ERROR, t);
}

/* Without memory for a bufferevent the watch tells: shut, the socket is readable at once. */
static void tell_by_watch(struct transport *t)
{
    shutdown(t->fd, SHUT_RD);
    t->watch.ready = tell_lost;
    loop_watch(t->loop, t->fd, &t->watch, WATCH_LEVEL, t->watched);
    t->watched = true;
}

/* Sending is over. Reaches the user as the bufferevent's event, once the calls under way are. */
static void fail(struct transport *t, int error)
{
    t->failed = true;
    if (take(t) < 0) {
        tell_by_watch(t);
        return;
    }
    bufferevent_disable(t->lease->bev, EV_WRITE);
    t->lease->failure = error;
    errno = error;
    bufferevent_trigger_event(t->lease->bev, BEV_EVENT_WRITING | BEV_EVENT_ERROR,
                              BEV_TRIG_DEFER_CALLBACKS);
}

/* What of the parts lies behind `sent` bytes. 0 or ERR_MEMORY. */
static int append_rest(struct fastio *f, struct transport *t, size_t sent)
{
    for (unsigned i = 0; i < f->part_count; i++) {
        const struct iovec *part = &f->parts[i];
        if (sent >= part->iov_len) {
            sent -= part->iov_len;
            continue;
        }
        struct transport_bytes bytes = {.body = (const uint8_t *)part->iov_base + sent,
                                        .body_length = part->iov_len - sent,
                                        .body_lasts = f->lasts[i]};
        sent = 0;
        if (append(t, &bytes) < 0) {
            return ERR_MEMORY;
        }
    }
    return 0;
}

static void add_part(struct fastio *f, const void *bytes, size_t n, bool lasts)
{
    f->parts[f->part_count] = (struct iovec){(void *)(uintptr_t)bytes, n};
    f->lasts[f->part_count++] = lasts;
}

/* The copies since the last part become one. */
static void end_run(struct fastio *f)
{
    if (f->gather.at > f->run) {
        add_part(f, f->run, (size_t)(f->gather.at - f->run), false);
        f->run = f->gather.at;
    }
}

static void empty(struct fastio *f)
{
    f->gather.sender = NULL;
    f->gather.at = f->run = f->copies;
    f->part_count = 0;
    f->lies_outside = false;
}

/* What the kernel did not take, `sent` bytes or an error: to the bufferevent. Of a failed sending
 * too, so that the bytes are counted as not sent. */
__attribute__((noinline)) static void flush_short(struct fastio *f, struct transport *t,
                                                  ssize_t sent, int error)
{
    bool failed = sent < 0 && error != EAGAIN && error != EINTR;
    size_t begins = sent < 0 ? 0 : (size_t)sent;
    uint32_t rest = t->gathered - (uint32_t)begins;

    t->gathered = 0;
    t->failed |= failed;
    if (append_rest(f, t, begins) < 0) {
        t->gathered = rest - (uint32_t)transport_unsent(t);
        error = failed ? error : ENOMEM;
        failed = true;
    }
    if (failed) {
        fail(t, error);
    }
}

/* Sends what is gathered, whosever it is. */
static void flush(struct fastio *f)
{
    struct transport *t = f->gather.sender;
    struct msghdr message = {.msg_iov = f->parts};
    ssize_t sent;

    if (t == NULL || t->gathered == 0) {
        f->gather.sender = NULL;
        return;
    }
    end_run(f);
    message.msg_iovlen = f->part_count;
    sent = f->part_count == 1 ? send(t->fd, f->parts[0].iov_base, f->parts[0].iov_len, MSG_NOSIGNAL)
                              : sendmsg(t->fd, &message, MSG_NOSIGNAL);
    if (sent == (ssize_t)t->gathered) {
        t->gathered = 0;
    } else {
        flush_short(f, t, sent, errno);
    }
    empty(f);
}

static void ask_later(struct fastio *f)
{
    if (!f->later_asked) {
        f->later_asked = true;
        loop_reap(f->loop, &f->later);
    }
}

/* One whom `ready` will not tell that all has been sent learns it later. */
static void tell_later(struct fastio *f, struct transport *t)
{
    if (t != f->serving && transport_unsent(t) == 0 && take(t) == 0 && t->lease->untold == NULL) {
        t->lease->untold = t;
        SLIST_INSERT_HEAD(&f->untold, t->lease, link);
        ask_later(f);
    }
}

/* Flushes amid calls of users, so that none can be told now. */
static void flush_amid(struct fastio *f)
{
    struct transport *t = f->gather.sender;

    flush(f);
    if (t != NULL && t->tells_sent) {
        tell_later(f, t);
    }
}

static void add_copy(struct fastio *f, const void *bytes, size_t n)
{
    if (n > 0) {
        memcpy(f->gather.at, bytes, n);
        f->gather.at += n;
    }
}

static bool is_held(const struct fastio *f, const uint8_t *body, size_t n)
{
    return body >= f->held && body + n <= f->held_end;
}

static int fast_send(struct transport *t, const struct transport_bytes *bytes)
{
    struct fastio *f = loop_attached(t->loop);
    size_t n = bytes->body_length, total = bytes->head_length + n + bytes->tail_length;
    bool long_body = n >= IN_PLACE_LEAST;
    bool stays = long_body && (bytes->body_lasts || is_held(f, bytes->body, n));
    bool at_once = total > (stays ? GATHER_MOST : GATHER_BYTES); /* from where it is, now */
    size_t copied = stays || at_once ? total - n : total;

    if (f->gather.sender != NULL &&
        (f->gather.sender != t || (size_t)(f->gather.end - f->gather.at) < copied ||
         f->part_count + 3 > PARTS_MOST || t->gathered + total > GATHER_MOST)) {
        flush_amid(f);
    }
    if (t->failed || has_backlog(t)) {
        return append(t, bytes);
    }
    if (f->gather.sender == NULL) {
        f->gather.sender = t;
        if (f->serving != t) {
            ask_later(f);
        }
    }
    add_copy(f, bytes->head, bytes->head_length);
    if (stays || at_once) {
        end_run(f);
        add_part(f, bytes->body, n, bytes->body_lasts);
        f->lies_outside |= !bytes->body_lasts;
    } else {
        add_copy(f, bytes->body, n);
    }
    add_copy(f, bytes->tail, bytes->tail_length);
    t->gathered += (uint32_t)total;
    if (at_once) {
        flush(f);
        tell_later(f, t); /* if it is to be told is only known when this has returned */
    }
    return 0;
}

static void fast_flush(struct transport *t)
{
    if (t->gathered > 0) {
        flush_amid(loop_attached(t->loop));
    }
}

/* The user of a transport that has sent all learns of it. */
static void tell_sent(struct transport *t)
{
    if (t->tells_sent && transport_unsent(t) == 0) {
        t->callbacks->write(NULL, t);
    }
}

static void tell_all(struct transport_leases *untold)
{
    struct transport_lease *lease;

    while ((lease = SLIST_FIRST(untold)) != NULL) {
        struct transport *t = lease->untold;
        SLIST_REMOVE_HEAD(untold, link);
        lease->untold = NULL;
        tell_sent(t);
        fast_rest(t);
    }
}

static void flush_later(struct reapable *later)
{
    struct fastio *f = (struct fastio *)((char *)later - offsetof(struct fastio, later));
    struct transport *t = f->gather.sender;

    struct transport_leases untold = f->untold;

    SLIST_INIT(&f->untold);
    f->later_asked = false;
    flush(f);
    if (t != NULL) {
        tell_sent(t);
    }
    tell_all(&untold);
}

void transport_hold(struct transport *t, const void *bytes, size_t n)
{
    struct fastio *f = loop_attached(t->loop);
    if (t->fast) {
        f->held = bytes;
        f->held_end = f->held + n;
    }
}

void transport_release(struct transport *t)
{
    struct fastio *f = loop_attached(t->loop);
    if (t->fast) {
        f->held = f->held_end = NULL;
        if (f->lies_outside) {
            flush_amid(f);
        }
    }
}

/* --- reading --- */

/* Where the rest of the open frame is to go: room in the input itself. Returns its length. */
static size_t reserve(struct transport *t, struct iovec *room)
{
    struct evbuffer_iovec space;
    size_t wanted = t->lease == NULL || transport_received(t) == 0 ? 0 : t->lease->wanted;

    if (wanted > SCRATCH_BYTES) {
        wanted = SCRATCH_BYTES;
    }
    if (wanted == 0 ||
        evbuffer_reserve_space(transport_input(t), (ev_ssize_t)wanted, &space, 1) != 1) {
        return 0;
    }
    *room = (struct iovec){space.iov_base, wanted};
    return wanted;
}

/* Puts what was read into the input: `n` bytes, the first `reserved` of them (or fewer) there
 * already. 0 or ERR_MEMORY. */
static int lend(struct fastio *f, struct transport *t, struct iovec *room, size_t reserved,
                size_t n)
{
    struct evbuffer_iovec filled = {room->iov_base, n < reserved ? n : reserved};

    if (take(t) < 0) {
        return ERR_MEMORY;
    }
    if (reserved > 0 && evbuffer_commit_space(transport_input(t), &filled, 1) < 0) {
        return ERR_MEMORY;
    }
    if (n > reserved &&
        evbuffer_add_reference(transport_input(t), f->scratch, n - reserved, NULL, NULL) < 0) {
        return ERR_MEMORY;
    }
    return 0;
}

/* What of the `n` bytes lent is among the `left` still in the input is copied out of the scratch. 0
 * or ERR_MEMORY. */
static int take_back(struct fastio *f, struct transport *t, size_t n, size_t left)
{
    struct evbuffer *in = transport_input(t), *before = NULL;
    size_t keep = left < n ? left : n;
    size_t ahead = t->lease->wanted < SCRATCH_BYTES ? t->lease->wanted : SCRATCH_BYTES;
    struct evbuffer_iovec room;
    int failed = 0;

    if (keep == 0) {
        return 0;
    }
    if (left > keep) {
        before = evbuffer_new();
        if (before == NULL || evbuffer_remove_buffer(in, before, left - keep) < 0) {
            failed = -1;
        }
    }
    evbuffer_drain(in, evbuffer_get_length(in));
    if (before != NULL) {
        failed |= evbuffer_add_buffer(in, before);
        evbuffer_free(before);
    }
    if (failed != 0 || evbuffer_reserve_space(in, (ev_ssize_t)(keep + ahead), &room, 1) != 1) {
        evbuffer_drain(in, evbuffer_get_length(in)); /* nothing is taken for what it is not */
        return ERR_MEMORY;
    }
    memcpy(room.iov_base, f->scratch + n - keep, keep);
    room.iov_len = keep;
    return evbuffer_commit_space(in, &room, 1) < 0 ? ERR_MEMORY : 0;
}

static void end_reading(struct transport *t, ssize_t n, int error)
{
    if (n < 0 && (error == EAGAIN || error == EINTR)) {
        return;
    }
    if (n == 0 && t->failed) {
        /* No FIN: what sending met has ended both directions, and may not have been told yet. */
        n = -1;
        error = t->lease != NULL ? t->lease->failure : ENOMEM;
    }
    errno = n < 0 ? error : 0;
    t->callbacks->event(NULL, BEV_EVENT_READING | (n < 0 ? BEV_EVENT_ERROR : BEV_EVENT_EOF), t);
}

static void serve(struct fastio *f, struct transport *t)
{
    struct iovec parts[2] = {{NULL, 0}, {f->scratch, SCRATCH_BYTES}};
    size_t reserved = reserve(t, &parts[0]);
    /* A frame longer than the room goes on alone, and is not copied. */
    int count = reserved < SCRATCH_BYTES ? 2 : 1;
    ssize_t n =
        reserved > 0 ? readv(t->fd, parts, count) : recv(t->fd, f->scratch, SCRATCH_BYTES, 0);
    if (n <= 0) {
        end_reading(t, n, errno);
        return;
    }
    size_t lent = (size_t)n > reserved ? (size_t)n - reserved : 0;
    if (lend(f, t, &parts[0], reserved, (size_t)n) < 0) {
        end_reading(t, -1, ENOMEM);
        return;
    }
    bufferevent_trigger(t->lease->bev, EV_READ, 0);
    size_t left = transport_received(t);
    if (left > 0 && take_back(f, t, lent, left) < 0) {
        end_reading(t, -1, ENOMEM);
    }
}

static void ready(struct watch *watch)
{
    struct transport *t = (struct transport *)((char *)watch - offsetof(struct transport, watch));
    struct fastio *f = loop_attached(t->loop);

    if (!t->reading) {
        loop_unwatch(t->loop, t->fd);
        t->watched = false;
        return;
    }
    f->serving = t;
    if (f->gather.sender == NULL && !t->backlog && !t->failed) {
        f->gather.sender = t; /* it will most likely answer */
    }
    serve(f, t);
    f->serving = NULL;
    if (f->gather.sender == t) {
        flush(f);
    }
    tell_sent(t);
    fast_rest(t);
}

/* Ending takes effect in `ready`: where the close follows at once, no call is spent on it. */
static int fast_read(struct transport *t, bool on)
{
    if (!on || t->watched) {
        return 0;
    }
    t->watch.ready = ready;
    t->watched = true;
    return loop_watch(t->loop, t->fd, &t->watch, WATCH_LEVEL, false);
}

static void fast_close(struct transport *t, bool reset)
{
    struct fastio *f = loop_attached(t->loop);

    if (f->gather.sender == t) {
        empty(f);
    }
    if (t->lease != NULL) {
        if (t->lease->untold != NULL) {
            SLIST_REMOVE(&f->untold, t->lease, transport_lease, link);
        }
        transport_lease_free(t->lease);
    }
    transport_close_fd(t->fd, reset);
}

const struct transport_kind transport_fast = {
    .read = fast_read,
    .send = fast_send,
    .flush = fast_flush,
    .rest = fast_rest,
    .close = fast_close,
};
