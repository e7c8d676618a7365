/* SPDX-License-Identifier: MIT */
/*
 * What a VM would hold after some ops, without touching or copying what it holds now.
 *
 * A second, small map lies over the live one. Where it has an entry, that is the truth: a mapping of an earlier op, or
 * a mark that says "nothing here any more". Where it has none, the live map shows through, cut by the entries around.
 * So a batch of k ops costs O((n + k) log n) whatever n is, and the live map is only read.
 *
 * Sparse ranges that touch are one mapping, also when one half of it lies in the overlay and the other shows through.
 * The walk joins them at the seams.
 */
#include "plan_overlay.h"

/* The mark for an unmapped range is a BO that is none: it is compared, and nothing is ever done with it. */
static const struct panbind_bo nothing;

static struct panbind_bo *mark(void)
{
	return (struct panbind_bo *)&nothing;
}

int pb_overlay_init(struct pb_overlay *overlay, const struct pb_vamap *base, const struct pb_vamap *base_pieced)
{
	int r;

	*overlay = (struct pb_overlay){.base = base, .base_pieced = base_pieced};
	r = pb_vamap_create(NULL, NULL, &overlay->over);
	return r < 0 ? r : pb_vamap_create(NULL, NULL, &overlay->pieced);
}

void pb_overlay_destroy(struct pb_overlay *overlay)
{
	pb_vamap_destroy(overlay->over);
	pb_vamap_destroy(overlay->pieced);
}

/* ---- The walk ---- */

/* Entries of one map that are taken at a time: one way down the tree for all of them. */
#define WINDOW 16

struct window {
	const struct pb_vamap *map;
	uint64_t end; /* of the walk */
	size_t at, count;
	bool last; /* behind these there are none */
	struct pb_range entry[WINDOW];
};

struct walk {
	struct window base, over;
	int (*add)(void *data, const struct pb_range *piece);
	void *data;
	struct pb_range held; /* size 0: nothing; it may go on in the next piece */
};

static int give(struct walk *walk)
{
	return walk->held.size > 0 ? walk->add(walk->data, &walk->held) : 0;
}

static int hold(struct walk *walk, const struct pb_range *piece)
{
	struct pb_range *held = &walk->held;
	int r;

	if (held->size > 0 && held->bo == NULL && piece->bo == NULL && held->va + held->size == piece->va) {
		held->size += piece->size;
		return 0;
	}
	r = give(walk);
	*held = *piece;
	return r;
}

static void open_window(struct window *window, const struct pb_vamap *map, uint64_t end)
{
	window->map = map;
	window->end = end;
	window->at = window->count = 0;
	window->last = false;
}

/** The first entry that ends after @va, or NULL. @va never goes back. */
static const struct pb_range *entry_at(struct window *window, uint64_t va)
{
	for (;;) {
		for (; window->at < window->count; window->at++) {
			const struct pb_range *entry = &window->entry[window->at];

			if (entry->va + entry->size > va)
				return entry;
		}
		if (window->last)
			return NULL;
		window->count = pb_vamap_gather(window->map, va, window->end - va, window->entry, WINDOW);
		window->at = 0;
		window->last = window->count < WINDOW;
	}
}

static struct pb_range cut_to(struct pb_range range, uint64_t va, uint64_t end)
{
	uint64_t range_end = range.va + range.size, from = range.va > va ? range.va : va;

	if (range.bo != NULL)
		range.bo_offset += from - range.va;
	range.va = from;
	range.size = (range_end < end ? range_end : end) - from;
	return range;
}

/** What shows through in [*at, end), one entry of the live map. Moves *at behind it. */
static int step_below(struct walk *walk, uint64_t *at, uint64_t end)
{
	const struct pb_range *entry = entry_at(&walk->base, *at);
	struct pb_range piece;

	if (entry == NULL || entry->va >= end) {
		*at = end;
		return 0;
	}
	piece = cut_to(*entry, *at, end);
	*at = piece.va + piece.size;
	return hold(walk, &piece);
}

