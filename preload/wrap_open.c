/* SPDX-License-Identifier: MIT */
/* open() and its kin: how a program comes to a render node. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/types.h>

#include "core.h"
#include "hooks.h"
#include "next.h"

int __open(const char *path, int flags, ...);
int __open64(const char *path, int flags, ...);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

static int opened(int fd, const char *path)
{
	int err = errno;

	if (fd < 0 || !core_recording())
		return fd;
	core_forget(fd);
	if (core_is_node(fd))
		record_opened(fd, path);
	errno = err;
	return fd;
}

/* The mode is there only when a file may be made; reading it all the same would be reading garbage, no more. */
#define MODE(flags)                                                        \
	({                                                                 \
		mode_t mode_ = 0;                                          \
		if ((flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE) { \
			va_list args_;                                     \
			va_start(args_, flags);                            \
			mode_ = va_arg(args_, mode_t);                     \
			va_end(args_);                                     \
		}                                                          \
		mode_;                                                     \
	})

int open(const char *path, int flags, ...)
{
	return opened(NEXT(open)(path, flags, MODE(flags)), path);
}

int open64(const char *path, int flags, ...)
{
	return opened(NEXT(open64)(path, flags, MODE(flags)), path);
}

int openat(int dir, const char *path, int flags, ...)
{
	return opened(NEXT(openat)(dir, path, flags, MODE(flags)), path);
}

int openat64(int dir, const char *path, int flags, ...)
{
	return opened(NEXT(openat64)(dir, path, flags, MODE(flags)), path);
}

int __open(const char *path, int flags, ...)
{
	return opened(NEXT(open)(path, flags, MODE(flags)), path);
}

int __open64(const char *path, int flags, ...)
{
	return opened(NEXT(open64)(path, flags, MODE(flags)), path);
}

int __open_2(const char *path, int flags)
{
	return opened(NEXT(__open_2)(path, flags), path);
}

int __open64_2(const char *path, int flags)
{
	return opened(NEXT(__open64_2)(path, flags), path);
}

int __openat_2(int dir, const char *path, int flags)
{
	return opened(NEXT(__openat_2)(dir, path, flags), path);
}

int __openat64_2(int dir, const char *path, int flags)
{
	return opened(NEXT(__openat64_2)(dir, path, flags), path);
}
