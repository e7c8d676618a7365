/* SPDX-License-Identifier: MIT */
/*
 * A new VM in the place of one that is lost.
 *
 * A VM that the driver gave up, or that panbind lost track of, cannot be mended. What it should map is known all the
 * same: by its shadow, which also has what asynchronous binds were to do, or by the log. A new VM gets that mapping,
 * and then takes over the name, with a generation of its own. Until then the old one stands where it stood, so that a
 * failure changes nothing. The contents of BOs are where they were: they are the same BOs.
 *
 * That takes as long as binding all of it, and nobody else shall wait for it: the new VM, which has no name yet, is
 * filled in steps, and between two of them the executor does whatever else there is to do. What would change the old VM
 * meanwhile is refused, and may be tried again. BOs that are destroyed meanwhile are held until they are mapped. Only
 * the swap is one turn: one whole for the log, which has the old VM or the new one under the name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_rebuild.h"
#include "say.h"
#include "util.h"

#define OPS_A_STEP 256

static int refuse(struct rebuild *rebuild, int r, const struct panbind_error *error)
{
	const struct panbind_error none = {0};

	return engine_refuse_state(rebuild->request, r, error ? error : &none);
}

/* ---- Begin ---- */

static int check_state(struct rebuild *rebuild)
{
	enum panbind_vm_state state;
	int r = panbind_vm_get_state(rebuild->old, &state);

	if (r < 0)
		return refuse(rebuild, r, NULL);
	if (state != PANBIND_VM_USABLE || rebuild->request->call.force)
		return 0;
	rpc_error_set(&rebuild->request->error, RPC_FAILED, EALREADY,
		      "the VM is usable: a rebuild would take its pages away from the GPU for nothing");
	request_point(rebuild->request, "/params/name");
	return rebuild->request->error.code;
}

/** The new VM, and the ops that fill it. */
static int prepare(struct rebuild *rebuild, struct panbind_error *error)
{
	int r = rebuild_want_all(rebuild);

	if (r == 0)
		r = panbind_state_create(&rebuild->empty);
	if (r == 0)
		r = panbind_state_diff(rebuild->empty, rebuild->wanted, &rebuild->diff);
	if (r == 0)
		r = engine_make_vm(rebuild->engine, panbind_vm_va_range(rebuild->old), &rebuild->fresh, error);
	if (r == 0)
		r = panbind_state_run_begin(rebuild->diff, rebuild->fresh, &rebuild->run, error);
	return r;
}

static int begin(struct rebuild *rebuild)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int r = rebuild_read_source(rebuild);

	if (r != 0)
		return r;
	r = prepare(rebuild, &error);
	if (r < 0)
		return refuse(rebuild, r, &error);
	rebuild->ops = panbind_state_diff_op_count(rebuild->diff);
	return 0;
}

/* ---- The swap ---- */

static int record_swap(struct rebuild *rebuild, const char *name)
{
	static const char comment[] = "rebuilt";
	struct record *record = &rebuild->record;
	struct panbind_log_entry entry;

	*record = (struct record){.engine = rebuild->engine, .request = rebuild->request, .whole = true};
	record->durability = rebuild->request->call.durability == DURABILITY_SYNC ? PANBIND_LOG_DURABLE_SYNC
										  : PANBIND_LOG_DURABLE_WRITE;
	engine_fill_entry(rebuild->request, PANBIND_LOG_VM_DESTROY, &entry);
	entry.comment = comment;
	entry.txn_id = NULL;
	entry.object.ref.name = name;
	entry.object.ref.generation = registry_get(&rebuild->engine->registry, OBJECT_VM, name);
	record_append(record, &entry);
	record_vm(record, name, comment);
	record_map(record, name, comment);
	if (rebuild->request->call.txn_id) { /* the last entry, so that it stands for all */
		engine_fill_entry(rebuild->request, PANBIND_LOG_BIND, &entry);
		record_append(record, &entry);
	}
	return record_finish(record);
}

