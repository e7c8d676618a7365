/* SPDX-License-Identifier: MIT */
/*
 * What the hardware makes of a unit: what is locked, who else lives there, which large pages are cut, how many page
 * tables the driver sets aside, and what would undo it.
 *
 * The driver locks the range of each of its ops. It can take a 2 MiB page out of the table only whole, so an op that
 * cuts one locks that page too; the lock region is the aligned power of two around all that.
 */
#include <errno.h>

#include "plan.h"

#define BLOCK	      ((uint64_t)PANBIND_SPARSE_BLOCK)
#define MIN_LOCK_BITS 15 /* 32 KiB */

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

/* ---- Driver ops ---- */

/** Part @nth of a unit, as the driver gets it. */
static void driver_op(const struct panbind_plan *plan, const struct panbind_op *op, uint64_t nth, uint64_t *ret_va,
		      uint64_t *ret_size)
{
	uint64_t block = pb_sparse_block(plan->native_sparse), end = op->va + op->size, from, to;

	*ret_va = op->va;
	*ret_size = op->size;
	if (op->type != PANBIND_OP_MAP_SPARSE)
		return;
	from = op->va - op->va % block + nth * block;
	to = from + block;
	from = from > op->va ? from : op->va;
	to = to < end && to > from ? to : end;
	*ret_va = from;
	*ret_size = to - from;
}

static void lock_of(const struct panbind_plan *plan, size_t index, uint32_t nth, uint64_t *ret_va, uint64_t *ret_size)
{
	const struct panbind_plan_unit *unit = &plan->units[index];
	const struct pb_plan_more *more = &plan->more[index];
	uint64_t va, size, end;

	driver_op(plan, &unit->op, nth, &va, &size);
	end = va + size;
	if (plan->widens && nth == 0 && more->cut_first)
		va -= va % BLOCK;
	if (plan->widens && nth == unit->driver_ops - 1 && more->cut_last)
		end += -end % BLOCK;
	panbind_lock_region(va, end - va, ret_va, ret_size);
}

int panbind_plan_lock(const struct panbind_plan *plan, size_t index, uint32_t nth, uint64_t *ret_va, uint64_t *ret_size)
{
	if (index >= plan->count || plan->units[index].op.type == PANBIND_OP_SYNC_ONLY ||
	    nth >= plan->units[index].driver_ops)
		return -ENOENT;
	lock_of(plan, index, nth, ret_va, ret_size);
	return 0;
}

/** One lock, or all of them in a row: each covers its part, and the parts are neighbours. */
static void set_lock(struct panbind_plan *plan, size_t index)
{
	struct panbind_plan_unit *unit = &plan->units[index];
	uint64_t va, size;

	lock_of(plan, index, 0, &unit->lock_va, &unit->lock_size);
	if (unit->driver_ops == 1)
		return;
	lock_of(plan, index, unit->driver_ops - 1, &va, &size);
	unit->lock_size = va + size - unit->lock_va;
}

/* ---- Large pages and page tables ---- */

static void find_cuts(struct panbind_plan *plan, size_t index, const struct pb_overlay *overlay)
{
	struct panbind_plan_unit *unit = &plan->units[index];
	struct pb_plan_more *more = &plan->more[index];
	uint64_t va = unit->op.va, end = va + unit->op.size;

	bool same = va / BLOCK == end / BLOCK;

	more->cut_first = va % BLOCK != 0 && pb_overlay_in_block(overlay, va);
	if (same && va % BLOCK != 0)
		more->cut_last = more->cut_first;
	else
		more->cut_last = end % BLOCK != 0 && pb_overlay_in_block(overlay, end);
	unit->splits = same ? more->cut_first || more->cut_last : more->cut_first + more->cut_last;
}

/** Pieces of 1 << @bits bytes that a range touches. */
static uint64_t touched(uint64_t va, uint64_t size, unsigned int bits)
{
	return ((va + size - 1) >> bits) - (va >> bits) + 1;
}

