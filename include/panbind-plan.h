/* SPDX-License-Identifier: MIT */
/*
 * panbind-plan.h - what a batch will do on the hardware, said before it is done. A part of panbind.h.
 */
#ifndef PANBIND_H
#include "panbind.h" /* which includes this file where its types are known */
#elif !defined(PANBIND_PLAN_H)
#define PANBIND_PLAN_H

#define PANBIND_PLAN_ASYNC	    (1u << 0) /* the batch is meant for an asynchronous bind */
#define PANBIND_PLAN_FENCED	    (1u << 1) /* it is meant to be bound between two syncobjs, see panbind_guarantee */

/** What a GPU that runs meanwhile may see of a batch. */
enum panbind_guarantee {
	PANBIND_GUARANTEE_ACCESS = 0, /* any GPU access sees all of it or nothing: it is one atomic unit */
	PANBIND_GUARANTEE_FENCED, /* so do jobs that signal its wait or wait for its signal, or that ended before the
				     bind was asked for or begin when it was answered; others see it unit by unit */
	PANBIND_GUARANTEE_RETURN, /* all or nothing once the call returns; until then the GPU sees it unit by unit */
	PANBIND_GUARANTEE_NONE,	  /* asynchronous, without a fence around it: unit by unit, no undo */
};
/** "access", "fenced", "return" or "none". Never NULL. */
const char *panbind_guarantee_name(enum panbind_guarantee guarantee);

/** What one op of a plan will do on the hardware. */
struct panbind_plan_unit {
	struct panbind_op op;  /* after merging; op.syncs is not filled */
	uint32_t first, count; /* the ops of the batch that it stands for: the lowest index, and how many */
	uint32_t driver_ops; /* ops the driver gets for it (more than 1: emulated or very large sparse), a LOCK each */
	uint64_t lock_va, lock_size; /* what is locked while it is done: an aligned power of two >= 32 KiB that holds it
					(driver: pack_region_range()), and with it any 2 MiB page that it cuts; several
					locks: all of them */
	enum panbind_tristate atomic; /* a GPU access sees all of it or nothing of it */
	uint32_t replaces;	      /* live mappings it removes or cuts */
	uint32_t last;	      /* the highest index of its ops; when others lie between, it is above first + count - 1 */
	uint32_t splits;      /* 2 MiB pages that it cuts, at most: a real GPU may have had no such page there */
	uint64_t page_tables; /* of 4 KiB each, that the driver sets aside first (panthor_vm_prepare_map_op_ctx()) */
	uint32_t neighbours;  /* other live mappings in the lock region, whose accesses stall; counted up to the limit
				 below */
	uint64_t neighbour_bytes; /* of them, in the region */
	uint64_t unknown_bytes;	  /* of its range whose mapping is not known: it is refused unless forced, and no
				     inverse puts that back */
};

/** Where the count of neighbours ends: "this many or more". */
#define PANBIND_PLAN_NEIGHBOURS_MAX 1024u

/** The sum of a plan. */
struct panbind_plan_totals {
	size_t ops, units;	      /* of the batch; after merging */
	size_t dropped;		      /* ops that later ones overwrite */
	size_t atomic_units;	      /* that are certain to be */
	uint64_t driver_ops, splits;  /* a LOCK, a flush and an UNLOCK for each driver op */
	uint64_t page_tables;	      /* of all driver ops: an asynchronous bind has them all at once */
	uint64_t page_tables_at_once; /* of the largest one: a synchronous bind needs no more at a time */
	enum panbind_guarantee guarantee;
};

/**
 * Say what @batch would do to @vm: merged ops in order (see panbind_batch_merge()), which are one atomic unit for the
 * GPU, what each one locks and whom that stalls, and what would undo it. Touches neither, and outlives both.
 *
 * O((n + k) log m) for n ops that meet k of m live mappings. Errors: as the check before a bind.
 */
int panbind_plan_create(struct panbind_vm *vm, const struct panbind_batch *batch, uint32_t flags,
			struct panbind_plan **ret_plan, struct panbind_error *reterr);
void panbind_plan_destroy(struct panbind_plan *plan);
size_t panbind_plan_count(const struct panbind_plan *plan);
const struct panbind_plan_unit *panbind_plan_unit(const struct panbind_plan *plan, size_t index);
/** Valid as long as the plan. */
const struct panbind_plan_totals *panbind_plan_totals(const struct panbind_plan *plan);
/** The unit that does the work of op @op of the batch, or PANBIND_NO_OP when later ops overwrite all of it. */
uint32_t panbind_plan_unit_of(const struct panbind_plan *plan, size_t op);
/**
 * The ops that put back what unit @index displaces; to undo a plan, run those of its last unit first. The array and its
 * BOs live as long as the plan. NULL and 0 when there is nothing to undo.
 */
const struct panbind_op *panbind_plan_inverse(const struct panbind_plan *plan, size_t index, size_t *ret_count);
/**
 * The first four neighbours of unit @index in its lock region, those below its range first, each cut to the region. As
 * long as the plan, which keeps 16,384 of them in all: the last units of a large one have only their counts.
 */
const struct panbind_mapping *panbind_plan_neighbours(const struct panbind_plan *plan, size_t index, size_t *ret_count);
/** LOCK number @nth of the unit's driver_ops, as the driver will write it. 0, or -ENOENT when there is none. */
int panbind_plan_lock(const struct panbind_plan *plan, size_t index, uint32_t nth, uint64_t *ret_va,
		      uint64_t *ret_size);

/** The lock region of a range, as the hardware rounds it. size > 0. */
void panbind_lock_region(uint64_t va, uint64_t size, uint64_t *ret_va, uint64_t *ret_size);

#endif /* PANBIND_PLAN_H */
