/* SPDX-License-Identifier: MIT */
/*
 * The B+tree under vamap: nodes, the way down, insertion, removal, and the pool of spare nodes.
 *
 * Shared by vamap.c (what the operations mean), vamap_tree.c (how the tree keeps its shape) and vamap_check.c (whether
 * it did). Nobody else includes this.
 *
 * Leaves hold entries in order of VA, inner nodes hold the lowest VA that each child may hold. An entry lies wholly
 * between the borders of its leaf, so one descent finds whatever covers an address. All nodes are of one
 * size, so that one pool of spares serves both kinds, and a leaf's keys lie together: a search in it touches few cache
 * lines. Every node but the root is at least half full. There are no parent and no sibling pointers: operations carry
 * the path that led them down.
 */
#ifndef PB_VAMAP_TREE_H
#define PB_VAMAP_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vamap.h"

/* 1,000 bytes a node: 31 entries of 32 bytes, or 62 children. */
#define PB_VATREE_LEAF_ROOM  31u
#define PB_VATREE_INNER_ROOM 62u
#define PB_VATREE_LEAF_MIN   (PB_VATREE_LEAF_ROOM / 2)
#define PB_VATREE_INNER_MIN  (PB_VATREE_INNER_ROOM / 2)
/* 15 * 31^9 entries are more than there are pages in 64 bits. */
#define PB_VATREE_MAX_LEVELS 12

/* What an entry has besides its start. Pages leave the low 12 bits of a size free: flags live there. */
struct pb_vatree_value {
	uint64_t size_flags;
	struct panbind_bo *bo;
	uint64_t bo_offset;
};

#define PB_VATREE_FLAGS_MASK UINT64_C(0xfff)

struct pb_vatree_node {
	uint16_t count, level; /* level 0: leaf */
	union {
		struct {
			uint64_t start[PB_VATREE_LEAF_ROOM];
			struct pb_vatree_value value[PB_VATREE_LEAF_ROOM];
		} leaf;
		struct {
			/* start[0] repeats what the parent says of this node; searches do not look at it. */
			uint64_t start[PB_VATREE_INNER_ROOM];
			struct pb_vatree_node *child[PB_VATREE_INNER_ROOM];
		} inner;
		struct pb_vatree_node *next_spare;
	};
};

struct pb_vamap {
	struct pb_vatree_node *root;
	size_t entries, leaves, inners;
	struct pb_vatree_node *spares;
	size_t spare_count;
	size_t promised; /* operations that will find enough spares without asking */
	void (*get)(struct panbind_bo *);
	void (*put)(struct panbind_bo *);
};

/* The way to a place in a leaf: the node on each level, and the index taken in it. */
struct pb_vatree_path {
	struct pb_vatree_node *node[PB_VATREE_MAX_LEVELS];
	unsigned int index[PB_VATREE_MAX_LEVELS];
	unsigned int height; /* levels above the leaf */
	uint64_t upper;	     /* no entry of this leaf ends above it; true after pb_vatree_find() only */
};

static inline uint64_t pb_vatree_size(const struct pb_vatree_node *leaf, unsigned int i)
{
	return leaf->leaf.value[i].size_flags & ~PB_VATREE_FLAGS_MASK;
}

static inline uint64_t pb_vatree_end(const struct pb_vatree_node *leaf, unsigned int i)
{
	return leaf->leaf.start[i] + pb_vatree_size(leaf, i);
}

static inline void pb_vatree_load(const struct pb_vatree_node *leaf, unsigned int i, struct pb_range *ret_range)
{
	const struct pb_vatree_value *value = &leaf->leaf.value[i];

	ret_range->va = leaf->leaf.start[i];
	ret_range->size = value->size_flags & ~PB_VATREE_FLAGS_MASK;
	ret_range->bo = value->bo;
	ret_range->bo_offset = value->bo_offset;
	ret_range->flags = (uint32_t)(value->size_flags & PB_VATREE_FLAGS_MASK);
}

static inline void pb_vatree_store(struct pb_vatree_node *leaf, unsigned int i, const struct pb_range *range)
{
	leaf->leaf.start[i] = range->va;
	leaf->leaf.value[i].size_flags = range->size | range->flags;
	leaf->leaf.value[i].bo = range->bo;
	leaf->leaf.value[i].bo_offset = range->bo_offset;
}

/** Go to the leaf that holds, or would hold, @va; in it to the first entry that ends after @va, or past the last. */
void pb_vatree_find(const struct pb_vamap *map, uint64_t va, struct pb_vatree_path *ret_path);
/** Ask for the leaf that pb_vatree_find() would go to, without waiting for it: inner nodes are few, and mostly near. */
void pb_vatree_prefetch(const struct pb_vamap *map, uint64_t va);
/** When the path stands past the last entry of its leaf, go on to the next leaf. False at the end of the map. */
bool pb_vatree_settle(const struct pb_vamap *map, struct pb_vatree_path *path);

/** Add one entry that overlaps none. Takes spares; the caller made sure of them. */
void pb_vatree_insert(struct pb_vamap *map, const struct pb_range *range);
/** Remove @count entries from the path's place on, all in its leaf. The path is no longer true afterwards. */
void pb_vatree_remove(struct pb_vamap *map, struct pb_vatree_path *path, unsigned int count);
/** Replace @removed entries at the path's place by @count others that fit into this leaf. */
void pb_vatree_splice(struct pb_vamap *map, struct pb_vatree_path *path, unsigned int removed,
		      const struct pb_range *ranges, unsigned int count);

#endif /* PB_VAMAP_TREE_H */
