/* SPDX-License-Identifier: MIT */
/*
 * Verify: the log checked against itself. First SQLite's own structures; then, in one walk, that seqs have no gap, that
 * each entry has the ops it says and says what became of it, that what it names lived at that time; then that the fold
 * makes sense: mappings within their VM and BO. Deep: the whole log folded a second time, in SQL as compaction does it,
 * into temporary tables that stand in front of the real ones, must give the same mappings.
 *
 * The log is written meanwhile: all is read in one transaction.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "log.h"

struct check {
	sqlite3 *db;
	void (*problem)(void *data, uint64_t seq, const char *msg);
	void *data;
	struct panbind_log_verify_result result;
	struct pb_objects objects;
	struct pb_fold fold;
	struct pb_snapshot_place place;
	uint64_t last_seq;
};

static void complain(struct check *c, uint64_t seq, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void complain(struct check *c, uint64_t seq, const char *format, ...)
{
	char msg[300];
	va_list args;

	va_start(args, format);
	vsnprintf(msg, sizeof(msg), format, args);
	va_end(args);
	c->result.problems++;
	if (c->problem)
		c->problem(c->data, seq, msg);
}

static int check_file(struct check *c)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err = pb_log_prepare(c->db, "PRAGMA integrity_check", &stmt), rc;

	if (err < 0)
		return err;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const char *words = (const char *)sqlite3_column_text(stmt, 0);

		if (words && strcmp(words, "ok") != 0)
			complain(c, 0, "the file is damaged: %s", words);
	}
	if (rc != SQLITE_DONE)
		complain(c, 0, "the file cannot be checked: %s", sqlite3_errmsg(c->db));
	return 0;
}

/* ---- Entries ---- */

static void check_object(struct check *c, const struct pb_row *row, int64_t id, enum pb_object_kind kind,
			 bool must_live, const char *what)
{
	const struct pb_object *object = id ? pb_objects_by_id(&c->objects, id) : NULL;
	uint64_t seq = row->entry.seq;

	if (!object)
		complain(c, seq, "%s of the entry is object %lld, which is not there", what, (long long)id);
	else if (object->kind != kind)
		complain(c, seq, "%s of the entry is %s, which is of the wrong kind", what, object->name);
	else if (object->created_seq > seq)
		complain(c, seq, "%s of the entry is %s, which was created only by entry %llu", what, object->name,
			 (unsigned long long)object->created_seq);
	else if (must_live && object->destroyed_seq && object->destroyed_seq < seq)
		complain(c, seq, "%s of the entry is %s, which was destroyed by entry %llu", what, object->name,
			 (unsigned long long)object->destroyed_seq);
}

static void check_op(struct check *c, const struct pb_row *row, size_t i)
{
	const struct pb_row_op *op = &row->ops[i];
	enum pb_effect effect = pb_op_effect(op->type);
	bool applied = i < pb_row_applied(row) && effect != PB_EFFECT_NOTHING;

	if (op->index != i)
		complain(c, row->entry.seq, "op %zu of the entry has the index %u", i, op->index);
	if (op->type > PANBIND_LOG_UNKNOWN)
		complain(c, row->entry.seq, "op %zu of the entry has the unknown type %u", i, op->type);
	if (op->vm || applied)
		check_object(c, row, op->vm, PB_OBJECT_VM, applied, "a VM");
	if (op->bo || (applied && effect == PB_EFFECT_MAP))
		check_object(c, row, op->bo, PB_OBJECT_BO, applied, "a BO");
	if (applied && (op->size == 0 || op->va + op->size < op->va))
		complain(c, row->entry.seq, "op %zu of the entry was applied to an impossible range", i);
}

static bool is_about_vm(enum panbind_log_kind kind)
{
	return kind == PANBIND_LOG_VM_CREATE || kind == PANBIND_LOG_VM_DESTROY || kind == PANBIND_LOG_VM_LOST;
}

/* What an entry did to its object must be what the object's row says. */
static void check_life(struct check *c, const struct pb_row *row)
{
	const struct pb_object *object = pb_objects_by_id(&c->objects, row->object);
	enum panbind_log_kind kind = row->entry.kind;
	uint64_t seq = row->entry.seq;

	if (!object || row->entry.result)
		return;
	if ((kind == PANBIND_LOG_VM_CREATE || kind == PANBIND_LOG_BO_CREATE) && object->created_seq != seq)
		complain(c, seq, "the entry created %s, whose row says entry %llu", object->name,
			 (unsigned long long)object->created_seq);
	if ((kind == PANBIND_LOG_VM_DESTROY || kind == PANBIND_LOG_BO_DESTROY) && object->destroyed_seq != seq)
		complain(c, seq, "the entry destroyed %s, whose row says entry %llu", object->name,
			 (unsigned long long)object->destroyed_seq);
}

