/* SPDX-License-Identifier: MIT */
/*
 * A GPU VM and what is known of it: the driver's id, its VA range, the shadow of its mappings, its state.
 *
 * The state has one direction. USABLE becomes UNUSABLE when the driver says so, since the driver never takes that back;
 * either becomes POISONED when panbind itself lost track of the mapping, and that stays too: the first reason is the
 * useful one. What remains possible on such a VM is to look at it and to destroy it.
 */
#include <errno.h>
#include <stdio.h>

#include "internal.h"
#include "uapi.h"

static void hold_bo(struct panbind_bo *bo)
{
	panbind_bo_ref(bo);
}

static void free_vm(struct panbind_vm *vm)
{
	pb_pending_free(vm);
	pb_vamap_destroy(vm->map);
	pb_vamap_destroy(vm->pieced);
	pb_vamap_destroy(vm->unknown);
	panbind_syncobj_unref(vm->timeline);
	free(vm->regions);
	free(vm);
}

struct panbind_vm *pb_vm_new(struct panbind_device *device, uint32_t id, uint64_t va_range)
{
	struct panbind_vm *vm = calloc(1, sizeof(*vm));
	if (!vm)
		return NULL;
	if (pb_vamap_create(hold_bo, panbind_bo_unref, &vm->map) < 0 || pb_vamap_create(NULL, NULL, &vm->pieced) < 0) {
		free_vm(vm);
		return NULL;
	}
	vm->device = panbind_device_ref(device);
	vm->id = id;
	vm->va_range = va_range;
	vm->map_generation = atomic_fetch_add(&device->map_generation, 1) + 1;
	vm->pending_tail = &vm->pending;
	return vm;
}

static void free_vmp(struct panbind_vm **vm)
{
	if (!*vm)
		return;
	struct panbind_device *device = (*vm)->device;
	free_vm(*vm);
	panbind_device_unref(device);
}

int panbind_vm_create(struct panbind_device *device, uint64_t user_va_range, struct panbind_vm **ret_vm,
		      struct panbind_error *reterr)
{
	pb_cleanup(free_vmp) struct panbind_vm *vm = pb_vm_new(device, 0, 0);
	if (!vm)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");

	struct pb_uapi_vm_create args = {.user_va_range = user_va_range};
	int ret = pb_device_ioctl(device, PB_IOCTL_VM_CREATE, &args);
	if (ret == -EBUSY)
		return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT,
				    "the driver has no more than %u VMs on one open file", device->info.max_vms);
	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT, "VM_CREATE with a VA range of 0x%llx failed: %s",
				    (unsigned long long)user_va_range, panbind_errno_name(ret));

	vm->id = args.id;
	vm->va_range = args.user_va_range;
	*ret_vm = pb_take_ptr(vm);
	return 0;
}

void panbind_vm_destroy(struct panbind_vm *vm)
{
	if (!vm)
		return;
	struct panbind_device *device = vm->device;
	struct pb_uapi_vm_destroy args = {.id = vm->id};
	if (!vm->adopted)
		pb_device_ioctl(device, PB_IOCTL_VM_DESTROY, &args); /* first: the shadow's BOs are mapped until then */
	free_vm(vm);
	panbind_device_unref(device);
}

uint32_t panbind_vm_id(const struct panbind_vm *vm)
{
	return vm->id;
}

uint64_t panbind_vm_va_range(const struct panbind_vm *vm)
{
	return vm->va_range;
}

struct panbind_device *panbind_vm_device(const struct panbind_vm *vm)
{
	return vm->device;
}

int panbind_vm_get_state(struct panbind_vm *vm, enum panbind_vm_state *ret_state)
{
	struct pb_uapi_vm_get_state args = {.vm_id = vm->id};
	int ret = pb_device_ioctl(vm->device, PB_IOCTL_VM_GET_STATE, &args);
	if (ret < 0)
		return ret;
	if (args.state != PB_VM_STATE_USABLE && vm->state == PANBIND_VM_USABLE)
		vm->state = PANBIND_VM_UNUSABLE;
	*ret_state = vm->state;
	return 0;
}

const char *panbind_vm_poison_reason(const struct panbind_vm *vm)
{
	return vm->state == PANBIND_VM_POISONED ? vm->poison : NULL;
}

void pb_vm_poison(struct panbind_vm *vm, const char *format, ...)
{
	if (vm->state == PANBIND_VM_POISONED)
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(vm->poison, sizeof(vm->poison), format, args);
	va_end(args);
	vm->state = PANBIND_VM_POISONED;
}

int pb_vm_check_usable(struct panbind_vm *vm, struct panbind_error *reterr)
{
	switch (vm->state) {
	case PANBIND_VM_POISONED:
		return pb_error_set(reterr, -EUCLEAN, PANBIND_STAGE_VALIDATE, "the VM is poisoned: %s", vm->poison);
	case PANBIND_VM_UNUSABLE:
		return pb_error_set(reterr, -EUCLEAN, PANBIND_STAGE_VALIDATE,
				    "the driver gave the VM up after a failed bind; only a new VM helps");
	case PANBIND_VM_USABLE:
		break;
	}
	return 0;
}

void panbind_vm_set_held(struct panbind_vm *vm, int held)
{
	vm->held = held;
}

int pb_vm_check_held(const struct panbind_vm *vm, struct panbind_error *reterr)
{
	if (vm->held)
		return pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE, "the VM is being rebuilt: try again later");
	return 0;
}

int panbind_vm_next_mapping(struct panbind_vm *vm, uint64_t va, struct panbind_mapping *ret_mapping)
{
	struct pb_range range;
	int ret = pb_vamap_next(vm->map, va, &range);
	if (ret < 0)
		return ret;
	*ret_mapping = (struct panbind_mapping){
		.va = range.va,
		.size = range.size,
		.bo = range.bo,
		.bo_offset = range.bo_offset,
		.flags = range.flags,
		.sparse = !range.bo,
	};
	return 0;
}

size_t panbind_vm_mapping_count(const struct panbind_vm *vm)
{
	return pb_vamap_count(vm->map);
}

uint64_t panbind_vm_map_generation(const struct panbind_vm *vm)
{
	return vm->map_generation;
}

void panbind_vm_set_map_generation(struct panbind_vm *vm, uint64_t generation)
{
	uint64_t largest = atomic_load(&vm->device->map_generation);

	vm->map_generation = generation;
	while (largest < generation && !atomic_compare_exchange_weak(&vm->device->map_generation, &largest, generation))
		;
}
