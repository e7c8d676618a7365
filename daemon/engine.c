/* SPDX-License-Identifier: MIT */
/*
 * The executor: takes calls in order, has them carried out, sees to their answers. See engine.h for the contract.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "conn.h"
#include "engine_private.h"
#include "record.h"
#include "say.h"
#include "server.h"
#include "util.h"

#define SETTLE_MS 20 /* how long what is recorded may wait to be let go while nothing else happens */

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- Calls ---- */

void engine_answer(struct engine *engine, struct request *request)
{
	request_end_answer(request);
	server_reply(engine->server, request);
}

int engine_check_log(struct engine *engine, struct request *request)
{
	struct panbind_error error = {0};
	int r = engine->log ? panbind_log_ready(engine->log) : 0;

	if (r == 0 && engine->diverged)
		r = record_state(engine, &error);
	if (r == 0)
		return 0;
	rpc_error_set(&request->error, RPC_JOURNAL, -r, "the log cannot be written: %s", strerror(-r));
	request->error.retryable = true;
	return RPC_JOURNAL;
}

static bool lacks_log(struct engine *engine, struct request *request)
{
	if (engine->log || !request->call.txn_id)
		return false;
	rpc_error_set(&request->error, RPC_FAILED, EOPNOTSUPP, "a txn_id needs a log, and this daemon keeps none");
	request_point(request, "/params/txn_id");
	return true;
}

static int run_method(struct engine *engine, struct request *request)
{
	int r;

	adoptions_refresh(engine, request);
	/* In state.undo the word means something else. */
	adoptions_force(engine, request->call.force && request->method->on_device != engine_state_undo);
	r = request->method->on_device(engine, request);
	adoptions_force(engine, false);
	return r;
}

static void carry_out(struct engine *engine, struct request *request)
{
	int r = 0;

	if (!lacks_log(engine, request) && !engine_is_repetition(engine, request)) {
		r = rebuilds_refuse(engine, request);
		if (r == 0 && request->method->journaled)
			r = engine_check_log(engine, request);
		if (r == 0)
			r = run_method(engine, request);
		if (r != METHOD_PENDING && request->error.code)
			r = engine_remember_refusal(engine, request);
	}
	if (r != METHOD_PENDING)
		engine_answer(engine, request);
}

static void visit_carry_out(struct engine *engine, struct request *request)
{
	visit_hold(request);
	carry_out(engine, request);
	visit_release(&engine->visit);
}

static void carry_out_all(struct engine *engine, struct request *request)
{
	while (request) {
		struct request *next = request->next;

		request->next = NULL;
		if (atomic_load(&engine->refused))
			units_settle(engine);
		if (request->visit)
			visit_carry_out(engine, request);
		else
			carry_out(engine, request);
		request = next;
	}
}

static int patience_ms(const struct engine *engine)
{
	if (engine->rebuilds)
		return 0;
	return engine->oldest ? SETTLE_MS : flights_patience_ms(engine);
}

static struct request *wait_for_work(struct engine *engine, int timeout_ms)
{
	if (visit_waits(&engine->visit))
		return visit_wait(engine, timeout_ms);
	return queue_wait(&engine->queue, timeout_ms);
}

static void *executor(void *data)
{
	struct engine *engine = data;

	for (;;) {
		bool stopping = atomic_load(&engine->stopping);
		struct request *request = wait_for_work(engine, stopping ? 0 : patience_ms(engine));

		units_settle(engine);
		flights_look(engine);
		adoptions_look(engine);
		if (!request && stopping && !engine->rebuilds)
			break;
		carry_out_all(engine, request);
		rebuilds_go_on(engine);
	}
	visit_end(engine);
	units_drain(engine);
	adoptions_end(engine);
	return NULL;
}

/* ---- Entries ---- */

