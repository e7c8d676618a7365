/* SPDX-License-Identifier: MIT */
/*
 * Import: make a log of what another one exported. All in one transaction into a file under another name, which takes
 * its own name only when it is whole and synced; an import that was broken off leaves nothing that looks like a log.
 *
 * Entries go through the same door as appended ones (item.c), so that an import cannot say what a log would refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "log.h"

struct panbind_log_import {
	struct panbind_log log; /* no thread, no lock file: what pb_item_resolve() needs of one */
	char *part;		/* the name while it is unfinished */
	sqlite3_stmt *mapping, *region, *object;
	bool has_entries;
};

static char *name_with(const char *path, const char *suffix)
{
	char *name;

	return asprintf(&name, "%s%s", path, suffix) < 0 ? NULL : name;
}

static void free_import(struct panbind_log_import *import)
{
	pb_writer_finalize(&import->log.sql);
	sqlite3_finalize(import->mapping);
	sqlite3_finalize(import->region);
	sqlite3_finalize(import->object);
	sqlite3_close(import->log.db);
	pb_objects_free(&import->log.objects);
	free(import->log.path);
	free(import->part);
	free(import);
}

static int prepare(struct panbind_log_import *import, uint64_t state_seq)
{
	sqlite3 *db = import->log.db;
	char place[100];
	int err;

	snprintf(place, sizeof(place), "UPDATE meta SET value = %llu WHERE key = 'snapshot_seq'",
		 (unsigned long long)state_seq);
	err = pb_log_exec(db, "PRAGMA synchronous=OFF; BEGIN IMMEDIATE");
	if (err == 0)
		err = pb_log_exec(db, place);
	if (err == 0)
		err = pb_writer_prepare(db, &import->log.sql);
	if (err == 0)
		err = pb_log_prepare(
			db, "INSERT INTO snapshot_mapping VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, NULL, NULL, NULL)",
			&import->mapping);
	if (err == 0)
		err = pb_log_prepare(db, "INSERT INTO snapshot_region VALUES(?1, ?2, ?3)", &import->region);
	if (err == 0)
		err = pb_log_prepare(db,
				     "INSERT INTO object VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, nullif(?10, 0))",
				     &import->object);
	return err;
}

