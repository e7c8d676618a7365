/* SPDX-License-Identifier: MIT */
/*
 * Methods that bind: whatever they are called, they are a list of ops in one transaction and one entry in the log.
 *
 * All names are looked up before the first op is submitted. Neighbouring maps and unmaps of one VM go to the driver in
 * one batch, merged; sparse ops, which look at the VM's regions, go one by one. A fenced list is another matter:
 * engine_fenced.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_private.h"
#include "util.h"

/** A list of ops on its way through the library. */
struct binding {
	struct engine *engine;
	struct request *request;
	const struct call_op *ops;
	size_t count;
	struct panbind_txn *txn;
	struct panbind_vm *batch_vm; /* whose ops the batch holds */
	size_t batch_first;	     /* index of its first op */
	enum panbind_outcome outcome;
	struct panbind_error error;
};

static const char *vm_of(const struct request *request, const struct call_op *op)
{
	return op->vm ? op->vm : request->call.vm;
}

static bool takes_bo(const struct call_op *op)
{
	return op->type == PANBIND_LOG_MAP || op->type == PANBIND_LOG_SPARSE_BIND;
}

/* ---- Before: names, and the entry's ops ---- */

/** Where in the message a part of op @index is; a call that is one op has its parts among its parameters. */
static const char *part(const struct binding *binding, size_t index, const char *name, char *buffer, size_t size)
{
	if (binding->request->call.ops)
		snprintf(buffer, size, "/params/ops/%zu/%s", index, name);
	else
		snprintf(buffer, size, "/params/%s", name);
	return buffer;
}

/** The op as the log has it; whether its names stand for something is another matter. */
static void fill_op(struct binding *binding, size_t index)
{
	const struct call_op *op = &binding->ops[index];

	binding->engine->ops[index] = (struct panbind_log_op){
		.type = op->type,
		.flags = op->flags,
		.vm = {.name = vm_of(binding->request, op)},
		.bo = {.name = takes_bo(op) ? op->bo : NULL},
		.va = op->va,
		.size = op->size,
		.bo_offset = op->bo_offset,
	};
}

static int resolve(struct binding *binding, size_t index)
{
	const struct call_op *op = &binding->ops[index];
	struct request *request = binding->request;
	const char *vm = vm_of(request, op);
	char pointer[64];

	if (!vm) {
		rpc_error_set(&request->error, RPC_PARAMS, EINVAL, "op %zu names no VM, and neither does the call",
			      index);
		request_point(request, part(binding, index, "vm", pointer, sizeof(pointer)));
		return RPC_PARAMS;
	}
	if (!engine_find_vm(binding->engine, request, vm, part(binding, index, "vm", pointer, sizeof(pointer))) ||
	    (takes_bo(op) &&
	     !engine_find_bo(binding->engine, request, op->bo, part(binding, index, "bo", pointer, sizeof(pointer))))) {
		request->error.op = (uint32_t)index;
		return request->error.code;
	}
	return 0;
}

static int resolve_all(struct binding *binding)
{
	int r = 0;

	if (engine_make_op_room(binding->engine, binding->count) < 0)
		return rpc_error_set(&binding->request->error, RPC_INTERNAL, ENOMEM, "out of memory");
	for (size_t i = 0; i < binding->count; i++)
		fill_op(binding, i);
	for (size_t i = 0; r == 0 && i < binding->count; i++)
		r = resolve(binding, i);
	return r;
}

/* ---- The transaction ---- */

/** What failed was op @base of the list, or one after it as the error says. */
static int failed_at(struct binding *binding, size_t base, int r)
{
	struct panbind_error *error = &binding->error;

	if (error->code == 0) {
		error->code = r;
		error->stage = PANBIND_STAGE_VALIDATE;
		error->op = PANBIND_NO_OP;
		snprintf(error->msg, sizeof(error->msg), "%s", strerror(-r));
	}
	error->op = (uint32_t)base + (error->op == PANBIND_NO_OP ? 0 : error->op);
	return r;
}

static int flush(struct binding *binding)
{
	struct panbind_batch *batch = binding->engine->batch;
	enum panbind_outcome outcome;
	int r;

	if (!binding->batch_vm)
		return 0;
	r = panbind_batch_merge(batch);
	if (r == 0)
		r = panbind_txn_bind(binding->txn, binding->batch_vm, batch, &outcome, &binding->error);
	panbind_batch_origin(batch, binding->error.op, &binding->error.op, NULL);
	panbind_batch_clear(batch);
	binding->batch_vm = NULL;
	return r < 0 ? failed_at(binding, binding->batch_first, r) : 0;
}

