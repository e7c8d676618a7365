/* SPDX-License-Identifier: MIT */
/* Plans by example: what becomes one op, what the hardware locks for it, what it displaces. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

#define P UINT64_C(4096)
#define M (UINT64_C(1) << 20)

struct world {
	struct panbind_bo bo, other;
	struct panbind_syncobj syncobj;
	struct panbind_batch *batch;
	struct pb_vamap *live;
	struct pb_plan_input input;
	struct panbind_plan *plan;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (w == NULL || panbind_batch_create(&w->batch) < 0 || pb_vamap_create(NULL, NULL, &w->live) < 0)
		return -1;
	w->bo.refs = w->other.refs = w->syncobj.refs = 1;
	w->bo.size = w->other.size = 64 * M;
	w->input = (struct pb_plan_input){.map = w->live, .atomic = PANBIND_YES, .native_sparse = true};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	bool balanced;

	panbind_plan_destroy(w->plan);
	panbind_batch_destroy(w->batch);
	pb_vamap_destroy(w->live);
	balanced = w->bo.refs == 1 && w->other.refs == 1;
	free(w);
	return balanced ? 0 : -1;
}

static void map(struct world *w, uint64_t page, uint64_t pages, uint64_t bo_page)
{
	assert_int_equal(panbind_batch_map(w->batch, page * P, pages * P, &w->bo, bo_page * P, 0, NULL), 0);
}

static void unmap(struct world *w, uint64_t page, uint64_t pages)
{
	assert_int_equal(panbind_batch_unmap(w->batch, page * P, pages * P, NULL), 0);
}

static void sparse(struct world *w, uint64_t page, uint64_t pages)
{
	assert_int_equal(panbind_batch_map_sparse(w->batch, page * P, pages * P, NULL), 0);
}

static void live(struct world *w, uint64_t page, uint64_t pages, struct panbind_bo *bo)
{
	struct pb_range range = {page * P, pages * P, bo, 0, bo != NULL ? 0 : PANBIND_MAP_NOEXEC};

	assert_int_equal(pb_vamap_set(w->live, &range), 0);
}

static void plan(struct world *w, size_t units)
{
	panbind_plan_destroy(w->plan);
	w->plan = NULL;
	assert_int_equal(pb_plan_build(&w->input, w->batch, &w->plan, NULL), 0);
	assert_int_equal(panbind_plan_count(w->plan), units);
	assert_null(panbind_plan_unit(w->plan, units));
}

static const struct panbind_plan_unit *unit(struct world *w, size_t index)
{
	return panbind_plan_unit(w->plan, index);
}

static void assert_range(const struct panbind_plan_unit *unit, uint64_t page, uint64_t pages)
{
	assert_int_equal(unit->op.va / P, page);
	assert_int_equal(unit->op.size / P, pages);
}

static void ascending_neighbours_become_one_map(void **state)
{
	struct world *w = *state;

	map(w, 16, 4, 100);
	map(w, 20, 4, 104);
	map(w, 24, 1, 108);
	plan(w, 1);
	assert_range(unit(w, 0), 16, 9);
	assert_ptr_equal(unit(w, 0)->op.bo, &w->bo);
	assert_int_equal(unit(w, 0)->op.bo_offset, 100 * P);
	assert_int_equal(unit(w, 0)->first, 0);
	assert_int_equal(unit(w, 0)->count, 3);
	assert_int_equal(unit(w, 0)->driver_ops, 1);
}

static void descending_neighbours_become_one_map(void **state)
{
	struct world *w = *state;

	map(w, 20, 4, 104);
	map(w, 16, 4, 100);
	plan(w, 1);
	assert_range(unit(w, 0), 16, 8);
	assert_int_equal(unit(w, 0)->op.bo_offset, 100 * P);
}

static void what_does_not_continue_stays_apart(void **state)
{
	struct world *w = *state;

	map(w, 16, 4, 100);
	map(w, 20, 4, 105);									    /* another offset */
	map(w, 25, 4, 109);									    /* a gap in VA */
	panbind_batch_map(w->batch, 29 * P, 4 * P, &w->bo, 113 * P, PANBIND_MAP_READONLY, NULL);    /* other flags */
	panbind_batch_map(w->batch, 33 * P, 4 * P, &w->other, 117 * P, PANBIND_MAP_READONLY, NULL); /* another BO */
	map(w, 35, 4, 119); /* over a part of it, not beside it */
	plan(w, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(unit(w, i)->first, i);
		assert_int_equal(unit(w, i)->count, 1);
	}
}

