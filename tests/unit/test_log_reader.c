/* SPDX-License-Identifier: MIT */
/* Reading: filters, following, what a reader cannot see any more, blame. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log_fixture.h"

#include <pthread.h>
#include <unistd.h>

/* 1 VM a, 2 VM b, 3 BO, 4 map a 0x10, 5 map b 0x10, 6 fail a 0x20, 7 unmap a 0x11 */
static void fill(struct panbind_log *log)
{
	struct panbind_log_op op;
	struct panbind_log_entry entry;

	log_vm(log, "a", 1);
	log_vm(log, "b", 1);
	log_bo(log, "pool", 1, 64);
	op = log_op_map("a", 0x10, 4, "pool", 0);
	log_ops(log, &op, 1);
	op = log_op_map("b", 0x10, 4, "pool", 0);
	entry = log_bind_entry(&op, 1);
	entry.uid = 0;
	entry.pid = 5;
	entry.txn_id = "five";
	log_entry(log, &entry);
	op = log_op_map("a", 0x20, 1, "pool", 0);
	entry = log_bind_entry(&op, 1);
	entry.result = -ENOSPC;
	entry.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	entry.stage = PANBIND_STAGE_SUBMIT;
	entry.failing_op = 0;
	log_entry(log, &entry);
	op = log_op_unmap("a", 0x11, 1);
	log_ops(log, &op, 1);
}

/* The seqs that pass, as digits. */
static void assert_seqs(struct panbind_log *log, struct panbind_log_filter filter, const char *wanted)
{
	struct panbind_log_reader *reader;
	const struct panbind_log_entry *entry;
	char seen[64] = "";
	int rc;

	assert_int_equal(panbind_log_reader_open(log, &filter, &reader, NULL), 0);
	while ((rc = panbind_log_read(reader, &entry)) == 1)
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%d", (int)entry->seq);
	assert_int_equal(rc, 0);
	panbind_log_reader_close(reader);
	assert_string_equal(seen, wanted);
}

static void filters_choose(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_ref a = {"a", 0}, b = {"b", 1}, b2 = {"b", 2};

	fill(f->log);
	assert_seqs(f->log, (struct panbind_log_filter){0}, "1234567");
	assert_seqs(f->log, (struct panbind_log_filter){.since_seq = 3, .until_seq = 5}, "345");
	assert_seqs(f->log, (struct panbind_log_filter){.vm = a}, "1467");
	assert_seqs(f->log, (struct panbind_log_filter){.vm = b}, "25");
	assert_seqs(f->log, (struct panbind_log_filter){.vm = b2}, "");
	assert_seqs(f->log, (struct panbind_log_filter){.va = 0x11 * LOG_PAGE, .size = LOG_PAGE}, "457");
	assert_seqs(f->log, (struct panbind_log_filter){.vm = a, .va = 0x11 * LOG_PAGE, .size = LOG_PAGE}, "47");
	assert_seqs(f->log, (struct panbind_log_filter){.va = 0x14 * LOG_PAGE, .size = 0xc * LOG_PAGE}, "");
	assert_seqs(f->log, (struct panbind_log_filter){.va = 0x14 * LOG_PAGE, .size = 0xc * LOG_PAGE + 1}, "6");
	assert_seqs(f->log, (struct panbind_log_filter){.va = 0, .size = UINT64_MAX}, "4567");
	assert_seqs(f->log, (struct panbind_log_filter){.status = PANBIND_LOG_OK}, "123457");
	assert_seqs(f->log, (struct panbind_log_filter){.status = PANBIND_LOG_FAILED}, "6");
	assert_seqs(f->log, (struct panbind_log_filter){.result = -ENOSPC}, "6");
	assert_seqs(f->log, (struct panbind_log_filter){.result = -EINVAL}, "");
	assert_seqs(f->log, (struct panbind_log_filter){.match_uid = 1, .uid = 0}, "5");
	assert_seqs(f->log, (struct panbind_log_filter){.match_uid = 1, .uid = 1000}, "123467");
	assert_seqs(f->log, (struct panbind_log_filter){.match_pid = 1, .pid = 5}, "5");
	assert_seqs(f->log, (struct panbind_log_filter){.txn_id = "five"}, "5");
	assert_seqs(f->log, (struct panbind_log_filter){.kinds = 1u << PANBIND_LOG_VM_CREATE}, "12");
	assert_seqs(f->log, (struct panbind_log_filter){.kinds = 1u << PANBIND_LOG_BIND, .vm = b}, "5");
}

