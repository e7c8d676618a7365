/* SPDX-License-Identifier: MIT */
/*
 * From items to rows: the statements of the writer's connection, and what each kind of entry writes.
 */
#include <errno.h>
#include <stddef.h>

#include "log.h"

static const struct {
	size_t offset;
	const char *sql;
} statements[] = {
	{offsetof(struct pb_writer_sql, begin), "BEGIN IMMEDIATE"},
	{offsetof(struct pb_writer_sql, commit), "COMMIT"},
	{offsetof(struct pb_writer_sql, rollback), "ROLLBACK"},
	{offsetof(struct pb_writer_sql, entry),
	 "INSERT INTO entry VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"
	 " ?19, ?20, ?21, ?22)"},
	{offsetof(struct pb_writer_sql, op), "INSERT INTO op VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
	{offsetof(struct pb_writer_sql, object), "INSERT INTO object VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL)"},
	{offsetof(struct pb_writer_sql, destroy), "UPDATE object SET destroyed_seq = ?2 WHERE id = ?1"},
	{offsetof(struct pb_writer_sql, destroy_all),
	 "UPDATE object SET destroyed_seq = ?1 WHERE destroyed_seq IS NULL"},
	{offsetof(struct pb_writer_sql, lost), "UPDATE object SET lost_seq = ?2 WHERE id = ?1 AND lost_seq IS NULL"},
	{offsetof(struct pb_writer_sql, txn),
	 "INSERT INTO txn VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, NULL, NULL)"},
	{offsetof(struct pb_writer_sql, txn_part),
	 "UPDATE txn SET seq = ?2, time_ns = ?3, outcome = max(outcome, ?4), kept_first = ifnull(kept_first, ?5),"
	 " kept_last = ifnull(?5, kept_last), transactions = transactions + ?6 WHERE id = ?1 AND open"},
	{offsetof(struct pb_writer_sql, txn_end),
	 "UPDATE txn SET seq = ?2, time_ns = ?3, result = ?4, outcome = ?5, stage = ?6, failing_op = ?7, applied = ?8,"
	 " message = ?9, line = ?10, open = NULL WHERE id = ?1 AND open"},
	{offsetof(struct pb_writer_sql, probe), "UPDATE meta SET value = value + 1 WHERE key = 'probe'"},
	{offsetof(struct pb_writer_sql, pages), "PRAGMA page_count"},
	{offsetof(struct pb_writer_sql, free_pages), "PRAGMA freelist_count"},
	{offsetof(struct pb_writer_sql, hold), "SELECT key FROM meta"},
};

#define STATEMENT_COUNT (sizeof(statements) / sizeof(statements[0]))

static sqlite3_stmt **statement(struct pb_writer_sql *sql, size_t i)
{
	return (sqlite3_stmt **)((char *)sql + statements[i].offset);
}

int pb_writer_prepare(sqlite3 *db, struct pb_writer_sql *sql)
{
	int err = 0;

	for (size_t i = 0; i < STATEMENT_COUNT && err == 0; i++)
		err = pb_log_prepare(db, statements[i].sql, statement(sql, i));
	return err;
}

void pb_writer_finalize(struct pb_writer_sql *sql)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(*statement(sql, i));
	*sql = (struct pb_writer_sql){0};
}

static void bind_text(sqlite3_stmt *stmt, int column, const char *text)
{
	if (text)
		sqlite3_bind_text(stmt, column, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, column);
}

/* UINT32_MAX stands for "none" in the structs, NULL in the tables. */
static void bind_or_none(sqlite3_stmt *stmt, int column, uint32_t value)
{
	if (value == UINT32_MAX)
		sqlite3_bind_null(stmt, column);
	else
		sqlite3_bind_int64(stmt, column, value);
}

static void bind_id(sqlite3_stmt *stmt, int column, int64_t id)
{
	if (id)
		sqlite3_bind_int64(stmt, column, id);
	else
		sqlite3_bind_null(stmt, column);
}

