/* SPDX-License-Identifier: MIT */
/*
 * Random work through the public API on simulated devices, with failures injected at random places. After each step
 * three accounts of each VM have to agree: this test's own pages, the library's live mappings, the page tables.
 *
 * A run consists of episodes: a device of a random feature level with a random fault plan, two VMs, some BOs, and a few
 * hundred steps. What a failed step may leave behind is what panbind.h promises: nothing of a single op or of a
 * transaction that was rolled back; the ops before the failing one of a plain batch; after PARTIAL exactly what the
 * library says. A VM that was given up is replaced.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"
#include "live_pages.h"
#include "seed.h"

#define PAGE	UINT64_C(4096)
#define MIB	(UINT64_C(1) << 20)
#define BLOCK	512u /* pages of a 2 MiB block */
#define PAGES	1024u
/* The window holds one whole block, and half of one on either side. */
#define BASE	((UINT64_C(1) << 30) - MIB)
#define BO_SIZE (4 * MIB)
#define BOS	4
#define VMS	2
#define STEPS	200 /* of an episode */
#define SPEC	16384

enum faults { NO_FAULTS, FAULTS };

struct vm {
	struct panbind_vm *vm;
	struct live_pages pages, saved;
	uint64_t timeline_point;
};

struct world {
	struct test_random random;
	struct panbind_device *device;
	struct vm vms[VMS];
	struct panbind_bo *bos[BOS];
	struct panbind_syncobj *timeline;
	uint64_t point;
	struct panbind_batch *batch;
	struct panbind_error err;
	char spec[SPEC];
	size_t step;
	const char *doing;
	/* what happened, to know that this showed something */
	size_t done, failed, rolled_back, partial, unknown, given_up;
};

static uint64_t below(struct world *w, uint64_t limit)
{
	return test_random_below(&w->random, limit);
}

static bool one_in(struct world *w, uint64_t n)
{
	return below(w, n) == 0;
}

/* ---- Fault plans ---- */

static const char *any_errno(struct world *w)
{
	static const char *const names[] = {"ENOMEM", "ENOMEM", "EINTR", "EINTR", "EAGAIN", "EIO", "EINVAL"};

	return names[below(w, PB_ARRAY_SIZE(names))];
}

static void add_fault(struct world *w, size_t bind)
{
	size_t used = strlen(w->spec);
	const char *name = any_errno(w);

	if (used + 64 > sizeof(w->spec))
		return;
	if (one_in(w, 4))
		snprintf(w->spec + used, 64, ",fault=VM_BIND#%zu=%s", bind, name);
	else
		snprintf(w->spec + used, 64, ",fault=VM_BIND#%zu:op=%" PRIu64 ":%s%s", bind, below(w, 5), name,
			 name[1] == 'N' && one_in(w, 3) ? ":mid" : "");
}

static void write_spec(struct world *w, enum faults faults, unsigned int minor)
{
	snprintf(w->spec, sizeof(w->spec), "sim:minor=%u,atomic=%s", minor, one_in(w, 4) ? "off" : "on");
	for (size_t bind = 1; faults == FAULTS && bind < STEPS * 3 / 2; bind++) {
		if (!one_in(w, 8))
			continue;
		add_fault(w, bind);
		if (one_in(w, 3)) /* the rollback, too */
			add_fault(w, bind + 1);
	}
}

/* ---- Comparing ---- */

static void fail_at(const struct world *w, const char *what, uint64_t va)
{
	printf("# %s\n", w->spec);
	fail_msg("step %zu (%s): %s at 0x%" PRIx64, w->step, w->doing, what, va);
}

