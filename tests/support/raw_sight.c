/* SPDX-License-Identifier: MIT */
/*
 * Looking into page tables, for the conformance tests: one place to teach about other devices.
 *
 * A simulator walks its page tables (gpu->next_page). A kernel shows its books in debugfs, if it lets us: which VM is
 * ours there, and what our BO is called, is told by a mapping of that BO made for the purpose, high up where no test
 * maps. Map flags are not in those books and taken on trust.
 */
#include <errno.h>

#include "gpuvas.h"
#include "panbind.h"
#include "raw.h"

#define MARK_START (UINT64_C(1) << 46)

static bool has_sight(const struct raw *raw)
{
	return raw->file->backend->gpu || pb_gpuvas_available();
}

void raw_need_sight(const struct raw *raw)
{
	if (!has_sight(raw)) {
		print_message("# skipped: there is no way to look into the page tables\n");
		skip();
	}
}

/* ---- A kernel's books ---- */

struct books {
	struct pb_gpuvas rows;
	size_t vm;	 /* which of them is ours */
	uint64_t object; /* the BO asked for */
	uint64_t mark;	 /* where it was mapped to find out */
};

static const struct pb_gpuvas_row *find_row(const struct pb_gpuvas *rows, uint64_t va)
{
	for (size_t i = 0; i < rows->count; i++)
		if (rows->rows[i].va <= va && va < rows->rows[i].va + rows->rows[i].size)
			return &rows->rows[i];
	return NULL;
}

/* A page that is mapped in no VM at all. */
static uint64_t free_mark(void)
{
	uint64_t mark = MARK_START;
	struct pb_gpuvas rows;

	raw_expect("gpuvas", pb_gpuvas_read(-1, &rows), 0);
	while (find_row(&rows, mark))
		mark += RAW_PAGE;
	pb_gpuvas_free(&rows);
	return mark;
}

/* @bo 0: one that has no handle any more. Another one finds the VM then, and is not what is looked for. */
static void open_books(struct raw *raw, uint32_t vm, uint32_t bo, struct books *books)
{
	uint32_t mark_bo = bo ? bo : raw_bo(raw, RAW_PAGE);
	struct pb_uapi_vm_bind_op op = RAW_OP(.flags = PB_OP_MAP, .bo_handle = mark_bo, .size = RAW_PAGE);
	const struct pb_gpuvas_row *row;

	books->mark = op.va = free_mark();
	raw_expect("a mapping to look for", raw_bind(raw, vm, 0, &op, 1, NULL), 0);
	raw_expect("gpuvas", pb_gpuvas_read(-1, &books->rows), 0);
	row = find_row(&books->rows, books->mark);
	assert_non_null(row);
	books->vm = row->vm;
	books->object = row->object;
	op = RAW_OP(.flags = PB_OP_UNMAP, .va = books->mark, .size = RAW_PAGE);
	raw_expect("its end", raw_bind(raw, vm, 0, &op, 1, NULL), 0);
	if (!bo)
		raw_expect("GEM_CLOSE", raw_bo_close(raw, mark_bo), 0);
}

/* The page at @va of the VM that the books were opened for; bo_handle is @bo or 0. */
static bool page_in_books(const struct books *books, uint64_t va, uint32_t bo, struct pb_page *ret_page)
{
	for (size_t i = 0; i < books->rows.count; i++) {
		const struct pb_gpuvas_row *row = &books->rows.rows[i];

		if (row->vm != books->vm || row->va == books->mark || va < row->va || va >= row->va + row->size)
			continue;
		*ret_page = (struct pb_page){.va = va,
					     .size = RAW_PAGE,
					     .bo_handle = row->object == books->object ? bo : 0,
					     .bo_offset = row->offset + (va - row->va)};
		return true;
	}
	return false;
}

/* ---- Either ---- */

/* Where to look: books is empty where there is a simulator. */
struct look {
	struct raw *raw;
	uint32_t vm, bo;
	struct books books;
};

static void look_begin(struct raw *raw, uint32_t vm, uint32_t bo, struct look *look)
{
	*look = (struct look){.raw = raw, .vm = vm, .bo = bo};
	if (!raw->file->backend->gpu)
		open_books(raw, vm, bo, &look->books);
}

