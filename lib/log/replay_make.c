/* SPDX-License-Identifier: MIT */
/*
 * Objects of a replay: made when their entry comes, or, where only one VM is asked for, BOs when an op first needs
 * them. An object that cannot be made as recorded is told once, and ops that need it are left out.
 */
#include <errno.h>

#include "replay.h"

#define SNAPSHOT_OPS 256 /* mappings of the snapshot bound at once */

static bool is_lost(const struct pb_object *vm, uint64_t seq)
{
	return vm->lost_seq && vm->lost_seq <= seq;
}

static int make_vm(struct pb_replay *r, struct pb_object *object, uint64_t seq)
{
	struct panbind_error error = {0};
	struct panbind_vm *vm;
	int err = panbind_vm_create(r->device, object->size, &vm, &error);

	if (err == 0 && panbind_vm_va_range(vm) < object->size) {
		pb_log_error(&error, -ERANGE, "the VA range is 0x%llx bytes, 0x%llx were recorded",
			     (unsigned long long)panbind_vm_va_range(vm), (unsigned long long)object->size);
		panbind_vm_destroy(vm);
		err = -ERANGE;
	}
	if (pb_ran_out_here(err, &error))
		return err;
	if (err < 0) {
		object->broken = true;
		pb_replay_tell_object(r, seq, object, &error);
		return 0;
	}
	object->handle = vm;
	return 0;
}

/* A program's BO is one like any other where it is made again. */
static uint32_t bo_flags(const struct pb_object *object)
{
	return object->flags & ~PANBIND_LOG_ADOPTED;
}

static int make_bo(struct pb_replay *r, struct pb_object *object, uint64_t seq)
{
	struct panbind_vm *exclusive = object->exclusive_vm ? pb_replay_vm(r, object->exclusive_vm, seq) : NULL;
	struct panbind_error error = {.code = -ENOENT, .msg = "the VM that it is exclusive to is not there"};
	struct panbind_bo *bo;
	int err = -ENOENT;

	if (!object->exclusive_vm || exclusive)
		err = panbind_bo_create(r->device, object->size, bo_flags(object), exclusive, &bo, &error);
	if (pb_ran_out_here(err, &error))
		return err;
	if (err < 0) {
		object->broken = true;
		pb_replay_tell_object(r, seq, object, &error);
		return 0;
	}
	object->handle = bo;
	return 0;
}

struct panbind_vm *pb_replay_vm(struct pb_replay *r, int64_t id, uint64_t seq)
{
	const struct pb_object *object = id ? pb_objects_by_id(&r->objects, id) : NULL;

	return object && object->kind == PB_OBJECT_VM && !object->broken && !is_lost(object, seq) ? object->handle
												  : NULL;
}

struct panbind_bo *pb_replay_bo(struct pb_replay *r, int64_t id, uint64_t seq)
{
	struct pb_object *object = id ? pb_objects_by_id(&r->objects, id) : NULL;
	bool ghost = object && object->destroyed_seq == object->created_seq;

	if (!object || object->kind != PB_OBJECT_BO || object->broken || ghost)
		return NULL;
	if (!object->handle && r->only && object->created_seq <= seq)
		make_bo(r, object, seq);
	return object->handle;
}

static void end_object(struct pb_object *object)
{
	void *handle = pb_take_ptr(object->handle);

	object->async_seq = 0;
	if (object->kind == PB_OBJECT_VM)
		panbind_vm_destroy(handle);
	else
		panbind_bo_unref(handle);
}

/* VMs first: a BO may be exclusive to one. */
static void end_all(struct pb_replay *r)
{
	for (size_t i = 0; i < r->objects.count; i++)
		if (r->objects.list[i]->kind == PB_OBJECT_VM)
			end_object(r->objects.list[i]);
	for (size_t i = 0; i < r->objects.count; i++)
		end_object(r->objects.list[i]);
}

void pb_replay_destroy_all(struct pb_replay *r)
{
	end_all(r);
}

/* ---- Entries about objects ---- */

