/* SPDX-License-Identifier: MIT */
/*
 * panbind_diff: is one device as the other? README.md has how it is used.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compare.h"
#include "corpus.h"
#include "generate.h"

static const char usage[] =
	"usage: panbind_diff [OPTION]...\n"
	"\n"
	"  --left=SPEC --right=SPEC  the devices: sim:OPTIONS, drm:PATH, box:stock or box:atomic (default sim: and "
	"sim:)\n"
	"  --count=N                 random programs (default 1000)\n"
	"  --seed=N                  of the first one, the next has N + 1 (default: from the clock)\n"
	"  --seconds=N               go on until so much time has passed\n"
	"  --careful                 leave out what an unpatched driver does not survive\n"
	"  --worker=FILE             the panbind_diff that runs in a box (default: this one)\n"
	"  --save=FOLDER             where shrunk programs go\n"
	"  --max=N                   stop after so many differences (default 1)\n"
	"  --replay=FILE             run the program of a file, and show both answers\n"
	"  --corpus=FOLDER           run the programs of a folder on the left device: they have the right answer with "
	"them\n"
	"  --record=FILE             print a program with the answer of the left device, for a corpus\n"
	"  --show                    print the program of the seed\n"
	"  --serve=FOLDER            be the worker in a box\n";

#define BATCH 400u

struct options {
	const char *left, *right, *worker, *save, *replay, *corpus, *record, *serve;
	uint64_t seed, count, seconds, max;
	bool careful, show;
};

static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option table[] = {
		{"left", 1, NULL, 'l'},	   {"right", 1, NULL, 'r'},
		{"count", 1, NULL, 'n'},   {"seed", 1, NULL, 's'},
		{"seconds", 1, NULL, 't'}, {"careful", 0, NULL, 'c'},
		{"worker", 1, NULL, 'w'},  {"save", 1, NULL, 'o'},
		{"max", 1, NULL, 'm'},	   {"replay", 1, NULL, 'p'},
		{"corpus", 1, NULL, 'd'},  {"record", 1, NULL, 'R'},
		{"show", 0, NULL, 'S'},	   {"serve", 1, NULL, 'v'},
		{"help", 0, NULL, 'h'},	   {0},
	};
	int which;

	while ((which = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (which) {
		case 'l':
			ret->left = optarg;
			break;
		case 'r':
			ret->right = optarg;
			break;
		case 'n':
			ret->count = strtoull(optarg, NULL, 0);
			break;
		case 's':
			ret->seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			ret->seconds = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			ret->careful = true;
			break;
		case 'w':
			ret->worker = optarg;
			break;
		case 'o':
			ret->save = optarg;
			break;
		case 'm':
			ret->max = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			ret->replay = optarg;
			break;
		case 'd':
			ret->corpus = optarg;
			break;
		case 'R':
			ret->record = optarg;
			break;
		case 'S':
			ret->show = true;
			break;
		case 'v':
			ret->serve = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- Random programs ---- */

static void show_difference(const struct options *options, const struct diff_program *program, char *answers[2])
{
	printf("\n# the program, as small as it gets:\n");
	diff_write(program, stdout);
	printf("# %s says:\n%s# %s says:\n%s\n", options->left, answers[0], options->right, answers[1]);
	fflush(stdout);
}

static void save(const struct options *options, const struct diff_program *program, uint64_t seed)
{
	char path[512];
	FILE *out;

	if (!options->save)
		return;
	snprintf(path, sizeof(path), "%s/%016" PRIx64 ".diff", options->save, seed);
	out = fopen(path, "we");
	if (!out)
		return;
	diff_write(program, out);
	fclose(out);
}

/* The first line of each answer that the other has not. */
static void show_line(const char *a, const char *b)
{
	size_t start = 0;

	for (size_t i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '\n')
			start = i + 1;
	printf("#   %.*s\n#   %.*s\n", (int)strcspn(a + start, "\n"), a + start, (int)strcspn(b + start, "\n"),
	       b + start);
}

static int report(const struct options *options, struct diff_side *sides[2], const struct diff_program *program,
		  uint64_t seed)
{
	struct diff_program small = diff_program_copy(program);
	char *answers[2][1] = {{0}}, *both[2];
	char **arrays[2] = {answers[0], answers[1]};
	int ret;

	printf("# the program of seed %" PRIu64 " is answered differently; shrinking it\n", seed);
	fflush(stdout);
	ret = diff_shrink(sides, &small);
	if (!ret)
		ret = diff_run_both(sides, &small, 1, arrays);
	both[0] = answers[0][0];
	both[1] = answers[1][0];
	if (!ret)
		show_difference(options, &small, both);
	save(options, &small, seed);
	free(both[0]);
	free(both[1]);
	diff_program_free(&small);
	return ret;
}