static int insert_entry(struct pb_writer_sql *sql, const struct pb_item *item)
{
	const struct panbind_log_entry *entry = &item->entry;
	sqlite3_stmt *stmt = sql->entry;

	sqlite3_bind_int64(stmt, 1, (int64_t)entry->seq);
	sqlite3_bind_int64(stmt, 2, entry->time_ns);
	sqlite3_bind_int(stmt, 3, entry->kind);
	sqlite3_bind_int64(stmt, 4, entry->flags);
	bind_or_none(stmt, 5, entry->uid);
	bind_or_none(stmt, 6, entry->gid);
	sqlite3_bind_int(stmt, 7, entry->pid);
	bind_text(stmt, 8, entry->txn_id);
	bind_text(stmt, 9, entry->argv);
	bind_text(stmt, 10, entry->comment);
	sqlite3_bind_int(stmt, 11, entry->result);
	sqlite3_bind_int(stmt, 12, entry->outcome);
	sqlite3_bind_int(stmt, 13, entry->stage);
	bind_or_none(stmt, 14, entry->failing_op);
	bind_or_none(stmt, 15, entry->applied);
	bind_text(stmt, 16, entry->message);
	sqlite3_bind_int64(stmt, 17, (int64_t)entry->latency_ns);
	sqlite3_bind_int(stmt, 18, entry->durability);
	bind_id(stmt, 19, item->object);
	sqlite3_bind_int64(stmt, 20, (int64_t)entry->op_count);
	bind_id(stmt, 21, entry->tid);
	bind_id(stmt, 22, entry->line);
	return pb_log_run(stmt);
}

static int insert_ops(struct pb_writer_sql *sql, const struct pb_item *item)
{
	sqlite3_stmt *stmt = sql->op;
	int err = 0;

	for (size_t i = 0; i < item->entry.op_count && err == 0; i++) {
		const struct pb_row_op *op = &item->ops[i];

		sqlite3_bind_int64(stmt, 1, PB_OP_ID(item->entry.seq) + (int64_t)i);
		sqlite3_bind_int(stmt, 2, op->type);
		sqlite3_bind_int64(stmt, 3, op->flags);
		bind_id(stmt, 4, op->vm);
		sqlite3_bind_int64(stmt, 5, (int64_t)op->va);
		sqlite3_bind_int64(stmt, 6, (int64_t)op->size);
		bind_id(stmt, 7, op->bo);
		sqlite3_bind_int64(stmt, 8, (int64_t)op->bo_offset);
		bind_text(stmt, 9, op->syncs);
		err = pb_log_run(stmt);
	}
	return err;
}

/* Other threads may have destroyed the object since: only what never changes is read from it. */
static int insert_object(struct pb_writer_sql *sql, const struct pb_object *object, uint64_t destroyed_seq)
{
	sqlite3_stmt *stmt = sql->object;

	sqlite3_bind_int64(stmt, 1, object->id);
	sqlite3_bind_int(stmt, 2, object->kind);
	bind_text(stmt, 3, object->name);
	sqlite3_bind_int64(stmt, 4, (int64_t)object->generation);
	sqlite3_bind_int64(stmt, 5, (int64_t)object->size);
	sqlite3_bind_int64(stmt, 6, object->flags);
	bind_id(stmt, 7, object->exclusive_vm);
	sqlite3_bind_int64(stmt, 8, (int64_t)object->created_seq);
	bind_id(stmt, 9, (int64_t)destroyed_seq);
	return pb_log_run(stmt);
}

static int update_object(sqlite3_stmt *stmt, int64_t id, uint64_t seq)
{
	sqlite3_bind_int64(stmt, 1, id);
	sqlite3_bind_int64(stmt, 2, (int64_t)seq);
	return pb_log_run(stmt);
}

static int change_objects(struct pb_writer_sql *sql, const struct pb_item *item)
{
	const struct panbind_log_entry *entry = &item->entry;
	bool creates =
		entry->result == 0 && (entry->kind == PANBIND_LOG_VM_CREATE || entry->kind == PANBIND_LOG_BO_CREATE);
	int err = 0;

	for (size_t i = 0; i < item->created_count && err == 0; i++)
		err = insert_object(sql, item->created[i], creates ? 0 : entry->seq);
	for (size_t i = 0; i < item->lost_count && err == 0; i++)
		err = update_object(sql->lost, item->lost_vms[i], entry->seq);
	if (err < 0 || entry->result != 0)
		return err;
	if (entry->kind == PANBIND_LOG_VM_DESTROY || entry->kind == PANBIND_LOG_BO_DESTROY)
		return update_object(sql->destroy, item->object, entry->seq);
	if (entry->kind == PANBIND_LOG_START) {
		sqlite3_bind_int64(sql->destroy_all, 1, (int64_t)entry->seq);
		return pb_log_run(sql->destroy_all);
	}
	return 0;
}

/* ---- What is remembered of a transaction id ---- */

