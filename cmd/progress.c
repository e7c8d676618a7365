/* SPDX-License-Identifier: MIT */
/* The bar. See progress.h. */
#include "progress.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND INT64_C(1000000000)

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

void progress_begin(struct progress *progress, const struct cmd *cmd)
{
	*progress = (struct progress){.cmd = cmd, .begun_ns = now_ns()};
}

static bool wanted(const struct progress *progress)
{
	const char *term = getenv("TERM");

	return progress->cmd->verbose >= 0 && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static void draw_bar(uint64_t done, uint64_t total, unsigned width)
{
	unsigned filled = (unsigned)((double)done / (double)total * width);

	putc('[', stderr);
	for (unsigned i = 0; i < width; i++)
		putc(i < filled ? '#' : ' ', stderr);
	fprintf(stderr, "] %3d%% ", (int)((double)done / (double)total * 100));
}

/* A rate in three digits or so: nobody reads more while it moves. */
static void draw_rate(uint64_t count, int64_t ns, const char *units)
{
	double rate = ns > 0 ? (double)count * 1e9 / (double)ns : 0;

	if (rate >= 10000)
		fprintf(stderr, "%.0fk %s/s", rate / 1000, units);
	else
		fprintf(stderr, "%.0f %s/s", rate, units);
}

void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t count, const char *units)
{
	unsigned columns = progress->cmd->out.width;

	if (!wanted(progress))
		return;
	if (done > total)
		done = total;
	fputs("\r\033[K", stderr);
	if (total)
		draw_bar(done, total, columns > 60 ? (columns > 100 ? 40 : columns - 60) : 0);
	fprintf(stderr, "%" PRIu64 "/%" PRIu64 ", ", done, total);
	draw_rate(count, now_ns() - progress->begun_ns, units);
	fflush(stderr);
	progress->shown = true;
}

void progress_clear(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
