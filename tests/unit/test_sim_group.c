/* SPDX-License-Identifier: MIT */
/*
 * Groups and tiler heaps of the simulator where a kernel cannot be brought by ioctls alone: fences that stay pending,
 * VMs that are lost, no room left. The errnos and handles are in tests/conform/conform_{group,heap}.c.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim.h"
#include "sim_rig.h"

#define QUEUES	  2
#define STREAM	  UINT64_C(0x100000)
#define TIMELINE  (PB_SYNC_TYPE_TIMELINE)
#define SIGNAL_OF (PB_SYNC_SIGNAL | TIMELINE)

static int create_group(struct pb_file *file, uint32_t vm, uint32_t *ret_group)
{
	static const struct pb_uapi_queue_create queues[QUEUES] = {{.ringbuf_size = 4096}, {.ringbuf_size = 4096}};
	struct pb_uapi_group_create args = {.queues = {sizeof(queues[0]), QUEUES, (uintptr_t)queues}, .vm_id = vm};
	int ret = rig_ioctl(file, PB_IOCTL_GROUP_CREATE, &args);

	if (!ret)
		*ret_group = args.group_handle;
	return ret;
}

static uint32_t group_of(struct pb_file *file, uint32_t vm)
{
	uint32_t group = 0;

	assert_int_equal(create_group(file, vm, &group), 0);
	return group;
}

static int destroy_group(struct pb_file *file, uint32_t group)
{
	struct pb_uapi_group_destroy args = {.group_handle = group};

	return rig_ioctl(file, PB_IOCTL_GROUP_DESTROY, &args);
}

/* A job of a queue that waits for one syncobj (0: none) and signals another. */
static int submit(struct pb_file *file, uint32_t group, uint32_t queue, bool empty, uint32_t wait, uint32_t signal)
{
	const struct pb_uapi_sync_op syncs[] = {{.flags = PB_SYNC_SIGNAL, .handle = signal}, {.handle = wait}};
	const struct pb_uapi_queue_submit job = {.queue_index = queue,
						 .stream_size = empty ? 0 : 64,
						 .stream_addr = empty ? 0 : STREAM,
						 .syncs = {sizeof(syncs[0]), wait ? 2 : 1, (uintptr_t)syncs}};
	struct pb_uapi_group_submit args = {.group_handle = group, .queue_submits = {sizeof(job), 1, (uintptr_t)&job}};

	return rig_ioctl(file, PB_IOCTL_GROUP_SUBMIT, &args);
}

static uint32_t submit_behind(struct pb_file *file, uint32_t group, uint32_t queue, bool empty, uint32_t wait)
{
	uint32_t done = rig_syncobj(file, 0);

	assert_int_equal(submit(file, group, queue, empty, wait, done), 0);
	return done;
}

/* A syncobj with a fence that is pending until the test signals it: no ioctl of a simulator makes one. */
static uint32_t pending_syncobj(struct pb_file *file, struct sim_fence **ret_fence)
{
	uint32_t handle = rig_syncobj(file, 0);
	struct sim_syncobj *syncobj = sim_syncs_find(((struct sim_file *)file)->syncs, handle);

	*ret_fence = sim_fence_create();
	assert_non_null(*ret_fence);
	sim_syncobj_replace_fence(syncobj, *ret_fence);
	sim_syncobj_put(syncobj);
	return handle;
}

static void signal_fence(struct sim_fence *fence, int error)
{
	sim_fence_signal(fence, error);
	sim_fence_put(fence);
}

static int heap(struct pb_file *file, uint32_t vm, uint32_t chunks, uint32_t size)
{
	struct pb_uapi_tiler_heap_create args = {
		.vm_id = vm, .initial_chunk_count = chunks, .max_chunks = chunks, .chunk_size = size};

	return rig_ioctl(file, PB_IOCTL_TILER_HEAP_CREATE, &args);
}

