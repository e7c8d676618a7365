/* SPDX-License-Identifier: MIT */
/* `panbind apply --to-state STATE VM`: make a VM what a state says, with as few ops as that takes. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "order.h"
#include "remote.h"
#include "runner.h"
#include "state_source.h"

#define KEY_TO_STATE	  0x500
#define KEY_IF_GENERATION 0x501

struct arguments {
	struct runner runner;
	json_t *params;
	struct state_source to;
	struct fence fence;
	bool has_to, dry_run;
	uint64_t if_generation;
	bool has_if_generation;
	const char *vm, *script;
};

static const struct argp_option options[] = {
	{"to-state", KEY_TO_STATE, "STATE", 0,
	 "How the VM shall be: ./FILE[:VM], @SEQ:VM, VM, ... as for 'panbind diff'"},
	{"dry-run", 'n', NULL, 0, "Print what would be done, as a script; change nothing"},
	{"if-generation", KEY_IF_GENERATION, "N", 0, "Only if its mapping is still of this generation (see vm list)"},
	{"file", 'f', "SCRIPT", 0, "With -d: run this script first, which makes the VM"},
	FENCE_OPTIONS,
	ORDER_RECORD_OPTIONS,
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	if (fence_option(&arguments->fence, key, arg, state))
		return 0;
	switch (key) {
	case KEY_TO_STATE:
		if (arguments->has_to || state_source_parse(arg, &arguments->to) < 0)
			argp_error(state, "--to-state: '%s' is none of ./FILE, VM, @SEQ:VM, ./LOG@SEQ:VM", arg);
		arguments->has_to = true;
		return 0;
	case 'n':
		arguments->dry_run = true;
		return 0;
	case KEY_IF_GENERATION:
		if (number_parse(arg, &arguments->if_generation) < 0)
			argp_error(state, "--if-generation: '%s' is not a number", arg);
		arguments->has_if_generation = true;
		return 0;
	case 'f':
		arguments->script = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->vm)
			argp_error(state, "'%s' is too much: one VM, please", arg);
		arguments->vm = arg;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->has_to || !arguments->vm)
			argp_error(state, "--to-state=STATE and a VM, please");
		return 0;
	default:
		return order_record_option(arguments->params, key, arg) ? 0 : ARGP_ERR_UNKNOWN;
	}
}

/* ---- What was done ---- */

static void tell(const struct cmd *cmd, bool dry_run, const char *script, uint64_t ops, uint64_t seq)
{
	if (dry_run)
		fputs(script, stdout);
	else if (ops == 0)
		error_note(cmd, 1, "it is so already");
	else if (seq)
		error_note(cmd, 1, "%" PRIu64 " op%s, recorded as entry %" PRIu64, ops, ops == 1 ? "" : "s", seq);
	else
		error_note(cmd, 1, "%" PRIu64 " op%s", ops, ops == 1 ? "" : "s");
}

/* ---- In the daemon ---- */

/* A state becomes the script of a dump, which says all of it. */
static int add_text(struct arguments *arguments)
{
	struct cmd *cmd = arguments->runner.cmd;
	struct panbind_state *state = NULL;
	char *text = NULL;
	int status = state_source_read(cmd, &arguments->to, &state), r;

	if (status)
		return status;
	r = panbind_state_script(state, "wanted", &text);
	panbind_state_destroy(state);
	if (r < 0)
		return error_say(cmd, CMD_FAILED, r, "the state cannot be sent: %s", strerror(-r));
	json_object_set_new(arguments->params, "text", output_json_text(text));
	json_object_set_new(arguments->params, "to_vm", json_string("wanted"));
	free(text);
	return CMD_DONE;
}

/* What the daemon has itself is named, not sent: it knows which BO of a name is meant. */
static int add_wanted(struct arguments *arguments)
{
	const struct state_source *to = &arguments->to;

	if (to->device || to->generation || to->kind == SOURCE_LOG_FILE || to->kind == SOURCE_SCRIPT ||
	    (to->kind == SOURCE_LOG && to->seq == UINT64_MAX))
		return add_text(arguments);
	json_object_set_new(arguments->params, "to_vm", output_json_text(to->vm));
	if (to->kind == SOURCE_LOG)
		json_object_set_new(arguments->params, "seq", json_integer((json_int_t)to->seq));
	return CMD_DONE;
}

