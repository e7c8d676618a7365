/* SPDX-License-Identifier: MIT */
/* `panbind plan`: what a script would do, op by op after merging, and which of it is one atomic unit for the GPU. */
#include <stdlib.h>

#include "picture.h"
#include "plan.h"
#include "remote.h"
#include "runner.h"

struct arguments {
	struct runner runner;
	const char *file;
	struct plan_view view;
	struct plan_json plan;
	const char *svg;
	struct picture picture;
};

enum { OPTION_UNDO = 0x100, OPTION_STALLS, OPTION_SVG };

static const struct argp_option options[] = {
	{"define", 'D', "NAME=VALUE", 0, "$NAME in the script; may be repeated"},
	{"stalls", OPTION_STALLS, NULL, 0, "List who else lives in each lock region"},
	{"svg", OPTION_SVG, "FILE", 0, "Draw each transaction's VM, and over it what is locked, as an SVG"},
	{"undo", OPTION_UNDO, NULL, 0, "Show the ops that would put everything back"},
	FENCE_OPTIONS,
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	if (fence_option(&arguments->runner.fence, key, arg, state))
		return 0;
	switch (key) {
	case 'D':
		runner_define(&arguments->runner, state, arg);
		return 0;
	case OPTION_STALLS:
		arguments->view.stalls = true;
		return 0;
	case OPTION_SVG:
		arguments->svg = arg;
		return 0;
	case OPTION_UNDO:
		arguments->view.undo = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->file)
			argp_error(state, "one FILE, please");
		arguments->file = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no FILE given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void on_plan(void *data, const struct panbind_event *event)
{
	struct arguments *arguments = data;

	plan_json_add(&arguments->plan, event);
	if (arguments->svg)
		picture_plan_event(&arguments->picture, event);
}

static int plan_here(struct arguments *arguments)
{
	struct runner *runner = &arguments->runner;
	int status = runner_open(runner);

	if (status)
		return status;
	plan_json_begin(&arguments->plan);
	runner->on_plan = on_plan;
	runner->plan_data = arguments;
	return runner_run(runner, PANBIND_RUN_PLAN);
}

static int plan_there(struct arguments *arguments)
{
	json_t *result = NULL;
	struct client client;
	int status = client_open(&client, arguments->runner.cmd);

	if (!status)
		status = remote_plan(&arguments->runner, &client, &result);
	if (!status && arguments->svg)
		status = picture_plan_remote(&arguments->picture, &client, json_object_get(result, "transactions"));
	client_close(&client);

	arguments->plan.transactions = json_incref(json_object_get(result, "transactions"));
	arguments->plan.totals = json_incref(json_object_get(result, "totals"));
	if (!status && json_is_true(json_object_get(result, "cut")))
		error_note(arguments->runner.cmd, -1, "the plan has more units than the daemon lists; all are counted");
	json_decref(result);
	return status;
}

static void show(const struct arguments *arguments)
{
	const struct out *out = &arguments->runner.cmd->out;

	if (!arguments->plan.totals)
		return;
	if (out->json) {
		json_object_set(out->doc, "transactions", arguments->plan.transactions);
		json_object_set(out->doc, "result", arguments->plan.totals);
		return;
	}
	plan_text(&arguments->view, arguments->plan.transactions, arguments->plan.totals);
}

static int plan(struct arguments *arguments)
{
	int status = runner_add(&arguments->runner, arguments->file);

	if (status)
		return status;
	arguments->view.out = &arguments->runner.cmd->out;
	status = remote_wanted(arguments->runner.cmd) ? plan_there(arguments) : plan_here(arguments);
	show(arguments);
	if (arguments->svg && !status)
		status = picture_write(&arguments->picture, arguments->runner.cmd, arguments->svg);
	picture_free(&arguments->picture);
	json_decref(arguments->plan.transactions);
	json_decref(arguments->plan.totals);
	return status;
}

int cmd_plan(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.runner.cmd = cmd};
	int status;

	cmd_parse(
		cmd, options, parse, "FILE|-",
		"Show what a script would do to the page tables, and change nothing: its ops after merging, how wide "
		"the GPU's lock is for each and whom it stalls, which are atomic, one by one, for a GPU that reads "
		"meanwhile, and what is promised of each transaction as a whole. With -d on a device without mappings, "
		"else on what the daemon has mapped.",
		argc, argv, &arguments);
	status = plan(&arguments);
	runner_close(&arguments.runner);
	return status;
}
