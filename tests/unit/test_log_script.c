/* SPDX-License-Identifier: MIT */
/* Scripts in the log: several entries under one transaction id, between one that claims it and one that ends it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "log_fixture.h"

static const struct panbind_log_op op = {.type = PANBIND_LOG_UNMAP, .vm.name = "tex", .va = 0x1000, .size = 0x1000};

static struct panbind_log_entry edge(enum panbind_log_kind kind)
{
	return (struct panbind_log_entry){.kind = kind, .txn_id = "s", .digest = "d1ge57", .failing_op = PANBIND_NO_OP};
}

static struct panbind_log_entry part(uint32_t flags)
{
	struct panbind_log_entry entry = log_bind_entry(&op, 1);

	entry.txn_id = "s";
	entry.flags = PANBIND_LOG_PART | flags;
	return entry;
}

static struct panbind_log_entry failed(struct panbind_log_entry entry, enum panbind_outcome outcome)
{
	entry.result = -EINVAL;
	entry.outcome = outcome;
	entry.stage = PANBIND_STAGE_VALIDATE;
	entry.failing_op = 0;
	entry.line = 7;
	entry.message = "script:7: no";
	return entry;
}

static uint64_t append(struct panbind_log *log, struct panbind_log_entry entry)
{
	return log_entry(log, &entry);
}

static int refused(struct panbind_log *log, struct panbind_log_entry entry)
{
	return panbind_log_append(log, &entry, PANBIND_LOG_DURABLE_SYNC, NULL, NULL, NULL, NULL);
}

/** VM, begin, a transaction of one entry, one of two: entries 1 to 5. */
static void begin(struct panbind_log *log)
{
	log_vm(log, "tex", 1);
	assert_int_equal(append(log, edge(PANBIND_LOG_SCRIPT_BEGIN)), 2);
	append(log, part(0));
	append(log, part(PANBIND_LOG_MORE));
	assert_int_equal(append(log, part(0)), 5);
}

static struct panbind_log_txn found(struct panbind_log *log)
{
	struct panbind_log_txn txn;

	assert_int_equal(panbind_log_txn_lookup(log, "s", &txn), 0);
	assert_true(txn.script);
	assert_string_equal(txn.digest, "d1ge57");
	return txn;
}

static void assert_interrupted(struct panbind_log *log)
{
	struct panbind_log_txn txn = found(log);

	assert_true(txn.open);
	assert_int_equal(txn.pending, 0);
	assert_int_equal(txn.result, -EINTR);
	assert_int_equal(txn.outcome, PANBIND_OUTCOME_PARTIAL);
	assert_int_equal(txn.seq, 5);
	assert_int_equal(txn.begun_seq, 2);
	assert_int_equal(txn.transactions, 2);
	assert_int_equal(txn.kept_first, 3);
	assert_int_equal(txn.kept_last, 5);
	assert_non_null(strstr(txn.message, "interrupted"));
}

static void a_script_without_an_end_was_interrupted(void **state)
{
	struct log_fixture *f = *state;

	begin(f->log);
	for (int reopened = 0; reopened < 2; reopened++) {
		assert_interrupted(f->log);
		assert_int_equal(refused(f->log, edge(PANBIND_LOG_SCRIPT_BEGIN)), -EEXIST);
		assert_int_equal(log_problems(f->log), 0);
		log_fixture_reopen(f, 0, NULL);
	}
}

static void one_that_did_nothing_yet_says_so(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_txn txn;

	append(f->log, edge(PANBIND_LOG_SCRIPT_BEGIN));
	txn = found(f->log);
	assert_true(txn.open);
	assert_int_equal(txn.outcome, PANBIND_OUTCOME_ROLLED_BACK);
	assert_int_equal(txn.transactions, 0);
	assert_int_equal(txn.kept_first, 0);
	assert_int_equal(log_problems(f->log), 0);
}