/* As seen on the real driver: tests/kernel/job/queued_jobs.c. */
static void jobs_that_wait_for_a_cancelled_one(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t vm = rig_vm(file), living = group_of(file, vm), doomed = group_of(file, vm);
	struct sim_fence *fence;
	uint32_t blocker = pending_syncobj(file, &fence);

	/* given jobs of two groups behind one that does not end */
	uint32_t after = submit_behind(file, living, 0, false, blocker);
	uint32_t empty_after = submit_behind(file, living, 0, true, blocker);
	uint32_t lost = submit_behind(file, doomed, 0, false, blocker);
	uint32_t empty = submit_behind(file, doomed, 0, true, blocker);

	/* when one of the groups is destroyed, they still wait */
	assert_int_equal(destroy_group(file, doomed), 0);
	assert_int_equal(rig_fence_status(file, lost), 1);
	assert_int_equal(rig_fence_status(file, empty), 1);
	assert_int_equal(rig_fence_status(file, after), 1);
	/* and when the first one is cancelled */
	signal_fence(fence, -ECANCELED);
	/* then its error is its own; a job of a dead group is cancelled, unless it is empty */
	assert_int_equal(rig_fence_status(file, after), 0);
	assert_int_equal(rig_fence_status(file, empty_after), 0);
	assert_int_equal(rig_fence_status(file, lost), -ECANCELED);
	assert_int_equal(rig_fence_status(file, empty), 0);
	rig_close(file);
}

static void a_queue_waits_for_its_first_job_and_others_do_not(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t group = group_of(file, rig_vm(file)), free_running, behind;
	struct sim_fence *fence;
	uint32_t blocker = pending_syncobj(file, &fence);
	uint32_t first = submit_behind(file, group, 0, true, blocker);

	behind = submit_behind(file, group, 0, true, 0);
	free_running = submit_behind(file, group, 1, true, 0);
	assert_int_equal(rig_fence_status(file, first), 1);
	assert_int_equal(rig_fence_status(file, behind), 1);
	assert_int_equal(rig_fence_status(file, free_running), 0);
	signal_fence(fence, 0);
	assert_int_equal(rig_fence_status(file, first), 0);
	assert_int_equal(rig_fence_status(file, behind), 0);
	rig_close(file);
}

/* Syncobjs that another file holds outlive the group, its VM and its file. */
static void closing_the_file_leaves_jobs_to_their_fences(void **state)
{
	struct pb_file *file = rig_open("name=shared"), *other = rig_open("name=shared");
	uint32_t group = group_of(file, rig_vm(file));
	struct sim_fence *fence;
	uint32_t blocker = pending_syncobj(file, &fence);
	uint32_t done = submit_behind(file, group, 0, true, blocker);
	uint32_t lost = submit_behind(file, group, 1, false, blocker);
	struct drm_syncobj_handle export[2] = {{.handle = done}, {.handle = lost}};

	for (int i = 0; i < 2; i++) {
		assert_int_equal(rig_ioctl(file, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &export[i]), 0);
		assert_int_equal(rig_ioctl(other, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &export[i]), 0);
		close(export[i].fd);
	}
	rig_close(file);
	assert_int_equal(rig_fence_status(other, export[0].handle), 1);
	signal_fence(fence, 0);
	assert_int_equal(rig_fence_status(other, export[0].handle), 0);
	assert_int_equal(rig_fence_status(other, export[1].handle), -ECANCELED);
	rig_close(other);
}

/* Each job waits for the one before it, in the other queue: signalling the first must not recurse through all. */
static void long_chains_of_jobs_need_no_stack(void **state)
{
	enum { JOBS = 20000 };
	struct pb_file *file = rig_open("");
	uint32_t group = group_of(file, rig_vm(file)), timeline = rig_syncobj(file, 0), last;
	struct sim_fence *fence;
	uint32_t blocker = pending_syncobj(file, &fence);

	assert_int_equal(submit(file, group, 0, true, blocker, blocker), 0);
	for (uint64_t i = 1; i <= JOBS; i++) {
		const struct pb_uapi_sync_op syncs[] = {{SIGNAL_OF, timeline, i}, {TIMELINE, timeline, i - 1}};
		const struct pb_uapi_queue_submit job = {.queue_index = i % QUEUES,
							 .syncs = {sizeof(syncs[0]), i == 1 ? 1 : 2, (uintptr_t)syncs}};
		struct pb_uapi_group_submit args = {.group_handle = group,
						    .queue_submits = {sizeof(job), 1, (uintptr_t)&job}};

		assert_int_equal(rig_ioctl(file, PB_IOCTL_GROUP_SUBMIT, &args), 0);
	}
	last = submit_behind(file, group, JOBS % QUEUES, true, 0);
	signal_fence(fence, 0);
	assert_int_equal(rig_syncobj_wait(file, last), 0);
	rig_close(file);
}