static void times_choose(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};

	for (int i = 1; i <= 5; i++) {
		entry.time_ns = i * 100;
		log_entry(f->log, &entry);
	}
	assert_seqs(f->log, (struct panbind_log_filter){.since_ns = 200, .until_ns = 400}, "234");
	assert_seqs(f->log, (struct panbind_log_filter){.since_ns = 401}, "5");
}

static void a_reader_goes_on_after_the_end(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_reader *reader;
	const struct panbind_log_entry *entry;

	log_vm(f->log, "a", 1);
	assert_int_equal(panbind_log_reader_open(f->log, NULL, &reader, NULL), 0);
	assert_int_equal(panbind_log_read(reader, &entry), 1);
	assert_int_equal(panbind_log_read(reader, &entry), 0);
	assert_int_equal(panbind_log_wait(reader, 0), 0);
	assert_int_equal(panbind_log_read(reader, &entry), 0);
	log_vm(f->log, "new", 1); /* a name that it has to learn */
	assert_int_equal(panbind_log_wait(reader, -1), 1);
	assert_int_equal(panbind_log_read(reader, &entry), 1);
	assert_int_equal(entry->seq, 2);
	assert_string_equal(entry->object.ref.name, "new");
	panbind_log_reader_close(reader);
}

static void *append_later(void *data)
{
	usleep(30000);
	log_vm(data, "late", 1);
	return NULL;
}

static void waiting_is_ended_by_a_commit(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log *other;
	struct panbind_log_reader *here, *there;
	pthread_t thread;

	/* One reader beside the writer, one as another process has it. */
	assert_int_equal(panbind_log_open(f->path, PANBIND_LOG_READ_ONLY, NULL, &other, NULL), 0);
	assert_int_equal(panbind_log_reader_open(f->log, NULL, &here, NULL), 0);
	assert_int_equal(panbind_log_reader_open(other, NULL, &there, NULL), 0);
	pthread_create(&thread, NULL, append_later, f->log);
	assert_int_equal(panbind_log_wait(here, -1), 1);
	assert_int_equal(panbind_log_wait(there, -1), 1);
	pthread_join(thread, NULL);
	panbind_log_reader_close(here);
	panbind_log_reader_close(there);
	panbind_log_close(other);
}

static void what_is_compacted_is_counted_as_lost(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_reader *reader;
	const struct panbind_log_entry *entry;

	fill(f->log);
	assert_int_equal(panbind_log_reader_open(f->log, &(struct panbind_log_filter){.since_seq = 3}, &reader, NULL),
			 0);
	assert_int_equal(panbind_log_read(reader, &entry), 1);
	assert_int_equal(entry->seq, 3);
	/* It stands in its own moment of the log ... */
	panbind_log_compact(f->log, 5, NULL, NULL);
	assert_int_equal(panbind_log_read(reader, &entry), 1);
	assert_int_equal(entry->seq, 4);
	assert_int_equal(panbind_log_reader_lost(reader), 0);
	panbind_log_reader_close(reader);
	/* ... a new one comes too late. */
	assert_int_equal(panbind_log_reader_open(f->log, &(struct panbind_log_filter){.since_seq = 3}, &reader, NULL),
			 0);
	assert_int_equal(panbind_log_read(reader, &entry), 1);
	assert_int_equal(entry->seq, 6);
	assert_int_equal(panbind_log_reader_lost(reader), 3);
	panbind_log_reader_close(reader);
}

