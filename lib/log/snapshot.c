/* SPDX-License-Identifier: MIT */
/*
 * The snapshot: the state where the log begins, in the tables snapshot_mapping and snapshot_region. This is the fold of
 * fold.c once more, in SQL, so that compaction can go through a log of any size in small steps without holding it in
 * memory. verify folds both ways and compares.
 *
 * Whoever uses it has a transaction open. The statements name their tables without a schema: verify puts temporary
 * tables of the same names in front of the real ones.
 */
#include <errno.h>

#include "log.h"

enum { REPLACE, LEFT_OF, SHORTEN, LAST_IN, DELETE_IN, INSERT, ADD_REGION, REMOVE_REGION, ADD_ARGV, STATEMENTS };

#define ARGV "(SELECT id FROM argv WHERE text = ?11)"

static const char *const statements[STATEMENTS] = {
	[REPLACE] = "UPDATE snapshot_mapping SET bo = ?4, bo_offset = ?5, flags = ?6, seq = ?7, time_ns = ?8, uid = ?9,"
		    " pid = ?10, argv = " ARGV " WHERE vm = ?1 AND va = ?2 AND size = ?3",
	[LEFT_OF] = "SELECT va, size FROM snapshot_mapping WHERE vm = ?1 AND va < ?2 ORDER BY va DESC LIMIT 1",
	[SHORTEN] = "UPDATE snapshot_mapping SET size = ?3 WHERE vm = ?1 AND va = ?2",
	[LAST_IN] = "SELECT va, size FROM snapshot_mapping WHERE vm = ?1 AND va >= ?2 AND va < ?3"
		    " ORDER BY va DESC LIMIT 1",
	[DELETE_IN] = "DELETE FROM snapshot_mapping WHERE vm = ?1 AND va >= ?2 AND va < ?3",
	[INSERT] = "INSERT INTO snapshot_mapping VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, " ARGV ")",
	[ADD_REGION] = "INSERT OR REPLACE INTO snapshot_region VALUES(?1, ?2, ?3)",
	[REMOVE_REGION] = "DELETE FROM snapshot_region WHERE vm = ?1 AND va = ?2 AND size = ?3",
	[ADD_ARGV] = "INSERT INTO argv(text, mappings) VALUES(?1, 0) ON CONFLICT DO NOTHING",
};

/* The part of a mapping right of ?3, before the mapping at ?2 is cut or removed. */
static const char copy_right[] =
	"INSERT INTO snapshot_mapping SELECT vm, ?3, va + size - ?3, bo,"
	" CASE WHEN bo IS NULL THEN 0 ELSE bo_offset + ?3 - va END, flags, seq, time_ns, uid, pid, argv"
	" FROM snapshot_mapping WHERE vm = ?1 AND va = ?2";

struct pb_snapshot {
	sqlite3 *db;
	sqlite3_stmt *stmt[STATEMENTS], *copy_right;
};

int pb_snapshot_open(sqlite3 *db, struct pb_snapshot **ret_snapshot)
{
	struct pb_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int err = snapshot ? 0 : -ENOMEM;

	if (!snapshot)
		return err;
	snapshot->db = db;
	for (int i = 0; i < STATEMENTS && err == 0; i++)
		err = pb_log_prepare(db, statements[i], &snapshot->stmt[i]);
	if (err == 0)
		err = pb_log_prepare(db, copy_right, &snapshot->copy_right);
	if (err < 0) {
		pb_snapshot_close(snapshot);
		return err;
	}
	*ret_snapshot = snapshot;
	return 0;
}

void pb_snapshot_close(struct pb_snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(snapshot->stmt[i]);
	sqlite3_finalize(snapshot->copy_right);
	free(snapshot);
}

static int run3(sqlite3_stmt *stmt, int64_t a, uint64_t b, uint64_t c)
{
	sqlite3_bind_int64(stmt, 1, a);
	sqlite3_bind_int64(stmt, 2, (int64_t)b);
	sqlite3_bind_int64(stmt, 3, (int64_t)c);
	return pb_log_run(stmt);
}

