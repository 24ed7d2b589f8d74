/* endlog: the log's account of finished connections: a line each while they are few, one line a
 * second when they are many. Level: the server's. Threads: endlog_tell from any, endlog_turn from
 * one. */
#ifndef SYNFIN_ENDLOG_H
#define SYNFIN_ENDLOG_H

#include "life.h"

void endlog_tell(const struct life *life);
/* Once a second, and at the end: the line for those without one of their own, if any. */
void endlog_turn(void);

#endif
