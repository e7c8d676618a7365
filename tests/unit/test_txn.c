/* SPDX-License-Identifier: MIT */
/* Transactions against declared answers: the inverse ops, the outcomes, and what is refused afterwards. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bind_room.h"

#define ALL FAKE_UNTOUCHED

static struct room room;
static enum panbind_outcome outcome;

static int setup(void **state)
{
	room_open(&room, 9);
	outcome = -1;
	return 0;
}

static int teardown(void **state)
{
	room_close(&room);
	return 0;
}

static int run(void)
{
	return panbind_txn_run(room.vm, room.batch, &outcome, &room.error);
}

/**
 * Given page 17 backed by page 100 and pages 30 to 33 by 200 to 203: op 0 maps 16, op 1 maps 17 over what is there, op
 * 2 unmaps 29 to 31, op 3 maps 16 again, over op 0.
 */
static void fill_overlapping(void)
{
	room_map_now(&room, 17, 1, 100);
	room_map_now(&room, 30, 4, 200);
	room_map(&room, 16, 0);
	room_map(&room, 17, 1);
	panbind_batch_unmap(room.batch, 29 * PAGE, 3 * PAGE, NULL);
	room_map(&room, 16, 3);
}
#define BEFORE             \
	{17, 1, 100},      \
	{                  \
		30, 4, 200 \
	}
/** The same pages; the driver does not join again what an unmap has cut, and nor does the shadow. */
#define RESTORED                    \
	{17, 1, 100}, {30, 2, 200}, \
	{                           \
		32, 2, 202          \
	}
/** The BO offset that is put back at 30 starts at the cut, and 29 was a hole before the unmap and needs nothing. */
#define INVERSE_OF_2 DRIVER_MAP(30, 2, 200)
#define INVERSE_OF_1 DRIVER_MAP(17, 1, 100)
#define INVERSE_OF_0 DRIVER_UNMAP(16, 1)
#define INVERSE_OF_3 DRIVER_MAP(16, 1, 0) /* what op 0 had put there */

static void what_succeeds_is_applied(void **state)
{
	fill_overlapping();
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, 0, ALL));

	assert_int_equal(run(), 0);

	assert_int_equal(outcome, PANBIND_OUTCOME_APPLIED);
	ASSERT_SHADOW(&room, {16, 1, 3}, {17, 1, 1}, {32, 2, 202});
}

static void a_refused_op_takes_those_before_it_back(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {INVERSE_OF_2, INVERSE_OF_1, INVERSE_OF_0};
	fill_overlapping();
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -EINVAL, 3),
		    {.request = PB_IOCTL_VM_BIND, .count = 3, .done = ALL, .ops = inverse});

	assert_int_equal(run(), -EINVAL);

	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	ASSERT_ERROR(&room, -EINVAL, SUBMIT, 3);
	ASSERT_SHADOW(&room, RESTORED);
	assert_null(panbind_vm_poison_reason(room.vm));
}

static void an_op_that_failed_while_it_ran_is_taken_back_too(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {INVERSE_OF_3, INVERSE_OF_2, INVERSE_OF_1, INVERSE_OF_0};
	fill_overlapping();
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -ENOMEM, 3),
		    {.request = PB_IOCTL_VM_BIND, .count = 4, .done = ALL, .ops = inverse});

	assert_int_equal(run(), -ENOMEM);

	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	ASSERT_ERROR(&room, -ENOMEM, SUBMIT, 3);
	ASSERT_SHADOW(&room, RESTORED);
}

static void each_op_may_be_the_one_that_fails(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {INVERSE_OF_3, INVERSE_OF_2, INVERSE_OF_1, INVERSE_OF_0};
	fill_overlapping();
	for (uint32_t i = 0; i < 4; i++) {
		struct fake_call calls[] = {
			FAKE_BIND(4, -ENOMEM, i),
			{.request = PB_IOCTL_VM_BIND, .count = i + 1, .done = ALL, .ops = inverse + 3 - i},
		};
		fake_expect(&room.fake, calls, 2);
		assert_int_equal(run(), -ENOMEM);
		fake_expect(&room.fake, NULL, 0);
		assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
		ASSERT_ERROR(&room, -ENOMEM, SUBMIT, i);
		if (i < 2)
			ASSERT_SHADOW(&room, BEFORE);
		else
			ASSERT_SHADOW(&room, RESTORED);
	}
}