static int gather(struct binding *binding, size_t index, struct panbind_vm *vm, struct panbind_bo *bo)
{
	struct panbind_batch *batch = binding->engine->batch;
	const struct call_op *op = &binding->ops[index];
	int r = vm == binding->batch_vm ? 0 : flush(binding);

	if (r < 0)
		return r;
	if (!binding->batch_vm) {
		binding->batch_vm = vm;
		binding->batch_first = index;
	}
	if (op->type == PANBIND_LOG_MAP)
		r = panbind_batch_map(batch, op->va, op->size, bo, op->bo_offset, op->flags, &binding->error);
	else
		r = panbind_batch_unmap(batch, op->va, op->size, &binding->error);
	if (r == 0)
		return 0;
	binding->error.op = PANBIND_NO_OP; /* a batch counts in its own way */
	return failed_at(binding, index, r);
}

static int run_sparse(struct binding *binding, size_t index, struct panbind_vm *vm, struct panbind_bo *bo)
{
	const struct call_op *op = &binding->ops[index];
	struct panbind_error *error = &binding->error;
	int r = flush(binding);

	if (r < 0)
		return r;
	if (op->type == PANBIND_LOG_SPARSE_RESERVE)
		r = panbind_txn_sparse_reserve(binding->txn, vm, op->va, op->size, NULL, error);
	else if (op->type == PANBIND_LOG_SPARSE_BIND)
		r = panbind_txn_sparse_bind(binding->txn, vm, op->va, op->size, bo, op->bo_offset, op->flags, NULL,
					    error);
	else if (op->type == PANBIND_LOG_SPARSE_UNBIND)
		r = panbind_txn_sparse_unbind(binding->txn, vm, op->va, op->size, NULL, error);
	else
		r = panbind_txn_sparse_release(binding->txn, vm, op->va, op->size, NULL, error);
	return r < 0 ? failed_at(binding, index, r) : 0;
}

static int run_op(struct binding *binding, size_t index)
{
	const struct call_op *op = &binding->ops[index];
	struct panbind_session *session = binding->engine->session;
	struct panbind_vm *vm = panbind_session_vm(session, vm_of(binding->request, op));
	struct panbind_bo *bo = takes_bo(op) ? panbind_session_bo(session, op->bo) : NULL;

	if (op->type == PANBIND_LOG_MAP || op->type == PANBIND_LOG_UNMAP)
		return gather(binding, index, vm, bo);
	return run_sparse(binding, index, vm, bo);
}

/** All of it or, as far as the driver lets us, nothing. A failure is in binding->error and outcome. */
static int run_txn(struct binding *binding)
{
	struct panbind_error second = {.op = PANBIND_NO_OP};
	int r = panbind_txn_begin(binding->engine->device, &binding->txn);

	binding->outcome = PANBIND_OUTCOME_ROLLED_BACK;
	if (r < 0)
		return failed_at(binding, 0, r);
	for (size_t i = 0; r == 0 && i < binding->count; i++)
		r = run_op(binding, i);
	if (r == 0)
		r = flush(binding);
	if (r == 0) {
		panbind_txn_detach(binding->txn);
		binding->outcome = PANBIND_OUTCOME_APPLIED;
		return 0;
	}
	panbind_batch_clear(binding->engine->batch);
	binding->batch_vm = NULL;
	if (panbind_txn_rollback(take_ptr(binding->txn), &binding->outcome, &second) < 0)
		binding->error = second;
	return r;
}

/* ---- After: the record, and the answer ---- */

static void write_failure(struct binding *binding)
{
	struct request *request = binding->request;
	char pointer[48];

	rpc_error_from_library(&request->error, &binding->error, engine_applied(binding->outcome));
	if (request->call.ops && request->error.op != PANBIND_NO_OP) {
		snprintf(pointer, sizeof(pointer), "/params/ops/%u", request->error.op);
		request_point(request, pointer);
	}
}

static int record(struct binding *binding, int result, uint64_t latency_ns)
{
	struct request *request = binding->request;
	struct panbind_log_entry entry;
	struct unit *unit = unit_new(binding->engine, result < 0 ? UNIT_NOTHING : UNIT_BIND, NULL);

	if (!unit) {
		panbind_txn_rollback(take_ptr(binding->txn), &binding->outcome, NULL);
		rpc_error_set(&request->error, RPC_INTERNAL, ENOMEM, "out of memory");
		request->error.applied = engine_applied(binding->outcome);
		return RPC_INTERNAL;
	}
	unit->txn = take_ptr(binding->txn);
	engine_fill_entry(request, PANBIND_LOG_BIND, &entry);
	entry.ops = binding->engine->ops;
	entry.op_count = binding->count;
	entry.latency_ns = latency_ns;
	entry.applied = (uint32_t)binding->count;
	if (result < 0)
		engine_fill_failure(&entry, &binding->error, binding->outcome);
	if (request->error.retryable)
		entry.txn_id = entry.digest = NULL; /* the same call may come again, and is then carried out */
	return unit_record(unit, request, &entry);
}

