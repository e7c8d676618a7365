/* SPDX-License-Identifier: MIT */
/*
 * The GPU's view of a VM, where the backend can show it.
 *
 * These run beside binds of the same VM on other threads, so they read nothing of struct panbind_vm but its device and
 * id, which never change.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static const struct pb_gpu_ops *gpu_ops(struct panbind_vm *vm)
{
	return vm->device->file->backend->gpu;
}

int panbind_vm_gpu_resident(struct panbind_vm *vm, int resident)
{
	const struct pb_gpu_ops *gpu = gpu_ops(vm);
	return gpu ? gpu->resident(vm->device->file, vm->id, resident) : -EOPNOTSUPP;
}

int panbind_vm_gpu_load(struct panbind_vm *vm, uint64_t va, void *ret_value, size_t size)
{
	const struct pb_gpu_ops *gpu = gpu_ops(vm);
	return gpu ? gpu->access(vm->device->file, vm->id, va, ret_value, size, 0) : -EOPNOTSUPP;
}

int panbind_vm_gpu_store(struct panbind_vm *vm, uint64_t va, const void *value, size_t size)
{
	const struct pb_gpu_ops *gpu = gpu_ops(vm);
	uint64_t copy = 0; /* one entry serves both directions, and would write to what a load returns */
	if (!gpu)
		return -EOPNOTSUPP;
	if (size == 0 || size > sizeof(copy))
		return -EINVAL;
	memcpy(&copy, value, size);
	return gpu->access(vm->device->file, vm->id, va, &copy, size, PB_GPU_STORE);
}

int panbind_vm_gpu_stats(struct panbind_vm *vm, struct panbind_gpu_stats *ret_stats)
{
	const struct pb_gpu_ops *gpu = gpu_ops(vm);
	return gpu ? gpu->stats(vm->device->file, vm->id, ret_stats) : -EOPNOTSUPP;
}