/* A creation that failed must fail again; the object never lived. */
static int fail_to_make(struct pb_replay *r, const struct pb_row *row, struct pb_object *object)
{
	struct panbind_error got = {0};
	struct panbind_vm *vm = NULL;
	struct panbind_bo *bo = NULL;
	int err;

	if (row->entry.kind == PANBIND_LOG_VM_CREATE)
		err = panbind_vm_create(r->device, object->size, &vm, &got);
	else
		err = panbind_bo_create(r->device, object->size, bo_flags(object), NULL, &bo, &got);
	panbind_vm_destroy(vm);
	panbind_bo_unref(bo);
	got.code = err;
	if (err != row->entry.result)
		pb_replay_tell_result(r, row->entry.seq, 0, &(struct panbind_error){.code = row->entry.result}, &got);
	return 0;
}

static int make(struct pb_replay *r, const struct pb_row *row, struct pb_object *object)
{
	if (r->only && object->id != r->only)
		return 0; /* a BO: when it is needed */
	if (row->entry.result && (object->size == 0 || r->options.applied_only)) {
		r->result.skipped++;
		return 0;
	}
	if (row->entry.result)
		return fail_to_make(r, row, object);
	return object->kind == PB_OBJECT_VM ? make_vm(r, object, row->entry.seq) : make_bo(r, object, row->entry.seq);
}

int pb_replay_object(struct pb_replay *r, const struct pb_row *row)
{
	struct pb_object *object = row->object ? pb_objects_by_id(&r->objects, row->object) : NULL;
	int err = pb_replay_settle(r);

	if (err < 0)
		return err;
	if (row->entry.kind == PANBIND_LOG_START) {
		end_all(r);
		pb_replay_free_syncobjs(r);
		return 0;
	}
	if (!object) {
		r->result.skipped++;
		return 0;
	}
	switch (row->entry.kind) {
	case PANBIND_LOG_VM_CREATE:
	case PANBIND_LOG_BO_CREATE:
		return make(r, row, object);
	case PANBIND_LOG_VM_DESTROY:
	case PANBIND_LOG_BO_DESTROY:
		if (row->entry.result == 0)
			end_object(object);
		else
			r->result.skipped++;
		return 0;
	default:
		return 0; /* a lost VM: its row says so */
	}
}

/* ---- The snapshot ---- */

static int make_alive(struct pb_replay *r, enum pb_object_kind kind)
{
	int err = 0;

	for (size_t i = 0; i < r->objects.count && err == 0; i++) {
		struct pb_object *object = r->objects.list[i];

		if (object->kind != kind || !pb_object_alive(object, r->place.seq))
			continue;
		if (kind == PB_OBJECT_BO && !r->only)
			err = make_bo(r, object, r->place.seq);
		else if (kind == PB_OBJECT_VM && (!r->only || object->id == r->only))
			err = make_vm(r, object, r->place.seq);
	}
	return err;
}

/* A BO that is mapped and has no name any more: made for its mappings, let go when they stand. */
static int make_mapped(struct pb_replay *r, const struct pb_piece *piece)
{
	struct pb_object *bo = piece->bo ? pb_objects_by_id(&r->objects, piece->bo) : NULL;

	if (!bo || bo->handle || bo->broken)
		return 0;
	return make_bo(r, bo, r->place.seq);
}

static void let_go_of_dead(struct pb_replay *r)
{
	for (size_t i = 0; i < r->objects.count; i++) {
		struct pb_object *object = r->objects.list[i];

		if (object->kind == PB_OBJECT_BO && object->handle && object->destroyed_seq &&
		    object->destroyed_seq <= r->place.seq)
			end_object(object);
	}
}

static bool in_region(const struct pb_fold_vm *vm, const struct pb_piece *piece)
{
	for (size_t i = 0; i < vm->region_count; i++)
		if (vm->regions[i].va <= piece->va &&
		    piece->va + piece->size <= vm->regions[i].va + vm->regions[i].size)
			return true;
	return false;
}

/* Reserve the regions; what is not mapped inside one was unmapped later. */
static int rebuild_regions(struct pb_replay *r, struct panbind_vm *vm, const struct pb_fold_vm *fold,
			   struct panbind_error *error)
{
	int err = 0;