/** As panthor_vm_prepare_map_op_ctx() and panthor_vm_prepare_unmap_op_ctx() count. */
static uint64_t page_tables(const struct panbind_op *op, uint64_t va, uint64_t size)
{
	uint64_t end = va + size;

	if (op->type != PANBIND_OP_UNMAP)
		return touched(va, size, 39) + touched(va, size, 30) + touched(va, size, 21);
	return (va % BLOCK != 0) + (end % BLOCK != 0 && (end + BLOCK - 1) / BLOCK != (va + BLOCK - 1) / BLOCK);
}

/** Of all driver ops; those between the first and the last are all alike. */
static void count_tables(struct panbind_plan *plan, struct panbind_plan_unit *unit)
{
	uint64_t places[] = {0, unit->driver_ops - 1, 1}, times[] = {1, 1, unit->driver_ops - 2};
	size_t different = unit->driver_ops < 3 ? unit->driver_ops : 3;

	for (size_t i = 0; i < different; i++) {
		uint64_t va, size, tables;

		driver_op(plan, &unit->op, places[i], &va, &size);
		tables = page_tables(&unit->op, va, size);
		unit->page_tables += times[i] * tables;
		if (tables > plan->totals.page_tables_at_once)
			plan->totals.page_tables_at_once = tables;
	}
}

/* ---- What lies in the lock region: in the range and displaced, or around it and stalled ---- */

/* A region that holds few enough pages to be looked at in one walk. */
#define SMALL_REGION (UINT64_C(1) << 20)

struct look {
	struct panbind_plan *plan;
	struct panbind_plan_unit *unit;
	struct pb_inverse inverse;
};

static int push_inverse(void *data, const struct panbind_op *op)
{
	struct panbind_plan *plan = data;

	if (pb_array_grow((void **)&plan->inverse, &plan->inverse_room, plan->inverse_count, sizeof(*op)) < 0)
		return -ENOMEM;
	if (op->bo != NULL)
		panbind_bo_ref(op->bo);
	plan->inverse[plan->inverse_count++] = *op;
	return 0;
}

static int keep_neighbour(struct panbind_plan *plan, const struct pb_range *piece)
{
	if (pb_array_grow((void **)&plan->neighbours, &plan->neighbour_room, plan->neighbour_count,
			  sizeof(*plan->neighbours)) < 0)
		return -ENOMEM;
	if (piece->bo != NULL)
		panbind_bo_ref(piece->bo);
	plan->neighbours[plan->neighbour_count++] = (struct panbind_mapping){
		.va = piece->va,
		.size = piece->size,
		.bo = piece->bo,
		.bo_offset = piece->bo_offset,
		.flags = piece->flags,
		.sparse = piece->bo == NULL,
	};
	return 0;
}

static struct pb_range part_of(const struct pb_range *piece, uint64_t from, uint64_t to)
{
	struct pb_range part = *piece;

	part.va = from;
	part.size = to - from;
	if (part.bo != NULL)
		part.bo_offset += from - piece->va;
	return part;
}

static int meet_outside(struct look *look, const struct pb_range *piece, uint64_t from, uint64_t to)
{
	struct panbind_plan_unit *unit = look->unit;
	struct pb_range part;

	if (from >= to)
		return 0;
	if (unit->neighbours == PANBIND_PLAN_NEIGHBOURS_MAX)
		return -ENOSPC; /* enough seen */
	unit->neighbour_bytes += to - from;
	if (unit->neighbours++ >= PB_PLAN_NEIGHBOURS || look->plan->neighbour_count >= PB_PLAN_NEIGHBOURS_KEPT)
		return 0;
	part = part_of(piece, from, to);
	return keep_neighbour(look->plan, &part);
}