static void an_unusable_vm_takes_no_new_objects(void **state)
{
	struct pb_file *file = rig_open("fault=VM_BIND#1:op=0:ENOMEM");
	uint32_t vm = rig_vm(file), bo = rig_bo(file, 4096), group = group_of(file, vm), done = rig_syncobj(file, 0);
	const struct pb_uapi_sync_op sync = {.flags = PB_SYNC_SIGNAL, .handle = done};
	struct pb_uapi_group_get_state get = {.group_handle = group, .state = 77};
	struct pb_uapi_vm_bind_op op = rig_map(STREAM, 4096, bo, 0, 0);

	rig_syncs(&op, &sync, 1);
	assert_int_equal(rig_bind_ops(file, vm, PB_VM_BIND_ASYNC, &op, 1, NULL), 0);
	assert_int_equal(rig_syncobj_wait(file, done), 0);
	assert_int_equal(rig_state(file, vm), PB_VM_STATE_UNUSABLE);

	assert_int_equal(create_group(file, vm, &(uint32_t){0}), -EINVAL);
	assert_int_equal(heap(file, vm, 1, 128 << 10), -EINVAL);
	/* the group that is there goes on, and its state says nothing of the VM */
	assert_int_equal(submit(file, group, 0, true, 0, done), 0);
	assert_int_equal(rig_fence_status(file, done), 0);
	assert_int_equal(rig_ioctl(file, PB_IOCTL_GROUP_GET_STATE, &get), 0);
	assert_int_equal(get.state, 0);
	rig_close(file);
}

static void the_kernels_part_can_be_full(void **state)
{
	struct pb_file *file = rig_open("va-bits=40");
	struct pb_uapi_vm_create vm = {.user_va_range = (UINT64_C(1) << 40) - (UINT64_C(256) << 20)};
	uint32_t group = 0, count = 0;

	/* 256 MiB: the contexts, and 31 chunks of 8 MiB at their boundaries of 2 MiB */
	assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_CREATE, &vm), 0);
	assert_int_equal(heap(file, vm.id, 32, 8 << 20), -ENOSPC);
	assert_int_equal(heap(file, vm.id, 31, 8 << 20), 0);
	/* a failure gives back what it had got so far: small ones still fit */
	while (!create_group(file, vm.id, &group))
		count++;
	assert_int_equal(group, SIM_MAX_GROUPS);
	assert_int_equal(count, SIM_MAX_GROUPS);
	rig_close(file);
}

static void heaps_are_limited_by_memory(void **state)
{
	struct pb_file *file = rig_open("");
	uint32_t vm = rig_vm(file);

	assert_int_equal(heap(file, vm, UINT32_MAX, 8 << 20), -ENOMEM);
	assert_int_equal(heap(file, vm, 500, 8 << 20), 0);
	rig_close(file);
}

struct racer {
	struct pb_file *file;
	uint32_t vm, other;
};

/* Groups come and go while their jobs wait for each other's fences. */
static void *live_and_die(void *arg)
{
	struct racer *racer = arg;

	for (int i = 0; i < 200; i++) {
		uint32_t group = group_of(racer->file, racer->vm), done;

		done = submit_behind(racer->file, group, 0, i % 2, racer->other);
		assert_int_equal(submit(racer->file, group, 1, true, done, racer->other), 0);
		heap(racer->file, racer->vm, 1, 128 << 10); /* -EBUSY when there are 128 */
		assert_int_equal(destroy_group(racer->file, group), 0);
		assert_int_equal(rig_syncobj_wait(racer->file, done), 0);
	}
	return NULL;
}

static void threads_may_share_a_file(void **state)
{
	enum { THREADS = 4 };
	struct pb_file *file = rig_open("");
	struct racer racer = {.file = file, .vm = rig_vm(file)};
	pthread_t threads[THREADS];
	struct sim_fence *fence;

	racer.other = pending_syncobj(file, &fence);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, live_and_die, &racer), 0);
	signal_fence(fence, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	rig_close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_that_wait_for_a_cancelled_one),
		cmocka_unit_test(a_queue_waits_for_its_first_job_and_others_do_not),
		cmocka_unit_test(closing_the_file_leaves_jobs_to_their_fences),
		cmocka_unit_test(long_chains_of_jobs_need_no_stack),
		cmocka_unit_test(an_unusable_vm_takes_no_new_objects),
		cmocka_unit_test(the_kernels_part_can_be_full),
		cmocka_unit_test(heaps_are_limited_by_memory),
		cmocka_unit_test(threads_may_share_a_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
