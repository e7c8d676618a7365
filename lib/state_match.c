/* SPDX-License-Identifier: MIT */
/*
 * Which BOs of two states are the same one.
 *
 * An object is itself. Else a name and its generation say so. A BO whose name was given up may have lost every trace
 * of it, in a dump for example: such ones pair up when a walk meets them at the same place and their sizes agree.
 */
#include <errno.h>
#include <string.h>

#include "state.h"

/* Indexes of a state's BOs by a key: open addressing, at most half full. */
struct index {
	uint32_t *slots; /* index + 1 */
	size_t mask;
};

static uint64_t hash_name(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return hash ^ (hash >> 32);
}

static uint64_t hash_object(const struct panbind_bo *bo)
{
	return ((uint64_t)(uintptr_t)bo * UINT64_C(0x9e3779b97f4a7c15)) >> 20;
}

static int index_create(struct index *index, size_t count)
{
	size_t slots = 16;

	while (slots < 2 * count)
		slots *= 2;
	index->slots = calloc(slots, sizeof(*index->slots));
	index->mask = slots - 1;
	return index->slots ? 0 : -ENOMEM;
}

static void index_add(struct index *index, uint64_t hash, uint32_t bo)
{
	while (index->slots[hash & index->mask])
		hash++;
	index->slots[hash & index->mask] = bo + 1;
}

static bool same_name(const struct panbind_state_bo *a, const struct panbind_state_bo *b)
{
	if (!a->name || !b->name || strcmp(a->name, b->name) != 0)
		return false;
	if (a->generation && b->generation)
		return a->generation == b->generation;
	return a->nameless == b->nameless; /* the one that has the name is not the one that had it */
}

static uint32_t find_object(const struct index *index, const struct panbind_state *state, const struct panbind_bo *bo)
{
	for (uint64_t at = hash_object(bo); index->slots[at & index->mask]; at++)
		if (state->bos[index->slots[at & index->mask] - 1].bo == bo)
			return index->slots[at & index->mask] - 1;
	return PB_STATE_NO_MATCH;
}

static uint32_t find_name(const struct index *index, const struct panbind_state *state,
			  const struct panbind_state_bo *bo)
{
	for (uint64_t at = hash_name(bo->name); index->slots[at & index->mask]; at++)
		if (same_name(&state->bos[index->slots[at & index->mask] - 1], bo))
			return index->slots[at & index->mask] - 1;
	return PB_STATE_NO_MATCH;
}

/* Two objects of one device are the same or not, whatever they are called. */
static bool both_known(const struct panbind_state_bo *a, const struct panbind_state_bo *b)
{
	return a->bo && b->bo && a->bo->device == b->bo->device;
}

static void pair(struct pb_state_match *match, uint32_t from, uint32_t to)
{
	match->from_of_to[to] = from;
	match->to_of_from[from] = to;
}

static void match_all(const struct panbind_state *from, const struct panbind_state *to, const struct index *objects,
		      const struct index *names, struct pb_state_match *match)
{
	for (uint32_t i = 0; i < to->bo_count; i++) {
		const struct panbind_state_bo *bo = &to->bos[i];
		uint32_t found = bo->bo ? find_object(objects, from, bo->bo) : PB_STATE_NO_MATCH;

		if (found == PB_STATE_NO_MATCH && bo->name)
			found = find_name(names, from, bo);
		if (found == PB_STATE_NO_MATCH || match->to_of_from[found] != PB_STATE_NO_MATCH)
			continue;
		if (from->bos[found].bo != bo->bo && both_known(&from->bos[found], bo))
			continue;
		pair(match, found, i);
	}
}

static uint32_t *no_matches(size_t count)
{
	uint32_t *matches = malloc((count + 1) * sizeof(*matches));

	if (matches)
		memset(matches, 0xff, (count + 1) * sizeof(*matches));
	return matches;
}

int pb_state_match_begin(const struct panbind_state *from, const struct panbind_state *to,
			 struct pb_state_match *ret_match)
{
	struct index objects = {0}, names = {0};
	struct pb_state_match match = {no_matches(to->bo_count), no_matches(from->bo_count)};
	int r = match.from_of_to && match.to_of_from ? index_create(&objects, from->bo_count) : -ENOMEM;

	if (r == 0)
		r = index_create(&names, from->bo_count);
	for (uint32_t i = 0; r == 0 && i < from->bo_count; i++) {
		if (from->bos[i].bo)
			index_add(&objects, hash_object(from->bos[i].bo), i);
		if (from->bos[i].name)
			index_add(&names, hash_name(from->bos[i].name), i);
	}
	if (r == 0)
		match_all(from, to, &objects, &names, &match);
	free(objects.slots);
	free(names.slots);
	if (r < 0)
		pb_state_match_end(&match);
	else
		*ret_match = match;
	return r;
}

void pb_state_match_end(struct pb_state_match *match)
{
	free(match->from_of_to);
	free(match->to_of_from);
}

bool pb_state_match(struct pb_state_match *match, const struct panbind_state *from, uint32_t from_bo,
		    const struct panbind_state *to, uint32_t to_bo)
{
	const struct panbind_state_bo *a = &from->bos[from_bo], *b = &to->bos[to_bo];

	if (match->from_of_to[to_bo] != PB_STATE_NO_MATCH || match->to_of_from[from_bo] != PB_STATE_NO_MATCH)
		return match->from_of_to[to_bo] == from_bo;
	if (!a->nameless || !b->nameless || a->size != b->size || both_known(a, b) ||
	    (a->generation && b->generation && a->generation != b->generation))
		return false;
	pair(match, from_bo, to_bo);
	return true;
}