static void neighbours_in_va_need_not_be_neighbours_in_the_batch(void **state)
{
	struct world *w = *state;

	map(w, 0, 1, 0);
	unmap(w, 9, 1);
	map(w, 1, 1, 1);
	plan(w, 2);
	assert_range(unit(w, 0), 9, 1);
	assert_range(unit(w, 1), 0, 2); /* where the later one stood */
	assert_int_equal(unit(w, 1)->first, 0);
	assert_int_equal(unit(w, 1)->last, 2);
	assert_int_equal(unit(w, 1)->count, 2);
	assert_int_equal(panbind_plan_unit_of(w->plan, 0), 1);
	assert_int_equal(panbind_plan_unit_of(w->plan, 1), 0);
	assert_int_equal(panbind_plan_unit_of(w->plan, 3), PANBIND_NO_OP);
}

static void what_was_written_over_in_part_does_not_move(void **state)
{
	struct world *w = *state;

	map(w, 0, 4, 0);
	unmap(w, 1, 1);
	map(w, 4, 4, 4); /* goes on with the first one, which has to stay in front of the unmap */
	plan(w, 3);
}

static void an_op_that_later_ones_overwrite_is_dropped(void **state)
{
	struct world *w = *state;

	map(w, 0, 4, 100);
	unmap(w, 4, 4);
	map(w, 2, 4, 0);
	map(w, 0, 2, 50);
	map(w, 6, 2, 60);
	plan(w, 3);
	assert_int_equal(panbind_plan_totals(w->plan)->dropped, 2);
	assert_int_equal(panbind_plan_totals(w->plan)->ops, 5);
	assert_int_equal(panbind_plan_unit_of(w->plan, 0), PANBIND_NO_OP);
	assert_int_equal(panbind_plan_unit_of(w->plan, 1), PANBIND_NO_OP);
	assert_int_equal(panbind_plan_unit_of(w->plan, 4), 2);
}

static void an_unmap_and_a_map_of_the_same_range_are_one_replacing_map(void **state)
{
	struct world *w = *state;

	live(w, 0, 8, &w->other);
	unmap(w, 0, 8);
	map(w, 0, 8, 0);
	plan(w, 1);
	assert_int_equal(unit(w, 0)->op.type, PANBIND_OP_MAP);
	assert_int_equal(unit(w, 0)->replaces, 1);
	assert_int_equal(panbind_plan_totals(w->plan)->guarantee, PANBIND_GUARANTEE_ACCESS);
}

static void what_dropping_lets_touch_is_merged(void **state)
{
	struct world *w = *state;

	map(w, 0, 4, 0);
	panbind_batch_map(w->batch, 0, P, &w->other, 0, 0, NULL); /* into the first one; overwritten below */
	map(w, 4, 4, 4);
	panbind_batch_map(w->batch, 0, P, &w->other, 8 * P, 0, NULL);
	plan(w, 2);
	assert_range(unit(w, 0), 0, 8);
	assert_range(unit(w, 1), 0, 1);
}

static void unmaps_that_touch_or_overlap_become_one(void **state)
{
	struct world *w = *state;

	unmap(w, 10, 4);
	unmap(w, 14, 4);
	unmap(w, 8, 4);
	unmap(w, 9, 2); /* inside */
	unmap(w, 19, 1);
	plan(w, 2);
	assert_range(unit(w, 0), 8, 10);
	assert_int_equal(unit(w, 0)->count, 4);
	assert_range(unit(w, 1), 19, 1);
	assert_int_equal(unit(w, 1)->first, 4);
}

