/* SPDX-License-Identifier: MIT */
#include "truth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "internal.h"

static void wrong(const struct pb_page *page, const char *what)
{
	fail_msg("page 0x%llx+0x%llx (BO %u at 0x%llx, flags 0x%x%s) %s", (unsigned long long)page->va,
		 (unsigned long long)page->size, page->bo_handle, (unsigned long long)page->bo_offset, page->flags,
		 page->dummy ? ", dummy" : "", what);
}

static void assert_sparse(struct panbind_vm *vm, const struct pb_page *page)
{
	const struct panbind_bo *dummy = vm->device->dummy_bo;
	if (page->dummy)
		return;
	if (!dummy || page->bo_handle != dummy->handle)
		wrong(page, "is not the dummy");
	if (page->bo_offset != page->va % PANBIND_SPARSE_BLOCK)
		wrong(page, "is another page of the dummy");
}

static void assert_page(struct panbind_vm *vm, const struct pb_page *page)
{
	struct panbind_mapping m;
	if (panbind_vm_next_mapping(vm, page->va, &m) < 0 || m.va > page->va || m.va + m.size < page->va + page->size)
		wrong(page, "is not in the shadow");
	if (page->flags != m.flags)
		wrong(page, "has other flags in the shadow");
	if (m.sparse)
		assert_sparse(vm, page);
	else if (page->dummy || page->bo_handle != m.bo->handle || page->bo_offset != m.bo_offset + (page->va - m.va))
		wrong(page, "has another backing in the shadow");
}

void truth_assert(struct panbind_vm *vm)
{
	struct pb_file *file = vm->device->file;
	struct pb_page page = {0};
	struct panbind_mapping m = {0};
	uint64_t in_tables = 0, in_shadow = 0;
	while (file->backend->gpu->next_page(file, vm->id, page.va + page.size, &page) == 0) {
		assert_page(vm, &page);
		in_tables += page.size;
	}
	while (panbind_vm_next_mapping(vm, m.va + m.size, &m) == 0)
		in_shadow += m.size;
	assert_int_equal(in_shadow, in_tables); /* else the shadow has what the tables have not */
	assert_int_equal(pb_vamap_check(vm->map), 0);
}
