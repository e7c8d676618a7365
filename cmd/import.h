/* SPDX-License-Identifier: MIT */
/*
 * Traces of DRM ioctls (JSON lines) to scripts.
 *
 * One trace line is one ioctl of one process: name, args, out, ret, errno, fd, pid, tid, and its start and duration in
 * ns. The script does the same work again, in an order in which it cannot hang:
 *
 *  - A script has one thread, a program has several, so a wait that succeeded is placed where it ended (whatever it
 *    waited for had begun by then), everything else where it began.
 *  - What succeeded must succeed, what failed stands behind `expect ERRNO`.
 *  - Times are not repeated: a wait that succeeded gets at least IMPORT_PATIENCE_MS, since another machine may be
 * slower.
 *
 * A log of the same trace has no such needs: import_log.c hands each line on as a call.
 *
 * What strace(1) prints is a trace, too, of calls whose arguments are not known (bare): their times, and no more.
 *
 * trace.c reads lines and fields, trace_strace.c lines of strace, trace_bind.c VM_BIND of a line; import.c is the loop
 * and the ioctls on VMs, BOs and syncobjs, import_bind.c VM_BIND in a script.
 */
#ifndef CMD_IMPORT_H
#define CMD_IMPORT_H

#include <jansson.h>

#include "call.h"
#include "error.h"
#include "source.h"

#define IMPORT_PATIENCE_MS 10000

/** One line of the trace. */
struct trace_record {
	uint64_t key;	      /* where it stands in the script: ns */
	uint32_t line;	      /* 1-based */
	int64_t pid, tid, fd; /* -1: none */
	uint64_t start, duration;
	const char *name;
	int64_t ret;
	int err;
	bool bare;		   /* what the call points to is not known: no args, no out */
	json_t *json, *args, *out; /* args and out may be NULL */
};

struct trace {
	struct cmd *cmd;
	const char *file;
	struct trace_record *records;
	size_t count, room;
	bool keep_going;
	uint32_t bad; /* lines that were refused */
};

/**
 * Read all lines. 0, or -EINVAL after the first bad line, which is reported; with keep_going bad lines are reported and
 * left out. -ENOMEM is reported, too.
 */
int trace_read(struct trace *trace, const struct source *source);
void trace_free(struct trace *trace);

/** Add a record; @json is consumed. 0 or a negative errno, reported. */
int trace_add(struct trace *trace, uint32_t line, json_t *json, bool bare);

/* ---- trace_strace.c: what strace(1) prints ---- */

/** What was in it. */
struct strace_counts {
	uint64_t ioctls, binds; /* of DRM; VM_BINDs among them */
	uint64_t others;	/* ioctls of something else */
	uint64_t signals, exits;
	uint64_t unfinished, strange; /* ioctls that never returned; lines of ioctls that are not understood */
};
bool strace_is(const struct source *source);
/** Read all lines. 0 or a negative errno, reported but for -ECANCELED. */
int strace_read(struct trace *trace, const struct source *source, struct strace_counts *counts);

/* ---- Fields: @path names the field in messages, "args.ops[2].va" ---- */

/** Report what is wrong with a field of a line, count it, and return -EINVAL. */
int trace_fail(struct trace *trace, const struct trace_record *record, const char *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/** A number: JSON integer, or a decimal or 0x string. 0 or -EINVAL, reported. */
int trace_number(struct trace *trace, const struct trace_record *record, const json_t *object, const char *parent,
		 const char *key, uint64_t *ret_value);
/** The same where the field may be missing: then @missing. */
int trace_number_or(struct trace *trace, const struct trace_record *record, const json_t *object, const char *parent,
		    const char *key, uint64_t missing, uint64_t *ret_value);
/** The number at @index of an array of numbers. */
int trace_element(struct trace *trace, const struct trace_record *record, const char *key, size_t index,
		  uint64_t *ret_value);

/* ---- trace_bind.c ---- */

/** PANTHOR_VM_BIND of a line; zeroed at first, and again for the next line. */
struct trace_bind {
	uint64_t vm;
	bool async;
	struct call_op *ops;
	struct call_sync *syncs; /* of all ops */
	size_t op_count, sync_count;
	uint64_t done; /* out.nops: ops that were executed, or the index of the one that failed */
};

/** 0 or -EINVAL, reported. */
int trace_read_bind(struct trace *trace, const struct trace_record *record, struct trace_bind *bind);
void trace_bind_free(struct trace_bind *bind);

/* ---- import.c ---- */

struct import {
	struct trace trace;
	FILE *script;
	const char *text_name; /* of what is written to @script, in the JSON document; NULL: nothing is */
	bool several_files, several_processes;
	json_t *live;	  /* name -> line where it was created */
	json_t *regions;  /* "VM@VA" -> size: sparse regions */
	char comment[96]; /* one that may come again at once: printed with a count */
	uint32_t comment_count;
	uint64_t binds, ops, commands, comments;
};

/** Write the whole script. 0 or a negative errno, reported. */
int import_run(struct import *import);
/** Bring the lines into the order in which one thread can do them, and see what names have to say. */
void import_sort(struct import *import);

#define IMPORT_NAME 96
/** What stands before names: "", "fd5." when the trace has several files, or "pid48.fd5.". Returns @prefix. */
const char *import_prefix(const struct import *import, const struct trace_record *record, char prefix[IMPORT_NAME]);
/** "bo7", or "fd5.bo7". Returns @name. */
const char *import_name(const struct import *import, const struct trace_record *record, const char *kind, uint64_t id,
			char name[IMPORT_NAME]);
bool import_is_live(const struct import *import, const char *name);
/** The same name, checked: -EINVAL, reported, when nothing of that name exists at this line. */
int import_object(struct import *import, const struct trace_record *record, const char *path, const char *kind,
		  uint64_t id, char name[IMPORT_NAME]);
/** A line of the script. */
void import_line(struct import *import, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A comment; equal ones in a row become one. */
void import_comment(struct import *import, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** "expect EINVAL " for a record that failed, else "". Returns @text. */
const char *import_expect(const struct trace_record *record, char text[IMPORT_NAME]);

/* ---- import_bind.c ---- */

/** PANTHOR_VM_BIND. 0 or -EINVAL, reported. */
int import_vm_bind(struct import *import, const struct trace_record *record);

/* ---- import_log.c ---- */

/**
 * Make a new log at @path of the whole trace. 0 or a negative errno, reported but for -ECANCELED; nothing is at @path
 * then. import->commands are its entries.
 */
int import_to_log(struct import *import, const char *path);

/** Draw the whole trace as a Chrome trace. 0 or a negative errno, reported but for -ECANCELED. */
int import_to_perfetto(struct import *import, FILE *stream);

#endif /* CMD_IMPORT_H */