static void nothing_merges_across_a_sync(void **state)
{
	struct world *w = *state;

	map(w, 0, 1, 0);
	panbind_batch_wait(w->batch, &w->syncobj, 1); /* before the first: in nobody's way */
	map(w, 1, 1, 1);
	panbind_batch_signal(w->batch, &w->syncobj, 2); /* before the third */
	map(w, 2, 1, 2);
	map(w, 3, 1, 3);
	panbind_batch_wait(w->batch, &w->syncobj, 3); /* between third and fourth */
	map(w, 4, 1, 4);
	panbind_batch_signal(w->batch, &w->syncobj, 4);
	plan(w, 3);
	assert_range(unit(w, 0), 0, 2);
	assert_range(unit(w, 1), 2, 1);
	assert_range(unit(w, 2), 3, 2);
	assert_int_equal(unit(w, 0)->op.sync_count, 0);
	assert_null(unit(w, 0)->op.syncs);
}

static void sync_only_ops_are_units_that_lock_nothing(void **state)
{
	struct world *w = *state;

	panbind_batch_sync_only(w->batch);
	panbind_batch_sync_only(w->batch);
	plan(w, 2);
	assert_int_equal(unit(w, 0)->lock_size, 0);
	assert_int_equal(unit(w, 0)->replaces, 0);
	assert_int_equal(unit(w, 0)->atomic, PANBIND_YES);
}

static void emulated_sparse_is_one_driver_op_a_block(void **state)
{
	struct world *w = *state;

	sparse(w, 512, 512);  /* exactly one block */
	sparse(w, 2047, 2);   /* a page on each side of a border */
	sparse(w, 4096, 513); /* a block and a page */
	w->input.native_sparse = false;
	plan(w, 3);
	assert_int_equal(unit(w, 0)->driver_ops, 1);
	assert_int_equal(unit(w, 0)->atomic, PANBIND_YES);
	assert_int_equal(unit(w, 1)->driver_ops, 2);
	assert_int_equal(unit(w, 1)->atomic, PANBIND_NO);
	assert_int_equal(unit(w, 2)->driver_ops, 2);
	w->input.native_sparse = true;
	plan(w, 3);
	assert_int_equal(unit(w, 1)->driver_ops, 1);
	assert_int_equal(unit(w, 1)->atomic, PANBIND_YES);
}

static void sparse_neighbours_are_merged_before_they_are_counted(void **state)
{
	struct world *w = *state;

	sparse(w, 0, 256);
	sparse(w, 256, 256);
	w->input.native_sparse = false;
	plan(w, 1);
	assert_int_equal(unit(w, 0)->driver_ops, 1);
}

static void atomic_is_what_the_device_is_for_single_driver_ops(void **state)
{
	struct world *w = *state;

	map(w, 2048, 1, 0);
	sparse(w, 0, 1024);
	w->input.native_sparse = false;
	w->input.atomic = PANBIND_UNKNOWN;
	plan(w, 2);
	assert_int_equal(unit(w, 0)->atomic, PANBIND_UNKNOWN);
	assert_int_equal(unit(w, 1)->atomic, PANBIND_NO); /* two driver ops are never one */
	w->input.atomic = PANBIND_NO;
	plan(w, 2);
	assert_int_equal(unit(w, 0)->atomic, PANBIND_NO);
}

static void the_lock_is_an_aligned_power_of_two(void **state)
{
	static const struct {
		uint64_t va, size, lock_va, lock_size;
	} cases[] = {
		{0, P, 0, 32 << 10}, /* never less than 32 KiB */
		{0x7000, P, 0, 32 << 10},
		{0x8000, P, 0x8000, 32 << 10},
		{0x7000, 2 * P, 0, 64 << 10}, /* across a border: both sides */
		{0x10000, 0x10000, 0x10000, 0x10000},
		{0x10000, 0x11000, 0, 0x40000},
		{0x7ffff000, 2 * P, 0, UINT64_C(1) << 32}, /* two pages, 4 GiB */
		{0x7fff00000000, 2 * M, 0x7fff00000000, 2 * M},
		{(UINT64_C(1) << 63) - P, 2 * P, 0, UINT64_MAX},
		{0, UINT64_MAX, 0, UINT64_MAX},
	};

	for (size_t i = 0; i < PB_ARRAY_SIZE(cases); i++) {
		uint64_t va, size;

		panbind_lock_region(cases[i].va, cases[i].size, &va, &size);
		assert_int_equal(va, cases[i].lock_va);
		assert_int_equal(size, cases[i].lock_size);
	}
}

