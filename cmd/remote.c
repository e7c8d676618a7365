/* SPDX-License-Identifier: MIT */
/*
 * Scripts for the daemon. They are parsed here first, so that a mistake is told with its file and line before anything
 * is sent, and sent as one text each, since the daemon reads no files for us.
 */
#include "remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "splice.h"

bool remote_wanted(const struct cmd *cmd)
{
	return !cmd->device_named;
}

/* ---- Run ---- */

static void locate(void *data, struct panbind_error *error, const char **ret_line, size_t *ret_size)
{
	const struct splice *splice = data;
	const char *file;

	if (splice_find(splice, error->line, error->column, &file, &error->line, &error->column, ret_line, ret_size))
		snprintf(error->file, sizeof(error->file), "%s", file);
}

static json_t *request_of(const struct runner *runner, const struct splice *splice, const json_t *record, bool check)
{
	json_t *params = json_deep_copy(record), *text = json_stringn(splice->text, splice->size);
	json_t *defines = json_object();

	for (size_t i = 0; i < runner->define_count; i++)
		json_object_set_new(defines, runner->defines[i].name, output_json_text(runner->defines[i].value));
	json_object_set_new(params, "defines", defines);
	json_object_set_new(params, "text", text ? text : output_json_text(splice->text));
	if (check)
		json_object_set_new(params, "check", json_true());
	if (runner->keep_going)
		json_object_set_new(params, "keep_going", json_true());
	fence_params(&runner->fence, params);
	return params;
}

static void show_output(struct runner *runner, const json_t *output)
{
	json_t *line;
	size_t i;

	json_array_foreach (output, i, line) {
		const char *text = json_string_value(line);
		size_t size = text ? strlen(text) : 0;

		if (runner->output)
			json_array_append_new(runner->output, json_pack("{s:s, s:O}", "type", "text", "text", line));
		else
			printf("%s%s", text ? text : "", size && text[size - 1] == '\n' ? "" : "\n");
	}
}

/* Errors that a run with -k went on after. They come without the errno's number, by name. */
static void show_errors(struct runner *runner, const json_t *errors, const struct client_source *source)
{
	json_t *item;
	size_t i;

	json_array_foreach (errors, i, item) {
		const char *name = client_text(item, "name");
		json_t *data = json_deep_copy(item);
		json_t *error = json_pack("{s:O, s:o}", "message", json_object_get(item, "message"), "data", data);

		json_object_set_new(data, "errno", json_integer(name ? panbind_errno_from_name(name) : 0));
		client_error(runner->cmd, error, source);
		json_decref(error);
	}
}

static enum panbind_outcome outcome_of(const json_t *result)
{
	const char *name = client_text(result, "outcome");

	for (int i = PANBIND_OUTCOME_APPLIED; name && i <= PANBIND_OUTCOME_UNKNOWN; i++)
		if (strcmp(panbind_outcome_name((enum panbind_outcome)i), name) == 0)
			return (enum panbind_outcome)i;
	return PANBIND_OUTCOME_UNKNOWN;
}

static int take_result(struct runner *runner, const json_t *result, const struct client_source *source)
{
	struct panbind_run_result *total = &runner->total;
	enum panbind_outcome outcome = outcome_of(result);
	size_t errors = json_array_size(json_object_get(result, "errors"));
	/* What is said of an earlier run under the same id is its first error. */
	uint64_t failed = json_object_get(result, "failed") ? client_number(result, "failed") : errors;

	total->commands += client_number(result, "commands");
	total->ops += client_number(result, "ops");
	total->failed += failed;
	if (outcome > total->outcome)
		total->outcome = outcome;
	show_output(runner, json_object_get(result, "output"));
	show_errors(runner, json_object_get(result, "errors"), source);
	if (json_is_true(json_object_get(result, "cut")))
		error_note(runner->cmd, -1, "the script printed more than the daemon keeps; the rest is cut");
	if (outcome >= PANBIND_OUTCOME_PARTIAL)
		return CMD_PARTIAL;
	return !failed ? CMD_DONE : total->ops ? CMD_PARTIAL : CMD_FAILED;
}

static int run_one(struct runner *runner, struct client *client, const struct source *source, const json_t *record,
		   bool check)
{
	struct splice splice;
	struct client_source where = {locate, &splice};
	json_t *result = NULL;
	int status = splice_script(runner->cmd, source, &splice);

	if (status)
		return status;
	status = client_call(client, "script.run", request_of(runner, &splice, record, check),
			     check ? CLIENT_LOOKS : CLIENT_CHANGES, &where, &result);
	if (!status)
		status = take_result(runner, result, &where);
	else if (status == CMD_FAILED && runner->total.ops)
		status = CMD_PARTIAL; /* earlier files stay */
	json_decref(result);
	splice_free(&splice);
	return status;
}

int remote_run(struct runner *runner, struct client *client, const json_t *record, bool check)
{
	int status = CMD_DONE;

	if (runner->cmd->out.json && !runner->output)
		runner->output = json_array();
	for (size_t i = 0; i < runner->count && (!status || runner->keep_going); i++)
		status = error_worse(status, run_one(runner, client, &runner->scripts[i].source, record, check));
	return status;
}

/* ---- Dump ---- */

int remote_dump(struct client *client, const char *vm, char **ret_text)
{
	json_t *result, *params = vm ? json_pack("{s:o}", "vm", output_json_text(vm)) : NULL;
	int status = client_call(client, "state.dump", params, CLIENT_LOOKS, NULL, &result);
	const char *text;

	if (status)
		return status;
	text = client_text(result, "script");
	*ret_text = text ? strdup(text) : NULL;
	json_decref(result);
	if (!*ret_text)
		return error_say(client->cmd, CMD_FAILED, -ENOMEM, "out of memory");
	return CMD_DONE;
}

/* ---- Plan ---- */

int remote_plan(struct runner *runner, struct client *client, json_t **ret_result)
{
	json_t *record = json_object();
	struct splice splice;
	struct client_source where = {locate, &splice};
	int status = splice_script(runner->cmd, &runner->scripts[0].source, &splice);

	if (!status) {
		status = client_call(client, "state.plan", request_of(runner, &splice, record, false), CLIENT_LOOKS,
				     &where, ret_result);
		splice_free(&splice);
	}
	json_decref(record);
	return status;
}
