/* SPDX-License-Identifier: MIT */
/*
 * From differences to ops, and running them.
 *
 * Order: regions that go are released; what else is mapped where new ones come is unmapped; new ones are reserved; then
 * everything else in order of VA, each range replaced in place.
 *
 * Why there are never more ops than differences: a release and a reserve each stand for a difference of their own. An
 * upset stretch is unmapped by one op, and only when something in it is gone, which no other op counts. Every later op
 * begins with a difference of its own, and differences that continue each other share one.
 */
#include <errno.h>

#include "state.h"

static int push(struct panbind_state_diff *diff, const struct panbind_state_op *op)
{
	if (pb_array_grow((void **)&diff->ops, &diff->op_room, diff->op_count, sizeof(*op)) < 0)
		return -ENOMEM;
	diff->ops[diff->op_count++] = *op;
	return 0;
}

static bool is_region(const struct panbind_state_difference *item, bool is_new)
{
	return item->type == PANBIND_DIFFERENCE_REGION &&
	       (is_new ? &item->to : &item->from)->backing == PANBIND_BACKING_SPARSE;
}

static int push_regions(struct panbind_state_diff *diff, bool is_new)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < diff->count; i++) {
		struct panbind_state_op op = {.va = diff->items[i].va, .size = diff->items[i].size};

		op.type = is_new ? PANBIND_CHANGE_SPARSE_RESERVE : PANBIND_CHANGE_SPARSE_RELEASE;
		if (is_region(&diff->items[i], is_new))
			r = push(diff, &op);
	}
	return r;
}

/* ---- Making room for new regions ---- */

/* Is [va, end) inside regions that go, which unmap it anyway? @at: the first item of the stretch. */
static bool is_released(const struct panbind_state_diff *diff, size_t at, uint64_t va, uint64_t end)
{
	for (; at < diff->count && va < end && diff->items[at].type == PANBIND_DIFFERENCE_REGION; at++) {
		const struct panbind_state_difference *item = &diff->items[at];

		if (!is_region(item, false))
			continue;
		if (item->va > va)
			return false;
		if (item->va + item->size > va)
			va = item->va + item->size;
	}
	return va >= end;
}

/* The items of one upset stretch: regions that go, regions that come, what is gone, and from `end` on what is new. */
struct stretch {
	size_t first, gone, end;
};

static struct stretch stretch_at(const struct panbind_state_diff *diff, size_t at)
{
	struct stretch stretch = {.first = at};
	const struct panbind_state_difference *items = diff->items;

	while (at < diff->count && items[at].type == PANBIND_DIFFERENCE_REGION)
		at++;
	stretch.gone = at;
	while (at < diff->count && items[at].anew && items[at].from.backing != PANBIND_BACKING_NONE)
		at++;
	stretch.end = at;
	return stretch;
}

/* Everything between the first and the last piece that is gone lies in the stretch, and is made anew later. */
static int push_clearing(struct panbind_state_diff *diff, const struct stretch *stretch)
{
	struct panbind_state_op op = {.type = PANBIND_CHANGE_UNMAP};

	for (size_t i = stretch->gone; i < stretch->end; i++) {
		const struct panbind_state_difference *item = &diff->items[i];

		if (is_released(diff, stretch->first, item->va, item->va + item->size))
			continue;
		if (op.size == 0)
			op.va = item->va;
		op.size = item->va + item->size - op.va;
	}
	return op.size > 0 ? push(diff, &op) : 0;
}

static int push_clearings(struct panbind_state_diff *diff)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < diff->count;) {
		struct stretch stretch = {.end = i + 1};

		if (diff->items[i].type == PANBIND_DIFFERENCE_REGION) {
			stretch = stretch_at(diff, i);
			r = push_clearing(diff, &stretch);
		}
		i = stretch.end;
	}
	return r;
}

/* ---- Everything else ---- */

static struct panbind_bo *object_of(const struct panbind_state_diff *diff, const struct panbind_state_bo *bo)
{
	uint32_t other = diff->match.from_of_to[bo - diff->to->bos];
	struct panbind_bo *there = other == PB_STATE_NO_MATCH ? NULL : diff->from->bos[other].bo;

	return there ? there : bo->bo;
}

static struct panbind_state_op op_of(const struct panbind_state_diff *diff, const struct panbind_state_difference *item)
{
	struct panbind_state_op op = {.type = PANBIND_CHANGE_UNMAP, .va = item->va, .size = item->size};

