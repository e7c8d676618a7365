/* SPDX-License-Identifier: MIT */
/* Asynchronous binds against declared answers: sync arrays, refusals, and what is in flight. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bind_room.h"

#define ALL	   FAKE_UNTOUCHED
#define FIRST	   100 /* handles of syncobjs, as the fake gives them */
#define SIGNAL	   PB_SYNC_SIGNAL
#define ASYNC_BIND .request = PB_IOCTL_VM_BIND, .flags = PB_VM_BIND_ASYNC, .done = ALL

static struct room room;
static struct panbind_syncobj *binary, *timeline; /* handles 100 and 101; the VM's own will be 102 */

static int open_with(int minor)
{
	room_open(&room, minor);
	assert_int_equal(panbind_syncobj_create(room.device, 0, &binary), 0);
	assert_int_equal(panbind_syncobj_create(room.device, 0, &timeline), 0);
	return 0;
}

static int setup(void **state)
{
	return open_with(9);
}

static int setup_without_sparse(void **state)
{
	return open_with(8);
}

static int teardown(void **state)
{
	panbind_syncobj_unref(binary);
	panbind_syncobj_unref(timeline);
	room_close(&room);
	/* the VM's timeline went with the VM */
	assert_int_equal(fake_seen(&room.fake, DRM_IOCTL_SYNCOBJ_CREATE),
			 fake_seen(&room.fake, DRM_IOCTL_SYNCOBJ_DESTROY));
	return 0;
}

static int bind_async(void)
{
	return panbind_vm_bind(room.vm, room.batch, PANBIND_BIND_ASYNC, &room.error);
}

/** Pages 16 to 19, accepted and, as far as the fake says, still in flight as point 1. */
static void put_in_flight(void)
{
	room_map_many(&room, 4);
	FAKE_EXPECT(&room.fake, {ASYNC_BIND, .count = 4});
	assert_int_equal(bind_async(), 0);
}

static void syncs_go_out_in_their_order(void **state)
{
	static const struct pb_uapi_vm_bind_op ops[] = {
		{.flags = PB_OP_MAP, .bo_handle = 1, .va = 16 * PAGE, .size = PAGE, .syncs.count = 3},
		{.flags = PB_OP_UNMAP, .va = 40 * PAGE, .size = PAGE, .syncs.count = 0},
		{.flags = PB_OP_SYNC_ONLY, .syncs.count = 2},
	};
	static const struct pb_uapi_sync_op syncs[] = {
		{.flags = PB_SYNC_TYPE_SYNCOBJ, .handle = FIRST},
		{.flags = PB_SYNC_TYPE_TIMELINE | SIGNAL, .handle = FIRST + 1, .timeline_value = 7},
		{.flags = PB_SYNC_TYPE_TIMELINE, .handle = FIRST + 1, .timeline_value = 6},
		{.flags = PB_SYNC_TYPE_SYNCOBJ | SIGNAL, .handle = FIRST},
		{.flags = PB_SYNC_TYPE_TIMELINE | SIGNAL, .handle = FIRST + 2, .timeline_value = 1}, /* the VM's own */
	};
	room_map(&room, 16, 0);
	panbind_batch_wait(room.batch, binary, 0);
	panbind_batch_signal(room.batch, timeline, 7);
	panbind_batch_wait(room.batch, timeline, 6);
	panbind_batch_unmap(room.batch, 40 * PAGE, PAGE, NULL);
	panbind_batch_sync_only(room.batch);
	panbind_batch_signal(room.batch, binary, 0);
	FAKE_EXPECT(&room.fake, {ASYNC_BIND, .count = 3, .ops = ops, .syncs = syncs});

	assert_int_equal(bind_async(), 0);

	ASSERT_SHADOW(&room, {16, 1, 0}); /* as if it had happened */
}

