/* SPDX-License-Identifier: MIT */
/* `panbind run`: scripts, on a device in this process or on what the daemon keeps. */
#include <errno.h>
#include <stdlib.h>

#include "order.h"
#include "picture.h"
#include "remote.h"
#include "runner.h"
#include "show.h"

enum { KEY_MAP = 0x200, KEY_DUMP, KEY_SVG };

struct arguments {
	struct runner runner;
	bool check, map, dump;
	const char *svg;
	json_t *record; /* --id, --comment, --durability */
	int files;	/* argv from here on are files: argp has moved the options to the front */
	char **argv;
};

static const struct argp_option options[] = {
	{"check", 'c', NULL, 0, "Check names, ranges and bounds of one FILE; change nothing"},
	{"keep-going", 'k', NULL, 0, "Go on after a mistake or a failed command (not inside a transaction)"},
	{"define", 'D', "NAME=VALUE", 0, "$NAME in the scripts; may be repeated"},
	{"map", KEY_MAP, NULL, 0, "Afterwards, draw the address space of each VM"},
	{"svg", KEY_SVG, "FILE", 0, "Afterwards, draw all VMs as one SVG"},
	{"dump", KEY_DUMP, NULL, 0, "Afterwards, print the script that rebuilds the state"},
	FENCE_OPTIONS,
	ORDER_RECORD_OPTIONS,
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	if (fence_option(&arguments->runner.fence, key, arg, state))
		return 0;
	switch (key) {
	case 'c':
		arguments->check = true;
		return 0;
	case 'k':
		arguments->runner.keep_going = true;
		return 0;
	case 'D':
		runner_define(&arguments->runner, state, arg);
		return 0;
	case KEY_MAP:
		arguments->map = true;
		return 0;
	case KEY_SVG:
		arguments->svg = arg;
		return 0;
	case KEY_DUMP:
		arguments->dump = true;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->argv = state->argv + state->next;
		arguments->files = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no FILE given");
		return 0;
	case ARGP_KEY_END: /* a check changes nothing, so a second file could not see what the first one makes */
		if (arguments->check && arguments->files > 1)
			argp_error(state, "--check takes one FILE at a time");
		return 0;
	default:
		return order_record_option(arguments->record, key, arg) ? 0 : ARGP_ERR_UNKNOWN;
	}
}

static uint32_t run_flags(const struct arguments *arguments)
{
	return (arguments->check ? PANBIND_RUN_CHECK : 0) |
	       (arguments->runner.keep_going ? PANBIND_RUN_KEEP_GOING : 0) |
	       (arguments->runner.cmd->verbose >= 2 ? PANBIND_RUN_TRACE : 0);
}

static void show_all(struct runner *runner)
{
	struct show show = {runner->cmd, runner->session, NULL, NULL};
	json_t *vms = runner->cmd->out.json ? json_array() : NULL;

	for (size_t i = 0; (show.name = panbind_session_vm_name(runner->session, i)); i++) {
		show.vm = panbind_session_vm(runner->session, show.name);
		if (vms)
			json_array_append_new(vms, show_vm_json(&show));
		else if (show_vm(&show, true))
			error_note(runner->cmd, -1, "vm %s cannot be drawn: out of memory", show.name);
	}
	if (vms)
		json_object_set_new(runner->cmd->out.doc, "vms", vms);
}

static int draw_all(struct runner *runner, const char *path)
{
	struct picture picture = {0};
	const char *name;
	int status;

	for (size_t i = 0; (name = panbind_session_vm_name(runner->session, i)); i++)
		picture_take(&picture, name, NULL, panbind_session_vm(runner->session, name), runner->session);
	status = picture_write(&picture, runner->cmd, path);
	picture_free(&picture);
	return status;
}

static int dump_all(struct runner *runner)
{
	char *text;
	int error = panbind_session_dump(runner->session, NULL, &text);

	if (error)
		return error_say(runner->cmd, CMD_FAILED, error, "the state cannot be dumped: %s",
				 panbind_errno_name(error));
	if (runner->cmd->out.json)
		json_object_set_new(runner->cmd->out.doc, "dump", output_json_text(text));
	else
		fputs(text, stdout);
	free(text);
	return CMD_DONE;
}

