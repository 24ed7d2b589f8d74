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

/* A unix socket's address: its path is borrowed. Packed: a pointer would make every address longer.
 */
struct life_unix {
    sa_family_t family; /* AF_UNIX */
    const char *path;
} __attribute__((packed, aligned(4)));

/* A socket address. sa_family AF_UNSPEC: not known. */
union life_address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct life_unix un;
};

/* One attempt to connect, in the order made. */
struct life_attempt {
    union life_address address;
    uint64_t began_us; /* since the life began */
    uint64_t took_us;
    int error; /* errno, or 0 for the one that connected */
};

/* What TCP_INFO said before our shutdown (or, if there was none, at the end). */
struct life_kernel {
    uint32_t rtt_us, rttvar_us, mss_bytes, cwnd_segments;
    uint32_t retransmits, lost_segments;
    uint64_t delivery_rate_bytes; /* per second */
    uint64_t acked_bytes;         /* of ours, by the peer */
};

/* The first phases of both sides share a slot: no life goes through both. */
#define LIFE_PHASE_SLOTS (PHASE_COUNT - 1)

/* Small, because a million of them are kept: what can be derived is (the functions below), and what
 * only some need is behind a pointer. */
struct life {
    /* What each frame touches, together. */
    enum phase phase : 5;     /* now */
    enum phase failed_at : 5; /* the phase in which the fate was decided, if it is a failure */
    enum fate fate : 8;
    enum side side : 1;
    enum closed_first closed_first : 2;
    enum time_wait time_wait : 2;
    bool ended : 1;
    uint16_t attempt_count;       /* of `attempts` */
    uint16_t phases;              /* bit 1 << phase for each entered */
    uint64_t fin_sent_us;         /* at: our FIN */
    uint64_t first_frame_us;      /* at: the first whole frame received */
    uint64_t frames_out;          /* handed to the transport */
    uint64_t bytes_in, bytes_out; /* on the wire, headers included; out: written to the socket */
    uint64_t accepted;            /* frames decoded before our drain began */

    uint64_t discarded;                  /* frames decoded later and not handled */
    uint64_t fin_seen_us;                /* at: the peer's FIN */
    uint64_t number;                     /* within this run; with life_run() globally unique */
    uint64_t began_us;                   /* monotonic; all "at" stamps too, 0: not yet */
    uint64_t phase_us[LIFE_PHASE_SLOTS]; /* lengths of the phases left: life_phase_us */
    uint64_t unanswered; /* accepted frames without a reply written and acknowledged; see conn.h */
    uint64_t bytes_after_fin;      /* received after our FIN was sent */
    char *detail;                  /* owned: the evidence in words, or NULL; life_mend_text */
    struct life_kernel *kernel;    /* owned; NULL: not asked, or a unix socket */
    struct life_attempt *attempts; /* owned; client only. NULL: one, and it connected, or none */
    union life_address local, remote;
    uint32_t unread_bytes;  /* in the kernel (FIONREAD) or in our buffer at the end; saturates */
    uint32_t unacked_bytes; /* ours: in our buffer or in the kernel (SIOCOUTQ) at the end; saturates
                             */
};
_Static_assert(sizeof(struct life) <= 248, "a life is kept for each of a million connections");
_Static_assert(PHASE_COUNT <= 16 && FATE_COUNT <= 256, "the fields that hold them");

/* This process's random part of the unique ids, the same for the whole run (from getrandom). */
uint64_t life_run(void);

/* The phases of a side in their order, the first where its life begins. */
const enum phase *life_phases(enum side side, unsigned *count);

/* Starts a life now: a number of its own, fate clean, its first phase by side. A server's life
 * began `queue_us` ago (its wait in the accept queue); the client passes 0. */
void life_init(struct life *life, enum side side, uint64_t queue_us);
/* Releases what it owns (detail, mend, kernel, attempts). */
void life_fini(struct life *life);
/* Moves a life with all it owns; `from` owns nothing after it. */
void life_take(struct life *to, struct life *from);
/* A copy that owns copies. 0, or ERR_MEMORY: *to is as life_fini leaves it. */
int life_copy(struct life *to, const struct life *from);
/* What a life takes with all it owns, about. */
size_t life_bytes(const struct life *life);
/* The path of the unix socket it goes through, borrowed, as this side's address or the peer's. */
void life_set_path(struct life *life, const char *path);

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
/* What to do about it, where this end's code knows, or NULL. */
const char *life_mend_text(const struct life *life);

/* Microseconds: a phase's length, final once it is left, 0 before; from began to ended (or now);
 * the stamp at which the phase it is in was entered. */
uint64_t life_phase_us(const struct life *life, enum phase phase);
uint64_t life_total_us(const struct life *life);
uint64_t life_entered_us(const struct life *life);
/* When it began, by the wall clock as it goes now. */
uint64_t life_start_us(const struct life *life);
/* Whole frames decoded. */
uint64_t life_frames_in(const struct life *life);

/* An address as text: "127.0.0.1:41872", "[::1]:9000", "unix:/run/echo.sock", "-" while unknown.
 * Returns buf. */
#define LIFE_ADDRESS_TEXT 128
const char *life_address_text(char buf[LIFE_ADDRESS_TEXT], const union life_address *address);

/* The record as one JSON object on one line (no newline at its end), allocated; NULL if memory ran
 * out. Columns: life_text.c. */
char *life_json(const struct life *life);
/* The account of a life for a person: the stages with their times, frames and bytes, fate, who
 * closed first. To `out`, several lines. */
void life_account(const struct life *life, FILE *out);

#endif
