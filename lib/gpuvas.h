/* SPDX-License-Identifier: MIT */
/*
 * A look into the VMs of a real driver: the kernel shows the mappings of all of them in debugfs, for root.
 *
 * What it shows are the driver's own books (drm_gpuvm), not page tables: a VA range, and which object is behind it at
 * which offset. There is no word on map flags.
 */
#ifndef PB_GPUVAS_H
#define PB_GPUVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pb_gpuvas_row {
	size_t vm; /* which of the VMs, in the order in which they were made */
	uint64_t va, size;
	uint64_t object; /* the BO: tells them apart, and nothing else */
	uint64_t offset;
};

struct pb_gpuvas {
	size_t vms; /* of programs; the firmware's own is left out */
	struct pb_gpuvas_row *rows;
	size_t count; /* ascending in each VM */
};

/** Is there such a file? */
bool pb_gpuvas_available(void);
/**
 * Read that of the node with this minor number (negative: the first): 0, -ENOENT, -EACCES, -EPROTO when it cannot be
 * understood. The rows go with pb_gpuvas_free().
 */
int pb_gpuvas_read(int minor, struct pb_gpuvas *ret_gpuvas);
/** The minor number in the path of a render node, or -1. */
int pb_gpuvas_minor(const char *node);
/** Parse the text of such a file; what pb_gpuvas_read() does with what it has read. */
int pb_gpuvas_parse(char *text, struct pb_gpuvas *ret_gpuvas);
void pb_gpuvas_free(struct pb_gpuvas *gpuvas);

#endif /* PB_GPUVAS_H */
