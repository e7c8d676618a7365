/* SPDX-License-Identifier: MIT */
/* Batches: what they hold, what they refuse at once, and whose references they keep. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"

#define K UINT64_C(1024)

/* A BO and syncobjs of no device: batches only count them. */
struct world {
	struct panbind_batch *batch;
	struct panbind_bo bo;
	struct panbind_syncobj binary, timeline;
	struct panbind_error err;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	if (world == NULL || panbind_batch_create(&world->batch) < 0)
		return -1;
	world->bo.refs = world->binary.refs = world->timeline.refs = 1;
	world->bo.size = 64 * K;
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	bool balanced;

	panbind_batch_destroy(world->batch);
	balanced = world->bo.refs == 1 && world->binary.refs == 1 && world->timeline.refs == 1;
	free(world);
	return balanced ? 0 : -1;
}

static void ops_come_back_as_they_were_added(void **state)
{
	struct world *w = *state;
	const struct panbind_op *op;

	assert_int_equal(panbind_batch_map(w->batch, 64 * K, 32 * K, &w->bo, 16 * K, PANBIND_MAP_READONLY, NULL), 0);
	assert_int_equal(panbind_batch_unmap(w->batch, 4 * K, 8 * K, NULL), 0);
	assert_int_equal(panbind_batch_map_sparse(w->batch, 2048 * K, 4096 * K, NULL), 0);
	assert_int_equal(panbind_batch_sync_only(w->batch), 0);

	assert_int_equal(panbind_batch_count(w->batch), 4);
	op = panbind_batch_op(w->batch, 0);
	assert_int_equal(op->type, PANBIND_OP_MAP);
	assert_int_equal(op->va, 64 * K);
	assert_int_equal(op->size, 32 * K);
	assert_ptr_equal(op->bo, &w->bo);
	assert_int_equal(op->bo_offset, 16 * K);
	assert_int_equal(op->flags, PANBIND_MAP_READONLY);
	op = panbind_batch_op(w->batch, 1);
	assert_int_equal(op->type, PANBIND_OP_UNMAP);
	assert_int_equal(op->va, 4 * K);
	assert_int_equal(op->size, 8 * K);
	assert_null(op->bo);
	assert_int_equal(panbind_batch_op(w->batch, 2)->type, PANBIND_OP_MAP_SPARSE);
	assert_int_equal(panbind_batch_op(w->batch, 3)->type, PANBIND_OP_SYNC_ONLY);
	assert_null(panbind_batch_op(w->batch, 4));
}

/* What follows must leave the batch as it was, tell the index the op would have had, and name the rule. */
static void assert_refused(struct world *w, int r, uint64_t va, uint64_t size, const char *rule)
{
	assert_int_equal(r, -EINVAL);
	assert_int_equal(w->err.code, -EINVAL);
	assert_int_equal(w->err.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(w->err.op, 1);
	assert_int_equal(w->err.va, va);
	assert_int_equal(w->err.size, size);
	assert_non_null(strstr(w->err.msg, rule));
	assert_int_equal(panbind_batch_count(w->batch), 1);
	assert_int_equal(w->bo.refs, 2);
	memset(&w->err, 0, sizeof(w->err));
}

static void bad_ranges_are_refused_at_once(void **state)
{
	static const struct {
		uint64_t va, size;
		const char *rule;
	} bad[] = {
		{4096, 0, "the size is 0"},
		{4097, 4096, "the VA is not a multiple of 4096"},
		{4096, 4095, "the size is not a multiple of 4096"},
		{UINT64_MAX - 4095, 4096, "wraps around"},
		{UINT64_MAX - 4095, 8192, "wraps around"},
	};
	struct world *w = *state;
	int r;

	panbind_batch_map(w->batch, 0, 4096, &w->bo, 0, 0, NULL);
	for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
		r = panbind_batch_map(w->batch, bad[i].va, bad[i].size, &w->bo, 0, 0, &w->err);
		assert_refused(w, r, bad[i].va, bad[i].size, bad[i].rule);
		r = panbind_batch_unmap(w->batch, bad[i].va, bad[i].size, &w->err);
		assert_refused(w, r, bad[i].va, bad[i].size, bad[i].rule);
		r = panbind_batch_map_sparse(w->batch, bad[i].va, bad[i].size, &w->err);
		assert_refused(w, r, bad[i].va, bad[i].size, bad[i].rule);
	}
}

