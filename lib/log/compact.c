/* SPDX-License-Identifier: MIT */
/*
 * Compaction: fold the oldest entries into the snapshot tables and delete them, some milliseconds at a time, between
 * the groups of the writer thread. Each step is one SQLite transaction that leaves a whole log: the place of the
 * snapshot (meta.snapshot_seq, and snapshot_ops when an entry is folded in part) moves with its tables.
 *
 * It goes through phases: fold entries; sweep what the snapshot does not need (mappings of dead VMs, objects that are
 * dead and not mapped, transaction ids that are too old); give free pages back. A job that somebody asked for runs them
 * once; the size cap runs them whenever the file has grown above it, until it is a quarter below.
 *
 * Steps are not synced: losing one loses nothing, and the next synced commit takes it along. A step that fails is
 * rolled back; jobs are answered with its errno, and the cap tries again a second later.
 */
#include <errno.h>

#include "log.h"

#define STEP_NS		2000000
#define STEP_ROWS	2000
#define STEP_SWEEPS	256
#define STEP_FREE_PAGES 256
#define RETRY_NS	1000000000
#define CLOCK_EVERY	32 /* ops between two looks at the clock */
#define TXN_STEP	"500"
#define STRINGIFY(x)	#x
#define STRING_OF(x)	STRINGIFY(x)

enum { PHASE_FOLD, PHASE_SWEEP, PHASE_TXN, PHASE_VACUUM, PHASE_END };

int pb_compactor_open(struct panbind_log *log)
{
	struct pb_compactor *c = &log->compactor;
	const struct {
		sqlite3_stmt **stmt;
		const char *sql;
	} list[] = {
		{&c->entries, "SELECT seq, kind, applied, time_ns, uid, pid, op_count FROM entry"
			      " WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq"},
		{&c->ops, "SELECT " PB_OP_COLUMNS " FROM op WHERE id BETWEEN ?1 AND ?2 ORDER BY id"},
		{&c->drop_entries, "DELETE FROM entry WHERE seq <= ?1"},
		{&c->drop_ops, "DELETE FROM op WHERE id < ?1"},
		{&c->set_place, "UPDATE meta SET value = CASE key WHEN 'snapshot_seq' THEN ?1 ELSE ?2 END"
				" WHERE key IN ('snapshot_seq', 'snapshot_ops')"},
	};
	int err = pb_snapshot_open(log->db, &c->snapshot);

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]) && err == 0; i++)
		err = pb_log_prepare(log->db, list[i].sql, list[i].stmt);
	return err;
}

void pb_compactor_close(struct panbind_log *log)
{
	struct pb_compactor *c = &log->compactor;

	pb_snapshot_close(c->snapshot);
	sqlite3_finalize(c->entries);
	sqlite3_finalize(c->ops);
	sqlite3_finalize(c->drop_entries);
	sqlite3_finalize(c->drop_ops);
	sqlite3_finalize(c->set_place);
	*c = (struct pb_compactor){0};
	while (log->jobs) {
		struct pb_compact_job *job = log->jobs;

		log->jobs = job->next;
		job->done(job->data, log->place.seq, -ECANCELED);
		free(job);
	}
}

/* ---- Folding ---- */

/** One step: how far it came, and when it has to end. */
struct step {
	struct panbind_log *log;
	struct pb_snapshot_place place;
	int64_t until_ns;
	uint32_t work;
};

static bool time_is_up(struct step *step)
{
	return ++step->work % CLOCK_EVERY == 0 && pb_log_now_ns(CLOCK_MONOTONIC) > step->until_ns;
}

static uint32_t or_none(sqlite3_stmt *stmt, int column)
{
	if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
		return UINT32_MAX;
	return (uint32_t)sqlite3_column_int64(stmt, column);
}

/* @err, or what the last step of @stmt says. */
static int close_statement(sqlite3_stmt *stmt, int rc, int err)
{
	int step_err = pb_log_errno(sqlite3_db_handle(stmt), rc);

	sqlite3_reset(stmt);
	return err < 0 || step_err == 0 ? err : step_err;
}

