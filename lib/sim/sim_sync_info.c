/* SPDX-License-Identifier: MIT */
/*
 * SYNC_IOC_*: what a sync file says of itself, and two that become one (kernel: sync_file.c).
 *
 * A merged sync file counts as one fence here, which signals when both parts have, with the first part's error if it
 * has one; the kernel lists the parts.
 */
#include "sim_sync_private.h"
#include "sim_user.h"

#include <errno.h>
#include <linux/sync_file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Two fences as one ---- */

struct part {
	struct sim_fence_cb cb;
	struct merge *merge;
	struct sim_fence *fence;
};

struct merge {
	atomic_uint pending; /* parts, and the one who sets it up */
	struct part parts[2];
	struct sim_fence *both;
};

static int error_of(struct sim_fence *fence)
{
	int status = sim_fence_status(fence);

	return status < 0 ? status : 0;
}

static void part_done(struct merge *merge)
{
	int error;

	if (atomic_fetch_sub(&merge->pending, 1) != 1)
		return;
	error = error_of(merge->parts[0].fence);
	sim_fence_signal(merge->both, error ? error : error_of(merge->parts[1].fence));
	for (unsigned int i = 0; i < 2; i++)
		sim_fence_put(merge->parts[i].fence);
	sim_fence_put(merge->both);
	free(merge);
}

static void part_signaled(struct sim_fence_cb *cb)
{
	part_done(((struct part *)cb)->merge);
}

/* A fence that signals when both have; one reference for the caller. NULL for want of memory. */
static struct sim_fence *merge_fences(struct sim_fence *a, struct sim_fence *b)
{
	struct merge *merge = calloc(1, sizeof(*merge));
	struct sim_fence *both = merge ? sim_fence_create() : NULL, *fences[2] = {a, b};

	if (!both) {
		free(merge);
		return NULL;
	}
	atomic_init(&merge->pending, 3);
	merge->both = sim_fence_get(both);
	for (unsigned int i = 0; i < 2; i++) {
		struct part *part = &merge->parts[i];

		part->merge = merge;
		part->fence = sim_fence_get(fences[i]);
		part->cb.fn = part_signaled;
	}
	for (unsigned int i = 0; i < 2; i++)
		if (sim_fence_add_callback(merge->parts[i].fence, &merge->parts[i].cb))
			part_done(merge);
	part_done(merge);
	return both;
}

/* ---- The ioctls ---- */

/* As the kernel counts: 1 signalled, 0 active, or the error. */
static int kernel_status(struct sim_fence *fence)
{
	int status = sim_fence_status(fence);

	return status == 1 ? 0 : status == 0 ? 1 : status;
}

static int put_fence_info(const struct sync_file_info *info, int status)
{
	struct sync_fence_info fence = {.obj_name = "panthor-vm-bind", .driver_name = "panthor", .status = status};

	return sim_copy_to_user(info->sync_fence_info, &fence, sizeof(fence));
}

static int file_info(const struct sim_named_fence *named, uint64_t arg)
{
	struct sync_file_info info;

	if (sim_copy_from_user(&info, arg, sizeof(info)))
		return -EFAULT;
	if (info.flags || info.pad)
		return -EINVAL;
	info.status = kernel_status(named->fence);
	if (info.num_fences && put_fence_info(&info, info.status))
		return -EFAULT;
	info.num_fences = 1;
	memcpy(info.name, named->name, sizeof(info.name));
	return sim_copy_to_user(arg, &info, sizeof(info));
}

/* The fence of a sync file that the caller names by its fd. */
static struct sim_fence *fence_of_fd(int user_fd)
{
	int fd = sim_user_fd(user_fd);
	struct sim_fence *fence = fd < 0 ? NULL : sim_file_fence(fd);

	sim_user_fd_done(fd);
	return fence;
}

static int export_merged(struct sim_fence *a, struct sim_fence *b, const char *name, int *ret_fd)
{
	struct sim_fence *both = merge_fences(a, b);
	int fd, ret = both ? sim_file_export_fence(both, name, &fd) : -ENOMEM;

	sim_fence_put(both);
	if (ret)
		return ret;
	fd = sim_user_fd_give(fd, true);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static int merge(const struct sim_named_fence *named, uint64_t arg)
{
	struct sync_merge_data data;
	struct sim_fence *other;
	int ret;

	if (sim_copy_from_user(&data, arg, sizeof(data)))
		return -EFAULT;
	if (data.flags || data.pad)
		return -EINVAL;
	other = fence_of_fd(data.fd2);
	if (!other)
		return -ENOENT;
	data.name[sizeof(data.name) - 1] = '\0';
	ret = export_merged(named->fence, other, data.name, &data.fence);
	sim_fence_put(other);
	return ret ? ret : sim_copy_to_user(arg, &data, sizeof(data));
}

int sim_sync_file_ioctl(uint64_t cookie, unsigned long request, uint64_t arg)
{
	struct sim_named_fence named;
	int ret = sim_file_find(cookie, &named);

	if (ret)
		return ret;
	switch (request) {
	case SYNC_IOC_FILE_INFO:
		ret = file_info(&named, arg);
		break;
	case SYNC_IOC_MERGE:
		ret = merge(&named, arg);
		break;
	default:
		ret = -ENOTTY;
	}
	sim_fence_put(named.fence);
	return ret;
}
