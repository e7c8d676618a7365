/* SPDX-License-Identifier: MIT */
/*
 * `panbind replay LOG`: a log, repeated, or measured (bench.h). On a device in this process all of it is gone at the
 * end, so what remains is the answer whether it can be repeated; in the daemon the VMs and BOs stay, as new ones.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "client.h"
#include "error.h"
#include "limit.h"
#include "logfile.h"
#include "number.h"
#include "progress.h"
#include "remote.h"
#include "target.h"

enum { KEY_UNTIL = 0x200, KEY_VM, KEY_SPEED, KEY_VERIFY, KEY_BENCH, KEY_COMPARE, KEY_THREADS };

#define BENCH_ROUNDS 5

struct replay {
	struct cmd *cmd;
	const char *names[3]; /* LOG; with --compare A, B and LOG */
	size_t name_count;
	const char *log;
	struct panbind_log_replay_options options;
	bool verify, compare, one_thread;
	unsigned rounds; /* of a benchmark, 0: it is none */
	struct progress progress;
	json_t *differences; /* of the document, or NULL */
};

static const struct argp_option options[] = {
	{"until", KEY_UNTIL, "SEQ", 0, "Stop after this entry"},
	{"vm", KEY_VM, "VM[#GEN]", 0, "Only this VM and the BOs it maps"},
	{"speed", KEY_SPEED, "N|recorded|max", 0,
	 "1 or recorded: in recorded time, 2: twice as fast; default: max, as fast as it goes"},
	{"verify", KEY_VERIFY, "end|each", OPTION_ARG_OPTIONAL,
	 "Compare the mapping with what the log implies, at the end (default) or after each entry"},
	{"bench", KEY_BENCH, "N", OPTION_ARG_OPTIONAL,
	 "Measure: N times (default 5) after one that does not count, call by call, with the threads of the log"},
	{"compare", KEY_COMPARE, NULL, 0,
	 "Benchmark on the devices A and B by turns; without LOG A and B are files with results of --json --bench"},
	{"threads", KEY_THREADS, "recorded|one", 0, "Of a benchmark: those that made the calls (default), or only one"},
	{0},
};

static void parse_speed(struct replay *replay, struct argp_state *state, const char *arg)
{
	char *end;

	replay->options.speed = 0;
	if (strcmp(arg, "max") == 0)
		return;
	if (strcmp(arg, "recorded") == 0)
		arg = "1";
	replay->options.speed = strtod(arg, &end);
	if (end == arg || *end || !isfinite(replay->options.speed) || replay->options.speed <= 0 ||
	    replay->options.speed > 1000000)
		argp_error(state, "--speed: '%s' is not a number above 0, and at most 1000000", arg);
}

static void parse_verify(struct replay *replay, struct argp_state *state, const char *arg)
{
	replay->verify = true;
	if (!arg || strcmp(arg, "end") == 0)
		replay->options.verify = PANBIND_LOG_VERIFY_END;
	else if (strcmp(arg, "each") == 0)
		replay->options.verify = PANBIND_LOG_VERIFY_EACH;
	else
		argp_error(state, "--verify: '%s' is not one of end, each", arg);
}

static void parse_rounds(struct replay *replay, struct argp_state *state, const char *arg)
{
	uint64_t rounds = BENCH_ROUNDS;

	if (arg && (number_parse(arg, &rounds) < 0 || rounds < 1 || rounds > 10000))
		argp_error(state, "--bench: '%s' is not a number of 1 to 10000", arg);
	replay->rounds = (unsigned)rounds;
}

static void parse_threads(struct replay *replay, struct argp_state *state, const char *arg)
{
	replay->one_thread = strcmp(arg, "one") == 0;
	if (!replay->one_thread && strcmp(arg, "recorded") != 0)
		argp_error(state, "--threads: '%s' is not one of recorded, one", arg);
}

