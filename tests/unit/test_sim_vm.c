/* SPDX-License-Identifier: MIT */
/*
 * VMs on the simulator: ids, VA ranges, residency.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "panbind.h"
#include "sim_rig.h"

#define GIB UINT64_C(0x40000000)

static int create(struct pb_file *file, uint64_t range, struct pb_uapi_vm_create *args)
{
	*args = (struct pb_uapi_vm_create){.user_va_range = range};
	return rig_ioctl(file, PB_IOCTL_VM_CREATE, args);
}

static int destroy(struct pb_file *file, uint32_t id)
{
	struct pb_uapi_vm_destroy args = {.id = id};

	return rig_ioctl(file, PB_IOCTL_VM_DESTROY, &args);
}

static void the_kernel_keeps_a_power_of_two_at_the_top(void **state)
{
	static const struct {
		unsigned va_bits;
		uint64_t asked, given;
	} cases[] = {
		{48, 0, UINT64_C(1) << 47},
		{48, 1, UINT64_C(1) << 47},
		{48, 4096, UINT64_C(1) << 47},
		{48, 4 * GIB, UINT64_C(1) << 47},
		{48, UINT64_C(1) << 47, UINT64_C(1) << 47},
		{48, (UINT64_C(1) << 47) + 1, (UINT64_C(1) << 48) - (UINT64_C(1) << 46)},
		{48, (UINT64_C(1) << 48) - GIB, (UINT64_C(1) << 48) - GIB},
		{48, (UINT64_C(1) << 48) - GIB / 4, (UINT64_C(1) << 48) - GIB / 4},
		{39, 0, UINT64_C(1) << 38},
		{33, 0, 4 * GIB},
		{33, 5 * GIB, 6 * GIB},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct pb_uapi_vm_create args;
		struct pb_file *file;
		char text[32];

		snprintf(text, sizeof(text), "va-bits=%u", cases[i].va_bits);
		file = rig_open(text);
		assert_int_equal(create(file, cases[i].asked, &args), 0);
		assert_int_equal(args.id, 1);
		assert_int_equal(args.user_va_range, cases[i].given);
		rig_close(file);
	}
}

static void a_range_without_room_for_the_kernel_is_refused(void **state)
{
	struct pb_file *file = rig_open("");
	struct pb_uapi_vm_create args;

	assert_int_equal(create(file, (UINT64_C(1) << 48) - GIB / 4 + 1, &args), -EINVAL);
	assert_int_equal(create(file, ~UINT64_C(0), &args), -EINVAL);
	assert_int_equal(args.user_va_range, ~UINT64_C(0));
	args = (struct pb_uapi_vm_create){.flags = 1};
	assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_CREATE, &args), -EINVAL);
	rig_close(file);
}

static void there_are_32_vms_and_ids_are_reused(void **state)
{
	struct pb_file *file = rig_open(""), *other = rig_open("");
	struct pb_uapi_vm_create args;

	for (uint32_t id = 1; id <= 32; id++) {
		assert_int_equal(create(file, 0, &args), 0);
		assert_int_equal(args.id, id);
	}
	assert_int_equal(create(file, 0, &args), -EBUSY);
	assert_int_equal(create(file, ~UINT64_C(0), &args), -EINVAL); /* checked before room is looked for */
	assert_int_equal(create(other, 0, &args), 0);		      /* each file has its own */
	assert_int_equal(destroy(file, 7), 0);
	assert_int_equal(create(file, 0, &args), 0);
	assert_int_equal(args.id, 7);
	rig_close(file);
	rig_close(other);
}

static void bad_ids_are_einval(void **state)
{
	static const uint32_t ids[] = {0, 2, 32, 33, ~0u};
	struct pb_file *file = rig_open("");
	struct pb_uapi_vm_destroy padded = {.id = 1, .pad = 1};

	rig_vm(file);
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		struct pb_uapi_vm_get_state get = {.vm_id = ids[i]};

		assert_int_equal(destroy(file, ids[i]), -EINVAL);
		assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_GET_STATE, &get), -EINVAL);
		assert_int_equal(rig_bind(file, ids[i], rig_unmap(0, 4096)), -EINVAL);
	}
	assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_DESTROY, &padded), -EINVAL);
	assert_int_equal(rig_state(file, 1), PB_VM_STATE_USABLE);
	assert_int_equal(destroy(file, 1), 0);
	assert_int_equal(destroy(file, 1), -EINVAL);
	rig_close(file);
}

