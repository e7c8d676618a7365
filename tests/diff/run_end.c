/* SPDX-License-Identifier: MIT */
/*
 * What is left when a program has ended, which steps may not have looked at.
 */
#include <drm.h>
#include <unistd.h>

#include "panbind.h"
#include "run.h"

static void print_states(struct diff_world *world, unsigned file)
{
	for (uint32_t id = 1; id < 64; id++) {
		struct pb_uapi_vm_get_state args = {.vm_id = id};

		if (!(world->vms[file] >> id & 1))
			continue;
		fprintf(world->out, "= @%u vm %u", file, id);
		diff_print_ret(world, diff_quiet(world, file, PB_IOCTL_VM_GET_STATE, &args));
		fprintf(world->out, " state=%u\n", args.state);
	}
}

static uint64_t query(struct diff_world *world, unsigned file, uint32_t handle, uint32_t flags)
{
	uint64_t point = 0;
	struct drm_syncobj_timeline_array args = {
		.handles = (uintptr_t)&handle, .points = (uintptr_t)&point, .count_handles = 1, .flags = flags};

	diff_quiet(world, file, DRM_IOCTL_SYNCOBJ_QUERY, &args);
	return point;
}

/* The fence that is in it: pending, done, or what it failed with. */
static void print_fence(struct diff_world *world, unsigned file, uint32_t handle)
{
	struct drm_syncobj_handle args = {.handle = handle,
					  .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
					  .fd = -1};
	int ret = diff_quiet(world, file, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args), status = 0;

	if (ret) {
		fprintf(world->out, " no fence (%s)", panbind_errno_name(ret));
		return;
	}
	if (world->careful && diff_fences_are_deadly(world)) {
		fputs(" a fence", world->out);
	} else {
		world->file[file]->backend->fence_status(world->file[file], args.fd, &status);
		fprintf(world->out, " fence=%d", status);
	}
	close(args.fd);
}

static void print_syncs(struct diff_world *world, unsigned file)
{
	for (uint32_t handle = 1; handle < 64; handle++) {
		if (!(world->syncs[file] >> handle & 1))
			continue;
		fprintf(world->out, "= @%u sync %u point=0x%llx submitted=0x%llx", file, handle,
			(unsigned long long)query(world, file, handle, 0),
			(unsigned long long)query(world, file, handle, DRM_SYNCOBJ_QUERY_FLAGS_LAST_SUBMITTED));
		print_fence(world, file, handle);
		fputc('\n', world->out);
	}
}

void diff_print_end(struct diff_world *world)
{
	for (unsigned file = 0; file < DIFF_FILES; file++) {
		if (!world->file[file])
			continue;
		print_states(world, file);
		print_syncs(world, file);
	}
	diff_print_maps(world);
}
