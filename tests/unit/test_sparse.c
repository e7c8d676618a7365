/* SPDX-License-Identifier: MIT */
/* Sparse regions: the ops behind them, what is refused, and that nothing is ever half done. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bind_room.h"
#include "truth.h"

#define ALL	 FAKE_UNTOUCHED
#define ONE_BIND FAKE_BIND(1, 0, ALL)

static struct room room;

static int setup(void **state)
{
	room_open(&room, 9);
	return 0;
}

static int setup_below_9(void **state)
{
	room_open(&room, 8);
	return 0;
}

static int teardown(void **state)
{
	room_close(&room);
	return 0;
}

static int reserve(uint64_t at, uint64_t count)
{
	return panbind_sparse_reserve(room.vm, at * PAGE, count * PAGE, &room.error);
}

static void assert_regions(const uint64_t *at_and_count)
{
	uint64_t va = 0, size = 0;
	for (; at_and_count[1] > 0; at_and_count += 2) {
		assert_int_equal(panbind_sparse_next_region(room.vm, va + size, &va, &size), 0);
		assert_int_equal(va, at_and_count[0] * PAGE);
		assert_int_equal(size, at_and_count[1] * PAGE);
	}
	assert_int_equal(panbind_sparse_next_region(room.vm, va + size, &va, &size), -ENOENT);
}
#define ASSERT_REGIONS(...) assert_regions((const uint64_t[]){__VA_ARGS__ __VA_OPT__(, ) 0, 0})

static void regions_are_kept_in_order(void **state)
{
	FAKE_EXPECT(&room.fake, ONE_BIND, ONE_BIND, ONE_BIND);
	assert_int_equal(reserve(64, 16), 0);
	assert_int_equal(reserve(16, 16), 0);
	assert_int_equal(reserve(32, 32), 0); /* fills the gap exactly: three regions, one sparse range */
	ASSERT_REGIONS(16, 16, 32, 32, 64, 16);
	ASSERT_SHADOW(&room, {16, 64, SPARSE});
	assert_non_null(pb_region_find(room.vm, 40 * PAGE, PAGE));
	assert_null(pb_region_find(room.vm, 31 * PAGE, 2 * PAGE)); /* across a border */
}

static void bind_and_unbind_are_one_op_each(void **state)
{
	static const struct pb_uapi_vm_bind_op bind = DRIVER_MAP(20, 4, 8);
	static const struct pb_uapi_vm_bind_op unbind = {.flags = PB_OP_MAP | PB_OP_SPARSE | PB_OP_NOEXEC,
							 .va = 20 * PAGE,
							 .size = 4 * PAGE};
	FAKE_EXPECT(&room.fake, ONE_BIND, {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &bind},
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &unbind});
	assert_int_equal(reserve(16, 16), 0);
	assert_int_equal(panbind_sparse_bind(room.vm, 20 * PAGE, 4 * PAGE, room.bo, 8 * PAGE, 0, NULL), 0);
	ASSERT_SHADOW(&room, {16, 4, SPARSE}, {20, 4, 8}, {24, 8, SPARSE});
	assert_int_equal(panbind_sparse_unbind(room.vm, 20 * PAGE, 4 * PAGE, NULL), 0);
	ASSERT_SHADOW(&room, {16, 16, SPARSE});
}

static void a_release_takes_all_of_it_away(void **state)
{
	static const struct pb_uapi_vm_bind_op op = DRIVER_UNMAP(16, 16);
	FAKE_EXPECT(&room.fake, ONE_BIND, ONE_BIND, {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &op});
	assert_int_equal(reserve(16, 16), 0);
	assert_int_equal(panbind_sparse_bind(room.vm, 20 * PAGE, 4 * PAGE, room.bo, 0, 0, NULL), 0);
	assert_int_equal(panbind_sparse_release(room.vm, 16 * PAGE, 16 * PAGE, NULL), 0);
	ASSERT_SHADOW(&room);
	ASSERT_REGIONS();
}

