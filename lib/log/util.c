/* SPDX-License-Identifier: MIT */
/*
 * Small things for all rooms of the log: errors out of SQLite, statements, names.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "log.h"

int pb_log_error(struct panbind_error *reterr, int code, const char *format, ...)
{
	struct panbind_error error = {.code = code, .stage = PANBIND_STAGE_JOURNAL, .op = PANBIND_NO_OP};
	va_list args;

	if (!reterr)
		return code;
	va_start(args, format);
	vsnprintf(error.msg, sizeof(error.msg), format, args);
	va_end(args);
	*reterr = error;
	return code;
}

/* The operating system's own word where SQLite passes it on: a full quota is not a broken disk. */
static int io_errno(sqlite3 *db)
{
	int err = sqlite3_system_errno(db);

	return err > 0 ? -err : -EIO;
}

int pb_log_errno(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_IOERR:
		return rc == SQLITE_IOERR_NOMEM ? -ENOMEM : io_errno(db);
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_AUTH:
		return -EPERM;
	case SQLITE_CANTOPEN:
		return sqlite3_system_errno(db) > 0 ? -sqlite3_system_errno(db) : -ENOENT;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_INTERRUPT:
		return -ETIME;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_CONSTRAINT:
		return -EUCLEAN;
	default:
		return -EINVAL;
	}
}

int pb_log_sqlite_error(struct panbind_error *reterr, sqlite3 *db, int rc, const char *what)
{
	return pb_log_error(reterr, pb_log_errno(db, rc), "%s: %s", what, sqlite3_errmsg(db));
}

int pb_log_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt)
{
	return pb_log_errno(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL));
}

int pb_log_exec(sqlite3 *db, const char *sql)
{
	return pb_log_errno(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int pb_log_run(sqlite3_stmt *stmt)
{
	sqlite3 *db = sqlite3_db_handle(stmt);
	int err;

	/* The errno first: resetting forgets what the system said. */
	err = pb_log_errno(db, sqlite3_step(stmt));
	sqlite3_reset(stmt);
	return err;
}

int pb_log_get_int(sqlite3 *db, const char *sql, int64_t fallback, int64_t *ret_value)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err = pb_log_prepare(db, sql, &stmt), rc;

	if (err < 0)
		return err;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
		*ret_value = sqlite3_column_int64(stmt, 0);
	else if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		*ret_value = fallback;
	return pb_log_errno(db, rc);
}

int64_t pb_log_now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static const char *const kind_names[] = {
	[PANBIND_LOG_START] = "start",
	[PANBIND_LOG_VM_CREATE] = "vm.create",
	[PANBIND_LOG_VM_DESTROY] = "vm.destroy",
	[PANBIND_LOG_BO_CREATE] = "bo.create",
	[PANBIND_LOG_BO_DESTROY] = "bo.destroy",
	[PANBIND_LOG_BIND] = "bind",
	[PANBIND_LOG_VM_LOST] = "vm.lost",
	[PANBIND_LOG_SYNC] = "sync",
	[PANBIND_LOG_NOTE] = "note",
	[PANBIND_LOG_SCRIPT_BEGIN] = "script.begin",
	[PANBIND_LOG_SCRIPT_END] = "script.end",
};

static const char *const op_names[] = {
	[PANBIND_LOG_MAP] = "map",
	[PANBIND_LOG_UNMAP] = "unmap",
	[PANBIND_LOG_MAP_SPARSE] = "map-sparse",
	[PANBIND_LOG_SYNC_ONLY] = "sync-only",
	[PANBIND_LOG_SPARSE_RESERVE] = "sparse-reserve",
	[PANBIND_LOG_SPARSE_BIND] = "sparse-bind",
	[PANBIND_LOG_SPARSE_UNBIND] = "sparse-unbind",
	[PANBIND_LOG_SPARSE_RELEASE] = "sparse-release",
	[PANBIND_LOG_UNKNOWN] = "unknown",
};

static const char *const durability_names[] = {"none", "write", "sync"};

#define NAME_OF(table, i) \
	((size_t)(i) < sizeof(table) / sizeof((table)[0]) && (table)[(size_t)(i)] ? (table)[(size_t)(i)] : "?")

const char *panbind_log_kind_name(enum panbind_log_kind kind)
{
	return NAME_OF(kind_names, kind);
}

const char *panbind_log_op_name(enum panbind_log_op_type type)
{
	return NAME_OF(op_names, type);
}

const char *panbind_log_durability_name(enum panbind_log_durability durability)
{
	return NAME_OF(durability_names, durability);
}

enum panbind_log_kind panbind_log_kind_from_name(const char *name)
{
	for (int i = PANBIND_LOG_START; name && i <= PANBIND_LOG_SCRIPT_END; i++)
		if (strcmp(kind_names[i], name) == 0)
			return (enum panbind_log_kind)i;
	return 0;
}

int panbind_log_op_from_name(const char *name)
{
	for (int i = 0; name && i <= PANBIND_LOG_UNKNOWN; i++)
		if (strcmp(op_names[i], name) == 0)
			return i;
	return -EINVAL;
}
