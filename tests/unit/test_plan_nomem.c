/* SPDX-License-Identifier: MIT */
/* Plans when memory runs out, at every allocation there is: an error, no plan, no leak. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing_malloc.h"
#include "internal.h"

static void every_allocation_may_fail(void **state)
{
	struct panbind_bo bo = {.refs = 1, .size = 4096};
	struct panbind_plan *plan = NULL;
	struct panbind_batch *batch;
	struct panbind_error err;
	struct pb_vamap *map;
	size_t good = 0;
	int r = -ENOMEM;

	assert_int_equal(pb_vamap_create(NULL, NULL, &map), 0);
	assert_int_equal(panbind_batch_create(&batch), 0);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(panbind_batch_map(batch, i * 8192, 4096, &bo, 0, 0, NULL), 0);

	for (; r != 0; good++) {
		struct pb_plan_input input = {.map = map};

		failing_malloc_after(good);
		r = pb_plan_build(&input, batch, &plan, &err);
		failing_malloc_after(SIZE_MAX);
		if (r != 0) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(err.stage, PANBIND_STAGE_VALIDATE);
			assert_null(plan);
			assert_int_equal(bo.refs, 201);
		}
	}
	assert_true(good > 10);
	assert_int_equal(panbind_plan_count(plan), 200);
	panbind_plan_destroy(plan);
	panbind_batch_destroy(batch);
	pb_vamap_destroy(map);
	assert_int_equal(bo.refs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plan without memory", tests, NULL, NULL);
}
