/* SPDX-License-Identifier: MIT */
/*
 * panbind.h - change GPU page tables through panthor's VM_BIND, safely
 *
 * libpanbind owns the protocol: it fills the ioctls, resumes what a signal interrupted, knows what is mapped where, and
 * undoes what failed halfway. The caller owns policy: which VA, which BO, when, and on which thread.
 *
 * Conventions, unless a function says otherwise:
 *
 *  - A function that can fail returns 0 or a negative errno. Out-parameters are named ret_*, and are untouched on
 *    failure. A last parameter `reterr` may be NULL; on failure it is filled with the stage, the op and a sentence.
 *  - Addresses (VA), offsets and sizes are bytes. VA, BO offsets of mappings and sizes of mappings are multiples of
 *    PANBIND_PAGE_SIZE. Ranges are half open: [va, va + size).
 *  - `destroy(NULL)`, `unref(NULL)` and `free(NULL)` do nothing.
 *  - Children go first: a VM, BO or syncobj holds its device alive, a batch holds its BOs alive.
 *  - Threads: objects of different devices are independent. On one device, several threads may work at once as long as
 *    no two of them use the same VM, batch, transaction, script or session. panbind_vm_gpu_load() and
 *    panbind_vm_gpu_store() may run beside anything, also beside a bind of the same VM: that is what they are for.
 *  - Nothing here prints, exits, changes signal masks, or keeps state outside the objects below.
 */
#ifndef PANBIND_H
#define PANBIND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is declared here is what the shared library shows; all else in it is compiled hidden. */
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define PANBIND_VERSION_MAJOR 0
#define PANBIND_VERSION_MINOR 1

/** The GPU page size that every driver version supports, in bytes. */
#define PANBIND_PAGE_SIZE    4096u
/** Size and alignment of the dummy backing behind sparse ranges, in bytes. */
#define PANBIND_SPARSE_BLOCK (2u << 20)

struct panbind_device;
struct panbind_vm;
struct panbind_bo;
struct panbind_syncobj;
struct panbind_batch;
struct panbind_plan;
struct panbind_txn;
struct panbind_script;
struct panbind_session;

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

/** Where in the life of a command an error was found. */
enum panbind_stage {
	PANBIND_STAGE_NONE = 0,
	PANBIND_STAGE_PARSE,	/* the text is not a command */
	PANBIND_STAGE_VALIDATE, /* refused before anything was submitted */
	PANBIND_STAGE_SUBMIT,	/* the driver refused or failed the ioctl */
	PANBIND_STAGE_COMPLETE, /* accepted, failed later (asynchronous binds) */
	PANBIND_STAGE_ROLLBACK, /* the undo of an earlier failure failed */
	PANBIND_STAGE_JOURNAL,	/* the log could not record it */
};

/** No op of a batch is to blame. */
#define PANBIND_NO_OP UINT32_MAX

/** What went wrong, where. Caller-allocated; filled on failure only; holds no pointers. */
struct panbind_error {
	int code; /* negative errno, what the function returned */
	enum panbind_stage stage;
	uint32_t op;	       /* index of the failing op in its batch, or PANBIND_NO_OP */
	uint32_t line, column; /* 1-based place in a script or spec, 0 when there is none */
	uint64_t va, size;     /* the range in question, size 0 when there is none */
	char file[96];	       /* name of the script, empty when there is none (its tail when it is longer) */
	char msg[160];	       /* one sentence without a newline or final full stop */
};

/** Name of a stage in lower case, "parse" to "journal". Never NULL. */
const char *panbind_stage_name(enum panbind_stage stage);

/** Name of an errno, positive or negative: "EINVAL"; "E?" when unknown. Never NULL. */
const char *panbind_errno_name(int err);

/** The errno (positive) of a name such as "EINVAL", or 0 when there is none. */
int panbind_errno_from_name(const char *name);

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

