/* life: the record of one connection's life, the same columns on both ends: phases, fates, counts,
 * who closed. Level 0. Threads: a life belongs to its connection's thread; the tables are constant.
 */
#ifndef SYNFIN_LIFE_H
#define SYNFIN_LIFE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

enum phase {
#define PHASE(NAME, word) PHASE_##NAME,
#include "phase.def"
#undef PHASE
    PHASE_COUNT
};
const char *phase_name(enum phase phase);

enum fate {
#define FATE(NAME, word, error, exit, ends, meaning) FATE_##NAME,
#include "fate.def"
#undef FATE
    FATE_COUNT
};
enum fate_end { FATE_ENDS_NONE, FATE_ENDS_FIN, FATE_ENDS_RST };
struct fate_row {
    const char *name;
    bool is_error;
    int exit_status;
    enum fate_end ends;
    const char *meaning;
};
const struct fate_row *fate_row(enum fate fate);

enum side { SIDE_CLIENT, SIDE_SERVER };
const char *side_name(enum side side);

/* Who sent the first FIN. BOTH: the FINs crossed. NOBODY: no FIN was exchanged. */
enum closed_first { FIRST_NOBODY, FIRST_LOCAL, FIRST_PEER, FIRST_BOTH };
const char *closed_first_name(enum closed_first first);
/* Who holds TIME_WAIT: who closed first, if both FINs were exchanged and no RST ended it (RFC
 * 9293 3.6.1); "ours", "theirs", "both", "nobody". */
enum time_wait { TIME_WAIT_NOBODY, TIME_WAIT_OURS, TIME_WAIT_THEIRS, TIME_WAIT_BOTH };
const char *time_wait_name(enum time_wait holder);

/* A socket address without the room for a unix path, which `life` borrows instead. */
union life_address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* One attempt to connect, in the order made. */
struct life_attempt {
    union life_address address;
    uint64_t began_us; /* since the life began */
    uint64_t took_us;
    int error; /* errno, or 0 for the one that connected */
};

/* What TCP_INFO said before our shutdown (or, if there was none, at the end). `known` is false for
 * unix sockets. */
struct life_kernel {
    bool known;
    uint32_t rtt_us, rttvar_us, mss_bytes, cwnd_segments;
    uint32_t retransmits, lost_segments;
    uint64_t delivery_rate_bytes; /* per second */
    uint64_t acked_bytes;         /* of ours, by the peer */
};

struct life {
    uint64_t number; /* within this run; with life_run() globally unique */
    enum side side;
    enum phase phase;    /* now */
    uint64_t start_us;   /* wall clock */
    uint64_t began_us;   /* monotonic; all of the following "at" stamps too, 0: not yet */
    uint64_t entered_us; /* at: when `phase` was entered */
    unsigned phases;     /* bit 1 << phase for each entered */
    uint64_t phase_us[PHASE_COUNT];    /* lengths; final once the phase is left */
    uint64_t ended_us;                 /* at */
    uint64_t fin_sent_us, fin_seen_us; /* at: our FIN, the peer's */
    uint64_t first_frame_us;           /* at: the first whole frame received */
    union life_address local, remote;  /* sa_family AF_UNSPEC until known */
    const char *path;                  /* borrowed: the unix socket's path, or NULL */
    uint64_t frames_in, frames_out;    /* whole frames decoded; frames handed to the transport */
    uint64_t bytes_in, bytes_out; /* on the wire, headers included; out: written to the socket */
    uint64_t accepted;            /* of frames_in: decoded before our drain began */
    uint64_t discarded;           /* of frames_in: decoded later and not handled */
    uint64_t unanswered; /* accepted frames without a reply written and acknowledged; see conn.h */
    uint64_t bytes_after_fin; /* received after our FIN was sent */
    uint64_t unread_bytes;    /* in the kernel (FIONREAD) or in our buffer at the end */
    uint64_t unacked_bytes;   /* ours: in our buffer or in the kernel (SIOCOUTQ) at the end */
    enum fate fate;
    enum phase failed_at; /* the phase in which the fate was decided, if it is a failure */
    char *detail;         /* owned: the evidence in words, or NULL */
    char *mend;           /* owned: what to do about it, where this end's code knows, or NULL */
    enum closed_first closed_first;
    enum time_wait time_wait;
    struct life_kernel kernel;
    unsigned attempt_count;
    struct life_attempt *attempts; /* owned; client only */
};

/* This process's random part of the unique ids, the same for the whole run (from getrandom). */
uint64_t life_run(void);

/* The phases of a side in their order, the first where its life begins. */
const enum phase *life_phases(enum side side, unsigned *count);

/* Starts a life now: a number of its own, fate clean, its first phase by side. A server's life
 * began `queue_us` ago (its wait in the accept queue); the client passes 0. */
void life_init(struct life *life, enum side side, uint64_t queue_us);
/* Releases what it owns (detail, mend, attempts). */
void life_fini(struct life *life);

/* Moves to another phase: the only way. Checks that the move is allowed (assert), stamps, and logs
 * "#N from > to   why" at LOG_LEVEL_PHASE. Entering PHASE_CLOSE is allowed from everywhere. */
void life_move(struct life *life, enum phase to, const char *why);
/* Ends the last phase (PHASE_CLOSE) and logs it. */
void life_end(struct life *life, const char *why);
/* Whether `to` may follow `from` on that side. */
bool life_may_move(enum side side, enum phase from, enum phase to);

/* Names the fate and, in printf's format, the evidence; the first failure named stays, later ones
 * are ignored. Returns whether it was taken. */
bool life_fail(struct life *life, enum fate fate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Names the mend of a failure just taken by life_fail ("" is none). */
void life_mend(struct life *life, const char *text);

/* From began to ended (or now), microseconds. */
uint64_t life_total_us(const struct life *life);

/* An address as text: "127.0.0.1:41872", "[::1]:9000", "unix:/run/echo.sock", "-" while unknown.
 * Returns buf. */
#define LIFE_ADDRESS_TEXT 128
const char *life_address_text(char buf[LIFE_ADDRESS_TEXT], const union life_address *address,
                              const char *path);

/* The record as one JSON object on one line (no newline at its end), allocated; NULL if memory ran
 * out. Columns: life_text.c. */
char *life_json(const struct life *life);
/* The account of a life for a person: the stages with their times, frames and bytes, fate, who
 * closed first. To `out`, several lines. */
void life_account(const struct life *life, FILE *out);

#endif
