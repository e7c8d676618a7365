/* SPDX-License-Identifier: MIT */
/*
 * Merging: fewer ops, the same mapping at the end.
 *
 *  - An op whose range later ones write over, all of it, is dropped. An unmap in front of a map of the same range goes
 *    this way: the map replaces what is there.
 *  - An op joins an earlier one that it continues: both say the same of each page of a range that is one. The earlier
 *    one moves down to the later one's place. That changes nothing as long as nobody in between has written into its
 *    range; with its whole range still its own, that is so.
 *
 * Who wrote a page last is kept in an interval map over the VA space, whose entries carry an op's address in the place
 * of a BO. Each op counts the bytes that are still its own: when all of them are, it may move. What moves can give
 * others room to join, hence the repetition, which also makes merging idempotent.
 *
 * Where no two ops overlap, which is the usual thing, nobody is in anybody's way: sorted by VA, whoever can join stands
 * side by side, and no map is needed.
 *
 * Nothing moves across a sync: a wait begins a segment, a signal ends one, and each segment is merged by itself.
 */
#include "merge.h"

#include <errno.h>

#include "internal.h"
#include "va_sort.h"

/** A run of ops without a sync between them. */
struct segment {
	struct panbind_op *ops;
	struct pb_origin *origins;
	uint32_t *into; /* an op's own index while it is there; else where it went; PANBIND_NO_OP: it is dropped */
	uint64_t *left; /* bytes of its range that nobody later has written */
	uint32_t base, count; /* in the batch: `into` counts from its start */
	struct pb_vamap *last_writer;
	bool overlaps, changed; /* in this pass */
};

static uint64_t end_of(const struct panbind_op *op)
{
	return op->va + op->size;
}

/** Do both say the same of every page, and is their union one range? Then one op can do the work of both. */
static bool can_join(const struct panbind_op *a, const struct panbind_op *b)
{
	if (a->type != b->type || a->va > end_of(b) || b->va > end_of(a))
		return false;
	if (a->type == PANBIND_OP_MAP)
		return a->bo == b->bo && a->flags == b->flags && a->va - a->bo_offset == b->va - b->bo_offset;
	return a->type != PANBIND_OP_SYNC_ONLY;
}

static bool is_there(const struct segment *segment, uint32_t index)
{
	return segment->into[index] == segment->base + index;
}

/** The earlier op becomes a piece of the later one. */
static void join(struct segment *segment, uint32_t earlier, uint32_t later)
{
	struct panbind_op *from = &segment->ops[earlier], *to = &segment->ops[later];
	struct pb_origin *one = &segment->origins[earlier], *all = &segment->origins[later];
	uint64_t end = end_of(from) > end_of(to) ? end_of(from) : end_of(to);

	if (from->va < to->va) {
		to->va = from->va;
		to->bo_offset = from->bo_offset;
	}
	to->size = end - to->va;
	all->first = one->first < all->first ? one->first : all->first;
	all->last = one->last > all->last ? one->last : all->last;
	all->count += one->count;
	segment->into[earlier] = segment->base + later;
	segment->changed = true;
}

/* ---- Without overlaps: in order of VA ---- */

static bool are_disjoint(const struct segment *segment, const struct pb_va_key *keys, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		if (end_of(&segment->ops[keys[i - 1].index]) > keys[i].va)
			return false;
	return true;
}

/** The op that holds the ones to the left so far is always the last of them in the batch. */
static void join_neighbours(struct segment *segment, const struct pb_va_key *keys, uint32_t count)
{
	uint32_t left = keys[0].index;

	for (uint32_t i = 1; i < count; i++) {
		uint32_t right = keys[i].index, low = left < right ? left : right, high = left ^ right ^ low;

		if (can_join(&segment->ops[left], &segment->ops[right])) {
			join(segment, low, high);
			right = high;
		}
		left = right;
	}
}

