/* SPDX-License-Identifier: MIT */
/*
 * What the files of lib/log share and nobody else sees. SQLite is known here and nowhere outside this folder.
 *
 * Who is who: a struct pb_objects is the table of all VMs and BOs ever named; a scan walks entries and their ops in
 * order; pieces are the mappings of one VM; a fold applies entries to pieces; a snapshot is the same in SQL tables.
 */
#ifndef PB_LOG_H
#define PB_LOG_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "panbind-log.h"

/* ---- Cleanup attributes ---- */

#define pb_cleanup(fn) __attribute__((cleanup(fn)))

static inline void pb_log_freep(void *p)
{
	free(*(void **)p);
}

static inline void pb_log_finalizep(sqlite3_stmt **stmt)
{
	sqlite3_finalize(*stmt);
}

static inline void pb_log_db_closep(sqlite3 **db)
{
	sqlite3_close(*db);
}

#define pb_autofree	pb_cleanup(pb_log_freep)
#define pb_autofinalize pb_cleanup(pb_log_finalizep)
#define pb_autodb	pb_cleanup(pb_log_db_closep)
#define pb_take_ptr(p)                  \
	({                              \
		__typeof__(p) t_ = (p); \
		(p) = NULL;             \
		t_;                     \
	})

/* ---- util.c ---- */

/** Fill @reterr (may be NULL): stage JOURNAL, no op, no place. Returns @code. */
int pb_log_error(struct panbind_error *reterr, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** The negative errno of what SQLite said last; 0 for OK, ROW and DONE. */
int pb_log_errno(sqlite3 *db, int rc);
/** pb_log_errno() with SQLite's own words behind @what. */
int pb_log_sqlite_error(struct panbind_error *reterr, sqlite3 *db, int rc, const char *what);
int pb_log_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt);
/** Prepare, run and forget: 0 or negative errno. */
int pb_log_exec(sqlite3 *db, const char *sql);
/** Step a statement that returns no rows, and reset it. */
int pb_log_run(sqlite3_stmt *stmt);
/** The first column of the first row of @sql, or @fallback when there is none. */
int pb_log_get_int(sqlite3 *db, const char *sql, int64_t fallback, int64_t *ret_value);
int64_t pb_log_now_ns(clockid_t clock);

/* ---- vfs.c ---- */

/** The VFS for who writes a log, or NULL, which is the default one. */
const char *pb_vfs_name(void);

/* ---- schema.c ---- */

/** op.id: which entry, and which op of it. */
#define PB_OP_ID_BITS	24
#define PB_OP_ID(seq)	((int64_t)((uint64_t)(seq) << PB_OP_ID_BITS))
#define PB_OP_SEQ(id)	((uint64_t)(id) >> PB_OP_ID_BITS)
#define PB_OP_INDEX(id) ((uint32_t)((id) & ((1 << PB_OP_ID_BITS) - 1)))
#define PB_LOG_MAX_SEQ	((uint64_t)1 << (62 - PB_OP_ID_BITS))

/** Make the tables in an empty file. */
int pb_schema_create(sqlite3 *db, struct panbind_error *reterr);
/** 0 when @db is a log that this library understands; @ret_empty: nothing in it yet, not even tables. */
int pb_schema_check(sqlite3 *db, const char *path, bool *ret_empty, struct panbind_error *reterr);
/** Bring an older log to the version that this library writes. */
int pb_schema_upgrade(sqlite3 *db, struct panbind_error *reterr);
/** A connection for reading only, beside the writer's. */
int pb_schema_connect_reader(const char *path, sqlite3 **ret_db, struct panbind_error *reterr);

/* ---- objects.c ---- */

enum pb_object_kind { PB_OBJECT_VM = 1, PB_OBJECT_BO = 2 };

struct pb_object {
	int64_t id;
	enum pb_object_kind kind;
	uint32_t flags;
	uint64_t generation, size;
	int64_t exclusive_vm; /* id, or 0 */
	uint64_t created_seq;
	uint64_t destroyed_seq;	     /* 0: not destroyed; equal to created_seq: it never lived */
	uint64_t lost_seq;	     /* of a VM: its mapping is not known since then; 0: it is */
	struct pb_object *same_hash; /* next in the bucket, newest first */
	bool mapped;		     /* a note of state.c */
	bool broken;		     /* replay: it could not be made, or is not what it should be */
	void *handle;		     /* replay: the struct panbind_vm or panbind_bo made of it */
	uint64_t async_seq;	     /* replay: of a VM: its last asynchronous bind, 0: all are over */
	char name[];
};

