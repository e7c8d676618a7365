/* SPDX-License-Identifier: MIT */
/*
 * Transactions: all of a batch, or none of it, once the call returns.
 *
 * Purpose. The driver leaves the ops before a failing one in place. A transaction notes what each op displaces and,
 * when op i fails, submits inverse ops: for op i if it may have done something, then for i - 1 down to 0.
 *
 * What the GPU sees. Every op is atomic by itself where the driver makes it so; between the ops of a batch, and while
 * they are being undone, the GPU sees the states in between. "All or nothing" is a promise about what is left behind.
 *
 * What is restored is each page's backing and flags. A mapping that an op had cut stays in pieces, here and in the
 * driver.
 *
 * Calling sequence. panbind_txn_run() is one batch on one VM. In steps: begin, then any number of binds on VMs of one
 * device, then commit or rollback, which end it. A bind that fails has undone its own ops, and the transaction stays
 * open; the caller decides. A VM belongs to the transaction from its first bind to the end, and is refused elsewhere.
 *
 * Errors. What can be checked is checked before anything is submitted. All memory that noting and undoing may take is
 * there before the ops it is for, so that an undo fails only when the driver fails it. Then the outcome is
 *   PARTIAL  the driver refused an inverse op: that op and those before it remain, and the shadow shows exactly that;
 *   UNKNOWN  an op, or an inverse op, failed while it ran and its range was not restored: its pages may be anything.
 * Either way the VM is poisoned: panbind does no further work on a mapping it did not intend.
 *
 * A caller that may have to take back what it has done, since it could not be recorded, detaches the transaction
 * instead of ending it: the VMs are free, the notes are kept. Several such transactions of one VM undo each other's
 * work only in the reverse order of their binds. The memory that recording an undo takes is no longer promised then.
 *
 * When the process dies, the driver drops the VM with the file; there is nothing to recover.
 */
#include <errno.h>

#include "internal.h"

/** What a bind did to the list of sparse regions. */
enum region_change { REGION_SAME, REGION_ADDED, REGION_REMOVED };

/** One bind of a transaction in steps. */
struct step {
	struct step *before; /* the bind before it */
	struct pb_undo undo;
	enum region_change region_change;
	struct pb_region region;
};

struct panbind_txn {
	struct panbind_device *device;
	struct step *last;
	bool detached;
	enum panbind_outcome worst; /* of binds that could not undo themselves; else ROLLED_BACK */
	struct panbind_error failure;
};

/** Undo after @ret, the failure that @reterr holds; a failure to undo replaces it. Returns what is to be told. */
static int undo_failure(struct pb_undo *undo, int ret, enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	struct panbind_error failure = {0};
	enum panbind_vm_state state;
	struct panbind_vm *vm = undo->vm;
	if (pb_undo_run(undo, ret_outcome, &failure) < 0) {
		if (reterr)
			*reterr = failure;
		ret = failure.code;
	}
	panbind_vm_get_state(vm, &state); /* newer drivers give a VM up when an op fails halfway */
	return ret;
}

/** A batch on a VM that may be bound, with its notes left in @undo when it is applied. */
static int run(struct panbind_vm *vm, const struct panbind_batch *batch, struct pb_undo *undo,
	       enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	size_t done;
	bool unclear;
	*ret_outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int ret = pb_bind_check(vm, batch, false, reterr);
	if (ret < 0)
		return ret;
	ret = pb_bind_sync(vm, batch, undo, &done, &unclear, reterr);
	if (ret < 0)
		return undo_failure(undo, ret, ret_outcome, reterr);
	*ret_outcome = PANBIND_OUTCOME_APPLIED;
	return 0;
}

int panbind_txn_run(struct panbind_vm *vm, const struct panbind_batch *batch, enum panbind_outcome *ret_outcome,
		    struct panbind_error *reterr)
{
	enum panbind_outcome outcome;
	ret_outcome = ret_outcome ? ret_outcome : &outcome;
	*ret_outcome = PANBIND_OUTCOME_ROLLED_BACK;
	if (vm->txn)
		return pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE, "an open transaction holds the VM");

	struct pb_undo undo = PB_UNDO_INIT(vm, true);
	int ret = run(vm, batch, &undo, ret_outcome, reterr);
	pb_undo_clear(&undo);
	return ret;
}

