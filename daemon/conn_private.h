/* SPDX-License-Identifier: MIT */
/* Between conn.c (a connection's life and output), conn_input.c (framing) and conn_call.c (calls and answers). */
#ifndef PBD_CONN_PRIVATE_H
#define PBD_CONN_PRIVATE_H

#include "conn.h"

#define INPUT_CHUNK (16u << 10)

/** The one place where a state changes; said at debug level. */
void conn_set_state(struct conn *conn, enum conn_state state, const char *why);
/** Is input to be read when it comes? */
void conn_watch_input(struct conn *conn, bool wanted);
/** May another call be taken from this connection now? */
bool conn_may_take(struct conn *conn);

/* ---- conn_lend.c ---- */

/** May the loop write to the descriptor, and close it? False: it hears when it may, since a call comes back. */
bool conn_take_output(struct conn *conn);
/** The call is back, and the right with it. */
void conn_return_output(struct request *request);

/** During a visit: the next call is here, and may be answered from here. False: the loop has taken the right back. */
bool conn_lend_again(struct conn *conn);

/* ---- conn_visit.c ---- */

/** The visit is over, or there is none. */
void conn_end_visit(struct conn *conn);
/** It visits, and is to leave as soon as it is back. False: it does not. */
bool conn_leaves_later(struct conn *conn, enum conn_state state, const char *why);
/** A slow call ends a visit, so that other calls of the same client need not wait for it. */
void conn_tick_visit(struct conn *conn);

/* ---- conn_input.c ---- */

enum conn_read { CONN_READ_SOME, CONN_READ_NOTHING, CONN_READ_END, CONN_READ_FAILED };
/** Read once. */
enum conn_read conn_read_input(struct conn *conn);
/** Read once, for an executor: nothing is counted. */
enum conn_read conn_visit_fill(struct conn *conn);
/** Count what is there, in the server's sum. */
void conn_count_input(struct conn *conn);
/** Read and forget. */
enum conn_read conn_discard_input(struct conn *conn);
/** The next whole line without its newline, and take it; false: there is none yet. Valid until the next read. */
bool conn_next_line(struct conn *conn, const char **ret_line, size_t *ret_size);
/** Bytes of the line that is not whole yet. */
size_t conn_partial(const struct conn *conn);
/** Is there a whole line? */
bool conn_has_line(struct conn *conn);
void conn_forget_input(struct conn *conn);
/** The lines that a descriptor may have come with are all taken: what none of them asked for is closed. */
void conn_end_passed(struct conn *conn);

/* ---- conn_call.c ---- */

/** Decode a line and start its calls. */
void conn_take_line(struct conn *conn, const char *text, size_t size);
/** Answer what no call can be made of, and take no more. */
void conn_refuse(struct conn *conn, int code, int err, const char *message);

#endif /* PBD_CONN_PRIVATE_H */
