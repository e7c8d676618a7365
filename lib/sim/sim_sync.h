/* SPDX-License-Identifier: MIT */
/*
 * Fences, syncobjs and timelines, as drm_syncobj.c and dma-fence have them.
 *
 * A fence is signalled once, with 0 or an error, and never again. A syncobj holds at most one fence; a timeline is a
 * chain of (point, fence) in one. Everything here is thread-safe. No lock is held while a fence callback runs.
 *
 * Whoever creates a fence signals it, with an error if need be, before dropping the last reference: timeline points and
 * waits that depend on it hold it in memory until then.
 */
#ifndef SIM_SYNC_H
#define SIM_SYNC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct sim_fence;
struct sim_syncobj;
struct sim_syncs; /* the syncobj handles of one open file */

/** A new unsignalled fence, or NULL for want of memory. The caller holds one reference. */
struct sim_fence *sim_fence_create(void);
/** A fence that is signalled already. */
struct sim_fence *sim_fence_create_signaled(void);
struct sim_fence *sim_fence_get(struct sim_fence *fence);
void sim_fence_put(struct sim_fence *fence);
/** Signal with 0 or a negative errno; wakes waiters, then runs callbacks on this thread. Later calls do nothing. */
void sim_fence_signal(struct sim_fence *fence, int error);
bool sim_fence_is_signaled(struct sim_fence *fence);
/** 1 while pending, else 0 or the error. */
int sim_fence_status(struct sim_fence *fence);

struct sim_fence_cb {
	void (*fn)(struct sim_fence_cb *cb);
	struct sim_fence_cb *next; /* the fence's */
};
/** Run cb->fn once when the fence signals, without locks held. -ENOENT when it already has; then fn is not called. */
int sim_fence_add_callback(struct sim_fence *fence, struct sim_fence_cb *cb);
/** True: cb->fn will not run. False: it runs just now on another thread, or has run. */
bool sim_fence_remove_callback(struct sim_fence *fence, struct sim_fence_cb *cb);

/** The newest of the ioctls, which some installed headers lack. */
struct sim_syncobj_eventfd {
	uint32_t handle, flags;
	uint64_t point;
	int32_t fd;
	uint32_t pad;
};
#define SIM_IOCTL_SYNCOBJ_EVENTFD _IOWR('d', 0xcf, struct sim_syncobj_eventfd)

/** @points: do conversions know points of timelines, as they do from Linux 6.16 on? */
int sim_syncs_create(bool points, struct sim_syncs **ret_syncs);
void sim_syncs_destroy(struct sim_syncs *syncs);
/** Is this request one of DRM_IOCTL_SYNCOBJ_*? */
bool sim_syncs_handles(unsigned long request);
/**
 * Serve it: 0 or a negative errno. @arg is the caller's copy of the argument, of the size that @request states
 * (programs of another age have shorter or longer structs); it is written back to. What it points to is user memory.
 * Waits block the calling thread only; a caught signal ends them with -EINTR.
 */
int sim_syncs_ioctl(struct sim_syncs *syncs, unsigned long request, void *arg);

/** What VM_BIND needs. Find: one reference for the caller, or NULL. */
struct sim_syncobj *sim_syncs_find(struct sim_syncs *syncs, uint32_t handle);
void sim_syncobj_put(struct sim_syncobj *syncobj);
/**
 * The fence of a point (0: whatever fence is there), one reference; a signalled stub when the point has passed.
 * -EINVAL when there is none yet (kernel: drm_syncobj_find_fence()).
 */
int sim_syncobj_find_fence(struct sim_syncobj *syncobj, uint64_t point, struct sim_fence **ret_fence);
/** Put a fence in (NULL: take it out). */
void sim_syncobj_replace_fence(struct sim_syncobj *syncobj, struct sim_fence *fence);
/** Add a point to the timeline. -ENOMEM. (kernel: drm_syncobj_add_point()) */
int sim_syncobj_add_point(struct sim_syncobj *syncobj, struct sim_fence *fence, uint64_t point);

/**
 * The status of a sync file, which DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD exported from any open file of this process: 1 while
 * the fence is pending, 0, or the error it carries. -EBADF, -EINVAL for another kind of fd. Behind the backend's
 * fence_status, since a simulated sync file answers no SYNC_IOC_FILE_INFO. It polls readable (POLLIN) once the fence
 * has signalled.
 */
int sim_sync_file_status(int fd, int *ret_status);
/** The same by the cookie of its socket, as sim_user_name_sync() was told it: -EBADF when there is none. */
int sim_sync_cookie_status(uint64_t cookie, int *ret_status);
/** SYNC_IOC_FILE_INFO and SYNC_IOC_MERGE on it; @arg is user memory. 0 or a negative errno. */
int sim_sync_file_ioctl(uint64_t cookie, unsigned long request, uint64_t arg);

#endif /* SIM_SYNC_H */