static void tell_totals(struct runner *runner, bool check)
{
	const struct panbind_run_result *total = &runner->total;

	if (runner->cmd->out.json) {
		json_object_set(runner->cmd->out.doc, "output", runner->output);
		json_object_set_new(runner->cmd->out.doc, "result",
				    json_pack("{s:b, s:I, s:I, s:I, s:s}", "check", check, "commands",
					      (json_int_t)total->commands, "ops", (json_int_t)total->ops, "failed",
					      (json_int_t)total->failed, "outcome",
					      panbind_outcome_name(total->outcome)));
		return;
	}
	error_note(runner->cmd, 1, "%llu commands, %llu ops, %llu failed: %s", (unsigned long long)total->commands,
		   (unsigned long long)total->ops, (unsigned long long)total->failed,
		   panbind_outcome_name(total->outcome));
}

static int dump_remote(struct runner *runner, struct client *client)
{
	char *text;
	int status = remote_dump(client, NULL, &text);

	if (status)
		return status;
	if (runner->cmd->out.json)
		json_object_set_new(runner->cmd->out.doc, "dump", output_json_text(text));
	else
		fputs(text, stdout);
	free(text);
	return CMD_DONE;
}

/* In the daemon. A file with mistakes is not sent, with -k neither. */
static int run_remote(struct arguments *arguments)
{
	struct runner *runner = &arguments->runner;
	struct client client = {.fd = -1};
	int status = CMD_DONE;

	if (json_object_get(arguments->record, "txn_id") && arguments->files > 1)
		return error_say(runner->cmd, CMD_USAGE, -EINVAL, "--id stands for one script: one FILE, please");
	for (int i = 0; i < arguments->files; i++)
		status = error_worse(status, runner_add(runner, arguments->argv[i]));
	if (!status)
		status = client_open(&client, runner->cmd);
	if (status)
		goto out;
	status = remote_run(runner, &client, arguments->record, arguments->check);
	tell_totals(runner, arguments->check);
	if (arguments->map)
		status = error_worse(status, remote_show_all(&client));
	if (arguments->svg)
		status = error_worse(status, remote_draw_all(&client, arguments->svg));
	if (arguments->dump)
		status = error_worse(status, dump_remote(runner, &client));
out:
	client_close(&client);
	return status;
}

static int run_files(struct arguments *arguments)
{
	struct runner *runner = &arguments->runner;
	int status = CMD_DONE, opened, ran;

	for (int i = 0; i < arguments->files; i++) {
		status = error_worse(status, runner_add(runner, arguments->argv[i]));
		if (status && (!runner->keep_going || status != CMD_USAGE || !runner->count))
			return status;
	}
	opened = runner_open(runner);
	if (opened)
		return error_worse(status, opened);
	ran = runner_run(runner, run_flags(arguments));
	tell_totals(runner, arguments->check);
	if (arguments->map)
		show_all(runner);
	if (arguments->svg)
		ran = error_worse(ran, draw_all(runner, arguments->svg));
	if (arguments->dump)
		ran = error_worse(ran, dump_all(runner));
	if (status == CMD_USAGE && runner->total.ops)
		status = CMD_PARTIAL; /* lines were left out, the others are done */
	return error_worse(status, ran);
}

int cmd_run(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.runner.cmd = cmd, .record = json_object()};
	int status;

	cmd_parse(cmd, options, parse, "FILE|-...",
		  "Run scripts. A script without 'begin' is one transaction. With -d they run on a device in this "
		  "process, and all VMs, BOs and syncobjs they made are gone when the command ends; else in the "
		  "daemon, which keeps them. See panbind-script(5).",
		  argc, argv, &arguments);
	if (remote_wanted(cmd))
		status = run_remote(&arguments);
	else if (json_object_size(arguments.record))
		status = error_say(cmd, CMD_USAGE, -EINVAL,
				   "--id, --comment and --durability are for the daemon's log; here is none");
	else
		status = run_files(&arguments);
	json_decref(arguments.record);
	runner_close(&arguments.runner);
	return status;
}