static void units_tell_their_lock(void **state)
{
	struct world *w = *state;

	map(w, 15, 1, 0);
	map(w, 16, 1, 1);
	plan(w, 1);
	assert_int_equal(unit(w, 0)->lock_va, 0);
	assert_int_equal(unit(w, 0)->lock_size, 32 * P);
}

static void replaces_counts_what_is_live(void **state)
{
	struct world *w = *state;

	live(w, 0, 4, &w->bo);
	live(w, 4, 4, &w->bo);
	live(w, 10, 4, NULL);
	map(w, 3, 8, 0);
	plan(w, 1);
	assert_int_equal(unit(w, 0)->replaces, 3);
	assert_int_equal(pb_vamap_count(w->live), 3); /* a plan changes nothing */
}

static void replaces_counts_what_earlier_ops_of_the_batch_leave(void **state)
{
	struct world *w = *state;

	live(w, 0, 100, &w->other);
	map(w, 10, 10, 0);  /* cuts the live one: 3 pieces */
	unmap(w, 40, 10);   /* 4 pieces: 0-10, 10-20, 20-40, 50-100 */
	map(w, 42, 2, 200); /* into the hole */
	unmap(w, 15, 28);   /* 4 pieces of which two are cut; three ops stay behind it, each with a rest */
	plan(w, 4);
	assert_int_equal(unit(w, 0)->replaces, 1);
	assert_int_equal(unit(w, 1)->replaces, 1);
	assert_int_equal(unit(w, 2)->replaces, 0);
	assert_int_equal(unit(w, 3)->replaces, 3);
}

static void sparse_from_the_batch_joins_live_sparse(void **state)
{
	struct world *w = *state;

	live(w, 0, 10, NULL);
	live(w, 20, 10, NULL);
	sparse(w, 10, 10); /* closes the gap: all one mapping now */
	unmap(w, 5, 10);
	plan(w, 2);
	assert_int_equal(unit(w, 0)->replaces, 0);
	assert_int_equal(unit(w, 1)->replaces, 1);
}

static void neighbours_are_what_else_the_lock_holds_up(void **state)
{
	struct world *w = *state;
	const struct panbind_mapping *near;
	size_t count;

	live(w, 0, 3, &w->bo); /* in the 32 KiB of the op */
	live(w, 6, 4, NULL);   /* half of it is */
	live(w, 16, 4, &w->bo);
	map(w, 4, 1, 0);
	plan(w, 1);
	assert_int_equal(unit(w, 0)->lock_va, 0);
	assert_int_equal(unit(w, 0)->lock_size, 8 * P);
	assert_int_equal(unit(w, 0)->neighbours, 2);
	assert_int_equal(unit(w, 0)->neighbour_bytes, 5 * P);
	near = panbind_plan_neighbours(w->plan, 0, &count);
	assert_int_equal(count, 2);
	assert_ptr_equal(near[0].bo, &w->bo);
	assert_int_equal(near[1].va, 6 * P);
	assert_int_equal(near[1].size, 2 * P);
	assert_true(near[1].sparse);
}

static void counting_neighbours_ends_somewhere(void **state)
{
	struct world *w = *state;
	size_t count;

	for (uint64_t page = 0; page < 3000; page++)
		live(w, page, 1, &w->bo);
	map(w, 4095, 2, 0);
	plan(w, 1);
	assert_int_equal(unit(w, 0)->neighbours, PANBIND_PLAN_NEIGHBOURS_MAX);
	assert_non_null(panbind_plan_neighbours(w->plan, 0, &count));
	assert_int_equal(count, 4);
}

static void a_large_page_that_is_cut_is_locked_whole(void **state)
{
	struct world *w = *state;

	live(w, 0, 1024, &w->bo); /* two pages of 2 MiB */
	map(w, 510, 1, 0);
	unmap(w, 1020, 8);
	plan(w, 2);
	assert_int_equal(unit(w, 0)->splits, 1);
	assert_int_equal(unit(w, 0)->lock_va, 0);
	assert_int_equal(unit(w, 0)->lock_size, 2 * M);
	assert_int_equal(unit(w, 1)->splits, 1); /* the second block; nothing is behind it */
	assert_int_equal(unit(w, 1)->lock_size, 8 * M);
	w->input.atomic = PANBIND_NO; /* the old driver cuts it in one store */
	plan(w, 2);
	assert_int_equal(unit(w, 0)->splits, 1);
	assert_int_equal(unit(w, 0)->lock_size, 32 << 10);
}

