/* SPDX-License-Identifier: MIT */
#include "live_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PAGE UINT64_C(4096)

void live_init(struct live_pages *pages, uint64_t base, size_t count)
{
	pages->base = base;
	pages->count = count;
	pages->page = calloc(count, sizeof(*pages->page));
	if (pages->page == NULL)
		abort();
}

void live_fini(struct live_pages *pages)
{
	free(pages->page);
	pages->page = NULL;
}

void live_reset(struct live_pages *pages)
{
	memset(pages->page, 0, pages->count * sizeof(*pages->page));
}

void live_copy(struct live_pages *to, const struct live_pages *from)
{
	memcpy(to->page, from->page, from->count * sizeof(*from->page));
}

/* Set the pages of a range: @with is the first one, the BO offset goes up from it. */
static void fill(struct live_pages *pages, uint64_t va, uint64_t size, struct live_page with)
{
	for (size_t i = (va - pages->base) / PAGE; size > 0; i++, size -= PAGE) {
		pages->page[i] = with;
		if (with.kind == LIVE_BO)
			with.bo_offset += PAGE;
	}
}

void live_apply(struct live_pages *pages, const struct panbind_op *op)
{
	struct live_page with = {0};

	switch (op->type) {
	case PANBIND_OP_MAP:
		with = (struct live_page){LIVE_BO, op->flags, op->bo, op->bo_offset};
		break;
	case PANBIND_OP_MAP_SPARSE:
		with = (struct live_page){.kind = LIVE_SPARSE, .flags = PANBIND_MAP_NOEXEC};
		break;
	case PANBIND_OP_UNMAP:
	case PANBIND_OP_SYNC_ONLY:
		break;
	}
	fill(pages, op->va, op->size, with);
}

static struct live_page first_page(const struct panbind_mapping *mapping)
{
	return (struct live_page){
		.kind = mapping->sparse ? LIVE_SPARSE : LIVE_BO,
		.flags = mapping->flags,
		.bo = mapping->bo,
		.bo_offset = mapping->bo_offset,
	};
}

void live_read(struct live_pages *pages, struct panbind_vm *vm)
{
	struct panbind_mapping mapping;

	live_reset(pages);
	for (uint64_t va = 0; panbind_vm_next_mapping(vm, va, &mapping) == 0; va = mapping.va + mapping.size)
		fill(pages, mapping.va, mapping.size, first_page(&mapping));
}

/* Nothing is expected in [*at, va); move *at there. */
static const char *skip_to(const struct live_pages *pages, uint64_t *at, uint64_t va)
{
	for (; *at < va; *at += PAGE)
		if (pages->page[(*at - pages->base) / PAGE].kind != LIVE_NOTHING)
			return "a page is missing";
	return NULL;
}

static bool is_inside(const struct live_pages *pages, uint64_t va, uint64_t size)
{
	return va >= pages->base && va + size <= pages->base + pages->count * PAGE && va + size > va;
}

static bool same(const struct live_page *a, const struct live_page *b)
{
	return a->kind == b->kind && a->flags == b->flags && a->bo == b->bo && a->bo_offset == b->bo_offset;
}

const char *live_differs_from_library(const struct live_pages *pages, struct panbind_vm *vm, uint64_t *ret_va)
{
	uint64_t end = pages->base + pages->count * PAGE;
	struct panbind_mapping mapping;
	const char *difference;

	*ret_va = pages->base;
	while (panbind_vm_next_mapping(vm, *ret_va, &mapping) == 0) {
		struct live_page have = first_page(&mapping);

		if (!is_inside(pages, mapping.va, mapping.size) || mapping.va < *ret_va)
			return "the library has a mapping out of place";
		difference = skip_to(pages, ret_va, mapping.va);
		if (difference != NULL)
			return "the library lacks a page";
		for (; *ret_va < mapping.va + mapping.size; *ret_va += PAGE) {
			if (!same(&have, &pages->page[(*ret_va - pages->base) / PAGE]))
				return "the library has another page";
			if (have.kind == LIVE_BO)
				have.bo_offset += PAGE;
		}
	}
	return skip_to(pages, ret_va, end) != NULL ? "the library lacks a page" : NULL;
}

/* Is this what should back the page at @va? A sparse page is the driver's own dummy, or the library's. */
static bool driver_has(const struct panbind_vm *vm, const struct live_page *want, const struct pb_page *have,
		       uint64_t va)
{
	uint64_t offset = have->bo_offset + (va - have->va);

	if (have->flags != want->flags)
		return false;
	if (want->kind == LIVE_BO)
		return !have->dummy && have->bo_handle == panbind_bo_handle(want->bo) && offset == want->bo_offset;
	if (want->kind != LIVE_SPARSE || offset != va % PANBIND_SPARSE_BLOCK)
		return false;
	if (vm->device->info.native_sparse == PANBIND_YES)
		return have->dummy;
	return have->bo_handle == panbind_bo_handle(vm->device->dummy_bo);
}

const char *live_differs_from_driver(const struct live_pages *pages, struct panbind_vm *vm, uint64_t *ret_va)
{
	uint64_t end = pages->base + pages->count * PAGE, from = 0;
	struct pb_file *file = vm->device->file;
	struct pb_page page;

	*ret_va = pages->base;
	for (; file->backend->gpu->next_page(file, vm->id, from, &page) == 0; from = page.va + page.size) {
		if (!is_inside(pages, page.va, page.size) || page.va < *ret_va)
			return "the driver has a page out of place";
		if (skip_to(pages, ret_va, page.va) != NULL)
			return "the driver lacks a page";
		for (; *ret_va < page.va + page.size; *ret_va += PAGE)
			if (!driver_has(vm, &pages->page[(*ret_va - pages->base) / PAGE], &page, *ret_va))
				return "the driver has another page";
	}
	return skip_to(pages, ret_va, end) != NULL ? "the driver lacks a page" : NULL;
}
