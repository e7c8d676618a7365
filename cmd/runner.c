/* SPDX-License-Identifier: MIT */
/* Scripts from files to a session. See runner.h. */
#include "runner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "target.h"

void runner_define(struct runner *runner, struct argp_state *state, char *arg)
{
	char *equals = strchr(arg, '=');
	struct panbind_define *more;

	if (!equals || equals == arg) {
		argp_error(state, "-D: '%s' is not NAME=VALUE", arg);
		return;
	}
	more = reallocarray(runner->defines, runner->define_count + 1, sizeof(*more));
	if (!more) {
		argp_failure(state, CMD_FAILED, ENOMEM, "-D");
		return;
	}
	*equals = '\0';
	more[runner->define_count++] = (struct panbind_define){arg, equals + 1};
	runner->defines = more;
}

/* The line of a parse error, in a text that became no script. */
static void find_line(const struct source *source, uint32_t line, struct error_context *context)
{
	const char *at = source->text, *end = at + source->size, *newline;

	for (uint32_t i = 1; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); i++) {
		if (i == line)
			break;
		at = newline + 1;
	}
	newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
	context->line = at;
	context->line_size = (size_t)((newline ? newline : end) - at);
}

static int parse_failed(struct runner *runner, const struct source *source, const struct panbind_error *error)
{
	struct error_context context = {0};

	struct source included = {0};

	/* An error in an included file has its line there; if that cannot be read again, the place has to do. */
	if (error->line && strcmp(error->file, source->name) == 0)
		find_line(source, error->line, &context);
	else if (error->line && source_reread(error->file, &included) == 0)
		find_line(&included, error->line, &context);
	error_report(runner->cmd, error, &context);
	source_free(&included);
	return error->code == -ENOMEM ? CMD_FAILED : CMD_USAGE;
}

/* With -k the parser hands out all mistakes at once, and the script without them. */
static int tell_all(struct runner *runner, const struct panbind_script *script)
{
	const struct panbind_error *error;
	size_t i;

	for (i = 0; (error = panbind_script_error(script, i)); i++) {
		struct error_context context = {0};

		if (panbind_script_line(script, error, &context.line, &context.line_size))
			context.line = NULL;
		error_report(runner->cmd, error, &context);
	}
	return i ? CMD_USAGE : CMD_DONE;
}

int runner_add(struct runner *runner, const char *path)
{
	struct panbind_script_options options = {.flags = runner->keep_going ? PANBIND_SCRIPT_KEEP_GOING : 0,
						 .defines = runner->defines,
						 .define_count = runner->define_count};
	struct runner_script *more = reallocarray(runner->scripts, runner->count + 1, sizeof(*more)), *new;
	struct panbind_error error = {0};
	int status;

	if (!more)
		return error_say(runner->cmd, CMD_FAILED, -ENOMEM, "out of memory");
	runner->scripts = more;
	new = &more[runner->count];
	*new = (struct runner_script){0};
	status = source_read(runner->cmd, path, &new->source);
	if (status)
		return status;
	runner->count++;
	if (panbind_script_parse(new->source.name, new->source.text, new->source.size, &options, &new->script, &error) <
	    0)
		return parse_failed(runner, &new->source, &error);
	if (fence_script(&runner->fence, new->script, &error) < 0)
		return parse_failed(runner, &new->source, &error);
	return tell_all(runner, new->script);
}

int runner_open(struct runner *runner)
{
	int status = target_open(runner->cmd, &runner->device), error;

	if (status)
		return status;
	if (runner->cmd->out.json && !runner->output)
		runner->output = json_array();
	error = panbind_session_create(runner->device, runner->on_event ? runner->on_event : runner_on_event, runner,
				       &runner->session);
	if (error)
		return error_say(runner->cmd, CMD_FAILED, error, "cannot make a session: %s",
				 panbind_errno_name(error));
	limit_watch(runner->session);
	return CMD_DONE;
}

static void add_up(struct panbind_run_result *total, const struct panbind_run_result *result)
{
	total->commands += result->commands;
	total->ops += result->ops;
	total->failed += result->failed;
	if (result->outcome > total->outcome)
		total->outcome = result->outcome;
}

/* Transactions before the one that failed are not undone by it, and the exit status must not deny them. */
static bool tell_what_stays(const struct runner *runner)
{
	uint64_t ops = runner->total.ops;

	if (ops && !runner->cmd->out.json)
		fprintf(stderr, "    %" PRIu64 " op%s of transactions that were complete stay%s applied\n", ops,
			ops == 1 ? "" : "s", ops == 1 ? "s" : "");
	return ops > 0;
}

/* An end from outside is told apart from a failure, unless it left something half done: that counts more. */
static int run_status(struct runner *runner, int code, const struct panbind_error *error,
		      const struct panbind_run_result *result)
{
	bool stopped = code < 0 && limit_reached();

	if (stopped)
		error_say(runner->cmd, limit_status(), limit_code(), "the run was stopped (%s): %s",
			  panbind_outcome_name(result->outcome), limit_reason());
	else if (code < 0 && !runner->reported)
		runner_error(runner, error, &result->outcome);
	if (code >= 0)
		return CMD_DONE;
	if (result->outcome >= PANBIND_OUTCOME_PARTIAL)
		return CMD_PARTIAL;
	if (stopped)
		return limit_status();
	return tell_what_stays(runner) ? CMD_PARTIAL : error_status(error, result->outcome);
}

int runner_run(struct runner *runner, uint32_t flags)
{
	int status = CMD_DONE;

	for (size_t i = 0; i < runner->count; i++) {
		struct panbind_run_result result = {0};
		struct panbind_error error = {0};
		int code;

		runner->running = runner->scripts[i].script;
		runner->reported = 0;
		code = panbind_session_run(runner->session, runner->running, flags, &result, &error);
		add_up(&runner->total, &result);
		status = error_worse(status, run_status(runner, code, &error, &result));
		if (status && (!runner->keep_going || limit_reached()))
			break;
	}
	return status;
}

void runner_close(struct runner *runner)
{
	limit_watch(NULL);
	panbind_session_destroy(runner->session);
	panbind_device_unref(runner->device);
	for (size_t i = 0; i < runner->count; i++) {
		panbind_script_destroy(runner->scripts[i].script);
		source_free(&runner->scripts[i].source);
	}
	free(runner->scripts);
	free(runner->defines);
	json_decref(runner->output);
}
