/* SPDX-License-Identifier: MIT */
/*
 * DRM_IOCTL_SYNCOBJ_*: the checks of each ioctl in the order of drm_syncobj.c (Linux 6.12 and 7.3), whose errnos
 * programs have come to rely on.
 *
 * As in the kernel an ioctl is found by its number alone, so that programs built with headers of another age work: what
 * their struct lacks is zero. What happens inside fences and syncobjs is in the other rooms of sim_sync_*.c.
 */
#include "sim_sync_private.h"
#include "sim_user.h"

#include <drm.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Newer than some installed headers. */
#ifndef DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE
#define DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE (1u << 3) /* a hint, and no simulated fence needs one */
#endif

/* ---- The ioctls ---- */

static int do_create(struct sim_syncs *syncs, void *arg)
{
	struct drm_syncobj_create *args = arg;

	if (args->flags & ~DRM_SYNCOBJ_CREATE_SIGNALED)
		return -EINVAL;
	return sim_syncs_add(syncs, sim_syncobj_create(args->flags & DRM_SYNCOBJ_CREATE_SIGNALED), &args->handle);
}

static int do_destroy(struct sim_syncs *syncs, void *arg)
{
	struct drm_syncobj_destroy *args = arg;

	return args->pad ? -EINVAL : sim_syncs_remove(syncs, args->handle);
}

/*
 * The checks of both conversions, and which point a sync file is of: 0 for the whole syncobj. Without a sync file a
 * point is refused, whether the flag for it is there or not.
 */
static int check_conversion(const struct sim_syncs *syncs, const struct pb_uapi_syncobj_handle *args,
			    uint64_t *ret_point)
{
	bool points = sim_syncs_know_points(syncs);
	uint32_t known = PB_SYNCOBJ_SYNC_FILE | (points ? PB_SYNCOBJ_TIMELINE : 0);

	if (args->pad || args->flags & ~known)
		return -EINVAL;
	if (points && !(args->flags & PB_SYNCOBJ_SYNC_FILE) && args->point)
		return -EINVAL;
	*ret_point = args->flags & PB_SYNCOBJ_TIMELINE ? args->point : 0;
	return 0;
}

static int export_sync_file(struct sim_syncobj *syncobj, uint64_t point, int *ret_fd)
{
	struct sim_fence *fence;
	int ret = syncobj ? sim_syncobj_find_fence(syncobj, point, &fence) : -ENOENT;

	if (ret)
		return ret;
	ret = sim_file_export_fence(fence, NULL, ret_fd);
	sim_fence_put(fence);
	return ret;
}

static int do_handle_to_fd(struct sim_syncs *syncs, void *arg)
{
	struct pb_uapi_syncobj_handle *args = arg;
	struct sim_syncobj *syncobj;
	uint64_t point;
	int ret = check_conversion(syncs, args, &point), fd;

	if (ret)
		return ret;
	syncobj = sim_syncs_find(syncs, args->handle);
	if (args->flags & PB_SYNCOBJ_SYNC_FILE)
		ret = export_sync_file(syncobj, point, &fd);
	else
		ret = syncobj ? sim_file_export_syncobj(syncobj, &fd) : -EINVAL;
	sim_syncobj_put(syncobj);
	if (ret)
		return ret;
	fd = sim_user_fd_give(fd, true);
	if (fd < 0)
		return fd;
	args->fd = fd;
	return 0;
}

static int set_point(struct sim_syncobj *syncobj, struct sim_fence *fence, uint64_t point)
{
	if (point)
		return sim_syncobj_add_point(syncobj, fence, point);
	sim_syncobj_replace_fence(syncobj, fence);
	return 0;
}

static int import_sync_file(struct sim_syncs *syncs, uint32_t handle, uint64_t point, int fd)
{
	struct sim_fence *fence = sim_file_fence(fd);
	struct sim_syncobj *syncobj;
	int ret;

	if (!fence)
		return -EINVAL;
	syncobj = sim_syncs_find(syncs, handle);
	ret = syncobj ? set_point(syncobj, fence, point) : -ENOENT;
	sim_fence_put(fence);
	sim_syncobj_put(syncobj);
	return ret;
}

