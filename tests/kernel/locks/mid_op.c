/* SPDX-License-Identifier: MIT */
/*
 * What can happen to the lock of an op while the op is in its middle: the old pages are gone, the new ones not there.
 * Needs a driver that can be held there (hooks.patch).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"

#define NOWHERE UINT64_C(0x7000000000)
#define OTHERS	7 /* VMs that take all address spaces there are for users */

/* The AS waits for SCENE_VA, and for nothing outside of the op's 64 KiB. */
static void assert_locked(unsigned as)
{
	const char *state = gpu_as_state(as);

	if (!strstr(state, "locked 0x40000000 0x10000"))
		fail_msg("the range is not locked: %s", *state ? state : "the AS is off");
}

static void assert_unlocked(unsigned as)
{
	const char *state = gpu_as_state(as);

	if (strstr(state, "locked"))
		fail_msg("a lock is left: %s", state);
}

static void assert_usable_with(struct scene *scene, uint64_t stamp)
{
	raw_expect("VM_GET_STATE", raw_vm_state(scene->raw, scene->vm), 0);
	assert_int_equal(scene_load(scene, SCENE_VA + 5 * RAW_PAGE), stamp + 5);
}

static void the_range_is_locked_while_it_changes(void **state)
{
	struct scene *scene = *state;
	unsigned as = scene_job_start(scene);

	gpu_busy("20"); /* a lock that is not waited for would come too late */
	trace_clear();

	op_begin(scene);
	assert_locked(as);
	assert_int_equal(trace_count("FLUSH_PT", as) + trace_count("FLUSH_MEM", as), 0);
	raw_expect("the op", op_end(scene), 0);

	assert_unlocked(as);
	assert_int_equal(trace_count("LOCK", as), 1);
	assert_int_equal(trace_count("FLUSH_MEM", as), 1);
	scene_job_end(scene, SCENE_VA);
	assert_int_equal(scene_load_result(scene), STAMP_B);
	trace_has_no_violation();
}

static void a_job_that_looks_there_waits(void **state)
{
	struct scene *scene = *state;

	scene_job_start(scene);
	op_begin(scene);

	scene_job_end(scene, SCENE_VA);
	usleep(50000);
	assert_false(scene_load_ended(scene));
	raw_expect("the op", op_end(scene), 0);

	assert_int_equal(scene_load_result(scene), STAMP_B);
	trace_has_no_violation();
}

static void a_vm_is_not_made_active_in_the_middle(void **state)
{
	struct scene *scene = *state;

	op_begin(scene); /* it has no AS yet */
	trace_clear();

	scene_load_start(scene, SCENE_VA);
	usleep(100000);
	assert_int_equal(trace_count("UPDATE", 0), 0);
	assert_false(scene_load_ended(scene));
	raw_expect("the op", op_end(scene), 0);

	assert_int_equal(scene_load_result(scene), STAMP_B);
	assert_int_equal(trace_count("UPDATE", 0), 1);
	trace_has_no_violation();
}

static void an_as_given_to_another_vm_takes_no_lock_along(void **state)
{
	struct scene *scene = *state, *others[OTHERS];
	unsigned as;

	for (size_t i = 0; i < OTHERS; i++)
		others[i] = scene_open();
	scene_job_start(others[0]); /* keeps the GPU awake */
	as = scene_job_start(scene);
	op_begin(scene);
	assert_locked(as);

	/* the VM is idle, keeps its AS, and loses it to the last of the others */
	scene_job_end(scene, 0);
	scene_job_ended(scene);
	for (size_t i = 1; i < OTHERS; i++)
		scene_job_start(others[i]);
	assert_unlocked(as);
	trace_clear();
	raw_expect("the op", op_end(scene), 0);

	assert_int_equal(trace_count("LOCK", 0) + trace_count("FLUSH_MEM", 0), 0);
	for (size_t i = 0; i < OTHERS; i++) {
		scene_job_end(others[i], SCENE_VA);
		assert_int_equal(scene_load_result(others[i]), STAMP_A);
	}
	assert_usable_with(scene, STAMP_B);
	trace_has_no_violation();
	for (size_t i = 0; i < OTHERS; i++)
		scene_close(others[i]);
}

