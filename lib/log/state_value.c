/* SPDX-License-Identifier: MIT */
/* A VM of the log's state as a value that libpanbind compares. */
#include <errno.h>

#include "log.h"

static int add_bo(const struct panbind_log_state_object *object, struct panbind_state *state)
{
	struct panbind_state_bo bo = {
		.name = object->object.ref.name,
		.generation = object->object.ref.generation,
		.size = object->object.size,
		.flags = object->object.flags & ~PANBIND_LOG_ADOPTED,
		.nameless = object->destroyed_seq != 0,
		.exclusive = object->object.exclusive_vm.name != NULL,
	};
	uint32_t index;

	return panbind_state_add_bo(state, &bo, &index);
}

/** The index of a BO among those of the state; they are in order of creation, as their ids are. */
static uint32_t index_of(const struct panbind_log_state *state, int64_t id)
{
	size_t low = 0, high = state->bo_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (state->bo_ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return (uint32_t)low;
}

static int add_pieces(const struct panbind_log_state *logged, const struct pb_fold_vm *vm, struct panbind_state *state)
{
	struct pb_piece piece;
	int r = 0;

	for (uint64_t at = 0; r == 0 && pb_pieces_next(vm->pieces, at, &piece) == 0; at = piece.va + piece.size)
		r = panbind_state_map(state, piece.va, piece.size,
				      piece.bo ? index_of(logged, piece.bo) : PANBIND_STATE_SPARSE, piece.bo_offset,
				      piece.flags);
	for (size_t i = 0; r == 0 && i < vm->region_count; i++)
		r = panbind_state_add_region(state, vm->regions[i].va, vm->regions[i].size);
	return r;
}

int panbind_log_state_value(const struct panbind_log_state *logged, size_t vm_index, struct panbind_state **ret_state)
{
	const struct pb_fold_vm *vm;
	struct panbind_state *state = NULL;
	int r;

	if (vm_index >= logged->vm_count)
		return -ENOENT;
	r = panbind_state_create(&state);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < logged->bo_count; i++)
		r = add_bo(&logged->bos[i], state);
	vm = pb_fold_find_vm(&logged->fold, logged->vm_ids[vm_index]);
	if (r == 0 && vm)
		r = add_pieces(logged, vm, state);
	if (r < 0)
		panbind_state_destroy(state);
	else
		*ret_state = state;
	return r;
}
