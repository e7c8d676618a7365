/* SPDX-License-Identifier: MIT */
/*
 * States as values: an array of ranges in order of VA, a table of BOs, a list of sparse regions.
 *
 * Arrays, since a state is read from end to end and never changed: comparing two of them is one walk.
 */
#include <errno.h>
#include <string.h>

#include "session.h"
#include "state.h"

int panbind_state_create(struct panbind_state **ret_state)
{
	struct panbind_state *state = calloc(1, sizeof(*state));

	if (!state)
		return -ENOMEM;
	*ret_state = state;
	return 0;
}

void panbind_state_destroy(struct panbind_state *state)
{
	if (!state)
		return;
	for (size_t i = 0; i < state->bo_count; i++) {
		free((char *)state->bos[i].name);
		panbind_bo_unref(state->bos[i].bo);
	}
	free(state->bos);
	free(state->pieces);
	free(state->regions);
	free(state);
}

void pb_statep_destroy(struct panbind_state **state)
{
	panbind_state_destroy(*state);
}

int panbind_state_add_bo(struct panbind_state *state, const struct panbind_state_bo *bo, uint32_t *ret_index)
{
	char *name = bo->name ? strdup(bo->name) : NULL;

	if ((bo->name && !name) || state->bo_count >= PANBIND_STATE_SPARSE ||
	    pb_array_grow((void **)&state->bos, &state->bo_room, state->bo_count, sizeof(*state->bos)) < 0) {
		free(name);
		return -ENOMEM;
	}
	state->bos[state->bo_count] = *bo;
	state->bos[state->bo_count].name = name;
	if (bo->bo)
		panbind_bo_ref(bo->bo);
	*ret_index = (uint32_t)state->bo_count++;
	return 0;
}

static bool continues(const struct pb_state_piece *piece, const struct pb_state_piece *next)
{
	return pb_piece_end(piece) == next->va && piece->bo == next->bo && piece->flags == next->flags &&
	       (piece->bo == PANBIND_STATE_SPARSE || piece->bo_offset + piece->size == next->bo_offset);
}

static bool is_range(uint64_t va, uint64_t size)
{
	return size > 0 && !((va | size) & PB_PAGE_MASK) && va + size >= va;
}

int panbind_state_map(struct panbind_state *state, uint64_t va, uint64_t size, uint32_t bo, uint64_t bo_offset,
		      uint32_t flags)
{
	struct pb_state_piece *last = state->count ? &state->pieces[state->count - 1] : NULL;
	struct pb_state_piece piece = {.va = va, .size = size, .bo_offset = bo_offset, .bo = bo, .flags = flags};

	if (!is_range(va, size) || (last && va < pb_piece_end(last)) ||
	    (bo != PANBIND_STATE_SPARSE && bo >= state->bo_count))
		return -EINVAL;
	if (bo == PANBIND_STATE_SPARSE)
		piece.bo_offset = piece.flags = 0;
	if (last && continues(last, &piece)) {
		last->size += size;
		return 0;
	}
	if (pb_array_grow((void **)&state->pieces, &state->room, state->count, sizeof(piece)) < 0)
		return -ENOMEM;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there is room, or it had failed */
	state->pieces[state->count++] = piece;
	return 0;
}

int panbind_state_add_region(struct panbind_state *state, uint64_t va, uint64_t size)
{
	const struct pb_region *last = state->region_count ? &state->regions[state->region_count - 1] : NULL;

	if (!is_range(va, size) || (last && va < pb_region_end(last)))
		return -EINVAL;
	if (pb_array_grow((void **)&state->regions, &state->region_room, state->region_count, sizeof(*state->regions)) <
	    0)
		return -ENOMEM;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): likewise */
	state->regions[state->region_count++] = (struct pb_region){.va = va, .size = size};
	return 0;
}

size_t panbind_state_count(const struct panbind_state *state)
{
	return state->count;
}

int panbind_state_range(const struct panbind_state *state, size_t index, struct panbind_state_range *ret_range)
{
	const struct pb_state_piece *piece;

	if (index >= state->count)
		return -ENOENT;
	piece = &state->pieces[index];
	*ret_range = (struct panbind_state_range){piece->va, piece->size, piece->bo_offset, piece->bo, piece->flags};
	return 0;
}

int panbind_state_region(const struct panbind_state *state, size_t index, uint64_t *ret_va, uint64_t *ret_size)
{
	if (index >= state->region_count)
		return -ENOENT;
	*ret_va = state->regions[index].va;
	*ret_size = state->regions[index].size;
	return 0;
}

const struct panbind_state_bo *panbind_state_bo(const struct panbind_state *state, uint32_t index)
{
	return index < state->bo_count ? &state->bos[index] : NULL;
}

