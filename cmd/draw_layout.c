/* SPDX-License-Identifier: MIT */
/*
 * Where a picture folds, and at which scale each cluster is drawn.
 *
 * It starts as one cluster, which is cut at its widest gap as long as that gap would take an eighth of the drawing or
 * more: then folding it gives the rest room. A gap that fits into one row of the finest cells is never worth a fold.
 * Costs O(n) for each of at most DRAW_CLUSTERS cuts.
 */
#include "draw.h"

#define FOLD_PART 8u

static void set_range(const struct panbind_mapping *mappings, struct draw_cluster *cluster, size_t first, size_t count)
{
	const struct panbind_mapping *last = &mappings[first + count - 1];

	*cluster = (struct draw_cluster){
		.first = first, .count = count, .start = mappings[first].va, .end = last->va + last->size};
}

/* The mapping of the cluster behind which the widest gap opens. */
static size_t widest_gap(const struct panbind_mapping *mappings, const struct draw_cluster *cluster, uint64_t *ret_gap)
{
	size_t found = cluster->first;

	*ret_gap = 0;
	for (size_t i = cluster->first; i + 1 < cluster->first + cluster->count; i++) {
		uint64_t gap = mappings[i + 1].va - (mappings[i].va + mappings[i].size);

		if (gap > *ret_gap) {
			*ret_gap = gap;
			found = i;
		}
	}
	return found;
}

/* Where the cluster is to be cut, and what part of it would go: 0 when it is to stay whole. */
static double cut_of(const struct panbind_mapping *mappings, const struct draw_cluster *cluster, uint64_t row,
		     size_t *ret_after)
{
	uint64_t gap, span = cluster->end - cluster->start;

	*ret_after = widest_gap(mappings, cluster, &gap);
	return gap > row && gap >= span / FOLD_PART ? (double)gap / (double)span : 0;
}

static void insert(const struct panbind_mapping *mappings, struct draw_cluster *clusters, size_t count, size_t at,
		   size_t after)
{
	struct draw_cluster whole = clusters[at];

	for (size_t i = count; i > at + 1; i--)
		clusters[i] = clusters[i - 1];
	set_range(mappings, &clusters[at], whole.first, after - whole.first + 1);
	set_range(mappings, &clusters[at + 1], after + 1, whole.first + whole.count - after - 1);
}

static size_t cut_at_wide_gaps(const struct panbind_mapping *mappings, struct draw_cluster *clusters, uint64_t row)
{
	double parts[DRAW_CLUSTERS];
	size_t after[DRAW_CLUSTERS], count = 1;

	parts[0] = cut_of(mappings, &clusters[0], row, &after[0]);
	while (count < DRAW_CLUSTERS) {
		size_t best = 0;

		for (size_t i = 1; i < count; i++)
			best = parts[i] > parts[best] ? i : best;
		if (parts[best] <= 0)
			break;
		insert(mappings, clusters, count++, best, after[best]);
		for (size_t i = count - 1; i > best + 1; i--) {
			parts[i] = parts[i - 1];
			after[i] = after[i - 1];
		}
		parts[best] = cut_of(mappings, &clusters[best], row, &after[best]);
		parts[best + 1] = cut_of(mappings, &clusters[best + 1], row, &after[best + 1]);
	}
	return count;
}

/* The largest power of two that all borders in the cluster are multiples of: at that scale no cell is shared. */
static uint64_t grain(const struct panbind_mapping *mappings, const struct draw_cluster *cluster)
{
	uint64_t bits = 0;

	for (size_t i = cluster->first; i < cluster->first + cluster->count; i++)
		bits |= mappings[i].va | mappings[i].size;
	return bits & -bits;
}

static size_t cells_at(const struct draw_cluster *cluster, uint64_t cell)
{
	uint64_t base = cluster->start & ~(cell - 1);

	return (size_t)((cluster->end - base - 1) / cell + 1);
}

/* One row if that shows all borders; else finer cells, as far as the rows allow. */
static void choose_scale(struct draw_cluster *cluster, uint64_t finest, size_t row_cells, size_t max_rows)
{
	uint64_t cell = PANBIND_PAGE_SIZE;

	while (cells_at(cluster, cell) > row_cells)
		cell *= 2;
	while (cell > finest && cell > PANBIND_PAGE_SIZE && cells_at(cluster, cell / 2) <= row_cells * max_rows)
		cell /= 2;
	cluster->cell = cell;
	cluster->base = cluster->start & ~(cell - 1);
	cluster->cells = cells_at(cluster, cell);
	cluster->rows = (cluster->cells + row_cells - 1) / row_cells;
}

size_t draw_row_cells(unsigned width)
{
	size_t cells = width > 39 ? (width - 23) / 16 * 16 : 16;

	return cells < 128 ? cells : 128;
}

size_t draw_layout(const struct panbind_mapping *mappings, size_t count, size_t row_cells,
		   struct draw_cluster ret_clusters[DRAW_CLUSTERS])
{
	size_t clusters, rows;

	if (!count)
		return 0;
	set_range(mappings, &ret_clusters[0], 0, count);
	clusters = cut_at_wide_gaps(mappings, ret_clusters, row_cells * PANBIND_PAGE_SIZE);
	rows = DRAW_ROWS / clusters;
	rows = rows > 12 ? 12 : rows;
	for (size_t i = 0; i < clusters; i++) {
		choose_scale(&ret_clusters[i], grain(mappings, &ret_clusters[i]), row_cells, rows);
		ret_clusters[i].limit = i + 1 < clusters ? ret_clusters[i + 1].start : UINT64_MAX;
	}
	return clusters;
}
