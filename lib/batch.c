/* SPDX-License-Identifier: MIT */
/*
 * Batches: ordered lists of ops, for no VM in particular.
 *
 * An op that breaks a rule which holds for every VM is refused when it is added, so that the caller learns of it at the
 * line that wrote it. What depends on the VM is checked before a bind (check.c).
 *
 * Ops and syncs live in one array each, both of which grow by doubling: an op costs no allocation of its own. A sync
 * can only be added to the last op, so the syncs of an op lie together, in the order of the ops. When their array
 * moves, the ops' pointers into it are moved too.
 *
 * The batch holds one reference for each op with a BO and for each sync.
 */
#include <errno.h>

#include "internal.h"

#define FIRST_ROOM 8u

int panbind_batch_create(struct panbind_batch **ret_batch)
{
	struct panbind_batch *batch = calloc(1, sizeof(*batch));

	if (batch == NULL)
		return -ENOMEM;
	*ret_batch = batch;
	return 0;
}

void panbind_batch_clear(struct panbind_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		panbind_bo_unref(batch->ops[i].bo);
	for (uint32_t i = 0; i < batch->syncs.count; i++)
		panbind_syncobj_unref(batch->syncs.sync[i].syncobj);
	batch->count = 0;
	batch->syncs.count = 0;
	free(pb_take_ptr(batch->origins));
}

void panbind_batch_destroy(struct panbind_batch *batch)
{
	if (batch == NULL)
		return;
	panbind_batch_clear(batch);
	free(batch->ops);
	free(batch->syncs.sync);
	free(batch);
}

size_t panbind_batch_count(const struct panbind_batch *batch)
{
	return batch->count;
}

const struct panbind_op *panbind_batch_op(const struct panbind_batch *batch, size_t index)
{
	return index < batch->count ? &batch->ops[index] : NULL;
}

/* Room for one more op. An index is 32 bits wide, and one of its values says that there is no op. */
static int grow_ops(struct panbind_batch *batch)
{
	size_t room = batch->room > 0 ? batch->room * 2 : FIRST_ROOM;
	struct panbind_op *ops;

	if (batch->count < batch->room)
		return 0;
	if (batch->count >= PANBIND_NO_OP)
		return -ENOMEM;
	ops = reallocarray(batch->ops, room, sizeof(*ops));
	if (ops == NULL)
		return -ENOMEM;
	batch->ops = ops;
	if (batch->origins != NULL) {
		struct pb_origin *origins = reallocarray(batch->origins, room, sizeof(*origins));

		if (origins == NULL)
			return -ENOMEM;
		batch->origins = origins;
	}
	batch->room = room;
	return 0;
}

/* Add an op that has been checked. */
static int add(struct panbind_batch *batch, const struct panbind_op *op)
{
	int r = grow_ops(batch);

	if (r < 0)
		return r;
	if (op->bo != NULL)
		panbind_bo_ref(op->bo);
	if (batch->origins != NULL) {
		batch->origins[batch->count] = (struct pb_origin){batch->filled, batch->filled, 1};
		batch->filled++;
	}
	batch->ops[batch->count++] = *op;
	return 0;
}

static int check_and_add(struct panbind_batch *batch, const struct panbind_op *op, struct panbind_error *reterr)
{
	uint32_t index = (uint32_t)batch->count;
	int r = pb_check_op(op, index, reterr);

	if (r < 0)
		return r;
	r = add(batch, op);
	if (r < 0)
		return pb_error_at_op(reterr, r, PANBIND_STAGE_VALIDATE, index, op->va, op->size,
				      "no memory for op %u of the batch", index);
	return 0;
}

int panbind_batch_map(struct panbind_batch *batch, uint64_t va, uint64_t size, struct panbind_bo *bo,
		      uint64_t bo_offset, uint32_t flags, struct panbind_error *reterr)
{
	struct panbind_op op = {
		.type = PANBIND_OP_MAP,
		.flags = flags,
		.va = va,
		.size = size,
		.bo = bo,
		.bo_offset = bo_offset,
	};

	return check_and_add(batch, &op, reterr);
}

int panbind_batch_unmap(struct panbind_batch *batch, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	struct panbind_op op = {.type = PANBIND_OP_UNMAP, .va = va, .size = size};

	return check_and_add(batch, &op, reterr);
}

int panbind_batch_map_sparse(struct panbind_batch *batch, uint64_t va, uint64_t size, struct panbind_error *reterr)
{
	struct panbind_op op = {.type = PANBIND_OP_MAP_SPARSE, .va = va, .size = size};

	return check_and_add(batch, &op, reterr);
}

