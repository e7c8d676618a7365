/* SPDX-License-Identifier: MIT */
/*
 * Transaction ids: a call that comes again under its id is answered with what became of it the first time, also when it
 * had failed; another call under the id is refused. The log remembers, so what is to be remembered is an entry: calls
 * that end before they leave one get it here.
 *
 * A script of several transactions has several entries under its id. What is not ended was interrupted: by a crash, or
 * since the log took no end of it. The executor runs one call at a time, so that nobody can be at it still.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_private.h"
#include "entry_json.h"
#include "util.h"

/* ---- Again ---- */

static void write_error(struct jw *out, const char *key, const struct panbind_log_txn *txn)
{
	const struct panbind_log_entry last = {
		.result = txn->result,
		.stage = txn->stage,
		.failing_op = txn->failing_op,
		.line = txn->line,
		.message = txn->message,
	};

	entry_write_error(out, key, &last);
}

static void answer_first_outcome(struct request *request, const struct panbind_log_txn *txn)
{
	struct jw *out = &request->out;

	jw_object(out, "result");
	jw_bool(out, "repeated", true);
	if (txn->result == 0 || txn->script)
		jw_string(out, "outcome", panbind_outcome_name(txn->outcome));
	else
		jw_bool(out, "destroyed", false);
	rpc_write_kept(out, txn->transactions, txn->kept_first, txn->kept_last);
	jw_int(out, "seq", (int64_t)txn->seq);
	if (txn->result && txn->script) { /* it went on after that */
		jw_array(out, "errors");
		write_error(out, NULL, txn);
		jw_array_end(out);
	}
	jw_object_end(out);
}

static void tell_kept(struct request *request, const struct panbind_log_txn *txn)
{
	request->error.seq = txn->seq;
	request->error.transactions = txn->transactions;
	request->error.kept_first = txn->kept_first;
	request->error.kept_last = txn->kept_last;
}

/** The code that the refusal had: those of names come from here, not from the library. */
static int code_then(const struct request *request, const struct panbind_log_txn *txn)
{
	bool creates = request->method->on_device == engine_vm_create || request->method->on_device == engine_bo_create;

	if (txn->stage == PANBIND_STAGE_VALIDATE && txn->result == -ENOENT && !request->call.text)
		return RPC_NOT_FOUND;
	return creates && txn->stage == PANBIND_STAGE_VALIDATE && txn->result == -EEXIST ? RPC_EXISTS : RPC_FAILED;
}

static void answer_first_failure(struct request *request, const struct panbind_log_txn *txn)
{
	struct panbind_error error = {.code = txn->result, .stage = txn->stage, .op = txn->failing_op};
	char pointer[48];

	snprintf(error.msg, sizeof(error.msg), "%s", txn->message);
	rpc_error_from_library(&request->error, &error, engine_applied(txn->outcome));
	request->error.code = code_then(request, txn);
	request->error.retryable = false; /* under this id it stays failed */
	request->error.line = txn->line;
	tell_kept(request, txn);
	if (!request->call.ops || txn->failing_op == PANBIND_NO_OP)
		return;
	snprintf(pointer, sizeof(pointer), "/params/ops/%u", txn->failing_op);
	request_point(request, pointer);
}

/** It has no end, and no script runs now. To run it from its start would repeat what it did. */
static void answer_interruption(struct request *request, const struct panbind_log_txn *txn)
{
	char kept[80] = "none of its transactions is applied";

	if (txn->kept_first)
		snprintf(kept, sizeof(kept), "%llu of its transactions are applied, entries %llu to %llu",
			 (unsigned long long)txn->transactions, (unsigned long long)txn->kept_first,
			 (unsigned long long)txn->kept_last);
	rpc_error_set(&request->error, RPC_INTERRUPTED, EINTR,
		      "the script that came with this txn_id was interrupted, and is not run again: %s", kept);
	request->error.name = "TXN_INTERRUPTED";
	request->error.applied = engine_applied(txn->outcome);
	tell_kept(request, txn);
	request_point(request, "/params/txn_id");
}

static void refuse_reuse(struct request *request, const struct panbind_log_txn *txn)
{
	rpc_error_set(&request->error, RPC_REUSED, EEXIST,
		      "this txn_id came with another request before (entry %llu): a new request needs a new id",
		      (unsigned long long)txn->seq);
	request->error.name = "TXN_ID_REUSED";
	request->error.seq = txn->seq;
	request_point(request, "/params/txn_id");
}

/** What is known of the call's id: 0, -ENOENT, or why that cannot be told. */
static int look_up(struct engine *engine, const char *txn_id, struct panbind_log_txn *ret_txn)
{
	int r = panbind_log_txn_lookup(engine->log, txn_id, ret_txn);

	if (r < 0 || !ret_txn->pending)
		return r;
	units_drain(engine); /* its fate is decided in a moment */
	return panbind_log_txn_lookup(engine->log, txn_id, ret_txn);
}

