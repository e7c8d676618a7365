/* SPDX-License-Identifier: MIT */
/* What came of the rounds of a benchmark, as JSON: latencies by kind and by size of batch, beside the recorded ones. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define SCHEMA 1 /* of the "bench" object: what --compare reads */

/** Latencies of what is looked at together. */
struct group {
	uint64_t *ns, *recorded;
	size_t count, recorded_count;
	uint64_t calls, ops; /* a round */
};

static const char *const kind_names[] = {"map",	      "unmap",	    "sparse",	 "mixed",     "sync-only",
					 "vm.create", "vm.destroy", "bo.create", "bo.destroy"};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == BENCH_KINDS, "a name a kind");

/* Sizes of batches that are told together: up to so many ops. */
static const uint32_t batch_limits[] = {1, 4, 16, 64, 256, 1024, UINT32_MAX};
static const char *const batch_names[] = {"1", "2-4", "5-16", "17-64", "65-256", "257-1024", "1025-"};
#define BATCHES (sizeof(batch_limits) / sizeof(batch_limits[0]))

static size_t batch_of(const struct bench_step *step)
{
	size_t i = 0;

	while (step->op_count > batch_limits[i])
		i++;
	return i;
}

/* ---- Percentiles ---- */

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The smallest value that so many percent are not above. */
static uint64_t percentile(const uint64_t *sorted, size_t count, unsigned percent)
{
	return sorted[(count * percent + 99) / 100 - 1];
}

static json_t *percentiles(uint64_t *ns, size_t count)
{
	if (count == 0)
		return json_null();
	qsort(ns, count, sizeof(*ns), by_value);
	return json_pack("{s:I, s:I, s:I, s:I}", "p50", (json_int_t)percentile(ns, count, 50), "p90",
			 (json_int_t)percentile(ns, count, 90), "p99", (json_int_t)percentile(ns, count, 99), "max",
			 (json_int_t)ns[count - 1]);
}

/* ---- Groups ---- */

/** Which steps belong to a group. */
struct choice {
	bool binds_by_size; /* else by kind */
	enum bench_kind kind;
	size_t batch;
	bool async;
};

static bool chosen(const struct choice *choice, const struct bench_step *step)
{
	if (step->async != choice->async)
		return false;
	if (choice->binds_by_size)
		return step->kind == PANBIND_LOG_BIND && batch_of(step) == choice->batch;
	return step->measured == choice->kind;
}

static void gather(const struct bench_program *program, const struct bench_side *side, const struct choice *choice,
		   struct group *group)
{
	group->count = group->recorded_count = 0;
	group->calls = group->ops = 0;
	for (size_t i = program->prologue; i < program->steps.count; i++) {
		const struct bench_step *step = &program->steps.at[i];

		if (!chosen(choice, step))
			continue;
		group->calls++;
		group->ops += step->op_count;
		if (step->recorded_ns)
			group->recorded[group->recorded_count++] = step->recorded_ns;
		for (unsigned round = 0; round < side->rounds; round++)
			group->ns[group->count++] = side->ns[round * program->steps.count + i];
	}
}

static void add_group(json_t *array, const struct choice *choice, struct group *group)
{
	json_t *json;

	if (group->calls == 0)
		return;
	json = json_pack("{s:b, s:I, s:I}", "async", choice->async, "calls", (json_int_t)group->calls, "ops",
			 (json_int_t)group->ops);
	if (choice->binds_by_size)
		json_object_set_new(json, "batch", json_string(batch_names[choice->batch]));
	else
		json_object_set_new(json, "kind", json_string(kind_names[choice->kind]));
	json_object_set_new(json, "ns", percentiles(group->ns, group->count));
	json_object_set_new(json, "recorded_ns", percentiles(group->recorded, group->recorded_count));
	json_array_append_new(array, json);
}

static json_t *groups(const struct bench_program *program, const struct bench_side *side, bool by_size)
{
	struct group group = {
		.ns = calloc((size_t)side->rounds * program->steps.count + 1, sizeof(*group.ns)),
		.recorded = calloc(program->steps.count + 1, sizeof(*group.recorded)),
	};
	const size_t count = by_size ? BATCHES : BENCH_KINDS;
	json_t *array = json_array();

	for (size_t i = 0; group.ns && group.recorded && i < 2 * count; i++) {
		const struct choice choice = {by_size, (enum bench_kind)(i / 2), i / 2, i % 2};

		gather(program, side, &choice, &group);
		add_group(array, &choice, &group);
	}
	free(group.ns);
	free(group.recorded);
	return array;
}

/* ---- Rates ---- */

