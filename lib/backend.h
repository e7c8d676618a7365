/* SPDX-License-Identifier: MIT */
/*
 * The seam between the library and whatever answers ioctls: a kernel, or the simulator.
 *
 * Both sides speak the DRM ABI of uapi.h and <drm.h>, so that the code that fills strides, counts and sync arrays is
 * the code that is tested. A backend is a const vtable and a name; nothing chooses one but the "NAME:" of a device
 * spec.
 */
#ifndef PB_BACKEND_H
#define PB_BACKEND_H

#include <stddef.h>
#include <stdint.h>

struct panbind_error;
struct panbind_gpu_stats;
struct panbind_node;

/** One open file on a device. Backends embed it first in their own struct. */
struct pb_file {
	const struct pb_backend *backend;
};

/** One page as the hardware would walk to it. */
struct pb_page {
	uint64_t va;	    /* of the page */
	uint64_t size;	    /* 4 KiB or 2 MiB */
	uint32_t bo_handle; /* 0: the backing has no handle on this file (the dummy behind MAP_SPARSE, a closed BO) */
	uint64_t bo_offset;
	uint32_t flags;	 /* DRM_PANTHOR_VM_BIND_OP_MAP_* */
	int dummy;	 /* backed by the driver's own sparse dummy */
	uint64_t object; /* the BO behind it: the same for all its pages and handles, while any of them is there */
};

/** Kinds of address-space events that a probe is told of. */
enum pb_as_event_type { PB_AS_LOCK, PB_AS_FLUSH, PB_AS_UNLOCK, PB_AS_MAP, PB_AS_UNMAP };

struct pb_as_event {
	enum pb_as_event_type type;
	uint32_t vm_id;
	uint64_t va, size; /* LOCK: the region as the register holds it, decoded; MAP, UNMAP: the piece of page table */
	int before;	   /* 1: about to happen, 0: has happened */
};

/** Called on the binding thread, in the middle of an op. May call gpu_access with PB_GPU_NOWAIT, nothing else. */
typedef void pb_as_probe_fn(void *data, const struct pb_as_event *event);

#define PB_GPU_STORE  (1u << 0)
#define PB_GPU_NOWAIT (1u << 1) /* -EAGAIN instead of stalling on a locked region */

/** What only a simulated GPU can show. */
struct pb_gpu_ops {
	/** Give the VM an AS slot, or take it away. 0, -EINVAL no such VM, -EBUSY all slots are in use. */
	int (*resident)(struct pb_file *file, uint32_t vm_id, int resident);
	/** Load or store through the page tables. 0, -EFAULT, -EAGAIN, -ENXIO not resident, -EINVAL. Any thread. */
	int (*access)(struct pb_file *file, uint32_t vm_id, uint64_t va, void *value, size_t size, uint32_t flags);
	int (*stats)(struct pb_file *file, uint32_t vm_id, struct panbind_gpu_stats *ret_stats);
	/** The first page that ends after @va, as the page tables have it. 0 or -ENOENT. The oracle of the tests. */
	int (*next_page)(struct pb_file *file, uint32_t vm_id, uint64_t va, struct pb_page *ret_page);
	/** Be told of AS events of all VMs of this device; NULL ends it. */
	int (*probe)(struct pb_file *file, pb_as_probe_fn *probe, void *data);
};

struct pb_backend {
	const char *name;
	/** @rest: what follows "NAME:" in the spec; a column in @reterr counts from its first character. */
	int (*open)(const char *rest, struct pb_file **ret_file, struct panbind_error *reterr);
	/** Adopt a duplicate of the caller's fd, made here; NULL where there are no fds. */
	int (*open_fd)(int fd, struct pb_file **ret_file, struct panbind_error *reterr);
	void (*close)(struct pb_file *file);
	/** One ioctl(2): 0 or a negative errno, @arg written back as the kernel does. Never repeats anything by itself.
	 */
	int (*ioctl)(struct pb_file *file, unsigned long request, void *arg);
	/** mmap(2) of a BO's fake offset, shared. Unmapped with munmap(2). */
	int (*mmap)(struct pb_file *file, uint64_t offset, size_t size, int prot, void **ret_ptr);
	/**
	 * Status of the fence in a sync file that DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD exported on this file: 1 pending, else
	 * 0 or the negative errno it was signalled with. The fd stays the caller's.
	 */
	int (*fence_status)(struct pb_file *file, int sync_file, int *ret_status);
	/** Path of the node, or NULL. */
	const char *(*path)(struct pb_file *file);
	/** The file's descriptor, which stays the file's; NULL where there are none. */
	int (*fd)(struct pb_file *file);
	/** Are page table updates atomic: enum panbind_tristate. */
	int (*atomic)(struct pb_file *file);
	const struct pb_gpu_ops *gpu; /* NULL: a real GPU */
};

extern const struct pb_backend pb_backend_drm;	/* backend_drm.c */
extern const struct pb_backend pb_backend_sim;	/* sim/sim.c */
extern const struct pb_backend pb_backend_node; /* backend_node.c: a simulator in another process */

/** Is @fd an open file of a simulated node? backend_node.c. */
_Bool pb_node_is(int fd);

/** The panthor render nodes of this machine, as panbind_devices() has them. backend_drm.c. */
int pb_drm_nodes(struct panbind_node *nodes, size_t max);

/** Is @fd an open file of a render node of a kernel? backend_drm.c. */
_Bool pb_drm_is_node(int fd);

/**
 * Are the page table updates of the running panthor atomic?
 *
 * A driver that carries the change says so in sysfs; where it is silent the version decides. @sysfs: "/sys", or the
 * folder that a test has put in its place. backend_drm.c.
 */
enum panbind_tristate pb_drm_atomic(const char *sysfs, int version_minor);

/**
 * Open "NAME:REST" raw, without a struct panbind_device around it: what panbind_device_open() and the conformance
 * tests start from. backend.c.
 */
int pb_backend_open(const char *spec, struct pb_file **ret_file, struct panbind_error *reterr);

#endif /* PB_BACKEND_H */
