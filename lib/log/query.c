/* SPDX-License-Identifier: MIT */
/*
 * Questions in SQL, for reading only. The connection is opened for reading, and an authorizer refuses all that is not
 * a SELECT over the tables of the log: no PRAGMA, no ATTACH, no extension, so that a role which may read the log cannot
 * reach another file through it.
 */
#include <ctype.h>
#include <errno.h>

#include "log.h"

#define STEPS_BETWEEN_LOOKS 1000

static int allow_reading(void *data, int action, const char *a, const char *b, const char *schema, const char *trigger)
{
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		return b && sqlite3_stricmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
	default:
		return SQLITE_DENY;
	}
}

static int time_is_up(void *data)
{
	return pb_log_now_ns(CLOCK_MONOTONIC) > *(const int64_t *)data;
}

static bool is_blank(const char *sql)
{
	while (isspace((unsigned char)*sql) || *sql == ';')
		sql++;
	return *sql == '\0';
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt, struct panbind_error *reterr)
{
	const char *rest;
	int rc = sqlite3_prepare_v2(db, sql, -1, ret_stmt, &rest);

	if ((rc & 0xff) == SQLITE_AUTH)
		return pb_log_error(reterr, -EPERM, "only SELECT is allowed: %s", sqlite3_errmsg(db));
	if (rc != SQLITE_OK)
		return pb_log_error(reterr, rc == SQLITE_ERROR ? -EINVAL : pb_log_errno(db, rc), "%s",
				    sqlite3_errmsg(db));
	if (!*ret_stmt)
		return pb_log_error(reterr, -EINVAL, "no SQL");
	if (!is_blank(rest))
		return pb_log_error(reterr, -EINVAL, "more than one statement");
	if (!sqlite3_stmt_readonly(*ret_stmt))
		return pb_log_error(reterr, -EPERM, "only SELECT is allowed");
	return 0;
}

static struct panbind_log_value value_of(sqlite3_stmt *stmt, int column)
{
	static const enum panbind_log_value_type types[] = {
		[SQLITE_INTEGER] = PANBIND_LOG_INTEGER, [SQLITE_FLOAT] = PANBIND_LOG_REAL,
		[SQLITE_TEXT] = PANBIND_LOG_TEXT,	[SQLITE_BLOB] = PANBIND_LOG_TEXT,
		[SQLITE_NULL] = PANBIND_LOG_NULL,
	};
	struct panbind_log_value value = {.type = types[sqlite3_column_type(stmt, column)]};

	value.integer = sqlite3_column_int64(stmt, column);
	value.real = sqlite3_column_double(stmt, column);
	value.text = (const char *)sqlite3_column_text(stmt, column);
	value.size = (size_t)sqlite3_column_bytes(stmt, column);
	if (!value.text)
		value.text = "";
	return value;
}

static int show_rows(sqlite3_stmt *stmt,
		     int (*row)(void *data, size_t count, const char *const *names,
				const struct panbind_log_value *values),
		     void *data, struct panbind_error *reterr)
{
	size_t count = (size_t)sqlite3_column_count(stmt);
	pb_autofree const char **names = calloc(count + 1, sizeof(*names));
	pb_autofree struct panbind_log_value *values = calloc(count + 1, sizeof(*values));
	int rc, stop;

	if (!names || !values)
		return pb_log_error(reterr, -ENOMEM, "no memory for a row");
	for (size_t i = 0; i < count; i++)
		names[i] = sqlite3_column_name(stmt, (int)i);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (size_t i = 0; i < count; i++)
			values[i] = value_of(stmt, (int)i);
		stop = row(data, count, names, values);
		if (stop)
			return stop;
	}
	if (rc != SQLITE_DONE)
		return pb_log_sqlite_error(reterr, sqlite3_db_handle(stmt), rc, "the query ended early");
	return 0;
}

int panbind_log_query(struct panbind_log *log, const char *sql, int timeout_ms,
		      int (*row)(void *data, size_t count, const char *const *names,
				 const struct panbind_log_value *values),
		      void *data, struct panbind_error *reterr)
{
	pb_autodb sqlite3 *db = NULL;
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int64_t end_ns = pb_log_now_ns(CLOCK_MONOTONIC) + (int64_t)timeout_ms * 1000000;
	int err = pb_schema_connect_reader(log->path, &db, reterr);

	if (err < 0)
		return err;
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_set_authorizer(db, allow_reading, NULL);
	if (timeout_ms > 0)
		sqlite3_progress_handler(db, STEPS_BETWEEN_LOOKS, time_is_up, &end_ns);
	err = prepare(db, sql, &stmt, reterr);
	return err < 0 ? err : show_rows(stmt, row, data, reterr);
}