static void what_is_not_one_large_page_is_not_cut(void **state)
{
	struct world *w = *state;
	struct pb_range askew = {2 * M, 2 * M, &w->bo, P, 0};

	live(w, 0, 511, &w->bo); /* a page short of a block */
	assert_int_equal(pb_vamap_set(w->live, &askew), 0);
	map(w, 5, 1, 0);
	map(w, 520, 1, 0);
	plan(w, 2);
	assert_int_equal(panbind_plan_totals(w->plan)->splits, 0);
}

static void page_tables_are_counted_as_the_driver_sets_them_aside(void **state)
{
	struct world *w = *state;

	map(w, 0, 1, 0);		   /* one of each level below the root */
	map(w, 512 * 511 + 256, 512, 512); /* two of the last level, two of the middle one */
	unmap(w, 700, 1);		   /* cuts a block, perhaps */
	plan(w, 3);
	assert_int_equal(unit(w, 0)->page_tables, 3);
	assert_int_equal(unit(w, 1)->page_tables, 5);
	assert_int_equal(unit(w, 2)->page_tables, 1);
	assert_int_equal(panbind_plan_totals(w->plan)->page_tables, 9);
	assert_int_equal(panbind_plan_totals(w->plan)->page_tables_at_once, 5);
}

static void each_driver_op_has_a_lock_of_its_own(void **state)
{
	struct world *w = *state;
	uint64_t va, size;

	sparse(w, 500, 1000); /* 12 pages of one block, all of the next, 476 of the last */
	w->input.native_sparse = false;
	plan(w, 1);
	assert_int_equal(unit(w, 0)->driver_ops, 3);
	assert_int_equal(unit(w, 0)->page_tables, 9);
	assert_int_equal(panbind_plan_lock(w->plan, 0, 0, &va, &size), 0);
	assert_true(va == 496 * P && size == 16 * P);
	assert_int_equal(panbind_plan_lock(w->plan, 0, 1, &va, &size), 0);
	assert_true(va == 512 * P && size == 512 * P);
	assert_int_equal(panbind_plan_lock(w->plan, 0, 2, &va, &size), 0);
	assert_true(va == 1024 * P && size == 512 * P);
	assert_int_equal(panbind_plan_lock(w->plan, 0, 3, &va, &size), -ENOENT);
	assert_int_equal(unit(w, 0)->lock_va, 496 * P);
	assert_int_equal(unit(w, 0)->lock_size, (1536 - 496) * P);
}

static void the_inverse_is_what_was_there(void **state)
{
	struct world *w = *state;
	const struct panbind_op *ops;
	size_t count;

	live(w, 2, 4, &w->other);
	live(w, 8, 8, NULL);
	map(w, 0, 10, 0);
	plan(w, 1);
	ops = panbind_plan_inverse(w->plan, 0, &count);
	assert_int_equal(count, 4);
	assert_true(ops[0].type == PANBIND_OP_UNMAP && ops[0].va == 0 && ops[0].size == 2 * P);
	assert_true(ops[1].type == PANBIND_OP_MAP && ops[1].bo == &w->other && ops[1].size == 4 * P);
	assert_true(ops[2].type == PANBIND_OP_UNMAP && ops[2].va == 6 * P && ops[2].size == 2 * P);
	assert_true(ops[3].type == PANBIND_OP_MAP_SPARSE && ops[3].va == 8 * P && ops[3].size == 2 * P);
}

