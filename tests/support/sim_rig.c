/* SPDX-License-Identifier: MIT */
#include "sim_rig.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "panbind.h"
#include "sim.h"

struct pb_file *rig_open(const char *rest)
{
	struct panbind_error error = {0};
	struct pb_file *file;

	if (pb_backend_sim.open(rest, &file, &error))
		fail_msg("sim:%s: column %u: %s", rest, error.column, error.msg);
	return file;
}

void rig_close(struct pb_file *file)
{
	file->backend->close(file);
}

int rig_ioctl(struct pb_file *file, unsigned long request, void *arg)
{
	return file->backend->ioctl(file, request, arg);
}

uint32_t rig_vm(struct pb_file *file)
{
	struct pb_uapi_vm_create args = {0};

	assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_CREATE, &args), 0);
	return args.id;
}

uint32_t rig_bo(struct pb_file *file, uint64_t size)
{
	struct pb_uapi_bo_create args = {.size = size};

	assert_int_equal(rig_ioctl(file, PB_IOCTL_BO_CREATE, &args), 0);
	return args.handle;
}

void *rig_mmap(struct pb_file *file, uint32_t handle, size_t size)
{
	struct pb_uapi_bo_mmap_offset args = {.handle = handle};
	void *ptr;

	assert_int_equal(rig_ioctl(file, PB_IOCTL_BO_MMAP_OFFSET, &args), 0);
	assert_int_equal(file->backend->mmap(file, args.offset, size, PROT_READ | PROT_WRITE, &ptr), 0);
	return ptr;
}

struct pb_uapi_vm_bind_op rig_map(uint64_t va, uint64_t size, uint32_t bo, uint64_t offset, uint32_t flags)
{
	return (struct pb_uapi_vm_bind_op){
		.flags = PB_OP_MAP | flags, .bo_handle = bo, .bo_offset = offset, .va = va, .size = size};
}

struct pb_uapi_vm_bind_op rig_unmap(uint64_t va, uint64_t size)
{
	return (struct pb_uapi_vm_bind_op){.flags = PB_OP_UNMAP, .va = va, .size = size};
}

struct pb_uapi_vm_bind_op rig_sparse(uint64_t va, uint64_t size)
{
	return rig_map(va, size, 0, 0, PB_OP_SPARSE | PB_OP_NOEXEC);
}

void rig_syncs(struct pb_uapi_vm_bind_op *op, const struct pb_uapi_sync_op *syncs, uint32_t count)
{
	op->syncs = (struct pb_uapi_obj_array){.stride = sizeof(*syncs), .count = count, .array = (uintptr_t)syncs};
}

int rig_bind_ops(struct pb_file *file, uint32_t vm, uint32_t flags, const struct pb_uapi_vm_bind_op *ops, uint32_t n,
		 uint32_t *count)
{
	struct pb_uapi_vm_bind args = {.vm_id = vm,
				       .flags = flags,
				       .ops = {.stride = sizeof(*ops), .count = n, .array = (uintptr_t)ops}};
	int ret = rig_ioctl(file, PB_IOCTL_VM_BIND, &args);

	if (count)
		*count = args.ops.count;
	return ret;
}

int rig_bind(struct pb_file *file, uint32_t vm, struct pb_uapi_vm_bind_op op)
{
	return rig_bind_ops(file, vm, 0, &op, 1, NULL);
}

uint32_t rig_state(struct pb_file *file, uint32_t vm)
{
	struct pb_uapi_vm_get_state args = {.vm_id = vm};

	assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_GET_STATE, &args), 0);
	return args.state;
}

static bool continues(const struct pb_page *run, const struct pb_page *page)
{
	return run->va + run->size == page->va && run->bo_handle == page->bo_handle && run->dummy == page->dummy &&
	       run->flags == page->flags && (run->dummy || run->bo_offset + run->size == page->bo_offset);
}

static void print_run(char *text, size_t room, const struct pb_page *run)
{
	size_t used = strlen(text);

	if (!run->size)
		return;
	used += (size_t)snprintf(text + used, room - used, "%s0x%" PRIx64 "+0x%" PRIx64 " ", used ? "; " : "", run->va,
				 run->size);
	if (run->dummy)
		used += (size_t)snprintf(text + used, room - used, "dummy");
	else
		used += (size_t)snprintf(text + used, room - used, "bo %u+0x%" PRIx64, run->bo_handle, run->bo_offset);
	if (run->flags && !run->dummy)
		snprintf(text + used, room - used, " flags %u", run->flags);
}

const char *rig_pages(struct pb_file *file, uint32_t vm, uint64_t va, uint64_t size)
{
	static char text[4096];
	struct pb_page run = {0}, page;

	text[0] = '\0';
	for (uint64_t at = va; !file->backend->gpu->next_page(file, vm, at, &page) && page.va < va + size;
	     at = page.va + page.size) {
		if (run.size && continues(&run, &page)) {
			run.size += page.size;
			continue;
		}
		print_run(text, sizeof(text), &run);
		run = page;
	}
	print_run(text, sizeof(text), &run);
	return text;
}

uint32_t rig_syncobj(struct pb_file *file, int signaled)
{
	struct drm_syncobj_create args = {.flags = signaled ? DRM_SYNCOBJ_CREATE_SIGNALED : 0};

	assert_int_equal(rig_ioctl(file, DRM_IOCTL_SYNCOBJ_CREATE, &args), 0);
	return args.handle;
}

int rig_syncobj_wait(struct pb_file *file, uint32_t handle)
{
	struct drm_syncobj_wait args = {.handles = (uintptr_t)&handle, .count_handles = 1};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	args.timeout_nsec = (now.tv_sec + 10) * 1000000000ll + now.tv_nsec;
	return rig_ioctl(file, DRM_IOCTL_SYNCOBJ_WAIT, &args);
}

int rig_fence_status(struct pb_file *file, uint32_t handle)
{
	struct sim_syncobj *syncobj = sim_syncs_find(((struct sim_file *)file)->syncs, handle);
	struct sim_fence *fence;
	int status;

	assert_non_null(syncobj);
	assert_int_equal(sim_syncobj_find_fence(syncobj, 0, &fence), 0);
	status = sim_fence_status(fence);
	sim_fence_put(fence);
	sim_syncobj_put(syncobj);
	return status;
}
