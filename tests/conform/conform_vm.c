/* SPDX-License-Identifier: MIT */
/* VM_CREATE, VM_DESTROY and VM_GET_STATE: how the VA space is divided, how many VMs there are, which ids they get. */
#include "raw.h"

#include <errno.h>

#define MAX_VMS	  32
#define KERNEL_VA (UINT64_C(256) << 20)

/* What is left to the user when the kernel's part is the largest power of two above @range. */
static uint64_t user_part(const struct raw *raw, uint64_t range)
{
	const uint64_t full = UINT64_C(1) << raw->va_bits;
	uint64_t kernel = 1;

	while (kernel * 2 <= full - range)
		kernel *= 2;
	return full - kernel;
}

static void the_kernel_takes_a_power_of_two(void **state)
{
	struct raw *raw = *state;
	const uint64_t full = UINT64_C(1) << raw->va_bits;
	const uint64_t asked[] = {
		1, 4096, 12345, UINT64_C(1) << 32, full / 2, full / 2 + 4096, full / 4 * 3 + 1, full - KERNEL_VA};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		uint64_t given = 0;
		uint32_t vm = 0;

		raw_expect("create", raw_vm_create(raw, asked[i], &vm, &given), 0);
		assert_int_equal(given, user_part(raw, asked[i]));
		assert_true(given >= asked[i]);
		raw_expect("destroy", raw_vm_destroy(raw, vm), 0);
	}
}

static void zero_lets_the_driver_choose(void **state)
{
	struct raw *raw = *state;

	/* half of it, where a program's own address space is as large or half as large */
	assert_int_equal(raw->va_range, UINT64_C(1) << (raw->va_bits - 1));
}

static void other_va_widths_are_divided_alike(void **state)
{
	const char *options[] = {"va-bits=33", "va-bits=39", "va-bits=40"};

	raw_need_simulator(*state);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct raw *raw = raw_open_simulator(options[i]);

		the_kernel_takes_a_power_of_two((void **)&raw);
		zero_lets_the_driver_choose((void **)&raw);
		raw_close(raw);
	}
}

static void too_much_is_refused(void **state)
{
	struct raw *raw = *state;
	const uint64_t full = UINT64_C(1) << raw->va_bits;
	const uint64_t asked[] = {full - KERNEL_VA + 1, full, full + 1, ~UINT64_C(0)};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct pb_uapi_vm_create args = {.user_va_range = asked[i], .id = 77};

		raw_expect("create", raw_ioctl(raw, PB_IOCTL_VM_CREATE, &args), -EINVAL);
		assert_int_equal(args.id, 77);
		assert_int_equal(args.user_va_range, asked[i]);
	}
}

static void flags_and_padding_must_be_zero(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_vm_create create = {.flags = 1};
	struct pb_uapi_vm_destroy destroy = {.id = raw->vm, .pad = 1};

	raw_expect("create", raw_ioctl(raw, PB_IOCTL_VM_CREATE, &create), -EINVAL);
	raw_expect("destroy", raw_ioctl(raw, PB_IOCTL_VM_DESTROY, &destroy), -EINVAL);
	assert_int_equal(raw_vm_state(raw, raw->vm), PB_VM_STATE_USABLE);
}

static void a_file_has_32_vms_from_1_and_uses_ids_again(void **state)
{
	struct raw *raw = *state;
	uint32_t vm = 0;

	assert_int_equal(raw->vm, 1);
	for (uint32_t id = 2; id <= MAX_VMS; id++)
		assert_int_equal(raw_vm(raw), id);
	raw_expect("one too many", raw_vm_create(raw, 0, &vm, NULL), -EBUSY);
	raw_expect("destroy", raw_vm_destroy(raw, 7), 0);
	raw_expect("destroy", raw_vm_destroy(raw, 3), 0);
	assert_int_equal(raw_vm(raw), 3);
	assert_int_equal(raw_vm(raw), 7);
}

static void unknown_ids_are_refused(void **state)
{
	struct raw *raw = *state;
	const uint32_t ids[] = {0, 2, MAX_VMS, MAX_VMS + 1, 99, UINT32_MAX};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		raw_expect("destroy", raw_vm_destroy(raw, ids[i]), -EINVAL);
		assert_int_equal(raw_vm_state(raw, ids[i]), -EINVAL);
	}
	raw_expect("destroy", raw_vm_destroy(raw, raw->vm), 0);
	raw_expect("twice", raw_vm_destroy(raw, raw->vm), -EINVAL);
}

static void a_destroyed_vm_lets_go_of_its_mappings(void **state)
{
	struct raw *raw = *state;
	uint32_t again;

	raw_expect("map", raw_map(raw, 0x100000, RAW_PAGE, raw->bo, 0, 0), 0);
	raw_expect("destroy", raw_vm_destroy(raw, raw->vm), 0);
	again = raw_vm(raw);
	assert_int_equal(again, raw->vm);
	raw_assert_unmapped(raw, again, 0, raw->va_range);
}

static void files_count_their_vms_apart(void **state)
{
	struct raw *pair[2];

	raw_open_pair(pair);
	for (uint32_t id = 2; id <= MAX_VMS; id++)
		raw_vm(pair[0]);
	assert_int_equal(raw_vm(pair[1]), 2);
	raw_close(pair[0]);
	assert_int_equal(raw_vm_state(pair[1], 2), PB_VM_STATE_USABLE);
	raw_close(pair[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_kernel_takes_a_power_of_two),	 TEST(zero_lets_the_driver_choose),
		TEST(other_va_widths_are_divided_alike), TEST(too_much_is_refused),
		TEST(flags_and_padding_must_be_zero),	 TEST(a_file_has_32_vms_from_1_and_uses_ids_again),
		TEST(unknown_ids_are_refused),		 TEST(a_destroyed_vm_lets_go_of_its_mappings),
		TEST(files_count_their_vms_apart),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