void engine_fill_entry(const struct request *request, enum panbind_log_kind kind, struct panbind_log_entry *entry)
{
	static const enum panbind_log_durability durabilities[] = {
		[DURABILITY_SYNC] = PANBIND_LOG_DURABLE_SYNC,
		[DURABILITY_WRITE] = PANBIND_LOG_DURABLE_WRITE,
		[DURABILITY_NONE] = PANBIND_LOG_DURABLE_NONE,
	};

	*entry = (struct panbind_log_entry){.kind = kind, .failing_op = PANBIND_NO_OP};
	entry->uid = request->peer.uid;
	entry->gid = request->peer.gid;
	entry->pid = request->peer.pid;
	entry->argv = request->peer.argv && *request->peer.argv ? request->peer.argv : NULL;
	entry->txn_id = request->call.txn_id;
	entry->digest = request->digest[0] ? request->digest : NULL;
	entry->comment = request->call.comment;
	entry->durability = durabilities[request->call.durability];
}

void engine_fill_failure(struct panbind_log_entry *entry, const struct panbind_error *error,
			 enum panbind_outcome outcome)
{
	entry->result = error->code < 0 ? error->code : -EIO;
	entry->outcome = outcome;
	entry->stage = error->stage;
	entry->failing_op = error->op;
	entry->applied = outcome == PANBIND_OUTCOME_ROLLED_BACK ? 0 : PANBIND_LOG_UNCLEAR;
	entry->message = error->msg;
}

enum applied engine_applied(enum panbind_outcome outcome)
{
	switch (outcome) {
	case PANBIND_OUTCOME_APPLIED:
		return APPLIED_ALL;
	case PANBIND_OUTCOME_ROLLED_BACK:
		return APPLIED_NONE;
	case PANBIND_OUTCOME_PARTIAL:
		return APPLIED_PARTIAL;
	default:
		return APPLIED_UNKNOWN;
	}
}

