/* interop: for tests: programs that are not ours: finds and starts them, and says how a connection
 * with them ended. Between pair_begin and pair_end. Threads: one. */
#ifndef SYNFIN_TESTS_INTEROP_H
#define SYNFIN_TESTS_INTEROP_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "pair.h"

/* Where the program is (PATH, then the folders of system programs), or NULL. A path is itself. The
 * result is valid for good. May be called before pair_begin. */
const char *interop_find(const char *program);

/* A test case of this name in the suite, with pair's fixture, if all these programs (NULL-ended)
 * are there; otherwise NULL, and stderr says what is skipped. */
TCase *interop_case(Suite *suite, const char *name, const char *const *programs);
/* Runs what was added; the exit status for main: 77 if nothing was. */
int interop_run(Suite *suite);

/* Starts a program with these arguments (NULL-ended), its stdin a file at this path (NULL: none).
 */
struct program *interop_start(const char *program, const char *const *arguments,
                              const char *input_path);
/* The same for a server whose arguments hold "@" where its port stands (`port` then tells it), and
 * waits until it has written `ready`; if it finds the port taken (it ends, or writes `taken`),
 * another is tried. */
struct program *interop_server(const char *program, const char *const *arguments,
                               const char *input_path, const char *ready, const char *taken);
/* Runs one of tests/interop's scripts with python3; interop_script_ends wants exit status 0. */
struct program *interop_script(const char *const *arguments);
void interop_script_ends(struct program *script);

/* The number a program writes after `text`, once it does. */
int interop_number_after(struct program *program, const char *text);

/* Runs synfin with these arguments (NULL-ended) and this file as stdin, with a journal, to its end.
 */
struct program *interop_client(const char *const *arguments, const char *input_path);
/* Stops the server, which has to drain without loss. */
void interop_stop(struct program *server);

/* The journal of the last interop_client, and where a server should be told to put its own. */
const char *interop_client_journal(void);
const char *interop_server_journal(void);
/* Line n (from 0) of a journal: the fate, who closed first, whole frames each way (-1: any). */
void interop_expect(const char *journal, unsigned n, const char *fate, const char *closed_first,
                    long frames_in, long frames_out);
/* A number in the first line of a journal. */
long interop_recorded(const char *journal, const char *key);

/* What the program wrote to stdout is what the file holds, or these bytes. */
void interop_equal(struct program *program, const char *path);
void interop_equal_bytes(struct program *program, const char *bytes, size_t n);

#endif