/**
 * Open a device.
 *
 * @spec: "drm:PATH" (a render node), "drm:auto" (the first panthor render node), or "sim:OPTIONS", the simulator:
 *        comma-separated minor=N (0 to 9, default 9), kernel=X.Y (the Linux around it, from 6.10 on; default one with
 * that driver), va-bits=N (33 to 48, default 48), as-slots=N (1 to 15, default 7, address spaces for user VMs),
 * atomic=on|off (default on), name=TEXT (opens with the same name in one process share the device, as opens of one node
 * do), fault=PLAN (repeatable; see panbind(1)). The simulator is never chosen unless it is named. "node:FOLDER": one in
 * another process, see panbind-sim.h.
 *
 * Errors: -EINVAL bad spec (column says where), -ENODEV no panthor device, and what open(2) gives.
 */
int panbind_device_open(const char *spec, struct panbind_device **ret_device, struct panbind_error *reterr);

/**
 * Use a render node that the caller has open. The fd is duplicated; the caller keeps its own. A node that another
 * process simulates (panbind-sim.h) is one too.
 *
 * VMs and BOs that exist on that open file are not touched. Errors: -EBADF, -ENODEV when it is not panthor.
 */
int panbind_device_open_fd(int fd, struct panbind_device **ret_device, struct panbind_error *reterr);

/** Is it an open file of a render node, a simulated one included? Whether panthor drives it is another matter. 0 or 1.
 */
int panbind_fd_is_render_node(int fd);

struct panbind_device *panbind_device_ref(struct panbind_device *device);
void panbind_device_unref(struct panbind_device *device);

/** Three answers to a question about a kernel. */
enum panbind_tristate { PANBIND_NO = 0, PANBIND_YES = 1, PANBIND_UNKNOWN = 2 };

/** What a device is and can do. */
struct panbind_device_info {
	char backend[8];				      /* "drm", "sim" or "node" */
	char path[64];					      /* render node, or empty */
	char driver[16];				      /* "panthor" */
	int version_major, version_minor, version_patchlevel; /* DRM driver version; minor is the feature level */
	uint32_t gpu_id, gpu_rev, csf_id, mmu_features, as_present;
	uint64_t shader_present, l2_present, tiler_present;
	uint32_t va_bits, pa_bits;
	uint64_t page_sizes;		     /* bit n: pages of 1 << n bytes (4 KiB and 2 MiB below driver 1.9) */
	uint32_t max_vms;		     /* per open file */
	uint32_t csg_slots, cs_slots;	     /* command stream groups, and streams in each */
	enum panbind_tristate atomic;	     /* page table updates are atomic for the GPU, one op at a time */
	enum panbind_tristate native_sparse; /* MAP_SPARSE, driver 1.9 */
	enum panbind_tristate bo_labels;     /* BO_SET_LABEL, driver 1.4 */
};

/**
 * Fill in what is known of a device. `atomic`: the simulator knows; a kernel says it in
 * /sys/module/panthor/parameters/atomic_updates, if it has that file; else a driver of 1.7 or newer has it, and below
 * that it cannot be told from outside (PANBIND_UNKNOWN) unless panbind_device_assume_atomic() was called.
 */
int panbind_device_get_info(struct panbind_device *device, struct panbind_device_info *ret_info);

/** State what the caller knows of a patched kernel. Changes only what is reported and planned. */
void panbind_device_assume_atomic(struct panbind_device *device, enum panbind_tristate atomic);

/** One render node that panbind can open, as listed by panbind_devices(). */
struct panbind_node {
	char path[64];
	char driver[16];
	int version_major, version_minor, version_patchlevel;
	enum panbind_tristate atomic; /* as panbind_device_get_info() has it */
};

/**
 * List the panthor render nodes of this machine.
 *
 * @nodes: room for @max entries, or NULL to count. Returns the number found (may exceed @max) or a negative errno.
 */
int panbind_devices(struct panbind_node *nodes, size_t max);

/* ---- Buffer objects ---------------------------------------------------------------------------------------------- */

#define PANBIND_BO_NO_MMAP (1u << 0) /* the CPU will never map it */
#define PANBIND_BO_WB_MMAP (1u << 1) /* CPU mappings are write-back cached (driver 1.7) */

