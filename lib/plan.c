/* SPDX-License-Identifier: MIT */
/*
 * Plans: what a batch will do on the hardware, said before it does it.
 *
 * A unit is one op after merging (merge.c): then the GPU sees the changes of all that were merged at once, and the
 * driver locks once instead of many times.
 *
 * The driver makes each of its ops atomic for the GPU, by locking the op's range; so a unit is atomic when the device
 * is and the unit is one driver op. What is locked is wider than the range, and GPU accesses to all of it stall for as
 * long: plan_unit.c.
 *
 * Pure but for the last function: plans are built on a map and facts about a device, and nothing is changed.
 */
#include "plan.h"

#include <errno.h>

/* Units whose mappings are asked for ahead: in a shuffled batch they lie anywhere, and looks would wait for memory. */
#define AHEAD 4

#define KNOWN_FLAGS (PANBIND_PLAN_ASYNC | PANBIND_PLAN_FENCED)

/* ---- The guarantee ---- */

const char *panbind_guarantee_name(enum panbind_guarantee guarantee)
{
	static const char *const names[] = {
		[PANBIND_GUARANTEE_ACCESS] = "access",
		[PANBIND_GUARANTEE_FENCED] = "fenced",
		[PANBIND_GUARANTEE_RETURN] = "return",
		[PANBIND_GUARANTEE_NONE] = "none",
	};

	return (unsigned int)guarantee < PB_ARRAY_SIZE(names) ? names[guarantee] : "?";
}

static bool is_one_atomic_unit(const struct panbind_plan *plan)
{
	size_t changing = 0;

	for (size_t i = 0; i < plan->count; i++) {
		if (plan->units[i].op.type == PANBIND_OP_SYNC_ONLY)
			continue;
		if (++changing > 1 || plan->units[i].atomic != PANBIND_YES)
			return false;
	}
	return true;
}

static bool has_sync(const struct panbind_op *op, bool signal)
{
	for (uint32_t i = 0; i < op->sync_count; i++)
		if (!!op->syncs[i].signal == signal)
			return true;
	return false;
}

/** Does the batch wait before all of it and signal behind all of it, and do neither in between? */
static bool is_fenced(const struct panbind_batch *batch)
{
	const struct panbind_op *ops = batch->ops;
	size_t last = batch->count - 1;

	if (!has_sync(&ops[0], false) || !has_sync(&ops[last], true))
		return false;
	for (size_t i = 1; i <= last; i++)
		if (has_sync(&ops[i], false) || has_sync(&ops[i - 1], true))
			return false;
	return true;
}

static enum panbind_guarantee guarantee_of(const struct panbind_plan *plan, const struct panbind_batch *batch,
					   uint32_t flags)
{
	if (is_one_atomic_unit(plan))
		return PANBIND_GUARANTEE_ACCESS;
	if (flags & PANBIND_PLAN_FENCED || (flags & PANBIND_PLAN_ASYNC && is_fenced(batch)))
		return PANBIND_GUARANTEE_FENCED;
	return flags & PANBIND_PLAN_ASYNC ? PANBIND_GUARANTEE_NONE : PANBIND_GUARANTEE_RETURN;
}

/* ---- Building ---- */

/** The ops of a batch, merged apart from it. */
struct merged {
	struct panbind_op *ops;
	struct pb_origin *origins;
	size_t count;
};

static void free_merged(struct merged *merged)
{
	free(merged->ops);
	free(merged->origins);
}

static int merge(const struct panbind_batch *batch, uint32_t *into, struct merged *merged)
{
	merged->ops = pb_array_create(batch->count, sizeof(*merged->ops));
	merged->origins = pb_array_create(batch->count, sizeof(*merged->origins));
	if (merged->ops == NULL || merged->origins == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < batch->count; i++) {
		merged->ops[i] = batch->ops[i];
		merged->origins[i] = pb_batch_origin(batch, i);
	}
	return pb_merge(merged->ops, merged->origins, into, batch->count, &merged->count);
}

static int add_unit(struct panbind_plan *plan, const struct merged *merged, size_t index,
		    const struct pb_plan_input *input, struct pb_overlay *overlay)
{
	struct panbind_plan_unit *unit = &plan->units[plan->count++];
	int r;

	unit->op = merged->ops[index];
	unit->op.syncs = NULL;
	unit->op.sync_count = 0;
	unit->first = merged->origins[index].first;
	unit->last = merged->origins[index].last;
	unit->count = merged->origins[index].count;
	if (unit->op.bo != NULL)
		panbind_bo_ref(unit->op.bo);
	r = pb_plan_assess(plan, index, input, overlay);
	return r == 0 && index + 1 < merged->count ? pb_overlay_apply(overlay, &unit->op) : r;
}

