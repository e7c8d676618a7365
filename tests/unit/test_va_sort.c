/* SPDX-License-Identifier: MIT */
/*
 * Sorting by VA, few and many: in order, and none lost or doubled. A batch that is sorted wrongly is merged all the
 * same, more slowly, so that the tests of merging cannot see it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "internal.h"
#include "seed.h"
#include "va_sort.h"

#define MOST (3 * PB_VA_SORT_LARGE)

/** Keys of random VAs in these bits, sorted. Those of one VA keep their order where it is digits that are sorted. */
static void assert_sorts(struct test_random *random, uint32_t count, uint64_t bits)
{
	struct pb_va_key *room = calloc(MOST, 2 * sizeof(*room)), *sorted;
	uint64_t *vas = calloc(MOST, sizeof(*vas));
	bool *seen = calloc(MOST, sizeof(*seen));

	assert_true(room && vas && seen);
	for (uint32_t i = 0; i < count; i++) {
		vas[i] = (test_random_below(random, UINT64_C(1) << 32) << 32 |
			  test_random_below(random, UINT64_C(1) << 32)) &
			 bits;
		room[i] = (struct pb_va_key){vas[i], i};
	}
	sorted = pb_va_sort(room, room + MOST, count);
	assert_true(sorted == room || sorted == room + MOST);
	for (uint32_t i = 0; i < count; i++) {
		assert_true(sorted[i].index < count);
		assert_false(seen[sorted[i].index]);
		seen[sorted[i].index] = true;
		assert_int_equal(sorted[i].va, vas[sorted[i].index]);
		assert_true(i == 0 || sorted[i - 1].va <= sorted[i].va);
		if (count >= PB_VA_SORT_LARGE && i > 0 && sorted[i - 1].va == sorted[i].va)
			assert_true(sorted[i - 1].index < sorted[i].index);
	}
	free(room);
	free(vas);
	free(seen);
}

static void test_all_kinds_of_addresses(void **state)
{
	/* All bits; pages of a VM; low digits only; high ones only; one digit in the middle, and across two; none. */
	static const uint64_t bits[] = {
		UINT64_MAX,	    0x0000fffffffff000, 0x7ff, 0xfffff, 0xffff000000000000, 0x8000000000000000,
		0x00000001ffc00000, 0x0000000ff0000000, 0,
	};
	static const uint32_t counts[] = {0,   1, 2, 100, PB_VA_SORT_LARGE - 1, PB_VA_SORT_LARGE, PB_VA_SORT_LARGE + 1,
					  MOST};
	struct test_random random = test_random_start("sorted VAs");

	for (size_t i = 0; i < PB_ARRAY_SIZE(bits); i++)
		for (size_t j = 0; j < PB_ARRAY_SIZE(counts); j++)
			assert_sorts(&random, counts[j], bits[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds_of_addresses),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sorting by VA", tests, NULL, NULL);
}
