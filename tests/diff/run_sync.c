/* SPDX-License-Identifier: MIT */
/*
 * Steps on syncobjs, sync files and eventfds.
 */
#include <drm.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

#define MAX_HANDLES 64u
#define EVENTFD	    DRM_IOWR(0xcf, struct eventfd_args)

/* The newest of the ioctls, which some installed headers lack. */
struct eventfd_args {
	uint32_t handle, flags;
	uint64_t point;
	int32_t fd;
	uint32_t pad;
};

static void note_sync(struct diff_world *world, unsigned file, uint32_t handle)
{
	if (handle < 64)
		world->syncs[file] |= UINT64_C(1) << handle;
}

static void step_sync_create(struct diff_world *world, const struct diff_node *node)
{
	struct drm_syncobj_create args = {.flags = (uint32_t)diff_get(world, node, "flags"), .handle = 0x77};
	int ret = diff_issue(world, node, DRM_IOCTL_SYNCOBJ_CREATE, &args);

	fprintf(world->out, " handle=%u", args.handle);
	if (ret)
		return;
	diff_put(world, node, args.handle);
	note_sync(world, node->file, args.handle);
}

static void step_sync_destroy(struct diff_world *world, const struct diff_node *node)
{
	struct drm_syncobj_destroy args = {.handle = (uint32_t)diff_get(world, node, "sync"),
					   .pad = (uint32_t)diff_get(world, node, "pad")};
	int ret;

	if (world->careful && !args.handle) {
		fputs(" left out", world->out);
		return;
	}
	ret = diff_issue(world, node, DRM_IOCTL_SYNCOBJ_DESTROY, &args);
	if (!ret && args.handle < 64)
		world->syncs[node->file] &= ~(UINT64_C(1) << args.handle);
}

/* ---- Arrays of handles ---- */

struct handles {
	uint64_t handles, points; /* addresses */
	uint8_t *points_data;
	uint32_t count, real;
};

static void place_handles(struct diff_world *world, const struct diff_node *node, bool points, struct handles *ret)
{
	uint32_t handles[MAX_HANDLES], count = node->children < MAX_HANDLES ? node->children : MAX_HANDLES;
	uint64_t values[MAX_HANDLES];

	for (uint32_t i = 0; i < count; i++) {
		handles[i] = (uint32_t)diff_get(world, &node->child[i], "sync");
		values[i] = diff_get(world, &node->child[i], "point");
	}
	*ret = (struct handles){.count = count, .real = count};
	if (!diff_get_auto(node, "count"))
		ret->count = (uint32_t)diff_get(world, node, "count");
	ret->handles = diff_place(world, diff_get(world, node, "mem"), handles, count * sizeof(handles[0]), NULL);
	if (points)
		ret->points = diff_place(world, diff_get(world, node, "points"), values, count * sizeof(values[0]),
					 &ret->points_data);
}

static void set_all(struct diff_world *world, const struct diff_node *node, unsigned long request)
{
	struct drm_syncobj_array args = {.pad = (uint32_t)diff_get(world, node, "pad")};
	struct handles handles;

	place_handles(world, node, false, &handles);
	args.handles = handles.handles;
	args.count_handles = handles.count;
	diff_issue(world, node, request, &args);
}

static void step_sync_reset(struct diff_world *world, const struct diff_node *node)
{
	set_all(world, node, DRM_IOCTL_SYNCOBJ_RESET);
}

static void step_sync_signal(struct diff_world *world, const struct diff_node *node)
{
	set_all(world, node, DRM_IOCTL_SYNCOBJ_SIGNAL);
}

static void timeline(struct diff_world *world, const struct diff_node *node, unsigned long request,
		     struct handles *handles)
{
	struct drm_syncobj_timeline_array args = {.flags = (uint32_t)diff_get(world, node, "flags")};

	place_handles(world, node, true, handles);
	args.handles = handles->handles;
	args.points = handles->points;
	args.count_handles = handles->count;
	diff_issue(world, node, request, &args);
}

static void step_timeline_signal(struct diff_world *world, const struct diff_node *node)
{
	struct handles handles;

	timeline(world, node, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &handles);
}

static void step_query(struct diff_world *world, const struct diff_node *node)
{
	struct handles handles;

	timeline(world, node, DRM_IOCTL_SYNCOBJ_QUERY, &handles);
	for (uint32_t i = 0; handles.points_data && i < handles.real; i++) {
		uint64_t point;

		memcpy(&point, handles.points_data + i * sizeof(point), sizeof(point));
		fprintf(world->out, " 0x%llx", (unsigned long long)point);
	}
}

/* ---- Waiting ---- */

/* At most a few milliseconds: what has a fence has signalled, what has none never gets one. */
static int64_t deadline(const struct diff_world *world, const struct diff_node *node)
{
	int64_t ms = (int64_t)(diff_get(world, node, "ms") % 8);
	struct timespec now;

	if (!ms)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec + ms * 1000000;
}

static void step_wait(struct diff_world *world, const struct diff_node *node)
{
	struct drm_syncobj_wait args = {.flags = (uint32_t)diff_get(world, node, "flags"),
					.timeout_nsec = deadline(world, node),
					.first_signaled = 0x77};
	struct handles handles;

	place_handles(world, node, false, &handles);
	args.handles = handles.handles;
	args.count_handles = handles.count;
	diff_issue(world, node, DRM_IOCTL_SYNCOBJ_WAIT, &args);
	fprintf(world->out, " first=%u", args.first_signaled);
}