/** All objects by id, and by name. */
struct pb_objects {
	struct pb_object **list; /* in order of id */
	size_t count, room;
	struct pb_object **buckets; /* by kind and name */
	size_t bucket_count;
	int64_t next_id;
	struct pb_object *last; /* found last by id: ops of one VM stand together */
};

void pb_objects_init(struct pb_objects *objects);
void pb_objects_free(struct pb_objects *objects);
/** Read all rows of `object` whose id is at least @from_id. */
int pb_objects_load(struct pb_objects *objects, sqlite3 *db, int64_t from_id);
/** Add a copy of @template under the next id, or under template->id when that is not 0. */
int pb_objects_add(struct pb_objects *objects, const struct pb_object *template, const char *name,
		   struct pb_object **ret_object);
struct pb_object *pb_objects_by_id(struct pb_objects *objects, int64_t id);
/** The newest object of that name: of @generation, or of any when it is 0. */
struct pb_object *pb_objects_find(struct pb_objects *objects, enum pb_object_kind kind, struct panbind_log_ref ref);
/** Forget the objects for which @gone says true; it is asked in order of id. */
void pb_objects_remove(struct pb_objects *objects, bool (*gone)(void *data, const struct pb_object *object),
		       void *data);
struct panbind_log_ref pb_object_ref(const struct pb_object *object);
/** The object as the public header shows it. */
void pb_object_describe(struct pb_objects *objects, const struct pb_object *object,
			struct panbind_log_object *ret_object);

static inline bool pb_object_alive(const struct pb_object *object, uint64_t seq)
{
	return object->created_seq <= seq && (object->destroyed_seq == 0 || object->destroyed_seq > seq);
}

/* ---- scan.c ---- */

struct pb_row_op {
	uint32_t index;
	uint8_t type;
	uint32_t flags;
	int64_t vm, bo; /* object ids; 0: none */
	uint64_t va, size, bo_offset;
	const char *syncs; /* borrowed from the scan */
	size_t syncs_at;   /* within a scan: where syncs is kept, + 1 */
};

/** One entry of a scan; strings and ops are valid until the next step. */
struct pb_row {
	struct panbind_log_entry entry; /* without object and ops */
	int64_t object;			/* id, or 0 */
	const struct pb_row_op *ops;
	size_t op_count; /* rows found; entry.op_count is what was recorded */
};

#define PB_SCAN_LEAN  (1u << 0) /* only what a fold needs: no who, no strings, no syncs */
#define PB_SCAN_SYNCS (1u << 1) /* with the syncs all the same */

struct pb_scan;
/** Walk the entries [from, until] as they are when the walk begins. One scan a connection at a time. */
int pb_scan_open(sqlite3 *db, uint32_t flags, struct pb_scan **ret_scan);
void pb_scan_close(struct pb_scan *scan);
/** (Re)start: nothing is read before the first step. */
int pb_scan_start(struct pb_scan *scan, uint64_t from, uint64_t until);
/** 1: *@ret_row, 0: the end, or negative errno. */
int pb_scan_next(struct pb_scan *scan, const struct pb_row **ret_row);
void pb_scan_stop(struct pb_scan *scan);
/** One op from a row of the `op` table, columns as in PB_OP_COLUMNS. */
#define PB_OP_COLUMNS "id, type, flags, vm, va, size, bo, bo_offset, syncs"
void pb_scan_op_columns(sqlite3_stmt *stmt, bool lean, struct pb_row_op *ret_op);

/** Applied ops of a row, counted from the first: what a fold has to do. */
static inline size_t pb_row_applied(const struct pb_row *row)
{
	if (row->entry.applied == PANBIND_LOG_UNCLEAR || row->entry.kind != PANBIND_LOG_BIND)
		return 0;
	return row->entry.applied < row->op_count ? row->entry.applied : row->op_count;
}

/** Is an entry of this kind about one VM or BO? */
static inline bool pb_kind_has_object(enum panbind_log_kind kind)
{
	return (kind >= PANBIND_LOG_VM_CREATE && kind <= PANBIND_LOG_BO_DESTROY) || kind == PANBIND_LOG_VM_LOST;
}

/** An entry of a script under way, or the end of one. */
static inline bool pb_entry_goes_on(const struct panbind_log_entry *entry)
{
	return entry->kind == PANBIND_LOG_SCRIPT_END || entry->flags & PANBIND_LOG_PART;
}

/** What is said of a script that has no end. */
#define PB_INTERRUPTED "it was interrupted: its end is not recorded"

