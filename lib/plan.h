/* SPDX-License-Identifier: MIT */
/* Between plan.c, which merges and keeps, and plan_unit.c, which knows the hardware. */
#ifndef PB_PLAN_H
#define PB_PLAN_H

#include "internal.h"
#include "plan_overlay.h"

/** Neighbours that are kept, of a unit and in all. */
#define PB_PLAN_NEIGHBOURS	4u
#define PB_PLAN_NEIGHBOURS_KEPT 16384u

/** What a unit has besides what everybody sees. */
struct pb_plan_more {
	size_t inverse_end,
		neighbours_end;	  /* in the arrays of the plan; they begin where those of the one before end */
	bool cut_first, cut_last; /* its range begins, ends inside of a 2 MiB page */
};

struct panbind_plan {
	struct panbind_plan_unit *units; /* each op's BO is counted */
	struct pb_plan_more *more;
	size_t count;
	struct panbind_op *inverse; /* each BO counted */
	size_t inverse_count, inverse_room;
	struct panbind_mapping *neighbours; /* each BO counted */
	size_t neighbour_count, neighbour_room;
	uint32_t *into; /* by op of the batch: its unit */
	size_t op_count;
	struct panbind_plan_totals totals;
	const struct pb_vamap *unknown; /* of the VM, while the plan is made */
	bool native_sparse;
	bool widens; /* the driver's LOCK covers the 2 MiB pages that an op cuts */
};

/**
 * Fill in what the hardware and the mappings in @overlay make of unit @index, whose op is there, and add it to the
 * plan's totals. -ENOMEM.
 */
int pb_plan_assess(struct panbind_plan *plan, size_t index, const struct pb_plan_input *input,
		   const struct pb_overlay *overlay);

#endif /* PB_PLAN_H */