	if (item->to.backing == PANBIND_BACKING_SPARSE)
		op.type = PANBIND_CHANGE_MAP_SPARSE;
	if (item->to.backing != PANBIND_BACKING_BO)
		return op;
	op.type = PANBIND_CHANGE_MAP;
	op.bo = item->to.bo;
	op.object = object_of(diff, item->to.bo);
	op.bo_offset = item->to.bo_offset;
	op.flags = item->to.flags;
	return op;
}

/* Does @next go on where @op ends? An unmap may pass over what is a hole anyway. */
static bool joins(const struct panbind_state_diff *diff, const struct panbind_state_op *op,
		  const struct panbind_state_op *next)
{
	uint64_t end = op->va + op->size;

	if (op->type != next->type || next->va < end)
		return false;
	if (op->type == PANBIND_CHANGE_UNMAP)
		return next->va == end || pb_state_is_hole(diff->to, end, next->va);
	return next->va == end && op->bo == next->bo && op->flags == next->flags &&
	       (!op->bo || op->bo_offset + op->size == next->bo_offset);
}

/* A new region has its dummy already. */
static bool is_in_new_region(const struct panbind_state_diff *diff, size_t at)
{
	const struct panbind_state_difference *item = &diff->items[at];

	if (!item->anew || item->to.backing != PANBIND_BACKING_SPARSE)
		return false;
	for (size_t i = 0, high = diff->to->region_count; i < high;) {
		size_t middle = i + (high - i) / 2;
		const struct pb_region *region = &diff->to->regions[middle];

		if (pb_region_end(region) <= item->va)
			i = middle + 1;
		else if (region->va > item->va)
			high = middle;
		else
			return true;
	}
	return false;
}

static int push_rest(struct panbind_state_diff *diff)
{
	size_t first = diff->op_count;
	int r = 0;

	for (size_t i = 0; r == 0 && i < diff->count; i++) {
		const struct panbind_state_difference *item = &diff->items[i];
		struct panbind_state_op op;

		if (item->type != PANBIND_DIFFERENCE_RANGE || is_in_new_region(diff, i) ||
		    (item->anew && item->from.backing != PANBIND_BACKING_NONE))
			continue; /* the last: its region's release, or a clearing, has unmapped it */
		op = op_of(diff, item);
		if (diff->op_count > first && joins(diff, &diff->ops[diff->op_count - 1], &op))
			diff->ops[diff->op_count - 1].size = op.va + op.size - diff->ops[diff->op_count - 1].va;
		else
			r = push(diff, &op);
	}
	return r;
}

/* What only regions bring about; most states have none, and then there is nothing to look for. */
static int push_upsets(struct panbind_state_diff *diff)
{
	int r;

	if (diff->from->region_count == 0 && diff->to->region_count == 0)
		return 0;
	r = push_regions(diff, false);
	if (r == 0)
		r = push_clearings(diff);
	return r == 0 ? push_regions(diff, true) : r;
}

int pb_state_ops_build(struct panbind_state_diff *diff)
{
	int r = pb_array_reserve((void **)&diff->ops, &diff->op_room, diff->count, sizeof(*diff->ops));

	if (r == 0)
		r = push_upsets(diff);
	return r == 0 ? push_rest(diff) : r;
}

size_t panbind_state_diff_op_count(const struct panbind_state_diff *diff)
{
	return diff->op_count;
}

const struct panbind_state_op *panbind_state_diff_op(const struct panbind_state_diff *diff, size_t index)
{
	return index < diff->op_count ? &diff->ops[index] : NULL;
}

/* ---- Running ---- */

#define BATCH_OPS 4096

struct panbind_state_run {
	const struct panbind_state_diff *diff;
	struct panbind_vm *vm;
	struct panbind_txn *txn;
	struct panbind_batch *batch;
	uint32_t first; /* op of the diff that is the batch's first */
	size_t at;	/* the next op of the diff */
	bool failed;
};

/* An error counts ops from @at on. */
static void place(uint32_t at, struct panbind_error *reterr)
{
	if (reterr)
		reterr->op = at + (reterr->op == PANBIND_NO_OP ? 0 : reterr->op);
}

static int flush(struct panbind_state_run *run, struct panbind_error *reterr)
{
	int r;

	if (panbind_batch_count(run->batch) == 0)
		return 0;
	r = panbind_txn_bind(run->txn, run->vm, run->batch, NULL, reterr);
	if (r < 0)
		place(run->first, reterr);
	panbind_batch_clear(run->batch);
	return r;
}

static int gather(struct panbind_state_run *run, uint32_t at, const struct panbind_state_op *op,
		  struct panbind_error *reterr)
{
	struct panbind_batch *batch = run->batch;
	int r = panbind_batch_count(batch) < BATCH_OPS ? 0 : flush(run, reterr);

