/* SPDX-License-Identifier: MIT */
/* Compaction: what it keeps, what it removes, its cap, its steps beside a busy log. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "log.h"
#include "log_fixture.h"

static void compact(struct log_fixture *f, uint64_t until)
{
	assert_int_equal(panbind_log_compact(f->log, until, NULL, NULL), 0);
}

static void fill(struct panbind_log *log)
{
	struct panbind_log_op ops[3];

	log_vm(log, "tex", 1);
	log_vm(log, "tmp", 1);
	log_bo(log, "pool", 1, 64);
	ops[0] = log_op_map("tex", 0x10, 8, "pool", 0);
	ops[1] = log_op_unmap("tex", 0x12, 2);
	ops[2] = log_op_map("tmp", 0x10, 8, "pool", 8);
	log_ops(log, ops, 3);
	ops[0] = log_op_sparse("tex", 0x11, 4);
	ops[0].type = PANBIND_LOG_SPARSE_RESERVE;
	log_ops(log, ops, 1);
}

static void the_state_stays_and_the_entries_go(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("tex", 0x13, 1, "pool", 40);

	fill(f->log);
	compact(f, 4);
	assert_int_equal(log_ask(f->log, "SELECT group_concat(seq) FROM entry"), 5);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM op"), 1);
	log_assert_picture(f->log, 4, "tex", "10-12=pool+0 14-18=pool+4");
	log_assert_picture(f->log, 5, "tex", "10-11=pool+0 11-15=sparse 15-18=pool+5");
	compact(f, UINT64_MAX);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 0);
	log_assert_picture(f->log, 5, "tex", "10-11=pool+0 11-15=sparse 15-18=pool+5");
	log_assert_picture(f->log, 5, "tmp", "10-18=pool+8");
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM snapshot_region"), 1);
	/* And it goes on from there. */
	log_ops(f->log, &op, 1);
	log_assert_picture(f->log, UINT64_MAX, "tex",
			   "10-11=pool+0 11-13=sparse 13-14=pool+28 14-15=sparse 15-18=pool+5");
	assert_int_equal(log_problems(f->log), 0);
}

static void what_is_dead_and_not_mapped_goes(void **state)
{
	struct log_fixture *f = *state;

	fill(f->log);
	log_bo(f->log, "idle", 1, 4);
	log_about(f->log, PANBIND_LOG_BO_DESTROY, "idle", 1);
	log_about(f->log, PANBIND_LOG_BO_DESTROY, "pool", 1);
	log_vm(f->log, "last", 1);
	compact(f, UINT64_MAX);
	/* The mapped one stays, though it has no name any more. */
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM object WHERE name = 'idle'"), 0);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM object WHERE name = 'pool'"), 1);
	log_assert_picture(f->log, UINT64_MAX, "tmp", "10-18=pool+8");
	log_about(f->log, PANBIND_LOG_VM_DESTROY, "tmp", 1);
	log_about(f->log, PANBIND_LOG_VM_DESTROY, "tex", 1);
	compact(f, UINT64_MAX);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM snapshot_mapping"), 0);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM snapshot_region"), 0);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM object"), 1); /* "last" */
	assert_int_equal(log_problems(f->log), 0);
}

/* More rows than one step of the sweep takes. */
static void a_large_dead_vm_goes_in_steps(void **state)
{
	struct log_fixture *f = *state;
	static struct panbind_log_op ops[5000];
	struct stat st;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	for (uint64_t i = 0; i < 5000; i++)
		ops[i] = log_op_map("tex", i * 2, 1, "pool", 0);
	log_ops(f->log, ops, 5000);
	compact(f, UINT64_MAX);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM snapshot_mapping"), 5000);
	log_about(f->log, PANBIND_LOG_VM_DESTROY, "tex", 1);
	log_about(f->log, PANBIND_LOG_BO_DESTROY, "pool", 1);
	log_vm(f->log, "last", 1);
	compact(f, UINT64_MAX);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM snapshot_mapping"), 0);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM object"), 1);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(stat(f->path, &st), 0);
	assert_true(st.st_size < 200 << 10); /* the pages went back to the file system */
}

