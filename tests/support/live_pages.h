/* SPDX-License-Identifier: MIT */
/*
 * What a VM should hold, page by page, compared with what the library believes and with what the page tables say.
 *
 * For simulated devices, whose page tables can be read. Three accounts of one VM are kept by code that shares nothing:
 * this one, the library's shadow, and the simulator's page table. They have to agree.
 */
#ifndef TEST_LIVE_PAGES_H
#define TEST_LIVE_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "panbind.h"

enum live_kind { LIVE_NOTHING = 0, LIVE_BO, LIVE_SPARSE };

struct live_page {
	enum live_kind kind;
	uint32_t flags;
	struct panbind_bo *bo; /* compared only */
	uint64_t bo_offset;
};

struct live_pages {
	uint64_t base; /* VA of the first; nothing may be mapped outside */
	size_t count;
	struct live_page *page;
};

void live_init(struct live_pages *pages, uint64_t base, size_t count);
void live_fini(struct live_pages *pages);
void live_reset(struct live_pages *pages);
void live_copy(struct live_pages *to, const struct live_pages *from);

/** Let an op happen. */
void live_apply(struct live_pages *pages, const struct panbind_op *op);
/** Take over what the library believes. */
void live_read(struct live_pages *pages, struct panbind_vm *vm);

/** NULL when they agree; else what differs, with the place in @ret_va. */
const char *live_differs_from_library(const struct live_pages *pages, struct panbind_vm *vm, uint64_t *ret_va);
const char *live_differs_from_driver(const struct live_pages *pages, struct panbind_vm *vm, uint64_t *ret_va);

#endif /* TEST_LIVE_PAGES_H */