static int meet(void *data, const struct pb_range *piece)
{
	struct look *look = data;
	uint64_t va = look->unit->op.va, end = va + look->unit->op.size, piece_end = piece->va + piece->size;
	uint64_t from = piece->va > va ? piece->va : va, to = piece_end < end ? piece_end : end;
	struct pb_range part;
	int r = meet_outside(look, piece, piece->va, piece_end < va ? piece_end : va);

	if (r == 0 && from < to) {
		part = part_of(piece, from, to);
		look->unit->replaces += look->unit->replaces < UINT32_MAX;
		r = pb_inverse_piece(&look->inverse, &part);
	}
	return r < 0 ? r : meet_outside(look, piece, piece->va > end ? piece->va : end, piece_end);
}

/** The parts of a large region one by one: to count what is around it may end early, what is inside it may not. */
static int look_at_parts(struct look *look, const struct pb_overlay *overlay)
{
	const struct panbind_plan_unit *unit = look->unit;
	uint64_t va = unit->op.va, end = va + unit->op.size, lock_end = unit->lock_va + unit->lock_size;
	int r = 0;

	if (unit->lock_va < va)
		r = pb_overlay_pieces(overlay, unit->lock_va, va - unit->lock_va, meet, look);
	if (r == 0 || r == -ENOSPC)
		r = pb_overlay_pieces(overlay, va, end - va, meet, look);
	if (r == 0 && end < lock_end)
		r = pb_overlay_pieces(overlay, end, lock_end - end, meet, look);
	return r == -ENOSPC ? 0 : r;
}

static int look_at_region(struct panbind_plan *plan, struct panbind_plan_unit *unit, const struct pb_overlay *overlay)
{
	const struct panbind_op *op = &unit->op;
	struct look look = {plan, unit, {push_inverse, plan, op->type != PANBIND_OP_UNMAP, plan->unknown, op->va}};
	int r;

	if (unit->lock_size <= SMALL_REGION)
		r = pb_overlay_pieces(overlay, unit->lock_va, unit->lock_size, meet, &look);
	else
		r = look_at_parts(&look, overlay);
	return r == 0 ? pb_inverse_end(&look.inverse, op->va + op->size) : r;
}

/* ---- All of it ---- */

static enum panbind_tristate atomicity(const struct panbind_plan_unit *unit, enum panbind_tristate device)
{
	if (unit->op.type == PANBIND_OP_SYNC_ONLY)
		return PANBIND_YES; /* it changes nothing that a GPU could see halfway */
	return unit->driver_ops > 1 ? PANBIND_NO : device;
}

static void add_up(struct panbind_plan_totals *totals, const struct panbind_plan_unit *unit)
{
	totals->units++;
	totals->atomic_units += unit->atomic == PANBIND_YES;
	totals->driver_ops += unit->driver_ops;
	totals->splits += unit->splits;
	totals->page_tables += unit->page_tables;
}

int pb_plan_assess(struct panbind_plan *plan, size_t index, const struct pb_plan_input *input,
		   const struct pb_overlay *overlay)
{
	struct panbind_plan_unit *unit = &plan->units[index];
	uint64_t driver_ops = pb_driver_ops(&unit->op, input->native_sparse);
	int r = 0;

	unit->driver_ops = driver_ops < UINT32_MAX ? (uint32_t)driver_ops : UINT32_MAX;
	unit->atomic = atomicity(unit, input->atomic);
	if (unit->op.type != PANBIND_OP_SYNC_ONLY) {
		find_cuts(plan, index, overlay);
		set_lock(plan, index);
		unit->unknown_bytes = pb_unknown_bytes(plan->unknown, unit->op.va, unit->op.size);
		count_tables(plan, unit);
		r = look_at_region(plan, unit, overlay);
	}
	plan->more[index].inverse_end = plan->inverse_count;
	plan->more[index].neighbours_end = plan->neighbour_count;
	add_up(&plan->totals, unit);
	return r;
}
