/* SPDX-License-Identifier: MIT */
/*
 * What a VM would hold after some ops, without touching or copying what it holds now.
 *
 * A second, small map lies over the live one. Where it has an entry, that is the truth: a mapping of an earlier op, or
 * a mark that says "nothing here any more". Where it has none, the live map shows through, cut by the entries around.
 * So a batch of k ops costs O((n + k) log n) whatever n is, and the live map is only read.
 *
 * Sparse ranges that touch are one mapping, also when one half of it lies in the overlay and the other shows through.
 * Counting joins them at the seams.
 */
#include "plan_overlay.h"

/* The mark for an unmapped range is a BO that is none: it is compared, and nothing is ever done with it. */
static const struct panbind_bo nothing;

static struct panbind_bo *mark(void)
{
	return (struct panbind_bo *)&nothing;
}

int pb_overlay_init(struct pb_overlay *overlay, const struct pb_vamap *base)
{
	overlay->base = base;
	return pb_vamap_create(NULL, NULL, &overlay->over);
}

void pb_overlay_destroy(struct pb_overlay *overlay)
{
	pb_vamap_destroy(overlay->over);
}

/* A stretch of the composed VM that comes from one of the two maps. */
struct stretch {
	size_t count;
	bool sparse_first, sparse_last; /* a sparse mapping reaches its first, its last byte */
};

static bool is_sparse_at(const struct pb_vamap *map, uint64_t va)
{
	struct pb_range range;

	return pb_vamap_next(map, va, &range) == 0 && range.va <= va && range.bo == NULL;
}

static struct stretch below(const struct pb_overlay *overlay, uint64_t va, uint64_t end)
{
	return (struct stretch){
		.count = pb_vamap_overlaps(overlay->base, va, end - va),
		.sparse_first = is_sparse_at(overlay->base, va),
		.sparse_last = is_sparse_at(overlay->base, end - 1),
	};
}

static struct stretch above(const struct pb_range *over)
{
	return (struct stretch){
		.count = over->bo != mark(),
		.sparse_first = over->bo == NULL,
		.sparse_last = over->bo == NULL,
	};
}

/* Go on by one stretch. One that begins in the middle of a sparse mapping which was counted counts one less. */
static void add_stretch(struct stretch *sum, const struct stretch *next)
{
	sum->count += next->count - (sum->sparse_last && next->sparse_first);
	sum->sparse_last = next->sparse_last;
}

size_t pb_overlay_count(const struct pb_overlay *overlay, uint64_t va, uint64_t size)
{
	uint64_t at = va, end = va + size;
	struct stretch sum = {0}, next;
	struct pb_range over;

	while (at < end && pb_vamap_next(overlay->over, at, &over) == 0 && over.va < end) {
		if (over.va > at) {
			next = below(overlay, at, over.va);
			add_stretch(&sum, &next);
		}
		next = above(&over);
		add_stretch(&sum, &next);
		at = over.va + over.size;
	}
	if (at < end) {
		next = below(overlay, at, end);
		add_stretch(&sum, &next);
	}
	return sum.count;
}

int pb_overlay_apply(struct pb_overlay *overlay, const struct panbind_op *op)
{
	struct pb_range range = {.va = op->va, .size = op->size};

	switch (op->type) {
	case PANBIND_OP_MAP:
		range.bo = op->bo;
		range.bo_offset = op->bo_offset;
		range.flags = op->flags;
		break;
	case PANBIND_OP_UNMAP:
		range.bo = mark();
		break;
	case PANBIND_OP_MAP_SPARSE:
		range.flags = PANBIND_MAP_NOEXEC;
		break;
	case PANBIND_OP_SYNC_ONLY:
		return 0;
	}
	return pb_vamap_set(overlay->over, &range);
}
