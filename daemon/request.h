/* SPDX-License-Identifier: MIT */
/*
 * One call on its way through the daemon.
 *
 * The loop thread makes it, and frees it. In between it belongs to whoever has it in a queue: the executor of a device,
 * then the log's writer, then the loop again. Nobody else looks at it meanwhile, so it needs no lock. `conn` and
 * `array` are the loop's; the executor carries them along and never follows them, but to send the answer to a call that
 * is alone.
 */
#ifndef PBD_REQUEST_H
#define PBD_REQUEST_H

#include "call.h"
#include "digest.h"
#include "jw.h"
#include "methods.h"
#include "rpc_error.h"

struct conn;
struct array;
struct visit;

struct request {
	struct request *next;
	struct conn *conn;
	struct server *server; /* for an answer that comes from another thread than the executor's */
	struct array *array;   /* the answer is an element of this one's */
	size_t index;
	size_t bytes; /* its share of the line, for the limits */
	const struct method *method;
	json_t *root; /* what `call` borrows its strings from */
	struct call call;
	char *id; /* as JSON, NULL: a notification, which nobody answers */
	char id_room[32];
	struct peer peer;		/* its argv is the connection's */
	uint64_t seq;			/* of its entry in the log, 0: none */
	char digest[DIGEST_LENGTH + 1]; /* of the call, when it has a txn_id */
	struct rpc_error error;
	struct jw out;
	size_t body;	     /* out.len where "result" or "error" begins */
	int fd;		     /* that came beside it, of a method that takes one; or -1 */
	bool fd_many;	     /* more than one came */
	bool alone;	     /* no other call was under way when it was handed over */
	bool lent;	     /* and its connection's output went along: conn_lend.c */
	struct visit *visit; /* of which it is the token; NULL: none */
	size_t sent;	     /* bytes of out, and its newline, that the client has */
};

struct request *request_new(void);
void request_free(struct request *request);
/** Begin the answer: the envelope up to "result". */
void request_begin_answer(struct request *request);
/** End it; with request->error.code set what was written of a result is dropped. A notification has no answer. */
void request_end_answer(struct request *request);

/** The error is about this part of the call: "/params/vm". */
void request_point(struct request *request, const char *pointer);

#endif /* PBD_REQUEST_H */
