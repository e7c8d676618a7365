/* SPDX-License-Identifier: MIT */
/* Between conn.c (a connection's life and output), conn_input.c (framing) and conn_call.c (calls and answers). */
#ifndef PBD_CONN_PRIVATE_H
#define PBD_CONN_PRIVATE_H

#include "conn.h"

#define INPUT_CHUNK (16u << 10)

/** The one place where a state changes; said at debug level. */
void conn_set_state(struct conn *conn, enum conn_state state, const char *why);
/** May another call be taken from this connection now? */
bool conn_may_take(struct conn *conn);

/* ---- conn_lend.c ---- */

/** May the loop write to the descriptor, and close it? False: it hears when it may, since a call comes back. */
bool conn_take_output(struct conn *conn);
/** The call is back, and the right with it. */
void conn_return_output(struct request *request);

/* ---- conn_input.c ---- */

enum conn_read { CONN_READ_SOME, CONN_READ_NOTHING, CONN_READ_END, CONN_READ_FAILED };
/** Read once. */
enum conn_read conn_read_input(struct conn *conn);
/** Read and forget. */
enum conn_read conn_discard_input(struct conn *conn);
/** The next whole line without its newline, and take it; false: there is none yet. Valid until the next read. */
bool conn_next_line(struct conn *conn, const char **ret_line, size_t *ret_size);
/** Bytes of the line that is not whole yet. */
size_t conn_partial(const struct conn *conn);
/** Is there a whole line? */
bool conn_has_line(struct conn *conn);
void conn_forget_input(struct conn *conn);

/* ---- conn_call.c ---- */

/** Decode a line and start its calls. */
void conn_take_line(struct conn *conn, const char *text, size_t size);
/** Answer what no call can be made of, and take no more. */
void conn_refuse(struct conn *conn, int code, int err, const char *message);

#endif /* PBD_CONN_PRIVATE_H */
