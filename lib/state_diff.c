/* SPDX-License-Identifier: MIT */
/*
 * The walk over two states: where they differ, in ranges as large as they can be.
 *
 * Mostly it is two arrays read side by side. The exception is a sparse region that only one state has. A region can be
 * reserved only where nothing is mapped and released only with all that is in it, so what lies in such a region does
 * not stay in place even when it is the same on both sides: it is unmapped and mapped anew. The stretches that such
 * regions cover, "upset" ones, are therefore compared apart: all of `from` in them is gone, all of `to` is new. That
 * is what happens, and it is why the number of ops never passes the number of differences (state_ops.c counts).
 */
#include <errno.h>
#include <string.h>

#include "state.h"

/* A stretch that regions of only one side cover. */
struct upset {
	uint64_t va, end;
};

struct walk {
	struct panbind_state_diff *diff;
	struct upset *upsets;
	size_t upset_count, upset_room;
	bool apart; /* the next difference does not continue the last one */
};

/* ---- Adding ---- */

static struct panbind_state_side side_of(const struct panbind_state *state, const struct pb_state_piece *piece,
					 uint64_t va)
{
	struct panbind_state_side side = {0};

	if (!piece || va < piece->va)
		return side;
	side.backing = piece->bo == PANBIND_STATE_SPARSE ? PANBIND_BACKING_SPARSE : PANBIND_BACKING_BO;
	if (side.backing == PANBIND_BACKING_SPARSE)
		return side;
	side.bo = &state->bos[piece->bo];
	side.bo_offset = piece->bo_offset + (va - piece->va);
	side.flags = piece->flags;
	return side;
}

static bool side_continues(const struct panbind_state_side *side, uint64_t size, const struct panbind_state_side *next)
{
	if (side->backing != next->backing || side->bo != next->bo || side->flags != next->flags)
		return false;
	return side->backing != PANBIND_BACKING_BO || side->bo_offset + size == next->bo_offset;
}

static int add(struct walk *walk, const struct panbind_state_difference *item)
{
	struct panbind_state_diff *diff = walk->diff;
	struct panbind_state_difference *last = diff->count ? &diff->items[diff->count - 1] : NULL;

	if (last && !walk->apart && item->type == PANBIND_DIFFERENCE_RANGE && last->type == item->type &&
	    last->anew == item->anew && last->va + last->size == item->va &&
	    side_continues(&last->from, last->size, &item->from) && side_continues(&last->to, last->size, &item->to)) {
		last->size += item->size;
		return 0;
	}
	walk->apart = false;
	if (pb_array_grow((void **)&diff->items, &diff->room, diff->count, sizeof(*item)) < 0)
		return -ENOMEM;
	diff->items[diff->count++] = *item;
	return 0;
}

/* ---- Regions ---- */

static bool has_region(const struct panbind_state *state, size_t at, const struct pb_region *region)
{
	return at < state->region_count && state->regions[at].va == region->va &&
	       state->regions[at].size == region->size;
}

static int add_upset(struct walk *walk, const struct pb_region *region)
{
	struct upset *last = walk->upset_count ? &walk->upsets[walk->upset_count - 1] : NULL;

	if (last && region->va < last->end) {
		if (pb_region_end(region) > last->end)
			last->end = pb_region_end(region);
		return 0;
	}
	if (pb_array_grow((void **)&walk->upsets, &walk->upset_room, walk->upset_count, sizeof(*last)) < 0)
		return -ENOMEM;
	walk->upsets[walk->upset_count++] = (struct upset){.va = region->va, .end = pb_region_end(region)};
	return 0;
}

/* Both lists in order of VA: what stands in one alone. */
static int find_upsets(struct walk *walk)
{
	const struct panbind_state *from = walk->diff->from, *to = walk->diff->to;
	size_t i = 0, j = 0;
	int r = 0;

	while (r == 0 && (i < from->region_count || j < to->region_count)) {
		if (i < from->region_count && has_region(to, j, &from->regions[i])) {
			i++;
			j++;
		} else if (j == to->region_count ||
			   (i < from->region_count && from->regions[i].va <= to->regions[j].va)) {
			r = add_upset(walk, &from->regions[i++]);
		} else {
			r = add_upset(walk, &to->regions[j++]);
		}
	}
	return r;
}

/* Index of the first region that ends after @va. */
static size_t first_region(const struct panbind_state *state, uint64_t va)
{
	size_t low = 0, high = state->region_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pb_region_end(&state->regions[middle]) > va)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* The regions of one side that lie in an upset stretch. None of them is on both sides: it would touch no other. */