static void check_entry(struct check *c, const struct pb_row *row)
{
	const struct panbind_log_entry *entry = &row->entry;

	if (entry->seq != c->last_seq + 1)
		complain(c, entry->seq, "entries %llu to %llu are missing", (unsigned long long)c->last_seq + 1,
			 (unsigned long long)entry->seq - 1);
	c->last_seq = entry->seq;
	if (entry->kind < PANBIND_LOG_START || entry->kind > PANBIND_LOG_SCRIPT_END)
		complain(c, entry->seq, "the entry is of the unknown kind %d", entry->kind);
	if (entry->op_count != row->op_count)
		complain(c, entry->seq, "the entry has %zu ops, and says it has %zu", row->op_count, entry->op_count);
	if ((entry->result == 0) != (entry->outcome == PANBIND_OUTCOME_APPLIED))
		complain(c, entry->seq, "the entry's result is %d, and its outcome %s", entry->result,
			 panbind_outcome_name(entry->outcome));
	if (entry->applied != PANBIND_LOG_UNCLEAR && entry->applied > entry->op_count)
		complain(c, entry->seq, "the entry has more ops applied than it has");
	if (entry->kind == PANBIND_LOG_BIND && entry->result == 0 && entry->applied != entry->op_count)
		complain(c, entry->seq, "the entry succeeded, and not all of its ops are applied");
	if (pb_kind_has_object(entry->kind)) {
		check_object(c, row, row->object, is_about_vm(entry->kind) ? PB_OBJECT_VM : PB_OBJECT_BO,
			     entry->result == 0, "the object");
		check_life(c, row);
	}
	for (size_t i = 0; i < row->op_count; i++)
		check_op(c, row, i);
	c->result.entries++;
	c->result.ops += row->op_count;
}

static int walk(struct check *c)
{
	struct pb_scan *scan;
	const struct pb_row *row;
	int err = pb_scan_open(c->db, PB_SCAN_LEAN, &scan);

	if (err < 0)
		return err;
	err = pb_scan_start(scan, 0, PB_LOG_MAX_SEQ);
	while (err == 0 && (err = pb_scan_next(scan, &row)) == 1) {
		check_entry(c, row);
		err = pb_fold_row(&c->fold, row, row->entry.seq == c->place.seq + 1 ? c->place.ops : 0);
	}
	pb_scan_close(scan);
	return err;
}

static int check_strays(struct check *c)
{
	int64_t strays = 0;
	int err = pb_log_get_int(c->db,
				 "SELECT count(*) FROM op WHERE NOT EXISTS"
				 " (SELECT 1 FROM entry WHERE entry.seq = op.id >> 24)",
				 0, &strays);

	if (err == 0 && strays)
		complain(c, 0, "%lld ops belong to no entry", (long long)strays);
	return err;
}

/* ---- Objects ---- */

/* Two objects of one name may live one after the other, never at once. */
static int check_names(struct check *c)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err = pb_log_prepare(
		c->db,
		"SELECT name, created_seq FROM (SELECT name, created_seq, destroyed_seq,"
		" lag(ifnull(destroyed_seq, 1 << 60)) OVER (PARTITION BY kind, name ORDER BY id) AS before"
		" FROM object WHERE ifnull(destroyed_seq, -1) <> created_seq) WHERE before > created_seq",
		&stmt);
	int rc = SQLITE_DONE;

	while (err == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		complain(c, (uint64_t)sqlite3_column_int64(stmt, 1), "two objects named %s live at once",
			 (const char *)sqlite3_column_text(stmt, 0));
	for (size_t i = 0; i < c->objects.count; i++) {
		const struct pb_object *object = c->objects.list[i];

		if (object->destroyed_seq && object->destroyed_seq < object->created_seq)
			complain(c, object->created_seq, "%s was destroyed before it was created", object->name);
		if (object->created_seq > c->last_seq || object->destroyed_seq > c->last_seq)
			complain(c, object->created_seq, "%s belongs to entries that are not there", object->name);
	}
	c->result.objects = c->objects.count;
	return err < 0 ? err : pb_log_errno(c->db, rc);
}

/* ---- Mappings ---- */

static void check_piece(struct check *c, const struct pb_object *vm, const struct pb_piece *piece)
{
	const struct pb_object *bo = piece->bo ? pb_objects_by_id(&c->objects, piece->bo) : NULL;
	unsigned long long va = piece->va;

	c->result.mappings++;
	if (vm->size && (piece->size > vm->size || piece->va > vm->size - piece->size))
		complain(c, piece->seq, "the mapping at 0x%llx is beyond the end of VM %s", va, vm->name);
	if (piece->bo && !bo)
		complain(c, piece->seq, "the mapping at 0x%llx of VM %s is of a BO that is not there", va, vm->name);
	else if (bo && (piece->size > bo->size || piece->bo_offset > bo->size - piece->size))
		complain(c, piece->seq, "the mapping at 0x%llx of VM %s is beyond the end of BO %s", va, vm->name,
			 bo->name);
}

