/* SPDX-License-Identifier: MIT */
/*
 * The shadow against the driver's own truth: page by page where page tables can be seen, range by range where a kernel
 * shows its books.
 *
 * Both become the same thing first, ranges in order of VA with something behind each that can be compared. The books
 * of debugfs name neither VMs nor BOs. Ours is the one of them that has most of what the shadow has, if no other has as
 * much; an object is the BO at whose place it was met first. What a second VM with the same content has lost is
 * therefore not told: then it is the VM that cannot be told, and nothing is compared.
 *
 * Nothing is changed, and nothing is assumed of the VM: one that is lost can be looked at too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpuvas.h"
#include "sight.h"

#define LEAST_BOS 16
#define DUMMY	  UINT64_MAX	      /* the object behind a sparse page, whichever of the dummies it is */
#define FOREIGN	  (UINT64_C(1) << 32) /* above the handles: an object of which this file has none */

/** What the driver has mapped, contiguous in VA and backing. */
struct truth {
	uint64_t va, size;
	uint64_t object; /* what tells BOs apart there: the handle where page tables are seen */
	uint64_t offset;
	uint32_t flags;
};

/** A BO and what it is called in the truth. */
struct pairing {
	const struct panbind_bo *bo;
	uint64_t object;
};

struct verify {
	struct panbind_vm *vm;
	panbind_verify_fn *fn;
	void *data;
	struct panbind_verification *result;
	struct truth *truths;
	size_t count, room;
	struct pairing *pairings;
	size_t pairing_count, pairing_room;
	bool has_flags;				  /* the truth tells them */
	struct panbind_verify_difference pending; /* size 0: none */
};

static void free_verify(struct verify *verify)
{
	free(verify->truths);
	free(verify->pairings);
}

/* ---- What the driver has ---- */

static bool continues(const struct truth *last, const struct truth *next)
{
	return last->va + last->size == next->va && last->object == next->object && last->flags == next->flags &&
	       (next->object == DUMMY || last->offset + last->size == next->offset);
}

static int add_truth(struct verify *verify, const struct truth *truth)
{
	struct truth *last = verify->count ? &verify->truths[verify->count - 1] : NULL, *grown;

	if (last && continues(last, truth)) {
		last->size += truth->size;
		return 0;
	}
	if (verify->count == verify->room) {
		size_t room = verify->room ? 2 * verify->room : 64;

		grown = reallocarray(verify->truths, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		verify->truths = grown;
		verify->room = room;
	}
	verify->truths[verify->count++] = *truth;
	return 0;
}

/** Is this page of one of the dummies, and the one that belongs there? */
static bool is_dummy(const struct panbind_device *device, const struct pb_page *page)
{
	if (page->dummy)
		return true;
	return device->dummy_bo && page->bo_handle == device->dummy_bo->handle &&
	       page->bo_offset == page->va % PANBIND_SPARSE_BLOCK;
}

static int read_pages(struct verify *verify)
{
	struct panbind_device *device = verify->vm->device;
	struct pb_page page = {0};
	int ret = 0;

	verify->has_flags = true;
	verify->result->source = PANBIND_SIGHT_PAGES;
	while (ret == 0 &&
	       device->file->backend->gpu->next_page(device->file, verify->vm->id, page.va + page.size, &page) == 0) {
		struct truth truth = {.va = page.va, .size = page.size, .flags = pb_library_flags(page.flags)};

		truth.object = is_dummy(device, &page) ? DUMMY
			       : page.bo_handle	       ? page.bo_handle
						       : FOREIGN + page.object;
		truth.offset = page.bo_offset;
		ret = add_truth(verify, &truth);
	}
	return ret;
}

/** How many bytes of the shadow a VM of the books has, at the right offset. */
static uint64_t likeness(const struct panbind_vm *vm, const struct pb_gpuvas_row *rows, size_t count)
{
	struct pb_range range = {0};
	uint64_t bytes = 0;
	size_t at = 0;

	while (pb_vamap_next(vm->map, range.va + range.size, &range) == 0) {
		uint64_t end = range.va + range.size;

		while (at < count && rows[at].va + rows[at].size <= range.va)
			at++;
		for (size_t i = at; i < count && rows[i].va < end; i++) {
			uint64_t from = rows[i].va > range.va ? rows[i].va : range.va;
			uint64_t to = rows[i].va + rows[i].size < end ? rows[i].va + rows[i].size : end;

			if (!range.bo || rows[i].offset + (from - rows[i].va) == range.bo_offset + (from - range.va))
				bytes += to - from;
		}
	}
	return bytes;
}

/** The rows of our VM. -ENOENT: it cannot be told. */
static int find_books(const struct panbind_vm *vm, const struct pb_gpuvas *gpuvas, size_t *ret_first, size_t *ret_count)
{
	uint64_t best = 0;
	bool alone = gpuvas->vms == 1, found = alone;
	size_t from = 0, to;

	*ret_first = 0;
	*ret_count = alone ? gpuvas->count : 0;
	for (size_t i = 0; i < gpuvas->vms && !alone; i++, from = to) {
		uint64_t bytes;

		for (to = from; to < gpuvas->count && gpuvas->rows[to].vm == i; to++)
			;
		bytes = likeness(vm, gpuvas->rows + from, to - from);
		if (bytes < best || bytes == 0)
			continue;
		found = bytes > best;
		best = bytes;
		*ret_first = from;
		*ret_count = to - from;
	}
	return found ? 0 : -ENOENT;
}

static void say_why(struct verify *verify, const char *why)
{
	snprintf(verify->result->why, sizeof(verify->result->why), "%s", why);
}

static int read_books(struct verify *verify)
{
	struct pb_gpuvas gpuvas;
	size_t first, count;
	int ret = pb_gpuvas_read(pb_gpuvas_minor(verify->vm->device->info.path), &gpuvas);

	if (ret < 0 && ret != -ENOMEM)
		say_why(verify, "the kernel's books (debugfs gpuvas) cannot be read");
	if (ret < 0)
		return ret == -ENOMEM ? ret : 0;
	if (find_books(verify->vm, &gpuvas, &first, &count) < 0) {
		say_why(verify, "the kernel's books (debugfs gpuvas) do not tell which of their VMs this one is");
		count = 0;
	} else {
		verify->result->source = PANBIND_SIGHT_BOOKS;
	}
	for (size_t i = first; ret == 0 && i < first + count; i++) {
		const struct pb_gpuvas_row *row = &gpuvas.rows[i];
		struct truth truth = {.va = row->va, .size = row->size, .object = row->object, .offset = row->offset};

		ret = add_truth(verify, &truth);
	}
	pb_gpuvas_free(&gpuvas);
	return ret;
}

/* ---- Which BO is which ---- */

/** Where the pairing of @bo is, or would be. */
static size_t find_pairing(const struct verify *verify, const struct panbind_bo *bo)
{
	size_t low = 0, high = verify->pairing_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)verify->pairings[middle].bo < (uintptr_t)bo)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_taken(const struct verify *verify, uint64_t object)
{
	for (size_t i = 0; i < verify->pairing_count; i++)
		if (verify->pairings[i].object == object)
			return true;
	return false;
}

