/* SPDX-License-Identifier: MIT */
/*
 * Repeating a bind. Ops of one VM that follow each other go as one batch; operations on sparse regions go alone, since
 * the library has a call of its own for each.
 *
 * What was applied is bound without a transaction around it: it succeeded as a whole once, and if it does not now, that
 * is a difference to be told, not to be hidden by an undo. What had failed runs in a transaction that is rolled back
 * whatever comes of it, so that it leaves no trace, as it did not then.
 */
#include <errno.h>

#include "replay.h"

int pb_replay_add_op(struct pb_replay *r, const struct pb_row_op *op, struct panbind_bo *bo,
		     struct panbind_error *reterr)
{
	size_t count = panbind_batch_count(r->batch);

	if (count == r->batch_room) {
		size_t room = count ? count * 2 : 256;
		uint32_t *index = realloc(r->batch_index, room * sizeof(*index));

		if (!index)
			return -ENOMEM;
		r->batch_index = index;
		r->batch_room = room;
	}
	r->batch_index[count] = op->index;
	switch (op->type) {
	case PANBIND_LOG_MAP:
		return panbind_batch_map(r->batch, op->va, op->size, bo, op->bo_offset, op->flags, reterr);
	case PANBIND_LOG_UNMAP:
		return panbind_batch_unmap(r->batch, op->va, op->size, reterr);
	case PANBIND_LOG_MAP_SPARSE:
		return panbind_batch_map_sparse(r->batch, op->va, op->size, reterr);
	default:
		return 0; /* SYNC_ONLY: whom it waited for is long gone */
	}
}

static void to_entry_op(const struct pb_replay *r, size_t count, struct panbind_error *error)
{
	if (error && error->op != PANBIND_NO_OP && error->op < count)
		error->op = r->batch_index[error->op];
}

int pb_replay_flush(struct pb_replay *r, struct panbind_vm *vm, struct panbind_error *reterr)
{
	size_t count = panbind_batch_count(r->batch);
	int err;

	if (count == 0)
		return 0;
	err = panbind_vm_bind(vm, r->batch, 0, reterr);
	if (err < 0)
		to_entry_op(r, count, reterr);
	panbind_batch_clear(r->batch);
	return err;
}

