/* SPDX-License-Identifier: MIT */
/*
 * Subscriptions. See monitor.h for why they have no queue.
 *
 * An open reader holds a view of the log, which keeps its write-ahead file from being reused. So a reader that cannot
 * go on, since the client does not read, is closed, and opened again at the same place when the client has read.
 */
#include <errno.h>
#include <string.h>

#include "engine.h"
#include "entry_json.h"
#include "monitor.h"
#include "say.h"
#include "util.h"

#define ENTRIES_A_TURN 128

struct subscription {
	struct engine *engine;
	struct panbind_log_reader *reader; /* NULL: none is open */
	uint64_t next;			   /* seq of the entry that the client gets next */
	bool at_end;			   /* nothing more was there at the last look */
};

static void count_watchers(struct server *server, struct engine *engine)
{
	bool watched = false;

	for (struct conn *conn = server->conns; conn && !watched; conn = conn->next)
		watched = conn->subscription && conn->subscription->engine == engine;
	engine_watch(engine, watched);
}

void monitor_end(struct conn *conn)
{
	struct subscription *subscription = take_ptr(conn->subscription);

	if (!subscription)
		return;
	panbind_log_reader_close(subscription->reader);
	count_watchers(conn->server, subscription->engine);
	free(subscription);
}

int monitor_begin(struct engine *engine, struct request *request)
{
	struct panbind_log_status status;
	struct subscription *subscription;
	int r = engine_log(engine) ? panbind_log_get_status(engine_log(engine), &status) : -EOPNOTSUPP;

	if (request->conn->subscription)
		return rpc_error_set(&request->error, RPC_EXISTS, EALREADY, "this connection monitors already");
	if (r < 0)
		return rpc_error_set(&request->error, RPC_JOURNAL, -r, "there is no log to monitor: %s", strerror(-r));
	subscription = calloc(1, sizeof(*subscription));
	if (!subscription)
		return rpc_error_set(&request->error, RPC_INTERNAL, ENOMEM, "out of memory");
	subscription->engine = engine;
	subscription->next = request->call.has_since ? request->call.since : status.last_seq + 1;
	if (subscription->next == 0)
		subscription->next = 1;
	request->conn->subscription = subscription;
	engine_watch(engine, true);
	jw_object(&request->out, "result");
	jw_int(&request->out, "next", (int64_t)subscription->next);
	jw_object_end(&request->out);
	conn_mark_dirty(request->conn);
	return 0;
}

static void begin_notification(struct jw *jw, const char *method)
{
	jw_object(jw, NULL);
	jw_string(jw, "jsonrpc", "2.0");
	jw_string(jw, "method", method);
}

static void send_notification(struct conn *conn, struct jw *jw)
{
	jw_object_end(jw);
	conn_send(conn, jw);
	jw_free(jw);
}

static void send_lost(struct conn *conn, uint64_t first, uint64_t next)
{
	struct jw jw = {0};

	begin_notification(&jw, "monitor.lost");
	jw_object(&jw, "params");
	jw_int(&jw, "first", (int64_t)first);
	jw_int(&jw, "next", (int64_t)next);
	jw_object_end(&jw);
	send_notification(conn, &jw);
}

static void send_entry(struct conn *conn, const struct panbind_log_entry *entry)
{
	struct subscription *subscription = conn->subscription;
	struct jw jw = {0};

	if (entry->seq > subscription->next)
		send_lost(conn, subscription->next, entry->seq);
	subscription->next = entry->seq + 1;
	begin_notification(&jw, "monitor.event");
	entry_write(&jw, "params", entry);
	send_notification(conn, &jw);
}

static int open_reader(struct subscription *subscription)
{
	struct panbind_log_filter filter = {.since_seq = subscription->next};

	if (subscription->reader)
		return 0;
	return panbind_log_reader_open(engine_log(subscription->engine), &filter, &subscription->reader, NULL);
}

static bool has_room(const struct conn *conn)
{
	return conn->state == CONN_OPEN && conn_unread(conn) < conn->server->limits.output_bytes / 2;
}

/** Everything up to now is folded: no entry will tell, so the log's status must. */
static void check_folded(struct conn *conn)
{
	struct subscription *subscription = conn->subscription;
	struct panbind_log_status status;

	if (panbind_log_get_status(engine_log(subscription->engine), &status) < 0 ||
	    status.first_seq <= subscription->next)
		return;
	send_lost(conn, subscription->next, status.first_seq);
	if (conn->subscription)
		subscription->next = status.first_seq;
}

static void fail(struct conn *conn, int r)
{
	say(SAY_WARNING, "the log cannot be read for a monitor: %s", strerror(-r));
	conn_drain(conn, "the log cannot be read");
}

void monitor_pump(struct conn *conn)
{
	struct subscription *subscription = conn->subscription;
	const struct panbind_log_entry *entry;
	int r, left = ENTRIES_A_TURN;

	if (subscription->at_end || !has_room(conn))
		return;
	r = open_reader(subscription);
	while (r >= 0 && left-- > 0 && has_room(conn)) {
		r = panbind_log_read(subscription->reader, &entry);
		if (r != 1)
			break;
		send_entry(conn, entry);
	}
	if (conn->subscription != subscription)
		return; /* the connection ended over it */
	if (r < 0) {
		fail(conn, r);
		return;
	}
	if (r == 0) {
		subscription->at_end = true;
		check_folded(conn);
	} else {
		panbind_log_reader_close(take_ptr(subscription->reader));
		conn_again_next_turn(conn);
	}
}

void monitor_wake(struct server *server)
{
	for (struct conn *conn = server->conns; conn; conn = conn->next) {
		if (!conn->subscription)
			continue;
		conn->subscription->at_end = false;
		conn_mark_dirty(conn);
	}
}