/** @bo (NULL: the dummy) is met at a place where the books have @object. 1 it may be that, 0 it is another, -ENOMEM. */
static int pair(struct verify *verify, const struct panbind_bo *bo, uint64_t object)
{
	size_t at = find_pairing(verify, bo);

	if (at < verify->pairing_count && verify->pairings[at].bo == bo)
		return verify->pairings[at].object == object;
	if (is_taken(verify, object))
		return 0;
	if (verify->pairing_count == verify->pairing_room) {
		size_t room = verify->pairing_room ? 2 * verify->pairing_room : LEAST_BOS;
		struct pairing *grown = reallocarray(verify->pairings, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		verify->pairings = grown;
		verify->pairing_room = room;
	}
	memmove(&verify->pairings[at + 1], &verify->pairings[at],
		(verify->pairing_count - at) * sizeof(verify->pairings[0]));
	verify->pairings[at] = (struct pairing){bo, object};
	verify->pairing_count++;
	return 1;
}

/* ---- Comparing ---- */

/** A piece [va, va + size) in which both sides are one thing; either may be NULL: nothing is mapped. */
struct piece {
	uint64_t va, size;
	const struct pb_range *shadow;
	const struct truth *truth;
};

/** The handle that a BO has on the file of the VM, where page tables are seen. */
static uint32_t handle_of(const struct panbind_device *device, const struct panbind_bo *bo)
{
	return bo->device == device ? bo->handle : pb_twin_handle(device, bo);
}

/** Of a program's VM: nothing was said of it, so nothing can be wrong. */
static bool is_unknown(const struct panbind_vm *vm, const struct piece *piece)
{
	return !piece->shadow && pb_unknown_bytes(vm->unknown, piece->va, piece->size) == piece->size;
}

/** 1 they say the same, 0 they do not, -ENOMEM. */
static int is_same(struct verify *verify, const struct piece *piece)
{
	const struct pb_range *shadow = piece->shadow;
	const struct truth *truth = piece->truth;
	uint64_t offset, wanted;

	if (!shadow || !truth)
		return !shadow && !truth;
	if (verify->has_flags && shadow->flags != truth->flags)
		return 0;
	if (verify->result->source == PANBIND_SIGHT_PAGES && (!shadow->bo || truth->object == DUMMY))
		return !shadow->bo && truth->object == DUMMY;
	offset = truth->offset + (piece->va - truth->va);
	wanted = shadow->bo ? shadow->bo_offset + (piece->va - shadow->va) : piece->va % PANBIND_SPARSE_BLOCK;
	if (offset != wanted)
		return 0;
	if (verify->result->source == PANBIND_SIGHT_PAGES)
		return truth->object == handle_of(verify->vm->device, shadow->bo);
	return pair(verify, shadow->bo, truth->object);
}

static void tell(struct verify *verify)
{
	if (verify->pending.size == 0)
		return;
	verify->result->differences++;
	verify->result->different += verify->pending.size;
	if (verify->fn)
		verify->fn(verify->data, &verify->pending);
	verify->pending.size = 0;
}

static void fill_sides(const struct verify *verify, const struct piece *piece,
		       struct panbind_verify_difference *difference)
{
	const struct pb_range *shadow = piece->shadow;
	const struct truth *truth = piece->truth;

	*difference = (struct panbind_verify_difference){.va = piece->va, .size = piece->size};
	if (shadow)
		difference->shadow = (struct panbind_verify_side){
			.mapped = 1,
			.sparse = !shadow->bo,
			.bo = shadow->bo,
			.bo_offset = shadow->bo ? shadow->bo_offset + (piece->va - shadow->va) : 0,
			.flags = shadow->flags,
		};
	if (!truth)
		return;
	difference->driver = (struct panbind_verify_side){
		.mapped = 1,
		.sparse = truth->object == DUMMY,
		.bo_offset = truth->object == DUMMY ? 0 : truth->offset + (piece->va - truth->va),
		.flags = truth->flags,
		.has_flags = verify->has_flags,
	};
	if (verify->result->source == PANBIND_SIGHT_PAGES && truth->object != DUMMY)
		difference->driver.bo_handle = (uint32_t)truth->object;
}

static bool goes_on(const struct panbind_verify_side *one, const struct panbind_verify_side *next, uint64_t size)
{
	return one->mapped == next->mapped && one->sparse == next->sparse && one->bo == next->bo &&
	       one->bo_handle == next->bo_handle && one->flags == next->flags &&
	       (!one->mapped || one->sparse || one->bo_offset + size == next->bo_offset);
}

/** What continues the difference before it is part of it. */
static void add_difference(struct verify *verify, const struct piece *piece)
{
	struct panbind_verify_difference *last = &verify->pending, next;

	fill_sides(verify, piece, &next);
	if (last->size > 0 && last->va + last->size == next.va && goes_on(&last->shadow, &next.shadow, last->size) &&
	    goes_on(&last->driver, &next.driver, last->size)) {
		last->size += next.size;
		return;
	}
	tell(verify);
	*last = next;
}

/** The largest piece from @at on in which neither side changes; false at the end of both. */
static bool next_piece(const struct pb_range *shadow, const struct truth *truth, uint64_t at, struct piece *piece)
{
	uint64_t end = UINT64_MAX;

	*piece = (struct piece){.va = at};
	if (!shadow && !truth)
		return false;
	if (shadow && shadow->va <= at) {
		piece->shadow = shadow;
		end = shadow->va + shadow->size;
	} else if (shadow) {
		end = shadow->va;
	}
	if (truth && truth->va <= at) {
		piece->truth = truth;
		end = truth->va + truth->size < end ? truth->va + truth->size : end;
	} else if (truth && truth->va < end) {
		end = truth->va;
	}
	piece->size = end - at;
	return true;
}

static int compare(struct verify *verify)
{
	struct pb_range shadow = {0};
	bool has_shadow = pb_vamap_next(verify->vm->map, 0, &shadow) == 0;
	struct piece piece;
	size_t next = 0;
	int same;

	for (uint64_t at = 0;; at = piece.va + piece.size) {
		if (has_shadow && shadow.va + shadow.size <= at)
			has_shadow = pb_vamap_next(verify->vm->map, at, &shadow) == 0;
		if (next < verify->count && verify->truths[next].va + verify->truths[next].size <= at)
			next++;
		if (!next_piece(has_shadow ? &shadow : NULL, next < verify->count ? &verify->truths[next] : NULL, at,
				&piece))
			break;
		if (piece.shadow || piece.truth)
			verify->result->compared += piece.size;
		same = is_same(verify, &piece);
		if (same < 0)
			return same;
		if (!same && !is_unknown(verify->vm, &piece))
			add_difference(verify, &piece);
	}
	tell(verify);
	return 0;
}

static int check_idle(struct panbind_vm *vm, struct panbind_error *reterr)
{
	int ret = vm->pending ? pb_vm_reap(vm) : 0;

	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_SUBMIT, "cannot ask for the binds in flight: %s",
				    panbind_errno_name(ret));
	return vm->pending
		       ? pb_error_set(reterr, -EBUSY, PANBIND_STAGE_VALIDATE,
				      "asynchronous binds are in flight: what the driver has is not yet what they make")
		       : 0;
}

int panbind_vm_verify(struct panbind_vm *vm, panbind_verify_fn *fn, void *data,
		      struct panbind_verification *ret_verification, struct panbind_error *reterr)
{
	struct panbind_verification result = {.source = PANBIND_SIGHT_NONE};
	pb_cleanup(free_verify) struct verify verify = {.vm = vm, .fn = fn, .data = data, .result = &result};
	int ret = check_idle(vm, reterr);

	if (ret < 0)
		return ret;
	ret = vm->device->file->backend->gpu ? read_pages(&verify) : read_books(&verify);
	if (ret == 0 && result.source != PANBIND_SIGHT_NONE)
		ret = compare(&verify);
	if (ret < 0)
		return pb_error_set(reterr, ret, PANBIND_STAGE_VALIDATE, "cannot compare: %s", panbind_errno_name(ret));
	*ret_verification = result;
	return 0;
}
