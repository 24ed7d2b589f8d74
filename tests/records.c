#include "config.h"

#include "records.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

struct records records_read(const char *path)
{
    struct records records = {.text = pair_read_file(path, NULL)};
    unsigned room = 0;
    char *save = NULL;
    for (char *line = records.text != NULL ? strtok_r(records.text, "\n", &save) : NULL;
         line != NULL; line = strtok_r(NULL, "\n", &save)) {
        if (records.count == room) {
            room = room * 2 + 64;
            records.line = realloc(records.line, room * sizeof(*records.line));
            ck_assert_ptr_nonnull(records.line);
        }
        records.line[records.count++] = line;
    }
    return records;
}

void records_free(struct records *records)
{
    free(records->text);
    free(records->line);
    memset(records, 0, sizeof(*records));
}

bool records_reader(void)
{
    return system("python3 -c '' 2>/dev/null") == 0;
}

unsigned records_strict(const char *path, const char *member, char *text, unsigned text_size)
{
    char command[1024], count[32] = "";
    size_t n = 0;
    snprintf(command, sizeof(command), "python3 '%s/tests/interop/json_lines.py' '%s' %s 2>&1",
             TOP_SRCDIR, path, member != NULL ? member : "");
    FILE *reader = popen(command, "re");
    ck_assert_ptr_nonnull(reader);
    bool read = fgets(count, sizeof(count), reader) != NULL;
    if (text != NULL) {
        n = fread(text, 1, text_size - 1, reader);
        text[n] = '\0';
    }
    char rest[2048] = "";
    rest[fread(rest, 1, sizeof(rest) - 1, reader)] = '\0';
    ck_assert_msg(pclose(reader) == 0 && read, "%s%s", count, rest);
    return (unsigned)strtoul(count, NULL, 10);
}

/* Past a string that begins at `p`, or NULL. */
static const char *after_string(const char *p)
{
    for (p++; *p != '"'; p++) {
        if (*p == '\\')
            p++;
        if (*p == '\0')
            return NULL;
    }
    return p + 1;
}

/* Past the value that begins at `p`, or NULL. */
static const char *after_value(const char *p)
{
    unsigned depth = 0;
    while (p != NULL && *p != '\0') {
        if (*p == '"') {
            p = after_string(p);
            continue;
        }
        if (depth == 0 && strchr(",}]", *p) != NULL)
            return p;
        if (*p == '{' || *p == '[')
            depth++;
        if (*p == '}' || *p == ']')
            depth--;
        p++;
    }
    return depth == 0 ? p : NULL;
}

/* The value of a member of the outermost object and its length, or NULL. */
static const char *find(const char *line, const char *key, size_t *n)
{
    const char *p = strchr(line, '{'), *end;
    if (p == NULL)
        return NULL;
    for (p++; *p != '\0' && *p != '}'; p = *end == ',' ? end + 1 : end) {
        const char *name = p + strspn(p, " ");
        bool found;
        if (*name != '"' || (end = after_string(name)) == NULL)
            return NULL;
        found = (size_t)(end - name) == strlen(key) + 2 && strncmp(name + 1, key, strlen(key)) == 0;
        p = end + strspn(end, " :");
        end = after_value(p);
        if (end == NULL)
            return NULL;
        *n = (size_t)(end - p);
        if (found)
            return p;
    }
    return NULL;
}

bool record_has(const char *line, const char *key)
{
    size_t n;
    return find(line, key, &n) != NULL;
}

const char *record_text(const char *line, const char *key)
{
    static char texts[8][4096];
    static unsigned next;
    char *text = texts[next++ % 8];
    size_t n;
    const char *value = find(line, key, &n);
    ck_assert_msg(value != NULL, "no \"%s\" in %s", key, line);
    if (*value == '"') {
        value++;
        n -= 2;
    }
    ck_assert_uint_lt(n, sizeof(texts[0]));
    memcpy(text, value, n);
    text[n] = '\0';
    return text;
}

int64_t record_number(const char *line, const char *key)
{
    const char *text = record_text(line, key);
    char *end;
    int64_t number;
    if (strcmp(text, "null") == 0)
        return INT64_MIN;
    number = strtoll(text, &end, 10);
    ck_assert_msg(end != text, "\"%s\" is no number in %s", key, line);
    return number;
}
