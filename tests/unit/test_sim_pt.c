/* SPDX-License-Identifier: MIT */
/*
 * The page table: pages and blocks, splits, empty tables, and random edits against an array of pages.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "seed.h"
#include "sim_pt.h"

#define PAGE	 SIM_PAGE_SIZE
#define BLOCK	 SIM_BLOCK_SIZE
#define HOST	 UINT64_C(0x7f0000000000) /* never followed */
#define READONLY SIM_PTE_READONLY

static void map(struct sim_pt *pt, uint64_t va, uint64_t size, uint64_t host, uint64_t flags)
{
	assert_int_equal(sim_pt_reserve(pt, va, size, false), 0);
	sim_pt_map(pt, va, size, host, flags);
}

static void unmap(struct sim_pt *pt, uint64_t va, uint64_t size)
{
	assert_int_equal(sim_pt_reserve(pt, va, 0, false), 0);
	sim_pt_unmap(pt, va, size);
	sim_pt_prune(pt, va, size);
	sim_pt_reclaim(pt);
}

static void assert_page(const struct sim_pt *pt, uint64_t va, uint64_t host, uint64_t flags, uint64_t size)
{
	uint64_t span, entry = sim_pt_walk(pt, va, &span);

	assert_int_equal(entry, host | flags | SIM_PTE_VALID);
	assert_int_equal(span, size);
}

static void assert_hole(const struct sim_pt *pt, uint64_t va)
{
	uint64_t span;

	assert_int_equal(sim_pt_walk(pt, va, &span), 0);
}

static void a_page_is_found_and_its_neighbours_are_not(void **state)
{
	struct sim_pt pt;

	assert_int_equal(sim_pt_init(&pt), 0);
	map(&pt, 5 * PAGE, PAGE, HOST, READONLY);
	assert_page(&pt, 5 * PAGE + 123, HOST, READONLY, PAGE);
	assert_hole(&pt, 4 * PAGE);
	assert_hole(&pt, 6 * PAGE);
	assert_int_equal(pt.tables, 3);
	sim_pt_fini(&pt);
}

static void blocks_are_used_where_both_sides_are_aligned(void **state)
{
	static const struct {
		uint64_t va, host, size;
		bool block_at_first_boundary;
	} cases[] = {
		{BLOCK, HOST, BLOCK, true},
		{BLOCK, HOST, BLOCK - PAGE, false},		     /* too short */
		{BLOCK, HOST + PAGE, BLOCK, false},		     /* memory not aligned */
		{2 * BLOCK - PAGE, HOST - PAGE, BLOCK + PAGE, true}, /* a page, then a block */
		{2 * BLOCK - PAGE, HOST, BLOCK + PAGE, false},	     /* they disagree */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t boundary = (cases[i].va + BLOCK - 1) & ~(BLOCK - 1);
		struct sim_pt pt;

		assert_int_equal(sim_pt_init(&pt), 0);
		map(&pt, cases[i].va, cases[i].size, cases[i].host, 0);
		assert_int_equal(sim_pt_in_block(&pt, boundary), cases[i].block_at_first_boundary);
		sim_pt_fini(&pt);
	}
}

static void unmapping_part_of_a_block_leaves_the_rest_as_pages(void **state)
{
	struct sim_pt pt;

	assert_int_equal(sim_pt_init(&pt), 0);
	map(&pt, BLOCK, BLOCK, HOST, READONLY);
	unmap(&pt, BLOCK + 16 * PAGE, 2 * PAGE);
	assert_page(&pt, BLOCK + 15 * PAGE, HOST + 15 * PAGE, READONLY, PAGE);
	assert_hole(&pt, BLOCK + 16 * PAGE);
	assert_hole(&pt, BLOCK + 17 * PAGE);
	assert_page(&pt, BLOCK + 18 * PAGE, HOST + 18 * PAGE, READONLY, PAGE);
	sim_pt_fini(&pt);
}

static void empty_tables_are_given_back(void **state)
{
	struct sim_pt pt;

	assert_int_equal(sim_pt_init(&pt), 0);
	for (uint64_t va = 0; va < UINT64_C(1) << 46; va += UINT64_C(1) << 40)
		map(&pt, va, 3 * PAGE, HOST, 0);
	assert_int_not_equal(pt.tables, 0);
	for (uint64_t va = 0; va < UINT64_C(1) << 46; va += UINT64_C(1) << 40)
		unmap(&pt, va, 3 * PAGE);
	assert_int_equal(pt.tables, 0);
	sim_pt_fini(&pt);
}

