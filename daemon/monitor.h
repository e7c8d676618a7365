/* SPDX-License-Identifier: MIT */
/*
 * Clients that watch the log.
 *
 * A subscription is a place in the log. What is behind it is read from the file and sent as fast as the client reads,
 * first what has been there for long, then what is new; there is no queue that could overflow. What compaction has
 * folded before the client read it is lost to it, and it is told so.
 */
#ifndef PBD_MONITOR_H
#define PBD_MONITOR_H

#include "conn.h"

/** Subscribe the call's connection. 0, or the refusal in request->error; the first events follow the answer. */
int monitor_begin(struct engine *engine, struct request *request);
void monitor_end(struct conn *conn);
/** Send what there is, as far as the client reads. */
void monitor_pump(struct conn *conn);
/** There may be more in some log. */
void monitor_wake(struct server *server);

#endif /* PBD_MONITOR_H */
