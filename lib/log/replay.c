/* SPDX-License-Identifier: MIT */
/*
 * Replay: a log repeated on a device through panbind.h alone.
 *
 * First the snapshot is rebuilt, then the entries follow in order, at full speed or at the recorded times. All is read
 * in one transaction, so that a log that is being written can be replayed. Beside it runs the fold (for verify), so
 * that what is mapped can be compared with what the log implies.
 *
 * A VM whose mapping the log does not know (lost_seq) is left alone from there on: neither bound nor compared.
 */
#include <errno.h>
#include <time.h>

#include "replay.h"

#define PROGRESS_NS	 100000000
#define PROGRESS_ENTRIES 64 /* between two looks at the clock */

int pb_replay_progress(struct pb_replay *r, bool now)
{
	int64_t time_ns;

	if (!r->options.progress)
		return 0;
	time_ns = pb_log_now_ns(CLOCK_MONOTONIC);
	if (!now && time_ns < r->next_progress_ns)
		return 0;
	r->next_progress_ns = time_ns + PROGRESS_NS;
	return r->options.progress(r->options.data, r->result.seq, r->until_seq, r->result.ops);
}

/* Wait for the recorded time of an entry, looking up for progress now and then. */
static int keep_pace(struct pb_replay *r, int64_t start_ns, int64_t recorded_ns)
{
	int64_t until_ns, left_ns;
	int err = 0;

	if (r->options.speed <= 0 || recorded_ns <= 0)
		return 0;
	until_ns = start_ns + (int64_t)((double)recorded_ns / r->options.speed);
	while (err == 0 && (left_ns = until_ns - pb_log_now_ns(CLOCK_MONOTONIC)) > 0) {
		int64_t nap_ns = left_ns < PROGRESS_NS ? left_ns : PROGRESS_NS;
		const struct timespec nap = {nap_ns / 1000000000, nap_ns % 1000000000};

		nanosleep(&nap, NULL);
		err = pb_replay_progress(r, false);
	}
	return err;
}

/* With one VM asked for: is the entry about it? */
static bool concerns(const struct pb_replay *r, const struct pb_row *row)
{
	if (!r->only || row->entry.kind == PANBIND_LOG_START || row->object == r->only)
		return true;
	for (size_t i = 0; i < row->op_count; i++)
		if (row->ops[i].vm == r->only)
			return true;
	return false;
}

static int repeat(struct pb_replay *r, const struct pb_row *row)
{
	uint32_t first_op = row->entry.seq == r->place.seq + 1 ? r->place.ops : 0;
	int err;

	if (row->entry.kind == PANBIND_LOG_BIND)
		err = pb_replay_bind(r, row, first_op);
	else if (row->entry.kind == PANBIND_LOG_START || pb_kind_has_object(row->entry.kind))
		err = pb_replay_object(r, row);
	else
		return 0; /* it changes nothing */
	if (err < 0 || r->options.verify == PANBIND_LOG_VERIFY_NONE)
		return err;
	err = pb_fold_row(&r->fold, row, first_op);
	if (err == 0 && r->options.verify == PANBIND_LOG_VERIFY_EACH)
		pb_replay_compare_touched(r, row);
	return err;
}

static int walk(struct pb_replay *r, struct pb_scan *scan)
{
	int64_t start_ns = pb_log_now_ns(CLOCK_MONOTONIC), first_ns = 0;
	const struct pb_row *row;
	int err = pb_scan_start(scan, r->place.seq + 1, r->until_seq);

	while (err == 0 && (err = pb_scan_next(scan, &row)) == 1) {
		if (first_ns == 0)
			first_ns = row->entry.time_ns;
		r->result.seq = row->entry.seq;
		err = 0;
		if (!concerns(r, row))
			continue;
		err = keep_pace(r, start_ns, row->entry.time_ns - first_ns);
		if (err == 0)
			err = repeat(r, row);
		if (err == 0 && r->result.entries++ % PROGRESS_ENTRIES == 0)
			err = pb_replay_progress(r, false);
	}
	return err;
}

static int repeat_entries(struct pb_replay *r)
{
	struct pb_scan *scan;
	int err = pb_scan_open(r->db, PB_SCAN_LEAN | PB_SCAN_SYNCS, &scan);

	if (err < 0)
		return err;
	err = walk(r, scan);
	pb_scan_close(scan);
	if (err == 0)
		err = pb_replay_settle(r);
	return err < 0 ? err : pb_replay_wait_all(r);
}

