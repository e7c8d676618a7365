/* SPDX-License-Identifier: MIT */
/* The write-ahead file of a log is written a commit at a time (lib/log/vfs.c), and is what SQLite would have written.
 */
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
#include "seed.h"

#define FRAME 2072

/* ---- The file system below: it counts what is written to a write-ahead file, and fails on command ---- */

static struct {
	sqlite3_vfs vfs, *real;
	sqlite3_io_methods methods;
	const sqlite3_io_methods *real_methods;
	int writes, frames; /* whole frames that one write brought, the last time */
	int rc;		    /* of the next writes, after half of each is done; SQLITE_OK: they work */
} below;

static int count_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	int rc = __atomic_load_n(&below.rc, __ATOMIC_SEQ_CST);

	if (rc != SQLITE_OK) {
		below.real_methods->xWrite(file, data, size / 2, offset);
		return rc;
	}
	if (size % FRAME == 0)
		__atomic_store_n(&below.frames, size / FRAME, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&below.writes, 1, __ATOMIC_SEQ_CST);
	return below.real_methods->xWrite(file, data, size, offset);
}

static int open_below(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
	int rc = below.real->xOpen(below.real, name, file, flags, out);

	if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_WAL))
		return rc;
	if (!below.real_methods) {
		below.real_methods = file->pMethods;
		below.methods = *file->pMethods;
		below.methods.xWrite = count_write;
	}
	file->pMethods = &below.methods;
	return rc;
}

static void install_below(void)
{
	below.real = sqlite3_vfs_find(NULL);
	below.vfs = *below.real;
	below.vfs.zName = "below";
	below.vfs.xOpen = open_below;
	sqlite3_vfs_register(&below.vfs, 1);
}

static void fail_writes(int rc)
{
	__atomic_store_n(&below.rc, rc, __ATOMIC_SEQ_CST);
}

static int writes_so_far(void)
{
	return __atomic_load_n(&below.writes, __ATOMIC_SEQ_CST);
}

/* ---- As a log uses it ---- */

static void given_a_vm(struct log_fixture *f)
{
	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 1024);
}

static void a_commit_is_one_write(void **state)
{
	const struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	struct log_fixture *f = *state;
	int before;

	given_a_vm(f);
	before = writes_so_far();
	log_ops(f->log, &op, 1);
	assert_int_equal(writes_so_far(), before + 1);
	assert_int_equal(below.frames, 2); /* a leaf of entry, and one of op */
}

static void an_entry_larger_than_what_is_gathered_is_whole(void **state)
{
	enum { COUNT = 50000 };
	struct panbind_log_op *ops = calloc(COUNT, sizeof(*ops));
	struct log_fixture *f = *state;
	int before;

	given_a_vm(f);
	for (uint64_t i = 0; i < COUNT; i++)
		ops[i] = log_op_map("tex", 2 * i, 1, "pool", i % 1024);
	before = writes_so_far();
	log_ops(f->log, ops, COUNT);
	assert_in_range(writes_so_far(), before + 2, before + 60); /* of 120 KiB */
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM op"), COUNT);
	assert_int_equal(log_problems(f->log), 0);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM op"), COUNT);
	assert_int_equal(log_problems(f->log), 0);
	free(ops);
}

static void half_a_commit_is_none(struct log_fixture *f, int rc, int wanted)
{
	const struct panbind_log_op op = log_op_map("tex", 1, 1, "pool", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);
	struct panbind_error error = {0};
	int64_t seq;

	given_a_vm(f);
	seq = (int64_t)log_ops(f->log, &op, 1);
	/* When half of the gathered frames reach the file before it fails, */
	fail_writes(rc);
	assert_int_equal(panbind_log_append_wait(f->log, &entry, PANBIND_LOG_DURABLE_WRITE, NULL, &error), wanted);
	assert_int_equal(error.stage, PANBIND_STAGE_JOURNAL);
	/* then nothing of the entry is there, for others either, */
	assert_int_equal(log_ask(f->log, "SELECT max(seq) FROM entry"), seq);
	fail_writes(SQLITE_OK);
	for (int i = 0; panbind_log_ready(f->log) < 0; i++) {
		assert_true(i < 1000);
		usleep(10000);
	}
	/* and the next one takes its place. */
	assert_int_equal(log_ops(f->log, &op, 1), seq + 1);
	assert_int_equal(log_problems(f->log), 0);
	log_fixture_reopen(f, 0, NULL);
	assert_int_equal(log_ask(f->log, "SELECT max(seq) FROM entry"), seq + 1);
	assert_int_equal(log_problems(f->log), 0);
}

