/* SPDX-License-Identifier: MIT */
/*
 * What the operations on a map of live mappings mean: cut at the borders, remove inside, insert.
 *
 * Nearly all operations touch one leaf: they are a single splice of it, found by one descent. What crosses leaves, or
 * does not fit, goes the general way: remove piece by piece, then insert. Both ways need no memory, or memory that was
 * made sure of before the first change.
 *
 * References: an entry holds one of its BO. New ones are taken before old ones are dropped, so that a BO which only
 * changes its place never counts down to nothing on the way.
 */
#include "vamap.h"

#include <errno.h>
#include <stdlib.h>

#include "vamap_pool.h"
#include "vamap_tree.h"

#define PAGE_MASK UINT64_C(0xfff)

static void no_count(struct panbind_bo *bo)
{
	(void)bo;
}

static void free_nodes(struct pb_vamap *map, struct pb_vatree_node *node)
{
	for (unsigned int i = 0; i < node->count; i++) {
		if (node->level > 0)
			free_nodes(map, node->inner.child[i]);
		else if (node->leaf.value[i].bo != NULL)
			map->put(node->leaf.value[i].bo);
	}
	free(node);
}

int pb_vamap_create(void (*get)(struct panbind_bo *), void (*put)(struct panbind_bo *), struct pb_vamap **ret_map)
{
	struct pb_vamap *map = calloc(1, sizeof(*map));

	if (map == NULL)
		return -ENOMEM;
	map->root = calloc(1, sizeof(*map->root));
	if (map->root == NULL) {
		free(map);
		return -ENOMEM;
	}
	map->leaves = 1;
	map->get = get != NULL ? get : no_count;
	map->put = put != NULL ? put : no_count;
	*ret_map = map;
	return 0;
}

void pb_vamap_destroy(struct pb_vamap *map)
{
	if (map == NULL)
		return;
	free_nodes(map, map->root);
	pb_vatree_free_spares(map, 0);
	free(map);
}

size_t pb_vamap_count(const struct pb_vamap *map)
{
	return map->entries;
}

size_t pb_vamap_memory(const struct pb_vamap *map)
{
	return sizeof(*map) + (map->leaves + map->inners + map->spare_count) * sizeof(struct pb_vatree_node);
}

int pb_vamap_next(const struct pb_vamap *map, uint64_t va, struct pb_range *ret_range)
{
	struct pb_vatree_path path;

	pb_vatree_find(map, va, &path);
	if (!pb_vatree_settle(map, &path))
		return -ENOENT;
	pb_vatree_load(path.node[0], path.index[0], ret_range);
	return 0;
}

void pb_vamap_prefetch(const struct pb_vamap *map, uint64_t va)
{
	pb_vatree_prefetch(map, va);
}

/* The end of a run of entries in a leaf, from @from on, that start below @end. */
static unsigned int run_end(const struct pb_vatree_node *leaf, unsigned int from, uint64_t end)
{
	while (from < leaf->count && leaf->leaf.start[from] < end)
		from++;
	return from;
}

size_t pb_vamap_overlaps(const struct pb_vamap *map, uint64_t va, uint64_t size)
{
	struct pb_vatree_path path;
	size_t count = 0;

	pb_vatree_find(map, va, &path);
	while (pb_vatree_settle(map, &path)) {
		unsigned int last = run_end(path.node[0], path.index[0], va + size);

		count += last - path.index[0];
		if (last < path.node[0]->count)
			break;
		path.index[0] = last;
	}
	return count;
}

size_t pb_vamap_gather(const struct pb_vamap *map, uint64_t va, uint64_t size, struct pb_range *ranges, size_t max)
{
	struct pb_vatree_path path;
	size_t count = 0;

	for (pb_vatree_find(map, va, &path); count < max && pb_vatree_settle(map, &path); path.index[0]++) {
		pb_vatree_load(path.node[0], path.index[0], &ranges[count]);
		if (ranges[count].va >= va + size)
			break;
		count++;
	}
	return count;
}