static void check_mappings(struct check *c)
{
	struct pb_piece piece;

	for (size_t i = 0; i < c->fold.count; i++) {
		const struct pb_object *vm = pb_objects_by_id(&c->objects, c->fold.vms[i]->id);

		for (uint64_t va = 0; vm && pb_pieces_next(c->fold.vms[i]->pieces, va, &piece) == 0;
		     va = piece.va + piece.size)
			check_piece(c, vm, &piece);
	}
}

static int check_snapshot(struct check *c)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int err =
		pb_log_prepare(c->db,
			       "SELECT seq, va FROM (SELECT seq, va, lag(va + size) OVER (PARTITION BY vm ORDER BY va)"
			       " AS before FROM snapshot_mapping) WHERE before > va",
			       &stmt);
	int rc = SQLITE_DONE;

	while (err == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		complain(c, (uint64_t)sqlite3_column_int64(stmt, 0),
			 "the mapping of the snapshot at 0x%llx overlaps the one before it",
			 (unsigned long long)sqlite3_column_int64(stmt, 1));
	return err < 0 ? err : pb_log_errno(c->db, rc);
}

/* Version 3 knew none. */
static int check_argv(struct check *c)
{
	int64_t tables = 0, wrong = 0;
	int err = pb_log_get_int(c->db, "SELECT count(*) FROM sqlite_schema WHERE name = 'argv'", 0, &tables);

	if (err == 0 && tables)
		err = pb_log_get_int(c->db,
				     "SELECT (SELECT count(*) FROM argv LEFT JOIN (SELECT argv AS named, count(*) AS n"
				     " FROM snapshot_mapping WHERE argv IS NOT NULL GROUP BY argv) ON named = id"
				     " WHERE mappings IS NOT n) + (SELECT count(*) FROM snapshot_mapping"
				     " WHERE argv IS NOT NULL AND argv NOT IN (SELECT id FROM argv))",
				     0, &wrong);
	if (err == 0 && wrong)
		complain(c, 0, "the snapshot is wrong %lld times about who bound its mappings", (long long)wrong);
	return err;
}

/* ---- Transaction ids ---- */

