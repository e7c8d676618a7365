/* SPDX-License-Identifier: MIT */
/* `panbind plan`: what a script would do, op by op after merging, and which of it is one atomic unit for the GPU. */
#include <inttypes.h>
#include <stdlib.h>

#include "remote.h"
#include "runner.h"

struct arguments {
	struct runner runner;
	const char *file;
	struct table table;
	bool table_open;
	bool atomic_unknown;  /* of the device that the daemon has */
	json_t *txns, *units; /* JSON: all transactions; the units of the one at hand */
	uint64_t txn_count, unit_count, op_count, driver_ops, atomic_units;
};

static const struct argp_option options[] = {
	{"define", 'D', "NAME=VALUE", 0, "$NAME in the script; may be repeated"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'D':
		runner_define(&arguments->runner, state, arg);
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

static const char *type_name(enum panbind_op_type type)
{
	static const char *const names[] = {"map", "unmap", "sparse", "sync"};

	return names[type];
}

/* A copy of the daemon's device always knows; the device itself may not. */
static enum panbind_tristate atomic_of(const struct arguments *arguments, const struct panbind_plan_unit *unit)
{
	return arguments->atomic_unknown && unit->atomic == PANBIND_YES ? PANBIND_UNKNOWN : unit->atomic;
}

/* "0" or "0-15": which ops of the transaction the unit stands for. */
static void ops_text(const struct panbind_plan_unit *unit, char text[OUT_NUMBER])
{
	if (unit->count > 1)
		snprintf(text, OUT_NUMBER, "%" PRIu32 "-%" PRIu32, unit->first, unit->first + unit->count - 1);
	else
		snprintf(text, OUT_NUMBER, "%" PRIu32, unit->first);
}

/* The BO of a plan lives on a scratch device; only the event knows the name that it has in the script. */
static void bo_text(const struct panbind_event *event, char text[256])
{
	const struct panbind_op *op = &event->unit->op;

	snprintf(text, 256, op->bo && op->bo_offset ? "%.200s+0x%" PRIx64 : "%.200s", event->text ? event->text : "-",
		 op->bo_offset);
}

/* ---- Text ---- */

static void end_table(struct arguments *arguments)
{
	if (arguments->table_open)
		table_end(&arguments->table, stdout, arguments->runner.cmd->out.color_stdout);
	arguments->table_open = false;
}

static void begin_table(struct arguments *arguments, const struct panbind_event *event)
{
	static const char *const heads[] = {"OPS", "DO", "VA", "SIZE", "BO", "REPLACES", "LOCK", "WIDTH", "ATOMIC"};
	bool color = arguments->runner.cmd->out.color_stdout;

	end_table(arguments);
	printf("%s%stransaction %" PRIu64 " on %s%s (%s:%" PRIu32 ")\n", arguments->txn_count > 1 ? "\n" : "",
	       output_paint(color, OUT_BOLD), arguments->txn_count, event->name, output_paint(color, OUT_PLAIN),
	       event->file ? event->file : "-", event->line);
	arguments->table_open = table_begin(&arguments->table, 9, "rlrrlrrrl", heads) == 0;
}

static void print_unit(struct arguments *arguments, const struct panbind_event *event)
{
	const struct panbind_plan_unit *unit = event->unit;
	char ops[OUT_NUMBER], va[OUT_NUMBER], size[OUT_NUMBER], replaces[OUT_NUMBER], lock[OUT_NUMBER],
		width[OUT_NUMBER], bo[256];

	if (!arguments->table_open)
		return;
	ops_text(unit, ops);
	bo_text(event, bo);
	snprintf(replaces, sizeof(replaces), "%" PRIu32, unit->replaces);
	table_row(&arguments->table,
		  (const char *[]){ops, type_name(unit->op.type), output_hex(va, unit->op.va),
				   output_size(size, unit->op.size), bo, replaces, output_hex(lock, unit->lock_va),
				   output_size(width, unit->lock_size), output_tristate(atomic_of(arguments, unit))});
}

/* ---- JSON ---- */

static void begin_txn_json(struct arguments *arguments, const struct panbind_event *event)
{
	arguments->units = json_array();
	json_array_append_new(arguments->txns, json_pack("{s:s, s:o, s:i, s:o}", "vm", event->name, "file",
							 output_json_text(event->file ? event->file : ""), "line",
							 (int)event->line, "units", arguments->units));
}

static void add_unit_json(struct arguments *arguments, const struct panbind_event *event)
{
	const struct panbind_plan_unit *unit = event->unit;
	json_t *json = json_object();

	json_object_set_new(json, "first", json_integer(unit->first));
	json_object_set_new(json, "count", json_integer(unit->count));
	json_object_set_new(json, "op", output_json_text(type_name(unit->op.type)));
	json_object_set_new(json, "va", output_json_hex(unit->op.va));
	json_object_set_new(json, "size", output_json_hex(unit->op.size));
	json_object_set_new(json, "bo", event->text ? output_json_text(event->text) : json_null());
	json_object_set_new(json, "offset", output_json_hex(unit->op.bo_offset));
	json_object_set_new(json, "flags", output_json_flags(unit->op.flags));
	json_object_set_new(json, "driver_ops", json_integer(unit->driver_ops));
	json_object_set_new(json, "replaces", json_integer(unit->replaces));
	json_object_set_new(json, "lock_va", output_json_hex(unit->lock_va));
	json_object_set_new(json, "lock_size", output_json_hex(unit->lock_size));
	json_object_set_new(json, "atomic", output_json_text(output_tristate(atomic_of(arguments, unit))));
	json_array_append_new(arguments->units, json);
}

/* ---- The plan ---- */

static void on_plan(void *data, const struct panbind_event *event)
{
	struct arguments *arguments = data;
	const struct panbind_plan_unit *unit = event->unit;
	bool json = arguments->runner.cmd->out.json;

	if (unit->first == 0) { /* units count from 0 in each transaction */
		arguments->txn_count++;
		if (json)
			begin_txn_json(arguments, event);
		else
			begin_table(arguments, event);
	}
	arguments->unit_count++;
	arguments->op_count += unit->count;
	arguments->driver_ops += unit->driver_ops;
	arguments->atomic_units += atomic_of(arguments, unit) == PANBIND_YES;
	if (json)
		add_unit_json(arguments, event);
	else
		print_unit(arguments, event);
}

static void tell_totals(struct arguments *arguments)
{
	end_table(arguments);
	if (arguments->runner.cmd->out.json) {
		json_object_set_new(arguments->runner.cmd->out.doc, "result",
				    json_pack("{s:I, s:I, s:I, s:I, s:I}", "transactions",
					      (json_int_t)arguments->txn_count, "ops", (json_int_t)arguments->op_count,
					      "units", (json_int_t)arguments->unit_count, "driver_ops",
					      (json_int_t)arguments->driver_ops, "atomic_units",
					      (json_int_t)arguments->atomic_units));
		return;
	}
	printf("%s%" PRIu64 " ops in %" PRIu64 " transaction%s: %" PRIu64 " after merging, %" PRIu64
	       " of them atomic for the GPU; %" PRIu64 " ops for the driver\n",
	       arguments->txn_count ? "\n" : "", arguments->op_count, arguments->txn_count,
	       arguments->txn_count == 1 ? "" : "s", arguments->unit_count, arguments->atomic_units,
	       arguments->driver_ops);
}

static int open_target(struct arguments *arguments)
{
	struct runner *runner = &arguments->runner;
	enum panbind_tristate atomic;
	int status;

	if (!remote_wanted(runner->cmd))
		return runner_open(runner);
	status = remote_copy(runner, &atomic);
	arguments->atomic_unknown = !status && atomic == PANBIND_UNKNOWN;
	return status;
}

static int plan(struct arguments *arguments)
{
	struct runner *runner = &arguments->runner;
	int status = runner_add(runner, arguments->file);

	if (!status)
		status = open_target(arguments);
	if (status)
		return status;
	runner->on_plan = on_plan;
	runner->plan_data = arguments;
	if (runner->cmd->out.json) {
		arguments->txns = json_array();
		json_object_set_new(runner->cmd->out.doc, "transactions", arguments->txns);
	}
	status = runner_run(runner, PANBIND_RUN_PLAN);
	tell_totals(arguments);
	return status;
}

int cmd_plan(struct cmd *cmd, int argc, char **argv)
{
	struct arguments arguments = {.runner.cmd = cmd};
	int status;

	cmd_parse(
		cmd, options, parse, "FILE|-",
		"Show what a script would do to the page tables, and change nothing: its ops after merging neighbours, "
		"how wide the GPU's lock is for each, and which are atomic, one by one, for a GPU that reads "
		"meanwhile. With -d on a device without mappings, else on what the daemon has mapped.",
		argc, argv, &arguments);
	status = plan(&arguments);
	runner_close(&arguments.runner);
	return status;
}
