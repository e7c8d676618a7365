/* SPDX-License-Identifier: MIT */
/* Synchronous binds against declared answers: what goes to the driver, and what is made of what comes back. */
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

static int setup(void **state)
{
	room_open(&room, 9);
	return 0;
}

static int setup_without_sparse(void **state)
{
	room_open(&room, 8);
	return 0;
}

static int teardown(void **state)
{
	room_close(&room);
	return 0;
}

static int bind(void)
{
	return panbind_vm_bind(room.vm, room.batch, 0, &room.error);
}

static void a_map_goes_out_as_it_is(void **state)
{
	static const struct pb_uapi_vm_bind_op op = {.flags =
							     PB_OP_MAP | PB_OP_READONLY | PB_OP_NOEXEC | PB_OP_UNCACHED,
						     .bo_handle = 1,
						     .bo_offset = 0x3000,
						     .va = 0x7fff00001000,
						     .size = 0x2000};
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &op});

	assert_int_equal(panbind_vm_map(room.vm, 0x7fff00001000, 0x2000, room.bo, 0x3000,
					PANBIND_MAP_READONLY | PANBIND_MAP_NOEXEC | PANBIND_MAP_UNCACHED, NULL),
			 0);

	struct panbind_mapping m;
	assert_int_equal(panbind_vm_next_mapping(room.vm, 0, &m), 0);
	assert_int_equal(m.va, 0x7fff00001000);
	assert_int_equal(m.flags, PANBIND_MAP_READONLY | PANBIND_MAP_NOEXEC | PANBIND_MAP_UNCACHED);
}

static void an_unmap_goes_out_without_anything_else(void **state)
{
	static const struct pb_uapi_vm_bind_op op = DRIVER_UNMAP(18, 4);
	room_map_now(&room, 16, 8, 0);
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &op});

	assert_int_equal(panbind_vm_unmap(room.vm, 18 * PAGE, 4 * PAGE, NULL), 0);

	ASSERT_SHADOW(&room, {16, 2, 0}, {22, 2, 6});
}

static void a_batch_is_one_call_in_order(void **state)
{
	static const struct pb_uapi_vm_bind_op ops[] = {DRIVER_MAP(16, 1, 9), DRIVER_MAP(40, 1, 2),
							DRIVER_UNMAP(16, 1)};
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_BIND, .count = 3, .done = ALL, .ops = ops});
	room_map(&room, 16, 9);
	room_map(&room, 40, 2);
	panbind_batch_unmap(room.batch, 16 * PAGE, PAGE, NULL);

	assert_int_equal(bind(), 0);

	ASSERT_SHADOW(&room, {40, 1, 2});
}

/** The driver ops of room_map_many(). */
static void driver_maps(struct pb_uapi_vm_bind_op *ops, uint32_t count)
{
	for (uint64_t i = 0; i < count; i++)
		ops[i] = (struct pb_uapi_vm_bind_op)DRIVER_MAP(16 + i, 1, i);
}

static void assert_many_mapped(uint64_t count)
{
	assert_int_equal(panbind_vm_mapping_count(room.vm), count);
	for (uint64_t i = 0; i < count; i++) {
		struct panbind_mapping m;
		assert_int_equal(panbind_vm_next_mapping(room.vm, (16 + i) * PAGE, &m), 0);
		assert_int_equal(m.va, (16 + i) * PAGE);
		assert_int_equal(m.bo_offset, i * PAGE);
	}
}

static void an_interrupt_at_any_op_resumes_there(void **state)
{
	enum { n = 6 };
	struct pb_uapi_vm_bind_op ops[n];
	driver_maps(ops, n);
	room_map_many(&room, n);
	for (uint32_t i = 0; i < n; i++) {
		struct fake_call calls[] = {
			{.request = PB_IOCTL_VM_BIND, .count = n, .ret = -EINTR, .done = i, .ops = ops},
			{.request = PB_IOCTL_VM_BIND, .count = n - i, .done = ALL, .ops = ops + i},
		};
		fake_expect(&room.fake, calls, 2);

		assert_int_equal(bind(), 0);

		assert_many_mapped(n);
		FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL));
		assert_int_equal(panbind_vm_unmap(room.vm, 0, 1 << 30, NULL), 0); /* so that the next round shows */
	}
}

