/* frame: codecs, which say where one message ends and the next begins.
 * Level 0: pure, over memory; no allocation, no I/O, no libevent (frame_buffer.h puts it over
 * evbuffers). Threads: a codec is constant once parsed; a state belongs to one direction of one
 * connection. */
#ifndef SYNFIN_FRAME_H
#define SYNFIN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"

enum frame_kind {
    FRAME_LENGTH,
    FRAME_VARINT,
    FRAME_NETSTRING,
    FRAME_OCTET,
    FRAME_DELIMITER,
    FRAME_RAW
};

#define FRAME_HEAD_MAX 32 /* longest header (and longest delimiter) any codec can have */
#define FRAME_OPTION_MAX (UINT64_C(1) << 30)         /* what --max-frame takes: far from 32 bits */
#define FRAME_LIMIT_MAX ((uint64_t)INT64_MAX - 1024) /* a larger max_body is cut to this */

/* A codec: a row of the table, or what a text with parameters was parsed into. */
struct frame_codec {
    char name[64]; /* as given, for messages */
    enum frame_kind kind;
    bool strip; /* the header is taken off what is handed over; else a frame's body includes it */
    uint8_t offset; /* LENGTH, VARINT: bytes before the field */
    uint8_t width;  /* LENGTH: 1 2 3 4 8; VARINT: the longest allowed, bytes */
    bool little;    /* LENGTH: byte order */
    int64_t adjust; /* LENGTH, VARINT: bytes that follow the header = field + adjust */
    uint8_t start_length, end_length; /* DELIMITER */
    uint8_t start[FRAME_HEAD_MAX], end[FRAME_HEAD_MAX];
    uint8_t back[FRAME_HEAD_MAX]; /* DELIMITER: with i bytes of end matched and the next one wrong,
                                     back[i] are */
    const struct frame_codec
        *first;        /* the codec of a client's first message, if it is a different one */
    uint64_t max_body; /* the limit (--max-frame), bytes of body */
};

/* Parses "u32be", "u32be:adjust=-4", "field:offset=2,width=2,order=be,adjust=0,strip=no",
 * "delim:0d0a", "mysql" ... into *codec, with the limit. Result 0, ERR_SYNTAX or ERR_RANGE with `e`
 * filled (it names the nearest codecs and --frame list). */
int frame_codec_parse(struct frame_codec *codec, const char *text, uint64_t max_body,
                      struct error *e);
/* The table for a person (--frame list). */
void frame_codec_list(FILE *out);

/* Whose messages a state decodes or encodes (for `first`). */
enum frame_from { FRAME_FROM_CLIENT, FRAME_FROM_SERVER };

/* One direction's place in the stream. Zeroed by frame_state_init; the fields are the decoder's
 * own. */
struct frame_state {
    uint64_t seen;   /* bytes of the open frame shown so far; 0 between frames */
    uint64_t total;  /* the open frame's length in all; 0 while it is not known */
    uint32_t head;   /* length of its header, once known */
    uint8_t matched; /* DELIMITER: bytes of start or end matched so far; LENGTH..OCTET: bytes kept
                        in `kept` */
    bool first;      /* no message has passed yet and the codec's `first` applies */
    bool started;    /* DELIMITER: the start bytes have passed */
    uint8_t kept[FRAME_HEAD_MAX]; /* the header's bytes so far, where it came in pieces */
};
void frame_state_init(struct frame_state *state, const struct frame_codec *codec,
                      enum frame_from from);

/* A whole frame, as offsets from its first byte on the wire. */
struct frame_found {
    uint64_t body, body_length; /* what is handed over */
    uint64_t total;             /* the next frame begins here */
};

/* Why a decode or an encode failed, with what is needed to say it well. */
struct frame_fault {
    enum err err;           /* ERR_FRAME_BAD or ERR_FRAME_TOO_LARGE */
    uint64_t length, limit; /* TOO_LARGE: bytes (saturated at UINT64_MAX; without a delimiter in
                               sight, limit + 1). A body that holds the delimiter: where, of how
                               many */
    uint8_t prefix[16];     /* the frame's first bytes, as far as they had to be seen; the same
                               however the stream is cut */
    uint8_t prefix_length;
    const char *why; /* constant text; NULL: TOO_LARGE for the limit */
};

/* Shows the decoder the next `n` bytes: those that follow what it was shown before of the open
 * frame (state->seen), so no byte is looked at twice, however the stream is cut. n may be 0. 1: a
 * frame is whole; *found is filled, the state stands before the next frame; `bytes` may hold more
 * (the frame took found->total minus the former state->seen of it). 0: more is needed; found->total
 * is how many bytes at least, beyond those shown. ERR_FRAME_BAD, ERR_FRAME_TOO_LARGE: *fault is
 * filled; the stream cannot go on. A length over codec->max_body is told as soon as its field is
 * complete. RAW: every n > 0 bytes (at most max_body of them) are a frame. */
int frame_decode(const struct frame_codec *codec, struct frame_state *state, const uint8_t *bytes,
                 size_t n, struct frame_found *found, struct frame_fault *fault);

/* The end of input. true: between frames. false: a frame is open (truncated); state->seen bytes of
 * it came, state->total is its length or 0. */
bool frame_finish(const struct frame_codec *codec, const struct frame_state *state);

/* Header and trailer to put round a body. */
struct frame_wrap {
    uint8_t head[FRAME_HEAD_MAX], tail[FRAME_HEAD_MAX];
    uint8_t head_length, tail_length;
};
/* Result 0; ERR_FRAME_TOO_LARGE: the length does not fit the field (it is never cut);
 * ERR_FRAME_BAD: the length is under what `adjust` allows, or an unstripped body's own length field
 * disagrees, or a body holds the delimiter (or makes it appear too early), or the codec has no
 * empty frame. *fault is filled. The limit is the decoder's: it is not looked at. `state` is the
 * sending direction's (for `first`). */
int frame_encode(const struct frame_codec *codec, struct frame_state *state, const uint8_t *body,
                 size_t n, struct frame_wrap *wrap, struct frame_fault *fault);

/* The same for a body that frame_encode has taken before, with the same codec: it is not looked at
 * again. */
int frame_encode_known(const struct frame_codec *codec, struct frame_state *state, size_t n,
                       struct frame_wrap *wrap, struct frame_fault *fault);

/* The fault in words: e->what is evidence ("a length of 83,886,080 B is over 16.0 MiB; prefix 05 00
 * 00 00"), e->mend the likely cause
 * ("-F u32le reads it as 5 B"; "the prefix is text, \"HTTP\": try -F line or -F crlf"), or "". */
void frame_fault_text(const struct frame_codec *codec, const struct frame_fault *fault,
                      struct error *e);

/* What a peer with the other byte order would read of a frame of this length, for the hint to
 * someone who waits for a reply. Returns the other codec's name and *reads, or NULL where there is
 * none. */
const char *frame_other_order(const struct frame_codec *codec, uint64_t length, uint64_t *reads);

#endif
