/* SPDX-License-Identifier: MIT */
/*
 * panbind-log.h - a durable log of every change to GPU address spaces, and its replay
 *
 * The log is one SQLite file; panbind-log(5) documents its schema. It knows VMs and BOs by kind, name and generation,
 * never by a kernel's handle, so that it can be replayed anywhere. One process writes, any number read meanwhile.
 *
 * Conventions are those of panbind.h: 0 or a negative errno, ret_ outputs untouched on failure, reterr last and may be
 * NULL (stage JOURNAL). Strings handed out are borrowed and say until when.
 *
 * Threads: panbind_log_append() and the other functions on a struct panbind_log may be called from any thread.
 * A reader, a state or an import belongs to one thread at a time.
 */
#ifndef PANBIND_LOG_H
#define PANBIND_LOG_H

#include <panbind.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Version of the schema that this library writes; it reads this one and older ones. */
#define PANBIND_LOG_SCHEMA 5

struct panbind_log;
struct panbind_log_reader;
struct panbind_log_state;
struct panbind_log_import;

/* ---- What an entry says ------------------------------------------------------------------------------------------ */

/** A VM or BO. Generations tell apart objects that had the same name one after the other. */
struct panbind_log_ref {
	const char *name; /* NULL: none */
	uint64_t generation;
};

enum panbind_log_kind {
	PANBIND_LOG_START = 1, /* a new, empty device: every object logged before is gone */
	PANBIND_LOG_VM_CREATE,
	PANBIND_LOG_VM_DESTROY,
	PANBIND_LOG_BO_CREATE,
	PANBIND_LOG_BO_DESTROY, /* the name goes; mappings of it stay */
	PANBIND_LOG_BIND,
	PANBIND_LOG_VM_LOST, /* what the VM maps is no longer known: poisoned, or given up by the driver */
	PANBIND_LOG_SYNC, /* a recorded call on syncobjs: it orders binds and binds nothing; the comment says which */
	PANBIND_LOG_NOTE, /* changes nothing; the comment says it */
	PANBIND_LOG_SCRIPT_BEGIN, /* changes nothing; claims its txn_id for the entries with PANBIND_LOG_PART to come */
	PANBIND_LOG_SCRIPT_END,	  /* changes nothing; says what became of them. Without it the script was interrupted */
};
/** "start", "vm.create", ... "script.end"; "?" for a stranger. */
const char *panbind_log_kind_name(enum panbind_log_kind kind);
/** The kind of a name, or 0. */
enum panbind_log_kind panbind_log_kind_from_name(const char *name);

enum panbind_log_op_type {
	PANBIND_LOG_MAP = 0,
	PANBIND_LOG_UNMAP,
	PANBIND_LOG_MAP_SPARSE,
	PANBIND_LOG_SYNC_ONLY,
	PANBIND_LOG_SPARSE_RESERVE,
	PANBIND_LOG_SPARSE_BIND,
	PANBIND_LOG_SPARSE_UNBIND,
	PANBIND_LOG_SPARSE_RELEASE,
	PANBIND_LOG_UNKNOWN, /* from here on it is not known what the range maps: a program's own VM */
};
/** "map", "unmap", "map-sparse", "sync-only", "sparse-reserve", ..., "unknown"; "?" for a stranger. */
const char *panbind_log_op_name(enum panbind_log_op_type type);
/** The type of a name, or a negative errno. */
int panbind_log_op_from_name(const char *name);

struct panbind_log_op {
	enum panbind_log_op_type type;
	uint32_t flags; /* PANBIND_MAP_* */
	struct panbind_log_ref vm, bo;
	uint64_t va, size, bo_offset;
	const char *syncs; /* waits and signals of an asynchronous op, as text; NULL: none */
};

/** The object that an entry of the kinds VM_* and BO_* is about. */
struct panbind_log_object {
	struct panbind_log_ref ref;
	uint64_t size;			     /* of a BO; of a VM its VA range */
	uint32_t flags;			     /* of a BO: PANBIND_BO_*; of both: PANBIND_LOG_ADOPTED */
	struct panbind_log_ref exclusive_vm; /* of a BO, or none */
};