static int apply_remote(struct arguments *arguments)
{
	struct cmd *cmd = arguments->runner.cmd;
	struct client client = {.fd = -1};
	json_t *result = NULL;
	int status = add_wanted(arguments);

	json_object_set_new(arguments->params, "vm", output_json_text(arguments->vm));
	if (arguments->dry_run)
		json_object_set_new(arguments->params, "dry_run", json_true());
	fence_params(&arguments->fence, arguments->params);
	if (arguments->has_if_generation)
		json_object_set_new(arguments->params, "if_generation", output_json_hex(arguments->if_generation));
	if (!status)
		status = client_open(&client, cmd);
	if (!status)
		status = client_call(&client, "state.apply", json_incref(arguments->params),
				     arguments->dry_run ? CLIENT_LOOKS : CLIENT_CHANGES, NULL, &result);
	if (!status && cmd->out.json)
		json_object_set(cmd->out.doc, "result", result);
	else if (!status)
		tell(cmd, arguments->dry_run, client_text(result, "script"), client_number(result, "planned"),
		     client_number(result, "seq"));
	json_decref(result);
	client_close(&client);
	return status;
}

/* ---- In this process ---- */

static int check_generation(const struct arguments *arguments)
{
	struct panbind_vm *vm = panbind_session_vm(arguments->runner.session, arguments->vm);

	if (!arguments->has_if_generation || !vm || panbind_vm_map_generation(vm) == arguments->if_generation)
		return CMD_DONE;
	return error_say(arguments->runner.cmd, CMD_FAILED, -ESTALE,
			 "the mapping of %s has changed: it is of generation %" PRIu64 ", not %" PRIu64, arguments->vm,
			 panbind_vm_map_generation(vm), arguments->if_generation);
}

static int run_text(struct runner *runner, const struct fence *fence, const char *text)
{
	struct panbind_error error = {.op = PANBIND_NO_OP};
	struct panbind_script *script = NULL;
	struct panbind_run_result result = {0};
	int r = panbind_script_parse("plan", text, strlen(text), NULL, &script, &error);

	if (r == 0)
		r = fence_script(fence, script, &error);
	if (r == 0)
		r = panbind_session_run(runner->session, script, 0, &result, &error);
	panbind_script_destroy(script);
	if (r == 0)
		return CMD_DONE;
	error_report(runner->cmd, &error, NULL);
	return error_status(&error, result.outcome);
}

static int apply_state(struct arguments *arguments, const struct panbind_state *state)
{
	struct runner *runner = &arguments->runner;
	struct panbind_error error = {.op = PANBIND_NO_OP};
	char *text = NULL;
	size_t ops = 0;
	int status = check_generation(arguments);

	if (status)
		return status;
	if (panbind_session_state_script(runner->session, arguments->vm, state, PANBIND_STATE_CREATE_BOS, &text, &ops,
					 &error) < 0) {
		error_report(runner->cmd, &error, NULL);
		return CMD_FAILED;
	}
	if (!arguments->dry_run)
		status = run_text(runner, &arguments->fence, text);
	if (!status && runner->cmd->out.json)
		json_object_set_new(runner->cmd->out.doc, "result",
				    json_pack("{s:I, s:o}", "planned", (json_int_t)ops, "script",
					      output_json_text(text)));
	else if (!status)
		tell(runner->cmd, arguments->dry_run, text, ops, 0);
	free(text);
	return status;
}

static int apply_here(struct arguments *arguments)
{
	struct runner *runner = &arguments->runner;
	struct panbind_state *state = NULL;
	int status;

	if (!arguments->script)
		return error_say(runner->cmd, CMD_NO_DEVICE, -ENOTCONN,
				 "no VM outlives a command in this process: use -f SCRIPT, which runs SCRIPT first, or "
				 "leave -d out for the daemon's VMs");
	status = runner_add(runner, arguments->script);
	if (!status)
		status = state_source_read(runner->cmd, &arguments->to, &state);
	if (!status)
		status = runner_open(runner);
	if (!status)
		status = runner_run(runner, 0);
	if (!status)
		status = apply_state(arguments, state);
	panbind_state_destroy(state);
	return status;
}

int cmd_apply(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.runner.cmd = cmd, .params = json_object()};
	int status;

	cmd_parse(cmd, options, parse, "--to-state=STATE VM",
		  "Make a VM map what STATE maps, with as few ops as that takes, in one transaction. What is right "
		  "already is not touched, so a second time does nothing. BOs that a script creates and that are not "
		  "there are created, empty.",
		  argc, argv, &arguments);
	status = remote_wanted(cmd) ? apply_remote(&arguments) : apply_here(&arguments);
	state_source_free(&arguments.to);
	json_decref(arguments.params);
	runner_close(&arguments.runner);
	return status;
}
