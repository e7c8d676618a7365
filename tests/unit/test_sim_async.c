/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous VM_BIND: what is refused at the door, the order of what runs, and what failures leave behind.
 *
 * No ioctl makes a fence that stays pending, since only GPU jobs do; the tests put one into a syncobj by hand.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim.h"
#include "sim_rig.h"

#define K(n)	 ((uint64_t)(n) << 10)
#define BASE	 UINT64_C(0x10000000)
#define ASYNC	 PB_VM_BIND_ASYNC
#define TIMELINE PB_SYNC_TYPE_TIMELINE
#define SIGNAL	 PB_SYNC_SIGNAL

struct rig {
	struct pb_file *file;
	uint32_t vm, bo, done; /* done: a binary syncobj without a fence */
};

static void open_rig(struct rig *rig, const char *options)
{
	rig->file = rig_open(options);
	rig->vm = rig_vm(rig->file);
	rig->bo = rig_bo(rig->file, K(64));
	rig->done = rig_syncobj(rig->file, 0);
}

static const char *pages(struct rig *rig)
{
	return rig_pages(rig->file, rig->vm, 0, UINT64_C(1) << 47);
}

static int bind_async(struct rig *rig, const struct pb_uapi_vm_bind_op *ops, uint32_t count)
{
	uint32_t after;
	int ret = rig_bind_ops(rig->file, rig->vm, ASYNC, ops, count, &after);

	assert_int_equal(after, count); /* an asynchronous bind never says which op */
	return ret;
}

/* One op with these syncs. */
static int bind_synced(struct rig *rig, struct pb_uapi_vm_bind_op op, const struct pb_uapi_sync_op *syncs,
		       uint32_t count)
{
	rig_syncs(&op, syncs, count);
	return bind_async(rig, &op, 1);
}

static struct pb_uapi_vm_bind_op map_page(struct rig *rig, unsigned page)
{
	return rig_map(BASE + K(4) * page, K(4), rig->bo, K(4) * page, 0);
}

static int set_fence(struct rig *rig, uint32_t handle, struct sim_fence *fence)
{
	struct sim_syncobj *syncobj = sim_syncs_find(((struct sim_file *)rig->file)->syncs, handle);

	if (!syncobj)
		return -ENOENT;
	sim_syncobj_replace_fence(syncobj, fence);
	sim_syncobj_put(syncobj);
	return 0;
}

/* A syncobj with a fence that is pending until the test signals it. */
static uint32_t pending_syncobj(struct rig *rig, struct sim_fence **ret_fence)
{
	uint32_t handle = rig_syncobj(rig->file, 0);

	*ret_fence = sim_fence_create();
	assert_non_null(*ret_fence);
	assert_int_equal(set_fence(rig, handle, *ret_fence), 0);
	return handle;
}

static void release(struct sim_fence *fence)
{
	sim_fence_signal(fence, 0);
	sim_fence_put(fence);
}

/* Queue an empty op behind everything, and wait for it. */
static int drain(struct rig *rig)
{
	const struct pb_uapi_sync_op sync = {.flags = SIGNAL, .handle = rig->done};
	int ret = bind_synced(rig, (struct pb_uapi_vm_bind_op){.flags = PB_OP_SYNC_ONLY}, &sync, 1);

	return ret ? ret : rig_syncobj_wait(rig->file, rig->done);
}

static void ops_run_in_order_and_signal(void **state)
{
	struct rig rig;
	struct pb_uapi_vm_bind_op ops[3];
	struct pb_uapi_sync_op sync;

	open_rig(&rig, "");
	sync = (struct pb_uapi_sync_op){.flags = SIGNAL, .handle = rig.done};
	ops[0] = rig_map(BASE, K(16), rig.bo, 0, 0);
	ops[1] = rig_unmap(BASE + K(4), K(4));
	ops[2] = rig_map(BASE + K(8), K(4), rig.bo, K(32), 0);
	rig_syncs(&ops[2], &sync, 1);
	assert_int_equal(bind_async(&rig, ops, 3), 0);
	assert_int_equal(rig_syncobj_wait(rig.file, rig.done), 0);
	assert_int_equal(rig_fence_status(rig.file, rig.done), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x1000 bo 1+0x0; 0x10002000+0x1000 bo 1+0x8000; "
					 "0x10003000+0x1000 bo 1+0x3000");
	rig_close(rig.file);
}

