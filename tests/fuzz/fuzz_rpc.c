/* SPDX-License-Identifier: MIT */
/*
 * The decoder of calls: any bytes as one line. Nothing may crash or leak, every line that is not blank has an answer,
 * and each answer is JSON. A call that passes has what its method requires.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
	if (!condition)
		abort();
}

/** Each required parameter of a call that passed is there. */
static void check_required(const struct request *request)
{
	const json_t *params = json_object_get(request->root, "params");

	for (size_t i = 0; i < request->method->param_count; i++)
		if (request->method->params[i].required)
			check(json_object_get(params, request->method->params[i].name));
}

static void check_answer(struct request *request)
{
	json_t *answer;

	request_begin_answer(request);
	request_end_answer(request);
	if (!request->id) {
		check(request->out.len == 0);
		return;
	}
	answer = json_loadb(request->out.buf, request->out.len, JSON_REJECT_DUPLICATES, NULL);
	check(answer);
	check(json_object_get(answer, "id"));
	check(!request->error.code == !json_object_get(answer, "error"));
	json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum role roles[] = {ROLE_NONE, ROLE_READ, ROLE_BIND, ROLE_ADMIN};
	struct rpc_line line;
	size_t count = 0;

	if (size == 0 || memchr(data, '\n', size))
		return 0;
	if (rpc_decode((const char *)data + 1, size - 1, roles[data[0] % 4], &default_limits, &line) < 0)
		return 0;
	for (struct request *request = line.requests; request; request = request->next, count++) {
		check(request->error.code || (request->method && request->method->role <= roles[data[0] % 4]));
		if (!request->error.code)
			check_required(request);
		check_answer(request);
	}
	check(count == line.count);
	rpc_line_free(&line);
	return 0;
}
