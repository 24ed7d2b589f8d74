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

/* The same file, held against a reader that is not ours and strict (tests/interop/json_lines.py, by
 * python3): whole lines of valid JSON, each id once. Result: how many lines; what is wrong fails
 * the test. With `member`, `text` gets its value of each line, UTF-8 in hex, a line each.
 * records_strict may be called only if records_reader() says that python3 is there. */
bool records_reader(void);
unsigned records_strict(const char *path, const char *member, char *text, unsigned text_size);

/* A member of the JSON object on this line, by its key. record_text: a string's content (escapes
 * left as written), else the value as it stands ("null", "[...]"); valid for eight calls.
 * record_number: INT64_MIN for null. A key that is not there fails the test. */
bool record_has(const char *line, const char *key);
const char *record_text(const char *line, const char *key);
int64_t record_number(const char *line, const char *key);

#endif
