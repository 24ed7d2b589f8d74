/* How fast the decoder alone is, over memory: frames and bytes a second on one processor, for small
 * frames and for long ones. A codec with a length does not look at bodies, so for long frames its
 * GB/s only say that. Usage: codecs [CODEC...] */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "frame.h"

#define STREAM_BYTES (256 * 1024) /* as much as is read at once; stays in the cache */
#define RUN_US 100000

static uint8_t stream[STREAM_BYTES + 1024], body[STREAM_BYTES];

/* Fills the stream with frames of this length. Returns the bytes. */
static size_t fill(const struct frame_codec *codec, size_t length)
{
    struct frame_state state;
    struct frame_wrap wrap;
    struct frame_fault fault;
    size_t n = 0;

    frame_state_init(&state, codec, FRAME_FROM_CLIENT);
    memset(body, 'x', length);
    while (n + length + sizeof wrap <= STREAM_BYTES + 200) {
        if (frame_encode(codec, &state, body, length, &wrap, &fault) < 0)
            return 0;
        memcpy(stream + n, wrap.head, wrap.head_length);
        memcpy(stream + n + wrap.head_length, body, length);
        memcpy(stream + n + wrap.head_length + length, wrap.tail, wrap.tail_length);
        n += wrap.head_length + length + wrap.tail_length;
    }
    return n;
}

static uint64_t decode_all(const struct frame_codec *codec, size_t n, size_t piece)
{
    struct frame_state state;
    struct frame_found found;
    struct frame_fault fault;
    uint64_t frames = 0;
    size_t start = 0;

    frame_state_init(&state, codec, FRAME_FROM_CLIENT);
    for (size_t end = piece; start < n; end += piece) {
        if (end > n)
            end = n;
        while (frame_decode(codec, &state, stream + start + state.seen,
                            end - start - (size_t)state.seen, &found, &fault) == 1) {
            start += (size_t)found.total;
            frames++;
        }
    }
    return frames;
}

static void measure(const char *name, size_t length, size_t piece)
{
    struct frame_codec codec;
    struct error e;
    uint64_t frames = 0, bytes = 0;

    if (frame_codec_parse(&codec, name, 1 << 24, &e) < 0) {
        fprintf(stderr, "codecs: %s; %s\n", e.what, e.mend);
        exit(EXIT_FAILURE);
    }
    size_t n = fill(&codec, length);
    if (n == 0)
        return;
    uint64_t began = clock_us(), took;
    do {
        frames += decode_all(&codec, n, piece);
        bytes += n;
        took = clock_us() - began;
    } while (took < RUN_US);
    printf("%-10s %8zu B %10zu B %10.1f M/s %8.2f GB/s\n", name, length, piece,
           (double)frames / (double)took, (double)bytes / (double)took / 1000);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"u32be", "varint", "netstring", "octet",
                                      "line",  "crlf",   "nul",       "delim:616162"};
    size_t count = argc > 1 ? (size_t)argc - 1 : sizeof all / sizeof all[0];

    printf("%-10s %10s %12s %14s %13s\n", "codec", "body", "shown in", "frames", "stream");
    for (size_t i = 0; i < count; i++) {
        const char *name = argc > 1 ? argv[i + 1] : all[i];
        measure(name, 8, STREAM_BYTES);
        measure(name, 64, STREAM_BYTES);
        measure(name, 64, 4096);
        measure(name, 64, 16);
        measure(name, 60000, STREAM_BYTES);
    }
    return EXIT_SUCCESS;
}
