/* SPDX-License-Identifier: MIT */
/*
 * What the files of lib/ share and nobody else sees: cleanup attributes, error filling, the structs behind panbind.h.
 */
#ifndef PB_INTERNAL_H
#define PB_INTERNAL_H

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend.h"
#include "merge.h"
#include "panbind.h"
#include "vamap.h"

/* ---- Cleanup attributes: resources are released where they were named, in reverse order ---- */

#define pb_cleanup(fn) __attribute__((cleanup(fn)))

static inline void pb_freep(void *p)
{
	free(*(void **)p);
}

static inline void pb_closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define pb_autofree  pb_cleanup(pb_freep)
#define pb_autoclose pb_cleanup(pb_closep)
/** Hand over: the variable keeps nothing, so its cleanup does nothing. */
#define pb_take_ptr(p)                  \
	({                              \
		__typeof__(p) t_ = (p); \
		(p) = NULL;             \
		t_;                     \
	})
#define pb_take_fd(fd)         \
	({                     \
		int t_ = (fd); \
		(fd) = -1;     \
		t_;            \
	})

#define PB_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PB_PAGE_MASK	 ((uint64_t)PANBIND_PAGE_SIZE - 1)

/* ---- error.c ---- */

/**
 * Fill @reterr (may be NULL) and return @code, so that a refusal is one statement. op is PANBIND_NO_OP, place and range
 * are empty; pb_error_at_op() and pb_error_range() add to it.
 */
