/* SPDX-License-Identifier: MIT */
/*
 * Repeating binds.
 *
 * What was applied is bound without a transaction around it: it succeeded as a whole once, and if it does not now, that
 * is a difference to be told, not to be hidden by an undo. A log of many small binds would be many small ioctls, so
 * that ops of one VM wait in a batch, across entries, until something else has to happen; when the batch fails, its
 * entries are bound one by one from there, so that each gets its own end. Operations on sparse regions go alone, since
 * the library has a call of its own for each.
 *
 * What had failed runs in a transaction that is rolled back whatever comes of it, so that it leaves no trace, as it did
 * not then.
 */
#include <errno.h>

#include "replay.h"

#define MOST_WAITING 32768 /* ops in the batch: the more, the nearer they are to each other in order of VA */
#define FIRST_ROOM   256

static int note_origin(struct pb_replay *r, uint64_t seq, uint32_t index)
{
	size_t count = panbind_batch_count(r->batch);

	if (count == r->origin_room) {
		size_t room = count ? count * 2 : FIRST_ROOM;
		struct pb_batch_origin *origins = realloc(r->origins, room * sizeof(*origins));

		if (!origins)
			return -ENOMEM;
		r->origins = origins;
		r->origin_room = room;
	}
	r->origins[count] = (struct pb_batch_origin){seq, index};
	return 0;
}

static int add_to(struct panbind_batch *batch, const struct pb_row_op *op, struct panbind_bo *bo,
		  struct panbind_error *reterr)
{
	switch (op->type) {
	case PANBIND_LOG_MAP:
		return panbind_batch_map(batch, op->va, op->size, bo, op->bo_offset, op->flags, reterr);
	case PANBIND_LOG_UNMAP:
	case PANBIND_LOG_UNKNOWN:
		return panbind_batch_unmap(batch, op->va, op->size, reterr);
	case PANBIND_LOG_MAP_SPARSE:
		return panbind_batch_map_sparse(batch, op->va, op->size, reterr);
	default:
		return 0; /* SYNC_ONLY: whom it waited for is long gone */
	}
}

int pb_replay_add_op(struct pb_replay *r, uint64_t seq, const struct pb_row_op *op, struct panbind_bo *bo,
		     struct panbind_error *reterr)
{
	int err = note_origin(r, seq, op->index);

	if (err < 0)
		return err;
	r->batch_vm = op->vm;
	return add_to(r->batch, op, bo, reterr);
}

static int sparse_op(struct panbind_vm *vm, const struct pb_row_op *op, struct panbind_bo *bo,
		     struct panbind_error *reterr)
{
	switch (op->type) {
	case PANBIND_LOG_SPARSE_RESERVE:
		return panbind_sparse_reserve(vm, op->va, op->size, reterr);
	case PANBIND_LOG_SPARSE_BIND:
		return panbind_sparse_bind(vm, op->va, op->size, bo, op->bo_offset, op->flags, reterr);
	case PANBIND_LOG_SPARSE_UNBIND:
		return panbind_sparse_unbind(vm, op->va, op->size, reterr);
	default:
		return panbind_sparse_release(vm, op->va, op->size, reterr);
	}
}

/* ---- What was applied ---- */

static const struct panbind_error recorded_success = {.op = PANBIND_NO_OP};

static void tell_failure(struct pb_replay *r, uint64_t seq, int err, struct panbind_error *got)
{
	got->code = err;
	if (seq > r->failed_seq) /* they need not be told in order, and only of the newest more ops may come */
		r->failed_seq = seq;
	pb_replay_tell_result(r, seq, r->batch_vm, &recorded_success, got);
}

static void op_of_entry(const struct pb_replay *r, size_t first, size_t count, struct panbind_error *error)
{
	if (error->op != PANBIND_NO_OP && error->op < count)
		error->op = r->origins[first + error->op].index;
}

