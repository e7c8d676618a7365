/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC 2.0, one message a line.
 */
#ifndef PBD_RPC_H
#define PBD_RPC_H

#include "request.h"

#define RPC_PROTOCOL 1 /* the greeting's number; grows when an old client would misunderstand */
#define RPC_DEPTH    32

/** What a line was. */
struct rpc_line {
	struct request *requests; /* in order; with error.code set it is only to be answered */
	size_t count;
	bool array; /* the answers belong into one array */
	bool fatal; /* no trust in what follows: answer, then close */
};

/**
 * Decode the line @text (without its newline). Whatever it is, there is at least one request or the line was blank.
 * -ENOMEM is the only failure.
 */
int rpc_decode(const char *text, size_t size, enum role role, const struct limits *limits, struct rpc_line *ret_line);

/** May this call be carried out while nobody listens to its client? It takes no longer than a bind. */
bool rpc_is_short(const struct request *request);
/** Free requests that were not started. */
void rpc_line_free(struct rpc_line *line);
/** A request that exists only to be answered with its error: for what no line can be made of. */
struct request *rpc_refusal(int code, int err, const char *message);

#endif /* PBD_RPC_H */
