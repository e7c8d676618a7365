/* SPDX-License-Identifier: MIT */
/*
 * Transaction ids: what makes a retry harmless. An id is in one of two places: among what is queued (a small table by
 * hash), or in the table `txn`, which outlives its entry. Both are looked at under the log's lock, and an id leaves the
 * first only when it is in the second, so that it is never in neither.
 *
 * A script of several transactions has an entry for each of them, one before, which claims the id, and one at its end.
 * Its row is true after each of them: as long as there is no end, it says what became of it if none comes.
 */
#include <errno.h>
#include <stdio.h>

#include "log.h"

struct pb_item **pb_pending_bucket(struct panbind_log *log, const char *txn_id)
{
	uint32_t hash = 2166136261u;

	for (; *txn_id; txn_id++)
		hash = (hash ^ (unsigned char)*txn_id) * 16777619u;
	return &log->pending[(hash ^ hash >> 16) % PB_PENDING_BUCKETS];
}

struct pb_item *pb_pending_find(struct panbind_log *log, const char *txn_id)
{
	struct pb_item *item = *pb_pending_bucket(log, txn_id);

	while (item && strcmp(item->entry.txn_id, txn_id) != 0)
		item = item->same_bucket;
	return item;
}

#define LOOKUP "SELECT seq, time_ns, result, outcome, stage, failing_op, applied, message"
#define FROM   " FROM txn WHERE id = ?1"

/* Version 1 knew no digests, version 4 no scripts of several entries. */
static const char *lookup_statement(int64_t version)
{
	if (version < 2)
		return LOOKUP ", NULL, NULL, NULL, NULL, NULL, NULL, NULL" FROM;
	if (version < 5)
		return LOOKUP ", digest, NULL, NULL, NULL, NULL, NULL, NULL" FROM;
	return LOOKUP ", digest, line, open, begun_seq, transactions, kept_first, kept_last" FROM;
}

static int prepare_lookup(struct panbind_log *log)
{
	int64_t version = 0;
	int err = 0;

	if (!log->lookup_db)
		err = pb_schema_connect_reader(log->path, &log->lookup_db, NULL);
	if (err < 0 || log->lookup)
		return err;
	err = pb_log_get_int(log->lookup_db, "PRAGMA user_version", 0, &version);
	if (err < 0)
		return err;
	return pb_log_prepare(log->lookup_db, lookup_statement(version), &log->lookup);
}

static uint32_t or_none(sqlite3_stmt *stmt, int column)
{
	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return UINT32_MAX;
	return (uint32_t)sqlite3_column_int64(stmt, column);
}

static uint64_t or_zero(sqlite3_stmt *stmt, int column)
{
	return (uint64_t)sqlite3_column_int64(stmt, column);
}

static void read_txn(sqlite3_stmt *stmt, struct panbind_log_txn *ret_txn)
{
	const char *message = (const char *)sqlite3_column_text(stmt, 7);
	const char *digest = (const char *)sqlite3_column_text(stmt, 8);

	*ret_txn = (struct panbind_log_txn){
		.seq = or_zero(stmt, 0),
		.time_ns = sqlite3_column_int64(stmt, 1),
		.result = sqlite3_column_int(stmt, 2),
		.outcome = (enum panbind_outcome)sqlite3_column_int(stmt, 3),
		.stage = (enum panbind_stage)sqlite3_column_int(stmt, 4),
		.failing_op = or_none(stmt, 5),
		.applied = or_none(stmt, 6),
		.line = (uint32_t)or_zero(stmt, 9),
		.open = sqlite3_column_int(stmt, 10),
		.begun_seq = or_zero(stmt, 11),
		.script = sqlite3_column_type(stmt, 12) != SQLITE_NULL,
		.transactions = or_zero(stmt, 12),
		.kept_first = or_zero(stmt, 13),
		.kept_last = or_zero(stmt, 14),
	};
	snprintf(ret_txn->message, sizeof(ret_txn->message), "%s", message ? message : "");
	snprintf(ret_txn->digest, sizeof(ret_txn->digest), "%s", digest ? digest : "");
}

