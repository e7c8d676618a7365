/* SPDX-License-Identifier: MIT */
/*
 * panbind-script.h - scripts, and sessions: names for objects on a device, on which scripts run. A part of panbind.h.
 */
#ifndef PANBIND_H
#include "panbind.h" /* which includes this file where its types are known */
#elif !defined(PANBIND_SCRIPT_H)
#define PANBIND_SCRIPT_H

/* ---- Scripts ----------------------------------------------------------------------------------------------------- */

/** NAME=VALUE for $NAME in a script. */
struct panbind_define {
	const char *name, *value;
};

#define PANBIND_SCRIPT_KEEP_GOING (1u << 0) /* collect all parse errors, keep the commands that are right */

/** What the parser asks its caller: the text of an included file. */
struct panbind_script_options {
	uint32_t flags;
	const struct panbind_define *defines;
	size_t define_count;
	/**
	 * `include PATTERN`: hand each matching file to @add, in order. NULL: the file system, relative to the file
	 * that includes. Return 0 or a negative errno.
	 */
	int (*include)(void *data, const char *from, const char *pattern,
		       int (*add)(void *add_data, const char *name, const char *text, size_t size), void *add_data);
	void *data;
};

/**
 * Parse a script. No device is touched. See panbind-script(5).
 *
 * @name: for messages. @text: need not end in NUL. The first error is in reterr (stage PARSE, file, line, column);
 * with PANBIND_SCRIPT_KEEP_GOING the script is returned all the same and panbind_script_error() has them all.
 */
int panbind_script_parse(const char *name, const char *text, size_t size, const struct panbind_script_options *options,
			 struct panbind_script **ret_script, struct panbind_error *reterr);
void panbind_script_destroy(struct panbind_script *script);
size_t panbind_script_command_count(const struct panbind_script *script);
/** Parse error @index of a script parsed with PANBIND_SCRIPT_KEEP_GOING, or NULL. */
const struct panbind_error *panbind_script_error(const struct panbind_script *script, size_t index);
/**
 * Have the script's ops run as one fenced bind, as if `begin fenced` stood in front of the first one and `commit`
 * behind the last: one asynchronous VM_BIND, so that GPU jobs which use its syncobjs see all of it or nothing. What
 * comes before and after the ops runs by itself. A script without ops stays as it is.
 *
 * @wait, @signal: "NAME" or "NAME:POINT", or NULL. Without a signal the run waits until the bind is over.
 * -EINVAL (stage PARSE, with the place): it has blocks, ops of several VMs or of a kind that changes sparse regions, or
 * other commands between its ops; or a name is none. The script is unchanged on failure.
 */
int panbind_script_fence(struct panbind_script *script, const char *wait, const char *signal,
			 struct panbind_error *reterr);
/**
 * Is all of it one transaction, unless it is run with PANBIND_RUN_KEEP_GOING: there is no `begin` of any kind in it, or
 * it has nothing but ops that panbind_script_fence() made one bind.
 */
int panbind_script_is_one_transaction(const struct panbind_script *script);
/**
 * The source line that an error stands in, for a caret: points into the script's copy of the text, @ret_size bytes, no
 * newline. -ENOENT when the error has no place in this script. An error that panbind_script_parse() returned without
 * a script has its line in the caller's own text.
 */
int panbind_script_line(const struct panbind_script *script, const struct panbind_error *error, const char **ret_line,
			size_t *ret_size);

/* ---- Sessions: scripts on a device ------------------------------------------------------------------------------- */

/** What a session shows its host: the library itself never prints. */
enum panbind_event_type {
	PANBIND_EVENT_COMMAND = 0, /* a command begins: text (expanded), line (only with PANBIND_RUN_TRACE) */
	PANBIND_EVENT_ERROR,	   /* a command failed: error, outcome */
	PANBIND_EVENT_TEXT,	   /* output of echo, lists, dump: text, one line without its newline, or many lines */
	PANBIND_EVENT_SHOW_VM,	   /* `vm show NAME [--map]`: vm, name, with_map */
	PANBIND_EVENT_PLAN, /* a unit of a plan: vm (a scratch copy), name, unit, plan, index; text: its BO's name or
			       NULL; session: a scratch one, which knows the names of the plan's BOs */
	PANBIND_EVENT_GPU,  /* `gpu` readers ended: vm, name, stats (since they began), torn */
	PANBIND_EVENT_TXN,  /* a transaction ended: outcome, ops */
	PANBIND_EVENT_PLAN_END, /* all plans of a transaction have been told: guarantee. Its VMs live still */
};

