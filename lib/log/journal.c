/* SPDX-License-Identifier: MIT */
/*
 * The journal: the log as its writers see it.
 *
 * Calling sequence: panbind_log_open() takes PATH-lock (one writer), reads where the log ends and starts the writer
 * thread. panbind_log_append() checks an entry, gives it the next seq and queues it. The writer (writer.c) takes all
 * that is queued as one SQLite transaction, commits it, and calls back each entry's owner; while it syncs, the next
 * group gathers. panbind_log_close() waits for all that.
 *
 * What is promised: seqs are 1, 2, 3 ... without gaps. An entry is answered with 0 only when it is as durable as was
 * asked. A process that dies loses what it had not been answered for, whole entries only, the last ones only. When a
 * write fails, the group and all that is queued behind it is answered with the errno, none of it is in the log, and
 * appends are refused: later entries may build on lost ones, so that nothing may be recorded past a hole.
 *
 * Entries that belong together are joined: they gather beside the queue, and the writer takes them as one.
 *
 * The lock is a file of its own, since closing any descriptor of the log itself would drop SQLite's POSIX locks on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/file.h>

#include "log.h"

#define MAX_QUEUED_BYTES (64u << 20)
#define DEFAULT_TXN_KEEP 1000000

/* ---- Opening and closing ---- */

static int lock_is_taken(int fd, const char *path, struct panbind_error *reterr)
{
	char pid[24] = "";
	ssize_t size = pread(fd, pid, sizeof(pid) - 1, 0);

	if (size > 0)
		pid[strcspn(pid, "\n")] = '\0';
	return pb_log_error(reterr, -EBUSY, "the log %s is being written by process %s", path, *pid ? pid : "?");
}

static int take_lock(struct panbind_log *log, struct panbind_error *reterr)
{
	pb_autofree char *name = NULL;
	int fd;

	if (asprintf(&name, "%s-lock", log->path) < 0)
		return pb_log_error(reterr, -ENOMEM, "no memory to open a log");
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
	if (fd < 0)
		return pb_log_error(reterr, -errno, "cannot open %s: %s", name, strerror(errno));
	log->lock_fd = fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return lock_is_taken(fd, log->path, reterr);
	/* Only for the message above: a failure here harms nobody. */
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
	return 0;
}

static int connect_writer(struct panbind_log *log, uint32_t flags, struct panbind_error *reterr)
{
	int mode = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (flags & PANBIND_LOG_CREATE ? SQLITE_OPEN_CREATE : 0);
	int rc = sqlite3_open_v2(log->path, &log->db, mode, pb_vfs_name()), err;
	bool empty;

	if (!log->db)
		return pb_log_error(reterr, -ENOMEM, "no memory to open %s", log->path);
	if (rc != SQLITE_OK)
		return pb_log_sqlite_error(reterr, log->db, rc, "cannot open the log");
	sqlite3_extended_result_codes(log->db, 1);
	sqlite3_busy_timeout(log->db, 5000);
	if (sqlite3_db_readonly(log->db, "main") == 1)
		return pb_log_error(reterr, -EACCES, "the log %s may not be written", log->path);
	err = pb_schema_check(log->db, log->path, &empty, reterr);
	if (err < 0)
		return err;
	if (empty && !(flags & PANBIND_LOG_CREATE))
		return pb_log_error(reterr, -EBADMSG, "%s is not a log of panbind: it is empty", log->path);
	return empty ? pb_schema_create(log->db, reterr) : pb_schema_upgrade(log->db, reterr);
}

static int read_end(struct panbind_log *log)
{
	uint64_t oldest, last = 0;
	int64_t page_size = 0;
	int err = pb_log_get_int(log->db, "PRAGMA page_size", 0, &page_size);

	log->page_size = (uint32_t)page_size;
	if (err == 0)
		err = pb_snapshot_place(log->db, &log->place);
	if (err == 0)
		err = pb_state_bounds(log->db, &oldest, &last);
	if (err == 0)
		err = pb_objects_load(&log->objects, log->db, 0);
	log->committed_seq = last;
	log->next_seq = last + 1;
	return err;
}

static int open_writer(struct panbind_log *log, uint32_t flags, struct panbind_error *reterr)
{
	int err;

	if (!(flags & PANBIND_LOG_CREATE) && access(log->path, F_OK) < 0)
		return pb_log_error(reterr, -errno, "no log %s", log->path);
	err = take_lock(log, reterr);
	if (err == 0)
		err = connect_writer(log, flags, reterr);
	if (err < 0)
		return err;
	err = read_end(log);
	if (err < 0)
		return pb_log_error(reterr, err, "cannot read the log %s: %s", log->path, sqlite3_errmsg(log->db));
	err = pb_writer_start(log, reterr);
	return err < 0 ? err : pb_checkpointer_start(log, reterr);
}