static void slots_are_limited_and_come_back(void **state)
{
	struct pb_file *file = rig_open("as-slots=2");
	const struct pb_gpu_ops *gpu = file->backend->gpu;
	uint32_t a = rig_vm(file), b = rig_vm(file), c = rig_vm(file);

	assert_int_equal(gpu->resident(file, a, 1), 0);
	assert_int_equal(gpu->resident(file, b, 1), 0);
	assert_int_equal(gpu->resident(file, b, 1), 0); /* it has one */
	assert_int_equal(gpu->resident(file, c, 1), -EBUSY);
	assert_int_equal(gpu->resident(file, a, 0), 0);
	assert_int_equal(gpu->resident(file, c, 1), 0);
	assert_int_equal(destroy(file, b), 0); /* gives its slot back */
	assert_int_equal(gpu->resident(file, a, 1), 0);
	assert_int_equal(gpu->resident(file, 9, 1), -EINVAL);
	rig_close(file);
}

static void what_a_gpu_access_can_say(void **state)
{
	struct pb_file *file = rig_open("");
	const struct pb_gpu_ops *gpu = file->backend->gpu;
	uint32_t vm = rig_vm(file), bo = rig_bo(file, 8192);
	uint64_t value = 0x1122334455667788;
	struct panbind_gpu_stats stats;

	assert_int_equal(rig_bind(file, vm, rig_map(0x10000, 4096, bo, 0, 0)), 0);
	assert_int_equal(rig_bind(file, vm, rig_map(0x11000, 4096, bo, 0, PB_OP_READONLY)), 0);
	assert_int_equal(gpu->access(file, vm, 0x10000, &value, 8, 0), -ENXIO);
	assert_int_equal(gpu->resident(file, vm, 1), 0);
	assert_int_equal(gpu->access(file, vm, 0x10ff8, &value, 8, PB_GPU_STORE), 0);
	value = 0;
	assert_int_equal(gpu->access(file, vm, 0x11ff8, &value, 8, 0), 0); /* the same memory */
	assert_int_equal(value, 0x1122334455667788);
	value = 0;
	assert_int_equal(gpu->access(file, vm, 0x10ffa, &value, 2, 0), 0);
	assert_int_equal(value, 0x5566);
	assert_int_equal(gpu->access(file, vm, 0x11000, &value, 4, PB_GPU_STORE), -EFAULT);
	assert_int_equal(gpu->access(file, vm, 0x12000, &value, 4, 0), -EFAULT);
	assert_int_equal(gpu->access(file, vm, UINT64_C(1) << 60, &value, 4, 0), -EFAULT);
	assert_int_equal(gpu->access(file, vm, 0x10001, &value, 4, 0), -EINVAL);
	assert_int_equal(gpu->access(file, vm, 0x10000, &value, 3, 0), -EINVAL);
	assert_int_equal(gpu->access(file, vm, 0x10000, &value, 16, 0), -EINVAL);
	assert_int_equal(gpu->access(file, vm, 0x10000, &value, 0, 0), -EINVAL);
	assert_int_equal(gpu->access(file, 0, 0x10000, &value, 4, 0), -EINVAL);
	assert_int_equal(gpu->access(file, ~0u, 0x10000, &value, 4, 0), -EINVAL);
	assert_int_equal(gpu->stats(file, vm, &stats), 0);
	assert_int_equal(stats.stores, 1);
	assert_int_equal(stats.loads, 2);
	assert_int_equal(stats.faults, 3);
	assert_int_equal(stats.stalls, 0);
	assert_int_equal(destroy(file, vm), 0);
	assert_int_equal(gpu->access(file, vm, 0x10000, &value, 4, 0), -EINVAL);
	rig_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_keeps_a_power_of_two_at_the_top),
		cmocka_unit_test(a_range_without_room_for_the_kernel_is_refused),
		cmocka_unit_test(there_are_32_vms_and_ids_are_reused),
		cmocka_unit_test(bad_ids_are_einval),
		cmocka_unit_test(slots_are_limited_and_come_back),
		cmocka_unit_test(what_a_gpu_access_can_say),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
