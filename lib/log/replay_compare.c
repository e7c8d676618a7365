/* SPDX-License-Identifier: MIT */
/*
 * Comparing a replay with its log: what is mapped now with what the fold implies, range by range. Both sides may be cut
 * into pieces differently (binding merges neighbours, a fold does not), so that addresses are compared, not pieces.
 */
#include <stdarg.h>
#include <stdio.h>

#include "replay.h"

static void tell(struct pb_replay *r, const struct panbind_log_difference *difference)
{
	r->result.differences++;
	if (r->options.difference)
		r->options.difference(r->options.data, difference);
}

static const char *words_for(const struct panbind_error *error)
{
	return error->code ? panbind_errno_name(error->code) : "success";
}

static void describe_end(char *text, size_t size, const struct panbind_error *error)
{
	if (error->op == PANBIND_NO_OP || error->code == 0)
		snprintf(text, size, "%s", words_for(error));
	else
		snprintf(text, size, "%s at op %u (%s)", words_for(error), error->op, panbind_stage_name(error->stage));
}

void pb_replay_tell_result(struct pb_replay *r, uint64_t seq, int64_t vm, const struct panbind_error *recorded,
			   const struct panbind_error *got)
{
	const struct pb_object *object = vm ? pb_objects_by_id(&r->objects, vm) : NULL;
	struct panbind_log_difference difference = {
		.type = PANBIND_LOG_DIFF_RESULT,
		.seq = seq,
		.vm = pb_object_ref(object),
		.recorded = *recorded,
		.got = *got,
	};
	char then[64], now[64];

	describe_end(then, sizeof(then), recorded);
	describe_end(now, sizeof(now), got);
	snprintf(difference.msg, sizeof(difference.msg), "entry %llu was recorded with %s, and now ends with %s%s%s",
		 (unsigned long long)seq, then, now, got->code && *got->msg ? ": " : "", got->code ? got->msg : "");
	tell(r, &difference);
}

void pb_replay_tell_object(struct pb_replay *r, uint64_t seq, const struct pb_object *object,
			   const struct panbind_error *got)
{
	struct panbind_log_difference difference = {
		.type = PANBIND_LOG_DIFF_OBJECT,
		.seq = seq,
		.recorded = {.op = PANBIND_NO_OP},
		.got = *got,
	};

	if (object->kind == PB_OBJECT_VM)
		difference.vm = pb_object_ref(object);
	snprintf(difference.msg, sizeof(difference.msg), "%s %s cannot be made as recorded: %s",
		 object->kind == PB_OBJECT_VM ? "VM" : "BO", object->name, *got->msg ? got->msg : words_for(got));
	tell(r, &difference);
}

/** One side at an address: a mapping cut to start there, or a hole up to the next one. */
struct view {
	uint64_t end;
	bool mapped;
	const void *bo; /* NULL: sparse */
	const char *bo_name;
	uint64_t bo_offset;
	uint32_t flags;
	uint64_t seq;
};

static struct view expected_at(struct pb_replay *r, const struct pb_fold_vm *fold, uint64_t va)
{
	const struct pb_object *bo;
	struct pb_piece piece;

	if (!fold || pb_pieces_next(fold->pieces, va, &piece) < 0)
		return (struct view){.end = UINT64_MAX};
	if (piece.va > va)
		return (struct view){.end = piece.va};
	bo = piece.bo ? pb_objects_by_id(&r->objects, piece.bo) : NULL;
	return (struct view){.end = piece.va + piece.size,
			     .mapped = true,
			     .bo = bo,
			     .bo_name = bo ? bo->name : "?",
			     .bo_offset = bo ? piece.bo_offset + (va - piece.va) : 0,
			     .flags = bo ? piece.flags : 0,
			     .seq = piece.seq};
}

/* A BO without a name any more is known by its handle alone, which is gone: then only that it is some BO is compared.
 */
static struct view live_at(struct panbind_vm *vm, uint64_t va)
{
	struct panbind_mapping mapping;

	if (panbind_vm_next_mapping(vm, va, &mapping) < 0)
		return (struct view){.end = UINT64_MAX};
	if (mapping.va > va)
		return (struct view){.end = mapping.va};
	return (struct view){.end = mapping.va + mapping.size,
			     .mapped = true,
			     .bo = mapping.sparse ? NULL : mapping.bo,
			     .bo_offset = mapping.sparse ? 0 : mapping.bo_offset + (va - mapping.va),
			     .flags = mapping.sparse ? 0 : mapping.flags};
}

