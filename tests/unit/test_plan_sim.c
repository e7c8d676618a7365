/* SPDX-License-Identifier: MIT */
/*
 * Plans against the simulator, over random batches on random mappings: merged or not, the pages at the end are the
 * same; the AS locks what the plan said, LOCK for LOCK; the inverse brings back the pages before; merging what is
 * merged does nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "internal.h"
#include "seed.h"
#include "truth.h"

#define PAGE  UINT64_C(4096)
#define BLOCK (UINT64_C(2) << 20)
#define BASE  (UINT64_C(0x7ffffe00000) & ~(BLOCK - 1)) /* close below a large power of two */
#define SPACE (7 * BLOCK)
#define BOS   2
#define LOCKS 4096

struct lock {
	uint64_t va, size;
};

/** Two VMs of one device that hold the same; one is bound as planned, the other one op by op. */
struct twins {
	struct panbind_device *device;
	struct panbind_vm *merged, *single;
	struct panbind_bo *bo[BOS];
	struct lock locks[LOCKS]; /* that the AS of `merged` saw */
	size_t lock_count;
	struct test_random random;
	size_t round;
};

static struct pb_file *file_of(struct twins *twins)
{
	return twins->device->file;
}

static void note_lock(void *data, const struct pb_as_event *event)
{
	struct twins *twins = data;

	if (event->type != PB_AS_LOCK || event->before || event->vm_id != panbind_vm_id(twins->merged))
		return;
	assert_true(twins->lock_count < LOCKS);
	twins->locks[twins->lock_count++] = (struct lock){event->va, event->size};
}

static void open_twins(struct twins *twins, const char *spec)
{
	assert_int_equal(panbind_device_open(spec, &twins->device, NULL), 0);
	for (int i = 0; i < BOS; i++)
		assert_int_equal(panbind_bo_create(twins->device, 4 * BLOCK, 0, NULL, &twins->bo[i], NULL), 0);
	assert_int_equal(file_of(twins)->backend->gpu->probe(file_of(twins), note_lock, twins), 0);
}

static void close_twins(struct twins *twins)
{
	assert_int_equal(file_of(twins)->backend->gpu->probe(file_of(twins), NULL, NULL), 0);
	for (int i = 0; i < BOS; i++)
		panbind_bo_unref(twins->bo[i]);
	panbind_device_unref(twins->device);
}

/* ---- Random work ---- */

static uint64_t below(struct twins *twins, uint64_t limit)
{
	return test_random_below(&twins->random, limit);
}

/* Whole blocks, pieces around a border of blocks, or single pages: what large pages are made and cut by. */
static void any_range(struct twins *twins, uint64_t *ret_va, uint64_t *ret_size)
{
	uint64_t at = below(twins, SPACE / BLOCK - 3) * BLOCK, size = (1 + below(twins, 3)) * BLOCK;

	switch (below(twins, 4)) {
	case 0:
		break;
	case 1:
		at += below(twins, 512) * PAGE;
		size = (1 + below(twins, 8)) * PAGE;
		break;
	case 2:
		at += (504 + below(twins, 8)) * PAGE;
		size = (1 + below(twins, 16)) * PAGE;
		break;
	default:
		at += below(twins, 512) * PAGE;
		break;
	}
	*ret_va = BASE + at;
	*ret_size = size;
}