/**
 * Create a BO of @size bytes, rounded up to pages. The caller holds one reference; each live mapping of it in a VM's
 * shadow holds another, so that a rollback can put it back. The GEM handle is closed with the last reference.
 *
 * @exclusive_vm: the only VM that may map it, or NULL. Such a BO cannot be exported.
 * Errors: -EINVAL size 0 or unknown flags or a VM of another device, -EOPNOTSUPP a flag the driver does not have,
 * -ENOSPC, -ENOMEM.
 */
int panbind_bo_create(struct panbind_device *device, uint64_t size, uint32_t flags, struct panbind_vm *exclusive_vm,
		      struct panbind_bo **ret_bo, struct panbind_error *reterr);

/** Import a dma-buf. The fd stays the caller's. Importing a BO of this device again gives the same object, one more
 * ref. */
int panbind_bo_import(struct panbind_device *device, int dmabuf_fd, struct panbind_bo **ret_bo,
		      struct panbind_error *reterr);

/** Export as a dma-buf (close-on-exec); the fd is the caller's. -EINVAL when the BO is exclusive to a VM. */
int panbind_bo_export(struct panbind_bo *bo, int *ret_fd);

struct panbind_bo *panbind_bo_ref(struct panbind_bo *bo);
void panbind_bo_unref(struct panbind_bo *bo);

uint64_t panbind_bo_size(const struct panbind_bo *bo);
uint32_t panbind_bo_flags(const struct panbind_bo *bo);
/** The GEM handle on the device's open file; for programs that share their own fd. */
uint32_t panbind_bo_handle(const struct panbind_bo *bo);

/**
 * Name the BO, up to 4095 bytes. Kept in the object; also given to the driver from 1.4 on (below that silently not).
 * Errors: -E2BIG too long, -ENOMEM.
 */
int panbind_bo_set_label(struct panbind_bo *bo, const char *label);
/** The label, or NULL. Valid until it is set again or the BO goes. */
const char *panbind_bo_label(const struct panbind_bo *bo);

/**
 * Which of the BOs that had the same name one after the other this is, for a host that counts them; 0 until it is set.
 * It tells BOs apart when states are compared, and means nothing to the library otherwise.
 */
void panbind_bo_set_generation(struct panbind_bo *bo, uint64_t generation);
uint64_t panbind_bo_generation(const struct panbind_bo *bo);
/** The last name that a session took away from it, or NULL. Valid as long as its next one is not taken away. */
const char *panbind_bo_last_name(const struct panbind_bo *bo);

/**
 * Map the whole BO into the CPU's address space, read and write; one mapping is kept and shared by all callers, and
 * goes with the BO. -EINVAL for PANBIND_BO_NO_MMAP.
 */
int panbind_bo_mmap(struct panbind_bo *bo, void **ret_ptr);

/* ---- Syncobjs ---------------------------------------------------------------------------------------------------- */

/** Create a DRM syncobj; @signaled: with a signalled fence in it. */
int panbind_syncobj_create(struct panbind_device *device, int signaled, struct panbind_syncobj **ret_syncobj);
struct panbind_syncobj *panbind_syncobj_ref(struct panbind_syncobj *syncobj);
void panbind_syncobj_unref(struct panbind_syncobj *syncobj);
uint32_t panbind_syncobj_handle(const struct panbind_syncobj *syncobj);

/** Remove the fence, whatever it is. */
int panbind_syncobj_reset(struct panbind_syncobj *syncobj);
/** Signal: @point 0 for a binary syncobj, else that point of a timeline. */
int panbind_syncobj_signal(struct panbind_syncobj *syncobj, uint64_t point);
/** The last signalled point of a timeline. */
int panbind_syncobj_query(struct panbind_syncobj *syncobj, uint64_t *ret_point);

