/* SPDX-License-Identifier: MIT */
/*
 * A look into the VMs of a real driver: the kernel shows the mappings of all of them in debugfs, for root.
 *
 * What it shows are the driver's own books (drm_gpuvm), not page tables: a VA range, and which object is behind it at
 * which offset. There is no word on map flags.
 */
#ifndef SUPPORT_GPUVAS_H
#define SUPPORT_GPUVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gpuvas_row {
	size_t vm; /* which of the VMs, in the order in which they were made */
	uint64_t va, size;
	uint64_t object; /* the BO: tells them apart, and nothing else */
	uint64_t offset;
};

struct gpuvas {
	size_t vms; /* of programs; the firmware's own is left out */
	struct gpuvas_row *rows;
	size_t count; /* ascending in each VM */
};

/** Is there such a file? */
bool gpuvas_available(void);
/** Read it: 0, -ENOENT, -EACCES, -EPROTO when it cannot be understood. The rows go with gpuvas_free(). */
int gpuvas_read(struct gpuvas *ret_gpuvas);
/** Parse the text of such a file; what gpuvas_read() does with what it has read. */
int gpuvas_parse(char *text, struct gpuvas *ret_gpuvas);
void gpuvas_free(struct gpuvas *gpuvas);

#endif /* SUPPORT_GPUVAS_H */
