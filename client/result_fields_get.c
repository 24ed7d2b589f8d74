#include "config.h"

#include "result_fields.h"

#include <stdio.h>
#include <string.h>

static const char *type_words(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "a value";
}

static int refuse(const char *name, const char *words, struct error *e)
{
    error_what(e, "its \"%s\" is not %s", name, words);
    return ERR_SYNTAX;
}

const json_t *result_fields_need(const json_t *object, const char *name, json_type type,
                                 struct error *e)
{
    const json_t *value = json_object_get(object, name);
    if (!value)
        error_what(e, "it has no \"%s\"", name);
    else if (json_typeof(value) != type)
        refuse(name, type_words(type), e);
    else
        return value;
    return NULL;
}

int result_fields_number(const json_t *object, const char *name, uint64_t *number, struct error *e)
{
    const json_t *value = result_fields_need(object, name, JSON_INTEGER, e);
    if (!value)
        return ERR_SYNTAX;
    if (json_integer_value(value) < 0)
        return refuse(name, "a number from 0 on", e);
    *number = (uint64_t)json_integer_value(value);
    return 0;
}

enum fate result_fields_fate(const char *name)
{
    enum fate fate = 0;
    while (fate < FATE_COUNT && strcmp(fate_row(fate)->name, name) != 0)
        fate++;
    return fate;
}

static int get_word(const struct result_field *field, const char *word, void *to, struct error *e)
{
    if (field->kind == FIELD_FATE_NAME) {
        enum fate fate = result_fields_fate(word);
        if (fate == FATE_COUNT)
            return refuse(field->name, "a fate that this synfin knows", e);
        *(enum fate *)to = fate;
        return 0;
    }
    if (field->kind == FIELD_PHASE_NAME) {
        enum phase phase = 0;
        while (phase < PHASE_COUNT && strcmp(phase_name(phase), word) != 0)
            phase++;
        if (phase == PHASE_COUNT)
            return refuse(field->name, "a phase that this synfin knows", e);
        *(enum phase *)to = phase;
        return 0;
    }
    enum result_expect expect = 0;
    while (expect <= EXPECT_STREAM && strcmp(result_expect_name(expect), word) != 0)
        expect++;
    if (expect > EXPECT_STREAM)
        return refuse(field->name, "echo, any, none or stream", e);
    *(enum result_expect *)to = expect;
    return 0;
}

/* What null stands for. */
static int get_null(const struct result_field *field, void *to, struct error *e)
{
    switch (field->kind) {
    case FIELD_LIMIT:
    case FIELD_NS:
        *(uint64_t *)to = 0;
        return 0;
    case FIELD_MOST:
        *(uint64_t *)to = UINT64_MAX;
        return 0;
    case FIELD_STRING:
        *(char *)to = '\0';
        return 0;
    case FIELD_FATE_NAME:
        *(enum fate *)to = FATE_CLEAN;
        return 0;
    case FIELD_NUMBER:
    case FIELD_STATUS:
    case FIELD_FLAG:
    case FIELD_PHASE_NAME:
    case FIELD_EXPECT_NAME:
        break;
    }
    return refuse(field->name, "to be null", e);
}

static int get_text(const struct result_field *field, const char *text, void *to, struct error *e)
{
    if (strlen(text) >= field->size)
        return refuse(field->name, "short enough", e);
    strcpy(to, text);
    return 0;
}

static int get_ns(const struct result_field *field, const json_t *value, void *to, struct error *e)
{
    double us = json_number_value(value);
    if (!json_is_number(value) || !(us >= 0 && us < 1e15))
        return refuse(field->name, "a time in microseconds", e);
    *(uint64_t *)to = (uint64_t)(us * 1000 + 0.5);
    return 0;
}

static int get_status(const struct result_field *field, const json_t *value, int *to,
                      struct error *e)
{
    json_int_t status = json_integer_value(value);
    if (!json_is_integer(value) || status < 0 || status > 255)
        return refuse(field->name, "an exit status", e);
    *to = (int)status;
    return 0;
}

static int get_value(const json_t *object, const struct result_field *field, void *to,
                     struct error *e)
{
    const json_t *value = json_object_get(object, field->name);
    if (value && json_is_null(value))
        return get_null(field, to, e);
    switch (field->kind) {
    case FIELD_NUMBER:
    case FIELD_LIMIT:
    case FIELD_MOST:
        return result_fields_number(object, field->name, to, e);
    case FIELD_NS:
        return get_ns(field, value, to, e);
    case FIELD_STATUS:
        return get_status(field, value, to, e);
    case FIELD_FLAG:
        if (!json_is_boolean(value))
            return refuse(field->name, "true or false", e);
        *(bool *)to = json_is_true(value);
        return 0;
    case FIELD_STRING:
    case FIELD_FATE_NAME:
    case FIELD_PHASE_NAME:
    case FIELD_EXPECT_NAME:
        value = result_fields_need(object, field->name, JSON_STRING, e);
        if (!value)
            return ERR_SYNTAX;
        return field->kind == FIELD_STRING ? get_text(field, json_string_value(value), to, e)
                                           : get_word(field, json_string_value(value), to, e);
    }
    return ERR_SYNTAX;
}

int result_fields_get(const json_t *object, const struct result_field *fields, void *to,
                      struct error *e)
{
    for (; fields->name; fields++) {
        if (!json_object_get(object, fields->name)) {
            error_what(e, "it has no \"%s\"", fields->name);
            return ERR_SYNTAX;
        }
        int rc = get_value(object, fields, (char *)to + fields->offset, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}
