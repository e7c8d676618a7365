/* SPDX-License-Identifier: MIT */
/* Transactions in steps, over two VMs: who holds what, and what a rollback reaches. */
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
static struct panbind_vm *second; /* id 2 */
static struct panbind_txn *txn;
static struct panbind_batch *at_16, *at_17; /* one page each */
static enum panbind_outcome outcome;

static void fill(struct panbind_batch **batch, uint64_t at)
{
	assert_int_equal(panbind_batch_create(batch), 0);
	assert_int_equal(panbind_batch_map(*batch, at * PAGE, PAGE, room.bo, at * PAGE, 0, NULL), 0);
}

static int setup(void **state)
{
	room_open(&room, 9);
	assert_int_equal(panbind_vm_create(room.device, 0, &second, NULL), 0);
	fill(&at_16, 16);
	fill(&at_17, 17);
	assert_int_equal(panbind_txn_begin(room.device, &txn), 0);
	return 0;
}

static int teardown(void **state)
{
	panbind_batch_destroy(at_16);
	panbind_batch_destroy(at_17);
	panbind_vm_destroy(second);
	room_close(&room);
	return 0;
}

static int step(struct panbind_vm *vm, const struct panbind_batch *batch)
{
	return panbind_txn_bind(txn, vm, batch, &outcome, &room.error);
}

static void commit_keeps_what_was_done(void **state)
{
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL),
		    {.request = PB_IOCTL_VM_BIND, .vm_id = 2, .count = 1, .done = ALL});
	assert_int_equal(step(room.vm, at_16), 0);
	assert_int_equal(outcome, PANBIND_OUTCOME_APPLIED);
	assert_int_equal(step(second, at_17), 0);

	panbind_txn_commit(txn);

	ASSERT_SHADOW(&room, {16, 1, 16});
	assert_int_equal(panbind_vm_mapping_count(second), 1);
}

static void rollback_undoes_the_last_step_first(void **state)
{
	static const struct pb_uapi_vm_bind_op unmap_16 = DRIVER_UNMAP(16, 1), unmap_17 = DRIVER_UNMAP(17, 1);
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL),
		    {.request = PB_IOCTL_VM_BIND, .vm_id = 2, .count = 1, .done = ALL}, FAKE_BIND(1, 0, ALL),
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &unmap_17},
		    {.request = PB_IOCTL_VM_BIND, .vm_id = 2, .count = 1, .done = ALL, .ops = &unmap_16},
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &unmap_16});
	assert_int_equal(step(room.vm, at_16), 0);
	assert_int_equal(step(second, at_16), 0);
	assert_int_equal(step(room.vm, at_17), 0);

	assert_int_equal(panbind_txn_rollback(txn, &outcome, &room.error), 0);

	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	ASSERT_SHADOW(&room);
	assert_int_equal(panbind_vm_mapping_count(second), 0);
	assert_int_equal(room.vm->txn_notes, 0); /* the next transaction reserves memory for its own notes only */
}

static void a_failed_step_undoes_itself_and_the_rest_goes_on(void **state)
{
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL), FAKE_BIND(1, -EINVAL, 0), FAKE_BIND(1, 0, ALL));
	assert_int_equal(step(room.vm, at_16), 0);
	assert_int_equal(step(room.vm, at_17), -EINVAL);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	ASSERT_ERROR(&room, -EINVAL, SUBMIT, 0);
	assert_int_equal(step(room.vm, at_17), 0);

	panbind_txn_commit(txn);

	ASSERT_SHADOW(&room, {16, 1, 16}, {17, 1, 17});
}

static void others_are_refused_until_the_end(void **state)
{
	struct panbind_txn *other;
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL), FAKE_BIND(1, 0, ALL));
	assert_int_equal(step(room.vm, at_16), 0);
	assert_int_equal(panbind_txn_begin(room.device, &other), 0);

	assert_int_equal(panbind_vm_bind(room.vm, at_17, 0, &room.error), -EBUSY);
	ASSERT_ERROR(&room, -EBUSY, VALIDATE, PANBIND_NO_OP);
	assert_int_equal(panbind_txn_run(room.vm, at_17, &outcome, NULL), -EBUSY);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(panbind_txn_bind(other, room.vm, at_17, NULL, NULL), -EBUSY);
	panbind_txn_commit(other); /* which never got the VM, and does not let go of it */
	assert_int_equal(panbind_vm_bind(room.vm, at_17, 0, NULL), -EBUSY);

	panbind_txn_commit(txn);
	assert_int_equal(panbind_vm_bind(room.vm, at_17, 0, NULL), 0);
}

static void a_rollback_that_fails_on_one_vm_still_reaches_the_other(void **state)
{
	static const struct pb_uapi_vm_bind_op unmap_16 = DRIVER_UNMAP(16, 1);
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL),
		    {.request = PB_IOCTL_VM_BIND, .vm_id = 2, .count = 1, .done = ALL},
		    {.request = PB_IOCTL_VM_BIND, .vm_id = 2, .count = 1, .ret = -EINVAL, .done = 0},
		    {.request = PB_IOCTL_VM_BIND, .count = 1, .done = ALL, .ops = &unmap_16});
	assert_int_equal(step(room.vm, at_16), 0);
	assert_int_equal(step(second, at_17), 0);

	assert_int_equal(panbind_txn_rollback(txn, &outcome, &room.error), -EINVAL);

	assert_int_equal(outcome, PANBIND_OUTCOME_PARTIAL);
	ASSERT_ERROR(&room, -EINVAL, ROLLBACK, 0);
	ASSERT_SHADOW(&room);
	assert_null(panbind_vm_poison_reason(room.vm));
	assert_int_equal(panbind_vm_mapping_count(second), 1);
	assert_non_null(panbind_vm_poison_reason(second));
}

static void a_step_that_could_not_be_undone_marks_the_whole(void **state)
{
	FAKE_EXPECT(&room.fake, FAKE_BIND(1, 0, ALL), FAKE_BIND(1, -ENOMEM, 0), FAKE_BIND(1, -ENOMEM, 0));
	assert_int_equal(step(room.vm, at_16), 0);
	assert_int_equal(step(room.vm, at_17), -ENOMEM);
	assert_int_equal(outcome, PANBIND_OUTCOME_UNKNOWN);
	assert_int_equal(step(room.vm, at_17), -EUCLEAN);

	assert_int_equal(panbind_txn_rollback(txn, &outcome, &room.error), -ENOMEM);

	assert_int_equal(outcome, PANBIND_OUTCOME_UNKNOWN);
	ASSERT_ERROR(&room, -ENOMEM, ROLLBACK, 0);
}

static void a_vm_of_another_device_is_refused(void **state)
{
	static struct fake elsewhere;
	fake_start(&elsewhere, 9);
	struct panbind_device *device = fake_device(&elsewhere);
	struct panbind_vm *vm;
	assert_int_equal(panbind_vm_create(device, 0, &vm, NULL), 0);

	assert_int_equal(step(vm, at_16), -EINVAL);
	ASSERT_ERROR(&room, -EINVAL, VALIDATE, PANBIND_NO_OP);

	panbind_txn_commit(txn);
	panbind_vm_destroy(vm);
	panbind_device_unref(device);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(commit_keeps_what_was_done),
		TEST(rollback_undoes_the_last_step_first),
		TEST(a_failed_step_undoes_itself_and_the_rest_goes_on),
		TEST(others_are_refused_until_the_end),
		TEST(a_rollback_that_fails_on_one_vm_still_reaches_the_other),
		TEST(a_step_that_could_not_be_undone_marks_the_whole),
		TEST(a_vm_of_another_device_is_refused),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