	if (r < 0)
		return r;
	if (panbind_batch_count(batch) == 0)
		run->first = at;
	if (op->type == PANBIND_CHANGE_MAP)
		r = panbind_batch_map(batch, op->va, op->size, op->object, op->bo_offset, op->flags, reterr);
	else if (op->type == PANBIND_CHANGE_MAP_SPARSE)
		r = panbind_batch_map_sparse(batch, op->va, op->size, reterr);
	else
		r = panbind_batch_unmap(batch, op->va, op->size, reterr);
	if (r < 0 && reterr)
		reterr->op = at; /* a batch counts in its own way */
	return r;
}

static int run_op(struct panbind_state_run *run, uint32_t at, struct panbind_error *reterr)
{
	const struct panbind_state_op *op = &run->diff->ops[at];
	int r;

	if (op->type != PANBIND_CHANGE_SPARSE_RELEASE && op->type != PANBIND_CHANGE_SPARSE_RESERVE)
		return gather(run, at, op, reterr);
	r = flush(run, reterr);
	if (r < 0)
		return r;
	if (op->type == PANBIND_CHANGE_SPARSE_RELEASE)
		r = panbind_txn_sparse_release(run->txn, run->vm, op->va, op->size, NULL, reterr);
	else
		r = panbind_txn_sparse_reserve(run->txn, run->vm, op->va, op->size, NULL, reterr);
	if (r < 0)
		place(at, reterr);
	return r;
}

static int check_objects(const struct panbind_state_diff *diff, struct panbind_error *reterr)
{
	for (size_t i = 0; i < diff->op_count; i++) {
		const struct panbind_state_op *op = &diff->ops[i];

		if (op->type == PANBIND_CHANGE_MAP && !op->object)
			return pb_error_at_op(reterr, -ENOENT, PANBIND_STAGE_VALIDATE, (uint32_t)i, op->va, op->size,
					      "there is no BO %.100s", op->bo->name ? op->bo->name : "of that state");
	}
	return 0;
}

static void free_run(struct panbind_state_run *run)
{
	panbind_batch_destroy(run->batch);
	free(run);
}

int panbind_state_run_begin(const struct panbind_state_diff *diff, struct panbind_vm *vm,
			    struct panbind_state_run **ret_run, struct panbind_error *reterr)
{
	struct panbind_state_run *run;
	int r = check_objects(diff, reterr);

	if (r < 0)
		return r;
	run = calloc(1, sizeof(*run));
	if (!run || panbind_batch_create(&run->batch) < 0 || panbind_txn_begin(vm->device, &run->txn) < 0) {
		if (run)
			free_run(run);
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");
	}
	run->diff = diff;
	run->vm = vm;
	*ret_run = run;
	return 0;
}

int panbind_state_run_step(struct panbind_state_run *run, size_t count, struct panbind_error *reterr)
{
	size_t left = run->diff->op_count - run->at;
	size_t end = run->at + (count < left ? count : left);
	int r = 0;

	if (run->failed)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "an op has failed before");
	for (; r == 0 && run->at < end; run->at++)
		r = run_op(run, (uint32_t)run->at, reterr);
	if (r == 0)
		r = flush(run, reterr);
	run->failed = r < 0;
	return r < 0 ? r : run->at < run->diff->op_count;
}

void panbind_state_run_commit(struct panbind_state_run *run)
{
	if (!run)
		return;
	panbind_txn_commit(run->txn);
	free_run(run);
}

int panbind_state_run_rollback(struct panbind_state_run *run, enum panbind_outcome *ret_outcome,
			       struct panbind_error *reterr)
{
	int r = panbind_txn_rollback(run->txn, ret_outcome, reterr);

	free_run(run);
	return r;
}

int panbind_state_diff_run(const struct panbind_state_diff *diff, struct panbind_vm *vm,
			   enum panbind_outcome *ret_outcome, struct panbind_error *reterr)
{
	struct panbind_error second = {.op = PANBIND_NO_OP};
	enum panbind_outcome outcome = PANBIND_OUTCOME_ROLLED_BACK;
	struct panbind_state_run *run = NULL;
	int r = panbind_state_run_begin(diff, vm, &run, reterr);

	if (run) {
		r = panbind_state_run_step(run, SIZE_MAX, reterr);
		if (r == 0) {
			outcome = PANBIND_OUTCOME_APPLIED;
			panbind_state_run_commit(run);
		} else if (panbind_state_run_rollback(run, &outcome, &second) < 0 && reterr) {
			*reterr = second;
		}
	}
	if (ret_outcome)
		*ret_outcome = outcome;
	return r;
}