static int do_fd_to_handle(struct sim_syncs *syncs, void *arg)
{
	struct pb_uapi_syncobj_handle *args = arg;
	struct sim_syncobj *syncobj = NULL;
	uint64_t point;
	int ret = check_conversion(syncs, args, &point), fd;

	if (ret)
		return ret;
	fd = sim_user_fd(args->fd);
	if (fd < 0)
		return -EINVAL;
	if (args->flags & PB_SYNCOBJ_SYNC_FILE)
		ret = import_sync_file(syncs, args->handle, point, fd);
	else
		ret = (syncobj = sim_file_syncobj(fd)) ? sim_syncs_add(syncs, syncobj, &args->handle) : -EINVAL;
	sim_user_fd_done(fd);
	return ret;
}

static int transfer_from(struct sim_syncobj *syncobj, const struct drm_syncobj_transfer *args,
			 struct sim_fence **ret_fence)
{
	int ret;

	if (!syncobj)
		return -ENOENT;
	if (args->flags & ~DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT)
		return -EINVAL;
	ret = sim_syncobj_find_fence(syncobj, args->src_point, ret_fence);
	if (ret == -EINVAL && args->flags)
		ret = sim_sync_wait_fence(syncobj, args->src_point, ret_fence);
	return ret;
}

static int do_transfer(struct sim_syncs *syncs, void *arg)
{
	struct drm_syncobj_transfer *args = arg;
	struct sim_syncobj *to, *from;
	struct sim_fence *fence = NULL;
	int ret;

	if (args->pad)
		return -EINVAL;
	to = sim_syncs_find(syncs, args->dst_handle);
	if (!to)
		return -ENOENT;
	from = sim_syncs_find(syncs, args->src_handle);
	ret = transfer_from(from, args, &fence);
	if (!ret)
		ret = set_point(to, fence, args->dst_point);
	sim_fence_put(fence);
	sim_syncobj_put(from);
	sim_syncobj_put(to);
	return ret;
}

static int wait_for(struct sim_syncs *syncs, const struct drm_syncobj_timeline_wait *args, uint32_t *ret_first)
{
	struct sim_targets targets;
	int ret;

	if (!args->count_handles)
		return 0;
	ret = sim_targets_find(syncs, args->handles, args->count_handles, &targets);
	if (ret)
		return ret;
	ret = sim_sync_wait(targets.syncobjs, targets.count, args->points, args->flags, args->timeout_nsec, ret_first);
	sim_targets_put(&targets);
	return ret;
}

static int do_wait(struct sim_syncs *syncs, void *arg)
{
	struct drm_syncobj_wait *args = arg;
	struct drm_syncobj_timeline_wait wait = {
		.handles = args->handles,
		.timeout_nsec = args->timeout_nsec,
		.count_handles = args->count_handles,
		.flags = args->flags,
	};

	if (args->flags & ~(DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT |
			    DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE))
		return -EINVAL;
	return wait_for(syncs, &wait, &args->first_signaled);
}

static int do_timeline_wait(struct sim_syncs *syncs, void *arg)
{
	struct drm_syncobj_timeline_wait *args = arg;

	if (args->flags & ~(DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT |
			    DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE | DRM_SYNCOBJ_WAIT_FLAGS_WAIT_DEADLINE))
		return -EINVAL;
	return wait_for(syncs, args, &args->first_signaled);
}

/* Reset (@signaled false) or signal a set of binary syncobjs. */
static int set_all(struct sim_syncs *syncs, const struct drm_syncobj_array *args, bool signaled)
{
	struct sim_targets targets;
	int ret;

	if (args->pad || !args->count_handles)
		return -EINVAL;
	ret = sim_targets_find(syncs, args->handles, args->count_handles, &targets);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < targets.count && !ret; i++) {
		struct sim_fence *fence = signaled ? sim_fence_create_signaled() : NULL;

		if (signaled && !fence)
			ret = -ENOMEM;
		else
			sim_syncobj_replace_fence(targets.syncobjs[i], fence);
		sim_fence_put(fence);
	}
	sim_targets_put(&targets);
	return ret;
}

static int do_reset(struct sim_syncs *syncs, void *arg)
{
	return set_all(syncs, arg, false);
}

static int do_signal(struct sim_syncs *syncs, void *arg)
{
	return set_all(syncs, arg, true);
}

