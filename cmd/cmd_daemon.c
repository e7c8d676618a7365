/* SPDX-License-Identifier: MIT */
/*
 * The verbs that name a VM, BO or region which outlives the command. Without a daemon nothing outlives the command, so
 * they say where the same work can be done: in a script. One handler serves them all; the rows of the command table
 * with needs_daemon are the list.
 */
#include <errno.h>

#include "cmd.h"
#include "error.h"

static error_t parse_anything(int key, char *arg, struct argp_state *state)
{
	return key == ARGP_KEY_ARG ? 0 : ARGP_ERR_UNKNOWN;
}

int cmd_daemon_verb(struct cmd *cmd, int argc, char **argv)
{
	cmd_parse(cmd, NULL, parse_anything, "ARG...",
		  "Work on VMs that outlive the command. This needs the daemon, which is not part of this version. "
		  "The same command works in a script: see panbind-script(5) and 'panbind run'.",
		  argc, argv, NULL);
	return error_say(cmd, CMD_NO_DEVICE, -ENOTCONN,
			 "'%s' works on VMs that outlive the command, which needs the daemon; it is not part of this "
			 "version. Put the command into a script and use 'panbind run FILE'",
			 cmd->verb);
}
