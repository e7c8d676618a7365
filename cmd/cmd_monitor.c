/* SPDX-License-Identifier: MIT */
/* `panbind monitor`: what the daemon records, as it happens; and what it could not show, said aloud. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client.h"
#include "entry.h"
#include "error.h"
#include "number.h"

enum { KEY_SINCE = 0x200 };

struct monitor {
	struct cmd *cmd;
	uint64_t since, limit, shown;
	bool has_since;
	struct entry_reader reader;
};

static const struct argp_option options[] = {
	{"since", KEY_SINCE, "SEQ", 0, "Begin with this entry (default: what is new)"},
	{"limit", 'n', "N", 0, "End after so many entries"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct monitor *monitor = state->input;

	switch (key) {
	case KEY_SINCE:
		if (number_parse(arg, &monitor->since) < 0 || monitor->since > INT64_MAX)
			argp_error(state, "--since: '%s' is not a sequence number", arg);
		monitor->has_since = true;
		return 0;
	case 'n':
		if (number_parse(arg, &monitor->limit) < 0)
			argp_error(state, "--limit: '%s' is not a number", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int show_event(struct monitor *monitor, json_t *params)
{
	monitor->shown++;
	if (monitor->cmd->out.json) {
		entry_json_line(json_incref(params));
		return CMD_DONE;
	}
	if (entry_read(&monitor->reader, params) < 0)
		return error_say(monitor->cmd, CMD_FAILED, -EPROTO, "the daemon sent an entry that makes no sense: %s",
				 monitor->reader.error);
	entry_print(monitor->cmd, &monitor->reader.entry);
	return CMD_DONE;
}

static int show_lost(struct monitor *monitor, json_t *params)
{
	if (monitor->cmd->out.json)
		entry_json_line(json_pack("{s:O}", "lost", params));
	else
		printf("lost: entries %" PRIu64 " to %" PRIu64 " are compacted\n", client_number(params, "first"),
		       client_number(params, "next") - 1);
	return CMD_DONE;
}

static int show_message(struct monitor *monitor, const json_t *message)
{
	const char *method = client_text(message, "method");
	json_t *params = json_object_get(message, "params");

	if (method && strcmp(method, "monitor.event") == 0)
		return show_event(monitor, params);
	if (method && strcmp(method, "monitor.lost") == 0)
		return show_lost(monitor, params);
	return CMD_DONE;
}

static int watch(struct monitor *monitor, struct client *client)
{
	json_t *message;
	int status = CMD_DONE;

	while (!status && (!monitor->limit || monitor->shown < monitor->limit)) {
		status = client_next(client, &message);
		if (status)
			break;
		status = show_message(monitor, message);
		json_decref(message);
		if (fflush(stdout))
			break; /* nobody reads: said at the end */
	}
	return status;
}

int cmd_monitor(struct cmd *cmd, int argc, char **argv)
{
	struct monitor monitor = {.cmd = cmd};
	struct client client;
	json_t *params = NULL, *result = NULL;
	int status;

	cmd_parse(cmd, options, parse, "",
		  "Print what the daemon records, from now on or from an entry on, until a signal, -T or --limit ends "
		  "it. With --json one object a line.",
		  argc, argv, &monitor);
	cmd->out.lines = true;
	status = client_open(&client, cmd);
	if (!status) {
		if (monitor.has_since)
			params = json_pack("{s:I}", "since", (json_int_t)monitor.since);
		status = client_call(&client, "monitor.subscribe", params, CLIENT_LOOKS, NULL, &result);
	}
	if (!status)
		status = watch(&monitor, &client);
	json_decref(result);
	client_close(&client);
	entry_reader_free(&monitor.reader);
	return status;
}
