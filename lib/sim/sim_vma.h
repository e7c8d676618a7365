/* SPDX-License-Identifier: MIT */
/*
 * An ordered set of disjoint ranges, each backed by a piece of a BO: the VMAs of one VM, as drm_gpuvm keeps them.
 *
 * Also used wherever the simulator must find a BO by a number: by its fake mmap offset, by its host address.
 * A height-balanced (AVL) tree with its nodes threaded in order; nodes come from a freelist of the set. All costs are
 * logarithmic, neighbours are one step away. Not thread-safe.
 */
#ifndef SIM_VMA_H
#define SIM_VMA_H

#include <stddef.h>
#include <stdint.h>

struct sim_bo;

struct sim_vma {
	uint64_t start, size; /* size > 0 */
	struct sim_bo *bo;
	uint64_t offset; /* into the BO, of start; a sparse VMA: of the dummy, not yet wrapped around */
	uint32_t flags;	 /* PB_OP_* of the map that made it */
	uint32_t height;
	struct sim_vma *left, *right; /* the tree */
	struct sim_vma *prev, *next;  /* the order; next also links free nodes */
};

struct sim_vma_slab;

struct sim_vmas {
	struct sim_vma *root, *free;
	struct sim_vma_slab *slabs;
	size_t count, free_count;
};

void sim_vmas_init(struct sim_vmas *vmas);
/** Gives back all memory. What the ranges point to is the caller's. */
void sim_vmas_fini(struct sim_vmas *vmas);

/** Make sure that @nodes inserts cannot fail: 0 or -ENOMEM. */
int sim_vmas_reserve(struct sim_vmas *vmas, size_t nodes);
/** Insert a range that overlaps no other; room was reserved. */
struct sim_vma *sim_vmas_insert(struct sim_vmas *vmas, uint64_t start, uint64_t size, struct sim_bo *bo,
				uint64_t offset, uint32_t flags);
/** Take out of the set; the node stays the caller's until sim_vmas_free(). */
void sim_vmas_detach(struct sim_vmas *vmas, struct sim_vma *vma);
void sim_vmas_free(struct sim_vmas *vmas, struct sim_vma *vma);
/** Detach and free. */
void sim_vmas_remove(struct sim_vmas *vmas, struct sim_vma *vma);
/** The first range that ends after @address, or NULL. */
struct sim_vma *sim_vmas_find(const struct sim_vmas *vmas, uint64_t address);
/** Is everything as it should be (order, balance, threads, count)? For tests. */
int sim_vmas_check(const struct sim_vmas *vmas);

#endif /* SIM_VMA_H */
