/* SPDX-License-Identifier: MIT */
/* What a session shows while it runs: text as it comes, or entries of the document's "output". */
#include <inttypes.h>
#include <string.h>

#include "runner.h"
#include "show.h"

void runner_error(struct runner *runner, const struct panbind_error *error, const enum panbind_outcome *outcome)
{
	struct error_context context = {0};

	if (!runner->running || panbind_script_line(runner->running, error, &context.line, &context.line_size))
		context.line = NULL;
	if (outcome) {
		context.has_outcome = true;
		context.outcome = *outcome;
	}
	error_report(runner->cmd, error, &context);
	runner->reported++;
}

static void on_text(struct runner *runner, const struct panbind_event *event)
{
	const char *text = event->text ? event->text : "";
	size_t size = strlen(text);

	if (runner->output) {
		json_array_append_new(runner->output,
				      json_pack("{s:s, s:o}", "type", "text", "text", output_json_text(text)));
		return;
	}
	fputs(text, stdout);
	if (!size || text[size - 1] != '\n')
		putc('\n', stdout);
}

static void on_show(struct runner *runner, const struct panbind_event *event)
{
	struct show show = {runner->cmd, runner->session, event->name, event->vm};

	if (runner->output)
		json_array_append_new(runner->output, json_pack("{s:s, s:o}", "type", "vm", "vm", show_vm_json(&show)));
	else if (show_vm(&show, event->with_map))
		error_note(runner->cmd, -1, "vm %s cannot be shown: out of memory", event->name);
}

static json_t *count(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static void on_gpu(struct runner *runner, const struct panbind_event *event)
{
	const struct panbind_gpu_stats *stats = event->stats;
	bool bad = stats->faults || event->torn, color = runner->cmd->out.color_stdout;

	if (runner->output) {
		json_array_append_new(runner->output,
				      json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "type", "gpu",
						"vm", event->name, "reads", count(stats->loads), "stores",
						count(stats->stores), "stalls", count(stats->stalls), "faults",
						count(stats->faults), "torn", count(event->torn), "locks",
						count(stats->locks), "unlocks", count(stats->unlocks), "flushes",
						count(stats->flushes)));
		return;
	}
	printf("gpu %s: %" PRIu64 " reads, %" PRIu64 " stalled, %s%" PRIu64 " faults, %" PRIu64 " torn values%s\n",
	       event->name, stats->loads, stats->stalls, output_paint(color, bad ? OUT_RED : OUT_GREEN), stats->faults,
	       event->torn, output_paint(color, OUT_PLAIN));
}

static void on_txn(struct runner *runner, const struct panbind_event *event)
{
	if (runner->output)
		json_array_append_new(runner->output,
				      json_pack("{s:s, s:o, s:s}", "type", "txn", "ops", count(event->ops), "outcome",
						panbind_outcome_name(event->outcome)));
	else
		error_note(runner->cmd, 1, "%" PRIu64 " op%s %s", event->ops, event->ops == 1 ? "" : "s",
			   panbind_outcome_name(event->outcome));
}

void runner_on_event(void *data, const struct panbind_event *event)
{
	struct runner *runner = data;

	switch (event->type) {
	case PANBIND_EVENT_COMMAND:
		error_note(runner->cmd, 2, "%s:%" PRIu32 ": %s", event->file ? event->file : "-", event->line,
			   event->text ? event->text : "");
		break;
	case PANBIND_EVENT_ERROR:
		runner_error(runner, event->error, &event->outcome);
		break;
	case PANBIND_EVENT_TEXT:
		on_text(runner, event);
		break;
	case PANBIND_EVENT_SHOW_VM:
		on_show(runner, event);
		break;
	case PANBIND_EVENT_PLAN:
	case PANBIND_EVENT_PLAN_END:
		if (runner->on_plan)
			runner->on_plan(runner->plan_data, event);
		break;
	case PANBIND_EVENT_GPU:
		on_gpu(runner, event);
		break;
	case PANBIND_EVENT_TXN:
		on_txn(runner, event);
		break;
	}
}
