/* SPDX-License-Identifier: MIT */
/*
 * Edits of the page table behind sim_pt.h.
 *
 * An empty table stays in the tree until the op's end (sim_pt_prune()), so that a remap of its only page does not
 * throw it away and make it again. All entries of an empty table are zero, so a free table needs no clearing. Plain
 * entries are published with release stores; taking a table out is sequentially consistent, because the editor next
 * looks for walkers, and must not miss one that saw the old entry.
 */
#include "sim_pt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_TABLES 15
#define ADDR_LIMIT  (UINT64_C(1) << 48)
/* Tables that one op may need: the driver keeps their addresses in one array, of 4 MiB at most. Not quite 1 TiB. */
#define RESERVE_MAX (UINT64_C(1) << 19)

struct sim_table_slab {
	struct sim_table tables[SLAB_TABLES];
	struct sim_table_slab *next;
};

static uint64_t level_size(unsigned level)
{
	return UINT64_C(1) << (39 - 9 * level);
}

static int add_slab(struct sim_pt *pt)
{
	struct sim_table_slab *slab;

	if (posix_memalign((void **)&slab, 64, sizeof(*slab)))
		return -ENOMEM;
	memset(slab, 0, sizeof(*slab));
	slab->next = pt->slabs;
	pt->slabs = slab;
	for (unsigned i = 0; i < SLAB_TABLES; i++) {
		slab->tables[i].next = pt->free;
		pt->free = &slab->tables[i];
	}
	pt->free_count += SLAB_TABLES;
	return 0;
}

static int reserve_tables(struct sim_pt *pt, uint64_t count)
{
	while (pt->free_count < count) {
		int ret = add_slab(pt);

		if (ret)
			return ret;
	}
	return 0;
}

static struct sim_table *take_table(struct sim_pt *pt)
{
	struct sim_table *table = pt->free;

	pt->free = table->next;
	pt->free_count--;
	pt->tables++;
	return table;
}

int sim_pt_init(struct sim_pt *pt)
{
	int ret;

	*pt = (struct sim_pt){0};
	ret = reserve_tables(pt, 1);
	if (ret)
		return ret;
	pt->root = take_table(pt);
	pt->tables = 0;
	return 0;
}

void sim_pt_fini(struct sim_pt *pt)
{
	while (pt->slabs) {
		struct sim_table_slab *slab = pt->slabs;

		pt->slabs = slab->next;
		free(slab);
	}
	*pt = (struct sim_pt){0};
}

/* How many naturally aligned pieces of @size bytes does [va, end) touch? */
static uint64_t pieces(uint64_t va, uint64_t end, uint64_t size)
{
	return (end - 1) / size - va / size + 1;
}

static uint64_t inner_tables(uint64_t va, uint64_t end)
{
	return pieces(va, end, level_size(1)) + pieces(va, end, level_size(0));
}

/* The driver counts for pages even where blocks will do. */
bool sim_pt_is_too_large(uint64_t va, uint64_t size)
{
	uint64_t end = va + size;

	return size && pieces(va, end, level_size(2)) + inner_tables(va, end) > RESERVE_MAX;
}

int sim_pt_reserve(struct sim_pt *pt, uint64_t va, uint64_t size, bool blocks)
{
	uint64_t end = va + size, leaves;

	if (!size)
		return reserve_tables(pt, 2);
	leaves = pieces(va, end, level_size(2));
	if (blocks && leaves > 2)
		leaves = 2;
	return reserve_tables(pt, 2 + leaves + inner_tables(va, end));
}

static uint64_t load(const struct sim_table *table, unsigned index)
{
	return atomic_load_explicit(&table->entry[index], memory_order_relaxed); /* the editor's own view */
}

static void publish(struct sim_table *table, unsigned index, uint64_t entry)
{
	atomic_store_explicit(&table->entry[index], entry, memory_order_release);
}

static struct sim_table *table_of(uint64_t entry)
{
	return sim_pt_pointer(entry & ~SIM_PTE_FLAGS);
}

static uint64_t entry_of(const struct sim_table *table)
{
	return (uint64_t)(uintptr_t)table | SIM_PTE_VALID | SIM_PTE_TABLE;
}

static void retire(struct sim_pt *pt, struct sim_table *table)
{
	table->next = pt->retired;
	pt->retired = table;
	pt->tables--;
}

/* The table of @level that covers @va, made where it is missing. */
static struct sim_table *make_path(struct sim_pt *pt, uint64_t va, unsigned level)
{
	struct sim_table *table = pt->root;

	for (unsigned l = 0; l < level; l++) {
		unsigned index = sim_pt_index(va, l);
		uint64_t entry = load(table, index);

		if (!entry) {
			entry = entry_of(take_table(pt));
			publish(table, index, entry);
			table->live++;
		}
		table = table_of(entry);
	}
	return table;
}

/* Nothing is mapped here, but an empty table may still be in the place. */
static void map_block(struct sim_pt *pt, uint64_t va, uint64_t entry)
{
	struct sim_table *table = make_path(pt, va, 2);
	unsigned index = sim_pt_index(va, 2);
	uint64_t old = load(table, index);

	if (old)
		retire(pt, table_of(old));
	else
		table->live++;
	atomic_store(&table->entry[index], entry);
}