static void bad_backings_are_refused_at_once(void **state)
{
	static const struct {
		uint64_t size, offset;
		uint32_t flags;
		const char *rule;
	} bad[] = {
		{4 * K, 2 * K, 0, "the BO offset 0x800 is not a multiple of 4096"},
		{68 * K, 0, 0, "beyond the BO, which has 0x10000 bytes"},
		{4 * K, 64 * K, 0, "from offset 0x10000 it reaches beyond the BO"},
		{8 * K, 60 * K, 0, "beyond the BO"},
		{4 * K, UINT64_MAX - 4095, 0, "beyond the BO"}, /* offset + size wraps to 0 */
		{4 * K, 0, 8, "unknown map flags 0x8"},		/* the driver's SPARSE bit is not a map flag here */
		{4 * K, 0, 1u << 28, "unknown map flags 0x10000000"},
	};
	struct world *w = *state;
	int r;

	panbind_batch_map(w->batch, 0, 4096, &w->bo, 0, 0, NULL);
	for (size_t i = 0; i < PB_ARRAY_SIZE(bad); i++) {
		r = panbind_batch_map(w->batch, 0, bad[i].size, &w->bo, bad[i].offset, bad[i].flags, &w->err);
		assert_refused(w, r, 0, bad[i].size, bad[i].rule);
	}
	r = panbind_batch_map(w->batch, 0, 4096, NULL, 0, 0, &w->err);
	assert_refused(w, r, 0, 4096, "there is no BO");
	/* ... and what just fits is taken. */
	assert_int_equal(panbind_batch_map(w->batch, 0, 64 * K, &w->bo, 0, 7, NULL), 0);
	assert_int_equal(panbind_batch_map(w->batch, 0, 4 * K, &w->bo, 60 * K, 0, NULL), 0);
}

static void each_map_holds_its_bo(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 100; i++)
		panbind_batch_map(w->batch, i * 4 * K, 4 * K, &w->bo, 0, 0, NULL);
	assert_int_equal(w->bo.refs, 101);
	panbind_batch_clear(w->batch);
	assert_int_equal(w->bo.refs, 1);
	assert_int_equal(panbind_batch_count(w->batch), 0);
	panbind_batch_map(w->batch, 0, 4 * K, &w->bo, 0, 0, NULL); /* dropped by destroy */
	assert_int_equal(w->bo.refs, 2);
}

static void syncs_go_to_the_op_added_last(void **state)
{
	struct world *w = *state;
	const struct panbind_op *op;

	panbind_batch_map(w->batch, 0, 4 * K, &w->bo, 0, 0, NULL);
	assert_int_equal(panbind_batch_wait(w->batch, &w->binary, 0), 0);
	panbind_batch_unmap(w->batch, 0, 4 * K, NULL);
	panbind_batch_sync_only(w->batch);
	assert_int_equal(panbind_batch_wait(w->batch, &w->timeline, 3), 0);
	assert_int_equal(panbind_batch_signal(w->batch, &w->timeline, 4), 0);

	op = panbind_batch_op(w->batch, 0);
	assert_int_equal(op->sync_count, 1);
	assert_ptr_equal(op->syncs[0].syncobj, &w->binary);
	assert_int_equal(op->syncs[0].signal, 0);
	assert_int_equal(panbind_batch_op(w->batch, 1)->sync_count, 0);
	op = panbind_batch_op(w->batch, 2);
	assert_int_equal(op->sync_count, 2);
	assert_int_equal(op->syncs[0].point, 3);
	assert_int_equal(op->syncs[0].signal, 0);
	assert_int_equal(op->syncs[1].point, 4);
	assert_true(op->syncs[1].signal);
	assert_int_equal(w->timeline.refs, 3);
	panbind_batch_clear(w->batch);
	assert_int_equal(w->timeline.refs, 1);
	assert_int_equal(panbind_batch_wait(w->batch, &w->binary, 0), -EINVAL); /* there is no last op any more */
}

static void a_sync_needs_an_op_and_a_syncobj(void **state)
{
	struct world *w = *state;

	assert_int_equal(panbind_batch_wait(w->batch, &w->binary, 0), -EINVAL);
	assert_int_equal(panbind_batch_signal(w->batch, &w->binary, 0), -EINVAL);
	panbind_batch_sync_only(w->batch);
	assert_int_equal(panbind_batch_wait(w->batch, NULL, 0), -EINVAL);
	assert_int_equal(panbind_batch_op(w->batch, 0)->sync_count, 0);
}

/* The arrays of ops and syncs move many times while they grow; every op must keep its own. */
static void many_ops_with_many_syncs_stay_together(void **state)
{
	const uint32_t ops = 3000;
	struct world *w = *state;
	uint64_t point = 0;

	for (uint32_t i = 0; i < ops; i++) {
		panbind_batch_unmap(w->batch, i * 4 * K, 4 * K, NULL);
		for (uint32_t s = 0; s < i % 5; s++)
			assert_int_equal(panbind_batch_wait(w->batch, &w->timeline, ++point), 0);
	}
	point = 0;
	for (uint32_t i = 0; i < ops; i++) {
		const struct panbind_op *op = panbind_batch_op(w->batch, i);

		assert_int_equal(op->va, i * 4 * K);
		assert_int_equal(op->sync_count, i % 5);
		for (uint32_t s = 0; s < op->sync_count; s++)
			assert_int_equal(op->syncs[s].point, ++point);
	}
}

static void destroy_takes_null(void **state)
{
	panbind_batch_destroy(NULL);
}

#define example(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		example(ops_come_back_as_they_were_added),	 example(bad_ranges_are_refused_at_once),
		example(bad_backings_are_refused_at_once),	 example(each_map_holds_its_bo),
		example(syncs_go_to_the_op_added_last),		 example(a_sync_needs_an_op_and_a_syncobj),
		example(many_ops_with_many_syncs_stay_together), cmocka_unit_test(destroy_takes_null),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
