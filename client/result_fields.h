/* result_fields: which members a result has as JSON: one table for writing and for reading.
 * Threads: the tables are constant. */
#ifndef SYNFIN_RESULT_FIELDS_H
#define SYNFIN_RESULT_FIELDS_H

#include <jansson.h>
#include <stddef.h>

#include "result.h"

#define RESULT_FORMAT 1 /* of the files, in their member "synfin_result" */

/* How a member of a struct stands in JSON. */
enum result_kind {
    FIELD_NUMBER, /* uint64_t */
    FIELD_LIMIT,  /* uint64_t; 0, no limit, is null */
    FIELD_MOST,   /* uint64_t; UINT64_MAX, no limit, is null */
    FIELD_NS,     /* uint64_t nanoseconds as microseconds with a fraction; 0, not told, is null */
    FIELD_STATUS, /* int */
    FIELD_FLAG,   /* bool */
    FIELD_STRING, /* char[size]; "" is null */
    FIELD_FATE_NAME,   /* enum fate by its name; clean is null */
    FIELD_PHASE_NAME,  /* enum phase by its name */
    FIELD_EXPECT_NAME, /* enum result_expect by its name */
};

struct result_field {
    const char *name; /* NULL after the last */
    enum result_kind kind;
    size_t offset, size;
};

extern const struct result_field result_fields_shape[];    /* of struct result_shape */
extern const struct result_field result_fields_start[];    /* of struct result: at its start */
extern const struct result_field result_fields_run[];      /* of struct result: the rest */
extern const struct result_field result_fields_stall[];    /* of struct result_stall */
extern const struct result_field result_fields_interval[]; /* of struct result_interval */
extern const struct result_field result_fields_failure[];  /* of struct result, as the next */
extern const struct result_field result_fields_verdict[];

/* Sets the fields of this struct in the object. 0 or ERR_MEMORY. */
int result_fields_put(json_t *object, const struct result_field *fields, const void *from);
/* Fills the struct from the object. 0, or ERR_SYNTAX with `e`: a member is not there or of another
 * kind. */
int result_fields_get(const json_t *object, const struct result_field *fields, void *to,
                      struct error *e);

/* Sets one member, taking the value. 0 or ERR_MEMORY, also if the value is NULL for want of
 * memory. */
int result_fields_set(json_t *object, const char *name, json_t *value);
/* A member that has to be there, of this type; NULL with `e`. */
const json_t *result_fields_need(const json_t *object, const char *name, json_type type,
                                 struct error *e);
/* A member that is a number from 0 on. 0 or ERR_SYNTAX with `e`. */
int result_fields_number(const json_t *object, const char *name, uint64_t *number, struct error *e);
/* The fate of this name, FATE_COUNT if there is none. */
enum fate result_fields_fate(const char *name);

#endif
