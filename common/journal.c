#include "config.h"

#include "journal.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "log.h"
#include "units.h"

/* What waits for the writer, at most; beyond it records are dropped and counted. */
#define QUEUE_BYTES_MAX (64u << 20)
#define BATCH_MAX 512
#define CLOSE_TOLD_S 1 /* a close that takes longer is told */

struct record {
    STAILQ_ENTRY(record) link;
    struct life life;
    size_t bytes;
};
STAILQ_HEAD(records, record);

struct journal {
    const struct journal_sink *sink;
    void *state;
    pthread_t writer;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t filled;
    struct records queue;
    size_t queue_bytes;
    bool closing;
    uint64_t dropped;
    struct error why; /* of the first drop */
};

static const struct journal_sink *const sinks[] = {&journal_jsonl};

static void record_free(struct record *record)
{
    life_fini(&record->life);
    free(record);
}

/* A copy that owns its texts. NULL: no memory. */
static struct record *record_of(const struct life *life)
{
    struct record *record = calloc(1, sizeof *record);
    if (record == NULL || life_copy(&record->life, life) < 0) {
        free(record);
        return NULL;
    }
    record->bytes = sizeof *record - sizeof record->life + life_bytes(life);
    return record;
}

static void count_dropped(struct journal *journal, uint64_t count, const struct error *why)
{
    pthread_mutex_lock(&journal->lock);
    if (journal->dropped == 0) {
        journal->why = *why;
    }
    journal->dropped += count;
    pthread_mutex_unlock(&journal->lock);
}

/* --- the writer's thread --- */

static void put_batch(struct journal *journal, struct records *batch)
{
    const char *lines[BATCH_MAX];
    unsigned count = 0;
    struct error e;
    struct record *record;

    while (count < BATCH_MAX && (record = STAILQ_FIRST(batch)) != NULL) {
        STAILQ_REMOVE_HEAD(batch, link);
        lines[count] = life_json(&record->life);
        record_free(record);
        if (lines[count] == NULL) {
            error_what(&e, "out of memory for a record");
            count_dropped(journal, 1, &e);
        } else {
            count++;
        }
    }
    if (journal->sink->put(journal->state, lines, count, &e) < 0) {
        count_dropped(journal, count, &e);
    }
    for (unsigned i = 0; i < count; i++) {
        free((char *)lines[i]);
    }
}

static void *write_records(void *arg)
{
    struct journal *journal = arg;
    bool closing = false;

    while (!closing) {
        struct records batch = STAILQ_HEAD_INITIALIZER(batch);
        pthread_mutex_lock(&journal->lock);
        while (STAILQ_EMPTY(&journal->queue) && !journal->closing) {
            pthread_cond_wait(&journal->filled, &journal->lock);
        }
        STAILQ_CONCAT(&batch, &journal->queue);
        journal->queue_bytes = 0;
        closing = journal->closing;
        pthread_mutex_unlock(&journal->lock);
        while (!STAILQ_EMPTY(&batch)) {
            put_batch(journal, &batch);
        }
    }
    return NULL;
}

/* --- the callers' side --- */

static const struct journal_sink *find_sink(const char *url, const char **rest, struct error *e)
{
    const char *colon = strchr(url, ':');
    if (colon != NULL && colon[1] == '\0') {
        error_what(e, "--journal %s: nothing follows the colon", url);
        error_mend(e, "write --journal jsonl:FILE, or jsonl:- for standard output");
        return NULL;
    }
    for (size_t i = 0; colon != NULL && i < sizeof sinks / sizeof *sinks; i++) {
        size_t length = strlen(sinks[i]->scheme);
        if (length == (size_t)(colon - url) && memcmp(url, sinks[i]->scheme, length) == 0) {
            *rest = colon + 1;
            return sinks[i];
        }
    }
    error_what(e, "--journal %s: no such kind of journal", url);
    error_mend(e, "write --journal jsonl:FILE, or jsonl:- for standard output");
    return NULL;
}

/* Signals are the main loop's: the writer is started with all of them blocked. */
static int start_writer(struct journal *journal)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&journal->writer, NULL, write_records, journal);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

int journal_check(const char *url, struct error *e)
{
    const char *rest;
    return find_sink(url, &rest, e) != NULL ? 0 : ERR_SYNTAX;
}

struct journal *journal_open(const char *url, struct error *e)
{
    const char *rest;
    const struct journal_sink *sink = find_sink(url, &rest, e);
    struct journal *journal = sink != NULL ? calloc(1, sizeof *journal) : NULL;
    if (journal == NULL) {
        if (sink != NULL) {
            error_what(e, "out of memory for the journal");
        }
        return NULL;
    }
    journal->sink = sink;
    STAILQ_INIT(&journal->queue);
    pthread_mutex_init(&journal->lock, NULL);
    pthread_cond_init(&journal->filled, NULL);
    if (sink->open(rest, &journal->state, e) < 0) {
        free(journal);
        return NULL;
    }
    int result = start_writer(journal);
    if (result != 0) {
        error_what(e, "cannot start the journal's thread: %s", strerror(result));
        sink->close(journal->state, NULL);
        free(journal);
        return NULL;
    }
    return journal;
}

void journal_put(struct journal *journal, const struct life *life)
{
    struct error e;
    struct record *record = record_of(life);
    if (record == NULL) {
        error_what(&e, "out of memory for a record");
        count_dropped(journal, 1, &e);
        return;
    }
    pthread_mutex_lock(&journal->lock);
    bool fits = journal->queue_bytes + record->bytes <= QUEUE_BYTES_MAX;
    if (fits) {
        journal->queue_bytes += record->bytes;
        STAILQ_INSERT_TAIL(&journal->queue, record, link);
        pthread_cond_signal(&journal->filled);
    }
    pthread_mutex_unlock(&journal->lock);
    if (!fits) {
        record_free(record);
        error_what(&e, "the sink is slower than the connections; the queue of 64 MiB was full");
        count_dropped(journal, 1, &e);
    }
}

bool journal_loses(struct journal *journal, struct error *e)
{
    pthread_mutex_lock(&journal->lock);
    bool loses = journal->dropped > 0;
    if (loses) {
        error_what(e, "journal: records are lost: %s", journal->why.what);
        error_mend(e, "%s", journal->why.mend);
    }
    pthread_mutex_unlock(&journal->lock);
    return loses;
}

/* A reader that has stopped would hold up the end without a word, and once the loop is gone signals
 * are ignored: then they end the program again. */
static void await_writer(struct journal *journal)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_TOLD_S;
    if (pthread_timedjoin_np(journal->writer, NULL, &until) == 0) {
        return;
    }
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    log_line(LOG_LEVEL_ERROR, "journal: its reader takes nothing, and is waited for; "
                              "SIGTERM or ^C ends this without the rest of the records");
    pthread_join(journal->writer, NULL);
}

int journal_close(struct journal *journal, struct error *e)
{
    int result = 0;

    pthread_mutex_lock(&journal->lock);
    journal->closing = true;
    pthread_cond_signal(&journal->filled);
    pthread_mutex_unlock(&journal->lock);
    await_writer(journal);
    if (journal->sink->close(journal->state, e) < 0) {
        result = ERR_SYSTEM;
    }
    if (journal->dropped > 0) {
        char count[64];
        error_what(e, "journal: %s lost: %s",
                   units_plural(count, sizeof count, journal->dropped, "record"),
                   journal->why.what);
        error_mend(e, "%s", journal->why.mend);
        result = ERR_SYSTEM;
    }
    pthread_cond_destroy(&journal->filled);
    pthread_mutex_destroy(&journal->lock);
    free(journal);
    return result;
}
