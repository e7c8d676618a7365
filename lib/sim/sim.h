/* SPDX-License-Identifier: MIT */
/*
 * What the rooms of the simulator share: devices, open files, BOs, VMs, and the locks around them.
 *
 * Lock order: sim_vm.op_lock, then sim_file.lock, then sim_device.lock; the lock of a queue, a group or a VM's kernel
 * part last of all.
 * GPU accesses take no lock at all, see sim_mmu.h.
 */
#ifndef SIM_H
#define SIM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend.h"
#include "sim_fault.h"
#include "sim_kernel_va.h"
#include "sim_opts.h"
#include "sim_pt.h"
#include "sim_sync.h"
#include "sim_vma.h"
#include "uapi.h"

#define SIM_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Panthor's own limits for one file. */
#define SIM_MAX_VMS    32u
#define SIM_MAX_GROUPS 128u
/* Accesses of one file that can be in flight at a time. */
#define SIM_PORTS      16u
/* Bytes of fake mmap offsets on a device: DRM_FILE_PAGE_OFFSET_SIZE pages. No BO can be larger. */
#define SIM_MMAP_SPACE (UINT64_C(0xfffff00) * SIM_PAGE_SIZE)
/* AS slot 0 is the firmware's. */
#define SIM_AS_MAX     16u

/* What the GPU has, as DEV_QUERY says it. */
#define SIM_SHADER_PRESENT  UINT64_C(0x50005)
#define SIM_TILER_PRESENT   UINT64_C(0x1)
#define SIM_CS_SLOTS	    8u /* queues of a group */
#define SIM_CACHE_LINE_LOG2 6u

/* ---- Devices: sim_device.c ---- */

struct sim_probe {
	pb_as_probe_fn *fn;
	void *data;
};

struct sim_device {
	struct sim_options options;
	uint64_t serial; /* tells the devices of one process apart */
	unsigned refs;	 /* files; guarded by the registry's lock */
	struct sim_device *next;

	pthread_mutex_t lock;
	struct sim_vmas by_host;   /* BOs by the address of their memory */
	struct sim_vmas by_offset; /* BOs by fake mmap offset */
	uint64_t next_offset;	   /* where the search for a free fake offset starts */
	struct sim_vm *slots[SIM_AS_MAX];

	pthread_mutex_t probe_lock;
	pthread_cond_t probe_idle;
	struct sim_probe probe;
	unsigned probe_calls; /* in progress */
	atomic_bool probed;

	struct sim_faults faults;
	_Atomic uint64_t next_serial; /* of VMs */
};

/** A new device, or the one that has this name already. -EINVAL when the options contradict it. */
int sim_device_get(const struct sim_options *options, struct sim_device **ret_device, struct panbind_error *reterr);
void sim_device_put(struct sim_device *device);

/* ---- Open files: sim.c ---- */

/* One access in flight: the port's owner, what it touches, and a count so that no two accesses look the same. */
struct sim_port {
	_Alignas(64) _Atomic uint64_t value;
};

struct sim_file {
	struct pb_file base;
	struct sim_device *device;
	struct sim_syncs *syncs;

	pthread_mutex_t lock;
	struct sim_bo **handles; /* by handle - 1 */
	uint64_t *used;		 /* a bit for each handle */
	uint32_t handle_room;
	uint32_t first_word;  /* of `used` that may have a free handle */
	struct sim_bo *dummy; /* 2 MiB behind MAP_SPARSE; made on first use */
	uint64_t mmio_offset;
	struct sim_vm *zombies;			      /* destroyed, with work still queued */
	struct sim_group *groups[SIM_MAX_GROUPS + 1]; /* by handle, from 1 */

	struct sim_vm *_Atomic vms[SIM_MAX_VMS + 1]; /* by id; changed under the lock, read by ports without it */
	struct sim_port ports[SIM_PORTS];
};

/** Serve an ioctl: @arg has our size, and goes back to the caller. @nth: of its name on this device, from 1. */
typedef int sim_ioctl_fn(struct sim_file *file, void *arg, uint64_t nth);