/* All the statements begin so, and the first and the last go on so. */
static void bind_txn(sqlite3_stmt *stmt, const struct panbind_log_entry *entry)
{
	bind_text(stmt, 1, entry->txn_id);
	sqlite3_bind_int64(stmt, 2, (int64_t)entry->seq);
	sqlite3_bind_int64(stmt, 3, entry->time_ns);
}

static void bind_end(sqlite3_stmt *stmt, const struct panbind_log_entry *entry)
{
	bind_txn(stmt, entry);
	sqlite3_bind_int(stmt, 4, entry->result);
	sqlite3_bind_int(stmt, 5, entry->outcome);
	sqlite3_bind_int(stmt, 6, entry->stage);
	bind_or_none(stmt, 7, entry->failing_op);
	bind_or_none(stmt, 8, entry->applied);
	bind_text(stmt, 9, entry->message);
}

static int insert_txn(struct pb_writer_sql *sql, const struct panbind_log_entry *entry)
{
	sqlite3_stmt *stmt = sql->txn;

	bind_end(stmt, entry);
	bind_text(stmt, 10, entry->digest);
	bind_id(stmt, 11, entry->line);
	for (int column = 12; column <= 14; column++)
		sqlite3_bind_null(stmt, column);
	return pb_log_run(stmt);
}

/* A script that has begun, and until more is known has been interrupted before it did anything. */
static int insert_open_txn(struct pb_writer_sql *sql, const struct panbind_log_entry *entry)
{
	struct panbind_log_entry none = *entry;
	sqlite3_stmt *stmt = sql->txn;

	none.result = -EINTR;
	none.outcome = PANBIND_OUTCOME_ROLLED_BACK;
	none.stage = PANBIND_STAGE_NONE;
	none.failing_op = PANBIND_NO_OP;
	none.applied = 0;
	none.message = PB_INTERRUPTED;
	bind_end(stmt, &none);
	bind_text(stmt, 10, entry->digest);
	sqlite3_bind_null(stmt, 11);
	sqlite3_bind_int(stmt, 12, 1);
	bind_id(stmt, 13, entry->kind == PANBIND_LOG_SCRIPT_BEGIN ? (int64_t)entry->seq : 0);
	sqlite3_bind_int(stmt, 14, 0);
	return pb_log_run(stmt);
}

/* Whether the script was under way. */
static int update_txn(struct pb_writer_sql *sql, const struct panbind_log_entry *entry, bool *ret_was_open)
{
	sqlite3_stmt *stmt = entry->kind == PANBIND_LOG_SCRIPT_END ? sql->txn_end : sql->txn_part;
	bool applied = entry->result == 0;
	int err;

	if (stmt == sql->txn_end) {
		bind_end(stmt, entry);
		bind_id(stmt, 10, entry->line);
	} else {
		bind_txn(stmt, entry);
		sqlite3_bind_int(stmt, 4, applied ? PANBIND_OUTCOME_PARTIAL : entry->outcome);
		bind_id(stmt, 5, applied ? (int64_t)entry->seq : 0);
		sqlite3_bind_int(stmt, 6, applied && !(entry->flags & PANBIND_LOG_MORE));
	}
	err = pb_log_run(stmt);
	*ret_was_open = sqlite3_changes(sqlite3_db_handle(stmt)) > 0;
	return err;
}

/* A log that was imported may begin in the middle of a script: its id is then claimed by what there is of it. */
static int continue_txn(struct pb_writer_sql *sql, const struct panbind_log_entry *entry)
{
	bool was_open;
	int err = update_txn(sql, entry, &was_open);

	if (err < 0 || was_open)
		return err;
	err = insert_open_txn(sql, entry);
	return err < 0 ? err : update_txn(sql, entry, &was_open);
}

static int remember(struct pb_writer_sql *sql, const struct panbind_log_entry *entry)
{
	if (pb_entry_goes_on(entry))
		return continue_txn(sql, entry);
	return entry->kind == PANBIND_LOG_SCRIPT_BEGIN ? insert_open_txn(sql, entry) : insert_txn(sql, entry);
}

int pb_writer_insert(struct pb_writer_sql *sql, const struct pb_item *item)
{
	int err = insert_entry(sql, item);

	if (err == 0)
		err = insert_ops(sql, item);
	if (err == 0)
		err = change_objects(sql, item);
	return err == 0 && item->entry.txn_id ? remember(sql, &item->entry) : err;
}
