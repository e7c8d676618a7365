/* SPDX-License-Identifier: MIT */
/* `panbind log status`, `verify` and `compact`: the log itself, not what it says. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "error.h"
#include "limit.h"
#include "logfile.h"
#include "number.h"

enum { KEY_DEEP = 0x200, KEY_UNTIL };

struct arguments {
	const char *log;
	bool deep;
	uint64_t until;
	bool has_until;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case LOGFILE_KEY:
		arguments->log = arg;
		return 0;
	case KEY_DEEP:
		arguments->deep = true;
		return 0;
	case KEY_UNTIL:
		if (number_parse(arg, &arguments->until) < 0 || arguments->until > INT64_MAX)
			argp_error(state, "--until: '%s' is not a sequence number", arg);
		arguments->has_until = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option log_only[] = {LOGFILE_OPTION, {0}};

/* ---- status ---- */

static void print_status(const struct panbind_log_status *status)
{
	char size[OUT_NUMBER];

	printf("file          %s\n", status->path);
	if (status->first_seq <= status->last_seq)
		printf("entries       %" PRIu64 " to %" PRIu64 "\n", status->first_seq, status->last_seq);
	else
		puts("entries       none");
	printf("snapshot      at %" PRIu64 "\n", status->state_seq);
	printf("size          %s", output_size(size, status->bytes));
	printf(", and %s not yet in their place\n", output_size(size, status->wal_bytes));
	printf("schema        %" PRIu32 "\n", status->schema);
}

static json_t *status_json(const struct panbind_log_status *status)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:i}", "path", output_json_text(status->path), "first",
			 (json_int_t)status->first_seq, "last", (json_int_t)status->last_seq, "snapshot",
			 (json_int_t)status->state_seq, "bytes", (json_int_t)status->bytes, "wal_bytes",
			 (json_int_t)status->wal_bytes, "schema", (int)status->schema);
}

int log_status(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {0};
	struct panbind_log_status log_status;
	struct panbind_log *log;
	int status, r;

	cmd_parse(cmd, log_only, parse, "", "Show which entries the log holds and how large it is.", argc, argv,
		  &arguments);
	status = logfile_open(cmd, arguments.log, &log);
	if (status)
		return status;
	r = panbind_log_get_status(log, &log_status);
	panbind_log_close(log);
	if (r < 0)
		return error_say(cmd, CMD_FAILED, r, "the log cannot be read: %s", strerror(-r));
	if (cmd->out.json)
		json_object_set_new(cmd->out.doc, "log", status_json(&log_status));
	else
		print_status(&log_status);
	return CMD_DONE;
}

/* ---- verify ---- */

struct verifying {
	struct cmd *cmd;
	json_t *problems; /* of the document, or NULL */
};

static void on_problem(void *data, uint64_t seq, const char *msg)
{
	struct verifying *verifying = data;

	if (verifying->problems) {
		json_array_append_new(verifying->problems, json_pack("{s:I, s:o}", "seq", (json_int_t)seq, "message",
								     output_json_text(msg)));
		return;
	}
	if (seq)
		printf("entry %" PRIu64 ": ", seq);
	puts(msg);
}

static int verify(struct verifying *verifying, struct panbind_log *log, bool deep)
{
	struct cmd *cmd = verifying->cmd;
	struct panbind_log_verify_result result = {0};
	struct panbind_error error = {0};
	int r = panbind_log_verify(log, deep ? PANBIND_LOG_VERIFY_DEEP : 0, on_problem, verifying, &result, &error);

	if (r < 0)
		return logfile_fail(cmd, "the log", &error);
	if (cmd->out.json) {
		json_object_set(cmd->out.doc, "problems", verifying->problems);
		json_object_set_new(cmd->out.doc, "result",
				    json_pack("{s:I, s:I, s:I, s:I, s:I}", "entries", (json_int_t)result.entries, "ops",
					      (json_int_t)result.ops, "objects", (json_int_t)result.objects, "mappings",
					      (json_int_t)result.mappings, "problems", (json_int_t)result.problems));
	} else {
		printf("%" PRIu64 " entries, %" PRIu64 " ops, %" PRIu64 " objects, %" PRIu64 " mappings: %" PRIu64
		       " problem%s\n",
		       result.entries, result.ops, result.objects, result.mappings, result.problems,
		       result.problems == 1 ? "" : "s");
	}
	return result.problems ? CMD_FAILED : CMD_DONE;
}

