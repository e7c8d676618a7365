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

/* The op of a command, added to @batch. The regions of @vm are looked at, never changed. */
static int add_op(struct pb_run *run, const struct pb_command *command, struct panbind_vm *vm,
		  struct panbind_batch *batch, struct panbind_error *reterr)
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
		r = add_op(run, command, vm->vm, batch, reterr);
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

/* ---- begin async ---- */

static int add_syncs(struct pb_run *run, const struct pb_command *command, struct panbind_batch *batch,
		     struct panbind_error *reterr)
{
	const struct pb_command_extra *extra = command->extra;

	for (uint32_t i = 0; extra && i < extra->sync_count; i++) {
		const struct pb_sync_ref *sync = &extra->syncs[i];
		struct pb_object *object;
		int r = pb_run_object(run, PB_KIND_SYNCOBJ, sync->name, &object, reterr);

		if (r < 0)
			return r;
		r = sync->signal ? panbind_batch_signal(batch, object->syncobj, sync->point)
				 : panbind_batch_wait(batch, object->syncobj, sync->point);
		if (r < 0)
			return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "cannot attach %s to the op",
					    pb_script_name(run->script, sync->name));
	}
	return 0;
}

static int build_async(struct pb_run *run, size_t first, size_t last, struct pb_object *vm, bool syncs,
		       struct panbind_batch *batch, struct panbind_error *reterr)
{
	for (size_t i = first; i < last; i++) {
		const struct pb_command *command = pb_script_command(run->script, i);
		int r = 0;

		if (!syncs && command->verb == PB_VERB_SYNC_ONLY)
			continue;
		r = add_op(run, command, vm->vm, batch, reterr);
		if (r >= 0 && syncs)
			r = add_syncs(run, command, batch, reterr);
		if (r < 0) {
			if (reterr)
				pb_run_place(run, command, reterr);
			return r;
		}
	}
	return 0;
}

static void destroy_batchp(struct panbind_batch **batch)
{
	panbind_batch_destroy(*batch);
}

static const struct pb_command *command_of(struct pb_run *run, size_t first, uint32_t op)
{
	return pb_script_command(run->script, first + op);
}

/* What a plan does instead: say it, then have the same mapping by binding without the syncs. */
static int plan_async(struct pb_run *run, size_t first, size_t last, struct pb_object *vm,
		      const struct panbind_batch *batch, struct panbind_error *reterr)
{
	pb_cleanup(destroy_batchp) struct panbind_batch *plain = NULL;
	int r = pb_plan_emit(run, vm, batch, command_of, first, PANBIND_PLAN_ASYNC, reterr);

	if (r >= 0 && panbind_batch_create(&plain) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	if (r >= 0)
		r = build_async(run, first, last, vm, false, plain, reterr);
	if (r < 0 || panbind_batch_count(plain) == 0)
		return r;
	return panbind_vm_bind(vm->vm, plain, 0, reterr);
}

int pb_run_async(struct pb_run *run, size_t first, size_t last, struct panbind_error *reterr)
{
	pb_cleanup(destroy_batchp) struct panbind_batch *batch = NULL;
	struct pb_object *vm;
	int r;

	if (first == last)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "an asynchronous bind needs an op");
	r = pb_run_object(run, PB_KIND_VM, pb_script_command(run->script, first)->name, &vm, reterr);
	if (r >= 0 && (r = panbind_batch_create(&batch)) < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	if (r >= 0)
		r = build_async(run, first, last, vm, true, batch, reterr);
	if (r >= 0 && (r = panbind_batch_merge(batch)) < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "out of memory");
	if (r < 0)
		return r;
	if (run->planning)
		r = plan_async(run, first, last, vm, batch, reterr);
	else
		r = panbind_vm_bind(vm->vm, batch, PANBIND_BIND_ASYNC, reterr);
	if (r < 0) {
		if (reterr)
			panbind_batch_origin(batch, reterr->op, &reterr->op, NULL);
		if (reterr && reterr->op < last - first)
			pb_run_place(run, pb_script_command(run->script, first + reterr->op), reterr);
		return r;
	}
	run->ops += last - first;
	return 0;
}
