/* SPDX-License-Identifier: MIT */
/*
 * The lock regions of panbind's plan, and those that the driver wrote.
 *
 * The plan is made by the library, on a VM of its own with the same mappings. It counts on blocks of 2 MiB wherever
 * they may be, and all memory of these remaps has them.
 */
#include <string.h>

#include "panbind.h"
#include "play.h"

struct planner {
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bos[MEM_COUNT];
	struct panbind_batch *batch;
	struct panbind_plan *plan;
	struct panbind_error error;
};

static int add(struct planner *planner, const struct remap_op *ops)
{
	int ret = 0;

	panbind_batch_clear(planner->batch);
	for (size_t i = 0; i < remap_count(ops) && !ret; i++) {
		const struct remap_op *op = &ops[i];

		if (op->type == REMAP_MAP)
			ret = panbind_batch_map(planner->batch, op->va, op->size, planner->bos[op->mem], op->offset, 0,
						&planner->error);
		else
			ret = panbind_batch_unmap(planner->batch, op->va, op->size, &planner->error);
	}
	return ret;
}

static int make_plan(struct planner *planner, const char *spec, const struct remap_case *remap)
{
	int ret = panbind_device_open(spec, &planner->device, &planner->error);

	if (!ret)
		ret = panbind_vm_create(planner->device, 0, &planner->vm, &planner->error);
	for (int i = 0; i < MEM_COUNT && !ret; i++)
		ret = panbind_bo_create(planner->device, MEM_SIZE, 0, NULL, &planner->bos[i], &planner->error);
	if (!ret)
		ret = panbind_batch_create(&planner->batch);
	if (!ret && remap_count(remap->before)) {
		ret = add(planner, remap->before);
		if (!ret)
			ret = panbind_vm_bind(planner->vm, planner->batch, 0, &planner->error);
	}
	if (!ret)
		ret = add(planner, remap->ops);
	if (!ret)
		ret = panbind_plan_create(planner->vm, planner->batch, remap->async ? PANBIND_PLAN_ASYNC : 0,
					  &planner->plan, &planner->error);
	return ret;
}

static void end_plan(struct planner *planner)
{
	panbind_plan_destroy(planner->plan);
	panbind_batch_destroy(planner->batch);
	for (int i = 0; i < MEM_COUNT; i++)
		panbind_bo_unref(planner->bos[i]);
	panbind_vm_destroy(planner->vm);
	panbind_device_unref(planner->device);
}

/* The LOCK at @at or behind it. */
static const struct as_command *next_lock(const struct record *record, size_t *at)
{
	while (*at < record->command_count) {
		const struct as_command *command = &record->commands[(*at)++];

		if (!strcmp(command->name, "LOCK"))
			return command;
	}
	return NULL;
}

/* A plan counts on a driver that locks all of a block that it cuts. */
static bool agrees(const struct subject *subject, const struct remap_case *remap, size_t op,
		   const struct panbind_plan_unit *unit, const struct as_command *lock)
{
	uint64_t va, size;

	remap_lock_region(remap, op, true, &va, &size);
	if (unit->lock_va != va || unit->lock_size != size)
		return false;
	remap_lock_region(remap, op, subject->widens, &va, &size);
	return lock->va == va && lock->size == size;
}

bool judge_plan(const char *spec, const struct subject *subject, const struct remap_case *remap,
		const struct record *record, char *ret_reason, size_t room)
{
	struct planner planner = {0};
	bool right = true;
	size_t at = 0;
	int ret;

	for (size_t i = 0; i < remap_count(remap->ops); i++)
		if (!remap->ops[i].size || remap->idle)
			return true; /* the library refuses the one, and a plan is for a VM in use */
	ret = make_plan(&planner, spec, remap);
	if (ret)
		bail_out("%s: no plan: %s (%s)", remap->name, planner.error.msg, panbind_errno_name(ret));
	for (size_t i = 0; right && i < panbind_plan_count(planner.plan); i++) {
		const struct panbind_plan_unit *unit = panbind_plan_unit(planner.plan, i);
		const struct as_command *lock = next_lock(record, &at);

		right = unit->count == 1 && lock && agrees(subject, remap, i, unit, lock);
		if (!right)
			snprintf(ret_reason, room, "unit %zu: the plan says 0x%llx+0x%llx, the driver %s0x%llx+0x%llx",
				 i, (unsigned long long)unit->lock_va, (unsigned long long)unit->lock_size,
				 lock ? "" : "nothing, ", (unsigned long long)(lock ? lock->va : 0),
				 (unsigned long long)(lock ? lock->size : 0));
	}
	/* The remaps go to the driver as they are: where the plan merges, that gets more. */
	if (right && subject->atomic && panbind_plan_count(planner.plan) == remap_count(remap->ops) &&
	    next_lock(record, &at)) {
		snprintf(ret_reason, room, "the driver locks more than the plan says");
		right = false;
	}
	end_plan(&planner);
	return right;
}