static void a_fault_elsewhere_ends_the_lock(void **state)
{
	struct scene *scene = *state;
	unsigned as = scene_job_start(scene);
	uint64_t faults = malisim_stat("faults");

	op_begin(scene);
	assert_locked(as);

	scene_job_end(scene, NOWHERE);
	gpu_wait_stat("faults", faults);
	gpu_wait_off(as);
	trace_clear();
	raw_expect("the op", op_end(scene), 0);

	assert_int_equal(trace_count("LOCK", as) + trace_count("FLUSH_MEM", as), 0);
	assert_usable_with(scene, STAMP_B);
	trace_has_no_violation();
}

static void a_gpu_that_falls_asleep_ends_the_lock(void **state)
{
	struct scene *scene = *state;
	unsigned as = scene_job_start(scene);

	op_begin(scene);
	assert_locked(as);

	scene_job_end(scene, 0);
	gpu_wait_off(as);
	raw_expect("the op", op_end(scene), 0);

	assert_usable_with(scene, STAMP_B);
	trace_has_no_violation();
}

/* Get an AS stuck, so that the driver resets the GPU. */
static void reset_by(struct scene *other)
{
	uint64_t resets = malisim_stat("gpu_reset");
	char busy[32];

	snprintf(busy, sizeof(busy), "stuck %u", scene_job_start(other));
	gpu_busy(busy);
	raw_expect("a VM_BIND on a stuck AS", scene_map(other, other->b, SCENE_VA), -ETIMEDOUT);
	gpu_wait_stat("gpu_reset", resets);
}

static void a_reset_takes_the_lock_away(void **state)
{
	struct scene *scene = *state, *other = scene_open();
	unsigned as = scene_job_start(scene);

	op_begin(scene);
	assert_locked(as);

	reset_by(other);
	raw_expect("the op", op_end(scene), 0);

	assert_usable_with(scene, STAMP_B);
	/* and the next op locks as ever */
	as = scene_job_start(scene);
	trace_clear();
	raw_expect("the next op", scene_map(scene, scene->a, SCENE_VA), 0);
	assert_int_equal(trace_count("LOCK", as), 1);
	assert_unlocked(as);
	scene_job_end(scene, 0);
	trace_has_no_violation();
	scene_close(other);
}

static void a_flush_that_fails_makes_the_vm_unusable(void **state)
{
	struct scene *scene = *state;
	uint64_t resets = malisim_stat("gpu_reset");
	char busy[32];
	unsigned as = scene_job_start(scene);

	op_begin(scene);
	assert_locked(as);
	trace_clear();
	snprintf(busy, sizeof(busy), "stuck %u", as);
	gpu_busy(busy);

	raw_expect("the op", op_end(scene), -ETIMEDOUT);

	raw_expect("VM_GET_STATE", raw_vm_state(scene->raw, scene->vm), 1);
	gpu_wait_stat("gpu_reset", resets);
	assert_int_equal(trace_count("FLUSH_MEM", as), 1);
	assert_int_equal(trace_count("UNLOCK", as), 0);
	gpu_wait_off(as);
	raw_expect("UNMAP", scene_unmap(scene, SCENE_VA), 0);
	raw_expect("MAP", scene_map(scene, scene->a, SCENE_VA), -EINVAL);
	trace_has_no_violation();
}

static void a_map_that_fails_leaves_no_lock_behind(void **state)
{
	struct scene *scene = *state;
	unsigned as = scene_job_start(scene);

	driver_set_parameter("fail_va", SCENE_VA);
	trace_clear();

	raw_expect("MAP", scene_map(scene, scene->b, SCENE_VA), -ENOMEM);

	assert_unlocked(as);
	assert_int_equal(trace_count("LOCK", as), 1);
	assert_int_equal(trace_count("FLUSH_MEM", as), 1);
	raw_expect("VM_GET_STATE", raw_vm_state(scene->raw, scene->vm), 1);
	assert_false(driver_has_mapping(SCENE_VA));
	raw_expect("UNMAP", scene_unmap(scene, SCENE_VA), 0);
	scene_job_end(scene, 0);
	scene_job_ended(scene); /* the words, elsewhere in this VM, are not touched by all that */
	trace_has_no_violation();
}