static void what_is_in_the_way_is_named(void **state)
{
	room_map_now(&room, 100, 4, 0);
	FAKE_EXPECT(&room.fake, ONE_BIND);
	assert_int_equal(reserve(16, 16), 0);

	assert_int_equal(reserve(31, 4), -EEXIST);
	ASSERT_ERROR(&room, -EEXIST, VALIDATE, PANBIND_NO_OP);
	assert_int_equal(room.error.va, 16 * PAGE);
	assert_int_equal(room.error.size, 16 * PAGE);
	assert_int_equal(reserve(90, 11), -EEXIST);
	assert_int_equal(room.error.va, 100 * PAGE);
	assert_int_equal(room.error.size, 4 * PAGE);
	ASSERT_REGIONS(16, 16);
}

static void a_region_is_in_the_way_also_where_it_is_unmapped(void **state)
{
	FAKE_EXPECT(&room.fake, ONE_BIND, ONE_BIND);
	assert_int_equal(reserve(16, 16), 0);
	assert_int_equal(panbind_vm_unmap(room.vm, 16 * PAGE, 16 * PAGE, NULL), 0); /* allowed, if unkind */
	assert_int_equal(reserve(20, 1), -EEXIST);
}

static void outside_a_region_nothing_is_bound(void **state)
{
	FAKE_EXPECT(&room.fake, ONE_BIND, ONE_BIND);
	assert_int_equal(reserve(16, 16), 0);
	assert_int_equal(reserve(32, 16), 0);
	static const uint64_t outside[][2] = {{15, 1}, {15, 2}, {48, 1}, {31, 2}, {0, 100}};
	for (size_t i = 0; i < PB_ARRAY_SIZE(outside); i++) {
		uint64_t va = outside[i][0] * PAGE, size = outside[i][1] * PAGE;
		assert_int_equal(panbind_sparse_bind(room.vm, va, size, room.bo, 0, 0, &room.error), -ENOENT);
		ASSERT_ERROR(&room, -ENOENT, VALIDATE, PANBIND_NO_OP);
		assert_int_equal(panbind_sparse_unbind(room.vm, va, size, NULL), -ENOENT);
		assert_int_equal(panbind_sparse_release(room.vm, va, size, NULL), -ENOENT);
	}
	assert_int_equal(panbind_sparse_release(room.vm, 16 * PAGE, 15 * PAGE, NULL), -ENOENT);
	assert_int_equal(panbind_sparse_release(room.vm, 16 * PAGE, 32 * PAGE, NULL), -ENOENT);
}

static void no_range_of_pages_is_refused(void **state)
{
	static const uint64_t bad[][2] = {{0, 0}, {1, PAGE}, {PAGE, 1}, {~0ull - PAGE + 1, 2 * PAGE}};
	for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
		assert_int_equal(panbind_sparse_reserve(room.vm, bad[i][0], bad[i][1], &room.error), -EINVAL);
		ASSERT_ERROR(&room, -EINVAL, VALIDATE, PANBIND_NO_OP);
		assert_int_equal(panbind_sparse_unbind(room.vm, bad[i][0], bad[i][1], NULL), -EINVAL);
		assert_int_equal(panbind_sparse_release(room.vm, bad[i][0], bad[i][1], NULL), -EINVAL);
	}
	assert_int_equal(panbind_sparse_reserve(room.vm, 1ull << 47, PAGE, NULL), -EINVAL); /* past the VM's end */
	ASSERT_REGIONS();
}

static void a_failed_reserve_is_no_region(void **state)
{
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, -ENOMEM, 0), ONE_BIND);
	assert_int_equal(reserve(16, 16), -ENOMEM);
	ASSERT_ERROR(&room, -ENOMEM, SUBMIT, 0);
	ASSERT_REGIONS();
	ASSERT_SHADOW(&room);
}

static void a_failed_release_is_still_a_region(void **state)
{
	FAKE_EXPECT(&room.fake, ONE_BIND, FAKE_BIND(1, -EINVAL, 0));
	assert_int_equal(reserve(16, 16), 0);
	assert_int_equal(panbind_sparse_release(room.vm, 16 * PAGE, 16 * PAGE, NULL), -EINVAL);
	ASSERT_REGIONS(16, 16);
	ASSERT_SHADOW(&room, {16, 16, SPARSE});
}