static void blame_names_the_last_op_that_was_applied(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_ref a = {"a", 0};
	struct panbind_log_reader *reader;
	struct panbind_log_blame blame;
	struct panbind_error error;

	fill(f->log);
	assert_int_equal(panbind_log_reader_open(f->log, NULL, &reader, NULL), 0);
	assert_int_equal(panbind_log_blame(reader, a, 0x10 * LOG_PAGE + 5, &blame, NULL), 0);
	assert_int_equal(blame.seq, 4);
	assert_int_equal(blame.op, 0);
	assert_int_equal(blame.uid, 1000);
	assert_int_equal(blame.compacted, 0);
	assert_string_equal(blame.entry->ops[blame.op].bo.name, "pool");
	/* An unmap is an answer too; a failed map is not. */
	assert_int_equal(panbind_log_blame(reader, a, 0x11 * LOG_PAGE, &blame, NULL), 0);
	assert_int_equal(blame.seq, 7);
	assert_int_equal(panbind_log_blame(reader, a, 0x20 * LOG_PAGE, &blame, &error), -ENOENT);
	assert_int_equal(panbind_log_blame(reader, (struct panbind_log_ref){"nobody", 0}, 0, &blame, &error), -ENOENT);
	panbind_log_reader_close(reader);
}

static void blame_remembers_who_after_compaction(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_reader *reader;
	struct panbind_log_blame blame;

	fill(f->log);
	panbind_log_compact(f->log, UINT64_MAX, NULL, NULL);
	assert_int_equal(panbind_log_reader_open(f->log, NULL, &reader, NULL), 0);
	assert_int_equal(panbind_log_blame(reader, (struct panbind_log_ref){"b", 0}, 0x12 * LOG_PAGE, &blame, NULL), 0);
	assert_int_equal(blame.seq, 5);
	assert_int_equal(blame.pid, 5);
	assert_int_equal(blame.uid, 0);
	assert_int_equal(blame.compacted, 1);
	assert_null(blame.entry);
	assert_int_equal(panbind_log_blame(reader, (struct panbind_log_ref){"a", 0}, 0x11 * LOG_PAGE, &blame, NULL),
			 -ENOENT);
	panbind_log_reader_close(reader);
}

static uint64_t map_as(struct panbind_log *log, const char *argv, uint64_t va, uint64_t pages)
{
	const struct panbind_log_op op = log_op_map("a", va, pages, "pool", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);

	entry.argv = argv;
	return log_entry(log, &entry);
}

static void assert_blamed(struct log_fixture *f, uint64_t va, uint64_t seq, const char *argv)
{
	struct panbind_log_reader *reader;
	struct panbind_log_blame blame;

	assert_int_equal(panbind_log_reader_open(f->log, NULL, &reader, NULL), 0);
	assert_int_equal(panbind_log_blame(reader, (struct panbind_log_ref){"a", 0}, va * LOG_PAGE, &blame, NULL), 0);
	assert_int_equal(blame.seq, seq);
	if (argv)
		assert_string_equal(blame.argv, argv);
	else
		assert_null(blame.argv);
	panbind_log_reader_close(reader);
}

