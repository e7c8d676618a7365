/* SPDX-License-Identifier: MIT */
#include "syncs.h"

#include <drm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim_sync_private.h"

int syncs_setup(void **state)
{
	return sim_syncs_create(true, (struct sim_syncs **)state);
}

int syncs_teardown(void **state)
{
	sim_syncs_destroy(*state);
	return 0;
}

static uint64_t addr(const void *ptr)
{
	return (uintptr_t)ptr;
}

uint32_t syncs_add(struct sim_syncs *syncs, uint32_t flags)
{
	struct drm_syncobj_create args = {.flags = flags};

	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_CREATE, &args), 0);
	return args.handle;
}

void syncs_give(struct sim_syncs *syncs, uint32_t handle, struct sim_fence *fence, uint64_t point)
{
	struct sim_syncobj *syncobj = sim_syncs_find(syncs, handle);

	assert_non_null(syncobj);
	if (point)
		assert_int_equal(sim_syncobj_add_point(syncobj, fence, point), 0);
	else
		sim_syncobj_replace_fence(syncobj, fence);
	sim_syncobj_put(syncobj);
}

int syncs_wait(struct sim_syncs *syncs, uint32_t handle, uint64_t point, uint32_t flags, int64_t deadline)
{
	struct drm_syncobj_timeline_wait args = {
		.handles = addr(&handle),
		.points = addr(&point),
		.count_handles = 1,
		.flags = flags,
		.timeout_nsec = deadline,
	};

	return sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

int syncs_poll(struct sim_syncs *syncs, uint32_t handle, uint64_t point)
{
	return syncs_wait(syncs, handle, point, 0, 0);
}

uint64_t syncs_query(struct sim_syncs *syncs, uint32_t handle, uint32_t flags)
{
	uint64_t point = ~UINT64_C(0);
	struct drm_syncobj_timeline_array args = {
		.handles = addr(&handle), .points = addr(&point), .count_handles = 1, .flags = flags};

	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_QUERY, &args), 0);
	return point;
}

int syncs_export(struct sim_syncs *syncs, uint32_t handle, uint32_t flags)
{
	struct drm_syncobj_handle args = {.handle = handle, .flags = flags, .fd = -1};

	assert_int_equal(sim_syncs_ioctl(syncs, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), 0);
	return args.fd;
}
