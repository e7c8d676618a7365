/* SPDX-License-Identifier: MIT */
/* Detached transactions: the VMs are free, the work can still be taken back, last first. Sparse ops in transactions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session_room.h"

static struct session_room *room;
static struct panbind_vm *vm;
static struct panbind_bo *bo;

static int setup(void **state)
{
	room = session_room_open("sim:");
	session_room_must(room,
			  "vm create a\nbo create x 1M\nmap a 0 4K x\nmap a 4K 4K x\nsparse reserve a 0x10000000 4M");
	vm = panbind_session_vm(room->session, "a");
	bo = panbind_session_bo(room->session, "x");
	return 0;
}

static int teardown(void **state)
{
	session_room_close(room);
	return 0;
}

/** A detached transaction that maps one page at @va from @offset. */
static struct panbind_txn *map_detached(uint64_t va, uint64_t offset)
{
	struct panbind_batch *batch;
	struct panbind_txn *txn;

	assert_int_equal(panbind_batch_create(&batch), 0);
	assert_int_equal(panbind_batch_map(batch, va, 4096, bo, offset, 0, NULL), 0);
	assert_int_equal(panbind_txn_begin(room->device, &txn), 0);
	assert_int_equal(panbind_txn_bind(txn, vm, batch, NULL, NULL), 0);
	panbind_txn_detach(txn);
	panbind_batch_destroy(batch);
	return txn;
}

static void assert_same(char *before)
{
	char *after = session_room_dump(room);

	assert_string_equal(after, before);
	free(before);
	free(after);
}

static void others_may_bind_meanwhile(void **state)
{
	struct panbind_txn *txn = map_detached(0, 0x10000);

	assert_int_equal(panbind_vm_unmap(vm, 0x100000, 4096, NULL), 0);
	panbind_txn_commit(txn);
	session_room_must(room, "assert mapped a 0 4K x+0x10000");
}

static void rolled_back_last_first_they_leave_nothing(void **state)
{
	char *before = session_room_dump(room);
	enum panbind_outcome outcome;
	struct panbind_txn *txns[3];

	for (int i = 0; i < 3; i++)
		txns[i] = map_detached(0x1000, 0x10000 + (uint64_t)i * 0x1000);
	for (int i = 2; i >= 0; i--) {
		assert_int_equal(panbind_txn_rollback(txns[i], &outcome, NULL), 0);
		assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	}
	assert_same(before);
}

static void sparse_ops_are_undone_with_their_regions(void **state)
{
	char *before = session_room_dump(room);
	enum panbind_outcome outcome;
	struct panbind_txn *txn;

	assert_int_equal(panbind_txn_begin(room->device, &txn), 0);
	assert_int_equal(panbind_txn_sparse_reserve(txn, vm, 0x20000000, 0x200000, &outcome, NULL), 0);
	assert_int_equal(panbind_txn_sparse_bind(txn, vm, 0x20000000, 0x1000, bo, 0, 0, NULL, NULL), 0);
	assert_int_equal(panbind_txn_sparse_unbind(txn, vm, 0x20000000, 0x1000, NULL, NULL), 0);
	assert_int_equal(panbind_txn_sparse_release(txn, vm, 0x10000000, 0x400000, NULL, NULL), 0);
	panbind_txn_detach(txn);
	session_room_must(room, "assert unmapped a 0x10000000 4M\nassert sparse a 0x20000000 2M");
	assert_int_equal(panbind_txn_rollback(txn, &outcome, NULL), 0);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_same(before);
}

static void refused_sparse_ops_change_nothing(void **state)
{
	char *before = session_room_dump(room);
	enum panbind_outcome outcome = PANBIND_OUTCOME_UNKNOWN;
	struct panbind_error error;
	struct panbind_txn *txn;

	assert_int_equal(panbind_txn_begin(room->device, &txn), 0);
	assert_int_equal(panbind_txn_sparse_reserve(txn, vm, 0x10200000, 0x400000, &outcome, &error), -EEXIST);
	assert_int_equal(error.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(panbind_txn_sparse_bind(txn, vm, 0, 0x1000, bo, 0, 0, NULL, &error), -ENOENT);
	assert_int_equal(panbind_txn_sparse_unbind(txn, vm, 0, 0x1000, NULL, &error), -ENOENT);
	assert_int_equal(panbind_txn_sparse_release(txn, vm, 0x10000000, 0x200000, NULL, &error), -ENOENT);
	panbind_txn_commit(txn);
	assert_same(before);
}

static void a_vm_poisoned_meanwhile_is_not_called_rolled_back(void **state)
{
	struct session_room *faulty =
		session_room_open("sim:minor=6,fault=VM_BIND#3:op=1:ENOMEM,fault=VM_BIND#4=ENOMEM");
	struct panbind_batch *batch;
	struct panbind_txn *first;
	enum panbind_outcome outcome;
	struct panbind_error error;

	session_room_close(room);
	room = faulty;
	session_room_must(room, "vm create a\nbo create x 1M\nmap a 0 16K x");
	vm = panbind_session_vm(room->session, "a");
	bo = panbind_session_bo(room->session, "x");
	first = map_detached(0, 0x10000);
	assert_int_equal(panbind_batch_create(&batch), 0);
	assert_int_equal(panbind_batch_map(batch, 0x100000, 4096, bo, 0, 0, NULL), 0);
	assert_int_equal(panbind_batch_map(batch, 0x200000, 4096, bo, 0, 0, NULL), 0);
	panbind_txn_run(vm, batch, NULL, NULL); /* fails, and so does its undo */
	panbind_batch_destroy(batch);
	if (!panbind_vm_poison_reason(vm)) {
		panbind_txn_commit(first);
		fail_msg("the fault plan poisoned nothing");
	}
	assert_int_equal(panbind_txn_rollback(first, &outcome, &error), -EUCLEAN);
	assert_int_equal(outcome, PANBIND_OUTCOME_UNKNOWN);
	assert_int_equal(error.stage, PANBIND_STAGE_ROLLBACK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(others_may_bind_meanwhile),
		TEST(rolled_back_last_first_they_leave_nothing),
		TEST(sparse_ops_are_undone_with_their_regions),
		TEST(refused_sparse_ops_change_nothing),
		TEST(a_vm_poisoned_meanwhile_is_not_called_rolled_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