struct panbind_event {
	enum panbind_event_type type;
	const char *file, *text, *name;
	uint32_t line;
	struct panbind_vm *vm;
	int with_map;
	const struct panbind_error *error;
	enum panbind_outcome outcome;
	uint64_t ops;
	const struct panbind_plan_unit *unit;
	const struct panbind_gpu_stats *stats;
	uint64_t torn; /* loads that were neither the old nor the new page's value */
	const struct panbind_plan *plan;
	size_t index; /* of the unit in its plan */
	struct panbind_session *session;
	enum panbind_guarantee guarantee;
};

typedef void panbind_event_fn(void *data, const struct panbind_event *event);

/** Names for VMs, BOs and syncobjs on one device, and the execution of scripts against them. */
int panbind_session_create(struct panbind_device *device, panbind_event_fn *on_event, void *data,
			   struct panbind_session **ret_session);
/** Destroys all that the session named, VMs first. */
void panbind_session_destroy(struct panbind_session *session);

#define PANBIND_RUN_CHECK      (1u << 0) /* check names, ranges and bounds; change nothing */
#define PANBIND_RUN_KEEP_GOING (1u << 1) /* go on after a failed command; refused inside a transaction */
#define PANBIND_RUN_TRACE      (1u << 2) /* PANBIND_EVENT_COMMAND for each command */
#define PANBIND_RUN_PLAN       (1u << 3) /* as CHECK, and PANBIND_EVENT_PLAN for each unit of each transaction */

/** Totals of a run. */
struct panbind_run_result {
	uint64_t commands; /* that were carried out, or checked */
	uint64_t ops;	   /* that were bound and stay: those of transactions that were applied */
	uint64_t failed;   /* errors that were reported */
	enum panbind_outcome
		outcome; /* the worst one of all transactions; one that a script rolls back is no failure */
};

/**
 * Run a script. A script without `begin` is one transaction unless PANBIND_RUN_KEEP_GOING is set.
 *
 * Returns 0, or the first error with its place. @ret_result (may be NULL) is always written.
 */
int panbind_session_run(struct panbind_session *session, const struct panbind_script *script, uint32_t flags,
			struct panbind_run_result *ret_result, struct panbind_error *reterr);

/**
 * Ask a session to end its work soon: no further command begins, waits and sleeps end, a bind in progress completes, an
 * open transaction is undone, and panbind_session_run() returns -ECANCELED (with the outcome in its result). It stays
 * asked for: later runs of this session end at once. May be called from a signal handler and from any thread.
 */
void panbind_session_stop(struct panbind_session *session);
/** Between runs: forget that a stop was asked for. */
void panbind_session_resume(struct panbind_session *session);

/** The VM of a name, borrowed, or NULL. */
struct panbind_vm *panbind_session_vm(struct panbind_session *session, const char *name);
/** Walk the VMs in order of creation: the name at @index, or NULL past the last. */
const char *panbind_session_vm_name(struct panbind_session *session, size_t index);
/** The name of a BO of this session, or NULL (borrowed). */
const char *panbind_session_bo_name(struct panbind_session *session, const struct panbind_bo *bo);

/** The BO of a name, borrowed, or NULL. */
struct panbind_bo *panbind_session_bo(struct panbind_session *session, const char *name);
/** Walk the BOs in order of creation (borrowed), or NULL past the last. */
struct panbind_bo *panbind_session_bo_at(struct panbind_session *session, size_t index);
/** The name of the only VM that may map a BO of this session, or NULL. */
const char *panbind_session_bo_vm(struct panbind_session *session, const struct panbind_bo *bo);

