/* SPDX-License-Identifier: MIT */
/* Batches when memory runs out: the op or sync is refused and the batch is what it was; and how rarely they ask. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "failing_malloc.h"
#include "internal.h"

static void creation_needs_memory(void **state)
{
	struct panbind_batch *batch = NULL;

	failing_malloc_after(0);
	assert_int_equal(panbind_batch_create(&batch), -ENOMEM);
	failing_malloc_after(SIZE_MAX);
	assert_null(batch);
}

static void a_refused_op_leaves_the_batch_alone(void **state)
{
	struct panbind_bo bo = {.refs = 1, .size = 4096};
	struct panbind_error err;
	struct panbind_batch *batch;
	uint32_t taken = 0;
	int r;

	assert_int_equal(panbind_batch_create(&batch), 0);
	failing_malloc_after(2);
	while ((r = panbind_batch_map(batch, 4096, 4096, &bo, 0, 0, &err)) == 0)
		taken++;
	assert_int_equal(r, -ENOMEM);
	assert_int_equal(err.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(err.op, taken);
	assert_int_equal(panbind_batch_sync_only(batch), -ENOMEM);
	failing_malloc_after(SIZE_MAX);
	assert_int_equal(panbind_batch_count(batch), taken);
	assert_int_equal(bo.refs, 1 + taken);
	assert_int_equal(panbind_batch_op(batch, 0)->va, 4096);
	panbind_batch_destroy(batch);
	assert_int_equal(bo.refs, 1);
}

static void a_refused_sync_leaves_the_op_alone(void **state)
{
	struct panbind_syncobj syncobj = {.refs = 1};
	struct panbind_batch *batch;
	uint32_t taken = 0;

	assert_int_equal(panbind_batch_create(&batch), 0);
	assert_int_equal(panbind_batch_sync_only(batch), 0);
	failing_malloc_after(0);
	assert_int_equal(panbind_batch_signal(batch, &syncobj, 1), -ENOMEM);
	assert_int_equal(panbind_batch_op(batch, 0)->sync_count, 0);
	failing_malloc_after(1);
	while (panbind_batch_signal(batch, &syncobj, taken + 1) == 0)
		taken++;
	failing_malloc_after(SIZE_MAX);
	assert_int_equal(panbind_batch_op(batch, 0)->sync_count, taken);
	for (uint32_t i = 0; i < taken; i++)
		assert_int_equal(panbind_batch_op(batch, 0)->syncs[i].point, i + 1);
	assert_int_equal(syncobj.refs, 1 + taken);
	panbind_batch_destroy(batch);
	assert_int_equal(syncobj.refs, 1);
}

static void a_hundred_thousand_ops_allocate_a_few_times(void **state)
{
	struct panbind_bo bo = {.refs = 1, .size = 4096};
	struct panbind_batch *batch;

	assert_int_equal(panbind_batch_create(&batch), 0);
	failing_malloc_after(SIZE_MAX);
	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(panbind_batch_map(batch, i * 4096, 4096, &bo, 0, 0, NULL), 0);
	assert_true(failing_malloc_calls() <= 15);
	/* The memory stays, so the same again costs none. */
	panbind_batch_clear(batch);
	failing_malloc_after(0);
	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(panbind_batch_map(batch, i * 4096, 4096, &bo, 0, 0, NULL), 0);
	failing_malloc_after(SIZE_MAX);
	panbind_batch_destroy(batch);
	assert_int_equal(bo.refs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creation_needs_memory),
		cmocka_unit_test(a_refused_op_leaves_the_batch_alone),
		cmocka_unit_test(a_refused_sync_leaves_the_op_alone),
		cmocka_unit_test(a_hundred_thousand_ops_allocate_a_few_times),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("batch without memory", tests, NULL, NULL);
}