static void add_op(struct twins *twins, struct panbind_batch *batch)
{
	size_t count = panbind_batch_count(batch);
	const struct panbind_op *last = count > 0 ? panbind_batch_op(batch, below(twins, count)) : NULL;
	uint32_t flags = below(twins, 4) == 0 ? PANBIND_MAP_READONLY : 0;
	struct panbind_bo *bo = twins->bo[below(twins, BOS)];
	uint64_t va, size, offset;

	any_range(twins, &va, &size);
	offset = va % BLOCK + below(twins, 2) * (below(twins, 2) == 0 ? BLOCK : PAGE);
	if (last != NULL && last->type == PANBIND_OP_MAP && below(twins, 2) == 0) { /* go on with an earlier one */
		va = last->va + last->size;
		size = (1 + below(twins, 4)) * PAGE;
		offset = last->bo_offset + last->size;
		bo = last->bo;
		flags = last->flags;
	} else if (last != NULL && below(twins, 4) == 0) { /* exactly over an earlier one */
		va = last->va;
		size = last->size;
	}
	if (va + size > BASE + SPACE)
		return;
	switch (below(twins, 5)) {
	case 0:
		assert_int_equal(panbind_batch_unmap(batch, va, size, NULL), 0);
		return;
	case 1:
		assert_int_equal(panbind_batch_map_sparse(batch, va, size, NULL), 0);
		return;
	default: /* may reach beyond the BO: then it is refused */
		panbind_batch_map(batch, va, size, bo, offset, flags, NULL);
	}
}

static void fill(struct twins *twins)
{
	struct panbind_batch *batch;

	twins->lock_count = 0;
	assert_int_equal(panbind_vm_create(twins->device, 0, &twins->merged, NULL), 0);
	assert_int_equal(panbind_vm_create(twins->device, 0, &twins->single, NULL), 0);
	assert_int_equal(panbind_vm_gpu_resident(twins->merged, 1), 0);
	assert_int_equal(panbind_batch_create(&batch), 0);
	for (uint64_t i = below(twins, 8) + 1; i > 0 || panbind_batch_count(batch) == 0; i -= i > 0)
		add_op(twins, batch);
	assert_int_equal(panbind_vm_bind(twins->merged, batch, 0, NULL), 0);
	assert_int_equal(panbind_vm_bind(twins->single, batch, 0, NULL), 0);
	panbind_batch_destroy(batch);
}

/* ---- What has to hold ---- */

static bool same_page(const struct pb_page *a, const struct pb_page *b)
{
	return a->bo_handle == b->bo_handle && a->bo_offset == b->bo_offset && a->flags == b->flags &&
	       a->dummy == b->dummy;
}

/** A walk over the pages of a VM. */
struct walk {
	struct panbind_vm *vm;
	struct pb_page page; /* that ends after `at` */
	bool over;
};

/* What backs the 4 KiB at an address, whatever page it is a part of; and how far that goes on. */
static struct pb_page page_at(struct twins *twins, struct walk *walk, uint64_t va, uint64_t *end)
{
	struct pb_page *page = &walk->page, found = {0};
	uint64_t until;

	if (!walk->over && page->va + page->size <= va)
		walk->over =
			file_of(twins)->backend->gpu->next_page(file_of(twins), panbind_vm_id(walk->vm), va, page) < 0;
	if (!walk->over && page->va <= va) {
		found = *page;
		found.bo_offset += va - page->va;
	}
	until = walk->over ? BASE + SPACE : page->va <= va ? page->va + page->size : page->va;
	*end = until < *end ? until : *end;
	return found;
}

static void assert_same(struct twins *twins, const char *what)
{
	struct walk one = {.vm = twins->merged}, two = {.vm = twins->single};
	uint64_t va = BASE, end;

	for (; va < BASE + SPACE; va = end) {
		struct pb_page a, b;

		end = BASE + SPACE;
		a = page_at(twins, &one, va, &end);
		b = page_at(twins, &two, va, &end);
		if (!same_page(&a, &b))
			fail_msg("round %zu: %s: the page at 0x%llx differs", twins->round, what,
				 (unsigned long long)va);
	}
}