static void the_plan_says_which_guarantee_there_is(void **state)
{
	struct world *w = *state;

	map(w, 0, 1, 0);
	map(w, 1, 1, 1);
	plan(w, 1);
	assert_int_equal(panbind_plan_totals(w->plan)->guarantee, PANBIND_GUARANTEE_ACCESS);
	map(w, 9, 1, 0);
	plan(w, 2);
	assert_int_equal(panbind_plan_totals(w->plan)->guarantee, PANBIND_GUARANTEE_RETURN);
	w->input.flags = PANBIND_PLAN_FENCED;
	plan(w, 2);
	assert_int_equal(panbind_plan_totals(w->plan)->guarantee, PANBIND_GUARANTEE_FENCED);
	assert_string_equal(panbind_guarantee_name(PANBIND_GUARANTEE_FENCED), "fenced");
}

static void an_asynchronous_batch_is_fenced_when_its_syncs_stand_around_it(void **state)
{
	struct world *w = *state;

	w->input.flags = PANBIND_PLAN_ASYNC;
	map(w, 0, 1, 0);
	panbind_batch_wait(w->batch, &w->syncobj, 1);
	map(w, 9, 1, 0);
	plan(w, 2);
	assert_int_equal(panbind_plan_totals(w->plan)->guarantee, PANBIND_GUARANTEE_NONE);
	panbind_batch_signal(w->batch, &w->syncobj, 2);
	plan(w, 2);
	assert_int_equal(panbind_plan_totals(w->plan)->guarantee, PANBIND_GUARANTEE_FENCED);
	map(w, 19, 1, 0);
	panbind_batch_signal(w->batch, &w->syncobj, 3); /* one signal too early */
	plan(w, 3);
	assert_int_equal(panbind_plan_totals(w->plan)->guarantee, PANBIND_GUARANTEE_NONE);
}

static void merged_syncs_stay_around_their_ops(void **state)
{
	struct world *w = *state;

	map(w, 4, 1, 4);
	panbind_batch_wait(w->batch, &w->syncobj, 1);
	unmap(w, 0, 4);
	map(w, 0, 4, 0);
	panbind_batch_signal(w->batch, &w->syncobj, 2);
	map(w, 5, 1, 5);
	assert_int_equal(panbind_batch_merge(w->batch), 0);
	assert_int_equal(panbind_batch_count(w->batch), 2);
	assert_int_equal(panbind_batch_op(w->batch, 0)->sync_count, 2);
	assert_int_equal(panbind_batch_op(w->batch, 0)->syncs[0].signal, 0);
	assert_int_equal(panbind_batch_op(w->batch, 0)->syncs[1].signal, 1);
	assert_int_equal(panbind_batch_op(w->batch, 1)->sync_count, 0);
	map(w, 60, 1, 5); /* a batch goes on after that */
	panbind_batch_signal(w->batch, &w->syncobj, 3);
	assert_int_equal(panbind_batch_merge(w->batch), 0);
	assert_int_equal(panbind_batch_count(w->batch), 3);
	assert_int_equal(panbind_batch_op(w->batch, 2)->syncs[0].point, 3);
}

static void a_merged_batch_knows_where_its_ops_came_from(void **state)
{
	struct world *w = *state;
	uint32_t first, count;

	map(w, 0, 1, 0);
	unmap(w, 60, 1);
	map(w, 1, 1, 1);
	assert_int_equal(panbind_batch_merge(w->batch), 0);
	map(w, 30, 1, 1);
	assert_int_equal(panbind_batch_origin(w->batch, 1, &first, &count), 0);
	assert_true(first == 0 && count == 2);
	assert_int_equal(panbind_batch_origin(w->batch, 2, &first, &count), 0);
	assert_true(first == 3 && count == 1);
	assert_int_equal(panbind_batch_origin(w->batch, 3, &first, &count), -ENOENT);
	assert_int_equal(w->bo.refs, 3); /* the test's own, and one for each op that is left */
}

static void a_plan_outlives_its_batch(void **state)
{
	struct world *w = *state;

	map(w, 0, 1, 0);
	plan(w, 1);
	panbind_batch_clear(w->batch);
	assert_int_equal(w->bo.refs, 2);
	assert_ptr_equal(unit(w, 0)->op.bo, &w->bo);
}

static struct panbind_device device = {.info = {.atomic = PANBIND_YES, .native_sparse = PANBIND_YES}};

