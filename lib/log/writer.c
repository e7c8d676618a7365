/* SPDX-License-Identifier: MIT */
/*
 * The writer thread: takes what has gathered, commits it as one transaction, answers, and starts over. Between groups
 * it does the housekeeping in bounded steps: a compaction step, the end of a checkpoint.
 *
 * Turns: committing needs the writer's connection, so one thread does it at a time. Mostly that is the writer; a thread
 * that has appended the only entry there is, and would only wait for it, takes the turn itself and saves two switches
 * from thread to thread, which on a core that has gone to sleep can cost as much as the sync.
 *
 * A group is synced when one of its entries asks for it; SQLite syncs the write-ahead file, and with it everything
 * written before. Nobody is called back with the log's lock held.
 *
 * On failure all that is queued fails with the group, see journal.c. The thread then probes four times a second with a
 * small write of its own. When that works again after a lack of space, the log goes on; after any other error it does
 * so only when what was acknowledged is known to be on the disk, see trust.c. A damaged log stays closed.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "log.h"

#define MAX_GROUP_ITEMS 4096
#define MAX_GROUP_BYTES (8u << 20)
#define PROBE_NS	250000000
#define MEASURE_GROUPS	64

/** What is committed at once. */
struct group {
	struct pb_item *first;
	uint64_t last_seq;
	size_t count, bytes;
	bool sync;
	const char *why; /* it could not be committed: SQLite's words, constant */
};

/* ---- Groups ---- */

static void take_group(struct panbind_log *log, struct group *group)
{
	struct pb_item **end = &log->head;
	bool joined = false;

	*group = (struct group){.first = log->head};
	while (*end && (joined || (group->count < MAX_GROUP_ITEMS && group->bytes < MAX_GROUP_BYTES))) {
		joined = (*end)->joins_next;
		group->count++;
		group->bytes += (*end)->bytes;
		group->last_seq = (*end)->entry.seq;
		group->sync |= (*end)->entry.durability == PANBIND_LOG_DURABLE_SYNC;
		end = &(*end)->next;
	}
	log->head = *end;
	if (!log->head)
		log->tail = &log->head;
	*end = NULL;
}

static void answer(const struct pb_item *item, int result)
{
	if (item->done)
		item->done(item->data, item->entry.seq, result);
}

static void answer_hasty(const struct group *group)
{
	for (const struct pb_item *item = group->first; item; item = item->next)
		if (item->entry.durability == PANBIND_LOG_DURABLE_NONE)
			answer(item, 0);
}

/* Answer the rest and free all. */
static void answer_group(struct pb_item *item, int result)
{
	while (item) {
		struct pb_item *next = item->next;

		if (item->entry.durability != PANBIND_LOG_DURABLE_NONE)
			answer(item, result);
		pb_item_free(item);
		item = next;
	}
}

static void forget_pending(struct panbind_log *log, struct pb_item *item)
{
	for (; item; item = item->next) {
		struct pb_item **place;

		if (!item->entry.txn_id)
			continue;
		place = pb_pending_bucket(log, item->entry.txn_id);
		while (*place != item)
			place = &(*place)->same_bucket;
		*place = item->same_bucket;
	}
}

