/* SPDX-License-Identifier: MIT */
/* A state with pieces of another one in it. See panbind_state_graft(). */
#include <errno.h>
#include <string.h>

#include "state.h"

struct graft {
	const struct panbind_state *state, *other;
	struct panbind_state *result;
	struct pb_state_match match;
	uint32_t *bo_of_other; /* index in the result, or PB_STATE_NO_MATCH */
};

static int copy_bos(struct graft *graft)
{
	uint32_t index;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < graft->state->bo_count; i++)
		r = panbind_state_add_bo(graft->result, &graft->state->bos[i], &index);
	for (uint32_t i = 0; r == 0 && i < graft->other->bo_count; i++)
		graft->bo_of_other[i] = graft->match.from_of_to[i]; /* both tables begin alike */
	return r;
}

static int map_bo_of_other(struct graft *graft, uint32_t bo, uint32_t *ret_bo)
{
	int r = 0;

	if (graft->bo_of_other[bo] == PB_STATE_NO_MATCH)
		r = panbind_state_add_bo(graft->result, &graft->other->bos[bo], &graft->bo_of_other[bo]);
	*ret_bo = graft->bo_of_other[bo];
	return r;
}

/* What @from maps in [va, end). */
static int copy_range(struct graft *graft, const struct panbind_state *from, uint64_t va, uint64_t end)
{
	int r = 0;

	for (size_t i = pb_state_first(from, va); r == 0 && i < from->count && from->pieces[i].va < end; i++) {
		const struct pb_state_piece *piece = &from->pieces[i];
		uint64_t at = piece->va > va ? piece->va : va;
		uint64_t stop = pb_piece_end(piece) < end ? pb_piece_end(piece) : end;
		uint32_t bo = piece->bo;

		if (from == graft->other && bo != PANBIND_STATE_SPARSE)
			r = map_bo_of_other(graft, bo, &bo);
		if (r == 0)
			r = panbind_state_map(graft->result, at, stop - at, bo, piece->bo_offset + (at - piece->va),
					      piece->flags);
	}
	return r;
}

static bool has_region(const struct panbind_state *state, const struct pb_region *region)
{
	for (size_t i = 0; i < state->region_count; i++)
		if (state->regions[i].va == region->va && state->regions[i].size == region->size)
			return true;
	return false;
}

static bool meets(const struct pb_region *region, uint64_t va, uint64_t size)
{
	return region->va < va + size && va < pb_region_end(region);
}

static bool meets_any(const struct pb_region *region, const uint64_t *vas, const uint64_t *sizes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (meets(region, vas[i], sizes[i]))
			return true;
	return false;
}

static int compare_regions(const void *a, const void *b)
{
	const struct pb_region *x = a, *y = b;

	return x->va < y->va ? -1 : x->va > y->va;
}

/* Where something is grafted, the other state decides on regions; one of its own pushes aside what overlaps it. */
static int graft_regions(struct graft *graft, const uint64_t *vas, const uint64_t *sizes, size_t count)
{
	struct panbind_state *result = graft->result;
	size_t room = graft->state->region_count + graft->other->region_count;

	result->regions = calloc(room + 1, sizeof(*result->regions));
	if (!result->regions)
		return -ENOMEM;
	result->region_room = room + 1;
	for (size_t i = 0; i < graft->other->region_count; i++) {
		const struct pb_region *region = &graft->other->regions[i];

		if (has_region(graft->state, region) || meets_any(region, vas, sizes, count))
			result->regions[result->region_count++] = *region;
	}
	for (size_t i = 0, fixed = result->region_count; i < graft->state->region_count; i++) {
		const struct pb_region *region = &graft->state->regions[i];
		bool keep = !has_region(graft->other, region) && !meets_any(region, vas, sizes, count);

		for (size_t j = 0; keep && j < fixed; j++)
			keep = !meets(region, result->regions[j].va, result->regions[j].size);
		if (keep)
			result->regions[result->region_count++] = *region;
	}
	qsort(result->regions, result->region_count, sizeof(*result->regions), compare_regions);
	return 0;
}

static int graft_all(struct graft *graft, const uint64_t *vas, const uint64_t *sizes, size_t count)
{
	uint64_t at = 0;
	int r = copy_bos(graft);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (vas[i] < at || vas[i] + sizes[i] < vas[i])
			return -EINVAL;
		r = copy_range(graft, graft->state, at, vas[i]);
		if (r == 0)
			r = copy_range(graft, graft->other, vas[i], vas[i] + sizes[i]);
		at = vas[i] + sizes[i];
	}
	if (r == 0)
		r = copy_range(graft, graft->state, at, UINT64_MAX);
	return r == 0 ? graft_regions(graft, vas, sizes, count) : r;
}

int panbind_state_graft(const struct panbind_state *state, const struct panbind_state *other, const uint64_t *vas,
			const uint64_t *sizes, size_t count, struct panbind_state **ret_state)
{
	pb_cleanup(pb_statep_destroy) struct panbind_state *result = NULL;
	struct graft graft = {.state = state, .other = other};
	int r = panbind_state_create(&result);

	if (r < 0)
		return r;
	graft.result = result;
	r = pb_state_match_begin(state, other, &graft.match);
	if (r < 0)
		return r;
	graft.bo_of_other = calloc(other->bo_count + 1, sizeof(*graft.bo_of_other));
	r = graft.bo_of_other ? graft_all(&graft, vas, sizes, count) : -ENOMEM;
	pb_state_match_end(&graft.match);
	free(graft.bo_of_other);
	if (r == 0)
		*ret_state = pb_take_ptr(result);
	return r;
}
