/* SPDX-License-Identifier: MIT */
/*
 * What the rooms of the session share: named objects, a run under way, its transaction.
 *
 * session.c        the public face            session_names.c  names to objects and back
 * session_run.c    the loop over commands     session_txn.c    gathering binds, commit, undo
 * session_bind.c   map, unmap, sparse         session_verbs.c  VMs, BOs, syncobjs, lists
 * session_async.c  async and fenced blocks    session_gpu.c    GPU loads, stores and readers
 * session_assert.c assert
 * session_check.c  the check before anything  session_plan.c   planning on a scratch device
 * session_verify.c vm verify
 * session_record.c changes told to the host   session_objects.c  objects that the host names
 */
#ifndef PB_SESSION_H
#define PB_SESSION_H

#include "internal.h"
#include "script.h"
#include "script_parser.h" /* the arena and the names */

enum pb_kind { PB_KIND_VM, PB_KIND_BO, PB_KIND_SYNCOBJ, PB_KIND_COUNT };

struct pb_object;
struct pb_readers;

/** A name that this session has seen. Lives as long as the session, whatever it names. */
struct pb_entry {
	const char *name;
	struct pb_object *objects[PB_KIND_COUNT]; /* each kind has its own names */
};

/** What a name stands for. */
struct pb_object {
	enum pb_kind kind;
	struct pb_entry *entry;
	uint64_t order; /* of creation */
	union {
		struct panbind_vm *vm;
		struct panbind_bo *bo;
		struct panbind_syncobj *syncobj;
	};
	struct pb_entry *exclusive; /* of a BO: the only VM that may map it */
	struct pb_object *next;	    /* of a BO: others in its bucket */
	struct pb_readers *readers; /* of a VM: running ones */
	uint64_t torn;		    /* of a VM: values that were no stamp, in all readers so far */
};

struct pb_objects {
	struct pb_object **items; /* by order */
	size_t count, room;
};

struct panbind_session {
	struct panbind_device *device;
	panbind_event_fn *on_event;
	void *data;
	struct pb_arena arena;
	struct pb_names names;
	struct pb_entry **entries; /* by id */
	size_t entry_room;
	struct pb_objects objects[PB_KIND_COUNT];
	struct pb_object **buckets; /* BOs by address */
	size_t bucket_count;
	uint64_t next_order;
	atomic_bool stop;	   /* set by panbind_session_stop(), also from a signal handler */
	panbind_record_fn *record; /* NULL: nobody records */
	void *record_data;
};

/* ---- session.c ---- */

void pb_session_emit(struct panbind_session *session, const struct panbind_event *event);

/* ---- session_names.c ---- */

/** The entry of a name, made when needed; NULL for want of memory. */
struct pb_entry *pb_entry_get(struct panbind_session *session, const char *name);
/** The entry of a name, or NULL. */
struct pb_entry *pb_entry_find(struct panbind_session *session, const char *name);
/** Can one more object of this kind be attached without failing? 0 or -ENOMEM. */
int pb_object_reserve(struct panbind_session *session, enum pb_kind kind);
/** Give the object its name; cannot fail after pb_object_reserve(). Keeps object->order when it has one. */
void pb_object_attach(struct panbind_session *session, struct pb_object *object);
/** The order that an object had before it was taken out of this session, or 0. */
uint64_t pb_object_old_order(const struct panbind_session *session, enum pb_kind kind, const struct pb_place *place);
/** Take the name away; the object lives on, and may be attached again. */
void pb_object_detach(struct panbind_session *session, struct pb_object *object);
/** Release what the object holds, and the object. It must be detached. */
void pb_object_free(struct pb_object *object);
void pb_objectp_free(struct pb_object **object);
/** The object of a BO, or NULL. */
struct pb_object *pb_object_of_bo(struct panbind_session *session, const struct panbind_bo *bo);
/** Free all names and objects. */
void pb_names_release(struct panbind_session *session);
const char *pb_kind_name(enum pb_kind kind);

/* ---- A run ---- */

enum pb_step_type { PB_STEP_CREATED, PB_STEP_DESTROYED, PB_STEP_LABEL, PB_STEP_REGION_ADDED, PB_STEP_REGION_REMOVED };

/** One thing to undo that is not a bind. */
struct pb_step {
	enum pb_step_type type;
	struct pb_object *object;
	char *label; /* before, may be NULL */
	uint64_t va, size;
};

struct pb_checker;
struct pb_async;

