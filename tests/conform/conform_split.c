/* SPDX-License-Identifier: MIT */
/*
 * A map over mappings, or an unmap of a part of them, leaves the pieces outside of its range as they were: at their own
 * offsets in their own BOs, with their own flags (drm_gpuvm_sm_map(), drm_gpuvm_sm_unmap()).
 */
#include "raw.h"

#include <stdlib.h>

#define VA    UINT64_C(0x10000000)
#define PAGES 16

/* Every test starts with 16 pages of raw->bo, no-exec, at VA. */
static int setup(void **state)
{
	struct raw *raw;

	raw_setup(state);
	raw = *state;
	raw_expect("map", raw_map(raw, VA, PAGES * RAW_PAGE, raw->bo, 0, PB_OP_NOEXEC), 0);
	return 0;
}

static uint64_t page(unsigned int index)
{
	return VA + index * RAW_PAGE;
}

/* Pages [from, to) are as at the start. */
static void assert_old(struct raw *raw, unsigned int from, unsigned int to)
{
	raw_assert_mapped(raw, raw->vm, page(from), (to - from) * RAW_PAGE, raw->bo, from * RAW_PAGE, PB_OP_NOEXEC);
}

static void map_in_the_middle_keeps_both_ends(void **state)
{
	struct raw *raw = *state;
	uint32_t other = raw_bo(raw, 4 * RAW_PAGE);

	raw_need_sight(raw);
	raw_expect("map", raw_map(raw, page(6), 4 * RAW_PAGE, other, 0, PB_OP_READONLY), 0);
	assert_old(raw, 0, 6);
	raw_assert_mapped(raw, raw->vm, page(6), 4 * RAW_PAGE, other, 0, PB_OP_READONLY);
	assert_old(raw, 10, 16);
}

static void map_over_an_end_keeps_the_rest(void **state)
{
	struct raw *raw = *state;
	uint32_t other = raw_bo(raw, 8 * RAW_PAGE);

	raw_need_sight(raw);
	raw_expect("over the start", raw_map(raw, page(0) - 4 * RAW_PAGE, 8 * RAW_PAGE, other, 0, 0), 0);
	raw_expect("over the end", raw_map(raw, page(12), 8 * RAW_PAGE, other, 0, 0), 0);
	raw_assert_mapped(raw, raw->vm, page(0) - 4 * RAW_PAGE, 8 * RAW_PAGE, other, 0, 0);
	assert_old(raw, 4, 12);
	raw_assert_mapped(raw, raw->vm, page(12), 8 * RAW_PAGE, other, 0, 0);
}

static void map_over_several_pieces_replaces_them(void **state)
{
	struct raw *raw = *state;
	uint32_t other = raw_bo(raw, PAGES * RAW_PAGE);

	raw_need_sight(raw);
	raw_expect("piece", raw_map(raw, page(3), RAW_PAGE, other, 0, 0), 0);
	raw_expect("hole", raw_unmap(raw, page(8), 2 * RAW_PAGE), 0);
	raw_expect("over all", raw_map(raw, page(2), 10 * RAW_PAGE, other, 0, 0), 0);
	assert_old(raw, 0, 2);
	raw_assert_mapped(raw, raw->vm, page(2), 10 * RAW_PAGE, other, 0, 0);
	assert_old(raw, 12, 16);
}

static void map_of_what_is_there_changes_nothing(void **state)
{
	struct raw *raw = *state;

	raw_need_sight(raw);
	raw_expect("whole", raw_map(raw, VA, PAGES * RAW_PAGE, raw->bo, 0, PB_OP_NOEXEC), 0);
	assert_old(raw, 0, PAGES);
	raw_expect("part", raw_map(raw, page(4), RAW_PAGE, raw->bo, 4 * RAW_PAGE, PB_OP_NOEXEC), 0);
	assert_old(raw, 0, PAGES);
}

static void same_place_with_other_flags_changes_those(void **state)
{
	struct raw *raw = *state;

	raw_need_sight(raw);
	raw_expect("map", raw_map(raw, page(4), RAW_PAGE, raw->bo, 4 * RAW_PAGE, PB_OP_UNCACHED), 0);
	assert_old(raw, 0, 4);
	raw_assert_mapped(raw, raw->vm, page(4), RAW_PAGE, raw->bo, 4 * RAW_PAGE, PB_OP_UNCACHED);
	assert_old(raw, 5, 16);
}