static void many_dead_objects_go(void **state)
{
	struct log_fixture *f = *state;
	char name[20];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "bo%d", i % 7);
		log_bo(f->log, name, (uint64_t)i + 1, 1);
		if (i < 999)
			log_about(f->log, PANBIND_LOG_BO_DESTROY, name, (uint64_t)i + 1);
	}
	compact(f, UINT64_MAX);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM object"), 1);
	/* What is in memory agrees. */
	log_about(f->log, PANBIND_LOG_BO_DESTROY, name, 1000);
	log_bo(f->log, name, 1001, 1);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_transaction_id_outlives_its_entry(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START, .txn_id = "kept"};
	struct panbind_log_txn txn;

	log_entry(f->log, &entry);
	compact(f, UINT64_MAX);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(panbind_log_txn_lookup(f->log, "kept", &txn), 0);
	assert_int_equal(txn.seq, 1);
}

static void old_transaction_ids_are_forgotten(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_options options = {.txn_keep = 1000};
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};
	char id[20];

	log_fixture_reopen(f, 0, &options);
	for (int i = 0; i < 2500; i++) {
		snprintf(id, sizeof(id), "id%d", i * 7919 % 2500);
		entry.txn_id = id;
		assert_int_equal(panbind_log_append(f->log, &entry, PANBIND_LOG_DURABLE_WRITE, NULL, NULL, NULL, NULL),
				 0);
	}
	compact(f, 2200);
	/* Seqs 1201 to 2200 of the compacted ones, and those of the entries. */
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM txn"), 1300);
	assert_int_equal(log_ask(f->log, "SELECT min(seq) FROM txn"), 1201);
}

static void the_cap_keeps_the_file_small(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_options options = {.size_cap = 1 << 20};
	struct panbind_log_op op = log_op_map("tex", 0, 1, "pool", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);
	struct panbind_log_status status;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4096);
	log_fixture_reopen(f, 0, &options);
	entry.argv = "panbind map tex somewhere in a window of sixty-four pages";
	for (uint64_t i = 0; i < 40000; i++) {
		op.va = i * 7 % 64 * LOG_PAGE;
		op.bo_offset = i % 4096 * LOG_PAGE;
		assert_int_equal(panbind_log_append(f->log, &entry, PANBIND_LOG_DURABLE_WRITE, NULL, NULL, NULL, NULL),
				 0);
		if (i % 500 == 0)
			panbind_log_flush(f->log);
	}
	panbind_log_flush(f->log);
	panbind_log_get_status(f->log, &status);
	for (int i = 0; i < 5000 && status.bytes > 1 << 20; i++) { /* it may have some way to go yet */
		log_entry(f->log, &entry);
		panbind_log_get_status(f->log, &status);
	}
	assert_true(status.bytes <= 1 << 20);
	assert_true(status.state_seq > 0);
	assert_true(status.last_seq - status.first_seq > 500); /* not more than needed went */
	assert_int_equal(log_problems(f->log), 0);
}

/* Entries that are folded in part: every boundary between two ops is one between two steps. */
struct steps {
	struct log_fixture *f;
	int count, between;
};

static void look_after_step(void *data)
{
	struct steps *steps = data;
	struct pb_snapshot_place place = steps->f->log->place; /* this is the writer's thread */
	struct panbind_log_state *s = NULL;

	steps->count++;
	log_assert_picture(steps->f->log, 5, "tex", "10-11=pool+0 11-15=sparse 15-18=pool+5");
	log_assert_picture(steps->f->log, 5, "tmp", "10-18=pool+8");
	assert_int_equal(log_problems(steps->f->log), 0);
	if (!place.ops)
		return;
	steps->between++;
	assert_int_equal(panbind_log_state_create(steps->f->log, place.seq, (struct panbind_log_ref){0}, &s, NULL),
			 -ENODATA);
}

static void a_step_may_end_within_an_entry(void **state)
{
	struct log_fixture *f = *state;
	struct steps steps = {.f = f};

	fill(f->log);
	f->log->compactor.step_ops = 1;
	f->log->compactor.after_step = look_after_step;
	f->log->compactor.after_step_data = &steps;
	compact(f, UINT64_MAX);
	f->log->compactor.after_step = NULL;
	assert_true(steps.count >= 8);
	assert_int_equal(steps.between, 2);
}