static void assert_locks(struct twins *twins, const struct panbind_plan *plan)
{
	size_t seen = 0;

	for (size_t i = 0; i < panbind_plan_count(plan); i++) {
		const struct panbind_plan_unit *unit = panbind_plan_unit(plan, i);
		uint64_t va, size;

		for (uint32_t nth = 0; nth < unit->driver_ops; nth++, seen++) {
			assert_int_equal(panbind_plan_lock(plan, i, nth, &va, &size), 0);
			if (seen >= twins->lock_count || va != twins->locks[seen].va || size != twins->locks[seen].size)
				fail_msg("round %zu: unit %zu, LOCK %u of 0x%llx+0x%llx: planned 0x%llx+0x%llx, the AS "
					 "saw 0x%llx+0x%llx",
					 twins->round, i, nth, (unsigned long long)unit->op.va,
					 (unsigned long long)unit->op.size, (unsigned long long)va,
					 (unsigned long long)size, (unsigned long long)twins->locks[seen].va,
					 (unsigned long long)twins->locks[seen].size);
			if (unit->driver_ops == 1 && (unit->lock_va != va || unit->lock_size != size))
				fail_msg("round %zu: unit %zu contradicts its lock", twins->round, i);
		}
		assert_int_equal(panbind_plan_lock(plan, i, unit->driver_ops, &va, &size), -ENOENT);
	}
	assert_int_equal(seen, twins->lock_count);
	assert_int_equal(seen, panbind_plan_totals(plan)->driver_ops);
}

static void assert_merged(const struct panbind_batch *batch, const struct panbind_plan *plan)
{
	uint32_t first, count;

	assert_int_equal(panbind_batch_count(batch), panbind_plan_count(plan));
	for (size_t i = 0; i < panbind_plan_count(plan); i++) {
		const struct panbind_op *a = panbind_batch_op(batch, i), *b = &panbind_plan_unit(plan, i)->op;

		assert_true(a->type == b->type && a->va == b->va && a->size == b->size && a->bo == b->bo &&
			    a->bo_offset == b->bo_offset && a->flags == b->flags);
		assert_int_equal(panbind_batch_origin(batch, i, &first, &count), 0);
		assert_int_equal(first, panbind_plan_unit(plan, i)->first);
		assert_int_equal(count, panbind_plan_unit(plan, i)->count);
	}
}

/* Every op went into the unit that counts it, or later ops of the batch cover it. */
static void assert_origins(const struct panbind_plan *plan, size_t ops)
{
	size_t dropped = 0, kept = 0;

	for (size_t i = 0; i < ops; i++) {
		uint32_t unit = panbind_plan_unit_of(plan, i);

		dropped += unit == PANBIND_NO_OP;
		assert_true(unit == PANBIND_NO_OP ||
			    (panbind_plan_unit(plan, unit)->first <= i && i <= panbind_plan_unit(plan, unit)->last));
	}
	for (size_t i = 0; i < panbind_plan_count(plan); i++)
		kept += panbind_plan_unit(plan, i)->count;
	assert_int_equal(panbind_plan_totals(plan)->dropped, dropped);
	assert_int_equal(kept + dropped, ops);
}

static void add_inverse(struct panbind_batch *batch, const struct panbind_op *op)
{
	if (op->type == PANBIND_OP_MAP)
		assert_int_equal(panbind_batch_map(batch, op->va, op->size, op->bo, op->bo_offset, op->flags, NULL), 0);
	else if (op->type == PANBIND_OP_UNMAP)
		assert_int_equal(panbind_batch_unmap(batch, op->va, op->size, NULL), 0);
	else
		assert_int_equal(panbind_batch_map_sparse(batch, op->va, op->size, NULL), 0);
}

static void run_inverse(struct twins *twins, const struct panbind_plan *plan)
{
	struct panbind_batch *batch;

	assert_int_equal(panbind_batch_create(&batch), 0);
	for (size_t i = panbind_plan_count(plan); i-- > 0;) {
		size_t count;
		const struct panbind_op *ops = panbind_plan_inverse(plan, i, &count);

		for (size_t j = 0; j < count; j++)
			add_inverse(batch, &ops[j]);
	}
	if (panbind_batch_count(batch) > 0)
		assert_int_equal(panbind_vm_bind(twins->merged, batch, 0, NULL), 0);
	panbind_batch_destroy(batch);
}

/* ---- A round ---- */

struct shown {
	size_t ops, units, splits, dropped;
};

