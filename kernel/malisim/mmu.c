// SPDX-License-Identifier: GPL-2.0
/*
 * malisim: how the GPU gets from a VA to memory.
 *
 * Page tables are those of tables.h. Two things may hold what they said earlier: the TLB of an address space, whose
 * entries stay until something drops them, and the L2 cache, which holds the lines that a walk has read (drivers of
 * GPUs without coherency must flush it before they unlock). Loads "via walk" use neither: between them and those "via
 * tlb" lies all that a GPU may see.
 */
#include "malisim.h"
#include "tables.h"
#include <linux/hash.h>
#include <linux/io.h>
#include <linux/mm.h>

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

/* What maps a VA: the last entry of a walk. */
struct leaf {
	u64 pte;
	u64 at;	   /* where it is, a physical address; 0 if it came from the TLB */
	u32 shift; /* log2 of what it covers */
};

/* Returns 0, or a fault. */
static u32 walk(struct malisim *sim, u64 root, u64 va, bool cached, struct leaf *ret)
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
		*ret = (struct leaf){pte, at, LEVEL_SHIFT(level)};
		return 0;
	}
	return FAULT_TRANSLATION(LEVELS - 1);
}

static u64 target(const struct leaf *leaf, u64 va)
{
	u64 low = BIT_ULL(leaf->shift) - 1;

	return (leaf->pte & PTE_ADDRESS & ~low) | (va & low);
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

static void tlb_add(struct sim_as *as, u64 va, const struct leaf *leaf)
{
	as->tlb[as->tlb_next] = (struct sim_tlb_entry){true, leaf->shift, va, leaf->pte};
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

static u32 check_access(const struct leaf *leaf, u32 access)
{
	u32 level = (39 - leaf->shift) / 9;

	if (access == FAULT_ACCESS_WRITE && leaf->pte & PTE_READ_ONLY)
		return FAULT_PERMISSION(level);
	if (access == FAULT_ACCESS_EXECUTE && leaf->pte & PTE_EXECUTE_NEVER)
		return FAULT_PERMISSION(level);
	return 0;
}

/* The entry for @va from the TLB, or from a walk that fills it. */
static u32 find_leaf(struct malisim *sim, struct sim_as *as, u64 va, enum sim_via via, struct leaf *ret)
{
	struct sim_tlb_entry *entry = via == SIM_VIA_TLB ? tlb_find(as, va) : NULL;
	u32 fault;

	if (entry) {
		sim_count(sim, SIM_C_TLB_HITS);
		*ret = (struct leaf){entry->pte, 0, entry->shift};
		return 0;
	}
	fault = walk(sim, as->transtab_now, va, via == SIM_VIA_TLB, ret);
	if (!fault && via == SIM_VIA_TLB) {
		sim_count(sim, SIM_C_TLB_MISSES);
		tlb_add(as, va, ret);
	}
	return fault;
}

/* Would the page tables themselves, now, lead somewhere else? */
static bool is_stale(struct malisim *sim, struct sim_as *as, u64 va, const struct leaf *leaf)
{
	struct leaf now;

	return walk(sim, as->transtab_now, va, false, &now) || target(&now, va) != target(leaf, va) ||
	       (now.pte ^ leaf->pte) & (PTE_READ_ONLY | PTE_EXECUTE_NEVER);
}

enum sim_result sim_translate(struct malisim *sim, u32 n, u64 va, u32 access, enum sim_via via,
			      struct sim_translation *ret)
{
	struct sim_as *as = &sim->as[n];
	struct leaf leaf, now;
	u32 fault;

	lockdep_assert_held(&sim->lock);
	memset(ret, 0, sizeof(*ret));
	if (TRANSCFG_MODE(as->transcfg_now) != TRANSCFG_MODE_AARCH64_4K)
		return SIM_OFF;
	if (as->locked && va >= as->lock_start && va <= as->lock_last) {
		sim_count(sim, SIM_C_STALLS);
		return SIM_WAIT;
	}
	fault = find_leaf(sim, as, va, via, &leaf);
	if (fault) {
		/* the L2 cache may say "nothing there" when there is something by now */
		ret->stale = via == SIM_VIA_TLB && !walk(sim, as->transtab_now, va, false, &now);
		ret->status = fault | access;
		return SIM_FAULT;
	}
	ret->stale = via == SIM_VIA_TLB && is_stale(sim, as, va, &leaf);
	fault = check_access(&leaf, access);
	if (!fault && !is_memory(target(&leaf, va)))
		fault = FAULT_ADDRESS_OUT(3);
	if (fault) {
		ret->status = fault | access;
		return SIM_FAULT;
	}
	ret->pa = target(&leaf, va);
	ret->at = phys_to_virt(ret->pa);
	ret->shift = leaf.shift;
	return SIM_OK;
}

/* The firmware's own accesses: its address space, but neither locks nor caches. NULL where nothing is mapped. */
void *sim_mcu_pointer(struct malisim *sim, u32 va)
{
	struct sim_as *as = &sim->as[SIM_AS_FIRMWARE];
	struct leaf leaf;

	if (TRANSCFG_MODE(as->transcfg_now) != TRANSCFG_MODE_AARCH64_4K ||
	    walk(sim, as->transtab_now, va, false, &leaf) || !is_memory(target(&leaf, va)))
		return NULL;
	return phys_to_virt(target(&leaf, va));
}

/* Exchange what two VAs are mapped to, behind the driver's back and with no flush: for tests of the emulation. */
int sim_swap_pages(struct malisim *sim, u32 n, u64 va, u64 other)
{
	u64 root = sim->as[n].transtab_now;
	struct leaf one, two;

	if (TRANSCFG_MODE(sim->as[n].transcfg_now) != TRANSCFG_MODE_AARCH64_4K || walk(sim, root, va, false, &one) ||
	    walk(sim, root, other, false, &two) || one.shift != two.shift)
		return -ENXIO;
	*(u64 *)phys_to_virt(one.at) = two.pte;
	*(u64 *)phys_to_virt(two.at) = one.pte;
	return 0;
}
