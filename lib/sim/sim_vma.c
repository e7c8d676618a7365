/* SPDX-License-Identifier: MIT */
/*
 * The AVL tree behind sim_vma.h.
 *
 * Insert and remove walk down once and note the links they followed, so that balance is restored on the way back
 * without parent pointers. A node keeps its address for life: a removal moves links, never contents, since others hold
 * on to a neighbour while they work along the order.
 */
#include "sim_vma.h"

#include <errno.h>
#include <stdlib.h>

#define SLAB_NODES     510
/* An AVL tree of 2^32 nodes is at most 46 high. */
#define PATH_MAX_LINKS 64

struct sim_vma_slab {
	struct sim_vma_slab *next;
	struct sim_vma nodes[SLAB_NODES];
};

struct path {
	struct sim_vma **links[PATH_MAX_LINKS];
	size_t depth;
};

void sim_vmas_init(struct sim_vmas *vmas)
{
	*vmas = (struct sim_vmas){0};
}

void sim_vmas_fini(struct sim_vmas *vmas)
{
	while (vmas->slabs) {
		struct sim_vma_slab *slab = vmas->slabs;

		vmas->slabs = slab->next;
		free(slab);
	}
	sim_vmas_init(vmas);
}

static int add_slab(struct sim_vmas *vmas)
{
	struct sim_vma_slab *slab = malloc(sizeof(*slab));

	if (!slab)
		return -ENOMEM;
	slab->next = vmas->slabs;
	vmas->slabs = slab;
	for (size_t i = 0; i < SLAB_NODES; i++) {
		slab->nodes[i].next = vmas->free;
		vmas->free = &slab->nodes[i];
	}
	vmas->free_count += SLAB_NODES;
	return 0;
}

int sim_vmas_reserve(struct sim_vmas *vmas, size_t nodes)
{
	while (vmas->free_count < nodes) {
		int ret = add_slab(vmas);

		if (ret)
			return ret;
	}
	return 0;
}

static uint32_t height(const struct sim_vma *vma)
{
	return vma ? vma->height : 0;
}

static void update_height(struct sim_vma *vma)
{
	uint32_t left = height(vma->left), right = height(vma->right);

	vma->height = (left > right ? left : right) + 1;
}

static void rotate_left(struct sim_vma **link)
{
	struct sim_vma *vma = *link, *up = vma->right;

	vma->right = up->left;
	up->left = vma;
	*link = up;
	update_height(vma);
	update_height(up);
}

static void rotate_right(struct sim_vma **link)
{
	struct sim_vma *vma = *link, *up = vma->left;

	vma->left = up->right;
	up->right = vma;
	*link = up;
	update_height(vma);
	update_height(up);
}

static void balance(struct sim_vma **link)
{
	struct sim_vma *vma = *link;

	if (height(vma->left) > height(vma->right) + 1) {
		if (height(vma->left->left) < height(vma->left->right))
			rotate_left(&vma->left);
		rotate_right(link);
	} else if (height(vma->right) > height(vma->left) + 1) {
		if (height(vma->right->right) < height(vma->right->left))
			rotate_right(&vma->right);
		rotate_left(link);
	} else {
		update_height(vma);
	}
}

/* Deepest link first; stops where the height is what it was, since nothing changes above. */
static void balance_path(struct path *path)
{
	while (path->depth) {
		struct sim_vma **link = path->links[--path->depth];
		uint32_t before;

		if (!*link)
			continue;
		before = (*link)->height;
		balance(link);
		if ((*link)->height == before)
			return;
	}
}

static void follow(struct path *path, struct sim_vma **link)
{
	path->links[path->depth++] = link;
}

static struct sim_vma *take_node(struct sim_vmas *vmas)
{
	struct sim_vma *vma = vmas->free;

	vmas->free = vma->next;
	vmas->free_count--;
	return vma;
}

static void thread_in(struct sim_vma *vma, struct sim_vma *prev, struct sim_vma *next)
{
	vma->prev = prev;
	vma->next = next;
	if (prev)
		prev->next = vma;
	if (next)
		next->prev = vma;
}

