/* SPDX-License-Identifier: MIT */
/* `panbind help [COMMAND]`: the same text as `panbind COMMAND --help`. */
#include <string.h>

#include "cmd.h"

static error_t parse_help(int key, char *arg, struct argp_state *state)
{
	const char **topic = state->input;

	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (*topic)
		argp_error(state, "one command at a time");
	*topic = arg;
	if (!cmd_verb_find(arg))
		argp_error(state, "there is no command '%s'", arg);
	return 0;
}

/* A verb's own parser prints its help and ends the process; the program's is printed by the program's parser. */
int cmd_help(struct cmd *cmd, int argc, char **argv)
{
	static char help[] = "--help";
	char *args[] = {argv[0], help, NULL};
	const char *topic = NULL;
	char name[64];

	cmd_parse(cmd, NULL, parse_help, "[COMMAND]", "Show the help of a command, or of the program.", argc, argv,
		  &topic);
	if (!topic) {
		cmd_program_help();
		return CMD_DONE;
	}
	snprintf(name, sizeof(name), "panbind %s", topic);
	args[0] = name;
	cmd->verb = topic;
	return cmd_verb_find(topic)->run(cmd, 2, args);
}
