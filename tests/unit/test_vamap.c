/* SPDX-License-Identifier: MIT */
/* The map of live mappings, by example: each way a mapping can be cut, replaced, kept apart or joined. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "page_model.h"

#define P MODEL_PAGE
#define A model_bo(0)
#define B model_bo(1)

/* Pages, so that an example reads like a drawing: from, count, BO, BO page, flags. */
static struct pb_range pages(uint64_t from, uint64_t count, struct panbind_bo *bo, uint64_t bo_page, uint32_t flags)
{
	return (struct pb_range){from * P, count * P, bo, bo_page * P, flags};
}

static int set(struct pb_vamap *map, struct pb_range range)
{
	return pb_vamap_set(map, &range);
}

/* The map holds exactly these. References follow: one for each entry with a BO. */
static void assert_holds(const struct pb_vamap *map, const struct pb_range *want, size_t count)
{
	struct pb_range have;
	size_t with_bo = 0;
	uint64_t va = 0;

	assert_int_equal(pb_vamap_check(map), 0);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(pb_vamap_next(map, va, &have), 0);
		assert_int_equal(have.va / P, want[i].va / P);
		assert_int_equal(have.size / P, want[i].size / P);
		assert_ptr_equal(have.bo, want[i].bo);
		assert_int_equal(have.bo_offset / P, want[i].bo_offset / P);
		assert_int_equal(have.flags, want[i].flags);
		va = have.va + have.size;
		with_bo += have.bo != NULL;
	}
	assert_int_equal(pb_vamap_next(map, va, &have), -ENOENT);
	assert_int_equal(pb_vamap_count(map), count);
	assert_int_equal(model_bo_refs(), with_bo);
}

#define assert_map(map, ...)                                                \
	do {                                                                \
		const struct pb_range want_[] = {__VA_ARGS__};              \
		assert_holds(map, want_, sizeof(want_) / sizeof(want_[0])); \
	} while (0)

static int set_up(void **state)
{
	return pb_vamap_create(model_bo_get, model_bo_put, (struct pb_vamap **)state);
}

static int tear_down(void **state)
{
	pb_vamap_destroy(*state);
	return model_bo_refs() == 0 ? 0 : -1;
}

static void an_empty_map_has_nothing(void **state)
{
	struct pb_vamap *map = *state;
	struct pb_range range = {.va = 42};

	assert_int_equal(pb_vamap_count(map), 0);
	assert_int_equal(pb_vamap_next(map, 0, &range), -ENOENT);
	assert_int_equal(range.va, 42); /* untouched on failure */
	assert_int_equal(pb_vamap_overlaps(map, 0, 100 * P), 0);
	assert_int_equal(pb_vamap_clear(map, 0, 100 * P), 0);
	assert_int_equal(pb_vamap_check(map), 0);
}

static void next_finds_what_ends_after_an_address(void **state)
{
	struct pb_vamap *map = *state;
	struct pb_range range;

	set(map, pages(4, 2, A, 0, 0));
	assert_int_equal(pb_vamap_next(map, 0, &range), 0);
	assert_int_equal(range.va, 4 * P);
	assert_int_equal(pb_vamap_next(map, 5 * P, &range), 0);
	assert_int_equal(range.va, 4 * P); /* whole, not cut */
	assert_int_equal(pb_vamap_next(map, 6 * P - 1, &range), 0);
	assert_int_equal(pb_vamap_next(map, 6 * P, &range), -ENOENT);
}

static void neighbours_of_one_bo_stay_apart(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(0, 2, A, 0, 0));
	set(map, pages(2, 2, A, 2, 0));
	assert_map(map, pages(0, 2, A, 0, 0), pages(2, 2, A, 2, 0));
}

static void map_in_the_middle_keeps_both_sides_with_their_offsets(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(10, 10, A, 100, 2));
	set(map, pages(13, 4, B, 7, 1));
	assert_map(map, pages(10, 3, A, 100, 2), pages(13, 4, B, 7, 1), pages(17, 3, A, 107, 2));
}

static void map_over_the_head_keeps_the_tail(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(10, 10, A, 100, 0));
	set(map, pages(5, 8, B, 0, 0));
	assert_map(map, pages(5, 8, B, 0, 0), pages(13, 7, A, 103, 0));
}

static void map_over_the_tail_keeps_the_head(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(10, 10, A, 100, 0));
	set(map, pages(15, 10, B, 0, 0));
	assert_map(map, pages(10, 5, A, 100, 0), pages(15, 10, B, 0, 0));
}

