/* SPDX-License-Identifier: MIT */
/*
 * Plans: what a batch will do on the hardware, said before it does it.
 *
 * A unit is one op after merging. Neighbours in the batch are merged when one op can do the work of both: then the GPU
 * sees both changes at once, and the driver locks once instead of twice. A wait before the second or a signal behind
 * the first keeps them apart, since merging would move work across a point that others can see.
 *
 * The driver makes each of its ops atomic for the GPU, by locking the op's range; so a unit is atomic when the device
 * is and the unit is one driver op. What is locked is wider than the range: an aligned power of two. GPU accesses to
 * all of it stall for as long.
 *
 * Pure but for the last function: plans are built on a map and facts about a device, and nothing is changed.
 */
#include <errno.h>

#include "internal.h"
#include "plan_overlay.h"

#define MIN_LOCK_BITS 15 /* 32 KiB */

struct panbind_plan {
	struct panbind_plan_unit *units; /* each op's BO is counted */
	size_t count;
};

void panbind_lock_region(uint64_t va, uint64_t size, uint64_t *ret_va, uint64_t *ret_size)
{
	uint64_t last = size - 1 > UINT64_MAX - va ? UINT64_MAX : va + size - 1;
	int bits = va == last ? 0 : 64 - __builtin_clzll(va ^ last);

	if (bits < MIN_LOCK_BITS)
		bits = MIN_LOCK_BITS;
	if (bits == 64) { /* all of it, less a byte that cannot be said */
		*ret_va = 0;
		*ret_size = UINT64_MAX;
		return;
	}
	*ret_size = UINT64_C(1) << bits;
	*ret_va = va & ~(*ret_size - 1);
}

static bool has_sync(const struct panbind_op *op, bool signal)
{
	for (uint32_t i = 0; i < op->sync_count; i++)
		if (!!op->syncs[i].signal == signal)
			return true;
	return false;
}

/* Does one mapping continue the other, whichever comes first in VA? */
static bool continues(const struct panbind_op *low, const struct panbind_op *high)
{
	return low->va + low->size == high->va && low->bo_offset + low->size == high->bo_offset;
}

static bool touches(const struct panbind_op *a, const struct panbind_op *b)
{
	return a->va <= b->va + b->size && b->va <= a->va + a->size;
}

/* Can one op do what @merged and, right after it, @next do? */
static bool can_merge(const struct panbind_op *merged, const struct panbind_op *next)
{
	if (merged->type != next->type)
		return false;
	switch (merged->type) {
	case PANBIND_OP_MAP:
		return merged->bo == next->bo && merged->flags == next->flags &&
		       (continues(merged, next) || continues(next, merged));
	case PANBIND_OP_UNMAP:
	case PANBIND_OP_MAP_SPARSE:
		return touches(merged, next);
	case PANBIND_OP_SYNC_ONLY:
		break;
	}
	return false;
}

static void merge(struct panbind_op *merged, const struct panbind_op *next)
{
	uint64_t end = merged->va + merged->size, next_end = next->va + next->size;

	if (next->va < merged->va) {
		merged->va = next->va;
		merged->bo_offset = next->bo_offset;
	}
	merged->size = (next_end > end ? next_end : end) - merged->va;
}

/* Merge the ops from @first on into one, as far as that goes. */
static void gather(const struct panbind_batch *batch, size_t first, struct panbind_plan_unit *ret_unit)
{
	struct panbind_op op = batch->ops[first];
	size_t end = first + 1;

	for (; end < batch->count; end++) {
		const struct panbind_op *next = &batch->ops[end];

		if (has_sync(&batch->ops[end - 1], true) || has_sync(next, false) || !can_merge(&op, next))
			break;
		merge(&op, next);
	}
	op.syncs = NULL;
	op.sync_count = 0;
	ret_unit->op = op;
	ret_unit->first = (uint32_t)first;
	ret_unit->count = (uint32_t)(end - first);
}