/** A name that stands for nothing ends the call before its ops are tried; with a txn_id that is an outcome too. */
static int end_unresolved(struct binding *binding, int code, uint64_t latency_ns)
{
	const struct rpc_error *refusal = &binding->request->error;

	if (code != RPC_NOT_FOUND || !binding->request->call.txn_id || !binding->engine->log)
		return code;
	binding->outcome = PANBIND_OUTCOME_ROLLED_BACK;
	binding->error = (struct panbind_error){.code = -refusal->err, .stage = refusal->stage, .op = refusal->op};
	snprintf(binding->error.msg, sizeof(binding->error.msg), "%.159s", refusal->message);
	return record(binding, -refusal->err, latency_ns);
}

static int bind_ops(struct engine *engine, struct request *request, const struct call_op *ops, size_t count)
{
	struct binding binding = {.engine = engine, .request = request, .ops = ops, .count = count};
	uint64_t began = now_ns();
	int r = engine_check_fence(request);

	if (r != 0)
		return r;
	r = resolve_all(&binding);

	if (r == 0 && engine_check_generation(engine, request, request->call.vm) != 0)
		return request->error.code;
	if (r != 0)
		return end_unresolved(&binding, r, now_ns() - began);
	if (request->call.fenced)
		return engine_bind_fenced(engine, request, ops, count);
	r = run_txn(&binding);
	if (r < 0) {
		write_failure(&binding);
	} else {
		jw_object(&request->out, "result");
		jw_string(&request->out, "outcome", panbind_outcome_name(binding.outcome));
		jw_int(&request->out, "ops", (int64_t)count);
	}
	return record(&binding, r, now_ns() - began);
}

/* ---- The methods ---- */

static int bind_one(struct engine *engine, struct request *request, enum panbind_log_op_type type)
{
	struct call_op op = {
		.type = type,
		.vm = request->call.vm,
		.bo = request->call.bo,
		.va = request->call.va,
		.size = request->call.size,
		.bo_offset = request->call.bo_offset,
		.flags = request->call.flags,
	};

	return bind_ops(engine, request, &op, 1);
}

int engine_bind_map(struct engine *engine, struct request *request)
{
	return bind_one(engine, request, PANBIND_LOG_MAP);
}

/** Does the range map this piece of this BO, in however many mappings? */
static bool is_mapped_so(struct panbind_vm *vm, const struct panbind_bo *bo, const struct call *call)
{
	uint64_t at = call->va, end = call->va + call->size;
	struct panbind_mapping mapping;

	while (at < end) {
		if (panbind_vm_next_mapping(vm, at, &mapping) < 0 || mapping.va > at || mapping.bo != bo ||
		    mapping.flags != call->flags || mapping.bo_offset - mapping.va != call->bo_offset - call->va)
			return false;
		at = mapping.va + mapping.size;
	}
	return at > call->va;
}

int engine_bind_ensure(struct engine *engine, struct request *request)
{
	struct panbind_vm *vm = panbind_session_vm(engine->session, request->call.vm);
	struct panbind_bo *bo = panbind_session_bo(engine->session, request->call.bo);

	if (!vm || !bo || !is_mapped_so(vm, bo, &request->call))
		return bind_one(engine, request, PANBIND_LOG_MAP);
	if (engine_check_generation(engine, request, request->call.vm) != 0)
		return request->error.code;
	jw_object(&request->out, "result");
	jw_string(&request->out, "outcome", panbind_outcome_name(PANBIND_OUTCOME_APPLIED));
	jw_int(&request->out, "ops", 0);
	jw_object_end(&request->out);
	return 0;
}

int engine_bind_unmap(struct engine *engine, struct request *request)
{
	return bind_one(engine, request, PANBIND_LOG_UNMAP);
}

int engine_sparse_reserve(struct engine *engine, struct request *request)
{
	return bind_one(engine, request, PANBIND_LOG_SPARSE_RESERVE);
}

int engine_sparse_bind(struct engine *engine, struct request *request)
{
	return bind_one(engine, request, PANBIND_LOG_SPARSE_BIND);
}

int engine_sparse_unbind(struct engine *engine, struct request *request)
{
	return bind_one(engine, request, PANBIND_LOG_SPARSE_UNBIND);
}

int engine_sparse_release(struct engine *engine, struct request *request)
{
	return bind_one(engine, request, PANBIND_LOG_SPARSE_RELEASE);
}

int engine_txn_run(struct engine *engine, struct request *request)
{
	return bind_ops(engine, request, request->call.ops, request->call.op_count);
}