static int add_regions(struct walk *walk, const struct upset *upset, bool is_new)
{
	const struct panbind_state *state = is_new ? walk->diff->to : walk->diff->from;
	int r = 0;

	for (size_t i = first_region(state, upset->va); r == 0 && i < state->region_count; i++) {
		const struct pb_region *region = &state->regions[i];
		struct panbind_state_difference item = {.type = PANBIND_DIFFERENCE_REGION,
							.va = region->va,
							.size = region->size};

		if (region->va >= upset->end)
			break;
		(is_new ? &item.to : &item.from)->backing = PANBIND_BACKING_SPARSE;
		r = add(walk, &item);
	}
	return r;
}

/* Holes of [va, end) in new regions have to be made: a region is all dummy at first. */
static int add_new_holes(struct walk *walk, uint64_t va, uint64_t end)
{
	const struct panbind_state *to = walk->diff->to;
	int r = 0;

	for (size_t i = first_region(to, va); r == 0 && i < to->region_count && to->regions[i].va < end; i++) {
		struct panbind_state_difference item = {.anew = 1};
		uint64_t stop = pb_region_end(&to->regions[i]);

		item.va = to->regions[i].va > va ? to->regions[i].va : va;
		item.size = (stop < end ? stop : end) - item.va;
		if (item.size > 0)
			r = add(walk, &item);
	}
	return r;
}

/* One piece of a side of an upset stretch. Dummy is cut where new regions begin and end: they bring theirs along. */
static int add_piece(struct walk *walk, const struct pb_state_piece *piece, uint64_t va, uint64_t end, bool is_new)
{
	const struct panbind_state *state = is_new ? walk->diff->to : walk->diff->from;
	int r = 0;

	while (r == 0 && va < end) {
		struct panbind_state_difference item = {.va = va, .anew = 1};
		uint64_t stop = end;

		if (is_new && piece->bo == PANBIND_STATE_SPARSE) {
			size_t at = first_region(state, va);
			const struct pb_region *region = at < state->region_count ? &state->regions[at] : NULL;

			if (region && region->va > va && region->va < stop)
				stop = region->va;
			else if (region && region->va <= va && pb_region_end(region) < stop)
				stop = pb_region_end(region);
			walk->apart = true;
		}
		item.size = stop - va;
		*(is_new ? &item.to : &item.from) = side_of(state, piece, va);
		r = add(walk, &item);
		va = stop;
	}
	return r;
}

/* One side of an upset stretch, all of it. */
static int add_side(struct walk *walk, const struct upset *upset, bool is_new)
{
	const struct panbind_state *state = is_new ? walk->diff->to : walk->diff->from;
	uint64_t at = upset->va;
	int r = 0;

	walk->apart = true;
	for (size_t i = pb_state_first(state, at); r == 0 && at < upset->end; i++) {
		const struct pb_state_piece *piece = i < state->count ? &state->pieces[i] : NULL;
		uint64_t va = piece && piece->va > at ? piece->va : at;
		uint64_t end = piece && pb_piece_end(piece) < upset->end ? pb_piece_end(piece) : upset->end;

		if (!piece || va >= upset->end)
			return is_new ? add_new_holes(walk, at, upset->end) : 0;
		if (is_new)
			r = add_new_holes(walk, at, va);
		if (r == 0)
			r = add_piece(walk, piece, va, end, is_new);
		at = end;
	}
	return r;
}

static int add_upset_stretch(struct walk *walk, const struct upset *upset)
{
	int r = add_regions(walk, upset, false);

	if (r == 0)
		r = add_regions(walk, upset, true);
	if (r == 0)
		r = add_side(walk, upset, false);
	if (r == 0)
		r = add_side(walk, upset, true);
	walk->apart = true;
	return r;
}

/* ---- Everything else ---- */

static bool same_side(struct panbind_state_diff *diff, const struct panbind_state_side *from,
		      const struct panbind_state_side *to)
{
	if (from->backing != to->backing || from->flags != to->flags || from->bo_offset != to->bo_offset)
		return false;
	return from->backing != PANBIND_BACKING_BO ||
	       pb_state_match(&diff->match, diff->from, (uint32_t)(from->bo - diff->from->bos), diff->to,
			      (uint32_t)(to->bo - diff->to->bos));
}

/* Where the side of @piece (NULL: no more) at @va ends, at most @end. */
static uint64_t side_end(const struct pb_state_piece *piece, uint64_t va, uint64_t end)
{
	uint64_t stop = !piece ? end : va < piece->va ? piece->va : pb_piece_end(piece);

	return stop < end ? stop : end;
}

