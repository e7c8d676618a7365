/* SPDX-License-Identifier: MIT */
/*
 * What a new VM is to map in the place of one that is lost, and what of it cannot be brought back. See
 * engine_rebuild.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine_rebuild.h"

#define LOST_TOLD 1000

int rebuild_read_source(struct rebuild *rebuild)
{
	struct request *request = rebuild->request;
	struct panbind_log_ref ref = {.name = request->call.name};

	ref.generation = registry_get(&rebuild->engine->registry, OBJECT_VM, ref.name);
	if (request->call.from == REBUILD_FROM_LOG)
		return engine_logged_state(rebuild->engine, request, ref, UINT64_MAX, "/params/from", &rebuild->source);
	return engine_live_state(rebuild->engine, request, ref.name, "/params/name", &rebuild->source);
}

/* ---- What can be brought back ---- */

static void tell_lost(struct rebuild *rebuild, const struct panbind_state_range *range,
		      const struct panbind_state_bo *bo, const char *why)
{
	rebuild->lost_bytes += range->size;
	if (rebuild->lost_count++ >= LOST_TOLD)
		return;
	jw_object(&rebuild->lost, NULL);
	jw_hex(&rebuild->lost, "va", range->va);
	jw_hex(&rebuild->lost, "size", range->size);
	jw_string(&rebuild->lost, "bo", bo->name);
	jw_hex(&rebuild->lost, "bo_offset", range->bo_offset);
	jw_string(&rebuild->lost, "reason", why);
	jw_object_end(&rebuild->lost);
}

/** The object to map again; NULL and the reason when there is none. */
static struct panbind_bo *object_of(const struct rebuild *rebuild, const struct panbind_state_bo *bo,
				    const char **ret_why)
{
	struct panbind_bo *object = bo->bo;

	if (!object && bo->name && !bo->nameless)
		object = panbind_session_bo(rebuild->engine->session, bo->name);
	*ret_why = NULL;
	if (!object || (bo->generation && panbind_bo_generation(object) != bo->generation))
		*ret_why = "the BO is gone";
	else if (bo->exclusive)
		*ret_why = "the BO belongs to the old VM alone";
	return *ret_why ? NULL : object;
}

/** Where a region was, the dummy is better than a fault. */
static bool is_in_region(const struct panbind_state *state, uint64_t va)
{
	uint64_t region_va, region_size;

	for (size_t i = 0; panbind_state_region(state, i, &region_va, &region_size) == 0; i++)
		if (va >= region_va && va - region_va < region_size)
			return true;
	return false;
}

static int want_range(struct rebuild *rebuild, const struct panbind_state_range *range)
{
	const struct panbind_state_bo *bo = panbind_state_bo(rebuild->source, range->bo);
	struct panbind_state_bo described;
	struct panbind_bo *object;
	const char *why;
	uint32_t index = PANBIND_STATE_SPARSE;
	int r = 0;

	if (bo) {
		object = object_of(rebuild, bo, &why);
		if (!object) {
			tell_lost(rebuild, range, bo, why);
			if (!is_in_region(rebuild->source, range->va))
				return 0;
		} else if (rebuild->bo_of_source[range->bo] == 0) {
			described = *bo;
			described.bo = object;
			r = panbind_state_add_bo(rebuild->wanted, &described, &index);
			rebuild->bo_of_source[range->bo] = index + 1;
		} else {
			index = rebuild->bo_of_source[range->bo] - 1;
		}
	}
	return r < 0 ? r
		     : panbind_state_map(rebuild->wanted, range->va, range->size, index, range->bo_offset,
					 range->flags);
}

int rebuild_want_all(struct rebuild *rebuild)
{
	struct panbind_state_range range;
	uint64_t va, size;
	size_t bos = 0;
	int r = panbind_state_create(&rebuild->wanted);

	while (panbind_state_bo(rebuild->source, (uint32_t)bos))
		bos++;
	rebuild->bo_of_source = calloc(bos + 1, sizeof(*rebuild->bo_of_source));
	if (r == 0 && !rebuild->bo_of_source)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && panbind_state_range(rebuild->source, i, &range) == 0; i++)
		r = want_range(rebuild, &range);
	for (size_t i = 0; r == 0 && panbind_state_region(rebuild->source, i, &va, &size) == 0; i++)
		r = panbind_state_add_region(rebuild->wanted, va, size);
	return r;
}
