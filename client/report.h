/* report: how a life is told at the client's end: verdict, account, exit status.
 * Threads: no state. */
#ifndef SYNFIN_REPORT_H
#define SYNFIN_REPORT_H

#include "client_config.h"
#include "conn.h"
#include "err.h"
#include "life.h"

/* conn_fail with a mend: `e` says both. */
void report_fail(struct conn *conn, enum fate fate, const struct error *e);

/* The failure of a life in words: the evidence with its figures, and what to try ("": nothing). */
void report_explain(const struct life *life, const struct client_config *config, struct error *e);

/* "synfin: verdict: FATE at STAGE: evidence" and "    try: ..." on stderr, if the life failed. */
void report_verdict(const struct life *life, const struct client_config *config);

#endif
