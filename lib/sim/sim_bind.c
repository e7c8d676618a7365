/* SPDX-License-Identifier: MIT */
/*
 * VM_BIND: the checks of an op, and the synchronous path.
 *
 * The order of checks decides which errno wins and is the driver's. A synchronous bind runs its ops one by one; the
 * first that fails ends it, with ops.count telling which. Unknown bits of vm_bind.flags are ignored, as the driver
 * does.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim.h"
#include "sim_op.h"
#include "sim_user.h"

#define MAP_FLAGS    (PB_OP_READONLY | PB_OP_NOEXEC | PB_OP_UNCACHED)
#define MINOR_SPARSE 9

/* The file's dummy, made when the first sparse map needs it. */
static int get_dummy(struct sim_file *file, struct sim_bo **ret_bo)
{
	int ret = 0;

	pthread_mutex_lock(&file->lock);
	if (!file->dummy)
		ret = sim_bo_create(file->device, SIM_BLOCK_SIZE, PB_BO_NO_MMAP, &file->dummy);
	if (!ret)
		*ret_bo = sim_bo_get(file->dummy);
	pthread_mutex_unlock(&file->lock);
	return ret;
}

static int prepare_sparse(struct sim_file *file, const struct pb_uapi_vm_bind_op *in, struct sim_op *op)
{
	if (file->device->options.minor < MINOR_SPARSE)
		return -EINVAL;
	if (in->flags & ~(MAP_FLAGS | PB_OP_SPARSE) || !(in->flags & PB_OP_NOEXEC))
		return -EINVAL;
	if (in->bo_handle || in->bo_offset)
		return -EINVAL;
	if (sim_pt_is_too_large(op->va, op->size))
		return -ENOMEM;
	return get_dummy(file, &op->bo);
}

static int prepare_map(struct sim_file *file, struct sim_vm *vm, const struct pb_uapi_vm_bind_op *in, struct sim_op *op)
{
	struct sim_bo *bo;

	if (in->flags & PB_OP_SPARSE)
		return prepare_sparse(file, in, op);
	bo = sim_handle_find(file, in->bo_handle);
	if (!bo)
		return -EINVAL;
	if (in->flags & ~MAP_FLAGS || in->size > bo->size || in->bo_offset > bo->size - in->size ||
	    (bo->exclusive && bo->exclusive != vm->serial)) {
		sim_bo_put(bo);
		return -EINVAL;
	}
	op->bo = bo;
	return 0;
}

static int prepare_unmap(const struct pb_uapi_vm_bind_op *in)
{
	return in->flags & ~PB_OP_TYPE_MASK || in->bo_handle || in->bo_offset ? -EINVAL : 0;
}

static int prepare_sync_only(const struct pb_uapi_vm_bind_op *in)
{
	return prepare_unmap(in) || in->va || in->size || !in->syncs.count ? -EINVAL : 0;
}

int sim_op_prepare(struct sim_file *file, struct sim_vm *vm, const struct pb_uapi_vm_bind_op *in, struct sim_op *ret_op)
{
	*ret_op = (struct sim_op){.type = in->flags & PB_OP_TYPE_MASK,
				  .flags = in->flags & ~PB_OP_TYPE_MASK,
				  .va = in->va,
				  .size = in->size,
				  .offset = in->bo_offset};
	if ((in->va | in->size | in->bo_offset) & (SIM_PAGE_SIZE - 1))
		return -EINVAL;
	if (in->va >= vm->va_range || in->size > vm->va_range - in->va)
		return -EINVAL;
	switch (ret_op->type) {
	case PB_OP_MAP:
		return prepare_map(file, vm, in, ret_op);
	case PB_OP_UNMAP:
		return prepare_unmap(in);
	case PB_OP_SYNC_ONLY:
		return prepare_sync_only(in);
	default:
		return -EINVAL;
	}
}

void sim_op_release(struct sim_op *op)
{
	sim_bo_put(op->bo);
	op->bo = NULL;
}

/* Op @index of the VM_BIND with this ordinal. */
static int run_op(struct sim_file *file, struct sim_vm *vm, const struct pb_uapi_vm_bind_op *in, uint64_t nth,
		  uint32_t index)
{
	struct sim_op op;
	int ret;

	if (in->syncs.count)
		return -EINVAL;
	if (!in->size)
		return 0; /* whatever else it says */
	ret = sim_op_prepare(file, vm, in, &op);
	if (ret)
		return ret;
	op.error = sim_faults_op(&file->device->faults, nth, index, &op.mid);
	ret = sim_op_exec(vm, &op, false);
	sim_op_release(&op);
	return ret;
}

static int bind_sync(struct sim_file *file, struct pb_uapi_vm_bind *args, uint64_t nth)
{
	struct sim_vm *vm = sim_vm_get(file, args->vm_id);
	struct pb_uapi_vm_bind_op *ops = NULL;
	uint32_t count = args->ops.count;
	int ret;

	if (!vm)
		return -EINVAL;
	ret = sim_get_array(&args->ops, sizeof(*ops), sizeof(*ops), (void **)&ops);
	for (uint32_t i = 0; i < count && !ret; i++) {
		ret = run_op(file, vm, &ops[i], nth, i);
		if (ret)
			args->ops.count = i;
	}
	free(ops);
	sim_vm_put(vm);
	return ret;
}

int sim_vm_bind_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_vm_bind *args = arg;

	return args->flags & PB_VM_BIND_ASYNC ? sim_bind_async(file, args, nth) : bind_sync(file, args, nth);
}
