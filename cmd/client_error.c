/* SPDX-License-Identifier: MIT */
/*
 * What a daemon refused or failed, told as the same thing is told when it happens in this process: the place, the op,
 * the errno's name, and an exit status that says what of it is applied.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "error.h"
#include "number.h"

/* JSON-RPC's own codes, and those of panbindd that decide an exit status. */
enum { RPC_PARSE = -32700, RPC_REQUEST = -32600, RPC_NO_METHOD = -32601, RPC_PARAMS = -32602 };
enum { RPC_NOT_PERMITTED = -32001, RPC_BUSY = -32006 };

const char *client_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

uint64_t client_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	uint64_t number = 0;

	if (json_is_integer(value))
		return (uint64_t)json_integer_value(value);
	if (json_is_string(value) && number_parse(json_string_value(value), &number) < 0)
		return 0;
	return number;
}

static enum panbind_stage stage_of(const json_t *data)
{
	const char *name = client_text(data, "stage");

	for (int stage = PANBIND_STAGE_PARSE; name && stage <= PANBIND_STAGE_JOURNAL; stage++)
		if (strcmp(panbind_stage_name((enum panbind_stage)stage), name) == 0)
			return (enum panbind_stage)stage;
	return PANBIND_STAGE_NONE;
}

static void fill(struct panbind_error *error, const json_t *json, const json_t *data)
{
	json_t *op = json_object_get(data, "op");
	const char *message = client_text(json, "message");

	*error = (struct panbind_error){
		.code = -(int)client_number(data, "errno"),
		.stage = stage_of(data),
		.op = json_is_integer(op) ? (uint32_t)json_integer_value(op) : PANBIND_NO_OP,
		.line = (uint32_t)client_number(data, "line"),
		.column = (uint32_t)client_number(data, "column"),
		.va = client_number(data, "va"),
		.size = client_number(data, "size"),
	};
	if (!error->code)
		error->code = -EIO;
	snprintf(error->msg, sizeof(error->msg), "%s", message ? message : "the daemon does not say why");
}

/* "none" after something was tried means that it was undone. */
static void fill_outcome(struct error_context *context, const struct panbind_error *error, const json_t *data)
{
	const char *applied = client_text(data, "applied");

	context->has_outcome = applied != NULL;
	if (!applied)
		return;
	if (strcmp(applied, "partial") == 0)
		context->outcome = PANBIND_OUTCOME_PARTIAL;
	else if (strcmp(applied, "unknown") == 0)
		context->outcome = PANBIND_OUTCOME_UNKNOWN;
	else if (strcmp(applied, "all") == 0)
		context->outcome = PANBIND_OUTCOME_APPLIED;
	else if (error->stage >= PANBIND_STAGE_SUBMIT && error->stage <= PANBIND_STAGE_ROLLBACK)
		context->outcome = PANBIND_OUTCOME_ROLLED_BACK;
	else
		context->has_outcome = false;
}

static int status_of(json_int_t code, const struct panbind_error *error, const json_t *data)
{
	const char *applied = client_text(data, "applied");

	if (applied && strcmp(applied, "none") != 0)
		return CMD_PARTIAL;
	switch (code) {
	case RPC_PARSE:
	case RPC_REQUEST:
	case RPC_NO_METHOD:
	case RPC_PARAMS:
		return CMD_USAGE;
	case RPC_NOT_PERMITTED:
		return CMD_DENIED;
	case RPC_BUSY:
		return CMD_NO_DEVICE;
	default:
		return error_status(error, PANBIND_OUTCOME_ROLLED_BACK);
	}
}

int client_error(struct cmd *cmd, const json_t *json, const struct client_source *source)
{
	const json_t *data = json_object_get(json, "data");
	struct error_context context = {.message = client_text(json, "message"),
					.pointer = client_text(data, "pointer")};
	struct panbind_error error;

	fill(&error, json, data);
	fill_outcome(&context, &error, data);
	if (source && error.line)
		source->locate(source->data, &error, &context.line, &context.line_size);
	error_report(cmd, &error, &context);
	return status_of(json_integer_value(json_object_get(json, "code")), &error, data);
}