static void interrupts_in_a_row_lose_and_repeat_nothing(void **state)
{
	struct pb_uapi_vm_bind_op ops[8];
	driver_maps(ops, 8);
	struct fake_call calls[] = {
		{.request = PB_IOCTL_VM_BIND, .count = 8, .ret = -EINTR, .done = 3, .ops = ops},
		{.request = PB_IOCTL_VM_BIND, .count = 5, .ret = -EINTR, .done = 0, .ops = ops + 3},
		{.request = PB_IOCTL_VM_BIND, .count = 5, .ret = -EINTR, .done = 0, .ops = ops + 3},
		{.request = PB_IOCTL_VM_BIND, .count = 5, .ret = -EAGAIN, .done = 4, .ops = ops + 3},
		{.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = ops + 7},
	};
	room_map_many(&room, 8);
	fake_expect(&room.fake, calls, 5);

	assert_int_equal(bind(), 0);

	fake_expect(&room.fake, NULL, 0);
	assert_many_mapped(8);
}

static void an_interrupt_before_the_first_op_is_not_all_done(void **state)
{
	struct pb_uapi_vm_bind_op ops[4];
	driver_maps(ops, 4);
	struct fake_call calls[] = {
		{.request = PB_IOCTL_VM_BIND, .count = 4, .ret = -EINTR, .done = ALL, .ops = ops},
		{.request = PB_IOCTL_VM_BIND, .count = 4, .done = ALL, .ops = ops},
	};
	room_map_many(&room, 4);
	fake_expect(&room.fake, calls, 2);

	assert_int_equal(bind(), 0);

	fake_expect(&room.fake, NULL, 0);
	assert_many_mapped(4);
}

static void no_memory_for_the_array_means_nothing_ran(void **state)
{
	room_map_many(&room, 4);
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -ENOMEM, ALL)); /* and no inverse op */

	assert_int_equal(bind(), -ENOMEM);

	ASSERT_ERROR(&room, -ENOMEM, SUBMIT, 0);
	ASSERT_SHADOW(&room);
}

static void a_refused_op_leaves_those_before_it(void **state)
{
	room_map_many(&room, 5);
	FAKE_EXPECT(&room.fake, FAKE_BIND(5, -EINVAL, 3));

	assert_int_equal(bind(), -EINVAL);

	ASSERT_ERROR(&room, -EINVAL, SUBMIT, 3);
	assert_int_equal(room.error.va, 19 * PAGE);
	ASSERT_SHADOW(&room, {16, 1, 0}, {17, 1, 1}, {18, 1, 2});
}

static void an_op_that_failed_while_it_ran_is_put_back(void **state)
{
	/* given page 18 holds page 100 of the BO, and a map of 17 to 19 fails somewhere in the middle */
	static const struct pb_uapi_vm_bind_op inverse[] = {DRIVER_UNMAP(19, 1), DRIVER_MAP(18, 1, 100),
							    DRIVER_UNMAP(17, 1)};
	room_map_now(&room, 18, 1, 100);
	room_map(&room, 16, 0);
	panbind_batch_map(room.batch, 17 * PAGE, 3 * PAGE, room.bo, 0, 0, NULL);
	FAKE_EXPECT(&room.fake, FAKE_BIND(2, -ENOMEM, 1),
		    {.request = PB_IOCTL_VM_BIND, .count = 3, .done = ALL, .ops = inverse});

	assert_int_equal(bind(), -ENOMEM);

	/* then the op before it stays, and its own range is what it was */
	ASSERT_ERROR(&room, -ENOMEM, SUBMIT, 1);
	ASSERT_SHADOW(&room, {16, 1, 0}, {18, 1, 100});
	assert_null(panbind_vm_poison_reason(room.vm));
}

static void what_cannot_be_put_back_poisons(void **state)
{
	room_map_many(&room, 2);
	FAKE_EXPECT(&room.fake, FAKE_BIND(2, -ENOMEM, 1), FAKE_BIND(1, -EIO, 0));

	assert_int_equal(bind(), -ENOMEM);

	ASSERT_ERROR(&room, -ENOMEM, SUBMIT, 1);
	assert_string_equal(panbind_vm_poison_reason(room.vm), "the undo of op 1 failed at 0x11000+0x1000 with EIO");
	assert_int_equal(bind(), -EUCLEAN); /* and nothing more reaches the driver */
	ASSERT_ERROR(&room, -EUCLEAN, VALIDATE, PANBIND_NO_OP);
	assert_non_null(strstr(room.error.msg, "the undo of op 1 failed"));
}

static void a_vm_that_the_driver_gave_up_is_noticed(void **state)
{
	room_map_many(&room, 2);
	FAKE_EXPECT(&room.fake, FAKE_BIND(2, -EINVAL, 1));
	room.fake.vm_state = PB_VM_STATE_UNUSABLE;

	assert_int_equal(bind(), -EINVAL);

	assert_int_equal(bind(), -EUCLEAN);
	ASSERT_ERROR(&room, -EUCLEAN, VALIDATE, PANBIND_NO_OP);
}