static void one_bad_op_refuses_all(void **state)
{
	struct rig rig;
	struct pb_uapi_vm_bind_op ops[2];

	open_rig(&rig, "");
	ops[0] = map_page(&rig, 0);
	ops[1] = rig_map(BASE + K(4), K(4), 77, 0, 0);
	assert_int_equal(bind_async(&rig, ops, 2), -EINVAL);
	assert_int_equal(drain(&rig), 0);
	assert_string_equal(pages(&rig), "");
	assert_int_equal(rig_state(rig.file, rig.vm), PB_VM_STATE_USABLE);
	rig_close(rig.file);
}

static void what_syncs_may_not_say(void **state)
{
	struct rig rig;
	uint32_t full, empty;

	open_rig(&rig, "");
	full = rig_syncobj(rig.file, 1);
	empty = rig.done;
	const struct {
		const char *why;
		int want;
		struct pb_uapi_sync_op sync;
	} cases[] = {
		{"wait on no handle", -ENOENT, {.handle = 99}},
		{"wait on a syncobj without a fence", -EINVAL, {.handle = empty}},
		{"wait on a point that is not there",
		 -EINVAL,
		 {.flags = TIMELINE, .handle = empty, .timeline_value = 1}},
		{"a value on a binary syncobj", -EINVAL, {.handle = full, .timeline_value = 1}},
		{"an unknown type", -EINVAL, {.flags = 2, .handle = full}},
		{"an unknown flag", -EINVAL, {.flags = 1u << 8, .handle = full}},
		{"signal on no handle", -EINVAL, {.flags = SIGNAL, .handle = 99}},
		{"signal with a value on a binary syncobj",
		 -EINVAL,
		 {.flags = SIGNAL, .handle = full, .timeline_value = 1}},
		{"signal with an unknown type", -EINVAL, {.flags = SIGNAL | 2, .handle = full}},
		{"a wait that is right", 0, {.handle = full}},
		{"a signal that is right", 0, {.flags = SIGNAL, .handle = full}},
		{"a timeline without a value is a binary one", 0, {.flags = TIMELINE, .handle = full}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int ret = bind_synced(&rig, map_page(&rig, 0), &cases[i].sync, 1);

		if (ret != cases[i].want)
			fail_msg("%s: %d", cases[i].why, ret);
	}
	rig_close(rig.file);
}

static void the_array_of_syncs_is_taken_as_the_kernel_takes_it(void **state)
{
	struct rig rig;
	struct {
		struct pb_uapi_sync_op sync;
		uint64_t more;
	} wide = {.sync = {.flags = SIGNAL}};
	struct pb_uapi_vm_bind_op op;

	open_rig(&rig, "");
	wide.sync.handle = rig.done;
	op = map_page(&rig, 0);
	op.syncs = (struct pb_uapi_obj_array){15, 1, (uintptr_t)&wide};
	assert_int_equal(bind_async(&rig, &op, 1), -EINVAL);
	op.syncs = (struct pb_uapi_obj_array){16, 1, 8};
	assert_int_equal(bind_async(&rig, &op, 1), -EFAULT);
	op.syncs = (struct pb_uapi_obj_array){24, 1, (uintptr_t)&wide};
	wide.more = 1;
	assert_int_equal(bind_async(&rig, &op, 1), -E2BIG);
	wide.more = 0;
	assert_int_equal(bind_async(&rig, &op, 1), 0);
	/* The op is checked before its syncs: a bad op with a bad pointer is a bad op. */
	op.va = 1;
	op.syncs = (struct pb_uapi_obj_array){16, 1, 8};
	assert_int_equal(bind_async(&rig, &op, 1), -EINVAL);
	rig_close(rig.file);
}

static void sync_only_needs_a_sync_and_nothing_else(void **state)
{
	struct rig rig;
	struct pb_uapi_sync_op sync;

	open_rig(&rig, "");
	sync = (struct pb_uapi_sync_op){.flags = SIGNAL, .handle = rig.done};
	const struct pb_uapi_vm_bind_op bad[] = {
		{.flags = PB_OP_SYNC_ONLY, .va = K(4)},		 {.flags = PB_OP_SYNC_ONLY, .size = K(4)},
		{.flags = PB_OP_SYNC_ONLY, .bo_handle = rig.bo}, {.flags = PB_OP_SYNC_ONLY, .bo_offset = K(4)},
		{.flags = PB_OP_SYNC_ONLY | PB_OP_NOEXEC},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(bind_synced(&rig, bad[i], &sync, 1), -EINVAL);
	assert_int_equal(bind_async(&rig, &(struct pb_uapi_vm_bind_op){.flags = PB_OP_SYNC_ONLY}, 1), -EINVAL);
	assert_int_equal(drain(&rig), 0);
	rig_close(rig.file);
}

static void a_job_waits_for_its_fence(void **state)
{
	struct rig rig;
	struct sim_fence *fence;
	struct pb_uapi_sync_op syncs[2];

	open_rig(&rig, "");
	syncs[0] = (struct pb_uapi_sync_op){.handle = pending_syncobj(&rig, &fence)};
	syncs[1] = (struct pb_uapi_sync_op){.flags = SIGNAL, .handle = rig.done};
	assert_int_equal(bind_synced(&rig, map_page(&rig, 0), syncs, 2), 0);
	assert_int_equal(rig_fence_status(rig.file, rig.done), 1);
	/* A synchronous bind does not queue up behind it. */
	assert_int_equal(rig_bind(rig.file, rig.vm, map_page(&rig, 1)), 0);
	assert_string_equal(pages(&rig), "0x10001000+0x1000 bo 1+0x1000");
	release(fence);
	assert_int_equal(rig_syncobj_wait(rig.file, rig.done), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x2000 bo 1+0x0");
	rig_close(rig.file);
}

static void later_jobs_stay_behind_a_waiting_one(void **state)
{
	struct rig rig;
	struct sim_fence *fence;
	struct pb_uapi_sync_op wait, signal;

	open_rig(&rig, "");
	wait = (struct pb_uapi_sync_op){.handle = pending_syncobj(&rig, &fence)};
	signal = (struct pb_uapi_sync_op){.flags = SIGNAL, .handle = rig.done};
	assert_int_equal(bind_synced(&rig, rig_unmap(BASE, K(4)), &wait, 1), 0);
	assert_int_equal(bind_synced(&rig, map_page(&rig, 0), &signal, 1), 0);
	assert_int_equal(rig_fence_status(rig.file, rig.done), 1);
	release(fence);
	assert_int_equal(rig_syncobj_wait(rig.file, rig.done), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x1000 bo 1+0x0");
	rig_close(rig.file);
}

static void a_wait_inside_an_ioctl_sees_earlier_signals_of_it(void **state)
{
	struct rig rig;
	struct sim_fence *fence;
	struct pb_uapi_sync_op first[2], second[2];
	struct pb_uapi_vm_bind_op ops[2];

	open_rig(&rig, "");
	first[0] = (struct pb_uapi_sync_op){.handle = pending_syncobj(&rig, &fence)};
	/* A point that nobody but this ioctl knows. */
	first[1] = (struct pb_uapi_sync_op){.flags = SIGNAL | TIMELINE, .handle = rig.done, .timeline_value = 5};
	second[0] = (struct pb_uapi_sync_op){.flags = TIMELINE, .handle = rig.done, .timeline_value = 5};
	second[1] = (struct pb_uapi_sync_op){.flags = SIGNAL | TIMELINE, .handle = rig.done, .timeline_value = 6};
	ops[0] = map_page(&rig, 0);
	ops[1] = map_page(&rig, 1);
	rig_syncs(&ops[0], second, 2);
	rig_syncs(&ops[1], first, 2);
	assert_int_equal(bind_async(&rig, ops, 2), -EINVAL); /* the other way round there is no fence yet */
	rig_syncs(&ops[0], first, 2);
	rig_syncs(&ops[1], second, 2);
	assert_int_equal(bind_async(&rig, ops, 2), 0);
	assert_string_equal(pages(&rig), "");
	release(fence);
	assert_int_equal(rig_syncobj_wait(rig.file, rig.done), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x2000 bo 1+0x0");
	rig_close(rig.file);
}

static uint64_t query_point(struct rig *rig)
{
	uint64_t point = 0;
	struct drm_syncobj_timeline_array args = {.handles = (uintptr_t)&rig->done,
						  .points = (uintptr_t)&point,
						  .count_handles = 1};

	assert_int_equal(rig_ioctl(rig->file, DRM_IOCTL_SYNCOBJ_QUERY, &args), 0);
	return point;
}

static void timelines_advance_with_the_jobs(void **state)
{
	struct rig rig;
	struct sim_fence *fence;
	struct pb_uapi_sync_op syncs[3];

	open_rig(&rig, "");
	syncs[0] = (struct pb_uapi_sync_op){.flags = SIGNAL | TIMELINE, .handle = rig.done, .timeline_value = 1};
	assert_int_equal(bind_synced(&rig, map_page(&rig, 0), syncs, 1), 0);
	assert_int_equal(rig_syncobj_wait(rig.file, rig.done), 0);
	assert_int_equal(query_point(&rig), 1);
	syncs[0] = (struct pb_uapi_sync_op){.flags = TIMELINE, .handle = rig.done, .timeline_value = 1};
	syncs[1] = (struct pb_uapi_sync_op){.handle = pending_syncobj(&rig, &fence)};
	syncs[2] = (struct pb_uapi_sync_op){.flags = SIGNAL | TIMELINE, .handle = rig.done, .timeline_value = 2};
	assert_int_equal(bind_synced(&rig, map_page(&rig, 1), syncs, 3), 0);
	assert_int_equal(query_point(&rig), 1);
	release(fence);
	assert_int_equal(rig_syncobj_wait(rig.file, rig.done), 0);
	assert_int_equal(query_point(&rig), 2);
	rig_close(rig.file);
}

static void an_op_without_size_is_taken_and_changes_nothing(void **state)
{
	struct rig rig;
	struct pb_uapi_vm_bind_op ops[3];

	open_rig(&rig, "");
	ops[0] = map_page(&rig, 0);
	ops[1] = rig_map(BASE, 0, rig.bo, 0, 0);
	ops[2] = rig_unmap(BASE, 0);
	assert_int_equal(bind_async(&rig, ops, 3), 0);
	assert_int_equal(drain(&rig), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x1000 bo 1+0x0");
	assert_int_equal(rig_state(rig.file, rig.vm), PB_VM_STATE_USABLE);
	rig_close(rig.file);
}

static void a_failure_at_run_time_ends_the_vm(void **state)
{
	struct rig rig;
	struct pb_uapi_vm_bind_op ops[4];
	uint32_t other, fences[4];
	struct pb_uapi_sync_op syncs[4];

	open_rig(&rig, "fault=op=1:ENOMEM");
	other = rig_vm(rig.file);
	for (unsigned i = 0; i < 4; i++) {
		fences[i] = rig_syncobj(rig.file, 0);
		syncs[i] = (struct pb_uapi_sync_op){.flags = SIGNAL, .handle = fences[i]};
		ops[i] = i == 3 ? rig_unmap(BASE, K(4)) : map_page(&rig, i);
		rig_syncs(&ops[i], &syncs[i], 1);
	}
	assert_int_equal(bind_async(&rig, ops, 4), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rig_syncobj_wait(rig.file, fences[i]), 0);
	assert_int_equal(rig_fence_status(rig.file, fences[0]), 0);
	assert_int_equal(rig_fence_status(rig.file, fences[1]), -ENOMEM);
	assert_int_equal(rig_fence_status(rig.file, fences[2]), -EINVAL); /* a map on an unusable VM */
	assert_int_equal(rig_fence_status(rig.file, fences[3]), 0);	  /* an unmap still works */
	assert_int_equal(rig_state(rig.file, rig.vm), PB_VM_STATE_UNUSABLE);
	assert_string_equal(pages(&rig), "");
	/* From here on: no synchronous map, no asynchronous op at all, but synchronous unmaps. */
	assert_int_equal(rig_bind(rig.file, rig.vm, map_page(&rig, 0)), -EINVAL);
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_unmap(BASE, K(4))), 0);
	ops[3].syncs.count = 0;
	assert_int_equal(bind_async(&rig, &ops[3], 1), -EINVAL);
	assert_int_equal(drain(&rig), -EINVAL);
	/* Other VMs are none the worse. */
	assert_int_equal(rig_state(rig.file, other), PB_VM_STATE_USABLE);
	assert_int_equal(rig_bind(rig.file, other, map_page(&rig, 0)), 0);
	rig_close(rig.file);
}

static void a_failed_fence_lets_its_waiters_run(void **state)
{
	struct rig rig;
	struct sim_fence *fence;
	struct pb_uapi_sync_op syncs[2];

	open_rig(&rig, "");
	syncs[0] = (struct pb_uapi_sync_op){.handle = pending_syncobj(&rig, &fence)};
	syncs[1] = (struct pb_uapi_sync_op){.flags = SIGNAL, .handle = rig.done};
	assert_int_equal(bind_synced(&rig, map_page(&rig, 0), syncs, 2), 0);
	sim_fence_signal(fence, -EIO);
	sim_fence_put(fence);
	assert_int_equal(rig_syncobj_wait(rig.file, rig.done), 0);
	assert_int_equal(rig_fence_status(rig.file, rig.done), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x1000 bo 1+0x0");
	rig_close(rig.file);
}

static void queued_work_outlives_its_vm(void **state)
{
	struct rig rig;
	struct sim_fence *fence;
	struct pb_uapi_sync_op syncs[2];
	struct pb_uapi_vm_destroy args;

	open_rig(&rig, "");
	syncs[0] = (struct pb_uapi_sync_op){.handle = pending_syncobj(&rig, &fence)};
	syncs[1] = (struct pb_uapi_sync_op){.flags = SIGNAL, .handle = rig.done};
	assert_int_equal(bind_synced(&rig, map_page(&rig, 0), syncs, 2), 0);
	args = (struct pb_uapi_vm_destroy){.id = rig.vm};
	assert_int_equal(rig_ioctl(rig.file, PB_IOCTL_VM_DESTROY, &args), 0);
	assert_int_equal(rig_fence_status(rig.file, rig.done), 1);
	assert_int_equal(rig_vm(rig.file), rig.vm); /* the id is free, and its new owner empty */
	release(fence);
	assert_int_equal(rig_syncobj_wait(rig.file, rig.done), 0);
	assert_int_equal(rig_fence_status(rig.file, rig.done), 0);
	assert_string_equal(pages(&rig), "");
	rig_close(rig.file);
}

static void closing_the_file_waits_for_no_fence(void **state)
{
	struct rig rig;
	struct sim_fence *fence;
	struct pb_uapi_sync_op wait;

	open_rig(&rig, "");
	wait = (struct pb_uapi_sync_op){.handle = pending_syncobj(&rig, &fence)};
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(bind_synced(&rig, map_page(&rig, i), &wait, 1), 0);
	rig_close(rig.file);
	release(fence);
}

static void vms_wait_for_each_other_through_fences(void **state)
{
	struct rig rig;
	uint32_t other, link;
	struct pb_uapi_sync_op wait, signal;
	struct pb_uapi_vm_bind_op op;

	open_rig(&rig, "");
	other = rig_vm(rig.file);
	link = rig_syncobj(rig.file, 0);
	for (unsigned i = 0; i < 200; i++) {
		signal = (struct pb_uapi_sync_op){.flags = SIGNAL, .handle = link};
		assert_int_equal(bind_synced(&rig, map_page(&rig, i % 16), &signal, 1), 0);
		wait = (struct pb_uapi_sync_op){.handle = link};
		op = rig_map(BASE, K(4), rig.bo, 0, 0);
		rig_syncs(&op, &wait, 1);
		assert_int_equal(rig_bind_ops(rig.file, other, ASYNC, &op, 1, NULL), 0);
	}
	assert_int_equal(drain(&rig), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x10000 bo 1+0x0");
	rig_close(rig.file);
}

struct submitter {
	struct rig *rig;
	unsigned first;
	int failed;
};

static void *submit(void *arg)
{
	struct submitter *s = arg;

	for (unsigned i = 0; i < 300; i++) {
		struct pb_uapi_vm_bind_op ops[2] = {map_page(s->rig, s->first + i % 4), map_page(s->rig, 15)};

		s->failed |= rig_bind_ops(s->rig->file, s->rig->vm, ASYNC, ops, 2, NULL);
	}
	return NULL;
}

static void several_threads_may_queue_on_one_vm(void **state)
{
	struct submitter submitters[3];
	pthread_t threads[3];
	struct rig rig;

	open_rig(&rig, "");
	for (unsigned i = 0; i < 3; i++) {
		submitters[i] = (struct submitter){.rig = &rig, .first = i * 4};
		assert_int_equal(pthread_create(&threads[i], NULL, submit, &submitters[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(submitters[i].failed, 0);
	}
	assert_int_equal(drain(&rig), 0);
	assert_string_equal(pages(&rig), "0x10000000+0xc000 bo 1+0x0; 0x1000f000+0x1000 bo 1+0xf000");
	rig_close(rig.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ops_run_in_order_and_signal),
		cmocka_unit_test(one_bad_op_refuses_all),
		cmocka_unit_test(what_syncs_may_not_say),
		cmocka_unit_test(the_array_of_syncs_is_taken_as_the_kernel_takes_it),
		cmocka_unit_test(sync_only_needs_a_sync_and_nothing_else),
		cmocka_unit_test(a_job_waits_for_its_fence),
		cmocka_unit_test(later_jobs_stay_behind_a_waiting_one),
		cmocka_unit_test(a_wait_inside_an_ioctl_sees_earlier_signals_of_it),
		cmocka_unit_test(timelines_advance_with_the_jobs),
		cmocka_unit_test(an_op_without_size_is_taken_and_changes_nothing),
		cmocka_unit_test(a_failure_at_run_time_ends_the_vm),
		cmocka_unit_test(a_failed_fence_lets_its_waiters_run),
		cmocka_unit_test(queued_work_outlives_its_vm),
		cmocka_unit_test(closing_the_file_waits_for_no_fence),
		cmocka_unit_test(vms_wait_for_each_other_through_fences),
		cmocka_unit_test(several_threads_may_queue_on_one_vm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
