/* SPDX-License-Identifier: MIT */
/* `panbind sim`: a program that knows nothing of panbind, on a simulated render node. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "child.h"
#include "error.h"
#include "panbind-sim.h"

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

/* Each BO of the program's keeps a file descriptor here: as many as may be, but not for the program itself. */
static struct rlimit raise_fd_limit(void)
{
	struct rlimit before = {0}, most;

	if (getrlimit(RLIMIT_NOFILE, &before))
		return before;
	most = before;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
	return before;
}

static int start_node(struct cmd *cmd, const struct arguments *arguments, struct panbind_sim **ret_sim)
{
	const char *spec = cmd->device_named ? cmd->device_spec : "sim:";
	struct error_context context = {.line = spec, .line_size = strlen(spec)};
	struct panbind_error error;

	if (panbind_sim_start(spec, arguments->trace, ret_sim, &error) == 0)
		return 0;
	error_report(cmd, &error, error.column ? &context : NULL);
	return error.column ? CMD_USAGE : CMD_FAILED;
}

static int run_child(struct cmd *cmd, char **argv, const char *folder, const struct rlimit *limit)
{
	const struct child_variable variables[] = {{"PANBIND_SIM", folder}};
	struct child child;
	int status = child_start(cmd, argv, variables, 1, limit, &child);

	return status ? status : child_wait(&child);
}

int cmd_sim(struct cmd *cmd, int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"trace", KEY_TRACE, "FILE", 0, "Write every ioctl that reaches the node to FILE, as JSON lines", 0},
		{0},
	};
	struct arguments arguments = {0};
	struct panbind_sim *sim;
	struct rlimit limit;
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

	limit = raise_fd_limit();
	status = start_node(cmd, &arguments, &sim);
	if (status)
		return status;
	status = run_child(cmd, argv + first, panbind_sim_folder(sim), &limit);
	ret = panbind_sim_stop(sim);
	if (ret)
		return error_say(cmd, CMD_FAILED, ret, "%s: not written to its end: %s", arguments.trace,
				 panbind_errno_name(ret));
	return status;
}