enum panbind_log_durability {
	PANBIND_LOG_DURABLE_NONE = 0, /* answered as soon as it is queued */
	PANBIND_LOG_DURABLE_WRITE,    /* answered when written: survives this process, not the machine */
	PANBIND_LOG_DURABLE_SYNC,     /* answered when synced */
};
const char *panbind_log_durability_name(enum panbind_log_durability durability);

#define PANBIND_LOG_ADOPTED  (1u << 31) /* of an object's flags: a program's own, taken over and let go */
#define PANBIND_LOG_NO_ID    UINT32_MAX /* a uid or gid that is not known */
#define PANBIND_LOG_UNCLEAR  UINT32_MAX /* of applied: not a leading part of the ops */
#define PANBIND_LOG_ASYNC    (1u << 0)	/* of flags: an asynchronous bind, recorded when the driver took it */
#define PANBIND_LOG_PART     (1u << 1)	/* of flags: of the script that has begun under the entry's txn_id */
#define PANBIND_LOG_MORE     (1u << 2)	/* of flags, with PART: its transaction goes on with the next entry */
#define PANBIND_LOG_MAX_OPS  ((1u << 24) - 1)
#define PANBIND_LOG_MAX_TEXT (64u << 10) /* bytes of each string; of names 255 */

struct panbind_log_entry {
	uint64_t seq;	 /* set by the log: 1, 2, 3 ... without gaps */
	int64_t time_ns; /* since 1970; 0 in panbind_log_append(): now */
	enum panbind_log_kind kind;
	uint32_t flags; /* PANBIND_LOG_ASYNC, PANBIND_LOG_PART, PANBIND_LOG_MORE */

	/* Who. */
	uint32_t uid, gid;
	int32_t pid, tid;		     /* tid: the thread of a recorded program; 0: not known */
	const char *txn_id, *argv, *comment; /* NULL: none */
	const char *digest; /* of the request that came with txn_id, in the words of whoever made it; NULL: none */

	/* What became of it. */
	int result; /* 0 or negative errno */
	enum panbind_outcome outcome;
	enum panbind_stage stage;
	uint32_t failing_op; /* or PANBIND_NO_OP */
	uint32_t applied;    /* how many ops, counted from the first, are in place; or PANBIND_LOG_UNCLEAR */
	uint32_t line;	     /* of the script, that failed; 0: none */
	const char *message;
	uint64_t latency_ns;
	enum panbind_log_durability durability; /* what was asked for */

	/* What. */
	struct panbind_log_object object;
	const struct panbind_log_op *ops; /* kind BIND */
	size_t op_count;
};

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

#define PANBIND_LOG_CREATE    (1u << 0) /* make it when there is none */
#define PANBIND_LOG_READ_ONLY (1u << 1) /* readers, states, replay; no append; nothing is locked */

struct panbind_log_options {
	uint64_t size_cap; /* bytes of the file above which the oldest entries are compacted; 0: never */
	uint64_t txn_keep; /* transaction ids remembered beyond the entries kept; 0: the newest million */
};

/**
 * Open a log. @options may be NULL.
 *
 * A writer holds PATH-lock locked until it closes; what another process had left behind is recovered.
 * Errors: -ENOENT no such file; -EBADMSG not a log of panbind, or a damaged one; -EPROTONOSUPPORT written by a newer
 * version; -EBUSY another process writes it (reterr names it); -EACCES, -EROFS it may not be written; what open(2)
 * gives.
 */
int panbind_log_open(const char *path, uint32_t flags, const struct panbind_log_options *options,
		     struct panbind_log **ret_log, struct panbind_error *reterr);
/** Commit and answer what is queued, then close. Readers, states and imports go first. */
void panbind_log_close(struct panbind_log *log);

struct panbind_log_status {
	uint64_t first_seq, last_seq; /* entries that can be read; first > last when there are none */
	uint64_t state_seq;	      /* the oldest seq that panbind_log_state_create() can show */
	uint64_t bytes, size_cap;     /* file without free pages and without the write-ahead part; the cap or 0 */
	uint64_t wal_bytes;
	uint64_t queued; /* appended, not yet committed */
	uint64_t groups; /* commits since it was opened */
	int failed;	 /* 0, or why appends are refused */
	char why[128];	 /* the same in words */
	uint64_t cures;	 /* how often it has gone on after that */
	int compacting;	 /* whether compaction has work left */
	uint32_t schema; /* version of the file */
	char path[256];	 /* tail of it when it is longer */
};
int panbind_log_get_status(struct panbind_log *log, struct panbind_log_status *ret_status);

