/* SPDX-License-Identifier: MIT */
/* `panbind rpc`: any method of the daemon, with parameters as JSON. The result is JSON, too. */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "error.h"
#include "source.h"

struct arguments {
	const char *method, *params;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (arguments->params)
			argp_error(state, "METHOD and one JSON value, please");
		if (arguments->method)
			arguments->params = arg;
		else
			arguments->method = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no METHOD given ('rpc.discover' describes all)");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* An object from the command line, or from standard input ("-"), where there is room for a long one. */
static int read_params(struct cmd *cmd, const char *text, json_t **ret_params)
{
	struct source source = {0};
	json_error_t error;
	int status;

	if (!text)
		return CMD_DONE;
	if (strcmp(text, "-") == 0) {
		status = source_read(cmd, text, &source);
		if (status)
			return status;
		text = source.text;
	}
	*ret_params = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	source_free(&source);
	if (json_is_object(*ret_params))
		return CMD_DONE;
	if (!*ret_params)
		return error_say(cmd, CMD_USAGE, -EINVAL, "the parameters are not JSON: line %d, column %d: %s",
				 error.line, error.column, error.text);
	json_decref(*ret_params);
	*ret_params = NULL;
	return error_say(cmd, CMD_USAGE, -EINVAL, "the parameters are to be a JSON object, such as {\"name\":\"v\"}");
}

static int call(struct cmd *cmd, const struct arguments *arguments)
{
	struct client client;
	json_t *params = NULL, *result = NULL;
	int status = read_params(cmd, arguments->params, &params);

	if (status)
		return status;
	status = client_open(&client, cmd);
	if (status)
		json_decref(params);
	else
		status = client_call(&client, arguments->method, params, CLIENT_CHANGES, NULL, &result);
	client_close(&client);
	if (status)
		return status;
	if (cmd->out.json) {
		json_object_set_new(cmd->out.doc, "result", result);
		return CMD_DONE;
	}
	json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(result);
	return CMD_DONE;
}

int cmd_rpc(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {0};

	cmd_parse(cmd, NULL, parse, "METHOD [JSON|-]",
		  "Call a method of the daemon and print its result. The parameters are a JSON object, from standard "
		  "input with -. 'panbind rpc rpc.discover' describes all methods; see panbind-rpc(7).",
		  argc, argv, &arguments);
	return call(cmd, &arguments);
}
