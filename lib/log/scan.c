/* SPDX-License-Identifier: MIT */
/*
 * A scan: entries in order, each with its ops. Two statements walk the tables `entry` and `op` side by side, since both
 * are ordered by seq; no join, no sort, one pass over the file. Everything that reads the log stands on this.
 *
 * The caller has a read transaction open, so that both statements see one moment of the log.
 */
#include <errno.h>

#include "log.h"

struct pb_scan {
	sqlite3 *db;
	sqlite3_stmt *entries, *ops;
	bool lean, syncs;
	bool op_waiting; /* the op statement stands on a row that is not used yet */
	bool running;
	struct pb_row row;
	struct pb_row_op *found;
	size_t room;
	char *texts; /* copies of the syncs of the current entry: SQLite's own go with the next step */
	size_t text_size, text_room;
};

/* Columns of the entry statements; a lean one stops before `uid`. */
enum {
	COL_SEQ,
	COL_TIME,
	COL_KIND,
	COL_FLAGS,
	COL_RESULT,
	COL_OUTCOME,
	COL_STAGE,
	COL_FAILING_OP,
	COL_APPLIED,
	COL_OBJECT,
	COL_OP_COUNT,
	COL_UID,
	COL_GID,
	COL_PID,
	COL_TXN_ID,
	COL_ARGV,
	COL_COMMENT,
	COL_MESSAGE,
	COL_LATENCY,
	COL_DURABILITY,
	COL_DIGEST,
	COL_TID,
	COL_LINE,
};
#define LEAN_COLUMNS "seq, time_ns, kind, flags, result, outcome, stage, failing_op, applied, object, op_count"
#define FULL_COLUMNS LEAN_COLUMNS ", uid, gid, pid, txn_id, argv, comment, message, latency_ns, durability"
#define DIGEST	     ", (SELECT digest FROM txn WHERE id = entry.txn_id)" /* of a retry: with the id, and as long */
#define ENTRY_RANGE  " FROM entry WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq"

/* Of a log of that version, as it may be read without being upgraded. */
static const char *full_statement(int64_t version)
{
	if (version < 2)
		return "SELECT " FULL_COLUMNS ", NULL, NULL, NULL" ENTRY_RANGE;
	if (version < 3)
		return "SELECT " FULL_COLUMNS DIGEST ", NULL, NULL" ENTRY_RANGE;
	if (version < 5)
		return "SELECT " FULL_COLUMNS DIGEST ", tid, NULL" ENTRY_RANGE;
	return "SELECT " FULL_COLUMNS DIGEST ", tid, line" ENTRY_RANGE;
}

int pb_scan_open(sqlite3 *db, uint32_t flags, struct pb_scan **ret_scan)
{
	bool lean = flags & PB_SCAN_LEAN;
	struct pb_scan *scan = calloc(1, sizeof(*scan));
	int64_t version = 0;
	int err;

	if (!scan)
		return -ENOMEM;
	scan->db = db;
	scan->lean = lean;
	scan->syncs = !lean || flags & PB_SCAN_SYNCS;
	err = pb_log_get_int(db, "PRAGMA user_version", 0, &version);
	if (err == 0)
		err = pb_log_prepare(db, lean ? "SELECT " LEAN_COLUMNS ENTRY_RANGE : full_statement(version),
				     &scan->entries);
	if (err == 0)
		err = pb_log_prepare(db, "SELECT " PB_OP_COLUMNS " FROM op WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
				     &scan->ops);
	if (err < 0) {
		pb_scan_close(scan);
		return err;
	}
	*ret_scan = scan;
	return 0;
}

void pb_scan_close(struct pb_scan *scan)
{
	if (!scan)
		return;
	sqlite3_finalize(scan->entries);
	sqlite3_finalize(scan->ops);
	free(scan->found);
	free(scan->texts);
	free(scan);
}

void pb_scan_stop(struct pb_scan *scan)
{
	sqlite3_reset(scan->entries);
	sqlite3_reset(scan->ops);
	scan->running = scan->op_waiting = false;
}

static int step_ops(struct pb_scan *scan)
{
	int rc = sqlite3_step(scan->ops);

	scan->op_waiting = rc == SQLITE_ROW;
	return pb_log_errno(scan->db, rc);
}

int pb_scan_start(struct pb_scan *scan, uint64_t from, uint64_t until)
{
	if (until >= PB_LOG_MAX_SEQ)
		until = PB_LOG_MAX_SEQ - 1;
	if (from >= PB_LOG_MAX_SEQ)
		from = PB_LOG_MAX_SEQ - 1;
	pb_scan_stop(scan);
	sqlite3_bind_int64(scan->entries, 1, (int64_t)from);
	sqlite3_bind_int64(scan->entries, 2, (int64_t)until);
	sqlite3_bind_int64(scan->ops, 1, PB_OP_ID(from));
	sqlite3_bind_int64(scan->ops, 2, PB_OP_ID(until + 1) - 1);
	scan->running = true;
	return step_ops(scan);
}

static const char *text(sqlite3_stmt *stmt, int column)
{
	return (const char *)sqlite3_column_text(stmt, column);
}

static uint32_t or_none(sqlite3_stmt *stmt, int column)
{
	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return UINT32_MAX;
	return (uint32_t)sqlite3_column_int64(stmt, column);
}