static bool same_bo(const struct view *expected, const struct view *live)
{
	const struct pb_object *object = expected->bo;

	if (!object || !live->bo)
		return !object && !live->bo;
	return object->handle ? object->handle == live->bo : panbind_bo_size(live->bo) >= object->size;
}

static bool same(const struct view *expected, const struct view *live)
{
	if (!expected->mapped || !live->mapped)
		return expected->mapped == live->mapped;
	return same_bo(expected, live) && expected->bo_offset == live->bo_offset && expected->flags == live->flags;
}

static const char *bo_name(struct pb_replay *r, const void *handle)
{
	for (size_t i = 0; i < r->objects.count; i++)
		if (r->objects.list[i]->handle == handle)
			return r->objects.list[i]->name;
	return "an unnamed BO";
}

static void describe(char *text, size_t size, const struct view *view, const char *name)
{
	if (!view->mapped)
		snprintf(text, size, "nothing");
	else if (!view->bo)
		snprintf(text, size, "a sparse range");
	else
		snprintf(text, size, "%s+0x%llx (flags %u)", name, (unsigned long long)view->bo_offset, view->flags);
}

static void tell_range(struct pb_replay *r, uint64_t seq, const struct pb_object *vm, uint64_t va, uint64_t end,
		       const struct view *expected, const struct view *live)
{
	struct panbind_log_difference difference = {
		.type = PANBIND_LOG_DIFF_MAPPING,
		.seq = seq ? seq : expected->seq,
		.vm = pb_object_ref(vm),
		.va = va,
		.size = end - va,
	};
	char should[100], is[100];

	describe(should, sizeof(should), expected, expected->bo_name);
	describe(is, sizeof(is), live, live->bo ? bo_name(r, live->bo) : NULL);
	snprintf(difference.msg, sizeof(difference.msg), "VM %.80s maps %s at 0x%llx, 0x%llx bytes; the log says %s",
		 vm->name, is, (unsigned long long)va, (unsigned long long)(end - va), should);
	tell(r, &difference);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void compare_range(struct pb_replay *r, uint64_t seq, const struct pb_object *object, uint64_t va, uint64_t end)
{
	const struct pb_fold_vm *fold = pb_fold_find_vm(&r->fold, object->id);
	struct view expected = {0}, live = {0};

	while (va < end) {
		uint64_t next;

		expected = expected_at(r, fold, va);
		live = live_at(object->handle, va);
		next = least(end, least(expected.end, live.end));
		if (!same(&expected, &live))
			tell_range(r, seq, object, va, next, &expected, &live);
		va = next;
	}
}

void pb_replay_compare_touched(struct pb_replay *r, const struct pb_row *row)
{
	for (size_t i = 0; i < row->op_count; i++) {
		const struct pb_row_op *op = &row->ops[i];
		uint64_t end = op->va + op->size < op->va ? UINT64_MAX : op->va + op->size;

		if (op->size && pb_replay_vm(r, op->vm, row->entry.seq))
			compare_range(r, row->entry.seq, pb_objects_by_id(&r->objects, op->vm), op->va, end);
	}
}

static void compare_regions(struct pb_replay *r, const struct pb_object *object)
{
	const struct pb_fold_vm *fold = pb_fold_find_vm(&r->fold, object->id);
	struct panbind_log_difference difference = {.type = PANBIND_LOG_DIFF_MAPPING, .vm = pb_object_ref(object)};
	uint64_t va = 0, live_va = 0, live_size = 0;
	size_t i = 0;

	for (;; i++) {
		bool expected = fold && i < fold->region_count;
		bool live = panbind_sparse_next_region(object->handle, va, &live_va, &live_size) == 0;

		if (!expected && !live)
			return;
		if (expected != live || fold->regions[i].va != live_va || fold->regions[i].size != live_size)
			break;
		va = live_va + live_size;
	}
	difference.va = va;
	snprintf(difference.msg, sizeof(difference.msg),
		 "VM %.80s has other sparse regions than the log says, from 0x%llx", object->name,
		 (unsigned long long)va);
	tell(r, &difference);
}

void pb_replay_compare_all(struct pb_replay *r)
{
	for (size_t i = 0; i < r->objects.count; i++) {
		const struct pb_object *object = r->objects.list[i];

		if (object->kind != PB_OBJECT_VM || !object->handle || !pb_replay_vm(r, object->id, r->until_seq))
			continue;
		compare_range(r, 0, object, 0, UINT64_MAX);
		compare_regions(r, object);
	}
}
