/* SPDX-License-Identifier: MIT */
/*
 * Plans over random batches: running the merged units gives the same pages as running the ops one by one, and
 * `replaces` is what the map itself says before each unit.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "internal.h"
#include "page_model.h"
#include "seed.h"

#define PAGES 96u

static void fill(struct pb_vamap *one, struct pb_vamap *two, struct test_random *random)
{
	for (uint64_t i = test_random_below(random, 12); i > 0; i--) {
		uint64_t page = test_random_below(random, PAGES - 16);
		struct pb_range range = {page * MODEL_PAGE, (1 + test_random_below(random, 16)) * MODEL_PAGE};

		if (test_random_below(random, 3) > 0) {
			range.bo = model_bo((unsigned int)test_random_below(random, MODEL_BOS));
			range.bo_offset = test_random_below(random, 8) * MODEL_PAGE;
		} else {
			range.flags = PANBIND_MAP_NOEXEC;
		}
		assert_int_equal(pb_vamap_set(one, &range), 0);
		assert_int_equal(pb_vamap_set(two, &range), 0);
	}
}

/* An op that often, but not always, continues the one before it. */
static void add_op(struct panbind_batch *batch, struct test_random *random, struct panbind_syncobj *syncobj)
{
	size_t count = panbind_batch_count(batch);
	const struct panbind_op *last = count > 0 ? panbind_batch_op(batch, count - 1) : NULL;
	uint64_t pages = 1 + test_random_below(random, 8), page = test_random_below(random, PAGES - 8);
	struct panbind_op op = {
		.type = (enum panbind_op_type)test_random_below(random, 3),
		.bo = model_bo((unsigned int)test_random_below(random, 2)),
		.bo_offset = test_random_below(random, 8) * MODEL_PAGE,
		.flags = (uint32_t)test_random_below(random, 2),
	};

	op.va = page * MODEL_PAGE;
	op.size = pages * MODEL_PAGE;
	if (last != NULL && test_random_below(random, 3) > 0) {
		op.type = last->type;
		op.bo = last->bo;
		op.flags = last->flags;
		op.va = last->va + last->size;
		op.bo_offset = last->bo_offset + last->size;
		if (test_random_below(random, 3) == 0 && last->va >= op.size && last->bo_offset >= op.size) {
			op.va = last->va - op.size;
			op.bo_offset = last->bo_offset - op.size;
		}
	}
	if (op.va + op.size > PAGES * MODEL_PAGE)
		return;
	if (op.type == PANBIND_OP_MAP)
		panbind_batch_map(batch, op.va, op.size, op.bo, op.bo_offset, op.flags, NULL);
	else if (op.type == PANBIND_OP_UNMAP)
		panbind_batch_unmap(batch, op.va, op.size, NULL);
	else
		panbind_batch_map_sparse(batch, op.va, op.size, NULL);
	if (test_random_below(random, 12) == 0)
		panbind_batch_signal(batch, syncobj, 1);
}

static void execute(struct pb_vamap *map, const struct panbind_op *op)
{
	struct pb_range range = {.va = op->va, .size = op->size};

	if (op->type == PANBIND_OP_UNMAP) {
		assert_int_equal(pb_vamap_clear(map, op->va, op->size), 0);
		return;
	}
	range.flags = op->type == PANBIND_OP_MAP ? op->flags : PANBIND_MAP_NOEXEC;
	range.bo = op->bo;
	range.bo_offset = op->bo_offset;
	assert_int_equal(pb_vamap_set(map, &range), 0);
}

/* The page at an address, whole: what backs it. */
static struct pb_range page_at(const struct pb_vamap *map, uint64_t va)
{
	struct pb_range range;

	if (pb_vamap_next(map, va, &range) < 0 || range.va > va)
		return (struct pb_range){.va = va};
	if (range.bo != NULL)
		range.bo_offset += va - range.va;
	range.va = va;
	range.size = MODEL_PAGE;
	return range;
}

static void assert_same_pages(const struct pb_vamap *one, const struct pb_vamap *two, size_t round)
{
	for (uint64_t va = 0; va < PAGES * MODEL_PAGE; va += MODEL_PAGE) {
		struct pb_range a = page_at(one, va), b = page_at(two, va);

		if (a.size != b.size || a.bo != b.bo || a.bo_offset != b.bo_offset || a.flags != b.flags)
			fail_msg("round %zu: the page at 0x%llx differs", round, (unsigned long long)va);
	}
}

/* Returns how many ops were merged away. */
static size_t run_units(const struct panbind_plan *plan, const struct panbind_batch *batch, struct pb_vamap *map)
{

	for (size_t i = 0; i < panbind_plan_count(plan); i++) {
		const struct panbind_plan_unit *unit = panbind_plan_unit(plan, i);

		assert_true(unit->count > 0 && unit->last < panbind_batch_count(batch));
		assert_int_equal(unit->replaces, pb_vamap_overlaps(map, unit->op.va, unit->op.size));
		assert_true(unit->lock_va <= unit->op.va);
		assert_true(unit->lock_va + unit->lock_size >= unit->op.va + unit->op.size);
		execute(map, &unit->op);
	}
	return panbind_batch_count(batch) - panbind_plan_count(plan);
}

static size_t one_round(struct test_random *random, size_t round)
{
	struct panbind_syncobj syncobj = {.refs = 1};
	struct pb_vamap *merged, *single;
	struct panbind_batch *batch;
	struct panbind_plan *plan;
	struct pb_plan_input input = {.atomic = PANBIND_YES, .native_sparse = true};
	size_t joined, before;

	assert_int_equal(pb_vamap_create(NULL, NULL, &merged), 0);
	assert_int_equal(pb_vamap_create(NULL, NULL, &single), 0);
	assert_int_equal(panbind_batch_create(&batch), 0);
	fill(merged, single, random);
	while (panbind_batch_count(batch) == 0 || test_random_below(random, 16) > 0)
		add_op(batch, random, &syncobj);

	input.map = merged;
	before = pb_vamap_count(merged);
	assert_int_equal(pb_plan_build(&input, batch, &plan, NULL), 0);
	assert_int_equal(pb_vamap_count(merged), before);
	joined = run_units(plan, batch, merged);
	for (size_t i = 0; i < panbind_batch_count(batch); i++)
		execute(single, panbind_batch_op(batch, i));
	assert_same_pages(merged, single, round);

	panbind_plan_destroy(plan);
	panbind_batch_destroy(batch);
	pb_vamap_destroy(single);
	pb_vamap_destroy(merged);
	return joined;
}

static void merged_units_do_what_the_ops_do(void **state)
{
	struct test_random random = test_random_start("plans");
	size_t joined = 0;

	for (unsigned int i = 0; i < MODEL_BOS; i++) {
		*model_bo(i) = (struct panbind_bo){.refs = 1, .size = UINT64_C(1) << 40};
	}
	for (size_t round = 0; round < test_rounds(5000, 300000); round++)
		joined += one_round(&random, round);
	assert_true(joined > 5000); /* else this showed little */
	for (unsigned int i = 0; i < MODEL_BOS; i++)
		assert_int_equal(model_bo(i)->refs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merged_units_do_what_the_ops_do),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plan, random", tests, NULL, NULL);
}
