/* SPDX-License-Identifier: MIT */
/*
 * VM_BIND with the ASYNC flag: every op is checked at entry and one bad op refuses all; after that failures show in the
 * fences only, and the VM is lost.
 */
#include "raw.h"

#include <errno.h>

#define VA UINT64_C(0x200000)

static struct pb_uapi_vm_bind_op map_op(const struct raw *raw, unsigned int page)
{
	return RAW_OP(.flags = PB_OP_MAP, .bo_handle = raw->bo, .bo_offset = page * RAW_PAGE,
		      .va = VA + page * RAW_PAGE, .size = RAW_PAGE);
}

static struct pb_uapi_sync_op signal_op(uint32_t handle, uint64_t point)
{
	return (struct pb_uapi_sync_op){.flags = PB_SYNC_SIGNAL | (point ? PB_SYNC_TYPE_TIMELINE : 0),
					.handle = handle,
					.timeline_value = point};
}

static struct pb_uapi_sync_op wait_op(uint32_t handle, uint64_t point)
{
	return (struct pb_uapi_sync_op){.flags = point ? PB_SYNC_TYPE_TIMELINE : 0,
					.handle = handle,
					.timeline_value = point};
}

static void fence_signals_when_the_op_is_done(void **state)
{
	struct raw *raw = *state;
	uint32_t binary = raw_syncobj(raw, 0), timeline = raw_syncobj(raw, 0), count = 99;
	struct pb_uapi_sync_op first = signal_op(binary, 0), second = signal_op(timeline, 5);
	struct pb_uapi_vm_bind_op ops[2] = {map_op(raw, 0), map_op(raw, 1)};

	ops[0].syncs = RAW_ARRAY(&first, 1);
	ops[1].syncs = RAW_ARRAY(&second, 1);
	raw_expect("bind", raw_bind(raw, raw->vm, PB_VM_BIND_ASYNC, ops, 2, &count), 0);
	assert_int_equal(count, 2);
	raw_expect("wait", raw_sync_wait(raw, binary, 0), 0);
	raw_assert_mapped(raw, raw->vm, VA, RAW_PAGE, raw->bo, 0, 0);
	raw_expect("wait", raw_sync_wait(raw, timeline, 5), 0);
	raw_assert_mapped(raw, raw->vm, VA, 2 * RAW_PAGE, raw->bo, 0, 0);
	assert_int_equal(raw_sync_status(raw, binary), 0);
	assert_int_equal(raw_vm_state(raw, raw->vm), PB_VM_STATE_USABLE);
}

static void one_bad_op_refuses_all(void **state)
{
	struct raw *raw = *state;
	uint32_t handle = raw_syncobj(raw, 0), count = 99;
	struct pb_uapi_sync_op sync = signal_op(handle, 0);

	for (unsigned int bad = 0; bad < 4; bad++) {
		struct pb_uapi_vm_bind_op ops[4];

		for (unsigned int i = 0; i < 4; i++)
			ops[i] = map_op(raw, i);
		ops[bad].va++;
		ops[0].syncs = RAW_ARRAY(&sync, 1);
		raw_expect("bind", raw_bind(raw, raw->vm, PB_VM_BIND_ASYNC, ops, 4, &count), -EINVAL);
		assert_int_equal(count, 4); /* untouched */
	}
	/* no fence was put anywhere, and nothing is mapped, now or after whatever was queued */
	raw_expect("fence", raw_sync_poll(raw, handle, 0), -EINVAL);
	raw_expect("barrier", raw_bind_async_op(raw, RAW_OP(.flags = PB_OP_SYNC_ONLY, .syncs = RAW_ARRAY(&sync, 1))),
		   0);
	raw_expect("wait", raw_sync_wait(raw, handle, 0), 0);
	raw_assert_unmapped(raw, raw->vm, VA, 4 * RAW_PAGE);
	assert_int_equal(raw_vm_state(raw, raw->vm), PB_VM_STATE_USABLE);
}

