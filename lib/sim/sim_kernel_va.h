/* SPDX-License-Identifier: MIT */
/*
 * The kernel's part of a VM's address space: ranges for what the driver keeps there, placed where the driver would.
 *
 * That is drm_mm with DRM_MM_INSERT_BEST (Linux 6.12): the smallest hole that fits, of equal ones the youngest, at the
 * hole's lower end. Programs are told some of these addresses, so they are to be the same here. Not thread-safe.
 */
#ifndef SIM_KERNEL_VA_H
#define SIM_KERNEL_VA_H

#include <stdint.h>

/* A range that is taken, and the hole that follows it, if any. */
struct sim_kernel_node {
	uint64_t start, size;
	uint64_t hole_size;		       /* 0: none */
	struct sim_kernel_node *prev, *next;   /* by address; the anchor is the first */
	struct sim_kernel_node *newer, *older; /* holes by age */
	struct sim_kernel_node *owned;	       /* free for the owner: the next of its ranges */
};

struct sim_kernel_va {
	struct sim_kernel_node anchor;	/* of size 0, at the start; the hole after it is the first one */
	struct sim_kernel_node *newest; /* of the holes */
	uint64_t used;			/* bytes */
};

/** Nothing is taken in [start, end). */
void sim_kernel_va_init(struct sim_kernel_va *va, uint64_t start, uint64_t end);
/** Place a range. @size > 0 and @align, a power of two, are multiples of the page size. -ENOSPC, -ENOMEM. */
int sim_kernel_va_take(struct sim_kernel_va *va, uint64_t size, uint64_t align, struct sim_kernel_node **ret_node);
/** Give a range back. */
void sim_kernel_va_give(struct sim_kernel_va *va, struct sim_kernel_node *node);

#endif /* SIM_KERNEL_VA_H */
