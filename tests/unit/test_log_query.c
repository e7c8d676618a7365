/* SPDX-License-Identifier: MIT */
/* SQL for reading only. */
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

static int count_rows(void *data, size_t count, const char *const *names, const struct panbind_log_value *values)
{
	++*(int *)data;
	return 0;
}

static int ask(struct log_fixture *f, const char *sql, int *ret_rows)
{
	struct panbind_error error = {0};
	int err;

	*ret_rows = 0;
	err = panbind_log_query(f->log, sql, 2000, count_rows, ret_rows, &error);
	if (err < 0) {
		assert_int_equal(error.code, err);
		assert_true(*error.msg != '\0');
	}
	return err;
}

static int check_values(void *data, size_t count, const char *const *names, const struct panbind_log_value *values)
{
	assert_int_equal(count, 4);
	assert_string_equal(names[0], "i");
	assert_int_equal(values[0].type, PANBIND_LOG_INTEGER);
	assert_int_equal(values[0].integer, 42);
	assert_string_equal(values[0].text, "42");
	assert_int_equal(values[1].type, PANBIND_LOG_REAL);
	assert_true(values[1].real == 1.5);
	assert_int_equal(values[2].type, PANBIND_LOG_TEXT);
	assert_string_equal(values[2].text, "hi");
	assert_int_equal(values[2].size, 2);
	assert_int_equal(values[3].type, PANBIND_LOG_NULL);
	assert_string_equal(values[3].text, "");
	return 99;
}

static void values_come_with_names_and_types(void **state)
{
	struct log_fixture *f = *state;

	/* What the callback returns ends the query and is returned. */
	assert_int_equal(panbind_log_query(f->log, "SELECT 42 AS i, 1.5, 'hi', NULL UNION ALL SELECT 1, 2, 3, 4", 0,
					   check_values, NULL, NULL),
			 99);
}

static void views_read_well(void **state)
{
	struct log_fixture *f = *state;
	const struct panbind_log_op op = log_op_map("tex", 0x100, 16, "pool", 1);

	log_vm(f->log, "tex", 1);
	log_bo(f->log, "pool", 1, 64);
	log_ops(f->log, &op, 1);
	assert_int_equal(
		log_ask(f->log,
			"SELECT count(*) FROM ops WHERE op = 'map' AND vm = 'tex' AND va = '0x100000'"
			" AND size = '0x10000' AND bo = 'pool' AND bo_offset = '0x1000' AND seq = 3 AND idx = 0"),
		1);
	assert_int_equal(log_ask(f->log,
				 "SELECT count(*) FROM log WHERE kind = 'vm.create' AND object = 'tex' AND outcome ="
				 " 'applied' AND time GLOB '20*-*-*T*:*:*.*Z' AND length(time) = 27"),
			 1);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM objects WHERE kind = 'bo' AND name = 'pool'"), 1);
	panbind_log_compact(f->log, UINT64_MAX, NULL, NULL);
	assert_int_equal(
		log_ask(f->log, "SELECT count(*) FROM snapshot WHERE vm = 'tex' AND va = '0x100000' AND seq = 3"), 1);
}

static void writing_is_refused(void **state)
{
	static const char *const tries[] = {
		"DELETE FROM entry",
		"UPDATE meta SET value = 1",
		"INSERT INTO meta VALUES('a', 1)",
		"CREATE TABLE t(x)",
		"CREATE TEMP TABLE t(x)",
		"DROP TABLE entry",
		"ATTACH '/etc/passwd' AS p",
		"PRAGMA journal_mode=DELETE",
		"PRAGMA user_version",
		"BEGIN IMMEDIATE",
		"VACUUM INTO '/tmp/panbind-copy'",
		"WITH x AS (SELECT 1) DELETE FROM entry",
		"EXPLAIN DELETE FROM entry",
	};
	struct log_fixture *f = *state;
	int rows;

	log_vm(f->log, "tex", 1);
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		if (ask(f, tries[i], &rows) != -EPERM)
			fail_msg("not refused: %s", tries[i]);
		assert_int_equal(rows, 0);
	}
	/* SQLite words this one as an error of the SQL. */
	assert_int_equal(ask(f, "SELECT load_extension('x')", &rows), -EINVAL);
	assert_int_equal(log_ask(f->log, "SELECT count(*) FROM entry"), 1);
}

static void nonsense_is_told_apart(void **state)
{
	struct log_fixture *f = *state;
	int rows;

	assert_int_equal(ask(f, "SELEKT 1", &rows), -EINVAL);
	assert_int_equal(ask(f, "SELECT nothing FROM entry", &rows), -EINVAL);
	assert_int_equal(ask(f, "", &rows), -EINVAL);
	assert_int_equal(ask(f, "  ; ", &rows), -EINVAL);
	assert_int_equal(ask(f, "SELECT 1; SELECT 2", &rows), -EINVAL);
	assert_int_equal(ask(f, "SELECT 1; ", &rows), 0);
	assert_int_equal(rows, 1);
}

static void a_query_without_end_is_ended(void **state)
{
	struct log_fixture *f = *state;
	struct panbind_error error;
	int rows = 0;

	assert_int_equal(panbind_log_query(f->log,
					   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
					   " SELECT max(i) FROM n",
					   50, count_rows, &rows, &error),
			 -ETIME);
	assert_int_equal(rows, 0);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(values_come_with_names_and_types),
		LOG_TEST(views_read_well),
		LOG_TEST(writing_is_refused),
		LOG_TEST(nonsense_is_told_apart),
		LOG_TEST(a_query_without_end_is_ended),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log query", tests, NULL, NULL);
}
