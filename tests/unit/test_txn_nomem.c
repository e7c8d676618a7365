/* SPDX-License-Identifier: MIT */
/* When memory runs out at any moment of a transaction, it is still all or nothing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bind_room.h"
#include "failing_malloc.h"
#include "seed.h"

static struct room room;
static uint64_t ops_seen, fail_at;
static bool memory_gone; /* from the failing op on */

/** A driver that runs out of memory in the middle of the op number @fail_at, and does all others. */
static int fail_once(struct fake *fake, struct pb_uapi_vm_bind *bind)
{
	if (fail_at < ops_seen || fail_at - ops_seen >= bind->ops.count) {
		ops_seen += bind->ops.count;
		return 0;
	}
	bind->ops.count = fail_at - ops_seen;
	ops_seen = fail_at + 1;
	if (memory_gone)
		failing_malloc_after(0);
	return -ENOMEM;
}

/** Random maps and unmaps in a space of 1024 pages: they cut, cover and repeat each other. */
static void fill_batch(struct test_random *random, size_t count)
{
	panbind_batch_clear(room.batch);
	for (size_t i = 0; i < count; i++) {
		uint64_t at = test_random_below(random, 1000), pages = 1 + test_random_below(random, 24);
		if (test_random_below(random, 3) == 0)
			assert_int_equal(panbind_batch_unmap(room.batch, at * PAGE, pages * PAGE, NULL), 0);
		else
			assert_int_equal(panbind_batch_map(room.batch, at * PAGE, pages * PAGE, room.bo,
							   test_random_below(random, 8192) * PAGE, 0, NULL),
					 0);
	}
}

/** What backs each page: BO offset + 1, or 0. */
static void read_pages(uint64_t pages[1024])
{
	struct panbind_mapping m = {0};
	for (uint64_t i = 0; i < 1024; i++)
		pages[i] = 0;
	while (panbind_vm_next_mapping(room.vm, m.va + m.size, &m) == 0) {
		for (uint64_t offset = 0; offset < m.size; offset += PAGE)
			pages[(m.va + offset) / PAGE] = m.bo_offset + offset + 1;
	}
}

static void fill_vm(struct test_random *random)
{
	fail_at = UINT64_MAX;
	fill_batch(random, 200);
	assert_int_equal(panbind_vm_bind(room.vm, room.batch, 0, NULL), 0);
}

static int setup(void **state)
{
	room_open(&room, 9);
	room.fake.on_bind = fail_once;
	return 0;
}

static int teardown(void **state)
{
	room_close(&room);
	return 0;
}

static void an_undo_needs_no_memory(void **state)
{
	static uint64_t before[1024], after[1024];
	struct test_random random = test_random_start("an undo needs no memory");
	fill_vm(&random);
	size_t rounds = test_rounds(60, 2000);
	for (size_t i = 0; i < rounds; i++) {
		enum panbind_outcome outcome;
		size_t count = 1 + test_random_below(&random, i % 8 == 0 ? 6000 : 300);
		fill_batch(&random, count);
		read_pages(before);
		ops_seen = 0;
		fail_at = test_random_below(&random, count);
		memory_gone = true;

		int ret = panbind_txn_run(room.vm, room.batch, &outcome, &room.error);

		failing_malloc_after(SIZE_MAX);
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
		ASSERT_ERROR(&room, -ENOMEM, SUBMIT, fail_at);
		read_pages(after);
		assert_memory_equal(before, after, sizeof(before));
		assert_int_equal(pb_vamap_check(room.vm->map), 0);
		fill_vm(&random);
	}
}

static void a_rollback_in_steps_needs_no_memory(void **state)
{
	static uint64_t before[1024], after[1024];
	struct test_random random = test_random_start("a rollback in steps needs no memory");
	fill_vm(&random);
	for (size_t round = 0; round < test_rounds(20, 500); round++) {
		struct panbind_txn *txn;
		enum panbind_outcome outcome;
		read_pages(before);
		assert_int_equal(panbind_txn_begin(room.device, &txn), 0);
		for (size_t i = 0; i < 20; i++) {
			fill_batch(&random, 1 + test_random_below(&random, 100));
			assert_int_equal(panbind_txn_bind(txn, room.vm, room.batch, &outcome, NULL), 0);
		}
		failing_malloc_after(0);

		int ret = panbind_txn_rollback(txn, &outcome, NULL);

		failing_malloc_after(SIZE_MAX);
		assert_int_equal(ret, 0);
		assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
		read_pages(after);
		assert_memory_equal(before, after, sizeof(before));
		fill_vm(&random);
	}
}

/** Each op is covered by a later one of the same call: what is displaced is not there yet when the call begins. */
static void an_undo_of_ops_that_cover_each_other_needs_no_memory(void **state)
{
	enum { small = 300, rounds = 5 };
	enum panbind_outcome outcome;
	for (uint64_t round = 0; round < rounds; round++) {
		for (uint64_t i = 0; i < small; i++)
			room_map(&room, 16 + 2 * i, i);
		panbind_batch_map(room.batch, 16 * PAGE, 2 * small * PAGE, room.bo, round * PAGE, 0, NULL);
	}
	ops_seen = 0;
	fail_at = panbind_batch_count(room.batch) - 1;
	memory_gone = true;

	assert_int_equal(panbind_txn_run(room.vm, room.batch, &outcome, &room.error), -ENOMEM);

	failing_malloc_after(SIZE_MAX);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	ASSERT_SHADOW(&room);
}