/* Run the programs of seeds from @seed on. Adds to *differences. */
static int run_batch(const struct options *options, struct diff_side *sides[2], uint64_t seed, size_t count,
		     uint64_t *differences)
{
	struct diff_program programs[BATCH];
	char *answers[2][BATCH] = {{0}};
	char **arrays[2] = {answers[0], answers[1]};
	int ret;

	for (size_t i = 0; i < count; i++)
		programs[i] = diff_generate(seed + i);
	ret = diff_run_both(sides, programs, count, arrays);
	for (size_t i = 0; i < count && !ret && *differences < options->max; i++) {
		if (!diff_differs(answers[0][i], answers[1][i], NULL))
			continue;
		++*differences;
		show_line(answers[0][i], answers[1][i]);
		ret = report(options, sides, &programs[i], seed + i);
	}
	for (size_t i = 0; i < count; i++) {
		free(answers[0][i]);
		free(answers[1][i]);
		diff_program_free(&programs[i]);
	}
	return ret;
}

static int fuzz(const struct options *options, struct diff_side *sides[2])
{
	time_t end = time(NULL) + (time_t)options->seconds;
	uint64_t done = 0, differences = 0;
	int ret = 0;

	printf("# seed %" PRIu64 "\n", options->seed);
	fflush(stdout);
	while (!ret && differences < options->max && (options->seconds ? time(NULL) < end : done < options->count)) {
		uint64_t left = options->seconds ? BATCH : options->count - done;
		size_t count = left < BATCH ? left : BATCH;

		ret = run_batch(options, sides, options->seed + done, count, &differences);
		done += count;
		if (done % (50 * BATCH) == 0) {
			printf("# %" PRIu64 " programs\n", done);
			fflush(stdout);
		}
	}
	printf("# %" PRIu64 " programs on %s and %s, %" PRIu64 " differences\n", done, options->left, options->right,
	       differences);
	if (ret)
		fprintf(stderr, "panbind_diff: %s\n", strerror(-ret));
	return ret || differences ? 1 : 0;
}

/* ---- One program ---- */

static int read_program(const char *path, struct diff_program *ret_program)
{
	FILE *in = fopen(path, "re");
	unsigned line;
	int ret;

	if (!in) {
		perror(path);
		return -ENOENT;
	}
	ret = diff_read(in, ret_program, &line);
	fclose(in);
	if (ret)
		fprintf(stderr, "%s:%u: cannot be read\n", path, line);
	return ret;
}

static int replay(const struct options *options, struct diff_side *sides[2])
{
	struct diff_program program;
	char *answers[2][1] = {{0}};
	char **arrays[2] = {answers[0], answers[1]};
	bool differs;

	if (read_program(options->replay, &program))
		return 2;
	if (diff_run_both(sides, &program, 1, arrays))
		return 2;
	differs = diff_differs(answers[0][0], answers[1][0], NULL);
	printf("# %s says:\n%s", options->left, answers[0][0]);
	if (differs)
		printf("# %s says:\n%s", options->right, answers[1][0]);
	printf("# the answers %s\n", differs ? "differ" : "are the same");
	free(answers[0][0]);
	free(answers[1][0]);
	diff_program_free(&program);
	return differs;
}

static int record(const struct options *options, struct diff_side *side)
{
	struct diff_program program;
	char *answer = NULL;
	int ret = read_program(options->record, &program);

	if (!ret)
		ret = side->start(side, &program, 1);
	if (!ret)
		ret = side->finish(side, &answer);
	if (ret)
		return 2;
	diff_write(&program, stdout);
	printf("end\n%s", answer);
	free(answer);
	diff_program_free(&program);
	return 0;
}

static int show(uint64_t seed)
{
	struct diff_program program = diff_generate(seed);

	diff_write(&program, stdout);
	diff_program_free(&program);
	return 0;
}

static int run_with_sides(const struct options *options)
{
	bool one = options->corpus || options->record;
	struct diff_side *sides[2] = {NULL, NULL};
	int ret = diff_side_open(options->left, options->worker, options->careful, &sides[0]);

	if (!ret && !one)
		ret = diff_side_open(options->right, options->worker, options->careful, &sides[1]);
	if (ret)
		fprintf(stderr, "panbind_diff: %s\n", strerror(-ret));
	else if (options->corpus)
		ret = diff_corpus(options->corpus, sides[0], stdout);
	else if (options->record)
		ret = record(options, sides[0]);
	else
		ret = options->replay ? replay(options, sides) : fuzz(options, sides);
	for (int i = 0; i < 2; i++) {
		int ended = diff_side_close(sides[i]);

		if (ended && !ret)
			ret = ended;
	}
	return ret < 0 ? 2 : ret;
}

int main(int argc, char **argv)
{
	static char self[4096];
	struct options options = {
		.left = "sim:", .right = "sim:", .count = 1000, .max = 1, .seed = (uint64_t)time(NULL) * 1000003u};

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0)
		options.worker = self;
	if (parse(argc, argv, &options))
		return 2;
	if (options.show)
		return show(options.seed);
	if (options.serve)
		return diff_serve(options.serve, options.left, options.careful) ? 1 : 0;
	return run_with_sides(&options);
}
