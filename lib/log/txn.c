/* SPDX-License-Identifier: MIT */
/*
 * Transaction ids: what makes a retry harmless. An id is in one of two places: among what is queued (a small table by
 * hash), or in the table `txn`, which outlives its entry. Both are looked at under the log's lock, and an id leaves the
 * first only when it is in the second, so that it is never in neither.
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

/* Version 1 knew no digests. */
#define LOOKUP(digest) \
	"SELECT seq, time_ns, result, outcome, stage, failing_op, applied, message" digest " FROM txn WHERE id = ?1"

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
	return pb_log_prepare(log->lookup_db, version < 2 ? LOOKUP(", NULL") : LOOKUP(", digest"), &log->lookup);
}

static uint32_t or_none(sqlite3_stmt *stmt, int column)
{
	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return UINT32_MAX;
	return (uint32_t)sqlite3_column_int64(stmt, column);
}

static void read_txn(sqlite3_stmt *stmt, struct panbind_log_txn *ret_txn)
{
	const char *message = (const char *)sqlite3_column_text(stmt, 7);
	const char *digest = (const char *)sqlite3_column_text(stmt, 8);

	*ret_txn = (struct panbind_log_txn){
		.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
		.time_ns = sqlite3_column_int64(stmt, 1),
		.result = sqlite3_column_int(stmt, 2),
		.outcome = (enum panbind_outcome)sqlite3_column_int(stmt, 3),
		.stage = (enum panbind_stage)sqlite3_column_int(stmt, 4),
		.failing_op = or_none(stmt, 5),
		.applied = or_none(stmt, 6),
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
	if (rc == SQLITE_ROW && ret_txn)
		read_txn(log->lookup, ret_txn);
	sqlite3_reset(log->lookup);
	return err;
}

static void describe_pending(const struct panbind_log_entry *entry, struct panbind_log_txn *ret_txn)
{
	*ret_txn = (struct panbind_log_txn){
		.seq = entry->seq,
		.time_ns = entry->time_ns,
		.result = entry->result,
		.outcome = entry->outcome,
		.stage = entry->stage,
		.failing_op = entry->failing_op,
		.applied = entry->applied,
		.pending = 1,
	};
	snprintf(ret_txn->message, sizeof(ret_txn->message), "%s", entry->message ? entry->message : "");
	snprintf(ret_txn->digest, sizeof(ret_txn->digest), "%s", entry->digest ? entry->digest : "");
}

int panbind_log_txn_lookup(struct panbind_log *log, const char *txn_id, struct panbind_log_txn *ret_txn)
{
	const struct pb_item *item;
	int err = 0;

	pthread_mutex_lock(&log->lock);
	item = pb_pending_find(log, txn_id);
	if (item)
		describe_pending(&item->entry, ret_txn);
	else
		err = find_recorded(log, txn_id, ret_txn);
	pthread_mutex_unlock(&log->lock);
	return err;
}

int pb_txn_check(struct panbind_log *log, const char *txn_id, struct panbind_error *reterr)
{
	int err;

	if (!txn_id)
		return 0;
	err = pb_pending_find(log, txn_id) ? 0 : find_recorded(log, txn_id, NULL);
	if (err == -ENOENT)
		return 0;
	if (err < 0)
		return pb_log_error(reterr, err, "cannot look up a transaction id: %s", panbind_errno_name(err));
	return pb_log_error(reterr, -EEXIST, "transaction %s is recorded already", txn_id);
}