/* The VM of the name that is alive at the end, or else the last that was. */
static int select_vm(struct pb_replay *r, struct panbind_error *reterr)
{
	const struct panbind_log_ref vm = r->options.vm;

	if (!vm.name)
		return 0;
	for (size_t i = r->objects.count; i-- > 0;) {
		const struct pb_object *object = r->objects.list[i];

		if (object->kind != PB_OBJECT_VM || object->created_seq > r->until_seq ||
		    object->created_seq == object->destroyed_seq || strcmp(object->name, vm.name) != 0 ||
		    (vm.generation && vm.generation != object->generation))
			continue;
		r->only = r->fold.only = object->id;
		return 0;
	}
	return pb_log_error(reterr, -ENOENT, "the log knows no VM %s", vm.name);
}

static int select_range(struct pb_replay *r, struct panbind_error *reterr)
{
	uint64_t oldest, last;
	int err = pb_state_bounds(r->db, &oldest, &last);

	if (err < 0)
		return pb_log_error(reterr, err, "cannot read the log: %s", sqlite3_errmsg(r->db));
	r->until_seq = r->options.until_seq ? r->options.until_seq : last;
	if (r->until_seq > last)
		return pb_log_error(reterr, -ERANGE, "the log ends at entry %llu", (unsigned long long)last);
	if (r->until_seq < oldest)
		return pb_log_error(reterr, -ENODATA, "entries before %llu are compacted: no replay that short",
				    (unsigned long long)oldest + 1);
	return 0;
}

static int prepare(struct pb_replay *r, struct panbind_error *reterr)
{
	int err = pb_log_exec(r->db, "BEGIN");

	if (err == 0)
		err = pb_objects_load(&r->objects, r->db, 0);
	if (err == 0)
		err = pb_snapshot_place(r->db, &r->place);
	if (err < 0)
		return pb_log_error(reterr, err, "cannot read the log: %s", sqlite3_errmsg(r->db));
	err = select_range(r, reterr);
	if (err == 0)
		err = select_vm(r, reterr);
	if (err < 0)
		return err;
	err = pb_snapshot_load(r->db, &r->place, &r->objects, &r->fold);
	if (err == 0)
		err = panbind_batch_create(&r->batch);
	if (err == 0)
		err = panbind_batch_create(&r->single);
	return err < 0 ? pb_log_error(reterr, err, "cannot read the log: %s", panbind_errno_name(err)) : 0;
}

static int replay(struct pb_replay *r, struct panbind_error *reterr)
{
	int err = prepare(r, reterr);

	if (err < 0)
		return err;
	r->result.seq = r->place.seq;
	err = pb_replay_snapshot(r);
	if (err == 0)
		err = repeat_entries(r);
	if (err == 0 && r->options.verify != PANBIND_LOG_VERIFY_NONE)
		pb_replay_compare_all(r);
	if (err == 0)
		err = pb_replay_progress(r, true);
	if (err == 0)
		err = pb_replay_adopt(r);
	if (err < 0)
		pb_log_error(reterr, err, "replay ended after entry %llu: %s", (unsigned long long)r->result.seq,
			     panbind_errno_name(err));
	return err;
}

int panbind_log_replay(struct panbind_log *log, struct panbind_device *device,
		       const struct panbind_log_replay_options *options, struct panbind_log_replay_result *ret_result,
		       struct panbind_error *reterr)
{
	struct pb_replay r = {.device = device};
	int err = pb_schema_connect_reader(log->path, &r.db, reterr);

	if (err < 0)
		return err;
	if (options)
		r.options = *options;
	pb_objects_init(&r.objects);
	pb_fold_init(&r.fold, 0);
	err = replay(&r, reterr);
	pb_replay_destroy_all(&r);
	pb_replay_free_syncobjs(&r);
	panbind_batch_destroy(r.batch);
	panbind_batch_destroy(r.single);
	free(r.origins);
	free(r.other_origins);
	free(r.places);
	pb_fold_free(&r.fold);
	pb_objects_free(&r.objects);
	sqlite3_close(r.db);
	if (err == 0 && ret_result)
		*ret_result = r.result;
	return err;
}