/* Fold the applied ops of the entry from place.ops on. 1: all of them, 0: time was up. */
static int fold_ops(struct step *step, const struct panbind_log_entry *entry)
{
	sqlite3_stmt *stmt = step->log->compactor.ops;
	int rc = SQLITE_DONE, err = 0;
	struct pb_row_op op;

	sqlite3_bind_int64(stmt, 1, PB_OP_ID(entry->seq) + step->place.ops);
	sqlite3_bind_int64(stmt, 2, PB_OP_ID(entry->seq) + entry->applied - 1);
	while (err == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		pb_scan_op_columns(stmt, true, &op);
		err = pb_snapshot_op(step->log->compactor.snapshot, entry, &op);
		if (err == 0) {
			step->place.ops = op.index + 1;
			if (time_is_up(step) && step->place.ops < entry->applied)
				break;
		}
	}
	err = close_statement(stmt, rc, err);
	return err < 0 ? err : rc == SQLITE_DONE;
}

static int fold_entry(struct step *step, sqlite3_stmt *stmt)
{
	struct panbind_log_entry entry = {
		.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
		.kind = (enum panbind_log_kind)sqlite3_column_int(stmt, 1),
		.applied = or_none(stmt, 2),
		.time_ns = sqlite3_column_int64(stmt, 3),
		.uid = or_none(stmt, 4),
		.pid = sqlite3_column_int(stmt, 5),
	};
	int err = 1;

	if (entry.kind == PANBIND_LOG_BIND && entry.applied && entry.applied != PANBIND_LOG_UNCLEAR)
		err = fold_ops(step, &entry);
	if (err == 1)
		step->place = (struct pb_snapshot_place){.seq = entry.seq};
	return err;
}

static int drop_folded(struct step *step, uint64_t seq)
{
	struct pb_compactor *c = &step->log->compactor;
	int err;

	sqlite3_bind_int64(c->drop_entries, 1, (int64_t)seq);
	sqlite3_bind_int64(c->drop_ops, 1, PB_OP_ID(seq + 1));
	sqlite3_bind_int64(c->set_place, 1, (int64_t)step->place.seq);
	sqlite3_bind_int64(c->set_place, 2, step->place.ops);
	err = pb_log_run(c->drop_entries);
	if (err == 0)
		err = pb_log_run(c->drop_ops);
	return err < 0 ? err : pb_log_run(c->set_place);
}

/* 1: there are entries left up to @target. */
static int fold_step(struct step *step, uint64_t target)
{
	sqlite3_stmt *stmt = step->log->compactor.entries;
	int rc = SQLITE_DONE, err = 1;

	sqlite3_bind_int64(stmt, 1, (int64_t)step->place.seq + 1);
	sqlite3_bind_int64(stmt, 2, (int64_t)target);
	while (err == 1 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		err = fold_entry(step, stmt);
		if (err == 1 && pb_log_now_ns(CLOCK_MONOTONIC) > step->until_ns)
			break;
	}
	err = close_statement(stmt, rc, err);
	if (err >= 0)
		err = drop_folded(step, step->place.seq);
	return err < 0 ? err : rc == SQLITE_ROW;
}

/* ---- Sweeping ---- */

static int delete_rows(sqlite3 *db, const char *sql, int64_t id)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err = pb_log_prepare(db, sql, &stmt);

	if (err < 0)
		return err;
	sqlite3_bind_int64(stmt, 1, id);
	err = pb_log_run(stmt);
	return err < 0 ? err : sqlite3_changes(db);
}

/* What hangs on a dead object in the snapshot: 1 when some is left, 0 when the object can go. */
static int sweep_object(sqlite3 *db, int64_t id, enum pb_object_kind kind)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err;

	if (kind == PB_OBJECT_BO) {
		err = pb_log_prepare(db, "SELECT 1 FROM snapshot_mapping WHERE bo = ?1 LIMIT 1", &stmt);
		if (err < 0)
			return err;
		sqlite3_bind_int64(stmt, 1, id);
		return sqlite3_step(stmt) == SQLITE_ROW;
	}
	err = delete_rows(db,
			  "DELETE FROM snapshot_mapping WHERE vm = ?1 AND va IN"
			  " (SELECT va FROM snapshot_mapping WHERE vm = ?1 LIMIT " STRING_OF(STEP_ROWS) ")",
			  id);
	if (err < 0 || err == STEP_ROWS)
		return err < 0 ? err : 1;
	err = delete_rows(db, "DELETE FROM snapshot_region WHERE vm = ?1", id);
	return err < 0 ? err : 0;
}

/** An object that may be swept: what is known of it without the lock. */
struct candidate {
	int64_t id;
	enum pb_object_kind kind;
	bool gone;
};

