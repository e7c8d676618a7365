/* SPDX-License-Identifier: MIT */
/*
 * What a vamap should hold, page by page: too slow and too simple to be wrong.
 *
 * Each page remembers which BO page backs it and which operation put it there. Two neighbours belong to one entry when
 * one operation put both there, or when both are sparse. Nothing else is known, so nothing else can be believed.
 */
#ifndef TEST_PAGE_MODEL_H
#define TEST_PAGE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "vamap.h"

#define MODEL_PAGE UINT64_C(4096)
#define MODEL_BOS  4

struct model_page {
	struct panbind_bo *bo; /* NULL and @id not 0: sparse */
	uint64_t bo_offset;
	uint32_t flags;
	uint64_t id; /* of the operation, 0: nothing is here */
};

struct page_model {
	uint64_t base; /* VA of page 0 */
	size_t count;
	uint64_t last_id;
	struct model_page *pages;
};

/** Stand-ins for BOs: storage with a counter, nothing behind it. Index 0 to MODEL_BOS - 1. */
struct panbind_bo *model_bo(unsigned int index);
void model_bo_get(struct panbind_bo *bo);
void model_bo_put(struct panbind_bo *bo);
/** References held, over all stand-ins. */
size_t model_bo_refs(void);

struct page_model *model_create(uint64_t base, size_t count);
void model_destroy(struct page_model *model);
void model_set(struct page_model *model, const struct pb_range *range);
void model_clear(struct page_model *model, uint64_t va, uint64_t size);

/** The first entry at page *@at or after it; moves *@at behind it. 0, or -ENOENT. */
int model_next(const struct page_model *model, size_t *at, struct pb_range *ret_range);
/** NULL when @map holds exactly what the model does, else what differs. The text is static. */
const char *model_difference(const struct page_model *model, const struct pb_vamap *map);
/** Entries that intersect a range, counted the slow way. */
size_t model_overlaps(const struct page_model *model, uint64_t va, uint64_t size);

#endif /* TEST_PAGE_MODEL_H */