/* PRAGMA synchronous takes effect while it is compiled: it cannot be prepared once. */
static int set_sync(struct panbind_log *log, bool full)
{
	int err;

	if (log->full_sync == full)
		return 0;
	err = pb_log_exec(log->db, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
	if (err == 0)
		log->full_sync = full;
	return err;
}

/* Somebody else may have the lock for a moment. SQLite waits for it only when the connection reads nothing. */
static int begin(struct panbind_log *log)
{
	int err = pb_wal_hold(log);

	if (err == 0)
		err = pb_log_run(log->sql.begin);
	if (err != -EBUSY)
		return err;
	pb_wal_release(log);
	return pb_log_run(log->sql.begin);
}

static int commit_group(struct panbind_log *log, struct group *group)
{
	int err = set_sync(log, group->sync);

	if (err == 0)
		err = begin(log);
	for (const struct pb_item *item = group->first; item && err == 0; item = item->next)
		err = pb_writer_insert(&log->sql, item);
	if (err == 0)
		err = pb_log_run(log->sql.commit);
	if (err < 0)
		group->why = sqlite3_errstr(sqlite3_extended_errcode(log->db));
	if (err < 0 && (sqlite3_errcode(log->db) & 0xff) == SQLITE_IOERR)
		log->distrusted = true;
	if (err < 0 && !sqlite3_get_autocommit(log->db))
		pb_log_run(log->sql.rollback);
	if (err < 0)
		pb_wal_release(log);
	return err;
}

int pb_writer_measure(struct panbind_log *log, uint64_t *ret_bytes)
{
	int64_t pages = 0, free_pages = 0;

	if (sqlite3_step(log->sql.pages) == SQLITE_ROW)
		pages = sqlite3_column_int64(log->sql.pages, 0);
	sqlite3_reset(log->sql.pages);
	if (sqlite3_step(log->sql.free_pages) == SQLITE_ROW)
		free_pages = sqlite3_column_int64(log->sql.free_pages, 0);
	sqlite3_reset(log->sql.free_pages);
	*ret_bytes = (uint64_t)(pages - free_pages) * log->page_size;
	return 0;
}

static void group_is_committed(struct panbind_log *log, struct group *group)
{
	void (*hook)(void *data, uint64_t last_seq);
	void *hook_data;
	uint64_t bytes = 0;

	if (log->size_cap && log->groups % MEASURE_GROUPS == 0) /* groups is written by whoever has the turn */
		pb_writer_measure(log, &bytes);
	pthread_mutex_lock(&log->lock);
	forget_pending(log, group->first);
	log->committed_seq = group->last_seq;
	log->groups++;
	log->queued -= group->count;
	log->queued_bytes -= group->bytes;
	if (bytes)
		log->bytes = bytes;
	hook = log->hook;
	hook_data = log->hook_data;
	pthread_cond_broadcast(&log->changed);
	pthread_mutex_unlock(&log->lock);
	if (hook)
		hook(hook_data, group->last_seq);
	answer_group(group->first, 0);
}

/* All that is queued goes with the group. */
static void group_has_failed(struct panbind_log *log, struct group *group, int err)
{
	struct pb_item *rest;

	pthread_mutex_lock(&log->lock);
	*log->tail = log->joined; /* what is being joined is newer than all that is queued */
	rest = log->head;
	forget_pending(log, group->first);
	forget_pending(log, rest);
	log->head = log->joined = NULL;
	log->tail = &log->head;
	log->joined_tail = &log->joined;
	log->queued = log->queued_bytes = 0;
	log->next_seq = log->committed_seq + 1;
	log->failed = err;
	log->join_failed = log->joining ? err : 0;
	snprintf(log->why, sizeof(log->why), "%s", group->why);
	pb_item_forget_after(log, log->committed_seq);
	pthread_cond_broadcast(&log->changed);
	pthread_mutex_unlock(&log->lock);
	answer_group(group->first, err);
	answer_hasty(&(struct group){.first = rest});
	answer_group(rest, err);
}

static void run_group(struct panbind_log *log, struct group *group)
{
	int err;

	answer_hasty(group);
	err = commit_group(log, group);
	if (err < 0) {
		group_has_failed(log, group, err);
		return;
	}
	group_is_committed(log, group);
	pb_wal_after_commit(log);
}

/* ---- The thread ---- */

/* What is damaged, or makes no sense, does not get better by waiting. */
static bool can_be_cured(int err)
{
	return err < 0 && err != -EBADMSG && err != -EUCLEAN && err != -EINVAL;
}

static void probe(struct panbind_log *log)
{
	int err = set_sync(log, true);
	char why[sizeof(log->why)];

	snprintf(why, sizeof(why), "%s", log->why);
	if (err == 0)
		err = pb_log_run(log->sql.probe);
	if (err == 0 && log->distrusted)
		err = pb_trust_restore(log, why, sizeof(why));
	log->distrusted &= err < 0;
	pthread_mutex_lock(&log->lock);
	log->failed = err;
	log->cures += err == 0;
	snprintf(log->why, sizeof(log->why), "%s", err < 0 ? why : "");
	pthread_mutex_unlock(&log->lock);
}

static void wait_for_probe(struct panbind_log *log)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PROBE_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&log->wake, &log->lock, &until);
}