/** Does this end leave the VMs of the ops in a state that the log cannot tell? */
static inline bool pb_entry_unclear(const struct panbind_log_entry *entry)
{
	return entry->outcome == PANBIND_OUTCOME_UNKNOWN || entry->applied == PANBIND_LOG_UNCLEAR;
}

/* ---- pieces.c: the mappings of one VM ---- */

struct pb_piece {
	uint64_t va, size, bo_offset;
	uint64_t seq; /* the entry that bound it */
	uint32_t bo;  /* object id; 0: sparse */
	uint32_t flags;
};

struct pb_pieces;
int pb_pieces_create(struct pb_pieces **ret_pieces);
void pb_pieces_destroy(struct pb_pieces *pieces);
size_t pb_pieces_count(const struct pb_pieces *pieces);
/** Replace what is in the range of @piece. 0 or -ENOMEM. */
int pb_pieces_set(struct pb_pieces *pieces, const struct pb_piece *piece);
/** Remove what is in [va, va + size). */
int pb_pieces_clear(struct pb_pieces *pieces, uint64_t va, uint64_t size);
/** The first piece that ends after @va: 0 or -ENOENT. */
int pb_pieces_next(const struct pb_pieces *pieces, uint64_t va, struct pb_piece *ret_piece);

/** Does @b continue @a, so that both look like one mapping? Sparse neighbours always do. */
static inline bool pb_piece_continues(const struct pb_piece *a, const struct pb_piece *b)
{
	if (a->va + a->size != b->va || a->bo != b->bo)
		return false;
	return a->bo == 0 || (a->flags == b->flags && a->bo_offset + a->size == b->bo_offset);
}

/* ---- fold.c ---- */

struct pb_fold_region {
	uint64_t va, size;
};

struct pb_fold_vm {
	int64_t id;
	struct pb_pieces *pieces;
	struct pb_fold_region *regions; /* by va */
	size_t region_count, region_room;
};

/** VMs and what they map. VMs appear when an op or a snapshot row first names them. */
struct pb_fold {
	struct pb_fold_vm **vms; /* by id */
	size_t count, room;
	int64_t only; /* keep to this VM; 0: all */
	struct pb_fold_vm *last;
};

void pb_fold_init(struct pb_fold *fold, int64_t only);
void pb_fold_free(struct pb_fold *fold);
/** The VM, made when it is not there; NULL: no memory. */
struct pb_fold_vm *pb_fold_vm(struct pb_fold *fold, int64_t id);
struct pb_fold_vm *pb_fold_find_vm(const struct pb_fold *fold, int64_t id);
void pb_fold_drop_vm(struct pb_fold *fold, int64_t id);
int pb_fold_op(struct pb_fold *fold, uint64_t seq, const struct pb_row_op *op);
/** Apply an entry. @first_op: ops before it are in the snapshot already. */
int pb_fold_row(struct pb_fold *fold, const struct pb_row *row, uint32_t first_op);
int pb_fold_add_region(struct pb_fold_vm *vm, uint64_t va, uint64_t size);
void pb_fold_remove_region(struct pb_fold_vm *vm, uint64_t va, uint64_t size);

/** What an op does to the mappings of its VM: the one place that knows, for fold.c and for snapshot.c. */
enum pb_effect { PB_EFFECT_NOTHING, PB_EFFECT_MAP, PB_EFFECT_SPARSE, PB_EFFECT_CLEAR };
enum pb_effect pb_op_effect(uint8_t type);

/* ---- snapshot.c: where the log begins, in tables ---- */

/** The fold's mirror in SQL: prepared statements on the tables snapshot_mapping and snapshot_region. */
struct pb_snapshot;
int pb_snapshot_open(sqlite3 *db, struct pb_snapshot **ret_snapshot);
void pb_snapshot_close(struct pb_snapshot *snapshot);
int pb_snapshot_op(struct pb_snapshot *snapshot, const struct panbind_log_entry *entry, const struct pb_row_op *op);

/** Where the tables stand: all of entry seq, and the first `ops` ops of the entry after it. */
struct pb_snapshot_place {
	uint64_t seq;
	uint32_t ops;
};
int pb_snapshot_place(sqlite3 *db, struct pb_snapshot_place *ret_place);
/** Load the tables into @fold; VMs for which @objects says that they are dead at @place are left out. */
int pb_snapshot_load(sqlite3 *db, const struct pb_snapshot_place *place, struct pb_objects *objects,
		     struct pb_fold *fold);

