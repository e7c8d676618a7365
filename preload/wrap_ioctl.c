/* SPDX-License-Identifier: MIT */
/* ioctl() and mmap(): what a program does with a render node. */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "core.h"
#include "hooks.h"
#include "next.h"

#define DRM_TYPE 'd'

static int recorded_ioctl(int fd, unsigned long request, void *arg)
{
	struct record_call call;
	int err = errno, ret;

	record_before(&call, fd, request, arg);
	errno = err;
	ret = NEXT(ioctl)(fd, request, arg);
	err = errno;
	record_after(&call, ret, err);
	errno = err;
	return ret;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (_IOC_TYPE(request) == DRM_TYPE && core_recording() && core_is_node(fd))
		return recorded_ioctl(fd, request, arg);
	return NEXT(ioctl)(fd, request, arg);
}

static void *mapped(int fd, off_t offset, size_t size, int flags, void *ptr)
{
	int err = errno;

	if (ptr != MAP_FAILED && !(flags & MAP_ANONYMOUS) && core_recording() && core_is_node(fd))
		record_mmapped(fd, (uint64_t)offset, size, ptr);
	errno = err;
	return ptr;
}

void *mmap(void *address, size_t size, int prot, int flags, int fd, off_t offset)
{
	return mapped(fd, offset, size, flags, NEXT(mmap)(address, size, prot, flags, fd, offset));
}

void *mmap64(void *address, size_t size, int prot, int flags, int fd, off64_t offset)
{
	return mapped(fd, offset, size, flags, NEXT(mmap64)(address, size, prot, flags, fd, offset));
}