/* Find one mapping: 1 and its range, 0: none. */
static int find(sqlite3_stmt *stmt, int64_t vm, uint64_t from, uint64_t end, struct pb_fold_region *ret_range)
{
	int rc, err;

	sqlite3_bind_int64(stmt, 1, vm);
	sqlite3_bind_int64(stmt, 2, (int64_t)from);
	if (sqlite3_bind_parameter_count(stmt) > 2)
		sqlite3_bind_int64(stmt, 3, (int64_t)end);
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret_range = (struct pb_fold_region){(uint64_t)sqlite3_column_int64(stmt, 0),
						     (uint64_t)sqlite3_column_int64(stmt, 1)};
	err = pb_log_errno(sqlite3_db_handle(stmt), rc);
	sqlite3_reset(stmt);
	return err < 0 ? err : rc == SQLITE_ROW;
}

/* A mapping that reaches in from the left loses what is inside; what reaches out on the right stays. */
static int cut_left_neighbour(struct pb_snapshot *s, int64_t vm, uint64_t va, uint64_t end)
{
	struct pb_fold_region left;
	int err = find(s->stmt[LEFT_OF], vm, va, 0, &left);

	if (err <= 0 || left.va + left.size <= va)
		return err < 0 ? err : 0;
	err = left.va + left.size > end ? run3(s->copy_right, vm, left.va, end) : 0;
	return err < 0 ? err : run3(s->stmt[SHORTEN], vm, left.va, va - left.va);
}

static int clear(struct pb_snapshot *s, int64_t vm, uint64_t va, uint64_t end)
{
	struct pb_fold_region last;
	int err = cut_left_neighbour(s, vm, va, end);

	if (err < 0)
		return err;
	err = find(s->stmt[LAST_IN], vm, va, end, &last);
	if (err <= 0)
		return err;
	err = last.va + last.size > end ? run3(s->copy_right, vm, last.va, end) : 0;
	return err < 0 ? err : run3(s->stmt[DELETE_IN], vm, va, end);
}