int panbind_txn_begin(struct panbind_device *device, struct panbind_txn **ret_txn)
{
	struct panbind_txn *txn = calloc(1, sizeof(*txn));
	if (!txn)
		return -ENOMEM;
	txn->device = panbind_device_ref(device);
	txn->worst = PANBIND_OUTCOME_ROLLED_BACK;
	*ret_txn = txn;
	return 0;
}

/** May @vm be bound here: 0, or why not. */
static int check_joins(const struct panbind_txn *txn, const struct panbind_vm *vm, struct panbind_error *reterr)
{
	if (vm->device != txn->device && !vm->adopted)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "the VM belongs to another device");
	if (vm->txn && vm->txn != txn)
		return pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE, "another open transaction holds the VM");
	return 0;
}

/** A new step, which makes the VM the transaction's, also when its bind then fails. */
static struct step *push(struct panbind_txn *txn, struct panbind_vm *vm)
{
	struct step *step = calloc(1, sizeof(*step));
	if (!step)
		return NULL;
	step->undo = (struct pb_undo)PB_UNDO_INIT(vm, true);
	step->undo.earlier = vm->txn_notes;
	step->before = txn->last;
	txn->last = step;
	vm->txn = txn;
	return step;
}

static int bind_step(struct panbind_txn *txn, struct panbind_vm *vm, const struct panbind_batch *batch,
		     enum panbind_outcome *outcome, struct panbind_error *reterr)
{
	int ret = check_joins(txn, vm, reterr);
	if (ret < 0)
		return ret;
	struct step *step = push(txn, vm);
	if (!step)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	ret = run(vm, batch, &step->undo, outcome, reterr);
	vm->txn_notes += step->undo.count;
	return ret;
}

int panbind_txn_bind(struct panbind_txn *txn, struct panbind_vm *vm, const struct panbind_batch *batch,
		     enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	struct panbind_error failure;
	enum panbind_outcome outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int ret = bind_step(txn, vm, batch, &outcome, &failure);
	if (outcome > txn->worst) { /* the whole can no longer be rolled back either */
		txn->worst = outcome;
		txn->failure = failure;
	}
	if (ret < 0 && reterr)
		*reterr = failure;
	if (ret_outcome)
		*ret_outcome = outcome;
	return ret;
}

/** One sparse op, whose VM's regions have been looked at. */
static int bind_sparse(struct panbind_txn *txn, struct panbind_vm *vm, struct panbind_op *op,
		       enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	struct panbind_batch batch = {.ops = op, .count = 1};
	return panbind_txn_bind(txn, vm, &batch, ret_outcome, reterr);
}

/** The bind that @txn did last changed the regions too. */
static void note_region(struct panbind_txn *txn, enum region_change change, uint64_t va, uint64_t size)
{
	txn->last->region_change = change;
	txn->last->region = (struct pb_region){.va = va, .size = size};
}

