/* SPDX-License-Identifier: MIT */
/*
 * Fault plans: which call fails, what it leaves behind, and that the next one works.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim_rig.h"

#define K(n) ((uint64_t)(n) << 10)
#define BASE UINT64_C(0x10000000)

struct rig {
	struct pb_file *file;
	uint32_t vm, a, b;
};

static void open_rig(struct rig *rig, const char *options)
{
	rig->file = rig_open(options);
	rig->vm = rig_vm(rig->file);
	rig->a = rig_bo(rig->file, K(64));
	rig->b = rig_bo(rig->file, K(64));
}

static const char *pages(struct rig *rig)
{
	return rig_pages(rig->file, rig->vm, 0, UINT64_C(1) << 47);
}

/* Map pages 0 to 3 of BO b over whatever is there, in one bind of four ops. */
static int bind_four(struct rig *rig, uint32_t *count)
{
	struct pb_uapi_vm_bind_op ops[4];

	for (uint32_t i = 0; i < 4; i++)
		ops[i] = rig_map(BASE + K(4) * i, K(4), rig->b, K(4) * i, 0);
	return rig_bind_ops(rig->file, rig->vm, 0, ops, 4, count);
}

static void the_nth_of_a_name_fails_once_and_does_nothing(void **state)
{
	struct rig rig;
	uint32_t count;

	open_rig(&rig, "fault=VM_BIND#2=EINTR");
	assert_int_equal(bind_four(&rig, &count), 0);
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_unmap(BASE, K(16))), -EINTR);
	assert_string_equal(pages(&rig), "0x10000000+0x4000 bo 2+0x0");
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_unmap(BASE, K(16))), 0);
	assert_string_equal(pages(&rig), "");
	rig_close(rig.file);
}

static void the_argument_of_a_call_that_fails_stays_as_it_was(void **state)
{
	struct rig rig;
	struct pb_uapi_bo_create create = {.size = 5000}, before = create;
	uint32_t count;

	open_rig(&rig, "fault=BO_CREATE#3=ENOMEM,fault=VM_BIND#1=ENOMEM");
	assert_int_equal(rig_ioctl(rig.file, PB_IOCTL_BO_CREATE, &create), -ENOMEM);
	assert_memory_equal(&create, &before, sizeof(create));
	assert_int_equal(bind_four(&rig, &count), -ENOMEM);
	assert_int_equal(count, 4);
	rig_close(rig.file);
}

static void a_star_fails_every_one(void **state)
{
	struct pb_file *file = rig_open("fault=VM_CREATE#*=ENOMEM");
	struct pb_uapi_vm_create args = {0};

	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(rig_ioctl(file, PB_IOCTL_VM_CREATE, &args), -ENOMEM);
	assert_int_equal(rig_bo(file, 4096), 1);
	rig_close(file);
}

static void names_reach_core_ioctls_too(void **state)
{
	struct pb_file *file = rig_open("fault=SYNCOBJ_CREATE#1=ENOMEM,fault=GEM_CLOSE#1=EINTR,fault=VERSION#1=EIO");
	struct drm_syncobj_create create = {0};
	struct drm_gem_close close_args = {.handle = rig_bo(file, 4096)};
	struct drm_version version = {0};

	assert_int_equal(rig_ioctl(file, DRM_IOCTL_SYNCOBJ_CREATE, &create), -ENOMEM);
	assert_int_equal(rig_ioctl(file, DRM_IOCTL_SYNCOBJ_CREATE, &create), 0);
	assert_int_equal(rig_ioctl(file, DRM_IOCTL_GEM_CLOSE, &close_args), -EINTR);
	assert_int_equal(rig_ioctl(file, DRM_IOCTL_GEM_CLOSE, &close_args), 0);
	assert_int_equal(rig_ioctl(file, DRM_IOCTL_VERSION, &version), -EIO);
	rig_close(file);
}

