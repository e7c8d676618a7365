/* SPDX-License-Identifier: MIT */
/* Pieces: the interval map behind every fold, in single steps and against an array of pages. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "seed.h"

#define PAGES 700

static struct pb_piece piece(uint64_t va, uint64_t size, uint32_t bo, uint64_t offset)
{
	return (struct pb_piece){.va = va, .size = size, .bo = bo, .bo_offset = offset, .seq = va + 1};
}

static struct pb_pieces *with(const struct pb_piece *list, size_t count)
{
	struct pb_pieces *pieces;

	assert_int_equal(pb_pieces_create(&pieces), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pb_pieces_set(pieces, &list[i]), 0);
	return pieces;
}

static void assert_next(struct pb_pieces *pieces, uint64_t from, uint64_t va, uint64_t size, uint64_t offset)
{
	struct pb_piece found;

	assert_int_equal(pb_pieces_next(pieces, from, &found), 0);
	assert_int_equal(found.va, va);
	assert_int_equal(found.size, size);
	assert_int_equal(found.bo_offset, offset);
}

static void nothing_is_in_an_empty_map(void **state)
{
	struct pb_pieces *pieces = with(NULL, 0);
	struct pb_piece found;

	assert_int_equal(pb_pieces_next(pieces, 0, &found), -ENOENT);
	assert_int_equal(pb_pieces_clear(pieces, 0, 100), 0);
	assert_int_equal(pb_pieces_count(pieces), 0);
	pb_pieces_destroy(pieces);
	pb_pieces_destroy(NULL);
}

static void a_hole_in_the_middle_leaves_both_ends(void **state)
{
	const struct pb_piece one = piece(100, 100, 1, 1000);
	struct pb_pieces *pieces = with(&one, 1);

	assert_int_equal(pb_pieces_clear(pieces, 140, 20), 0);
	assert_int_equal(pb_pieces_count(pieces), 2);
	assert_next(pieces, 0, 100, 40, 1000);
	assert_next(pieces, 140, 160, 40, 1060);
	pb_pieces_destroy(pieces);
}

static void the_right_end_of_a_sparse_piece_has_no_offset(void **state)
{
	const struct pb_piece one = piece(100, 100, 0, 0);
	struct pb_pieces *pieces = with(&one, 1);

	assert_int_equal(pb_pieces_clear(pieces, 100, 50), 0);
	assert_next(pieces, 0, 150, 50, 0);
	pb_pieces_destroy(pieces);
}

static void a_later_piece_wins_where_they_overlap(void **state)
{
	const struct pb_piece list[] = {piece(0, 50, 1, 0), piece(50, 50, 2, 0), piece(100, 50, 3, 0),
					piece(40, 80, 4, 7)};
	struct pb_pieces *pieces = with(list, 4);

	assert_int_equal(pb_pieces_count(pieces), 3);
	assert_next(pieces, 0, 0, 40, 0);
	assert_next(pieces, 40, 40, 80, 7);
	assert_next(pieces, 120, 120, 30, 20);
	pb_pieces_destroy(pieces);
}

static void neighbours_that_continue_each_other_stay_apart(void **state)
{
	const struct pb_piece list[] = {piece(0, 50, 1, 0), piece(50, 50, 1, 50)};
	struct pb_pieces *pieces = with(list, 2);

	assert_int_equal(pb_pieces_count(pieces), 2);
	assert_true(pb_piece_continues(&list[0], &list[1]));
	pb_pieces_destroy(pieces);
}

/* What each page holds: the piece that was set there last. */
struct page {
	uint32_t bo;
	uint64_t offset, seq;
	int used;
};

static void assert_like(struct pb_pieces *pieces, const struct page *pages)
{
	struct pb_piece found = {0};
	int have = pb_pieces_next(pieces, 0, &found) == 0;
	size_t count = 0;

	for (uint64_t at = 0; at < PAGES; at++) {
		int inside = have && found.va <= at;

		assert_int_equal(inside, pages[at].used);
		if (!inside)
			continue;
		assert_int_equal(found.bo, pages[at].bo);
		assert_int_equal(found.seq, pages[at].seq);
		assert_int_equal(found.bo ? found.bo_offset + (at - found.va) : 0, pages[at].offset);
		if (at + 1 < found.va + found.size)
			continue;
		count++;
		have = pb_pieces_next(pieces, at + 1, &found) == 0;
	}
	assert_false(have);
	assert_int_equal(count, pb_pieces_count(pieces));
}

static void random_step(struct pb_pieces *pieces, struct page *pages, struct test_random *random, uint64_t seq)
{
	uint64_t most = test_random_below(random, 8) ? 6 : PAGES;
	uint64_t va = test_random_below(random, PAGES), size = 1 + test_random_below(random, most);
	uint32_t bo = (uint32_t)test_random_below(random, 4);
	int clear = test_random_below(random, 5) == 0;

	if (va + size > PAGES)
		size = PAGES - va;
	const struct pb_piece new = {
		.va = va, .size = size, .bo = bo, .bo_offset = bo ? test_random_below(random, 9) : 0, .seq = seq};

	assert_int_equal(clear ? pb_pieces_clear(pieces, va, size) : pb_pieces_set(pieces, &new), 0);
	for (uint64_t i = va; i < va + size; i++)
		pages[i] = clear ? (struct page){0} : (struct page){bo, bo ? new.bo_offset + (i - va) : 0, seq, 1};
}

static void random_steps_match_an_array_of_pages(void **state)
{
	struct test_random random = test_random_start("pieces");
	static struct page pages[PAGES];
	struct pb_pieces *pieces = with(NULL, 0);
	size_t rounds = test_rounds(20000, 1000000);

	for (size_t i = 1; i <= rounds; i++) {
		random_step(pieces, pages, &random, i);
		if (i % 16 == 0)
			assert_like(pieces, pages);
	}
	pb_pieces_destroy(pieces);
}

/* Many blocks: rising, falling and shuffled addresses, then everything at once away. */
static void a_hundred_thousand_pieces_in_any_order(void **state)
{
	const uint64_t n = 100000;

	for (int order = 0; order < 3; order++) {
		struct pb_pieces *pieces = with(NULL, 0);
		struct pb_piece found;
		uint64_t seen = 0;

		for (uint64_t i = 0; i < n; i++) {
			uint64_t at = order == 0 ? i : order == 1 ? n - 1 - i : i * 7919 % n;
			const struct pb_piece new = piece(at * 2, 1, 1, at);

			assert_int_equal(pb_pieces_set(pieces, &new), 0);
		}
		assert_int_equal(pb_pieces_count(pieces), n);
		for (uint64_t va = 0; pb_pieces_next(pieces, va, &found) == 0; va = found.va + found.size, seen++)
			assert_int_equal(found.va, seen * 2);
		assert_int_equal(seen, n);
		assert_int_equal(pb_pieces_clear(pieces, 3, n * 2 - 7), 0);
		assert_int_equal(pb_pieces_count(pieces), 4);
		pb_pieces_destroy(pieces);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_in_an_empty_map),
		cmocka_unit_test(a_hole_in_the_middle_leaves_both_ends),
		cmocka_unit_test(the_right_end_of_a_sparse_piece_has_no_offset),
		cmocka_unit_test(a_later_piece_wins_where_they_overlap),
		cmocka_unit_test(neighbours_that_continue_each_other_stay_apart),
		cmocka_unit_test(random_steps_match_an_array_of_pages),
		cmocka_unit_test(a_hundred_thousand_pieces_in_any_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log pieces", tests, NULL, NULL);
}