static void a_vms_plan_is_checked_like_a_bind(void **state)
{
	struct world *w = *state;
	struct panbind_vm vm = {.device = &device, .id = 1, .va_range = M, .map = w->live};
	struct panbind_error err;

	w->bo.device = &device;
	assert_int_equal(panbind_plan_create(&vm, w->batch, 0, &w->plan, &err), -EINVAL);
	assert_string_equal(err.msg, "the batch is empty");
	map(w, 0, 1, 0);
	assert_int_equal(panbind_plan_create(&vm, w->batch, 1u << 2, &w->plan, &err), -EINVAL);
	assert_int_equal(err.stage, PANBIND_STAGE_VALIDATE);
	map(w, 256, 1, 0);
	assert_int_equal(panbind_plan_create(&vm, w->batch, 0, &w->plan, &err), -EINVAL);
	assert_int_equal(err.op, 1);
	assert_null(w->plan);
	panbind_batch_clear(w->batch);
	map(w, 255, 1, 0);
	assert_int_equal(panbind_plan_create(&vm, w->batch, 0, &w->plan, &err), 0);
	assert_int_equal(panbind_plan_count(w->plan), 1);
	w->bo.device = NULL;
}

static void an_asynchronous_plan_may_have_syncs(void **state)
{
	struct world *w = *state;
	struct panbind_vm vm = {.device = &device, .id = 1, .va_range = M, .map = w->live};
	struct panbind_error err;

	w->syncobj.device = &device;
	panbind_batch_sync_only(w->batch);
	panbind_batch_signal(w->batch, &w->syncobj, 0);
	assert_int_equal(panbind_plan_create(&vm, w->batch, 0, &w->plan, &err), -EINVAL);
	assert_int_equal(err.op, 0);
	assert_int_equal(panbind_plan_create(&vm, w->batch, PANBIND_PLAN_ASYNC, &w->plan, &err), 0);
}

static void a_poisoned_vm_has_no_plan(void **state)
{
	struct world *w = *state;
	struct panbind_vm vm = {.device = &device, .id = 1, .va_range = M, .map = w->live};
	struct panbind_error err;

	vm.state = PANBIND_VM_POISONED;
	unmap(w, 0, 1);
	assert_int_equal(panbind_plan_create(&vm, w->batch, 0, &w->plan, &err), -EUCLEAN);
}

#define example(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		example(ascending_neighbours_become_one_map),
		example(descending_neighbours_become_one_map),
		example(what_does_not_continue_stays_apart),
		example(neighbours_in_va_need_not_be_neighbours_in_the_batch),
		example(what_was_written_over_in_part_does_not_move),
		example(an_op_that_later_ones_overwrite_is_dropped),
		example(an_unmap_and_a_map_of_the_same_range_are_one_replacing_map),
		example(what_dropping_lets_touch_is_merged),
		example(unmaps_that_touch_or_overlap_become_one),
		example(nothing_merges_across_a_sync),
		example(sync_only_ops_are_units_that_lock_nothing),
		example(emulated_sparse_is_one_driver_op_a_block),
		example(sparse_neighbours_are_merged_before_they_are_counted),
		example(atomic_is_what_the_device_is_for_single_driver_ops),
		cmocka_unit_test(the_lock_is_an_aligned_power_of_two),
		example(units_tell_their_lock),
		example(replaces_counts_what_is_live),
		example(replaces_counts_what_earlier_ops_of_the_batch_leave),
		example(sparse_from_the_batch_joins_live_sparse),
		example(neighbours_are_what_else_the_lock_holds_up),
		example(counting_neighbours_ends_somewhere),
		example(a_large_page_that_is_cut_is_locked_whole),
		example(what_is_not_one_large_page_is_not_cut),
		example(page_tables_are_counted_as_the_driver_sets_them_aside),
		example(each_driver_op_has_a_lock_of_its_own),
		example(the_inverse_is_what_was_there),
		example(the_plan_says_which_guarantee_there_is),
		example(an_asynchronous_batch_is_fenced_when_its_syncs_stand_around_it),
		example(merged_syncs_stay_around_their_ops),
		example(a_merged_batch_knows_where_its_ops_came_from),
		example(a_plan_outlives_its_batch),
		example(a_vms_plan_is_checked_like_a_bind),
		example(an_asynchronous_plan_may_have_syncs),
		example(a_poisoned_vm_has_no_plan),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
