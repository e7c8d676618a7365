/* SPDX-License-Identifier: MIT */
/*
 * The balanced tree of ranges against an array of pages.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "seed.h"
#include "sim_vma.h"

#define SLOTS 256

static void an_empty_set_finds_nothing(void **state)
{
	struct sim_vmas vmas;

	sim_vmas_init(&vmas);
	assert_null(sim_vmas_find(&vmas, 0));
	assert_int_equal(sim_vmas_check(&vmas), 0);
	sim_vmas_fini(&vmas);
}

static void find_gives_the_first_that_ends_after(void **state)
{
	struct sim_vmas vmas;
	struct sim_vma *low, *high;

	sim_vmas_init(&vmas);
	assert_int_equal(sim_vmas_reserve(&vmas, 2), 0);
	high = sim_vmas_insert(&vmas, 100, 10, NULL, 0, 0);
	low = sim_vmas_insert(&vmas, 50, 10, NULL, 7, 3);
	assert_ptr_equal(sim_vmas_find(&vmas, 0), low);
	assert_ptr_equal(sim_vmas_find(&vmas, 59), low);
	assert_ptr_equal(sim_vmas_find(&vmas, 60), high);
	assert_ptr_equal(sim_vmas_find(&vmas, 109), high);
	assert_null(sim_vmas_find(&vmas, 110));
	assert_ptr_equal(low->next, high);
	assert_ptr_equal(high->prev, low);
	assert_int_equal(low->offset, 7);
	assert_int_equal(low->flags, 3);
	sim_vmas_fini(&vmas);
}

/* Rising, falling and zigzag orders are what an unbalanced tree cannot take. */
static void height_stays_logarithmic(void **state)
{
	const uint64_t count = 4096;

	for (int order = 0; order < 3; order++) {
		struct sim_vmas vmas;

		sim_vmas_init(&vmas);
		for (uint64_t i = 0; i < count; i++) {
			uint64_t at = order == 0 ? i : order == 1 ? count - 1 - i : i % 2 ? count - 1 - i / 2 : i / 2;

			assert_int_equal(sim_vmas_reserve(&vmas, 1), 0);
			sim_vmas_insert(&vmas, at * 10, 10, NULL, 0, 0);
		}
		assert_int_equal(sim_vmas_check(&vmas), 0);
		assert_true(vmas.root->height <= 18); /* 1.44 log2(4096) */
		sim_vmas_fini(&vmas);
	}
}

/* slots[i] is the id of the range that holds slot i, or 0. */
static const struct sim_vma *model_first(const uint64_t *slots, struct sim_vma *want, uint64_t from)
{
	while (from < SLOTS && !slots[from])
		from++;
	if (from == SLOTS)
		return NULL;
	want->offset = slots[from];
	for (want->start = from; want->start > 0 && slots[want->start - 1] == slots[from]; want->start--)
		;
	for (want->size = 0; want->start + want->size < SLOTS && slots[want->start + want->size] == slots[from];)
		want->size++;
	return want;
}

static void check_against_model(const struct sim_vmas *vmas, const uint64_t *slots)
{
	const struct sim_vma *vma = sim_vmas_find(vmas, 0);
	struct sim_vma want;
	uint64_t at = 0;

	while (model_first(slots, &want, at)) {
		assert_non_null(vma);
		assert_int_equal(vma->start, want.start);
		assert_int_equal(vma->size, want.size);
		assert_int_equal(vma->offset, want.offset);
		at = want.start + want.size;
		vma = vma->next;
	}
	assert_null(vma);
	assert_int_equal(sim_vmas_check(vmas), 0);
}

static void insert_where_free(struct sim_vmas *vmas, uint64_t *slots, uint64_t start, uint64_t size, uint64_t id)
{
	for (uint64_t i = start; i < start + size; i++)
		if (slots[i])
			return;
	for (uint64_t i = start; i < start + size; i++)
		slots[i] = id;
	assert_int_equal(sim_vmas_reserve(vmas, 1), 0);
	sim_vmas_insert(vmas, start, size, NULL, id, 0);
}

static void remove_at(struct sim_vmas *vmas, uint64_t *slots, uint64_t at)
{
	struct sim_vma *vma = sim_vmas_find(vmas, at);

	if (!vma)
		return;
	memset(slots + vma->start, 0, vma->size * sizeof(*slots));
	sim_vmas_remove(vmas, vma);
}

static void random_inserts_and_removals_match_an_array(void **state)
{
	struct test_random random = test_random_start("vma");
	size_t rounds = test_rounds(6000, 1000000);
	uint64_t slots[SLOTS] = {0};
	struct sim_vmas vmas;

	sim_vmas_init(&vmas);
	for (size_t i = 1; i <= rounds; i++) {
		uint64_t size = 1 + test_random_below(&random, 6), start = test_random_below(&random, SLOTS - size);

		if (test_random_below(&random, 5) < 3)
			insert_where_free(&vmas, slots, start, size, i);
		else
			remove_at(&vmas, slots, start);
		check_against_model(&vmas, slots);
	}
	sim_vmas_fini(&vmas);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_set_finds_nothing),
		cmocka_unit_test(find_gives_the_first_that_ends_after),
		cmocka_unit_test(height_stays_logarithmic),
		cmocka_unit_test(random_inserts_and_removals_match_an_array),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