static void the_rollback_itself_may_be_interrupted(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {INVERSE_OF_2, INVERSE_OF_1, INVERSE_OF_0};
	fill_overlapping();
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -EINVAL, 3), FAKE_BIND(3, -EINTR, 1), FAKE_BIND(2, -EINTR, ALL),
		    {.request = PB_IOCTL_VM_BIND, .count = 2, .done = ALL, .ops = inverse + 1});

	assert_int_equal(run(), -EINVAL);

	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	ASSERT_SHADOW(&room, RESTORED);
}

static void a_refused_undo_is_partial_and_shows_what_remains(void **state)
{
	fill_overlapping();
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -EINVAL, 3), FAKE_BIND(3, -EINVAL, 1));

	assert_int_equal(run(), -EINVAL);

	/* op 2 was undone, the undo of op 1 was refused: ops 0 and 1 remain */
	assert_int_equal(outcome, PANBIND_OUTCOME_PARTIAL);
	ASSERT_ERROR(&room, -EINVAL, ROLLBACK, 1);
	ASSERT_SHADOW(&room, {16, 1, 0}, {17, 1, 1}, {30, 2, 200}, {32, 2, 202});
	assert_non_null(panbind_vm_poison_reason(room.vm));
}

static void an_undo_that_failed_while_it_ran_is_unknown(void **state)
{
	fill_overlapping();
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -EINVAL, 3), FAKE_BIND(3, -ENOMEM, 1));

	assert_int_equal(run(), -ENOMEM);

	assert_int_equal(outcome, PANBIND_OUTCOME_UNKNOWN);
	ASSERT_ERROR(&room, -ENOMEM, ROLLBACK, 1);
}

static void a_refused_undo_of_a_half_done_op_is_unknown(void **state)
{
	fill_overlapping();
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -ENOMEM, 3), FAKE_BIND(4, -EINVAL, 0));

	assert_int_equal(run(), -EINVAL);

	assert_int_equal(outcome, PANBIND_OUTCOME_UNKNOWN);
	ASSERT_ERROR(&room, -EINVAL, ROLLBACK, 3);
}

static void a_refused_undo_behind_a_half_done_op_is_partial(void **state)
{
	fill_overlapping();
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -ENOMEM, 3), FAKE_BIND(4, -EINVAL, 2));

	assert_int_equal(run(), -EINVAL);

	assert_int_equal(outcome, PANBIND_OUTCOME_PARTIAL);
	ASSERT_ERROR(&room, -EINVAL, ROLLBACK, 1);
}

static void a_poisoned_vm_takes_nothing_more(void **state)
{
	room_map(&room, 16, 0);
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, -ENOMEM, 0), FAKE_BIND(1, -ENOMEM, 0));
	assert_int_equal(run(), -ENOMEM);
	assert_int_equal(outcome, PANBIND_OUTCOME_UNKNOWN);
	const char *reason = panbind_vm_poison_reason(room.vm);

	struct {
		int ret;
		const char *what;
	} refused[] = {
		{panbind_vm_bind(room.vm, room.batch, 0, &room.error), "bind"},
		{panbind_vm_bind(room.vm, room.batch, PANBIND_BIND_ASYNC, NULL), "async bind"},
		{panbind_vm_map(room.vm, 0, PAGE, room.bo, 0, 0, NULL), "map"},
		{panbind_vm_unmap(room.vm, 0, PAGE, NULL), "unmap"},
		{panbind_sparse_reserve(room.vm, BLOCK, BLOCK, NULL), "sparse reserve"},
		{run(), "transaction"},
	};
	for (size_t i = 0; i < PB_ARRAY_SIZE(refused); i++) {
		if (refused[i].ret != -EUCLEAN)
			fail_msg("%s on a poisoned VM gave %d", refused[i].what, refused[i].ret);
	}
	assert_non_null(strstr(room.error.msg, reason));
	enum panbind_vm_state vm_state;
	assert_int_equal(panbind_vm_get_state(room.vm, &vm_state), 0);
	assert_int_equal(vm_state, PANBIND_VM_POISONED);
}