#define PANBIND_WAIT_ALL       (1u << 0) /* all of them, not any */
#define PANBIND_WAIT_FOR_FENCE (1u << 1) /* a syncobj without a fence is waited for, not an error */
#define PANBIND_WAIT_AVAILABLE (1u << 2) /* until the fence is there, signalled or not; timelines only */

/**
 * Wait on @count syncobjs.
 *
 * @points: timeline points, or NULL for binary. @timeout_ns: relative, INT64_MAX for ever, 0 to poll.
 * @ret_first: index of the first one signalled, may be NULL. A signal handler does not end the wait.
 * Errors: -ETIME; -EINVAL a syncobj without a fence and no PANBIND_WAIT_FOR_FENCE.
 * A fence that carries an error counts as signalled: see panbind_vm_get_state().
 */
int panbind_syncobj_wait(struct panbind_syncobj *const *syncobjs, const uint64_t *points, uint32_t count,
			 uint32_t flags, int64_t timeout_ns, uint32_t *ret_first);

/**
 * The error a finished fence carries: 0 or negative errno in @ret_status, 1 while it is pending.
 * Binary syncobjs only (through a sync file). Ask while the VM or group that the fence is of lives: a driver without
 * the fix in kernel/patches lets the fence name a scheduler that is freed with it, and the kernel may crash.
 */
int panbind_syncobj_fence_status(struct panbind_syncobj *syncobj, int *ret_status);

/* ---- VMs --------------------------------------------------------------------------------------------------------- */

/**
 * Create a GPU VM.
 *
 * @user_va_range: bytes of VA wanted, 0 to let the driver choose; panbind_vm_va_range() has what was given, which may
 * be more. Errors: -EINVAL too large, -EBUSY more than 32 VMs on this open file (driver: panthor_vm_pool_create_vm()).
 */
int panbind_vm_create(struct panbind_device *device, uint64_t user_va_range, struct panbind_vm **ret_vm,
		      struct panbind_error *reterr);
/** Destroy the VM and all mappings in it. GPU work that still uses it faults. */
void panbind_vm_destroy(struct panbind_vm *vm);

uint32_t panbind_vm_id(const struct panbind_vm *vm);
uint64_t panbind_vm_va_range(const struct panbind_vm *vm);
struct panbind_device *panbind_vm_device(const struct panbind_vm *vm);

enum panbind_vm_state {
	PANBIND_VM_USABLE = 0,
	PANBIND_VM_UNUSABLE = 1, /* the driver gave it up after a failed asynchronous bind: for good */
	PANBIND_VM_POISONED = 2, /* a rollback failed: panbind no longer knows its mapping */
};

/**
 * Wait until the asynchronous binds of a VM are over; panbind_vm_get_state() then tells whether they went well.
 * @timeout_ns: relative, INT64_MAX for ever, 0 to poll. -ETIME: some are in flight.
 */
int panbind_vm_wait(struct panbind_vm *vm, int64_t timeout_ns);

/** Ask the driver, and remember what it says. */
int panbind_vm_get_state(struct panbind_vm *vm, enum panbind_vm_state *ret_state);
const char *panbind_vm_state_name(enum panbind_vm_state state);
/** Why a poisoned VM is refused, or NULL. */
const char *panbind_vm_poison_reason(const struct panbind_vm *vm);

#define PANBIND_MAP_READONLY (1u << 0)
#define PANBIND_MAP_NOEXEC   (1u << 1)
#define PANBIND_MAP_UNCACHED (1u << 2)

/** One contiguous piece of a VM: a BO, or a sparse range without one. */
struct panbind_mapping {
	uint64_t va, size;
	struct panbind_bo *bo; /* borrowed; NULL for a sparse range */
	uint64_t bo_offset;    /* 0 for a sparse range */
	uint32_t flags;	       /* PANBIND_MAP_* */
	int sparse;
};

/**
 * Find the first mapping that ends after @va; panbind_vm_next_mapping(vm, m.va + m.size, &m) walks on.
 * O(log n). Includes what asynchronous binds in flight will do, as if they had. Returns 0 or -ENOENT.
 */
