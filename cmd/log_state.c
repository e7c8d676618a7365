/* SPDX-License-Identifier: MIT */
/* `panbind log state` and `panbind log diff`: what a VM mapped at a moment of the log, and what changed between two. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "logfile.h"
#include "number.h"
#include "state_source.h"

#define KEY_AT 0x500

struct arguments {
	const char *log;
	struct panbind_log_ref vm;
	uint64_t seqs[2]; /* UINT64_MAX: the last */
	int seq_words, seq_count;
};

static const struct argp_option state_options[] = {
	LOGFILE_OPTION,
	{"at", KEY_AT, "SEQ", 0, "After this entry (default: the last)"},
	{0},
};
static const struct argp_option diff_options[] = {
	LOGFILE_OPTION,
	{0},
};

static void parse_seq(struct argp_state *state, const char *arg, uint64_t *ret_seq)
{
	*ret_seq = UINT64_MAX;
	if (strcmp(arg, "last") != 0 && number_parse(arg, ret_seq) < 0)
		argp_error(state, "'%s' is not a sequence number", arg);
}

static void parse_word(struct arguments *arguments, struct argp_state *state, char *arg)
{
	if (arguments->seq_count < arguments->seq_words)
		parse_seq(state, arg, &arguments->seqs[arguments->seq_count++]);
	else if (arguments->vm.name)
		argp_error(state, "'%s' is too much", arg);
	else if (logfile_parse_ref(arg, &arguments->vm) < 0)
		argp_error(state, "'%s' is not VM or VM#GENERATION", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case LOGFILE_KEY:
		arguments->log = arg;
		return 0;
	case KEY_AT:
		parse_seq(state, arg, &arguments->seqs[0]);
		return 0;
	case ARGP_KEY_ARG:
		parse_word(arguments, state, arg);
		return 0;
	case ARGP_KEY_END:
		if (!arguments->vm.name)
			argp_error(state, "%sa VM, please", arguments->seq_words ? "SEQ1, SEQ2 and " : "");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int show(struct cmd *cmd, const struct arguments *arguments)
{
	struct panbind_state *state = NULL;
	char *text = NULL;
	int status = state_source_read_log(cmd, arguments->log, arguments->vm, arguments->seqs[0], &state), r;

	if (status)
		return status;
	r = panbind_state_script(state, arguments->vm.name, &text);
	panbind_state_destroy(state);
	if (r < 0)
		return error_say(cmd, CMD_FAILED, r, "the state cannot be written: %s", strerror(-r));
	if (cmd->out.json)
		json_object_set_new(cmd->out.doc, "dump", output_json_text(text));
	else
		fputs(text, stdout);
	free(text);
	return CMD_DONE;
}

int log_state(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.seqs = {UINT64_MAX}};

	cmd_parse(cmd, state_options, parse, "VM[#GEN]",
		  "Write the script that makes what a VM mapped after an entry of the log.", argc, argv, &arguments);
	return show(cmd, &arguments);
}

int log_diff(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.seq_words = 2};
	struct panbind_state *states[2] = {0};
	int status = CMD_DONE;

	cmd_parse(cmd, diff_options, parse, "SEQ1 SEQ2 VM[#GEN]",
		  "Show what changed in a VM between two entries of the log, as 'panbind diff' does, with its exit "
		  "status: 0 nothing, 1 something, 2 and more trouble. 'last' is the last entry.",
		  argc, argv, &arguments);
	for (int i = 0; !status && i < 2; i++)
		status = state_source_read_log(cmd, arguments.log, arguments.vm, arguments.seqs[i], &states[i]);
	if (status == CMD_FAILED)
		status = CMD_USAGE;
	if (!status)
		status = state_compare(cmd, states[0], states[1]);
	for (int i = 0; i < 2; i++)
		panbind_state_destroy(states[i]);
	return status;
}
