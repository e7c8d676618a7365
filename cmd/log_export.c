/* SPDX-License-Identifier: MIT */
/*
 * `panbind log export`: the log as JSON lines, or as a Chrome trace (perfetto.h). First what kind of lines they are,
 * then, if entries were compacted, the state that the rest begins with, then the entries. `log import` makes the same
 * log of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "entry.h"
#include "error.h"
#include "limit.h"
#include "logfile.h"
#include "perfetto.h"

enum { KEY_FORMAT = 0x200 };

struct arguments {
	const char *log;
	bool perfetto;
};

static const struct argp_option options[] = {
	LOGFILE_OPTION,
	{"format", KEY_FORMAT, "jsonl|perfetto", 0, "JSON lines (default), or a Chrome trace for ui.perfetto.dev"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case LOGFILE_KEY:
		arguments->log = arg;
		return 0;
	case KEY_FORMAT:
		arguments->perfetto = strcmp(arg, "perfetto") == 0;
		if (!arguments->perfetto && strcmp(arg, "jsonl") != 0)
			argp_error(state, "--format: '%s' is not one of jsonl, perfetto", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- The state ---- */

static void write_object(const char *kind, const struct panbind_log_state_object *object)
{
	json_t *json =
		json_pack("{s:s, s:o, s:o, s:I}", "state", kind, "object", entry_json_ref(&object->object.ref), "size",
			  output_json_hex(object->object.size), "created_seq", (json_int_t)object->created_seq);

	if (object->object.flags)
		json_object_set_new(json, "bo_flags", output_json_hex(object->object.flags));
	if (object->object.exclusive_vm.name)
		json_object_set_new(json, "exclusive_vm", entry_json_ref(&object->object.exclusive_vm));
	if (object->lost_seq)
		json_object_set_new(json, "lost_seq", json_integer((json_int_t)object->lost_seq));
	if (object->destroyed_seq)
		json_object_set_new(json, "destroyed_seq", json_integer((json_int_t)object->destroyed_seq));
	entry_json_line(json);
}

static void write_mapping(const struct panbind_log_ref *vm, const struct panbind_log_mapping *mapping)
{
	json_t *json = json_pack("{s:s, s:o, s:o, s:o, s:I}", "state", "mapping", "vm", entry_json_ref(vm), "va",
				 output_json_hex(mapping->va), "size", output_json_hex(mapping->size), "seq",
				 (json_int_t)mapping->seq);

	if (mapping->bo.name) {
		json_object_set_new(json, "bo", entry_json_ref(&mapping->bo));
		json_object_set_new(json, "bo_offset", output_json_hex(mapping->bo_offset));
	}
	json_object_set_new(json, "flags", output_json_flags(mapping->flags));
	entry_json_line(json);
}

static void write_vm_contents(const struct panbind_log_state *state, size_t index, const struct panbind_log_ref *vm)
{
	struct panbind_log_mapping mapping;
	uint64_t at = 0, va, size;

	for (; panbind_log_state_next_mapping(state, index, at, &mapping) == 0; at = mapping.va + mapping.size)
		write_mapping(vm, &mapping);
	for (at = 0; panbind_log_state_next_region(state, index, at, &va, &size) == 0; at = va + size)
		entry_json_line(json_pack("{s:s, s:o, s:o, s:o}", "state", "region", "vm", entry_json_ref(vm), "va",
					  output_json_hex(va), "size", output_json_hex(size)));
}

static void write_state(const struct panbind_log_state *state)
{
	const struct panbind_log_state_object *object;

	for (size_t i = 0; (object = panbind_log_state_vm(state, i)); i++)
		write_object("vm", object);
	for (size_t i = 0; (object = panbind_log_state_bo(state, i)); i++)
		write_object("bo", object);
	for (size_t i = 0; (object = panbind_log_state_vm(state, i)); i++)
		write_vm_contents(state, i, &object->object.ref);
}

/* ---- The whole ---- */

static int export_state(struct panbind_log *log, uint64_t seq, struct perfetto *perfetto)
{
	struct panbind_log_state *state;
	int r;

	if (!perfetto)
		entry_json_line(
			json_pack("{s:i, s:I}", "panbind_log", PANBIND_LOG_SCHEMA, "state_seq", (json_int_t)seq));
	if (!seq)
		return 0;
	r = panbind_log_state_create(log, seq, (struct panbind_log_ref){0}, &state, NULL);
	if (r < 0)
		return r;
	if (perfetto)
		r = perfetto_state(perfetto, state);
	else
		write_state(state);
	panbind_log_state_destroy(state);
	return r;
}

/* -ESTALE: a compaction went past the state that was written. */
static int export_entries(struct panbind_log *log, uint64_t since, struct perfetto *perfetto)
{
	struct panbind_log_filter filter = {.since_seq = since};
	const struct panbind_log_entry *entry;
	struct panbind_log_reader *reader;
	int r = panbind_log_reader_open(log, &filter, &reader, NULL);

	if (r < 0)
		return r;
	while (r >= 0 && !limit_reached() && !ferror(stdout) && (r = panbind_log_read(reader, &entry)) == 1) {
		if (perfetto)
			r = perfetto_entry(perfetto, entry, entry->tid);
		else
			entry_json_line(entry_json(entry));
	}
	if (r >= 0 && panbind_log_reader_lost(reader))
		r = -ESTALE;
	panbind_log_reader_close(reader);
	return limit_reached() ? -EINTR : r < 0 ? r : 0;
}

static int export(struct cmd *cmd, struct panbind_log *log, bool as_perfetto)
{
	struct panbind_log_status status;
	struct perfetto *perfetto = NULL;
	uint64_t seq;
	int r = panbind_log_get_status(log, &status);

	seq = r == 0 && status.first_seq != 1 ? status.state_seq : 0;
	if (r == 0 && as_perfetto)
		r = perfetto_create(stdout, status.path, &perfetto);
	if (r == 0)
		r = export_state(log, seq, perfetto);
	if (r == 0)
		r = export_entries(log, seq + 1, perfetto);
	perfetto_destroy(perfetto);
	if (r == -EINTR)
		return error_say(cmd, limit_status(), limit_code(), "the export is not complete: %s", limit_reason());
	if (r == -ESTALE || r == -ENODATA)
		return error_say(cmd, CMD_FAILED, r, "the log was compacted meanwhile; the export is not complete");
	return r < 0 ? error_say(cmd, CMD_FAILED, r, "the log cannot be read: %s", strerror(-r)) : CMD_DONE;
}

int log_export(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {0};
	struct panbind_log *log;
	int status;

	cmd_parse(
		cmd, options, parse, "",
		"Write the log as JSON lines, one object an entry, as 'panbind monitor --json' has them. 'panbind log "
		"import' makes a log of it. Or as a Chrome trace, which ui.perfetto.dev shows.",
		argc, argv, &arguments);
	cmd->out.lines = true;
	status = logfile_open(cmd, arguments.log, &log);
	if (status)
		return status;
	status = export(cmd, log, arguments.perfetto);
	panbind_log_close(log);
	return status;
}
