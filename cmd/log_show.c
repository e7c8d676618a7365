/* SPDX-License-Identifier: MIT */
/* `panbind log show` and `log follow`: entries, once or as they come. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "error.h"
#include "limit.h"
#include "log_filter.h"

#define WAIT_MS 250 /* how long a signal may go unnoticed */

struct reading {
	struct log_filter filter;
	struct panbind_log *log;
	struct panbind_log_reader *reader;
	uint64_t shown, lost;
	json_t *entries; /* of the document, or NULL */
};

static int begin(struct reading *reading)
{
	struct cmd *cmd = reading->filter.cmd;
	struct panbind_error error = {0};
	int status = logfile_open(cmd, reading->filter.log, &reading->log);

	if (status)
		return status;
	error.code = panbind_log_reader_open(reading->log, &reading->filter.filter, &reading->reader, &error);
	return error.code < 0 ? logfile_fail(cmd, "the log", &error) : CMD_DONE;
}

static void end(struct reading *reading)
{
	panbind_log_reader_close(reading->reader);
	panbind_log_close(reading->log);
	json_decref(reading->entries);
}

static void show_entry(struct reading *reading, const struct panbind_log_entry *entry)
{
	struct cmd *cmd = reading->filter.cmd;

	reading->shown++;
	if (!cmd->out.json)
		entry_print(cmd, entry);
	else if (reading->entries)
		json_array_append_new(reading->entries, entry_json(entry));
	else
		entry_json_line(entry_json(entry));
}

static bool enough(const struct reading *reading)
{
	return reading->filter.limit && reading->shown >= reading->filter.limit;
}

/* All that is there now. */
static int read_on(struct reading *reading)
{
	struct cmd *cmd = reading->filter.cmd;
	const struct panbind_log_entry *entry;
	int r = 0;

	while (!enough(reading) && !limit_reached() && !ferror(stdout) &&
	       (r = panbind_log_read(reading->reader, &entry)) == 1)
		show_entry(reading, entry);
	if (limit_reached())
		return error_say(cmd, limit_status(), limit_code(), "stopped: %s", limit_reason());
	if (r < 0)
		return error_say(cmd, CMD_FAILED, r, "the log cannot be read: %s", strerror(-r));
	return CMD_DONE;
}

/* Entries that were asked for and are folded into the snapshot are never left out in silence. */
static void tell_lost(struct reading *reading)
{
	uint64_t lost = panbind_log_reader_lost(reading->reader);

	if (lost == reading->lost)
		return;
	if (reading->entries)
		json_object_set_new(reading->filter.cmd->out.doc, "lost", json_integer((json_int_t)lost));
	else if (reading->filter.cmd->out.json)
		entry_json_line(json_pack("{s:I}", "lost", (json_int_t)(lost - reading->lost)));
	else
		error_note(reading->filter.cmd, 0, "%" PRIu64 " older entries are compacted and cannot be shown",
			   lost - reading->lost);
	reading->lost = lost;
}

int log_show(struct cmd *cmd, int argc, char **argv)
{
	struct reading reading = {.filter.cmd = cmd};
	int status;

	log_filter_parse(&reading.filter,
			 "List the entries of the log: when, who, what, and what became of it. With -v also how long "
			 "it took and the command line of who asked.",
			 argc, argv);
	if (cmd->out.json)
		reading.entries = json_array();
	status = begin(&reading);
	if (!status) {
		status = read_on(&reading);
		tell_lost(&reading);
	}
	if (reading.entries)
		json_object_set(cmd->out.doc, "entries", reading.entries);
	end(&reading);
	return status;
}

/* ---- Follow ---- */

/* Only what is new, if nobody said from where on. */
static int begin_at_end(struct reading *reading)
{
	struct panbind_log_filter *filter = &reading->filter.filter;
	struct panbind_log_status log_status;
	int status, r;

	if (filter->since_seq || filter->since_ns)
		return begin(reading);
	status = logfile_open(reading->filter.cmd, reading->filter.log, &reading->log);
	if (status)
		return status;
	r = panbind_log_get_status(reading->log, &log_status);
	if (r < 0)
		return error_say(reading->filter.cmd, CMD_FAILED, r, "the log cannot be read: %s", strerror(-r));
	filter->since_seq = log_status.last_seq + 1;
	r = panbind_log_reader_open(reading->log, filter, &reading->reader, NULL);
	if (r < 0)
		return error_say(reading->filter.cmd, CMD_FAILED, r, "the log cannot be read: %s", strerror(-r));
	return CMD_DONE;
}

static int follow(struct reading *reading)
{
	int status, r = 0;

	for (;;) {
		status = read_on(reading);
		tell_lost(reading);
		if (status || enough(reading) || fflush(stdout))
			return status;
		while (!limit_reached() && (r = panbind_log_wait(reading->reader, WAIT_MS)) == 0)
			;
		if (r < 0 && r != -EINTR)
			return error_say(reading->filter.cmd, CMD_FAILED, r, "the log cannot be read: %s",
					 strerror(-r));
	}
}

int log_follow(struct cmd *cmd, int argc, char **argv)
{
	struct reading reading = {.filter.cmd = cmd};
	int status;

	log_filter_parse(&reading.filter,
			 "Print entries as they are committed, from now on or from --since on, until a signal, -T or "
			 "--limit ends it. With --json one object a line.",
			 argc, argv);
	cmd->out.lines = true;
	status = begin_at_end(&reading);
	if (!status)
		status = follow(&reading);
	end(&reading);
	return status;
}