int panbind_txn_sparse_reserve(struct panbind_txn *txn, struct panbind_vm *vm, uint64_t va, uint64_t size,
			       enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	struct panbind_op op = {.type = PANBIND_OP_MAP_SPARSE, .va = va, .size = size};
	if (ret_outcome)
		*ret_outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int ret = pb_sparse_check_free(vm, va, size, reterr);
	if (ret < 0)
		return ret;
	if (pb_region_add(vm, va, size) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	ret = bind_sparse(txn, vm, &op, ret_outcome, reterr);
	if (ret < 0)
		pb_region_remove(vm, va);
	else
		note_region(txn, REGION_ADDED, va, size);
	return ret;
}

int panbind_txn_sparse_bind(struct panbind_txn *txn, struct panbind_vm *vm, uint64_t va, uint64_t size,
			    struct panbind_bo *bo, uint64_t bo_offset, uint32_t flags,
			    enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	struct panbind_op op = {.type = PANBIND_OP_MAP, .va = va, .size = size, .bo = bo, .bo_offset = bo_offset};
	op.flags = flags;
	if (ret_outcome)
		*ret_outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int ret = pb_sparse_check_inside(vm, va, size, reterr);
	return ret < 0 ? ret : bind_sparse(txn, vm, &op, ret_outcome, reterr);
}

int panbind_txn_sparse_unbind(struct panbind_txn *txn, struct panbind_vm *vm, uint64_t va, uint64_t size,
			      enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	struct panbind_op op = {.type = PANBIND_OP_MAP_SPARSE, .va = va, .size = size};
	if (ret_outcome)
		*ret_outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int ret = pb_sparse_check_inside(vm, va, size, reterr);
	return ret < 0 ? ret : bind_sparse(txn, vm, &op, ret_outcome, reterr);
}

int panbind_txn_sparse_release(struct panbind_txn *txn, struct panbind_vm *vm, uint64_t va, uint64_t size,
			       enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	struct panbind_op op = {.type = PANBIND_OP_UNMAP, .va = va, .size = size};
	if (ret_outcome)
		*ret_outcome = PANBIND_OUTCOME_ROLLED_BACK;
	int ret = pb_sparse_check_region(vm, va, size, reterr);
	if (ret == 0)
		ret = bind_sparse(txn, vm, &op, ret_outcome, reterr);
	if (ret < 0)
		return ret;
	pb_region_remove(vm, va);
	note_region(txn, REGION_REMOVED, va, size);
	return 0;
}

/** Take the last step off. */
static struct step *pop(struct panbind_txn *txn)
{
	struct step *step = txn->last;
	if (step)
		txn->last = step->before;
	return step;
}

/** Let go of a step's VM and free it. */
static void end_step(struct step *step)
{
	step->undo.vm->txn = NULL;
	step->undo.vm->txn_notes = 0;
	pb_undo_clear(&step->undo);
	free(step);
}

static void end_txn(struct panbind_txn *txn)
{
	panbind_device_unref(txn->device);
	free(txn);
}

void panbind_txn_commit(struct panbind_txn *txn)
{
	if (!txn)
		return;
	for (struct step *step = pop(txn); step; step = pop(txn))
		end_step(step);
	end_txn(txn);
}

void panbind_txn_detach(struct panbind_txn *txn)
{
	for (struct step *step = txn->last; step; step = step->before) {
		step->undo.vm->txn = NULL;
		step->undo.vm->txn_notes = 0;
		step->undo.keep = false; /* what was reserved for the undo is for whoever binds next */
	}
	txn->detached = true;
}

static void put_back_region(const struct step *step)
{
	if (step->region_change == REGION_ADDED)
		pb_region_remove(step->undo.vm, step->region.va);
	else if (step->region_change == REGION_REMOVED) /* no room is no catastrophe: the range is dummy as it was */
		pb_region_add(step->undo.vm, step->region.va, step->region.size);
}

/** A VM that could not be put back is left as it is from there on; the others still are. */
static void roll_back_step(struct panbind_txn *txn, struct step *step)
{
	struct panbind_vm *vm = step->undo.vm;
	struct panbind_error failure = {0};
	enum panbind_outcome outcome = PANBIND_OUTCOME_UNKNOWN;
	if (vm->state == PANBIND_VM_POISONED) {
		if (!txn->detached) /* by a step of this transaction, which has told what it is worth */
			return;
		pb_error_set(&failure, -EUCLEAN, PANBIND_STAGE_ROLLBACK, "the VM was poisoned meanwhile: %s",
			     vm->poison);
	} else if (pb_undo_run(&step->undo, &outcome, &failure) == 0) {
		put_back_region(step);
		return;
	}
	if (txn->worst == PANBIND_OUTCOME_ROLLED_BACK)
		txn->failure = failure;
	if (outcome > txn->worst)
		txn->worst = outcome;
}

int panbind_txn_rollback(struct panbind_txn *txn, enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	if (!txn)
		return 0;
	for (struct step *step = pop(txn); step; step = pop(txn)) {
		roll_back_step(txn, step);
		end_step(step);
	}
	enum panbind_outcome outcome = txn->worst;
	struct panbind_error failure = txn->failure;
	end_txn(txn);
	if (ret_outcome)
		*ret_outcome = outcome;
	if (outcome == PANBIND_OUTCOME_ROLLED_BACK)
		return 0;
	if (reterr)
		*reterr = failure;
	return failure.code;
}
