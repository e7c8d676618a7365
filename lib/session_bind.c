/* SPDX-License-Identifier: MIT */
/*
 * Commands that bind: they add an op to what is gathered, and the transaction submits it.
 *
 * Sparse regions are kept by the VM (sparse.c); here their ops join the batch like any other, so that a frame of a
 * texture stream is one batch, and the list of regions is put back by a step when the transaction is undone.
 */
#include <errno.h>
#include <string.h>

#include "session.h"

uint32_t pb_map_flags(const struct pb_command *command)
{
	uint32_t flags = 0;

	if (command->options & PB_OPT_READONLY)
		flags |= PANBIND_MAP_READONLY;
	if (command->options & PB_OPT_NOEXEC)
		flags |= PANBIND_MAP_NOEXEC;
	if (command->options & PB_OPT_UNCACHED)
		flags |= PANBIND_MAP_UNCACHED;
	return flags;
}

static int add_map(struct pb_run *run, const struct pb_command *command, struct panbind_batch *batch,
		   struct panbind_error *reterr)
{
	struct pb_object *bo;
	int r = pb_run_object(run, PB_KIND_BO, command->other, &bo, reterr);

	if (r < 0)
		return r;
	return panbind_batch_map(batch, command->va, command->size, bo->bo, command->value, pb_map_flags(command),
				 reterr);
}

int pb_add_op(struct pb_run *run, const struct pb_command *command, struct panbind_vm *vm, struct panbind_batch *batch,
	      struct panbind_error *reterr)
{
	int r = 0;

	switch (command->verb) {
	case PB_VERB_SPARSE_BIND:
		r = pb_sparse_check_inside(vm, command->va, command->size, reterr);
		return r < 0 ? r : add_map(run, command, batch, reterr);
	case PB_VERB_MAP:
	case PB_VERB_ENSURE:
		return add_map(run, command, batch, reterr);
	case PB_VERB_SPARSE_UNBIND:
		r = pb_sparse_check_inside(vm, command->va, command->size, reterr);
		return r < 0 ? r : panbind_batch_map_sparse(batch, command->va, command->size, reterr);
	case PB_VERB_SPARSE_RESERVE:
	case PB_VERB_SPARSE_MAP:
		return panbind_batch_map_sparse(batch, command->va, command->size, reterr);
	case PB_VERB_SYNC_ONLY:
		return panbind_batch_sync_only(batch);
	default:
		return panbind_batch_unmap(batch, command->va, command->size, reterr);
	}
}

static int gather_op(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct panbind_batch *batch;
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r >= 0)
		r = pb_txn_gather(run, vm, &batch, reterr);
	if (r >= 0)
		r = pb_add_op(run, command, vm->vm, batch, reterr);
	return r < 0 ? r : pb_txn_added(run, command, reterr);
}

int pb_do_map(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	return gather_op(run, command, reterr);
}

int pb_do_unmap(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	return gather_op(run, command, reterr);
}

int pb_do_sparse_bind(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	return gather_op(run, command, reterr);
}

int pb_do_sparse_unbind(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	return gather_op(run, command, reterr);
}

int pb_do_sparse_map(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	return gather_op(run, command, reterr);
}

/* Does [va, va + size) map this piece of this BO, in however many mappings? The run has flushed before. */
static bool is_mapped_so(struct panbind_vm *vm, const struct pb_command *command, const struct panbind_bo *bo)
{
	uint64_t at = command->va, end = command->va + command->size;
	struct panbind_mapping mapping;

	while (at < end) {
		if (panbind_vm_next_mapping(vm, at, &mapping) < 0 || mapping.va > at || mapping.bo != bo ||
		    mapping.flags != pb_map_flags(command) ||
		    mapping.bo_offset + (at - mapping.va) != command->value + (at - command->va))
			return false;
		at = mapping.va + mapping.size;
	}
	return true;
}

int pb_do_ensure(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm, *bo;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r >= 0)
		r = pb_run_object(run, PB_KIND_BO, command->other, &bo, reterr);
	if (r < 0)
		return r;
	run->idle = is_mapped_so(vm->vm, command, bo->bo);
	return run->idle ? 0 : gather_op(run, command, reterr);
}

/* The run has flushed before: the shadow shows what is in the way. */
int pb_do_sparse_reserve(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_step step = {.type = PB_STEP_REGION_ADDED, .va = command->va, .size = command->size};
	int r = pb_run_object(run, PB_KIND_VM, command->name, &step.object, reterr);

	if (r >= 0)
		r = pb_sparse_check_free(step.object->vm, command->va, command->size, reterr);
	if (r < 0)
		return r;
	if (pb_region_add(step.object->vm, command->va, command->size) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	if (pb_txn_note(run, &step) < 0) {
		pb_region_remove(step.object->vm, command->va);
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	}
	return gather_op(run, command, reterr);
}

int pb_do_sparse_release(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_step step = {.type = PB_STEP_REGION_REMOVED, .va = command->va, .size = command->size};
	int r = pb_run_object(run, PB_KIND_VM, command->name, &step.object, reterr);

	if (r >= 0)
		r = pb_sparse_check_region(step.object->vm, command->va, command->size, reterr);
	if (r < 0)
		return r;
	if (pb_txn_note(run, &step) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	pb_region_remove(step.object->vm, command->va);
	return gather_op(run, command, reterr);
}
