/* SPDX-License-Identifier: MIT */
/*
 * What an adopted VM maps, read from where it can be seen.
 *
 * A simulated device shows its page tables, with the program's handle and the offset behind each page. Such a page is
 * known when its BO could be taken hold of: then a rollback can map it again, whatever the program does with its
 * handle meanwhile. A BO that may not leave its VM (exclusive), or whose handle is closed, is seen but cannot be held:
 * its pages stay unknown.
 *
 * A kernel shows its own books in debugfs, for root: ranges, but neither which VM of which file they belong to nor a
 * handle. See sight_books.c.
 */
#include <errno.h>
#include <stdio.h>

#include "sight.h"
#include "uapi.h"

uint32_t pb_library_flags(uint32_t flags)
{
	return (flags & PB_OP_READONLY ? PANBIND_MAP_READONLY : 0) | (flags & PB_OP_NOEXEC ? PANBIND_MAP_NOEXEC : 0) |
	       (flags & PB_OP_UNCACHED ? PANBIND_MAP_UNCACHED : 0);
}

/* ---- What was seen becomes the shadow ---- */

int pb_look_known(struct pb_look *look, const struct pb_range *range)
{
	int ret = pb_vm_reserve(look->vm, 1);
	if (ret == 0)
		ret = pb_vamap_clear(look->vm->unknown, range->va, range->size);
	return ret == 0 ? pb_vamap_set(look->vm->map, range) : ret;
}

int pb_look_unknown(struct pb_look *look, uint64_t va, uint64_t size)
{
	int ret = pb_vm_reserve(look->vm, 1);
	return ret == 0 ? pb_vamap_set(look->vm->unknown, &(struct pb_range){.va = va, .size = size}) : ret;
}

int pb_look_begin(struct pb_look *look)
{
	struct panbind_vm *vm = look->vm;
	int ret = pb_vm_reserve(vm, 1);
	if (ret < 0)
		return ret;
	pb_vamap_clear(vm->map, look->va, look->size);
	pb_vamap_clear(vm->unknown, look->va, look->size);
	return 0;
}

/* ---- Page tables ---- */

/** The BOs of the program, by its handles, as far as they were met. */
struct held {
	struct panbind_bo **bos;
	size_t count;
};

static void free_held(struct held *held)
{
	for (size_t i = 0; i < held->count; i++)
		panbind_bo_unref(held->bos[i]);
	free(held->bos);
}

static int grow_held(struct held *held, size_t count)
{
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): they are pointers */
	struct panbind_bo **bos = reallocarray(held->bos, count, sizeof(*bos));
	if (!bos)
		return -ENOMEM;
	while (held->count < count)
		bos[held->count++] = NULL;
	held->bos = bos;
	return 0;
}

/** The BO of a handle, or NULL: it cannot be held. */
static int hold(struct pb_look *look, struct held *held, uint32_t handle, struct panbind_bo **ret_bo)
{
	int ret = 0;
	*ret_bo = NULL;
	if (handle == 0)
		return 0;
	if (handle >= held->count)
		ret = grow_held(held, 2 * (size_t)handle);
	if (ret < 0)
		return ret;
	if (!held->bos[handle])
		ret = pb_twin_borrow(look->vm->device, handle, look->home, &held->bos[handle]);
	*ret_bo = held->bos[handle];
	if (ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE)
		return ret;
	return 0;
}

/** Pages that continue each other, as one mapping. */
struct run {
	struct pb_page first;
	uint64_t size;
};

static bool continues(const struct run *run, const struct pb_page *page)
{
	const struct pb_page *first = &run->first;
	return run->size > 0 && page->va == first->va + run->size && page->flags == first->flags &&
	       page->dummy == first->dummy && page->bo_handle == first->bo_handle &&
	       (page->dummy || (page->object == first->object && page->bo_offset == first->bo_offset + run->size));
}

static int end_run(struct pb_look *look, struct held *held, struct run *run)
{
	struct pb_range range = {.va = run->first.va, .size = run->size};
	int ret = 0;
	run->size = 0;
	if (range.size == 0)
		return 0;
	if (run->first.dummy) {
		range.flags = PANBIND_MAP_NOEXEC;
		return pb_look_known(look, &range);
	}
	ret = hold(look, held, run->first.bo_handle, &range.bo);
	if (ret < 0)
		return ret;
	if (!range.bo || run->first.bo_offset + range.size > panbind_bo_size(range.bo))
		return pb_look_unknown(look, range.va, range.size);
	range.bo_offset = run->first.bo_offset;
	range.flags = pb_library_flags(run->first.flags);
	return pb_look_known(look, &range);
}

/** The part of a page that is looked at. */
static void cut(const struct pb_look *look, struct pb_page *page)
{
	uint64_t end = page->va + page->size, look_end = look->va + look->size;
	if (end > look_end)
		end = look_end;
	if (page->va < look->va) {
		page->bo_offset += page->dummy ? 0 : look->va - page->va;
		page->va = look->va;
	}
	page->size = end - page->va;
}