int panbind_batch_sync_only(struct panbind_batch *batch)
{
	struct panbind_op op = {.type = PANBIND_OP_SYNC_ONLY};

	return add(batch, &op);
}

/* Not realloc(): the ops' pointers are translated while both arrays exist. */
static int grow_syncs(struct panbind_batch *batch)
{
	struct pb_syncs *syncs = &batch->syncs;
	uint32_t room = syncs->room > 0 ? syncs->room * 2 : FIRST_ROOM;
	struct panbind_sync *sync;

	if (syncs->count < syncs->room)
		return 0;
	if (room < syncs->room)
		return -ENOMEM;
	sync = reallocarray(NULL, room, sizeof(*sync));
	if (sync == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < syncs->count; i++)
		sync[i] = syncs->sync[i];
	for (size_t i = 0; i < batch->count; i++)
		if (batch->ops[i].sync_count > 0)
			batch->ops[i].syncs = sync + (batch->ops[i].syncs - syncs->sync);
	free(syncs->sync);
	syncs->sync = sync;
	syncs->room = room;
	return 0;
}

static int add_sync(struct panbind_batch *batch, struct panbind_syncobj *syncobj, uint64_t point, int signal)
{
	struct panbind_op *op;
	int r;

	if (batch->count == 0 || syncobj == NULL)
		return -EINVAL;
	r = grow_syncs(batch);
	if (r < 0)
		return r;
	op = &batch->ops[batch->count - 1];
	if (op->sync_count == 0)
		op->syncs = &batch->syncs.sync[batch->syncs.count];
	op->sync_count++;
	batch->syncs.sync[batch->syncs.count++] = (struct panbind_sync){
		.syncobj = panbind_syncobj_ref(syncobj),
		.point = point,
		.signal = signal,
	};
	return 0;
}

int panbind_batch_wait(struct panbind_batch *batch, struct panbind_syncobj *syncobj, uint64_t point)
{
	return add_sync(batch, syncobj, point, 0);
}

int panbind_batch_signal(struct panbind_batch *batch, struct panbind_syncobj *syncobj, uint64_t point)
{
	return add_sync(batch, syncobj, point, 1);
}

/* ---- Merging ---- */

/** What a batch becomes: apart from it until all is well. */
struct merged {
	struct panbind_op *ops;
	struct pb_origin *origins;
	uint32_t *into;
	size_t count;
};

static void free_merged(struct merged *merged)
{
	free(merged->ops);
	free(merged->origins);
	free(merged->into);
}

static int copy_and_merge(const struct panbind_batch *batch, struct merged *merged)
{
	merged->ops = reallocarray(NULL, batch->room, sizeof(*merged->ops));
	merged->origins = reallocarray(NULL, batch->room, sizeof(*merged->origins));
	merged->into = reallocarray(NULL, batch->count, sizeof(*merged->into));
	if (merged->ops == NULL || merged->origins == NULL || merged->into == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < batch->count; i++) {
		merged->ops[i] = batch->ops[i];
		merged->origins[i] = pb_batch_origin(batch, i);
	}
	return pb_merge(merged->ops, merged->origins, merged->into, batch->count, &merged->count);
}

int panbind_batch_merge(struct panbind_batch *batch)
{
	pb_cleanup(free_merged) struct merged merged = {0};
	size_t left;
	int r;

	if (batch->count < 2)
		return 0;
	r = copy_and_merge(batch, &merged);
	if (r < 0)
		return r;
	left = merged.count;
	for (size_t i = batch->count; i-- > 0;) {
		if (left > 0 && merged.into[i] == left - 1)
			left--; /* this one is left, and keeps its reference */
		else
			panbind_bo_unref(batch->ops[i].bo);
	}
	if (batch->origins == NULL)
		batch->filled = (uint32_t)batch->count;
	free(batch->ops);
	free(batch->origins);
	batch->ops = pb_take_ptr(merged.ops);
	batch->origins = pb_take_ptr(merged.origins);
	batch->count = merged.count;
	return 0;
}

struct pb_origin pb_batch_origin(const struct panbind_batch *batch, size_t index)
{
	if (batch->origins != NULL)
		return batch->origins[index];
	return (struct pb_origin){(uint32_t)index, (uint32_t)index, 1};
}

int panbind_batch_origin(const struct panbind_batch *batch, size_t index, uint32_t *ret_first, uint32_t *ret_count)
{
	struct pb_origin origin;

	if (index >= batch->count)
		return -ENOENT;
	origin = pb_batch_origin(batch, index);
	if (ret_first != NULL)
		*ret_first = origin.first;
	if (ret_count != NULL)
		*ret_count = origin.count;
	return 0;
}