static int signal_points(const struct sim_targets *targets, uint64_t user_points)
{
	uint64_t *points = NULL;
	int ret = 0;

	if (user_points)
		ret = sim_copy_array(user_points, targets->count, sizeof(*points), (void **)&points);
	for (uint32_t i = 0; i < targets->count && !ret; i++) {
		struct sim_fence *fence = sim_fence_create_signaled();

		ret = fence ? sim_syncobj_add_point(targets->syncobjs[i], fence, points ? points[i] : 0) : -ENOMEM;
		sim_fence_put(fence);
	}
	free(points);
	return ret;
}

static int do_timeline_signal(struct sim_syncs *syncs, void *arg)
{
	struct drm_syncobj_timeline_array *args = arg;
	struct sim_targets targets;
	int ret;

	if (args->flags || !args->count_handles)
		return -EINVAL;
	ret = sim_targets_find(syncs, args->handles, args->count_handles, &targets);
	if (ret)
		return ret;
	ret = signal_points(&targets, args->points);
	sim_targets_put(&targets);
	return ret;
}

static int do_query(struct sim_syncs *syncs, void *arg)
{
	struct drm_syncobj_timeline_array *args = arg;
	struct sim_targets targets;
	int ret;

	if ((args->flags & ~DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED) || !args->count_handles)
		return -EINVAL;
	ret = sim_targets_find(syncs, args->handles, args->count_handles, &targets);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < targets.count && !ret; i++) {
		struct sim_fence *fence = sim_syncobj_fence(targets.syncobjs[i]);
		uint64_t point = sim_chain_query(fence, args->flags & DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED);

		sim_fence_put(fence);
		ret = sim_copy_to_user(args->points + i * sizeof(point), &point, sizeof(point));
	}
	sim_targets_put(&targets);
	return ret;
}

static int do_eventfd(struct sim_syncs *syncs, void *arg)
{
	struct sim_syncobj_eventfd *args = arg;
	struct sim_syncobj *syncobj;
	int ret, fd;

	if ((args->flags & ~DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE) || args->pad)
		return -EINVAL;
	syncobj = sim_syncs_find(syncs, args->handle);
	if (!syncobj)
		return -ENOENT;
	fd = sim_user_fd(args->fd);
	ret = fd < 0 ? -EBADF : sim_syncobj_add_eventfd(syncobj, fd, args->point, args->flags);
	sim_user_fd_done(fd);
	sim_syncobj_put(syncobj);
	return ret;
}

/* ---- Dispatch ---- */

typedef int serve_fn(struct sim_syncs *syncs, void *arg);

static serve_fn *find_ioctl(unsigned long request)
{
	static const struct {
		unsigned int nr;
		serve_fn *serve;
	} table[] = {
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_CREATE), do_create},
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_DESTROY), do_destroy},
		{_IOC_NR(PB_IOCTL_SYNCOBJ_HANDLE_TO_FD), do_handle_to_fd},
		{_IOC_NR(PB_IOCTL_SYNCOBJ_FD_TO_HANDLE), do_fd_to_handle},
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_WAIT), do_wait},
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_RESET), do_reset},
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_SIGNAL), do_signal},
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT), do_timeline_wait},
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_QUERY), do_query},
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_TRANSFER), do_transfer},
		{_IOC_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL), do_timeline_signal},
		{_IOC_NR(SIM_IOCTL_SYNCOBJ_EVENTFD), do_eventfd},
	};

	if (_IOC_TYPE(request) != DRM_IOCTL_BASE)
		return NULL;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].nr == _IOC_NR(request))
			return table[i].serve;
	}
	return NULL;
}

bool sim_syncs_handles(unsigned long request)
{
	return find_ioctl(request);
}

int sim_syncs_ioctl(struct sim_syncs *syncs, unsigned long request, void *arg)
{
	serve_fn *serve = find_ioctl(request);
	/* Room for all of them in any age; the longest so far is the timeline wait with a deadline, 48 bytes. */
	uint64_t buffer[8] = {0};
	size_t size = _IOC_SIZE(request) < sizeof(buffer) ? _IOC_SIZE(request) : sizeof(buffer);
	int ret;

	if (!serve)
		return -EINVAL;
	memcpy(buffer, arg, size);
	ret = serve(syncs, buffer);
	memcpy(arg, buffer, size);
	return ret;
}
