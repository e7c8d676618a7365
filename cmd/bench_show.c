/* SPDX-License-Identifier: MIT */
/* Results of benchmarks as text. They are read from JSON, so that what an earlier run has kept looks the same. */
#include <inttypes.h>
#include <string.h>

#include "bench.h"

#define PERCENTILES 4
static const char *const percentile_names[PERCENTILES] = {"p50", "p90", "p99", "max"};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

static json_int_t integer_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static double real_of(const json_t *object, const char *a, const char *b)
{
	return json_number_value(json_object_get(json_object_get(object, a), b));
}

/* "0.3", "12.5", "1234 " us: three figures at least. */
static void write_us(char text[OUT_NUMBER], const json_t *ns, const char *name)
{
	double us = json_number_value(json_object_get(ns, name)) / 1000;

	if (!json_object_get(ns, name))
		snprintf(text, OUT_NUMBER, "-");
	else
		snprintf(text, OUT_NUMBER, us < 10 ? "%.2f" : us < 1000 ? "%.1f" : "%.0f", us);
}

static void write_ratio(char text[OUT_NUMBER], double a, double b)
{
	if (a > 0)
		snprintf(text, OUT_NUMBER, b / a < 10 ? "%.2f" : "%.1f", b / a);
	else
		snprintf(text, OUT_NUMBER, "-");
}

static const char *way_of(const json_t *group)
{
	return json_is_true(json_object_get(group, "async")) ? "async" : "sync";
}

static const char *name_of(const json_t *group)
{
	const char *kind = json_string_value(json_object_get(group, "kind"));

	return kind ? kind : text_of(group, "batch");
}

/* ---- One ---- */

#define COLUMNS 13

static void add_row(struct table *table, const json_t *group)
{
	const json_t *ns = json_object_get(group, "ns"), *then = json_object_get(group, "recorded_ns");
	char calls[OUT_NUMBER], ops[OUT_NUMBER], now_us[PERCENTILES][OUT_NUMBER], then_us[PERCENTILES][OUT_NUMBER],
		ratio[OUT_NUMBER];
	const char *cells[COLUMNS] = {name_of(group), way_of(group), calls, ops};

	snprintf(calls, sizeof(calls), "%" JSON_INTEGER_FORMAT, integer_of(group, "calls"));
	snprintf(ops, sizeof(ops), "%" JSON_INTEGER_FORMAT, integer_of(group, "ops"));
	for (size_t i = 0; i < PERCENTILES; i++) {
		write_us(now_us[i], ns, percentile_names[i]);
		write_us(then_us[i], then, percentile_names[i]);
		cells[4 + i] = now_us[i];
		cells[8 + i] = then_us[i];
	}
	write_ratio(ratio, json_number_value(json_object_get(then, "p50")),
		    json_number_value(json_object_get(ns, "p50")));
	cells[12] = ratio;
	table_row(table, cells);
}

static void print_groups(const struct cmd *cmd, const json_t *groups, const char *what)
{
	const char *const heads[COLUMNS] = {what,  "WAY",	   "CALLS", "OPS", "p50", "p90",      "p99",
					    "max", "RECORDED p50", "p90",   "p99", "max", "p50 RATIO"};
	struct table table;
	json_t *group;
	size_t i;

	if (table_begin(&table, COLUMNS, "  rrrrrrrrrrr", heads) < 0)
		return;
	json_array_foreach (groups, i, group)
		add_row(&table, group);
	putchar('\n');
	table_end(&table, stdout, cmd->out.color_stdout);
}

