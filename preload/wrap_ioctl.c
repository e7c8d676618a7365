/* SPDX-License-Identifier: MIT */
/* ioctl() and mmap(): what a program does with a render node, and with the fds that come from it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "core.h"
#include "hooks.h"
#include "next.h"

#define DRM_TYPE  'd'
#define SYNC_TYPE '>'
#define BUF_TYPE  'b'

static int result(int ret)
{
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

static int node_or_next(enum core_kind kind, int fd, const struct node_id *id, unsigned long request, void *arg)
{
	if (kind == CORE_SIMULATED)
		return result(node_ioctl(fd, id, request, arg));
	return NEXT(ioctl)(fd, request, arg);
}

static int drm_ioctl(int fd, unsigned long request, void *arg)
{
	struct node_id id;
	enum core_kind kind = core_node(fd, &id);
	struct record_call call;
	int err = errno, ret;

	if (kind == CORE_NONE || !core_recording())
		return node_or_next(kind, fd, &id, request, arg);
	record_before(&call, fd, request, arg);
	errno = err;
	ret = node_or_next(kind, fd, &id, request, arg);
	err = errno;
	record_after(&call, ret, err);
	errno = err;
	return ret;
}

static int sync_ioctl(int fd, unsigned long request, void *arg)
{
	struct node_id id;

	if (core_sim() && node_identify_sync(fd, &id))
		return result(node_sync_ioctl(fd, &id, request, arg));
	return NEXT(ioctl)(fd, request, arg);
}

/* A simulated dma-buf is a memfd of the simulator's. */
static bool is_simulated_buffer(int fd)
{
	static const char name[] = "/memfd:panbind:";
	char path[32], target[sizeof(name) - 1];
	int err = errno;
	ssize_t length;

	if (!core_sim())
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = NEXT(readlinkat)(AT_FDCWD, path, target, sizeof(target));
	errno = err;
	return length == (ssize_t)sizeof(target) && memcmp(target, name, sizeof(target)) == 0;
}

/* CPU and simulated GPU see the same memory, so that the beginning and end of an access need nothing but a check. */
static int buffer_ioctl(int fd, unsigned long request, void *arg)
{
	const struct dma_buf_sync *sync = arg;

	if (request != DMA_BUF_IOCTL_SYNC || !is_simulated_buffer(fd))
		return NEXT(ioctl)(fd, request, arg);
	if (sync->flags & ~(uint64_t)DMA_BUF_SYNC_VALID_FLAGS_MASK || !(sync->flags & DMA_BUF_SYNC_RW))
		return result(-EINVAL);
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (core_recording() || core_sim()) {
		if (_IOC_TYPE(request) == DRM_TYPE)
			return drm_ioctl(fd, request, arg);
		if (_IOC_TYPE(request) == SYNC_TYPE)
			return sync_ioctl(fd, request, arg);
		if (_IOC_TYPE(request) == BUF_TYPE)
			return buffer_ioctl(fd, request, arg);
	}
	return NEXT(ioctl)(fd, request, arg);
}

static void *map_node(int fd, const struct node_id *id, void *address, size_t size, int prot, int flags, off_t offset)
{
	void *ptr;
	int ret = node_mmap(fd, id, address, size, prot, flags, (uint64_t)offset, &ptr);

	if (ret >= 0)
		return ptr;
	errno = -ret;
	return MAP_FAILED;
}

static void *map(void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
	struct node_id id;
	enum core_kind kind = CORE_NONE;
	void *ptr;
	int err;

	if (!(flags & MAP_ANONYMOUS) && fd >= 0 && (core_recording() || core_sim())) {
		core_forget(fd); /* a mapping is dear enough to ask anew, and far more programs make other ones */
		kind = core_node(fd, &id);
	}
	if (kind == CORE_SIMULATED)
		ptr = map_node(fd, &id, address, size, prot, flags, offset);
	else
		ptr = NEXT(mmap)(address, size, prot, flags, fd, offset);
	err = errno;
	if (ptr != MAP_FAILED && kind != CORE_NONE && core_recording())
		record_mmapped(fd, (uint64_t)offset, size, ptr);
	errno = err;
	return ptr;
}

void *mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
	return map(address, size, prot, flags, fd, offset);
}

void *mmap64(void *address, size_t size, int prot, int flags, int fd, off64_t offset)
{
	return map(address, size, prot, flags, fd, offset);
}