/* ---- Appending --------------------------------------------------------------------------------------------------- */

/**
 * Told once for each append that was taken, on the log's own thread or on one that is within panbind_log_append_here()
 * or panbind_log_append_wait(); of an append of durability NONE before it is written. @result: 0, or the negative errno
 * for which nothing of the entry was recorded. After a failed sync (-EIO) the entry may be found in the file all the
 * same if the machine stops while the log refuses.
 * May append; must not wait for the log.
 */
typedef void panbind_log_done_fn(void *data, uint64_t seq, int result);

/**
 * Queue an entry; it is committed together with all that is queued meanwhile. @entry is copied; its seq and, when 0,
 * its time are set. @done may be NULL. Seqs are given in the order of these calls and answers of one durability come
 * in that order.
 *
 * Errors, nothing queued and @done not called: -EINVAL senseless entry; -ENOENT an op that was applied names a VM or
 * BO that does not exist, or a part or the end of a script that is not under way; -EEXIST an object that exists, or a
 * txn_id that is recorded already; -E2BIG; -EROFS opened
 * read-only; -ENOMEM; or the errno of an earlier failure: a failing write fails its whole group and all that is queued
 * behind it, and the log refuses appends from there on, until a write works again, which it tries four times a second.
 * After any failure but a lack of space it then writes, syncs and verifies all again that the disk may have lost, and
 * stays refused with -EBADMSG, until it is opened anew, when something acknowledged is gone.
 */
int panbind_log_append(struct panbind_log *log, const struct panbind_log_entry *entry,
		       enum panbind_log_durability durability, panbind_log_done_fn *done, void *data, uint64_t *ret_seq,
		       struct panbind_error *reterr);
/**
 * As panbind_log_append(), for a caller that has nothing better to do than wait: when the entry is all that is queued
 * and nothing is being committed, this thread commits it, calls @done, and only then returns. Two switches between
 * threads are saved; entries that others append meanwhile wait for the sync as they would otherwise.
 */
int panbind_log_append_here(struct panbind_log *log, const struct panbind_log_entry *entry,
			    enum panbind_log_durability durability, panbind_log_done_fn *done, void *data,
			    uint64_t *ret_seq, struct panbind_error *reterr);
/**
 * What this thread appends from here on is one whole: all of it is recorded, or none, also when the machine stops in
 * the middle. Until the end nothing of it is written, and appends of other threads wait.
 */
void panbind_log_join(struct panbind_log *log);
/**
 * The end of it. @keep: commit it; else it is as if it had never been appended (done functions: -ECANCELED).
 * 0, or the errno for which the log has refused and answered it already.
 */
int panbind_log_join_end(struct panbind_log *log, int keep);
/** Append and wait for the answer. */
int panbind_log_append_wait(struct panbind_log *log, const struct panbind_log_entry *entry,
			    enum panbind_log_durability durability, uint64_t *ret_seq, struct panbind_error *reterr);
/** Would an append be taken? 0, or the errno that refuses it. Cheap: ask before changing what cannot be recorded. */
int panbind_log_ready(struct panbind_log *log);
/** Wait until all that was queued before is committed. Returns as panbind_log_ready(). */
int panbind_log_flush(struct panbind_log *log);

/** Call @hook on the thread that commits, after each commit, with the last seq. One hook; NULL removes it. */
void panbind_log_set_commit_hook(struct panbind_log *log, void (*hook)(void *data, uint64_t last_seq), void *data);

/** What is remembered of a transaction id, also when its entry is compacted. */
struct panbind_log_txn {
	uint64_t seq;
	int64_t time_ns;
	int result;
	enum panbind_outcome outcome;
	enum panbind_stage stage;
	uint32_t failing_op, applied;
	int pending; /* queued, its fate not yet decided: the rest is what it will say */
	uint32_t line;
	/*
	 * Of a script whose transactions are entries of their own. As long as it has no end the above is what becomes
	 * of it if there is none: -EINTR, and what its entries say so far. Whether somebody is still at it, this cannot
	 * say.
	 */
	int script, open;		/* it is one; it has no end */
	uint64_t begun_seq;		/* its first entry; 0: not known */
	uint64_t transactions;		/* how many are applied */
	uint64_t kept_first, kept_last; /* the first and the last entry that is; 0: none */
	char message[160];
	char digest[65]; /* of the request; empty: none was given */
};
/** 0 or -ENOENT; or why the log cannot be asked. */
int panbind_log_txn_lookup(struct panbind_log *log, const char *txn_id, struct panbind_log_txn *ret_txn);

