/* SPDX-License-Identifier: MIT */
/*
 * The map of live mappings against a model that knows single pages only, over random operations, and at a size at
 * which trees have depth.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "page_model.h"
#include "seed.h"

#define BASE UINT64_C(0x7f0000000000)

struct world {
	struct pb_vamap *map;
	struct page_model *model;
	struct test_random random;
};

static struct world world_create(const char *what, size_t pages)
{
	struct world world = {.model = model_create(BASE, pages), .random = test_random_start(what)};

	assert_int_equal(pb_vamap_create(model_bo_get, model_bo_put, &world.map), 0);
	return world;
}

static void world_destroy(struct world *world)
{
	pb_vamap_destroy(world->map);
	model_destroy(world->model);
	assert_int_equal(model_bo_refs(), 0);
}

/* A range of up to @longest pages; short ones are more frequent. */
static struct pb_range random_range(struct world *world, size_t longest)
{
	size_t limit = 1 + test_random_below(&world->random, longest);
	size_t size = 1 + test_random_below(&world->random, limit);
	size_t first = test_random_below(&world->random, world->model->count - size + 1);
	struct pb_range range = {.va = BASE + first * MODEL_PAGE, .size = size * MODEL_PAGE};

	if (test_random_below(&world->random, 4) == 0) {
		range.flags = 2;
	} else {
		range.bo = model_bo((unsigned int)test_random_below(&world->random, MODEL_BOS));
		range.bo_offset = test_random_below(&world->random, 1000) * MODEL_PAGE;
		range.flags = (uint32_t)test_random_below(&world->random, 8);
	}
	return range;
}

static void random_op(struct world *world, size_t longest, unsigned int clears_of_ten)
{
	struct pb_range range = random_range(world, longest);

	if (test_random_below(&world->random, 10) < clears_of_ten) {
		assert_int_equal(pb_vamap_clear(world->map, range.va, range.size), 0);
		model_clear(world->model, range.va, range.size);
	} else {
		assert_int_equal(pb_vamap_set(world->map, &range), 0);
		model_set(world->model, &range);
	}
}

static void assert_same(const struct world *world, size_t op)
{
	const char *difference = model_difference(world->model, world->map);

	if (difference != NULL)
		fail_msg("after op %zu: %s", op, difference);
}

static void many_cuts_in_a_small_space(void **state)
{
	struct world world = world_create("64 pages", 64);

	for (size_t i = 0; i < test_rounds(20000, 1000000); i++) {
		struct pb_range probe = random_range(&world, 20);

		random_op(&world, 20, 3);
		assert_int_equal(pb_vamap_check(world.map), 0);
		assert_same(&world, i);
		assert_int_equal(pb_vamap_overlaps(world.map, probe.va, probe.size),
				 model_overlaps(world.model, probe.va, probe.size));
	}
	world_destroy(&world);
}

/* Phases that fill, stir and drain, so that leaves split, share, merge and vanish on two levels. */
static void a_tree_grows_and_shrinks(void **state)
{
	struct world world = world_create("6000 pages", 6000);

	for (size_t i = 0; i < test_rounds(24000, 1000000); i++) {
		switch (i / 4000 % 4) {
		case 0:
			random_op(&world, 3, 0);
			break;
		case 1:
			random_op(&world, test_random_below(&world.random, 50) == 0 ? 2000 : 2, 5);
			break;
		case 2:
			random_op(&world, 2, 1);
			break;
		default:
			random_op(&world, 60, 9);
		}
		if (i % 8 == 0)
			assert_int_equal(pb_vamap_check(world.map), 0);
		if (i % 32 == 0)
			assert_same(&world, i);
	}
	world_destroy(&world);
}

static struct pb_range nth_page(uint64_t n)
{
	return (struct pb_range){.va = n * MODEL_PAGE,
				 .size = MODEL_PAGE,
				 .bo = model_bo((unsigned int)(n % MODEL_BOS)),
				 .bo_offset = n * MODEL_PAGE};
}