#define demand(w, truth)                                    \
	do {                                                \
		if (!(truth))                               \
			fail_at(w, "not true: " #truth, 0); \
	} while (0)

static void assert_agree(const struct world *w, const struct vm *vm)
{
	uint64_t va;
	const char *difference = live_differs_from_library(&vm->pages, vm->vm, &va);

	if (difference == NULL)
		difference = live_differs_from_driver(&vm->pages, vm->vm, &va);
	if (difference != NULL)
		fail_at(w, difference, va);
	if (pb_vamap_check(vm->vm->map) != 0)
		fail_at(w, "the map of mappings is unsound", 0);
}

static void replace_vm(struct world *w, struct vm *vm)
{
	panbind_vm_destroy(vm->vm);
	live_reset(&vm->pages);
	demand(w, panbind_vm_create(w->device, 0, &vm->vm, NULL) == 0);
	w->given_up++;
}

/* A VM that is still in use has to be what it should be; one that was given up is replaced. */
static void settle(struct world *w, struct vm *vm)
{
	enum panbind_vm_state state;

	demand(w, panbind_vm_get_state(vm->vm, &state) == 0);
	if (state == PANBIND_VM_USABLE)
		assert_agree(w, vm);
	else
		replace_vm(w, vm);
}

/* ---- Random ops ---- */

static void random_range(struct world *w, uint64_t *ret_va, uint64_t *ret_size)
{
	uint64_t first = below(w, PAGES), count = 1 + below(w, 16);

	switch (below(w, 16)) {
	case 0:
		first = PAGES / 4;
		count = BLOCK;
		break;
	case 1:
		count = 1 + below(w, PAGES);
		break;
	case 2:
	case 3:
	case 4:
		first &= ~UINT64_C(15);
		count = 16;
		break;
	}
	if (count > PAGES - first)
		count = PAGES - first;
	*ret_va = BASE + first * PAGE;
	*ret_size = count * PAGE;
}

static struct panbind_op random_op(struct world *w)
{
	struct panbind_op op = {.type = (enum panbind_op_type)below(w, 3)};

	random_range(w, &op.va, &op.size);
	if (op.type == PANBIND_OP_MAP) {
		op.bo = w->bos[below(w, BOS)];
		op.bo_offset = below(w, (BO_SIZE - op.size) / PAGE + 1) * PAGE;
		if (op.size == BLOCK * PAGE && one_in(w, 2))
			op.bo_offset = below(w, 2) * BLOCK * PAGE;
		op.flags = one_in(w, 4) ? (uint32_t)below(w, 8) : 0;
	}
	return op;
}

static void add_op(struct world *w, const struct panbind_op *op)
{
	int r;

	if (op->type == PANBIND_OP_MAP)
		r = panbind_batch_map(w->batch, op->va, op->size, op->bo, op->bo_offset, op->flags, NULL);
	else if (op->type == PANBIND_OP_UNMAP)
		r = panbind_batch_unmap(w->batch, op->va, op->size, NULL);
	else
		r = panbind_batch_map_sparse(w->batch, op->va, op->size, NULL);
	demand(w, r == 0);
}

static void random_batch(struct world *w)
{
	panbind_batch_clear(w->batch);
	for (uint64_t i = 1 + below(w, 6); i > 0; i--) {
		struct panbind_op op = random_op(w);

		add_op(w, &op);
	}
}

/* The first @count ops of the batch have happened. */
static void batch_happened(struct world *w, struct vm *vm, size_t count)
{
	for (size_t i = 0; i < count; i++)
		live_apply(&vm->pages, panbind_batch_op(w->batch, i));
}

/* ---- Steps ---- */

static struct vm *any_vm(struct world *w)
{
	return &w->vms[below(w, VMS)];
}

/* A single op that succeeded has happened, one that failed has not. */
static void single_result(struct world *w, struct vm *vm, const struct panbind_op *op, int r)
{
	if (r == 0)
		live_apply(&vm->pages, op);
	else
		w->failed++;
	settle(w, vm);
}

static void step_single(struct world *w)
{
	struct panbind_op op = random_op(w);
	struct vm *vm = any_vm(w);
	int r;

	w->doing = op.type == PANBIND_OP_MAP ? "map" : "unmap";
	if (op.type == PANBIND_OP_MAP) {
		r = panbind_vm_map(vm->vm, op.va, op.size, op.bo, op.bo_offset, op.flags, NULL);
	} else {
		op.type = PANBIND_OP_UNMAP;
		r = panbind_vm_unmap(vm->vm, op.va, op.size, NULL);
	}
	single_result(w, vm, &op, r);
}

/* Somewhere in a region that exists, or anywhere when there is none. */
static void inside_region(struct world *w, struct panbind_vm *vm, struct panbind_op *op)
{
	uint64_t va, size, page;

	if (panbind_sparse_next_region(vm, BASE + below(w, PAGES) * PAGE, &va, &size) < 0)
		return;
	page = below(w, size / PAGE);
	op->va = va + page * PAGE;
	op->size = (1 + below(w, size / PAGE - page)) * PAGE;
	if (op->bo_offset + op->size > BO_SIZE)
		op->bo_offset = 0;
}

static void step_sparse_reserve(struct world *w)
{
	struct panbind_op op = random_op(w), free = {.type = PANBIND_OP_UNMAP};
	struct vm *vm = any_vm(w);
	uint64_t va, size;

	w->doing = "sparse reserve";
	/* Most of the window is in use most of the time: make room, unless a region is in the way. */
	free.va = op.va;
	free.size = op.size;
	if (panbind_sparse_next_region(vm->vm, op.va, &va, &size) < 0 || va >= op.va + op.size) {
		struct panbind_vm *same = vm->vm;

		single_result(w, vm, &free, panbind_vm_unmap(vm->vm, op.va, op.size, NULL));
		if (vm->vm != same)
			return;
	}
	op.type = PANBIND_OP_MAP_SPARSE;
	single_result(w, vm, &op, panbind_sparse_reserve(vm->vm, op.va, op.size, NULL));
}

static void step_sparse_bind(struct world *w)
{
	struct panbind_op op = random_op(w);
	struct vm *vm = any_vm(w);

	w->doing = "sparse bind";
	op.type = PANBIND_OP_MAP;
	op.bo = w->bos[below(w, BOS)];
	op.flags = 0;
	op.bo_offset = below(w, (BO_SIZE - op.size) / PAGE + 1) * PAGE;
	inside_region(w, vm->vm, &op);
	single_result(w, vm, &op, panbind_sparse_bind(vm->vm, op.va, op.size, op.bo, op.bo_offset, op.flags, NULL));
}

static void step_sparse_unbind(struct world *w)
{
	struct panbind_op op = {.type = PANBIND_OP_MAP_SPARSE};
	struct vm *vm = any_vm(w);

	w->doing = "sparse unbind";
	random_range(w, &op.va, &op.size);
	inside_region(w, vm->vm, &op);
	single_result(w, vm, &op, panbind_sparse_unbind(vm->vm, op.va, op.size, NULL));
}

static void step_sparse_release(struct world *w)
{
	struct panbind_op op = {.type = PANBIND_OP_UNMAP};
	struct vm *vm = any_vm(w);

	w->doing = "sparse release";
	if (panbind_sparse_next_region(vm->vm, BASE + below(w, PAGES) * PAGE, &op.va, &op.size) < 0)
		return;
	single_result(w, vm, &op, panbind_sparse_release(vm->vm, op.va, op.size, NULL));
}

/* A plain batch that fails keeps the ops before the failing one. */
static void step_batch(struct world *w)
{
	struct vm *vm = any_vm(w);
	int r;

	w->doing = "batch";
	random_batch(w);
	r = panbind_vm_bind(vm->vm, w->batch, 0, &w->err);
	if (r == 0) {
		batch_happened(w, vm, panbind_batch_count(w->batch));
	} else {
		demand(w, w->err.stage == PANBIND_STAGE_SUBMIT);
		demand(w, w->err.op < panbind_batch_count(w->batch));
		batch_happened(w, vm, w->err.op);
		w->failed++;
	}
	settle(w, vm);
}

/* An asynchronous batch is taken whole or refused whole; once it is done, what it did must be there. */
static void step_async(struct world *w)
{
	struct vm *vm = any_vm(w);
	uint64_t point = w->point + 1;
	int r;

	w->doing = "asynchronous batch";
	random_batch(w);
	demand(w, panbind_batch_wait(w->batch, w->timeline, w->point) == 0);
	demand(w, panbind_batch_signal(w->batch, w->timeline, point) == 0);
	r = panbind_vm_bind(vm->vm, w->batch, PANBIND_BIND_ASYNC, &w->err);
	if (r == 0) {
		w->point = point;
		r = panbind_syncobj_wait(&w->timeline, &point, 1, PANBIND_WAIT_ALL, INT64_C(10000000000), NULL);
		demand(w, r == 0);
		batch_happened(w, vm, panbind_batch_count(w->batch));
	} else {
		w->failed++;
	}
	settle(w, vm);
}

static void step_transaction(struct world *w)
{
	enum panbind_outcome outcome;
	struct vm *vm = any_vm(w);
	int r;

	w->doing = "transaction";
	random_batch(w);
	r = panbind_txn_run(vm->vm, w->batch, &outcome, &w->err);
	demand(w, (r == 0) == (outcome == PANBIND_OUTCOME_APPLIED));
	switch (outcome) {
	case PANBIND_OUTCOME_APPLIED:
		batch_happened(w, vm, panbind_batch_count(w->batch));
		break;
	case PANBIND_OUTCOME_ROLLED_BACK:
		w->rolled_back++;
		break;
	case PANBIND_OUTCOME_PARTIAL:
		w->partial++;
		demand(w, w->err.stage == PANBIND_STAGE_ROLLBACK);
		demand(w, panbind_vm_poison_reason(vm->vm) != NULL);
		live_read(&vm->pages, vm->vm); /* what remains, the library says; it has to be true */
		assert_agree(w, vm);
		break;
	case PANBIND_OUTCOME_UNKNOWN:
		w->unknown++;
		demand(w, panbind_vm_poison_reason(vm->vm) != NULL);
		break;
	}
	settle(w, vm);
}

static void step_long_transaction(struct world *w)
{
	enum panbind_outcome outcome;
	struct panbind_txn *txn;

	w->doing = "transaction in steps";
	for (size_t i = 0; i < VMS; i++)
		live_copy(&w->vms[i].saved, &w->vms[i].pages);
	demand(w, panbind_txn_begin(w->device, &txn) == 0);
	for (uint64_t i = 1 + below(w, 3); i > 0; i--) {
		struct vm *vm = any_vm(w);

		random_batch(w);
		if (panbind_txn_bind(txn, vm->vm, w->batch, &outcome, &w->err) == 0)
			batch_happened(w, vm, panbind_batch_count(w->batch));
	}
	if (one_in(w, 2)) {
		panbind_txn_commit(txn);
	} else {
		panbind_txn_rollback(txn, &outcome, NULL);
		w->rolled_back += outcome == PANBIND_OUTCOME_ROLLED_BACK;
		for (size_t i = 0; i < VMS; i++)
			live_copy(&w->vms[i].pages, &w->vms[i].saved);
	}
	for (size_t i = 0; i < VMS; i++)
		settle(w, &w->vms[i]);
}

/* Let go of a BO: what is mapped of it stays. */
static void step_new_bo(struct world *w)
{
	struct panbind_bo **bo = &w->bos[below(w, BOS)], *fresh;

	w->doing = "new BO";
	panbind_batch_clear(w->batch);
	demand(w, panbind_bo_create(w->device, BO_SIZE, 0, NULL, &fresh, NULL) == 0);
	panbind_bo_unref(*bo);
	*bo = fresh;
	for (size_t i = 0; i < VMS; i++)
		settle(w, &w->vms[i]);
}

static void one_step(struct world *w)
{
	static void (*const steps[])(struct world *) = {
		step_single,
		step_single,
		step_single,
		step_single,
		step_batch,
		step_batch,
		step_async,
		step_transaction,
		step_transaction,
		step_transaction,
		step_long_transaction,
		step_sparse_reserve,
		step_sparse_bind,
		step_sparse_bind,
		step_sparse_unbind,
		step_sparse_release,
	};

	if (one_in(w, 40))
		step_new_bo(w);
	else
		steps[below(w, PB_ARRAY_SIZE(steps))](w);
	w->step++;
	w->done++;
}

/* ---- Episodes ---- */

static void open_world(struct world *w)
{
	struct panbind_error err;

	if (panbind_device_open(w->spec, &w->device, &err) < 0)
		fail_msg("%s: column %u: %s", w->spec, err.column, err.msg);
	for (size_t i = 0; i < VMS; i++) {
		demand(w, panbind_vm_create(w->device, 0, &w->vms[i].vm, NULL) == 0);
		live_init(&w->vms[i].pages, BASE, PAGES);
		live_init(&w->vms[i].saved, BASE, PAGES);
	}
	for (size_t i = 0; i < BOS; i++)
		demand(w, panbind_bo_create(w->device, BO_SIZE, 0, NULL, &w->bos[i], NULL) == 0);
	demand(w, panbind_syncobj_create(w->device, 0, &w->timeline) == 0);
	demand(w, panbind_syncobj_signal(w->timeline, 1) == 0);
	w->point = 1;
	demand(w, panbind_batch_create(&w->batch) == 0);
}

static void close_world(struct world *w)
{
	panbind_batch_destroy(w->batch);
	for (size_t i = 0; i < VMS; i++) {
		panbind_vm_destroy(w->vms[i].vm);
		live_fini(&w->vms[i].pages);
		live_fini(&w->vms[i].saved);
	}
	for (size_t i = 0; i < BOS; i++)
		panbind_bo_unref(w->bos[i]);
	panbind_syncobj_unref(w->timeline);
	panbind_device_unref(w->device);
}

static struct world play(const char *what, enum faults faults, unsigned int low, unsigned int high, size_t steps)
{
	struct world w = {.random = test_random_start(what)};

	while (w.done < steps) {
		write_spec(&w, faults, low + (unsigned int)below(&w, high - low + 1));
		open_world(&w);
		for (w.step = 0; w.step < STEPS;)
			one_step(&w);
		close_world(&w);
	}
	printf("# note: %s: %zu steps, %zu failed alone or in a batch, %zu transactions rolled back, %zu partial, "
	       "%zu unknown, %zu VMs given up\n",
	       what, w.done, w.failed, w.rolled_back, w.partial, w.unknown, w.given_up);
	return w;
}

static void all_accounts_agree_when_nothing_fails(void **state)
{
	struct world w = play("no faults", NO_FAULTS, 0, 9, test_rounds(4000, 200000));

	assert_int_equal(w.given_up, 0);
	assert_int_equal(w.partial, 0);
	assert_int_equal(w.unknown, 0);
}

static void assert_was_worth_it(const struct world *w)
{
	assert_true(w->failed > 20);
	assert_true(w->rolled_back > 20);
	assert_true(w->given_up > 0);
}

static void all_accounts_agree_after_failures(void **state)
{
	struct world w = play("faults, MAP_SPARSE", FAULTS, 9, 9, test_rounds(4000, 400000));

	assert_was_worth_it(&w);
}

static void all_accounts_agree_after_failures_with_emulated_sparse(void **state)
{
	struct world w = play("faults, emulated sparse", FAULTS, 0, 8, test_rounds(4000, 400000));

	assert_was_worth_it(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_accounts_agree_when_nothing_fails),
		cmocka_unit_test(all_accounts_agree_after_failures),
		cmocka_unit_test(all_accounts_agree_after_failures_with_emulated_sparse),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("random binds", tests, NULL, NULL);
}