static void the_end_says_what_became_of_it(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_txn txn;

	begin(f->log);
	append(f->log, edge(PANBIND_LOG_SCRIPT_END));
	log_fixture_reopen(f, 0, NULL);
	txn = found(f->log);
	assert_false(txn.open);
	assert_int_equal(txn.result, 0);
	assert_int_equal(txn.outcome, PANBIND_OUTCOME_APPLIED);
	assert_int_equal(txn.seq, 6);
	assert_int_equal(txn.transactions, 2);
	assert_int_equal(txn.kept_first, 3);
	assert_int_equal(txn.kept_last, 5);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_failed_end_says_why_and_where(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_txn txn;

	begin(f->log);
	append(f->log, failed(part(0), PANBIND_OUTCOME_ROLLED_BACK));
	assert_int_equal(found(f->log).transactions, 2); /* it does not count */
	assert_int_equal(found(f->log).kept_last, 5);
	append(f->log, failed(edge(PANBIND_LOG_SCRIPT_END), PANBIND_OUTCOME_PARTIAL));
	log_fixture_reopen(f, 0, NULL);
	txn = found(f->log);
	assert_int_equal(txn.result, -EINVAL);
	assert_int_equal(txn.outcome, PANBIND_OUTCOME_PARTIAL);
	assert_int_equal(txn.stage, PANBIND_STAGE_VALIDATE);
	assert_int_equal(txn.failing_op, 0);
	assert_int_equal(txn.line, 7);
	assert_int_equal(txn.kept_last, 5);
	assert_int_equal(log_ask(f->log, "SELECT line FROM log WHERE seq = 7"), 7);
	assert_int_equal(log_problems(f->log), 0);
}

static void what_is_unknown_stays_unknown(void **state)
{
	struct log_fixture *f = *state;

	begin(f->log);
	append(f->log, failed(part(0), PANBIND_OUTCOME_UNKNOWN));
	assert_int_equal(found(f->log).outcome, PANBIND_OUTCOME_UNKNOWN);
}

static void what_is_queued_is_known_at_once(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_txn txn;

	log_vm(f->log, "tex", 1);
	/* Appended as one whole, so that nothing of it is committed until its end. */
	panbind_log_join(f->log);
	assert_int_equal(refused(f->log, edge(PANBIND_LOG_SCRIPT_BEGIN)), 0);
	txn = found(f->log);
	assert_true(txn.pending && txn.open);
	assert_int_equal(refused(f->log, part(0)), 0);
	assert_int_equal(refused(f->log, edge(PANBIND_LOG_SCRIPT_BEGIN)), -EEXIST);
	assert_int_equal(refused(f->log, edge(PANBIND_LOG_SCRIPT_END)), 0);
	txn = found(f->log);
	assert_true(txn.pending && !txn.open);
	assert_int_equal(refused(f->log, part(0)), -ENOENT);
	assert_int_equal(panbind_log_join_end(f->log, 1), 0);
	panbind_log_flush(f->log);
	assert_int_equal(found(f->log).transactions, 1);
	assert_int_equal(found(f->log).pending, 0);
}

/* What is taken back of a joined script leaves its id free. */
static void a_script_that_was_taken_back_has_not_begun(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_txn txn;

	log_vm(f->log, "tex", 1);
	panbind_log_join(f->log);
	assert_int_equal(refused(f->log, edge(PANBIND_LOG_SCRIPT_BEGIN)), 0);
	assert_int_equal(refused(f->log, part(0)), 0);
	panbind_log_join_end(f->log, 0);
	assert_int_equal(panbind_log_txn_lookup(f->log, "s", &txn), -ENOENT);
	assert_int_equal(append(f->log, edge(PANBIND_LOG_SCRIPT_BEGIN)), 2);
}

static void parts_belong_to_a_script_under_way(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START, .txn_id = "s"};

	log_vm(f->log, "tex", 1);
	assert_int_equal(refused(f->log, part(0)), -ENOENT);
	assert_int_equal(refused(f->log, edge(PANBIND_LOG_SCRIPT_END)), -ENOENT);
	log_entry(f->log, &entry); /* an entry alone has the id: it is no script */
	assert_int_equal(refused(f->log, part(0)), -ENOENT);
	assert_int_equal(refused(f->log, edge(PANBIND_LOG_SCRIPT_BEGIN)), -EEXIST);
}

static void senseless_parts_are_refused(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = part(0);

	begin(f->log);
	entry.txn_id = NULL;
	assert_int_equal(refused(f->log, entry), -EINVAL);
	entry = part(0);
	entry.flags = PANBIND_LOG_MORE;
	assert_int_equal(refused(f->log, entry), -EINVAL);
	entry = edge(PANBIND_LOG_SCRIPT_END);
	entry.flags = PANBIND_LOG_PART;
	assert_int_equal(refused(f->log, entry), -EINVAL);
	assert_int_equal(refused(f->log, failed(edge(PANBIND_LOG_SCRIPT_BEGIN), PANBIND_OUTCOME_ROLLED_BACK)), -EINVAL);
	entry = edge(PANBIND_LOG_SCRIPT_BEGIN);
	entry.txn_id = NULL;
	assert_int_equal(refused(f->log, entry), -EINVAL);
	assert_interrupted(f->log);
}

/* Also one whose beginning is compacted while it is still under way. */
static void compaction_forgets_nothing_of_it(void **state)
{
	for (uint64_t until = 1; until <= 6; until++) {
		struct log_fixture *f;

		log_fixture_setup((void **)&f);
		begin(f->log);
		assert_int_equal(panbind_log_compact(f->log, until, NULL, NULL), 0);
		assert_interrupted(f->log);
		append(f->log, part(0));
		append(f->log, edge(PANBIND_LOG_SCRIPT_END));
		assert_int_equal(panbind_log_compact(f->log, until, NULL, NULL), 0);
		log_fixture_reopen(f, 0, NULL);
		assert_int_equal(found(f->log).transactions, 3);
		assert_int_equal(found(f->log).kept_first, 3);
		assert_int_equal(found(f->log).kept_last, 6);
		assert_int_equal(log_problems(f->log), 0);
		log_fixture_teardown((void **)&f);
	}
}

