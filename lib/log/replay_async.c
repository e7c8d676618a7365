/* SPDX-License-Identifier: MIT */
/*
 * Repeating asynchronous binds: as they were, with their waits and signals.
 *
 * The log names syncobjs, but says nothing of what else happened to them: who signalled them from outside, when they
 * were reset. Two rules make up for that. The driver takes a wait only when its fence is there, so that what an entry
 * waited for was signalled, or about to be, by something before it: by an earlier entry, whose fence the replay has
 * too, or by somebody else, for whom the replay signals itself. And a point that is signalled a second time means that
 * there was a reset between.
 *
 * So a replay cannot wait for ever: every fence is signalled already, or belongs to a bind before it.
 */
#include <stdio.h>

#include "replay.h"

#define PATIENCE_NS 100000000 /* between two looks at whether the caller wants an end */

/** A syncobj that ops name. */
struct pb_replay_syncobj {
	struct panbind_syncobj *syncobj;
	bool has_fence; /* as a binary one */
	uint64_t point; /* the last that has a fence */
	char name[];
};

/** One of the syncs of an op, as its text says. */
struct sync {
	struct pb_replay_syncobj *on;
	uint64_t point;
	bool signal;
};

/* ---- Syncobjs ---- */

void pb_replay_free_syncobjs(struct pb_replay *r)
{
	for (size_t i = 0; i < r->syncobj_count; i++) {
		panbind_syncobj_unref(r->syncobjs[i]->syncobj);
		free(r->syncobjs[i]);
	}
	free(r->syncobjs);
	r->syncobjs = NULL;
	r->syncobj_count = r->syncobj_room = 0;
}

static int add_syncobj(struct pb_replay *r, const char *name, size_t size, struct pb_replay_syncobj **ret_syncobj)
{
	struct pb_replay_syncobj *new;
	int err;

	if (r->syncobj_count == r->syncobj_room) {
		size_t room = r->syncobj_room ? r->syncobj_room * 2 : 16;
		struct pb_replay_syncobj **grown = realloc(r->syncobjs, room * sizeof(struct pb_replay_syncobj *));

		if (!grown)
			return -ENOMEM;
		r->syncobjs = grown;
		r->syncobj_room = room;
	}
	new = calloc(1, sizeof(*new) + size + 1);
	if (!new)
		return -ENOMEM;
	memcpy(new->name, name, size);
	err = panbind_syncobj_create(r->device, 0, &new->syncobj);
	if (err < 0) {
		free(new);
		return err;
	}
	r->syncobjs[r->syncobj_count++] = new;
	*ret_syncobj = new;
	return 0;
}

static int find_syncobj(struct pb_replay *r, const char *name, size_t size, struct pb_replay_syncobj **ret_syncobj)
{
	for (size_t i = r->syncobj_count; i-- > 0;) {
		if (strncmp(r->syncobjs[i]->name, name, size) == 0 && r->syncobjs[i]->name[size] == '\0') {
			*ret_syncobj = r->syncobjs[i];
			return 0;
		}
	}
	return add_syncobj(r, name, size, ret_syncobj);
}

static bool has_fence(const struct sync *sync)
{
	return sync->point ? sync->point <= sync->on->point : sync->on->has_fence;
}

static void note_fence(const struct sync *sync)
{
	if (sync->point > sync->on->point)
		sync->on->point = sync->point;
	else if (!sync->point)
		sync->on->has_fence = true;
}

/* ---- The text of an op's syncs ---- */

/* The sync at *@text, which moves behind it. 1, 0: there are no more, or a negative errno. */
static int next_sync(struct pb_replay *r, const char **text, struct sync *ret_sync)
{
	const char *at = *text + strspn(*text, " "), *end = at + strcspn(at, " "), *name, *colon;
	char *rest;
	int err;

	if (at == end)
		return 0;
	*text = end;
	name = memchr(at, '=', (size_t)(end - at));
	if (!name || (strncmp(at, "wait=", 5) != 0 && strncmp(at, "signal=", 7) != 0))
		return -EINVAL;
	*ret_sync = (struct sync){.signal = *at == 's'};
	name++;
	colon = memchr(name, ':', (size_t)(end - name));
	err = find_syncobj(r, name, (size_t)((colon ? colon : end) - name), &ret_sync->on);
	if (err < 0 || !colon)
		return err < 0 ? err : 1;
	errno = 0;
	ret_sync->point = strtoull(colon + 1, &rest, 10);
	return rest == end && errno == 0 && ret_sync->point ? 1 : -EINVAL;
}