static void *destroy_vm(void *arg)
{
	struct scene *scene = arg;

	return (void *)(intptr_t)raw_vm_destroy(scene->raw, scene->vm);
}

static void a_vm_that_is_destroyed_in_the_middle_keeps_nothing(void **state)
{
	struct scene *scene = scene_open();
	pthread_t thread;
	void *ret;
	unsigned vms = driver_vms();

	scene_job_start(scene);
	op_begin(scene);
	assert_int_equal(pthread_create(&thread, NULL, destroy_vm, scene), 0);
	usleep(50000);
	raw_expect("the op", op_end(scene), 0);
	pthread_join(thread, &ret);
	raw_expect("VM_DESTROY", (int)(intptr_t)ret, 0);

	scene_close(scene);
	driver_wait_vms(vms - 1);
	trace_has_no_violation();
}

/* An asynchronous MAP that gets its turn when its VM is gone: it waits for one in another VM, which is held. */
static void nothing_is_mapped_into_a_dead_vm(void **state)
{
	struct scene *scene = scene_open(), *first = *state;
	uint32_t started = raw_syncobj(scene->raw, 0), done = raw_syncobj(scene->raw, 0);
	struct pb_uapi_sync_op held[] = {{.flags = PB_SYNC_SIGNAL, .handle = started}};
	struct pb_uapi_sync_op late[] = {{.handle = started}, {.flags = PB_SYNC_SIGNAL, .handle = done}};
	struct pb_uapi_vm_bind_op hold = {.flags = PB_OP_MAP,
					  .bo_handle = scene->b,
					  .va = SCENE_VA,
					  .size = SCENE_SIZE,
					  .syncs = RAW_ARRAY(held, 1)};
	struct pb_uapi_vm_bind_op map = {.flags = PB_OP_MAP,
					 .bo_handle = scene->b,
					 .va = 2 * SCENE_VA,
					 .size = SCENE_SIZE,
					 .syncs = RAW_ARRAY(late, 2)};
	uint32_t dies = raw_vm(scene->raw);
	unsigned vms = driver_vms();

	driver_set_parameter("hold_va", SCENE_VA);
	raw_expect("a MAP that is held", raw_bind(scene->raw, scene->vm, PB_VM_BIND_ASYNC, &hold, 1, NULL), 0);
	raw_expect("one that waits for it", raw_bind(scene->raw, dies, PB_VM_BIND_ASYNC, &map, 1, NULL), 0);
	raw_expect("VM_DESTROY", raw_vm_destroy(scene->raw, dies), 0);
	driver_set_parameter("hold_va", 0);

	raw_expect("wait for both", raw_sync_wait(scene->raw, done, 0), 0);
	raw_expect("the late one", raw_sync_status(scene->raw, done), -EINVAL);
	driver_wait_vms(vms - 1);
	assert_false(driver_has_mapping(2 * SCENE_VA));
	scene_close(scene);
	raw_expect("another VM", raw_vm_state(first->raw, first->vm), 0);
}

int main(int argc, char **argv)
{
#define scene_test(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		scene_test(the_range_is_locked_while_it_changes),
		scene_test(a_job_that_looks_there_waits),
		scene_test(a_vm_is_not_made_active_in_the_middle),
		scene_test(an_as_given_to_another_vm_takes_no_lock_along),
		scene_test(a_fault_elsewhere_ends_the_lock),
		scene_test(a_gpu_that_falls_asleep_ends_the_lock),
		scene_test(a_reset_takes_the_lock_away),
		scene_test(a_flush_that_fails_makes_the_vm_unusable),
		scene_test(a_map_that_fails_leaves_no_lock_behind),
		scene_test(a_vm_that_is_destroyed_in_the_middle_keeps_nothing),
		scene_test(nothing_is_mapped_into_a_dead_vm),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