/** An ioctl as the dispatcher knows it. */
struct sim_ioctl {
	const char *name;
	unsigned long request;
	unsigned minor;	  /* driver version 1.minor that brought it */
	sim_ioctl_fn *fn; /* NULL: sim_syncs_ioctl() */
};

/** Row of the ioctl called @name, or -ENOENT. */
int sim_ioctl_row(const char *name, size_t length);
size_t sim_ioctl_rows(void);

/* ---- BOs: sim_bo.c, sim_handle.c, sim_prime.c, sim_mmap.c ---- */

/* A handle on a file; a BO has one on each file that knows it. */
struct sim_opening {
	struct sim_opening *next;
	const struct sim_file *file;
	uint32_t handle;
};

struct sim_bo {
	atomic_uint refs; /* handles, VMAs, ops in progress */
	struct sim_device *device;
	uint64_t size;
	uint32_t flags;
	uint64_t exclusive; /* serial of the only VM that may map it, or 0 */
	bool imported;
	uint8_t *mem;
	int fd;	   /* memfd, or -1 when fds are scarce */
	dev_t dev; /* which memory it is: the identity of the dma-buf */
	ino_t ino;
	uint64_t mmap_offset;
	/* Guarded by device->lock. */
	struct sim_opening *openings;
	char *label;
};

/** Pages of zeros. @size is rounded up. Errors as drm_gem_shmem_create(). */
int sim_bo_create(struct sim_device *device, uint64_t size, uint32_t flags, struct sim_bo **ret_bo);
/** A BO around the memory of @fd, which stays the caller's. */
int sim_bo_wrap(struct sim_device *device, int fd, uint32_t flags, bool imported, struct sim_bo **ret_bo);
struct sim_bo *sim_bo_get(struct sim_bo *bo);
/** Another reference, unless the last one has just gone. Needs device->lock. */
bool sim_bo_get_unless_zero(struct sim_bo *bo);
void sim_bo_put(struct sim_bo *bo);

/** A new handle, the lowest that is free; it holds its own reference. The _locked form needs file->lock. */
int sim_handle_create(struct sim_file *file, struct sim_bo *bo, uint32_t *ret_handle);
int sim_handle_create_locked(struct sim_file *file, struct sim_bo *bo, uint32_t *ret_handle);
/** A reference on what the handle stands for, or NULL. */
struct sim_bo *sim_handle_find(struct sim_file *file, uint32_t handle);
/** The handle of a BO on this file, or 0. Needs device->lock. */
uint32_t sim_handle_of(const struct sim_file *file, struct sim_bo *bo);
void sim_handles_close(struct sim_file *file);

sim_ioctl_fn sim_bo_create_ioctl;
sim_ioctl_fn sim_bo_mmap_offset_ioctl;
sim_ioctl_fn sim_bo_set_label_ioctl;
sim_ioctl_fn sim_bo_sync_ioctl;
sim_ioctl_fn sim_bo_query_info_ioctl;
sim_ioctl_fn sim_gem_close_ioctl;
sim_ioctl_fn sim_handle_to_fd_ioctl;
sim_ioctl_fn sim_fd_to_handle_ioctl;

/** A new empty memfd, named so that an import recognises it. Negative errno on failure. */
int sim_prime_memfd(const struct sim_device *device, uint32_t flags);
/** Another open file on the same memory, close-on-exec. Negative errno on failure. */
int sim_prime_reopen(int fd, int mode);
sim_ioctl_fn sim_set_user_mmio_offset_ioctl;
int sim_mmap(struct pb_file *pf, uint64_t offset, size_t size, int prot, void **ret_ptr);
/** The same for a caller in another process: a fd, which is its receiver's, to map from 0 on; or a negative errno. */
int sim_mmap_fd(struct pb_file *pf, uint64_t offset, size_t size, int prot, bool shared);
/** Find room in the space of fake offsets and remember the BO there. Needs device->lock. -ENOSPC, -ENOMEM. */
int sim_mmap_add(struct sim_device *device, struct sim_bo *bo);

