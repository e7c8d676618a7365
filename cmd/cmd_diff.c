/* SPDX-License-Identifier: MIT */
/*
 * `panbind diff A B`: what differs between two states of VMs, wherever they are.
 *
 * Its exit status is that of diff(1): 0 the same, 1 different, 2 and more trouble. So what is status 1 elsewhere, a
 * failure, is 2 here.
 */
#include <errno.h>

#include "error.h"
#include "state_source.h"

struct arguments {
	struct state_source sources[2];
	int count;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (arguments->count == 2)
			argp_error(state, "'%s' is too much: two states are compared", arg);
		if (state_source_parse(arg, &arguments->sources[arguments->count]) < 0)
			argp_error(state, "'%s' is none of VM, DEVICE:VM, @SEQ:VM, ./FILE, ./LOG@SEQ:VM", arg);
		arguments->count++;
		return 0;
	case ARGP_KEY_END:
		if (arguments->count < 2)
			argp_error(state, "A and B, please");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int compare(struct cmd *cmd, const struct arguments *arguments)
{
	struct panbind_state *states[2] = {0};
	int status = CMD_DONE;

	for (int i = 0; !status && i < 2; i++)
		status = state_source_read(cmd, &arguments->sources[i], &states[i]);
	if (status == CMD_FAILED)
		status = CMD_USAGE;
	if (!status)
		status = state_compare(cmd, states[0], states[1]);
	for (int i = 0; i < 2; i++)
		panbind_state_destroy(states[i]);
	return status;
}

int cmd_diff(struct cmd *cmd, int argc, char **argv)
{
	static const struct argp_option options[] = {{0}};
	struct arguments arguments = {0};
	int status;

	cmd_parse(cmd, options, parse, "A B",
		  "Show what differs between two states of VMs: '-' is gone in B, '+' is new, '~' is replaced.\v"
		  "A and B are each one of\n"
		  "  [DEVICE:]VM      a VM of the daemon, as it is now\n"
		  "  [DEVICE]@SEQ:VM  a VM of the daemon's log, after entry SEQ ('@last': all)\n"
		  "  LOGFILE@SEQ:VM   the same of any log\n"
		  "  FILE[:VM]        what a script or dump makes ('-' alone: standard input)\n"
		  "where a word with a slash is a file: './v' is a file, 'v' a VM.\n\n"
		  "Exit status: 0 the same; 1 they differ; 2 and more as ever, also for what is 1 elsewhere.",
		  argc, argv, &arguments);
	status = compare(cmd, &arguments);
	for (int i = 0; i < arguments.count; i++)
		state_source_free(&arguments.sources[i]);
	return status;
}
