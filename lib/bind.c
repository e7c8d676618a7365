/* SPDX-License-Identifier: MIT */
/*
 * Synchronous binds: the library's own VM_BIND loop.
 *
 * The driver runs the ops of a synchronous VM_BIND in order, stops at the first that fails, and writes its index over
 * ops.count. Three things follow, and this file is about them:
 *
 *  - The argument block of a failed call must never be given to the kernel again as it stands. After EINTR (a signal
 * came while op i waited for a lock) and EAGAIN the call is repeated for the ops from i on.
 *  - An error that comes with ops.count untouched means that nothing ran: the call was refused before its loop, for
 *    example for want of memory for its copy of the array. It does not mean "all done".
 *  - An op that the driver refused while it looked at it has done nothing. An op that failed while it ran may have
 * changed a part of its range: it is "unclear", and only an inverse op makes its range known again.
 *
 * The shadow is written after the ioctl, op by op, up to where the driver got; its room is reserved before.
 */
#include <errno.h>
#include <sched.h>

#include "bind.h"

#define FEW_OPS	    16	 /* driver ops that need no allocation */
#define CHUNK_OPS   4096 /* driver ops of one ioctl: 192 KiB that the kernel copies, and the unit of reserving memory */
#define MAX_STALLED 1000 /* calls that end with EAGAIN at the same op */

bool pb_bind_again(int ret, unsigned int *stalled)
{
	if (ret == -EINTR)
		return true;
	if (ret != -EAGAIN || ++*stalled > MAX_STALLED)
		return false;
	sched_yield();
	return true;
}

/** Errors that the driver finds while it looks at an op, before it changes anything. */
static bool is_refusal(int ret)
{
	switch (ret) {
	case -EINVAL:
	case -ENOENT:
	case -EFAULT:
	case -E2BIG:
	case -EINTR:
	case -EAGAIN:
	case -ENODEV:
		return true;
	default:
		return false;
	}
}

/** Submit @count driver ops until all are done or one fails; a count beyond what was asked makes everything unclear. */
static int submit(struct panbind_vm *vm, struct pb_uapi_vm_bind_op *ops, size_t count, size_t *ret_done,
		  bool *ret_unclear)
{
	struct pb_file *file = vm->device->file;
	size_t done = 0;
	unsigned int stalled = 0;
	int ret;
	do {
		uint32_t left = count - done;
		struct pb_uapi_vm_bind args = {
			.vm_id = vm->id,
			.ops = {.stride = sizeof(*ops), .count = left, .array = (uintptr_t)(ops + done)},
		};
		ret = file->backend->ioctl(file, PB_IOCTL_VM_BIND, &args);
		*ret_unclear = ret < 0 && args.ops.count != left && (!is_refusal(ret) || args.ops.count > left);
		uint32_t ran = ret == 0 ? left : args.ops.count < left ? args.ops.count : 0;
		if (ran > 0)
			stalled = 0;
		done += ran;
	} while (ret < 0 && pb_bind_again(ret, &stalled));
	*ret_done = done;
	return ret;
}

void pb_bind_record(struct panbind_vm *vm, const struct panbind_op *op, uint64_t done, uint64_t size)
{
	struct pb_range range = {.va = op->va + done, .size = size};
	int ret = 0;
	if (op->type != PANBIND_OP_SYNC_ONLY)
		vm->map_generation = atomic_fetch_add(&vm->device->map_generation, 1) + 1;
	switch (op->type) {
	case PANBIND_OP_MAP:
		range.bo = op->bo;
		range.bo_offset = op->bo_offset + done;
		range.flags = op->flags;
		ret = pb_vamap_set(vm->map, &range);
		break;
	case PANBIND_OP_MAP_SPARSE:
		range.flags = PANBIND_MAP_NOEXEC; /* what the driver demands for it */
		pb_pieced_note(vm->pieced, range.va, range.size);
		ret = pb_vamap_set(vm->map, &range);
		break;
	case PANBIND_OP_UNMAP:
		ret = pb_vamap_clear(vm->map, range.va, range.size);
		break;
	case PANBIND_OP_SYNC_ONLY:
		break;
	}
	if (ret == 0 && vm->unknown && op->type != PANBIND_OP_SYNC_ONLY)
		ret = pb_vamap_clear(vm->unknown, range.va, range.size);
	if (ret < 0)
		pb_vm_poison(vm, "panbind could not record 0x%llx+0x%llx: %s", (unsigned long long)range.va,
			     (unsigned long long)range.size, panbind_errno_name(ret));
}

