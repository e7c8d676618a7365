/* SPDX-License-Identifier: MIT */
/*
 * Readers: entries that pass a filter, in order, and then those that come later.
 *
 * A reader has a connection of its own, so that it neither waits for the writer nor makes it wait. From the first entry
 * to the end it stands in one read transaction; at the end it leaves it and remembers where it was.
 */
#include <errno.h>
#include <poll.h>

#include "reader.h"

#define POLL_MS 25 /* how often a log that another process writes is looked at */

/* ---- Filtering ---- */

static bool in_time(const struct panbind_log_filter *f, const struct panbind_log_entry *entry)
{
	return (f->since_ns == 0 || entry->time_ns >= f->since_ns) &&
	       (f->until_ns == 0 || entry->time_ns <= f->until_ns);
}

static bool ended_so(const struct panbind_log_filter *f, const struct panbind_log_entry *entry)
{
	if (f->result && entry->result != f->result)
		return false;
	return f->status == PANBIND_LOG_ANY || (f->status == PANBIND_LOG_OK) == (entry->result == 0);
}

static bool came_from(const struct panbind_log_filter *f, const struct panbind_log_entry *entry)
{
	if ((f->match_uid && entry->uid != f->uid) || (f->match_pid && entry->pid != f->pid))
		return false;
	return !f->txn_id || (entry->txn_id && strcmp(entry->txn_id, f->txn_id) == 0);
}

static bool is_vm(struct panbind_log_reader *r, int64_t id)
{
	const struct pb_object *object = id ? pb_objects_by_id(&r->objects, id) : NULL;

	return object && object->kind == PB_OBJECT_VM && strcmp(object->name, r->filter.vm.name) == 0 &&
	       (r->filter.vm.generation == 0 || r->filter.vm.generation == object->generation);
}

static bool touches(const struct panbind_log_filter *f, const struct pb_row_op *op)
{
	if (f->size == 0)
		return true;
	/* Written so that no sum can wrap: failed entries may hold any numbers. */
	return op->va >= f->va ? op->va - f->va < f->size : f->va - op->va < op->size;
}

/* VM and range must be met by the same op; without a range, the entry's own object may be the VM. */
static bool is_about(struct panbind_log_reader *r, const struct pb_row *row)
{
	const struct panbind_log_filter *f = &r->filter;

	if (!f->vm.name && f->size == 0)
		return true;
	if (f->size == 0 && is_vm(r, row->object))
		return true;
	for (size_t i = 0; i < row->op_count; i++)
		if (touches(f, &row->ops[i]) && (!f->vm.name || is_vm(r, row->ops[i].vm)))
			return true;
	return false;
}

static bool passes(struct panbind_log_reader *r, const struct pb_row *row)
{
	const struct panbind_log_filter *f = &r->filter;

	return (f->kinds == 0 || f->kinds & 1u << row->entry.kind) && in_time(f, &row->entry) &&
	       ended_so(f, &row->entry) && came_from(f, &row->entry) && is_about(r, row);
}

/* ---- From rows to what the public header shows ---- */

static int make_room(struct panbind_log_reader *r, size_t count)
{
	struct panbind_log_op *ops;

	if (count <= r->op_room)
		return 0;
	ops = realloc(r->ops, count * 2 * sizeof(*ops));
	if (!ops)
		return -ENOMEM;
	r->ops = ops;
	r->op_room = count * 2;
	return 0;
}

static struct panbind_log_ref ref_of(struct panbind_log_reader *r, int64_t id)
{
	return pb_object_ref(id ? pb_objects_by_id(&r->objects, id) : NULL);
}

int pb_reader_show(struct panbind_log_reader *r, const struct pb_row *row, const struct panbind_log_entry **ret_entry)
{
	const struct pb_object *object = row->object ? pb_objects_by_id(&r->objects, row->object) : NULL;
	int err = make_room(r, row->op_count);

	if (err < 0)
		return err;
	r->entry = row->entry;
	if (object)
		pb_object_describe(&r->objects, object, &r->entry.object);
	for (size_t i = 0; i < row->op_count; i++) {
		const struct pb_row_op *op = &row->ops[i];

		r->ops[i] = (struct panbind_log_op){
			.type = (enum panbind_log_op_type)op->type,
			.flags = op->flags,
			.vm = ref_of(r, op->vm),
			.bo = ref_of(r, op->bo),
			.va = op->va,
			.size = op->size,
			.bo_offset = op->bo_offset,
			.syncs = op->syncs,
		};
	}
	r->entry.ops = r->ops;
	r->entry.op_count = row->op_count;
	*ret_entry = &r->entry;
	return 0;
}

/* ---- Walking ---- */

int pb_reader_begin(struct panbind_log_reader *r)
{
	struct pb_snapshot_place place;
	int64_t known;
	int err = r->running ? 0 : pb_log_exec(r->db, "BEGIN");

	if (err < 0)
		return err;
	r->running = true;
	known = r->objects.next_id;
	err = pb_snapshot_place(r->db, &place);
	if (err == 0)
		err = pb_objects_load(&r->objects, r->db, known);
	if (err == 0)
		r->first_seq = place.seq + 1;
	return err;
}

void pb_reader_end(struct panbind_log_reader *r)
{
	pb_scan_stop(r->scan);
	if (r->running)
		pb_log_exec(r->db, "COMMIT");
	r->running = r->scanning = false;
}