static void assert_memory_within(const struct pb_vamap *map, const char *what)
{
	size_t bytes = pb_vamap_memory(map) / pb_vamap_count(map);

	printf("# note: %s: %zu entries, %zu bytes each\n", what, pb_vamap_count(map), bytes);
	assert_true(bytes <= 64);
}

#define MILLION UINT64_C(1000000)

/* 7919 is prime and does not divide the count, so this visits each page once, far from the one before. */
static uint64_t scattered(uint64_t i)
{
	return i * 7919 * 127 % MILLION;
}

static void a_million_entries(void **state)
{
	struct pb_vamap *map;
	struct pb_range range, have;

	assert_int_equal(pb_vamap_create(model_bo_get, model_bo_put, &map), 0);
	for (uint64_t i = 0; i < MILLION; i++) {
		range = nth_page(scattered(i));
		assert_int_equal(pb_vamap_set(map, &range), 0);
	}
	assert_int_equal(pb_vamap_count(map), MILLION);
	assert_int_equal(pb_vamap_check(map), 0);
	assert_memory_within(map, "scattered");
	assert_int_equal(pb_vamap_overlaps(map, 500 * MODEL_PAGE, 900000 * MODEL_PAGE), 900000);

	range = nth_page(777777);
	assert_int_equal(pb_vamap_next(map, range.va, &have), 0);
	assert_true(have.va == range.va && have.size == range.size);
	assert_true(have.bo == range.bo && have.bo_offset == range.bo_offset);

	/* Cut out all but the borders with one operation, then the rest. */
	assert_int_equal(pb_vamap_clear(map, 10 * MODEL_PAGE, (MILLION - 20) * MODEL_PAGE), 0);
	assert_int_equal(pb_vamap_count(map), 20);
	assert_int_equal(pb_vamap_check(map), 0);
	assert_int_equal(model_bo_refs(), 20);
	assert_int_equal(pb_vamap_reserve(map, 1), 0); /* gives the nodes back */
	assert_true(pb_vamap_memory(map) < (UINT64_C(1) << 20));
	pb_vamap_destroy(map);
	assert_int_equal(model_bo_refs(), 0);
}

/* The ways in which programs fill a region, and the one that hollows leaves out. */
static void memory_stays_within_64_bytes_an_entry(void **state)
{
	const uint64_t n = 200000;
	struct pb_vamap *map;
	struct pb_range range;

	assert_int_equal(pb_vamap_create(NULL, NULL, &map), 0);
	range = nth_page(2 * n); /* something above, so that ascending is not appending */
	pb_vamap_set(map, &range);
	for (uint64_t i = 0; i < n; i++) {
		range = nth_page(i);
		assert_int_equal(pb_vamap_set(map, &range), 0);
	}
	assert_memory_within(map, "ascending");
	assert_int_equal(pb_vamap_check(map), 0);
	for (uint64_t i = 0; i < n; i += 2)
		assert_int_equal(pb_vamap_clear(map, i * MODEL_PAGE, MODEL_PAGE), 0);
	assert_int_equal(pb_vamap_reserve(map, 1), 0);
	assert_memory_within(map, "every other one cleared");
	assert_int_equal(pb_vamap_clear(map, 0, 4 * n * MODEL_PAGE), 0);
	for (uint64_t i = n; i > 0; i--) {
		range = nth_page(i);
		assert_int_equal(pb_vamap_set(map, &range), 0);
	}
	assert_memory_within(map, "descending");
	assert_int_equal(pb_vamap_check(map), 0);
	pb_vamap_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_cuts_in_a_small_space),
		cmocka_unit_test(a_tree_grows_and_shrinks),
		cmocka_unit_test(a_million_entries),
		cmocka_unit_test(memory_stays_within_64_bytes_an_entry),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("vamap, random and large", tests, NULL, NULL);
}