struct pb_run {
	struct panbind_session *session;
	const struct panbind_script *script;
	uint32_t flags;
	struct pb_entry **entries; /* by the script's name ids */
	struct panbind_run_result result;
	struct panbind_error error; /* the first */
	bool planning;		    /* the session is a scratch one: emit plans, skip what only watches */
	panbind_event_fn *plan_event;
	void *plan_data;
	unsigned int plans;		       /* of this transaction so far */
	enum panbind_guarantee plan_guarantee; /* of the last one */
	struct pb_checker *checker;
	const atomic_bool *stop; /* of the session that the host has */
	bool idle;		 /* the command found what it wants, and has done nothing */

	/* the transaction at hand */
	struct panbind_txn *txn; /* NULL until the first bind */
	struct panbind_batch *batch;
	struct pb_object *batch_vm;
	const struct pb_command **batch_commands; /* by op of the batch */
	size_t batch_command_room;
	uint64_t ops;		     /* bound in this transaction */
	enum panbind_outcome broken; /* worst outcome of a bind in it that could not undo itself */
	struct pb_step *steps;
	size_t step_count, step_room;
	struct panbind_change *changes; /* for the host's record; owns its syncs */
	size_t change_count, change_room;
	uint64_t bind_ns;		 /* spent on binds whose ops are not noted yet */
	uint64_t began_ns;		 /* the transaction, or the asynchronous bind */
	const struct pb_command *failed; /* the command that the last error was placed at */
};

/** Where in the script an error belongs, unless it has a place already. */
void pb_run_place(struct pb_run *run, const struct pb_command *command, struct panbind_error *error);
/** Has the host asked to stop? */
bool pb_run_stopped(const struct pb_run *run);
/** Say something to the host: PANBIND_EVENT_TEXT. */
void pb_run_text(struct pb_run *run, const struct pb_command *command, const char *text);
/** The object that a name of the script stands for. -ENOENT. */
int pb_run_object(struct pb_run *run, enum pb_kind kind, uint32_t name, struct pb_object **ret_object,
		  struct panbind_error *reterr);
/** Carry out one command, without its `expect`. */
int pb_run_execute(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr);

/* ---- session_txn.c ---- */

/** The batch to add an op of @vm to; binds what was gathered for another VM. */
int pb_txn_gather(struct pb_run *run, struct pb_object *vm, struct panbind_batch **ret_batch,
		  struct panbind_error *reterr);
/** The op added last came from @command. Binds when there are many. */
int pb_txn_added(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr);
/** Bind what was gathered. The error has the place of the op's command. */
int pb_txn_flush(struct pb_run *run, struct panbind_error *reterr);
/** Keep all of it. Nothing may be gathered. */
void pb_txn_keep(struct pb_run *run);
/** Undo all of it. @ret_outcome: ROLLED_BACK, or worse with an error. */
int pb_txn_undo(struct pb_run *run, enum panbind_outcome *ret_outcome, struct panbind_error *reterr);
/** Note what has to be undone: before it is done. */
int pb_txn_note(struct pb_run *run, const struct pb_step *step);
/** Undo the notes from @mark on. */
void pb_txn_undo_steps(struct pb_run *run, size_t mark);

/* ---- session_record.c ---- */

/** Note what @command, which has succeeded and took @latency_ns, changed. 0 or -ENOMEM. */
int pb_changes_note(struct pb_run *run, const struct pb_command *command, uint64_t latency_ns);
/** The same for all ops of an asynchronous bind. */
int pb_changes_note_async(struct pb_run *run, const struct pb_async *async, uint64_t latency_ns);
/** Have the host record what was noted, and forget it. @flags: PANBIND_CHANGES_*. */
int pb_changes_record(struct pb_run *run, uint32_t flags, struct panbind_error *reterr);
/** Tell the host that commands [first, last) failed as a whole. @flags: PANBIND_CHANGES_ASYNC or 0. */
void pb_changes_record_failure(struct pb_run *run, size_t first, size_t last, const struct panbind_error *error,
			       enum panbind_outcome outcome, uint32_t flags);
/** Forget what was noted. */
void pb_changes_clear(struct pb_run *run);
/** A clock that only goes forward. */
uint64_t pb_clock_ns(void);

/* ---- One function for each kind of command ---- */

typedef int pb_verb_fn(struct pb_run *run, const struct pb_command *command, struct panbind_error *reterr);