/** 1 when that was the way to do it, 0 when it is not, or -ENOMEM. */
static int merge_disjoint(struct segment *segment)
{
	pb_autofree struct pb_va_key *room =
		reallocarray(NULL, segment->count, 2 * sizeof(*room)); /* and as many spares */
	struct pb_va_key *keys = room;
	uint32_t count = 0;
	bool ascending = true;

	if (room == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < segment->count; i++) {
		if (!is_there(segment, i))
			continue;
		keys[count] = (struct pb_va_key){segment->ops[i].va, i};
		ascending &= count == 0 || keys[count - 1].va <= keys[count].va;
		count++;
	}
	if (!ascending)
		keys = pb_va_sort(keys, keys + segment->count, count);
	if (!are_disjoint(segment, keys, count))
		return 0;
	join_neighbours(segment, keys, count);
	return 1;
}

/* ---- What later ones overwrite ---- */

/** From the end on, so that what is covered by several later ones together is seen too. */
static int drop_overwritten(struct segment *segment)
{
	struct pb_vamap *covered = NULL; /* its sparse entries join where they touch: it is a set of addresses */
	int r = pb_vamap_create(NULL, NULL, &covered);

	for (uint32_t i = segment->count; r == 0 && i-- > 0;) {
		const struct panbind_op *op = &segment->ops[i];
		struct pb_range range = {0};

		if (pb_vamap_next(covered, op->va, &range) == 0 && range.va <= op->va &&
		    range.va + range.size >= end_of(op)) {
			segment->into[i] = PANBIND_NO_OP;
			continue;
		}
		range = (struct pb_range){.va = op->va, .size = op->size};
		r = pb_vamap_set(covered, &range);
	}
	pb_vamap_destroy(covered);
	return r;
}

/* ---- In any order ---- */

/** What an op meets: at most one at each side can be joined. */
struct meeting {
	struct segment *segment;
	const struct panbind_op *op;
	struct panbind_op *low, *high; /* candidates, whole and untouched */
	bool inside;		       /* something is in its range */
};

static struct panbind_op *writer_of(const struct pb_range *piece)
{
	return (struct panbind_op *)piece->bo;
}

static uint32_t index_in(const struct segment *segment, const struct panbind_op *op)
{
	return (uint32_t)(op - segment->ops);
}

static int look_around(void *data, const struct pb_range *piece)
{
	struct meeting *meeting = data;
	const struct panbind_op *op = meeting->op;
	struct panbind_op *other = writer_of(piece);

	meeting->inside |= piece->va < end_of(op) && piece->va + piece->size > op->va;
	if (meeting->segment->left[index_in(meeting->segment, other)] != other->size || !can_join(other, op))
		return 0;
	if (other->va < op->va)
		meeting->low = other;
	else if (end_of(other) > end_of(op))
		meeting->high = other;
	return 0;
}

/** Another op loses what this one writes. */
static int take_over(void *data, const struct pb_range *piece)
{
	struct meeting *meeting = data;
	struct panbind_op *other = writer_of(piece);

	if (other == meeting->low || other == meeting->high)
		return 0;
	meeting->segment->left[index_in(meeting->segment, other)] -= piece->size;
	meeting->segment->overlaps = true;
	return 0;
}

static int write_op(struct segment *segment, uint32_t index)
{
	struct panbind_op *op = &segment->ops[index];
	uint64_t low = op->va > 0 ? op->va - PANBIND_PAGE_SIZE : 0;
	uint64_t high = end_of(op) <= UINT64_MAX - PANBIND_PAGE_SIZE ? end_of(op) + PANBIND_PAGE_SIZE : end_of(op);
	struct meeting meeting = {.segment = segment, .op = op};
	struct pb_range range = {.bo = (struct panbind_bo *)op};

	pb_vamap_pieces(segment->last_writer, low, high - low, look_around, &meeting);
	if (meeting.low)
		join(segment, index_in(segment, meeting.low), index);
	if (meeting.high)
		join(segment, index_in(segment, meeting.high), index);
	if (meeting.inside)
		pb_vamap_pieces(segment->last_writer, op->va, op->size, take_over, &meeting);
	segment->left[index] = op->size;
	range.va = op->va;
	range.size = op->size;
	return pb_vamap_set(segment->last_writer, &range);
}

static int run_pass(struct segment *segment)
{
	int r = pb_vamap_create(NULL, NULL, &segment->last_writer);

	segment->overlaps = segment->changed = false;
	for (uint32_t i = 0; r == 0 && i < segment->count; i++)
		if (is_there(segment, i))
			r = write_op(segment, i);
	pb_vamap_destroy(pb_take_ptr(segment->last_writer));
	return r;
}

