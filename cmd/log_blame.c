/* SPDX-License-Identifier: MIT */
/* `panbind log blame VM VA`: the transaction that an address owes its mapping to. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "entry.h"
#include "error.h"
#include "logfile.h"
#include "number.h"

struct arguments {
	const char *log;
	struct panbind_log_ref vm;
	uint64_t va;
	int count;
};

static const struct argp_option options[] = {
	LOGFILE_OPTION,
	{0},
};

static void parse_word(struct arguments *arguments, struct argp_state *state, char *arg)
{
	switch (arguments->count++) {
	case 0:
		if (logfile_parse_ref(arg, &arguments->vm) < 0)
			argp_error(state, "'%s' is not VM or VM#GENERATION", arg);
		return;
	case 1:
		if (number_parse(arg, &arguments->va) < 0)
			argp_error(state, "'%s' is not an address", arg);
		return;
	default:
		argp_error(state, "'%s' is too much", arg);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case LOGFILE_KEY:
		arguments->log = arg;
		return 0;
	case ARGP_KEY_ARG:
		parse_word(arguments, state, arg);
		return 0;
	case ARGP_KEY_END:
		if (arguments->count < 2)
			argp_error(state, "VM and VA, please");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void tell_json(const struct cmd *cmd, const struct panbind_log_blame *blame)
{
	json_t *json = json_pack("{s:I, s:b}", "seq", (json_int_t)blame->seq, "compacted", blame->compacted);

	if (blame->uid != PANBIND_LOG_NO_ID)
		json_object_set_new(json, "uid", json_integer(blame->uid));
	json_object_set_new(json, "pid", json_integer(blame->pid));
	if (blame->argv)
		json_object_set_new(json, "argv", json_string(blame->argv));
	if (!blame->compacted) {
		json_object_set_new(json, "op", json_integer((json_int_t)blame->op));
		json_object_set_new(json, "entry", entry_json(blame->entry));
	}
	json_object_set_new(cmd->out.doc, "blame", json);
}

static void tell_argv(const char *argv)
{
	if (!argv)
		return;
	fputs("    by: ", stdout);
	entry_put_text(argv);
	putchar('\n');
}

static void tell(const struct cmd *cmd, const struct panbind_log_blame *blame)
{
	char time_text[OUT_NUMBER + 16];

	if (cmd->out.json) {
		tell_json(cmd, blame);
		return;
	}
	if (blame->compacted) {
		printf("%" PRIu64 " %s ", blame->seq, entry_time(blame->time_ns, time_text));
		if (blame->uid != PANBIND_LOG_NO_ID)
			printf("uid=%" PRIu32 " ", blame->uid);
		printf("pid=%" PRId32 " (the entry is compacted)\n", blame->pid);
		tell_argv(blame->argv);
		return;
	}
	entry_print(cmd, blame->entry);
	if (cmd->verbose <= 0)
		tell_argv(blame->argv);
	if (blame->entry->op_count > 1) {
		printf("    op %zu: ", blame->op);
		entry_print_op(&blame->entry->ops[blame->op]);
		putchar('\n');
	}
}

static int blame(struct cmd *cmd, const struct arguments *arguments, struct panbind_log *log)
{
	struct panbind_log_reader *reader;
	struct panbind_log_blame found;
	struct panbind_error error = {0};
	int r = panbind_log_reader_open(log, NULL, &reader, &error);

	if (r < 0)
		return error_say(cmd, CMD_FAILED, r, "the log cannot be read: %s", strerror(-r));
	r = panbind_log_blame(reader, arguments->vm, arguments->va, &found, &error);
	if (r == 0)
		tell(cmd, &found);
	panbind_log_reader_close(reader);
	if (r < 0)
		return error_say(cmd, CMD_FAILED, r, "%s", error.msg[0] ? error.msg : strerror(-r));
	return CMD_DONE;
}

int log_blame(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {0};
	struct panbind_log *log;
	int status;

	cmd_parse(cmd, options, parse, "VM[#GEN] VA", "Say which entry last bound an address of a VM, and who asked.",
		  argc, argv, &arguments);
	status = logfile_open(cmd, arguments.log, &log);
	if (status)
		return status;
	status = blame(cmd, &arguments, log);
	panbind_log_close(log);
	return status;
}
