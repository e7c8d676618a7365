/* SPDX-License-Identifier: MIT */
/*
 * panbind-state.h - what is mapped where: as a value, compared and brought about, and held against the driver's own
 * truth. A part of panbind.h.
 */
#ifndef PANBIND_H
#include "panbind.h" /* which includes this file where its types are known */
#elif !defined(PANBIND_STATE_H)
#define PANBIND_STATE_H

/* ---- States: what is mapped where, compared and brought about ---------------------------------------------------- */

struct panbind_state;
struct panbind_state_diff;

/**
 * A BO as a state knows it. Two states mean the same BO when both know the same object; else when both have a name for
 * it, the names are equal, and so are the generations unless one of them is 0. BOs that nobody can name any more pair
 * up by size, in the order in which they are met.
 */
struct panbind_state_bo {
	const char *name;      /* the name it has or last had; NULL: unknown */
	uint64_t generation;   /* which BO of that name; 0: unknown */
	uint64_t size;	       /* bytes; 0: unknown */
	uint32_t flags;	       /* PANBIND_BO_* */
	int nameless;	       /* its name was given up: only mappings hold it */
	int exclusive;	       /* no other VM may map it */
	struct panbind_bo *bo; /* the object, or NULL: counted by the state */
};

/** Of panbind_state_map(): no BO, but the dummy behind sparse ranges. */
#define PANBIND_STATE_SPARSE UINT32_MAX

/**
 * What one VM maps, as a value: a copy that nothing changes behind one's back. Pages are what counts: mappings that
 * continue each other are one. Not thread-safe; different states are independent.
 */
int panbind_state_create(struct panbind_state **ret_state);
void panbind_state_destroy(struct panbind_state *state);
/** Add a BO; strings are copied, and bo->bo gets one more reference. @ret_index: for panbind_state_map(). */
int panbind_state_add_bo(struct panbind_state *state, const struct panbind_state_bo *bo, uint32_t *ret_index);
/** Map the next range, in order of VA. -EINVAL: not whole pages, before the end of the last one, no such BO. */
int panbind_state_map(struct panbind_state *state, uint64_t va, uint64_t size, uint32_t bo, uint64_t bo_offset,
		      uint32_t flags);
/** Add the next sparse region, in order of VA. It says nothing about what is mapped in it. -EINVAL as above. */
int panbind_state_add_region(struct panbind_state *state, uint64_t va, uint64_t size);
/** How many ranges a state has. */
size_t panbind_state_count(const struct panbind_state *state);
/** One range of a state. */
struct panbind_state_range {
	uint64_t va, size, bo_offset;
	uint32_t bo; /* its index, or PANBIND_STATE_SPARSE */
	uint32_t flags;
};
/** The range, or the region, at @index, in order of VA: 0 or -ENOENT. */
int panbind_state_range(const struct panbind_state *state, size_t index, struct panbind_state_range *ret_range);
int panbind_state_region(const struct panbind_state *state, size_t index, uint64_t *ret_va, uint64_t *ret_size);
/** A BO by its index, or NULL. Valid as long as the state. */
const struct panbind_state_bo *panbind_state_bo(const struct panbind_state *state, uint32_t index);

/** What a VM maps now, asynchronous binds in flight included; BOs are known by object. -ENOMEM. */
int panbind_state_of_vm(struct panbind_vm *vm, struct panbind_state **ret_state);
/** The same of a session's VM, whose BOs are known by name too. -ENOENT no such VM, -ENOMEM. */
int panbind_session_state(struct panbind_session *session, const char *vm, struct panbind_state **ret_state);
/**
 * What a script makes of a VM, by running it on a simulated device that goes with the call. @vm: NULL when the script
 * leaves only one. BOs are known by name. Errors: those of the run; -ENOENT no such VM in the end, -EINVAL there are
 * several.
 */
int panbind_script_state(const struct panbind_script *script, const char *vm, struct panbind_state **ret_state,
			 struct panbind_error *reterr);
/**
 * A copy of @state in which [va, va + size) holds what it holds in @other, and the sparse regions that only one of them
 * has there are as in @other. Ranges in order of VA, without overlaps. For an undo: what was, where something was done.
 */
int panbind_state_graft(const struct panbind_state *state, const struct panbind_state *other, const uint64_t *vas,
			const uint64_t *sizes, size_t count, struct panbind_state **ret_state);

enum panbind_backing { PANBIND_BACKING_NONE = 0, PANBIND_BACKING_BO, PANBIND_BACKING_SPARSE };

/** One side of a difference. */
struct panbind_state_side {
	const struct panbind_state_bo *bo; /* of PANBIND_BACKING_BO; valid as long as its state */
	uint64_t bo_offset;		   /* of the first page */
	enum panbind_backing backing;
	uint32_t flags; /* PANBIND_MAP_* */
};

enum panbind_difference_type {
	PANBIND_DIFFERENCE_RANGE = 0, /* other pages: gone, new, or replaced in one op */
	PANBIND_DIFFERENCE_REGION,    /* a sparse region that only one has: the side with PANBIND_BACKING_SPARSE */
	PANBIND_DIFFERENCE_BO,	      /* a BO of one name with two sizes; no op can mend that */
};

/**
 * One difference, as large as it can be. What lies in a region that only one side has is mapped anew, so it is told as
 * gone and then as new, holes in a new region included: a new range whose `to` has no backing.
 */
struct panbind_state_difference {
	enum panbind_difference_type type;
	int anew; /* in such a region: what is gone and what is new are told apart, and the GPU sees a hole between */
	uint64_t va, size;
	struct panbind_state_side from, to;
};

