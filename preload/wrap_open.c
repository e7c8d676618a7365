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

static int opened(int fd, const char *path)
{
	int err = errno;

	if (fd < 0)
		return fd;
	core_forget(fd);
	if (core_recording() && core_is_node(fd))
		record_opened(fd, path);
	errno = err;
	return fd;
}

/* What opens the node as a thing, not as a device, is answered by its file: a fd, or the error. */
static bool opens_device(int flags)
{
	return !(flags & (O_PATH | O_DIRECTORY)) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
}

/* The simulated node, if that is what @path means: true, and what open() shall return. */
static bool open_simulated(int dir, const char *path, int flags, int *ret_fd)
{
	int fd;

	if (!core_sim() || !opens_device(flags))
		return false;
	if (!paths_is_node(dir, path) && paths_node_of_proc(path) < 0)
		return false;
	fd = node_open(core_sim(), flags);
	if (fd < 0)
		errno = -fd;
	*ret_fd = fd < 0 ? -1 : fd;
	return true;
}

/* The mode is there only when a file may be made. */
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

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
	char buffer[PATHS_MAX];
	const char *led = paths_lead(path, buffer);
	int fd;

	if (!open_simulated(dir, led, flags, &fd))
		fd = NEXT(openat)(dir, led, flags, mode);
	return opened(fd, path);
}

int open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE(flags));
}

int open64(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags | O_LARGEFILE, MODE(flags));
}

int openat(int dir, const char *path, int flags, ...)
{
	return open_at(dir, path, flags, MODE(flags));
}

int openat64(int dir, const char *path, int flags, ...)
{
	return open_at(dir, path, flags | O_LARGEFILE, MODE(flags));
}

int __open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE(flags));
}

int __open64(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags | O_LARGEFILE, MODE(flags));
}

/* What a fortified program calls when it gives no mode. libc checks that and ends the program: that stays libc's. */
int __open_2(const char *path, int flags)
{
	return flags & O_CREAT ? NEXT(__open_2)(path, flags) : open_at(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return flags & O_CREAT ? NEXT(__open64_2)(path, flags) : open_at(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
	return flags & O_CREAT ? NEXT(__openat_2)(dir, path, flags) : open_at(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
	return flags & O_CREAT ? NEXT(__openat64_2)(dir, path, flags) : open_at(dir, path, flags | O_LARGEFILE, 0);
}