static void a_batch_of_sync_only_is_a_bind(void **state)
{
	static const struct pb_uapi_vm_bind_op op = {.flags = PB_OP_SYNC_ONLY, .syncs.count = 2};
	static const struct pb_uapi_sync_op syncs[] = {
		{.flags = SIGNAL, .handle = FIRST},
		{.flags = PB_SYNC_TYPE_TIMELINE | SIGNAL, .handle = FIRST + 2, .timeline_value = 1},
	};
	panbind_batch_sync_only(room.batch);
	panbind_batch_signal(room.batch, binary, 0);
	FAKE_EXPECT(&room.fake, {ASYNC_BIND, .count = 1, .ops = &op, .syncs = syncs});

	assert_int_equal(bind_async(), 0);
	ASSERT_SHADOW(&room);
}

static void points_of_the_vm_count_accepted_binds(void **state)
{
	static const struct pb_uapi_sync_op first = {.flags = 1 | SIGNAL, .handle = FIRST + 2, .timeline_value = 1};
	static const struct pb_uapi_sync_op second = {.flags = 1 | SIGNAL, .handle = FIRST + 2, .timeline_value = 2};
	static const struct pb_uapi_vm_bind_op op = {
		.flags = PB_OP_MAP, .bo_handle = 1, .va = 16 * PAGE, .size = PAGE, .syncs.count = 1};
	room_map(&room, 16, 0);
	FAKE_EXPECT(&room.fake, {ASYNC_BIND, .count = 1, .ops = &op, .syncs = &first},
		    {ASYNC_BIND, .count = 1, .ret = -ENOMEM, .ops = &op, .syncs = &second},
		    {ASYNC_BIND, .count = 1, .ops = &op, .syncs = &second});
	assert_int_equal(bind_async(), 0);
	assert_int_equal(bind_async(), -ENOMEM);
	assert_int_equal(bind_async(), 0);
}

static void below_1_9_waits_come_first_and_signals_last(void **state)
{
	static const struct pb_uapi_vm_bind_op ops[] = {
		{.flags = 2,
		 .bo_handle = 2,
		 .bo_offset = BLOCK - PAGE,
		 .va = BLOCK - PAGE,
		 .size = PAGE,
		 .syncs.count = 1},
		{.flags = 2, .bo_handle = 2, .va = BLOCK, .size = BLOCK},
		{.flags = 2, .bo_handle = 2, .va = 2 * BLOCK, .size = PAGE, .syncs.count = 2},
	};
	static const struct pb_uapi_sync_op syncs[] = {
		{.flags = 0, .handle = FIRST},
		{.flags = 1 | SIGNAL, .handle = FIRST + 1, .timeline_value = 3},
		{.flags = 1 | SIGNAL, .handle = FIRST + 2, .timeline_value = 1},
	};
	panbind_batch_map_sparse(room.batch, BLOCK - PAGE, BLOCK + 2 * PAGE, NULL);
	panbind_batch_signal(room.batch, timeline, 3);
	panbind_batch_wait(room.batch, binary, 0);
	FAKE_EXPECT(&room.fake, {ASYNC_BIND, .count = 3, .ops = ops, .syncs = syncs});

	assert_int_equal(bind_async(), 0);

	ASSERT_SHADOW(&room, {BLOCK / PAGE - 1, BLOCK / PAGE + 2, SPARSE});
}

static void a_refusal_leaves_the_shadow_alone(void **state)
{
	room_map_now(&room, 16, 2, 50);
	room_map_many(&room, 4);
	FAKE_EXPECT(&room.fake, {ASYNC_BIND, .count = 4, .ret = -EINVAL});

	assert_int_equal(bind_async(), -EINVAL);

	ASSERT_ERROR(&room, -EINVAL, SUBMIT, PANBIND_NO_OP);
	ASSERT_SHADOW(&room, {16, 2, 50});
	room_map_now(&room, 16, 2, 60); /* and nothing is in flight */
}

static void an_interrupted_call_is_made_again_whole(void **state)
{
	room_map_many(&room, 4);
	FAKE_EXPECT(&room.fake, {ASYNC_BIND, .count = 4, .ret = -EINTR}, {ASYNC_BIND, .count = 4, .ret = -EINTR},
		    {ASYNC_BIND, .count = 4});
	assert_int_equal(bind_async(), 0);
	assert_int_equal(panbind_vm_mapping_count(room.vm), 4);
}