static void map_over_all_of_it_replaces_it(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(10, 10, A, 100, 0));
	set(map, pages(10, 10, B, 0, 0));
	assert_map(map, pages(10, 10, B, 0, 0));
	set(map, pages(9, 12, A, 0, 0));
	assert_map(map, pages(9, 12, A, 0, 0));
}

static void map_over_several_cuts_the_outer_and_removes_the_inner(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(0, 4, A, 0, 0));
	set(map, pages(4, 4, B, 0, 0));
	set(map, pages(10, 1, B, 9, 0));
	set(map, pages(12, 4, A, 20, 0));
	set(map, pages(2, 12, B, 50, 0));
	assert_map(map, pages(0, 2, A, 0, 0), pages(2, 12, B, 50, 0), pages(14, 2, A, 22, 0));
}

static void map_with_the_same_backing_is_still_a_cut(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(0, 9, A, 0, 0));
	set(map, pages(3, 3, A, 3, 0));
	assert_map(map, pages(0, 3, A, 0, 0), pages(3, 3, A, 3, 0), pages(6, 3, A, 6, 0));
}

static void unmap_in_the_middle_leaves_both_sides(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(10, 10, A, 100, 4));
	assert_int_equal(pb_vamap_clear(map, 13 * P, 4 * P), 0);
	assert_map(map, pages(10, 3, A, 100, 4), pages(17, 3, A, 107, 4));
}

static void unmap_over_holes_is_fine(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(2, 2, A, 0, 0));
	set(map, pages(6, 2, A, 0, 0));
	assert_int_equal(pb_vamap_clear(map, 0, 7 * P), 0);
	assert_map(map, pages(7, 1, A, 1, 0));
}

static void sparse_neighbours_become_one(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(0, 2, NULL, 0, 2));
	set(map, pages(4, 2, NULL, 0, 2));
	assert_map(map, pages(0, 2, NULL, 0, 2), pages(4, 2, NULL, 0, 2));
	set(map, pages(2, 2, NULL, 0, 2));
	assert_map(map, pages(0, 6, NULL, 0, 2));
	set(map, pages(1, 3, NULL, 0, 2)); /* inside itself */
	assert_map(map, pages(0, 6, NULL, 0, 2));
}

static void sparse_is_not_joined_with_bos_or_other_flags(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(0, 2, A, 0, 2));
	set(map, pages(2, 2, NULL, 0, 2));
	set(map, pages(4, 2, NULL, 0, 6));
	assert_map(map, pages(0, 2, A, 0, 2), pages(2, 2, NULL, 0, 2), pages(4, 2, NULL, 0, 6));
}

static void binding_into_sparse_and_unbinding_gives_one_range_back(void **state)
{
	struct pb_vamap *map = *state;

	set(map, pages(0, 16, NULL, 0, 2));
	set(map, pages(4, 4, A, 0, 0));
	assert_map(map, pages(0, 4, NULL, 0, 2), pages(4, 4, A, 0, 0), pages(8, 8, NULL, 0, 2));
	set(map, pages(4, 4, NULL, 0, 2));
	assert_map(map, pages(0, 16, NULL, 0, 2));
}

static void overlaps_counts_entries_that_touch_the_inside(void **state)
{
	struct pb_vamap *map = *state;

	for (unsigned int i = 0; i < 200; i++)
		set(map, pages(2 * i, 1, A, i, 0));
	assert_int_equal(pb_vamap_overlaps(map, 0, 400 * P), 200);
	assert_int_equal(pb_vamap_overlaps(map, 1 * P, 1 * P), 0);
	assert_int_equal(pb_vamap_overlaps(map, 1 * P, 2 * P), 1);
	assert_int_equal(pb_vamap_overlaps(map, 100 * P, 101 * P), 51);
	assert_int_equal(pb_vamap_overlaps(map, 100 * P, 0), 0);
}

struct collected {
	struct pb_range range[8];
	int count, stop_after;
};

static int collect(void *data, const struct pb_range *piece)
{
	struct collected *collected = data;

	collected->range[collected->count++] = *piece;
	return collected->count == collected->stop_after ? -ENOSPC : 0;
}

