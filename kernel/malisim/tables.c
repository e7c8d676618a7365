// SPDX-License-Identifier: GPL-2.0
/*
 * malisim: all that the page tables of the user VMs map, as a file: a line for each range whose pages are alike,
 * whatever memory is behind them. No TLB and no cache is asked.
 */
#include "tables.h"
#include "malisim.h"
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/seq_file.h>

struct sim_range {
	struct seq_file *file;
	u32 as;
	u64 memattr;
	u64 va, size, pte; /* size 0: none */
};

#define PTE_ALIKE (PTE_READ_ONLY | PTE_EXECUTE_NEVER | PTE_MEMATTR)

static bool is_uncached(const struct sim_range *range)
{
	u32 index = FIELD_GET(PTE_MEMATTR, range->pte);

	return MEMATTR_POLICY(range->memattr >> 8 * index) != MEMATTR_POLICY_WRITE_BACK;
}

static void print(struct sim_range *range)
{
	if (!range->size)
		return;
	seq_printf(range->file, "as=%u va=0x%llx size=0x%llx%s%s%s\n", range->as, range->va, range->size,
		   range->pte & PTE_READ_ONLY ? " readonly" : "", range->pte & PTE_EXECUTE_NEVER ? " noexec" : "",
		   is_uncached(range) ? " uncached" : "");
	range->size = 0;
}

static void add_leaf(struct sim_range *range, u64 va, u64 size, u64 pte)
{
	if (range->size && range->va + range->size == va && !((range->pte ^ pte) & PTE_ALIKE)) {
		range->size += size;
		return;
	}
	print(range);
	range->va = va;
	range->size = size;
	range->pte = pte;
}

static void show_table(struct sim_range *range, u64 table, u32 level, u64 va)
{
	for (u32 i = 0; i < 512; i++, va += BIT_ULL(LEVEL_SHIFT(level))) {
		u64 at = table + 8 * i, pte;

		if (!pfn_valid(PHYS_PFN(at)))
			return;
		pte = READ_ONCE(*(u64 *)phys_to_virt(at));
		if (!(pte & PTE_VALID))
			continue;
		if (level < LEVELS - 1 && pte & PTE_TABLE)
			show_table(range, pte & PTE_ADDRESS, level + 1, va);
		else
			add_leaf(range, va, BIT_ULL(LEVEL_SHIFT(level)), pte);
	}
}

int sim_tables_show(struct seq_file *m, void *v)
{
	struct malisim *sim = m->private;

	spin_lock_irq(&sim->lock);
	for (u32 n = SIM_AS_FIRMWARE + 1; n < SIM_AS_COUNT; n++) {
		const struct sim_as *as = &sim->as[n];
		struct sim_range range = {.file = m, .as = n, .memattr = as->memattr};

		if (TRANSCFG_MODE(as->transcfg_now) != TRANSCFG_MODE_AARCH64_4K)
			continue;
		show_table(&range, as->transtab_now & PTE_ADDRESS, 0, 0);
		print(&range);
	}
	spin_unlock_irq(&sim->lock);
	return 0;
}