static void read_lean(sqlite3_stmt *stmt, struct pb_row *row)
{
	row->entry = (struct panbind_log_entry){
		.seq = (uint64_t)sqlite3_column_int64(stmt, COL_SEQ),
		.time_ns = sqlite3_column_int64(stmt, COL_TIME),
		.kind = (enum panbind_log_kind)sqlite3_column_int(stmt, COL_KIND),
		.flags = (uint32_t)sqlite3_column_int64(stmt, COL_FLAGS),
		.result = sqlite3_column_int(stmt, COL_RESULT),
		.outcome = (enum panbind_outcome)sqlite3_column_int(stmt, COL_OUTCOME),
		.stage = (enum panbind_stage)sqlite3_column_int(stmt, COL_STAGE),
		.failing_op = or_none(stmt, COL_FAILING_OP),
		.applied = or_none(stmt, COL_APPLIED),
		.op_count = (size_t)sqlite3_column_int64(stmt, COL_OP_COUNT),
	};
	row->object = sqlite3_column_int64(stmt, COL_OBJECT);
}

static void read_rest(sqlite3_stmt *stmt, struct panbind_log_entry *entry)
{
	entry->uid = or_none(stmt, COL_UID);
	entry->gid = or_none(stmt, COL_GID);
	entry->pid = sqlite3_column_int(stmt, COL_PID);
	entry->txn_id = text(stmt, COL_TXN_ID);
	entry->argv = text(stmt, COL_ARGV);
	entry->comment = text(stmt, COL_COMMENT);
	entry->message = text(stmt, COL_MESSAGE);
	entry->latency_ns = (uint64_t)sqlite3_column_int64(stmt, COL_LATENCY);
	entry->durability = (enum panbind_log_durability)sqlite3_column_int(stmt, COL_DURABILITY);
	entry->digest = text(stmt, COL_DIGEST);
	entry->tid = sqlite3_column_int(stmt, COL_TID);
	entry->line = (uint32_t)sqlite3_column_int64(stmt, COL_LINE);
}

void pb_scan_op_columns(sqlite3_stmt *stmt, bool lean, struct pb_row_op *ret_op)
{
	*ret_op = (struct pb_row_op){
		.index = PB_OP_INDEX(sqlite3_column_int64(stmt, 0)),
		.type = (uint8_t)sqlite3_column_int(stmt, 1),
		.flags = (uint32_t)sqlite3_column_int64(stmt, 2),
		.vm = sqlite3_column_int64(stmt, 3),
		.va = (uint64_t)sqlite3_column_int64(stmt, 4),
		.size = (uint64_t)sqlite3_column_int64(stmt, 5),
		.bo = sqlite3_column_int64(stmt, 6),
		.bo_offset = (uint64_t)sqlite3_column_int64(stmt, 7),
		.syncs = lean ? NULL : text(stmt, 8),
	};
}

/* Keep the op's text for as long as the entry: as a place first, since the block may move. */
static int keep_syncs(struct pb_scan *scan, struct pb_row_op *op)
{
	size_t size = strlen(op->syncs) + 1;

	if (scan->text_size + size > scan->text_room) {
		size_t room = (scan->text_size + size) * 2;
		char *texts = realloc(scan->texts, room);

		if (!texts)
			return -ENOMEM;
		scan->texts = texts;
		scan->text_room = room;
	}
	memcpy(scan->texts + scan->text_size, op->syncs, size);
	op->syncs_at = scan->text_size + 1;
	scan->text_size += size;
	return 0;
}

static int add_op(struct pb_scan *scan)
{
	struct pb_row_op *op;

	if (scan->row.op_count == scan->room) {
		size_t room = scan->room ? scan->room * 2 : 64;
		struct pb_row_op *found = realloc(scan->found, room * sizeof(*found));

		if (!found)
			return -ENOMEM;
		scan->found = found;
		scan->room = room;
	}
	op = &scan->found[scan->row.op_count++];
	pb_scan_op_columns(scan->ops, !scan->syncs, op);
	return op->syncs ? keep_syncs(scan, op) : 0;
}

static int collect_ops(struct pb_scan *scan)
{
	uint64_t seq = scan->row.entry.seq;
	int err = 0;

	scan->row.op_count = scan->text_size = 0;
	while (err == 0 && scan->op_waiting && PB_OP_SEQ(sqlite3_column_int64(scan->ops, 0)) <= seq) {
		/* Ops without an entry are for verify to find; here they are passed over. */
		if (PB_OP_SEQ(sqlite3_column_int64(scan->ops, 0)) == seq)
			err = add_op(scan);
		if (err == 0)
			err = step_ops(scan);
	}
	for (size_t i = 0; i < scan->row.op_count && scan->text_size; i++)
		if (scan->found[i].syncs_at)
			scan->found[i].syncs = scan->texts + scan->found[i].syncs_at - 1;
	scan->row.ops = scan->found;
	return err;
}

int pb_scan_next(struct pb_scan *scan, const struct pb_row **ret_row)
{
	int rc, err;

	if (!scan->running)
		return 0;
	rc = sqlite3_step(scan->entries);
	if (rc != SQLITE_ROW) {
		err = pb_log_errno(scan->db, rc);
		pb_scan_stop(scan);
		return err;
	}
	read_lean(scan->entries, &scan->row);
	if (!scan->lean)
		read_rest(scan->entries, &scan->row.entry);
	err = collect_ops(scan);
	if (err < 0)
		return err;
	*ret_row = &scan->row;
	return 1;
}
