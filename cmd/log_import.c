/* SPDX-License-Identifier: MIT */
/* `panbind log import`: a new log from an export. Nothing is there until all of it was read and is right. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "entry.h"
#include "error.h"
#include "limit.h"
#include "logfile.h"
#include "source.h"

struct importing {
	struct cmd *cmd;
	const char *from, *to;
	struct panbind_log_import *import;
	struct entry_reader reader;
	struct panbind_error error;
	uint64_t line, entries;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct importing *importing = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (importing->to)
			argp_error(state, "'%s' is too much", arg);
		if (importing->from)
			importing->to = arg;
		else
			importing->from = arg;
		return 0;
	case ARGP_KEY_END:
		if (!importing->to)
			argp_error(state, "FILE and LOG, please");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- Lines ---- */

static int wrong(struct importing *importing, const char *what)
{
	importing->error = (struct panbind_error){.code = -EINVAL, .op = PANBIND_NO_OP};
	snprintf(importing->error.msg, sizeof(importing->error.msg), "%s", what);
	return -EINVAL;
}

static int begin(struct importing *importing, const json_t *json)
{
	const json_t *version = json_object_get(json, "panbind_log");

	if (!json_is_integer(version))
		return wrong(importing, "not an export of a panbind log: the first line has no \"panbind_log\"");
	if (json_integer_value(version) > PANBIND_LOG_SCHEMA)
		return wrong(importing, "the export is of a newer version of panbind");
	return panbind_log_import_begin(importing->to, client_number(json, "state_seq"), &importing->import,
					&importing->error);
}

static int import_object(struct importing *importing, const json_t *json, bool is_vm)
{
	struct panbind_log_state_object object = {
		.object.size = client_number(json, "size"),
		.object.flags = (uint32_t)client_number(json, "bo_flags"),
		.created_seq = client_number(json, "created_seq"),
		.lost_seq = client_number(json, "lost_seq"),
		.destroyed_seq = client_number(json, "destroyed_seq"),
	};

	if (entry_read_ref(json, "object", &object.object.ref) < 0 || !object.object.ref.name ||
	    entry_read_ref(json, "exclusive_vm", &object.object.exclusive_vm) < 0)
		return wrong(importing, "\"object\" is not a name and a generation");
	return is_vm ? panbind_log_import_vm(importing->import, &object, &importing->error)
		     : panbind_log_import_bo(importing->import, &object, &importing->error);
}

static int import_piece(struct importing *importing, const json_t *json, bool is_mapping)
{
	struct panbind_log_ref vm;
	struct panbind_log_mapping mapping = {
		.va = client_number(json, "va"),
		.size = client_number(json, "size"),
		.bo_offset = client_number(json, "bo_offset"),
		.flags = entry_map_flags(json_object_get(json, "flags")),
		.seq = client_number(json, "seq"),
	};

	if (entry_read_ref(json, "vm", &vm) < 0 || !vm.name || entry_read_ref(json, "bo", &mapping.bo) < 0)
		return wrong(importing, "\"vm\" or \"bo\" is not a name and a generation");
	return is_mapping
		       ? panbind_log_import_mapping(importing->import, vm, &mapping, &importing->error)
		       : panbind_log_import_region(importing->import, vm, mapping.va, mapping.size, &importing->error);
}

static int import_state(struct importing *importing, const json_t *json, const char *kind)
{
	if (strcmp(kind, "vm") == 0 || strcmp(kind, "bo") == 0)
		return import_object(importing, json, kind[0] == 'v');
	if (strcmp(kind, "mapping") == 0 || strcmp(kind, "region") == 0)
		return import_piece(importing, json, kind[0] == 'm');
	return wrong(importing, "\"state\" is not one of vm, bo, mapping, region");
}

static int import_json(struct importing *importing, const json_t *json)
{
	const char *state = client_text(json, "state");
	int r;

	if (!importing->import)
		return begin(importing, json);
	if (state)
		return import_state(importing, json, state);
	r = entry_read(&importing->reader, json);
	if (r < 0)
		return wrong(importing, importing->reader.error), r;
	importing->entries++;
	return panbind_log_import_entry(importing->import, &importing->reader.entry, &importing->error);
}

static int import_line(struct importing *importing, const char *line, size_t size)
{
	json_error_t error;
	json_t *json;
	int r;

	if (size == 0)
		return 0;
	json = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return wrong(importing, error.text);
	r = import_json(importing, json);
	json_decref(json);
	return r;
}

/* ---- The whole ---- */

static int fail(struct importing *importing, int r)
{
	struct panbind_error *error = &importing->error;

	if (error->code == 0) {
		error->code = r;
		snprintf(error->msg, sizeof(error->msg), "%s", strerror(-r));
	}
	if (limit_reached())
		return error_say(importing->cmd, limit_status(), limit_code(), "nothing is imported: %s",
				 limit_reason());
	if (!importing->import && importing->line && r != -EINVAL)
		return error_say(importing->cmd, r == -EACCES ? CMD_DENIED : CMD_FAILED, r, "%s: %s", importing->to,
				 error->msg);
	return error_say(importing->cmd, r == -EINVAL ? CMD_USAGE : CMD_FAILED, r, "%s:%" PRIu64 ": %s",
			 importing->from, importing->line, error->msg);
}

static int import_lines(struct importing *importing, const struct source *source)
{
	const char *at = source->text, *end = at + source->size;
	int r = 0;

	while (r == 0 && at < end && !limit_reached()) {
		const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;

		importing->line++;
		r = import_line(importing, at, (size_t)(stop - at));
		at = stop + 1;
	}
	if (r == 0 && limit_reached())
		r = -EINTR;
	if (r == 0 && !importing->import)
		r = wrong(importing, "nothing is in it");
	return r;
}

static int import(struct importing *importing)
{
	struct source source = {0};
	int status = source_read(importing->cmd, importing->from, &source), r;

	if (!status)
		status = source_decompress(importing->cmd, &source);
	if (status) {
		source_free(&source);
		return status;
	}
	r = import_lines(importing, &source);
	if (r == 0)
		r = panbind_log_import_end(importing->import, &importing->error);
	else if (importing->import)
		panbind_log_import_abort(importing->import);
	source_free(&source);
	if (r < 0)
		return fail(importing, r);
	if (importing->cmd->out.json)
		json_object_set_new(importing->cmd->out.doc, "result",
				    json_pack("{s:I}", "entries", (json_int_t)importing->entries));
	error_note(importing->cmd, 1, "%" PRIu64 " entries", importing->entries);
	return CMD_DONE;
}

int log_import(struct cmd *cmd, int argc, char **argv)
{
	struct importing importing = {.cmd = cmd};
	int status;

	cmd_parse(cmd, NULL, parse, "FILE|- LOG",
		  "Make a new log of what 'panbind log export' wrote. LOG must not exist yet.", argc, argv, &importing);
	status = import(&importing);
	entry_reader_free(&importing.reader);
	return status;
}
