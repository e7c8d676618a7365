/* SPDX-License-Identifier: MIT */
/*
 * PRIME: BOs as dma-buf file descriptors, and back.
 *
 * The dma-buf is the BO's memfd. Its inode is its identity: imported while the BO lives, it gives the same BO, on one
 * file under the same handle. Its name says which device made it and with which flags, so that a BO that lives on in
 * nothing but an exported fd comes back as what it was, and memory of another device or process as imported.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"
#include "sim_user.h"

#define NAME_PREFIX "panbind:"

int sim_prime_memfd(const struct sim_device *device, uint32_t flags)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), NAME_PREFIX "%ld:%llu:%u", (long)getpid(), (unsigned long long)device->serial,
		 flags);
	fd = memfd_create(name, MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void fd_path(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/self/fd/%d", fd);
}

int sim_prime_reopen(int fd, int mode)
{
	char path[32];
	int own;

	fd_path(fd, path, sizeof(path));
	own = open(path, mode | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

/* What the name of a memfd of a simulator says. */
struct origin {
	uint64_t pid, serial, flags;
};

/* "PID:SERIAL:FLAGS", and whatever the kernel says behind it. */
static int parse_origin(const char *text, struct origin *origin)
{
	uint64_t *const fields[] = {&origin->pid, &origin->serial, &origin->flags};

	for (unsigned i = 0; i < SIM_ARRAY_SIZE(fields); i++) {
		char *end;

		*fields[i] = strtoull(text, &end, 10);
		if (end == text || (i < 2 && *end != ':'))
			return -EINVAL;
		text = end + 1;
	}
	return 0;
}

/* -EBADF; -EINVAL when it is no dma-buf of a simulator. */
static int read_origin(int fd, struct origin *origin)
{
	static const char prefix[] = "/memfd:" NAME_PREFIX;
	char path[32], target[128];
	ssize_t length;

	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	fd_path(fd, path, sizeof(path));
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return -EINVAL;
	target[length] = '\0';
	if (strncmp(target, prefix, sizeof(prefix) - 1) != 0)
		return -EINVAL;
	return parse_origin(target + sizeof(prefix) - 1, origin);
}

static int export(const struct sim_bo *bo, uint32_t flags)
{
	int fd;

	if (bo->exclusive)
		return -EINVAL;
	if (bo->fd < 0)
		return -EMFILE;
	fd = sim_prime_reopen(bo->fd, flags & DRM_RDWR ? O_RDWR : O_RDONLY);
	return fd < 0 ? fd : sim_user_fd_give(fd, flags & DRM_CLOEXEC);
}

int sim_handle_to_fd_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct drm_prime_handle *args = arg;
	struct sim_bo *bo;
	int fd;

	if (args->flags & ~(uint32_t)(DRM_CLOEXEC | DRM_RDWR))
		return -EINVAL;
	bo = sim_handle_find(file, args->handle);
	if (!bo)
		return -ENOENT;
	fd = export(bo, args->flags);
	sim_bo_put(bo);
	if (fd < 0)
		return fd;
	args->fd = fd;
	return 0;
}

/* The live BO of this device that is this memory, with a reference, or NULL. */
static struct sim_bo *find_live(struct sim_device *device, const struct stat *st)
{
	struct sim_bo *found = NULL;

	pthread_mutex_lock(&device->lock);
	for (struct sim_vma *v = sim_vmas_find(&device->by_offset, 0); v && !found; v = v->next)
		if (v->bo->dev == st->st_dev && v->bo->ino == st->st_ino && sim_bo_get_unless_zero(v->bo))
			found = v->bo;
	pthread_mutex_unlock(&device->lock);
	return found;
}

static int find_or_wrap(struct sim_device *device, int fd, struct sim_bo **ret_bo)
{
	struct origin origin;
	struct stat st;
	bool own;
	int ret = read_origin(fd, &origin);

	if (ret)
		return ret;
	if (fstat(fd, &st))
		return -errno;
	*ret_bo = find_live(device, &st);
	if (*ret_bo)
		return 0;
	own = origin.pid == (uint64_t)getpid() && origin.serial == device->serial;
	return sim_bo_wrap(device, fd, own ? (uint32_t)origin.flags : 0, !own, ret_bo);
}

static uint32_t known_handle(struct sim_file *file, struct sim_bo *bo)
{
	uint32_t handle;

	pthread_mutex_lock(&file->device->lock);
	handle = sim_handle_of(file, bo);
	pthread_mutex_unlock(&file->device->lock);
	return handle;
}

/* Under the file's lock from beginning to end: two imports of one fd must not become two handles. */
static int import(struct sim_file *file, int fd, uint32_t *ret_handle)
{
	struct sim_bo *bo = NULL;
	uint32_t handle;
	int ret;

	pthread_mutex_lock(&file->lock);
	ret = find_or_wrap(file->device, fd, &bo);
	if (!ret) {
		handle = known_handle(file, bo);
		if (!handle)
			ret = sim_handle_create_locked(file, bo, &handle);
		if (!ret)
			*ret_handle = handle;
		sim_bo_put(bo);
	}
	pthread_mutex_unlock(&file->lock);
	return ret;
}

int sim_fd_to_handle_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct drm_prime_handle *args = arg;
	int fd = sim_user_fd(args->fd), ret;

	if (fd < 0)
		return -EBADF;
	ret = import(file, fd, &args->handle);
	sim_user_fd_done(fd);
	return ret;
}
