/* SPDX-License-Identifier: MIT */
/*
 * Where a picture folds, and at which scale each cluster is drawn.
 *
 * A gap folds when it is wider than the two clusters beside it together, and wider than a row of the finest cells: then
 * a reader loses nothing, and the clusters get the room. It also means that a cluster's last row, which may reach past
 * its end, never reaches into the next cluster. Only the widest gaps can fold, so there are at most DRAW_CLUSTERS
 * clusters however many mappings there are: O(n log n) for the sort, and the rest is small.
 */
#include <errno.h>
#include <stdlib.h>

#include "draw.h"

struct gap {
	uint64_t size;
	size_t after; /* index of the mapping before it */
};

static int wider_first(const void *a, const void *b)
{
	const struct gap *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return x->after < y->after ? -1 : 1;
}

static int by_position(const void *a, const void *b)
{
	const struct gap *x = a, *y = b;

	return x->after < y->after ? -1 : 1;
}

/* The widest gaps, in order of VA: at most DRAW_CLUSTERS - 1. */
static int widest_gaps(const struct panbind_mapping *mappings, size_t count, struct gap gaps[DRAW_CLUSTERS - 1],
		       size_t *ret_count)
{
	struct gap *all = reallocarray(NULL, count, sizeof(*all));
	size_t found = 0;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < count; i++) {
		uint64_t size = mappings[i + 1].va - (mappings[i].va + mappings[i].size);

		if (size)
			all[found++] = (struct gap){size, i};
	}
	qsort(all, found, sizeof(*all), wider_first);
	*ret_count = found < DRAW_CLUSTERS - 1 ? found : DRAW_CLUSTERS - 1;
	for (size_t i = 0; i < *ret_count; i++)
		gaps[i] = all[i];
	free(all);
	qsort(gaps, *ret_count, sizeof(*gaps), by_position);
	return 0;
}

static void cut(const struct panbind_mapping *mappings, size_t count, const struct gap *gaps, size_t gap_count,
		struct draw_cluster *clusters)
{
	size_t first = 0;

	for (size_t i = 0; i <= gap_count; i++) {
		size_t last = i < gap_count ? gaps[i].after : count - 1;

		clusters[i] = (struct draw_cluster){
			.first = first,
			.count = last - first + 1,
			.start = mappings[first].va,
			.end = mappings[last].va + mappings[last].size,
		};
		first = last + 1;
	}
}

/* The narrowest gap that is too narrow to fold: the index of the cluster before it, or @count when there is none. */
static size_t gap_to_close(const struct draw_cluster *clusters, size_t count, uint64_t row)
{
	uint64_t narrowest = UINT64_MAX;
	size_t found = count;

	for (size_t i = 0; i + 1 < count; i++) {
		uint64_t gap = clusters[i + 1].start - clusters[i].end;
		uint64_t beside = clusters[i].end - clusters[i].start + clusters[i + 1].end - clusters[i + 1].start;

		if ((gap <= beside || gap <= row) && gap < narrowest) {
			narrowest = gap;
			found = i;
		}
	}
	return found;
}

static size_t close_narrow_gaps(struct draw_cluster *clusters, size_t count, uint64_t row)
{
	size_t at;

	while ((at = gap_to_close(clusters, count, row)) < count) {
		clusters[at].end = clusters[at + 1].end;
		clusters[at].count += clusters[at + 1].count;
		for (size_t i = at + 1; i + 1 < count; i++)
			clusters[i] = clusters[i + 1];
		count--;
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
	size_t cells = width > 38 ? (width - 22) / 16 * 16 : 16;

	return cells < 128 ? cells : 128;
}

int draw_layout(const struct panbind_mapping *mappings, size_t count, size_t row_cells,
		struct draw_cluster ret_clusters[DRAW_CLUSTERS], size_t *ret_count)
{
	struct gap gaps[DRAW_CLUSTERS - 1];
	size_t gap_count, clusters, rows;

	*ret_count = 0;
	if (!count)
		return 0;
	if (widest_gaps(mappings, count, gaps, &gap_count))
		return -ENOMEM;
	cut(mappings, count, gaps, gap_count, ret_clusters);
	clusters = close_narrow_gaps(ret_clusters, gap_count + 1, row_cells * PANBIND_PAGE_SIZE);
	rows = DRAW_ROWS / clusters;
	rows = rows > 12 ? 12 : rows;
	for (size_t i = 0; i < clusters; i++)
		choose_scale(&ret_clusters[i], grain(mappings, &ret_clusters[i]), row_cells, rows);
	*ret_count = clusters;
	return 0;
}
