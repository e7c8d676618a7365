/* SPDX-License-Identifier: MIT */
/*
 * A connection whose input is with an executor, see visit.h.
 *
 * conn->visit is the loop's. While it is set, the loop does not touch the bytes that came; what it wants to do with the
 * connection, but to write to it, waits until the visit's token is back.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "conn_private.h"
#include "engine.h"
#include "rpc.h"
#include "visit.h"

#define ALONE_BEFORE 4	  /* calls, one after the other */
#define MAX_PARTIAL  4096 /* bytes of a line that is not whole; the loop counts them only when they are with it */

/* ---- The loop's side ---- */

/** Calls of others, or of more than one at a time, begin the count anew. */
static bool is_alone_for_long(struct server *server, const struct conn *conn)
{
	if (server->alone != conn)
		server->alone_calls = 0;
	server->alone = conn;
	return ++server->alone_calls > ALONE_BEFORE;
}

void conn_begin_visit(struct request *request, struct visit *visit)
{
	struct conn *conn = request->conn;

	if (!is_alone_for_long(conn->server, conn) || !request->lent || !rpc_is_short(request) || conn->has_eof ||
	    conn->resting || conn->subscription || conn_partial(conn) > 0)
		return;
	conn_watch_input(conn, false);
	conn_forget_input(conn);
	conn->visit = visit;
	request->visit = visit;
}

void conn_end_visit(struct conn *conn)
{
	if (!conn->visit)
		return;
	conn->visit = NULL;
	conn->server->alone_calls = 0;
	conn_count_input(conn);
	if (conn->leaving == CONN_DEAD)
		conn_kill(conn, conn->leaving_why);
	else if (conn->leaving == CONN_DRAINING)
		conn_drain(conn, conn->leaving_why);
	conn_mark_dirty(conn);
}

bool conn_leaves_later(struct conn *conn, enum conn_state state, const char *why)
{
	if (!conn->visit)
		return false;
	if (conn->leaving < state) {
		conn->leaving = state;
		conn->leaving_why = why;
	}
	if (state == CONN_DEAD)
		shutdown(conn->fd, SHUT_RDWR);
	if (visit_reclaim(conn->visit)) {
		conn_end_visit(conn);
		return true;
	}
	for (size_t i = 0; i < conn->server->engine_count; i++)
		engine_poke(conn->server->engines[i]);
	return true;
}

void conn_tick_visit(struct conn *conn)
{
	unsigned int calls = atomic_load(&conn->visit->calls);

	if (calls == conn->visit_calls && visit_reclaim(conn->visit))
		conn_end_visit(conn);
	conn->visit_calls = calls;
}

/* ---- The executor's side ---- */

int conn_visit_fd(const struct request *token)
{
	return token->conn->fd;
}

/** Is this all that came, and a call to be carried out here? */
static bool is_for(const struct rpc_line *line, const struct engine *engine, struct server *server)
{
	const struct request *request = line->requests;

	return line->count == 1 && !line->array && !line->fatal && request->error.code == 0 && rpc_is_short(request) &&
	       server_engine(server, request->call.device) == engine;
}

/** Put @request in the place of @token, which was answered. */
static void replace_token(struct request *token, struct request *request)
{
	request->conn = token->conn;
	request->peer = token->peer;
	request->bytes = token->bytes;
	request->visit = token->visit;
	request->alone = request->lent = true;
	request_begin_answer(request);
	request_free(token);
}

bool conn_visit_read(struct request *token, struct engine *engine, struct request **ret_request)
{
	struct conn *conn = token->conn;
	struct rpc_line line = {0};
	enum conn_read got = conn_visit_fill(conn);
	size_t size;

	*ret_request = NULL;
	if (got == CONN_READ_NOTHING)
		return true;
	if (got != CONN_READ_SOME)
		return false;
	if (!conn_has_line(conn))
		return conn_partial(conn) < MAX_PARTIAL;
	if (conn->in_scanned + 1 != conn->in_size || conn->passed_fd >= 0 || conn->passed_many)
		return false; /* what came with a descriptor is the loop's to sort out */
	size = conn->in_scanned - conn->in_used;
	if (rpc_decode(conn->in + conn->in_used, size, conn->peer.role, &conn->server->limits, &line) < 0)
		return false;
	if (!is_for(&line, engine, conn->server) || !conn_lend_again(conn)) {
		rpc_line_free(&line); /* the loop reads it anew */
		return false;
	}
	conn->in_used = conn->in_size = conn->in_scanned = 0;
	replace_token(token, line.requests);
	*ret_request = line.requests;
	return true;
}