/** A synchronous bind under way. */
struct bind {
	struct panbind_vm *vm;
	struct pb_undo *undo; /* or NULL */
	struct pb_lower lower;
	struct pb_uapi_vm_bind_op *ops;
	size_t room;
};

/** Write what @count driver ops from @at on did into the shadow. Returns the cursor behind them. */
static struct pb_cursor record(struct bind *bind, struct pb_cursor at, size_t count)
{
	while (count > 0) {
		const struct panbind_op *op = &bind->lower.ops[at.op];
		struct pb_cursor from = at;
		uint64_t size = pb_lower_walk(&bind->lower, &at, &count);
		bool whole = at.op > from.op;
		if (bind->undo && from.done == 0 && (bind->undo->keep || !whole))
			pb_undo_note(bind->undo, from.op, op);
		pb_bind_record(bind->vm, op, from.done, size);
		if (bind->undo && !bind->undo->keep && whole && from.done > 0)
			pb_undo_clear(bind->undo); /* it was noted when it was half done, and now is done */
	}
	return at;
}

/** Memory for what cannot be allowed to fail after the ioctl: the shadow's entries, the notes for an undo. */
static int reserve(struct bind *bind, struct pb_cursor from, struct panbind_error *reterr)
{
	const struct pb_lower *lower = &bind->lower;
	const struct panbind_op *op = &lower->ops[from.op];
	size_t count = lower->at.op - from.op + (lower->at.done > 0);
	bool begun = from.op > 0 || from.done > 0; /* then something has been done already */
	int ret = 0;
	if (bind->undo && bind->undo->keep)
		ret = pb_undo_reserve(bind->undo, op, count);
	else if (bind->undo)
		ret = pb_vm_reserve(bind->vm, count);
	if (ret < 0)
		return pb_error_at_op(reterr, ret, begun ? PANBIND_STAGE_SUBMIT : PANBIND_STAGE_VALIDATE, from.op,
				      op->va, op->size, "out of memory before the op was submitted");
	return 0;
}

static const char *op_verb(const struct panbind_op *op)
{
	static const char *const verbs[] = {
		[PANBIND_OP_MAP] = "map",
		[PANBIND_OP_UNMAP] = "unmap",
		[PANBIND_OP_MAP_SPARSE] = "map sparse",
		[PANBIND_OP_SYNC_ONLY] = "sync",
	};
	return verbs[op->type];
}

static int driver_error(struct bind *bind, int ret, struct panbind_error *reterr)
{
	const struct panbind_op *op = &bind->lower.ops[bind->lower.at.op];
	return pb_error_at_op(reterr, ret, PANBIND_STAGE_SUBMIT, bind->lower.at.op, op->va, op->size,
			      "the driver failed to %s 0x%llx+0x%llx: %s", op_verb(op), (unsigned long long)op->va,
			      (unsigned long long)op->size, panbind_errno_name(ret));
}

/** One ioctl's worth of driver ops. On failure the cursor stands at the op that failed. */
static int bind_chunk(struct bind *bind, bool *ret_unclear, struct panbind_error *reterr)
{
	struct pb_cursor from = bind->lower.at;
	size_t count = pb_lower_fill(&bind->lower, bind->ops, bind->room), done = 0;
	int ret = reserve(bind, from, reterr);
	if (ret < 0) {
		bind->lower.at = from;
		return ret;
	}

	ret = submit(bind->vm, bind->ops, count, &done, ret_unclear);
	bind->lower.at = record(bind, from, done);
	if (ret == 0)
		return 0;
	if (bind->undo && *ret_unclear) {
		struct pb_cursor at = bind->lower.at;
		if (at.done == 0)
			pb_undo_note(bind->undo, at.op, &bind->lower.ops[at.op]);
		bind->undo->unclear_op = at.op;
	}
	return driver_error(bind, ret, reterr);
}