/* The second signal of a point, or an earlier one: it was reset. */
static int reset(struct pb_replay *r, struct pb_replay_syncobj *on)
{
	struct panbind_syncobj *fresh;
	int err = panbind_syncobj_create(r->device, 0, &fresh);

	if (err < 0)
		return err;
	panbind_syncobj_unref(on->syncobj);
	on->syncobj = fresh;
	on->has_fence = false;
	on->point = 0;
	return 0;
}

static int add_sync(struct pb_replay *r, const struct sync *sync, bool help)
{
	int err = 0;

	if (help && sync->signal && sync->point && has_fence(sync))
		err = reset(r, sync->on);
	if (!sync->signal && !has_fence(sync)) {
		if (!help)
			return -ENOENT;
		err = panbind_syncobj_signal(sync->on->syncobj, sync->point);
		if (err == 0)
			note_fence(sync);
	}
	if (err < 0)
		return err;
	return sync->signal ? panbind_batch_signal(r->single, sync->on->syncobj, sync->point)
			    : panbind_batch_wait(r->single, sync->on->syncobj, sync->point);
}

static int add_syncs(struct pb_replay *r, const struct pb_row_op *op, bool help)
{
	const char *text = op->syncs ? op->syncs : "";
	struct sync sync;
	int err;

	while ((err = next_sync(r, &text, &sync)) == 1) {
		err = add_sync(r, &sync, help);
		if (err < 0)
			return err;
	}
	return err;
}

/* The driver has taken the bind: what its ops signal has a fence. */
static void note_signals(struct pb_replay *r, const struct pb_row *row, size_t first, size_t count)
{
	struct sync sync;

	for (size_t i = first; i < count; i++) {
		const char *text = row->ops[i].syncs ? row->ops[i].syncs : "";

		while (next_sync(r, &text, &sync) == 1)
			if (sync.signal)
				note_fence(&sync);
	}
}

/* ---- Waiting ---- */

static void tell_loss(struct pb_replay *r, struct pb_object *vm, uint64_t seq)
{
	static const struct panbind_error recorded = {.op = PANBIND_NO_OP};
	struct panbind_error got = {.code = -EUCLEAN, .stage = PANBIND_STAGE_COMPLETE, .op = PANBIND_NO_OP};

	snprintf(got.msg, sizeof(got.msg), "the driver gave the VM up after an asynchronous bind");
	vm->broken = true;
	pb_replay_tell_result(r, seq, vm->id, &recorded, &got);
}

int pb_replay_wait(struct pb_replay *r, int64_t id)
{
	struct pb_object *vm = id ? pb_objects_by_id(&r->objects, id) : NULL;
	enum panbind_vm_state state = PANBIND_VM_USABLE;
	uint64_t seq;
	int err;

	if (!vm || !vm->async_seq || !vm->handle)
		return 0;
	while ((err = panbind_vm_wait(vm->handle, PATIENCE_NS)) == -ETIME) {
		err = pb_replay_progress(r, false);
		if (err != 0)
			return err;
	}
	if (err < 0)
		return err;
	seq = vm->async_seq;
	vm->async_seq = 0;
	err = panbind_vm_get_state(vm->handle, &state);
	if (err == 0 && state != PANBIND_VM_USABLE && !vm->lost_seq)
		tell_loss(r, vm, seq);
	return err;
}

int pb_replay_wait_all(struct pb_replay *r)
{
	int err = 0;

	for (size_t i = 0; i < r->objects.count && err == 0; i++)
		err = pb_replay_wait(r, r->objects.list[i]->id);
	return err;
}

/* ---- The bind ---- */