int pb_replay_sparse_op(struct panbind_vm *vm, const struct pb_row_op *op, struct panbind_bo *bo,
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

/** How the ops of an entry are bound: straight, or within a transaction. */
struct run {
	struct pb_replay *r;
	const struct pb_row *row;
	struct panbind_txn *txn; /* or NULL */
	struct panbind_vm *vm;	 /* of the batch */
	int64_t vm_id;
	struct panbind_error error;
};

static int flush(struct run *run)
{
	size_t count = panbind_batch_count(run->r->batch);
	int err;

	if (!run->txn || count == 0)
		return pb_replay_flush(run->r, run->vm, &run->error);
	err = panbind_txn_bind(run->txn, run->vm, run->r->batch, NULL, &run->error);
	if (err < 0)
		to_entry_op(run->r, count, &run->error);
	panbind_batch_clear(run->r->batch);
	return err;
}

static int run_op(struct run *run, const struct pb_row_op *op)
{
	struct panbind_bo *bo = op->bo ? pb_replay_bo(run->r, op->bo, run->row->entry.seq) : NULL;
	int err = 0;

	if (op->vm != run->vm_id || pb_is_sparse_op(op->type))
		err = flush(run);
	if (err < 0)
		return err;
	if (op->vm != run->vm_id) {
		run->vm_id = op->vm;
		run->vm = pb_replay_vm(run->r, op->vm, run->row->entry.seq);
	}
	run->error.op = PANBIND_NO_OP;
	if (pb_is_sparse_op(op->type))
		err = pb_replay_sparse_op(run->vm, op, bo, &run->error);
	else
		err = pb_replay_add_op(run->r, op, bo, &run->error);
	if (err < 0)
		run->error.op = op->index;
	run->r->result.ops++;
	return err;
}

static int run_ops(struct run *run, size_t first, size_t count)
{
	int err = 0;

	for (size_t i = first; i < count && err == 0; i++)
		if (!run->r->only || run->row->ops[i].vm == run->r->only)
			err = run_op(run, &run->row->ops[i]);
	if (err == 0)
		err = flush(run);
	panbind_batch_clear(run->r->batch);
	if (err < 0)
		run->error.code = err;
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

static int repeat_applied(struct pb_replay *r, const struct pb_row *row, uint32_t first_op)
{
	struct run run = {.r = r, .row = row, .error.op = PANBIND_NO_OP};
	int err = run_ops(&run, first_op, pb_row_applied(row));

	if (pb_ran_out_here(err, &run.error))
		return err;
	if (err < 0)
		pb_replay_tell_result(r, row, run.vm_id, &run.error);
	return 0;
}

/* ---- What had failed ---- */

static bool fails_alike(const struct panbind_log_entry *recorded, const struct panbind_error *got)
{
	return got->code == recorded->result &&
	       (recorded->stage == PANBIND_STAGE_NONE || got->stage == recorded->stage) &&
	       (recorded->failing_op == PANBIND_NO_OP || got->op == recorded->failing_op);
}

static int fail_in_txn(struct pb_replay *r, const struct pb_row *row)
{
	struct run run = {.r = r, .row = row, .error.op = PANBIND_NO_OP};
	enum panbind_outcome outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int err = panbind_txn_begin(r->device, &run.txn);

	if (err < 0)
		return err;
	err = run_ops(&run, 0, row->op_count);
	panbind_txn_rollback(run.txn, &outcome, NULL);
	if (outcome != PANBIND_OUTCOME_ROLLED_BACK && outcome != PANBIND_OUTCOME_APPLIED && run.vm_id)
		pb_objects_by_id(&r->objects, run.vm_id)->broken = true;
	if (pb_ran_out_here(err, &run.error))
		return err;
	if (err == 0 || !fails_alike(&row->entry, &run.error))
		pb_replay_tell_result(r, row, run.vm_id, &run.error);
	return 0;
}

/* A call on a sparse region that should have failed and did not is not undone: the VM is let alone from here on. */
static int fail_alone(struct pb_replay *r, const struct pb_row *row)
{
	struct run run = {.r = r, .row = row, .error.op = PANBIND_NO_OP};
	int err = run_ops(&run, 0, 1);

	if (err == 0)
		pb_objects_by_id(&r->objects, run.vm_id)->broken = true;
	/* The call has no ops to count. */
	run.error.op = row->entry.failing_op;
	if (err == 0 || !fails_alike(&row->entry, &run.error))
		pb_replay_tell_result(r, row, run.vm_id, &run.error);
	return 0;
}

static bool can_fail(const struct pb_row *row)
{
	if (row->op_count == 0 || row->entry.flags & PANBIND_LOG_ASYNC)
		return false;
	for (size_t i = 0; i < row->op_count; i++)
		if (pb_is_sparse_op(row->ops[i].type) && row->op_count > 1)
			return false;
	return row->entry.stage == PANBIND_STAGE_NONE || row->entry.stage == PANBIND_STAGE_VALIDATE ||
	       row->entry.stage == PANBIND_STAGE_SUBMIT;
}

int pb_replay_bind(struct pb_replay *r, const struct pb_row *row, uint32_t first_op)
{
	bool rolled_back = row->entry.outcome == PANBIND_OUTCOME_ROLLED_BACK;
	size_t count = rolled_back ? row->op_count : pb_row_applied(row);

	if (pb_entry_unclear(&row->entry) || (rolled_back && !can_fail(row)) || !can_run(r, row, count)) {
		r->result.skipped++;
		return 0;
	}
	if (!rolled_back)
		return repeat_applied(r, row, first_op);
	return pb_is_sparse_op(row->ops[0].type) ? fail_alone(r, row) : fail_in_txn(r, row);
}