static struct pb_range cut_to(const struct pb_range *range, uint64_t va, uint64_t end)
{
	uint64_t range_end = range->va + range->size;
	struct pb_range cut = *range;

	if (end < range_end)
		cut.size -= range_end - end;
	if (va > range->va) {
		cut.size -= va - range->va;
		cut.va = va;
		if (range->bo != NULL)
			cut.bo_offset += va - range->va;
	}
	return cut;
}

int pb_vamap_pieces(const struct pb_vamap *map, uint64_t va, uint64_t size,
		    int (*add)(void *data, const struct pb_range *piece), void *data)
{
	struct pb_vatree_path path;

	for (pb_vatree_find(map, va, &path); pb_vatree_settle(map, &path); path.index[0]++) {
		struct pb_range range, piece;
		int r;

		pb_vatree_load(path.node[0], path.index[0], &range);
		if (range.va >= va + size)
			break;
		piece = cut_to(&range, va, va + size);
		r = add(data, &piece);
		if (r < 0)
			return r;
	}
	return 0;
}

int pb_vamap_reserve(struct pb_vamap *map, size_t ops)
{
	int r = pb_vatree_ensure_spares(map, ops);

	if (r == 0)
		map->promised = ops;
	return r;
}

static void get_bo(const struct pb_vamap *map, struct panbind_bo *bo)
{
	if (bo != NULL)
		map->get(bo);
}

static void put_bo(const struct pb_vamap *map, struct panbind_bo *bo)
{
	if (bo != NULL)
		map->put(bo);
}

/*
 * What replaces the entries [first, last) of a leaf when [va, end) becomes @insert, or empty when it is NULL: a piece
 * left of it, itself, and a piece right of it. Returns how many.
 */
static unsigned int replacements(const struct pb_vatree_node *leaf, unsigned int first, unsigned int last, uint64_t va,
				 uint64_t end, const struct pb_range *insert, struct pb_range ret_fresh[3])
{
	struct pb_range old;
	unsigned int count = 0;

	if (first < last && leaf->leaf.start[first] < va) {
		pb_vatree_load(leaf, first, &old);
		ret_fresh[count++] = cut_to(&old, old.va, va);
	}
	if (insert != NULL)
		ret_fresh[count++] = *insert;
	if (first < last && pb_vatree_end(leaf, last - 1) > end) {
		pb_vatree_load(leaf, last - 1, &old);
		ret_fresh[count++] = cut_to(&old, end, old.va + old.size);
	}
	return count;
}

/* A reference that a dropped entry held passes to a new entry of the same BO: most remaps stay within one pool. */
static void pass_or_get_bo(const struct pb_vamap *map, struct panbind_bo *bo, struct panbind_bo **dropped,
			   unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (dropped[i] == bo) {
			dropped[i] = NULL;
			return;
		}
	}
	get_bo(map, bo);
}

/* Change [va, end) within the one leaf that holds it. False, and nothing has changed, when it is not that simple. */
static bool change_in_leaf(struct pb_vamap *map, uint64_t va, uint64_t end, const struct pb_range *insert)
{
	struct panbind_bo *dropped[PB_VATREE_LEAF_ROOM];
	struct pb_range fresh[3];
	struct pb_vatree_path path;
	unsigned int first, last, removed, count;
	struct pb_vatree_node *leaf;

	pb_vatree_find(map, va, &path);
	leaf = path.node[0];
	first = path.index[0];
	last = run_end(leaf, first, end);
	if (path.upper < end)
		return false;
	removed = last - first;
	count = replacements(leaf, first, last, va, end, insert, fresh);
	if (leaf->count - removed + count > PB_VATREE_LEAF_ROOM)
		return false;
	for (unsigned int i = 0; i < removed; i++)
		dropped[i] = leaf->leaf.value[first + i].bo;
	for (unsigned int i = 0; i < count; i++)
		pass_or_get_bo(map, fresh[i].bo, dropped, removed);
	pb_vatree_splice(map, &path, removed, fresh, count);
	for (unsigned int i = 0; i < removed; i++)
		put_bo(map, dropped[i]);
	return true;
}