/* Stopped within an entry, opened again, gone on. */
static void compaction_goes_on_after_a_stop(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_status status;

	fill(f->log);
	panbind_log_close(f->log);
	f->log = NULL;
	{
		/* What a step leaves behind after the first op of entry 4. */
		sqlite3 *db;

		assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
		assert_int_equal(
			sqlite3_exec(db,
				     "INSERT INTO snapshot_mapping SELECT vm, va, size, bo, bo_offset, flags, 4,"
				     " 0, 0, 0, NULL FROM op WHERE id = 4 << 24; DELETE FROM entry WHERE seq < 4;"
				     "UPDATE meta SET value = 3 WHERE key = 'snapshot_seq';"
				     "UPDATE meta SET value = 1 WHERE key = 'snapshot_ops';",
				     NULL, NULL, NULL),
			SQLITE_OK);
		sqlite3_close(db);
	}
	log_fixture_reopen(f, 0, NULL);
	panbind_log_get_status(f->log, &status);
	assert_int_equal(status.first_seq, 4);
	assert_int_equal(status.state_seq, 4);
	assert_int_equal(log_problems(f->log), 0);
	log_assert_picture(f->log, 4, "tex", "10-12=pool+0 14-18=pool+4");
	compact(f, UINT64_MAX);
	log_assert_picture(f->log, UINT64_MAX, "tex", "10-11=pool+0 11-15=sparse 15-18=pool+5");
}

static void note_done(void *data, uint64_t seq, int result)
{
	assert_int_equal(result, 0);
	__atomic_store_n((uint64_t *)data, seq, __ATOMIC_SEQ_CST);
}

static void clients_are_answered_while_it_runs(void **state)
{
	struct log_fixture *f = *state;
	static struct panbind_log_op ops[2000];
	const struct panbind_log_op one = log_op_unmap("tex", 1, 1);
	uint64_t done = 0, answered = 0;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	for (uint64_t i = 0; i < 2000; i++)
		ops[i] = log_op_map("tex", i * 3, 1, "pool", 0);
	log_ops(f->log, ops, 2000);
	log_about(f->log, PANBIND_LOG_BO_DESTROY, "pool", 1);
	f->log->compactor.step_ops = 50;
	assert_int_equal(panbind_log_compact(f->log, 3, note_done, &done), 0);
	while (!__atomic_load_n(&done, __ATOMIC_SEQ_CST)) {
		log_ops(f->log, &one, 1);
		answered++;
	}
	assert_int_equal(done, 3);
	assert_true(answered >= 20); /* at least as many as there were steps, or nearly */
	assert_int_equal(log_problems(f->log), 0);
}

static void note_result(void *data, uint64_t seq, int result)
{
	*(int *)data = result;
}

static void closing_does_not_wait_for_compaction(void **state)
{
	struct log_fixture *f = *state;
	static struct panbind_log_op ops[5000];
	int result = 1;

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 4);
	for (uint64_t i = 0; i < 5000; i++)
		ops[i] = log_op_map("tex", i * 3, 1, "pool", 0);
	log_ops(f->log, ops, 5000);
	f->log->compactor.step_ops = 1;
	assert_int_equal(panbind_log_compact(f->log, UINT64_MAX, note_result, &result), 0);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(result, -ECANCELED);
	assert_int_equal(log_problems(f->log), 0);
	assert_int_equal(panbind_log_compact(f->log, UINT64_MAX, NULL, NULL), 0);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM snapshot_mapping"), 5000);
}

static void jobs_that_come_while_one_runs_are_all_answered(void **state)
{
	struct log_fixture *f = *state;
	uint64_t done[20] = {0};

	fill(f->log);
	f->log->compactor.step_ops = 1;
	for (int i = 0; i < 20; i++) {
		log_vm(f->log, "more", (uint64_t)i + 1);
		log_about(f->log, PANBIND_LOG_VM_DESTROY, "more", (uint64_t)i + 1);
		assert_int_equal(panbind_log_compact(f->log, UINT64_MAX, note_done, &done[i]), 0);
	}
	compact(f, UINT64_MAX);
	for (uint64_t i = 0; i < 20; i++)
		assert_true(done[i] >= 5 + 2 * (i + 1));
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 0);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(the_state_stays_and_the_entries_go),
		LOG_TEST(what_is_dead_and_not_mapped_goes),
		LOG_TEST(a_large_dead_vm_goes_in_steps),
		LOG_TEST(many_dead_objects_go),
		LOG_TEST(a_transaction_id_outlives_its_entry),
		LOG_TEST(old_transaction_ids_are_forgotten),
		LOG_TEST(the_cap_keeps_the_file_small),
		LOG_TEST(a_step_may_end_within_an_entry),
		LOG_TEST(compaction_goes_on_after_a_stop),
		LOG_TEST(clients_are_answered_while_it_runs),
		LOG_TEST(closing_does_not_wait_for_compaction),
		LOG_TEST(jobs_that_come_while_one_runs_are_all_answered),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log compact", tests, NULL, NULL);
}
