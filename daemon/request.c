/* SPDX-License-Identifier: MIT */
/*
 * A call's life: made, answered, freed. See request.h for who owns it when.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"
#include "util.h"

struct request *request_new(void)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request) {
		request->error.op = PANBIND_NO_OP;
		request->fd = -1;
	}
	return request;
}

void request_free(struct request *request)
{
	if (!request)
		return;
	if (request->id != request->id_room)
		free(request->id);
	call_free(&request->call);
	json_decref(request->root);
	closep(&request->fd);
	jw_free(&request->out);
	free(request);
}

void request_begin_answer(struct request *request)
{
	struct jw *out = &request->out;

	if (!request->id)
		return;
	jw_object(out, NULL);
	jw_string(out, "jsonrpc", "2.0");
	jw_raw(out, "id", request->id, strlen(request->id));
	request->body = out->len;
}

void request_end_answer(struct request *request)
{
	static const char no_memory[] =
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,\"message\":\"out of memory\"}}";
	struct jw *out = &request->out;

	if (!request->id) {
		jw_cut(out, 0, false);
		return;
	}
	if (request->error.code) {
		jw_cut(out, request->body, true);
		rpc_error_write(out, &request->error);
	} else if (out->len == request->body) {
		jw_raw(out, "result", "{}", 2);
	}
	jw_object_end(out);
	if (jw_ok(out))
		return;
	jw_free(out);
	jw_bytes(out, no_memory, sizeof(no_memory) - 1);
}

void request_point(struct request *request, const char *pointer)
{
	struct rpc_error *error = &request->error;

	if (request->array)
		snprintf(error->pointer, sizeof(error->pointer), "/%zu%s", request->index, pointer);
	else
		snprintf(error->pointer, sizeof(error->pointer), "%s", pointer);
}
