/* A fuzz target: any bytes, any codec, any cut give the same frames or the same error, and a frame
 * that was found is encoded to one that decodes to it. `make fuzz CC=clang`. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct frames_run whole, other;

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void encode_again(const struct frame_codec *codec, const uint8_t *bytes, size_t n,
                         bool first)
{
    struct frame_state sender = {.first = first}, receiver = sender;
    struct frame_wrap wrap;
    struct frame_found found;
    struct frame_fault fault;
    uint8_t *wire = malloc(n + 2 * FRAME_HEAD_MAX);

    must(wire != NULL);
    must(frame_encode(codec, &sender, bytes, n, &wrap, &fault) == 0);
    size_t total = wrap.head_length + n + wrap.tail_length;
    memcpy(wire, wrap.head, wrap.head_length);
    memcpy(wire + wrap.head_length, bytes, n);
    memcpy(wire + wrap.head_length + n, wrap.tail, wrap.tail_length);
    must(frame_decode(codec, &receiver, wire, total, &found, &fault) == 1);
    must(found.total == total && found.body_length == n);
    must(memcmp(wire + found.body, bytes, n) == 0);
    free(wire);
}

static void check(const struct frame_codec *codec, const uint8_t *bytes, size_t n, uint32_t seed)
{
    struct frames_random random = {seed};

    frames_decode(codec, FRAME_FROM_CLIENT, bytes, n, frames_whole, NULL, &whole);
    frames_decode(codec, FRAME_FROM_CLIENT, bytes, n, frames_single, NULL, &other);
    must(frames_same(codec, &whole, &other) && whole.truthful && other.truthful);
    frames_decode(codec, FRAME_FROM_CLIENT, bytes, n, frames_random, &random, &other);
    must(frames_same(codec, &whole, &other) && other.truthful);
    for (size_t i = 0; i < whole.count; i++)
        encode_again(codec, bytes + whole.frames[i].at + whole.frames[i].body,
                     (size_t)whole.frames[i].body_length, i == 0 && codec->first != NULL);
    if (whole.result < 0) {
        struct error e;
        frame_fault_text(codec, &whole.fault, &e);
        must(e.what[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_codec codec;

    if (size < 5)
        return 0;
    const char *name = frames_codecs[data[0] % frames_codec_count];
    uint64_t limit = 64 + (data[1] | (uint64_t)data[2] << 8);
    if (frame_codec_parse(&codec, name, limit, NULL) == 0)
        check(&codec, data + 5, size - 5, data[3] | (uint32_t)data[4] << 8);

    /* The same bytes as the text of a codec. */
    char *text = malloc(size + 1);
    must(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    struct error e;
    if (frame_codec_parse(&codec, text, limit, &e) == 0)
        check(&codec, data, size, 1);
    free(text);
    return 0;
}