	for (size_t i = 0; i < fold->region_count && err == 0; i++) {
		uint64_t va = fold->regions[i].va, end = va + fold->regions[i].size;
		struct pb_piece piece;

		err = panbind_sparse_reserve(vm, va, end - va, error);
		while (err == 0 && va < end) {
			if (pb_pieces_next(fold->pieces, va, &piece) < 0 || piece.va > end)
				piece = (struct pb_piece){.va = end};
			if (piece.va > va)
				err = panbind_vm_unmap(vm, va, piece.va - va, error);
			va = piece.va + piece.size;
		}
	}
	return err;
}

static int rebuild_mapping(struct pb_replay *r, const struct pb_fold_vm *fold, const struct pb_piece *piece,
			   struct panbind_error *error)
{
	const struct pb_row_op op = {.type = piece->bo ? PANBIND_LOG_MAP : PANBIND_LOG_MAP_SPARSE,
				     .vm = fold->id,
				     .flags = piece->flags,
				     .va = piece->va,
				     .size = piece->size,
				     .bo_offset = piece->bo_offset};
	struct panbind_bo *bo;
	int err = make_mapped(r, piece);

	if (err < 0)
		return err;
	bo = pb_replay_bo(r, piece->bo, r->place.seq);
	if (piece->bo && !bo)
		return 0; /* told already */
	r->result.ops++;
	err = pb_replay_add_op(r, piece->seq, &op, bo, error);
	return err == 0 && panbind_batch_count(r->batch) >= SNAPSHOT_OPS ? pb_replay_settle(r) : err;
}

static int rebuild_mappings(struct pb_replay *r, const struct pb_fold_vm *fold, struct panbind_error *error)
{
	struct pb_piece piece;
	int err = 0;

	for (uint64_t va = 0; err == 0 && pb_pieces_next(fold->pieces, va, &piece) == 0; va = piece.va + piece.size)
		if (piece.bo || !in_region(fold, &piece))
			err = rebuild_mapping(r, fold, &piece, error);
	return err < 0 ? err : pb_replay_settle(r);
}

static int rebuild_vm(struct pb_replay *r, const struct pb_fold_vm *fold)
{
	struct pb_object *object = pb_objects_by_id(&r->objects, fold->id);
	struct panbind_vm *vm = pb_replay_vm(r, fold->id, r->place.seq);
	struct panbind_error error = {0};
	int err;

	if (!vm)
		return 0;
	err = rebuild_regions(r, vm, fold, &error);
	if (err == 0)
		err = rebuild_mappings(r, fold, &error);
	if (err < 0 && !pb_ran_out_here(err, &error)) {
		panbind_batch_clear(r->batch);
		pb_replay_tell_object(r, r->place.seq, object, &error);
		return 0;
	}
	return err;
}

int pb_replay_snapshot(struct pb_replay *r)
{
	int err = make_alive(r, PB_OBJECT_VM);

	if (err == 0)
		err = make_alive(r, PB_OBJECT_BO);
	for (size_t i = 0; i < r->fold.count && err == 0; i++)
		err = rebuild_vm(r, r->fold.vms[i]);
	if (err == 0)
		let_go_of_dead(r);
	if (r->options.verify == PANBIND_LOG_VERIFY_NONE)
		pb_fold_free(&r->fold);
	return err;
}

/* ---- Handing over ---- */

static int adopt_kind(struct pb_replay *r, enum pb_object_kind kind)
{
	struct panbind_log_object shown;
	int err = 0;

	for (size_t i = 0; i < r->objects.count && err == 0; i++) {
		struct pb_object *object = r->objects.list[i];

		if (object->kind != kind || !object->handle || !pb_object_alive(object, r->until_seq))
			continue;
		pb_object_describe(&r->objects, object, &shown);
		if (kind == PB_OBJECT_BO)
			err = r->options.adopt_bo(r->options.data, &shown, object->handle);
		else
			err = r->options.adopt_vm(r->options.data, &shown, object->handle);
		if (err == 0)
			object->handle = NULL;
	}
	return err;
}

int pb_replay_adopt(struct pb_replay *r)
{
	int err = r->options.adopt_vm ? adopt_kind(r, PB_OBJECT_VM) : 0;

	return err == 0 && r->options.adopt_bo ? adopt_kind(r, PB_OBJECT_BO) : err;
}
