/* SPDX-License-Identifier: MIT */
/* Fewer ops that end in the same mapping. For batch.c and plan.c; pure. */
#ifndef PB_MERGE_H
#define PB_MERGE_H

#include <stddef.h>
#include <stdint.h>

struct panbind_op;

/** The ops of a batch, as it was filled, that an op stands for. */
struct pb_origin {
	uint32_t first, last; /* the lowest and the highest index */
	uint32_t count;	      /* how many; fewer than lie between them when others lie there too */
};

/**
 * Merge @ops in place, segment by segment between syncs. What is left comes first and in order. Waits go to the first
 * op that is left of their segment, signals to the last.
 *
 * @origins: of @ops before, changed along. @into: room for @count indices: the op that does the work of each one now,
 * PANBIND_NO_OP when others overwrite all of it. An op that is left was the last one in the batch of those that go into
 * it. 0, or -ENOMEM, and then the arrays are no longer of use.
 */
int pb_merge(struct panbind_op *ops, struct pb_origin *origins, uint32_t *into, size_t count, size_t *ret_count);

#endif /* PB_MERGE_H */
