/* SPDX-License-Identifier: MIT */
/*
 * Ranges in the kernel's part of a VM. Each knows the hole behind it, so giving back needs no memory.
 *
 * The search looks at every hole. There are few: objects of a few sizes are packed from the bottom.
 */
#include "sim_kernel_va.h"

#include <errno.h>
#include <stdlib.h>

static void add_hole(struct sim_kernel_va *va, struct sim_kernel_node *node, uint64_t size)
{
	node->hole_size = size;
	if (!size)
		return;
	node->newer = NULL;
	node->older = va->newest;
	if (va->newest)
		va->newest->newer = node;
	va->newest = node;
}

static void remove_hole(struct sim_kernel_va *va, struct sim_kernel_node *node)
{
	if (!node->hole_size)
		return;
	if (node->newer)
		node->newer->older = node->older;
	else
		va->newest = node->older;
	if (node->older)
		node->older->newer = node->newer;
	node->hole_size = 0;
}

void sim_kernel_va_init(struct sim_kernel_va *va, uint64_t start, uint64_t end)
{
	*va = (struct sim_kernel_va){.anchor.start = start};
	add_hole(va, &va->anchor, end - start);
}

static uint64_t hole_start(const struct sim_kernel_node *node)
{
	return node->start + node->size;
}

/* Where in the hole behind @node the range would be; does it fit? */
static int fits(const struct sim_kernel_node *node, uint64_t size, uint64_t align, uint64_t *ret_start)
{
	uint64_t start = (hole_start(node) + align - 1) & ~(align - 1), skipped = start - hole_start(node);

	*ret_start = start;
	return skipped < node->hole_size && size <= node->hole_size - skipped;
}

/* drm_mm_insert_node_in_range(), best_hole(): from the newest hole to the oldest, so that of equals the newest wins. */
static struct sim_kernel_node *best_hole(const struct sim_kernel_va *va, uint64_t size, uint64_t align,
					 uint64_t *ret_start)
{
	struct sim_kernel_node *best = NULL;
	uint64_t start;

	for (struct sim_kernel_node *node = va->newest; node; node = node->older) {
		if ((best && node->hole_size >= best->hole_size) || !fits(node, size, align, &start))
			continue;
		best = node;
		*ret_start = start;
	}
	return best;
}

int sim_kernel_va_take(struct sim_kernel_va *va, uint64_t size, uint64_t align, struct sim_kernel_node **ret_node)
{
	uint64_t start, end;
	struct sim_kernel_node *before = best_hole(va, size, align, &start), *node;

	if (!before)
		return -ENOSPC;
	node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->start = start;
	node->size = size;
	node->prev = before;
	node->next = before->next;
	if (node->next)
		node->next->prev = node;
	before->next = node;

	end = hole_start(before) + before->hole_size;
	remove_hole(va, before);
	add_hole(va, before, start - hole_start(before));
	add_hole(va, node, end - hole_start(node));
	va->used += size;
	*ret_node = node;
	return 0;
}

void sim_kernel_va_give(struct sim_kernel_va *va, struct sim_kernel_node *node)
{
	struct sim_kernel_node *before = node->prev;
	uint64_t size = before->hole_size + node->size + node->hole_size;

	remove_hole(va, node);
	remove_hole(va, before);
	before->next = node->next;
	if (node->next)
		node->next->prev = before;
	add_hole(va, before, size);
	va->used -= node->size;
	free(node);
}
