/* SPDX-License-Identifier: MIT */
/*
 * Sweeps: after folding, remove what the snapshot does not need. In this order: the mappings of VMs that are dead, and
 * those VMs; BOs that are dead and mapped nowhere; transaction ids that are too old. Each step looks at a bounded
 * number of rows.
 *
 * BOs are marked and swept: a walk over all mappings marks the BOs it meets, which costs less than an index on bo would
 * cost each fold. Nothing is folded between the marking and the sweep, so that no unmarked BO can come back.
 */
#include <errno.h>

#include "log.h"

#define OBJECTS_A_STEP 256
#define ROWS_A_STEP    "2000"
#define MARKS_A_STEP   4000
#define TXNS_A_STEP    "500"

enum { SWEEP_VMS, SWEEP_MARK, SWEEP_BOS, SWEEP_TXNS, SWEEP_END };

/** An object that may go: what is known of it without the lock. */
struct candidate {
	int64_t id;
	bool gone;
};

/** The candidates for pb_objects_remove(), which asks in the order in which they stand here. */
struct candidates {
	const struct candidate *next;
	size_t left;
};

static int run_with_id(sqlite3 *db, const char *sql, int64_t id)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err = pb_log_prepare(db, sql, &stmt);

	if (err < 0)
		return err;
	sqlite3_bind_int64(stmt, 1, id);
	err = pb_log_run(stmt);
	return err < 0 ? err : sqlite3_changes(db);
}

/* Rows of a dead VM: 1 when some may be left. */
static int empty_vm(sqlite3 *db, int64_t id)
{
	int err = run_with_id(db,
			      "DELETE FROM snapshot_mapping WHERE vm = ?1 AND va IN"
			      " (SELECT va FROM snapshot_mapping WHERE vm = ?1 LIMIT " ROWS_A_STEP ")",
			      id);

	if (err != 0)
		return err < 0 ? err : 1;
	err = run_with_id(db, "DELETE FROM snapshot_region WHERE vm = ?1", id);
	return err < 0 ? err : 0;
}

/* Objects that were dead when the snapshot was taken. The newest of all stays: its id must not be given again, since a
 * reader may remember it. */
static size_t list_candidates(struct panbind_log *log, enum pb_object_kind kind, struct candidate *list, bool *ret_end)
{
	size_t count = 0, *at = &log->compactor.sweep.object;

	pthread_mutex_lock(&log->lock);
	for (; *at + 1 < log->objects.count && count < OBJECTS_A_STEP; ++*at) {
		const struct pb_object *object = log->objects.list[*at];

		if (object->kind == kind && object->destroyed_seq && object->destroyed_seq <= log->place.seq &&
		    !(kind == PB_OBJECT_BO && object->mapped))
			list[count++] = (struct candidate){object->id, false};
	}
	*ret_end = *at + 1 >= log->objects.count;
	pthread_mutex_unlock(&log->lock);
	return count;
}

static bool was_swept(void *data, const struct pb_object *object)
{
	struct candidates *candidates = data;
	bool gone;

	if (candidates->left == 0 || candidates->next->id != object->id)
		return false;
	gone = candidates->next->gone;
	candidates->next++;
	candidates->left--;
	return gone;
}

static void forget_swept(struct panbind_log *log, const struct candidate *list, size_t count)
{
	struct candidates candidates = {list, count};
	size_t before;

	pthread_mutex_lock(&log->lock);
	before = log->objects.count;
	pb_objects_remove(&log->objects, was_swept, &candidates);
	/* All of them stood before the cursor. */
	log->compactor.sweep.object -= before - log->objects.count;
	pthread_mutex_unlock(&log->lock);
}

static int delete_candidates(struct panbind_log *log, enum pb_object_kind kind, struct candidate *list, size_t count,
			     bool *ret_more)
{
	int err = 0;

	for (size_t i = 0; i < count && err >= 0; i++) {
		err = kind == PB_OBJECT_VM ? empty_vm(log->db, list[i].id) : 0;
		if (err == 1) {
			*ret_more = true; /* come back to it in the next step */
			return 0;
		}
		if (err == 0)
			err = run_with_id(log->db, "DELETE FROM object WHERE id = ?1", list[i].id);
		list[i].gone = err >= 0;
	}
	return err < 0 ? err : 0;
}

static int sweep_objects(struct panbind_log *log, enum pb_object_kind kind)
{
	struct candidate list[OBJECTS_A_STEP];
	size_t was_at = log->compactor.sweep.object, count;
	bool end, more = false;
	int err;

	count = list_candidates(log, kind, list, &end);
	if (count == 0)
		return !end;
	err = pb_compact_begin(log);
	if (err == 0)
		err = pb_compact_commit(log, delete_candidates(log, kind, list, count, &more));
	if (err < 0)
		return err;
	forget_swept(log, list, count);
	if (more)
		log->compactor.sweep.object = was_at;
	return more || !end;
}