static int open_reader(struct panbind_log *log, struct panbind_error *reterr)
{
	sqlite3 *db;
	int err = pb_schema_connect_reader(log->path, &db, reterr);

	if (err < 0)
		return err;
	sqlite3_close(db);
	return 0;
}

static struct panbind_log *allocate(const char *path, uint32_t flags, const struct panbind_log_options *options)
{
	struct panbind_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->path = strdup(path);
	if (!log->path) {
		free(log);
		return NULL;
	}
	log->read_only = flags & PANBIND_LOG_READ_ONLY;
	log->lock_fd = -1;
	log->size_cap = options ? options->size_cap : 0;
	log->txn_keep = options && options->txn_keep ? options->txn_keep : DEFAULT_TXN_KEEP;
	log->tail = &log->head;
	log->joined_tail = &log->joined;
	log->jobs_tail = &log->jobs;
	log->next_seq = 1;
	pb_objects_init(&log->objects);
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->wake, NULL);
	pthread_cond_init(&log->changed, NULL);
	return log;
}

int panbind_log_open(const char *path, uint32_t flags, const struct panbind_log_options *options,
		     struct panbind_log **ret_log, struct panbind_error *reterr)
{
	struct panbind_log *log;
	int err;

	if (flags & ~(PANBIND_LOG_CREATE | PANBIND_LOG_READ_ONLY))
		return pb_log_error(reterr, -EINVAL, "unknown flags 0x%x", flags);
	log = allocate(path, flags, options);
	if (!log)
		return pb_log_error(reterr, -ENOMEM, "no memory to open a log");
	err = log->read_only ? open_reader(log, reterr) : open_writer(log, flags, reterr);
	if (err < 0) {
		panbind_log_close(log);
		return err;
	}
	*ret_log = log;
	return 0;
}

void panbind_log_close(struct panbind_log *log)
{
	if (!log)
		return;
	pb_writer_stop(log);
	pb_checkpointer_stop(log);
	sqlite3_finalize(log->lookup);
	sqlite3_close(log->lookup_db);
	pb_trust_close(log, log->db);
	if (log->lock_fd >= 0)
		close(log->lock_fd);
	pb_objects_free(&log->objects);
	pthread_cond_destroy(&log->changed);
	pthread_cond_destroy(&log->wake);
	pthread_mutex_destroy(&log->lock);
	free(log->path);
	free(log);
}

/* ---- Appending ---- */

/* A queue that grows without end would only hide that the disk does not keep up. Who commits never waits. */
static int wait_for_room(struct panbind_log *log)
{
	bool joins = log->joining && pthread_equal(pthread_self(), log->joiner);

	/* What is joined is one whole, and nothing comes between its parts. */
	while (log->joining && !joins)
		pthread_cond_wait(&log->changed, &log->lock);
	if (joins)
		return log->join_failed ? log->join_failed : log->failed;
	while (log->queued_bytes > MAX_QUEUED_BYTES && !log->failed &&
	       !(log->committing && pthread_equal(pthread_self(), log->committer)))
		pthread_cond_wait(&log->changed, &log->lock);
	return log->failed;
}

static void enqueue(struct panbind_log *log, struct pb_item *item)
{
	struct pb_item ***tail = log->joining ? &log->joined_tail : &log->tail;

	item->next = NULL;
	**tail = item;
	*tail = &item->next;
	log->next_seq++;
	log->queued++;
	log->queued_bytes += item->bytes;
	if (item->entry.txn_id) {
		struct pb_item **bucket = pb_pending_bucket(log, item->entry.txn_id);

		item->same_bucket = *bucket;
		*bucket = item;
	}
}

static int append_locked(struct panbind_log *log, const struct panbind_log_entry *entry, struct pb_item *item,
			 struct panbind_error *reterr)
{
	int err = wait_for_room(log);

	if (err < 0)
		return pb_log_error(reterr, err, "the log cannot be written: %s", panbind_errno_name(err));
	if (log->next_seq >= PB_LOG_MAX_SEQ)
		return pb_log_error(reterr, -ENOSPC, "no sequence numbers are left");
	err = pb_txn_check(log, entry, reterr);
	if (err == 0)
		err = pb_item_resolve(log, entry, item, reterr);
	if (err == 0)
		enqueue(log, item);
	return err;
}

