/* SPDX-License-Identifier: MIT */
/*
 * An ioctl as a program made it, whoever saw it: a trace that is imported, or a recorder. Handles and ids are those of
 * the program's open file; call_log.h turns a stream of calls into entries of a log.
 */
#ifndef CMD_CALL_H
#define CMD_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum call_type {
	CALL_VM_CREATE = 1,   /* id, size: the VA range; 0: the driver's choice, not known */
	CALL_VM_DESTROY,      /* id */
	CALL_BO_CREATE,	      /* id, size, flags, exclusive_vm */
	CALL_BO_EXPORT,	      /* id, key: the BO is known by the key from here on, in every file */
	CALL_BO_IMPORT,	      /* id, key, and size in case nobody has seen the BO before */
	CALL_BO_CLOSE,	      /* id; handles that are not known are none of a VM's business and let be */
	CALL_SYNCOBJ_CREATE,  /* id */
	CALL_VM_BIND,	      /* id, async, ops, done */
	CALL_FILE_CLOSE,      /* the last descriptor of the file went: its VMs and handles, too */
	CALL_SYNCOBJ_DESTROY, /* id */
	CALL_SYNCOBJ,	      /* verb, points, words: any other call on syncobjs */
	CALL_GROUP_SUBMIT,    /* id: the group; ops: submissions to queues, of which bo is the index, with syncs */
	CALL_VM_STATE,	      /* id, done: 0 while it is usable */
	CALL_NOTE,	      /* note; id and words of a BO: it is labelled so */
};

struct call_sync {
	bool signal; /* else a wait */
	uint32_t syncobj;
	uint64_t point; /* 0: binary */
};

enum call_op_type { CALL_OP_MAP = 0, CALL_OP_UNMAP, CALL_OP_SYNC_ONLY };
enum { CALL_MAP_READONLY = 1, CALL_MAP_NOEXEC = 2, CALL_MAP_UNCACHED = 4, CALL_MAP_SPARSE = 8 }; /* as the driver's */

struct call_op {
	enum call_op_type type;
	uint32_t flags; /* CALL_MAP_* */
	uint32_t bo;
	uint64_t bo_offset, va, size;
	const struct call_sync *syncs;
	size_t sync_count;
};

struct call {
	enum call_type type;
	uint64_t start_ns, duration_ns; /* start: since 1970, or on whatever clock the log is to have */
	int32_t pid, tid;
	uint64_t file;	    /* which open file, however often it was duplicated */
	const char *prefix; /* of the names of the file's objects, "" or "fd5."; NULL is "" */
	int err;	    /* 0, or the errno with which it failed: ids given out are not set then */
	const char *note;   /* becomes the entry's comment; NULL: none */
	bool unfinished;    /* the program died in the middle of it: what came of it is not known */

	uint32_t id; /* the VM, the BO's handle, or the syncobj's */
	uint64_t size;
	uint32_t flags, exclusive_vm;
	uint64_t key; /* of a BO across files, not 0 */
	bool async;
	const struct call_op *ops;
	size_t op_count;
	size_t done;		  /* of a synchronous bind that failed: the ops before this one are in place */
	const char *verb, *words; /* "wait", and what is said behind the points: " --all" */
	const struct call_sync *points;
	size_t point_count;
};

#endif /* CMD_CALL_H */