/* Pages up to the end of one table; returns the bytes mapped. */
static uint64_t map_pages(struct sim_pt *pt, uint64_t va, uint64_t size, uint64_t entry)
{
	struct sim_table *table = make_path(pt, va, 3);
	unsigned index = sim_pt_index(va, 3);
	uint64_t done = 0;

	for (; index < SIM_PT_ENTRIES && done < size; index++, done += SIM_PAGE_SIZE)
		publish(table, index, entry + done);
	table->live += (uint32_t)(done / SIM_PAGE_SIZE);
	return done;
}

void sim_pt_map(struct sim_pt *pt, uint64_t va, uint64_t size, uint64_t host, uint64_t flags)
{
	flags |= SIM_PTE_VALID;
	while (size) {
		uint64_t done = SIM_BLOCK_SIZE;

		if (((va | host) & (SIM_BLOCK_SIZE - 1)) || size < SIM_BLOCK_SIZE)
			done = map_pages(pt, va, size, host | flags);
		else
			map_block(pt, va, host | flags);
		va += done;
		host += done;
		size -= done;
	}
}

/* The same memory as 512 pages; walkers see the block or the table, and the same page either way. */
static uint64_t split_block(struct sim_pt *pt, struct sim_table *table, unsigned index, uint64_t block)
{
	struct sim_table *pages = take_table(pt);

	for (unsigned i = 0; i < SIM_PT_ENTRIES; i++)
		publish(pages, i, block + i * SIM_PAGE_SIZE);
	pages->live = SIM_PT_ENTRIES;
	publish(table, index, entry_of(pages));
	return entry_of(pages);
}

static void unmap_level(struct sim_pt *pt, struct sim_table *table, unsigned level, uint64_t va, uint64_t end)
{
	uint64_t span = level_size(level);

	while (va < end) {
		unsigned index = sim_pt_index(va, level);
		uint64_t next = (va & ~(span - 1)) + span, entry = load(table, index);
		uint64_t stop = next < end ? next : end;

		if (entry && !(entry & SIM_PTE_TABLE) && stop - va < span)
			entry = split_block(pt, table, index, entry);
		if (entry & SIM_PTE_TABLE) {
			unmap_level(pt, table_of(entry), level + 1, va, stop);
		} else if (entry) {
			publish(table, index, 0);
			if (!--table->live)
				pt->has_empty = true;
		}
		va = next;
	}
}

void sim_pt_unmap(struct sim_pt *pt, uint64_t va, uint64_t size)
{
	unmap_level(pt, pt->root, 0, va, va + size);
}

static void prune_level(struct sim_pt *pt, struct sim_table *table, unsigned level, uint64_t va, uint64_t end)
{
	uint64_t span = level_size(level);

	while (va < end) {
		unsigned index = sim_pt_index(va, level);
		uint64_t next = (va & ~(span - 1)) + span, entry = load(table, index);

		if (entry & SIM_PTE_TABLE) {
			struct sim_table *below = table_of(entry);

			if (level < 2)
				prune_level(pt, below, level + 1, va, next < end ? next : end);
			if (!below->live) {
				atomic_store(&table->entry[index], 0);
				table->live--;
				retire(pt, below);
			}
		}
		va = next;
	}
}

void sim_pt_prune(struct sim_pt *pt, uint64_t va, uint64_t size)
{
	if (pt->has_empty)
		prune_level(pt, pt->root, 0, va, va + size);
	pt->has_empty = false;
}

void sim_pt_reclaim(struct sim_pt *pt)
{
	while (pt->retired) {
		struct sim_table *table = pt->retired;

		pt->retired = table->next;
		table->next = pt->free;
		pt->free = table;
		pt->free_count++;
	}
}

static bool next_in(const struct sim_table *table, unsigned level, uint64_t va, uint64_t end, struct sim_pt_page *page)
{
	uint64_t span = level_size(level);

	while (va < end) {
		uint64_t next = (va & ~(span - 1)) + span, entry = load(table, sim_pt_index(va, level));

		if (entry & SIM_PTE_TABLE) {
			if (next_in(table_of(entry), level + 1, va, next < end ? next : end, page))
				return true;
		} else if (entry) {
			*page = (struct sim_pt_page){.va = va & ~(span - 1),
						     .size = span,
						     .host = entry & ~(SIM_PAGE_SIZE - 1),
						     .flags = entry & SIM_PTE_FLAGS};
			return true;
		}
		va = next;
	}
	return false;
}

bool sim_pt_next(const struct sim_pt *pt, uint64_t va, struct sim_pt_page *ret_page)
{
	return next_in(pt->root, 0, va, ADDR_LIMIT, ret_page);
}

bool sim_pt_in_block(const struct sim_pt *pt, uint64_t va)
{
	uint64_t size, entry = sim_pt_walk(pt, va, &size);

	return entry && size == SIM_BLOCK_SIZE;
}