/**
 * Fold the entries up to @until_seq (UINT64_MAX: all) into the snapshot, in bounded steps between commits, and give
 * free pages back to the file system. @done (may be NULL: wait for it) is told the seq of the snapshot. -ECANCELED: the
 * log was closed first; what is folded stays folded.
 */
int panbind_log_compact(struct panbind_log *log, uint64_t until_seq, panbind_log_done_fn *done, void *data);

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

enum panbind_log_status_filter { PANBIND_LOG_ANY = 0, PANBIND_LOG_OK, PANBIND_LOG_FAILED };

/** What to read; zeroed, it is everything. All conditions must hold. */
struct panbind_log_filter {
	uint64_t since_seq, until_seq; /* inclusive; until 0: no end */
	int64_t since_ns, until_ns;    /* inclusive; 0: open */
	uint32_t kinds;		       /* bits 1 << kind; 0: all */
	struct panbind_log_ref vm;     /* entries about this VM; generation 0: any */
	uint64_t va, size;	       /* entries with an op that touches the range; size 0: any */
	enum panbind_log_status_filter status;
	int result; /* exactly this negative errno; 0: any */
	int match_uid, match_pid;
	uint32_t uid;
	int32_t pid;
	const char *txn_id;
};

/** @filter is copied, may be NULL. */
int panbind_log_reader_open(struct panbind_log *log, const struct panbind_log_filter *filter,
			    struct panbind_log_reader **ret_reader, struct panbind_error *reterr);
void panbind_log_reader_close(struct panbind_log_reader *reader);
/**
 * The next entry: 1 and *@ret_entry, valid until the next call on this reader; 0 at the end, from where a later call
 * goes on with what was committed meanwhile; or a negative errno. Between the first entry and the end a reader sees
 * the log as it was, and keeps the write-ahead file from being reused: do not linger there.
 */
int panbind_log_read(struct panbind_log_reader *reader, const struct panbind_log_entry **ret_entry);
/** Wait until there is more than at the last end: 1, or 0 after @timeout_ms (negative: for ever). -EINTR: a signal. */
int panbind_log_wait(struct panbind_log_reader *reader, int timeout_ms);
/** How many entries of the range asked for this reader could not show since they are compacted. */
uint64_t panbind_log_reader_lost(const struct panbind_log_reader *reader);

/** Who last touched an address. */
struct panbind_log_blame {
	uint64_t seq;
	int64_t time_ns;
	uint32_t uid;
	int32_t pid;
	const char *argv;		       /* NULL: not known */
	int compacted;			       /* the entry is compacted: only the above is known */
	const struct panbind_log_entry *entry; /* else, with all its ops */
	size_t op;			       /* which op of it */
};
/**
 * The last applied op whose range holds @va. @vm: generation 0 is the newest. The answer is valid until @reader is used
 * again. -ENOENT no such VM, or nothing ever touched it.
 */
int panbind_log_blame(struct panbind_log_reader *reader, struct panbind_log_ref vm, uint64_t va,
		      struct panbind_log_blame *ret_blame, struct panbind_error *reterr);

/* ---- State at a sequence number ---------------------------------------------------------------------------------- */

/** One object that is alive in a state. */
struct panbind_log_state_object {
	struct panbind_log_object object; /* strings valid as long as the state */
	uint64_t created_seq;
	uint64_t lost_seq;	/* of a VM: since when its mapping is not known; 0: it is known */
	uint64_t destroyed_seq; /* of a BO that lives in its mappings only: since when it has no name; else 0 */
};

/** One contiguous piece, as struct panbind_mapping; neighbouring sparse pieces are one. */
struct panbind_log_mapping {
	uint64_t va, size, bo_offset;
	struct panbind_log_ref bo; /* name NULL: sparse */
	uint32_t flags;
	uint64_t seq; /* the entry that bound it */
};

