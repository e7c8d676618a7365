/* SPDX-License-Identifier: MIT */
/*
 * Blame: who last touched an address. The ops are walked from the newest back, until an applied one holds the address;
 * an index on addresses would cost every commit for a question that is seldom asked, and a walk over a million ops
 * takes a fraction of a second. Behind the oldest entry the snapshot remembers who bound what is still mapped.
 */
#include <errno.h>

#include "reader.h"

/* An op counts when it was applied; the entry says how many were. */
static const char newest_op[] = "SELECT op.id FROM op CROSS JOIN entry ON entry.seq = op.id >> 24"
				" WHERE op.vm = ?1 AND op.va <= ?2 AND op.va + op.size > ?2 AND op.type <> 3"
				" AND (op.id & 0xffffff) < entry.applied ORDER BY op.id DESC LIMIT 1";

static int find_newest(struct panbind_log_reader *r, int64_t vm, uint64_t va, int64_t *ret_id)
{
	int rc, err = r->blame_ops ? 0 : pb_log_prepare(r->db, newest_op, &r->blame_ops);

	if (err < 0)
		return err;
	sqlite3_bind_int64(r->blame_ops, 1, vm);
	sqlite3_bind_int64(r->blame_ops, 2, (int64_t)va);
	rc = sqlite3_step(r->blame_ops);
	if (rc == SQLITE_ROW)
		*ret_id = sqlite3_column_int64(r->blame_ops, 0);
	err = rc == SQLITE_DONE ? -ENOENT : pb_log_errno(r->db, rc);
	sqlite3_reset(r->blame_ops);
	return err;
}

static int show_entry(struct panbind_log_reader *r, int64_t op_id, struct panbind_log_blame *ret_blame)
{
	const struct panbind_log_entry *entry;
	const struct pb_row *row;
	int err = pb_scan_start(r->scan, PB_OP_SEQ(op_id), PB_OP_SEQ(op_id));

	if (err < 0)
		return err;
	err = pb_scan_next(r->scan, &row);
	if (err <= 0)
		return err < 0 ? err : -ENOENT;
	err = pb_reader_show(r, row, &entry);
	if (err < 0)
		return err;
	*ret_blame = (struct panbind_log_blame){.seq = entry->seq,
						.time_ns = entry->time_ns,
						.uid = entry->uid,
						.pid = entry->pid,
						.argv = entry->argv,
						.entry = entry,
						.op = PB_OP_INDEX(op_id)};
	return 0;
}

/* Version 3 knew no argv. */
#define WHO(argv)                                         \
	"SELECT seq, time_ns, uid, pid, va + size, " argv \
	" FROM snapshot_mapping AS m WHERE vm = ?1 AND va <= ?2 ORDER BY va DESC LIMIT 1"
#define ARGV "(SELECT text FROM argv WHERE id = m.argv)"

static int prepare_who(sqlite3 *db, sqlite3_stmt **ret_stmt)
{
	int64_t version = 0;
	int err = pb_log_get_int(db, "PRAGMA user_version", 0, &version);

	return err < 0 ? err : pb_log_prepare(db, version < 4 ? WHO("NULL") : WHO(ARGV), ret_stmt);
}

/* The reader keeps it for the caller. */
static int keep_argv(struct panbind_log_reader *r, const char *argv)
{
	free(r->blamed_argv);
	r->blamed_argv = argv ? strdup(argv) : NULL;
	return argv && !r->blamed_argv ? -ENOMEM : 0;
}

static int show_snapshot(struct panbind_log_reader *r, int64_t vm, uint64_t va, struct panbind_log_blame *ret_blame)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err = prepare_who(r->db, &stmt), rc;

	if (err < 0)
		return err;
	sqlite3_bind_int64(stmt, 1, vm);
	sqlite3_bind_int64(stmt, 2, (int64_t)va);
	rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW || (uint64_t)sqlite3_column_int64(stmt, 4) <= va)
		return pb_log_errno(r->db, rc) < 0 ? pb_log_errno(r->db, rc) : -ENOENT;
	err = keep_argv(r, (const char *)sqlite3_column_text(stmt, 5));
	if (err < 0)
		return err;
	*ret_blame = (struct panbind_log_blame){
		.seq = (uint64_t)sqlite3_column_int64(stmt, 0),
		.time_ns = sqlite3_column_int64(stmt, 1),
		.uid = sqlite3_column_type(stmt, 2) == SQLITE_NULL ? PANBIND_LOG_NO_ID
								   : (uint32_t)sqlite3_column_int64(stmt, 2),
		.pid = sqlite3_column_int(stmt, 3),
		.argv = r->blamed_argv,
		.compacted = 1,
	};
	return 0;
}

/* The newest VM of that name that ever lived. */
static const struct pb_object *find_vm(struct panbind_log_reader *r, struct panbind_log_ref vm)
{
	for (size_t i = r->objects.count; i-- > 0;) {
		const struct pb_object *object = r->objects.list[i];

		if (object->kind == PB_OBJECT_VM && object->destroyed_seq != object->created_seq &&
		    (vm.generation == 0 || vm.generation == object->generation) && strcmp(object->name, vm.name) == 0)
			return object;
	}
	return NULL;
}

int panbind_log_blame(struct panbind_log_reader *r, struct panbind_log_ref vm, uint64_t va,
		      struct panbind_log_blame *ret_blame, struct panbind_error *reterr)
{
	const struct pb_object *object;
	int64_t op_id = 0;
	int err;

	if (!vm.name)
		return pb_log_error(reterr, -EINVAL, "blame needs the name of a VM");
	pb_reader_end(r);
	err = pb_reader_begin(r);
	if (err < 0)
		return pb_log_error(reterr, err, "cannot read the log: %s", sqlite3_errmsg(r->db));
	object = find_vm(r, vm);
	if (!object) {
		pb_reader_end(r);
		return pb_log_error(reterr, -ENOENT, "the log knows no VM %s", vm.name);
	}
	err = find_newest(r, object->id, va, &op_id);
	if (err == 0)
		err = show_entry(r, op_id, ret_blame);
	else if (err == -ENOENT)
		err = show_snapshot(r, object->id, va, ret_blame);
	if (err < 0) {
		pb_reader_end(r);
		return pb_log_error(reterr, err, "nothing in the log ever touched 0x%llx of VM %s",
				    (unsigned long long)va, vm.name);
	}
	return 0;
}