static const struct pb_state_piece *piece_at(const struct panbind_state *state, size_t at)
{
	return at < state->count ? &state->pieces[at] : NULL;
}

/* Both sides of [va, end), in which the same regions are. */
static int add_plain_stretch(struct walk *walk, uint64_t va, uint64_t end)
{
	struct panbind_state_diff *diff = walk->diff;
	size_t i = pb_state_first(diff->from, va), j = pb_state_first(diff->to, va);
	int r = 0;

	while (r == 0 && va < end && (i < diff->from->count || j < diff->to->count)) {
		const struct pb_state_piece *a = piece_at(diff->from, i), *b = piece_at(diff->to, j);
		uint64_t stop = side_end(b, va, side_end(a, va, end));
		struct panbind_state_difference item = {.va = va,
							.size = stop - va,
							.from = side_of(diff->from, a, va),
							.to = side_of(diff->to, b, va)};

		if (!same_side(diff, &item.from, &item.to))
			r = add(walk, &item);
		i += a && pb_piece_end(a) <= stop;
		j += b && pb_piece_end(b) <= stop;
		va = stop;
	}
	return r;
}

/* BOs of one name and two sizes, of which something is mapped. */
static int add_bos(struct walk *walk)
{
	const struct panbind_state *from = walk->diff->from, *to = walk->diff->to;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < to->bo_count; i++) {
		uint32_t other = walk->diff->match.from_of_to[i];
		struct panbind_state_difference item = {.type = PANBIND_DIFFERENCE_BO};

		if (other == PB_STATE_NO_MATCH || !to->bos[i].size || !from->bos[other].size ||
		    to->bos[i].size == from->bos[other].size)
			continue;
		item.from = (struct panbind_state_side){.backing = PANBIND_BACKING_BO, .bo = &from->bos[other]};
		item.to = (struct panbind_state_side){.backing = PANBIND_BACKING_BO, .bo = &to->bos[i]};
		r = add(walk, &item);
	}
	return r;
}

/*
 * As many as when each piece differs once: only address space until they are written, and moving a large array on the
 * way costs more than the walk does.
 */
static int reserve_items(struct panbind_state_diff *diff)
{
	size_t most = diff->from->count > diff->to->count ? diff->from->count : diff->to->count;

	return pb_array_reserve((void **)&diff->items, &diff->room, most, sizeof(*diff->items));
}

static int walk_all(struct walk *walk)
{
	uint64_t va = 0;
	int r = find_upsets(walk);

	for (size_t i = 0; r == 0 && i < walk->upset_count; i++) {
		r = add_plain_stretch(walk, va, walk->upsets[i].va);
		if (r == 0)
			r = add_upset_stretch(walk, &walk->upsets[i]);
		va = walk->upsets[i].end;
	}
	if (r == 0)
		r = add_plain_stretch(walk, va, UINT64_MAX);
	return r == 0 ? add_bos(walk) : r;
}

/* ---- The result ---- */

void panbind_state_diff_destroy(struct panbind_state_diff *diff)
{
	if (!diff)
		return;
	pb_state_match_end(&diff->match);
	free(diff->items);
	free(diff->ops);
	free(diff);
}

void pb_state_diffp_destroy(struct panbind_state_diff **diff)
{
	panbind_state_diff_destroy(*diff);
}

int panbind_state_diff(const struct panbind_state *from, const struct panbind_state *to,
		       struct panbind_state_diff **ret_diff)
{
	pb_cleanup(pb_state_diffp_destroy) struct panbind_state_diff *diff = calloc(1, sizeof(*diff));
	struct walk walk = {.diff = diff};
	int r;

	if (!diff)
		return -ENOMEM;
	diff->from = from;
	diff->to = to;
	r = pb_state_match_begin(from, to, &diff->match);
	if (r == 0)
		r = reserve_items(diff);
	if (r == 0)
		r = walk_all(&walk);
	free(walk.upsets);
	if (r == 0)
		r = pb_state_ops_build(diff);
	if (r == 0)
		*ret_diff = pb_take_ptr(diff);
	return r;
}

size_t panbind_state_diff_count(const struct panbind_state_diff *diff)
{
	return diff->count;
}

const struct panbind_state_difference *panbind_state_diff_at(const struct panbind_state_diff *diff, size_t index)
{
	return index < diff->count ? &diff->items[index] : NULL;
}