/* Which names there have to be, and what goes with what. */
static void check_names(struct replay *replay, struct argp_state *state)
{
	if (replay->compare && replay->name_count < 2)
		argp_error(state, "--compare: A and B, please, which are devices when a LOG follows, else files");
	if (!replay->compare && replay->name_count > 1)
		argp_error(state, "one LOG, please");
	if (!replay->compare && replay->name_count == 0)
		argp_error(state, "no LOG given");
	if (replay->compare && !replay->rounds)
		replay->rounds = BENCH_ROUNDS;
	if (replay->one_thread && !replay->rounds)
		argp_error(state, "--threads is for --bench");
	if (replay->rounds && replay->options.verify == PANBIND_LOG_VERIFY_EACH)
		argp_error(state, "--bench compares the mapping at the end of a round only");
	if (replay->name_count)
		replay->log = replay->names[replay->name_count - 1];
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct replay *replay = state->input;

	switch (key) {
	case KEY_BENCH:
		parse_rounds(replay, state, arg);
		return 0;
	case KEY_COMPARE:
		replay->compare = true;
		return 0;
	case KEY_THREADS:
		parse_threads(replay, state, arg);
		return 0;
	case KEY_UNTIL:
		if (number_parse(arg, &replay->options.until_seq) < 0 || !replay->options.until_seq ||
		    replay->options.until_seq > INT64_MAX)
			argp_error(state, "--until: '%s' is not a sequence number", arg);
		return 0;
	case KEY_VM:
		if (logfile_parse_ref(arg, &replay->options.vm) < 0)
			argp_error(state, "--vm: not VM or VM#GENERATION");
		return 0;
	case KEY_SPEED:
		parse_speed(replay, state, arg);
		return 0;
	case KEY_VERIFY:
		parse_verify(replay, state, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (replay->name_count == 3)
			argp_error(state, "'%s' is too much", arg);
		replay->names[replay->name_count++] = arg;
		return 0;
	case ARGP_KEY_END:
		check_names(replay, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- What is told ---- */

static const char *type_name(enum panbind_log_difference_type type)
{
	static const char *const names[] = {"result", "mapping", "object"};

	return names[type];
}

static void on_difference(void *data, const struct panbind_log_difference *difference)
{
	struct replay *replay = data;
	json_t *json;

	if (!replay->differences) {
		progress_clear(&replay->progress);
		printf("entry %" PRIu64 ": %s\n", difference->seq, difference->msg);
		return;
	}
	json = json_pack("{s:s, s:I, s:o}", "type", type_name(difference->type), "seq", (json_int_t)difference->seq,
			 "message", output_json_text(difference->msg));
	if (difference->vm.name)
		json_object_set_new(json, "vm", output_json_text(difference->vm.name));
	if (difference->size) {
		json_object_set_new(json, "va", output_json_hex(difference->va));
		json_object_set_new(json, "size", output_json_hex(difference->size));
	}
	json_array_append_new(replay->differences, json);
}

static int on_progress(void *data, uint64_t seq, uint64_t until_seq, uint64_t ops)
{
	struct replay *replay = data;

	progress_show(&replay->progress, seq, until_seq, ops, "ops");
	return limit_reached() ? -EINTR : 0;
}

static int tell(struct replay *replay, const struct panbind_log_replay_result *result)
{
	struct cmd *cmd = replay->cmd;

	if (cmd->out.json)
		json_object_set_new(cmd->out.doc, "result",
				    json_pack("{s:I, s:I, s:I, s:I, s:I}", "entries", (json_int_t)result->entries,
					      "ops", (json_int_t)result->ops, "skipped", (json_int_t)result->skipped,
					      "unknown", (json_int_t)result->unknown, "differences",
					      (json_int_t)result->differences));
	else
		printf("%" PRIu64 " entries, %" PRIu64 " ops repeated, %" PRIu64 " skipped: %" PRIu64
		       " difference%s%s\n",
		       result->entries, result->ops, result->skipped, result->differences,
		       result->differences == 1 ? "" : "s", replay->verify ? "; the mapping was compared" : "");
	if (result->unknown && !cmd->out.json)
		printf("%" PRIu64 " range%s of a program's VM %s not known: left unmapped\n", result->unknown,
		       result->unknown == 1 ? "" : "s", result->unknown == 1 ? "was" : "were");
	return result->differences ? CMD_FAILED : CMD_DONE;
}

/* ---- In this process ---- */

static int replay_here(struct replay *replay)
{
	struct cmd *cmd = replay->cmd;
	struct panbind_log_replay_result result = {0};
	struct panbind_device *device = NULL;
	struct panbind_error error = {0};
	struct panbind_log *log;
	int status = logfile_open(cmd, replay->log, &log), r;

	if (status)
		return status;
	status = target_open(cmd, &device);
	if (status) {
		panbind_log_close(log);
		return status;
	}
	replay->options.progress = on_progress;
	replay->options.difference = on_difference;
	replay->options.data = replay;
	progress_begin(&replay->progress, cmd);
	r = panbind_log_replay(log, device, &replay->options, &result, &error);
	progress_clear(&replay->progress);
	panbind_device_unref(device);
	panbind_log_close(log);
	if (r == 0)
		return tell(replay, &result);
	if (limit_reached())
		return error_say(cmd, limit_status(), limit_code(), "the replay is not complete: %s", limit_reason());
	return error_say(cmd, CMD_FAILED, r, "%s: %s", replay->log, error.msg[0] ? error.msg : strerror(-r));
}

/* ---- In the daemon ---- */

static void show_problems(struct replay *replay, const json_t *problems)
{
	struct panbind_log_difference difference = {0};
	json_t *problem;
	size_t i;

	json_array_foreach (problems, i, problem) {
		const char *message = client_text(problem, "message");

		if (replay->differences) {
			json_array_append(replay->differences, problem);
			continue;
		}
		difference.seq = client_number(problem, "seq");
		snprintf(difference.msg, sizeof(difference.msg), "%s", message ? message : "?");
		on_difference(replay, &difference);
	}
}

static const char *verify_name(const struct replay *replay)
{
	static const char *const names[] = {
		[PANBIND_LOG_VERIFY_NONE] = "none",
		[PANBIND_LOG_VERIFY_END] = "end",
		[PANBIND_LOG_VERIFY_EACH] = "each",
	};

	return names[replay->options.verify];
}

static void set_number(json_t *params, const char *name, uint64_t value)
{
	if (value)
		json_object_set_new(params, name, json_integer((json_int_t)value));
}

/* The daemon opens the file itself, and has a working directory of its own. */
static int request_of(const struct replay *replay, json_t **ret_params)
{
	char *path = realpath(replay->log, NULL);
	int err = errno;

	if (!path)
		return error_say(replay->cmd, CMD_USAGE, -err, "%s: %s", replay->log, strerror(err));
	*ret_params = json_pack("{s:o, s:s}", "log", output_json_text(path), "verify", verify_name(replay));
	free(path);
	set_number(*ret_params, "until", replay->options.until_seq);
	set_number(*ret_params, "generation", replay->options.vm.generation);
	set_number(*ret_params, "speed", (uint64_t)replay->options.speed);
	if (replay->options.vm.name)
		json_object_set_new(*ret_params, "vm", output_json_text(replay->options.vm.name));
	return CMD_DONE;
}

static int replay_there(struct replay *replay)
{
	struct panbind_log_replay_result result = {0};
	struct client client;
	json_t *params = NULL, *answer = NULL;
	int status = request_of(replay, &params);

	if (status)
		return status;
	status = client_open(&client, replay->cmd);
	if (status)
		json_decref(params);
	else
		status = client_call(&client, "replay.run", params, CLIENT_CHANGES, NULL, &answer);
	client_close(&client);
	if (status)
		return status;
	show_problems(replay, json_object_get(answer, "problems"));
	result.entries = client_number(answer, "entries");
	result.ops = client_number(answer, "ops");
	result.skipped = client_number(answer, "skipped");
	result.unknown = client_number(answer, "unknown");
	result.differences = client_number(answer, "differences");
	json_decref(answer);
	return tell(replay, &result);
}

/* ---- Measured ---- */

static int bench(struct replay *replay)
{
	const struct bench_options bench_options = {
		.path = replay->log,
		.vm = replay->options.vm,
		.until_seq = replay->options.until_seq,
		.speed = replay->options.speed,
		.one_thread = replay->one_thread,
		.verify = replay->verify,
		.rounds = replay->rounds,
	};

	if (replay->compare && replay->name_count == 2)
		return bench_files(replay->cmd, replay->names[0], replay->names[1]);
	if (replay->compare)
		return bench_replay(replay->cmd, &bench_options, replay->names, 2);
	if (remote_wanted(replay->cmd))
		return error_say(replay->cmd, CMD_USAGE, -EINVAL, "--bench works on a device here: -d SPEC");
	return bench_replay(replay->cmd, &bench_options, &replay->cmd->device_spec, 1);
}

int cmd_replay(struct cmd *cmd, int argc, char **argv)
{
	struct replay replay = {.cmd = cmd};
	int status;

	cmd_parse(cmd, options, parse, "LOG\n--compare A B [LOG]",
		  "Repeat a log on fresh VMs. With -d on a device in this process: they are gone at the end, and what "
		  "remains is whether it could be repeated. Else in the daemon, where they stay. Results are compared "
		  "with those recorded, with --verify the mapping, too; status 1 if anything differs.",
		  argc, argv, &replay);
	if (replay.rounds)
		return bench(&replay);
	if (cmd->out.json)
		replay.differences = json_array();
	if (!remote_wanted(cmd))
		status = replay_here(&replay);
	else if (replay.options.speed != (double)(uint64_t)replay.options.speed)
		status = error_say(cmd, CMD_USAGE, -EINVAL, "--speed in the daemon is a whole number; or use -d SPEC");
	else
		status = replay_there(&replay);
	if (replay.differences)
		json_object_set_new(cmd->out.doc, "differences", replay.differences);
	return status;
}
