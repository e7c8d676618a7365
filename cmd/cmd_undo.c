/* SPDX-License-Identifier: MIT */
/*
 * `panbind undo SEQ`: put back what an entry of the log displaced.
 *
 * The daemon is asked twice: first what it would do and what stands against it, which is shown when it is refused or
 * forced; then to do it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "error.h"
#include "number.h"
#include "order.h"

#define KEY_FORCE	  0x500
#define KEY_IF_GENERATION 0x501

struct arguments {
	json_t *params;
	uint64_t seq;
	bool has_seq, force, dry_run;
};

static const struct argp_option options[] = {
	{"force", KEY_FORCE, NULL, 0, "Although later entries have touched its range: show the plan, and do it"},
	{"dry-run", 'n', NULL, 0, "Show what would be done, as a script, and what stands against it; change nothing"},
	{"if-generation", KEY_IF_GENERATION, "N", 0, "Only if the VM's mapping is still of this generation"},
	ORDER_RECORD_OPTIONS,
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	uint64_t number;

	switch (key) {
	case KEY_FORCE:
		arguments->force = true;
		return 0;
	case 'n':
		arguments->dry_run = true;
		return 0;
	case KEY_IF_GENERATION:
		if (number_parse(arg, &number) < 0)
			argp_error(state, "--if-generation: '%s' is not a number", arg);
		json_object_set_new(arguments->params, "if_generation", output_json_hex(number));
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->has_seq || number_parse(arg, &arguments->seq) < 0)
			argp_error(state, "'%s' is not a sequence number of the log", arg);
		arguments->has_seq = true;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->has_seq)
			argp_error(state, "the sequence number of the entry, please (see 'panbind log show')");
		return 0;
	default:
		return order_record_option(arguments->params, key, arg) ? 0 : ARGP_ERR_UNKNOWN;
	}
}

static int ask(struct client *client, const struct arguments *arguments, bool dry_run, json_t **ret_result)
{
	json_t *params = json_deep_copy(arguments->params);

	json_object_set_new(params, "seq", json_integer((json_int_t)arguments->seq));
	if (arguments->force)
		json_object_set_new(params, "force", json_true());
	if (dry_run)
		json_object_set_new(params, "dry_run", json_true());
	return client_call(client, "state.undo", params, dry_run ? CLIENT_LOOKS : CLIENT_CHANGES, NULL, ret_result);
}

/* What stands against it, and what could not come back: on standard error, so that the plan stays a script. */
static void tell_obstacles(const struct cmd *cmd, const json_t *plan)
{
	json_t *conflicts = json_object_get(plan, "conflicts"), *left = json_object_get(plan, "left"), *item;
	size_t i;

	json_array_foreach (conflicts, i, item)
		error_note(cmd, 0, "entry %lld has touched its range since", (long long)json_integer_value(item));
	json_array_foreach (left, i, item)
		error_note(cmd, 0, "stays as it is: %s", client_text(item, "reason"));
}

static void tell_plan(const struct cmd *cmd, const json_t *plan)
{
	if (cmd->out.json)
		json_object_set(cmd->out.doc, "plan", (json_t *)plan);
	else
		fputs(client_text(plan, "script"), stdout);
}

static int refuse(struct cmd *cmd, const struct arguments *arguments, const json_t *plan)
{
	size_t count = json_array_size(json_object_get(plan, "conflicts"));

	if (cmd->out.json)
		json_object_set(cmd->out.doc, "plan", (json_t *)plan);
	return error_say(cmd, CMD_FAILED, -ESTALE,
			 "entry %" PRIu64 " is not undone: %zu later entr%s touched its range (-n shows the plan, "
			 "--force carries it out)",
			 arguments->seq, count, count == 1 ? "y has" : "ies have");
}

static int undo(struct cmd *cmd, struct client *client, const struct arguments *arguments)
{
	json_t *plan = NULL, *result = NULL;
	bool conflicts;
	int status = ask(client, arguments, true, &plan);

	if (status)
		return status;
	conflicts = json_array_size(json_object_get(plan, "conflicts")) > 0;
	tell_obstacles(cmd, plan);
	if (arguments->dry_run || arguments->force)
		tell_plan(cmd, plan);
	if (!arguments->dry_run && conflicts && !arguments->force)
		status = refuse(cmd, arguments, plan);
	else if (!arguments->dry_run)
		status = ask(client, arguments, false, &result);
	if (result && cmd->out.json)
		json_object_set(cmd->out.doc, "result", result);
	else if (result && client_number(result, "seq"))
		error_note(cmd, 1, "%" PRIu64 " op%s, recorded as entry %" PRIu64, client_number(result, "planned"),
			   client_number(result, "planned") == 1 ? "" : "s", client_number(result, "seq"));
	else if (result)
		error_note(cmd, 1, "it is as it was before already");
	if (result && json_array_size(json_object_get(result, "left")) > 0)
		status = CMD_PARTIAL;
	json_decref(plan);
	json_decref(result);
	return status;
}

int cmd_undo(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.params = json_object()};
	struct client client;
	int status;

	cmd_parse(
		cmd, options, parse, "SEQ",
		"Undo an entry of the daemon's log: what its ops touched holds again what it held before, and nothing "
		"else changes. Refused when a later entry has touched the same range, or when what was there is gone "
		"for good. The undo is an entry too, which names the one that it undoes, and can be undone.",
		argc, argv, &arguments);
	if (cmd->device_option)
		status = error_say(cmd, CMD_NO_DEVICE, -ENOTCONN,
				   "'undo' is about the daemon's VMs and its log, and takes no -d");
	else
		status = client_open(&client, cmd);
	if (!status)
		status = undo(cmd, &client, &arguments);
	if (!cmd->device_option)
		client_close(&client);
	json_decref(arguments.params);
	return status;
}
