// SPDX-License-Identifier: MIT
/* PID 1 of the box: file systems and modules. */
#define _GNU_SOURCE
#include "box.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void mount_at(const char *type, const char *where)
{
	if (mkdir(where, 0755) && errno != EEXIST && errno != EROFS)
		give_up(where);
	if (mount(type, where, type, 0, NULL) && errno != EBUSY)
		give_up(where);
}

/* The root is the host's. What must be the box's own goes on top of it. */
void mount_all(void)
{
	static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"},
					       {"/proc/self/fd/0", "/dev/stdin"},
					       {"/proc/self/fd/1", "/dev/stdout"},
					       {"/proc/self/fd/2", "/dev/stderr"}};

	umask(022);
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	mount_at("devtmpfs", "/dev");
	mount_at("devpts", "/dev/pts");
	mount_at("tmpfs", "/dev/shm");
	chmod("/dev/shm", 01777);
	mount_at("tmpfs", "/run");
	mkdir("/run/lock", 01777);
	mkdir("/run/user", 0755);
	mkdir("/run/user/0", 0700);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST)
			give_up(links[i][1]);
}

static void load_module(char *line)
{
	char *params = strchr(line, ' ');
	int fd;

	if (params)
		*params++ = '\0';
	fd = open(line, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, params ? params : "", 0))
		give_up(line);
	close(fd);
}

void load_modules(void)
{
	char *text = read_wish("modules", NULL), *rest = text, *line;

	if (!text)
		give_up("modules");
	while ((line = strsep(&rest, "\n")))
		if (*line)
			load_module(line);
}