/* ---- state.c ---- */

struct panbind_log_state {
	uint64_t seq;
	struct pb_objects objects;
	struct pb_fold fold;
	struct panbind_log_state_object *vms, *bos; /* alive at seq; ids beside them */
	int64_t *vm_ids, *bo_ids;
	size_t vm_count, bo_count;
};

/** As panbind_log_state_create(), on a connection that has a read transaction open. */
int pb_state_create(sqlite3 *db, uint64_t seq, struct panbind_log_ref vm, struct panbind_log_state **ret_state,
		    struct panbind_error *reterr);
/** The seqs of the oldest state that can be shown, and of the last entry. */
int pb_state_bounds(sqlite3 *db, uint64_t *ret_oldest, uint64_t *ret_last);

/* ---- item.c, journal.c, writer.c, wal.c, compact.c: a struct panbind_log ---- */

/** A queued entry, all in one block of memory, with object ids instead of names. */
struct pb_item {
	struct pb_item *next;
	struct pb_item *same_bucket; /* in log->pending, when it has a txn_id */
	bool joins_next;	     /* committed together with the next one */
	panbind_log_done_fn *done;
	void *data;
	int64_t object;
	const struct pb_object *
		*created; /* rows to insert, with the names that never lived; only constant fields count */
	size_t created_count;
	int64_t lost_vm, *lost_vms; /* whose mapping is not known from here on */
	size_t lost_count;
	struct panbind_log_entry entry; /* object and ops unused; op_count is true */
	struct pb_row_op *ops;
	size_t bytes;
};

/** A compaction that somebody asked for. */
struct pb_compact_job {
	struct pb_compact_job *next;
	uint64_t until_seq;
	panbind_log_done_fn *done;
	void *data;
};

/** Prepared statements of the writer's connection. */
struct pb_writer_sql {
	sqlite3_stmt *begin, *commit, *rollback, *entry, *op, *object, *destroy, *destroy_all, *lost, *txn, *txn_part,
		*txn_end, *probe, *pages, *free_pages, *hold;
};

/** Moves the write-ahead file into the log on a thread and connection of its own. */
struct pb_checkpointer {
	sqlite3 *db;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool running, wanted, stop;
	bool caught_up; /* nearly all is moved: the writer does the rest, so that the file is used from its start again
			 */
	int frames;	/* the writer's own: how many are worth moving */
	int kick_at;	/* likewise: at how many it is wanted next */
};

/** Where the sweeps of compaction are; zero is the beginning. */
struct pb_sweep {
	int phase;
	size_t object;	/* index into the objects */
	int64_t vm, va; /* the mapping looked at last */
	char *txn;	/* the id looked at last, or NULL */
};

struct pb_compactor {
	struct pb_snapshot *snapshot;
	sqlite3_stmt *entries, *ops, *drop_entries, *drop_ops, *set_place;
	int phase;
	int64_t retry_ns;
	struct pb_sweep sweep;

	/* For tests: ops folded at most in a step (0: only the clock counts), and a call after each step. */
	uint32_t step_ops;
	void (*after_step)(void *data);
	void *after_step_data;
};

#define PB_PENDING_BUCKETS 1024

struct panbind_log {
	char *path;
	bool read_only;
	int lock_fd;
	uint64_t size_cap, txn_keep;

	/* Guarded by lock. */
	pthread_mutex_t lock;
	pthread_cond_t wake;	/* the writer: work, or its turn */
	pthread_cond_t changed; /* everybody else: progress */
	struct pb_item *head, **tail;
	struct pb_item *joined, **joined_tail; /* appended by `joiner` since panbind_log_join() */
	bool joining;
	pthread_t joiner;
	int join_failed;	 /* why what was joined is gone already */
	uint64_t join_first_seq; /* of what is joined */
	size_t queued;		 /* also those in the group that is being committed */
	size_t queued_bytes;
	struct pb_item *pending[PB_PENDING_BUCKETS]; /* queued items by txn_id */
	struct pb_compact_job *jobs, **jobs_tail;
	struct pb_objects objects; /* as they are after everything that is queued */
	uint64_t next_seq, committed_seq;
	struct pb_snapshot_place place;
	uint64_t groups, bytes, cures;
	int failed;
	char why[128]; /* in words */
	bool stop, compacting;
	bool committing; /* somebody has the turn: the writer, or a thread that appends */
	pthread_t committer;
	void (*hook)(void *data, uint64_t last_seq);
	void *hook_data;
	sqlite3 *lookup_db; /* for transaction ids */
	sqlite3_stmt *lookup;