static void below_1_9_half_a_reserve_is_taken_back(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {DRIVER_UNMAP(0, 2048)};
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -EINVAL, 2),
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = inverse});
	assert_int_equal(reserve(0, 2048), -EINVAL);
	ASSERT_REGIONS();
	ASSERT_SHADOW(&room);
}

static void below_1_9_half_an_unbind_is_taken_back(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {DRIVER_MAP(500, 24, 3)};
	FAKE_EXPECT(&room.fake, FAKE_BIND(2, 0, ALL), ONE_BIND, FAKE_BIND(2, -EINVAL, 1),
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = inverse});
	assert_int_equal(reserve(0, 1024), 0);
	assert_int_equal(panbind_sparse_bind(room.vm, 500 * PAGE, 24 * PAGE, room.bo, 3 * PAGE, 0, NULL), 0);
	assert_int_equal(panbind_sparse_unbind(room.vm, 500 * PAGE, 24 * PAGE, NULL), -EINVAL);
	ASSERT_SHADOW(&room, {0, 500, SPARSE}, {500, 24, 3}, {524, 500, SPARSE});
}

/** A texture's life on each feature level: what the GPU reads never faults, and is the page bound last. */
static void on_every_level_the_gpu_never_faults(void **state)
{
	for (int minor = 0; minor <= 9; minor++) {
		struct panbind_device *device;
		struct panbind_vm *vm;
		struct panbind_bo *bo;
		struct panbind_gpu_stats stats;
		char spec[32];
		uint64_t *cpu, value, va = BLOCK - 4 * PAGE, size = 2 * BLOCK;
		snprintf(spec, sizeof(spec), "sim:minor=%d", minor);
		assert_int_equal(panbind_device_open(spec, &device, NULL), 0);
		assert_int_equal(panbind_vm_create(device, 0, &vm, NULL), 0);
		assert_int_equal(panbind_bo_create(device, 4 * PAGE, 0, NULL, &bo, NULL), 0);
		assert_int_equal(panbind_bo_mmap(bo, (void **)&cpu), 0);
		cpu[0] = 77;
		assert_int_equal(panbind_vm_gpu_resident(vm, 1), 0);

		assert_int_equal(panbind_sparse_reserve(vm, va, size, NULL), 0);
		truth_assert(vm);
		for (uint64_t at = va; at < va + size; at += 16 * PAGE) {
			assert_int_equal(panbind_vm_gpu_load(vm, at, &value, 8), 0);
			assert_int_equal(panbind_sparse_bind(vm, at, PAGE, bo, 0, 0, NULL), 0);
			assert_int_equal(panbind_vm_gpu_load(vm, at, &value, 8), 0);
			assert_int_equal(value, 77);
		}
		truth_assert(vm);
		assert_int_equal(panbind_sparse_unbind(vm, va, size, NULL), 0);
		assert_int_equal(panbind_vm_mapping_count(vm), 1);
		truth_assert(vm);
		assert_int_equal(panbind_sparse_release(vm, va, size, NULL), 0);
		truth_assert(vm);
		assert_int_equal(panbind_vm_gpu_stats(vm, &stats), 0);
		assert_int_equal(stats.faults, 0);
		assert_int_equal(panbind_vm_gpu_load(vm, va, &value, 8), -EFAULT);

		panbind_vm_destroy(vm);
		panbind_bo_unref(bo);
		panbind_device_unref(device);
	}
}

#define TEST(name)	   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BELOW_9(name) cmocka_unit_test_setup_teardown(name, setup_below_9, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(regions_are_kept_in_order),
		TEST(bind_and_unbind_are_one_op_each),
		TEST(a_release_takes_all_of_it_away),
		TEST(what_is_in_the_way_is_named),
		TEST(a_region_is_in_the_way_also_where_it_is_unmapped),
		TEST(outside_a_region_nothing_is_bound),
		TEST(no_range_of_pages_is_refused),
		TEST(a_failed_reserve_is_no_region),
		TEST(a_failed_release_is_still_a_region),
		TEST_BELOW_9(below_1_9_half_a_reserve_is_taken_back),
		TEST_BELOW_9(below_1_9_half_an_unbind_is_taken_back),
		cmocka_unit_test(on_every_level_the_gpu_never_faults),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
