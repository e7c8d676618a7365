/* SPDX-License-Identifier: MIT */
/*
 * Whether a vamap is what it claims to be: order, no overlap, alignment, fill, borders, counts.
 *
 * A second reading of the tree, for tests and fuzzers. It walks all of it, so it costs O(n).
 */
#include <errno.h>

#include "vamap.h"
#include "vamap_tree.h"

struct checker {
	const struct pb_vamap *map;
	size_t entries, leaves, inners;
	struct pb_range last; /* size 0: none yet */
};

static bool entry_is_sound(struct checker *checker, const struct pb_range *range, uint64_t lower, uint64_t upper)
{
	const struct pb_range *last = &checker->last;
	uint64_t last_end = last->va + last->size;

	if (range->size == 0 || range->va + range->size <= range->va || ((range->va | range->size) & 0xfff) != 0)
		return false;
	if (range->va < lower || range->va + range->size > upper || range->va < last_end)
		return false;
	if (range->bo == NULL && range->bo_offset != 0)
		return false;
	/* Sparse entries that touch should have become one. */
	if (last->size > 0 && last->bo == NULL && range->bo == NULL && last_end == range->va &&
	    last->flags == range->flags)
		return false;
	return true;
}

static bool leaf_is_sound(struct checker *checker, const struct pb_vatree_node *leaf, uint64_t lower, uint64_t upper)
{
	struct pb_range range;

	if (leaf->count > PB_VATREE_LEAF_ROOM || (leaf != checker->map->root && leaf->count < PB_VATREE_LEAF_MIN))
		return false;
	checker->leaves++;
	checker->entries += leaf->count;
	for (unsigned int i = 0; i < leaf->count; i++) {
		pb_vatree_load(leaf, i, &range);
		if (!entry_is_sound(checker, &range, lower, upper))
			return false;
		checker->last = range;
	}
	return true;
}

static bool node_is_sound(struct checker *checker, const struct pb_vatree_node *node, uint64_t lower, uint64_t upper)
{
	unsigned int least = node == checker->map->root ? 2 : PB_VATREE_INNER_MIN;

	if (node->level == 0)
		return leaf_is_sound(checker, node, lower, upper);
	if (node->level >= PB_VATREE_MAX_LEVELS || node->count < least || node->count > PB_VATREE_INNER_ROOM)
		return false;
	if (node->inner.start[0] != lower)
		return false;
	checker->inners++;
	for (unsigned int i = 0; i < node->count; i++) {
		uint64_t next = i + 1 < node->count ? node->inner.start[i + 1] : upper;

		if (node->inner.start[i] >= next || node->inner.child[i]->level + 1 != node->level)
			return false;
		if (!node_is_sound(checker, node->inner.child[i], node->inner.start[i], next))
			return false;
	}
	return true;
}

static size_t count_spares(const struct pb_vamap *map)
{
	size_t count = 0;

	for (const struct pb_vatree_node *node = map->spares; node != NULL && count <= map->spare_count;
	     node = node->next_spare)
		count++;
	return count;
}

int pb_vamap_check(const struct pb_vamap *map)
{
	struct checker checker = {.map = map};

	if (!node_is_sound(&checker, map->root, 0, UINT64_MAX))
		return -EUCLEAN;
	if (checker.entries != map->entries || checker.leaves != map->leaves || checker.inners != map->inners)
		return -EUCLEAN;
	if (count_spares(map) != map->spare_count)
		return -EUCLEAN;
	return 0;
}
