/* SPDX-License-Identifier: MIT */
/*
 * A picture of VMs' address spaces as one self-contained SVG, for a browser, light or dark, and for paper.
 *
 * Each VM has a bar over all that it maps, with wide gaps folded, and below it the clusters between the folds, each in
 * rows of one scale. A mapping is a rectangle as wide as it is, in its BO's colour; what is narrower than a few pixels
 * is drawn together with its neighbours and says how many it stands for, so a picture of 100,000 mappings has no more
 * rectangles than one of 5,000. Sparse ranges are hatched, holes are left open. Tooltips tell range, BO, offset, flags
 * and, where that is known, who bound it and when.
 *
 * Pure: looks at arrays and asks its caller for names.
 */
#ifndef CMD_SVG_H
#define CMD_SVG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "panbind.h"

/** A range that a lock covers, drawn over the mappings. */
struct svg_lock {
	uint64_t va, size;
	char text[64]; /* "op 0-15" */
};

struct svg_vm {
	const char *name, *subtitle; /* the second may be NULL */
	uint64_t va_range;
	const struct panbind_mapping *mappings; /* in order of VA, disjoint */
	size_t count;
	/** Name and size of a BO. */
	void (*describe)(void *data, const struct panbind_bo *bo, const char **ret_name, uint64_t *ret_size);
	/** Who bound mapping @index and when, as text without a newline, or NULL. May be NULL itself. */
	const char *(*who)(void *data, size_t index);
	void *data;
	const struct svg_lock *locks; /* in any order */
	size_t lock_count;
};

/** Write a document with one picture below the other. 0, -ENOMEM, or -EIO when @stream failed. */
int svg_write(FILE *stream, const struct svg_vm *vms, size_t count);

/* ---- Between svg.c and svg_style.c ---- */

/** Colours there are: what comes behind that shares one. */
#define SVG_COLOURS 14u

/** The style sheet and the patterns. */
void svg_style(FILE *stream);
/** Text between tags or in an attribute. */
void svg_text(FILE *stream, const char *text);

#endif /* CMD_SVG_H */