/* Objects that were dead when the snapshot was taken. The newest of all stays: its id must not be given again, since a
 * reader may remember it. */
static size_t list_candidates(struct panbind_log *log, struct candidate *list, size_t max, bool *ret_end)
{
	size_t count = 0, *at = &log->compactor.sweep_at;

	pthread_mutex_lock(&log->lock);
	for (; *at + 1 < log->objects.count && count < max; ++*at) {
		const struct pb_object *object = log->objects.list[*at];

		if (object->destroyed_seq && object->destroyed_seq <= log->place.seq)
			list[count++] = (struct candidate){object->id, object->kind, false};
	}
	*ret_end = *at + 1 >= log->objects.count;
	pthread_mutex_unlock(&log->lock);
	return count;
}

/** The candidates for pb_objects_remove(), which asks in the order in which they stand here. */
struct candidates {
	const struct candidate *next;
	size_t left;
};

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
	log->compactor.sweep_at -= before - log->objects.count;
	pthread_mutex_unlock(&log->lock);
}

static int sweep_candidates(struct panbind_log *log, struct candidate *list, size_t count, bool *ret_more)
{
	int err = 0;

	for (size_t i = 0; i < count && err >= 0; i++) {
		err = sweep_object(log->db, list[i].id, list[i].kind);
		if (err == 1 && list[i].kind == PB_OBJECT_VM)
			*ret_more = true;
		if (err == 0) {
			err = delete_rows(log->db, "DELETE FROM object WHERE id = ?1", list[i].id);
			list[i].gone = err >= 0;
		}
	}
	return err < 0 ? err : 0;
}

/* ---- Phases ---- */

static int commit_step(struct panbind_log *log, int err)
{
	if (err >= 0) {
		int committed = pb_log_run(log->sql.commit);

		err = committed < 0 ? committed : err;
	}
	if (err < 0 && !sqlite3_get_autocommit(log->db))
		pb_log_run(log->sql.rollback);
	return err;
}

static int begin_step(struct panbind_log *log)
{
	int err = 0;

	if (log->full_sync)
		err = pb_log_exec(log->db, "PRAGMA synchronous=NORMAL");
	log->full_sync = false;
	return err < 0 ? err : pb_log_run(log->sql.begin);
}

static int run_fold(struct panbind_log *log, uint64_t target)
{
	struct step step = {.log = log, .place = log->place, .until_ns = pb_log_now_ns(CLOCK_MONOTONIC) + STEP_NS};
	int err = begin_step(log);

	if (err == 0)
		err = commit_step(log, fold_step(&step, target));
	if (err < 0)
		return err;
	pthread_mutex_lock(&log->lock);
	log->place = step.place;
	pthread_mutex_unlock(&log->lock);
	return err;
}

static int run_sweep(struct panbind_log *log)
{
	struct candidate list[STEP_SWEEPS];
	size_t was_at = log->compactor.sweep_at, count;
	bool end, more = false;
	int err;

	count = list_candidates(log, list, STEP_SWEEPS, &end);
	if (count == 0)
		return !end;
	err = begin_step(log);
	if (err == 0)
		err = commit_step(log, sweep_candidates(log, list, count, &more));
	if (err < 0)
		return err;
	forget_swept(log, list, count);
	if (more)
		log->compactor.sweep_at = was_at; /* a large VM: come back to it */
	return more || !end;
}

