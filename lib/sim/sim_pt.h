/* SPDX-License-Identifier: MIT */
/*
 * A GPU page table: four levels of 512 entries, 4 KiB pages and 2 MiB blocks, as the Mali MMU walks it.
 *
 * One thread edits at a time; any number of threads walk meanwhile, without locks. Entries are atomic. A table that
 * was taken out of the tree may still have a walker inside: it is retired, and reused only after the editor has said
 * that all who walked then have left (sim_pt_reclaim()).
 *
 * What the hardware would call a physical address is the address of the BO's memory in this process.
 */
#ifndef SIM_PT_H
#define SIM_PT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE_SIZE  UINT64_C(0x1000)
#define SIM_BLOCK_SIZE UINT64_C(0x200000)
#define SIM_PT_ENTRIES 512u
#define SIM_PT_LEVELS  4u

/* An entry: an address, aligned to 4 KiB (a page or block) or to 64 (a table), and these. */
#define SIM_PTE_VALID	 (UINT64_C(1) << 0)
#define SIM_PTE_TABLE	 (UINT64_C(1) << 1)
#define SIM_PTE_READONLY (UINT64_C(1) << 2)
#define SIM_PTE_NOEXEC	 (UINT64_C(1) << 3)
#define SIM_PTE_UNCACHED (UINT64_C(1) << 4)
#define SIM_PTE_DUMMY	 (UINT64_C(1) << 5)
#define SIM_PTE_FLAGS	 UINT64_C(0x3f)

struct sim_table {
	_Atomic uint64_t entry[SIM_PT_ENTRIES];
	struct sim_table *next; /* free or retired */
	uint32_t live;		/* entries that are not zero; the editor's */
} __attribute__((aligned(64)));

struct sim_table_slab;

struct sim_pt {
	struct sim_table *root;
	struct sim_table *free, *retired;
	struct sim_table_slab *slabs;
	size_t free_count;
	size_t tables;	/* in the tree, the root not counted */
	bool has_empty; /* a table lost its last entry since the last sim_pt_prune() */
};

/** A page or block as found by a walk. */
struct sim_pt_page {
	uint64_t va, size;
	uint64_t host;	/* of its first byte */
	uint64_t flags; /* SIM_PTE_* */
};

int sim_pt_init(struct sim_pt *pt);
void sim_pt_fini(struct sim_pt *pt);

/** Is [va, va + size) more than the driver takes in one map? Not quite 1 TiB is not. */
bool sim_pt_is_too_large(uint64_t va, uint64_t size);
/**
 * Take what mapping [va, va + size) can need, and two tables for blocks that are cut: after this edits do not fail.
 * @blocks: the range can be mapped with blocks but for its ends. 0 or -ENOMEM.
 */
int sim_pt_reserve(struct sim_pt *pt, uint64_t va, uint64_t size, bool blocks);
/** Map a range where nothing is. Blocks where address and host address are both aligned and 2 MiB remain. */
void sim_pt_map(struct sim_pt *pt, uint64_t va, uint64_t size, uint64_t host, uint64_t flags);
/** Clear a range; a block that is covered in part is replaced by pages first, in one store. Holes are fine. */
void sim_pt_unmap(struct sim_pt *pt, uint64_t va, uint64_t size);
/** Retire the empty tables that cover the range. */
void sim_pt_prune(struct sim_pt *pt, uint64_t va, uint64_t size);
/** All walkers that could be in a retired table have left: make them free. */
void sim_pt_reclaim(struct sim_pt *pt);

/** The first page or block that ends after @va. */
bool sim_pt_next(const struct sim_pt *pt, uint64_t va, struct sim_pt_page *ret_page);
/** Is @va inside a block? */
bool sim_pt_in_block(const struct sim_pt *pt, uint64_t va);

/** What an entry points to. Entries hold addresses as numbers, so somewhere a number must become a pointer: here. */
static inline void *sim_pt_pointer(uint64_t address)
{
	return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
}

static inline unsigned sim_pt_index(uint64_t va, unsigned level)
{
	return (unsigned)(va >> (39 - 9 * level)) & (SIM_PT_ENTRIES - 1);
}

/** Walk as the hardware does: the entry that maps @va, 0 when there is none, and the bytes it covers. */
static inline uint64_t sim_pt_walk(const struct sim_pt *pt, uint64_t va, uint64_t *ret_size)
{
	const struct sim_table *table = pt->root;

	for (unsigned level = 0; level < SIM_PT_LEVELS; level++) {
		uint64_t entry = atomic_load(&table->entry[sim_pt_index(va, level)]);

		if (!(entry & SIM_PTE_TABLE)) {
			*ret_size = UINT64_C(1) << (39 - 9 * level);
			return entry;
		}
		table = sim_pt_pointer(entry & ~SIM_PTE_FLAGS);
	}
	return 0;
}

#endif /* SIM_PT_H */