/** A copy of all entries that @log still has. */
static struct panbind_log *copy_of(struct log_fixture *f, const char *path, uint64_t state_seq)
{
	struct panbind_log_state_object vm = {.object = {.ref = {"tex", 1}, .size = 1ull << 40}, .created_seq = 1};
	struct panbind_log_import *import;
	struct panbind_log_reader *reader;
	const struct panbind_log_entry *entry;
	struct panbind_log *copy;

	assert_int_equal(panbind_log_import_begin(path, state_seq, &import, NULL), 0);
	if (state_seq)
		assert_int_equal(panbind_log_import_vm(import, &vm, NULL), 0);
	assert_int_equal(panbind_log_reader_open(f->log, NULL, &reader, NULL), 0);
	while (panbind_log_read(reader, &entry) == 1)
		assert_int_equal(panbind_log_import_entry(import, entry, NULL), 0);
	panbind_log_reader_close(reader);
	assert_int_equal(panbind_log_import_end(import, NULL), 0);
	assert_int_equal(panbind_log_open(path, 0, NULL, &copy, NULL), 0);
	return copy;
}

static void a_copy_remembers_what_its_entries_say(void **state)
{
	struct log_fixture *f = *state;
	char path[120];
	struct panbind_log *copy;

	begin(f->log);
	snprintf(path, sizeof(path), "%s-copy", f->path);
	copy = copy_of(f, path, 0);
	assert_interrupted(copy);
	append(copy, edge(PANBIND_LOG_SCRIPT_END));
	panbind_log_close(copy);
	/* A copy that begins in the middle of the script knows that one half of it. */
	assert_int_equal(panbind_log_compact(f->log, 3, NULL, NULL), 0);
	append(f->log, edge(PANBIND_LOG_SCRIPT_END));
	snprintf(path, sizeof(path), "%s-half", f->path);
	copy = copy_of(f, path, 3);
	assert_false(found(copy).open);
	assert_int_equal(found(copy).transactions, 1);
	assert_int_equal(found(copy).kept_first, 4);
	assert_int_equal(found(copy).begun_seq, 0);
	assert_int_equal(log_problems(copy), 0);
	panbind_log_close(copy);
}

static void an_import_takes_no_part_after_the_end(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_import *import;
	struct panbind_log_entry entry = edge(PANBIND_LOG_SCRIPT_END);

	strcat(f->path, "2");
	assert_int_equal(panbind_log_import_begin(f->path, 4, &import, NULL), 0);
	entry.seq = 5;
	assert_int_equal(panbind_log_import_entry(import, &entry, NULL), 0);
	entry.seq = 6;
	assert_int_equal(panbind_log_import_entry(import, &entry, NULL), -EEXIST);
	panbind_log_import_abort(import);
}

static void verify_finds_what_is_remembered_wrongly(void **state)
{
	static const char *const damages[] = {
		"UPDATE txn SET transactions = 7",
		"UPDATE txn SET seq = 4",
		"UPDATE txn SET open = NULL",
		"DELETE FROM txn",
	};

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct log_fixture *f;
		sqlite3 *db;

		log_fixture_setup((void **)&f);
		begin(f->log);
		assert_int_equal(log_problems(f->log), 0);
		panbind_log_close(f->log);
		assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, damages[i], NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		assert_int_equal(panbind_log_open(f->path, 0, NULL, &f->log, NULL), 0);
		assert_int_equal(log_problems(f->log), 1);
		log_fixture_teardown((void **)&f);
	}
}

static void a_replay_passes_over_both_ends(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_replay_result result;
	struct panbind_device *device;

	begin(f->log);
	append(f->log, failed(edge(PANBIND_LOG_SCRIPT_END), PANBIND_OUTCOME_UNKNOWN));
	log_assert_picture(f->log, UINT64_MAX, "tex", "");
	assert_int_equal(panbind_device_open("sim:", &device, NULL), 0);
	assert_int_equal(panbind_log_replay(f->log, device,
					    &(struct panbind_log_replay_options){.verify = PANBIND_LOG_VERIFY_EACH},
					    &result, NULL),
			 0);
	assert_int_equal(result.seq, 6);
	assert_int_equal(result.skipped + result.differences, 0);
	panbind_device_unref(device);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_script_without_an_end_was_interrupted),
		LOG_TEST(one_that_did_nothing_yet_says_so),
		LOG_TEST(the_end_says_what_became_of_it),
		LOG_TEST(a_failed_end_says_why_and_where),
		LOG_TEST(what_is_unknown_stays_unknown),
		LOG_TEST(what_is_queued_is_known_at_once),
		LOG_TEST(a_script_that_was_taken_back_has_not_begun),
		LOG_TEST(parts_belong_to_a_script_under_way),
		LOG_TEST(senseless_parts_are_refused),
		cmocka_unit_test(compaction_forgets_nothing_of_it),
		LOG_TEST(a_copy_remembers_what_its_entries_say),
		LOG_TEST(an_import_takes_no_part_after_the_end),
		cmocka_unit_test(verify_finds_what_is_remembered_wrongly),
		LOG_TEST(a_replay_passes_over_both_ends),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log scripts", tests, NULL, NULL);
}
