/* SPDX-License-Identifier: MIT */
/*
 * Scripts on the daemon's VMs and BOs.
 *
 * A script is parsed and run here with the daemon's rights, so it may not include files. What each of its transactions
 * changes is recorded, and waited for, before the transaction becomes final; a log that fails undoes it. A script may
 * wait for what never comes: it ends when its client goes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_private.h"
#include "record.h"
#include "util.h"

#define OUTPUT_BYTES (8u << 20)

/** A script that runs. */
struct running {
	struct request *request;
	struct jw output, errors;
	bool cut;
	uint64_t seq; /* of the last entry, 0: none */
};

/* ---- What it says ---- */

static void say_text(struct running *running, const char *text)
{
	if (running->output.len > OUTPUT_BYTES)
		running->cut = true;
	else
		jw_string(&running->output, NULL, text);
}

static void say_mappings(struct engine *engine, struct running *running, struct panbind_vm *vm)
{
	struct panbind_mapping mapping;
	char text[400];
	uint64_t va = 0;

	for (; panbind_vm_next_mapping(vm, va, &mapping) == 0 && !running->cut; va = mapping.va + mapping.size) {
		const char *bo = mapping.bo ? panbind_session_bo_name(engine->session, mapping.bo) : NULL;

		snprintf(text, sizeof(text), "  0x%llx 0x%llx %s+0x%llx%s%s%s", (unsigned long long)mapping.va,
			 (unsigned long long)mapping.size,
			 mapping.sparse ? "sparse"
			 : bo		? bo
					: "(unnamed)",
			 (unsigned long long)mapping.bo_offset, mapping.flags & PANBIND_MAP_READONLY ? " readonly" : "",
			 mapping.flags & PANBIND_MAP_NOEXEC ? " noexec" : "",
			 mapping.flags & PANBIND_MAP_UNCACHED ? " uncached" : "");
		say_text(running, text);
	}
}

static void say_vm(struct engine *engine, struct running *running, const struct panbind_event *event)
{
	enum panbind_vm_state state = PANBIND_VM_USABLE;
	char text[320];

	panbind_vm_get_state(event->vm, &state);
	snprintf(text, sizeof(text), "%s va=0x%llx state=%s mappings=%zu", event->name,
		 (unsigned long long)panbind_vm_va_range(event->vm), panbind_vm_state_name(state),
		 panbind_vm_mapping_count(event->vm));
	say_text(running, text);
	if (event->with_map)
		say_mappings(engine, running, event->vm);
}

static void say_gpu(struct running *running, const struct panbind_event *event)
{
	char text[400];

	snprintf(text, sizeof(text), "%s loads=%llu stalls=%llu faults=%llu torn=%llu", event->name,
		 (unsigned long long)event->stats->loads, (unsigned long long)event->stats->stalls,
		 (unsigned long long)event->stats->faults, (unsigned long long)event->torn);
	say_text(running, text);
}

static void say_error(struct running *running, const struct panbind_event *event)
{
	struct jw *out = &running->errors;

	if (out->len > OUTPUT_BYTES) {
		running->cut = true;
		return;
	}
	jw_object(out, NULL);
	jw_string(out, "file", event->error->file);
	jw_int(out, "line", event->error->line);
	jw_int(out, "column", event->error->column);
	jw_string(out, "name", panbind_errno_name(event->error->code));
	jw_string(out, "stage", panbind_stage_name(event->error->stage));
	jw_string(out, "message", event->error->msg);
	jw_object_end(out);
}

void engine_on_event(void *data, const struct panbind_event *event)
{
	struct engine *engine = data;
	struct running *running = engine->running;

	if (!running)
		return;
	if (event->type == PANBIND_EVENT_TEXT)
		say_text(running, event->text);
	else if (event->type == PANBIND_EVENT_SHOW_VM)
		say_vm(engine, running, event);
	else if (event->type == PANBIND_EVENT_GPU)
		say_gpu(running, event);
	else if (event->type == PANBIND_EVENT_ERROR)
		say_error(running, event);
}

/* ---- What it changes ---- */

static enum panbind_log_op_type op_type(enum panbind_change_type type)
{
	switch (type) {
	case PANBIND_CHANGE_MAP:
		return PANBIND_LOG_MAP;
	case PANBIND_CHANGE_UNMAP:
		return PANBIND_LOG_UNMAP;
	case PANBIND_CHANGE_SPARSE_RESERVE:
		return PANBIND_LOG_SPARSE_RESERVE;
	case PANBIND_CHANGE_SPARSE_BIND:
		return PANBIND_LOG_SPARSE_BIND;
	case PANBIND_CHANGE_SPARSE_UNBIND:
		return PANBIND_LOG_SPARSE_UNBIND;
	case PANBIND_CHANGE_SPARSE_RELEASE:
		return PANBIND_LOG_SPARSE_RELEASE;
	default:
		return PANBIND_LOG_SYNC_ONLY;
	}
}

