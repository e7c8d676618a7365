/* SPDX-License-Identifier: MIT */
/*
 * Faults of the 6.12 driver and of the first form of atomic updates that was posted, one test each. A driver without
 * them passes all; test-driver-bugs.sh shows which one the stock driver fails, and how.
 *
 * flaws [NAME]: all of them, or those whose name matches.
 */
#include <errno.h>
#include <linux/sync_file.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../kernel/malisim/job.h"
#include "scene.h"

#define VMS 16 /* twice what there are address spaces for */

static const char *stuck(unsigned as)
{
	static char busy[32];

	snprintf(busy, sizeof(busy), "stuck %u", as);
	return busy;
}

static struct pb_uapi_vm_bind_op map_of(struct scene *scene, uint32_t bo, uint64_t va, uint64_t size)
{
	return (struct pb_uapi_vm_bind_op){.flags = PB_OP_MAP, .bo_handle = bo, .va = va, .size = size};
}

/* One asynchronous op that signals @done: what VM_BIND gives. */
static int bind_async(struct scene *scene, struct pb_uapi_vm_bind_op op, uint32_t done)
{
	struct pb_uapi_sync_op sync = {.flags = PB_SYNC_SIGNAL, .handle = done};

	op.syncs = RAW_ARRAY(&sync, 1);
	return raw_bind(scene->raw, scene->vm, PB_VM_BIND_ASYNC, &op, 1, NULL);
}

static void a_signal_on_no_syncobj_is_an_error(void **state)
{
	struct scene *scene = *state;

	raw_expect("VM_BIND", bind_async(scene, map_of(scene, scene->b, SCENE_VA, SCENE_SIZE), 4711), -EINVAL);

	raw_expect("VM_GET_STATE", raw_vm_state(scene->raw, scene->vm), 0);
	assert_int_equal(scene_load(scene, SCENE_VA), STAMP_A);
}

static void too_large_an_array_is_an_error_without_a_warning(void **state)
{
	struct scene *scene = *state;
	struct pb_uapi_vm_bind_op op = map_of(scene, scene->b, SCENE_VA, SCENE_SIZE);

	raw_expect("VM_BIND", raw_bind(scene->raw, scene->vm, 0, &op, UINT32_MAX, NULL), -ENOMEM);
	raw_expect("VM_BIND", raw_bind(scene->raw, scene->vm, PB_VM_BIND_ASYNC, &op, UINT32_MAX, NULL), -ENOMEM);
}

/* One batch: the first op waits for what the second signals. */
static void a_wait_for_a_later_signal_is_an_error_without_a_warning(void **state)
{
	struct scene *scene = *state;
	uint32_t point = raw_syncobj(scene->raw, 0);
	struct pb_uapi_sync_op wait = {.handle = point}, signal = {.flags = PB_SYNC_SIGNAL, .handle = point};
	struct pb_uapi_vm_bind_op ops[] = {map_of(scene, scene->b, SCENE_VA, SCENE_SIZE),
					   map_of(scene, scene->b, 2 * SCENE_VA, SCENE_SIZE)};

	ops[0].syncs = RAW_ARRAY(&wait, 1);
	ops[1].syncs = RAW_ARRAY(&signal, 1);
	raw_expect("VM_BIND", raw_bind(scene->raw, scene->vm, PB_VM_BIND_ASYNC, ops, 2, NULL), -EINVAL);

	raw_expect("VM_GET_STATE", raw_vm_state(scene->raw, scene->vm), 0);
	assert_int_equal(scene_load(scene, SCENE_VA), STAMP_A);
}

/* The GPU hears nothing of it, and the VA tree gets no empty mapping, which at VA 0 would look as if it had no end. */
static void an_op_of_size_0_does_nothing(void **state)
{
	struct scene *scene = *state;
	static const uint64_t at[] = {0, 2 * SCENE_VA, SCENE_VA, SCENE_VA + 3 * RAW_PAGE};
	uint32_t done = raw_syncobj(scene->raw, 0);

	scene_job_start(scene);
	trace_clear();
	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		raw_syncobj_reset(scene->raw, done);
		raw_expect("MAP", bind_async(scene, map_of(scene, scene->b, at[i], 0), done), 0);
		raw_expect("wait", raw_sync_wait(scene->raw, done, 0), 0);
		raw_expect("its fence", raw_sync_status(scene->raw, done), 0);
	}
	assert_int_equal(trace_count("LOCKADDR", 0) + trace_count("FLUSH_PT", 0) + trace_count("FLUSH_MEM", 0), 0);
	assert_true(driver_has_mapping(SCENE_VA)); /* in one piece */

	raw_expect("MAP", scene_map(scene, scene->b, SCENE_VA), 0);
	raw_expect("VM_GET_STATE", raw_vm_state(scene->raw, scene->vm), 0);
	scene_job_end(scene, SCENE_VA);
	assert_int_equal(scene_load_result(scene), STAMP_B);
	trace_has_no_violation();
}

static void a_lock_that_fails_changes_nothing(void **state)
{
	struct scene *scene = *state;
	uint64_t resets = malisim_stat("gpu_reset");
	unsigned as = scene_job_start(scene);

	gpu_busy(stuck(as));
	trace_clear();
	raw_expect("MAP", scene_map(scene, scene->b, SCENE_VA), -ETIMEDOUT);

	assert_int_equal(trace_count("LOCK", as), 1);
	assert_int_equal(trace_count("FLUSH_PT", as) + trace_count("FLUSH_MEM", as), 0);
	raw_expect("VM_GET_STATE", raw_vm_state(scene->raw, scene->vm), 0);
	gpu_wait_stat("gpu_reset", resets);
	gpu_wait_off(as);
	assert_int_equal(scene_load(scene, SCENE_VA), STAMP_A);
	raw_expect("MAP", scene_map(scene, scene->b, SCENE_VA), 0);
	assert_int_equal(scene_load(scene, SCENE_VA), STAMP_B);
}

