/* SPDX-License-Identifier: MIT */
/* `panbind replay --bench`: rounds on one device, or by turns on two, and results of earlier runs. See bench.h. */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "limit.h"
#include "logfile.h"
#include "progress.h"
#include "source.h"
#include "target.h"

/** A benchmark on its way. */
struct bench {
	struct cmd *cmd;
	const struct bench_options *options;
	struct bench_program program;
	struct bench_side sides[2];
	size_t side_count;
	struct panbind_log_state *expected; /* with --verify */
};

static int read_log(struct bench *bench)
{
	struct panbind_error error = {0};
	struct panbind_log *log;
	uint64_t until = bench->options->until_seq ? bench->options->until_seq : UINT64_MAX;
	int status = logfile_open(bench->cmd, bench->options->path, &log), err;

	if (status)
		return status;
	err = bench_load(&bench->program, log, bench->options, &error);
	if (err == 0)
		err = bench_order(&bench->program, bench->options);
	if (err == 0 && bench->options->verify)
		err = panbind_log_state_create(log, until, (struct panbind_log_ref){0}, &bench->expected, &error);
	panbind_log_close(log);
	if (err == 0 && bench->program.op_count == 0)
		return error_say(bench->cmd, CMD_FAILED, -ENODATA, "%s: no bind in it that can be repeated",
				 bench->options->path);
	return err == 0 ? CMD_DONE
			: error_say(bench->cmd, CMD_FAILED, err, "%s: %s", bench->options->path,
				    error.msg[0] ? error.msg : strerror(-err));
}

static int open_sides(struct bench *bench, const char *const *specs, size_t count)
{
	const size_t samples = (size_t)bench->options->rounds * bench->program.steps.count;
	int status = CMD_DONE;

	for (size_t i = 0; i < count && status == CMD_DONE; i++) {
		struct bench_side *side = &bench->sides[bench->side_count++];

		bench->cmd->device_spec = side->spec = specs[i];
		side->ns = calloc(samples, sizeof(*side->ns));
		side->seconds = calloc(bench->options->rounds, sizeof(*side->seconds));
		if (!side->ns || !side->seconds)
			return error_say(bench->cmd, CMD_FAILED, -ENOMEM, "out of memory");
		status = target_open(bench->cmd, &side->device);
	}
	return status;
}

/* Round 0 warms up, and its mapping is compared if that is wanted. */
static int run_round(struct bench *bench, struct bench_side *side, unsigned round)
{
	uint64_t *ns = round ? side->ns + (size_t)(round - 1) * bench->program.steps.count : NULL;
	double seconds;
	int err = bench_round(&bench->program, side, bench->options, ns, &seconds, round ? NULL : bench->expected);

	if (err == 0 && round) {
		side->seconds[round - 1] = seconds;
		side->rounds = round;
	}
	return err;
}

static int run_rounds(struct bench *bench)
{
	const unsigned rounds = bench->options->rounds;
	struct progress progress;
	int err = 0;

	progress_begin(&progress, bench->cmd);
	for (unsigned round = 0; round <= rounds && err == 0; round++)
		for (size_t i = 0; i < bench->side_count && err == 0; i++) {
			progress_show(&progress, round, rounds + 1, (uint64_t)round * bench->program.op_count, "ops");
			err = run_round(bench, &bench->sides[i], round);
		}
	progress_clear(&progress);
	if (err == -EINTR && limit_reached())
		return error_say(bench->cmd, limit_status(), limit_code(), "the benchmark is not complete: %s",
				 limit_reason());
	return err == 0 ? CMD_DONE
			: error_say(bench->cmd, CMD_FAILED, err, "a round cannot be run: %s", strerror(-err));
}

static void close_sides(struct bench *bench)
{
	for (size_t i = 0; i < bench->side_count; i++) {
		free(bench->sides[i].ns);
		free(bench->sides[i].seconds);
		panbind_device_unref(bench->sides[i].device);
	}
}

static void tell_two(struct cmd *cmd, json_t *a, json_t *b)
{
	json_t *ratios = bench_compare(a, b);

	if (cmd->out.json) {
		json_object_set(cmd->out.doc, "a", a);
		json_object_set(cmd->out.doc, "b", b);
		json_object_set(cmd->out.doc, "ratios", ratios);
	} else {
		bench_print_two(cmd, a, b, ratios);
	}
	json_decref(ratios);
}

static int tell(struct bench *bench)
{
	json_t *results[2] = {NULL, NULL};
	int status = CMD_DONE;

	for (size_t i = 0; i < bench->side_count; i++) {
		results[i] = bench_json(&bench->program, &bench->sides[i], bench->options);
		if (bench->sides[i].failures || bench->sides[i].differences)
			status = CMD_FAILED;
	}
	if (bench->side_count == 2)
		tell_two(bench->cmd, results[0], results[1]);
	else if (bench->cmd->out.json)
		json_object_set(bench->cmd->out.doc, "bench", results[0]);
	else
		bench_print(bench->cmd, results[0]);
	json_decref(results[0]);
	json_decref(results[1]);
	return status;
}

int bench_replay(struct cmd *cmd, const struct bench_options *options, const char *const *specs, size_t count)
{
	struct bench bench = {.cmd = cmd, .options = options};
	int status = read_log(&bench);

	if (status == CMD_DONE)
		status = open_sides(&bench, specs, count);
	if (status == CMD_DONE)
		status = run_rounds(&bench);
	if (status == CMD_DONE)
		status = tell(&bench);
	close_sides(&bench);
	panbind_log_state_destroy(bench.expected);
	bench_free(&bench.program);
	return status;
}

/* ---- Earlier results ---- */

static int read_result(struct cmd *cmd, const char *path, json_t **ret_bench)
{
	struct source source = {0};
	json_error_t error;
	json_t *document = NULL, *bench;
	int status = source_read(cmd, path, &source);

	if (status == CMD_DONE)
		document = json_loadb(source.text, source.size, JSON_REJECT_DUPLICATES, &error);
	bench = json_object_get(document, "bench");
	if (status == CMD_DONE && json_integer_value(json_object_get(bench, "bench_schema")) != 1)
		status =
			error_say(cmd, CMD_USAGE, -EINVAL, "%s: not what 'panbind --json replay --bench' writes", path);
	if (status == CMD_DONE)
		*ret_bench = json_incref(bench);
	json_decref(document);
	source_free(&source);
	return status;
}

int bench_files(struct cmd *cmd, const char *path_a, const char *path_b)
{
	json_t *a = NULL, *b = NULL;
	int status = read_result(cmd, path_a, &a);

	if (status == CMD_DONE)
		status = read_result(cmd, path_b, &b);
	if (status == CMD_DONE)
		tell_two(cmd, a, b);
	json_decref(a);
	json_decref(b);
	return status;
}