static int add_op(struct pb_replay *r, const struct pb_row *row, const struct pb_row_op *op,
		  struct panbind_error *reterr)
{
	struct panbind_bo *bo = op->bo ? pb_replay_bo(r, op->bo, row->entry.seq) : NULL;

	switch (op->type) {
	case PANBIND_LOG_MAP:
	case PANBIND_LOG_SPARSE_BIND: /* within a region, which stays as it is */
		return panbind_batch_map(r->single, op->va, op->size, bo, op->bo_offset, op->flags, reterr);
	case PANBIND_LOG_MAP_SPARSE:
	case PANBIND_LOG_SPARSE_UNBIND:
		return panbind_batch_map_sparse(r->single, op->va, op->size, reterr);
	case PANBIND_LOG_UNMAP:
		return panbind_batch_unmap(r->single, op->va, op->size, reterr);
	case PANBIND_LOG_SYNC_ONLY:
		return panbind_batch_sync_only(r->single);
	default:
		return -EINVAL;
	}
}

/* @help: signal what nobody else will. -ENOENT: somebody would have to. */
static int build(struct pb_replay *r, const struct pb_row *row, size_t first, size_t count, bool help,
		 struct panbind_error *reterr)
{
	int err = 0;

	panbind_batch_clear(r->single);
	for (size_t i = first; i < count && err == 0; i++) {
		err = add_op(r, row, &row->ops[i], reterr);
		if (err == 0)
			err = add_syncs(r, &row->ops[i], help);
		if (err < 0 && reterr->code == 0)
			pb_log_error(reterr, err, "an op of an asynchronous bind cannot be repeated: %s",
				     panbind_errno_name(err));
		if (err < 0)
			reterr->op = row->ops[i].index;
	}
	return err;
}

static int submit(struct pb_replay *r, const struct pb_row *row, size_t first, size_t count,
		  struct panbind_error *reterr)
{
	struct pb_object *vm = pb_objects_by_id(&r->objects, row->ops[first].vm);
	int err = panbind_vm_bind(vm->handle, r->single, PANBIND_BIND_ASYNC, reterr);

	r->result.ops += count - first;
	if (err < 0) {
		if (reterr->op != PANBIND_NO_OP && first + reterr->op < count)
			reterr->op = row->ops[first + reterr->op].index;
		return err;
	}
	vm->async_seq = row->entry.seq;
	note_signals(r, row, first, count);
	return 0;
}

static int repeat_applied(struct pb_replay *r, const struct pb_row *row, size_t first, size_t count)
{
	static const struct panbind_error recorded = {.op = PANBIND_NO_OP};
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int err = build(r, row, first, count, true, &error);

	if (err == 0)
		err = submit(r, row, first, count, &error);
	if (err == 0 || pb_ran_out_here(err, &error))
		return err;
	error.code = err;
	pb_replay_tell_result(r, row->entry.seq, row->ops[first].vm, &recorded, &error);
	return 0;
}

/* One that was refused. Should it be taken now, it cannot be undone: the VM is let alone from here on. */
static int repeat_failed(struct pb_replay *r, const struct pb_row *row)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	int err = build(r, row, 0, row->op_count, false, &error);

	if (err == -ENOENT) { /* the log does not tell what its waits met */
		r->result.skipped++;
		return 0;
	}
	if (err == 0)
		err = submit(r, row, 0, row->op_count, &error);
	if (pb_ran_out_here(err, &error))
		return err;
	if (err == 0)
		pb_objects_by_id(&r->objects, row->ops[0].vm)->broken = true;
	error.code = err;
	r->batch_vm = row->ops[0].vm;
	pb_replay_compare_failure(r, &row->entry, &error);
	return 0;
}

int pb_replay_async(struct pb_replay *r, const struct pb_row *row, uint32_t first_op)
{
	size_t count = pb_row_applied(row);
	int err = pb_replay_settle(r);

	if (err < 0 || (r->only && row->op_count && row->ops[0].vm != r->only))
		return err;
	if (row->entry.outcome == PANBIND_OUTCOME_ROLLED_BACK)
		return repeat_failed(r, row);
	return first_op < count ? repeat_applied(r, row, first_op, count) : 0;
}
