/* SPDX-License-Identifier: MIT */
/* The map of live mappings when memory runs out: refused before a change, never in the middle of one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing_malloc.h"
#include "page_model.h"
#include "seed.h"

static struct pb_range nth_page(uint64_t n)
{
	return (struct pb_range){n * MODEL_PAGE, MODEL_PAGE, model_bo(0), n * MODEL_PAGE, 0};
}

static struct pb_vamap *filled(uint64_t pages)
{
	struct pb_vamap *map;

	assert_int_equal(pb_vamap_create(NULL, NULL, &map), 0);
	for (uint64_t i = 0; i < pages; i++) {
		struct pb_range range = nth_page(2 * i);

		assert_int_equal(pb_vamap_set(map, &range), 0);
	}
	return map;
}

static void creation_needs_memory(void **state)
{
	struct pb_vamap *map = NULL;

	for (size_t good = 0; good < 2; good++) {
		failing_malloc_after(good);
		assert_int_equal(pb_vamap_create(NULL, NULL, &map), -ENOMEM);
		failing_malloc_after(SIZE_MAX);
		assert_null(map);
	}
}

static void a_refused_reservation_changes_nothing(void **state)
{
	struct pb_vamap *map = filled(1000);
	size_t memory = pb_vamap_memory(map);

	failing_malloc_after(5);
	assert_int_equal(pb_vamap_reserve(map, 1000), -ENOMEM);
	failing_malloc_after(SIZE_MAX);
	assert_int_equal(pb_vamap_memory(map), memory);
	assert_int_equal(pb_vamap_count(map), 1000);
	assert_int_equal(pb_vamap_check(map), 0);
	assert_int_equal(pb_vamap_reserve(map, SIZE_MAX), -ENOMEM);
	pb_vamap_destroy(map);
}

static void an_operation_without_memory_changes_nothing(void **state)
{
	size_t refused = 0;

	for (uint64_t pages = 1; pages < 400; pages++) {
		struct pb_vamap *map = filled(pages);
		int r = 0;

		failing_malloc_after(0);
		for (uint64_t i = 0; r == 0 && i < 400; i++) {
			struct pb_range range = nth_page(2 * i + 1);
			size_t before = pb_vamap_count(map);

			r = pb_vamap_set(map, &range);
			assert_int_equal(pb_vamap_count(map), before + (r == 0));
		}
		failing_malloc_after(SIZE_MAX);
		assert_int_equal(pb_vamap_check(map), 0);
		refused += r == -ENOMEM;
		pb_vamap_destroy(map);
	}
	assert_true(refused > 0);
}

/* Random operations that were promised memory, with none to be had: each has to succeed. */
static void promised_operations_cannot_fail(void **state)
{
	struct test_random random = test_random_start("promises");

	for (size_t round = 0; round < test_rounds(400, 20000); round++) {
		size_t ops = 1 + test_random_below(&random, round % 3 == 0 ? 2000 : 12);
		uint64_t space = 1 + test_random_below(&random, 8000);
		struct pb_vamap *map = filled(test_random_below(&random, 3000));

		assert_int_equal(pb_vamap_reserve(map, ops), 0);
		failing_malloc_after(0);
		for (size_t i = 0; i < ops; i++) {
			struct pb_range range = nth_page(test_random_below(&random, space));

			range.size *= 1 + test_random_below(&random, 4) * test_random_below(&random, 4);
			if (test_random_below(&random, 8) > 0)
				assert_int_equal(pb_vamap_set(map, &range), 0);
			else
				assert_int_equal(pb_vamap_clear(map, range.va, range.size), 0);
		}
		assert_int_equal(failing_malloc_calls(), 0);
		failing_malloc_after(SIZE_MAX);
		assert_int_equal(pb_vamap_check(map), 0);
		pb_vamap_destroy(map);
	}
}

/* The worst that few operations can do: full nodes on every level, each op splitting entries in full leaves. */
static void promised_splits_of_full_leaves_cannot_fail(void **state)
{
	for (size_t ops = 1; ops < 200; ops = ops * 2 + 1) {
		struct pb_vamap *map;
		struct pb_range wide = {0, 16 * MODEL_PAGE, model_bo(1), 0, 0};

		assert_int_equal(pb_vamap_create(NULL, NULL, &map), 0);
		for (uint64_t i = 0; i < 60000; i++, wide.va += wide.size)
			assert_int_equal(pb_vamap_set(map, &wide), 0);
		assert_int_equal(pb_vamap_reserve(map, ops), 0);
		failing_malloc_after(0);
		for (uint64_t i = 0; i < ops; i++) {
			/* in the middle of an entry, two of a leaf */
			struct pb_range cut = nth_page((59999 - 15 * i) * 16 + 8);

			assert_int_equal(pb_vamap_set(map, &cut), 0);
		}
		failing_malloc_after(SIZE_MAX);
		assert_int_equal(pb_vamap_count(map), 60000 + 2 * ops);
		assert_int_equal(pb_vamap_check(map), 0);
		pb_vamap_destroy(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creation_needs_memory),
		cmocka_unit_test(a_refused_reservation_changes_nothing),
		cmocka_unit_test(an_operation_without_memory_changes_nothing),
		cmocka_unit_test(promised_operations_cannot_fail),
		cmocka_unit_test(promised_splits_of_full_leaves_cannot_fail),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("vamap without memory", tests, NULL, NULL);
}