size_t pb_state_first(const struct panbind_state *state, uint64_t va)
{
	size_t low = 0, high = state->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pb_piece_end(&state->pieces[middle]) > va)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool pb_state_is_hole(const struct panbind_state *state, uint64_t va, uint64_t end)
{
	size_t at = pb_state_first(state, va);

	return at == state->count || state->pieces[at].va >= end;
}

/* ---- Read off a VM ---- */

/* BOs by object, while a VM is read: open addressing, at most half full. */
struct reading {
	struct panbind_state *state;
	struct panbind_session *session; /* NULL: no names */
	uint32_t *slots;		 /* index + 1 */
	size_t slot_count;
	const struct panbind_bo *last; /* most often the next one too */
	uint32_t last_index;
};

static uint32_t *slot_of(const struct reading *reading, const struct panbind_bo *bo)
{
	size_t at = (size_t)(((uint64_t)(uintptr_t)bo * UINT64_C(0x9e3779b97f4a7c15)) >> 20);

	for (;; at++) {
		uint32_t *slot = &reading->slots[at & (reading->slot_count - 1)];

		if (*slot == 0 || reading->state->bos[*slot - 1].bo == bo)
			return slot;
	}
}

static int grow_slots(struct reading *reading)
{
	size_t count = reading->slot_count ? reading->slot_count * 2 : 64;
	uint32_t *slots;

	if (reading->slot_count > 2 * reading->state->bo_count)
		return 0;
	slots = calloc(count, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(reading->slots);
	reading->slots = slots;
	reading->slot_count = count;
	for (uint32_t i = 0; i < reading->state->bo_count; i++)
		*slot_of(reading, reading->state->bos[i].bo) = i + 1;
	return 0;
}

static struct panbind_state_bo describe(const struct reading *reading, struct panbind_bo *bo)
{
	struct panbind_state_bo described = {.bo = bo};

	described.size = panbind_bo_size(bo);
	described.flags = panbind_bo_flags(bo);
	described.generation = panbind_bo_generation(bo);
	described.exclusive = bo->exclusive_vm_id != 0;
	if (!reading->session)
		return described;
	described.name = panbind_session_bo_name(reading->session, bo);
	if (described.name)
		return described;
	described.name = bo->last_name;
	described.nameless = 1;
	return described;
}

static int index_of(struct reading *reading, struct panbind_bo *bo, uint32_t *ret_index)
{
	struct panbind_state_bo described;
	uint32_t *slot;
	int r = 0;

	if (bo != reading->last) {
		if (grow_slots(reading) < 0)
			return -ENOMEM;
		slot = slot_of(reading, bo);
		if (*slot == 0) {
			described = describe(reading, bo);
			r = panbind_state_add_bo(reading->state, &described, &reading->last_index);
			if (r < 0)
				return r;
			*slot = reading->last_index + 1;
		}
		reading->last = bo;
		reading->last_index = *slot - 1;
	}
	*ret_index = reading->last_index;
	return 0;
}

static int read_mapping(void *data, const struct pb_range *range)
{
	struct reading *reading = data;
	uint32_t bo = PANBIND_STATE_SPARSE;
	int r = range->bo ? index_of(reading, range->bo, &bo) : 0;

	return r < 0 ? r
		     : panbind_state_map(reading->state, range->va, range->size, bo, range->bo_offset, range->flags);
}

static int read_mappings(struct reading *reading, struct panbind_vm *vm)
{
	struct panbind_state *state = reading->state;
	size_t count = pb_vamap_count(vm->map);

	if (count == 0)
		return 0;
	if (pb_array_reserve((void **)&state->pieces, &state->room, count, sizeof(*state->pieces)) < 0)
		return -ENOMEM;
	return pb_vamap_pieces(vm->map, 0, UINT64_MAX & ~PB_PAGE_MASK, read_mapping, reading);
}

static int read_vm(struct panbind_session *session, struct panbind_vm *vm, struct panbind_state **ret_state)
{
	pb_cleanup(pb_statep_destroy) struct panbind_state *state = NULL;
	struct reading reading = {.session = session};
	int r = panbind_state_create(&state);

	if (r < 0)
		return r;
	reading.state = state;
	r = read_mappings(&reading, vm);
	free(reading.slots);
	for (size_t i = 0; r == 0 && i < vm->region_count; i++)
		r = panbind_state_add_region(state, vm->regions[i].va, vm->regions[i].size);
	if (r == 0)
		*ret_state = pb_take_ptr(state);
	return r;
}

int panbind_state_of_vm(struct panbind_vm *vm, struct panbind_state **ret_state)
{
	return read_vm(NULL, vm, ret_state);
}

int panbind_session_state(struct panbind_session *session, const char *vm, struct panbind_state **ret_state)
{
	struct panbind_vm *named = panbind_session_vm(session, vm);

	return named ? read_vm(session, named, ret_state) : -ENOENT;
}
