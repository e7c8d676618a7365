/* SPDX-License-Identifier: MIT */
/*
 * Arrays of structs between programs and drivers of different ages: strides, tails, counts, and pointers to nowhere.
 */
#include "raw.h"

#include <errno.h>
#include <string.h>

#define VA UINT64_C(0x300000)

/* An op of a header to come, with a field more. */
struct longer_op {
	struct pb_uapi_vm_bind_op op;
	uint64_t more;
};

static void fill_longer(const struct raw *raw, struct longer_op ops[2])
{
	memset(ops, 0, 2 * sizeof(*ops));
	for (unsigned int i = 0; i < 2; i++)
		ops[i].op = RAW_OP(.flags = PB_OP_MAP, .bo_handle = raw->bo, .va = VA + i * RAW_PAGE, .size = RAW_PAGE);
}

static int bind_array(struct raw *raw, uint32_t flags, struct pb_uapi_obj_array array, uint32_t *ret_count)
{
	struct pb_uapi_vm_bind args = {.vm_id = raw->vm, .flags = flags, .ops = array};
	int ret = raw_ioctl(raw, PB_IOCTL_VM_BIND, &args);

	*ret_count = args.ops.count;
	return ret;
}

/* Synchronous and asynchronous binds read the array by the same rules; a refusal leaves the count alone. */
static void expect_both(struct raw *raw, const char *what, struct pb_uapi_obj_array array, int want)
{
	for (uint32_t flags = 0; flags <= PB_VM_BIND_ASYNC; flags++) {
		uint32_t count = 99;

		raw_expect(what, bind_array(raw, flags, array, &count), want);
		assert_int_equal(count, array.count);
	}
}

static void an_empty_array_is_not_looked_at(void **state)
{
	struct raw *raw = *state;

	expect_both(raw, "null", (struct pb_uapi_obj_array){0}, 0);
	expect_both(raw, "stride 1", (struct pb_uapi_obj_array){.stride = 1, .array = 1}, 0);
}

static void a_short_stride_is_refused(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_vm_bind_op op = RAW_OP(.flags = PB_OP_MAP, .bo_handle = raw->bo, .va = VA, .size = RAW_PAGE);
	const uintptr_t at = (uintptr_t)&op;

	expect_both(raw, "stride 0", (struct pb_uapi_obj_array){.count = 1, .array = at}, -EINVAL);
	expect_both(raw, "stride 47", (struct pb_uapi_obj_array){.stride = 47, .count = 1, .array = at}, -EINVAL);
	raw_assert_unmapped(raw, raw->vm, VA, RAW_PAGE);
}

static void a_longer_stride_is_taken_when_the_tail_is_zero(void **state)
{
	struct raw *raw = *state;
	struct longer_op ops[2];
	uint32_t count;

	fill_longer(raw, ops);
	raw_expect("zero tail", bind_array(raw, 0, RAW_ARRAY(ops, 2), &count), 0);
	assert_int_equal(count, 2);
	raw_assert_mapped(raw, raw->vm, VA, RAW_PAGE, raw->bo, 0, 0);
	raw_assert_mapped(raw, raw->vm, VA + RAW_PAGE, RAW_PAGE, raw->bo, 0, 0);
}

static void a_tail_that_says_something_is_refused_before_any_op(void **state)
{
	struct raw *raw = *state;
	struct longer_op ops[2];

	fill_longer(raw, ops);
	ops[1].more = UINT64_C(1) << 56;
	expect_both(raw, "tail of the second op", RAW_ARRAY(ops, 2), -E2BIG);
	raw_assert_unmapped(raw, raw->vm, VA, 2 * RAW_PAGE);
}

static void a_bad_pointer_faults(void **state)
{
	struct raw *raw = *state;
	const uint64_t bad[] = {0, 0x10, UINT64_C(1) << 63, ~UINT64_C(0) - 63};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		expect_both(raw, "same stride", (struct pb_uapi_obj_array){.stride = 48, .count = 1, .array = bad[i]},
			    -EFAULT);
		expect_both(raw, "longer stride", (struct pb_uapi_obj_array){.stride = 56, .count = 1, .array = bad[i]},
			    -EFAULT);
	}
}

static void a_huge_count_is_out_of_memory(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_vm_bind_op op = {0};

	expect_both(raw, "count ~0", RAW_ARRAY(&op, UINT32_MAX), -ENOMEM);
}

static int bind_with_syncs(struct raw *raw, struct pb_uapi_obj_array syncs)
{
	return raw_bind_async_op(raw, RAW_OP(.flags = PB_OP_UNMAP, .va = VA, .size = RAW_PAGE, .syncs = syncs));
}

static void sync_arrays_follow_the_same_rules(void **state)
{
	struct raw *raw = *state;
	struct {
		struct pb_uapi_sync_op sync;
		uint64_t more;
	} syncs[2] = {0};
	const uintptr_t at = (uintptr_t)syncs;

	syncs[0].sync = (struct pb_uapi_sync_op){.flags = PB_SYNC_SIGNAL, .handle = raw_syncobj(raw, 0)};
	syncs[1].sync = (struct pb_uapi_sync_op){.flags = PB_SYNC_SIGNAL, .handle = raw_syncobj(raw, 0)};
	raw_expect("stride 15", bind_with_syncs(raw, (struct pb_uapi_obj_array){.stride = 15, .count = 1, .array = at}),
		   -EINVAL);
	raw_expect("null", bind_with_syncs(raw, (struct pb_uapi_obj_array){.stride = 16, .count = 1}), -EFAULT);
	raw_expect("count ~0",
		   bind_with_syncs(raw, (struct pb_uapi_obj_array){.stride = 16, .count = UINT32_MAX, .array = at}),
		   -ENOMEM);
	raw_expect("zero tails", bind_with_syncs(raw, RAW_ARRAY(syncs, 2)), 0);
	raw_expect("wait", raw_sync_wait(raw, syncs[1].sync.handle, 0), 0);
	syncs[1].more = 1;
	raw_expect("tail", bind_with_syncs(raw, RAW_ARRAY(syncs, 2)), -E2BIG);
}

static void a_bad_argument_block_faults(void **state)
{
	struct raw *raw = *state;

	raw_expect("VM_BIND", raw_ioctl(raw, PB_IOCTL_VM_BIND, NULL), -EFAULT);
	raw_expect("VM_CREATE", raw_ioctl(raw, PB_IOCTL_VM_CREATE, (void *)8), -EFAULT);
	raw_expect("BO_CREATE", raw_ioctl(raw, PB_IOCTL_BO_CREATE, NULL), -EFAULT);
	raw_expect("DEV_QUERY", raw_ioctl(raw, PB_IOCTL_DEV_QUERY, NULL), -EFAULT);
	raw_expect("SYNCOBJ_CREATE", raw_ioctl(raw, DRM_IOCTL_SYNCOBJ_CREATE, NULL), -EFAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_array_is_not_looked_at),
		TEST(a_short_stride_is_refused),
		TEST(a_longer_stride_is_taken_when_the_tail_is_zero),
		TEST(a_tail_that_says_something_is_refused_before_any_op),
		TEST(a_bad_pointer_faults),
		TEST(a_huge_count_is_out_of_memory),
		TEST(sync_arrays_follow_the_same_rules),
		TEST(a_bad_argument_block_faults),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
