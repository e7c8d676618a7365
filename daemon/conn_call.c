/* SPDX-License-Identifier: MIT */
/*
 * A line's calls: started in order, answered as they are done. The answers to an array wait for each other and go out
 * as one line; an array is a way to save lines, not a transaction.
 */
#include <errno.h>
#include <string.h>

#include "conn_private.h"
#include "engine.h"
#include "monitor.h"
#include "rpc.h"
#include "say.h"
#include "util.h"

#define HEAVY_BYTES (1u << 20)	/* what a large answer counts for while it is under way */
#define ARRAY_BYTES (64u << 20) /* of answers in one line; beyond it they become errors */

static void send_line(struct conn *conn, struct jw *line)
{
	if (conn->state >= CONN_LINGERING || line->len == 0)
		return;
	if (evbuffer_add(conn->out, line->buf, line->len) < 0 || evbuffer_add(conn->out, "\n", 1) < 0) {
		conn_kill(conn, "out of memory");
		return;
	}
	conn_mark_dirty(conn);
}

void conn_send(struct conn *conn, const struct jw *message)
{
	struct jw line = *message;

	if (jw_ok(&line))
		send_line(conn, &line);
	else
		conn_kill(conn, "out of memory");
}

static void answer_array(struct array *array)
{
	struct jw line = {0};

	jw_array(&line, NULL);
	for (size_t i = 0; i < array->total; i++) {
		if (array->answers[i].len > 0)
			jw_raw(&line, NULL, array->answers[i].buf, array->answers[i].len);
		jw_free(&array->answers[i]);
	}
	jw_array_end(&line);
	if (!jw_ok(&line))
		conn_kill(array->conn, "out of memory");
	else if (line.len > 2) /* of notifications alone nothing is said */
		send_line(array->conn, &line);
	jw_free(&line);
	free(array);
}

static void answer_element(struct request *request)
{
	struct array *array = request->array;

	if (request->id && array->bytes + request->out.len > ARRAY_BYTES) {
		rpc_error_set(&request->error, RPC_TOO_LARGE, E2BIG,
			      "the answers of this array are too large together");
		request->error.applied = request->method && request->method->journaled ? APPLIED_UNKNOWN : APPLIED_NONE;
		jw_cut(&request->out, request->body, true);
		request_end_answer(request);
	}
	array->bytes += request->out.len;
	array->answers[request->index] = request->out;
	request->out = (struct jw){0};
	if (++array->done == array->total)
		answer_array(array);
}

/** What the descriptor has not taken of an answer that another thread sent goes before all that has gathered. */
static void send_rest(struct request *request)
{
	struct conn *conn = request->conn;
	struct jw *line = &request->out;

	if (conn->state >= CONN_LINGERING || request->sent > line->len)
		return;
	if (evbuffer_prepend(conn->out, "\n", 1) < 0 ||
	    evbuffer_prepend(conn->out, line->buf + request->sent, line->len - request->sent) < 0)
		conn_kill(conn, "out of memory");
}

/** Not yet counted as taken: refusals on the way in. */
static void deliver(struct request *request)
{
	if (request->sent > 0)
		send_rest(request);
	else if (request->array)
		answer_element(request);
	else
		send_line(request->conn, &request->out);
	request_free(request);
}

void conn_deliver(struct request *request)
{
	struct conn *conn = request->conn;
	struct server *server = conn->server;

	conn->pending--;
	conn->pending_bytes -= request->bytes;
	server->in_flight--;
	server->in_flight_bytes -= request->bytes;
	conn_return_output(request);
	if (request->visit)
		conn_end_visit(conn);
	conn_mark_dirty(conn);
	deliver(request);
}

static void count_taken(struct request *request)
{
	struct conn *conn = request->conn;

	conn->pending++;
	conn->pending_bytes += request->bytes;
	conn->server->in_flight++;
	conn->server->in_flight_bytes += request->bytes;
}

static void run_on_loop(struct request *request)
{
	int r = request->method->on_loop(request->conn->server, request);

	if (r == METHOD_PENDING)
		return;
	request_end_answer(request);
	conn_deliver(request);
}

static void run_on_device(struct request *request)
{
	struct engine *engine = server_engine(request->conn->server, request->call.device);

	if (engine) {
		engine_stage(engine, request);
		return;
	}
	rpc_error_set(&request->error, RPC_NOT_FOUND, ENODEV, "no device \"%s\"", request->call.device);
	request_point(request, "/params/device");
	request_end_answer(request);
	conn_deliver(request);
}

static void start_call(struct conn *conn, struct request *request)
{
	request->conn = conn;
	request_begin_answer(request);
	if (request->error.code) {
		request_end_answer(request);
		deliver(request);
		return;
	}
	if (request->method->heavy)
		request->bytes += HEAVY_BYTES;
	request->peer = conn->peer;
	if (request->method->journaled) {
		peer_argv(&conn->peer);
		request->peer.argv = conn->peer.argv;
	}
	if (request->method->takes_fd) {
		request->fd = take_fd(conn->passed_fd);
		request->fd_many = conn->passed_many;
	}
	count_taken(request);
	if (request->method->place == ON_LOOP)
		run_on_loop(request);
	else
		run_on_device(request);
}

static struct array *new_array(struct conn *conn, size_t total)
{
	struct array *array = calloc(1, sizeof(*array) + total * sizeof(array->answers[0]));

	if (array) {
		array->conn = conn;
		array->total = total;
	}
	return array;
}

static void start_calls(struct conn *conn, struct rpc_line *line, struct array *array, size_t bytes)
{
	struct request *request = line->requests, *next;

	for (; request; request = next) {
		next = request->next;
		request->next = NULL;
		request->array = array;
		request->bytes = bytes / line->count + 1;
		start_call(conn, request);
	}
}

void conn_take_line(struct conn *conn, const char *text, size_t size)
{
	struct array *array = NULL;
	struct rpc_line line;

	if (size > conn->server->limits.request_bytes) {
		conn_refuse(conn, RPC_TOO_LARGE, EMSGSIZE, "the request is longer than a line may be");
		return;
	}
	if (rpc_decode(text, size, conn->peer.role, &conn->server->limits, &line) < 0) {
		conn_kill(conn, "out of memory");
		return;
	}
	if (line.array) {
		array = new_array(conn, line.count);
		if (!array) {
			rpc_line_free(&line);
			conn_kill(conn, "out of memory");
			return;
		}
	}
	start_calls(conn, &line, array, size);
	if (line.fatal)
		conn_drain(conn, "malformed");
}

void conn_refuse(struct conn *conn, int code, int err, const char *message)
{
	struct request *request = rpc_refusal(code, err, message);

	if (request)
		start_call(conn, request);
	conn_drain(conn, message);
}
