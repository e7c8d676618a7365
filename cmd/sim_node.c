/* SPDX-License-Identifier: MIT */
/* See sim_node.h. */
#include "sim_node.h"

#include <string.h>

#include "error.h"

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

int sim_node_start(struct cmd *cmd, const char *trace, struct sim_node *ret_node)
{
	const char *spec = cmd->device_named ? cmd->device_spec : "sim:";
	struct error_context context = {.line = spec, .line_size = strlen(spec)};
	struct panbind_error error;

	ret_node->fds = raise_fd_limit();
	if (panbind_sim_start(spec, trace, &ret_node->sim, &error) == 0)
		return 0;
	error_report(cmd, &error, error.column ? &context : NULL);
	return error.column ? CMD_USAGE : CMD_FAILED;
}

struct child_variable sim_node_variable(const struct sim_node *node)
{
	return (struct child_variable){"PANBIND_SIM", panbind_sim_folder(node->sim)};
}

int sim_node_stop(struct sim_node *node)
{
	int err = panbind_sim_stop(node->sim);

	node->sim = NULL;
	return err;
}