static bool is_op(const struct panbind_change *change)
{
	return change->type <= PANBIND_CHANGE_SYNC_ONLY;
}

/** The entry of an object that was made or destroyed. */
static int fill_object(struct engine *engine, const struct panbind_change *change, struct panbind_log_entry *entry)
{
	bool created = change->type == PANBIND_CHANGE_VM_CREATE || change->type == PANBIND_CHANGE_BO_CREATE;
	bool is_vm = change->type == PANBIND_CHANGE_VM_CREATE || change->type == PANBIND_CHANGE_VM_DESTROY;
	enum object_kind kind = is_vm ? OBJECT_VM : OBJECT_BO;
	const char *name = is_vm ? change->vm : change->bo;
	uint64_t generation = registry_get(&engine->registry, kind, name) + created;

	entry->kind = is_vm ? (created ? PANBIND_LOG_VM_CREATE : PANBIND_LOG_VM_DESTROY)
			    : (created ? PANBIND_LOG_BO_CREATE : PANBIND_LOG_BO_DESTROY);
	entry->object.ref = (struct panbind_log_ref){name, generation};
	entry->object.size = created ? change->size : 0;
	entry->object.flags = created ? change->flags : 0;
	entry->object.exclusive_vm.name = kind == OBJECT_BO && created ? change->vm : NULL;
	return registry_set(&engine->registry, kind, name, generation);
}

/** The entry of neighbouring ops. Returns how many there are, 0: out of memory. */
static size_t fill_ops(struct engine *engine, const struct panbind_change *changes, size_t count,
		       struct panbind_log_entry *entry)
{
	struct panbind_log_op *ops;
	size_t n = 0;

	while (n < count && is_op(&changes[n]))
		n++;
	ops = reallocarray(engine->ops, n > engine->op_room ? n : engine->op_room, sizeof(*ops));
	if (!ops)
		return 0;
	engine->ops = ops;
	engine->op_room = n > engine->op_room ? n : engine->op_room;
	for (size_t i = 0; i < n; i++)
		ops[i] = (struct panbind_log_op){
			.type = op_type(changes[i].type),
			.flags = changes[i].flags,
			.vm = {.name = changes[i].vm},
			.bo = {.name = changes[i].bo},
			.va = changes[i].va,
			.size = changes[i].size,
			.bo_offset = changes[i].bo_offset,
		};
	entry->ops = ops;
	entry->op_count = n;
	entry->applied = (uint32_t)n;
	return n;
}

/** One entry's worth of changes. Returns how many, or a negative errno. */
static ssize_t record_some(struct record *record, const struct request *request, const struct panbind_change *changes,
			   size_t count, uint32_t flags)
{
	struct panbind_log_entry entry;
	size_t n = 1;
	int r = 0;

	engine_fill_entry(request, PANBIND_LOG_BIND, &entry);
	if (is_op(changes))
		n = fill_ops(record->engine, changes, count, &entry);
	else
		r = fill_object(record->engine, changes, &entry);
	if (n == 0 || r < 0)
		return record->error.code = -ENOMEM;
	if (n < count)
		entry.txn_id = NULL; /* the last entry of the transaction has it */
	if (flags & PANBIND_CHANGES_ASYNC)
		entry.flags |= PANBIND_LOG_ASYNC;
	r = record_append(record, &entry);
	return r < 0 ? r : (ssize_t)n;
}

int engine_on_record(void *data, const struct panbind_change *changes, size_t count, uint32_t flags,
		     struct panbind_error *reterr)
{
	struct engine *engine = data;
	struct running *running = engine->running;
	struct record record = {.engine = engine, .durability = PANBIND_LOG_DURABLE_SYNC};
	ssize_t n;
	int r;

	if (running->request->call.durability != DURABILITY_SYNC)
		record.durability = PANBIND_LOG_DURABLE_WRITE;
	for (size_t i = 0; i < count; i += (size_t)n) {
		n = record_some(&record, running->request, changes + i, count - i, flags);
		if (n < 0)
			break;
	}
	r = record_finish(&record);
	if (r < 0) {
		*reterr = record.error;
		return r;
	}
	running->seq = record.seq;
	units_settle(engine); /* they may hold VMs that this transaction destroys */
	return 0;
}

/* ---- The methods ---- */

static int no_include(void *data, const char *from, const char *pattern,
		      int (*add)(void *add_data, const char *name, const char *text, size_t size), void *add_data)
{
	return -EPERM;
}