static int open_part(struct panbind_log_import *import, uint64_t state_seq, struct panbind_error *reterr)
{
	int rc = sqlite3_open_v2(import->part, &import->log.db,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	int err;

	if (!import->log.db)
		return pb_log_error(reterr, -ENOMEM, "no memory for an import");
	if (rc != SQLITE_OK)
		return pb_log_sqlite_error(reterr, import->log.db, rc, "cannot make the log");
	sqlite3_extended_result_codes(import->log.db, 1);
	err = pb_schema_create(import->log.db, reterr);
	if (err < 0)
		return err;
	err = prepare(import, state_seq);
	return err < 0 ? pb_log_error(reterr, err, "cannot fill the log: %s", sqlite3_errmsg(import->log.db)) : 0;
}

static void remove_part(const char *part)
{
	pb_autofree char *wal = name_with(part, "-wal"), *shm = name_with(part, "-shm");

	unlink(part);
	if (wal)
		unlink(wal);
	if (shm)
		unlink(shm);
}

int panbind_log_import_begin(const char *path, uint64_t state_seq, struct panbind_log_import **ret_import,
			     struct panbind_error *reterr)
{
	struct panbind_log_import *import;
	int err;

	if (access(path, F_OK) == 0)
		return pb_log_error(reterr, -EEXIST, "%s exists", path);
	if (state_seq >= PB_LOG_MAX_SEQ)
		return pb_log_error(reterr, -EINVAL, "no sequence number: %llu", (unsigned long long)state_seq);
	import = calloc(1, sizeof(*import));
	if (!import)
		return pb_log_error(reterr, -ENOMEM, "no memory for an import");
	pb_objects_init(&import->log.objects);
	import->log.path = strdup(path);
	import->part = name_with(path, "-part");
	import->log.next_seq = state_seq + 1;
	import->log.place.seq = state_seq;
	if (!import->log.path || !import->part) {
		free_import(import);
		return pb_log_error(reterr, -ENOMEM, "no memory for an import");
	}
	remove_part(import->part);
	err = open_part(import, state_seq, reterr);
	if (err < 0) {
		panbind_log_import_abort(import);
		return err;
	}
	*ret_import = import;
	return 0;
}

/* ---- The state it begins with ---- */

static int check_before_entries(struct panbind_log_import *import, struct panbind_error *reterr)
{
	return import->has_entries ? pb_log_error(reterr, -EINVAL, "the state has to come before the entries") : 0;
}

static int failed(struct panbind_log_import *import, int err, struct panbind_error *reterr)
{
	return err < 0 ? pb_log_error(reterr, err, "cannot fill the log: %s", sqlite3_errmsg(import->log.db)) : 0;
}

static int insert_object(struct panbind_log_import *import, const struct pb_object *object)
{
	sqlite3_stmt *stmt = import->object;

	sqlite3_bind_int64(stmt, 1, object->id);
	sqlite3_bind_int(stmt, 2, object->kind);
	sqlite3_bind_text(stmt, 3, object->name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 4, (int64_t)object->generation);
	sqlite3_bind_int64(stmt, 5, (int64_t)object->size);
	sqlite3_bind_int64(stmt, 6, object->flags);
	if (object->exclusive_vm)
		sqlite3_bind_int64(stmt, 7, object->exclusive_vm);
	else
		sqlite3_bind_null(stmt, 7);
	sqlite3_bind_int64(stmt, 8, (int64_t)object->created_seq);
	if (object->destroyed_seq)
		sqlite3_bind_int64(stmt, 9, (int64_t)object->destroyed_seq);
	else
		sqlite3_bind_null(stmt, 9);
	sqlite3_bind_int64(stmt, 10, (int64_t)object->lost_seq);
	return pb_log_run(stmt);
}

static int import_object(struct panbind_log_import *import, enum pb_object_kind kind,
			 const struct panbind_log_state_object *shown, struct panbind_error *reterr)
{
	const struct panbind_log_object *object = &shown->object;
	struct pb_objects *objects = &import->log.objects;
	uint64_t state_seq = import->log.place.seq;
	const struct pb_object *vm = pb_objects_find(objects, PB_OBJECT_VM, object->exclusive_vm);
	struct pb_object new = {
		.kind = kind,
		.generation = object->ref.generation,
		.size = object->size,
		.flags = object->flags,
		.exclusive_vm = vm ? vm->id : 0,
		.created_seq = shown->created_seq,
		.destroyed_seq = shown->destroyed_seq,
		.lost_seq = shown->lost_seq,
	};
	struct pb_object *added;
	int err = check_before_entries(import, reterr);

	if (err < 0)
		return err;
	if (!object->ref.name || strlen(object->ref.name) > 255)
		return pb_log_error(reterr, -EINVAL, "an object without a name, or with one that is too long");
	if (shown->created_seq > state_seq || shown->destroyed_seq > state_seq)
		return pb_log_error(reterr, -EINVAL, "%s changes after the state", object->ref.name);
	if (!shown->destroyed_seq && pb_objects_find(objects, kind, object->ref))
		return pb_log_error(reterr, -EEXIST, "%s is there twice", object->ref.name);
	err = pb_objects_add(objects, &new, object->ref.name, &added);
	return failed(import, err < 0 ? err : insert_object(import, added), reterr);
}

int panbind_log_import_vm(struct panbind_log_import *import, const struct panbind_log_state_object *vm,
			  struct panbind_error *reterr)
{
	return import_object(import, PB_OBJECT_VM, vm, reterr);
}

int panbind_log_import_bo(struct panbind_log_import *import, const struct panbind_log_state_object *bo,
			  struct panbind_error *reterr)
{
	return import_object(import, PB_OBJECT_BO, bo, reterr);
}

/* The VM, and that the range can be one. */
static int check_range(struct panbind_log_import *import, struct panbind_log_ref ref, uint64_t va, uint64_t size,
		       const struct pb_object **ret_vm, struct panbind_error *reterr)
{
	const struct pb_object *vm = pb_objects_find(&import->log.objects, PB_OBJECT_VM, ref);
	int err = check_before_entries(import, reterr);

	if (err < 0)
		return err;
	if (!vm)
		return pb_log_error(reterr, -ENOENT, "no VM %s in the state", ref.name ? ref.name : "(none)");
	if (size == 0 || va + size < va || va + size > INT64_MAX)
		return pb_log_error(reterr, -EINVAL, "an impossible range: 0x%llx bytes at 0x%llx",
				    (unsigned long long)size, (unsigned long long)va);
	*ret_vm = vm;
	return 0;
}

int panbind_log_import_mapping(struct panbind_log_import *import, struct panbind_log_ref vm,
			       const struct panbind_log_mapping *mapping, struct panbind_error *reterr)
{
	const struct pb_object *owner = NULL, *bo = pb_objects_find(&import->log.objects, PB_OBJECT_BO, mapping->bo);
	sqlite3_stmt *stmt = import->mapping;
	int err = check_range(import, vm, mapping->va, mapping->size, &owner, reterr);

	if (!owner)
		return err;
	if (mapping->bo.name && !bo)
		return pb_log_error(reterr, -ENOENT, "no BO %s in the state", mapping->bo.name);
	sqlite3_bind_int64(stmt, 1, owner->id);
	sqlite3_bind_int64(stmt, 2, (int64_t)mapping->va);
	sqlite3_bind_int64(stmt, 3, (int64_t)mapping->size);
	if (bo)
		sqlite3_bind_int64(stmt, 4, bo->id);
	else
		sqlite3_bind_null(stmt, 4);
	sqlite3_bind_int64(stmt, 5, bo ? (int64_t)mapping->bo_offset : 0);
	sqlite3_bind_int64(stmt, 6, mapping->flags);
	sqlite3_bind_int64(stmt, 7, (int64_t)mapping->seq);
	return failed(import, pb_log_run(stmt), reterr);
}

int panbind_log_import_region(struct panbind_log_import *import, struct panbind_log_ref vm, uint64_t va, uint64_t size,
			      struct panbind_error *reterr)
{
	const struct pb_object *owner = NULL;
	int err = check_range(import, vm, va, size, &owner, reterr);

	if (!owner)
		return err;
	sqlite3_bind_int64(import->region, 1, owner->id);
	sqlite3_bind_int64(import->region, 2, (int64_t)va);
	sqlite3_bind_int64(import->region, 3, (int64_t)size);
	return failed(import, pb_log_run(import->region), reterr);
}

/* ---- Entries ---- */

int panbind_log_import_entry(struct panbind_log_import *import, const struct panbind_log_entry *entry,
			     struct panbind_error *reterr)
{
	struct panbind_log *log = &import->log;
	struct pb_item *item;
	int err;

	if (entry->seq != log->next_seq)
		return pb_log_error(reterr, -EINVAL, "entry %llu, where %llu should come",
				    (unsigned long long)entry->seq, (unsigned long long)log->next_seq);
	err = pb_item_create(entry, entry->durability, &item, reterr);
	if (err < 0)
		return err;
	err = pb_item_resolve(log, entry, item, reterr);
	if (err < 0) {
		pb_item_free(item);
		return err;
	}
	import->has_entries = true;
	err = pb_writer_insert(&log->sql, item);
	pb_item_free(item);
	if (err == -EUCLEAN)
		return pb_log_error(reterr, -EEXIST, "transaction %s is there twice", entry->txn_id);
	if (err == 0)
		log->next_seq++;
	return failed(import, err, reterr);
}

/* ---- The end ---- */

static int sync_file(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC), err = 0;

	if (fd < 0 || fsync(fd) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int sync_folder(const char *path)
{
	pb_autofree char *folder = strdup(path);
	char *slash;

	if (!folder)
		return -ENOMEM;
	slash = strrchr(folder, '/');
	if (slash)
		slash[1] = '\0';
	return sync_file(slash ? folder : ".", O_RDONLY | O_DIRECTORY);
}

/* Close the file so that nothing is left in a write-ahead file, sync it, give it its name: never over another. */
static int put_in_place(struct panbind_log_import *import)
{
	int err = pb_log_exec(import->log.db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");

	if (err == 0)
		err = sync_file(import->part, O_RDWR);
	if (err == 0 && link(import->part, import->log.path) < 0)
		err = -errno;
	return err == 0 ? sync_folder(import->log.path) : err;
}

int panbind_log_import_end(struct panbind_log_import *import, struct panbind_error *reterr)
{
	int err = put_in_place(import);

	if (err < 0)
		pb_log_error(reterr, err, "cannot finish the log %s: %s", import->log.path, panbind_errno_name(err));
	panbind_log_import_abort(import);
	return err;
}

void panbind_log_import_abort(struct panbind_log_import *import)
{
	pb_autofree char *part = pb_take_ptr(import->part);

	free_import(import);
	if (part)
		remove_part(part);
}