static void a_disk_that_fills_in_the_middle_of_a_commit(void **state)
{
	half_a_commit_is_none(*state, SQLITE_FULL, -ENOSPC);
}

static void a_disk_that_fails_in_the_middle_of_a_commit(void **state)
{
	half_a_commit_is_none(*state, SQLITE_IOERR_WRITE, -EIO);
}

/* ---- Against SQLite's own writes ---- */

static void exec(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

static int64_t sum_of(sqlite3 *db)
{
	int64_t sum = -1;

	assert_int_equal(pb_log_get_int(db, "SELECT sum(a * 31 + length(b)) + count(*) * 1000003 FROM t", 0, &sum), 0);
	return sum;
}

static void copy_file(const char *from, const char *to, const char *suffix)
{
	char command[300];

	snprintf(command, sizeof(command), "cp %s%s %s%s", from, suffix, to, suffix);
	assert_int_equal(system(command), 0);
}

/* What a crash at this moment leaves: the files, without what only the process knows. */
static void assert_crash_keeps(struct log_fixture *f, int64_t sum)
{
	char copy[120];
	int64_t whole = 0;
	sqlite3 *db;

	snprintf(copy, sizeof(copy), "%s/copy.db", f->folder);
	copy_file(f->path, copy, "");
	copy_file(f->path, copy, "-wal");
	assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
	assert_int_equal(sum_of(db), sum);
	assert_int_equal(pb_log_get_int(db, "SELECT integrity_check = 'ok' FROM pragma_integrity_check", 0, &whole), 0);
	assert_int_equal(whole, 1);
	sqlite3_close(db);
}

/* Few pages are cached, so that a transaction writes frames before its end, reads them, and writes them again. */
static sqlite3 *open_spilling(const char *path)
{
	sqlite3 *db;

	assert_non_null(pb_vfs_name());
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, pb_vfs_name()),
			 SQLITE_OK);
	exec(db, "PRAGMA journal_mode=WAL; PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=200");
	exec(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)");
	return db;
}

static void change_something(sqlite3 *db, struct test_random *random)
{
	char sql[160];

	for (uint64_t i = 0, count = 1 + test_random_below(random, 200); i < count; i++) {
		switch (test_random_below(random, 3)) {
		case 0:
			snprintf(sql, sizeof(sql), "DELETE FROM t WHERE a = %llu",
				 (unsigned long long)test_random_below(random, 500));
			break;
		default:
			snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO t VALUES(%llu, randomblob(%llu))",
				 (unsigned long long)test_random_below(random, 500),
				 (unsigned long long)test_random_below(random, 3000));
		}
		exec(db, sql);
	}
}

static void whatever_is_committed_is_in_the_file(void **state)
{
	struct log_fixture *f = *state;
	struct test_random random = test_random_start("write-ahead file");
	sqlite3 *db, *reader;

	snprintf(f->path, sizeof(f->path), "%s/plain.db", f->folder);
	db = open_spilling(f->path);
	assert_int_equal(sqlite3_open(f->path, &reader), SQLITE_OK);
	for (int i = 0; i < 40; i++) {
		int64_t before = sum_of(db), after;

		exec(db, test_random_below(&random, 2) ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
		exec(db, "BEGIN IMMEDIATE");
		change_something(db, &random);
		after = sum_of(db);
		/* Nobody sees what is not committed; everybody sees what is; and so it is after a crash. */
		assert_int_equal(sum_of(reader), before);
		if (test_random_below(&random, 4) == 0) {
			exec(db, "ROLLBACK");
			after = before;
		} else {
			exec(db, "COMMIT");
		}
		assert_int_equal(sum_of(reader), after);
		assert_crash_keeps(f, after);
	}
	sqlite3_close(reader);
	sqlite3_close(db);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_commit_is_one_write),
		LOG_TEST(an_entry_larger_than_what_is_gathered_is_whole),
		LOG_TEST(a_disk_that_fills_in_the_middle_of_a_commit),
		LOG_TEST(a_disk_that_fails_in_the_middle_of_a_commit),
		LOG_TEST(whatever_is_committed_is_in_the_file),
	};

	install_below();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("the write-ahead file", tests, NULL, NULL);
}