static int run_txn(struct panbind_log *log)
{
	struct pb_compactor *c = &log->compactor;
	pb_autofinalize sqlite3_stmt *last = NULL, *drop = NULL;
	uint64_t limit = log->place.seq > log->txn_keep ? log->place.seq - log->txn_keep : 0;
	const char *text;
	int err;

	if (limit == 0)
		return 0;
	err = pb_log_prepare(log->db,
			     "SELECT max(id) FROM (SELECT id FROM txn WHERE id > ?1 ORDER BY id LIMIT " TXN_STEP ")",
			     &last);
	if (err == 0)
		err = pb_log_prepare(log->db, "DELETE FROM txn WHERE id > ?1 AND id <= ?2 AND seq <= ?3", &drop);
	if (err < 0)
		return err;
	sqlite3_bind_text(last, 1, c->txn_at, -1, SQLITE_STATIC);
	if (sqlite3_step(last) != SQLITE_ROW || !(text = (const char *)sqlite3_column_text(last, 0)))
		return 0;
	sqlite3_bind_text(drop, 1, c->txn_at, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(drop, 2, text, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(drop, 3, (int64_t)limit);
	strcpy(c->txn_at, text);
	sqlite3_reset(last);
	err = begin_step(log);
	if (err == 0)
		err = commit_step(log, pb_log_run(drop));
	return err < 0 ? err : 1;
}

static int run_vacuum(struct panbind_log *log)
{
	int64_t before = 0, after = 0;
	int err = pb_log_get_int(log->db, "PRAGMA freelist_count", 0, &before);

	if (err == 0 && before == 0)
		return 0;
	if (err == 0)
		err = begin_step(log);
	if (err == 0)
		err = commit_step(log,
				  pb_log_exec(log->db, "PRAGMA incremental_vacuum(" STRING_OF(STEP_FREE_PAGES) ")"));
	if (err == 0)
		err = pb_log_get_int(log->db, "PRAGMA freelist_count", 0, &after);
	return err < 0 ? err : after > 0 && after < before;
}

static bool over_cap(const struct panbind_log *log)
{
	return log->size_cap && log->bytes > log->size_cap && log->place.seq < log->committed_seq;
}

bool pb_compact_wanted(struct panbind_log *log)
{
	if (log->compactor.retry_ns) {
		if (pb_log_now_ns(CLOCK_MONOTONIC) < log->compactor.retry_ns)
			return log->jobs != NULL;
		log->compactor.retry_ns = 0;
	}
	return log->compacting || over_cap(log);
}

/* Where the fold phase ends: with a job, at its seq; with the cap, when the file is small enough. The lock is held. */
static uint64_t fold_target(struct panbind_log *log)
{
	uint64_t target = 0;

	for (const struct pb_compact_job *job = log->jobs; job; job = job->next)
		if (job->until_seq > target)
			target = job->until_seq;
	if (log->size_cap && log->bytes > log->size_cap / 4 * 3)
		target = log->committed_seq;
	return target < log->committed_seq ? target : log->committed_seq;
}

static int run_phase(struct panbind_log *log, uint64_t target)
{
	switch (log->compactor.phase) {
	case PHASE_FOLD:
		return log->place.seq < target ? run_fold(log, target) : 0;
	case PHASE_SWEEP:
		return run_sweep(log);
	case PHASE_TXN:
		return run_txn(log);
	default:
		return run_vacuum(log);
	}
}

/* Take the jobs that are done, or all of them when they failed; one that came late may have entries left to fold. */
static struct pb_compact_job *take_jobs(struct panbind_log *log, int err)
{
	struct pb_compact_job *taken = NULL, **end = &taken, **place = &log->jobs;

	while (*place) {
		struct pb_compact_job *job = *place;

		if (err == 0 && job->until_seq > log->place.seq && log->place.seq < log->committed_seq) {
			place = &job->next;
			continue;
		}
		*place = job->next;
		job->next = NULL;
		*end = job;
		end = &job->next;
	}
	log->jobs_tail = place;
	return taken;
}

/* All phases are done, or one has failed: answer the jobs. */
static void end_round(struct panbind_log *log, int err)
{
	struct pb_compact_job *jobs, *job;
	uint64_t seq;

	pthread_mutex_lock(&log->lock);
	jobs = take_jobs(log, err);
	log->compacting = log->jobs != NULL;
	log->compactor.phase = PHASE_FOLD;
	log->compactor.sweep_at = 0;
	log->compactor.txn_at[0] = '\0';
	/* The cap could not be kept: the state alone is larger. Try again when there is more to fold. */
	log->compactor.retry_ns = err < 0 || over_cap(log) ? pb_log_now_ns(CLOCK_MONOTONIC) + RETRY_NS : 0;
	seq = log->place.seq;
	pthread_mutex_unlock(&log->lock);
	while ((job = jobs)) {
		jobs = job->next;
		job->done(job->data, seq, err);
		free(job);
	}
}

void pb_compact_step(struct panbind_log *log)
{
	struct pb_compactor *c = &log->compactor;
	uint64_t target, bytes = 0;
	int err;

	pb_writer_measure(log, &bytes);
	pthread_mutex_lock(&log->lock);
	log->compacting = true;
	log->bytes = bytes;
	target = fold_target(log);
	pthread_mutex_unlock(&log->lock);
	err = run_phase(log, target);
	if (err == 0)
		c->phase++;
	if (err < 0 || c->phase == PHASE_END)
		end_round(log, err);
	pb_wal_after_commit(log);
}