/* What is recorded of an id: 0, -ENOENT, or what went wrong. The log's lock is held. */
static int find_recorded(struct panbind_log *log, const char *txn_id, struct panbind_log_txn *ret_txn)
{
	int err = prepare_lookup(log), rc;

	if (err < 0)
		return err;
	sqlite3_bind_text(log->lookup, 1, txn_id, -1, SQLITE_STATIC);
	rc = sqlite3_step(log->lookup);
	err = rc == SQLITE_DONE ? -ENOENT : pb_log_errno(log->lookup_db, rc);
	if (rc == SQLITE_ROW)
		read_txn(log->lookup, ret_txn);
	sqlite3_reset(log->lookup);
	return err;
}

static bool is_open(const struct panbind_log_entry *entry)
{
	return entry->kind == PANBIND_LOG_SCRIPT_BEGIN || entry->flags & PANBIND_LOG_PART;
}

static void describe_alone(const struct panbind_log_entry *entry, struct panbind_log_txn *txn)
{
	txn->result = entry->result;
	txn->outcome = entry->outcome;
	txn->stage = entry->stage;
	txn->failing_op = entry->failing_op;
	txn->applied = entry->applied;
	txn->line = entry->line;
	snprintf(txn->message, sizeof(txn->message), "%s", entry->message ? entry->message : "");
	snprintf(txn->digest, sizeof(txn->digest), "%s", entry->digest ? entry->digest : "");
}

/* Entries of a script that are queued count only when they are recorded. */
static void describe_script(struct panbind_log *log, const struct panbind_log_entry *entry, struct panbind_log_txn *txn)
{
	bool known = find_recorded(log, entry->txn_id, txn) == 0;

	if (!is_open(entry)) {
		describe_alone(entry, txn);
	} else if (!known) {
		describe_alone(entry, txn);
		txn->result = -EINTR;
		txn->outcome = PANBIND_OUTCOME_ROLLED_BACK;
		snprintf(txn->message, sizeof(txn->message), PB_INTERRUPTED);
	}
	txn->script = 1;
	txn->open = is_open(entry);
}

static void describe_pending(struct panbind_log *log, const struct panbind_log_entry *entry,
			     struct panbind_log_txn *ret_txn)
{
	struct panbind_log_txn txn = {0};

	if (is_open(entry) || pb_entry_goes_on(entry))
		describe_script(log, entry, &txn);
	else
		describe_alone(entry, &txn);
	txn.seq = entry->seq;
	txn.time_ns = entry->time_ns;
	txn.pending = 1;
	*ret_txn = txn;
}

int panbind_log_txn_lookup(struct panbind_log *log, const char *txn_id, struct panbind_log_txn *ret_txn)
{
	const struct pb_item *item;
	int err = 0;

	pthread_mutex_lock(&log->lock);
	item = pb_pending_find(log, txn_id);
	if (item)
		describe_pending(log, &item->entry, ret_txn);
	else
		err = find_recorded(log, txn_id, ret_txn);
	pthread_mutex_unlock(&log->lock);
	return err;
}

int pb_txn_check(struct panbind_log *log, const struct panbind_log_entry *entry, struct panbind_error *reterr)
{
	const struct pb_item *item = entry->txn_id ? pb_pending_find(log, entry->txn_id) : NULL;
	struct panbind_log_txn txn = {0};
	int err = 0;

	if (!entry->txn_id)
		return 0;
	if (item)
		txn.open = is_open(&item->entry);
	else
		err = find_recorded(log, entry->txn_id, &txn);
	if (err < 0 && err != -ENOENT)
		return pb_log_error(reterr, err, "cannot look up a transaction id: %s", panbind_errno_name(err));
	if (pb_entry_goes_on(entry))
		return txn.open ? 0
				: pb_log_error(reterr, -ENOENT, "no script is under way as transaction %s",
					       entry->txn_id);
	return err == -ENOENT ? 0 : pb_log_error(reterr, -EEXIST, "transaction %s is recorded already", entry->txn_id);
}