/* Wait until there is something to do, and nobody else has the turn. False: it is time to end. The lock is held. */
static bool wait_for_work(struct panbind_log *log)
{
	while (log->committing || (!log->head && (log->stop || !pb_compact_wanted(log)))) {
		if (log->committing) {
			pthread_cond_wait(&log->wake, &log->lock);
			continue;
		}
		if (log->stop)
			return false; /* compaction can go on another time */
		if (can_be_cured(log->failed)) {
			wait_for_probe(log);
			return true; /* as long as appends are refused, nobody else takes a turn */
		}
		pthread_cond_wait(&log->wake, &log->lock);
	}
	return true;
}

static void begin_turn(struct panbind_log *log)
{
	log->committing = true;
	log->committer = pthread_self();
}

static void *write_groups(void *data)
{
	struct panbind_log *log = data;
	struct group group;

	pthread_mutex_lock(&log->lock);
	while (wait_for_work(log)) {
		bool compact = pb_compact_wanted(log);
		int failed = log->failed;

		begin_turn(log);
		take_group(log, &group);
		pthread_mutex_unlock(&log->lock);
		if (group.first)
			run_group(log, &group);
		else if (can_be_cured(failed))
			probe(log);
		if (compact) {
			pb_wal_release(log);
			pb_compact_step(log);
		}
		pthread_mutex_lock(&log->lock);
		log->committing = false;
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

bool pb_writer_may_turn(struct panbind_log *log)
{
	return !log->committing && log->head && !log->head->next && !pb_compact_wanted(log);
}

void pb_writer_turn(struct panbind_log *log)
{
	struct group group;

	begin_turn(log);
	take_group(log, &group);
	pthread_mutex_unlock(&log->lock);
	run_group(log, &group);
	pthread_mutex_lock(&log->lock);
	log->committing = false;
	if (log->head || log->stop || log->failed || pb_compact_wanted(log))
		pthread_cond_signal(&log->wake);
}

static int frames_after_commit(void *data, sqlite3 *db, const char *schema, int frames)
{
	((struct panbind_log *)data)->wal_frames = frames;
	return SQLITE_OK;
}

int pb_writer_start(struct panbind_log *log, struct panbind_error *reterr)
{
	int err = pb_wal_warm(log->db);

	if (err == 0)
		err = pb_writer_prepare(log->db, &log->sql);
	if (err == 0)
		err = pb_compactor_open(log);
	if (err < 0)
		return pb_log_error(reterr, err, "cannot prepare to write the log: %s", sqlite3_errmsg(log->db));
	log->full_sync = true;
	pb_writer_measure(log, &log->bytes);
	sqlite3_wal_hook(log->db, frames_after_commit, log);
	err = -pthread_create(&log->writer, NULL, write_groups, log);
	if (err < 0)
		return pb_log_error(reterr, err, "cannot start the log's thread");
	log->writer_running = true;
	return 0;
}

void pb_writer_stop(struct panbind_log *log)
{
	if (log->writer_running) {
		pthread_mutex_lock(&log->lock);
		log->stop = true;
		pthread_cond_signal(&log->wake);
		pthread_mutex_unlock(&log->lock);
		pthread_join(log->writer, NULL);
		log->writer_running = false;
	}
	pb_compactor_close(log);
	pb_writer_finalize(&log->sql);
}
