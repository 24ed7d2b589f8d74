#include "config.h"

#include "talk_run.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "records.h"

#define OPTIONS_MAX 24

void talk_start(struct talk_run *run, const char *input, const char *option, ...)
{
    const char *arguments[OPTIONS_MAX];
    static char journal[512];
    unsigned n = 0;
    va_list rest;
    *run = (struct talk_run){.in = -1};
    run->listener = raw_listen(run->port);
    va_start(rest, option);
    for (; option != NULL && n < OPTIONS_MAX - 6; option = va_arg(rest, const char *))
        arguments[n++] = option;
    va_end(rest);
    snprintf(journal, sizeof journal, "jsonl:%s", pair_file("journal"));
    arguments[n++] = "--journal";
    arguments[n++] = journal;
    arguments[n++] = "127.0.0.1";
    arguments[n++] = run->port;
    arguments[n] = NULL;
    struct start start = {.program = "synfin", .arguments = arguments, .input = input};
    if (input == NULL)
        run->in = pair_pipe(&start.in);
    run->client = pair_start(&start);
    if (input == NULL)
        close(start.in);
    run->fd = raw_accept(run->listener);
}

void talk_type(struct talk_run *run, const char *text)
{
    ck_assert_int_eq(write(run->in, text, strlen(text)), (ssize_t)strlen(text));
}

void talk_type_end(struct talk_run *run)
{
    close(run->in);
    run->in = -1;
}

static void holds(struct program *client, const char *text, va_list rest)
{
    const char *said = pair_err(client);
    if (text == NULL)
        ck_assert_msg(said[0] == '\0', "%s said: %s", client->command, said);
    for (; text != NULL; text = va_arg(rest, const char *))
        ck_assert_msg(strstr(said, text) != NULL, "%s: \"%s\" is not in: %s", client->command, text,
                      said);
}

void talk_said(struct program *client, const char *text, ...)
{
    va_list rest;
    va_start(rest, text);
    holds(client, text, rest);
    va_end(rest);
}

void talk_ends(struct talk_run *run, int status, const char *fate, const char *out,
               const char *text, ...)
{
    va_list rest;
    ck_assert_msg(pair_wait(run->client) == status, "status %d, not %d; stderr: %s",
                  run->client->status, status, pair_err(run->client));
    ck_assert_str_eq(pair_out(run->client, NULL), out);
    va_start(rest, text);
    holds(run->client, text, rest);
    va_end(rest);
    ck_assert_str_eq(talk_record_text(run, "fate"), fate);
    if (run->in >= 0)
        close(run->in);
    close(run->listener);
}

static const char *record_of(struct talk_run *run, struct records *records)
{
    *records = records_read(pair_file("journal"));
    ck_assert_msg(records->count == 1, "%u records; stderr: %s", records->count,
                  pair_err(run->client));
    return records->line[0];
}

long talk_record(struct talk_run *run, const char *key)
{
    struct records records;
    long value = (long)record_number(record_of(run, &records), key);
    records_free(&records);
    return value;
}

const char *talk_record_text(struct talk_run *run, const char *key)
{
    struct records records;
    const char *text = record_text(record_of(run, &records), key);
    records_free(&records);
    return text;
}