	pthread_t writer;
	bool writer_running;

	/* For whoever has the turn. */
	sqlite3 *db;
	struct pb_writer_sql sql;
	bool full_sync;
	bool distrusted; /* a write or sync has failed: what is in the write-ahead file may not be on the disk */
	bool holds;	 /* its place among the readers, from commit to commit */
	uint32_t page_size;
	int wal_frames; /* in the write-ahead file after the last commit */
	struct pb_checkpointer checkpointer;
	struct pb_compactor compactor;
};

/** Refuse nonsense, copy. No lock is needed. */
int pb_item_create(const struct panbind_log_entry *entry, enum panbind_log_durability durability,
		   struct pb_item **ret_item, struct panbind_error *reterr);
/** Resolve names, make it the item for log->next_seq, and the objects what they are after it. The lock is held. */
int pb_item_resolve(struct panbind_log *log, const struct panbind_log_entry *entry, struct pb_item *item,
		    struct panbind_error *reterr);
void pb_item_free(struct pb_item *item);
/** Make the log's objects what they were after entry @seq, when all that came later has failed. */
void pb_item_forget_after(struct panbind_log *log, uint64_t seq);

/** A txn_id among what is queued. */
struct pb_item **pb_pending_bucket(struct panbind_log *log, const char *txn_id);
struct pb_item *pb_pending_find(struct panbind_log *log, const char *txn_id);
/**
 * -EEXIST when the entry's id (NULL: none) is queued or recorded; of a part or the end of a script: -ENOENT unless it
 * has begun and not ended. The log's lock is held.
 */
int pb_txn_check(struct panbind_log *log, const struct panbind_log_entry *entry, struct panbind_error *reterr);

/** Prepare the writer's statements; start and end its thread. */
int pb_writer_prepare(sqlite3 *db, struct pb_writer_sql *sql);
void pb_writer_finalize(struct pb_writer_sql *sql);
int pb_writer_start(struct panbind_log *log, struct panbind_error *reterr);
/** Commit what is queued, end the thread. */
void pb_writer_stop(struct panbind_log *log);
/** Is what the caller has just queued all there is to do, and nobody at it? The log's lock is held. */
bool pb_writer_may_turn(struct panbind_log *log);
/** Commit and answer what is queued, on this thread. The log's lock is held before and after, and not meanwhile. */
void pb_writer_turn(struct panbind_log *log);
/** Insert the rows of an item, in a transaction that is open. */
int pb_writer_insert(struct pb_writer_sql *sql, const struct pb_item *item);
int pb_writer_measure(struct panbind_log *log, uint64_t *ret_bytes);

/** Write the write-ahead file out to its usual size, so that a commit need not grow it. */
int pb_wal_warm(sqlite3 *db);
/** Bytes of the write-ahead file. */
uint64_t pb_wal_bytes(const char *path);
int pb_checkpointer_start(struct panbind_log *log, struct panbind_error *reterr);
void pb_checkpointer_stop(struct panbind_log *log);
/** Take a place among the readers for a commit and those after it; the other gives it up. On the writer's turn. */
int pb_wal_hold(struct panbind_log *log);
void pb_wal_release(struct panbind_log *log);
/** After a commit, on the writer's thread. */
void pb_wal_after_commit(struct panbind_log *log);

/**
 * After a failed write or sync, when writing works again: see to it that all that was committed is on the disk. 0;
 * -EBADMSG: it is not; or why that cannot be done now. @ret_why: in words. On the thread that has the turn.
 */
int pb_trust_restore(struct panbind_log *log, char *ret_why, size_t size);
/** Close a connection that writes, leaving alone a write-ahead file that is not trusted. */
void pb_trust_close(const struct panbind_log *log, sqlite3 *db);

int pb_compactor_open(struct panbind_log *log);
void pb_compactor_close(struct panbind_log *log);
/** Is there compaction to be done, for a job or for the cap? The log's lock is held. */
bool pb_compact_wanted(struct panbind_log *log);
/** One bounded step of it, on the writer's thread. */
void pb_compact_step(struct panbind_log *log);
/** Begin and end the transaction of a step; commit returns @err, or rolls back and returns why. */
int pb_compact_begin(struct panbind_log *log);
int pb_compact_commit(struct panbind_log *log, int err);

/** Remove what the snapshot does not need, one bounded step. 1: there is more, 0: done, or negative errno. */
int pb_sweep_step(struct panbind_log *log);

#endif /* PB_LOG_H */
