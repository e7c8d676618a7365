/* SPDX-License-Identifier: MIT */
/*
 * The tables of a log, how one is made, recognised and opened. panbind-log(5) explains them to people.
 *
 * Why they are so: entry and op grow at their right edge only, so that a commit touches one or two pages of each; op.id
 * is made of the entry's seq and the op's index, so that both tables can be walked side by side in one pass and need no
 * second index. Everything that a default or NULL can say costs no byte in a row. What people read is in views.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "log.h"

#define APPLICATION_ID 0x50424c47 /* "PBLG" */

/* Small: a commit sums up and writes whole pages, and a small entry changes two. Not smaller: the trees that mappings
 * and transaction ids are looked up in would grow deeper, for hardly a microsecond. */
#define PAGE_SIZE "2048"

/* Who bound what is mapped where the log begins: each text once, as long as a mapping refers to it. Counted by the
 * database itself, since mappings are cut, copied and removed in many ways; a text that is gone gives its space back to
 * the folding that made it go. */
#define ARGV_TABLE                                                                                              \
	"CREATE TABLE argv(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, mappings INTEGER NOT NULL);"      \
	"CREATE TRIGGER argv_is_named AFTER INSERT ON snapshot_mapping WHEN NEW.argv IS NOT NULL BEGIN"         \
	" UPDATE argv SET mappings = mappings + 1 WHERE id = NEW.argv; END;"                                    \
	"CREATE TRIGGER argv_is_dropped AFTER DELETE ON snapshot_mapping WHEN OLD.argv IS NOT NULL BEGIN"       \
	" UPDATE argv SET mappings = mappings - 1 WHERE id = OLD.argv;"                                         \
	" DELETE FROM argv WHERE id = OLD.argv AND mappings = 0; END;"                                          \
	"CREATE TRIGGER argv_is_changed AFTER UPDATE OF argv ON snapshot_mapping WHEN NEW.argv IS NOT OLD.argv" \
	" BEGIN UPDATE argv SET mappings = mappings + 1 WHERE id = NEW.argv;"                                   \
	" UPDATE argv SET mappings = mappings - 1 WHERE id = OLD.argv;"                                         \
	" DELETE FROM argv WHERE id = OLD.argv AND mappings = 0; END;"