/* ---- Marking ---- */

static bool has_dead_bos(struct panbind_log *log)
{
	bool found = false;

	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < log->objects.count; i++) {
		struct pb_object *object = log->objects.list[i];

		object->mapped = false;
		found |= object->kind == PB_OBJECT_BO && object->destroyed_seq &&
			 object->destroyed_seq <= log->place.seq;
	}
	pthread_mutex_unlock(&log->lock);
	return found;
}

static void mark(struct panbind_log *log, const int64_t *bos, size_t count)
{
	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < count; i++) {
		struct pb_object *object = pb_objects_by_id(&log->objects, bos[i]);

		if (object)
			object->mapped = true;
	}
	pthread_mutex_unlock(&log->lock);
}

/* 1: there are mappings left to look at. */
static int mark_step(struct panbind_log *log)
{
	struct pb_sweep *sweep = &log->compactor.sweep;
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int64_t bos[MARKS_A_STEP];
	bool begin = sweep->vm == 0;
	size_t count = 0;
	int err, rc;

	if (begin && !has_dead_bos(log))
		return 0;
	err = pb_log_prepare(log->db,
			     "SELECT vm, va, bo FROM snapshot_mapping WHERE (vm, va) > (?1, ?2) ORDER BY vm, va"
			     " LIMIT ?3",
			     &stmt);
	if (err < 0)
		return err;
	sqlite3_bind_int64(stmt, 1, sweep->vm);
	sqlite3_bind_int64(stmt, 2, begin ? -1 : sweep->va);
	sqlite3_bind_int(stmt, 3, MARKS_A_STEP);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && count < MARKS_A_STEP) {
		sweep->vm = sqlite3_column_int64(stmt, 0);
		sweep->va = sqlite3_column_int64(stmt, 1);
		bos[count++] = sqlite3_column_int64(stmt, 2);
	}
	err = pb_log_errno(log->db, rc);
	mark(log, bos, count);
	return err < 0 ? err : count > 0;
}

/* ---- Transaction ids ---- */

/* The last of the next ids, in memory of its own; NULL: none are left. */
static int next_txns(struct panbind_log *log, char **ret_last)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	const char *text = NULL;
	int err = pb_log_prepare(log->db,
				 "SELECT max(id) FROM (SELECT id FROM txn WHERE id > ?1 ORDER BY id LIMIT " TXNS_A_STEP
				 ")",
				 &stmt);

	if (err < 0)
		return err;
	sqlite3_bind_text(stmt, 1, log->compactor.sweep.txn ? log->compactor.sweep.txn : "", -1, SQLITE_STATIC);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		text = (const char *)sqlite3_column_text(stmt, 0);
	*ret_last = text ? strdup(text) : NULL;
	return text && !*ret_last ? -ENOMEM : 0;
}

static int drop_txns(struct panbind_log *log, const char *last, uint64_t limit)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err = pb_log_prepare(log->db, "DELETE FROM txn WHERE id > ?1 AND id <= ?2 AND seq <= ?3", &stmt);

	if (err < 0)
		return err;
	sqlite3_bind_text(stmt, 1, log->compactor.sweep.txn ? log->compactor.sweep.txn : "", -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, last, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, (int64_t)limit);
	err = pb_compact_begin(log);
	return err < 0 ? err : pb_compact_commit(log, pb_log_run(stmt));
}

static int txn_step(struct panbind_log *log)
{
	struct pb_sweep *sweep = &log->compactor.sweep;
	uint64_t limit = log->place.seq > log->txn_keep ? log->place.seq - log->txn_keep : 0;
	char *last = NULL;
	int err = limit ? next_txns(log, &last) : 0;

	if (err == 0 && last)
		err = drop_txns(log, last, limit);
	free(sweep->txn);
	sweep->txn = last;
	return err < 0 ? err : last != NULL;
}

int pb_sweep_step(struct panbind_log *log)
{
	struct pb_sweep *sweep = &log->compactor.sweep;
	int err;

	switch (sweep->phase) {
	case SWEEP_VMS:
		err = sweep_objects(log, PB_OBJECT_VM);
		break;
	case SWEEP_MARK:
		err = mark_step(log);
		break;
	case SWEEP_BOS:
		err = sweep_objects(log, PB_OBJECT_BO);
		break;
	default:
		err = txn_step(log);
		break;
	}
	if (err != 0)
		return err;
	sweep->object = 0;
	return ++sweep->phase < SWEEP_END;
}
