/* SPDX-License-Identifier: MIT */
/* Start, forks, and which fds are render nodes. */
#include "core.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "hooks.h"
#include "next.h"

#define DRM_MAJOR	  226
#define DRM_RENDER_MINORS 128 /* the first of them */
#define REMEMBERED_FDS	  1024

static struct {
	bool recording;
	/* Only what was found to be a node is remembered: to be wrong about that takes a close() behind our back. */
	atomic_bool nodes[REMEMBERED_FDS];
} core;

bool core_recording(void)
{
	return core.recording;
}

static bool ask(int fd)
{
	struct stat st;
	int err = errno, ret = NEXT(fstat)(fd, &st);

	errno = err;
	return ret == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == DRM_MAJOR &&
	       minor(st.st_rdev) >= DRM_RENDER_MINORS;
}

bool core_is_node(int fd)
{
	bool known = fd >= 0 && fd < REMEMBERED_FDS;

	if (known && atomic_load_explicit(&core.nodes[fd], memory_order_relaxed))
		return true;
	if (!ask(fd))
		return false;
	if (known)
		atomic_store_explicit(&core.nodes[fd], true, memory_order_relaxed);
	return true;
}

void core_forget(int fd)
{
	if (fd >= 0 && fd < REMEMBERED_FDS)
		atomic_store_explicit(&core.nodes[fd], false, memory_order_relaxed);
}

void core_forget_range(unsigned int first, unsigned int last)
{
	for (unsigned int fd = first; fd <= last && fd < REMEMBERED_FDS; fd++)
		core_forget((int)fd);
}

static void forked(void)
{
	record_forked();
}

__attribute__((constructor)) static void start(void)
{
	const char *where = secure_getenv("PANBIND_RECORD");

	next_init();
	if (!where || !*where)
		return;
	core.recording = true;
	pthread_atfork(NULL, NULL, forked);
	record_start(where);
}
