/* SPDX-License-Identifier: MIT */
/*
 * Methods that the loop answers itself: they touch no device. The log is read here in small bites; what takes long goes
 * to the log's own thread.
 */
#include <errno.h>
#include <string.h>

#include "conn.h"
#include "discover.h"
#include "engine.h"
#include "entry_json.h"
#include "monitor.h"
#include "rpc.h"

#define OPS_AN_ANSWER 20000 /* journal.show ends early for entries as large as that */

int server_ping(struct server *server, struct request *request)
{
	jw_object(&request->out, "result");
	jw_int(&request->out, "uptime_ms", (int64_t)(now_ms() - server->started_ms));
	jw_object_end(&request->out);
	return 0;
}

int server_discover(struct server *server, struct request *request)
{
	discover_write(&request->out, "result");
	return 0;
}

static void write_limits(struct jw *jw, const struct limits *limits)
{
	jw_object(jw, "limits");
	jw_int(jw, "request_bytes", (int64_t)limits->request_bytes);
	jw_int(jw, "ops", (int64_t)limits->ops);
	jw_int(jw, "calls", (int64_t)limits->calls);
	jw_int(jw, "pending", (int64_t)limits->pending);
	jw_int(jw, "connections", (int64_t)limits->connections);
	jw_int(jw, "output_bytes", (int64_t)limits->output_bytes);
	jw_object_end(jw);
}

void server_write_greeting(struct server *server, enum role role, struct jw *jw)
{
	jw_object(jw, NULL);
	jw_string(jw, "jsonrpc", "2.0");
	jw_string(jw, "method", "rpc.greeting");
	jw_object(jw, "params");
	jw_int(jw, "protocol", RPC_PROTOCOL);
	jw_string(jw, "version", PANBIND_VERSION);
	jw_string(jw, "role", role_name(role));
	jw_array(jw, "devices");
	for (size_t i = 0; i < server->engine_count; i++) {
		jw_object(jw, NULL);
		engine_describe(server->engines[i], jw);
		jw_bool(jw, "log", engine_log(server->engines[i]));
		jw_object_end(jw);
	}
	jw_array_end(jw);
	write_limits(jw, &server->limits);
	jw_object_end(jw);
	jw_object_end(jw);
}

/* ---- The log ---- */

/** The engine that the call names, which keeps a log; or NULL with the refusal. */
static struct engine *find_log(struct server *server, struct request *request)
{
	struct engine *engine = server_engine(server, request->call.device);

	if (!engine) {
		rpc_error_set(&request->error, RPC_NOT_FOUND, ENODEV, "no device \"%s\"", request->call.device);
		request_point(request, "/params/device");
		return NULL;
	}
	if (engine_log(engine))
		return engine;
	rpc_error_set(&request->error, RPC_FAILED, EOPNOTSUPP, "the daemon keeps no log of this device");
	return NULL;
}

static int refuse(struct request *request, int r, const struct panbind_error *error)
{
	return rpc_error_set(&request->error, RPC_JOURNAL, -r, "the log cannot be read: %s",
			     error->msg[0] ? error->msg : strerror(-r));
}

/** Entries from call.since on. Returns 0 or a negative errno; *ret_next: where to go on, 0: at the end. */
static int write_entries(struct request *request, struct panbind_log_reader *reader, uint64_t *ret_next)
{
	const struct panbind_log_entry *entry;
	uint64_t left = request->call.limit;
	size_t ops = 0;
	int r;

	*ret_next = 0;
	while ((r = panbind_log_read(reader, &entry)) == 1) {
		if (left-- == 0 || ops > OPS_AN_ANSWER) {
			*ret_next = entry->seq;
			return 0;
		}
		entry_write(&request->out, NULL, entry);
		ops += entry->op_count;
	}
	return r;
}

int server_journal_show(struct server *server, struct request *request)
{
	struct panbind_log_filter filter = {.since_seq = request->call.since};
	struct engine *engine = find_log(server, request);
	struct panbind_error error = {0};
	struct panbind_log_reader *reader;
	uint64_t next;
	int r;

	if (!engine)
		return request->error.code;
	r = panbind_log_reader_open(engine_log(engine), &filter, &reader, &error);
	if (r < 0)
		return refuse(request, r, &error);
	jw_object(&request->out, "result");
	jw_array(&request->out, "entries");
	r = write_entries(request, reader, &next);
	panbind_log_reader_close(reader);
	if (r < 0)
		return refuse(request, r, &error);
	jw_array_end(&request->out);
	if (next)
		jw_int(&request->out, "next", (int64_t)next);
	jw_object_end(&request->out);
	return 0;
}

int server_journal_status(struct server *server, struct request *request)
{
	struct engine *engine = find_log(server, request);
	struct jw *out = &request->out;
	struct panbind_log_status status;
	int r;

	if (!engine)
		return request->error.code;
	r = panbind_log_get_status(engine_log(engine), &status);
	if (r < 0)
		return refuse(request, r, &(struct panbind_error){0});
	jw_object(out, "result");
	jw_string(out, "path", status.path);
	jw_int(out, "first", (int64_t)status.first_seq);
	jw_int(out, "last", (int64_t)status.last_seq);
	jw_int(out, "bytes", (int64_t)(status.bytes + status.wal_bytes));
	jw_int(out, "size_cap", (int64_t)status.size_cap);
	jw_int(out, "queued", (int64_t)status.queued);
	jw_bool(out, "compacting", status.compacting);
	jw_string(out, "refusing", status.failed ? panbind_errno_name(status.failed) : NULL);
	if (status.failed)
		jw_string(out, "why", status.why);
	jw_int(out, "cures", (int64_t)status.cures);
	jw_object_end(out);
	return 0;
}

/** On the log's thread. */
static void on_compacted(void *data, uint64_t seq, int result)
{
	struct request *request = data;

	if (result < 0) {
		rpc_error_set(&request->error, RPC_JOURNAL, -result, "the log could not be compacted: %s",
			      strerror(-result));
	} else {
		jw_object(&request->out, "result");
		jw_int(&request->out, "snapshot", (int64_t)seq);
		jw_object_end(&request->out);
	}
	request_end_answer(request);
	server_reply(request->server, request);
}

int server_journal_compact(struct server *server, struct request *request)
{
	struct engine *engine = find_log(server, request);
	uint64_t until = request->call.has_until ? request->call.until : UINT64_MAX;
	int r;

	if (!engine)
		return request->error.code;
	request->server = server;
	r = panbind_log_compact(engine_log(engine), until, on_compacted, request);
	if (r < 0)
		return rpc_error_set(&request->error, RPC_JOURNAL, -r, "the log cannot be compacted: %s", strerror(-r));
	return METHOD_PENDING;
}

int server_subscribe(struct server *server, struct request *request)
{
	struct engine *engine = find_log(server, request);

	return engine ? monitor_begin(engine, request) : request->error.code;
}