/**
 * Give an object that the host has made a name; it is the session's from then on. Between runs only.
 * @exclusive_vm: the name of the VM that was given to panbind_bo_create(), or NULL.
 * Errors: -EEXIST the name is taken, -EINVAL no name or an object of another device, -ENOMEM.
 */
int panbind_session_add_vm(struct panbind_session *session, const char *name, struct panbind_vm *vm);
int panbind_session_add_bo(struct panbind_session *session, const char *name, struct panbind_bo *bo,
			   const char *exclusive_vm);
/**
 * Take an object's name away; it is the caller's from then on. NULL when there is none. Between runs only. Given to the
 * session again, it stands where it stood.
 */
struct panbind_vm *panbind_session_take_vm(struct panbind_session *session, const char *name);
struct panbind_bo *panbind_session_take_bo(struct panbind_session *session, const char *name);

/** One thing that a script has changed. */
enum panbind_change_type {
	PANBIND_CHANGE_MAP = 0,
	PANBIND_CHANGE_UNMAP,
	PANBIND_CHANGE_SPARSE_RESERVE,
	PANBIND_CHANGE_SPARSE_BIND,
	PANBIND_CHANGE_SPARSE_UNBIND,
	PANBIND_CHANGE_SPARSE_RELEASE,
	PANBIND_CHANGE_MAP_SPARSE, /* the dummy, region or not */
	PANBIND_CHANGE_SYNC_ONLY,
	PANBIND_CHANGE_VM_CREATE,  /* vm, size: its VA range */
	PANBIND_CHANGE_VM_DESTROY, /* vm */
	PANBIND_CHANGE_BO_CREATE,  /* bo, size, flags: PANBIND_BO_*, vm: the only one that may map it, or NULL */
	PANBIND_CHANGE_BO_DESTROY, /* bo */
};
struct panbind_change {
	enum panbind_change_type type;
	const char *vm, *bo; /* names, valid in the call */
	uint64_t va, size, bo_offset;
	uint32_t flags;	     /* PANBIND_MAP_* */
	const char *syncs;   /* of an asynchronous op: "wait=NAME[:POINT] signal=NAME[:POINT] ..."; NULL: none */
	uint64_t latency_ns; /* what making it took; ops bound together: all of it in the last of them */
};

#define PANBIND_CHANGES_ASYNC  (1u << 0) /* an asynchronous bind: the driver has taken it, it cannot be undone */
#define PANBIND_CHANGES_FAILED (1u << 1) /* it has failed, and is undone as far as outcome says */

/** What a transaction of a script, or an asynchronous bind of it, has changed or was to change. */
struct panbind_changes {
	const struct panbind_change *changes; /* in the order of the script */
	size_t count;
	uint32_t flags; /* PANBIND_CHANGES_* */

	/* Of a failure: all that was asked for, without what the script expected to fail. */
	const struct panbind_error *error;
	enum panbind_outcome outcome;
	size_t failing; /* index of the change that failed; count: it was none of them, or it is not known */
	uint64_t latency_ns;
};

/**
 * Called at the end of each transaction of a script that changed something, when all of it is done and nothing is
 * final: destroyed objects still live. Returns 0 to keep it, or a negative errno to have it undone; then @reterr is
 * what the script fails with. Called also, with PANBIND_CHANGES_FAILED, when one has failed: what it returns then does
 * not count, and @reterr is NULL.
 */
typedef int panbind_record_fn(void *data, const struct panbind_changes *changes, struct panbind_error *reterr);
/** Have what scripts change recorded; NULL: no longer. */
void panbind_session_set_record(struct panbind_session *session, panbind_record_fn *record, void *data);

/**
 * Write the script that rebuilds a VM: its BOs, its sparse regions, its mappings. Contents of BOs are not part of it.
 * @name: one VM, or NULL for all. The string is the caller's, to be given to free(3).
 */
int panbind_session_dump(struct panbind_session *session, const char *name, char **ret_text);

#endif /* PANBIND_SCRIPT_H */