/* Remove the run of entries at the path that lies wholly before @end, in its leaf. */
static void remove_run(struct pb_vamap *map, struct pb_vatree_path *path, uint64_t end)
{
	struct panbind_bo *dropped[PB_VATREE_LEAF_ROOM];
	const struct pb_vatree_node *leaf = path->node[0];
	unsigned int first = path->index[0], count = 0;

	while (first + count < leaf->count && pb_vatree_end(leaf, first + count) <= end) {
		dropped[count] = leaf->leaf.value[first + count].bo;
		count++;
	}
	pb_vatree_remove(map, path, count);
	while (count-- > 0)
		put_bo(map, dropped[count]);
}

/* Cut [va, end) out of the one entry at the path, which reaches over a border of it. */
static void cut_entry(struct pb_vamap *map, struct pb_vatree_path *path, const struct pb_range *old, uint64_t va,
		      uint64_t end)
{
	uint64_t old_end = old->va + old->size;
	struct pb_range left = cut_to(old, old->va, va), right = cut_to(old, end, old_end);

	pb_vatree_store(path->node[0], path->index[0], old->va < va ? &left : &right);
	if (old->va < va && old_end > end) {
		get_bo(map, old->bo);
		pb_vatree_insert(map, &right);
	}
}

/* The general way: empty [va, end), over any number of leaves. */
static void empty(struct pb_vamap *map, uint64_t va, uint64_t end)
{
	struct pb_vatree_path path;
	struct pb_range old;

	for (;;) {
		pb_vatree_find(map, va, &path);
		if (!pb_vatree_settle(map, &path))
			return;
		pb_vatree_load(path.node[0], path.index[0], &old);
		if (old.va >= end)
			return;
		if (old.va < va || old.va + old.size > end)
			cut_entry(map, &path, &old, va, end);
		else
			remove_run(map, &path, end);
	}
}

/* An operation begins: it uses up a promise, or makes sure of memory by itself. */
static int begin(struct pb_vamap *map)
{
	if (map->promised == 0)
		return pb_vatree_ensure_spares(map, 1);
	map->promised--;
	return 0;
}

static int change(struct pb_vamap *map, uint64_t va, uint64_t size, const struct pb_range *insert)
{
	int r = begin(map);

	if (r < 0)
		return r;
	if (change_in_leaf(map, va, va + size, insert))
		return 0;
	if (insert != NULL)
		get_bo(map, insert->bo);
	empty(map, va, va + size);
	if (insert != NULL)
		pb_vatree_insert(map, insert);
	return 0;
}

static bool is_valid(uint64_t va, uint64_t size)
{
	return size > 0 && ((va | size) & PAGE_MASK) == 0 && va + size > va;
}

/* Sparse entries that touch are one: let the new one reach over its neighbours, which it then replaces. */
static void widen_sparse(const struct pb_vamap *map, struct pb_range *range)
{
	uint64_t end = range->va + range->size;
	struct pb_range other;

	if (range->va > 0 && pb_vamap_next(map, range->va - 1, &other) == 0 && other.bo == NULL &&
	    other.flags == range->flags && other.va < range->va) {
		range->size = end - other.va;
		range->va = other.va;
	}
	if (pb_vamap_next(map, end, &other) == 0 && other.bo == NULL && other.flags == range->flags && other.va <= end)
		range->size = other.va + other.size - range->va;
}

int pb_vamap_set(struct pb_vamap *map, const struct pb_range *range)
{
	struct pb_range wide = *range;

	if (!is_valid(range->va, range->size) || (range->flags & ~PB_VATREE_FLAGS_MASK) != 0)
		return -EINVAL;
	if (range->bo == NULL) {
		wide.bo_offset = 0;
		widen_sparse(map, &wide);
	}
	return change(map, wide.va, wide.size, &wide);
}

int pb_vamap_clear(struct pb_vamap *map, uint64_t va, uint64_t size)
{
	if (!is_valid(va, size))
		return -EINVAL;
	return change(map, va, size, NULL);
}
