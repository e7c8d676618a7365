/* SPDX-License-Identifier: MIT */
/* What a VM would hold after some ops, on top of what it holds now. For the files of plan.c. */
#ifndef PB_PLAN_OVERLAY_H
#define PB_PLAN_OVERLAY_H

#include "internal.h"

struct pb_overlay {
	const struct pb_vamap *base; /* read only */
	const struct pb_vamap *base_pieced;
	struct pb_vamap *over;	 /* where ops have been: their mappings, and marks for what they unmapped */
	struct pb_vamap *pieced; /* see pb_pieced_note(); of what is in `over` */
	bool has_blocks;	 /* some op so far may have made a page of 2 MiB */
};

/** -ENOMEM. @base, and @base_pieced, which may be NULL, must not change while the overlay is in use. */
int pb_overlay_init(struct pb_overlay *overlay, const struct pb_vamap *base, const struct pb_vamap *base_pieced);
void pb_overlay_destroy(struct pb_overlay *overlay);
/**
 * Walk what is mapped in a range, as all ops applied so far leave it, cut to the range. @add returns 0, or a negative
 * errno, which ends the walk and is returned.
 */
int pb_overlay_pieces(const struct pb_overlay *overlay, uint64_t va, uint64_t size,
		      int (*add)(void *data, const struct pb_range *piece), void *data);
/** Have the memory around @va fetched, for a walk or an op there that comes soon. */
void pb_overlay_prefetch(const struct pb_overlay *overlay, uint64_t va);
/** Is @va inside of a page of 2 MiB, as far as backing and history tell? */
bool pb_overlay_in_block(const struct pb_overlay *overlay, uint64_t va);
/** Let an op happen. -ENOMEM. */
int pb_overlay_apply(struct pb_overlay *overlay, const struct panbind_op *op);

#endif /* PB_PLAN_OVERLAY_H */