static int parse(struct request *request, struct panbind_script **ret_script)
{
	const struct call *call = &request->call;
	struct panbind_script_options options = {
		.defines = call->defines,
		.define_count = call->define_count,
		.include = no_include,
	};
	struct panbind_error error = {.op = PANBIND_NO_OP};

	if (panbind_script_parse(call->file ? call->file : "script", call->text, strlen(call->text), &options,
				 ret_script, &error) < 0) {
		rpc_error_from_library(&request->error, &error, APPLIED_NONE);
		request->error.retryable = false;
		request_point(request, "/params/text");
		return request->error.code;
	}
	if (!call->txn_id || (panbind_script_is_one_transaction(*ret_script) && !call->keep_going))
		return 0;
	panbind_script_destroy(*ret_script);
	rpc_error_set(&request->error, RPC_PARAMS, EINVAL,
		      "a txn_id stands for one transaction: leave out `begin` and `commit`, and keep_going");
	request_point(request, "/params/txn_id");
	return RPC_PARAMS;
}

static void write_result(struct request *request, struct running *running, const struct panbind_run_result *result)
{
	struct jw *out = &request->out;

	jw_array_end(&running->output);
	jw_array_end(&running->errors);
	jw_object(out, "result");
	jw_string(out, "outcome", panbind_outcome_name(result->outcome));
	jw_int(out, "commands", (int64_t)result->commands);
	jw_int(out, "ops", (int64_t)result->ops);
	jw_int(out, "failed", (int64_t)result->failed);
	jw_raw(out, "output", running->output.buf, running->output.len);
	jw_raw(out, "errors", running->errors.buf, running->errors.len);
	jw_bool(out, "cut", running->cut);
	if (running->seq)
		jw_int(out, "seq", (int64_t)running->seq);
	jw_object_end(out);
}

/** Earlier transactions of the script stay when a later one fails. */
static enum applied applied_by(const struct running *running, const struct panbind_run_result *result)
{
	if (result->outcome == PANBIND_OUTCOME_UNKNOWN)
		return APPLIED_UNKNOWN;
	if (result->outcome == PANBIND_OUTCOME_PARTIAL || running->seq || result->ops > 0)
		return APPLIED_PARTIAL;
	return APPLIED_NONE;
}

/** From here on a client that goes away takes its script with it; NULL: no longer, whatever was asked for meanwhile. */
static void set_script_of(struct engine *engine, const struct conn *conn)
{
	pthread_mutex_lock(&engine->cancel_lock);
	engine->script_of = conn;
	if (!conn && !atomic_load(&engine->stopping))
		panbind_session_resume(engine->session);
	pthread_mutex_unlock(&engine->cancel_lock);
}

static int run(struct engine *engine, struct request *request, const struct panbind_script *script,
	       struct running *running)
{
	uint32_t flags =
		(request->call.check ? PANBIND_RUN_CHECK : 0) | (request->call.keep_going ? PANBIND_RUN_KEEP_GOING : 0);
	struct panbind_error error = {.op = PANBIND_NO_OP};
	struct panbind_run_result result;
	int r;

	jw_array(&running->output, NULL);
	jw_array(&running->errors, NULL);
	engine->running = running;
	set_script_of(engine, request->conn);
	r = panbind_session_run(engine->session, script, flags, &result, &error);
	set_script_of(engine, NULL);
	engine->running = NULL;
	if (engine->log && result.outcome > PANBIND_OUTCOME_ROLLED_BACK)
		engine->diverged = true; /* a VM is poisoned, and no entry says so */
	if (r < 0 && !request->call.keep_going)
		return rpc_error_from_library(&request->error, &error, applied_by(running, &result));
	write_result(request, running, &result);
	return jw_ok(&running->output) && jw_ok(&running->errors)
		       ? 0
		       : rpc_error_set(&request->error, RPC_INTERNAL, ENOMEM, "out of memory for the output");
}

int engine_script_run(struct engine *engine, struct request *request)
{
	struct running running = {.request = request};
	struct panbind_script *script = NULL;
	int r = parse(request, &script);

	if (r != 0)
		return r;
	r = run(engine, request, script, &running);
	panbind_script_destroy(script);
	jw_free(&running.output);
	jw_free(&running.errors);
	return r;
}

int engine_state_dump(struct engine *engine, struct request *request)
{
	const char *vm = request->call.vm;
	autofree char *text = NULL;
	int r;

	if (vm && !engine_find_vm(engine, request, vm, "/params/vm"))
		return request->error.code;
	r = panbind_session_dump(engine->session, vm, &text);
	if (r < 0)
		return rpc_error_set(&request->error, RPC_FAILED, -r, "the state cannot be dumped: %s", strerror(-r));
	jw_object(&request->out, "result");
	jw_string(&request->out, "script", text);
	jw_object_end(&request->out);
	return 0;
}
