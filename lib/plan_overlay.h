/* SPDX-License-Identifier: MIT */
/* What a VM would hold after some ops, on top of what it holds now. For plan.c. */
#ifndef PB_PLAN_OVERLAY_H
#define PB_PLAN_OVERLAY_H

#include "internal.h"

struct pb_overlay {
	const struct pb_vamap *base; /* read only */
	struct pb_vamap *over;	     /* where ops have been: their mappings, and marks for what they unmapped */
};

/** -ENOMEM. @base must not change while the overlay is in use. */
int pb_overlay_init(struct pb_overlay *overlay, const struct pb_vamap *base);
void pb_overlay_destroy(struct pb_overlay *overlay);
/** Mappings that intersect a range, as all ops applied so far leave them. */
size_t pb_overlay_count(const struct pb_overlay *overlay, uint64_t va, uint64_t size);
/** Let an op happen. -ENOMEM. */
int pb_overlay_apply(struct pb_overlay *overlay, const struct panbind_op *op);

#endif /* PB_PLAN_OVERLAY_H */