/** Below MAP_SPARSE a sparse range is the device's own dummy, again and again. */
static void note_dummy(const struct panbind_device *device, struct pb_page *page)
{
	if (device->dummy_bo && page->bo_handle == device->dummy_bo->handle && !page->dummy) {
		page->dummy = 1;
		page->bo_handle = 0;
		page->bo_offset = 0;
	}
}

static int look_at_pages(struct pb_look *look)
{
	pb_cleanup(free_held) struct held held = {0};
	struct pb_file *file = look->vm->device->file;
	uint64_t va = look->va, end = look->va + look->size;
	struct run run = {0};
	struct pb_page page;
	int ret = pb_look_begin(look);
	look->sight->source = PANBIND_SIGHT_PAGES;
	while (ret == 0 && va < end) {
		ret = file->backend->gpu->next_page(file, look->vm->id, va, &page);
		if (ret < 0 || page.va >= end)
			break;
		cut(look, &page);
		note_dummy(look->vm->device, &page);
		va = page.va + page.size;
		if (continues(&run, &page)) {
			run.size += page.size;
			continue;
		}
		ret = end_run(look, &held, &run);
		run = (struct run){page, page.size};
	}
	if (ret == -ENOENT || ret == 0)
		ret = end_run(look, &held, &run);
	return ret;
}

/* ---- Looking ---- */

static int mix(void *data, const struct pb_range *piece)
{
	const uint64_t words[] = {piece->va, piece->size, (uintptr_t)piece->bo, piece->bo_offset, piece->flags};
	uint64_t *sum = data;
	for (size_t i = 0; i < PB_ARRAY_SIZE(words); i++)
		*sum = (*sum ^ words[i]) * UINT64_C(0x100000001b3) + (*sum >> 29);
	return 0;
}

/** A number for what the shadow has in the range: another one when it has something else. */
static uint64_t digest(const struct pb_look *look)
{
	uint64_t sum = 0;
	pb_vamap_pieces(look->vm->map, look->va, look->size, mix, &sum);
	return sum;
}

static void tell(struct pb_look *look)
{
	struct panbind_sight *sight = look->sight;
	struct panbind_vm *vm = look->vm;
	sight->mappings = pb_vamap_overlaps(vm->map, look->va, look->size);
	sight->unknown = pb_unknown_bytes(vm->unknown, look->va, look->size);
	if (sight->unknown > 0 && !sight->why[0])
		snprintf(sight->why, sizeof(sight->why),
			 "BOs that are exclusive to their VM, or whose handles the program has closed, cannot be held");
	if (sight->unknown == 0)
		sight->why[0] = '\0';
}

/** What is half read is not known. */
static int give_up(struct pb_look *look, int err, struct panbind_error *reterr)
{
	int ret = pb_look_begin(look);
	if (ret == 0)
		ret = pb_look_unknown(look, look->va, look->size);
	if (ret < 0)
		pb_vm_poison(look->vm, "its mapping could not be read: %s", panbind_errno_name(err));
	return pb_error_set(reterr, err, PANBIND_STAGE_VALIDATE, "the mapping of the VM could not be read: %s",
			    panbind_errno_name(err));
}

static int check_look(const struct panbind_vm *vm, const struct panbind_look *options, struct panbind_error *reterr)
{
	if (!vm->adopted)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE,
				    "the VM was made here, so its shadow is right");
	if (vm->txn || vm->pending)
		return pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE, "the VM is being bound");
	if ((options->va | options->size) & PB_PAGE_MASK || options->va >= vm->va_range)
		return pb_error_set(reterr, -EINVAL, PANBIND_STAGE_VALIDATE, "not a range of whole pages in the VM");
	return 0;
}

int panbind_vm_look(struct panbind_vm *vm, const struct panbind_look *options, struct panbind_sight *ret_sight,
		    struct panbind_error *reterr)
{
	struct panbind_sight sight = {0};
	struct pb_look look = {.vm = vm, .home = options->home, .options = options, .sight = &sight, .va = options->va};
	const struct pb_gpu_ops *gpu = vm->device->file->backend->gpu;
	uint64_t before;
	int ret = check_look(vm, options, reterr);
	if (ret < 0)
		return ret;
	look.size = vm->va_range - options->va;
	if (options->size > 0 && options->size < look.size)
		look.size = options->size;

	before = digest(&look);
	ret = gpu && gpu->next_page ? look_at_pages(&look) : pb_look_at_books(&look);
	if (ret < 0)
		return give_up(&look, ret, reterr);
	if (digest(&look) != before)
		vm->map_generation = atomic_fetch_add(&vm->device->map_generation, 1) + 1;
	tell(&look);
	if (ret_sight)
		*ret_sight = sight;
	return 0;
}

const char *panbind_sight_name(enum panbind_sight_source source)
{
	static const char *const names[] = {
		[PANBIND_SIGHT_NONE] = "none",
		[PANBIND_SIGHT_BOOKS] = "books",
		[PANBIND_SIGHT_PAGES] = "pages",
	};
	return (unsigned int)source < PB_ARRAY_SIZE(names) ? names[source] : "?";
}