static int fill(struct panbind_plan *plan, const struct pb_plan_input *input, const struct panbind_batch *batch)
{
	pb_cleanup(pb_overlay_destroy) struct pb_overlay overlay = {0};
	pb_cleanup(free_merged) struct merged merged = {0};
	int r;

	plan->into = calloc(batch->count, sizeof(*plan->into));
	r = plan->into != NULL ? merge(batch, plan->into, &merged) : -ENOMEM;
	if (r == 0)
		r = pb_overlay_init(&overlay, input->map, input->pieced);
	if (r < 0)
		return r;
	plan->op_count = batch->count;
	plan->units = pb_array_create(merged.count, sizeof(*plan->units));
	plan->more = pb_array_create(merged.count, sizeof(*plan->more));
	if (plan->units == NULL || plan->more == NULL)
		return -ENOMEM;
	/* nearly every unit has something to put back */
	r = pb_array_reserve((void **)&plan->inverse, &plan->inverse_room, merged.count, sizeof(*plan->inverse));
	for (size_t i = 0; r == 0 && i < merged.count; i++) {
		if (i + AHEAD < merged.count)
			pb_overlay_prefetch(&overlay, merged.ops[i + AHEAD].va);
		r = add_unit(plan, &merged, i, input, &overlay);
	}
	return r;
}

/** The batch may have been merged before: what counts are its ops as they were added. */
static void count_ops(struct panbind_plan *plan, const struct panbind_batch *batch)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->count; i++)
		kept += plan->units[i].count;
	plan->totals.ops = batch->origins != NULL ? batch->filled : batch->count;
	plan->totals.dropped = plan->totals.ops - kept;
}

int pb_plan_build(const struct pb_plan_input *input, const struct panbind_batch *batch, struct panbind_plan **ret_plan,
		  struct panbind_error *reterr)
{
	struct panbind_plan *plan = calloc(1, sizeof(*plan));
	int r = -ENOMEM;

	if (plan != NULL) {
		plan->native_sparse = input->native_sparse;
		plan->widens = input->atomic == PANBIND_YES;
		plan->unknown = input->unknown;
		r = fill(plan, input, batch);
		plan->unknown = NULL;
	}
	if (r < 0) {
		panbind_plan_destroy(plan);
		return pb_error_set(reterr, r, PANBIND_STAGE_VALIDATE, "no memory to plan %zu ops", batch->count);
	}
	count_ops(plan, batch);
	plan->totals.guarantee = guarantee_of(plan, batch, input->flags);
	*ret_plan = plan;
	return 0;
}

void panbind_plan_destroy(struct panbind_plan *plan)
{
	if (plan == NULL)
		return;
	for (size_t i = 0; i < plan->count; i++)
		panbind_bo_unref(plan->units[i].op.bo);
	for (size_t i = 0; i < plan->inverse_count; i++)
		panbind_bo_unref(plan->inverse[i].bo);
	for (size_t i = 0; i < plan->neighbour_count; i++)
		panbind_bo_unref(plan->neighbours[i].bo);
	free(plan->units);
	free(plan->more);
	free(plan->inverse);
	free(plan->neighbours);
	free(plan->into);
	free(plan);
}

/* ---- Reading ---- */

size_t panbind_plan_count(const struct panbind_plan *plan)
{
	return plan->count;
}

const struct panbind_plan_unit *panbind_plan_unit(const struct panbind_plan *plan, size_t index)
{
	return index < plan->count ? &plan->units[index] : NULL;
}

const struct panbind_plan_totals *panbind_plan_totals(const struct panbind_plan *plan)
{
	return &plan->totals;
}

uint32_t panbind_plan_unit_of(const struct panbind_plan *plan, size_t op)
{
	return op < plan->op_count ? plan->into[op] : PANBIND_NO_OP;
}

const struct panbind_op *panbind_plan_inverse(const struct panbind_plan *plan, size_t index, size_t *ret_count)
{
	size_t from = index > 0 && index < plan->count ? plan->more[index - 1].inverse_end : 0;

	*ret_count = index < plan->count ? plan->more[index].inverse_end - from : 0;
	return *ret_count > 0 ? &plan->inverse[from] : NULL;
}

const struct panbind_mapping *panbind_plan_neighbours(const struct panbind_plan *plan, size_t index, size_t *ret_count)
{
	size_t from = index > 0 && index < plan->count ? plan->more[index - 1].neighbours_end : 0;

	*ret_count = index < plan->count ? plan->more[index].neighbours_end - from : 0;
	return *ret_count > 0 ? &plan->neighbours[from] : NULL;
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
		.adopted = vm->adopted,
	};
	struct pb_plan_input input = {
		.map = vm->map,
		.pieced = vm->pieced,
		.unknown = vm->unknown,
		.atomic = device->info.atomic,
		.native_sparse = device->info.native_sparse == PANBIND_YES,
		.flags = flags,
	};
	int r;

	if ((flags & ~KNOWN_FLAGS) != 0)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "unknown plan flags 0x%x", flags);
	r = pb_vm_check_usable(vm, reterr);
	if (r == 0)
		r = pb_check_batch(&check, batch, reterr);
	return r < 0 ? r : pb_plan_build(&input, batch, ret_plan, reterr);
}
