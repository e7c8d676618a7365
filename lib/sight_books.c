/* SPDX-License-Identifier: MIT */
/*
 * A kernel's books: ranges and objects of all VMs of a device, as debugfs has them, and which of them is ours.
 *
 * Nothing in them names a file or an id, so our VM has to be recognised, and a wrong guess would be worse than none.
 * Two things make it certain. What this process has bound in the VM itself must be in its books: when only one VM has
 * all of that, it is the one. Or there is no other: as many VMs in the books as this process knows of, and those that
 * are not the one in question are told apart by what they map. Else nothing is known, and the answer says so.
 *
 * Recognised, the books say where nothing is mapped, and whether what was bound here is still there. What else is
 * mapped stays unknown: there is no handle to map it again with.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gpuvas.h"
#include "sight.h"

/** The rows of one VM of the books. */
struct books {
	const struct pb_gpuvas_row *rows;
	size_t count;
};

static struct books books_of(const struct pb_gpuvas *gpuvas, size_t vm)
{
	size_t from = 0, to;
	while (from < gpuvas->count && gpuvas->rows[from].vm < vm)
		from++;
	for (to = from; to < gpuvas->count && gpuvas->rows[to].vm == vm; to++)
		;
	return (struct books){gpuvas->rows + from, to - from};
}

/** The first row that ends after @va, or NULL. */
static const struct pb_gpuvas_row *next_row(const struct books *books, uint64_t va)
{
	size_t low = 0, high = books->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (books->rows[middle].va + books->rows[middle].size > va)
			high = middle;
		else
			low = middle + 1;
	}
	return low < books->count ? &books->rows[low] : NULL;
}

/** Do the books have a mapping of the shadow, in however many rows? A sparse one is many rows of one dummy or another.
 */
static bool has(const struct books *books, const struct pb_range *range)
{
	uint64_t at = range->va, end = range->va + range->size, object = 0;
	while (at < end) {
		const struct pb_gpuvas_row *row = next_row(books, at);
		if (!row || row->va > at)
			return false;
		if (range->bo && (row->offset + (at - row->va) != range->bo_offset + (at - range->va) ||
				  (object && row->object != object)))
			return false;
		object = row->object;
		at = row->va + row->size;
	}
	return true;
}

static bool has_all(const struct books *books, const struct panbind_vm *vm)
{
	struct pb_range range = {0};
	while (pb_vamap_next(vm->map, range.va + range.size, &range) == 0)
		if (!has(books, &range))
			return false;
	return true;
}

/** Nothing is in the books that the shadow does not have. */
static bool has_no_more(const struct books *books, const struct panbind_vm *vm)
{
	for (size_t i = 0; i < books->count; i++) {
		const struct pb_gpuvas_row *row = &books->rows[i];
		uint64_t bytes = 0, at = row->va, end = row->va + row->size;
		struct pb_range range;
		for (; at < end && pb_vamap_next(vm->map, at, &range) == 0 && range.va < end;
		     at = range.va + range.size)
			bytes += (range.va + range.size < end ? range.va + range.size : end) -
				 (range.va > at ? range.va : at);
		if (bytes != row->size)
			return false;
	}
	return true;
}

/** By what was bound in it. -ENOENT: nothing was, or several VMs have it. */
static int find_by_content(const struct pb_look *look, const struct pb_gpuvas *gpuvas, size_t *ret_vm)
{
	size_t found = 0;
	if (pb_vamap_count(look->vm->map) == 0)
		return -ENOENT;
	for (size_t i = 0; i < gpuvas->vms; i++) {
		struct books books = books_of(gpuvas, i);
		if (!has_all(&books, look->vm))
			continue;
		*ret_vm = i;
		found++;
	}
	return found == 1 ? 0 : -ENOENT;
}

/** The VM of the books that is this one of ours and not yet spoken for; alike ones are as good as each other. */
static bool strike_out(const struct panbind_vm *vm, const struct pb_gpuvas *gpuvas, bool *taken)
{
	for (size_t i = 0; i < gpuvas->vms; i++) {
		struct books books = books_of(gpuvas, i);
		if (taken[i] || !has_all(&books, vm) || !has_no_more(&books, vm))
			continue;
		taken[i] = true;
		return true;
	}
	return false;
}

