/* SPDX-License-Identifier: MIT */
/*
 * What a simulated program learns from paths: which nodes there are, what sysfs says of them, what kind of file a node
 * is. libc's own calls of these functions do not come here, so those that lead to a file are here as a whole.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core.h"
#include "next.h"

/* What programs call that were built before glibc 2.33. */
int __xstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat(int version, const char *path, struct stat *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstat(int version, int fd, struct stat *st);
int __fxstat64(int version, int fd, struct stat64 *st);
int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int dir, const char *path, struct stat64 *st, int flags);

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one struct on 64-bit machines");

/* ---- stat ---- */

static int stat_fd(int fd, struct stat *st)
{
	int ret = NEXT(fstat)(fd, st);

	if (ret == 0)
		paths_fix_stat(fd, st);
	return ret;
}

static int stat_at(int dir, const char *path, struct stat *st, int flags)
{
	char buffer[PATHS_MAX];
	int proc = flags & AT_SYMLINK_NOFOLLOW ? -1 : paths_node_of_proc(path), ret;

	if (proc >= 0)
		return stat_fd(proc, st);
	ret = NEXT(fstatat)(dir, paths_lead(path, buffer), st, flags);
	if (ret == 0)
		paths_fix_stat(path && !*path && flags & AT_EMPTY_PATH ? dir : -1, st);
	return ret;
}

int stat(const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, 0);
}

int stat64(const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, 0);
}

int lstat(const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

int lstat64(const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, AT_SYMLINK_NOFOLLOW);
}

int fstat(int fd, struct stat *st)
{
	return stat_fd(fd, st);
}

int fstat64(int fd, struct stat64 *st)
{
	return stat_fd(fd, (struct stat *)st);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return stat_at(dir, path, st, flags);
}

int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	return stat_at(dir, path, (struct stat *)st, flags);
}

int __xstat(int version, const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, 0);
}

int __xstat64(int version, const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, 0);
}

int __lxstat(int version, const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

int __lxstat64(int version, const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, AT_SYMLINK_NOFOLLOW);
}

int __fxstat(int version, int fd, struct stat *st)
{
	return stat_fd(fd, st);
}

int __fxstat64(int version, int fd, struct stat64 *st)
{
	return stat_fd(fd, (struct stat *)st);
}

int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags)
{
	return stat_at(dir, path, st, flags);
}

int __fxstatat64(int version, int dir, const char *path, struct stat64 *st, int flags)
{
	return stat_at(dir, path, (struct stat *)st, flags);
}

/* The fields of a struct stat that tell what a file is, into a struct statx. */
static void fix_statx(int fd, struct statx *stx)
{
	struct stat st = {
		.st_dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.st_ino = stx->stx_ino,
		.st_mode = stx->stx_mode,
	};

	paths_fix_stat(fd, &st);
	if (st.st_mode == stx->stx_mode)
		return;
	stx->stx_dev_major = major(st.st_dev);
	stx->stx_dev_minor = minor(st.st_dev);
	stx->stx_ino = st.st_ino;
	stx->stx_mode = (unsigned short)st.st_mode;
	stx->stx_rdev_major = major(st.st_rdev);
	stx->stx_rdev_minor = minor(st.st_rdev);
	stx->stx_size = 0;
	stx->stx_blocks = 0;
}

int statx(int dir, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	char buffer[PATHS_MAX];
	const char *led = paths_lead(path, buffer);
	int ret = NEXT(statx)(dir, led, flags, mask | (core_sim() ? STATX_INO | STATX_TYPE : 0), stx);

	if (ret == 0 && core_sim())
		fix_statx(led && !*led && flags & AT_EMPTY_PATH ? dir : -1, stx);
	return ret;
}

/* ---- May I, and where does it lead ---- */

int access(const char *path, int mode)
{
	char buffer[PATHS_MAX];

	return NEXT(access)(paths_lead(path, buffer), mode);
}

int faccessat(int dir, const char *path, int mode, int flags)
{
	char buffer[PATHS_MAX];

	return NEXT(faccessat)(dir, paths_lead(path, buffer), mode, flags);
}

