/* SPDX-License-Identifier: MIT */
/*
 * The fold: what all applied ops together have made of each VM. An op that follows another wins where they overlap; an
 * entry counts with as many leading ops as were in place when it ended. Nothing is checked here: the ops happened.
 */
#include <errno.h>

#include "log.h"

enum pb_effect pb_op_effect(uint8_t type)
{
	switch (type) {
	case PANBIND_LOG_MAP:
	case PANBIND_LOG_SPARSE_BIND:
		return PB_EFFECT_MAP;
	case PANBIND_LOG_MAP_SPARSE:
	case PANBIND_LOG_SPARSE_RESERVE:
	case PANBIND_LOG_SPARSE_UNBIND:
		return PB_EFFECT_SPARSE;
	case PANBIND_LOG_UNMAP:
	case PANBIND_LOG_SPARSE_RELEASE:
	case PANBIND_LOG_UNKNOWN: /* what is not known is not part of the state */
		return PB_EFFECT_CLEAR;
	default:
		return PB_EFFECT_NOTHING;
	}
}

void pb_fold_init(struct pb_fold *fold, int64_t only)
{
	*fold = (struct pb_fold){.only = only};
}

static void free_vm(struct pb_fold_vm *vm)
{
	pb_pieces_destroy(vm->pieces);
	free(vm->regions);
	free(vm);
}

void pb_fold_free(struct pb_fold *fold)
{
	for (size_t i = 0; i < fold->count; i++)
		free_vm(fold->vms[i]);
	free(fold->vms);
	*fold = (struct pb_fold){.only = fold->only};
}

/* The first VM whose id is not below. */
static size_t place_of(const struct pb_fold *fold, int64_t id)
{
	size_t low = 0, high = fold->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (fold->vms[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct pb_fold_vm *pb_fold_find_vm(const struct pb_fold *fold, int64_t id)
{
	size_t place = place_of(fold, id);

	return place < fold->count && fold->vms[place]->id == id ? fold->vms[place] : NULL;
}

static struct pb_fold_vm *add_vm(struct pb_fold *fold, int64_t id)
{
	size_t place = place_of(fold, id);
	struct pb_fold_vm *vm;

	if (fold->count == fold->room) {
		size_t room = fold->room ? fold->room * 2 : 8;
		struct pb_fold_vm **vms = realloc(fold->vms, room * sizeof(struct pb_fold_vm *));

		if (!vms)
			return NULL;
		fold->vms = vms;
		fold->room = room;
	}
	vm = calloc(1, sizeof(*vm));
	if (!vm || pb_pieces_create(&vm->pieces) < 0) {
		free(vm);
		return NULL;
	}
	vm->id = id;
	memmove(&fold->vms[place + 1], &fold->vms[place], (fold->count - place) * sizeof(struct pb_fold_vm *));
	fold->vms[place] = vm;
	fold->count++;
	return vm;
}

struct pb_fold_vm *pb_fold_vm(struct pb_fold *fold, int64_t id)
{
	struct pb_fold_vm *vm = fold->last && fold->last->id == id ? fold->last : pb_fold_find_vm(fold, id);

	return fold->last = vm ? vm : add_vm(fold, id);
}

void pb_fold_drop_vm(struct pb_fold *fold, int64_t id)
{
	size_t place = place_of(fold, id);

	if (place == fold->count || fold->vms[place]->id != id)
		return;
	fold->last = NULL;
	free_vm(fold->vms[place]);
	memmove(&fold->vms[place], &fold->vms[place + 1], (fold->count - place - 1) * sizeof(struct pb_fold_vm *));
	fold->count--;
}

int pb_fold_add_region(struct pb_fold_vm *vm, uint64_t va, uint64_t size)
{
	size_t place = vm->region_count;

	if (vm->region_count == vm->region_room) {
		size_t room = vm->region_room ? vm->region_room * 2 : 8;
		struct pb_fold_region *regions = realloc(vm->regions, room * sizeof(*regions));

		if (!regions)
			return -ENOMEM;
		vm->regions = regions;
		vm->region_room = room;
	}
	while (place > 0 && vm->regions[place - 1].va > va)
		place--;
	memmove(&vm->regions[place + 1], &vm->regions[place], (vm->region_count - place) * sizeof(*vm->regions));
	vm->regions[place] = (struct pb_fold_region){va, size};
	vm->region_count++;
	return 0;
}

void pb_fold_remove_region(struct pb_fold_vm *vm, uint64_t va, uint64_t size)
{
	for (size_t i = 0; i < vm->region_count; i++) {
		if (vm->regions[i].va != va || vm->regions[i].size != size)
			continue;
		memmove(&vm->regions[i], &vm->regions[i + 1], (vm->region_count - i - 1) * sizeof(*vm->regions));
		vm->region_count--;
		return;
	}
}

int pb_fold_op(struct pb_fold *fold, uint64_t seq, const struct pb_row_op *op)
{
	enum pb_effect effect = pb_op_effect(op->type);
	struct pb_piece piece = {.va = op->va, .size = op->size, .seq = seq};
	struct pb_fold_vm *vm;
	int err = 0;

	if (effect == PB_EFFECT_NOTHING || op->size == 0 || (fold->only && op->vm != fold->only))
		return 0;
	vm = pb_fold_vm(fold, op->vm);
	if (!vm)
		return -ENOMEM;
	if (effect == PB_EFFECT_CLEAR)
		err = pb_pieces_clear(vm->pieces, op->va, op->size);
	if (effect == PB_EFFECT_MAP) {
		piece.bo = (uint32_t)op->bo;
		piece.bo_offset = op->bo_offset;
		piece.flags = op->flags;
	}
	if (effect == PB_EFFECT_MAP || effect == PB_EFFECT_SPARSE)
		err = pb_pieces_set(vm->pieces, &piece);
	if (err == 0 && op->type == PANBIND_LOG_SPARSE_RESERVE)
		err = pb_fold_add_region(vm, op->va, op->size);
	if (err == 0 && op->type == PANBIND_LOG_SPARSE_RELEASE)
		pb_fold_remove_region(vm, op->va, op->size);
	return err;
}

int pb_fold_row(struct pb_fold *fold, const struct pb_row *row, uint32_t first_op)
{
	size_t applied = pb_row_applied(row);
	int err = 0;

	if (row->entry.kind == PANBIND_LOG_START)
		pb_fold_free(fold);
	if (row->entry.kind == PANBIND_LOG_VM_DESTROY && row->entry.result == 0)
		pb_fold_drop_vm(fold, row->object);
	for (size_t i = first_op; i < applied && err == 0; i++)
		err = pb_fold_op(fold, row->entry.seq, &row->ops[i]);
	return err;
}