static void look_end(struct look *look)
{
	pb_gpuvas_free(&look->books.rows);
}

/* The page that covers @va; false when nothing does. */
static bool page_at(const struct look *look, uint64_t va, struct pb_page *ret_page)
{
	struct pb_file *file = look->raw->file;
	int ret;

	if (!file->backend->gpu)
		return page_in_books(&look->books, va, look->bo, ret_page);
	ret = file->backend->gpu->next_page(file, look->vm, va, ret_page);
	if (ret && ret != -ENOENT)
		raw_expect("next_page", ret, 0);
	return !ret && ret_page->va <= va;
}

/* Flags are known where there are page tables only. */
static bool flags_differ(const struct look *look, const struct pb_page *page, uint32_t flags)
{
	return look->raw->file->backend->gpu && page->flags != flags;
}

void raw_assert_mapped(struct raw *raw, uint32_t vm, uint64_t va, uint64_t size, uint32_t bo, uint64_t bo_offset,
		       uint32_t flags)
{
	struct look look;

	if (!has_sight(raw))
		return;
	look_begin(raw, vm, bo, &look);
	for (uint64_t at = va; at < va + size; at += RAW_PAGE) {
		struct pb_page page;

		if (!page_at(&look, at, &page))
			fail_msg("nothing is mapped at 0x%llx", (unsigned long long)at);
		if (page.dummy || page.bo_handle != bo || page.bo_offset + (at - page.va) != bo_offset + (at - va) ||
		    flags_differ(&look, &page, flags))
			fail_msg("0x%llx leads to%s BO %u at 0x%llx with flags %u, not to BO %u at 0x%llx with %u",
				 (unsigned long long)at, page.dummy ? " the dummy," : "", page.bo_handle,
				 (unsigned long long)(page.bo_offset + (at - page.va)), page.flags, bo,
				 (unsigned long long)(bo_offset + (at - va)), flags);
	}
	look_end(&look);
}

/* The dummy is a driver's own, which no handle names: what is there has no BO of ours behind it. */
void raw_assert_sparse(struct raw *raw, uint32_t vm, uint64_t va, uint64_t size)
{
	struct look look;

	if (!has_sight(raw))
		return;
	look_begin(raw, vm, raw->bo, &look);
	for (uint64_t at = va; at < va + size; at += RAW_PAGE) {
		bool kernel = !raw->file->backend->gpu;
		struct pb_page page;

		if (!page_at(&look, at, &page) || (kernel ? page.bo_handle != 0 : !page.dummy))
			fail_msg("0x%llx does not lead to the dummy", (unsigned long long)at);
		if (!kernel && page.bo_offset + (at - page.va) != at % PANBIND_SPARSE_BLOCK)
			fail_msg("0x%llx leads to 0x%llx of the dummy", (unsigned long long)at,
				 (unsigned long long)(page.bo_offset + (at - page.va)));
	}
	look_end(&look);
}

/* A BO just to find the VM by. */
static void assert_unmapped_in_books(struct raw *raw, uint32_t vm, uint64_t va, uint64_t size)
{
	uint32_t bo = raw_bo(raw, RAW_PAGE);
	struct look look;
	const struct pb_gpuvas *rows = &look.books.rows;

	look_begin(raw, vm, bo, &look);
	for (size_t i = 0; i < rows->count; i++) {
		const struct pb_gpuvas_row *row = &rows->rows[i];

		if (row->vm == look.books.vm && row->va != look.books.mark && row->va < va + size &&
		    va < row->va + row->size)
			fail_msg("0x%llx is mapped", (unsigned long long)row->va);
	}
	look_end(&look);
	raw_expect("GEM_CLOSE", raw_bo_close(raw, bo), 0);
}

void raw_assert_unmapped(struct raw *raw, uint32_t vm, uint64_t va, uint64_t size)
{
	struct pb_page page;

	if (!has_sight(raw))
		return;
	if (!raw->file->backend->gpu)
		assert_unmapped_in_books(raw, vm, va, size);
	else if (!raw->file->backend->gpu->next_page(raw->file, vm, va, &page) && page.va < va + size)
		fail_msg("0x%llx is mapped, to BO %u", (unsigned long long)page.va, page.bo_handle);
}
