/* SPDX-License-Identifier: MIT */
/* The queries in panbind-log(5) and journal.md run as they stand, and both name every column that there is. */
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

#define PAGE_PATH  PANBIND_SOURCE_DIR "/man/panbind-log.5"
#define NOTES_PATH PANBIND_SOURCE_DIR "/lib/log/journal.md"

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 16);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 16) - 1, file) > 1000);
	fclose(file);
	return text;
}

static void fill(struct panbind_log *log)
{
	struct panbind_log_op op = log_op_map("tex", 0x10, 4, "pool", 0);
	struct panbind_log_entry entry = log_bind_entry(&op, 1);

	log_vm(log, "tex", 1);
	log_bo(log, "pool", 1, 16);
	log_entry(log, &entry);
	log_about(log, PANBIND_LOG_BO_DESTROY, "pool", 1);
	panbind_log_compact(log, UINT64_MAX, NULL, NULL);
	log_bo(log, "pool", 2, 16);
	log_entry(log, &entry);
	entry.result = -EINVAL;
	entry.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	log_entry(log, &entry);
	log_entry(log, &(struct panbind_log_entry){.kind = PANBIND_LOG_SCRIPT_BEGIN, .txn_id = "deploy-7"});
	entry = log_bind_entry(&op, 1);
	entry.txn_id = "deploy-7";
	entry.flags = PANBIND_LOG_PART;
	log_entry(log, &entry);
}

static int count_row(void *data, size_t count, const char *const *names, const struct panbind_log_value *values)
{
	++*(int *)data;
	return 0;
}

/* Run what stands between two marks, statement by statement; each finds something. */
static int run_between(struct panbind_log *log, char *text, const char *begin, const char *end)
{
	int queries = 0;

	for (char *at = strstr(text, begin); at; at = strstr(at, begin)) {
		char *stop = strstr(at + strlen(begin), end), *sql = at + strlen(begin), *semicolon;

		assert_non_null(stop);
		*stop = '\0';
		at = stop + 1;
		for (; (semicolon = strstr(sql, ";\n")); sql = semicolon + 2) {
			struct panbind_error error;
			int rows = 0;

			*semicolon = '\0';
			if (panbind_log_query(log, sql, 0, count_row, &rows, &error) < 0)
				fail_msg("%s: %s", sql, error.msg);
			if (rows == 0)
				fail_msg("finds nothing: %s", sql);
			queries++;
		}
	}
	return queries;
}

static void queries_in_the_manual_page_run(void **state)
{
	struct log_fixture *f = *state;
	char *text = read_file(PAGE_PATH);

	fill(f->log);
	assert_int_equal(run_between(f->log, text, ".\\\" query begins\n", ".\\\" query ends"), 3);
	free(text);
}

static void queries_in_the_notes_run(void **state)
{
	struct log_fixture *f = *state;
	char *text = read_file(NOTES_PATH);

	fill(f->log);
	assert_int_equal(run_between(f->log, text, "```sql\n", "```\n"), 10);
	free(text);
}

/* Each table and view, each column of it: its name stands in the text. */
static void assert_documented(const struct log_fixture *f, const char *path)
{
	char *text = read_file(path);
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int count = 0;

	assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db,
				   "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) c"
				   " WHERE m.type IN ('table', 'view')",
				   -1, &stmt, NULL),
		SQLITE_OK);
	for (; sqlite3_step(stmt) == SQLITE_ROW; count++)
		for (int i = 0; i < 2; i++)
			if (!strstr(text, (const char *)sqlite3_column_text(stmt, i)))
				fail_msg("%s.%s is not in %s", sqlite3_column_text(stmt, 0),
					 sqlite3_column_text(stmt, 1), path);
	assert_true(count > 60);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	free(text);
}

static void every_column_is_documented(void **state)
{
	struct log_fixture *f = *state;

	fill(f->log);
	assert_documented(f, PAGE_PATH);
	assert_documented(f, NOTES_PATH);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, log_fixture_setup, log_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(queries_in_the_manual_page_run),
		LOG_TEST(queries_in_the_notes_run),
		LOG_TEST(every_column_is_documented),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log manual", tests, NULL, NULL);
}
