/* SPDX-License-Identifier: MIT */
/*
 * Spare nodes of a vamap: how many a number of operations can need at most, and having them.
 *
 * What a driver has done must be recorded, so memory is asked for before the ioctl and never after it. Nodes that the
 * tree gives back become spares and stay until the next promise, so a bound on the nodes that live at any moment is a
 * bound on what has to be there at the start.
 *
 * The bound. An operation inserts at most twice, so m operations split at most 2 m leaves, and end with at most
 * n + 2 m entries. Leaves are at least half full, which bounds their number; so are inner nodes, which bounds theirs by
 * the number of leaves. For a few operations on a large map that is far too much: there each insertion adds at most
 * one inner node a level and a new root, and the root cannot split twice within so few.
 */
#include "vamap_pool.h"

#include <errno.h>
#include <stdlib.h>

#define FEW_OPS	    8u
#define MANY_OPS    ((size_t)1 << 40) /* arithmetic below stays far from overflow */
/* Spares above twice the need and this are given back. */
#define SPARES_KEPT 64u

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t most_leaves(size_t entries)
{
	return entries / PB_VATREE_LEAF_MIN + 1;
}

/* L/31 + L/31^2 + ... is less than L/30; each level may have one more that is not full, the root. */
static size_t most_inners(size_t leaves)
{
	return leaves / (PB_VATREE_INNER_MIN - 1) + PB_VATREE_MAX_LEVELS;
}

static size_t need(const struct pb_vamap *map, size_t ops)
{
	size_t splits = 2 * ops;
	size_t leaves = smaller(splits, most_leaves(map->entries + splits) - map->leaves);
	size_t inners = most_inners(map->leaves + leaves) - map->inners;

	if (ops <= FEW_OPS)
		inners = smaller(inners, splits * (map->root->level + 1u) + 2);
	return leaves + inners;
}

struct pb_vatree_node *pb_vatree_take(struct pb_vamap *map, unsigned int level)
{
	struct pb_vatree_node *node = map->spares;

	map->spares = node->next_spare;
	map->spare_count--;
	node->count = 0;
	node->level = (uint16_t)level;
	if (level == 0)
		map->leaves++;
	else
		map->inners++;
	return node;
}

static void keep_spare(struct pb_vamap *map, struct pb_vatree_node *node)
{
	node->next_spare = map->spares;
	map->spares = node;
	map->spare_count++;
}

void pb_vatree_give(struct pb_vamap *map, struct pb_vatree_node *node)
{
	if (node->level == 0)
		map->leaves--;
	else
		map->inners--;
	keep_spare(map, node);
}

void pb_vatree_free_spares(struct pb_vamap *map, size_t keep)
{
	while (map->spare_count > keep) {
		struct pb_vatree_node *node = map->spares;

		map->spares = node->next_spare;
		map->spare_count--;
		free(node);
	}
}

static int add_spares(struct pb_vamap *map, size_t wanted)
{
	size_t before = map->spare_count;

	while (map->spare_count < wanted) {
		struct pb_vatree_node *node = malloc(sizeof(*node));

		if (node == NULL) {
			pb_vatree_free_spares(map, before);
			return -ENOMEM;
		}
		keep_spare(map, node);
	}
	return 0;
}

int pb_vatree_ensure_spares(struct pb_vamap *map, size_t ops)
{
	size_t wanted;

	if (ops > MANY_OPS)
		return -ENOMEM;
	wanted = need(map, ops);
	if (map->spare_count > 2 * wanted + SPARES_KEPT)
		pb_vatree_free_spares(map, wanted + SPARES_KEPT);
	return add_spares(map, wanted);
}