/** By there being no other. -ENOENT: there is, or may be. */
static int find_by_elimination(const struct pb_look *look, const struct pb_gpuvas *gpuvas, size_t *ret_vm)
{
	const struct panbind_look *options = look->options;
	int of_file = panbind_device_vm_ids(look->vm->device, NULL, 0);
	if (of_file != 1 || gpuvas->vms != options->other_count + 1)
		return -ENOENT;
	pb_autofree bool *taken = calloc(gpuvas->vms, sizeof(*taken));
	if (!taken)
		return -ENOMEM;
	for (size_t i = 0; i < options->other_count; i++)
		if (options->others[i]->adopted || !strike_out(options->others[i], gpuvas, taken))
			return -ENOENT;
	for (size_t i = 0; i < gpuvas->vms; i++)
		if (!taken[i])
			*ret_vm = i;
	return 0;
}

/* ---- Reading ---- */

/** A piece of the shadow as it was before: still there, or unknown. */
static int reconcile(struct pb_look *look, const struct books *books, const struct pb_range *piece)
{
	if (has(books, piece))
		return pb_look_known(look, piece);
	return 0; /* what is there instead is among the rows */
}

struct pieces {
	struct pb_range *ranges;
	size_t count, room;
};

static int keep(void *data, const struct pb_range *piece)
{
	struct pieces *pieces = data;
	if (pieces->count == pieces->room) {
		size_t room = pieces->room ? 2 * pieces->room : 16;
		struct pb_range *ranges = reallocarray(pieces->ranges, room, sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		pieces->ranges = ranges;
		pieces->room = room;
	}
	if (piece->bo)
		panbind_bo_ref(piece->bo);
	pieces->ranges[pieces->count++] = *piece;
	return 0;
}

static void free_pieces(struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->count; i++)
		panbind_bo_unref(pieces->ranges[i].bo);
	free(pieces->ranges);
}

/** All rows are unknown at first; what the shadow had there, and still is, becomes known again. */
static int read_books(struct pb_look *look, const struct books *books)
{
	pb_cleanup(free_pieces) struct pieces before = {0};
	uint64_t end = look->va + look->size;
	int ret = pb_vamap_pieces(look->vm->map, look->va, look->size, keep, &before);
	if (ret == 0)
		ret = pb_look_begin(look);
	for (size_t i = 0; ret == 0 && i < books->count; i++) {
		const struct pb_gpuvas_row *row = &books->rows[i];
		uint64_t from = row->va > look->va ? row->va : look->va, to = row->va + row->size;
		to = to < end ? to : end;
		if (from < to)
			ret = pb_look_unknown(look, from, to - from);
	}
	for (size_t i = 0; ret == 0 && i < before.count; i++)
		ret = reconcile(look, books, &before.ranges[i]);
	return ret;
}

static void say_why(struct panbind_sight *sight, const char *why)
{
	snprintf(sight->why, sizeof(sight->why), "%s", why);
}

int pb_look_at_books(struct pb_look *look)
{
	struct pb_gpuvas gpuvas;
	size_t vm = 0;
	int ret = pb_gpuvas_read(pb_gpuvas_minor(look->vm->device->info.path), &gpuvas);
	if (ret == -ENOMEM)
		return ret;
	if (ret < 0) {
		say_why(look->sight, ret == -EPROTO ? "the kernel's books (debugfs gpuvas) are not as they should be"
						    : "the kernel's books (debugfs gpuvas) cannot be read");
		return 0;
	}
	ret = find_by_content(look, &gpuvas, &vm);
	if (ret == -ENOENT)
		ret = find_by_elimination(look, &gpuvas, &vm);
	if (ret == -ENOENT) {
		say_why(look->sight, "the kernel's books (debugfs gpuvas) do not tell which of their VMs this one is");
		ret = 0;
	} else if (ret == 0) {
		struct books books = books_of(&gpuvas, vm);
		look->sight->source = PANBIND_SIGHT_BOOKS;
		say_why(look->sight, "the kernel's books (debugfs gpuvas) do not name the program's BOs");
		ret = read_books(look, &books);
	}
	pb_gpuvas_free(&gpuvas);
	return ret;
}