int pb_overlay_pieces(const struct pb_overlay *overlay, uint64_t va, uint64_t size,
		      int (*add)(void *data, const struct pb_range *piece), void *data)
{
	struct walk walk; /* most of it is room, which costs more to clear than the walk does */
	uint64_t at = va, end = va + size;
	int r = 0;

	open_window(&walk.base, overlay->base, end);
	open_window(&walk.over, overlay->over, end);
	walk.add = add;
	walk.data = data;
	walk.held.size = 0;
	while (r == 0 && at < end) {
		const struct pb_range *entry = entry_at(&walk.over, at);
		struct pb_range piece;

		if (entry == NULL || entry->va > at) {
			r = step_below(&walk, &at, entry == NULL ? end : entry->va);
			continue;
		}
		piece = cut_to(*entry, at, end);
		at = piece.va + piece.size;
		if (piece.bo != mark())
			r = hold(&walk, &piece);
	}
	return r == 0 ? give(&walk) : r;
}

void pb_overlay_prefetch(const struct pb_overlay *overlay, uint64_t va)
{
	pb_vamap_prefetch(overlay->base, va);
	pb_vamap_prefetch(overlay->over, va);
}

/* ---- Pages of 2 MiB ---- */

static bool is_pieced(const struct pb_vamap *pieced, uint64_t block)
{
	struct pb_range range;

	return pieced != NULL && pb_vamap_next(pieced, block, &range) == 0 && range.va <= block;
}

/*
 * Whoever maps a whole block in one go, with address and offset alike below 2 MiB, gets a large page, and has it until
 * somebody cuts it, which leaves two entries. Sparse entries are joined again, so of those it is written down which
 * blocks were put together from pieces.
 */
static bool is_block(const struct pb_range *range, uint64_t block, const struct pb_vamap *pieced)
{
	if (range->va > block || range->va + range->size < block + PANBIND_SPARSE_BLOCK)
		return false;
	if (range->bo == NULL)
		return !is_pieced(pieced, block);
	return (range->va - range->bo_offset) % PANBIND_SPARSE_BLOCK == 0;
}

void pb_pieced_note(struct pb_vamap *pieced, uint64_t va, uint64_t size)
{
	const uint64_t inside = PANBIND_SPARSE_BLOCK - 1;
	uint64_t end = va + size, whole = (va + inside) & ~inside, last = end & ~inside;
	struct pb_range block = {.va = va & ~inside, .size = PANBIND_SPARSE_BLOCK};

	if (pieced == NULL)
		return;
	if (whole < last)
		pb_vamap_clear(pieced, whole, last - whole);
	if (va != whole)
		pb_vamap_set(pieced, &block);
	if (end == last || (va != whole && last == block.va))
		return;
	block.va = last;
	pb_vamap_set(pieced, &block);
}

bool pb_overlay_in_block(const struct pb_overlay *overlay, uint64_t va)
{
	uint64_t block = va - va % PANBIND_SPARSE_BLOCK;
	struct pb_range range;

	/* The usual answer, for one look: at @va, near which whoever asks is going to look next. */
	if (!overlay->has_blocks &&
	    (pb_vamap_next(overlay->base, va, &range) < 0 || !is_block(&range, block, overlay->base_pieced)))
		return false;
	if (pb_vamap_next(overlay->over, block, &range) == 0 && range.va < block + PANBIND_SPARSE_BLOCK)
		return range.bo != mark() && is_block(&range, block, overlay->pieced);
	return pb_vamap_next(overlay->base, block, &range) == 0 && is_block(&range, block, overlay->base_pieced);
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
		pb_pieced_note(overlay->pieced, op->va, op->size); /* without memory for it: a page is thought whole */
		break;
	case PANBIND_OP_SYNC_ONLY:
		return 0;
	}
	overlay->has_blocks |= range.bo == NULL || (range.bo != mark() && range.size >= PANBIND_SPARSE_BLOCK);
	return pb_vamap_set(overlay->over, &range);
}
