// SPDX-License-Identifier: GPL-2.0
/*
 * malisim: how the GPU gets from a VA to memory.
 *
 * Page tables are those of Armv8, stage 1, with 4 KiB pages and four levels. Two things may hold what they said
 * earlier: the TLB of an address space, whose entries stay until something drops them, and the L2 cache, which holds
 * the lines that a walk has read (drivers of GPUs without coherency must flush it before they unlock). Loads "via walk"
 * use neither: between them and those "via tlb" lies all that a GPU may see.
 */
#include "malisim.h"
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/mm.h>

#define PTE_VALID	  BIT_ULL(0)
#define PTE_TABLE	  BIT_ULL(1) /* at the last level: a page */
#define PTE_READ_ONLY	  BIT_ULL(7)
#define PTE_EXECUTE_NEVER BIT_ULL(54)
#define PTE_ADDRESS	  GENMASK_ULL(47, 12)

#define LEVELS		   4
#define LEVEL_SHIFT(level) (39 - 9 * (level))

static bool is_memory(u64 pa)
{
	return pfn_valid(PHYS_PFN(pa));
}

static u64 read_word(u64 pa)
{
	return READ_ONCE(*(u64 *)phys_to_virt(pa));
}

/* A word of a page table through the L2 cache. */
static u64 read_cached(struct malisim *sim, u64 pa)
{
	u64 base = pa & ~63ULL;
	struct sim_line *line = &sim->lines[hash_64(base >> 6, 9)];

	BUILD_BUG_ON(SIM_LINES != 1 << 9);
	if (line->tag != (base | 1)) {
		line->tag = base | 1;
		for (u32 i = 0; i < 8; i++)
			line->words[i] = read_word(base + 8 * i);
	}
	return line->words[pa / 8 % 8];
}

void sim_lines_drop(struct malisim *sim)
{
	for (u32 i = 0; i < SIM_LINES; i++)
		sim->lines[i].tag = 0;
}

/* Sets *ret_pte and *ret_shift to the entry that maps @va, or returns a fault. */
static u32 walk(struct malisim *sim, u64 root, u64 va, bool cached, u64 *ret_pte, u32 *ret_shift)
{
	u64 table = root & PTE_ADDRESS;

	if (va >> 48)
		return FAULT_ADDRESS_IN;
	for (u32 level = 0; level < LEVELS; level++) {
		u64 pte, at = table + (va >> LEVEL_SHIFT(level)) % 512 * 8;

		if (!is_memory(at))
			return FAULT_ADDRESS_OUT(level);
		pte = cached ? read_cached(sim, at) : read_word(at);
		if (!(pte & PTE_VALID))
			return FAULT_TRANSLATION(level);
		if (level < LEVELS - 1 && pte & PTE_TABLE) {
			table = pte & PTE_ADDRESS;
			continue;
		}
		/* blocks are of 2 MiB or 1 GiB, and the last level has pages only */
		if (level == 0 || (level == LEVELS - 1 && !(pte & PTE_TABLE)))
			return FAULT_TRANSLATION(level);
		*ret_pte = pte;
		*ret_shift = LEVEL_SHIFT(level);
		return 0;
	}
	return FAULT_TRANSLATION(LEVELS - 1);
}

static u64 target(u64 pte, u32 shift, u64 va)
{
	u64 low = BIT_ULL(shift) - 1;

	return (pte & PTE_ADDRESS & ~low) | (va & low);
}

static struct sim_tlb_entry *tlb_find(struct sim_as *as, u64 va)
{
	for (u32 i = 0; i < SIM_TLB_ENTRIES; i++) {
		struct sim_tlb_entry *entry = &as->tlb[i];

		if (entry->valid && !((entry->va ^ va) >> entry->shift))
			return entry;
	}
	return NULL;
}

static void tlb_add(struct sim_as *as, u64 va, u64 pte, u32 shift)
{
	as->tlb[as->tlb_next] = (struct sim_tlb_entry){true, shift, va, pte};
	as->tlb_next = (as->tlb_next + 1) % SIM_TLB_ENTRIES;
}