static int by_seconds(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static json_t *rates(const struct bench_program *program, const struct bench_side *side)
{
	const unsigned rounds = side->rounds;
	double *sorted = calloc((size_t)rounds + 1, sizeof(*sorted)), ops = (double)program->op_count;
	json_t *json;

	if (!sorted)
		return json_null();
	memcpy(sorted, side->seconds, rounds * sizeof(*sorted));
	qsort(sorted, rounds, sizeof(*sorted), by_seconds);
	json = json_pack("{s:f, s:f, s:f}", "median", 2 * ops / (sorted[rounds / 2] + sorted[(rounds - 1) / 2]), "min",
			 ops / sorted[rounds - 1], "max", ops / sorted[0]);
	free(sorted);
	return json;
}

/* From the begin of the first to the end of the last. */
static json_t *recorded(const struct bench_program *program)
{
	int64_t first = 0, last = 0;
	double seconds;

	for (size_t i = program->prologue; i < program->steps.count; i++) {
		const struct bench_step *step = &program->steps.at[i];
		int64_t end = step->time_ns + (int64_t)step->recorded_ns;

		if (step->kind == PANBIND_LOG_START)
			continue;
		first = first == 0 || step->time_ns < first ? step->time_ns : first;
		last = end > last ? end : last;
	}
	seconds = (double)(last - first) / 1e9;
	return seconds > 0
		       ? json_pack("{s:f, s:f}", "seconds", seconds, "ops_per_s", (double)program->op_count / seconds)
		       : json_null();
}

static json_t *problems(const struct bench_side *side, const struct bench_options *options)
{
	json_t *json = json_pack("{s:I}", "failures", (json_int_t)side->failures);

	if (side->failures) {
		json_object_set_new(json, "seq", json_integer((json_int_t)side->error_seq));
		json_object_set_new(json, "error", json_string(panbind_errno_name(side->error.code)));
		json_object_set_new(json, "message", output_json_text(side->error.msg));
	}
	if (options->verify) {
		json_object_set_new(json, "differences", json_integer((json_int_t)side->differences));
		if (side->differences)
			json_object_set_new(json, "difference", output_json_text(side->difference));
	}
	return json;
}

json_t *bench_json(const struct bench_program *program, const struct bench_side *side,
		   const struct bench_options *options)
{
	json_t *json = json_pack("{s:i, s:o, s:o, s:i, s:i}", "bench_schema", SCHEMA, "log",
				 output_json_text(options->path), "device", output_json_text(side->spec), "rounds",
				 (int)side->rounds, "threads", (int)program->lanes);
	json_t *seconds = json_array();

	for (unsigned i = 0; i < side->rounds; i++)
		json_array_append_new(seconds, json_real(side->seconds[i]));
	json_object_set_new(json, "speed", options->speed > 0 ? json_real(options->speed) : json_string("max"));
	json_object_set_new(json, "binds", json_integer((json_int_t)program->bind_count));
	json_object_set_new(json, "ops", json_integer((json_int_t)program->op_count));
	json_object_set_new(json, "left_out", json_integer((json_int_t)program->left_out));
	json_object_set_new(json, "seconds", seconds);
	json_object_set_new(json, "ops_per_s", rates(program, side));
	json_object_set_new(json, "recorded", recorded(program));
	json_object_set_new(json, "kinds", groups(program, side, false));
	json_object_set_new(json, "batches", groups(program, side, true));
	json_object_set_new(json, "problems", problems(side, options));
	return json;
}

/* ---- Two of them ---- */

static double number(const json_t *object, const char *a, const char *b)
{
	return json_number_value(json_object_get(json_object_get(object, a), b));
}

static json_t *ratio(double a, double b)
{
	return a > 0 ? json_real(b / a) : json_null();
}

static const json_t *counterpart(const json_t *array, const json_t *group, const char *key)
{
	const char *name = json_string_value(json_object_get(group, key));
	json_t *other;
	size_t i;

	json_array_foreach (array, i, other) {
		const char *other_name = json_string_value(json_object_get(other, key));

		if (name && other_name && strcmp(name, other_name) == 0 &&
		    json_is_true(json_object_get(other, "async")) == json_is_true(json_object_get(group, "async")))
			return other;
	}
	return NULL;
}

static json_t *compare_groups(const json_t *a, const json_t *b, const char *key)
{
	static const char *const names[] = {"p50", "p90", "p99", "max"};
	json_t *array = json_array(), *group;
	size_t i;

	json_array_foreach (a, i, group) {
		const json_t *other = counterpart(b, group, key);
		json_t *json;

		if (!other)
			continue;
		json = json_pack("{s:O, s:O}", key, json_object_get(group, key), "async",
				 json_object_get(group, "async"));
		for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
			json_object_set_new(json, names[j],
					    ratio(number(group, "ns", names[j]), number(other, "ns", names[j])));
		json_array_append_new(array, json);
	}
	return array;
}

json_t *bench_compare(const json_t *a, const json_t *b)
{
	return json_pack("{s:o, s:o, s:o}", "ops_per_s",
			 ratio(number(a, "ops_per_s", "median"), number(b, "ops_per_s", "median")), "kinds",
			 compare_groups(json_object_get(a, "kinds"), json_object_get(b, "kinds"), "kind"), "batches",
			 compare_groups(json_object_get(a, "batches"), json_object_get(b, "batches"), "batch"));
}