static void a_bad_batch_is_refused_before_anything(void **state)
{
	room_map(&room, 16, 0);
	panbind_batch_unmap(room.batch, 1ull << 47, PAGE, NULL);

	assert_int_equal(run(), -EINVAL);

	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, 1);
	assert_int_equal(fake_seen(&room.fake, PB_IOCTL_VM_BIND), 0);
}

static void sparse_pieces_are_put_back_as_sparse(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {
		{.flags = PB_OP_MAP | PB_OP_SPARSE | PB_OP_NOEXEC, .va = 20 * PAGE, .size = PAGE}};
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL), FAKE_BIND(2, -EINVAL, 1),
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = inverse});
	assert_int_equal(panbind_sparse_reserve(room.vm, 16 * PAGE, 16 * PAGE, NULL), 0);
	room_map(&room, 20, 0);
	room_map(&room, 21, 0);

	assert_int_equal(run(), -EINVAL);

	ASSERT_SHADOW(&room, {16, 16, SPARSE});
}

static void a_displaced_bo_lives_until_the_transaction_ends(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {
		{.flags = PB_OP_MAP, .bo_handle = 2, .va = 16 * PAGE, .size = PAGE}};
	struct panbind_bo *lonely;
	assert_int_equal(panbind_bo_create(room.device, PAGE, 0, NULL, &lonely, NULL), 0);
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL), FAKE_BIND(2, -EINVAL, 1),
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = inverse}, FAKE_BIND(2, 0, ALL));
	assert_int_equal(panbind_vm_map(room.vm, 16 * PAGE, PAGE, lonely, 0, 0, NULL), 0);
	panbind_bo_unref(lonely); /* only the mapping holds it now */
	room_map(&room, 16, 0);
	room_map(&room, 17, 0);

	assert_int_equal(run(), -EINVAL); /* its handle is open for the inverse op */
	assert_int_equal(room.fake.handles, 2);
	assert_int_equal(run(), 0);
	assert_int_equal(room.fake.handles, 1);
}

static void a_long_transaction_is_undone_in_chunks(void **state)
{
	enum { n = 10000 };
	room_map_many(&room, n);
	FAKE_EXPECT(&room.fake, FAKE_BIND(4096, 0, ALL), FAKE_BIND(4096, 0, ALL), FAKE_BIND(1808, -EINVAL, 8),
		    FAKE_BIND(4096, 0, ALL), FAKE_BIND(4096, -EINTR, 4000), FAKE_BIND(96, 0, ALL),
		    FAKE_BIND(8, 0, ALL));

	assert_int_equal(run(), -EINVAL);

	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	ASSERT_ERROR(&room, -EINVAL, SUBMIT, 8200);
	ASSERT_SHADOW(&room);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_succeeds_is_applied),
		TEST(a_refused_op_takes_those_before_it_back),
		TEST(an_op_that_failed_while_it_ran_is_taken_back_too),
		TEST(each_op_may_be_the_one_that_fails),
		TEST(the_rollback_itself_may_be_interrupted),
		TEST(a_refused_undo_is_partial_and_shows_what_remains),
		TEST(an_undo_that_failed_while_it_ran_is_unknown),
		TEST(a_refused_undo_of_a_half_done_op_is_unknown),
		TEST(a_refused_undo_behind_a_half_done_op_is_partial),
		TEST(a_poisoned_vm_takes_nothing_more),
		TEST(a_bad_batch_is_refused_before_anything),
		TEST(sparse_pieces_are_put_back_as_sparse),
		TEST(a_displaced_bo_lives_until_the_transaction_ends),
		TEST(a_long_transaction_is_undone_in_chunks),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