/* @here: commit on this thread, if the entry is all there is and nobody is at it. */
static int append(struct panbind_log *log, const struct panbind_log_entry *entry,
		  enum panbind_log_durability durability, bool here, panbind_log_done_fn *done, void *data,
		  uint64_t *ret_seq, struct panbind_error *reterr)
{
	struct pb_item *item;
	uint64_t seq;
	bool wake;
	int err;

	if (log->read_only)
		return pb_log_error(reterr, -EROFS, "the log is open for reading only");
	err = pb_item_create(entry, durability, &item, reterr);
	if (err < 0)
		return err;
	item->done = done;
	item->data = data;
	pthread_mutex_lock(&log->lock);
	err = append_locked(log, entry, item, reterr);
	seq = log->next_seq - 1;
	here = here && err == 0 && pb_writer_may_turn(log);
	if (here)
		pb_writer_turn(log);
	wake = !here && err == 0 && !log->committing; /* who commits looks for more when it is done */
	pthread_mutex_unlock(&log->lock);
	if (err < 0) {
		pb_item_free(item);
		return err;
	}
	/* Unlocked, so that the writer does not wake up only to wait for the lock. */
	if (wake)
		pthread_cond_signal(&log->wake);
	if (ret_seq)
		*ret_seq = seq;
	return 0;
}

int panbind_log_append(struct panbind_log *log, const struct panbind_log_entry *entry,
		       enum panbind_log_durability durability, panbind_log_done_fn *done, void *data, uint64_t *ret_seq,
		       struct panbind_error *reterr)
{
	return append(log, entry, durability, false, done, data, ret_seq, reterr);
}

int panbind_log_append_here(struct panbind_log *log, const struct panbind_log_entry *entry,
			    enum panbind_log_durability durability, panbind_log_done_fn *done, void *data,
			    uint64_t *ret_seq, struct panbind_error *reterr)
{
	return append(log, entry, durability, true, done, data, ret_seq, reterr);
}

/* ---- Joining ---- */

void panbind_log_join(struct panbind_log *log)
{
	pthread_mutex_lock(&log->lock);
	while (log->joining)
		pthread_cond_wait(&log->changed, &log->lock);
	log->joining = true;
	log->joiner = pthread_self();
	log->join_failed = 0;
	log->join_first_seq = log->next_seq;
	pthread_mutex_unlock(&log->lock);
}

/* Give them to the writer as one. */
static void queue_joined(struct panbind_log *log)
{
	for (struct pb_item *item = log->joined; item; item = item->next)
		item->joins_next = item->next != NULL;
	*log->tail = log->joined;
	log->tail = log->joined_tail;
}

/* As if they had never been appended. Their ids are the newest in their buckets. */
static void take_back_joined(struct panbind_log *log)
{
	for (struct pb_item *item = log->joined; item; item = item->next) {
		struct pb_item **place = item->entry.txn_id ? pb_pending_bucket(log, item->entry.txn_id) : NULL;

		while (place && *place != item)
			place = &(*place)->same_bucket;
		if (place)
			*place = item->same_bucket;
		log->queued--;
		log->queued_bytes -= item->bytes;
	}
	log->next_seq = log->join_first_seq;
	pb_item_forget_after(log, log->join_first_seq - 1);
}

static void cancel_items(struct pb_item *item)
{
	while (item) {
		struct pb_item *next = item->next;

		if (item->done)
			item->done(item->data, item->entry.seq, -ECANCELED);
		pb_item_free(item);
		item = next;
	}
}

int panbind_log_join_end(struct panbind_log *log, int keep)
{
	struct pb_item *dropped = NULL;
	int err;

	pthread_mutex_lock(&log->lock);
	err = log->join_failed;
	if (log->joined && keep) {
		queue_joined(log);
	} else if (log->joined) {
		take_back_joined(log);
		dropped = log->joined;
	}
	log->joined = NULL;
	log->joined_tail = &log->joined;
	log->joining = false;
	pthread_cond_broadcast(&log->changed);
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
	cancel_items(dropped);
	return err;
}

/** Somebody who waits for one answer. */
struct waiter {
	sem_t answered;
	uint64_t seq;
	int result;
};

static void wake_waiter(void *data, uint64_t seq, int result)
{
	struct waiter *waiter = data;

	waiter->seq = seq;
	waiter->result = result;
	sem_post(&waiter->answered);
}

static int wait_for_answer(struct waiter *waiter)
{
	while (sem_wait(&waiter->answered) < 0)
		; /* a signal handler ran */
	sem_destroy(&waiter->answered);
	return waiter->result;
}

int panbind_log_append_wait(struct panbind_log *log, const struct panbind_log_entry *entry,
			    enum panbind_log_durability durability, uint64_t *ret_seq, struct panbind_error *reterr)
{
	struct waiter waiter;
	int err;