/**
 * The state that the log implies after entry @seq (UINT64_MAX: the last). @vm: only this VM (name NULL: all).
 * -ENODATA: that far back is compacted; -ENOENT: no such VM then; -ERANGE: beyond the end.
 */
int panbind_log_state_create(struct panbind_log *log, uint64_t seq, struct panbind_log_ref vm,
			     struct panbind_log_state **ret_state, struct panbind_error *reterr);
void panbind_log_state_destroy(struct panbind_log_state *state);
uint64_t panbind_log_state_seq(const struct panbind_log_state *state);
/** VMs in order of creation, then NULL. */
const struct panbind_log_state_object *panbind_log_state_vm(const struct panbind_log_state *state, size_t index);
/** BOs in order of creation, then NULL. */
const struct panbind_log_state_object *panbind_log_state_bo(const struct panbind_log_state *state, size_t index);
size_t panbind_log_state_mapping_count(const struct panbind_log_state *state, size_t vm_index);
/** The first mapping of VM @vm_index that ends after @va: 0 or -ENOENT. */
int panbind_log_state_next_mapping(const struct panbind_log_state *state, size_t vm_index, uint64_t va,
				   struct panbind_log_mapping *ret_mapping);
/** The first sparse region that ends after @va: 0 or -ENOENT. */
int panbind_log_state_next_region(const struct panbind_log_state *state, size_t vm_index, uint64_t va, uint64_t *ret_va,
				  uint64_t *ret_size);

/**
 * @logged as a value that libpanbind compares with others: panbind_state_diff(). BOs are known by name and generation.
 * It outlives the state. -ENOENT no VM at that index, -ENOMEM.
 */
int panbind_log_state_value(const struct panbind_log_state *logged, size_t vm_index, struct panbind_state **ret_state);

/* ---- Export, import ---------------------------------------------------------------------------------------------- */

/**
 * An export is the state at panbind_log_status.state_seq when first_seq is not 1, and all entries after it. An import
 * makes a new log of that: begin, objects, mappings and regions of the state if there is one, entries in order, end.
 * Nothing is there until end says 0. @state_seq: 0 for a log that begins with entry 1.
 * Errors: -EEXIST the file exists; later ones as panbind_log_append(), -EINVAL for a seq out of order.
 */
int panbind_log_import_begin(const char *path, uint64_t state_seq, struct panbind_log_import **ret_import,
			     struct panbind_error *reterr);
int panbind_log_import_vm(struct panbind_log_import *import, const struct panbind_log_state_object *vm,
			  struct panbind_error *reterr);
int panbind_log_import_bo(struct panbind_log_import *import, const struct panbind_log_state_object *bo,
			  struct panbind_error *reterr);
int panbind_log_import_mapping(struct panbind_log_import *import, struct panbind_log_ref vm,
			       const struct panbind_log_mapping *mapping, struct panbind_error *reterr);
int panbind_log_import_region(struct panbind_log_import *import, struct panbind_log_ref vm, uint64_t va, uint64_t size,
			      struct panbind_error *reterr);
int panbind_log_import_entry(struct panbind_log_import *import, const struct panbind_log_entry *entry,
			     struct panbind_error *reterr);
/** Commit, sync and free. */
int panbind_log_import_end(struct panbind_log_import *import, struct panbind_error *reterr);
/** Give up: the file is removed. */
void panbind_log_import_abort(struct panbind_log_import *import);

/* ---- Verify, query ----------------------------------------------------------------------------------------------- */

#define PANBIND_LOG_VERIFY_DEEP (1u << 0) /* also fold everything a second way, in SQL, and compare */

struct panbind_log_verify_result {
	uint64_t entries, ops, objects, mappings; /* looked at */
	uint64_t problems;
};
/** Check the log against itself. Each problem is told as a sentence with its seq (0: none). 0 also with problems. */
int panbind_log_verify(struct panbind_log *log, uint32_t flags,
		       void (*problem)(void *data, uint64_t seq, const char *msg), void *data,
		       struct panbind_log_verify_result *ret_result, struct panbind_error *reterr);