int panbind_vm_next_mapping(struct panbind_vm *vm, uint64_t va, struct panbind_mapping *ret_mapping);
/** How many mappings there are. */
size_t panbind_vm_mapping_count(const struct panbind_vm *vm);

/**
 * Which state of its mapping the VM is in: a number that every change makes larger, on one device never the same for
 * two states. A transaction that is rolled back leaves it as it was. Who has looked and wants to change only what was
 * seen compares it.
 */
uint64_t panbind_vm_map_generation(const struct panbind_vm *vm);
/** A host that numbers changes itself, in a log, says the number of the last one. Later changes get larger ones. */
void panbind_vm_set_map_generation(struct panbind_vm *vm, uint64_t generation);

#include "panbind-adopt.h"

/* ---- Batches ----------------------------------------------------------------------------------------------------- */

enum panbind_op_type { PANBIND_OP_MAP = 0, PANBIND_OP_UNMAP, PANBIND_OP_MAP_SPARSE, PANBIND_OP_SYNC_ONLY };

/** A wait or a signal of an asynchronous op. */
struct panbind_sync {
	struct panbind_syncobj *syncobj;
	uint64_t point; /* 0: binary */
	int signal;	/* else wait */
};

/** One op as a batch holds it. */
struct panbind_op {
	enum panbind_op_type type;
	uint32_t flags; /* PANBIND_MAP_* */
	uint64_t va, size;
	struct panbind_bo *bo; /* borrowed from the batch */
	uint64_t bo_offset;
	const struct panbind_sync *syncs;
	uint32_t sync_count;
};

/** An ordered list of ops for one VM. Knows no device; touches nothing. Holds a reference on each BO and syncobj. */
int panbind_batch_create(struct panbind_batch **ret_batch);
void panbind_batch_destroy(struct panbind_batch *batch);
/** Forget all ops, keep the memory. */
void panbind_batch_clear(struct panbind_batch *batch);
size_t panbind_batch_count(const struct panbind_batch *batch);
/** The op at @index, or NULL. Valid until the batch changes. */
const struct panbind_op *panbind_batch_op(const struct panbind_batch *batch, size_t index);

/**
 * Add an op. -EINVAL for what no VM can take (size 0, not page aligned, wrapping, unknown flags, beyond the BO), which
 * the driver in part silently accepts; -ENOMEM. The batch is unchanged on failure.
 */
int panbind_batch_map(struct panbind_batch *batch, uint64_t va, uint64_t size, struct panbind_bo *bo,
		      uint64_t bo_offset, uint32_t flags, struct panbind_error *reterr);
int panbind_batch_unmap(struct panbind_batch *batch, uint64_t va, uint64_t size, struct panbind_error *reterr);
int panbind_batch_map_sparse(struct panbind_batch *batch, uint64_t va, uint64_t size, struct panbind_error *reterr);
int panbind_batch_sync_only(struct panbind_batch *batch);
/**
 * Have the batch do the same with fewer ops: ops that continue each other in VA, BO and offset with equal flags become
 * one, unmaps and sparse maps that touch become one, and ops that later ones overwrite, all of them, are dropped, such
 * as the unmap before a map of the same range. The mapping at the end is the same, page by page; the states in between
 * are fewer, since each op is atomic for the GPU. Nothing moves across a wait or a signal. Merging again does nothing.
 * O(n log n). -ENOMEM, and then nothing has changed.
 */
int panbind_batch_merge(struct panbind_batch *batch);
/**
 * Which ops, as they were added, op @index of a merged batch stands for: the lowest index and how many; either may be
 * NULL. 0 or -ENOENT.
 */
int panbind_batch_origin(const struct panbind_batch *batch, size_t index, uint32_t *ret_first, uint32_t *ret_count);
/** Attach a wait or a signal to the op added last. -EINVAL when there is none. Asynchronous binds only. */
int panbind_batch_wait(struct panbind_batch *batch, struct panbind_syncobj *syncobj, uint64_t point);
int panbind_batch_signal(struct panbind_batch *batch, struct panbind_syncobj *syncobj, uint64_t point);

