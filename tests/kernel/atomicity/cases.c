/* SPDX-License-Identifier: MIT */
/* The list of cases.h. Each is one VM_BIND, small enough to be followed with a pencil. */
#include "cases.h"

#define K(n) ((uint64_t)(n) << 10)
#define M(n) ((uint64_t)(n) << 20)
#define G(n) ((uint64_t)(n) << 30)

#define BASE UINT64_C(0x40000000)

#define MAP(va, size, mem, offset)                           \
	{                                                    \
		REMAP_MAP, (va), (size), MEM_##mem, (offset) \
	}
#define UNMAP(va, size)                             \
	{                                           \
		REMAP_UNMAP, (va), (size), MEM_A, 0 \
	}

const struct remap_case remap_cases[] = {
	{
		.name = "4 KiB inside a BO",
		.what = "map 4K of B at 0x40040000, over A",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE + K(256), K(4), B, 0)},
		.watch = {{"the page", BASE + K(256)},
			  {"its neighbour in the locked 32 KiB", BASE + K(260)},
			  {"the page before the region", BASE + K(252)},
			  {"the page behind the region", BASE + K(288)}},
		.hole = true,
	},
	{
		.name = "64 KiB inside a BO",
		.what = "map 64K of B at 0x40040000, over A",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE + K(256), K(64), B, 0)},
		.watch = {{"the first page", BASE + K(256)},
			  {"the last page", BASE + K(316)},
			  {"the page before", BASE + K(252)},
			  {"the page behind", BASE + K(320)}},
		.hole = true,
	},
	{
		.name = "64 KiB off their alignment",
		.what = "map 64K of B at 0x40044000, over A",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE + K(272), K(64), B, 0)},
		.watch = {{"the first page", BASE + K(272)},
			  {"the last page", BASE + K(332)},
			  {"in the region, before the op", BASE + K(268)},
			  {"in the region, behind the op", BASE + K(336)},
			  {"the page before the region", BASE + K(252)},
			  {"the page behind the region", BASE + K(384)}},
		.hole = true,
	},
	{
		.name = "The same content again",
		.what = "map 64K of A at 0x40000000, which is what is there",
		.before = {MAP(BASE, K(64), A, 0), MAP(BASE + K(64), K(64), A, M(1))},
		.ops = {MAP(BASE, K(64), A, 0)},
		.watch = {{"the first page", BASE}, {"the page behind", BASE + K(64)}},
		.hole = true,
	},
	{
		.name = "A piece across two mappings",
		.what = "map 256K of B at 0x40060000, over the end of one mapping and the beginning of the next",
		.before = {MAP(BASE, K(512), A, 0), MAP(BASE + K(512), K(512), A, M(2))},
		.ops = {MAP(BASE + K(384), K(256), B, 0)},
		.watch = {{"over the first mapping", BASE + K(384)},
			  {"over the second", BASE + K(512)},
			  {"what stays of the first", BASE + K(380)},
			  {"what stays of the second", BASE + K(640)},
			  {"the page before the region", BASE - K(4)}},
		.hole = true,
	},
	{
		.name = "A piece across three mappings",
		.what = "map 512K of B at 0x40020000, over the second of three mappings and half of its neighbours",
		.before = {MAP(BASE, K(256), A, 0), MAP(BASE + K(256), K(256), A, M(1)),
			   MAP(BASE + K(512), K(256), A, M(2)), MAP(BASE + M(1), K(64), A, M(3))},
		.ops = {MAP(BASE + K(128), K(512), B, 0)},
		.watch = {{"over the first mapping", BASE + K(128)},
			  {"over the second", BASE + K(256)},
			  {"over the third", BASE + K(636)},
			  {"what stays of the first", BASE},
			  {"what stays of the third", BASE + K(764)},
			  {"the page behind the region", BASE + M(1)}},
		.hole = true,
	},
	{
		.name = "A piece across a gap",
		.what = "map 256K of B at 0x40000000, over two mappings of 64K and the gap between them",
		.before = {MAP(BASE, K(64), A, 0), MAP(BASE + K(192), K(64), A, M(1))},
		.ops = {MAP(BASE, K(256), B, 0)},
		.watch = {{"over the first mapping", BASE},
			  {"in the gap", BASE + K(128)},
			  {"over the second mapping", BASE + K(192)}},
		.hole = true,
	},
	{
		.name = "A new mapping",
		.what = "map 64K of B at 0x40010000, where nothing is",
		.before = {MAP(BASE, K(64), A, 0)},
		.ops = {MAP(BASE + K(64), K(64), B, 0)},
		.watch = {{"the first page", BASE + K(64)}, {"the page before", BASE + K(60)}},
	},
	{
		.name = "A whole BO of 4 KiB",
		.what = "map 4K of B at 0x40000000, over 4K of A",
		.before = {MAP(BASE, K(4), A, 0), MAP(BASE + K(32), K(4), A, K(32))},
		.ops = {MAP(BASE, K(4), B, 0)},
		.watch = {{"the page", BASE}, {"the page behind the region", BASE + K(32)}},
		.hole = true,
	},
	{
		.name = "A whole BO of 2 MiB",
		.what = "map 2M of B at 0x40000000, over 2M of A: a block for a block",
		.before = {MAP(BASE, M(2), A, 0), MAP(BASE + M(2), K(4), A, M(3))},
		.ops = {MAP(BASE, M(2), B, 0)},
		.watch = {{"the first page", BASE},
			  {"the last page", BASE + M(2) - K(4)},
			  {"the page behind", BASE + M(2)}},
		.hole = true,
	},
	{
		.name = "A whole BO of 4 MiB",
		.what = "map 4M of B at 0x40000000, over 4M of A: two blocks for two blocks",
		.before = {MAP(BASE, M(4), A, 0)},
		.ops = {MAP(BASE, M(4), B, 0)},
		.watch = {{"in the first block", BASE}, {"in the second block", BASE + M(4) - K(4)}},
		.hole = true,
	},
	{
		.name = "A block cut by a page",
		.what = "map 4K of B at 0x40100000, inside a block of 2 MiB",
		.before = {MAP(BASE, M(2), A, 0), MAP(BASE + M(2), K(4), A, M(3))},
		.ops = {MAP(BASE + M(1), K(4), B, 0)},
		.watch = {{"the page", BASE + M(1)},
			  {"its neighbour in 32 KiB", BASE + M(1) + K(4)},
			  {"the block's first page", BASE},
			  {"the block's last page", BASE + M(2) - K(4)},
			  {"the page behind the block", BASE + M(2)}},
		.hole = true,
	},
	{
		.name = "A block cut at its beginning",
		.what = "map 64K of B at 0x40000000, the first 64 KiB of a block of 2 MiB",
		.before = {MAP(BASE, M(2), A, 0), MAP(BASE - K(4), K(4), A, M(3))},
		.ops = {MAP(BASE, K(64), B, 0)},
		.watch = {{"the first page", BASE},
			  {"the rest of the block", BASE + K(64)},
			  {"the page before the block", BASE - K(4)}},
		.hole = true,
	},
	{
		.name = "Two blocks cut by 2 MiB between them",
		.what = "map 2M of B at 0x40100000, over half of each of two blocks",
		.before = {MAP(BASE, M(4), A, 0)},
		.ops = {MAP(BASE + M(1), M(2), B, 0)},
		.watch = {{"in the first block", BASE + M(1)},
			  {"in the second block", BASE + M(3) - K(4)},
			  {"what stays of the first", BASE},
			  {"what stays of the second", BASE + M(3)}},
		.hole = true,
	},
	{
		.name = "A page unmapped out of a block",
		.what = "unmap 4K at 0x40100000, inside a block of 2 MiB",
		.before = {MAP(BASE, M(2), A, 0)},
		.ops = {UNMAP(BASE + M(1), K(4))},
		.watch = {{"the page", BASE + M(1)},
			  {"its neighbour in 32 KiB", BASE + M(1) + K(4)},
			  {"the block's first page", BASE}},
	},
	{
		.name = "64 KiB unmapped at the end of a block",
		.what = "unmap 64K at 0x401f0000, the last 64 KiB of a block of 2 MiB",
		.before = {MAP(BASE, M(2), A, 0), MAP(BASE + M(2), K(64), A, M(3))},
		.ops = {UNMAP(BASE + M(2) - K(64), K(64))},
		.watch = {{"the last page", BASE + M(2) - K(4)},
			  {"the block's first page", BASE},
			  {"the page behind the block", BASE + M(2)}},
	},
	{
		.name = "Pages joined to the block that they are",
		.what = "map 2M of A at 0x40000000, over two mappings of the same memory",
		.before = {MAP(BASE, M(1), A, 0), MAP(BASE + M(1), M(1), A, M(1))},
		.ops = {MAP(BASE, M(2), A, 0)},
		.watch = {{"in the first half", BASE}, {"in the second half", BASE + M(1)}},
		.hole = true,
	},
	{
		.name = "Pages replaced by a block",
		.what = "map 2M of B at 0x40000000, over four mappings of 512K",
		.before = {MAP(BASE, K(512), A, 0), MAP(BASE + K(512), K(512), A, M(1)),
			   MAP(BASE + K(1024), K(512), A, M(2)), MAP(BASE + K(1536), K(512), A, M(3))},
		.ops = {MAP(BASE, M(2), B, 0)},
		.watch = {{"the first page", BASE}, {"the last page", BASE + M(2) - K(4)}},
		.hole = true,
	},
	{
		.name = "Sparse reserve",
		.what = "the dummy of 2 MiB at 0x40000000 and at 0x40200000: two ops",
		.ops = {MAP(BASE, M(2), DUMMY, 0), MAP(BASE + M(2), M(2), DUMMY, 0)},
		.watch = {{"in the first op", BASE}, {"in the second op", BASE + M(2)}},
	},
	{
		.name = "Sparse bind in pages",
		.what = "map 64K of B at 0x40010000, in 1 MiB of dummy",
		.before = {MAP(BASE, M(1), DUMMY, 0)},
		.ops = {MAP(BASE + K(64), K(64), B, 0)},
		.watch = {{"the first page", BASE + K(64)},
			  {"the page before", BASE + K(60)},
			  {"the page behind", BASE + K(128)}},
		.hole = true,
	},
	{
		.name = "Sparse bind in a block",
		.what = "map 64K of B at 0x40010000, in a block of dummy",
		.before = {MAP(BASE, M(2), DUMMY, 0), MAP(BASE + M(2), M(2), DUMMY, 0)},
		.ops = {MAP(BASE + K(64), K(64), B, 0)},
		.watch = {{"the first page", BASE + K(64)},
			  {"the page before", BASE + K(60)},
			  {"the page behind", BASE + K(128)},
			  {"the block behind", BASE + M(2)}},
		.hole = true,
	},
	{
		.name = "Sparse unbind",
		.what = "map 64K of the dummy at 0x40010000, its offset the address modulo 2 MiB",
		.before = {MAP(BASE, M(1), DUMMY, 0), MAP(BASE + K(64), K(64), B, 0)},
		.ops = {MAP(BASE + K(64), K(64), DUMMY, K(64))},
		.watch = {{"the first page", BASE + K(64)}, {"the page behind", BASE + K(128)}},
		.hole = true,
	},
	{
		.name = "Sparse unbind across a 2 MiB border",
		.what = "the dummy at 0x401f0000 and at 0x40200000, 64K each: two ops",
		.before = {MAP(BASE + M(2) - K(64), K(128), B, 0)},
		.ops = {MAP(BASE + M(2) - K(64), K(64), DUMMY, M(2) - K(64)), MAP(BASE + M(2), K(64), DUMMY, 0)},
		.watch = {{"in the first op", BASE + M(2) - K(64)}, {"in the second op", BASE + M(2)}},
		.hole = true,
	},
	{
		.name = "Sparse release",
		.what = "unmap 4M at 0x40000000: dummy blocks and 64K of B",
		.before = {MAP(BASE, M(2), DUMMY, 0), MAP(BASE + M(2), M(2), DUMMY, 0), MAP(BASE + K(64), K(64), B, 0)},
		.ops = {UNMAP(BASE, M(4))},
		.watch = {{"the dummy", BASE}, {"the bound page", BASE + K(64)}, {"the second block", BASE + M(2)}},
	},
	{
		.name = "Three ops in one VM_BIND",
		.what = "map 64K of B at 0x40000000, 0x40040000 and 0x40080000",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE, K(64), B, 0), MAP(BASE + K(256), K(64), B, M(1)), MAP(BASE + K(512), K(64), B, M(2))},
		.watch = {{"in the first op", BASE},
			  {"in the second op", BASE + K(256)},
			  {"in the third op", BASE + K(512)},
			  {"between two ops", BASE + K(128)}},
		.hole = true,
	},
	{
		.name = "Unmap and map as two ops",
		.what = "unmap 64K at 0x40000000, then map 64K of B there, in one VM_BIND",
		.before = {MAP(BASE, K(64), A, 0)},
		.ops = {UNMAP(BASE, K(64)), MAP(BASE, K(64), B, 0)},
		.watch = {{"the first page", BASE}},
		.hole = true,
		.hole_by_user = true,
	},
	{
		.name = "Across the 4 GiB border",
		.what = "map 8K of B at 0xfffff000: the region is 8 GiB",
		.before = {MAP(G(4) - K(4), K(8), A, 0), MAP(BASE, K(4), A, M(1)), MAP(G(8), K(4), A, M(2))},
		.ops = {MAP(G(4) - K(4), K(8), B, 0)},
		.watch = {{"the page below the border", G(4) - K(4)},
			  {"the page above it", G(4)},
			  {"3 GiB away, in the region", BASE},
			  {"the page behind the region", G(8)}},
		.hole = true,
	},
	{
		.name = "Unmap inside a BO",
		.what = "unmap 64K at 0x40040000",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {UNMAP(BASE + K(256), K(64))},
		.watch = {{"the first page", BASE + K(256)},
			  {"the page before", BASE + K(252)},
			  {"the page behind", BASE + K(320)}},
	},
	{
		.name = "Unmap across two mappings",
		.what = "unmap 128K at 0x40000000: two mappings of 64K",
		.before = {MAP(BASE, K(64), A, 0), MAP(BASE + K(64), K(64), B, 0)},
		.ops = {UNMAP(BASE, K(128))},
		.watch = {{"in the first", BASE}, {"in the second", BASE + K(64)}},
	},
	{
		.name = "Unmap where nothing is",
		.what = "unmap 64K at 0x40010000",
		.before = {MAP(BASE, K(64), A, 0)},
		.ops = {UNMAP(BASE + K(64), K(64))},
		.watch = {{"in the range", BASE + K(64)}, {"the page before", BASE + K(60)}},
	},
	{
		.name = "Asynchronous remap",
		.what = "map 64K of B at 0x40040000, over A, on the VM's bind queue",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE + K(256), K(64), B, 0)},
		.watch = {{"the first page", BASE + K(256)}, {"the page behind", BASE + K(320)}},
		.async = true,
		.hole = true,
	},
	{
		.name = "Asynchronous batch",
		.what = "map 64K of B at 0x40000000, unmap 64K at 0x40040000, map 64K of B at 0x40080000",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE, K(64), B, 0), UNMAP(BASE + K(256), K(64)), MAP(BASE + K(512), K(64), B, M(2))},
		.watch = {{"in the first op", BASE},
			  {"in the second op", BASE + K(256)},
			  {"in the third op", BASE + K(512)}},
		.async = true,
		.hole = true,
	},
	{
		.name = "Asynchronous unmap",
		.what = "unmap 64K at 0x40040000, on the VM's bind queue",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {UNMAP(BASE + K(256), K(64))},
		.watch = {{"the first page", BASE + K(256)}, {"the page behind", BASE + K(320)}},
		.async = true,
	},
	{
		.name = "A cut block, asynchronous",
		.what = "map 64K of B at 0x40100000, inside a block of 2 MiB, on the VM's bind queue",
		.before = {MAP(BASE, M(2), A, 0)},
		.ops = {MAP(BASE + M(1), K(64), B, 0)},
		.watch = {{"the first page", BASE + M(1)}, {"the block's first page", BASE}},
		.async = true,
		.hole = true,
	},
	{
		.name = "Size 0",
		.what = "map 0 bytes of B at 0x40020000",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE + K(128), 0, B, 0)},
		.watch = {{"the page there", BASE + K(128)}},
	},
	{
		.name = "Size 0, asynchronous",
		.what = "map 0 bytes of B at 0x50000000, where nothing is, on the VM's bind queue",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE + M(256), 0, B, 0)},
		.watch = {{"the page there", BASE + M(256)}, {"some page", BASE}},
		.async = true,
	},
	{
		.name = "Unmap of size 0, asynchronous",
		.what = "unmap 0 bytes at 0x50000000, where nothing is, on the VM's bind queue",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {UNMAP(BASE + M(256), 0)},
		.watch = {{"the page there", BASE + M(256)}, {"some page", BASE}},
		.async = true,
	},
	{
		.name = "A VM without an address space",
		.what = "map 64K of B at 0x40040000, over A, while no job of the VM runs",
		.before = {MAP(BASE, M(1), A, 0)},
		.ops = {MAP(BASE + K(256), K(64), B, 0)},
		.watch = {{"the first page", BASE + K(256)}},
		.idle = true,
	},
};