/* Drop all entries that cover something of [first, last]. */
void sim_tlb_drop(struct sim_as *as, u64 first, u64 last)
{
	for (u32 i = 0; i < SIM_TLB_ENTRIES; i++) {
		struct sim_tlb_entry *entry = &as->tlb[i];
		u64 low = BIT_ULL(entry->shift) - 1;

		if (entry->valid && (entry->va & ~low) <= last && (entry->va | low) >= first)
			entry->valid = false;
	}
}

static u32 check_access(u64 pte, u32 shift, u32 access)
{
	u32 level = (39 - shift) / 9;

	if (access == FAULT_ACCESS_WRITE && pte & PTE_READ_ONLY)
		return FAULT_PERMISSION(level);
	if (access == FAULT_ACCESS_EXECUTE && pte & PTE_EXECUTE_NEVER)
		return FAULT_PERMISSION(level);
	return 0;
}

/* The entry for @va from the TLB, or from a walk that fills it. */
static u32 find_entry(struct malisim *sim, struct sim_as *as, u64 va, enum sim_via via, u64 *ret_pte, u32 *ret_shift)
{
	struct sim_tlb_entry *entry = via == SIM_VIA_TLB ? tlb_find(as, va) : NULL;
	u32 fault;

	if (entry) {
		sim_count(sim, SIM_C_TLB_HITS);
		*ret_pte = entry->pte;
		*ret_shift = entry->shift;
		return 0;
	}
	fault = walk(sim, as->transtab_now, va, via == SIM_VIA_TLB, ret_pte, ret_shift);
	if (!fault && via == SIM_VIA_TLB) {
		sim_count(sim, SIM_C_TLB_MISSES);
		tlb_add(as, va, *ret_pte, *ret_shift);
	}
	return fault;
}

/* Would the page tables themselves, now, lead somewhere else? */
static bool is_stale(struct malisim *sim, struct sim_as *as, u64 va, u64 pte, u32 shift)
{
	u64 true_pte;
	u32 true_shift;

	return walk(sim, as->transtab_now, va, false, &true_pte, &true_shift) ||
	       target(true_pte, true_shift, va) != target(pte, shift, va) ||
	       (true_pte ^ pte) & (PTE_READ_ONLY | PTE_EXECUTE_NEVER);
}

enum sim_result sim_translate(struct malisim *sim, u32 n, u64 va, u32 access, enum sim_via via,
			      struct sim_translation *ret)
{
	struct sim_as *as = &sim->as[n];
	u64 pte, pa, true_pte;
	u32 shift, fault, true_shift;

	lockdep_assert_held(&sim->lock);
	memset(ret, 0, sizeof(*ret));
	if (TRANSCFG_MODE(as->transcfg_now) != TRANSCFG_MODE_AARCH64_4K)
		return SIM_OFF;
	if (as->locked && va >= as->lock_start && va <= as->lock_last) {
		sim_count(sim, SIM_C_STALLS);
		return SIM_WAIT;
	}
	fault = find_entry(sim, as, va, via, &pte, &shift);
	if (fault) {
		/* the L2 cache may say "nothing there" when there is something by now */
		ret->stale = via == SIM_VIA_TLB && !walk(sim, as->transtab_now, va, false, &true_pte, &true_shift);
		ret->status = fault | access;
		return SIM_FAULT;
	}
	ret->stale = via == SIM_VIA_TLB && is_stale(sim, as, va, pte, shift);
	fault = check_access(pte, shift, access);
	pa = target(pte, shift, va);
	if (!fault && !is_memory(pa))
		fault = FAULT_ADDRESS_OUT(3);
	if (fault) {
		ret->status = fault | access;
		return SIM_FAULT;
	}
	ret->at = phys_to_virt(pa);
	return SIM_OK;
}

/* The firmware's own accesses: its address space, but neither locks nor caches. NULL where nothing is mapped. */
void *sim_mcu_pointer(struct malisim *sim, u32 va)
{
	struct sim_as *as = &sim->as[SIM_AS_FIRMWARE];
	u64 pte, pa;
	u32 shift;

	if (TRANSCFG_MODE(as->transcfg_now) != TRANSCFG_MODE_AARCH64_4K ||
	    walk(sim, as->transtab_now, va, false, &pte, &shift))
		return NULL;
	pa = target(pte, shift, va);
	return is_memory(pa) ? phys_to_virt(pa) : NULL;
}