/* ---- Binding ----------------------------------------------------------------------------------------------------- */

#define PANBIND_BIND_ASYNC (1u << 0)

/**
 * Submit a batch, first op first, without a transaction around it.
 *
 * Checked whole against @vm before anything is submitted (stage VALIDATE, nothing done). A synchronous bind that a
 * signal interrupts is resumed at the op where it stopped. A synchronous bind that fails at op i leaves the ops before
 * it in place: reterr->op is i, stage SUBMIT. Op i itself is put back when it may have been half done, and the VM is
 * poisoned when that fails. An asynchronous bind (PANBIND_BIND_ASYNC) is taken whole or refused
 * whole; what fails later shows in its fences and in panbind_vm_get_state().
 *
 * Errors: -EINVAL empty batch or bad op; -EBUSY the range of an asynchronous bind in flight is touched synchronously;
 * -EUCLEAN the VM is poisoned or unusable; else the driver's.
 */
int panbind_vm_bind(struct panbind_vm *vm, const struct panbind_batch *batch, uint32_t flags,
		    struct panbind_error *reterr);

/** One op without a batch, synchronous. The shortest way in. */
int panbind_vm_map(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_bo *bo, uint64_t bo_offset,
		   uint32_t flags, struct panbind_error *reterr);
int panbind_vm_unmap(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr);

/* ---- Transactions ------------------------------------------------------------------------------------------------ */

/** What became of a transaction. */
enum panbind_outcome {
	PANBIND_OUTCOME_APPLIED = 0,
	PANBIND_OUTCOME_ROLLED_BACK, /* failed; the mapping is what it was before */
	PANBIND_OUTCOME_PARTIAL,     /* failed; some ops remain, the shadow knows which; the VM is poisoned */
	PANBIND_OUTCOME_UNKNOWN,     /* failed; the mapping of some range is not known; the VM is poisoned */
};
const char *panbind_outcome_name(enum panbind_outcome outcome);

/**
 * All or nothing, after return: run a batch synchronously; when op i fails, undo ops i to 0 with inverse ops.
 *
 * While it runs the GPU sees the ops one by one: see panbind_plan_create() for what is atomic. @ret_outcome (may be
 * NULL) is always written. reterr describes the first failure, or, when the rollback failed too, stage ROLLBACK with
 * the op whose undo failed. Returns 0 only for APPLIED.
 */
int panbind_txn_run(struct panbind_vm *vm, const struct panbind_batch *batch, enum panbind_outcome *ret_outcome,
		    struct panbind_error *reterr);

/**
 * The same in steps and over several VMs of one device: begin, run batches, then commit or roll back.
 * A panbind_txn_bind() that fails undoes its own ops and leaves the transaction open; the caller decides.
 * Between begin and end the VMs it touched must not be bound otherwise.
 */
int panbind_txn_begin(struct panbind_device *device, struct panbind_txn **ret_txn);
int panbind_txn_bind(struct panbind_txn *txn, struct panbind_vm *vm, const struct panbind_batch *batch,
		     enum panbind_outcome *ret_outcome, struct panbind_error *reterr);
/** Sparse ops in a transaction: as panbind_sparse_reserve() and the others below, and undone with the rest. */
int panbind_txn_sparse_reserve(struct panbind_txn *txn, struct panbind_vm *vm, uint64_t va, uint64_t size,
			       enum panbind_outcome *ret_outcome, struct panbind_error *reterr);
int panbind_txn_sparse_bind(struct panbind_txn *txn, struct panbind_vm *vm, uint64_t va, uint64_t size,
			    struct panbind_bo *bo, uint64_t bo_offset, uint32_t flags,
			    enum panbind_outcome *ret_outcome, struct panbind_error *reterr);
int panbind_txn_sparse_unbind(struct panbind_txn *txn, struct panbind_vm *vm, uint64_t va, uint64_t size,
			      enum panbind_outcome *ret_outcome, struct panbind_error *reterr);
