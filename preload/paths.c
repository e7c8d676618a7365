/* SPDX-License-Identifier: MIT */
/*
 * Where a simulated program's paths lead: what is below /dev/dri, and what sysfs has of DRM devices, is in the folder
 * of the node, and nothing else is. The node itself is an empty file there, known by its inode.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core.h"

static const char *const roots[] = {
	"/dev/dri",
	"/sys/dev/char/226:",
	"/sys/class/drm",
	"/sys/bus/platform/drivers/panthor",
	"/sys/devices/platform/soc/fb000000.gpu",
};

/* The node's file, as the kernel knows it. */
static struct stat node_file;
static bool have_node_file;

static int real_stat(int dir, const char *path, struct stat *st, int flags)
{
	int err = errno, ret = (int)syscall(SYS_newfstatat, dir, path, st, flags);

	errno = err;
	return ret;
}

void paths_start(void)
{
	char buffer[PATHS_MAX];
	const char *path = paths_lead("/dev/dri/" NODE_NAME, buffer);

	have_node_file = real_stat(AT_FDCWD, path, &node_file, 0) == 0;
}

/* Is @path below a root? A root that ends with a colon is the beginning of a name. */
static bool is_below(const char *path, const char *root)
{
	size_t length = strlen(root);

	if (strncmp(path, root, length) != 0)
		return false;
	return root[length - 1] == ':' || path[length] == '/' || !path[length];
}

/* Copy without "//" and "/./", which mean nothing: false when it does not fit. */
static bool tidy(const char *path, char *out, size_t room)
{
	size_t used = 0;

	while (*path) {
		if (path[0] == '/' && (path[1] == '/' || (path[1] == '.' && (path[2] == '/' || !path[2])))) {
			path += path[1] == '/' ? 1 : 2;
			continue;
		}
		if (used + 1 >= room)
			return false;
		out[used++] = *path++;
	}
	out[used] = '\0';
	return true;
}

const char *paths_lead(const char *path, char buffer[PATHS_MAX])
{
	const char *folder = core_sim();
	size_t length;

	if (!folder || !path || (strncmp(path, "/dev", 4) != 0 && strncmp(path, "/sys", 4) != 0))
		return path;
	length = strlen(folder);
	if (!tidy(path, buffer + length, PATHS_MAX - length))
		return path;
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		if (!is_below(buffer + length, roots[i]))
			continue;
		memcpy(buffer, folder, length);
		return buffer;
	}
	return path;
}

void paths_strip(char *path)
{
	const char *folder = core_sim();
	size_t length = folder ? strlen(folder) : 0;

	if (length && strncmp(path, folder, length) == 0 && path[length] == '/')
		memmove(path, path + length, strlen(path + length) + 1);
}

static bool is_node_file(const struct stat *st)
{
	return have_node_file && st->st_dev == node_file.st_dev && st->st_ino == node_file.st_ino;
}

bool paths_is_node(int dir, const char *path)
{
	struct stat st;

	/* Every name of the node has this in it, and most paths do not. */
	if (!have_node_file || !path || !strstr(path, "render"))
		return false;
	return real_stat(dir, path, &st, 0) == 0 && is_node_file(&st);
}

void paths_fix_stat(int fd, struct stat *st)
{
	struct node_id id;

	if (!have_node_file)
		return;
	if (!is_node_file(st)) {
		if (fd < 0 || !S_ISSOCK(st->st_mode) || !node_identify(fd, &id))
			return;
		*st = node_file;
	}
	st->st_mode = S_IFCHR | 0666;
	st->st_rdev = makedev(NODE_DRM_MAJOR, NODE_MINOR);
	st->st_size = 0;
	st->st_blocks = 0;
}

int paths_node_of_proc(const char *path)
{
	static const char *const heads[] = {"/proc/self/fd/", "/dev/fd/"};
	struct node_id id;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]) && core_sim() && path; i++) {
		size_t length = strlen(heads[i]);
		char *end;
		long fd;

		if (strncmp(path, heads[i], length) != 0 || path[length] < '0' || path[length] > '9')
			continue;
		fd = strtol(path + length, &end, 10);
		if (!*end && node_identify((int)fd, &id))
			return (int)fd;
	}
	return -1;
}