/** What a difference comes down to. */
struct panbind_state_op {
	enum panbind_change_type type; /* MAP, UNMAP, MAP_SPARSE, SPARSE_RESERVE, SPARSE_RELEASE */
	uint32_t flags;
	uint64_t va, size, bo_offset;
	const struct panbind_state_bo *bo; /* of MAP, as @to knows it */
	struct panbind_bo *object;	   /* of MAP, when either state has it; else NULL */
};

/**
 * Compare two states, which must outlive the result. Linear in what they map. Differences are in order of VA (those of
 * BOs come last); ops are those that lead from @from to @to: as few as that order of states allows, never more than
 * there are differences, in the order in which they have to run. -ENOMEM.
 */
int panbind_state_diff(const struct panbind_state *from, const struct panbind_state *to,
		       struct panbind_state_diff **ret_diff);
void panbind_state_diff_destroy(struct panbind_state_diff *diff);
size_t panbind_state_diff_count(const struct panbind_state_diff *diff);
const struct panbind_state_difference *panbind_state_diff_at(const struct panbind_state_diff *diff, size_t index);
size_t panbind_state_diff_op_count(const struct panbind_state_diff *diff);
const struct panbind_state_op *panbind_state_diff_op(const struct panbind_state_diff *diff, size_t index);
/**
 * Run the ops on @vm as one transaction. @vm must be as `from` has it. Outcome and errors as panbind_txn_run();
 * -ENOENT (stage VALIDATE, nothing done): an op maps a BO of which neither state has the object.
 */
int panbind_state_diff_run(const struct panbind_state_diff *diff, struct panbind_vm *vm,
			   enum panbind_outcome *ret_outcome, struct panbind_error *reterr);

/** The same in steps, for a thread that has other things to do in between. */
struct panbind_state_run;

/**
 * Begin: nothing is run yet. @diff, its states and @vm must outlive the run, and from the first step on nobody else may
 * bind @vm (-EBUSY). -ENOENT as above, -ENOMEM.
 */
int panbind_state_run_begin(const struct panbind_state_diff *diff, struct panbind_vm *vm,
			    struct panbind_state_run **ret_run, struct panbind_error *reterr);
/**
 * Run at most @count further ops. 1: there are more; 0: that was all. Negative: an op failed, and has undone itself;
 * those of earlier steps are in place, and what remains is to roll back, or to commit what there is.
 */
int panbind_state_run_step(struct panbind_state_run *run, size_t count, struct panbind_error *reterr);
/** The end: what was run stays, be it all or not. NULL is fine. */
void panbind_state_run_commit(struct panbind_state_run *run);
/** The end: undo what was run. As panbind_txn_rollback(). */
int panbind_state_run_rollback(struct panbind_state_run *run, enum panbind_outcome *ret_outcome,
			       struct panbind_error *reterr);

/**
 * Write the script that makes a VM of that name which maps what @state says, with all BOs that it takes: a dump. The
 * text is for free(3). -ENOMEM.
 */
int panbind_state_script(const struct panbind_state *state, const char *vm, char **ret_text);

#define PANBIND_STATE_CREATE_BOS (1u << 0) /* make BOs that are not there, empty */

/**
 * Write the script that makes the session's VM what @to says, one transaction: BOs it lacks, then the ops of the
 * difference. @ret_ops: how many there are; 0: the VM is so already, and the script is empty. The text is for free(3).
 * Errors: -ENOENT no such VM, or @to maps a BO that is not there; -ESTALE it is another BO of that name; -EINVAL a BO
 * of that name is smaller than what is mapped of it; -ENOMEM.
 */
int panbind_session_state_script(struct panbind_session *session, const char *vm, const struct panbind_state *to,
				 uint32_t flags, char **ret_text, size_t *ret_ops, struct panbind_error *reterr);

/* ---- The shadow against the driver ------------------------------------------------------------------------------- */

/** What one side has in a range. */
struct panbind_verify_side {
	int mapped, sparse;
	const struct panbind_bo *bo; /* the shadow's; NULL: none, or sparse */
	uint32_t bo_handle;	     /* the driver's, where page tables are seen; 0: it has none on this open file */
	uint64_t bo_offset;	     /* of the first page; 0 when sparse */
	uint32_t flags;		     /* PANBIND_MAP_* */
	int has_flags;		     /* of the driver's side: they can be seen */
};

/** A range of which the shadow and the driver say different things, as large as it can be. */
struct panbind_verify_difference {
	uint64_t va, size;
	struct panbind_verify_side shadow, driver;
};

typedef void panbind_verify_fn(void *data, const struct panbind_verify_difference *difference);

/** What came of it. */
struct panbind_verification {
	enum panbind_sight_source source; /* PANBIND_SIGHT_NONE: there is no truth to compare with, and why says so */
	size_t differences;		  /* that were told */
	uint64_t compared, different;	  /* bytes that either side maps; of them, bytes that differ */
	char why[160];
};

/**
 * Compare what the library believes that @vm maps with what the driver has: the page tables of a simulated device, or
 * the kernel's books (debugfs gpuvas, which root alone can read, and which say nothing of flags). The VM may be lost;
 * nothing is changed. @fn (may be NULL) is told of each difference, in order of VA.
 *
 * 0 does not mean that they are the same, nor that anything was compared: see *ret_verification.
 * Errors: -EBUSY asynchronous binds are in flight, -ENOMEM.
 */
int panbind_vm_verify(struct panbind_vm *vm, panbind_verify_fn *fn, void *data,
		      struct panbind_verification *ret_verification, struct panbind_error *reterr);

#endif /* PANBIND_STATE_H */