static void an_op_fails_with_the_ops_before_it_done(void **state)
{
	struct rig rig;
	uint32_t count;

	open_rig(&rig, "fault=op=2:ENOMEM");
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_map(BASE, K(16), rig.a, 0, 0)), 0); /* has no op 2 */
	assert_int_equal(bind_four(&rig, &count), -ENOMEM);
	assert_int_equal(count, 2);
	assert_string_equal(pages(&rig), "0x10000000+0x2000 bo 2+0x0; 0x10002000+0x2000 bo 1+0x2000");
	assert_int_equal(rig_state(rig.file, rig.vm), PB_VM_STATE_USABLE);
	assert_int_equal(bind_four(&rig, &count), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x4000 bo 2+0x0");
	rig_close(rig.file);
}

static void an_op_of_the_nth_bind_alone(void **state)
{
	struct rig rig;
	uint32_t count;

	open_rig(&rig, "fault=VM_BIND#2:op=1:EINTR");
	assert_int_equal(bind_four(&rig, &count), 0);
	assert_int_equal(bind_four(&rig, &count), -EINTR);
	assert_int_equal(count, 1);
	assert_int_equal(bind_four(&rig, &count), 0);
	rig_close(rig.file);
}

static void an_op_of_every_bind(void **state)
{
	struct rig rig;
	uint32_t count;

	open_rig(&rig, "fault=VM_BIND#*:op=3:EAGAIN");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(bind_four(&rig, &count), -EAGAIN);
		assert_int_equal(count, 3);
	}
	rig_close(rig.file);
}

static void several_items_fire_one_by_one(void **state)
{
	struct rig rig;
	uint32_t count;

	open_rig(&rig, "fault=op=1:EINTR,fault=op=3:ENOMEM,fault=op=1:EAGAIN");
	assert_int_equal(bind_four(&rig, &count), -EINTR);
	assert_int_equal(count, 1);
	assert_int_equal(bind_four(&rig, &count), -EAGAIN);
	assert_int_equal(count, 1);
	assert_int_equal(bind_four(&rig, &count), -ENOMEM); /* was not spent by the binds that did not get to it */
	assert_int_equal(count, 3);
	assert_int_equal(bind_four(&rig, &count), 0);
	rig_close(rig.file);
}

static void a_bad_op_is_bad_before_a_fault_is_asked(void **state)
{
	struct rig rig;

	open_rig(&rig, "fault=op=0:ENOMEM");
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_map(BASE + 1, K(4), rig.a, 0, 0)), -EINVAL);
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_map(BASE, K(4), rig.a, 0, 0)), -ENOMEM);
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_map(BASE, K(4), rig.a, 0, 0)), 0);
	rig_close(rig.file);
}

static void a_fault_in_the_middle_leaves_a_hole(void **state)
{
	struct rig rig;
	uint32_t count;

	open_rig(&rig, "minor=6,fault=op=1:ENOMEM:mid");
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_map(BASE, K(16), rig.a, 0, 0)), 0);
	assert_int_equal(bind_four(&rig, &count), -ENOMEM);
	assert_int_equal(count, 1);
	assert_string_equal(pages(&rig), "0x10000000+0x1000 bo 2+0x0; 0x10002000+0x2000 bo 1+0x2000");
	assert_int_equal(rig_state(rig.file, rig.vm), PB_VM_STATE_USABLE);
	assert_int_equal(bind_four(&rig, &count), 0);
	assert_string_equal(pages(&rig), "0x10000000+0x4000 bo 2+0x0");
	rig_close(rig.file);
}

static void in_the_middle_a_new_driver_gives_the_vm_up(void **state)
{
	struct rig rig;
	uint32_t count;

	open_rig(&rig, "minor=7,fault=op=1:ENOMEM:mid");
	assert_int_equal(bind_four(&rig, &count), -ENOMEM);
	assert_int_equal(rig_state(rig.file, rig.vm), PB_VM_STATE_UNUSABLE);
	assert_int_equal(bind_four(&rig, &count), -EINVAL);
	assert_int_equal(count, 0);
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_unmap(BASE, K(16))), 0);
	rig_close(rig.file);
}

