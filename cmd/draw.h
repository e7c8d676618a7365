/* SPDX-License-Identifier: MIT */
/*
 * A picture of a VM's address space for a terminal.
 *
 * An address space is mostly nothing: 2^47 bytes with a few MiB in it. So the picture shows clusters, each at its own
 * scale, and folds what lies between them into one line that says how much it is. Nothing is left out: leading gap,
 * clusters, folds and trailing gap add up to the whole space.
 *
 * A cell is a power of two of bytes, 4 KiB or more. It shows
 *   A to Z   one BO fills the whole cell; a to z: one BO, and next to it in the cell a hole or sparse range
 *   #        a BO beyond the 26th, whole or in part
 *   *        two BOs or more
 *   .        (a middle dot with UTF-8) sparse all over; a comma: sparse and a hole
 *   blank    a hole
 * and the letters at the end of a row say what the GPU may do in the BO mappings of that row.
 *
 * Pure: it looks at an array of mappings and asks @describe for names, so it is tested without a device.
 */
#ifndef CMD_DRAW_H
#define CMD_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "panbind.h"

struct draw {
	const char *name;			/* of the VM */
	uint64_t va_range;			/* its size */
	const struct panbind_mapping *mappings; /* in order of VA, disjoint */
	size_t count;
	/** Name and size of a BO. */
	void (*describe)(void *data, const struct panbind_bo *bo, const char **ret_name, uint64_t *ret_size);
	void *data;
	unsigned width; /* columns; 60 or more looks well */
	bool utf8, color;
};

/** Draw. 0 or -ENOMEM. */
int draw_map(FILE *stream, const struct draw *draw);

/* ---- draw_layout.c: which clusters, at which scale ---- */

#define DRAW_CLUSTERS 12
#define DRAW_ROWS     24 /* rows of cells in the whole picture, about */

/** Mappings [first, first + count), drawn as @rows rows of cells of @cell bytes from @base on. */
struct draw_cluster {
	size_t first, count;
	uint64_t start, end; /* of the mappings */
	uint64_t base, cell;
	uint64_t limit; /* where the next cluster begins: no row may reach it */
	size_t cells, rows;
};

/** Cells in a row of a terminal this wide. */
size_t draw_row_cells(unsigned width);
/** Group the mappings. Returns the number of clusters, at most DRAW_CLUSTERS. */
size_t draw_layout(const struct panbind_mapping *mappings, size_t count, size_t row_cells,
		   struct draw_cluster ret_clusters[DRAW_CLUSTERS]);

#endif /* CMD_DRAW_H */