static int merge_segment(struct segment *segment)
{
	int r = merge_disjoint(segment);

	if (r == 0) {
		r = drop_overwritten(segment);
		if (r == 0)
			r = merge_disjoint(segment);
	}
	if (r != 0)
		return r < 0 ? r : 0;
	do
		r = run_pass(segment);
	while (r == 0 && segment->changed && segment->overlaps);
	return r;
}

/* ---- Segments ---- */

static bool has_sync(const struct panbind_op *op, bool signal)
{
	for (uint32_t i = 0; i < op->sync_count; i++)
		if (!!op->syncs[i].signal == signal)
			return true;
	return false;
}

/** May @next be in the segment of @last, which comes right before it? */
static bool follows(const struct panbind_op *last, const struct panbind_op *next)
{
	return last->type != PANBIND_OP_SYNC_ONLY && next->type != PANBIND_OP_SYNC_ONLY && !has_sync(last, true) &&
	       !has_sync(next, false);
}

/**
 * Syncs go to whoever is first and last now. Only the first op of a segment waits and only its last one signals, so
 * those of both lie side by side in the batch's array, and one op can have them all.
 */
static void move_syncs(struct segment *segment)
{
	const struct panbind_op first = segment->ops[0], last = segment->ops[segment->count - 1];
	uint32_t low = 0, high = segment->count - 1;

	while (!is_there(segment, low))
		low++;
	while (!is_there(segment, high))
		high--;
	for (uint32_t i = 0; i < segment->count; i++) {
		segment->ops[i].syncs = NULL;
		segment->ops[i].sync_count = 0;
	}
	segment->ops[low].syncs = first.syncs;
	segment->ops[low].sync_count = first.sync_count;
	if (last.sync_count == 0)
		return;
	if (low != high || first.sync_count == 0)
		segment->ops[high].syncs = last.syncs;
	segment->ops[high].sync_count += last.sync_count;
}

static int merge_all(const struct segment *all)
{
	int r = 0;

	for (uint32_t first = 0; r == 0 && first < all->count;) {
		struct segment segment = {.ops = all->ops + first,
					  .origins = all->origins + first,
					  .into = all->into + first,
					  .left = all->left + first,
					  .base = first,
					  .count = 1};

		while (first + segment.count < all->count &&
		       follows(&segment.ops[segment.count - 1], &segment.ops[segment.count]))
			segment.count++;
		if (segment.count > 1) {
			r = merge_segment(&segment);
			if (r == 0)
				move_syncs(&segment);
		}
		first += segment.count;
	}
	return r;
}

/* ---- The result ---- */

/** Where the work of op @index is done in the end. */
static uint32_t follow(uint32_t *into, uint32_t index)
{
	uint32_t end = index, next;

	while (end != PANBIND_NO_OP && into[end] != end)
		end = into[end];
	for (; index != end && into[index] != end; index = next) { /* shorter for the next one who asks */
		next = into[index];
		into[index] = end;
	}
	return end;
}

/** Close the ranks. @place: scratch. Returns how many are there. */
static size_t compact(const struct segment *all, uint64_t *place)
{
	size_t there = 0;

	for (uint32_t i = 0; i < all->count; i++)
		follow(all->into, i);
	for (uint32_t i = 0; i < all->count; i++) {
		if (all->into[i] != i)
			continue;
		all->ops[there] = all->ops[i];
		all->origins[there] = all->origins[i];
		place[i] = there++;
	}
	for (uint32_t i = 0; i < all->count; i++)
		if (all->into[i] != PANBIND_NO_OP)
			all->into[i] = (uint32_t)place[all->into[i]];
	return there;
}

int pb_merge(struct panbind_op *ops, struct pb_origin *origins, uint32_t *into, size_t count, size_t *ret_count)
{
	pb_autofree uint64_t *left = reallocarray(NULL, count, sizeof(*left));
	struct segment all = {.ops = ops, .origins = origins, .into = into, .left = left, .count = (uint32_t)count};
	int r;

	if (left == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < all.count; i++)
		into[i] = i;
	r = merge_all(&all);
	if (r == 0)
		*ret_count = compact(&all, left);
	return r;
}
