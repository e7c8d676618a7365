/* SPDX-License-Identifier: MIT */
#include "page_model.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "internal.h"

static struct panbind_bo stand_ins[MODEL_BOS];

struct panbind_bo *model_bo(unsigned int index)
{
	return &stand_ins[index];
}

void model_bo_get(struct panbind_bo *bo)
{
	bo->refs++;
}

void model_bo_put(struct panbind_bo *bo)
{
	/* A reference that is not there must not be dropped. */
	if (bo->refs == 0)
		abort();
	bo->refs--;
}

size_t model_bo_refs(void)
{
	size_t refs = 0;

	for (size_t i = 0; i < MODEL_BOS; i++)
		refs += stand_ins[i].refs;
	return refs;
}

struct page_model *model_create(uint64_t base, size_t count)
{
	struct page_model *model = calloc(1, sizeof(*model));

	if (model == NULL)
		abort();
	model->base = base;
	model->count = count;
	model->pages = calloc(count, sizeof(*model->pages));
	if (model->pages == NULL)
		abort();
	return model;
}

void model_destroy(struct page_model *model)
{
	if (model == NULL)
		return;
	free(model->pages);
	free(model);
}

void model_set(struct page_model *model, const struct pb_range *range)
{
	size_t first = (range->va - model->base) / MODEL_PAGE;

	model->last_id++;
	for (size_t i = 0; i < range->size / MODEL_PAGE; i++) {
		struct model_page *page = &model->pages[first + i];

		page->bo = range->bo;
		page->bo_offset = range->bo != NULL ? range->bo_offset + i * MODEL_PAGE : 0;
		page->flags = range->flags;
		page->id = model->last_id;
	}
}

void model_clear(struct page_model *model, uint64_t va, uint64_t size)
{
	size_t first = (va - model->base) / MODEL_PAGE;

	for (size_t i = 0; i < size / MODEL_PAGE; i++)
		model->pages[first + i] = (struct model_page){0};
}

static bool same_entry(const struct model_page *a, const struct model_page *b)
{
	if (a->id == 0 || b->id == 0)
		return false;
	if (a->bo == NULL && b->bo == NULL)
		return a->flags == b->flags;
	return a->id == b->id;
}

int model_next(const struct page_model *model, size_t *at, struct pb_range *ret_range)
{
	size_t first = *at, end;

	while (first < model->count && model->pages[first].id == 0)
		first++;
	if (first == model->count)
		return -ENOENT;
	for (end = first + 1; end < model->count; end++)
		if (!same_entry(&model->pages[end - 1], &model->pages[end]))
			break;
	ret_range->va = model->base + first * MODEL_PAGE;
	ret_range->size = (end - first) * MODEL_PAGE;
	ret_range->bo = model->pages[first].bo;
	ret_range->bo_offset = model->pages[first].bo_offset;
	ret_range->flags = model->pages[first].flags;
	*at = end;
	return 0;
}

const char *model_difference(const struct page_model *model, const struct pb_vamap *map)
{
	struct pb_range want, have;
	size_t at = 0, count = 0, with_bo = 0;
	uint64_t va = 0;

	for (; model_next(model, &at, &want) == 0; count++) {
		if (pb_vamap_next(map, va, &have) != 0)
			return "an entry is missing at the end";
		if (have.va != want.va || have.size != want.size)
			return "an entry has another range";
		if (have.bo != want.bo || have.bo_offset != want.bo_offset)
			return "an entry has another backing";
		if (have.flags != want.flags)
			return "an entry has other flags";
		va = have.va + have.size;
		with_bo += have.bo != NULL;
	}
	if (pb_vamap_next(map, va, &have) != -ENOENT)
		return "there is one entry too many";
	if (pb_vamap_count(map) != count)
		return "the count is wrong";
	if (model_bo_refs() != with_bo)
		return "references and entries differ";
	return NULL;
}

size_t model_overlaps(const struct page_model *model, uint64_t va, uint64_t size)
{
	struct pb_range range;
	size_t at = 0, count = 0;

	while (model_next(model, &at, &range) == 0)
		count += range.va < va + size && range.va + range.size > va;
	return count;
}
