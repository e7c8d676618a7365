/* SPDX-License-Identifier: MIT */
/*
 * vamap - the live mappings of one VM: an ordered map of disjoint VA ranges
 *
 * Pure: knows BOs only as pointers it counts through two hooks, and no device at all. Every entry is one contiguous
 * piece: entries that continue each other in VA, BO and offset with equal flags are *kept apart* as the driver keeps
 * them apart (drm_gpuvm does not merge), except sparse entries, which are merged with sparse neighbours, since the
 * kernel's own pieces of a sparse range say nothing to anyone.
 *
 * Costs: O(log n + k) for an operation that touches k entries; at most 64 bytes an entry at a million entries.
 * Not thread-safe: the VM's owner serialises.
 */
#ifndef PB_VAMAP_H
#define PB_VAMAP_H

#include <stddef.h>
#include <stdint.h>

struct panbind_bo;

struct pb_range {
	uint64_t va, size;
	struct panbind_bo *bo; /* NULL: sparse */
	uint64_t bo_offset;    /* 0 when sparse */
	uint32_t flags;	       /* PANBIND_MAP_* */
};

struct pb_vamap;

/** @get, @put: take and drop one reference of a BO, called once for each entry that holds it. May be NULL. */
int pb_vamap_create(void (*get)(struct panbind_bo *), void (*put)(struct panbind_bo *), struct pb_vamap **ret_map);
void pb_vamap_destroy(struct pb_vamap *map);

size_t pb_vamap_count(const struct pb_vamap *map);
size_t pb_vamap_memory(const struct pb_vamap *map); /* bytes held */

/** The first entry that ends after @va: 0 or -ENOENT. */
int pb_vamap_next(const struct pb_vamap *map, uint64_t va, struct pb_range *ret_range);
/** Entries that intersect [va, va + size). */
size_t pb_vamap_overlaps(const struct pb_vamap *map, uint64_t va, uint64_t size);

/** Have the memory around @va fetched, for a look or a change that comes soon. Waits for nothing, changes nothing. */
void pb_vamap_prefetch(const struct pb_vamap *map, uint64_t va);

/** Copy the first entries that intersect [va, va + size), whole, at most @max. Returns how many. */
size_t pb_vamap_gather(const struct pb_vamap *map, uint64_t va, uint64_t size, struct pb_range *ranges, size_t max);

/**
 * Promise that the next @ops calls of set and clear cannot fail for want of memory. -ENOMEM here, never there: what
 * the kernel has already done must be recorded. A new promise takes the place of what is left of the old one; memory
 * far beyond it is given back.
 */
int pb_vamap_reserve(struct pb_vamap *map, size_t ops);

/** Replace whatever is in the range: cut at the borders, remove inside, insert (drm_gpuvm_sm_map()). */
int pb_vamap_set(struct pb_vamap *map, const struct pb_range *range);
/** Remove whatever is in the range (drm_gpuvm_sm_unmap()). */
int pb_vamap_clear(struct pb_vamap *map, uint64_t va, uint64_t size);

/**
 * Copy the pieces inside [va, va + size), cut to it, in order of VA: what an inverse op has to put back.
 * @add returns 0 or a negative errno, which ends the walk and is returned.
 */
int pb_vamap_pieces(const struct pb_vamap *map, uint64_t va, uint64_t size,
		    int (*add)(void *data, const struct pb_range *piece), void *data);

/** Check all invariants (order, no overlap, alignment, counts, node fill): 0 or -EUCLEAN. For tests and fuzzers. */
int pb_vamap_check(const struct pb_vamap *map);

#endif /* PB_VAMAP_H */
