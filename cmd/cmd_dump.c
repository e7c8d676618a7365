/* SPDX-License-Identifier: MIT */
/*
 * `panbind dump`: the script that rebuilds a VM. The daemon's VMs are there to be dumped; in this process nothing
 * outlives the command, so -f makes the state.
 */
#include <errno.h>
#include <stdlib.h>

#include "remote.h"
#include "runner.h"

struct arguments {
	struct runner runner;
	const char *script, *vm;
};

static const struct argp_option options[] = {
	{"file", 'f', "SCRIPT", 0, "Run this script first (- for standard input), and dump what it made"},
	{"define", 'D', "NAME=VALUE", 0, "$NAME in the script; may be repeated"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'f':
		arguments->script = arg;
		return 0;
	case 'D':
		runner_define(&arguments->runner, state, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->vm)
			argp_error(state, "one VM, or none for all");
		arguments->vm = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int put_dump(struct cmd *cmd, char *text)
{
	if (cmd->out.json)
		json_object_set_new(cmd->out.doc, "dump", output_json_text(text));
	else
		fputs(text, stdout);
	free(text);
	return CMD_DONE;
}

static int write_dump(struct runner *runner, const char *vm)
{
	char *text;
	int error = panbind_session_dump(runner->session, vm, &text);

	if (error == -ENOENT)
		return error_say(runner->cmd, CMD_FAILED, error, "the script leaves no VM '%s'", vm ? vm : "");
	if (error)
		return error_say(runner->cmd, CMD_FAILED, error, "the state cannot be dumped: %s",
				 panbind_errno_name(error));
	return put_dump(runner->cmd, text);
}

static int dump_daemon(struct cmd *cmd, const char *vm)
{
	struct client client;
	char *text;
	int status = client_open(&client, cmd);

	if (!status)
		status = remote_dump(&client, vm, &text);
	client_close(&client);
	return status ? status : put_dump(cmd, text);
}

/* What the script itself prints would make the dump no script: only the dump goes to standard output. */
static void quiet(void *data, const struct panbind_event *event)
{
	struct runner *runner = data;

	if (event->type == PANBIND_EVENT_ERROR)
		runner_on_event(runner, event);
}

static int dump(struct arguments *arguments)
{
	struct runner *runner = &arguments->runner;
	int status;

	if (!arguments->script && remote_wanted(runner->cmd))
		return dump_daemon(runner->cmd, arguments->vm);
	if (!arguments->script)
		return error_say(runner->cmd, CMD_NO_DEVICE, -ENOTCONN,
				 "no VM outlives a command in this process: use 'panbind dump -f SCRIPT', which runs "
				 "SCRIPT first, or leave -d out for the daemon's VMs");
	runner->on_event = quiet;
	status = runner_add(runner, arguments->script);
	if (!status)
		status = runner_open(runner);
	if (!status)
		status = runner_run(runner, 0);
	return status ? status : write_dump(runner, arguments->vm);
}

int cmd_dump(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.runner.cmd = cmd};
	int status;

	cmd_parse(
		cmd, options, parse, "[VM]",
		"Write the script that rebuilds a VM, or all: BOs, sparse regions, mappings. What is in the BOs is not "
		"part of it. With -f of what a script makes on a device in this process, else of what the daemon has.",
		argc, argv, &arguments);
	status = dump(&arguments);
	runner_close(&arguments.runner);
	return status;
}