int pb_error_set(struct panbind_error *reterr, int code, enum panbind_stage stage, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int pb_error_at_op(struct panbind_error *reterr, int code, enum panbind_stage stage, uint32_t op, uint64_t va,
		   uint64_t size, const char *format, ...) __attribute__((format(printf, 7, 8)));
int pb_error_at_place(struct panbind_error *reterr, int code, enum panbind_stage stage, const char *file, uint32_t line,
		      uint32_t column, const char *format, ...) __attribute__((format(printf, 7, 8)));

/* ---- array.c ---- */

/** An array of @count items, all zero, to be freed with free(). NULL without memory. */
void *pb_array_create(size_t count, size_t item_size);
/** Let an array have room for @wanted items of @item_size bytes. 0, or -ENOMEM and nothing has changed. */
int pb_array_reserve(void **array, size_t *room, size_t wanted, size_t item_size);
/** Make room for one more item behind @count others, by doubling. Errors: as above. */
int pb_array_grow(void **array, size_t *room, size_t count, size_t item_size);

/* ---- twin.c ---- */

/** The handle that a device's open file has for a BO of another one. */
struct pb_twin {
	struct panbind_bo *bo; /* counted; NULL: an empty slot */
	uint32_t handle;
	bool borrowed; /* it is the program's own: never closed here, and looked up anew before each use */
};

struct pb_twins {
	struct pb_twin *slots; /* hashed by bo */
	size_t count, room;
};

/* ---- device.c ---- */

struct panbind_device {
	atomic_uint refs;
	struct pb_file *file;
	struct panbind_device_info info; /* filled at open */
	pthread_mutex_t lock;		 /* guards what follows, and reference counts that reach zero */
	struct panbind_bo *dummy_bo;	 /* behind emulated sparse ranges; made on first use */
	struct panbind_bo *bos;		 /* list by next, for panbind_bo_import() to find its own */
	_Atomic uint64_t map_generation; /* the largest that any VM had */
	struct pb_twins twins;		 /* of the thread that binds adopted VMs */
};

/** Make a device of an opened file, which belongs to the device from then on; on failure it stays the caller's. */
int pb_device_from_file(struct pb_file *file, struct panbind_device **ret_device, struct panbind_error *reterr);
/** One ioctl that may be repeated as it stands after EINTR and EAGAIN: everything but VM_BIND. */
int pb_device_ioctl(struct panbind_device *device, unsigned long request, void *arg);

/** Have a handle on @device's file for @bo, which is another device's. 0 or a negative errno. */
int pb_twin_ensure(struct panbind_device *device, struct panbind_bo *bo);
/** That handle. */
uint32_t pb_twin_handle(const struct panbind_device *device, const struct panbind_bo *bo);
/** The BO behind a program's handle on @device's file, held by a handle on @home's. One reference more. */
int pb_twin_borrow(struct panbind_device *device, uint32_t handle, struct panbind_device *home,
		   struct panbind_bo **ret_bo);
void pb_twins_free(struct panbind_device *device);

/* ---- bo.c ---- */

/** Where an object stood in a session that gave it back: it may be put back there. */
struct pb_place {
	const struct panbind_session *session;
	uint64_t order;
};

struct panbind_bo {
	struct pb_place place;
	atomic_uint refs;
	struct panbind_device *device;
	struct panbind_bo *next, *prev;
	uint64_t size;
	uint32_t handle, flags;
	uint32_t exclusive_vm_id; /* 0: none */
	void *ptr;		  /* the CPU mapping, once asked for */
	char *label;
	char *last_name;     /* that a session gave it, once it is gone; NULL: none, or no memory for it */
	uint64_t generation; /* the host's */
};

/** The 2 MiB BO behind emulated sparse ranges, borrowed from the device. */
int pb_bo_dummy(struct panbind_device *device, struct panbind_bo **ret_bo, struct panbind_error *reterr);
/** Close it, when the device goes. */
void pb_bo_free_dummy(struct panbind_device *device);

/* ---- syncobj.c ---- */

struct panbind_syncobj {
	atomic_uint refs;
	struct panbind_device *device;
	uint32_t handle;
};

/* ---- batch.c ---- */

struct pb_syncs {
	struct panbind_sync *sync;
	uint32_t count, room;
};

struct panbind_batch {
	struct panbind_op *ops; /* op.syncs points into syncs below, see batch.c */
	size_t count, room;
	struct pb_syncs syncs;	   /* of all ops, in order */
	struct pb_origin *origins; /* by op, with room for as many; NULL: not merged, each is its own */
	uint32_t filled;	   /* ops added since it was empty; true while there are origins */
};

/** Which ops, as they were added, an op of a batch stands for. */
struct pb_origin pb_batch_origin(const struct panbind_batch *batch, size_t index);

/* ---- check.c: pure ---- */

/** What a batch is checked against. */
struct pb_check {
	const struct panbind_device *device; /* compared, never used */
	uint64_t va_range;		     /* of the VM */
	uint32_t vm_id;			     /* for exclusive BOs */
	bool async;
	bool adopted; /* the VM is: BOs of other open files get a handle on its own */
};

/**
 * Check one op against the rules that hold on every VM: size, alignment, wrap-around, flags, BO bounds. Ops other than
 * MAP carry no flags and no BO (that sparse ranges are not executable goes without saying). Fails as below.
 */
int pb_check_op(const struct panbind_op *op, uint32_t index, struct panbind_error *reterr);

/**
 * Check every op: alignment, size, flags, VA range, BO bounds, exclusiveness, syncs on synchronous ops, SYNC_ONLY
 * without syncs; and that there is one. 0, or -EINVAL with stage VALIDATE and the op's index. Pure reading: a batch
 * may be a struct on the stack around an op on the stack.
 */
int pb_check_batch(const struct pb_check *check, const struct panbind_batch *batch, struct panbind_error *reterr);

/* ---- plan.c: pure ---- */

/** What a plan depends on. */
struct pb_plan_input {
	const struct pb_vamap *map;	/* what is live; only read */
	const struct pb_vamap *pieced;	/* of the VM; NULL: nothing */
	const struct pb_vamap *unknown; /* of the VM; NULL: nothing */
	enum panbind_tristate atomic;	/* of the device */
	bool native_sparse;
	uint32_t flags; /* PANBIND_PLAN_* */
};

/**
 * A sparse range was mapped: write down which blocks of 2 MiB are put together from pieces now, and which no longer.
 * @pieced: a map of such blocks, or NULL. Does what it can when there is no memory.
 */
void pb_pieced_note(struct pb_vamap *pieced, uint64_t va, uint64_t size);

/** Plan a checked batch. -ENOMEM. */
int pb_plan_build(const struct pb_plan_input *input, const struct panbind_batch *batch, struct panbind_plan **ret_plan,
		  struct panbind_error *reterr);

/* ---- vm.c ---- */

struct pb_region {
	uint64_t va, size;
};

struct panbind_vm {
	struct pb_place place;
	struct panbind_device *device;
	uint32_t id;
	uint64_t va_range;
	uint64_t map_generation;
	struct pb_vamap *map;
	struct pb_vamap *pieced;   /* blocks of sparse ranges that are no page of 2 MiB, see pb_pieced_note() */
	struct pb_region *regions; /* sparse, sorted by va */
	size_t region_count, region_room;
	enum panbind_vm_state state;
	char poison[160];		  /* why, when state is PANBIND_VM_POISONED */
	struct panbind_syncobj *timeline; /* signalled by the last op of each asynchronous bind; made on first use */
	uint64_t next_point;
	struct pb_pending *pending, **pending_tail;
	size_t pending_count, pending_limit; /* past the limit an asynchronous bind looks what has finished */
	bool adopted;			     /* a program made it: not destroyed with this object */
	struct pb_vamap *unknown;	     /* ranges of which it is not known what they map; NULL: there are none */
	bool force;			     /* ops may displace them */
	bool held;			     /* nobody may change it, see panbind_vm_set_held() */
	struct panbind_txn *txn;	     /* the open transaction that owns it: other binds are refused */
	size_t txn_notes;		     /* inverse ops that it holds for this VM */
};

/** A VM of @device that the driver knows by @id, empty as far as is known. Holds the device. NULL: no memory. */
struct panbind_vm *pb_vm_new(struct panbind_device *device, uint32_t id, uint64_t va_range);
/** Refuse all further work on the VM, with this reason. The first reason stays. */
void pb_vm_poison(struct panbind_vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** 0, or -EUCLEAN with the reason when the VM is poisoned or known to be unusable. */
int pb_vm_check_usable(struct panbind_vm *vm, struct panbind_error *reterr);
/** 0, or -EBUSY when it is held. */
int pb_vm_check_held(const struct panbind_vm *vm, struct panbind_error *reterr);

/* ---- unknown.c ---- */

/** Promise that recording @ops more ops needs no memory, in both maps of the VM. -ENOMEM. */
int pb_vm_reserve(struct panbind_vm *vm, size_t ops);
/** The first range of which nothing is known in [va, va + size), cut to it: 0 or -ENOENT. */
int pb_unknown_find(const struct pb_vamap *unknown, uint64_t va, uint64_t size, struct pb_range *ret_range);
/** Bytes of [va, va + size) of which nothing is known. */
uint64_t pb_unknown_bytes(const struct pb_vamap *unknown, uint64_t va, uint64_t size);
/** 0, or -ENODATA with the first op of @batch that would displace what is not known, unless that is forced. */
int pb_unknown_check(const struct panbind_vm *vm, const struct panbind_batch *batch, struct panbind_error *reterr);

/* ---- pending.c ---- */

/** An asynchronous bind whose fence may not have signalled yet: its ops' ranges are off limits for synchronous binds.
 */
struct pb_pending {
	struct pb_pending *next;
	uint64_t point; /* on panbind_vm.timeline */
	size_t count;
	struct pb_region ranges[]; /* sorted and merged */
};

/** The ranges that @batch touches, not yet part of any VM. For free(3). */
int pb_pending_create(const struct panbind_batch *batch, struct pb_pending **ret_pending);
/** Hand it to the VM, which will signal @point of its timeline when it is done. Takes @pending. */
void pb_pending_add(struct panbind_vm *vm, struct pb_pending *pending, uint64_t point);
/** Forget asynchronous binds whose fence has signalled; notices a VM that became unusable. */
int pb_vm_reap(struct panbind_vm *vm);
/** 0, or -EBUSY with the first op of @batch that meets a bind in flight. Reaps first. */
int pb_pending_check(struct panbind_vm *vm, const struct panbind_batch *batch, struct panbind_error *reterr);
void pb_pending_free(struct panbind_vm *vm);

/* ---- undo.c: inverse ops ---- */

/** A walk over what lies in the range of an op before it is done, in order, that gives the ops which put it back. */
struct pb_inverse {
	int (*push)(void *data, const struct panbind_op *op); /* 0 or a negative errno, which ends it */
	void *data;
	bool fill_holes;		/* the op maps something: what is a hole now has to be unmapped */
	const struct pb_vamap *unknown; /* what looks like a hole there is none, and is left alone; may be NULL */
	uint64_t at;			/* from here on; the op's VA at first */
};

/** @data: the struct pb_inverse. */
int pb_inverse_piece(void *data, const struct pb_range *piece);
/** There are no more pieces in front of @end, the end of the range. */
int pb_inverse_end(struct pb_inverse *inverse, uint64_t end);

/**
 * What puts back what ops displaced. The owner of a struct on its stack sets vm and keep and leaves the rest zero.
 *
 * keep: note every op, for a transaction; else only an op that may end half done, so that a failure leaves nothing in
 * between.
 */
struct pb_undo {
	struct panbind_vm *vm;
	bool keep;
	bool lost;		/* there was no memory to note an op (only without keep) */
	struct pb_region blind; /* of what was displaced without being known, the first; size 0: nothing */
	uint32_t unclear_op;	/* index of an op that may be half done in a way the shadow cannot show */
	struct panbind_op *ops; /* inverse ops, those of the first op first; each BO counted */
	uint32_t *of;		/* the op that each one undoes */
	size_t count, room;
	size_t earlier;		 /* notes of earlier binds of the same transaction on this VM */
	uint64_t map_generation; /* of the VM before */
};

#define PB_UNDO_INIT(vm_, keep_)                                                                                    \
	{                                                                                                           \
		.vm = (vm_), .keep = (keep_), .unclear_op = PANBIND_NO_OP, .map_generation = (vm_)->map_generation, \
	}

/**
 * Have all the memory that noting @count ops can take, whatever they displace when they run one after the other, and
 * that recording both them and all that is noted can take. 0 or -ENOMEM.
 */
int pb_undo_reserve(struct pb_undo *undo, const struct panbind_op *ops, size_t count);
/** Note what op @index is about to displace, as the shadow has it now. */
void pb_undo_note(struct pb_undo *undo, uint32_t index, const struct panbind_op *op);
/** Forget all notes: what was done stays. */
void pb_undo_clear(struct pb_undo *undo);
/**
 * Put everything back, last op first. Consumes the notes; poisons the VM when it fails, and then fills @reterr with
 * stage ROLLBACK and the op whose undo failed. @ret_outcome: ROLLED_BACK, PARTIAL or UNKNOWN, always written.
 */
int pb_undo_run(struct pb_undo *undo, enum panbind_outcome *ret_outcome, struct panbind_error *reterr);

/* ---- bind.c ---- */

/** Everything that is checked before a synchronous or asynchronous bind: nothing has been done when this fails. */
int pb_bind_check(struct panbind_vm *vm, const struct panbind_batch *batch, bool async, struct panbind_error *reterr);
/**
 * Submit a checked batch synchronously, in order, resuming after EINTR and EAGAIN, and keep vm->map true for all that
 * is done, also for the part of an op that takes several driver ops.
 *
 * @undo: notes what is displaced; NULL for a rollback, which has its memory already. @ret_done: ops of the batch that
 * are wholly done, always written.
 * @ret_unclear: the failing op may have been half done (failed while executing, not while being checked).
 */
int pb_bind_sync(struct panbind_vm *vm, const struct panbind_batch *batch, struct pb_undo *undo, size_t *ret_done,
		 bool *ret_unclear, struct panbind_error *reterr);
/** Submit a checked batch as one asynchronous VM_BIND. bind_async.c. */
int pb_bind_async(struct panbind_vm *vm, const struct panbind_batch *batch, struct panbind_error *reterr);
/** Check and run one op alone, synchronously: wholly done or, unless the VM is poisoned now, not at all. */
int pb_bind_one(struct panbind_vm *vm, struct panbind_op *op, struct panbind_error *reterr);
/** How many driver ops stand for @op: more than one for large or emulated sparse ranges. bind_lower.c. */
uint64_t pb_driver_ops(const struct panbind_op *op, bool native_sparse);
/** Bytes, aligned, that one driver op of a sparse range covers at most. */
uint64_t pb_sparse_block(bool native);

/* ---- sparse.c ---- */

/** The sparse region that holds all of the range, or NULL. */
const struct pb_region *pb_region_find(const struct panbind_vm *vm, uint64_t va, uint64_t size);
/** What panbind_sparse_reserve(), _bind() and _release() look at before they bind, for who binds by a batch instead. */
int pb_sparse_check_free(const struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr);
int pb_sparse_check_inside(const struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr);
int pb_sparse_check_region(const struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr);
/** Change the list of regions and nothing else. Adding after a removal cannot fail; else 0 or -ENOMEM. */
int pb_region_add(struct panbind_vm *vm, uint64_t va, uint64_t size);
void pb_region_remove(struct panbind_vm *vm, uint64_t va);

#endif /* PB_INTERNAL_H */