static void pieces_are_cut_to_the_range(void **state)
{
	struct pb_vamap *map = *state;
	struct collected got = {0};

	set(map, pages(0, 4, A, 10, 1));
	set(map, pages(4, 4, NULL, 0, 2));
	set(map, pages(10, 4, B, 20, 0));
	assert_int_equal(pb_vamap_pieces(map, 2 * P, 10 * P, collect, &got), 0);
	assert_int_equal(got.count, 3);
	assert_int_equal(got.range[0].va, 2 * P);
	assert_int_equal(got.range[0].size, 2 * P);
	assert_int_equal(got.range[0].bo_offset, 12 * P);
	assert_int_equal(got.range[0].flags, 1);
	assert_int_equal(got.range[1].size, 4 * P);
	assert_null(got.range[1].bo);
	assert_int_equal(got.range[2].va, 10 * P);
	assert_int_equal(got.range[2].size, 2 * P);
	assert_int_equal(got.range[2].bo_offset, 20 * P);
}

static void pieces_end_with_the_callers_error(void **state)
{
	struct pb_vamap *map = *state;
	struct collected got = {.stop_after = 1};

	set(map, pages(0, 1, A, 0, 0));
	set(map, pages(1, 1, A, 1, 0));
	assert_int_equal(pb_vamap_pieces(map, 0, 2 * P, collect, &got), -ENOSPC);
	assert_int_equal(got.count, 1);
}

static void nonsense_is_refused_and_changes_nothing(void **state)
{
	struct pb_vamap *map = *state;
	const struct pb_range bad[] = {
		{0, 0, A, 0, 0},
		{1, P, A, 0, 0},
		{0, P + 1, A, 0, 0},
		{UINT64_MAX - P + 1, P, A, 0, 0}, /* ends at 2^64, which has no name */
		{UINT64_MAX - P + 1, 2 * P, A, 0, 0},
		{0, P, A, 0, 0x1000},
	};

	set(map, pages(0, 2, A, 0, 0));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pb_vamap_set(map, &bad[i]), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) - 1; i++)
		assert_int_equal(pb_vamap_clear(map, bad[i].va, bad[i].size), -EINVAL);
	assert_map(map, pages(0, 2, A, 0, 0));
}

static void the_highest_addresses_work(void **state)
{
	struct pb_vamap *map = *state;
	uint64_t top = UINT64_MAX / P; /* the last page cannot be mapped: its end is 2^64 */

	set(map, pages(top - 4, 4, A, 0, 0));
	set(map, pages(0, 4, B, 0, 0));
	assert_int_equal(pb_vamap_clear(map, (top - 1) * P, P), 0);
	assert_map(map, pages(0, 4, B, 0, 0), pages(top - 4, 3, A, 0, 0));
	assert_int_equal(pb_vamap_clear(map, 0, top * P), 0);
	assert_int_equal(pb_vamap_count(map), 0);
}

static void works_without_hooks(void **state)
{
	struct pb_vamap *map;

	assert_int_equal(pb_vamap_create(NULL, NULL, &map), 0);
	set(map, pages(0, 9, A, 0, 0));
	set(map, pages(3, 3, B, 0, 0));
	assert_int_equal(pb_vamap_count(map), 3);
	assert_int_equal(model_bo_refs(), 0);
	pb_vamap_destroy(map);
	pb_vamap_destroy(NULL);
}

#define example(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		example(an_empty_map_has_nothing),
		example(next_finds_what_ends_after_an_address),
		example(neighbours_of_one_bo_stay_apart),
		example(map_in_the_middle_keeps_both_sides_with_their_offsets),
		example(map_over_the_head_keeps_the_tail),
		example(map_over_the_tail_keeps_the_head),
		example(map_over_all_of_it_replaces_it),
		example(map_over_several_cuts_the_outer_and_removes_the_inner),
		example(map_with_the_same_backing_is_still_a_cut),
		example(unmap_in_the_middle_leaves_both_sides),
		example(unmap_over_holes_is_fine),
		example(sparse_neighbours_become_one),
		example(sparse_is_not_joined_with_bos_or_other_flags),
		example(binding_into_sparse_and_unbinding_gives_one_range_back),
		example(overlaps_counts_entries_that_touch_the_inside),
		example(pieces_are_cut_to_the_range),
		example(pieces_end_with_the_callers_error),
		example(nonsense_is_refused_and_changes_nothing),
		example(the_highest_addresses_work),
		cmocka_unit_test(works_without_hooks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("vamap", tests, NULL, NULL);
}