static void unmap_cuts_holes(void **state)
{
	struct raw *raw = *state;

	raw_need_sight(raw);
	raw_expect("middle", raw_unmap(raw, page(6), 2 * RAW_PAGE), 0);
	raw_expect("start", raw_unmap(raw, page(0) - RAW_PAGE, 2 * RAW_PAGE), 0);
	raw_expect("end", raw_unmap(raw, page(15), 100 * RAW_PAGE), 0);
	raw_assert_unmapped(raw, raw->vm, page(0), RAW_PAGE);
	assert_old(raw, 1, 6);
	raw_assert_unmapped(raw, raw->vm, page(6), 2 * RAW_PAGE);
	assert_old(raw, 8, 15);
	raw_assert_unmapped(raw, raw->vm, page(15), RAW_PAGE);
}

static void unmap_over_holes_takes_what_is_there(void **state)
{
	struct raw *raw = *state;

	raw_need_sight(raw);
	raw_expect("far piece", raw_map(raw, page(100), RAW_PAGE, raw->bo, 0, 0), 0);
	raw_expect("unmap", raw_unmap(raw, 0, page(200)), 0);
	raw_assert_unmapped(raw, raw->vm, 0, raw->va_range);
}

static void cut_of_a_large_mapping_keeps_the_rest(void **state)
{
	const uint64_t size = UINT64_C(8) << 20, va = UINT64_C(0x40000000);
	struct raw *raw = *state;
	uint32_t large = raw_bo(raw, size);

	raw_need_sight(raw);
	/* given mappings wide enough for 2 MiB pages, when one 4 KiB page within is replaced */
	raw_expect("map", raw_map(raw, va, size, large, 0, 0), 0);
	raw_expect("cut", raw_map(raw, va + (5 << 20), RAW_PAGE, raw->bo, 0, 0), 0);
	raw_assert_mapped(raw, raw->vm, va, 5 << 20, large, 0, 0);
	raw_assert_mapped(raw, raw->vm, va + (5 << 20), RAW_PAGE, raw->bo, 0, 0);
	raw_assert_mapped(raw, raw->vm, va + (5 << 20) + RAW_PAGE, size - (5 << 20) - RAW_PAGE, large,
			  (5 << 20) + RAW_PAGE, 0);
}

/* What is left of a large mapping after one cut is cut again, where the driver has to rewrite the pages around it. */
static void cut_pieces_can_be_cut_again(void **state)
{
	const uint64_t mib = UINT64_C(1) << 20, size = 16 * mib, va = UINT64_C(0x40000000);
	const uint64_t cuts[] = {0, 3 * mib, 5 * mib, 9 * mib, 13 * mib, 16 * mib - RAW_PAGE};
	struct raw *raw = *state;
	uint32_t large = raw_bo(raw, size);
	uint64_t at = va;

	raw_need_sight(raw);
	raw_expect("map", raw_map(raw, va, size, large, 0, 0), 0);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
		raw_expect("cut", raw_map(raw, va + cuts[i], RAW_PAGE, raw->bo, i * RAW_PAGE, 0), 0);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		raw_assert_mapped(raw, raw->vm, at, va + cuts[i] - at, large, at - va, 0);
		raw_assert_mapped(raw, raw->vm, va + cuts[i], RAW_PAGE, raw->bo, i * RAW_PAGE, 0);
		at = va + cuts[i] + RAW_PAGE;
	}
	assert_int_equal(at, va + size);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(map_in_the_middle_keeps_both_ends),
		TEST(map_over_an_end_keeps_the_rest),
		TEST(map_over_several_pieces_replaces_them),
		TEST(map_of_what_is_there_changes_nothing),
		TEST(same_place_with_other_flags_changes_those),
		TEST(unmap_cuts_holes),
		TEST(unmap_over_holes_takes_what_is_there),
		TEST(cut_of_a_large_mapping_keeps_the_rest),
		TEST(cut_pieces_can_be_cut_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