static void a_count_beyond_what_was_sent_is_believed_in_nothing(void **state)
{
	static const struct pb_uapi_vm_bind_op inverse[] = {DRIVER_UNMAP(16, 1)};
	room_map_many(&room, 2);
	FAKE_EXPECT(&room.fake, FAKE_BIND(2, -EINVAL, 7),
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = inverse});

	assert_int_equal(bind(), -EINVAL);

	ASSERT_ERROR(&room, -EINVAL, SUBMIT, 0);
	ASSERT_SHADOW(&room);
}

static void eagain_without_progress_ends(void **state)
{
	enum { tries = 1001 };
	static struct fake_call calls[tries];
	for (int i = 0; i < tries; i++)
		calls[i] = (struct fake_call)FAKE_BIND(2, -EAGAIN, 0);
	room_map_many(&room, 2);
	fake_expect(&room.fake, calls, tries);

	assert_int_equal(bind(), -EAGAIN);

	ASSERT_ERROR(&room, -EAGAIN, SUBMIT, 0);
	ASSERT_SHADOW(&room);
}

static void a_huge_batch_is_several_calls(void **state)
{
	room_map_many(&room, 10000);
	FAKE_EXPECT(&room.fake, FAKE_BIND(4096, 0, ALL), FAKE_BIND(4096, 0, ALL), FAKE_BIND(1808, 0, ALL));

	assert_int_equal(bind(), 0);

	assert_many_mapped(10000);
}

static void an_error_in_a_later_call_names_the_op_of_the_batch(void **state)
{
	room_map_many(&room, 10000);
	FAKE_EXPECT(&room.fake, FAKE_BIND(4096, 0, ALL), FAKE_BIND(4096, -EINTR, 10), FAKE_BIND(4086, -EINVAL, 5));

	assert_int_equal(bind(), -EINVAL);

	ASSERT_ERROR(&room, -EINVAL, SUBMIT, 4111);
	assert_many_mapped(4111);
}

static void a_sparse_range_is_one_op_on_driver_1_9(void **state)
{
	static const struct pb_uapi_vm_bind_op op = {.flags = PB_OP_MAP | PB_OP_SPARSE | PB_OP_NOEXEC,
						     .va = 0x1ff000,
						     .size = 0x403000};
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &op});
	panbind_batch_map_sparse(room.batch, 0x1ff000, 0x403000, NULL);

	assert_int_equal(bind(), 0);

	ASSERT_SHADOW(&room, {0x1ff, 0x403, SPARSE});
}

static void a_huge_sparse_range_is_cut_every_32_gib(void **state)
{
	static const struct pb_uapi_vm_bind_op ops[] = {
		{.flags = PB_OP_MAP | PB_OP_SPARSE | PB_OP_NOEXEC, .va = 0x1000, .size = 0x7fffff000},
		{.flags = PB_OP_MAP | PB_OP_SPARSE | PB_OP_NOEXEC, .va = 0x800000000, .size = 0x800000000},
		{.flags = PB_OP_MAP | PB_OP_SPARSE | PB_OP_NOEXEC, .va = 0x1000000000, .size = 0x1000},
	};
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_BIND, .count = 3, .done = ALL, .ops = ops});
	panbind_batch_map_sparse(room.batch, 0x1000, 0x1000000000, NULL);

	assert_int_equal(bind(), 0);

	ASSERT_SHADOW(&room, {1, 0x1000000, SPARSE});
}

/** The dummy is the second BO of the room. */
#define DUMMY(va_, size_)                                                                                   \
	{                                                                                                   \
		.flags = PB_OP_MAP | PB_OP_NOEXEC, .bo_handle = 2, .bo_offset = (va_) % BLOCK, .va = (va_), \
		.size = (size_)                                                                             \
	}

static void below_1_9_a_dummy_fills_the_blocks(void **state)
{
	static const struct pb_uapi_vm_bind_op ops[] = {DRIVER_MAP(16, 1, 0),	   DUMMY(0x1ff000, 0x1000),
							DUMMY(0x200000, 0x200000), DUMMY(0x400000, 0x200000),
							DUMMY(0x600000, 0x2000),   DRIVER_UNMAP(16, 1)};
	FAKE_EXPECT(&room.fake, {.request = PB_IOCTL_VM_BIND, .count = 6, .done = ALL, .ops = ops});
	room_map(&room, 16, 0);
	panbind_batch_map_sparse(room.batch, 0x1ff000, 0x403000, NULL);
	panbind_batch_unmap(room.batch, 16 * PAGE, PAGE, NULL);

	assert_int_equal(bind(), 0);

	ASSERT_SHADOW(&room, {0x1ff, 0x403, SPARSE});
	assert_int_equal(fake_seen(&room.fake, PB_IOCTL_BO_CREATE), 2); /* one dummy, however many ranges */
}

