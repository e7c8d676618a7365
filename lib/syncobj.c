/* SPDX-License-Identifier: MIT */
/*
 * DRM syncobjs: binary, and timelines of points.
 *
 * A syncobj is an object and never a bare number in this library, because a signal op on a handle that does not exist
 * takes current kernels down (a null pointer in the signal path): with objects such a handle cannot be written.
 */
#include <drm.h>
#include <errno.h>
#include <time.h>

#include "internal.h"

int panbind_syncobj_create(struct panbind_device *device, int signaled, struct panbind_syncobj **ret_syncobj)
{
	pb_autofree struct panbind_syncobj *syncobj = calloc(1, sizeof(*syncobj));
	if (!syncobj)
		return -ENOMEM;
	struct drm_syncobj_create args = {.flags = signaled ? DRM_SYNCOBJ_CREATE_SIGNALED : 0};
	int ret = pb_device_ioctl(device, DRM_IOCTL_SYNCOBJ_CREATE, &args);
	if (ret < 0)
		return ret;

	atomic_init(&syncobj->refs, 1);
	syncobj->device = panbind_device_ref(device);
	syncobj->handle = args.handle;
	*ret_syncobj = pb_take_ptr(syncobj);
	return 0;
}

struct panbind_syncobj *panbind_syncobj_ref(struct panbind_syncobj *syncobj)
{
	atomic_fetch_add(&syncobj->refs, 1);
	return syncobj;
}

void panbind_syncobj_unref(struct panbind_syncobj *syncobj)
{
	if (!syncobj || atomic_fetch_sub(&syncobj->refs, 1) != 1)
		return;
	struct drm_syncobj_destroy args = {.handle = syncobj->handle};
	pb_device_ioctl(syncobj->device, DRM_IOCTL_SYNCOBJ_DESTROY, &args);
	panbind_device_unref(syncobj->device);
	free(syncobj);
}

uint32_t panbind_syncobj_handle(const struct panbind_syncobj *syncobj)
{
	return syncobj->handle;
}

int panbind_syncobj_reset(struct panbind_syncobj *syncobj)
{
	struct drm_syncobj_array args = {.handles = (uintptr_t)&syncobj->handle, .count_handles = 1};
	return pb_device_ioctl(syncobj->device, DRM_IOCTL_SYNCOBJ_RESET, &args);
}

int panbind_syncobj_signal(struct panbind_syncobj *syncobj, uint64_t point)
{
	if (point == 0) {
		struct drm_syncobj_array args = {.handles = (uintptr_t)&syncobj->handle, .count_handles = 1};
		return pb_device_ioctl(syncobj->device, DRM_IOCTL_SYNCOBJ_SIGNAL, &args);
	}
	struct drm_syncobj_timeline_array args = {.handles = (uintptr_t)&syncobj->handle,
						  .points = (uintptr_t)&point,
						  .count_handles = 1};
	return pb_device_ioctl(syncobj->device, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &args);
}

int panbind_syncobj_query(struct panbind_syncobj *syncobj, uint64_t *ret_point)
{
	uint64_t point = 0;
	struct drm_syncobj_timeline_array args = {.handles = (uintptr_t)&syncobj->handle,
						  .points = (uintptr_t)&point,
						  .count_handles = 1};
	int ret = pb_device_ioctl(syncobj->device, DRM_IOCTL_SYNCOBJ_QUERY, &args);
	if (ret == 0)
		*ret_point = point;
	return ret;
}

/**
 * The kernel wants an absolute time, which is what makes a wait that a signal interrupts resumable: the repeat has the
 * same deadline.
 */
static int64_t deadline(int64_t timeout_ns)
{
	struct timespec now;
	if (timeout_ns <= 0)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	return timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
}

static uint32_t driver_wait_flags(uint32_t flags)
{
	return (flags & PANBIND_WAIT_ALL ? DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL : 0) |
	       (flags & PANBIND_WAIT_FOR_FENCE ? DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT : 0) |
	       (flags & PANBIND_WAIT_AVAILABLE ? DRM_SYNCOBJ_WAIT_FLAGS_WAIT_AVAILABLE : 0);
}

/** A wait whose handles are gathered already. */
struct wait {
	struct panbind_device *device;
	const uint32_t *handles;
	const uint64_t *points;
	uint32_t count, flags;
	int64_t deadline;
};

static int wait_binary(const struct wait *wait, uint32_t *first)
{
	struct drm_syncobj_wait args = {.handles = (uintptr_t)wait->handles,
					.timeout_nsec = wait->deadline,
					.count_handles = wait->count,
					.flags = wait->flags};
	int ret = pb_device_ioctl(wait->device, DRM_IOCTL_SYNCOBJ_WAIT, &args);
	*first = args.first_signaled;
	return ret;
}

static int wait_timeline(const struct wait *wait, uint32_t *first)
{
	struct drm_syncobj_timeline_wait args = {.handles = (uintptr_t)wait->handles,
						 .points = (uintptr_t)wait->points,
						 .timeout_nsec = wait->deadline,
						 .count_handles = wait->count,
						 .flags = wait->flags};
	int ret = pb_device_ioctl(wait->device, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
	*first = args.first_signaled;
	return ret;
}

static int check_wait(struct panbind_syncobj *const *syncobjs, const uint64_t *points, uint32_t count, uint32_t flags)
{
	if (count == 0 || (flags & ~(PANBIND_WAIT_ALL | PANBIND_WAIT_FOR_FENCE | PANBIND_WAIT_AVAILABLE)))
		return -EINVAL;
	if ((flags & PANBIND_WAIT_AVAILABLE) && !points)
		return -EINVAL;
	for (uint32_t i = 1; i < count; i++) {
		if (syncobjs[i]->device != syncobjs[0]->device)
			return -EINVAL;
	}
	return 0;
}

int panbind_syncobj_wait(struct panbind_syncobj *const *syncobjs, const uint64_t *points, uint32_t count,
			 uint32_t flags, int64_t timeout_ns, uint32_t *ret_first)
{
	int ret = check_wait(syncobjs, points, count, flags);
	if (ret < 0)
		return ret;
	pb_autofree uint32_t *handles = calloc(count, sizeof(*handles));
	if (!handles)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		handles[i] = syncobjs[i]->handle;

	struct wait wait = {.device = syncobjs[0]->device,
			    .handles = handles,
			    .points = points,
			    .count = count,
			    .flags = driver_wait_flags(flags),
			    .deadline = deadline(timeout_ns)};
	uint32_t first = 0;
	ret = points ? wait_timeline(&wait, &first) : wait_binary(&wait, &first);
	if (ret == 0 && ret_first)
		*ret_first = first < count ? first : 0; /* with WAIT_ALL the kernel leaves it open: all of them are */
	return ret;
}

int panbind_syncobj_fence_status(struct panbind_syncobj *syncobj, int *ret_status)
{
	struct pb_file *file = syncobj->device->file;
	struct drm_syncobj_handle args = {.handle = syncobj->handle,
					  .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
					  .fd = -1};
	int ret = pb_device_ioctl(syncobj->device, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args);
	if (ret < 0)
		return ret;
	pb_autoclose int fd = args.fd;
	return file->backend->fence_status(file, fd, ret_status);
}