/* ---- Queries: sim_query.c ---- */

sim_ioctl_fn sim_version_ioctl;
sim_ioctl_fn sim_get_cap_ioctl;
sim_ioctl_fn sim_dev_query_ioctl;

/* ---- VMs: sim_vm.c ---- */

/* Counters of the accesses through one port; only the port's owner writes. */
struct sim_counters {
	_Alignas(64) _Atomic uint64_t loads;
	_Atomic uint64_t stores, stalls, faults;
};

struct sim_queue;
struct sim_heap_pool;

struct sim_vm {
	atomic_uint refs;
	struct sim_device *device;
	struct sim_file *file;
	struct sim_vm *next_zombie;
	uint32_t id;
	uint64_t serial;
	uint64_t va_range; /* the user's part starts at 0 */
	atomic_bool unusable, destroyed;
	struct sim_queue *queue; /* asynchronous binds; made on first use under file->lock */

	pthread_mutex_t op_lock;
	struct sim_vmas vmas;
	struct sim_pt pt;

	/* What the driver itself keeps in the VM, above va_range; nothing of it is in the page table. */
	pthread_mutex_t kernel_lock;
	struct sim_kernel_va kernel_va;
	struct sim_heap_pool *heap_pool; /* made for the first tiler heap */

	atomic_int as;		 /* slot, or -1 */
	_Atomic uint64_t locked; /* the AS's lock register: region and width, 0 when unlocked */
	_Atomic uint64_t locks, unlocks, flushes;
	struct sim_counters counters[SIM_PORTS];
};

sim_ioctl_fn sim_vm_create_ioctl;
sim_ioctl_fn sim_vm_destroy_ioctl;
sim_ioctl_fn sim_vm_get_state_ioctl;
/** A reference on the VM of an id, or NULL. */
struct sim_vm *sim_vm_get(struct sim_file *file, uint32_t id);
void sim_vm_put(struct sim_vm *vm);
/** Destroy all VMs of a file that is being closed; work still queued is cut short. */
void sim_vms_close(struct sim_file *file);

/* ---- VM_BIND: sim_bind.c, sim_async.c ---- */

sim_ioctl_fn sim_vm_bind_ioctl;
int sim_bind_async(struct sim_file *file, const struct pb_uapi_vm_bind *args, uint64_t nth);

/** Wait for the queue's thread to end: @kill: without waiting for fences. Frees the queue. */
void sim_queue_finish(struct sim_queue *queue, bool kill);
/** No more jobs will come. Returns true when none is left. */
bool sim_queue_stop(struct sim_queue *queue);

/* ---- Groups and tiler heaps: sim_group.c, sim_group_queue.c, sim_heap.c ---- */

sim_ioctl_fn sim_group_create_ioctl;
sim_ioctl_fn sim_group_destroy_ioctl;
sim_ioctl_fn sim_group_submit_ioctl;
sim_ioctl_fn sim_group_get_state_ioctl;
sim_ioctl_fn sim_tiler_heap_create_ioctl;
sim_ioctl_fn sim_tiler_heap_destroy_ioctl;
/** May the caller make groups of this priority? 0, -EINVAL there is none such, -EACCES. */
int sim_group_priority_permit(const struct sim_options *options, unsigned priority);
/** Destroy all groups of a file that is being closed; what is queued in them ends when its fences have. */
void sim_groups_close(struct sim_file *file);
/** Free a VM's tiler heaps, if it has any. */
void sim_heaps_fini(struct sim_vm *vm);

/**
 * A range for an object that the driver keeps in the VM, @size rounded up to pages (driver:
 * panthor_kernel_bo_create()). -ENOSPC no room in the kernel's part, -ENOMEM, -EINVAL on an unusable VM.
 */
int sim_kernel_bo_create(struct sim_vm *vm, uint64_t size, struct sim_kernel_node **ret_node);
/** Give it back. NULL is fine. */
void sim_kernel_bo_destroy(struct sim_vm *vm, struct sim_kernel_node *node);

#endif /* SIM_H */
