/* SPDX-License-Identifier: MIT */
/*
 * Compaction: fold the oldest entries into the snapshot tables and delete them, some milliseconds at a time, between
 * the groups of the writer thread. Each step is one SQLite transaction that leaves a whole log: the place of the
 * snapshot (meta.snapshot_seq, and snapshot_ops when an entry is folded in part) moves with its tables.
 *
 * It goes through phases: fold entries; sweep what the snapshot does not need (sweep.c); give free pages back. A job
 * that somebody asked for runs them once; the size cap runs them whenever the file has grown above it, until it is a
 * quarter below.
 *
 * Steps are not synced: losing one loses nothing, and the next synced commit takes it along. A step that fails is
 * rolled back; jobs are answered with its errno, and the cap tries again a second later.
 */
#include <errno.h>

#include "log.h"

#define STEP_NS	     2000000  /* while somebody waits */
#define IDLE_STEP_NS 50000000 /* while nobody does: longer steps write each page of the snapshot less often */
#define FREE_PAGES   "256"    /* given back in a step */
#define RETRY_NS     1000000000
#define CLOCK_EVERY  32 /* ops between two looks at the clock */

enum { PHASE_FOLD, PHASE_SWEEP, PHASE_VACUUM, PHASE_END };

int pb_compactor_open(struct panbind_log *log)
{
	struct pb_compactor *c = &log->compactor;
	const struct {
		sqlite3_stmt **stmt;
		const char *sql;
	} list[] = {
		{&c->entries, "SELECT seq, kind, applied, time_ns, uid, pid, argv FROM entry"
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
	free(c->sweep.txn);
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
	int64_t start_ns;
	uint32_t work;
};

static bool somebody_waits(struct panbind_log *log)
{
	bool waits;

	pthread_mutex_lock(&log->lock);
	waits = log->head != NULL;
	pthread_mutex_unlock(&log->lock);
	return waits;
}

static bool time_is_up(struct step *step)
{
	int64_t spent_ns;

	step->work++;
	if (step->log->compactor.step_ops)
		return step->work >= step->log->compactor.step_ops;
	if (step->work % CLOCK_EVERY)
		return false;
	spent_ns = pb_log_now_ns(CLOCK_MONOTONIC) - step->start_ns;
	return spent_ns > IDLE_STEP_NS || (spent_ns > STEP_NS && somebody_waits(step->log));
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
		.argv = (const char *)sqlite3_column_text(stmt, 6),
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
		if (err == 1 && time_is_up(step))
			break;
	}
	err = close_statement(stmt, rc, err);
	if (err >= 0)
		err = drop_folded(step, step->place.seq);
	return err < 0 ? err : rc == SQLITE_ROW;
}

/* ---- Phases ---- */

int pb_compact_commit(struct panbind_log *log, int err)
{
	if (err >= 0) {
		int committed = pb_log_run(log->sql.commit);

		err = committed < 0 ? committed : err;
	}
	if (err < 0 && !sqlite3_get_autocommit(log->db))
		pb_log_run(log->sql.rollback);
	return err;
}

int pb_compact_begin(struct panbind_log *log)
{
	int err = 0;

	if (log->full_sync)
		err = pb_log_exec(log->db, "PRAGMA synchronous=NORMAL");
	log->full_sync = false;
	return err < 0 ? err : pb_log_run(log->sql.begin);
}

static int run_fold(struct panbind_log *log, uint64_t target)
{
	struct step step = {.log = log, .place = log->place, .start_ns = pb_log_now_ns(CLOCK_MONOTONIC)};
	int err = pb_compact_begin(log);

	if (err == 0)
		err = pb_compact_commit(log, fold_step(&step, target));
	if (err < 0)
		return err;
	pthread_mutex_lock(&log->lock);
	log->place = step.place;
	pthread_mutex_unlock(&log->lock);
	return err;
}

static int run_vacuum(struct panbind_log *log)
{
	int64_t before = 0, after = 0;
	int err = pb_log_get_int(log->db, "PRAGMA freelist_count", 0, &before);

	if (err == 0 && before == 0)
		return 0;
	if (err == 0)
		err = pb_compact_begin(log);
	if (err == 0)
		err = pb_compact_commit(log, pb_log_exec(log->db, "PRAGMA incremental_vacuum(" FREE_PAGES ")"));
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
		return pb_sweep_step(log);
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
	free(log->compactor.sweep.txn);
	memset(&log->compactor.sweep, 0, sizeof(log->compactor.sweep));
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
	if (c->after_step)
		c->after_step(c->after_step_data);
	if (err < 0 || c->phase == PHASE_END)
		end_round(log, err);
	pb_wal_after_commit(log);
}
