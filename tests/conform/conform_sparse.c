/* SPDX-License-Identifier: MIT */
/* MAP_SPARSE (1.9): a range backed again and again by the driver's own 2 MiB dummy, at the offset va mod 2 MiB. */
#include "raw.h"

#include <errno.h>

#define BLOCK  (UINT64_C(2) << 20)
#define VA     (UINT64_C(1) << 30)
#define SPARSE (PB_OP_SPARSE | PB_OP_NOEXEC)

/* How an emulation and the native form look alike to the GPU: any alignment, any length of whole pages. */
static void every_page_leads_to_the_dummy(void **state)
{
	struct raw *raw = *state;
	const struct {
		uint64_t va, size;
	} cases[] = {
		{VA, BLOCK},
		{VA + 16 * BLOCK, 4 * BLOCK},
		{VA + 32 * BLOCK + RAW_PAGE, BLOCK},
		{VA + 48 * BLOCK - RAW_PAGE, 2 * RAW_PAGE},
		{VA + 64 * BLOCK + 5 * RAW_PAGE, RAW_PAGE},
	};

	raw_need_minor(raw, 9);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		raw_expect("map", raw_map(raw, cases[i].va, cases[i].size, 0, 0, SPARSE), 0);
		raw_assert_sparse(raw, raw->vm, cases[i].va, cases[i].size);
		raw_assert_unmapped(raw, raw->vm, cases[i].va + cases[i].size, RAW_PAGE);
		raw_assert_unmapped(raw, raw->vm, cases[i].va - RAW_PAGE, RAW_PAGE);
	}
}

static void pages_come_and_go_in_it(void **state)
{
	struct raw *raw = *state;

	raw_need_minor(raw, 9);
	raw_expect("reserve", raw_map(raw, VA, 4 * BLOCK, 0, 0, SPARSE), 0);
	raw_expect("bind", raw_map(raw, VA + BLOCK, 16 * RAW_PAGE, raw->bo, 0, PB_OP_NOEXEC), 0);
	raw_assert_sparse(raw, raw->vm, VA, BLOCK);
	raw_assert_mapped(raw, raw->vm, VA + BLOCK, 16 * RAW_PAGE, raw->bo, 0, PB_OP_NOEXEC);
	raw_assert_sparse(raw, raw->vm, VA + BLOCK + 16 * RAW_PAGE, 3 * BLOCK - 16 * RAW_PAGE);
	raw_expect("unbind", raw_map(raw, VA + BLOCK, 16 * RAW_PAGE, 0, 0, SPARSE), 0);
	raw_assert_sparse(raw, raw->vm, VA, 4 * BLOCK);
	raw_expect("release", raw_unmap(raw, VA, 4 * BLOCK), 0);
	raw_assert_unmapped(raw, raw->vm, VA, 4 * BLOCK);
}

static void bad_sparse_maps_are_refused(void **state)
{
	struct raw *raw = *state;
	const struct {
		const char *name;
		struct pb_uapi_vm_bind_op op;
	} cases[] = {
		{"executable", RAW_OP(.flags = PB_OP_MAP | PB_OP_SPARSE, .va = VA, .size = BLOCK)},
		{"with a handle", RAW_OP(.flags = PB_OP_MAP | SPARSE, .va = VA, .size = BLOCK, .bo_handle = raw->bo)},
		{"with an offset", RAW_OP(.flags = PB_OP_MAP | SPARSE, .va = VA, .size = BLOCK, .bo_offset = 4096)},
		{"va not aligned", RAW_OP(.flags = PB_OP_MAP | SPARSE, .va = VA + 1, .size = BLOCK)},
		{"past the range", RAW_OP(.flags = PB_OP_MAP | SPARSE, .va = raw->va_range - BLOCK, .size = 2 * BLOCK)},
		{"unmap", RAW_OP(.flags = PB_OP_UNMAP | SPARSE, .va = VA, .size = BLOCK)},
	};

	raw_need_minor(raw, 9);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		raw_expect(cases[i].name, raw_bind_op(raw, cases[i].op), -EINVAL);
	raw_assert_unmapped(raw, raw->vm, 0, raw->va_range);
}

/* Page tables are reserved for pages; the driver keeps their addresses in an array of 4 MiB at most. */
static void a_sparse_map_of_a_tebibyte_is_too_large(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_vm_bind_op op = RAW_OP(.flags = PB_OP_MAP | SPARSE, .size = UINT64_C(1) << 40);

	raw_need_minor(raw, 9);
	if (raw->va_range < 4 * op.size)
		return;
	raw_expect("1 TiB", raw_bind_op(raw, op), -ENOMEM);
	raw_expect("asynchronous", raw_bind_async_op(raw, op), -ENOMEM);
	op.size *= 4;
	raw_expect("4 TiB", raw_bind_op(raw, op), -ENOMEM);
	raw_assert_unmapped(raw, raw->vm, 0, op.size);
	assert_int_equal(raw_vm_state(raw, raw->vm), PB_VM_STATE_USABLE);
}

static void sparse_maps_may_be_asynchronous(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_sync_op signal = {.flags = PB_SYNC_SIGNAL};

	raw_need_minor(raw, 9);
	signal.handle = raw_syncobj(raw, 0);
	raw_expect("bind",
		   raw_bind_async_op(raw, RAW_OP(.flags = PB_OP_MAP | SPARSE, .va = VA, .size = 8 * BLOCK,
						 .syncs = RAW_ARRAY(&signal, 1))),
		   0);
	raw_expect("wait", raw_sync_wait(raw, signal.handle, 0), 0);
	raw_assert_sparse(raw, raw->vm, VA, 8 * BLOCK);
}

/* What programs do below 1.9: their own dummy BO, mapped again and again. */
static void an_older_driver_takes_a_dummy_bo_instead(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_vm_bind_op ops[16];
	uint32_t dummy = raw_bo(raw, BLOCK), count = 0;

	for (unsigned int i = 0; i < 16; i++)
		ops[i] = RAW_OP(.flags = PB_OP_MAP | PB_OP_NOEXEC, .bo_handle = dummy, .va = VA + i * BLOCK,
				.size = BLOCK);
	raw_expect("reserve", raw_bind(raw, raw->vm, 0, ops, 16, &count), 0);
	assert_int_equal(count, 16);
	raw_assert_mapped(raw, raw->vm, VA + 5 * BLOCK, BLOCK, dummy, 0, PB_OP_NOEXEC);
	raw_expect("bind", raw_map(raw, VA + BLOCK, RAW_PAGE, raw->bo, 0, PB_OP_NOEXEC), 0);
	raw_expect("unbind", raw_map(raw, VA + BLOCK, RAW_PAGE, dummy, 0, PB_OP_NOEXEC), 0);
	raw_assert_mapped(raw, raw->vm, VA + BLOCK, BLOCK, dummy, 0, PB_OP_NOEXEC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_page_leads_to_the_dummy),   TEST(pages_come_and_go_in_it),
		TEST(bad_sparse_maps_are_refused),     TEST(a_sparse_map_of_a_tebibyte_is_too_large),
		TEST(sparse_maps_may_be_asynchronous), TEST(an_older_driver_takes_a_dummy_bo_instead),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
