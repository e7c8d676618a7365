/* SPDX-License-Identifier: MIT */
/*
 * `panbind record`: an unmodified program, and all that it does to GPU address spaces, as a log.
 *
 * The log never stands in the program's way: where it cannot be written the recording ends, and the program goes on.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "error.h"
#include "limit.h"
#include "number.h"
#include "record_calls.h"
#include "record_sink.h"
#include "sim_node.h"

#define DEFAULT_BUFFER (256ull << 20)
#define STALLED_MS     100

enum { KEY_BUFFER = 0x100 };

struct arguments {
	const char *file;
	uint64_t buffer;
};

struct recording {
	struct cmd *cmd;
	char *path;
	struct record_sink *sink;
	struct record_calls *calls;
	struct recorder *recorder;
	struct sim_node node;	    /* what the program has for a GPU, if it is not to be its own */
	struct panbind_error error; /* why it ended early */
	char *argv;		    /* the command, in words */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'o':
		arguments->file = arg;
		return 0;
	case KEY_BUFFER:
		if (number_parse(arg, &arguments->buffer) < 0 || arguments->buffer == 0 ||
		    arguments->buffer > SIZE_MAX / 2)
			argp_error(state, "--buffer: '%s' is not a size", arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no command given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- From the recorder to the log ---- */

static int emit(void *data, const struct panbind_log_entry *entry, struct panbind_error *reterr)
{
	struct recording *recording = data;

	return record_sink_add(recording->sink, entry);
}

static int take(void *data, const struct record_process *process, const struct record_file *file,
		const struct record_event *event)
{
	struct recording *recording = data;

	return record_calls_add(recording->calls, process, file, event, &recording->error);
}

static int tend(void *data)
{
	struct recording *recording = data;

	record_sink_tend(recording->sink);
	return record_sink_stalled(recording->sink) ? STALLED_MS : -1;
}

/* ---- Begin ---- */

/* A log of its own for each recording: nothing is ever written over. */
static char *choose_path(const char *given, const char *command)
{
	const char *slash = strrchr(command, '/');
	char *path;

	if (given)
		return strdup(given);
	return asprintf(&path, "%s-%d.log", slash ? slash + 1 : command, (int)getpid()) < 0 ? NULL : path;
}

static char *join_words(char **argv)
{
	char *text;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fflush(stream); /* from here on @size is right */
	for (int i = 0; argv[i] && size < PANBIND_LOG_MAX_TEXT / 2; i++, fflush(stream))
		fprintf(stream, "%s%s", i ? " " : "", argv[i]);
	return fclose(stream) ? NULL : text;
}

static int say(const struct recording *recording, int err)
{
	return error_say(recording->cmd, CMD_FAILED, err, "%s: %s", recording->path, panbind_errno_name(err));
}

static int open_log(struct recording *recording, uint64_t buffer)
{
	struct panbind_error error = {0};
	int err;

	if (access(recording->path, F_OK) == 0)
		return error_say(recording->cmd, CMD_FAILED, -EEXIST,
				 "%s is there already; a recording needs a new file", recording->path);
	err = record_sink_open(recording->path, buffer, &recording->sink, &error);
	if (err < 0 && error.code)
		error_report(recording->cmd, &error, NULL);
	else if (err < 0)
		say(recording, err);
	return err < 0 ? CMD_FAILED : 0;
}

static int begin(struct recording *recording, char **argv)
{
	const struct call_log_options options = {.emit = emit, .data = recording};
	const struct recorder_sink sink = {take, tend, recording};
	int err;

	recording->argv = join_words(argv);
	err = recording->argv ? record_calls_create(&options, &recording->calls) : -ENOMEM;
	if (err == 0)
		err = record_calls_start(recording->calls, recording->argv, &recording->error);
	if (err == 0)
		err = recorder_create(&sink, &recording->recorder);
	return err < 0 ? say(recording, err) : 0;
}

/* ---- End ---- */

/* The last entry: that it is there says that the recording was not cut off. */
static void say_the_end(struct recording *recording, int err)
{
	struct recorder_summary summary = recorder_summary(recording->recorder);
	char text[200];

	if (err < 0)
		snprintf(text, sizeof(text), "the recording ends here: %s; what was done after this is missing",
			 err == -ENOBUFS ? "the log cannot be written" : panbind_errno_name(err));
	else if (summary.missed || summary.damaged)
		snprintf(text, sizeof(text), "end of the recording: %" PRIu64 " calls; %" PRIu64 " are missing",
			 summary.calls, summary.missed + summary.damaged);
	else
		snprintf(text, sizeof(text), "end of the recording: %" PRIu64 " calls, none is missing", summary.calls);
	if (record_calls_note(recording->calls, text, NULL) < 0)
		error_note(recording->cmd, 1, "no room for: %s", text);
}

/* The worst that can be said of the log. 0: all is in it. */
static int finish(struct recording *recording, int err)
{
	struct recorder_summary summary = recorder_summary(recording->recorder);
	uint64_t lost = 0;
	int closed;

	say_the_end(recording, err);
	closed = record_sink_close(recording->sink, &lost);
	recording->sink = NULL;
	if (closed < 0)
		return error_say(recording->cmd, CMD_PARTIAL, closed,
				 "%s: %" PRIu64 " entries at the end are missing: %s", recording->path, lost,
				 strerror(-closed));
	if (err < 0)
		return error_say(recording->cmd, CMD_PARTIAL, err, "%s: the recording ended before the program: %s",
				 recording->path, err == -ENOBUFS ? "the log could not be written" : strerror(-err));
	if (summary.missed || summary.damaged)
		return error_say(recording->cmd, CMD_PARTIAL, -ENOBUFS, "%s: %" PRIu64 " calls are missing",
				 recording->path, summary.missed + summary.damaged);
	error_note(recording->cmd, 1, "%s: %" PRIu64 " calls of %" PRIu64 " processes", recording->path, summary.calls,
		   summary.processes);
	return 0;
}

static void add_result(struct recording *recording)
{
	struct recorder_summary summary = recorder_summary(recording->recorder);

	if (!recording->cmd->out.json)
		return;
	json_object_set_new(recording->cmd->out.doc, "log", output_json_text(recording->path));
	json_object_set_new(recording->cmd->out.doc, "calls", json_integer((json_int_t)summary.calls));
	json_object_set_new(recording->cmd->out.doc, "processes", json_integer((json_int_t)summary.processes));
	json_object_set_new(recording->cmd->out.doc, "missing",
			    json_integer((json_int_t)summary.missed + (json_int_t)summary.damaged));
}

/* -d sim:OPTIONS; within `panbind sim` a device that is only the environment's is the one that is there already. */
static bool wants_node(const struct cmd *cmd)
{
	const char *usual = getenv("PANBIND_DEVICE");

	if (!cmd->device_named || strncmp(cmd->device_spec, "sim:", 4) != 0)
		return false;
	return cmd->device_spec != usual || !getenv("PANBIND_SIM");
}

/* The status is the command's; only where that is 0 there is room for what became of the log. */
static int record(struct recording *recording, char **argv)
{
	bool simulated = recording->node.sim != NULL;
	const struct child_variable variables[] = {{"PANBIND_RECORD", recorder_where(recording->recorder)},
						   simulated ? sim_node_variable(&recording->node)
							     : (struct child_variable){0}};
	struct child child;
	int status = child_start(recording->cmd, argv, variables, simulated ? 2 : 1,
				 simulated ? &recording->node.fds : NULL, &child),
	    err, worst;

	if (status)
		return status;
	err = recorder_run(recording->recorder, child.pid);
	worst = finish(recording, err);
	add_result(recording);
	status = child_wait(&child);
	return status ? status : worst;
}

int cmd_record(struct cmd *cmd, int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"output", 'o', "FILE", 0, "The log to make (default: COMMAND-PID.log here)", 0},
		{"buffer", KEY_BUFFER, "SIZE", 0,
		 "How much may wait in memory for a disk that is full (default: 256M); beyond it the recording ends",
		 0},
		{0},
	};
	struct arguments arguments = {.buffer = DEFAULT_BUFFER};
	struct recording recording = {.cmd = cmd};
	uint64_t lost;
	int status,
		first = cmd_parse_command(
			cmd, options, parse, "[--] COMMAND [ARG...]",
			"Run COMMAND as it is, and record what it and all that it starts do to the address spaces of a "
			"GPU driven by panthor: VMs, BOs, binds with their ops, syncs, results and times, and the "
			"calls "
			"on syncobjs that order them. With -d sim:OPTIONS its GPU is a simulated one, as with "
			"'panbind sim'.\v"
			"The result is a log: 'panbind log show --log=FILE', 'panbind replay FILE' and all other "
			"commands on logs take it, also while it is written.\n\n"
			"Exit status: that of COMMAND, 128+N when signal N ended it; 126 and 127 when it cannot be "
			"run or found; 4 when it is 0 and the log is not whole; 2 and 1 for errors before that.",
			argc, argv, &arguments);

	recording.path = choose_path(arguments.file, argv[first]);
	if (!recording.path)
		return error_say(cmd, CMD_FAILED, -ENOMEM, "out of memory");
	status = wants_node(cmd) ? sim_node_start(cmd, NULL, &recording.node) : 0;
	if (status == 0)
		status = open_log(&recording, arguments.buffer);
	if (status == 0)
		status = begin(&recording, argv + first);
	if (status == 0)
		status = record(&recording, argv + first);
	sim_node_stop(&recording.node);
	recorder_destroy(recording.recorder);
	record_calls_destroy(recording.calls);
	if (recording.sink)
		record_sink_close(recording.sink, &lost);
	free(recording.path);
	free(recording.argv);
	return status;
}
