/* SPDX-License-Identifier: MIT */
/*
 * The remaps of kernel/ATOMICITY.md: what is mapped before, one VM_BIND, and the addresses that the GPU loads.
 *
 * This list is the only one: the emulated GPU under the real driver and the simulator are both judged by it.
 */
#ifndef ATOMICITY_CASES_H
#define ATOMICITY_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Memory of a case. All of it is physically contiguous in aligned pieces of 2 MiB, so that blocks can be mapped. */
enum remap_mem { MEM_A, MEM_B, MEM_DUMMY, MEM_COUNT };

#define MEM_SIZE (UINT64_C(4) << 20) /* of A and of B; the dummy has 2 MiB */

enum remap_type { REMAP_END, REMAP_MAP, REMAP_UNMAP };

struct remap_op {
	enum remap_type type;
	uint64_t va, size;
	enum remap_mem mem;
	uint64_t offset;
};

/** An address that the GPU loads at every moment that can matter. */
struct remap_watch {
	const char *name;
	uint64_t va;
};

#define REMAP_OPS     6
#define REMAP_WATCHES 6

struct remap_case {
	const char *name;				   /* a heading of the document */
	const char *what;				   /* the VM_BIND in words */
	struct remap_op before[REMAP_OPS], ops[REMAP_OPS]; /* up to REMAP_END */
	struct remap_watch watch[REMAP_WATCHES];	   /* up to a name NULL */
	bool async;
	bool idle;	   /* the VM has no AS slot */
	bool hole;	   /* without atomic updates the GPU must find a hole where there is none before and after */
	bool hole_by_user; /* with atomic updates too: the batch itself unmaps first and maps in a later op */
};

extern const struct remap_case remap_cases[];
extern const size_t remap_case_count;

/** Number of ops up to REMAP_END. */
size_t remap_count(const struct remap_op *ops);

#define NOTHING_MAPPED UINT64_C(0)
/** What the first 4 bytes of a page of memory hold, never NOTHING_MAPPED. */
uint64_t remap_stamp(enum remap_mem mem, uint64_t offset);
/** What a load from @va gives before the VM_BIND and after it: a stamp, or NOTHING_MAPPED. */
uint64_t remap_old(const struct remap_case *remap, uint64_t va);
uint64_t remap_new(const struct remap_case *remap, uint64_t va);

/** Is @va in a block of 2 MiB before the VM_BIND? */
bool remap_in_block(const struct remap_case *remap, uint64_t va);

/**
 * The region that one op must lock on a driver with atomic updates: the smallest aligned power of two, of at least
 * 32 KiB, that holds the op, and the 2 MiB blocks that it cuts where @widens says that the driver takes those out.
 */
void remap_lock_region(const struct remap_case *remap, size_t op, bool widens, uint64_t *ret_va, uint64_t *ret_size);

#endif /* ATOMICITY_CASES_H */
