/* SPDX-License-Identifier: MIT */
/*
 * What a method is asked, as C values; and how the method table describes them.
 *
 * Few names recur in all methods (vm, va, size, bo, ...), so one struct holds the parameters of any of them, and the
 * table says which members a method takes. The decoder fills the members and checks types, ranges and presence; a
 * method's code never sees JSON.
 */
#ifndef PBD_CALL_H
#define PBD_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "panbind-log.h"

/** What an answer waits for. */
enum durability {
	DURABILITY_SYNC,  /* the log's disk has it */
	DURABILITY_WRITE, /* the log's file has it: survives the daemon, not a power cut */
	DURABILITY_NONE,  /* the log will have it */
};

/** Which account of a lost VM's mapping is believed. */
enum rebuild_from {
	REBUILD_FROM_SHADOW, /* the library's, of what it has bound */
	REBUILD_FROM_LOG,
};

/** One op of txn.run. Strings are borrowed from the message. */
struct call_op {
	enum panbind_log_op_type type;
	const char *vm, *bo;
	uint64_t va, size, bo_offset;
	uint32_t flags; /* PANBIND_MAP_* */
};

/** Strings are borrowed from the message; what is not given has the default that the table states. */
struct call {
	const char *name, *vm, *bo, *device, *to_vm;
	const char *text, *file, *log;
	const char *txn_id, *comment;
	const char *wait, *signal; /* of a fenced bind: NAME[:POINT] */
	uint64_t va, size, offset, bo_offset, va_range;
	uint64_t pid, vm_id;
	uint64_t since, until, limit, speed, generation, seq, to_seq, if_generation;
	uint32_t flags;	     /* PANBIND_MAP_* or PANBIND_BO_* */
	uint32_t durability; /* enum durability */
	uint32_t verify;     /* enum panbind_log_replay_verify */
	uint32_t from;	     /* enum rebuild_from */
	bool missing_ok, map, check, keep_going, force, fenced;
	bool has_since, has_until, has_seq, has_to_seq, has_if_generation;
	struct call_op *ops;
	size_t op_count;
	struct panbind_define *defines;
	size_t define_count;
	unsigned char *data;
	size_t data_size;
};

void call_free(struct call *call);

/** How a parameter is written, and with it its place in struct call or struct call_op. */
enum param_type {
	PARAM_NAME,    /* const char *: a name as scripts have them */
	PARAM_TEXT,    /* const char *: any text of at most `max` bytes */
	PARAM_NUMBER,  /* uint64_t: "0x…", decimal text, or an integer below 2^53; from `min` to `max` */
	PARAM_BOOL,    /* bool */
	PARAM_WORD,    /* uint32_t: one of `words` */
	PARAM_FLAGS,   /* uint32_t: a list of `words` */
	PARAM_BASE64,  /* data, data_size: at most `max` bytes after decoding */
	PARAM_OPS,     /* ops, op_count */
	PARAM_DEFINES, /* defines, define_count: an object of texts */
};

struct word {
	const char *word;
	uint32_t value;
};

struct param {
	const char *name;
	enum param_type type;
	bool required;
	size_t offset;	   /* of the member */
	size_t has_offset; /* of a bool that tells whether it was given, 0: none */
	uint64_t min, max;
	uint64_t fallback; /* of numbers */
	const struct word *words;
	const char *help;
};

/** Limits that an operator may set and the greeting states. */
struct limits {
	uint64_t request_bytes; /* one line */
	uint64_t ops;		/* of one transaction */
	uint64_t connections;
	uint64_t calls;	       /* of one array */
	uint64_t pending;      /* unanswered calls of one connection; more are not read yet */
	uint64_t output_bytes; /* unread answers of one connection; above it, it is not read */
	uint64_t input_bytes;  /* unfinished lines of all connections together */
};

extern const struct limits default_limits;

#endif /* PBD_CALL_H */