int pb_replay_copy_op(struct panbind_batch *batch, const struct panbind_op *op, struct panbind_error *reterr)
{
	static const uint8_t types[] = {[PANBIND_OP_MAP] = PANBIND_LOG_MAP,
					[PANBIND_OP_UNMAP] = PANBIND_LOG_UNMAP,
					[PANBIND_OP_MAP_SPARSE] = PANBIND_LOG_MAP_SPARSE};
	const struct pb_row_op row = {.type = types[op->type],
				      .flags = op->flags,
				      .va = op->va,
				      .size = op->size,
				      .bo_offset = op->bo_offset};

	return add_to(batch, &row, op->bo, reterr);
}

/* Bind ops [first, first + count) of the batch, which are of one entry. */
static int settle_entry(struct pb_replay *r, struct panbind_vm *vm, size_t first, size_t count)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int err = 0;

	panbind_batch_clear(r->single);
	for (size_t i = first; i < first + count && err == 0; i++)
		err = pb_replay_copy_op(r->single, panbind_batch_op(r->batch, i), &error);
	if (err == 0)
		err = panbind_vm_bind(vm, r->single, 0, &error);
	if (pb_ran_out_here(err, &error))
		return err;
	if (err < 0) {
		op_of_entry(r, first, count, &error);
		tell_failure(r, r->origins[first].seq, err, &error);
	}
	return 0;
}

static size_t end_of_entry(const struct pb_replay *r, size_t first)
{
	size_t end = first, count = panbind_batch_count(r->batch);

	while (end < count && r->origins[end].seq == r->origins[first].seq)
		end++;
	return end;
}

/* The batch failed: the entry of the op that did so is told and left, the ops behind it are bound entry by entry, in
 * the order of the log again. An op that was refused before anything was submitted leaves all of them to do. */
static int settle_one_by_one(struct pb_replay *r, struct panbind_vm *vm, int err, struct panbind_error *error)
{
	size_t count = panbind_batch_count(r->batch), at = 0;
	uint64_t failed = 0;

	if (error->stage == PANBIND_STAGE_SUBMIT && error->op < count) {
		at = error->op;
		failed = r->origins[at].seq;
		op_of_entry(r, 0, count, error);
		tell_failure(r, failed, err, error);
	}
	err = pb_replay_order_by_entry(r, failed ? at + 1 : 0, failed);
	count = panbind_batch_count(r->batch);
	for (at = 0; at < count && err == 0; at = end_of_entry(r, at))
		err = settle_entry(r, vm, at, end_of_entry(r, at) - at);
	return err;
}

int pb_replay_settle(struct pb_replay *r)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	struct panbind_vm *vm;
	int err;

	if (panbind_batch_count(r->batch) == 0)
		return 0;
	err = pb_replay_wait(r, r->batch_vm);
	if (err < 0 || pb_objects_by_id(&r->objects, r->batch_vm)->broken) {
		panbind_batch_clear(r->batch);
		return err;
	}
	vm = pb_objects_by_id(&r->objects, r->batch_vm)->handle;
	err = pb_replay_order_by_va(r);
	if (err == 0)
		err = panbind_vm_bind(vm, r->batch, 0, &error);
	if (err < 0 && !pb_ran_out_here(err, &error))
		err = settle_one_by_one(r, vm, err, &error);
	panbind_batch_clear(r->batch);
	return err;
}

/* Ops that are told after the fact cannot be compared one entry after the other, nor keep a pace. */
static bool may_wait(const struct pb_replay *r)
{
	return r->options.verify != PANBIND_LOG_VERIFY_EACH && r->options.speed <= 0 &&
	       panbind_batch_count(r->batch) < MOST_WAITING;
}

static int apply_op(struct pb_replay *r, const struct pb_row *row, const struct pb_row_op *op)
{
	struct panbind_bo *bo = op->bo ? pb_replay_bo(r, op->bo, row->entry.seq) : NULL;
	struct panbind_error error = {.op = PANBIND_NO_OP};
	bool alone = pb_is_sparse_op(op->type);
	int err = alone || op->vm != r->batch_vm ? pb_replay_settle(r) : 0;

	if (err == 0 && alone)
		err = pb_replay_wait(r, op->vm);
	if (alone && pb_objects_by_id(&r->objects, op->vm)->broken)
		r->failed_seq = row->entry.seq;
	if (err < 0 || r->failed_seq == row->entry.seq)
		return err;
	r->result.ops++;
	r->result.unknown += op->type == PANBIND_LOG_UNKNOWN;
	if (!alone) {
		err = pb_replay_add_op(r, row->entry.seq, op, bo, &error);
	} else {
		r->batch_vm = op->vm;
		err = sparse_op(pb_replay_vm(r, op->vm, row->entry.seq), op, bo, &error);
	}
	if (err == 0 || pb_ran_out_here(err, &error))
		return err;
	error.op = op->index;
	tell_failure(r, row->entry.seq, err, &error);
	return 0;
}

