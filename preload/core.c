/* SPDX-License-Identifier: MIT */
/* Start, forks, and which fds are render nodes. */
#include "core.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "hooks.h"
#include "next.h"

#define DRM_RENDER_MINORS 128u /* the first of them */
#define REMEMBERED_FDS	  1024

/* Only what was found to be a node is remembered: to be wrong about that takes a close() behind our back. */
struct remembered {
	_Atomic uint64_t node, file;
	atomic_uint kind;
};

static struct {
	bool recording;
	bool simulating;
	char folder[PATHS_MAX / 2];
	struct remembered fds[REMEMBERED_FDS];
} core;

bool core_recording(void)
{
	return core.recording;
}

const char *core_sim(void)
{
	return core.simulating ? core.folder : NULL;
}

static enum core_kind ask(int fd, struct node_id *ret_id)
{
	struct stat st;
	int err, ret;

	/* A simulated node can come from somebody else's simulation, too; only then does it cost a system call more. */
	if (core.simulating && node_identify(fd, ret_id))
		return CORE_SIMULATED;
	err = errno;
	ret = NEXT(fstat)(fd, &st);
	errno = err;
	if (ret)
		return CORE_NONE;
	if (S_ISCHR(st.st_mode) && major(st.st_rdev) == NODE_DRM_MAJOR && minor(st.st_rdev) >= DRM_RENDER_MINORS)
		return CORE_KERNEL;
	return S_ISSOCK(st.st_mode) && !core.simulating && node_identify(fd, ret_id) ? CORE_SIMULATED : CORE_NONE;
}

static void remember(struct remembered *slot, enum core_kind kind, const struct node_id *id)
{
	atomic_store_explicit(&slot->node, id->node, memory_order_relaxed);
	atomic_store_explicit(&slot->file, id->file, memory_order_relaxed);
	atomic_store_explicit(&slot->kind, kind, memory_order_release);
}

enum core_kind core_node(int fd, struct node_id *ret_id)
{
	struct remembered *slot = fd >= 0 && fd < REMEMBERED_FDS ? &core.fds[fd] : NULL;
	enum core_kind kind = slot ? atomic_load_explicit(&slot->kind, memory_order_acquire) : CORE_NONE;

	if (kind != CORE_NONE) {
		ret_id->node = atomic_load_explicit(&slot->node, memory_order_relaxed);
		ret_id->file = atomic_load_explicit(&slot->file, memory_order_relaxed);
		return kind;
	}
	*ret_id = (struct node_id){0};
	kind = ask(fd, ret_id);
	if (slot && kind != CORE_NONE)
		remember(slot, kind, ret_id);
	return kind;
}

bool core_is_node(int fd)
{
	struct node_id id;

	return core_node(fd, &id) != CORE_NONE;
}

void core_forget(int fd)
{
	if (fd >= 0 && fd < REMEMBERED_FDS)
		atomic_store_explicit(&core.fds[fd].kind, CORE_NONE, memory_order_relaxed);
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

static void start_simulating(void)
{
	const char *folder = secure_getenv("PANBIND_SIM");
	size_t length = folder ? strlen(folder) : 0;

	if (!length || *folder != '/' || length >= sizeof(core.folder))
		return;
	memcpy(core.folder, folder, length + 1);
	core.simulating = true;
	paths_start();
}

static void start_recording(void)
{
	const char *where = secure_getenv("PANBIND_RECORD");

	if (!where || !*where)
		return;
	core.recording = true;
	pthread_atfork(NULL, NULL, forked);
	record_start(where);
}

__attribute__((constructor)) static void start(void)
{
	next_init();
	start_simulating();
	start_recording();
}
