/* SPDX-License-Identifier: MIT */
/* `panbind sim`: a program that knows nothing of panbind, on a simulated render node. */
#include <stdlib.h>

#include "child.h"
#include "error.h"
#include "sim_node.h"

enum { KEY_TRACE = 0x100 };

struct arguments {
	const char *trace;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case KEY_TRACE:
		arguments->trace = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run_child(struct cmd *cmd, char **argv, const struct sim_node *node)
{
	const struct child_variable variables[] = {sim_node_variable(node)};
	struct child child;
	int status = child_start(cmd, argv, variables, 1, &node->fds, &child);

	return status ? status : child_wait(&child);
}

int cmd_sim(struct cmd *cmd, int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"trace", KEY_TRACE, "FILE", 0, "Write every ioctl that reaches the node to FILE, as JSON lines", 0},
		{0},
	};
	struct arguments arguments = {0};
	struct sim_node node;
	int status, ret;
	int first = cmd_parse_command(
		cmd, options, parse, "[--] COMMAND [ARG...]",
		"Run COMMAND with a simulated render node, /dev/dri/renderD128, driven by panthor.\v"
		"-d sim:OPTIONS says what is simulated (panbind(1) lists the options). The node is there for COMMAND "
		"and "
		"all that it starts, unless they are linked statically or change user, and goes with COMMAND.\n\n"
		"Exit status: that of COMMAND, 128+N when signal N ended it; 126 and 127 when it cannot be run or "
		"found; 2 and 1 for errors before that.",
		argc, argv, &arguments);

	status = sim_node_start(cmd, arguments.trace, &node);
	if (status)
		return status;
	status = run_child(cmd, argv + first, &node);
	ret = sim_node_stop(&node);
	if (ret)
		return error_say(cmd, CMD_FAILED, ret, "%s: not written to its end: %s", arguments.trace,
				 panbind_errno_name(ret));
	return status;
}