/** The new VM has the name; that is recorded, or everything is as it was. */
static int exchange(struct rebuild *rebuild)
{
	struct engine *engine = rebuild->engine;
	struct panbind_session *session = engine->session;
	const char *name = rebuild->request->call.name;
	int r;

	panbind_session_take_vm(session, name);
	r = panbind_session_add_vm(session, name, rebuild->fresh);
	if (r == 0) {
		if (engine->log)
			r = record_swap(rebuild, name);
		else
			r = registry_set(&engine->registry, OBJECT_VM, name,
					 registry_get(&engine->registry, OBJECT_VM, name) + 1);
		if (r < 0)
			panbind_session_take_vm(session, name);
	}
	if (r < 0 && panbind_session_add_vm(session, name, rebuild->old) < 0)
		say(SAY_ERROR, "the name of the VM %s is lost", name);
	return r;
}

static void write_result(struct rebuild *rebuild)
{
	struct jw *out = &rebuild->request->out;
	const char *name = rebuild->request->call.name;
	struct panbind_vm *vm = panbind_session_vm(rebuild->engine->session, name);

	jw_array_end(&rebuild->lost);
	jw_object(out, "result");
	jw_string(out, "name", name);
	jw_int(out, "generation", (int64_t)registry_get(&rebuild->engine->registry, OBJECT_VM, name));
	jw_int(out, "map_generation", (int64_t)panbind_vm_map_generation(vm));
	jw_int(out, "mappings", (int64_t)panbind_vm_mapping_count(vm));
	jw_int(out, "ops", (int64_t)rebuild->ops);
	jw_hex(out, "lost_bytes", rebuild->lost_bytes);
	jw_raw(out, "lost", rebuild->lost.buf, rebuild->lost.len);
	if (rebuild->record.seq)
		jw_int(out, "seq", (int64_t)rebuild->record.seq);
	jw_object_end(out);
}

static int swap(struct rebuild *rebuild)
{
	struct engine *engine = rebuild->engine;
	int r = engine_check_log(engine, rebuild->request); /* a while ago it would have taken an entry */

	if (r != 0)
		return r;
	units_drain(engine); /* nothing else is recorded while the whole is */
	r = exchange(rebuild);
	if (r < 0)
		return refuse(rebuild, r, &rebuild->record.error);
	panbind_state_run_commit(take_ptr(rebuild->run));
	if (rebuild->record.seq)
		panbind_vm_set_map_generation(rebuild->fresh, rebuild->record.seq);
	rebuild->fresh = NULL;
	panbind_vm_destroy(take_ptr(rebuild->old));
	write_result(rebuild);
	return 0;
}

/* ---- Steps ---- */

static void rebuild_free(struct rebuild *rebuild)
{
	if (rebuild->old)
		panbind_vm_set_held(rebuild->old, false);
	panbind_state_run_commit(rebuild->run); /* the VM goes as a whole: nothing to undo */
	panbind_vm_destroy(rebuild->fresh);
	panbind_state_diff_destroy(rebuild->diff);
	panbind_state_destroy(rebuild->empty);
	panbind_state_destroy(rebuild->wanted);
	panbind_state_destroy(rebuild->source);
	free(rebuild->bo_of_source);
	jw_free(&rebuild->lost);
	free(rebuild);
}

/** It has answered or is refused: the next one's turn. */
static void end(struct rebuild *rebuild, int r)
{
	struct engine *engine = rebuild->engine;
	struct request *request = rebuild->request;

	pthread_mutex_lock(&engine->cancel_lock);
	engine->rebuilds = rebuild->next;
	pthread_mutex_unlock(&engine->cancel_lock);
	rebuild_free(rebuild);
	if (r != 0)
		r = engine_remember_refusal(engine, request);
	if (r != METHOD_PENDING)
		engine_answer(engine, request);
}

static bool is_over(struct rebuild *rebuild)
{
	struct engine *engine = rebuild->engine;
	bool cancelled;

	pthread_mutex_lock(&engine->cancel_lock);
	cancelled = rebuild->cancelled;
	pthread_mutex_unlock(&engine->cancel_lock);
	return cancelled || atomic_load(&engine->winding_down) || atomic_load(&engine->stopping);
}

/** Not remembered under its txn_id: the same call may come again, and is then carried out. */
static int refuse_ended(struct rebuild *rebuild)
{
	rpc_error_set(&rebuild->request->error, RPC_BUSY, ECANCELED,
		      "the rebuild was ended and has changed nothing: the client is gone, or the daemon is stopping");
	rebuild->request->error.retryable = true;
	return RPC_BUSY;
}