static const char tables[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE object("
	" id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL,"
	" size INTEGER NOT NULL, flags INTEGER NOT NULL, exclusive_vm INTEGER, created_seq INTEGER NOT NULL,"
	" destroyed_seq INTEGER, lost_seq INTEGER);"
	"CREATE TABLE entry("
	" seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, kind INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" uid INTEGER, gid INTEGER, pid INTEGER, txn_id TEXT, argv TEXT, comment TEXT,"
	" result INTEGER NOT NULL, outcome INTEGER NOT NULL, stage INTEGER NOT NULL, failing_op INTEGER, applied "
	"INTEGER,"
	" message TEXT, latency_ns INTEGER NOT NULL, durability INTEGER NOT NULL, object INTEGER,"
	" op_count INTEGER NOT NULL, tid INTEGER, line INTEGER);"
	"CREATE TABLE op("
	" id INTEGER PRIMARY KEY, type INTEGER NOT NULL, flags INTEGER NOT NULL, vm INTEGER, va INTEGER NOT NULL,"
	" size INTEGER NOT NULL, bo INTEGER, bo_offset INTEGER NOT NULL, syncs TEXT,"
	" seq INTEGER GENERATED ALWAYS AS (id >> 24) VIRTUAL, idx INTEGER GENERATED ALWAYS AS (id & 0xffffff) VIRTUAL);"
	"CREATE TABLE txn("
	" id TEXT PRIMARY KEY, seq INTEGER NOT NULL, time_ns INTEGER NOT NULL, result INTEGER NOT NULL,"
	" outcome INTEGER NOT NULL, stage INTEGER NOT NULL, failing_op INTEGER, applied INTEGER, message TEXT,"
	" digest TEXT, line INTEGER, open INTEGER, begun_seq INTEGER, transactions INTEGER, kept_first INTEGER,"
	" kept_last INTEGER) WITHOUT ROWID;"
	"CREATE TABLE snapshot_mapping("
	" vm INTEGER, va INTEGER, size INTEGER NOT NULL, bo INTEGER, bo_offset INTEGER NOT NULL, flags INTEGER NOT "
	"NULL,"
	" seq INTEGER NOT NULL, time_ns INTEGER NOT NULL, uid INTEGER, pid INTEGER, argv INTEGER, PRIMARY KEY(vm, va))"
	" WITHOUT ROWID;" ARGV_TABLE "CREATE TABLE snapshot_region("
	" vm INTEGER, va INTEGER, size INTEGER NOT NULL, PRIMARY KEY(vm, va)) WITHOUT ROWID;"
	"INSERT INTO meta VALUES('snapshot_seq', 0), ('snapshot_ops', 0), ('probe', 0);";

static const char names[] =
	"CREATE TABLE kind_name(id INTEGER PRIMARY KEY, name TEXT);"
	"INSERT INTO kind_name VALUES(1,'start'),(2,'vm.create'),(3,'vm.destroy'),(4,'bo.create'),(5,'bo.destroy'),"
	" (6,'bind'),(7,'vm.lost'),(8,'sync'),(9,'note'),"
	" (10,'script.begin'),(11,'script.end');"
	"CREATE TABLE op_name(id INTEGER PRIMARY KEY, name TEXT);"
	"INSERT INTO op_name VALUES(0,'map'),(1,'unmap'),(2,'map-sparse'),(3,'sync-only'),(4,'sparse-reserve'),"
	" (5,'sparse-bind'),(6,'sparse-unbind'),(7,'sparse-release'),(8,'unknown');"
	"CREATE TABLE outcome_name(id INTEGER PRIMARY KEY, name TEXT);"
	"INSERT INTO outcome_name VALUES(0,'applied'),(1,'rolled-back'),(2,'partial'),(3,'unknown');"
	"CREATE TABLE stage_name(id INTEGER PRIMARY KEY, name TEXT);"
	"INSERT INTO stage_name VALUES(0,'none'),(1,'parse'),(2,'validate'),(3,'submit'),(4,'complete'),(5,'rollback'),"
	" (6,'journal');";

/* tid came with version 3, line with version 5. */
#define LOG_VIEW                                                                                           \
	"CREATE VIEW log AS SELECT e.seq,"                                                                 \
	" strftime('%Y-%m-%dT%H:%M:%S', e.time_ns / 1000000000, 'unixepoch') ||"                           \
	"  printf('.%06dZ', e.time_ns / 1000 % 1000000) AS time,"                                          \
	" k.name AS kind, o.name AS object, o.generation, e.op_count AS ops, e.result, u.name AS outcome," \
	" s.name AS stage, e.failing_op, e.message, e.uid, e.pid, e.txn_id, e.argv, e.comment,"            \
	" e.latency_ns / 1000.0 AS latency_us, e.tid, e.line"                                              \
	" FROM entry e JOIN kind_name k ON k.id = e.kind JOIN outcome_name u ON u.id = e.outcome"          \
	" JOIN stage_name s ON s.id = e.stage LEFT JOIN object o ON o.id = e.object;"

static const char views[] = LOG_VIEW
	"CREATE VIEW ops AS SELECT p.id >> 24 AS seq, p.id & 0xffffff AS idx, n.name AS op, v.name AS vm,"
	" printf('0x%llx', p.va) AS va, printf('0x%llx', p.size) AS size, b.name AS bo,"
	" printf('0x%llx', p.bo_offset) AS bo_offset, p.flags, p.syncs"
	" FROM op p JOIN op_name n ON n.id = p.type LEFT JOIN object v ON v.id = p.vm LEFT JOIN object b ON b.id = "
	"p.bo;"
	"CREATE VIEW snapshot AS SELECT v.name AS vm, v.generation, printf('0x%llx', m.va) AS va,"
	" printf('0x%llx', m.size) AS size, b.name AS bo, printf('0x%llx', m.bo_offset) AS bo_offset, m.flags, m.seq"
	" FROM snapshot_mapping m JOIN object v ON v.id = m.vm LEFT JOIN object b ON b.id = m.bo;"
	"CREATE VIEW objects AS SELECT CASE kind WHEN 1 THEN 'vm' ELSE 'bo' END AS kind, name, generation, size,"
	" created_seq, destroyed_seq, lost_seq FROM object WHERE destroyed_seq IS NULL OR destroyed_seq > created_seq;";

/* What each version lacks of the next one: [1] makes version 2 of version 1. */
static const char *const upgrades[PANBIND_LOG_SCHEMA] = {
	[1] = "ALTER TABLE txn ADD COLUMN digest TEXT",
	[2] = "ALTER TABLE entry ADD COLUMN tid INTEGER; INSERT INTO kind_name VALUES(8,'sync'),(9,'note');"
	      " DROP VIEW log; " LOG_VIEW,
	[3] = "ALTER TABLE snapshot_mapping ADD COLUMN argv INTEGER; INSERT INTO op_name "
	      "VALUES(8,'unknown'); " ARGV_TABLE,
	[4] = "ALTER TABLE entry ADD COLUMN line INTEGER; ALTER TABLE txn ADD COLUMN line INTEGER;"
	      " ALTER TABLE txn ADD COLUMN open INTEGER; ALTER TABLE txn ADD COLUMN begun_seq INTEGER;"
	      " ALTER TABLE txn ADD COLUMN transactions INTEGER; ALTER TABLE txn ADD COLUMN kept_first INTEGER;"
	      " ALTER TABLE txn ADD COLUMN kept_last INTEGER;"
	      " INSERT INTO kind_name VALUES(10,'script.begin'),(11,'script.end'); DROP VIEW log; " LOG_VIEW,
};

int pb_schema_upgrade(sqlite3 *db, struct panbind_error *reterr)
{
	int64_t version = 0;
	char now[40];
	int err = pb_log_exec(db, "BEGIN IMMEDIATE");

	if (err == 0)
		err = pb_log_get_int(db, "PRAGMA user_version", 0, &version);
	for (; err == 0 && version > 0 && version < PANBIND_LOG_SCHEMA; version++)
		err = pb_log_exec(db, upgrades[version]);
	snprintf(now, sizeof(now), "PRAGMA user_version=%d", PANBIND_LOG_SCHEMA);
	if (err == 0)
		err = pb_log_exec(db, now);
	if (err == 0)
		err = pb_log_exec(db, "COMMIT");
	if (err == 0)
		return 0;
	pb_log_error(reterr, err, "cannot bring the log to version %d: %s", PANBIND_LOG_SCHEMA, sqlite3_errmsg(db));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

static int create_tables(sqlite3 *db)
{
	char versions[100];
	int err;

	snprintf(versions, sizeof(versions), "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID,
		 PANBIND_LOG_SCHEMA);
	err = pb_log_exec(db, "BEGIN IMMEDIATE");
	if (err == 0)
		err = pb_log_exec(db, tables);
	if (err == 0)
		err = pb_log_exec(db, names);
	if (err == 0)
		err = pb_log_exec(db, views);
	if (err == 0)
		err = pb_log_exec(db, versions);
	if (err == 0)
		err = pb_log_exec(db, "COMMIT");
	return err;
}

int pb_schema_create(sqlite3 *db, struct panbind_error *reterr)
{
	char words[200];
	int err = pb_log_exec(db, "PRAGMA page_size=" PAGE_SIZE
				  "; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL");

	if (err == 0)
		err = create_tables(db);
	if (err == 0)
		return 0;
	snprintf(words, sizeof(words), "%s", sqlite3_errmsg(db));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return pb_log_error(reterr, err, "cannot make the tables of a log: %s", words);
}

int pb_schema_check(sqlite3 *db, const char *path, bool *ret_empty, struct panbind_error *reterr)
{
	int64_t application = 0, version = 0, rows = 0;
	int err = pb_log_get_int(db, "PRAGMA application_id", 0, &application);

	if (err == 0)
		err = pb_log_get_int(db, "PRAGMA user_version", 0, &version);
	if (err == 0)
		err = pb_log_get_int(db, "SELECT count(*) FROM sqlite_schema", 0, &rows);
	if (err == -EBADMSG)
		return pb_log_error(reterr, err, "%s is not a log of panbind: %s", path, sqlite3_errmsg(db));
	if (err < 0)
		return pb_log_error(reterr, err, "cannot read %s: %s", path, sqlite3_errmsg(db));
	*ret_empty = application == 0 && rows == 0;
	if (*ret_empty)
		return 0;
	if (application != APPLICATION_ID)
		return pb_log_error(reterr, -EBADMSG, "%s is an SQLite database, but not a log of panbind", path);
	if (version > PANBIND_LOG_SCHEMA)
		return pb_log_error(reterr, -EPROTONOSUPPORT,
				    "%s has schema version %lld; this panbind knows up to %d: use a newer one", path,
				    (long long)version, PANBIND_LOG_SCHEMA);
	return 0;
}

static int open_for_reading(const char *name, int flags, sqlite3 **ret_db, bool *ret_empty, const char *path,
			    struct panbind_error *reterr)
{
	pb_autodb sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(name, &db, flags | SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL), err;

	if (!db)
		return pb_log_error(reterr, -ENOMEM, "no memory to open %s", path);
	if (rc != SQLITE_OK)
		return pb_log_error(reterr, pb_log_errno(db, rc), "cannot open %s: %s", path, sqlite3_errmsg(db));
	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, 5000);
	err = pb_schema_check(db, path, ret_empty, reterr);
	if (err < 0)
		return err;
	*ret_db = pb_take_ptr(db);
	return 0;
}

/* A log at rest on a medium that cannot be written: SQLite wants to be told that nobody else will. */
static int open_at_rest(const char *path, sqlite3 **ret_db, bool *ret_empty, struct panbind_error *reterr)
{
	pb_autofree char *uri = malloc(strlen(path) * 3 + 32), *wal = NULL;
	char *end;

	if (!uri || asprintf(&wal, "%s-wal", path) < 0)
		return -ENOMEM;
	if (access(wal, F_OK) == 0)
		return -EBUSY;
	end = uri + sprintf(uri, "file:");
	for (const char *p = path; *p; p++)
		end += strchr("%?#", *p) ? sprintf(end, "%%%02X", *p) : sprintf(end, "%c", *p);
	sprintf(end, "?immutable=1");
	return open_for_reading(uri, SQLITE_OPEN_URI, ret_db, ret_empty, path, reterr);
}

int pb_schema_connect_reader(const char *path, sqlite3 **ret_db, struct panbind_error *reterr)
{
	sqlite3 *db = NULL;
	bool empty = false;
	int err;

	if (access(path, R_OK) < 0)
		return pb_log_error(reterr, -errno, "cannot read the log: %m");
	err = open_for_reading(path, 0, &db, &empty, path, reterr);
	if (err < 0 && err != -EBADMSG && err != -EPROTONOSUPPORT && open_at_rest(path, &db, &empty, NULL) == 0)
		err = 0;
	if (err < 0)
		return err;
	if (empty) {
		sqlite3_close(db);
		return pb_log_error(reterr, -EBADMSG, "%s is not a log of panbind: it is empty", path);
	}
	*ret_db = db;
	return 0;
}
