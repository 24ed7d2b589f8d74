#include "config.h"

#include "serving.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL "server.jsonl"

void serving_expect_err(struct program *program, const char *text)
{
    ck_assert_msg(strstr(pair_err(program), text) != NULL, "%s does not say '%s' but:\n%s",
                  program->command, text, pair_err(program));
}

uint8_t *serving_frames(unsigned count, unsigned body)
{
    size_t wire = body + 4U;
    uint8_t *bytes = calloc(count, wire);
    ck_assert_ptr_nonnull(bytes);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *frame = bytes + i * wire;
        for (unsigned b = 0; b < 4; b++) {
            frame[b] = (uint8_t)(body >> (24 - 8 * b));
            frame[4 + b] = (uint8_t)(i >> (24 - 8 * b));
        }
    }
    return bytes;
}

const char *serving_journal(void)
{
    static char url[320];
    snprintf(url, sizeof(url), "jsonl:%s", pair_file(JOURNAL));
    return url;
}

struct records serving_records(void)
{
    return records_read(pair_file(JOURNAL));
}

unsigned serving_count_fate(const struct records *records, const char *fate)
{
    unsigned n = 0;
    for (unsigned i = 0; i < records->count; i++)
        n += strcmp(record_text(records->line[i], "fate"), fate) == 0;
    return n;
}

void serving_run(struct peers *peers, unsigned done)
{
    peers_run(peers, done, pair_patience(PAIR_DEADLINE_MS));
}