static int step(struct rebuild *rebuild)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int r = panbind_state_run_step(rebuild->run, OPS_A_STEP, &error);

	if (r == 0)
		return swap(rebuild);
	rebuild->done += OPS_A_STEP;
	return r < 0 ? refuse(rebuild, r, &error) : METHOD_PENDING;
}

void rebuilds_go_on(struct engine *engine)
{
	struct rebuild *rebuild = engine->rebuilds;
	int r;

	if (!rebuild)
		return;
	if (is_over(rebuild))
		r = refuse_ended(rebuild);
	else if (!rebuild->run)
		r = begin(rebuild) == 0 ? METHOD_PENDING : rebuild->request->error.code;
	else
		r = step(rebuild);
	if (r != METHOD_PENDING)
		end(rebuild, r);
}

/* ---- While they go on ---- */

static const struct rebuild *find(const struct engine *engine, const char *vm)
{
	const struct rebuild *rebuild = engine->rebuilds;

	while (rebuild && strcmp(rebuild->request->call.name, vm) != 0)
		rebuild = rebuild->next;
	return rebuild;
}

static bool is_rebuilt(const struct engine *engine, const char *vm)
{
	return vm && find(engine, vm);
}

void rebuilds_write(const struct engine *engine, struct jw *out, const char *vm)
{
	const struct rebuild *rebuild = find(engine, vm);

	if (!rebuild)
		return;
	jw_object(out, "rebuilding");
	jw_int(out, "done", (int64_t)rebuild->done);
	jw_int(out, "ops", (int64_t)rebuild->ops);
	jw_object_end(out);
}

/** The VM that the call would change and must not, or NULL. Scripts name theirs only as they run. */
static const char *busy_vm(const struct engine *engine, const struct request *request)
{
	const struct call *call = &request->call;
	device_method *method = request->method->on_device;

	if (is_rebuilt(engine, call->vm))
		return call->vm;
	if ((method == engine_vm_destroy || method == engine_vm_rebuild) && is_rebuilt(engine, call->name))
		return call->name;
	for (size_t i = 0; i < call->op_count; i++)
		if (is_rebuilt(engine, call->ops[i].vm))
			return call->ops[i].vm;
	return NULL;
}

int rebuilds_refuse(struct engine *engine, struct request *request)
{
	const char *vm = engine->rebuilds && request->method->journaled ? busy_vm(engine, request) : NULL;

	if (!vm)
		return 0;
	rpc_error_set(&request->error, RPC_BUSY, EBUSY, "%s is being rebuilt: try again later", vm);
	request->error.retryable = true;
	return RPC_BUSY;
}

void rebuilds_cancel(struct engine *engine, const struct conn *conn)
{
	for (struct rebuild *rebuild = engine->rebuilds; rebuild; rebuild = rebuild->next)
		rebuild->cancelled |= rebuild->request->conn == conn;
}

/* ---- The method ---- */

static void enqueue(struct rebuild *rebuild)
{
	struct engine *engine = rebuild->engine;
	struct rebuild **at = &engine->rebuilds;

	pthread_mutex_lock(&engine->cancel_lock);
	while (*at)
		at = &(*at)->next;
	*at = rebuild;
	pthread_mutex_unlock(&engine->cancel_lock);
	panbind_vm_set_held(rebuild->old, true);
}

static int check(struct rebuild *rebuild)
{
	struct engine *engine = rebuild->engine;
	struct request *request = rebuild->request;
	const char *name = request->call.name;
	int r;

	rebuild->old = engine_find_vm(engine, request, name, "/params/name");
	if (!rebuild->old)
		return request->error.code;
	r = engine_refuse_adopted(engine, request, name);
	if (r == 0)
		r = engine_check_generation(engine, request, name);
	return r == 0 ? check_state(rebuild) : r;
}

int engine_vm_rebuild(struct engine *engine, struct request *request)
{
	struct rebuild *rebuild = calloc(1, sizeof(*rebuild));

	if (!rebuild)
		return rpc_error_set(&request->error, RPC_INTERNAL, ENOMEM, "out of memory");
	rebuild->engine = engine;
	rebuild->request = request;
	jw_array(&rebuild->lost, NULL);
	units_drain(engine); /* from here on its mapping is settled */
	if (check(rebuild) != 0) {
		rebuild_free(rebuild);
		return request->error.code;
	}
	request->alone = false; /* others come while it goes on */
	enqueue(rebuild);
	return METHOD_PENDING;
}