static void bind_both(struct twins *twins, struct panbind_batch *batch, const struct panbind_plan *plan)
{
	struct panbind_gpu_stats before, after;
	size_t merged;

	assert_int_equal(panbind_vm_bind(twins->single, batch, 0, NULL), 0);
	assert_int_equal(panbind_batch_merge(batch), 0);
	assert_merged(batch, plan);
	merged = panbind_batch_count(batch);
	assert_int_equal(panbind_batch_merge(batch), 0);
	assert_int_equal(panbind_batch_count(batch), merged);
	assert_merged(batch, plan);

	twins->lock_count = 0;
	assert_int_equal(panbind_vm_gpu_stats(twins->merged, &before), 0);
	assert_int_equal(panbind_vm_bind(twins->merged, batch, 0, NULL), 0);
	assert_int_equal(panbind_vm_gpu_stats(twins->merged, &after), 0);
	assert_int_equal(after.locks - before.locks, panbind_plan_totals(plan)->driver_ops);
}

static void one_round(struct twins *twins, struct shown *shown)
{
	struct panbind_batch *batch;
	struct panbind_plan *plan;
	size_t ops;

	fill(twins);
	assert_int_equal(panbind_batch_create(&batch), 0);
	while (panbind_batch_count(batch) == 0 || below(twins, 10) > 0)
		add_op(twins, batch);
	ops = panbind_batch_count(batch);
	assert_int_equal(panbind_plan_create(twins->merged, batch, 0, &plan, NULL), 0);
	bind_both(twins, batch, plan);
	assert_same(twins, "merged and not merged");
	truth_assert(twins->merged);
	assert_locks(twins, plan);
	assert_origins(plan, ops);
	shown->ops += ops;
	shown->units += panbind_plan_count(plan);
	shown->splits += panbind_plan_totals(plan)->splits;
	shown->dropped += panbind_plan_totals(plan)->dropped;

	panbind_plan_destroy(plan);
	panbind_batch_destroy(batch);
	panbind_vm_destroy(twins->single);
	panbind_vm_destroy(twins->merged);
}

static void undo_round(struct twins *twins)
{
	struct panbind_batch *batch;
	struct panbind_plan *plan;

	fill(twins);
	assert_int_equal(panbind_batch_create(&batch), 0);
	while (panbind_batch_count(batch) == 0 || below(twins, 10) > 0)
		add_op(twins, batch);
	assert_int_equal(panbind_plan_create(twins->merged, batch, 0, &plan, NULL), 0);
	assert_int_equal(panbind_vm_bind(twins->merged, batch, 0, NULL), 0);
	run_inverse(twins, plan);
	assert_same(twins, "done and undone");

	panbind_plan_destroy(plan);
	panbind_batch_destroy(batch);
	panbind_vm_destroy(twins->single);
	panbind_vm_destroy(twins->merged);
}

static void run_rounds(const char *name, const char *spec)
{
	struct twins *twins = calloc(1, sizeof(*twins));
	struct shown shown = {0};

	assert_non_null(twins);
	twins->random = test_random_start(name);
	open_twins(twins, spec);
	for (twins->round = 0; twins->round < test_rounds(1000, 60000); twins->round++)
		one_round(twins, &shown);
	assert_true(shown.units + 300 < shown.ops); /* else this showed little */
	assert_true(shown.dropped > 100);
	assert_true(shown.splits > 500);
	close_twins(twins);
	free(twins);
}

static void a_plan_is_what_happens(void **state)
{
	run_rounds("plans on the simulator", "sim:");
}

static void a_plan_is_what_happens_where_sparse_is_emulated(void **state)
{
	run_rounds("plans on a simulated driver 1.8", "sim:minor=8");
}

static void the_inverse_brings_back_what_was(void **state)
{
	struct twins *twins = calloc(1, sizeof(*twins));

	assert_non_null(twins);
	twins->random = test_random_start("inverses of plans");
	open_twins(twins, "sim:");
	for (twins->round = 0; twins->round < test_rounds(1000, 40000); twins->round++)
		undo_round(twins);
	close_twins(twins);
	free(twins);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_what_happens),
		cmocka_unit_test(a_plan_is_what_happens_where_sparse_is_emulated),
		cmocka_unit_test(the_inverse_brings_back_what_was),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plan on the simulator", tests, NULL, NULL);
}