int engine_make_op_room(struct engine *engine, size_t count)
{
	struct panbind_log_op *grown;

	if (count <= engine->op_room)
		return 0;
	grown = reallocarray(engine->ops, count, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	engine->ops = grown;
	engine->op_room = count;
	return 0;
}

/* ---- Names ---- */

static int refuse_name(struct request *request, const char *kind, const char *name, const char *pointer)
{
	rpc_error_set(&request->error, RPC_NOT_FOUND, ENOENT, "there is no %s %s", kind, name);
	request_point(request, pointer);
	return RPC_NOT_FOUND;
}

struct panbind_vm *engine_find_vm(struct engine *engine, struct request *request, const char *name, const char *pointer)
{
	struct panbind_vm *vm = panbind_session_vm(engine->session, name);

	if (!vm)
		refuse_name(request, "VM", name, pointer);
	return vm;
}

struct panbind_bo *engine_find_bo(struct engine *engine, struct request *request, const char *name, const char *pointer)
{
	struct panbind_bo *bo = panbind_session_bo(engine->session, name);

	if (!bo)
		refuse_name(request, "BO", name, pointer);
	return bo;
}

/* ---- Generations of mappings ---- */

int engine_check_generation(struct engine *engine, struct request *request, const char *vm)
{
	const struct panbind_vm *found = vm ? panbind_session_vm(engine->session, vm) : NULL;
	uint64_t now = found ? panbind_vm_map_generation(found) : 0;

	if (!request->call.has_if_generation || now == request->call.if_generation)
		return 0;
	if (!vm)
		rpc_error_set(&request->error, RPC_PARAMS, EINVAL, "if_generation needs a VM: the call's `vm`");
	else
		rpc_error_set(&request->error, RPC_STALE, ESTALE,
			      "the mapping of %s has changed: it is of generation %llu, not %llu", vm,
			      (unsigned long long)now, (unsigned long long)request->call.if_generation);
	request_point(request, "/params/if_generation");
	return request->error.code;
}

void engine_note_change(struct engine *engine, const char *vm, uint64_t seq)
{
	struct panbind_vm *found = vm ? panbind_session_vm(engine->session, vm) : NULL;

	if (found && seq)
		panbind_vm_set_map_generation(found, seq);
}

int engine_make_touched_room(struct engine *engine, size_t count)
{
	struct panbind_vm **grown;

	if (count <= engine->touched_room)
		return 0;
	grown = reallocarray(engine->touched, 2 * count, sizeof(struct panbind_vm *));
	if (!grown)
		return -ENOMEM;
	engine->touched = grown;
	engine->touched_room = 2 * count;
	return 0;
}

/** After a restore: what was seen before it is no longer counted on, whatever it was. */
static int note_restored(struct engine *engine)
{
	struct panbind_log_status status;
	const char *name;
	int r = panbind_log_get_status(engine->log, &status);

	for (size_t i = 0; r == 0 && (name = panbind_session_vm_name(engine->session, i)); i++)
		engine_note_change(engine, name, status.last_seq);
	return r;
}

/* ---- The loop's side ---- */

void engine_stage(struct engine *engine, struct request *request)
{
	*engine->staged_tail = request;
	engine->staged_tail = &request->next;
}

void engine_submit(struct engine *engine)
{
	struct request *first = engine->staged;

	if (!first)
		return;
	engine->staged = NULL;
	engine->staged_tail = &engine->staged;
	if (!first->next && engine->server->in_flight == 1) {
		first->alone = true;
		conn_lend_output(first);
		conn_begin_visit(first, &engine->visit);
	} else {
		engine->server->alone_calls = 0;
	}
	queue_push(&engine->queue, first);
}

void engine_poke(struct engine *engine)
{
	queue_poke(&engine->queue);
}

const char *engine_name(const struct engine *engine)
{
	return engine->name;
}

struct panbind_log *engine_log(struct engine *engine)
{
	return engine->log;
}

void engine_cancel(struct engine *engine, const struct conn *conn)
{
	pthread_mutex_lock(&engine->cancel_lock);
	if (engine->script_of == conn) {
		engine->cancelled = true;
		panbind_session_stop(engine->session);
	}
	rebuilds_cancel(engine, conn);
	pthread_mutex_unlock(&engine->cancel_lock);
}

void engine_wind_down(struct engine *engine)
{
	atomic_store(&engine->winding_down, true);
}

void engine_set_script_of(struct engine *engine, const struct conn *conn)
{
	pthread_mutex_lock(&engine->cancel_lock);
	engine->script_of = conn;
	engine->cancelled = false;
	if (!conn && !atomic_load(&engine->stopping))
		panbind_session_resume(engine->session);
	pthread_mutex_unlock(&engine->cancel_lock);
}

bool engine_is_cancelled(struct engine *engine)
{
	bool cancelled;

	pthread_mutex_lock(&engine->cancel_lock);
	cancelled = engine->cancelled || atomic_load(&engine->stopping);
	pthread_mutex_unlock(&engine->cancel_lock);
	return cancelled;
}

int engine_ends_fd(const struct engine *engine)
{
	return engine->ends_fd;
}

void engine_note_end(struct engine *engine)
{
	struct epoll_event events[16];

	/* Each of them is told once: the executor looks at all. */
	if (epoll_wait(engine->ends_fd, events, ARRAY_SIZE(events), 0) > 0)
		queue_poke(&engine->queue);
}

void engine_watch(struct engine *engine, bool watch)
{
	atomic_store(&engine->watched, watch);
}

static void on_commit(void *data, uint64_t last_seq)
{
	struct engine *engine = data;

	if (atomic_load(&engine->watched))
		queue_poke(&engine->server->replies);
}

int engine_start(struct engine *engine, struct server *server)
{
	int r;

	engine->server = server;
	if (engine->log)
		panbind_log_set_commit_hook(engine->log, on_commit, engine);
	r = pthread_create(&engine->thread, NULL, executor, engine);
	if (r != 0) {
		say(SAY_ERROR, "cannot start a thread for %s: %s", engine->name, strerror(r));
		return -r;
	}
	engine->started = true;
	return 0;
}

void engine_stop(struct engine *engine)
{
	if (!engine->started)
		return;
	panbind_session_stop(engine->session);
	atomic_store(&engine->stopping, true);
	queue_poke(&engine->queue);
	pthread_join(engine->thread, NULL);
	engine->started = false;
	if (engine->log)
		panbind_log_set_commit_hook(engine->log, NULL, NULL);
}

/* ---- Opening ---- */

static int read_generation(void *data, size_t count, const char *const *names, const struct panbind_log_value *values)
{
	struct engine *engine = data;
	enum object_kind kind = strcmp(values[0].text, "vm") == 0 ? OBJECT_VM : OBJECT_BO;

	return registry_set(&engine->registry, kind, values[1].text, (uint64_t)values[2].integer);
}

static int append_start(struct engine *engine, struct panbind_error *reterr)
{
	struct panbind_log_entry entry = {
		.kind = PANBIND_LOG_START,
		.uid = geteuid(),
		.gid = getegid(),
		.pid = getpid(),
		.comment = engine->spec,
		.failing_op = PANBIND_NO_OP,
	};

	return panbind_log_append_wait(engine->log, &entry, PANBIND_LOG_DURABLE_SYNC, NULL, reterr);
}

static int open_log(struct engine *engine, const struct engine_options *options)
{
	static const char generations[] = "SELECT kind, name, max(generation) FROM objects GROUP BY kind, name";
	struct panbind_log_options log_options = {.size_cap = options->log_size_cap};
	struct panbind_error error = {0};
	int r = panbind_log_open(options->log_path, PANBIND_LOG_CREATE, &log_options, &engine->log, &error);

	if (r == 0)
		r = panbind_log_query(engine->log, generations, 0, read_generation, engine, &error);
	if (r == 0 && options->restore) {
		r = engine_restore(engine);
		return r == 0 ? note_restored(engine) : r;
	}
	if (r == 0)
		r = append_start(engine, &error);
	if (r < 0)
		say(SAY_ERROR, "%s: %s", options->log_path, error.msg[0] ? error.msg : strerror(-r));
	return r;
}

static int open_device(struct engine *engine, bool assume_atomic)
{
	struct panbind_error error = {0};
	int r = panbind_device_open(engine->spec, &engine->device, &error);

	if (r < 0) {
		say(SAY_ERROR, "%s: %s", engine->spec, error.msg[0] ? error.msg : strerror(-r));
		return r;
	}
	if (assume_atomic)
		panbind_device_assume_atomic(engine->device, PANBIND_YES);
	r = panbind_device_get_info(engine->device, &engine->info);
	if (r == 0)
		r = panbind_session_create(engine->device, engine_on_event, engine, &engine->session);
	if (r == 0)
		r = panbind_batch_create(&engine->batch);
	if (r < 0)
		say(SAY_ERROR, "%s: %s", engine->spec, strerror(-r));
	return r;
}

int engine_open(const struct engine_options *options, struct engine **ret_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int r;

	if (!engine)
		return -ENOMEM;
	engine->newest = &engine->oldest;
	engine->staged_tail = &engine->staged;
	queue_init(&engine->queue, false);
	pthread_mutex_init(&engine->cancel_lock, NULL);
	engine->ends_fd = epoll_create1(EPOLL_CLOEXEC);
	engine->name = strdup(options->name);
	engine->spec = strdup(options->spec);
	r = engine->name && engine->spec && engine->ends_fd >= 0 ? open_device(engine, options->assume_atomic)
								 : -ENOMEM;
	if (r == 0 && options->log_path)
		r = open_log(engine, options);
	if (r < 0) {
		engine_close(engine);
		return r;
	}
	panbind_session_set_record(engine->session, engine->log ? engine_on_record : NULL, engine);
	*ret_engine = engine;
	return 0;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	engine_submit(engine); /* into the queue, which frees what nobody took */
	adoptions_free(engine);
	panbind_log_close(engine->log);
	panbind_batch_destroy(engine->batch);
	panbind_session_destroy(engine->session);
	panbind_device_unref(engine->device);
	registry_free(&engine->registry);
	flights_free(engine);
	queue_destroy(&engine->queue);
	pthread_mutex_destroy(&engine->cancel_lock);
	closep(&engine->ends_fd);
	free(engine->ops);
	free(engine->touched);
	free(engine->name);
	free(engine->spec);
	free(engine);
}
