/* SPDX-License-Identifier: MIT */
/*
 * Assertions: what a script claims to be true, compared with what is.
 *
 * A claim that does not hold is -EPROTO with stage COMPLETE: it is about what earlier commands left behind, and it
 * ends a transaction like any failure. The sentence says what is there instead.
 */
#include <errno.h>
#include <inttypes.h>

#include "session.h"

#define fails(reterr, ...) pb_error_set(reterr, -EPROTO, PANBIND_STAGE_COMPLETE, __VA_ARGS__)

/* fails(), with the range that is to blame. */
static int fail_range(struct panbind_error *reterr, uint64_t va, uint64_t size, const char *what)
{
	return pb_error_at_op(reterr, -EPROTO, PANBIND_STAGE_COMPLETE, PANBIND_NO_OP, va, size,
			      "0x%" PRIx64 "+0x%" PRIx64 " %s", va, size, what);
}

static int check_piece(const struct pb_command *command, const struct panbind_bo *bo,
		       const struct panbind_mapping *piece, uint64_t at, struct panbind_error *reterr)
{
	uint32_t flags = pb_map_flags(command);

	if (!bo)
		return piece->sparse ? 0 : fail_range(reterr, piece->va, piece->size, "maps a BO, not the dummy");
	if (piece->sparse)
		return fail_range(reterr, piece->va, piece->size, "is sparse");
	if (piece->bo != bo)
		return fail_range(reterr, piece->va, piece->size, "maps another BO");
	if (piece->bo_offset + (at - piece->va) != command->value + (at - command->va))
		return fail_range(reterr, piece->va, piece->size, "maps another offset of the BO");
	if (flags && piece->flags != flags)
		return fail_range(reterr, piece->va, piece->size, "is mapped with other flags");
	return 0;
}

/* Every page of the range must be in a piece that check_piece() likes; @bo NULL: sparse. */
static int walk(const struct pb_command *command, struct panbind_vm *vm, const struct panbind_bo *bo,
		struct panbind_error *reterr)
{
	uint64_t at = command->va, end;
	struct panbind_mapping piece;

	if (command->size == 0 || __builtin_add_overflow(at, command->size, &end))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "not a range");
	while (at < end) {
		int r = panbind_vm_next_mapping(vm, at, &piece);

		if (r < 0 || piece.va >= end)
			return fail_range(reterr, at, end - at, "is not mapped");
		if (piece.va > at)
			return fail_range(reterr, at, piece.va - at, "is not mapped");
		r = check_piece(command, bo, &piece, at, reterr);
		if (r < 0)
			return r;
		at = piece.va + piece.size;
	}
	return 0;
}

int pb_do_assert_mapped(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm, *bo;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r >= 0)
		r = pb_run_object(run, PB_KIND_BO, command->other, &bo, reterr);
	return r < 0 ? r : walk(command, vm->vm, bo->bo, reterr);
}

int pb_do_assert_sparse(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	return r < 0 ? r : walk(command, vm->vm, NULL, reterr);
}

int pb_do_assert_unmapped(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct panbind_mapping piece;
	struct pb_object *vm;
	uint64_t end;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	if (command->size == 0 || __builtin_add_overflow(command->va, command->size, &end))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "not a range");
	if (panbind_vm_next_mapping(vm->vm, command->va, &piece) < 0 || piece.va >= end)
		return 0;
	return fail_range(reterr, piece.va, piece.size, "is mapped");
}

int pb_do_assert_state(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	enum panbind_vm_state state, wanted = (enum panbind_vm_state)command->value;
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	r = panbind_vm_get_state(vm->vm, &state);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "cannot ask for the state of %s", vm->entry->name);
	return state == wanted ? 0
			       : fails(reterr, "%s is %s, not %s", vm->entry->name, panbind_vm_state_name(state),
				       panbind_vm_state_name(wanted));
}

int pb_do_assert_point(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *object;
	uint64_t point;
	int r = pb_run_object(run, PB_KIND_SYNCOBJ, command->name, &object, reterr);

	if (r < 0)
		return r;
	r = panbind_syncobj_query(object->syncobj, &point);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "cannot query %s", object->entry->name);
	return point == command->value ? 0
				       : fails(reterr, "%s is at point %" PRIu64 ", not %" PRIu64, object->entry->name,
					       point, command->value);
}

int pb_do_assert_load(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm;
	uint64_t value;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	r = panbind_vm_gpu_load(vm->vm, command->va, &value, sizeof(value));
	if (r < 0)
		return pb_error_at_op(reterr, r, PANBIND_STAGE_COMPLETE, PANBIND_NO_OP, command->va, sizeof(value),
				      "the GPU cannot load from 0x%" PRIx64 ": %s", command->va, panbind_errno_name(r));
	return value == command->value ? 0
				       : fails(reterr, "the GPU loads 0x%" PRIx64 " from 0x%" PRIx64 ", not 0x%" PRIx64,
					       value, command->va, command->value);
}

int pb_do_assert_faults(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct panbind_gpu_stats stats;
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	r = panbind_vm_gpu_stats(vm->vm, &stats);
	if (r < 0)
		return pb_error_set(reterr, r, PANBIND_STAGE_SUBMIT, "this device does not count faults");
	return stats.faults == command->value ? 0
					      : fails(reterr, "the GPU saw %" PRIu64 " faults in %s, not %" PRIu64,
						      stats.faults, vm->entry->name, command->value);
}

int pb_do_assert_torn(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr)
{
	struct pb_object *vm;
	int r = pb_run_object(run, PB_KIND_VM, command->name, &vm, reterr);

	if (r < 0)
		return r;
	if (vm->readers)
		return pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE, "readers are running: gpu stop %s first",
				    vm->entry->name);
	return vm->torn == command->value ? 0
					  : fails(reterr, "readers found %" PRIu64 " torn values in %s, not %" PRIu64,
						  vm->torn, vm->entry->name, command->value);
}