static void print_head(const json_t *bench)
{
	json_int_t threads = integer_of(bench, "threads"), left_out = integer_of(bench, "left_out");
	const json_t *problems = json_object_get(bench, "problems"), *speed = json_object_get(bench, "speed");

	printf("%s on %s, %" JSON_INTEGER_FORMAT " rounds of %" JSON_INTEGER_FORMAT " binds with %" JSON_INTEGER_FORMAT
	       " ops, %" JSON_INTEGER_FORMAT " thread%s",
	       text_of(bench, "log"), text_of(bench, "device"), integer_of(bench, "rounds"), integer_of(bench, "binds"),
	       integer_of(bench, "ops"), threads, threads == 1 ? "" : "s");
	if (json_is_real(speed))
		printf(", %g times the recorded speed", json_real_value(speed));
	printf("\nops/s: %.0f (%.0f to %.0f)", real_of(bench, "ops_per_s", "median"),
	       real_of(bench, "ops_per_s", "min"), real_of(bench, "ops_per_s", "max"));
	if (json_is_object(json_object_get(bench, "recorded")))
		printf("; recorded: %.0f in %.3f s", real_of(bench, "recorded", "ops_per_s"),
		       real_of(bench, "recorded", "seconds"));
	putchar('\n');
	if (left_out)
		printf("%" JSON_INTEGER_FORMAT
		       " entries are left out: they had failed, or what they need is not known\n",
		       left_out);
	if (integer_of(problems, "failures"))
		printf("%" JSON_INTEGER_FORMAT " calls failed here, the first at entry %" JSON_INTEGER_FORMAT
		       ": %s: %s\n",
		       integer_of(problems, "failures"), integer_of(problems, "seq"), text_of(problems, "error"),
		       text_of(problems, "message"));
	if (integer_of(problems, "differences"))
		printf("%" JSON_INTEGER_FORMAT " differences of the mapping, the first: %s\n",
		       integer_of(problems, "differences"), text_of(problems, "difference"));
}

void bench_print(const struct cmd *cmd, const json_t *bench)
{
	print_head(bench);
	print_groups(cmd, json_object_get(bench, "kinds"), "us");
	print_groups(cmd, json_object_get(bench, "batches"), "BATCH, us");
}

/* ---- Two ---- */

#define TWO_COLUMNS 9

/* The other side's group of the same name and way. */
static const json_t *find(const json_t *groups, const json_t *like)
{
	json_t *group;
	size_t i;

	json_array_foreach (groups, i, group)
		if (strcmp(name_of(group), name_of(like)) == 0 && strcmp(way_of(group), way_of(like)) == 0)
			return group;
	return NULL;
}

static void add_two(struct table *table, const json_t *a, const json_t *b, const json_t *ratios)
{
	static const char *const shown[] = {"p50", "p99"};
	char calls[OUT_NUMBER], us[4][OUT_NUMBER], ratio[2][OUT_NUMBER];
	const char *cells[TWO_COLUMNS] = {name_of(a), way_of(a), calls, us[0], us[1], us[2], us[3], ratio[0], ratio[1]};

	snprintf(calls, sizeof(calls), "%" JSON_INTEGER_FORMAT, integer_of(a, "calls"));
	for (size_t i = 0; i < 2; i++) {
		write_us(us[i], json_object_get(a, "ns"), shown[i]);
		write_us(us[2 + i], json_object_get(b, "ns"), shown[i]);
		write_ratio(ratio[i], 1, json_number_value(json_object_get(ratios, shown[i])));
	}
	table_row(table, cells);
}

static void print_two_groups(const struct cmd *cmd, const json_t *a, const json_t *b, const json_t *ratios,
			     const char *key, const char *what)
{
	const char *const heads[TWO_COLUMNS] = {what,	 "WAY",	  "CALLS",   "A p50",  "A p99",
						"B p50", "B p99", "B/A p50", "B/A p99"};
	struct table table;
	json_t *group;
	size_t i;

	if (table_begin(&table, TWO_COLUMNS, "  rrrrrrr", heads) < 0)
		return;
	json_array_foreach (json_object_get(a, key), i, group) {
		const json_t *other = find(json_object_get(b, key), group);

		if (other)
			add_two(&table, group, other, find(json_object_get(ratios, key), group));
	}
	putchar('\n');
	table_end(&table, stdout, cmd->out.color_stdout);
}

void bench_print_two(const struct cmd *cmd, const json_t *a, const json_t *b, const json_t *ratios)
{
	printf("A: ");
	print_head(a);
	printf("B: ");
	print_head(b);
	printf("B/A: %.2f times the ops/s\n", json_number_value(json_object_get(ratios, "ops_per_s")));
	print_two_groups(cmd, a, b, ratios, "kinds", "us");
	print_two_groups(cmd, a, b, ratios, "batches", "BATCH, us");
}
