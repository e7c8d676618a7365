/* SPDX-License-Identifier: MIT */
/*
 * The real driver: a render node, and ioctl(2) as it is.
 *
 * drmIoctl() is kept out on purpose: it repeats the call after EINTR with the same argument block, and a synchronous
 * VM_BIND that was interrupted has written the number of finished ops over its own count, so the repeat would drop the
 * rest and report success. Who may repeat what is decided above this file (pb_device_ioctl(), bind.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sync_file.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <xf86drm.h>

#include "internal.h"

struct drm_node {
	struct pb_file base;
	int fd;
	char path[sizeof(((struct panbind_node *)NULL)->path)];
};

static struct drm_node *to_node(struct pb_file *file)
{
	return (struct drm_node *)file;
}

/** Wrap @fd, which is consumed whatever happens. */
static int wrap_fd(int fd, const char *path, struct pb_file **ret_file, struct panbind_error *reterr)
{
	pb_autoclose int owned = fd;
	struct drm_node *node = calloc(1, sizeof(*node));
	if (!node)
		return pb_error_set(reterr, -ENOMEM, PANBIND_STAGE_VALIDATE, "out of memory");

	node->base.backend = &pb_backend_drm;
	node->fd = pb_take_fd(owned);
	snprintf(node->path, sizeof(node->path), "%s", path);
	*ret_file = &node->base;
	return 0;
}

static int open_path(const char *path, struct pb_file **ret_file, struct panbind_error *reterr)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		int err = errno;
		return pb_error_set(reterr, -err, PANBIND_STAGE_VALIDATE, "cannot open %.80s: %s", path,
				    panbind_errno_name(err));
	}
	return wrap_fd(fd, path, ret_file, reterr);
}

static int open_auto(struct pb_file **ret_file, struct panbind_error *reterr)
{
	struct panbind_node node;
	int count = pb_drm_nodes(&node, 1);
	if (count < 0)
		return pb_error_set(reterr, count, PANBIND_STAGE_VALIDATE, "cannot list the render nodes: %s",
				    panbind_errno_name(count));
	if (count == 0)
		return pb_error_set(reterr, -ENODEV, PANBIND_STAGE_VALIDATE,
				    "no render node of this machine is driven by panthor");
	return open_path(node.path, ret_file, reterr);
}

static int drm_open(const char *rest, struct pb_file **ret_file, struct panbind_error *reterr)
{
	if (!*rest)
		return pb_error_at_place(reterr, -EINVAL, PANBIND_STAGE_PARSE, NULL, 1, 1,
					 "drm: needs the path of a render node, or \"auto\"");
	return strcmp(rest, "auto") == 0 ? open_auto(ret_file, reterr) : open_path(rest, ret_file, reterr);
}

static int drm_open_fd(int fd, struct pb_file **ret_file, struct panbind_error *reterr)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0) {
		int err = errno;
		return pb_error_set(reterr, -err, PANBIND_STAGE_VALIDATE, "cannot duplicate fd %d: %s", fd,
				    panbind_errno_name(err));
	}

	char link[32], path[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", copy);
	ssize_t length = readlink(link, path, sizeof(path) - 1);
	path[length > 0 ? length : 0] = '\0';
	return wrap_fd(copy, path, ret_file, reterr);
}

bool pb_drm_is_node(int fd)
{
	struct stat status;
	return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && major(status.st_rdev) == 226 &&
	       minor(status.st_rdev) >= 128;
}

static void drm_close(struct pb_file *file)
{
	close(to_node(file)->fd);
	free(to_node(file));
}

static int drm_ioctl(struct pb_file *file, unsigned long request, void *arg)
{
	return ioctl(to_node(file)->fd, request, arg) < 0 ? -errno : 0;
}

static int drm_mmap(struct pb_file *file, uint64_t offset, size_t size, int prot, void **ret_ptr)
{
	void *ptr = mmap(NULL, size, prot, MAP_SHARED, to_node(file)->fd, (off_t)offset);
	if (ptr == MAP_FAILED)
		return -errno;
	*ret_ptr = ptr;
	return 0;
}

static int drm_fence_status(struct pb_file *file, int sync_file, int *ret_status)
{
	/* With num_fences 0 the kernel fills the summary only, which is all that is asked. */
	struct sync_file_info info = {0};
	while (ioctl(sync_file, SYNC_IOC_FILE_INFO, &info) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	*ret_status = info.status == 0 ? 1 : info.status < 0 ? info.status : 0; /* the kernel says 1 for done */
	return 0;
}

static int drm_fd(struct pb_file *file)
{
	return to_node(file)->fd;
}

static const char *drm_path(struct pb_file *file)
{
	return to_node(file)->path;
}

enum panbind_tristate pb_drm_atomic(const char *sysfs, int version_minor)
{
	char path[256], flag = '\0';
	snprintf(path, sizeof(path), "%s/module/panthor/parameters/atomic_updates", sysfs);
	pb_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &flag, 1) == 1 && (flag == 'Y' || flag == 'N'))
		return flag == 'Y' ? PANBIND_YES : PANBIND_NO;
	/* Merged together with 1.7, and without a version of its own. */
	return version_minor >= 7 ? PANBIND_YES : PANBIND_UNKNOWN;
}

static int drm_atomic(struct pb_file *file)
{
	drmVersionPtr version = drmGetVersion(to_node(file)->fd);
	int minor = version ? version->version_minor : 0;
	drmFreeVersion(version);
	return pb_drm_atomic("/sys", minor);
}

/** Does panthor drive this node? Fills @ret_node when it does. */
static bool probe_node(const char *path, struct panbind_node *ret_node)
{
	pb_autoclose int fd = open(path, O_RDWR | O_CLOEXEC);
	drmVersionPtr version = fd < 0 ? NULL : drmGetVersion(fd);
	bool ours = version && strcmp(version->name, "panthor") == 0;
	if (ours) {
		*ret_node = (struct panbind_node){
			.version_major = version->version_major,
			.version_minor = version->version_minor,
			.version_patchlevel = version->version_patchlevel,
			.atomic = pb_drm_atomic("/sys", version->version_minor),
		};
		snprintf(ret_node->path, sizeof(ret_node->path), "%s", path);
		snprintf(ret_node->driver, sizeof(ret_node->driver), "%s", version->name);
	}
	drmFreeVersion(version);
	return ours;
}

int pb_drm_nodes(struct panbind_node *nodes, size_t max)
{
	drmDevicePtr devices[64];
	int count = drmGetDevices2(0, devices, PB_ARRAY_SIZE(devices)), found = 0;
	if (count < 0)
		return count == -ENOENT ? 0 : count; /* no /dev/dri: a machine without any GPU driver */

	for (int i = 0; i < count; i++) {
		struct panbind_node node;
		if (!(devices[i]->available_nodes & (1 << DRM_NODE_RENDER)) ||
		    !probe_node(devices[i]->nodes[DRM_NODE_RENDER], &node))
			continue;
		if (nodes && (size_t)found < max)
			nodes[found] = node;
		found++;
	}
	drmFreeDevices(devices, count);
	return found;
}

const struct pb_backend pb_backend_drm = {
	.name = "drm",
	.open = drm_open,
	.open_fd = drm_open_fd,
	.close = drm_close,
	.ioctl = drm_ioctl,
	.mmap = drm_mmap,
	.fence_status = drm_fence_status,
	.path = drm_path,
	.fd = drm_fd,
	.atomic = drm_atomic,
};