	sem_init(&waiter.answered, 0, 0);
	err = panbind_log_append_here(log, entry, durability, wake_waiter, &waiter, NULL, reterr);
	if (err < 0) {
		sem_destroy(&waiter.answered);
		return err;
	}
	err = wait_for_answer(&waiter);
	if (err < 0)
		return pb_log_error(reterr, err, "the entry was not recorded: %s", panbind_errno_name(err));
	if (ret_seq)
		*ret_seq = waiter.seq;
	return 0;
}

int panbind_log_ready(struct panbind_log *log)
{
	int err;

	if (log->read_only)
		return -EROFS;
	pthread_mutex_lock(&log->lock);
	err = log->failed;
	pthread_mutex_unlock(&log->lock);
	return err;
}

int panbind_log_flush(struct panbind_log *log)
{
	uint64_t seq;
	int err;

	if (log->read_only)
		return -EROFS;
	pthread_mutex_lock(&log->lock);
	seq = log->next_seq - 1;
	while (log->committed_seq < seq && !log->failed)
		pthread_cond_wait(&log->changed, &log->lock);
	err = log->failed;
	pthread_mutex_unlock(&log->lock);
	return err;
}

void panbind_log_set_commit_hook(struct panbind_log *log, void (*hook)(void *data, uint64_t last_seq), void *data)
{
	pthread_mutex_lock(&log->lock);
	log->hook = hook;
	log->hook_data = data;
	pthread_mutex_unlock(&log->lock);
}

static int queue_job(struct panbind_log *log, uint64_t until_seq, panbind_log_done_fn *done, void *data)
{
	struct pb_compact_job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	*job = (struct pb_compact_job){.done = done, .data = data};
	pthread_mutex_lock(&log->lock);
	job->until_seq = until_seq < log->next_seq ? until_seq : log->next_seq - 1;
	*log->jobs_tail = job;
	log->jobs_tail = &job->next;
	log->compacting = true;
	pthread_cond_signal(&log->wake);
	pthread_mutex_unlock(&log->lock);
	return 0;
}

int panbind_log_compact(struct panbind_log *log, uint64_t until_seq, panbind_log_done_fn *done, void *data)
{
	struct waiter waiter;
	int err;

	if (log->read_only)
		return -EROFS;
	if (done)
		return queue_job(log, until_seq, done, data);
	sem_init(&waiter.answered, 0, 0);
	err = queue_job(log, until_seq, wake_waiter, &waiter);
	return err < 0 ? err : wait_for_answer(&waiter);
}

/* ---- Status ---- */

static int measure(struct panbind_log *log, struct panbind_log_status *status)
{
	pb_autodb sqlite3 *db = NULL;
	int64_t page_size = 0, pages = 0, free_pages = 0, version = 0;
	uint64_t oldest = 0, last = 0;
	struct pb_snapshot_place place = {0};
	int err = pb_schema_connect_reader(log->path, &db, NULL);

	if (err == 0)
		err = pb_log_exec(db, "BEGIN");
	if (err == 0)
		err = pb_log_get_int(db, "PRAGMA page_size", 0, &page_size);
	if (err == 0)
		err = pb_log_get_int(db, "PRAGMA page_count", 0, &pages);
	if (err == 0)
		err = pb_log_get_int(db, "PRAGMA freelist_count", 0, &free_pages);
	if (err == 0)
		err = pb_log_get_int(db, "PRAGMA user_version", 0, &version);
	if (err == 0)
		err = pb_state_bounds(db, &oldest, &last);
	if (err == 0)
		err = pb_snapshot_place(db, &place);
	status->bytes = (uint64_t)((pages - free_pages) * page_size);
	status->schema = (uint32_t)version;
	status->first_seq = place.seq + 1;
	status->state_seq = oldest;
	status->last_seq = last;
	status->wal_bytes = pb_wal_bytes(log->path);
	return err;
}

int panbind_log_get_status(struct panbind_log *log, struct panbind_log_status *ret_status)
{
	struct panbind_log_status status = {.size_cap = log->size_cap};
	size_t size = strlen(log->path);
	int err = measure(log, &status);

	if (err < 0)
		return err;
	snprintf(status.path, sizeof(status.path), "%s",
		 size < sizeof(status.path) ? log->path : log->path + size - sizeof(status.path) + 1);
	pthread_mutex_lock(&log->lock);
	status.queued = log->queued;
	status.groups = log->groups;
	status.failed = log->failed;
	status.cures = log->cures;
	snprintf(status.why, sizeof(status.why), "%s", log->failed ? log->why : "");
	status.compacting = log->compacting;
	pthread_mutex_unlock(&log->lock);
	*ret_status = status;
	return 0;
}