static void a_block_takes_the_place_of_an_empty_table(void **state)
{
	struct sim_pt pt;

	assert_int_equal(sim_pt_init(&pt), 0);
	map(&pt, BLOCK + PAGE, PAGE, HOST, 0);
	sim_pt_unmap(&pt, BLOCK + PAGE, PAGE); /* not pruned: as in the middle of an op */
	map(&pt, BLOCK, BLOCK, HOST, 0);
	assert_page(&pt, BLOCK, HOST, 0, BLOCK);
	assert_int_equal(pt.tables, 2);
	unmap(&pt, BLOCK, BLOCK);
	assert_int_equal(pt.tables, 0);
	sim_pt_fini(&pt);
}

static void unmapping_everything_skips_what_is_not_there(void **state)
{
	struct sim_pt pt;

	assert_int_equal(sim_pt_init(&pt), 0);
	map(&pt, 0, PAGE, HOST, 0);
	map(&pt, (UINT64_C(1) << 48) - PAGE, PAGE, HOST, 0);
	unmap(&pt, 0, UINT64_C(1) << 48); /* 2^36 pages: only tables that exist are looked at */
	assert_int_equal(pt.tables, 0);
	sim_pt_fini(&pt);
}

/* One array of 2^19 pointers: 2^19 tables of pages, less 1022 and 2 above them. */
static void a_map_of_a_tebibyte_is_too_large(void **state)
{
	const uint64_t most = (UINT64_C(1) << 40) - 1024 * BLOCK;
	struct sim_pt pt;

	assert_false(sim_pt_is_too_large(PAGE, 0));
	assert_false(sim_pt_is_too_large(0, most));
	assert_true(sim_pt_is_too_large(PAGE, most)); /* one more at its end */
	assert_true(sim_pt_is_too_large(0, UINT64_C(1) << 40));
	assert_true(sim_pt_is_too_large(0, UINT64_C(1) << 47));
	assert_int_equal(sim_pt_init(&pt), 0);
	assert_int_equal(sim_pt_reserve(&pt, 0, most, true), 0);
	sim_pt_fini(&pt);
}

#define PAGES UINT64_C(2048) /* four blocks */

static void compare(const struct sim_pt *pt, uint64_t base, const uint64_t *want)
{
	struct sim_pt_page page;
	uint64_t next = 0;

	for (uint64_t i = 0; i < PAGES; i++) {
		uint64_t span, entry = sim_pt_walk(pt, base + i * PAGE, &span);

		if (entry)
			entry += (base + i * PAGE) & (span - 1);
		if (entry != want[i])
			fail_msg("page %llu is %llx, should be %llx", (unsigned long long)i, (unsigned long long)entry,
				 (unsigned long long)want[i]);
	}
	/* The walk in order sees the same pages, and none outside. */
	for (uint64_t va = 0; sim_pt_next(pt, va, &page); va = page.va + page.size) {
		for (; base + next * PAGE < page.va; next++)
			assert_int_equal(want[next], 0);
		for (uint64_t at = 0; at < page.size; at += PAGE)
			assert_int_equal(want[next++], (page.host + at) | page.flags);
	}
	for (; next < PAGES; next++)
		assert_int_equal(want[next], 0);
}

static void random_edits_match_an_array(void **state)
{
	struct test_random random = test_random_start("pt");
	size_t rounds = test_rounds(500, 100000);
	const uint64_t base = UINT64_C(0x7fff) << 30; /* all levels have neighbours */
	uint64_t want[PAGES] = {0};
	struct sim_pt pt;

	assert_int_equal(sim_pt_init(&pt), 0);
	for (size_t i = 0; i < rounds; i++) {
		uint64_t size = 1 + test_random_below(&random, test_random_below(&random, 4) ? 40 : PAGES - 1);
		uint64_t at = test_random_below(&random, PAGES - size + 1);
		uint64_t host = HOST + (test_random_below(&random, 2) ? at : test_random_below(&random, 4096)) * PAGE;
		bool is_map = test_random_below(&random, 3);

		unmap(&pt, base + at * PAGE, size * PAGE);
		if (is_map)
			map(&pt, base + at * PAGE, size * PAGE, host, SIM_PTE_NOEXEC);
		for (uint64_t p = 0; p < size; p++)
			want[at + p] = is_map ? (host + p * PAGE) | SIM_PTE_NOEXEC | SIM_PTE_VALID : 0;
		compare(&pt, base, want);
	}
	unmap(&pt, 0, UINT64_C(1) << 48);
	assert_int_equal(pt.tables, 0);
	sim_pt_fini(&pt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_found_and_its_neighbours_are_not),
		cmocka_unit_test(blocks_are_used_where_both_sides_are_aligned),
		cmocka_unit_test(unmapping_part_of_a_block_leaves_the_rest_as_pages),
		cmocka_unit_test(empty_tables_are_given_back),
		cmocka_unit_test(a_block_takes_the_place_of_an_empty_table),
		cmocka_unit_test(unmapping_everything_skips_what_is_not_there),
		cmocka_unit_test(a_map_of_a_tebibyte_is_too_large),
		cmocka_unit_test(random_edits_match_an_array),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