int eaccess(const char *path, int mode)
{
	char buffer[PATHS_MAX];

	return NEXT(eaccess)(paths_lead(path, buffer), mode);
}

int euidaccess(const char *path, int mode)
{
	char buffer[PATHS_MAX];

	return NEXT(eaccess)(paths_lead(path, buffer), mode);
}

static ssize_t read_link(int dir, const char *path, char *text, size_t size)
{
	static const char name[] = "/dev/dri/" NODE_NAME;
	char buffer[PATHS_MAX];
	ssize_t ret = NEXT(readlinkat)(dir, paths_lead(path, buffer), text, size);

	if (ret < 0 || paths_node_of_proc(path) < 0)
		return ret;
	if (size > sizeof(name) - 1)
		size = sizeof(name) - 1;
	memcpy(text, name, size);
	return (ssize_t)size;
}

ssize_t readlink(const char *path, char *text, size_t size)
{
	return read_link(AT_FDCWD, path, text, size);
}

ssize_t readlinkat(int dir, const char *path, char *text, size_t size)
{
	return read_link(dir, path, text, size);
}

ssize_t __readlink_chk(const char *path, char *text, size_t size, size_t room)
{
	return size > room ? NEXT(__readlink_chk)(path, text, size, room) : read_link(AT_FDCWD, path, text, size);
}

ssize_t __readlinkat_chk(int dir, const char *path, char *text, size_t size, size_t room)
{
	return size > room ? NEXT(__readlinkat_chk)(dir, path, text, size, room) : read_link(dir, path, text, size);
}

static char *real_path(const char *path, char *resolved)
{
	char buffer[PATHS_MAX], *ret = NEXT(realpath)(paths_lead(path, buffer), resolved);

	if (ret)
		paths_strip(ret);
	return ret;
}

char *realpath(const char *path, char *resolved)
{
	return real_path(path, resolved);
}

char *__realpath_chk(const char *path, char *resolved, size_t room)
{
	return room < PATH_MAX ? NEXT(__realpath_chk)(path, resolved, room) : real_path(path, resolved);
}

char *canonicalize_file_name(const char *path)
{
	return real_path(path, NULL);
}

/* ---- Folders and streams ---- */

DIR *opendir(const char *path)
{
	char buffer[PATHS_MAX];

	return NEXT(opendir)(paths_lead(path, buffer));
}

int scandir(const char *path, struct dirent ***list, int (*filter)(const struct dirent *),
	    int (*compare)(const struct dirent **, const struct dirent **))
{
	char buffer[PATHS_MAX];

	return NEXT(scandir)(paths_lead(path, buffer), list, filter, compare);
}

int scandir64(const char *path, struct dirent64 ***list, int (*filter)(const struct dirent64 *),
	      int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
	char buffer[PATHS_MAX];

	return NEXT(scandir64)(paths_lead(path, buffer), list, filter, compare);
}

FILE *fopen(const char *path, const char *mode)
{
	char buffer[PATHS_MAX];

	return NEXT(fopen)(paths_lead(path, buffer), mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	char buffer[PATHS_MAX];

	return NEXT(fopen64)(paths_lead(path, buffer), mode);
}

static void strip_all(char **paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		paths_strip(paths[i]);
}

int glob(const char *pattern, int flags, int (*error)(const char *, int), glob_t *found)
{
	char buffer[PATHS_MAX];
	int ret = NEXT(glob)(paths_lead(pattern, buffer), flags, error, found);

	if (ret == 0 && core_sim())
		strip_all(found->gl_pathv + (flags & GLOB_DOOFFS ? found->gl_offs : 0), found->gl_pathc);
	return ret;
}

int glob64(const char *pattern, int flags, int (*error)(const char *, int), glob64_t *found)
{
	char buffer[PATHS_MAX];
	int ret = NEXT(glob64)(paths_lead(pattern, buffer), flags, error, found);

	if (ret == 0 && core_sim())
		strip_all(found->gl_pathv + (flags & GLOB_DOOFFS ? found->gl_offs : 0), found->gl_pathc);
	return ret;
}