static void sync_only_has_syncs_and_nothing_else(void **state)
{
	struct raw *raw = *state;
	uint32_t handle = raw_syncobj(raw, 0);
	struct pb_uapi_sync_op sync = signal_op(handle, 0);
	struct pb_uapi_obj_array syncs = RAW_ARRAY(&sync, 1);
	const uint32_t type = PB_OP_SYNC_ONLY;
	const struct {
		const char *name;
		struct pb_uapi_vm_bind_op op;
		int want;
	} cases[] = {
		{"no syncs", RAW_OP(.flags = type), -EINVAL},
		{"a signal", RAW_OP(.flags = type, .syncs = syncs), 0},
		{"va", RAW_OP(.flags = type, .va = 4096, .syncs = syncs), -EINVAL},
		{"size", RAW_OP(.flags = type, .size = 4096, .syncs = syncs), -EINVAL},
		{"handle", RAW_OP(.flags = type, .bo_handle = raw->bo, .syncs = syncs), -EINVAL},
		{"offset", RAW_OP(.flags = type, .bo_offset = 4096, .syncs = syncs), -EINVAL},
		{"map flag", RAW_OP(.flags = type | PB_OP_NOEXEC, .syncs = syncs), -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		raw_expect(cases[i].name, raw_bind_async_op(raw, cases[i].op), cases[i].want);
	raw_expect("wait", raw_sync_wait(raw, handle, 0), 0);
}

static void bad_syncs_are_refused(void **state)
{
	struct raw *raw = *state;
	uint32_t empty = raw_syncobj(raw, 0), full = raw_syncobj(raw, DRM_SYNCOBJ_CREATE_SIGNALED);
	const struct {
		const char *name;
		struct pb_uapi_sync_op sync;
		int want;
	} cases[] = {
		{"wait for no handle", wait_op(999, 0), -ENOENT},
		{"wait for handle 0", wait_op(0, 0), -ENOENT},
		{"wait without a fence", wait_op(empty, 0), -EINVAL},
		{"wait for a point not there", wait_op(full, 3), -EINVAL},
		{"point of a binary wait", {.handle = full, .timeline_value = 3}, -EINVAL},
		{"point of a binary signal", {.flags = PB_SYNC_SIGNAL, .handle = empty, .timeline_value = 3}, -EINVAL},
		{"unknown flag", {.flags = 0x100, .handle = full}, -EINVAL},
		{"unknown flag of a signal", {.flags = PB_SYNC_SIGNAL | 0x100, .handle = full}, -EINVAL},
		{"unknown type", {.flags = 2, .handle = full}, -EINVAL},
		{"wait for a signalled one", wait_op(full, 0), 0},
		{"point 0 of a timeline", {.flags = PB_SYNC_TYPE_TIMELINE, .handle = full}, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pb_uapi_sync_op sync = cases[i].sync;
		struct pb_uapi_vm_bind_op op =
			RAW_OP(.flags = PB_OP_UNMAP, .va = VA, .size = 4096, .syncs = RAW_ARRAY(&sync, 1));

		raw_expect(cases[i].name, raw_bind_async_op(raw, op), cases[i].want);
	}
	assert_int_equal(raw_vm_state(raw, raw->vm), PB_VM_STATE_USABLE);
}

/* A kernel of 6.12 to 7.3 dies of it, so it is for the simulator alone. */
static void signal_without_a_syncobj_is_refused(void **state)
{
	struct raw *raw = *state;
	struct pb_uapi_sync_op sync = signal_op(999, 0);

	raw_need_simulator(raw);
	raw_expect("signal", raw_bind_async_op(raw, RAW_OP(.flags = PB_OP_SYNC_ONLY, .syncs = RAW_ARRAY(&sync, 1))),
		   -EINVAL);
}

static void a_wait_finds_the_signal_of_an_op_before_it(void **state)
{
	struct raw *raw = *state;
	uint32_t handle = raw_syncobj(raw, 0), done = raw_syncobj(raw, 0);
	struct pb_uapi_sync_op signal = signal_op(handle, 7), after[2] = {wait_op(handle, 7), signal_op(done, 0)};
	struct pb_uapi_vm_bind_op ops[2] = {map_op(raw, 0), map_op(raw, 1)};

	/* the syncobj has no such point yet: only the batch itself brings it */
	ops[0].syncs = RAW_ARRAY(&signal, 1);
	ops[1].syncs = RAW_ARRAY(after, 2);
	raw_expect("bind", raw_bind(raw, raw->vm, PB_VM_BIND_ASYNC, ops, 2, NULL), 0);
	raw_expect("wait", raw_sync_wait(raw, done, 0), 0);
	raw_expect("point", raw_sync_poll(raw, handle, 7), 0);
	raw_assert_mapped(raw, raw->vm, VA, 2 * RAW_PAGE, raw->bo, 0, 0);
}

static void the_last_signal_of_a_syncobj_counts(void **state)
{
	struct raw *raw = *state;
	uint32_t handle = raw_syncobj(raw, 0);
	struct pb_uapi_sync_op signal = signal_op(handle, 0);
	struct pb_uapi_vm_bind_op ops[8];

	for (unsigned int i = 0; i < 8; i++) {
		ops[i] = map_op(raw, i);
		ops[i].syncs = RAW_ARRAY(&signal, 1);
	}
	raw_expect("bind", raw_bind(raw, raw->vm, PB_VM_BIND_ASYNC, ops, 8, NULL), 0);
	raw_expect("wait", raw_sync_wait(raw, handle, 0), 0);
	raw_assert_mapped(raw, raw->vm, VA, 8 * RAW_PAGE, raw->bo, 0, 0);
}

static void binds_of_one_vm_run_in_order(void **state)
{
	struct raw *raw = *state;
	uint32_t timeline = raw_syncobj(raw, 0);

	/* map and unmap the same page in turns, one ioctl each; only the last one signals, and the last one is a map */
	for (unsigned int i = 1; i <= 201; i++) {
		struct pb_uapi_vm_bind_op op = map_op(raw, 0);
		struct pb_uapi_sync_op signal = signal_op(timeline, i);

		if (i % 2 == 0)
			op = RAW_OP(.flags = PB_OP_UNMAP, .va = VA, .size = RAW_PAGE);
		op.syncs = RAW_ARRAY(&signal, i == 201 ? 1 : 0);
		raw_expect("bind", raw_bind_async_op(raw, op), 0);
	}
	raw_expect("wait", raw_sync_wait(raw, timeline, 201), 0);
	raw_assert_mapped(raw, raw->vm, VA, RAW_PAGE, raw->bo, 0, 0);
}

static void empty_ops_and_batches_are_accepted(void **state)
{
	struct raw *raw = *state;

	raw_expect("no ops", raw_bind(raw, raw->vm, PB_VM_BIND_ASYNC, NULL, 0, NULL), 0);
	raw_expect("unmap of size 0", raw_bind_async_op(raw, RAW_OP(.flags = PB_OP_UNMAP, .va = VA)), 0);
	raw_expect("map of size 0", raw_bind_async_op(raw, RAW_OP(.flags = PB_OP_MAP, .va = VA, .bo_handle = raw->bo)),
		   0);
	/* but unlike a synchronous one it is checked */
	raw_expect("bad map of size 0", raw_bind_async_op(raw, RAW_OP(.flags = PB_OP_MAP, .va = VA, .bo_handle = 999)),
		   -EINVAL);
	raw_expect("bad VM", raw_bind(raw, 99, PB_VM_BIND_ASYNC, NULL, 0, NULL), -EINVAL);
}

static void destroying_the_vm_lets_queued_fences_signal(void **state)
{
	struct raw *raw = *state;
	uint32_t handle = raw_syncobj(raw, 0), vm = raw_vm(raw);
	struct pb_uapi_sync_op signal = signal_op(handle, 0);
	struct pb_uapi_vm_bind_op op = map_op(raw, 0);

	op.syncs = RAW_ARRAY(&signal, 1);
	raw_expect("bind", raw_bind(raw, vm, PB_VM_BIND_ASYNC, &op, 1, NULL), 0);
	raw_expect("destroy", raw_vm_destroy(raw, vm), 0);
	raw_expect("wait", raw_sync_wait(raw, handle, 0), 0);
	raw_expect("bind", raw_bind(raw, vm, PB_VM_BIND_ASYNC, &op, 1, NULL), -EINVAL);
}

static void the_bo_may_be_closed_at_once(void **state)
{
	struct raw *raw = *state;
	uint32_t handle = raw_syncobj(raw, 0), bo = raw_bo(raw, RAW_PAGE);
	struct pb_uapi_sync_op signal = signal_op(handle, 0);
	struct pb_uapi_vm_bind_op op = map_op(raw, 0);

	op.bo_handle = bo;
	op.syncs = RAW_ARRAY(&signal, 1);
	raw_expect("bind", raw_bind_async_op(raw, op), 0);
	raw_expect("close", raw_bo_close(raw, bo), 0);
	raw_expect("wait", raw_sync_wait(raw, handle, 0), 0);
	raw_assert_mapped(raw, raw->vm, VA, RAW_PAGE, 0, 0, 0);
}

/* ---- A run-time failure: seen on the real driver with a stuck address space; here a fault plan asks for it ---- */

/* Three ops, of which the second fails when it runs; each signals a syncobj of its own. */
static struct raw *fail_second_op(uint32_t handles[3])
{
	struct raw *raw = raw_open_with("fault=VM_BIND#1:op=1:ENOMEM");
	struct pb_uapi_sync_op signals[3];
	struct pb_uapi_vm_bind_op ops[3];

	for (unsigned int i = 0; i < 3; i++) {
		handles[i] = raw_syncobj(raw, 0);
		signals[i] = signal_op(handles[i], 0);
		ops[i] = map_op(raw, i);
		ops[i].syncs = RAW_ARRAY(&signals[i], 1);
	}
	raw_expect("accepted", raw_bind(raw, raw->vm, PB_VM_BIND_ASYNC, ops, 3, NULL), 0);
	for (unsigned int i = 0; i < 3; i++)
		raw_expect("a failed fence counts as signalled", raw_sync_wait(raw, handles[i], 0), 0);
	return raw;
}

static void run_time_failure_is_in_the_fences(void **state)
{
	uint32_t handles[3];
	struct raw *raw;

	raw_need_simulator(*state);
	raw = fail_second_op(handles);
	assert_int_equal(raw_sync_status(raw, handles[0]), 0);
	assert_int_equal(raw_sync_status(raw, handles[1]), -ENOMEM);
	assert_int_equal(raw_sync_status(raw, handles[2]), -EINVAL); /* queued behind it: the VM is lost */
	raw_assert_mapped(raw, raw->vm, VA, RAW_PAGE, raw->bo, 0, 0);
	raw_assert_unmapped(raw, raw->vm, VA + RAW_PAGE, 2 * RAW_PAGE);
	raw_close(raw);
}

static void unusable_vm_only_unmaps(void **state)
{
	uint32_t handles[3], other;
	struct raw *raw;
	struct pb_uapi_vm_bind_op map, unmap = RAW_OP(.flags = PB_OP_UNMAP, .va = VA, .size = RAW_PAGE);

	raw_need_simulator(*state);
	raw = fail_second_op(handles);
	map = map_op(raw, 0);
	assert_int_equal(raw_vm_state(raw, raw->vm), PB_VM_STATE_UNUSABLE);
	raw_expect("sync map", raw_bind_op(raw, map), -EINVAL);
	raw_expect("async map", raw_bind_async_op(raw, map), -EINVAL);
	raw_expect("async unmap", raw_bind_async_op(raw, unmap), -EINVAL);
	raw_expect("sync unmap", raw_bind_op(raw, unmap), 0);
	raw_assert_unmapped(raw, raw->vm, VA, RAW_PAGE);

	/* other VMs go on, and it stays unusable for good */
	other = raw_vm(raw);
	raw_expect("another VM", raw_bind(raw, other, 0, &map, 1, NULL), 0);
	assert_int_equal(raw_vm_state(raw, other), PB_VM_STATE_USABLE);
	assert_int_equal(raw_vm_state(raw, raw->vm), PB_VM_STATE_UNUSABLE);
	raw_expect("destroy", raw_vm_destroy(raw, raw->vm), 0);
	raw_close(raw);
}

static void sync_failure_leaves_the_vm_usable(void **state)
{
	struct raw *raw;

	raw_need_simulator(*state);
	raw = raw_open_with("fault=VM_BIND#1:op=0:ENOMEM");
	raw_expect("map", raw_bind_op(raw, map_op(raw, 0)), -ENOMEM);
	assert_int_equal(raw_vm_state(raw, raw->vm), PB_VM_STATE_USABLE);
	raw_expect("map again", raw_bind_op(raw, map_op(raw, 0)), 0);
	raw_close(raw);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, raw_setup, raw_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fence_signals_when_the_op_is_done),
		TEST(one_bad_op_refuses_all),
		TEST(sync_only_has_syncs_and_nothing_else),
		TEST(bad_syncs_are_refused),
		TEST(signal_without_a_syncobj_is_refused),
		TEST(a_wait_finds_the_signal_of_an_op_before_it),
		TEST(the_last_signal_of_a_syncobj_counts),
		TEST(binds_of_one_vm_run_in_order),
		TEST(empty_ops_and_batches_are_accepted),
		TEST(destroying_the_vm_lets_queued_fences_signal),
		TEST(the_bo_may_be_closed_at_once),
		TEST(run_time_failure_is_in_the_fences),
		TEST(unusable_vm_only_unmaps),
		TEST(sync_failure_leaves_the_vm_usable),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
