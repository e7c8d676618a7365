/* SPDX-License-Identifier: MIT */
/*
 * What an unpatched driver does not survive, or warns of (kernel/patches says more):
 * - an array so long that it warns, as that of page tables for a sparse map of 1 TiB is;
 * - SYNCOBJ_DESTROY of handle 0, which is none: from then on 7.3 gives 0 to a new syncobj;
 * - a sync file as a point of a timeline: 7.3 warns when its fence came from a point itself;
 * and in asynchronous ops:
 * - a SIGNAL on a syncobj that is not there: a NULL dereference;
 * - a WAIT on what only the same op or a later one of the same call signals: a warning;
 * - a MAP of size 0: a VMA of no length, which at VA 0 the driver's own tree takes for one without end, and which
 *   elsewhere may be left behind together with its BO and VM;
 * and when a VM that had such ops is gone:
 * - questions about fences: one that came from it names a scheduler in memory that is free.
 */
#include <string.h>

#include "run.h"

bool diff_is_huge(uint64_t count, size_t size)
{
	return count * size > INT32_MAX;
}

static bool is_huge(const struct diff_world *world, const struct diff_node *node, size_t size)
{
	return !diff_get_auto(node, "count") && diff_is_huge(diff_get(world, node, "count") & UINT32_MAX, size);
}

static bool same_point(const struct diff_world *world, const struct diff_node *a, const struct diff_node *b)
{
	return diff_get(world, a, "sync") == diff_get(world, b, "sync") &&
	       diff_get(world, a, "point") == diff_get(world, b, "point");
}

/* As the op will have it: a broken flag makes the one of the other. */
static bool is_signal(const struct diff_world *world, const struct diff_node *sync)
{
	bool signal = strcmp(sync->type->name, "signal_to") == 0;

	return signal != !!(diff_get(world, sync, "flags") & PB_SYNC_SIGNAL);
}

/* Does op @first of the call, or one behind it, signal what @wait waits for? */
static bool is_backwards(const struct diff_world *world, const struct diff_node *bind, uint32_t first,
			 const struct diff_node *wait)
{
	for (uint32_t i = first; i < bind->children; i++) {
		const struct diff_node *op = &bind->child[i];

		for (uint32_t k = 0; k < op->children; k++)
			if (is_signal(world, &op->child[k]) && same_point(world, wait, &op->child[k]))
				return true;
	}
	return false;
}

static bool has_backward_wait(const struct diff_world *world, const struct diff_node *bind)
{
	for (uint32_t i = 0; i < bind->children; i++) {
		const struct diff_node *op = &bind->child[i];

		for (uint32_t k = 0; k < op->children; k++)
			if (!is_signal(world, &op->child[k]) && is_backwards(world, bind, i, &op->child[k]))
				return true;
	}
	return false;
}

static bool is_deadly_op(const struct diff_world *world, unsigned file, const struct diff_node *op)
{
	if (strcmp(op->type->name, "map") == 0 && !diff_get(world, op, "size"))
		return true;
	if (is_huge(world, op, sizeof(struct pb_uapi_sync_op)))
		return true;
	for (uint32_t i = 0; i < op->children; i++) {
		uint32_t handle = (uint32_t)diff_get(world, &op->child[i], "sync");

		if (is_signal(world, &op->child[i]) && (handle > 63 || !(world->syncs[file] >> handle & 1)))
			return true;
	}
	return false;
}

static bool has_huge_sparse(const struct diff_world *world, const struct diff_node *bind)
{
	for (uint32_t i = 0; i < bind->children; i++)
		if (diff_get(world, &bind->child[i], "flags") & PB_OP_SPARSE &&
		    diff_get(world, &bind->child[i], "size") > UINT64_C(1) << 30)
			return true;
	return false;
}

bool diff_is_deadly(const struct diff_world *world, const struct diff_node *node)
{
	if (is_huge(world, node, sizeof(struct pb_uapi_vm_bind_op)) || has_huge_sparse(world, node))
		return true;
	if (!(diff_get(world, node, "flags") & PB_VM_BIND_ASYNC))
		return false;
	for (uint32_t i = 0; i < node->children; i++)
		if (is_deadly_op(world, node->file, &node->child[i]))
			return true;
	return has_backward_wait(world, node);
}

/* Has a VM gone that had jobs? */
bool diff_fences_are_deadly(const struct diff_world *world)
{
	bool gone = world->renewed;

	for (unsigned file = 0; file < DIFF_FILES; file++)
		gone |= (world->queued[file] & ~world->vms[file]) != 0;
	return gone;
}
