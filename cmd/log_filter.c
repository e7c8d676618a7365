/* SPDX-License-Identifier: MIT */
/* Options that choose entries. See log_filter.h. */
#include "log_filter.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

enum { KEY_VM = 0x200, KEY_VA, KEY_SINCE, KEY_UNTIL, KEY_STATUS, KEY_UID, KEY_PID, KEY_ID };

static const struct argp_option options[] = {
	LOGFILE_OPTION,
	{"vm", KEY_VM, "VM[#GEN]", 0, "Entries about this VM"},
	{"va", KEY_VA, "VA[+SIZE]", 0, "Entries that touch the address or range"},
	{"since", KEY_SINCE, "WHEN", 0,
	 "From this sequence number or moment on (2026-11-22T21:50, 21:50, 10m for ten minutes ago)"},
	{"until", KEY_UNTIL, "WHEN", 0, "Up to this sequence number or moment"},
	{"status", KEY_STATUS, "ok|failed", 0, "Entries that succeeded, or failed"},
	{"uid", KEY_UID, "N", 0, "By this user"},
	{"pid", KEY_PID, "N", 0, "By this process"},
	{"id", KEY_ID, "ID", 0, "With this transaction id"},
	{"limit", 'n', "N", 0, "End after so many entries"},
	{0},
};

static uint64_t number(struct argp_state *state, const char *option, const char *arg, uint64_t most)
{
	uint64_t value = 0;

	if (number_parse(arg, &value) < 0 || value > most)
		argp_error(state, "--%s: '%s' is not a number that fits", option, arg);
	return value;
}

static void parse_va(struct panbind_log_filter *filter, struct argp_state *state, char *arg)
{
	uint64_t size = 0;
	bool range = strchr(arg, '+');

	if (number_split_offset(arg, &size) < 0 || number_parse(arg, &filter->va) < 0 || (range && !size))
		argp_error(state, "--va: not VA or VA+SIZE");
	filter->size = range ? size : 1;
}

static bool is_seq(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

static void parse_when(struct argp_state *state, const char *option, const char *arg, uint64_t *seq, int64_t *ns)
{
	if (is_seq(arg))
		*seq = number(state, option, arg, INT64_MAX);
	else if (number_parse_time(arg, ns) < 0)
		argp_error(state, "--%s: '%s' is neither a sequence number nor a moment", option, arg);
}

static void parse_status(struct panbind_log_filter *filter, struct argp_state *state, const char *arg)
{
	if (strcmp(arg, "ok") == 0)
		filter->status = PANBIND_LOG_OK;
	else if (strcmp(arg, "failed") == 0)
		filter->status = PANBIND_LOG_FAILED;
	else
		argp_error(state, "--status: '%s' is not one of ok, failed", arg);
}

static error_t parse_who(struct panbind_log_filter *filter, struct argp_state *state, int key, const char *arg)
{
	switch (key) {
	case KEY_UID:
		filter->uid = (uint32_t)number(state, "uid", arg, UINT32_MAX - 1);
		filter->match_uid = 1;
		return 0;
	case KEY_PID:
		filter->pid = (int32_t)number(state, "pid", arg, INT32_MAX);
		filter->match_pid = 1;
		return 0;
	case KEY_ID:
		filter->txn_id = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is too much", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct log_filter *filter = state->input;

	switch (key) {
	case LOGFILE_KEY:
		filter->log = arg;
		return 0;
	case KEY_VM:
		if (logfile_parse_ref(arg, &filter->filter.vm) < 0)
			argp_error(state, "--vm: not VM or VM#GENERATION");
		return 0;
	case KEY_VA:
		parse_va(&filter->filter, state, arg);
		return 0;
	case KEY_SINCE:
		parse_when(state, "since", arg, &filter->filter.since_seq, &filter->filter.since_ns);
		return 0;
	case KEY_UNTIL:
		parse_when(state, "until", arg, &filter->filter.until_seq, &filter->filter.until_ns);
		return 0;
	case KEY_STATUS:
		parse_status(&filter->filter, state, arg);
		return 0;
	case 'n':
		filter->limit = number(state, "limit", arg, UINT64_MAX);
		return 0;
	default:
		return parse_who(&filter->filter, state, key, arg);
	}
}

void log_filter_parse(struct log_filter *filter, const char *doc, int argc, char **argv)
{
	cmd_parse(filter->cmd, options, parse, "", doc, argc, argv, filter);
}