static int repeat_applied(struct pb_replay *r, const struct pb_row *row, uint32_t first_op)
{
	size_t applied = pb_row_applied(row);
	int err = 0;

	for (size_t i = first_op; i < applied && err == 0 && r->failed_seq != row->entry.seq; i++)
		if (!r->only || row->ops[i].vm == r->only)
			err = apply_op(r, row, &row->ops[i]);
	return err < 0 || may_wait(r) ? err : pb_replay_settle(r);
}

/* ---- What had failed ---- */

/** The ops of an entry on their way through a transaction; op of error is that of the entry. */
struct attempt {
	struct pb_replay *r;
	const struct pb_row *row;
	struct panbind_txn *txn;
	struct panbind_error error;
};

static int attempt_batch(struct attempt *a)
{
	struct pb_replay *r = a->r;
	size_t count = panbind_batch_count(r->batch);
	int err;

	if (count == 0)
		return 0;
	a->error.op = PANBIND_NO_OP;
	err = panbind_txn_bind(a->txn, pb_objects_by_id(&r->objects, r->batch_vm)->handle, r->batch, NULL, &a->error);
	if (err < 0)
		op_of_entry(r, 0, count, &a->error);
	panbind_batch_clear(r->batch);
	return err;
}

static int attempt_op(struct attempt *a, const struct pb_row_op *op)
{
	struct pb_replay *r = a->r;
	struct panbind_bo *bo = op->bo ? pb_replay_bo(r, op->bo, a->row->entry.seq) : NULL;
	int err = op->vm != r->batch_vm ? attempt_batch(a) : 0;

	if (err < 0)
		return err;
	err = pb_replay_add_op(r, a->row->entry.seq, op, bo, &a->error);
	if (err < 0)
		a->error.op = op->index;
	r->result.ops++;
	return err;
}

static int attempt_ops(struct attempt *a)
{
	int err = 0;

	for (size_t i = 0; i < a->row->op_count && err == 0; i++)
		if (!a->r->only || a->row->ops[i].vm == a->r->only)
			err = attempt_op(a, &a->row->ops[i]);
	if (err == 0)
		err = attempt_batch(a);
	panbind_batch_clear(a->r->batch);
	a->error.code = err;
	return err;
}

/* Everything that the ops name is there. */
static bool can_run(struct pb_replay *r, const struct pb_row *row, size_t count)
{
	int64_t vm = 0, bo = 0;

	for (size_t i = 0; i < count; i++) {
		const struct pb_row_op *op = &row->ops[i];

		if (r->only && op->vm != r->only)
			continue;
		if (op->vm != vm && !pb_replay_vm(r, op->vm, row->entry.seq))
			return false;
		if (pb_op_effect(op->type) == PB_EFFECT_MAP && op->bo != bo && !pb_replay_bo(r, op->bo, row->entry.seq))
			return false;
		vm = op->vm;
		bo = op->bo ? op->bo : bo;
	}
	return true;
}

/* What a driver refused a program that asked it directly, the library refuses before it asks. */
static bool same_stage(const struct panbind_error *recorded, const struct panbind_error *got)
{
	return recorded->stage == PANBIND_STAGE_NONE || got->stage == recorded->stage ||
	       (recorded->stage == PANBIND_STAGE_SUBMIT && got->stage == PANBIND_STAGE_VALIDATE);
}

