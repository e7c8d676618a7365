/* SPDX-License-Identifier: MIT */
/* `panbind import`: a recorded trace to a script on standard output, or to a log. Nothing is written before all of it
 * is right. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "limit.h"

enum { KEY_LOG = 0x200, KEY_FORMAT };

struct arguments {
	const char *file, *log;
	bool perfetto;
	bool keep_going;
};

static const struct argp_option options[] = {
	{"keep-going", 'k', NULL, 0, "Report bad lines, leave them out, and write the rest (status 2 all the same)"},
	{"log", KEY_LOG, "LOG", 0, "Make a new log of it instead of a script; LOG must not exist yet"},
	{"format", KEY_FORMAT, "script|perfetto", 0, "A script (default), or a Chrome trace for ui.perfetto.dev"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'k':
		arguments->keep_going = true;
		return 0;
	case KEY_FORMAT:
		arguments->perfetto = strcmp(arg, "perfetto") == 0;
		if (!arguments->perfetto && strcmp(arg, "script") != 0)
			argp_error(state, "--format: '%s' is not one of script, perfetto", arg);
		return 0;
	case KEY_LOG:
		arguments->log = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->file)
			argp_error(state, "one FILE, please");
		arguments->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (arguments->log && arguments->perfetto)
			argp_error(state, "--log or --format, please");
		if (!arguments->file)
			argp_error(state, "no FILE given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What is there and what is not, also without -v: whoever reads the result must not take it for all. */
static void tell_strace(struct cmd *cmd, const struct strace_counts *counts)
{
	json_t *json;

	error_note(cmd, 0,
		   "from strace: %" PRIu64 " ioctls of DRM nodes, %" PRIu64
		   " of them VM_BINDs; strace shows who made them, when, for how long and with what result, "
		   "and nothing of what they bound",
		   counts->ioctls, counts->binds);
	if (counts->others || counts->unfinished || counts->strange)
		error_note(cmd, 0,
			   "left out: %" PRIu64 " other ioctls, %" PRIu64 " that never returned, %" PRIu64
			   " that are not understood",
			   counts->others, counts->unfinished, counts->strange);
	if (!cmd->out.json)
		return;
	json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ioctls", (json_int_t)counts->ioctls, "binds",
			 (json_int_t)counts->binds, "others", (json_int_t)counts->others, "signals",
			 (json_int_t)counts->signals, "exits", (json_int_t)counts->exits, "unfinished",
			 (json_int_t)counts->unfinished, "not_understood", (json_int_t)counts->strange);
	json_object_set_new(cmd->out.doc, "strace", json);
}

static void write_result(struct cmd *cmd, const struct import *import, const char *text)
{
	const char *what = import->text_name && strcmp(import->text_name, "script") == 0 ? "commands" : "entries";

	if (!cmd->out.json) {
		fputs(text ? text : "", stdout);
		error_note(cmd, 1, "%zu ioctls: %" PRIu64 " VM_BINDs with %" PRIu64 " ops, %" PRIu64 " %s",
			   import->trace.count, import->binds, import->ops, import->commands, what);
		return;
	}
	if (text)
		json_object_set_new(cmd->out.doc, import->text_name, output_json_text(text));
	json_object_set_new(cmd->out.doc, "records", json_integer((json_int_t)import->trace.count));
	json_object_set_new(cmd->out.doc, "binds", json_integer((json_int_t)import->binds));
	json_object_set_new(cmd->out.doc, "ops", json_integer((json_int_t)import->ops));
	json_object_set_new(cmd->out.doc, what, json_integer((json_int_t)import->commands));
}

static int finish(struct cmd *cmd, const struct import *import, int error, const char *text)
{
	if (error == -ECANCELED)
		return error_say(cmd, limit_status(), limit_code(), "%s: nothing was written: %s", import->trace.file,
				 limit_reason());
	if (error)
		return error == -EINVAL ? CMD_USAGE : CMD_FAILED;
	write_result(cmd, import, text);
	return import->trace.bad ? CMD_USAGE : CMD_DONE;
}

static int to_text(struct import *import, bool perfetto, char **ret_text)
{
	size_t size;
	int error;

	import->script = open_memstream(ret_text, &size);
	if (!import->script) {
		error_say(import->trace.cmd, CMD_FAILED, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	error = perfetto ? import_to_perfetto(import, import->script) : import_run(import);
	return fclose(import->script) && !error ? -ENOMEM : error;
}

static int convert(struct cmd *cmd, struct import *import, const struct source *source,
		   const struct arguments *arguments)
{
	const bool strace = strace_is(source);
	struct strace_counts counts = {0};
	char *text = NULL;
	int error, status;

	import->live = json_object();
	import->regions = json_object();
	import->text_name = arguments->log ? NULL : arguments->perfetto ? "trace" : "script";
	error = strace ? strace_read(&import->trace, source, &counts) : trace_read(&import->trace, source);
	if (!error)
		error = arguments->log ? import_to_log(import, arguments->log)
				       : to_text(import, arguments->perfetto, &text);
	status = finish(cmd, import, error, text);
	if (strace && !error)
		tell_strace(cmd, &counts);
	json_decref(import->live);
	json_decref(import->regions);
	trace_free(&import->trace);
	free(text);
	return status;
}

int cmd_import(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {0};
	struct import import = {.trace.cmd = cmd};
	struct source source = {0};
	int status;

	cmd_parse(cmd, options, parse, "FILE|-",
		  "Turn a recorded trace of DRM ioctls (JSON lines, or what strace prints, also .xz) into a script on "
		  "standard "
		  "output, a log, or a picture of its times.",
		  argc, argv, &arguments);
	import.trace.keep_going = arguments.keep_going;
	status = source_read(cmd, arguments.file, &source);
	if (status == CMD_DONE)
		status = source_decompress(cmd, &source);
	import.trace.file = source.name;
	if (status == CMD_DONE)
		status = convert(cmd, &import, &source, &arguments);
	source_free(&source);
	return status;
}
