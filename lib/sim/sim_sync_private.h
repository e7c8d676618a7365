/* SPDX-License-Identifier: MIT */
/*
 * What the rooms of sim_sync share: fences with their chains, syncobjs with those who wait for a fence to appear, and
 * the fds that stand for either.
 */
#ifndef SIM_SYNC_PRIVATE_H
#define SIM_SYNC_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "sim_sync.h"

/* ---- sim_sync_fence.c: fences; a timeline's points are fences too, chained from the newest to the oldest ---- */

/**
 * Chain @fence as point @point in front of @prev (may be NULL, or a fence that is no point). The new fence signals when
 * both have; it takes its own references. NULL for want of memory.
 */
struct sim_fence *sim_chain_create(struct sim_fence *prev, struct sim_fence *fence, uint64_t point);
/**
 * The fence to wait for to see @point of the chain at @head pass (point 0: @head itself): 0 with a reference, which is
 * NULL when it has passed; -EINVAL when there is no such point yet (kernel: dma_fence_chain_find_seqno()).
 */
int sim_chain_find(struct sim_fence *head, uint64_t point, struct sim_fence **ret_fence);
/** The newest point that has passed, or that was submitted; 0 when @head (may be NULL) is no point. */
uint64_t sim_chain_query(struct sim_fence *head, bool submitted);

/* ---- sim_sync_obj.c ---- */

/**
 * One thread that waits. Heap-allocated and counted, since a callback that could not be removed in time still looks at
 * it; word is what the thread sleeps on.
 */
struct sim_waiter {
	atomic_uint refs, word;
	uint32_t count;
	struct sim_wait {
		struct sim_fence_cb cb;
		struct sim_waiter *waiter;
		struct sim_wait *next, **link; /* in the syncobj's list, under its lock; link is NULL outside */
		_Atomic(struct sim_fence *) fence;
		uint64_t point;
		bool armed; /* cb was given to the fence */
	} waits[];
};

/** Change what the waiter sleeps on, and wake it. */
void sim_waiter_wake(struct sim_waiter *waiter);

struct sim_syncobj *sim_syncobj_create(bool signaled);
struct sim_syncobj *sim_syncobj_get(struct sim_syncobj *syncobj);
/** The fence that is in it, one reference, or NULL. */
struct sim_fence *sim_syncobj_fence(struct sim_syncobj *syncobj);
/** Put a fence into wait->fence as soon as the point has one: now, or when it comes, waking the waiter. */
void sim_syncobj_add_wait(struct sim_syncobj *syncobj, struct sim_wait *wait);
void sim_syncobj_remove_wait(struct sim_syncobj *syncobj, struct sim_wait *wait);
/** Write to an eventfd once the point has a fence (@available) or has passed. -EBADF, -EINVAL no eventfd, -ENOMEM. */
int sim_syncobj_add_eventfd(struct sim_syncobj *syncobj, int fd, uint64_t point, bool available);

/* ---- sim_sync_wait.c ---- */

/**
 * Wait as DRM_IOCTL_SYNCOBJ_WAIT does. @points: an array in user space, 0 for binary. @deadline_ns: CLOCK_MONOTONIC, in
 * the past for a poll. -EINVAL, -ETIME, -EINTR, -EFAULT, -ENOMEM.
 */
int sim_sync_wait(struct sim_syncobj **syncobjs, uint32_t count, uint64_t points, uint32_t flags, int64_t deadline_ns,
		  uint32_t *ret_first);
/** The fence of a point, waiting up to five seconds for it to be submitted. */
int sim_sync_wait_fence(struct sim_syncobj *syncobj, uint64_t point, struct sim_fence **ret_fence);

/* ---- sim_sync_file.c ---- */

#define SIM_SYNC_NAME 32u

struct sim_named_fence {
	struct sim_fence *fence;
	char name[SIM_SYNC_NAME];
};

/** A new close-on-exec fd for one of the two. @name: of the sync file, NULL for a usual one. 0 or a negative errno. */
int sim_file_export_fence(struct sim_fence *fence, const char *name, int *ret_fd);
int sim_file_export_syncobj(struct sim_syncobj *syncobj, int *ret_fd);
/** What such an fd stands for, one reference, or NULL when it is none or of the other kind. */
struct sim_fence *sim_file_fence(int fd);
struct sim_syncobj *sim_file_syncobj(int fd);
/** The sync file of this cookie: 0 with a reference on its fence, or -EBADF. */
int sim_file_find(uint64_t cookie, struct sim_named_fence *ret_named);
/** Forget fds that the program has closed. */
void sim_files_sweep(void);

/* ---- sim_sync_table.c ---- */

/** As sim_syncs_create() was told. */
bool sim_syncs_know_points(const struct sim_syncs *syncs);
/** Give the syncobj the lowest free handle. Takes over the caller's reference, also on failure: -ENOMEM, also for NULL.
 */
int sim_syncs_add(struct sim_syncs *syncs, struct sim_syncobj *syncobj, uint32_t *ret_handle);
/** 0 or -EINVAL. */
int sim_syncs_remove(struct sim_syncs *syncs, uint32_t handle);

/** An array in user space, for free(3). -ENOMEM also when it is longer than what a kernel allocates; -EFAULT. */
int sim_copy_array(uint64_t user, uint32_t count, size_t size, void **ret_array);

struct sim_targets {
	struct sim_syncobj **syncobjs;
	uint32_t count;
};

/** The syncobjs of an array of handles in user space. -ENOENT when one of them is not there, -EFAULT, -ENOMEM. */
int sim_targets_find(struct sim_syncs *syncs, uint64_t user, uint32_t count, struct sim_targets *ret_targets);
void sim_targets_put(struct sim_targets *targets);

#endif /* SIM_SYNC_PRIVATE_H */