static void step_timeline_wait(struct diff_world *world, const struct diff_node *node)
{
	struct drm_syncobj_timeline_wait args = {.flags = (uint32_t)diff_get(world, node, "flags"),
						 .timeout_nsec = deadline(world, node),
						 .first_signaled = 0x77};
	struct handles handles;

	place_handles(world, node, true, &handles);
	args.handles = handles.handles;
	args.points = handles.points;
	args.count_handles = handles.count;
	diff_issue(world, node, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
	fprintf(world->out, " first=%u", args.first_signaled);
}

static void step_transfer(struct diff_world *world, const struct diff_node *node)
{
	struct drm_syncobj_transfer args = {.dst_handle = (uint32_t)diff_get(world, node, "to"),
					    .src_handle = (uint32_t)diff_get(world, node, "from"),
					    .dst_point = diff_get(world, node, "to_point"),
					    .src_point = diff_get(world, node, "from_point"),
					    .flags = (uint32_t)diff_get(world, node, "flags"),
					    .pad = (uint32_t)diff_get(world, node, "pad")};

	diff_issue(world, node, DRM_IOCTL_SYNCOBJ_TRANSFER, &args);
}

/* ---- Files ---- */

static void step_sync_export(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_syncobj_handle args = {.handle = (uint32_t)diff_get(world, node, "sync"),
					      .flags = (uint32_t)diff_get(world, node, "flags"),
					      .pad = (uint32_t)diff_get(world, node, "pad"),
					      .point = diff_get(world, node, "point"),
					      .fd = -1};
	int ret = diff_issue(world, node, PB_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args);

	if (!ret && args.fd >= 0)
		diff_put_fd(world, node, args.fd, false);
}

static void step_sync_import(struct diff_world *world, const struct diff_node *node)
{
	struct pb_uapi_syncobj_handle args = {.handle = (uint32_t)diff_get(world, node, "sync"),
					      .flags = (uint32_t)diff_get(world, node, "flags"),
					      .pad = (uint32_t)diff_get(world, node, "pad"),
					      .point = diff_get(world, node, "point"),
					      .fd = (int)diff_get(world, node, "fd")};
	int ret;

	if (world->careful && args.flags & PB_SYNCOBJ_TIMELINE && args.point) {
		fputs(" left out", world->out);
		return;
	}
	ret = diff_issue(world, node, PB_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args);

	fprintf(world->out, " handle=%u", args.handle);
	if (ret || args.flags & PB_SYNCOBJ_SYNC_FILE)
		return;
	diff_put(world, node, args.handle);
	note_sync(world, node->file, args.handle);
}

static void step_fence(struct diff_world *world, const struct diff_node *node)
{
	struct pb_file *file = diff_file(world, node->file);
	struct pollfd ready = {.fd = (int)diff_get(world, node, "fd"), .events = POLLIN};
	int status;

	if (!file)
		return;
	if (world->careful && diff_fences_are_deadly(world)) {
		fputs(" left out", world->out);
		return;
	}
	/* How it is said that this is no sync file differs, and is not the device's affair. */
	if (file->backend->fence_status(file, ready.fd, &status)) {
		fputs(" none", world->out);
		return;
	}
	poll(&ready, 1, 0);
	fprintf(world->out, " status=%d%s", status, ready.revents & POLLIN ? " ready" : "");
}

static void step_eventfd(struct diff_world *world, const struct diff_node *node)
{
	struct eventfd_args args = {.handle = (uint32_t)diff_get(world, node, "sync"),
				    .flags = (uint32_t)diff_get(world, node, "flags"),
				    .point = diff_get(world, node, "point"),
				    .fd = -1,
				    .pad = (uint32_t)diff_get(world, node, "pad")};
	uint64_t bad = diff_get(world, node, "bad");
	int pair[2] = {-1, -1};

	if (!bad)
		args.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	else if (bad == 1 && pipe(pair) == 0)
		args.fd = pair[0];
	diff_issue(world, node, EVENTFD, &args);
	if (!bad)
		diff_put_fd(world, node, args.fd, true);
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

/*
 * A point of a timeline is passed on by irq_work, which a kernel may leave to its next tick (10 ms in a box). Jobs have
 * ended by now, so what has not fired soon after will not.
 */
#define IRQ_WORK_MS 50

static void step_fired(struct diff_world *world, const struct diff_node *node)
{
	const struct diff_value *value = &node->field[diff_field(node->type, "fd")];
	bool is_kernel = strncmp(world->spec, "sim:", 4) != 0;
	struct pollfd ready = {.events = POLLIN};
	uint64_t times = 0;

	if (value->kind != 'd' || !world->fd[value->number].is_eventfd)
		return;
	ready.fd = world->fd[value->number].fd;
	poll(&ready, 1, is_kernel ? IRQ_WORK_MS : 0);
	if (read(ready.fd, &times, sizeof(times)) != sizeof(times))
		times = 0;
	fprintf(world->out, " times=%llu", (unsigned long long)times);
}

const struct diff_verb diff_sync_verbs[] = {
	{"sync_create", step_sync_create},
	{"sync_destroy", step_sync_destroy},
	{"sync_reset", step_sync_reset},
	{"sync_signal", step_sync_signal},
	{"timeline_signal", step_timeline_signal},
	{"query", step_query},
	{"wait", step_wait},
	{"timeline_wait", step_timeline_wait},
	{"transfer", step_transfer},
	{"sync_export", step_sync_export},
	{"sync_import", step_sync_import},
	{"fence", step_fence},
	{"eventfd", step_eventfd},
	{"fired", step_fired},
	{0},
};