enum panbind_log_value_type { PANBIND_LOG_NULL = 0, PANBIND_LOG_INTEGER, PANBIND_LOG_REAL, PANBIND_LOG_TEXT };
struct panbind_log_value {
	enum panbind_log_value_type type;
	int64_t integer;
	double real;
	const char *text; /* also of numbers; ends in NUL */
	size_t size;
};
/**
 * Run one SELECT. @row is called for each row (names and values valid in the call); a value other than 0 ends it and is
 * returned. @timeout_ms: 0 for none (-ETIME). -EPERM for what is not reading, -EINVAL for what is not SQL.
 */
int panbind_log_query(struct panbind_log *log, const char *sql, int timeout_ms,
		      int (*row)(void *data, size_t count, const char *const *names,
				 const struct panbind_log_value *values),
		      void *data, struct panbind_error *reterr);

/* ---- Replay ------------------------------------------------------------------------------------------------------ */

enum panbind_log_difference_type {
	PANBIND_LOG_DIFF_RESULT = 0, /* an entry ended otherwise than recorded */
	PANBIND_LOG_DIFF_MAPPING,    /* a range maps something else than the log implies */
	PANBIND_LOG_DIFF_OBJECT,     /* an object could not be made as recorded; ops that need it are left out */
};

struct panbind_log_difference {
	enum panbind_log_difference_type type;
	uint64_t seq; /* the entry; at the end: the last one that bound the range, or 0 */
	struct panbind_log_ref vm;
	uint64_t va, size;		    /* MAPPING: where */
	struct panbind_error recorded, got; /* RESULT, OBJECT: code, stage, op, msg */
	char msg[384];			    /* one sentence */
};

enum panbind_log_replay_verify { PANBIND_LOG_VERIFY_NONE = 0, PANBIND_LOG_VERIFY_END, PANBIND_LOG_VERIFY_EACH };

struct panbind_log_replay_options {
	uint64_t until_seq;	   /* 0: all */
	struct panbind_log_ref vm; /* only this VM and the BOs it maps; name NULL: all */
	double speed;		   /* 0: as fast as it goes; 1: in recorded time; 2: twice as fast */
	enum panbind_log_replay_verify verify;
	int applied_only; /* leave out what had failed: for whoever wants the state, not the story */
	/** About ten times a second and at the end. A value other than 0 stops: replay returns it. */
	int (*progress)(void *data, uint64_t seq, uint64_t until_seq, uint64_t ops);
	void (*difference)(void *data, const struct panbind_log_difference *difference);
	/**
	 * At the end, for each object that is alive: the callee owns it from then on (BO: one reference). Without them
	 * all is destroyed. VMs come first: a BO may be exclusive to one. A value other than 0 stops: what was not
	 * handed over is destroyed.
	 */
	int (*adopt_bo)(void *data, const struct panbind_log_object *object, struct panbind_bo *bo);
	int (*adopt_vm)(void *data, const struct panbind_log_object *object, struct panbind_vm *vm);
	void *data;
};

struct panbind_log_replay_result {
	uint64_t seq; /* the last entry repeated */
	uint64_t entries, ops;
	uint64_t unknown;     /* ranges of which it was not known what they mapped: they are left unmapped */
	uint64_t skipped;     /* entries that cannot be repeated: about an object that could not be made, or lost */
	uint64_t differences; /* also those of results that were recorded otherwise */
};

/**
 * Repeat a log on a device: the state it begins with, then its entries in order. A recorded failure is repeated and
 * expected to fail alike; should it succeed, it is undone and reported. What BOs contain is not in the log.
 *
 * An asynchronous bind is asynchronous again, with its waits and signals on syncobjs that the replay makes; a wait for
 * what no earlier entry signals is signalled by the replay itself. A later synchronous bind of the VM waits until it is
 * over, and so does the end. A VM that becomes unusable by one, though the log does not say so, is a RESULT difference.
 *
 * Returns 0 also with differences: see @ret_result. With verify NONE only RESULT and OBJECT differences are told.
 */
int panbind_log_replay(struct panbind_log *log, struct panbind_device *device,
		       const struct panbind_log_replay_options *options, struct panbind_log_replay_result *ret_result,
		       struct panbind_error *reterr);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* PANBIND_LOG_H */
