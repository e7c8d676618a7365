/* SPDX-License-Identifier: MIT */
/*
 * A refusal or failure as JSON-RPC shows it: the standard codes, and from -32000 down those of panbindd.
 */
#ifndef PBD_RPC_ERROR_H
#define PBD_RPC_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "jw.h"
#include "panbind.h"

enum rpc_code {
	RPC_PARSE = -32700,   /* not JSON */
	RPC_REQUEST = -32600, /* JSON, but no request */
	RPC_NO_METHOD = -32601,
	RPC_PARAMS = -32602,
	RPC_INTERNAL = -32603,
	RPC_FAILED = -32000,	    /* the library or the driver refused or failed it: see data */
	RPC_NOT_PERMITTED = -32001, /* the peer's role does not suffice */
	RPC_NOT_FOUND = -32002,	    /* no object of that name */
	RPC_EXISTS = -32003,	    /* the name is taken */
	RPC_JOURNAL = -32004,	    /* the log could not record it */
	RPC_TOO_LARGE = -32005,	    /* beyond a limit of the greeting */
	RPC_BUSY = -32006,	    /* not now: too many connections, or stopping */
	RPC_REUSED = -32007,	    /* the txn_id came with another request before */
	RPC_STALE = -32008,	    /* what the call counts on has changed since */
	RPC_INTERRUPTED = -32009,   /* the script that came with the txn_id was interrupted, and is not run again */
};

enum applied { APPLIED_NONE, APPLIED_ALL, APPLIED_PARTIAL, APPLIED_UNKNOWN };

struct rpc_error {
	int code;			/* enum rpc_code */
	int err;			/* positive errno */
	const char *name;		/* for data.name, constant; NULL: the errno's */
	uint64_t seq;			/* of the entry about it, 0: none is known */
	uint64_t kept_first, kept_last; /* entries of it that stay all the same, 0: none */
	uint64_t transactions;		/* of a script: how many those are */
	enum panbind_stage stage;
	uint32_t op;	       /* or PANBIND_NO_OP */
	uint32_t line, column; /* 0: none */
	uint64_t va, size;     /* the range in question, size 0: none */
	bool retryable;	       /* the same request may succeed later */
	enum applied applied;
	char pointer[256]; /* JSON pointer into the message, empty: none */
	char message[320];
};

/** Fill the error and return @code, so that a refusal is one statement. */
int rpc_error_set(struct rpc_error *error, int code, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/** Did it touch nothing, and fail (positive errno) for what passes? Then it is retryable, and leaves its txn_id free.
 */
bool rpc_is_passing(int err, enum applied applied);
/** Take over what the library says. @applied: what became of it. */
int rpc_error_from_library(struct rpc_error *error, const struct panbind_error *from, enum applied applied);
/** Members that say what of a script stays, if anything does. */
void rpc_write_kept(struct jw *jw, uint64_t transactions, uint64_t first, uint64_t last);
/** Write the "error" member of an answer. */
void rpc_error_write(struct jw *jw, const struct rpc_error *error);
const char *applied_name(enum applied applied);

#endif /* PBD_RPC_ERROR_H */