static void a_synchronous_bind_waits_for_what_is_in_flight(void **state)
{
	put_in_flight();

	assert_int_equal(panbind_vm_unmap(room.vm, 19 * PAGE, 5 * PAGE, &room.error), -EBUSY);

	ASSERT_ERROR(&room, -EBUSY, VALIDATE, 0);
	assert_int_equal(room.error.va, 16 * PAGE); /* merged: four neighbours are one range */
	assert_int_equal(room.error.size, 4 * PAGE);
	assert_non_null(strstr(room.error.msg, "wait for its fence"));
	assert_int_equal(panbind_vm_mapping_count(room.vm), 4);
}

static void ranges_beside_it_are_free(void **state)
{
	put_in_flight();
	room_map_now(&room, 12, 4, 0);
	room_map_now(&room, 20, 4, 0);
}

static void what_has_signalled_is_free_again(void **state)
{
	put_in_flight();
	room.fake.timeline = 1;
	room_map_now(&room, 16, 4, 0);
	uint32_t asked = fake_seen(&room.fake, DRM_IOCTL_SYNCOBJ_QUERY);
	room_map_now(&room, 16, 4, 0);
	assert_int_equal(fake_seen(&room.fake, DRM_IOCTL_SYNCOBJ_QUERY), asked); /* nothing in flight, nothing asked */
}

static void a_transaction_waits_too(void **state)
{
	enum panbind_outcome outcome;
	put_in_flight();
	assert_int_equal(panbind_txn_run(room.vm, room.batch, &outcome, &room.error), -EBUSY);
	ASSERT_ERROR(&room, -EBUSY, VALIDATE, 0);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
}

static void asynchronous_binds_queue_up(void **state)
{
	put_in_flight();
	FAKE_EXPECT(&room.fake, {ASYNC_BIND, .count = 4});
	assert_int_equal(bind_async(), 0);
}

static void a_failure_in_flight_is_noticed(void **state)
{
	put_in_flight();
	room.fake.timeline = 1;
	room.fake.vm_state = PB_VM_STATE_UNUSABLE;

	assert_int_equal(panbind_vm_unmap(room.vm, 100 * PAGE, PAGE, &room.error), -EUCLEAN);

	ASSERT_ERROR(&room, -EUCLEAN, VALIDATE, PANBIND_NO_OP);
}

static void the_list_of_what_is_in_flight_stays_short(void **state)
{
	static struct fake_call calls[500];
	for (size_t i = 0; i < 500; i++)
		calls[i] = (struct fake_call){ASYNC_BIND, .count = 1};
	fake_expect(&room.fake, calls, 500);
	room_map(&room, 16, 0);
	for (size_t i = 0; i < 500; i++) {
		room.fake.timeline = i; /* all but the last have finished */
		assert_int_equal(bind_async(), 0);
		assert_in_range(room.vm->pending_count, 1, 80);
	}
	assert_in_range(fake_seen(&room.fake, DRM_IOCTL_SYNCOBJ_QUERY), 1, 20);
}

#define TEST(name)	   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BELOW_9(name) cmocka_unit_test_setup_teardown(name, setup_without_sparse, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(syncs_go_out_in_their_order),
		TEST(a_batch_of_sync_only_is_a_bind),
		TEST(points_of_the_vm_count_accepted_binds),
		TEST_BELOW_9(below_1_9_waits_come_first_and_signals_last),
		TEST(a_refusal_leaves_the_shadow_alone),
		TEST(an_interrupted_call_is_made_again_whole),
		TEST(a_synchronous_bind_waits_for_what_is_in_flight),
		TEST(ranges_beside_it_are_free),
		TEST(what_has_signalled_is_free_again),
		TEST(a_transaction_waits_too),
		TEST(asynchronous_binds_queue_up),
		TEST(a_failure_in_flight_is_noticed),
		TEST(the_list_of_what_is_in_flight_stays_short),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