static int begin_scan(struct panbind_log_reader *r)
{
	int err = pb_reader_begin(r);

	if (err < 0)
		return err;
	if (r->first_seq > r->next_seq) {
		r->lost += r->first_seq - r->next_seq;
		r->next_seq = r->first_seq;
	}
	r->scanning = true;
	return pb_scan_start(r->scan, r->next_seq, r->filter.until_seq ? r->filter.until_seq : PB_LOG_MAX_SEQ);
}

int panbind_log_read(struct panbind_log_reader *r, const struct panbind_log_entry **ret_entry)
{
	const struct pb_row *row;
	int err = r->scanning ? 0 : begin_scan(r);

	while (err == 0 && (err = pb_scan_next(r->scan, &row)) == 1) {
		r->next_seq = row->entry.seq + 1;
		err = 0;
		if (!passes(r, row))
			continue;
		err = pb_reader_show(r, row, ret_entry);
		if (err == 0)
			return 1;
	}
	pb_reader_end(r);
	return err;
}

uint64_t panbind_log_reader_lost(const struct panbind_log_reader *r)
{
	return r->lost;
}

/* ---- Waiting ---- */

static void deadline_of(int timeout_ms, struct timespec *ret_until)
{
	clock_gettime(CLOCK_REALTIME, ret_until);
	ret_until->tv_sec += timeout_ms / 1000;
	ret_until->tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (ret_until->tv_nsec >= 1000000000) {
		ret_until->tv_nsec -= 1000000000;
		ret_until->tv_sec++;
	}
}

/* The writer is in this process: it tells. */
static int wait_for_writer(struct panbind_log_reader *r, int timeout_ms)
{
	struct panbind_log *log = r->log;
	struct timespec until;
	int rc = 0, more;

	deadline_of(timeout_ms < 0 ? 0 : timeout_ms, &until);
	pthread_mutex_lock(&log->lock);
	while (log->committed_seq < r->next_seq && rc == 0)
		rc = timeout_ms < 0 ? pthread_cond_wait(&log->changed, &log->lock)
				    : pthread_cond_timedwait(&log->changed, &log->lock, &until);
	more = log->committed_seq >= r->next_seq;
	pthread_mutex_unlock(&log->lock);
	return more;
}

static int has_more(struct panbind_log_reader *r)
{
	int64_t last = 0, snapshot = 0;
	int err = pb_log_get_int(r->db, "SELECT max(seq) FROM entry", 0, &last);

	if (err == 0)
		err = pb_log_get_int(r->db, "SELECT value FROM meta WHERE key = 'snapshot_seq'", 0, &snapshot);
	return err < 0 ? err : (uint64_t)(last > snapshot ? last : snapshot) >= r->next_seq;
}

/* Another process writes: look whether the file has changed. */
static int poll_file(struct panbind_log_reader *r, int timeout_ms)
{
	int64_t end = pb_log_now_ns(CLOCK_MONOTONIC) + (int64_t)timeout_ms * 1000000, version, seen = -1;
	int err;

	for (;;) {
		err = pb_log_get_int(r->db, "PRAGMA data_version", 0, &version);
		if (err == 0 && version != seen)
			err = has_more(r);
		if (err != 0)
			return err;
		seen = version;
		if (timeout_ms >= 0 && pb_log_now_ns(CLOCK_MONOTONIC) >= end)
			return 0;
		if (poll(NULL, 0, POLL_MS) < 0)
			return -errno;
	}
}

int panbind_log_wait(struct panbind_log_reader *r, int timeout_ms)
{
	if (r->scanning)
		return 1; /* not at the end yet */
	return r->log->read_only ? poll_file(r, timeout_ms) : wait_for_writer(r, timeout_ms);
}

/* ---- Opening ---- */

static int copy_filter(struct panbind_log_reader *r, const struct panbind_log_filter *filter)
{
	if (filter)
		r->filter = *filter;
	if (r->filter.vm.name)
		r->filter.vm.name = r->vm_name = strdup(r->filter.vm.name);
	if (r->filter.txn_id)
		r->filter.txn_id = r->txn_id = strdup(r->filter.txn_id);
	r->next_seq = r->filter.since_seq ? r->filter.since_seq : 1;
	return (filter && filter->vm.name && !r->vm_name) || (filter && filter->txn_id && !r->txn_id) ? -ENOMEM : 0;
}

int panbind_log_reader_open(struct panbind_log *log, const struct panbind_log_filter *filter,
			    struct panbind_log_reader **ret_reader, struct panbind_error *reterr)
{
	struct panbind_log_reader *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return pb_log_error(reterr, -ENOMEM, "no memory for a reader");
	r->log = log;
	pb_objects_init(&r->objects);
	err = pb_schema_connect_reader(log->path, &r->db, reterr);
	if (err == 0) {
		err = pb_scan_open(r->db, 0, &r->scan);
		if (err == 0)
			err = copy_filter(r, filter);
		if (err < 0)
			pb_log_error(reterr, err, "cannot read the log: %s", panbind_errno_name(err));
	}
	if (err < 0) {
		panbind_log_reader_close(r);
		return err;
	}
	*ret_reader = r;
	return 0;
}

void panbind_log_reader_close(struct panbind_log_reader *r)
{
	if (!r)
		return;
	pb_scan_close(r->scan);
	sqlite3_finalize(r->blame_ops);
	sqlite3_close(r->db);
	pb_objects_free(&r->objects);
	free(r->ops);
	free(r->vm_name);
	free(r->txn_id);
	free(r->blamed_argv);
	free(r);
}