const size_t remap_case_count = sizeof(remap_cases) / sizeof(*remap_cases);

size_t remap_count(const struct remap_op *ops)
{
	size_t count = 0;

	while (count < REMAP_OPS && ops[count].type != REMAP_END)
		count++;
	return count;
}

uint64_t remap_stamp(enum remap_mem mem, uint64_t offset)
{
	return (UINT64_C(0xa0) + mem) << 24 | offset >> 12;
}

static uint64_t apply(const struct remap_op *ops, uint64_t va, uint64_t value)
{
	for (size_t i = 0; i < remap_count(ops); i++) {
		const struct remap_op *op = &ops[i];

		if (va < op->va || va >= op->va + op->size)
			continue;
		value = op->type == REMAP_MAP ? remap_stamp(op->mem, op->offset + (va - op->va)) : NOTHING_MAPPED;
	}
	return value;
}

uint64_t remap_old(const struct remap_case *remap, uint64_t va)
{
	return apply(remap->before, va, NOTHING_MAPPED);
}

uint64_t remap_new(const struct remap_case *remap, uint64_t va)
{
	return apply(remap->ops, va, remap_old(remap, va));
}

bool remap_in_block(const struct remap_case *remap, uint64_t va)
{
	uint64_t block = va & ~(M(2) - 1);
	const struct remap_op *there = NULL;

	for (size_t i = 0; i < remap_count(remap->before); i++) {
		const struct remap_op *op = &remap->before[i];

		if (op->va < block + M(2) && block < op->va + op->size)
			there = op;
	}
	return there && there->type == REMAP_MAP && there->va <= block && there->va + there->size >= block + M(2) &&
	       !((there->va ^ there->offset) & (M(2) - 1));
}

void remap_lock_region(const struct remap_case *remap, size_t op, bool widens, uint64_t *ret_va, uint64_t *ret_size)
{
	uint64_t start = remap->ops[op].va, end = start + remap->ops[op].size, size = K(32);

	if (widens && start & (M(2) - 1) && remap_in_block(remap, start))
		start &= ~(M(2) - 1);
	if (widens && end & (M(2) - 1) && remap_in_block(remap, end))
		end = (end + M(2) - 1) & ~(M(2) - 1);
	while ((start & ~(size - 1)) + size < end)
		size *= 2;
	*ret_va = start & ~(size - 1);
	*ret_size = size;
}