static void an_unmap_that_fails_in_the_middle_has_unmapped(void **state)
{
	struct rig rig;

	open_rig(&rig, "minor=0,fault=VM_BIND#2:op=0:EINVAL:mid");
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_map(BASE, K(16), rig.a, 0, 0)), 0);
	assert_int_equal(rig_bind(rig.file, rig.vm, rig_unmap(BASE + K(4), K(4))), -EINVAL);
	assert_string_equal(pages(&rig), "0x10000000+0x1000 bo 1+0x0; 0x10002000+0x2000 bo 1+0x2000");
	rig_close(rig.file);
}

static void asynchronously_an_op_fails_when_it_runs(void **state)
{
	for (int mid = 0; mid < 2; mid++) {
		struct rig rig;
		struct pb_uapi_vm_bind_op ops[3];
		struct pb_uapi_sync_op sync = {.flags = PB_SYNC_SIGNAL};
		uint32_t count;

		open_rig(&rig, mid ? "fault=op=1:EIO:mid" : "fault=op=1:EIO");
		sync.handle = rig_syncobj(rig.file, 0);
		ops[0] = rig_map(BASE, K(16), rig.a, 0, 0);
		ops[1] = rig_map(BASE + K(4), K(4), rig.b, 0, 0);
		ops[2] = rig_unmap(BASE, K(4));
		rig_syncs(&ops[1], &sync, 1);
		assert_int_equal(rig_bind_ops(rig.file, rig.vm, PB_VM_BIND_ASYNC, ops, 2, &count), 0);
		assert_int_equal(rig_syncobj_wait(rig.file, sync.handle), 0);
		assert_int_equal(rig_fence_status(rig.file, sync.handle), -EIO);
		assert_int_equal(rig_state(rig.file, rig.vm), PB_VM_STATE_UNUSABLE);
		assert_string_equal(pages(&rig), mid ? "0x10000000+0x1000 bo 1+0x0; 0x10002000+0x2000 bo 1+0x2000"
						     : "0x10000000+0x4000 bo 1+0x0");
		rig_close(rig.file);
	}
}

static void a_later_open_adds_to_the_plan_of_a_shared_device(void **state)
{
	struct pb_file *first = rig_open("name=plan"), *second;
	struct pb_uapi_vm_create args = {0};

	rig_vm(first);
	second = rig_open("name=plan,fault=VM_CREATE#3=ENOMEM");
	rig_vm(second); /* the second on this device */
	assert_int_equal(rig_ioctl(first, PB_IOCTL_VM_CREATE, &args), -ENOMEM);
	rig_vm(first);
	rig_close(first);
	rig_close(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nth_of_a_name_fails_once_and_does_nothing),
		cmocka_unit_test(the_argument_of_a_call_that_fails_stays_as_it_was),
		cmocka_unit_test(a_star_fails_every_one),
		cmocka_unit_test(names_reach_core_ioctls_too),
		cmocka_unit_test(an_op_fails_with_the_ops_before_it_done),
		cmocka_unit_test(an_op_of_the_nth_bind_alone),
		cmocka_unit_test(an_op_of_every_bind),
		cmocka_unit_test(several_items_fire_one_by_one),
		cmocka_unit_test(a_bad_op_is_bad_before_a_fault_is_asked),
		cmocka_unit_test(a_fault_in_the_middle_leaves_a_hole),
		cmocka_unit_test(in_the_middle_a_new_driver_gives_the_vm_up),
		cmocka_unit_test(an_unmap_that_fails_in_the_middle_has_unmapped),
		cmocka_unit_test(asynchronously_an_op_fails_when_it_runs),
		cmocka_unit_test(a_later_open_adds_to_the_plan_of_a_shared_device),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