static void below_1_9_half_a_sparse_range_is_taken_back(void **state)
{
	/* given a BO page inside, and a refusal at the third of four blocks */
	static const struct pb_uapi_vm_bind_op inverse[] = {DRIVER_UNMAP(0x202, 0x400), DRIVER_MAP(0x201, 1, 7),
							    DRIVER_UNMAP(0x1ff, 2)};
	room_map_now(&room, 0x201, 1, 7);
	room_map(&room, 16, 0);
	panbind_batch_map_sparse(room.batch, 0x1ff000, 0x403000, NULL);
	FAKE_EXPECT(&room.fake, FAKE_BIND(5, -EINVAL, 3),
		    {.request = PB_IOCTL_VM_BIND, .count = 3, .done = ALL, .ops = inverse});

	assert_int_equal(bind(), -EINVAL);

	/* then the error names the op of the batch, and that op did nothing */
	ASSERT_ERROR(&room, -EINVAL, SUBMIT, 1);
	ASSERT_SHADOW(&room, {16, 1, 0}, {0x201, 1, 7});
}

static void below_1_9_half_a_sparse_range_shows_when_it_cannot_be_taken_back(void **state)
{
	panbind_batch_map_sparse(room.batch, 0, 0x800000, NULL);
	FAKE_EXPECT(&room.fake, FAKE_BIND(4, -EINVAL, 2), FAKE_BIND(1, -EINVAL, 0));

	assert_int_equal(bind(), -EINVAL);

	ASSERT_SHADOW(&room, {0, 0x400, SPARSE});
	assert_non_null(panbind_vm_poison_reason(room.vm));
}

static void below_1_9_a_sparse_range_over_two_calls_is_done_once_it_is_done(void **state)
{
	panbind_batch_map_sparse(room.batch, 0, 5000 * BLOCK, NULL);
	room_map(&room, 16, 0);
	FAKE_EXPECT(&room.fake, FAKE_BIND(4096, 0, ALL), FAKE_BIND(905, -EINVAL, 904));

	assert_int_equal(bind(), -EINVAL); /* and no inverse op for the range that was half done for a while */

	ASSERT_ERROR(&room, -EINVAL, SUBMIT, 1);
	ASSERT_SHADOW(&room, {0, 5000 * BLOCK / PAGE, SPARSE});
}

static void what_no_bind_can_be_is_refused_before_the_driver(void **state)
{
	assert_int_equal(bind(), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, PANBIND_NO_OP);

	room_map(&room, 16, 0);
	assert_int_equal(panbind_vm_bind(room.vm, room.batch, 2, &room.error), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, PANBIND_NO_OP);

	assert_int_equal(panbind_vm_map(room.vm, 1ull << 47, PAGE, room.bo, 0, 0, &room.error), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, 0);
	assert_int_equal(panbind_vm_unmap(room.vm, PAGE, 0, &room.error), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, 0);
	assert_int_equal(fake_seen(&room.fake, PB_IOCTL_VM_BIND), 0);
}

#define TEST(name)	   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BELOW_9(name) cmocka_unit_test_setup_teardown(name, setup_without_sparse, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_map_goes_out_as_it_is),
		TEST(an_unmap_goes_out_without_anything_else),
		TEST(a_batch_is_one_call_in_order),
		TEST(an_interrupt_at_any_op_resumes_there),
		TEST(interrupts_in_a_row_lose_and_repeat_nothing),
		TEST(an_interrupt_before_the_first_op_is_not_all_done),
		TEST(no_memory_for_the_array_means_nothing_ran),
		TEST(a_refused_op_leaves_those_before_it),
		TEST(an_op_that_failed_while_it_ran_is_put_back),
		TEST(what_cannot_be_put_back_poisons),
		TEST(a_vm_that_the_driver_gave_up_is_noticed),
		TEST(a_count_beyond_what_was_sent_is_believed_in_nothing),
		TEST(eagain_without_progress_ends),
		TEST(a_huge_batch_is_several_calls),
		TEST(an_error_in_a_later_call_names_the_op_of_the_batch),
		TEST(a_sparse_range_is_one_op_on_driver_1_9),
		TEST(a_huge_sparse_range_is_cut_every_32_gib),
		TEST_BELOW_9(below_1_9_a_dummy_fills_the_blocks),
		TEST_BELOW_9(below_1_9_half_a_sparse_range_is_taken_back),
		TEST_BELOW_9(below_1_9_half_a_sparse_range_shows_when_it_cannot_be_taken_back),
		TEST_BELOW_9(below_1_9_a_sparse_range_over_two_calls_is_done_once_it_is_done),
		TEST(what_no_bind_can_be_is_refused_before_the_driver),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
