/* records: for tests: reads the records of a `jsonl:` journal, and members of JSON objects.
 * Threads: one. */
#ifndef SYNFIN_TESTS_RECORDS_H
#define SYNFIN_TESTS_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

/* The lines of a journal; a file that is not there has none. Free with records_free. */
struct records {
    char *text;
    char **line;
    unsigned count;
};
struct records records_read(const char *path);
void records_free(struct records *records);

/* A member of the JSON object on this line, by its key. record_text: a string's content (escapes
 * left as written), else the value as it stands ("null", "[...]"); valid for eight calls.
 * record_number: INT64_MIN for null. A key that is not there fails the test. */
bool record_has(const char *line, const char *key);
const char *record_text(const char *line, const char *key);
int64_t record_number(const char *line, const char *key);

#endif
