/* SPDX-License-Identifier: MIT */
/*
 * The order in which waiting ops are bound. Ops on disjoint ranges commute, so a long batch is bound along the address
 * space: with a million live mappings an op's way through the trees of the library and of the driver is mostly waiting
 * for memory, and its neighbour has been there a moment ago. Ops that overlap keep the order they have in the log, and
 * so does, as a group, everything that is linked by overlaps.
 */
#include "replay.h"

#define WORTH_IT 32 /* ops */

/** An op of the batch, and what its place depends on: its VA and the end of it, or its entry and its index there. */
struct pb_batch_place {
	uint64_t major, minor;
	uint32_t op;
};

static int by_place(const void *a, const void *b)
{
	const struct pb_batch_place *x = a, *y = b;

	if (x->major != y->major)
		return x->major < y->major ? -1 : 1;
	return x->minor < y->minor ? -1 : x->minor > y->minor;
}

static int by_op(const void *a, const void *b)
{
	const struct pb_batch_place *x = a, *y = b;

	return x->op < y->op ? -1 : x->op > y->op;
}

/* Groups of ops that overlap, each in the order of the log. The places are sorted by VA. */
static void keep_order_of_overlaps(struct pb_batch_place *places, size_t count)
{
	for (size_t first = 0, end; first < count; first = end) {
		uint64_t reach = places[first].minor;

		for (end = first + 1; end < count && places[end].major < reach; end++)
			if (places[end].minor > reach)
				reach = places[end].minor;
		if (end - first > 1)
			qsort(places + first, end - first, sizeof(*places), by_op);
	}
}

static int make_room(struct pb_replay *r)
{
	struct pb_batch_place *places;
	struct pb_batch_origin *origins;

	if (r->origin_room <= r->place_room)
		return 0;
	places = realloc(r->places, r->origin_room * sizeof(*places));
	if (!places)
		return -ENOMEM;
	r->places = places;
	origins = realloc(r->other_origins, r->origin_room * sizeof(*origins));
	if (!origins)
		return -ENOMEM;
	r->other_origins = origins;
	r->place_room = r->origin_room;
	return 0;
}

/* Make the batch one of the ops at places[0, count), in that order. */
static int rebuild(struct pb_replay *r, size_t count)
{
	struct pb_batch_origin *origins = r->other_origins;
	struct panbind_batch *batch = r->single;
	int err = 0;

	panbind_batch_clear(batch);
	for (size_t i = 0; i < count && err == 0; i++) {
		origins[i] = r->origins[r->places[i].op];
		err = pb_replay_copy_op(batch, panbind_batch_op(r->batch, r->places[i].op), NULL);
	}
	panbind_batch_clear(r->batch);
	r->single = r->batch;
	r->batch = batch;
	r->other_origins = r->origins;
	r->origins = origins;
	return err;
}

int pb_replay_order_by_va(struct pb_replay *r)
{
	size_t count = panbind_batch_count(r->batch);

	if (count < WORTH_IT)
		return 0;
	if (make_room(r) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct panbind_op *op = panbind_batch_op(r->batch, i);

		r->places[i] = (struct pb_batch_place){op->va, op->va + op->size, (uint32_t)i};
	}
	qsort(r->places, count, sizeof(*r->places), by_place);
	keep_order_of_overlaps(r->places, count);
	return rebuild(r, count);
}

int pb_replay_order_by_entry(struct pb_replay *r, size_t first, uint64_t without_seq)
{
	size_t count = panbind_batch_count(r->batch), kept = 0;

	if (make_room(r) < 0)
		return -ENOMEM;
	for (size_t i = first; i < count; i++)
		if (r->origins[i].seq != without_seq)
			r->places[kept++] =
				(struct pb_batch_place){r->origins[i].seq, r->origins[i].index, (uint32_t)i};
	if (kept > 0)
		qsort(r->places, kept, sizeof(*r->places), by_place);
	return rebuild(r, kept);
}
