/* SPDX-License-Identifier: MIT */
/*
 * VMs that exist already: a program made them on its own open file, and whoever has that file may bind them too.
 *
 * Nothing is known of what such a VM maps until somebody looks (sight.c). It is let go, not destroyed.
 */
#include <errno.h>

#include "internal.h"
#include "uapi.h"

/* What the driver keeps for itself at least, whatever the program had asked for. */
#define LEAST_KERNEL_VA (UINT64_C(256) << 20)

int panbind_device_vm_ids(struct panbind_device *device, uint32_t *ids, size_t max)
{
	int found = 0;
	for (uint32_t id = 1; id <= device->info.max_vms; id++) {
		struct pb_uapi_vm_get_state args = {.vm_id = id};
		int ret = pb_device_ioctl(device, PB_IOCTL_VM_GET_STATE, &args);
		if (ret == -EINVAL || ret == -ENOENT)
			continue;
		if (ret < 0)
			return ret;
		if (ids && (size_t)found < max)
			ids[found] = id;
		found++;
	}
	return found;
}

static uint64_t widest_range(const struct panbind_device *device)
{
	unsigned int bits = device->info.va_bits;
	return (bits < 64 ? UINT64_C(1) << bits : UINT64_MAX & ~PB_PAGE_MASK) - LEAST_KERNEL_VA;
}

static void free_vmp(struct panbind_vm **vm)
{
	panbind_vm_destroy(*vm); /* lets go of an adopted one */
}

int panbind_vm_adopt(struct panbind_device *device, uint32_t id, uint64_t user_va_range, struct panbind_vm **ret_vm,
		     struct panbind_error *reterr)
{
	struct pb_uapi_vm_get_state args = {.vm_id = id};
	int ret = pb_device_ioctl(device, PB_IOCTL_VM_GET_STATE, &args);
	if (ret < 0)
		return pb_error_set(reterr, ret == -EINVAL ? -ENOENT : ret, PANBIND_STAGE_VALIDATE,
				    "there is no VM %u on this open file", id);

	uint64_t range = user_va_range ? user_va_range : widest_range(device);
	if (range & PB_PAGE_MASK || range > widest_range(device))
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE,
				    "no VM of this device has 0x%llx bytes of VA", (unsigned long long)range);
	pb_cleanup(free_vmp) struct panbind_vm *vm = pb_vm_new(device, id, range);
	if (vm)
		vm->adopted = true;
	if (!vm || pb_vamap_create(NULL, NULL, &vm->unknown) < 0 || pb_vamap_reserve(vm->unknown, 1) < 0)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	pb_vamap_set(vm->unknown, &(struct pb_range){.size = range});
	if (args.state != PB_VM_STATE_USABLE)
		vm->state = PANBIND_VM_UNUSABLE;
	*ret_vm = pb_take_ptr(vm);
	return 0;
}

int panbind_vm_is_adopted(const struct panbind_vm *vm)
{
	return vm->adopted;
}