void pb_replay_compare_failure(struct pb_replay *r, const struct panbind_log_entry *entry,
			       const struct panbind_error *got)
{
	const struct panbind_error recorded = {.code = entry->result, .stage = entry->stage, .op = entry->failing_op};

	if (got->code == recorded.code && same_stage(&recorded, got) &&
	    (recorded.op == PANBIND_NO_OP || got->op == recorded.op))
		return;
	pb_replay_tell_result(r, entry->seq, r->batch_vm, &recorded, got);
}

static int fail_in_txn(struct pb_replay *r, const struct pb_row *row)
{
	struct attempt a = {.r = r, .row = row, .error.op = PANBIND_NO_OP};
	enum panbind_outcome outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int err = panbind_txn_begin(r->device, &a.txn);

	if (err < 0)
		return err;
	err = attempt_ops(&a);
	panbind_txn_rollback(a.txn, &outcome, NULL);
	if (outcome == PANBIND_OUTCOME_PARTIAL || outcome == PANBIND_OUTCOME_UNKNOWN)
		pb_objects_by_id(&r->objects, r->batch_vm)->broken = true;
	if (pb_ran_out_here(err, &a.error))
		return err;
	pb_replay_compare_failure(r, &row->entry, &a.error);
	return 0;
}

/* A call on a sparse region that should have failed and did not is not undone: the VM is let alone from here on. */
static int fail_alone(struct pb_replay *r, const struct pb_row *row)
{
	const struct pb_row_op *op = &row->ops[0];
	struct panbind_bo *bo = op->bo ? pb_replay_bo(r, op->bo, row->entry.seq) : NULL;
	struct panbind_error error = {0};
	int err = sparse_op(pb_replay_vm(r, op->vm, row->entry.seq), op, bo, &error);

	if (err == 0)
		pb_objects_by_id(&r->objects, op->vm)->broken = true;
	error.code = err;
	error.op = row->entry.failing_op; /* the call has no ops to count */
	r->batch_vm = op->vm;
	r->result.ops++;
	pb_replay_compare_failure(r, &row->entry, &error);
	return 0;
}

/* What depended on the moment cannot be expected again: a stop, a bind in flight, a VM given up, a change since, a
 * program's mapping that was not known; what a script found wrong outside its ops cannot be tried at all. */
static bool can_fail(const struct pb_row *row)
{
	const struct panbind_log_entry *entry = &row->entry;

	if (row->op_count == 0 || entry->failing_op == PANBIND_NO_OP || entry->result == -ECANCELED ||
	    entry->result == -EUCLEAN || entry->result == -ESTALE || entry->result == -ENODATA ||
	    (entry->result == -EBUSY && entry->stage == PANBIND_STAGE_VALIDATE))
		return false;
	for (size_t i = 0; i < row->op_count; i++)
		if (pb_is_sparse_op(row->ops[i].type) && (row->op_count > 1 || entry->flags & PANBIND_LOG_ASYNC))
			return false;
	return entry->stage == PANBIND_STAGE_NONE || entry->stage == PANBIND_STAGE_VALIDATE ||
	       entry->stage == PANBIND_STAGE_SUBMIT;
}

static int repeat_failure(struct pb_replay *r, const struct pb_row *row)
{
	int err = pb_replay_settle(r);

	for (size_t i = 0; i < row->op_count && err == 0; i++)
		err = pb_replay_wait(r, row->ops[i].vm);
	if (err < 0 || !can_run(r, row, row->op_count))
		return err;
	return pb_is_sparse_op(row->ops[0].type) ? fail_alone(r, row) : fail_in_txn(r, row);
}

int pb_replay_bind(struct pb_replay *r, const struct pb_row *row, uint32_t first_op)
{
	bool rolled_back = row->entry.outcome == PANBIND_OUTCOME_ROLLED_BACK;
	size_t count = rolled_back ? row->op_count : pb_row_applied(row);

	if (pb_entry_unclear(&row->entry) || (rolled_back && (r->options.applied_only || !can_fail(row))) ||
	    !can_run(r, row, count)) {
		r->result.skipped++;
		return 0;
	}
	if (row->entry.flags & PANBIND_LOG_ASYNC)
		return pb_replay_async(r, row, first_op);
	return rolled_back ? repeat_failure(r, row) : repeat_applied(r, row, first_op);
}