bool engine_is_repetition(struct engine *engine, struct request *request)
{
	const struct call *call = &request->call;
	struct panbind_log_txn txn;
	int r;

	if (!request->method->journaled || !call->txn_id || call->check || !engine->log)
		return false;
	digest_call(request->method, call, request->digest);
	r = look_up(engine, call->txn_id, &txn);
	if (r == -ENOENT)
		return false;
	if (r < 0)
		rpc_error_set(&request->error, RPC_JOURNAL, -r, "the log cannot be asked for the txn_id: %s",
			      strerror(-r));
	else if (txn.digest[0] && strcmp(txn.digest, request->digest) != 0)
		refuse_reuse(request, &txn);
	else if (txn.open)
		answer_interruption(request, &txn);
	else if (txn.result == 0 || (txn.result == -ENOENT && call->missing_ok) || (txn.script && call->keep_going))
		answer_first_outcome(request, &txn);
	else
		answer_first_failure(request, &txn);
	return true;
}

/* ---- What left no entry ---- */

static enum panbind_log_kind kind_of(const struct request *request)
{
	const struct {
		device_method *method;
		enum panbind_log_kind kind;
	} kinds[] = {
		{engine_vm_create, PANBIND_LOG_VM_CREATE},
		{engine_vm_destroy, PANBIND_LOG_VM_DESTROY},
		{engine_bo_create, PANBIND_LOG_BO_CREATE},
		{engine_bo_destroy, PANBIND_LOG_BO_DESTROY},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].method == request->method->on_device)
			return kinds[i].kind;
	return PANBIND_LOG_BIND;
}

/** An entry that says why the call was refused. */
static int record_refusal(struct engine *engine, struct request *request, const struct panbind_error *error)
{
	struct panbind_log_entry entry;
	struct unit *unit = unit_new(engine, UNIT_NOTHING, NULL);

	if (!unit)
		return rpc_error_set(&request->error, RPC_INTERNAL, ENOMEM, "out of memory");
	engine_fill_entry(request, kind_of(request), &entry);
	engine_fill_failure(&entry, error, PANBIND_OUTCOME_ROLLED_BACK);
	entry.line = error->line;
	if (entry.kind != PANBIND_LOG_BIND)
		entry.object.ref.name = request->call.name;
	entry.object.size = request->call.size;
	return unit_record(unit, request, &entry);
}

/** What may be tried again is carried out when it is. */
static bool is_remembered(const struct rpc_error *error)
{
	return !error->retryable &&
	       (error->code == RPC_FAILED || error->code == RPC_NOT_FOUND || error->code == RPC_EXISTS);
}

int engine_remember_refusal(struct engine *engine, struct request *request)
{
	const struct rpc_error *refusal = &request->error;
	struct panbind_error error = {
		.code = -refusal->err, .stage = refusal->stage, .op = refusal->op, .line = refusal->line};
	struct panbind_log_txn txn;

	if (!request->method->journaled || !request->call.txn_id || request->call.check || !engine->log ||
	    !is_remembered(refusal) || look_up(engine, request->call.txn_id, &txn) != -ENOENT)
		return refusal->code;
	snprintf(error.msg, sizeof(error.msg), "%.159s", refusal->message);
	return record_refusal(engine, request, &error);
}

int engine_remember_nothing(struct engine *engine, struct request *request, const char *message)
{
	struct panbind_error error = {.code = -ENOENT, .stage = PANBIND_STAGE_VALIDATE, .op = PANBIND_NO_OP};

	if (!request->call.txn_id || !engine->log) {
		jw_object_end(&request->out);
		return 0;
	}
	snprintf(error.msg, sizeof(error.msg), "%.159s", message);
	return record_refusal(engine, request, &error);
}

/* ---- txn.status ---- */

static void write_status(struct jw *out, const struct panbind_log_txn *txn)
{
	jw_bool(out, "known", true);
	jw_bool(out, "pending", txn->pending);
	jw_int(out, "seq", (int64_t)txn->seq);
	jw_string(out, "outcome", panbind_outcome_name(txn->outcome));
	if (txn->script)
		jw_bool(out, "interrupted", txn->open);
	rpc_write_kept(out, txn->transactions, txn->kept_first, txn->kept_last);
	if (txn->result)
		write_error(out, "error", txn);
}

int engine_txn_status(struct engine *engine, struct request *request)
{
	struct panbind_log_txn txn;
	int r = engine->log ? panbind_log_txn_lookup(engine->log, request->call.txn_id, &txn) : -EOPNOTSUPP;

	if (r < 0 && r != -ENOENT)
		return rpc_error_set(&request->error, RPC_JOURNAL, -r, "the log cannot be asked: %s", strerror(-r));
	jw_object(&request->out, "result");
	if (r == -ENOENT)
		jw_bool(&request->out, "known", false);
	else
		write_status(&request->out, &txn);
	jw_object_end(&request->out);
	return 0;
}
