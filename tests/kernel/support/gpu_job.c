/* SPDX-License-Identifier: MIT */
#include "gpu_job.h"

#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include "uapi.h"

#define PAGES_SIZE UINT64_C(8192)

static int do_ioctl(const struct gpu_job *job, unsigned long request, void *arg)
{
	return job->file->backend->ioctl(job->file, request, arg);
}

static int make_group(struct gpu_job *job)
{
	struct pb_uapi_queue_create queue = {.priority = 1, .ringbuf_size = 4096};
	struct pb_uapi_group_create args = {
		.queues = {.stride = sizeof(queue), .count = 1, .array = (uintptr_t)&queue},
		.max_compute_cores = 1,
		.max_fragment_cores = 1,
		.max_tiler_cores = 1,
		.priority = PB_GROUP_PRIORITY_MEDIUM,
		.compute_core_mask = 1,
		.fragment_core_mask = 1,
		.tiler_core_mask = 1,
		.vm_id = job->vm,
	};
	int ret = do_ioctl(job, PB_IOCTL_GROUP_CREATE, &args);

	job->group = args.group_handle;
	return ret;
}

static int bind_pages(struct gpu_job *job, uint32_t type)
{
	struct pb_uapi_vm_bind_op op = {.flags = type, .va = GPU_JOB_VA, .size = PAGES_SIZE};
	struct pb_uapi_vm_bind args = {.vm_id = job->vm,
				       .ops = {.stride = sizeof(op), .count = 1, .array = (uintptr_t)&op}};

	if (type == PB_OP_MAP)
		op.bo_handle = job->bo;
	return do_ioctl(job, PB_IOCTL_VM_BIND, &args);
}

static int make_pages(struct gpu_job *job)
{
	struct pb_uapi_bo_create create = {.size = PAGES_SIZE, .exclusive_vm_id = job->vm};
	struct pb_uapi_bo_mmap_offset offset = {0};
	void *pages;
	int ret = do_ioctl(job, PB_IOCTL_BO_CREATE, &create);

	if (ret)
		return ret;
	job->bo = offset.handle = create.handle;
	ret = do_ioctl(job, PB_IOCTL_BO_MMAP_OFFSET, &offset);
	if (!ret)
		ret = job->file->backend->mmap(job->file, offset.offset, PAGES_SIZE, PROT_READ | PROT_WRITE, &pages);
	if (ret)
		return ret;
	job->stream = pages;
	job->words = job->stream + GPU_JOB_ROOM;
	return bind_pages(job, PB_OP_MAP);
}

int gpu_job_open(struct gpu_job *job, struct pb_file *file, uint32_t vm)
{
	int ret;

	*job = (struct gpu_job){.file = file, .vm = vm};
	ret = make_pages(job);
	if (!ret)
		ret = make_group(job);
	if (ret)
		gpu_job_close(job);
	return ret;
}

int gpu_job_submit_synced(struct gpu_job *job, const uint64_t *end, const struct pb_uapi_sync_op *syncs, uint32_t count)
{
	struct pb_uapi_queue_submit queue = {
		.stream_size = (uint32_t)((const char *)end - (const char *)job->stream),
		.stream_addr = end == job->stream ? 0 : GPU_JOB_VA,
		.syncs = {.stride = sizeof(*syncs), .count = count, .array = (uintptr_t)syncs}};
	struct pb_uapi_group_submit args = {
		.group_handle = job->group,
		.queue_submits = {.stride = sizeof(queue), .count = 1, .array = (uintptr_t)&queue}};

	return do_ioctl(job, PB_IOCTL_GROUP_SUBMIT, &args);
}

int gpu_job_submit_signal(struct gpu_job *job, const uint64_t *end, uint32_t signal)
{
	struct pb_uapi_sync_op sync = {.flags = PB_SYNC_SIGNAL, .handle = signal};

	return gpu_job_submit_synced(job, end, &sync, signal != 0);
}

int gpu_job_submit(struct gpu_job *job, const uint64_t *end)
{
	return gpu_job_submit_synced(job, end, NULL, 0);
}

int gpu_job_wait(const struct gpu_job *job, size_t word, uint64_t value, unsigned ms)
{
	const struct timespec nap = {.tv_nsec = 200000};

	for (unsigned naps = ms * 5; job->words[word] != value; naps--) {
		if (!naps)
			return -ETIME;
		nanosleep(&nap, NULL);
	}
	return 0;
}

int gpu_job_state(struct gpu_job *job, uint32_t *ret_state)
{
	struct pb_uapi_group_get_state args = {.group_handle = job->group};
	int ret = do_ioctl(job, PB_IOCTL_GROUP_GET_STATE, &args);

	if (!ret)
		*ret_state = args.state;
	return ret;
}

int gpu_job_close(struct gpu_job *job)
{
	struct pb_uapi_group_destroy group = {.group_handle = job->group};
	struct drm_gem_close bo = {.handle = job->bo};
	int ret = job->group ? do_ioctl(job, PB_IOCTL_GROUP_DESTROY, &group) : 0;

	if (job->stream) {
		bind_pages(job, PB_OP_UNMAP);
		munmap(job->stream, PAGES_SIZE);
	}
	if (job->bo)
		do_ioctl(job, DRM_IOCTL_GEM_CLOSE, &bo);
	*job = (struct gpu_job){0};
	return ret;
}