/** Every other page of a range that ends where room_map_many() never begins. */
static void scatter(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		room_map(&room, 100000 + 2 * i, i % 1000);
	fail_at = UINT64_MAX;
	assert_int_equal(panbind_vm_bind(room.vm, room.batch, 0, NULL), 0);
	panbind_batch_clear(room.batch);
}

static void what_was_unmapped_long_ago_comes_back_without_memory(void **state)
{
	enum { scattered = 20000 };
	enum panbind_outcome outcome;
	/* given that much is unmapped, and that a later call of the same transaction made do with little memory */
	scatter(scattered);
	panbind_batch_unmap(room.batch, 100000 * PAGE, 2 * scattered * PAGE, NULL);
	room_map_many(&room, 5000);
	ops_seen = 0;
	fail_at = 5000;
	memory_gone = true;

	assert_int_equal(panbind_txn_run(room.vm, room.batch, &outcome, &room.error), -ENOMEM);

	failing_malloc_after(SIZE_MAX);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(panbind_vm_mapping_count(room.vm), scattered);
}

static void what_an_earlier_step_unmapped_comes_back_without_memory(void **state)
{
	enum { scattered = 20000 };
	enum panbind_outcome outcome;
	struct panbind_txn *txn;
	scatter(scattered);
	assert_int_equal(panbind_txn_begin(room.device, &txn), 0);
	panbind_batch_unmap(room.batch, 100000 * PAGE, 2 * scattered * PAGE, NULL);
	assert_int_equal(panbind_txn_bind(txn, room.vm, room.batch, NULL, NULL), 0);
	for (uint64_t i = 0; i < 10; i++) {
		panbind_batch_clear(room.batch);
		room_map(&room, 16 + i, i);
		assert_int_equal(panbind_txn_bind(txn, room.vm, room.batch, NULL, NULL), 0);
	}
	failing_malloc_after(0);

	int ret = panbind_txn_rollback(txn, &outcome, NULL);

	failing_malloc_after(SIZE_MAX);
	assert_int_equal(ret, 0);
	assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(panbind_vm_mapping_count(room.vm), scattered);
}

static void memory_that_ends_earlier_changes_nothing(void **state)
{
	static uint64_t before[1024], after[1024];
	struct test_random random = test_random_start("memory that ends earlier changes nothing");
	fill_vm(&random);
	fill_batch(&random, 5000);
	read_pages(before);
	size_t refused = 0;
	for (size_t good = 0;; good += 1 + good / 16) {
		enum panbind_outcome outcome;
		ops_seen = 0;
		fail_at = 4999; /* so that each round ends where it began */
		memory_gone = false;
		failing_malloc_after(good);
		int ret = panbind_txn_run(room.vm, room.batch, &outcome, &room.error);
		failing_malloc_after(SIZE_MAX);

		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(outcome, PANBIND_OUTCOME_ROLLED_BACK);
		read_pages(after);
		assert_memory_equal(before, after, sizeof(before));
		if (room.error.stage == PANBIND_STAGE_SUBMIT)
			break; /* there was enough of it */
		refused++;
	}
	assert_true(refused > 3);
}

/** Without a transaction there are calls of 4096 ops, and memory may end between two of them. */
static void a_plain_bind_says_how_far_it_came(void **state)
{
	size_t stopped[3] = {0}; /* before the first, second, third call */
	room_map_many(&room, 10000);
	for (size_t good = 0;; good += 1 + good / 16) {
		fail_at = UINT64_MAX;
		failing_malloc_after(good);
		int ret = panbind_vm_bind(room.vm, room.batch, 0, &room.error);
		failing_malloc_after(SIZE_MAX);
		if (ret == 0)
			break;

		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(room.error.stage, room.error.op ? PANBIND_STAGE_SUBMIT : PANBIND_STAGE_VALIDATE);
		assert_int_equal(panbind_vm_mapping_count(room.vm), room.error.op);
		stopped[room.error.op / 4096]++;
		panbind_vm_destroy(room.vm);
		assert_int_equal(panbind_vm_create(room.device, 0, &room.vm, NULL), 0);
	}
	assert_int_equal(panbind_vm_mapping_count(room.vm), 10000);
	assert_true(stopped[0] > 0 && stopped[1] > 0); /* the memory of these two is enough for the third */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_undo_needs_no_memory),
		TEST(a_rollback_in_steps_needs_no_memory),
		TEST(an_undo_of_ops_that_cover_each_other_needs_no_memory),
		TEST(what_was_unmapped_long_ago_comes_back_without_memory),
		TEST(what_an_earlier_step_unmapped_comes_back_without_memory),
		TEST(memory_that_ends_earlier_changes_nothing),
		TEST(a_plain_bind_says_how_far_it_came),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