/* An id is remembered for longer than its entries, and what is remembered is what they say. */
static int check_ids(struct check *c)
{
	pb_autofinalize sqlite3_stmt *stmt = NULL;
	int64_t version = 0;
	int err = pb_log_get_int(c->db, "PRAGMA user_version", 0, &version), rc = SQLITE_DONE;

	if (err < 0 || version < 5)
		return err;
	err = pb_log_prepare(
		c->db,
		"SELECT max(e.seq), e.txn_id FROM entry e LEFT JOIN txn t ON t.id = e.txn_id WHERE e.txn_id IS NOT NULL"
		" GROUP BY e.txn_id HAVING t.seq IS NOT max(e.seq) OR (sum(e.kind = 10) > 0 AND"
		" (t.transactions IS NOT sum(e.result = 0 AND e.flags & 2 AND NOT e.flags & 4)"
		" OR (t.open IS NULL) <> (sum(e.kind = 11) > 0)))",
		&stmt);
	while (err == 0 && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		complain(c, (uint64_t)sqlite3_column_int64(stmt, 0),
			 "what is remembered of transaction id %s is not what its entries say",
			 (const char *)sqlite3_column_text(stmt, 1));
	return err < 0 ? err : pb_log_errno(c->db, rc);
}

/* ---- The second fold ---- */

static const char shadow_tables[] =
	"PRAGMA temp_store=MEMORY;"
	"CREATE TEMP TABLE snapshot_mapping(vm, va, size, bo, bo_offset, flags, seq, time_ns, uid, pid, argv,"
	" PRIMARY KEY(vm, va)) WITHOUT ROWID;"
	"CREATE TEMP TABLE argv(id INTEGER PRIMARY KEY, text UNIQUE, mappings);" /* nothing is put in it: scans are lean
										  */
	"CREATE TEMP TABLE snapshot_region(vm, va, size, PRIMARY KEY(vm, va)) WITHOUT ROWID;";
static const char shadow_copy[] = "INSERT INTO temp.snapshot_mapping"
				  " SELECT vm, va, size, bo, bo_offset, flags, seq, time_ns, uid, pid, NULL"
				  " FROM main.snapshot_mapping;"
				  "INSERT INTO temp.snapshot_region SELECT * FROM main.snapshot_region;";

static int fold_in_sql(struct check *c)
{
	struct pb_snapshot *snapshot = NULL;
	struct pb_scan *scan = NULL;
	const struct pb_row *row;
	int err = pb_snapshot_open(c->db, &snapshot);

	if (err == 0)
		err = pb_scan_open(c->db, PB_SCAN_LEAN, &scan);
	if (err == 0)
		err = pb_scan_start(scan, c->place.seq + 1, PB_LOG_MAX_SEQ);
	while (err == 0 && (err = pb_scan_next(scan, &row)) == 1) {
		size_t i = row->entry.seq == c->place.seq + 1 ? c->place.ops : 0;

		for (err = 0; i < pb_row_applied(row) && err == 0; i++)
			err = pb_snapshot_op(snapshot, &row->entry, &row->ops[i]);
	}
	pb_scan_close(scan);
	pb_snapshot_close(snapshot);
	return err;
}

static bool same_piece(const struct pb_piece *a, const struct pb_piece *b)
{
	return a->va == b->va && a->size == b->size && a->bo == b->bo && a->bo_offset == b->bo_offset &&
	       a->flags == b->flags && a->seq == b->seq;
}

static void compare_vm(struct check *c, const struct pb_fold_vm *mine, const struct pb_fold_vm *theirs)
{
	const struct pb_object *vm = pb_objects_by_id(&c->objects, mine->id);
	struct pb_piece a, b;

	for (uint64_t va = 0; pb_pieces_next(mine->pieces, va, &a) == 0; va = a.va + a.size) {
		if (theirs && pb_pieces_next(theirs->pieces, va, &b) == 0 && same_piece(&a, &b))
			continue;
		complain(c, a.seq, "folded in SQL, VM %s differs at 0x%llx", vm ? vm->name : "?",
			 (unsigned long long)a.va);
		return;
	}
	if ((theirs ? pb_pieces_count(theirs->pieces) : 0) != pb_pieces_count(mine->pieces) ||
	    (theirs ? theirs->region_count : 0) != mine->region_count)
		complain(c, 0, "folded in SQL, VM %s has other mappings or sparse regions", vm ? vm->name : "?");
}

static int check_deep(struct check *c)
{
	struct pb_snapshot_place end = {.seq = c->last_seq};
	struct pb_fold fold;
	int err = fold_in_sql(c);

	if (err < 0)
		return err;
	pb_fold_init(&fold, 0);
	err = pb_snapshot_load(c->db, &end, &c->objects, &fold);
	for (size_t i = 0; i < c->fold.count && err == 0; i++)
		compare_vm(c, c->fold.vms[i], pb_fold_find_vm(&fold, c->fold.vms[i]->id));
	pb_fold_free(&fold);
	return err;
}

/* ---- All of it ---- */

static int run(struct check *c, uint32_t flags)
{
	int err = flags & PANBIND_LOG_VERIFY_DEEP ? pb_log_exec(c->db, shadow_tables) : 0;

	if (err == 0)
		err = pb_log_exec(c->db, "BEGIN");
	if (err == 0)
		err = check_file(c);
	if (err == 0)
		err = pb_objects_load(&c->objects, c->db, 0);
	if (err == 0)
		err = pb_snapshot_place(c->db, &c->place);
	/* The temporary tables stand in front of the real ones from here on: they begin as copies. */
	if (err == 0 && flags & PANBIND_LOG_VERIFY_DEEP)
		err = pb_log_exec(c->db, shadow_copy);
	if (err == 0)
		err = pb_snapshot_load(c->db, &c->place, &c->objects, &c->fold);
	c->last_seq = c->place.seq;
	if (err == 0)
		err = check_snapshot(c);
	if (err == 0)
		err = check_argv(c);
	if (err == 0)
		err = check_ids(c);
	if (err == 0)
		err = walk(c);
	if (err == 0)
		err = check_strays(c);
	if (err == 0)
		err = check_names(c);
	if (err < 0)
		return err;
	check_mappings(c);
	return flags & PANBIND_LOG_VERIFY_DEEP ? check_deep(c) : 0;
}

int panbind_log_verify(struct panbind_log *log, uint32_t flags,
		       void (*problem)(void *data, uint64_t seq, const char *msg), void *data,
		       struct panbind_log_verify_result *ret_result, struct panbind_error *reterr)
{
	struct check c = {.problem = problem, .data = data};
	int err = pb_schema_connect_reader(log->path, &c.db, reterr);

	if (err < 0)
		return err;
	pb_objects_init(&c.objects);
	pb_fold_init(&c.fold, 0);
	err = run(&c, flags);
	if (err == -EBADMSG) {
		complain(&c, 0, "the file is damaged: %s", sqlite3_errmsg(c.db));
		err = 0;
	}
	if (err < 0)
		pb_log_error(reterr, err, "cannot verify the log: %s", sqlite3_errmsg(c.db));
	else if (ret_result)
		*ret_result = c.result;
	pb_fold_free(&c.fold);
	pb_objects_free(&c.objects);
	sqlite3_close(c.db);
	return err;
}
