/* SPDX-License-Identifier: MIT */
/*
 * From a JSON object to the members of a struct, as a table of parameters says.
 */
#ifndef PBD_DECODE_H
#define PBD_DECODE_H

#include <jansson.h>

#include "call.h"
#include "rpc_error.h"

/**
 * Fill @call from @params (NULL: none given). @pointer: where @params stands in the message, such as "/params" or
 * "/3/params". Returns 0, or the error's code with the place and the reason in @ret_error. What was allocated for
 * @call by then is freed by call_free() in either case.
 */
int decode_params(const struct param *table, size_t count, const json_t *params, const char *pointer,
		  const struct limits *limits, struct call *call, struct rpc_error *ret_error);

/** The parameters of one kind of op in txn.run, by its word; NULL when there is no such kind. */
struct op_kind {
	const char *word;
	enum panbind_log_op_type type;
	const struct param *params;
	size_t param_count;
	const char *help;
};
const struct op_kind *op_kinds(size_t *ret_count);

/**
 * An exact unsigned integer: an integer from 0 to 2^53-1, or text that is decimal or 0x hex. Returns 0 or a reason,
 * which is what the client is told.
 */
const char *decode_number(const json_t *value, uint64_t *ret_number);

#endif /* PBD_DECODE_H */
