/* SPDX-License-Identifier: MIT */
/*
 * The shape of the B+tree: the way down, insertion with shares and splits, removal with merges.
 *
 * A full leaf first shares with a neighbour that has room and only then splits. Besides saving memory this is what
 * keeps leaves full when a region is mapped in ascending order, which is what programs do: without it every leaf behind
 * the insertion point would stay half full for ever.
 *
 * Changes that need a second look at the tree (after a share or a split) find their place again from the root. That
 * costs a descent in one insertion of ten, and spares all code that would patch paths.
 */
#include "vamap_tree.h"

#include <string.h>

#include "vamap_pool.h"

/* A share that moves fewer entries than this is not worth it: the next insertion would share again. */
#define WORTH_SHARING 8u
#define CACHE_LINE    64u

static unsigned int room_of(const struct pb_vatree_node *node)
{
	return node->level == 0 ? PB_VATREE_LEAF_ROOM : PB_VATREE_INNER_ROOM;
}

static unsigned int min_of(const struct pb_vatree_node *node)
{
	return node->level == 0 ? PB_VATREE_LEAF_MIN : PB_VATREE_INNER_MIN;
}

/* Both kinds of node begin with their starts; this is where a share or split reads the border between two nodes. */
static uint64_t first_start(const struct pb_vatree_node *node)
{
	return node->level == 0 ? node->leaf.start[0] : node->inner.start[0];
}

/* The last of @count > 0 starts that is not above @va, or 0. Without branches: they would be mispredicted half the
 * time. */
static unsigned int search(const uint64_t *start, unsigned int count, uint64_t va)
{
	unsigned int base = 0;

	while (count > 1) {
		unsigned int half = count / 2;

		base += (start[base + half] <= va) * half;
		count -= half;
	}
	return base;
}

void pb_vatree_find(const struct pb_vamap *map, uint64_t va, struct pb_vatree_path *ret_path)
{
	struct pb_vatree_node *node = map->root;
	uint64_t upper = UINT64_MAX;
	unsigned int i;

	ret_path->height = node->level;
	for (; node->level > 0; node = node->inner.child[i]) {
		i = search(node->inner.start, node->count, va);
		ret_path->node[node->level] = node;
		ret_path->index[node->level] = i;
		if (i + 1 < node->count)
			upper = node->inner.start[i + 1];
	}
	i = 0;
	if (node->count > 0) {
		i = search(node->leaf.start, node->count, va);
		i += pb_vatree_end(node, i) <= va;
	}
	ret_path->node[0] = node;
	ret_path->index[0] = i;
	ret_path->upper = upper;
}

void pb_vatree_prefetch(const struct pb_vamap *map, uint64_t va)
{
	const struct pb_vatree_node *node = map->root;

	for (unsigned int level = node->level; level > 0; level--)
		node = node->inner.child[search(node->inner.start, node->count, va)];
	for (size_t at = 0; at < sizeof(*node); at += CACHE_LINE)
		__builtin_prefetch((const char *)node + at);
}

bool pb_vatree_settle(const struct pb_vamap *map, struct pb_vatree_path *path)
{
	unsigned int level = 0;
	struct pb_vatree_node *node;

	if (path->index[0] < path->node[0]->count)
		return true;
	do {
		if (level == map->root->level)
			return false;
		level++;
	} while (path->index[level] + 1 == path->node[level]->count);
	path->index[level]++;
	for (; level > 0; level--) {
		node = path->node[level]->inner.child[path->index[level]];
		path->node[level - 1] = node;
		path->index[level - 1] = 0;
	}
	return true;
}

/* Copy @count slots of @from to place @at of @to, a node of the same kind or the very same node. */
static void move_slots(struct pb_vatree_node *to, unsigned int at, const struct pb_vatree_node *from,
		       unsigned int first, unsigned int count)
{
	if (to->level == 0) {
		memmove(&to->leaf.start[at], &from->leaf.start[first], count * sizeof(to->leaf.start[0]));
		memmove(&to->leaf.value[at], &from->leaf.value[first], count * sizeof(to->leaf.value[0]));
	} else {
		memmove(&to->inner.start[at], &from->inner.start[first], count * sizeof(to->inner.start[0]));
		memmove(&to->inner.child[at], &from->inner.child[first], count * sizeof(void *));
	}
}

/* Let two neighbours have equally many. */
static void equalise(struct pb_vatree_node *left, struct pb_vatree_node *right)
{
	unsigned int want = (left->count + right->count) / 2, moved;

	if (left->count > want) {
		moved = left->count - want;
		move_slots(right, moved, right, 0, right->count);
		move_slots(right, 0, left, want, moved);
		right->count += moved;
	} else {
		moved = want - left->count;
		move_slots(left, left->count, right, 0, moved);
		move_slots(right, 0, right, moved, right->count - moved);
		right->count -= moved;
	}
	left->count = want;
}

static void equalise_children(struct pb_vatree_node *parent, unsigned int left)
{
	struct pb_vatree_node *right = parent->inner.child[left + 1];

	equalise(parent->inner.child[left], right);
	parent->inner.start[left + 1] = first_start(right);
}

static bool has_room(const struct pb_vatree_node *leaf)
{
	return leaf->count <= PB_VATREE_LEAF_ROOM - WORTH_SHARING;
}

/* Give some entries of a full leaf to a neighbour below the same parent. False when both are rather full. */
static bool share(const struct pb_vamap *map, const struct pb_vatree_path *path)
{
	struct pb_vatree_node *parent;
	unsigned int i;

	if (map->root->level == 0)
		return false;
	parent = path->node[1];
	i = path->index[1];
	if (i > 0 && has_room(parent->inner.child[i - 1]))
		equalise_children(parent, i - 1);
	else if (i + 1 < parent->count && has_room(parent->inner.child[i + 1]))
		equalise_children(parent, i);
	else
		return false;
	return true;
}