int panbind_txn_sparse_release(struct panbind_txn *txn, struct panbind_vm *vm, uint64_t va, uint64_t size,
			       enum panbind_outcome *ret_outcome, struct panbind_error *reterr);
/**
 * Let others bind the VMs, and keep what an undo needs: for who cannot know yet whether the work may stay, such as a
 * log that has not been synced. End it with commit or rollback as ever, before any of its VMs is destroyed. Roll back
 * the last bind of a VM first: detached transactions of one VM in the reverse order of their binds, with no other bind
 * after them left in place. Nothing may be bound in it any more.
 */
void panbind_txn_detach(struct panbind_txn *txn);
/** Keep what was done and free the transaction. */
void panbind_txn_commit(struct panbind_txn *txn);
/** Undo what was done, last first, and free the transaction. @ret_outcome: ROLLED_BACK, PARTIAL or UNKNOWN. */
int panbind_txn_rollback(struct panbind_txn *txn, enum panbind_outcome *ret_outcome, struct panbind_error *reterr);

/* ---- Sparse regions ---------------------------------------------------------------------------------------------- */

/**
 * Reserve a range: backed by a dummy, so that a GPU read hits memory of no meaning and a write is lost, never a fault.
 *
 * Driver 1.9: one MAP_SPARSE op. Below: one 2 MiB dummy BO a device, mapped again and again, offset va mod 2 MiB.
 * The range must not touch a mapping or another region (-EEXIST, reterr has the mapping in the way). All or nothing.
 */
int panbind_sparse_reserve(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr);
/** Back [va, va + size) of a region with memory: one op, never a hole. -ENOENT when it is not inside one region. */
int panbind_sparse_bind(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_bo *bo, uint64_t bo_offset,
			uint32_t flags, struct panbind_error *reterr);
/** Give it back to the dummy, never a hole: one op; below 1.9 one for each 2 MiB block touched. */
int panbind_sparse_unbind(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr);
/** Unmap a region as it was reserved, with all that is bound in it. -ENOENT when there is no such region. */
int panbind_sparse_release(struct panbind_vm *vm, uint64_t va, uint64_t size, struct panbind_error *reterr);
/** The first region that ends after @va. Returns 0 or -ENOENT. */
int panbind_sparse_next_region(struct panbind_vm *vm, uint64_t va, uint64_t *ret_va, uint64_t *ret_size);

#include "panbind-plan.h"

/* ---- The GPU's view (simulated devices) -------------------------------------------------------------------------- */

/** Counters of a simulated address space. All are totals since the VM was created. */
struct panbind_gpu_stats {
	uint64_t loads, stores;		  /* accesses that reached memory */
	uint64_t stalls;		  /* accesses that waited for a locked region */
	uint64_t faults;		  /* accesses that found no mapping, or a read-only one */
	uint64_t locks, unlocks, flushes; /* AS commands */
};

/**
 * Make the VM resident: give it an address-space slot, as a running job does (driver: panthor_vm_active()), or let it
 * go idle again. Without a slot no AS command is issued. -EOPNOTSUPP on a real device, where jobs do that.
 */
int panbind_vm_gpu_resident(struct panbind_vm *vm, int resident);

/**
 * Load or store @size bytes (1, 2, 4 or 8, naturally aligned) at @va as the GPU would: through the VM's page tables,
 * waiting while the range is locked. The VM must be resident. Any thread, beside binds.
 * Errors: -EFAULT no mapping there (or a store to a read-only one), -EINVAL size or alignment, -ENXIO not resident,
 * -EOPNOTSUPP on a real device.
 */
int panbind_vm_gpu_load(struct panbind_vm *vm, uint64_t va, void *ret_value, size_t size);
int panbind_vm_gpu_store(struct panbind_vm *vm, uint64_t va, const void *value, size_t size);
int panbind_vm_gpu_stats(struct panbind_vm *vm, struct panbind_gpu_stats *ret_stats);

#include "panbind-script.h"
#include "panbind-state.h"

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif /* PANBIND_H */