static uint32_t clamp(uint64_t value)
{
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static enum panbind_tristate atomicity(const struct panbind_plan_unit *unit, enum panbind_tristate device)
{
	if (unit->op.type == PANBIND_OP_SYNC_ONLY)
		return PANBIND_YES; /* it changes nothing that a GPU could see halfway */
	return unit->driver_ops > 1 ? PANBIND_NO : device;
}

/* What the hardware and the live mappings make of a unit. */
static void assess(struct panbind_plan_unit *unit, const struct pb_plan_input *input, const struct pb_overlay *overlay)
{
	const struct panbind_op *op = &unit->op;

	unit->driver_ops = clamp(pb_driver_ops(op, input->native_sparse));
	unit->atomic = atomicity(unit, input->atomic);
	if (op->type == PANBIND_OP_SYNC_ONLY)
		return;
	panbind_lock_region(op->va, op->size, &unit->lock_va, &unit->lock_size);
	unit->replaces = clamp(pb_overlay_count(overlay, op->va, op->size));
}

static int add_unit(struct panbind_plan *plan, const struct panbind_plan_unit *unit, size_t *room)
{
	struct panbind_plan_unit *units = plan->units;

	if (plan->count == *room) {
		size_t more = *room > 0 ? *room * 2 : 8;

		units = reallocarray(units, more, sizeof(*units));
		if (units == NULL)
			return -ENOMEM;
		plan->units = units;
		*room = more;
	}
	if (unit->op.bo != NULL)
		panbind_bo_ref(unit->op.bo);
	plan->units[plan->count++] = *unit;
	return 0;
}

static int fill(struct panbind_plan *plan, const struct pb_plan_input *input, const struct panbind_batch *batch,
		struct pb_overlay *overlay)
{
	size_t room = 0;
	int r = 0;

	for (size_t first = 0; r == 0 && first < batch->count;) {
		struct panbind_plan_unit unit = {0};

		gather(batch, first, &unit);
		assess(&unit, input, overlay);
		r = add_unit(plan, &unit, &room);
		if (r == 0)
			r = pb_overlay_apply(overlay, &unit.op);
		first += unit.count;
	}
	return r;
}

int pb_plan_build(const struct pb_plan_input *input, const struct panbind_batch *batch, struct panbind_plan **ret_plan,
		  struct panbind_error *reterr)
{
	pb_cleanup(pb_overlay_destroy) struct pb_overlay overlay = {0};
	struct panbind_plan *plan = calloc(1, sizeof(*plan));
	int r = plan != NULL ? pb_overlay_init(&overlay, input->map) : -ENOMEM;

	if (r == 0)
		r = fill(plan, input, batch, &overlay);
	if (r < 0) {
		panbind_plan_destroy(plan);
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "no memory to plan %zu ops", batch->count);
	}
	*ret_plan = plan;
	return 0;
}

void panbind_plan_destroy(struct panbind_plan *plan)
{
	if (plan == NULL)
		return;
	for (size_t i = 0; i < plan->count; i++)
		panbind_bo_unref(plan->units[i].op.bo);
	free(plan->units);
	free(plan);
}

size_t panbind_plan_count(const struct panbind_plan *plan)
{
	return plan->count;
}

const struct panbind_plan_unit *panbind_plan_unit(const struct panbind_plan *plan, size_t index)
{
	return index < plan->count ? &plan->units[index] : NULL;
}

int panbind_plan_create(struct panbind_vm *vm, const struct panbind_batch *batch, uint32_t flags,
			struct panbind_plan **ret_plan, struct panbind_error *reterr)
{
	const struct panbind_device *device = vm->device;
	struct pb_check check = {
		.device = device,
		.va_range = vm->va_range,
		.vm_id = vm->id,
		.async = (flags & PANBIND_PLAN_ASYNC) != 0,
	};
	struct pb_plan_input input = {
		.map = vm->map,
		.atomic = device->info.atomic,
		.native_sparse = device->info.native_sparse == PANBIND_YES,
	};
	int r;

	if ((flags & ~PANBIND_PLAN_ASYNC) != 0)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "unknown plan flags 0x%x", flags);
	r = pb_vm_check_usable(vm, reterr);
	if (r == 0)
		r = pb_check_batch(&check, batch, reterr);
	return r < 0 ? r : pb_plan_build(&input, batch, ret_plan, reterr);
}
