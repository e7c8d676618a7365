/* SPDX-License-Identifier: MIT */
/*
 * The write-ahead file: kept warm, and moved into the log without making a commit wait.
 *
 * Warm: a sync that also has to grow a file costs about twice as much, since the file system's own journal takes part.
 * So the file is written out to its usual size when the log is opened, and used from its start again and again.
 *
 * Moved: SQLite would checkpoint within the commit that makes the file long, and that client would wait for it. Here a
 * thread with a connection of its own does it while commits go on. What they add meanwhile is little, and the writer
 * moves that itself between two groups; then everything is moved, and the next commit begins at the start of the file.
 *
 * Held: a connection that writes first reads, which takes a place among the file's readers, by three locks, and gives
 * it up by a fourth. The writer keeps its place from commit to commit, so that a commit takes one lock only. Nothing
 * that was written since can be moved out of the file, so it gives it up when something is to be moved.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "log.h"

#define MOVE_BYTES   (4 << 20)	/* of frames: then they are moved */
#define WARM_BYTES   (6 << 20)	/* room for those, and for what comes while they are moved */
#define WAL_MAX_KEPT "67108864" /* after a long reader made it grow, it shrinks to this */

/* Write zeros behind the end of the file: SQLite ignores them, since its frames carry checksums that chain. Only a
 * matter of speed: where there is no space for it, what was taken is given back. */
static void write_out(sqlite3_file *file)
{
	static const char zeros[64 << 10];
	sqlite3_int64 size, end;

	if (!file || !file->pMethods || file->pMethods->xFileSize(file, &size) != SQLITE_OK)
		return;
	for (end = size; end < WARM_BYTES; end += (sqlite3_int64)sizeof(zeros)) {
		if (file->pMethods->xWrite(file, zeros, sizeof(zeros), end) == SQLITE_OK)
			continue;
		file->pMethods->xTruncate(file, size);
		return;
	}
	if (end > size)
		file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

int pb_wal_warm(sqlite3 *db)
{
	sqlite3_file *file = NULL;
	int err = pb_log_exec(db, "PRAGMA journal_size_limit=" WAL_MAX_KEPT);

	/* Within a transaction, so that nobody else appends to the file meanwhile. */
	if (err == 0)
		err = pb_log_exec(db, "BEGIN IMMEDIATE");
	if (err < 0)
		return err;
	sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
	write_out(file);
	return pb_log_exec(db, "ROLLBACK");
}

uint64_t pb_wal_bytes(const char *path)
{
	pb_autofree char *name = NULL;
	struct stat st;

	if (asprintf(&name, "%s-wal", path) < 0)
		return 0;
	return stat(name, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static void *checkpoint(void *data)
{
	struct pb_checkpointer *c = data;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (!c->wanted) {
			pthread_cond_wait(&c->wake, &c->lock);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		pthread_mutex_lock(&c->lock);
		c->wanted = false;
		c->caught_up = true;
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int pb_checkpointer_start(struct panbind_log *log, struct panbind_error *reterr)
{
	struct pb_checkpointer *c = &log->checkpointer;
	int rc = sqlite3_open_v2(log->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL), err;

	if (rc != SQLITE_OK)
		return pb_log_error(reterr, -ENOMEM, "cannot open the log a second time: %s", sqlite3_errstr(rc));
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wake, NULL);
	c->frames = MOVE_BYTES / (int)log->page_size;
	c->kick_at = c->frames;
	err = -pthread_create(&c->thread, NULL, checkpoint, c);
	if (err < 0)
		return pb_log_error(reterr, err, "cannot start the log's checkpoint thread");
	__atomic_store_n(&c->running, true, __ATOMIC_RELEASE);
	return 0;
}

void pb_checkpointer_stop(struct panbind_log *log)
{
	struct pb_checkpointer *c = &log->checkpointer;

	if (c->running) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_cond_signal(&c->wake);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
	}
	pb_trust_close(log, c->db);
	*c = (struct pb_checkpointer){0};
}

/* A statement that has a row keeps its connection's place. */
int pb_wal_hold(struct panbind_log *log)
{
	int rc;

	if (log->holds)
		return 0;
	rc = sqlite3_step(log->sql.hold);
	log->holds = rc == SQLITE_ROW;
	return pb_log_errno(log->db, rc);
}

void pb_wal_release(struct panbind_log *log)
{
	if (log->holds)
		sqlite3_reset(log->sql.hold);
	log->holds = false;
}

void pb_wal_after_commit(struct panbind_log *log)
{
	struct pb_checkpointer *c = &log->checkpointer;
	bool finish = false;

	if (!__atomic_load_n(&c->running, __ATOMIC_ACQUIRE))
		return;
	if (log->wal_frames < c->frames)
		c->kick_at = c->frames; /* it began anew */
	if (log->wal_frames < c->kick_at)
		return;
	pb_wal_release(log); /* what is held could not be moved */
	pthread_mutex_lock(&c->lock);
	finish = c->caught_up;
	c->caught_up = false;
	if (!finish && !c->wanted) {
		c->wanted = true;
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
	if (!finish)
		return;
	sqlite3_wal_checkpoint_v2(log->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	/* If a reader stands in the way, the file does not begin anew: do not try again at every commit. */
	c->kick_at = log->wal_frames + c->frames;
}