static int run_with_op(sqlite3_stmt *stmt, const struct panbind_log_entry *entry, const struct pb_row_op *op)
{
	bool sparse = pb_op_effect(op->type) == PB_EFFECT_SPARSE;

	sqlite3_bind_int64(stmt, 1, op->vm);
	sqlite3_bind_int64(stmt, 2, (int64_t)op->va);
	sqlite3_bind_int64(stmt, 3, (int64_t)op->size);
	if (sparse)
		sqlite3_bind_null(stmt, 4);
	else
		sqlite3_bind_int64(stmt, 4, op->bo);
	sqlite3_bind_int64(stmt, 5, sparse ? 0 : (int64_t)op->bo_offset);
	sqlite3_bind_int64(stmt, 6, sparse ? 0 : op->flags);
	sqlite3_bind_int64(stmt, 7, (int64_t)entry->seq);
	sqlite3_bind_int64(stmt, 8, entry->time_ns);
	if (entry->uid == PANBIND_LOG_NO_ID)
		sqlite3_bind_null(stmt, 9);
	else
		sqlite3_bind_int64(stmt, 9, entry->uid);
	sqlite3_bind_int64(stmt, 10, entry->pid);
	if (entry->argv)
		sqlite3_bind_text(stmt, 11, entry->argv, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(stmt, 11);
	return pb_log_run(stmt);
}

/* There when the mapping that names it comes, which counts it. */
static int add_argv(sqlite3_stmt *stmt, const char *argv)
{
	sqlite3_bind_text(stmt, 1, argv, -1, SQLITE_STATIC);
	return pb_log_run(stmt);
}

/* Most remaps replace one mapping by another of the same range: one statement does it. */
static int set(struct pb_snapshot *s, const struct panbind_log_entry *entry, const struct pb_row_op *op)
{
	int err = entry->argv ? add_argv(s->stmt[ADD_ARGV], entry->argv) : 0;

	if (err == 0)
		err = run_with_op(s->stmt[REPLACE], entry, op);
	if (err < 0 || sqlite3_changes(s->db) == 1)
		return err;
	err = clear(s, op->vm, op->va, op->va + op->size);
	return err < 0 ? err : run_with_op(s->stmt[INSERT], entry, op);
}

int pb_snapshot_op(struct pb_snapshot *s, const struct panbind_log_entry *entry, const struct pb_row_op *op)
{
	enum pb_effect effect = pb_op_effect(op->type);
	int err;

	if (effect == PB_EFFECT_NOTHING || op->size == 0)
		return 0;
	if (effect == PB_EFFECT_CLEAR)
		err = clear(s, op->vm, op->va, op->va + op->size);
	else
		err = set(s, entry, op);
	if (err == 0 && op->type == PANBIND_LOG_SPARSE_RESERVE)
		err = run3(s->stmt[ADD_REGION], op->vm, op->va, op->size);
	if (err == 0 && op->type == PANBIND_LOG_SPARSE_RELEASE)
		err = run3(s->stmt[REMOVE_REGION], op->vm, op->va, op->size);
	return err;
}

int pb_snapshot_place(sqlite3 *db, struct pb_snapshot_place *ret_place)
{
	int64_t seq = 0, ops = 0;
	int err = pb_log_get_int(db, "SELECT value FROM meta WHERE key = 'snapshot_seq'", 0, &seq);

	if (err == 0)
		err = pb_log_get_int(db, "SELECT value FROM meta WHERE key = 'snapshot_ops'", 0, &ops);
	if (err == 0)
		*ret_place = (struct pb_snapshot_place){(uint64_t)seq, (uint32_t)ops};
	return err;
}

/* The VM of a row in the fold, or NULL in *ret_vm when the row is of a VM that is dead or not asked for. */
static int vm_of_row(struct pb_fold *fold, struct pb_objects *objects, uint64_t seq, int64_t id,
		     struct pb_fold_vm **ret_vm)
{
	const struct pb_object *object;

	*ret_vm = NULL;
	if (fold->only && fold->only != id)
		return 0;
	object = pb_objects_by_id(objects, id);
	if (!object || (object->destroyed_seq && object->destroyed_seq <= seq))
		return 0;
	*ret_vm = pb_fold_vm(fold, id);
	return *ret_vm ? 0 : -ENOMEM;
}

static int add_mapping(sqlite3_stmt *stmt, struct pb_fold_vm *vm)
{
	const struct pb_piece piece = {
		.va = (uint64_t)sqlite3_column_int64(stmt, 1),
		.size = (uint64_t)sqlite3_column_int64(stmt, 2),
		.bo = (uint32_t)sqlite3_column_int64(stmt, 3),
		.bo_offset = (uint64_t)sqlite3_column_int64(stmt, 4),
		.flags = (uint32_t)sqlite3_column_int64(stmt, 5),
		.seq = (uint64_t)sqlite3_column_int64(stmt, 6),
	};

	return pb_pieces_set(vm->pieces, &piece);
}

static int add_region(sqlite3_stmt *stmt, struct pb_fold_vm *vm)
{
	return pb_fold_add_region(vm, (uint64_t)sqlite3_column_int64(stmt, 1), (uint64_t)sqlite3_column_int64(stmt, 2));
}

static int load_table(sqlite3 *db, const char *sql, int (*add)(sqlite3_stmt *, struct pb_fold_vm *), uint64_t seq,
		      struct pb_objects *objects, struct pb_fold *fold)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	struct pb_fold_vm *vm;
	int err = pb_log_prepare(db, sql, &stmt), rc = SQLITE_DONE;

	while (err == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		err = vm_of_row(fold, objects, seq, sqlite3_column_int64(stmt, 0), &vm);
		if (err == 0 && vm)
			err = add(stmt, vm);
	}
	return err < 0 ? err : pb_log_errno(db, rc);
}

int pb_snapshot_load(sqlite3 *db, const struct pb_snapshot_place *place, struct pb_objects *objects,
		     struct pb_fold *fold)
{
	int err = load_table(db,
			     "SELECT vm, va, size, bo, bo_offset, flags, seq FROM snapshot_mapping"
			     " ORDER BY vm, va",
			     add_mapping, place->seq, objects, fold);

	return err < 0 ? err
		       : load_table(db, "SELECT vm, va, size FROM snapshot_region ORDER BY vm, va", add_region,
				    place->seq, objects, fold);
}