static void blame_remembers_argv_as_long_as_it_is_to_blame(void **state)
{
	struct log_fixture *f = *state;

	/* Given mappings of two programs, and of one that is not known, before and after compaction */
	log_vm(f->log, "a", 1);
	log_bo(f->log, "pool", 1, 64);
	map_as(f->log, "game --fast", 0x10, 8); /* 3 */
	map_as(f->log, "game --fast", 0x20, 8);
	map_as(f->log, "editor", 0x30, 8);
	map_as(f->log, NULL, 0x40, 8);
	for (int compacted = 0; compacted < 2; compacted++) {
		assert_blamed(f, 0x12, 3, "game --fast");
		assert_blamed(f, 0x22, 4, "game --fast");
		assert_blamed(f, 0x32, 5, "editor");
		assert_blamed(f, 0x42, 6, NULL);
		panbind_log_compact(f->log, UINT64_MAX, NULL, NULL);
	}
	assert_int_equal(log_ask(f->log, "SELECT mappings FROM argv WHERE text = 'game --fast'"), 2);
	/* when one of them is cut in two by another, replaced, and unmapped, */
	map_as(f->log, "debugger", 0x12, 1); /* 7 */
	map_as(f->log, "debugger", 0x30, 8);
	map_as(f->log, NULL, 0x20, 8);
	panbind_log_compact(f->log, UINT64_MAX, NULL, NULL);
	/* then each piece knows who bound it, and nothing is kept of who bound none. */
	assert_blamed(f, 0x11, 3, "game --fast");
	assert_blamed(f, 0x12, 7, "debugger");
	assert_blamed(f, 0x13, 3, "game --fast");
	assert_blamed(f, 0x22, 9, NULL);
	assert_blamed(f, 0x32, 8, "debugger");
	assert_int_equal(log_ask(f->log, "SELECT mappings FROM argv WHERE text = 'game --fast'"), 2);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM argv"), 2);
	assert_int_equal(log_problems(f->log), 0);
	log_about(f->log, PANBIND_LOG_VM_DESTROY, "a", 1);
	panbind_log_compact(f->log, UINT64_MAX, NULL, NULL);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM argv"), 0);
	assert_int_equal(log_problems(f->log), 0);
}

/* Reading while it is written: every reader sees a prefix without gaps. */
struct reading {
	struct panbind_log *log;
	uint64_t until;
};

static void *read_along(void *data)
{
	const struct reading *reading = data;
	struct panbind_log_reader *reader;
	const struct panbind_log_entry *entry;
	uint64_t seen = 0;
	int rc;

	assert_int_equal(panbind_log_reader_open(reading->log, NULL, &reader, NULL), 0);
	while (seen < reading->until) {
		while ((rc = panbind_log_read(reader, &entry)) == 1) {
			assert_int_equal(entry->seq, seen + 1);
			assert_int_equal(entry->latency_ns, entry->seq);
			seen = entry->seq;
		}
		assert_int_equal(rc, 0);
		if (seen < reading->until)
			assert_int_equal(panbind_log_wait(reader, -1), 1);
	}
	panbind_log_reader_close(reader);
	return NULL;
}

static void readers_follow_a_busy_writer(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};
	struct panbind_log *other;
	struct reading readings[3];
	pthread_t threads[3];

	assert_int_equal(panbind_log_open(f->path, PANBIND_LOG_READ_ONLY, NULL, &other, NULL), 0);
	for (int i = 0; i < 3; i++) {
		readings[i] = (struct reading){i ? f->log : other, 3000};
		pthread_create(&threads[i], NULL, read_along, &readings[i]);
	}
	for (uint64_t i = 1; i <= 3000; i++) {
		entry.latency_ns = i;
		assert_int_equal(panbind_log_append(f->log, &entry, (enum panbind_log_durability)(i % 3), NULL, NULL,
						    NULL, NULL),
				 0);
		if (i % 100 == 0)
			panbind_log_flush(f->log);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	panbind_log_close(other);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(filters_choose),
		LOG_TEST(times_choose),
		LOG_TEST(a_reader_goes_on_after_the_end),
		LOG_TEST(waiting_is_ended_by_a_commit),
		LOG_TEST(what_is_compacted_is_counted_as_lost),
		LOG_TEST(blame_remembers_argv_as_long_as_it_is_to_blame),
		LOG_TEST(blame_names_the_last_op_that_was_applied),
		LOG_TEST(blame_remembers_who_after_compaction),
		LOG_TEST(readers_follow_a_busy_writer),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log reader", tests, NULL, NULL);
}
