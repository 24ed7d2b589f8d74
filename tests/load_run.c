#include "config.h"

#include "load_run.h"

#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "records.h"

static struct program *start(const struct program *server, const char *option, va_list options)
{
    const char *arguments[PAIR_ARGUMENTS_MAX] = {"--load", "127.0.0.1", server->port_text};
    unsigned n = 3;
    bool streams = false;
    for (; option != NULL; option = va_arg(options, const char *)) {
        ck_assert_uint_lt(n, PAIR_ARGUMENTS_MAX - 2);
        streams = streams || strcmp(option, "--json-stream") == 0;
        arguments[n++] = option;
    }
    if (!streams)
        arguments[n++] = "-J";
    return pair_start(&(struct start){.program = "synfin", .arguments = arguments});
}

struct program *load_start(const struct program *server, const char *option, ...)
{
    va_list options;
    va_start(options, option);
    struct program *client = start(server, option, options);
    va_end(options);
    return client;
}

/* The last line: the only one of -J, the end event of --json-stream. */
static json_t *last_line(struct program *client)
{
    size_t n;
    json_error_t e;
    const char *text = pair_out(client, &n);
    ck_assert_msg(n > 0 && text[n - 1] == '\n', "%s: status %d, no whole line but '%s'; stderr: %s",
                  client->command, client->status, text, pair_err(client));
    size_t from = n - 1;
    while (from > 0 && text[from - 1] != '\n')
        from--;
    json_t *object = json_loadb(text + from, n - from, JSON_REJECT_DUPLICATES, &e);
    ck_assert_msg(json_is_object(object), "%s: %s in %s", client->command, e.text, text + from);
    return object;
}

struct load load_end(struct program *client)
{
    struct load load = {.client = client};
    pair_wait(client);
    load.json = last_line(client);
    json_t *inner = json_object_get(load.json, "result");
    if (inner != NULL) {
        json_incref(inner);
        json_decref(load.json);
        load.json = inner;
    }
    return load;
}

struct load load_run(const struct program *server, const char *option, ...)
{
    va_list options;
    va_start(options, option);
    struct program *client = start(server, option, options);
    va_end(options);
    return load_end(client);
}

void load_free(struct load *load)
{
    json_decref(load->json);
    load->json = NULL;
}

void load_ends(const struct load *load, int status, const char *word)
{
    ck_assert_msg(load->client->status == status && load_number(load, "exit_status") == status &&
                      (word == NULL || strcmp(load_text(load, "verdict.word"), word) == 0),
                  "%s: status %d (%" PRId64 "), %s at %s: %s; not %d, %s; stderr: %s",
                  load->client->command, load->client->status, load_number(load, "exit_status"),
                  load_text(load, "verdict.word"), load_text(load, "verdict.stage"),
                  load_text(load, "verdict.evidence"), status, word ? word : "any",
                  pair_err(load->client));
}

/* NULL: a fate that is not there. */
static const json_t *member(const struct load *load, const char *key)
{
    char part[64];
    const json_t *at = load->json;
    for (const char *rest = key; *rest != '\0';) {
        size_t n = strcspn(rest, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, rest);
        at = json_object_get(at, part);
        rest += n + (rest[n] == '.');
        if (at == NULL)
            break;
    }
    ck_assert_msg(at != NULL || strncmp(key, "fates.", 6) == 0, "%s: the result has no %s",
                  load->client->command, key);
    return at;
}

int64_t load_number(const struct load *load, const char *key)
{
    return (int64_t)json_integer_value(member(load, key));
}

double load_real(const struct load *load, const char *key)
{
    return json_number_value(member(load, key));
}

const char *load_text(const struct load *load, const char *key)
{
    const char *text = json_string_value(member(load, key));
    return text != NULL ? text : "";
}

bool load_is_null(const struct load *load, const char *key)
{
    return json_is_null(member(load, key));
}

bool load_fits_schema(struct program *const *clients, unsigned count)
{
    const char *arguments[PAIR_ARGUMENTS_MAX / 2] = {TOP_SRCDIR "/tests/interop/result_schema.py",
                                                     TOP_SRCDIR "/doc/synfin-result.schema.json"};
    ck_assert_uint_lt(count + 3, PAIR_ARGUMENTS_MAX / 2);
    for (unsigned i = 0; i < count; i++)
        arguments[i + 2] = clients[i]->out_path;
    struct program *python =
        pair_start(&(struct start){.program = "python3", .arguments = arguments});
    int status = pair_wait(python);
    ck_assert_msg(status == 0 || status == 77 || status == 127, "%s\n%s", pair_out(python, NULL),
                  pair_err(python));
    return status == 0;
}

/* --- the other end --- */

const char *load_journal(const char *name)
{
    static char urls[4][320];
    static unsigned next;
    char *url = urls[next++ % 4];
    snprintf(url, sizeof urls[0], "jsonl:%s", pair_file(name));
    return url;
}

struct account load_account(const char *name)
{
    struct records records = records_read(pair_file(name));
    struct account account = {.lives = records.count};
    for (unsigned i = 0; i < records.count; i++) {
        const char *line = records.line[i];
        account.clean += strcmp(record_text(line, "fate"), "clean") == 0;
        account.frames_in += record_number(line, "frames_in");
        account.frames_out += record_number(line, "frames_out");
        account.bytes_in += record_number(line, "bytes_in");
        account.bytes_out += record_number(line, "bytes_out");
        account.unanswered += record_number(line, "unanswered");
        account.discarded += record_number(line, "discarded");
    }
    records_free(&records);
    return account;
}

void load_agrees(const struct load *load, struct program *server, const char *name)
{
    ck_assert_int_eq(pair_stop(server), 0);
    struct account account = load_account(name);
    ck_assert_int_eq(load_number(load, "connections_opened"), account.lives);
    ck_assert_uint_eq(account.clean, account.lives);
    ck_assert_int_eq(load_number(load, "fates.clean"), account.lives);
    ck_assert_int_eq(load_number(load, "connections_failed"), 0);
    ck_assert_int_eq(load_number(load, "frames_sent"), account.frames_in);
    ck_assert_int_eq(load_number(load, "frames_replies"), account.frames_out);
    ck_assert_int_eq(load_number(load, "frames_lost"), 0);
    ck_assert_int_eq(load_number(load, "bytes_out"), account.bytes_in);
    ck_assert_int_eq(load_number(load, "bytes_in"), account.bytes_out);
    ck_assert_int_eq(account.unanswered, 0);
    ck_assert_int_eq(account.discarded, 0);
}