/* Move the upper half of a full node into a new one, which no parent knows yet. */
static struct pb_vatree_node *split_off(struct pb_vamap *map, struct pb_vatree_node *node)
{
	struct pb_vatree_node *right = pb_vatree_take(map, node->level);

	right->count = node->count / 2;
	node->count -= right->count;
	move_slots(right, 0, node, node->count, right->count);
	return right;
}

static void grow_root(struct pb_vamap *map, struct pb_vatree_node *right)
{
	struct pb_vatree_node *root = pb_vatree_take(map, map->root->level + 1);

	root->count = 2;
	root->inner.start[0] = 0;
	root->inner.child[0] = map->root;
	root->inner.start[1] = first_start(right);
	root->inner.child[1] = right;
	map->root = root;
}

static void put_child(struct pb_vatree_node *node, unsigned int at, struct pb_vatree_node *child)
{
	move_slots(node, at + 1, node, at, node->count - at);
	node->inner.start[at] = first_start(child);
	node->inner.child[at] = child;
	node->count++;
}

/* Make @child known on @level, right of the path; split upwards where there is no room. */
static void add_child(struct pb_vamap *map, const struct pb_vatree_path *path, unsigned int level,
		      struct pb_vatree_node *child)
{
	struct pb_vatree_node *node, *right;
	unsigned int at;

	if (level > path->height) {
		grow_root(map, child);
		return;
	}
	node = path->node[level];
	at = path->index[level] + 1;
	if (node->count < PB_VATREE_INNER_ROOM) {
		put_child(node, at, child);
		return;
	}
	right = split_off(map, node);
	if (at <= node->count)
		put_child(node, at, child);
	else
		put_child(right, at - node->count, child);
	add_child(map, path, level + 1, right);
}

/*
 * An entry must lie wholly within the borders of its leaf, or a search for its middle would go past it. When one comes
 * that reaches over the border to the next leaf (what was there has been removed), move the border to its end.
 */
static void raise_border(const struct pb_vatree_path *path, uint64_t border)
{
	unsigned int level = 1;
	struct pb_vatree_node *node;

	while (path->index[level] + 1 == path->node[level]->count)
		level++;
	node = path->node[level];
	node->inner.start[path->index[level] + 1] = border;
	for (node = node->inner.child[path->index[level] + 1]; node->level > 0; node = node->inner.child[0])
		node->inner.start[0] = border;
}

void pb_vatree_insert(struct pb_vamap *map, const struct pb_range *range)
{
	struct pb_vatree_path path;
	struct pb_vatree_node *leaf;

	pb_vatree_find(map, range->va, &path);
	leaf = path.node[0];
	if (range->va + range->size > path.upper)
		raise_border(&path, range->va + range->size);
	if (leaf->count == PB_VATREE_LEAF_ROOM) {
		if (!share(map, &path))
			add_child(map, &path, 1, split_off(map, leaf));
		pb_vatree_find(map, range->va, &path);
		leaf = path.node[0];
	}
	move_slots(leaf, path.index[0] + 1, leaf, path.index[0], leaf->count - path.index[0]);
	pb_vatree_store(leaf, path.index[0], range);
	leaf->count++;
	map->entries++;
}

static void lower_root(struct pb_vamap *map)
{
	struct pb_vatree_node *root = map->root;

	if (root->level > 0 && root->count == 1) {
		map->root = root->inner.child[0];
		pb_vatree_give(map, root);
	}
}

/* Append the right one of two neighbours to the left one. The left one always stays, so no child 0 ever goes. */
static void merge_children(struct pb_vamap *map, struct pb_vatree_node *parent, unsigned int left)
{
	struct pb_vatree_node *to = parent->inner.child[left], *from = parent->inner.child[left + 1];

	move_slots(to, to->count, from, 0, from->count);
	to->count += from->count;
	move_slots(parent, left + 1, parent, left + 2, parent->count - left - 2);
	parent->count--;
	pb_vatree_give(map, from);
}

static bool fits(const struct pb_vatree_node *left, const struct pb_vatree_node *right)
{
	return (unsigned int)left->count + right->count <= room_of(left);
}

/* Restore the fill of the path's nodes after its leaf lost entries. */
static void refill(struct pb_vamap *map, const struct pb_vatree_path *path)
{
	for (unsigned int level = 0; level < map->root->level; level++) {
		const struct pb_vatree_node *node = path->node[level];
		struct pb_vatree_node *parent = path->node[level + 1];
		unsigned int left = path->index[level + 1];

		if (node->count >= min_of(node))
			return;
		if (left > 0)
			left--;
		if (!fits(parent->inner.child[left], parent->inner.child[left + 1])) {
			equalise_children(parent, left);
			return;
		}
		merge_children(map, parent, left);
	}
	lower_root(map);
}

void pb_vatree_splice(struct pb_vamap *map, struct pb_vatree_path *path, unsigned int removed,
		      const struct pb_range *ranges, unsigned int count)
{
	struct pb_vatree_node *leaf = path->node[0];
	unsigned int at = path->index[0];

	if (removed != count)
		move_slots(leaf, at + count, leaf, at + removed, leaf->count - at - removed);
	for (unsigned int i = 0; i < count; i++)
		pb_vatree_store(leaf, at + i, &ranges[i]);
	leaf->count = (uint16_t)(leaf->count + count - removed);
	map->entries = map->entries + count - removed;
	if (count < removed)
		refill(map, path);
}

void pb_vatree_remove(struct pb_vamap *map, struct pb_vatree_path *path, unsigned int count)
{
	pb_vatree_splice(map, path, count, NULL, 0);
}