struct sim_vma *sim_vmas_insert(struct sim_vmas *vmas, uint64_t start, uint64_t size, struct sim_bo *bo,
				uint64_t offset, uint32_t flags)
{
	struct sim_vma *vma = take_node(vmas), *prev = NULL, *next = NULL;
	struct sim_vma **link = &vmas->root;
	struct path path = {.depth = 0};

	while (*link) {
		follow(&path, link);
		if (start < (*link)->start) {
			next = *link;
			link = &next->left;
		} else {
			prev = *link;
			link = &prev->right;
		}
	}
	*vma = (struct sim_vma){.start = start, .size = size, .bo = bo, .offset = offset, .flags = flags, .height = 1};
	thread_in(vma, prev, next);
	*link = vma;
	balance_path(&path);
	vmas->count++;
	return vma;
}

/* Put the next node in order, which has no left child, in the place of one with two children. */
static void replace_by_next(struct path *path, struct sim_vma **link)
{
	struct sim_vma *vma = *link, *next = vma->next;
	size_t place = path->depth;
	struct sim_vma **down = &vma->right;

	follow(path, link);
	while (*down != next) {
		follow(path, down);
		down = &(*down)->left;
	}
	*down = next->right;
	next->left = vma->left;
	next->right = vma->right;
	next->height = vma->height;
	*link = next;
	/* The link below `vma` was inside it; now it is inside `next`. */
	if (path->depth > place + 1)
		path->links[place + 1] = &next->right;
}

static void unthread(struct sim_vma *vma)
{
	if (vma->prev)
		vma->prev->next = vma->next;
	if (vma->next)
		vma->next->prev = vma->prev;
}

void sim_vmas_detach(struct sim_vmas *vmas, struct sim_vma *vma)
{
	struct sim_vma **link = &vmas->root;
	struct path path = {.depth = 0};

	while (*link != vma) {
		follow(&path, link);
		link = vma->start < (*link)->start ? &(*link)->left : &(*link)->right;
	}
	if (vma->left && vma->right)
		replace_by_next(&path, link);
	else
		*link = vma->left ? vma->left : vma->right;
	balance_path(&path);
	unthread(vma);
	vmas->count--;
}

void sim_vmas_free(struct sim_vmas *vmas, struct sim_vma *vma)
{
	vma->next = vmas->free;
	vmas->free = vma;
	vmas->free_count++;
}

void sim_vmas_remove(struct sim_vmas *vmas, struct sim_vma *vma)
{
	sim_vmas_detach(vmas, vma);
	sim_vmas_free(vmas, vma);
}

struct sim_vma *sim_vmas_find(const struct sim_vmas *vmas, uint64_t address)
{
	struct sim_vma *vma = vmas->root, *found = NULL;

	while (vma) {
		if (vma->start + vma->size > address) {
			found = vma;
			vma = vma->left;
		} else {
			vma = vma->right;
		}
	}
	return found;
}

static int check_node(const struct sim_vma *vma)
{
	uint32_t left = height(vma->left), right = height(vma->right);

	if (vma->height != (left > right ? left : right) + 1 || left > right + 1 || right > left + 1)
		return -EUCLEAN;
	if (!vma->size || (vma->next && vma->start + vma->size > vma->next->start))
		return -EUCLEAN;
	if (vma->next && vma->next->prev != vma)
		return -EUCLEAN;
	return 0;
}

/* The tree in order must be the thread: `expect` walks along the thread. */
static int check_subtree(const struct sim_vma *vma, const struct sim_vma **expect, size_t *count)
{
	int ret;

	if (!vma)
		return 0;
	ret = check_subtree(vma->left, expect, count);
	if (ret)
		return ret;
	if (vma != *expect)
		return -EUCLEAN;
	ret = check_node(vma);
	if (ret)
		return ret;
	*expect = vma->next;
	++*count;
	return check_subtree(vma->right, expect, count);
}

int sim_vmas_check(const struct sim_vmas *vmas)
{
	const struct sim_vma *expect = sim_vmas_find(vmas, 0);
	size_t count = 0;
	int ret = check_subtree(vmas->root, &expect, &count);

	if (ret)
		return ret;
	return count == vmas->count && !expect ? 0 : -EUCLEAN;
}