/* Nobody hears of an asynchronous failure but through the fence, so the VM is given up, though nothing has changed. */
static void an_asynchronous_one_makes_the_vm_unusable(void **state)
{
	struct scene *scene = *state;
	uint64_t resets = malisim_stat("gpu_reset");
	uint32_t done = raw_syncobj(scene->raw, 0);
	unsigned as = scene_job_start(scene);

	gpu_busy(stuck(as));
	raw_expect("MAP", bind_async(scene, map_of(scene, scene->b, SCENE_VA, SCENE_SIZE), done), 0);
	raw_expect("wait", raw_sync_wait(scene->raw, done, 0), 0);

	raw_expect("its fence", raw_sync_status(scene->raw, done), -ETIMEDOUT);
	raw_expect("VM_GET_STATE", raw_vm_state(scene->raw, scene->vm), 1);
	gpu_wait_stat("gpu_reset", resets);
	raw_expect("MAP", scene_map(scene, scene->b, SCENE_VA), -EINVAL);
	raw_expect("UNMAP", scene_unmap(scene, SCENE_VA), 0);
}

/* VMs take turns with the address spaces: what is changed without one, or just before it is taken away, must hold. */
static void more_vms_than_address_spaces_all_see_their_own(void **state)
{
	struct scene *scenes[VMS];

	for (size_t i = 0; i < VMS; i++)
		scenes[i] = scene_open();
	for (unsigned round = 0; round < 6; round++) {
		for (size_t i = 0; i < VMS; i++) {
			struct scene *scene = scenes[i];

			raw_expect("MAP", scene_map(scene, round & 1 ? scene->a : scene->b, SCENE_VA), 0);
			scene_load_start(scene, SCENE_VA + round * RAW_PAGE);
		}
		for (size_t i = 0; i < VMS; i++)
			assert_int_equal(scene_load_result(scenes[i]), (round & 1 ? STAMP_A : STAMP_B) + round);
	}
	for (size_t i = 0; i < VMS; i++)
		scene_close(scenes[i]);
	trace_has_no_violation();
}

static void a_vm_that_dies_with_its_as_stuck_leaves_nothing(void **state)
{
	struct scene *scene = scene_open();
	unsigned vms = driver_vms();
	uint64_t resets = malisim_stat("gpu_reset");

	gpu_busy(stuck(scene_job_start(scene)));
	scene_close(scene);

	gpu_wait_stat("gpu_reset", resets);
	driver_wait_vms(vms - 1);
}

static void assert_fence_is(struct scene *scene, uint32_t syncobj, const char *name)
{
	struct sync_fence_info fence = {0};
	struct sync_file_info info = {.num_fences = 1, .sync_fence_info = (uintptr_t)&fence};
	int fd = raw_sync_file(scene->raw, syncobj);

	raw_expect("SYNC_IOC_FILE_INFO", ioctl(fd, SYNC_IOC_FILE_INFO, &info), 0);
	close(fd);
	assert_string_equal(fence.obj_name, name);
	assert_int_equal(fence.status, 1);
}

/* A fence is called as the scheduler it came from, which was the VM's or the queue's. */
static void fences_outlive_what_they_came_from(void **state)
{
	struct scene *scene = scene_open();
	uint32_t bound = raw_syncobj(scene->raw, 0), ran = raw_syncobj(scene->raw, 0);
	unsigned vms = driver_vms();
	uint64_t *end = job_store(scene->job.stream, GPU_JOB_WORD(0), 1);

	(void)state;
	raw_expect("MAP", bind_async(scene, map_of(scene, scene->b, SCENE_VA, SCENE_SIZE), bound), 0);
	raw_expect("GROUP_SUBMIT", gpu_job_submit_signal(&scene->job, end, ran), 0);
	raw_expect("wait for the bind", raw_sync_wait(scene->raw, bound, 0), 0);
	raw_expect("wait for the job", raw_sync_wait(scene->raw, ran, 0), 0);
	gpu_job_close(&scene->job);
	scene->job_open = false;
	raw_expect("VM_DESTROY", raw_vm_destroy(scene->raw, scene->vm), 0);
	driver_wait_vms(vms - 1);

	assert_fence_is(scene, bound, "panthor-vm-bind");
	assert_fence_is(scene, ran, "panthor-queue");
	scene_close(scene);
}

int main(int argc, char **argv)
{
#define scene_test(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		scene_test(a_signal_on_no_syncobj_is_an_error),
		scene_test(too_large_an_array_is_an_error_without_a_warning),
		scene_test(a_wait_for_a_later_signal_is_an_error_without_a_warning),
		scene_test(an_op_of_size_0_does_nothing),
		scene_test(a_lock_that_fails_changes_nothing),
		scene_test(an_asynchronous_one_makes_the_vm_unusable),
		scene_test(more_vms_than_address_spaces_all_see_their_own),
		scene_test(a_vm_that_dies_with_its_as_stuck_leaves_nothing),
		scene_test(fences_outlive_what_they_came_from),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