int log_verify(struct cmd *cmd, int argc, char **argv)
{
	static const struct argp_option options[] = {
		LOGFILE_OPTION,
		{"deep", KEY_DEEP, NULL, 0, "Also fold all entries a second way and compare"},
		{0},
	};
	struct arguments arguments = {0};
	struct verifying verifying = {cmd, NULL};
	struct panbind_log *log;
	int status;

	cmd_parse(cmd, options, parse, "",
		  "Check the log against itself: no entry is missing, each fits what was there before it. Status 1 if "
		  "there is a problem.",
		  argc, argv, &arguments);
	status = logfile_open(cmd, arguments.log, &log);
	if (status)
		return status;
	verifying.problems = cmd->out.json ? json_array() : NULL;
	status = verify(&verifying, log, arguments.deep);
	json_decref(verifying.problems);
	panbind_log_close(log);
	return status;
}

/* ---- compact ---- */

static int tell_compacted(struct cmd *cmd, uint64_t seq)
{
	if (cmd->out.json)
		json_object_set_new(cmd->out.doc, "result", json_pack("{s:I}", "snapshot", (json_int_t)seq));
	else
		error_note(cmd, 1, "entries up to %" PRIu64 " are in the snapshot", seq);
	return CMD_DONE;
}

/* Is it the log that the daemon writes? Two names of one file are one. */
static bool daemon_writes(struct client *client, const char *path)
{
	json_t *result = NULL, *error = NULL;
	char *ours = realpath(path, NULL), *theirs = NULL;
	bool same = false;

	if (client_ask(client, "journal.status", NULL, CLIENT_LOOKS, &result, &error) == CMD_DONE)
		theirs = realpath(client_text(result, "path") ? client_text(result, "path") : "", NULL);
	same = ours && theirs && strcmp(ours, theirs) == 0;
	free(ours);
	free(theirs);
	json_decref(result);
	json_decref(error);
	return same;
}

static int compact_in_daemon(struct client *client, const struct arguments *arguments)
{
	json_t *result, *params = NULL;
	int status;

	if (arguments->has_until)
		params = json_pack("{s:o}", "until", json_integer((json_int_t)arguments->until));
	status = client_call(client, "journal.compact", params, CLIENT_CHANGES, NULL, &result);
	if (status)
		return status;
	status = tell_compacted(client->cmd, client_number(result, "snapshot"));
	json_decref(result);
	return status;
}

static int compact_here(struct cmd *cmd, const char *path, const struct arguments *arguments)
{
	struct panbind_error error = {0};
	struct panbind_log_status log_status = {0};
	struct panbind_log *log;
	int r = panbind_log_open(path, 0, NULL, &log, &error);

	if (r < 0) {
		error.code = r;
		return logfile_fail(cmd, path, &error);
	}
	r = panbind_log_compact(log, arguments->has_until ? arguments->until : UINT64_MAX, NULL, NULL);
	if (r >= 0)
		r = panbind_log_get_status(log, &log_status);
	panbind_log_close(log);
	if (r < 0)
		return error_say(cmd, CMD_FAILED, r, "%s: cannot be compacted: %s", path, strerror(-r));
	return tell_compacted(cmd, log_status.state_seq);
}

/* A log has one writer. If that is a daemon, it has to do it. */
int log_compact(struct cmd *cmd, int argc, char **argv)
{
	static const struct argp_option options[] = {
		LOGFILE_OPTION,
		{"until", KEY_UNTIL, "SEQ", 0, "Fold entries up to this one (default: all)"},
		{0},
	};
	struct arguments arguments = {0};
	struct client client;
	char *path = NULL;
	int status;

	cmd_parse(cmd, options, parse, "",
		  "Fold old entries into the log's snapshot, which makes it small; they can be shown no more. A daemon "
		  "that writes the log does it, else this command.",
		  argc, argv, &arguments);
	status = logfile_path(cmd, arguments.log, &path);
	if (status)
		return status;
	if (client_open_if_there(&client, cmd) == CMD_DONE && daemon_writes(&client, path))
		status = compact_in_daemon(&client, &arguments);
	else if (limit_reached())
		status = limit_status();
	else
		status = compact_here(cmd, path, &arguments);
	client_close(&client);
	free(path);
	return status;
}
