/* SPDX-License-Identifier: MIT */
/* Merging of batches so large that they are sorted in another way than small ones are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"
#include "seed.h"

#define PAGE  UINT64_C(4096)
#define PAIRS 3000u

/* Where pair @i lies: apart from all others, in the low bits of an address, in the high ones, and in those between. */
static uint64_t place_of(uint32_t i)
{
	return (uint64_t)(i % 7) << 44 | (uint64_t)(i % 600) << 29 | (uint64_t)i * 4 * PAGE;
}

static void shuffle(struct test_random *random, uint32_t *order, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t other = (uint32_t)test_random_below(random, i + 1);

		order[i] = order[other];
		order[other] = i;
	}
}

static void assert_is_a_pair(const struct panbind_op *op, bool *seen)
{
	uint32_t i = (uint32_t)(op->bo_offset / PAGE / 2);

	assert_int_equal(op->type, PANBIND_OP_MAP);
	assert_true(i < PAIRS);
	assert_false(seen[i]);
	seen[i] = true;
	assert_int_equal(op->va, place_of(i));
	assert_int_equal(op->size, 2 * PAGE);
	assert_int_equal(op->bo_offset, (uint64_t)i * 2 * PAGE);
}

/* Given the halves of pairs all over the VA space, in any order; then each finds its other half, and nobody else. */
static void halves_in_any_order_find_each_other(void **state)
{
	struct test_random random = test_random_start("halves of pairs");
	struct panbind_bo bo = {.refs = 1, .size = 2 * PAIRS * PAGE};
	struct panbind_batch *batch;
	uint32_t order[2 * PAIRS];
	bool seen[PAIRS] = {false};

	(void)state;
	assert_int_equal(panbind_batch_create(&batch), 0);
	shuffle(&random, order, 2 * PAIRS);
	for (uint32_t i = 0; i < 2 * PAIRS; i++) {
		uint64_t va = place_of(order[i] / 2) + order[i] % 2 * PAGE;

		assert_int_equal(panbind_batch_map(batch, va, PAGE, &bo, order[i] * PAGE, 0, NULL), 0);
	}

	assert_int_equal(panbind_batch_merge(batch), 0);

	assert_int_equal(panbind_batch_count(batch), PAIRS);
	for (size_t i = 0; i < PAIRS; i++)
		assert_is_a_pair(panbind_batch_op(batch, i), seen);
	panbind_batch_destroy(batch);
	assert_int_equal(bo.refs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(halves_in_any_order_find_each_other),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