int pb_bind_sync(struct panbind_vm *vm, const struct panbind_batch *batch, struct pb_undo *undo, size_t *ret_done,
		 bool *ret_unclear, struct panbind_error *reterr)
{
	struct pb_uapi_vm_bind_op few[FEW_OPS];
	pb_autofree struct pb_uapi_vm_bind_op *many = NULL;
	struct bind bind = {.vm = vm, .undo = undo, .ops = few, .room = FEW_OPS};

	*ret_done = 0;
	*ret_unclear = false;
	int ret = pb_lower_begin(&bind.lower, vm->device, batch, reterr);
	if (ret < 0)
		return ret;
	uint64_t total = pb_lower_total(&bind.lower);
	if (total > FEW_OPS) {
		size_t room = total < CHUNK_OPS ? total : CHUNK_OPS;
		many = malloc(room * sizeof(*many));
		if (many) { /* else more ioctls do it, so that a rollback cannot fail here */
			bind.ops = many;
			bind.room = room;
		}
	}

	while (ret == 0 && bind.lower.at.op < batch->count)
		ret = bind_chunk(&bind, ret_unclear, reterr);
	*ret_done = bind.lower.at.op;
	return ret;
}

int pb_bind_check(struct panbind_vm *vm, const struct panbind_batch *batch, bool async, struct panbind_error *reterr)
{
	struct pb_check check = {
		.device = vm->device,
		.va_range = vm->va_range,
		.vm_id = vm->id,
		.async = async,
		.adopted = vm->adopted,
	};
	int ret = pb_vm_check_held(vm, reterr);
	if (ret == 0)
		ret = pb_vm_check_usable(vm, reterr);
	if (ret == 0)
		ret = pb_check_batch(&check, batch, reterr);
	if (ret == 0)
		ret = pb_unknown_check(vm, batch, reterr);
	if (ret == 0 && !async && vm->pending)
		ret = pb_pending_check(vm, batch, reterr);
	return ret == 0 ? pb_vm_check_usable(vm, reterr) : ret; /* again: what has finished may have cost the VM */
}

/** A checked batch: ops are done up to the one that fails, and that one not at all. */
static int bind_and_repair(struct panbind_vm *vm, const struct panbind_batch *batch, struct panbind_error *reterr)
{
	struct pb_undo undo = PB_UNDO_INIT(vm, false);
	size_t done;
	bool unclear;
	int ret = pb_bind_sync(vm, batch, &undo, &done, &unclear, reterr);
	if (ret == 0)
		return 0;

	enum panbind_outcome outcome;
	enum panbind_vm_state state;
	pb_undo_run(&undo, &outcome, NULL); /* poisons the VM when it fails; the caller hears of the first error */
	panbind_vm_get_state(vm, &state);   /* newer drivers give a VM up when an op fails halfway */
	return ret;
}

static int check_not_in_txn(const struct panbind_vm *vm, struct panbind_error *reterr)
{
	if (vm->txn)
		return pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE, "an open transaction holds the VM");
	return 0;
}

int panbind_vm_bind(struct panbind_vm *vm, const struct panbind_batch *batch, uint32_t flags,
		    struct panbind_error *reterr)
{
	if (flags & ~PANBIND_BIND_ASYNC)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "unknown bind flags 0x%x", flags);
	bool async = flags & PANBIND_BIND_ASYNC;
	int ret = check_not_in_txn(vm, reterr);
	if (ret == 0)
		ret = pb_bind_check(vm, batch, async, reterr);
	if (ret < 0)
		return ret;
	return async ? pb_bind_async(vm, batch, reterr) : bind_and_repair(vm, batch, reterr);
}

int pb_bind_one(struct panbind_vm *vm, struct panbind_op *op, struct panbind_error *reterr)
{
	/* A batch in name only: nothing below keeps it, so its op may live on the caller's stack. */
	struct panbind_batch batch = {.ops = op, .count = 1};
	return panbind_vm_bind(vm, &batch, 0, reterr);
}

int panbind_vm_map(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_bo *bo, uint64_t bo_offset,
		   uint32_t flags, struct panbind_error *reterr)
{
	struct panbind_op op = {
		.type = PANBIND_OP_MAP, .flags = flags, .va = va, .size = size, .bo = bo, .bo_offset = bo_offset};
	return pb_bind_one(vm, &op, reterr);
}

int panbind_vm_unmap(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	struct panbind_op op = {.type = PANBIND_OP_UNMAP, .va = va, .size = size};
	return pb_bind_one(vm, &op, reterr);
}
