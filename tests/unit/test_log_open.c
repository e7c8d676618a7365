/* SPDX-License-Identifier: MIT */
/* Opening: what is a log, what is none, and who holds it. */
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

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int open_err(struct log_fixture *f, uint32_t flags, struct panbind_error *error)
{
	struct panbind_log *log = NULL;
	int err = panbind_log_open(f->path, flags, NULL, &log, error);

	if (err < 0) {
		assert_null(log);
		assert_int_equal(error->code, err);
		assert_int_equal(error->stage, PANBIND_STAGE_JOURNAL);
	}
	panbind_log_close(log);
	return err;
}

static void let_go(struct log_fixture *f)
{
	panbind_log_close(f->log);
	f->log = NULL;
}

static void spoil(struct log_fixture *f, const char *text)
{
	FILE *out = fopen(f->path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void change(struct log_fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void what_does_not_exist_is_not_made_unasked(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_error error;

	let_go(f);
	strcat(f->path, "2");
	assert_int_equal(open_err(f, 0, &error), -ENOENT);
	assert_int_equal(open_err(f, PANBIND_LOG_READ_ONLY, &error), -ENOENT);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(open_err(f, 1u << 9, &error), -EINVAL);
}

static void what_is_not_a_log_is_refused_and_left_alone(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_error error;

	let_go(f);
	spoil(f, "Dear diary, today I bound 64 KiB at 0x100000. It went well, and nobody noticed.\n");
	assert_int_equal(open_err(f, PANBIND_LOG_CREATE, &error), -EBADMSG);
	assert_non_null(strstr(error.msg, "not a log"));
	assert_int_equal(open_err(f, PANBIND_LOG_READ_ONLY, &error), -EBADMSG);
	spoil(f, "");
	assert_int_equal(open_err(f, 0, &error), -EBADMSG);
	assert_int_equal(open_err(f, PANBIND_LOG_READ_ONLY, &error), -EBADMSG);
}

static void a_database_of_somebody_else_is_refused(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_error error;

	let_go(f);
	unlink(f->path);
	change(f, "CREATE TABLE recipes(name)");
	assert_int_equal(open_err(f, PANBIND_LOG_CREATE, &error), -EBADMSG);
	assert_non_null(strstr(error.msg, "SQLite database, but not a log"));
}

static void a_newer_schema_is_refused_with_its_version(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_error error;

	let_go(f);
	change(f, "PRAGMA user_version = 7");
	assert_int_equal(open_err(f, 0, &error), -EPROTONOSUPPORT);
	assert_non_null(strstr(error.msg, "version 7"));
	assert_int_equal(open_err(f, PANBIND_LOG_READ_ONLY, &error), -EPROTONOSUPPORT);
}

static void an_older_schema_is_read_and_then_brought_up_to_date(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_entry entry = {.kind = PANBIND_LOG_START, .txn_id = "old"};
	struct panbind_log_txn txn;

	/* Given a log as version 1 wrote it, */
	log_entry(f->log, &entry);
	let_go(f);
	change(f, "DROP VIEW log; CREATE VIEW log AS SELECT seq FROM entry; ALTER TABLE entry DROP COLUMN tid; DELETE "
		  "FROM kind_name WHERE id > 7; DELETE FROM op_name WHERE id > 7;"
		  "DROP TRIGGER argv_is_named; DROP TRIGGER argv_is_dropped; DROP TRIGGER argv_is_changed; DROP TABLE "
		  "argv;"
		  "ALTER TABLE snapshot_mapping DROP COLUMN argv;"
		  "ALTER TABLE entry DROP COLUMN line; ALTER TABLE txn DROP COLUMN line; ALTER TABLE txn DROP COLUMN "
		  "open; ALTER TABLE txn DROP COLUMN begun_seq; ALTER TABLE txn DROP COLUMN transactions; ALTER TABLE "
		  "txn DROP COLUMN kept_first; ALTER TABLE txn DROP COLUMN kept_last;"
		  "ALTER TABLE txn DROP COLUMN digest; PRAGMA user_version = 1");
	/* readers find all that it has, */
	assert_int_equal(panbind_log_open(f->path, PANBIND_LOG_READ_ONLY, NULL, &f->log, NULL), 0);
	assert_int_equal(log_problems(f->log), 0);
	assert_int_equal(panbind_log_txn_lookup(f->log, "old", &txn), 0);
	assert_string_equal(txn.digest, "");
	let_go(f);
	/* and a writer adds what is missing. */
	assert_int_equal(panbind_log_open(f->path, 0, NULL, &f->log, NULL), 0);
	assert_int_equal(log_ask(f->log, "SELECT count(digest) FROM txn"), 0);
	entry.txn_id = "new";
	entry.digest = "d1ge57";
	entry.tid = 4711;
	log_entry(f->log, &entry);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM log WHERE tid IS NULL"), 1);
	assert_int_equal(log_ask(f->log, "SELECT tid FROM log WHERE seq = 2"), 4711);
	assert_int_equal(panbind_log_txn_lookup(f->log, "new", &txn), 0);
	assert_string_equal(txn.digest, "d1ge57");
	entry = (struct panbind_log_entry){.kind = PANBIND_LOG_SCRIPT_BEGIN, .txn_id = "script"};
	log_entry(f->log, &entry);
	assert_int_equal(panbind_log_txn_lookup(f->log, "script", &txn), 0);
	assert_true(txn.script && txn.open);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM log WHERE kind = 'script.begin' AND line IS NULL"), 1);
	assert_int_equal(panbind_log_compact(f->log, UINT64_MAX, NULL, NULL), 0);
	assert_int_equal(panbind_log_txn_lookup(f->log, "old", &txn), 0);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_log_keeps_the_pages_that_it_was_made_with(void **state)
{
	struct panbind_log_status status;
	struct log_fixture *f = *state;
	struct stat st;

	/* Given a log whose pages are as large as they once were, */
	log_vm(f->log, "tex", 1);
	let_go(f);
	change(f, "PRAGMA journal_mode=DELETE; PRAGMA page_size=4096; VACUUM; PRAGMA journal_mode=WAL");
	/* it is written as it is, and its size is told in its own pages. */
	assert_int_equal(panbind_log_open(f->path, 0, NULL, &f->log, NULL), 0);
	for (int i = 0; i < 200; i++)
		log_about(f->log, PANBIND_LOG_START, NULL, 0);
	assert_int_equal(panbind_log_get_status(f->log, &status), 0);
	let_go(f);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(status.bytes, st.st_size);
	assert_int_equal(st.st_size % 4096, 0);
	assert_int_equal(panbind_log_open(f->path, 0, NULL, &f->log, NULL), 0);
	assert_int_equal(panbind_log_compact(f->log, 100, NULL, NULL), 0);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_second_writer_is_told_who_writes(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_error error;
	char pid[20];

	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_int_equal(open_err(f, 0, &error), -EBUSY);
	assert_non_null(strstr(error.msg, pid));
	/* Readers do not mind. */
	assert_int_equal(open_err(f, PANBIND_LOG_READ_ONLY, &error), 0);
	let_go(f);
	assert_int_equal(open_err(f, 0, &error), 0);
}

static void a_reader_cannot_append(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_entry entry = {.kind = PANBIND_LOG_START};

	log_vm(f->log, "tex", 1);
	log_fixture_reopen(f, PANBIND_LOG_READ_ONLY, NULL);
	assert_int_equal(panbind_log_append(f->log, &entry, 0, NULL, NULL, NULL, NULL), -EROFS);
	assert_int_equal(panbind_log_ready(f->log), -EROFS);
	assert_int_equal(panbind_log_flush(f->log), -EROFS);
	assert_int_equal(panbind_log_compact(f->log, 1, NULL, NULL), -EROFS);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 1);
}

#define NO_OTHER_USER 77

/* In a child. A user namespace may hold root alone, as that in which tests of another architecture run. */
static void become_another(void)
{
	if (setuid(65534) < 0)
		_exit(errno == EINVAL ? NO_OTHER_USER : 1);
}

static void assert_passed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_OTHER_USER)
		skip();
	assert_int_equal(status, 0);
}

/* A child of another user: root is stopped by no mode. */
static void a_log_that_may_not_be_written_is_refused(void **state)
{
	struct log_fixture *f = *state;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	let_go(f);
	chmod(f->folder, 0777);
	chmod(f->path, 0444);
	pid = fork();
	if (pid == 0) {
		struct panbind_error error;
		char lock[120];

		snprintf(lock, sizeof(lock), "%s-lock", f->path);
		unlink(lock);
		become_another();
		_exit(open_err(f, 0, &error) == -EACCES ? 0 : 1);
	}
	assert_passed(pid);
}

/* Without a folder that can be written, SQLite cannot make its shared memory: the log at rest is read all the same. */
static void a_log_at_rest_is_read_where_nothing_can_be_written(void **state)
{
	struct log_fixture *f = *state;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	log_vm(f->log, "tex", 1);
	let_go(f);
	chmod(f->folder, 0555);
	chmod(f->path, 0444);
	pid = fork();
	if (pid == 0) {
		struct panbind_log *log;

		become_another();
		_exit(panbind_log_open(f->path, PANBIND_LOG_READ_ONLY, NULL, &log, NULL) == 0 &&
				      log_ask(log, "SELECT count(*) FROM entry") == 1
			      ? 0
			      : 1);
	}
	assert_passed(pid);
}

static void status_tells_where_the_log_stands(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_log_status status;

	assert_int_equal(panbind_log_get_status(f->log, &status), 0);
	assert_int_equal(status.first_seq, 1);
	assert_int_equal(status.last_seq, 0);
	assert_int_equal(status.state_seq, 0);
	log_vm(f->log, "tex", 1);
	log_vm(f->log, "tmp", 1);
	panbind_log_compact(f->log, 1, NULL, NULL);
	assert_int_equal(panbind_log_get_status(f->log, &status), 0);
	assert_int_equal(status.first_seq, 2);
	assert_int_equal(status.last_seq, 2);
	assert_int_equal(status.state_seq, 1);
	assert_int_equal(status.queued, 0);
	assert_int_equal(status.failed, 0);
	assert_int_equal(status.schema, PANBIND_LOG_SCHEMA);
	assert_true(status.bytes >= 4096);
	assert_string_equal(status.path, f->path);
}

static void seqs_go_on_after_all_is_compacted(void **state)
{
	struct log_fixture *f = *state;

	log_vm(f->log, "tex", 1);
	log_vm(f->log, "tmp", 1);
	panbind_log_compact(f->log, UINT64_MAX, NULL, NULL);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(log_about(f->log, PANBIND_LOG_VM_DESTROY, "tex", 1), 3);
	assert_int_equal(log_problems(f->log), 0);
}

static void names_and_numbers_of_enums_go_both_ways(void **state)
{
	for (int i = PANBIND_LOG_START; i <= PANBIND_LOG_SCRIPT_END; i++)
		assert_int_equal(panbind_log_kind_from_name(panbind_log_kind_name((enum panbind_log_kind)i)), i);
	for (int i = 0; i <= PANBIND_LOG_UNKNOWN; i++)
		assert_int_equal(panbind_log_op_from_name(panbind_log_op_name((enum panbind_log_op_type)i)), i);
	assert_string_equal(panbind_log_kind_name(99), "?");
	assert_string_equal(panbind_log_kind_name(0), "?");
	assert_string_equal(panbind_log_op_name(99), "?");
	assert_string_equal(panbind_log_durability_name(PANBIND_LOG_DURABLE_SYNC), "sync");
	assert_int_equal(panbind_log_kind_from_name("bin"), 0);
	assert_int_equal(panbind_log_op_from_name("mop"), -EINVAL);
}

/* The names that people see in SQL are the ones that the library uses. */
static void tables_of_names_agree_with_the_library(void **state)
{
	struct log_fixture *f = *state;
	char sql[120];

	for (int i = PANBIND_LOG_START; i <= PANBIND_LOG_SCRIPT_END; i++) {
		snprintf(sql, sizeof(sql), "SELECT name = '%s' FROM kind_name WHERE id = %d",
			 panbind_log_kind_name((enum panbind_log_kind)i), i);
		assert_int_equal(log_ask(f->log, sql), 1);
	}
	for (int i = 0; i <= PANBIND_LOG_UNKNOWN; i++) {
		snprintf(sql, sizeof(sql), "SELECT name = '%s' FROM op_name WHERE id = %d",
			 panbind_log_op_name((enum panbind_log_op_type)i), i);
		assert_int_equal(log_ask(f->log, sql), 1);
	}
	for (int i = 0; i <= PANBIND_STAGE_JOURNAL; i++) {
		snprintf(sql, sizeof(sql), "SELECT name = '%s' FROM stage_name WHERE id = %d",
			 panbind_stage_name((enum panbind_stage)i), i);
		assert_int_equal(log_ask(f->log, sql), 1);
	}
	for (int i = 0; i <= PANBIND_OUTCOME_UNKNOWN; i++) {
		snprintf(sql, sizeof(sql), "SELECT name = '%s' FROM outcome_name WHERE id = %d",
			 panbind_outcome_name((enum panbind_outcome)i), i);
		assert_int_equal(log_ask(f->log, sql), 1);
	}
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(what_does_not_exist_is_not_made_unasked),
		LOG_TEST(what_is_not_a_log_is_refused_and_left_alone),
		LOG_TEST(a_database_of_somebody_else_is_refused),
		LOG_TEST(a_newer_schema_is_refused_with_its_version),
		LOG_TEST(an_older_schema_is_read_and_then_brought_up_to_date),
		LOG_TEST(a_log_keeps_the_pages_that_it_was_made_with),
		LOG_TEST(a_second_writer_is_told_who_writes),
		LOG_TEST(a_reader_cannot_append),
		LOG_TEST(a_log_that_may_not_be_written_is_refused),
		LOG_TEST(a_log_at_rest_is_read_where_nothing_can_be_written),
		LOG_TEST(status_tells_where_the_log_stands),
		LOG_TEST(seqs_go_on_after_all_is_compacted),
		LOG_TEST(names_and_numbers_of_enums_go_both_ways),
		LOG_TEST(tables_of_names_agree_with_the_library),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log open", tests, NULL, NULL);
}
