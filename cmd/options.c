/* SPDX-License-Identifier: MIT */
/*
 * The options that every verb takes, before or after its name: one argp parser, a child of the program's and of each
 * verb's. Defaults from the environment are filled in once all of them are known.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "limit.h"

enum { KEY_COLOR = 0x100, KEY_GPU };

static const struct argp_option common_options[] = {
	{"device", 'd', "SPEC", 0,
	 "Device: drm:PATH, drm:auto, sim:OPTIONS or node:FOLDER (default: $PANBIND_DEVICE, else drm:auto)"},
	{"socket", 's', "PATH", 0, "The daemon's socket (default: $PANBIND_SOCKET, else where panbindd puts it)"},
	{"gpu", KEY_GPU, "NAME", 0, "Which of the daemon's devices (default: its first one)"},
	{"json", 'j', NULL, 0, "One JSON document on standard output"},
	{"pretty", 'p', NULL, 0, "As --json, indented for people"},
	{"quiet", 'q', NULL, 0, "No notes on standard error, only errors"},
	{"verbose", 'v', NULL, 0, "More notes; twice: each command of a script as it begins"},
	{"timeout", 'T', "SECS", 0, "Give up after so many seconds, undoing what is half done (status 6)"},
	{"color", KEY_COLOR, "WHEN", 0, "auto (on a terminal, unless NO_COLOR is set), always or never"},
	{0, 'h', NULL, OPTION_HIDDEN},
	{0},
};

static void parse_timeout(struct cmd *cmd, const char *arg, struct argp_state *state)
{
	char *end;
	double seconds = strtod(arg, &end);

	if (end == arg || *end || !isfinite(seconds) || seconds <= 0 || seconds > 1e9)
		argp_error(state, "--timeout: '%s' is not a number of seconds above 0", arg);
	cmd->timeout = seconds;
}

static void parse_color(struct cmd *cmd, const char *arg, struct argp_state *state)
{
	static const char *const names[] = {"auto", "always", "never"};

	for (unsigned i = 0; i < 3; i++)
		if (strcmp(arg, names[i]) == 0) {
			cmd->out.color = (enum out_color)i;
			return;
		}
	argp_error(state, "--color: '%s' is not one of auto, always, never", arg);
}

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	struct cmd *cmd = state->input;

	switch (key) {
	case 'd':
		cmd->device_spec = arg;
		cmd->device_option = true;
		break;
	case 's':
		cmd->socket = arg;
		break;
	case KEY_GPU:
		cmd->gpu = arg;
		break;
	case 'p':
		cmd->out.pretty = true;
		cmd->out.json = true;
		break;
	case 'j':
		cmd->out.json = true;
		break;
	case 'q':
		cmd->verbose--;
		break;
	case 'v':
		cmd->verbose++;
		break;
	case 'T':
		parse_timeout(cmd, arg, state);
		break;
	case KEY_COLOR:
		parse_color(cmd, arg, state);
		break;
	case 'h':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

const struct argp cmd_common_argp = {.options = common_options, .parser = parse_common};

/* A verb's own parser and input, carried through argp beside the struct cmd that the common child wants. */
struct verb_input {
	struct cmd *cmd;
	argp_parser_t parser;
	void *input;
	int *sub; /* where to put the index of the word that names a command of its own; NULL: there is none */
};

static error_t parse_verb(int key, char *arg, struct argp_state *state)
{
	struct verb_input *verb = state->input;
	error_t error;

	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = verb->cmd;
	if (key == ARGP_KEY_SUCCESS && verb->cmd->device_option && (verb->cmd->socket || verb->cmd->gpu))
		argp_error(state, "-d is a device in this process, %s one in the daemon: one of them, please",
			   verb->cmd->socket ? "-s" : "--gpu");
	if (key == ARGP_KEY_ARG && verb->sub) {
		*verb->sub = state->next - 1;
		state->next = state->argc;
		return 0;
	}
	if (!verb->parser)
		return ARGP_ERR_UNKNOWN;
	state->input = verb->input;
	error = verb->parser(key, arg, state);
	state->input = verb;
	return error;
}

void cmd_parse(struct cmd *cmd, const struct argp_option *options, argp_parser_t parser, const char *args_doc,
	       const char *doc, int argc, char **argv, void *input)
{
	static const struct argp_child children[] = {CMD_COMMON_CHILD, {0}};
	struct verb_input verb = {cmd, parser, input, NULL};
	struct argp argp = {options, parse_verb, args_doc, doc, children};

	argp_parse(&argp, argc, argv, 0, NULL, &verb);
	cmd_options_done(cmd);
}

int cmd_parse_command(struct cmd *cmd, const struct argp_option *options, argp_parser_t parser, const char *args_doc,
		      const char *doc, int argc, char **argv, void *input)
{
	static const struct argp_child children[] = {CMD_COMMON_CHILD, {0}};
	int first = argc;
	struct verb_input verb = {cmd, parser, input, &first};
	struct argp argp = {options, parse_verb, args_doc, doc, children};

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &verb);
	cmd_options_done(cmd);
	return first;
}

static error_t parse_no_sub(int key, char *arg, struct argp_state *state)
{
	if (key != ARGP_KEY_NO_ARGS)
		return ARGP_ERR_UNKNOWN;
	argp_error(state, "no command given");
	return 0;
}

int cmd_parse_sub(struct cmd *cmd, const char *args_doc, const char *doc, int argc, char **argv)
{
	static const struct argp_child children[] = {CMD_COMMON_CHILD, {0}};
	int sub = argc;
	struct verb_input verb = {cmd, parse_no_sub, NULL, &sub};
	struct argp argp = {NULL, parse_verb, args_doc, doc, children};

	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &verb);
	return sub;
}

void cmd_options_done(struct cmd *cmd)
{
	const char *spec = getenv("PANBIND_DEVICE");

	if (!cmd->device_spec && !cmd->socket && !cmd->gpu && spec && *spec)
		cmd->device_spec = spec;
	cmd->device_named = cmd->device_spec != NULL;
	if (!cmd->device_spec)
		cmd->device_spec = "drm:auto";
	output_begin(&cmd->out);
	limit_begin(cmd->timeout);
}