pb_verb_fn pb_do_map, pb_do_unmap, pb_do_sparse_reserve, pb_do_sparse_bind, pb_do_sparse_unbind, pb_do_sparse_release;
pb_verb_fn pb_do_sparse_map, pb_do_ensure, pb_do_vm_ensure, pb_do_bo_ensure, pb_do_if_generation;
pb_verb_fn pb_do_vm_create, pb_do_destroy, pb_do_vm_list, pb_do_vm_show, pb_do_vm_verify, pb_do_bo_create,
	pb_do_bo_list, pb_do_bo_label;
pb_verb_fn pb_do_bo_fill, pb_do_bo_stamp, pb_do_syncobj_create, pb_do_syncobj_reset, pb_do_syncobj_signal;
pb_verb_fn pb_do_syncobj_wait, pb_do_dump, pb_do_echo;
pb_verb_fn pb_do_assert_mapped, pb_do_assert_sparse, pb_do_assert_unmapped, pb_do_assert_state, pb_do_assert_point;
pb_verb_fn pb_do_assert_load, pb_do_assert_faults, pb_do_assert_torn;
pb_verb_fn pb_do_gpu_resident, pb_do_gpu_load, pb_do_gpu_store, pb_do_gpu_read, pb_do_gpu_stop;

/** PANBIND_MAP_* of a command's options. */
uint32_t pb_map_flags(const struct pb_command *command);
/** The op of a command, added to @batch. The regions of @vm are looked at, never changed. session_bind.c. */
int pb_add_op(struct pb_run *run, const struct pb_command *command, struct panbind_vm *vm, struct panbind_batch *batch,
	      struct panbind_error *reterr);
/** Wait for a binary syncobj until the host wants to stop (-ECANCELED) or @timeout (-ETIME). session_verbs.c. */
int pb_wait_in_slices(struct pb_run *run, struct panbind_syncobj *const *syncobj, int64_t timeout);

/* ---- session_async.c ---- */

/** An asynchronous bind: commands [first, last). */
struct pb_async {
	const struct pb_command *begin;
	size_t first, last;
	struct pb_object *vm;
	struct panbind_syncobj *signal; /* of a fenced one that names none: its own. NULL: nobody waits here */
};

/** Is this begin one of a fenced block? */
bool pb_is_fenced(const struct pb_command *begin);
/** Have the driver take it; as a whole or not at all. Fills vm and signal. */
int pb_async_submit(struct pb_run *run, struct pb_async *async, struct panbind_error *reterr);
/** Of a fenced one that was taken: wait until it is over. Stage COMPLETE: it failed, or it is not known; not undone. */
int pb_async_await(struct pb_run *run, const struct pb_async *async, struct panbind_error *reterr);
void pb_async_release(struct pb_async *async);
/** Stop the readers of a VM, if there are any. @ret_error: what ended them early, 0 otherwise. session_gpu.c. */
void pb_readers_stop(struct pb_object *vm, struct panbind_gpu_stats *ret_stats, uint64_t *ret_torn, int *ret_error);

/* ---- session_check.c ---- */

int pb_checker_create(struct pb_run *run, struct pb_checker **ret_checker);
void pb_checker_destroy(struct pb_checker *checker);
/**
 * Check commands [first, last) against the session as it is and what they create themselves. Nothing changes.
 * @report: told of each error, which then does not end the check; NULL: the first error ends it.
 */
int pb_check_range(struct pb_checker *checker, size_t first, size_t last,
		   void (*report)(struct pb_run *run, struct panbind_error *error), struct panbind_error *reterr);
/** The `commit` or `rollback` of the block that begins at @begin. */
size_t pb_block_end(const struct panbind_script *script, size_t begin);

/* ---- session_plan.c ---- */

/** Run the script on a scratch copy of the session, with a plan for everything that would be bound. */
int pb_session_plan(struct pb_run *run, struct panbind_error *reterr);
/** Emit the units of @batch for @vm; @command_at(run, first, op) is the command of an op. */
int pb_plan_emit(struct pb_run *run, struct pb_object *vm, const struct panbind_batch *batch,
		 const struct pb_command *(*command_at)(struct pb_run *run, size_t first, uint32_t op), size_t first,
		 uint32_t flags, struct panbind_error *reterr);

/** The transaction that was planned ends. */
void pb_plan_end(struct pb_run *run);

/* ---- session_run.c, for session_plan.c ---- */

int pb_run_script(struct pb_run *run, struct panbind_error *reterr);
int pb_run_begin(struct pb_run *run, struct panbind_session *session, const struct panbind_script *script,
		 uint32_t flags);
void pb_run_end(struct pb_run *run);

#endif /* PB_SESSION_H */
