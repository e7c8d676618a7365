/* SPDX-License-Identifier: MIT */
/*
 * What the page tables themselves map, and how: readonly, noexec, uncached. The driver's books do not have that.
 *
 * The emulated GPU can show the tables of a VM that has an address space, so a job of the VM waits in it meanwhile. Its
 * two pages are mapped on every device alike, where they displace what was there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernel/malisim/job.h"
#include "../kernel/support/gpu_job.h"
#include "../kernel/support/malisim.h"
#include "panbind.h"
#include "run.h"

#define PATIENCE_MS 6000
#define TRIES	    5

enum { WORD_STARTED, WORD_GO };

/* Pages in a row that are mapped alike, whatever is behind them. */
struct range {
	uint64_t va, size;
	uint32_t flags;
};

static void print_range(struct diff_world *world, struct range *range)
{
	if (range->size)
		fprintf(world->out, " 0x%" PRIx64 "+0x%" PRIx64 "%s%s%s", range->va, range->size,
			range->flags & PB_OP_READONLY ? ",readonly" : "", range->flags & PB_OP_NOEXEC ? ",noexec" : "",
			range->flags & PB_OP_UNCACHED ? ",uncached" : "");
	range->size = 0;
}

static void add(struct diff_world *world, struct range *range, uint64_t va, uint64_t size, uint32_t flags)
{
	if (range->size && range->va + range->size == va && range->flags == flags) {
		range->size += size;
		return;
	}
	print_range(world, range);
	*range = (struct range){.va = va, .size = size, .flags = flags};
}

static void show_simulated(struct diff_world *world, struct pb_file *file, uint32_t vm, uint64_t end)
{
	struct pb_page page = {0};
	struct range range = {0};

	while (file->backend->gpu->next_page(file, vm, page.va + page.size, &page) == 0 && page.va < end)
		add(world, &range, page.va, page.size, page.flags);
	print_range(world, &range);
}

/* The address space in which a job waits for WORD_GO, or -1. */
static int find_as(void)
{
	FILE *state = fopen(MALISIM "state", "re");
	char line[256], polls[40];
	int as = -1;
	unsigned n;

	snprintf(polls, sizeof(polls), " polls 0x%" PRIx64, GPU_JOB_WORD(WORD_GO));
	while (state && fgets(line, sizeof(line), state))
		if (sscanf(line, "group %*u as %u", &n) == 1 && strstr(line, polls))
			as = (int)n;
	if (state)
		fclose(state);
	return as;
}

static uint32_t flags_in(const char *line)
{
	return (strstr(line, " readonly") ? PB_OP_READONLY : 0) | (strstr(line, " noexec") ? PB_OP_NOEXEC : 0) |
	       (strstr(line, " uncached") ? PB_OP_UNCACHED : 0);
}

/* What lies behind @end is the driver's own. */
static void show_tables(struct diff_world *world, int as, uint64_t end)
{
	FILE *tables = fopen(MALISIM "tables", "re");
	struct range range = {0};
	uint64_t va, size;
	char line[256];
	int n;

	while (tables && fgets(line, sizeof(line), tables))
		if (sscanf(line, "as=%d va=%" SCNx64 " size=%" SCNx64, &n, &va, &size) == 3 && n == as && va < end)
			add(world, &range, va, size < end - va ? size : end - va, flags_in(line));
	print_range(world, &range);
	if (tables)
		fclose(tables);
}

/* What show_tables() prints, if the job waited all the while. */
static int show_waiting(struct diff_world *world, uint64_t end)
{
	FILE *out = world->out;
	char *text = NULL;
	int as = find_as();
	size_t size;

	world->out = open_memstream(&text, &size);
	if (!world->out)
		abort();
	show_tables(world, as, end);
	fclose(world->out);
	world->out = out;
	if (as >= 0 && find_as() == as)
		fputs(text, out);
	else
		as = -ETIME;
	free(text);
	return as < 0 ? as : 0;
}

static int show_driven(struct diff_world *world, struct gpu_job *job, uint64_t end)
{
	uint64_t *at = job_store(job->stream, GPU_JOB_WORD(WORD_STARTED), 1);
	int ret;

	at = job_poll(at, GPU_JOB_WORD(WORD_GO), 1);
	ret = gpu_job_submit(job, at);
	if (!ret)
		ret = gpu_job_wait(job, WORD_STARTED, 1, PATIENCE_MS);
	if (!ret)
		ret = show_waiting(world, end);
	job->words[WORD_GO] = 1;
	return ret;
}

static int show_once(struct diff_world *world, unsigned file, uint32_t vm)
{
	struct pb_file *open = world->file[file];
	uint64_t end = world->vm_range[file][vm];
	struct gpu_job job;
	int ret = gpu_job_open(&job, open, vm);

	if (ret)
		return ret;
	if (open->backend->gpu)
		show_simulated(world, open, vm, end);
	else
		ret = show_driven(world, &job, end);
	gpu_job_close(&job);
	return ret;
}

/* The driver ends a job after five seconds, for which a box may stand still on a machine with much else to do. */
static void show_vm(struct diff_world *world, unsigned file, uint32_t vm)
{
	int ret = -ETIME;

	fprintf(world->out, " @%u:%u", file, vm);
	for (int tries = 0; tries < TRIES && ret == -ETIME; tries++)
		ret = show_once(world, file, vm);
	if (ret)
		fprintf(world->out, " %s", panbind_errno_name(ret));
}

static void step_tables(struct diff_world *world, const struct diff_node *node)
{
	(void)node;
	for (unsigned file = 0; file < DIFF_FILES; file++)
		for (uint32_t vm = 1; vm < 64; vm++)
			/* of some it is not known where the driver's own part begins */
			if (world->file[file] && world->vms[file] >> vm & 1 && world->vm_range[file][vm])
				show_vm(world, file, vm);
}

const struct diff_verb diff_table_verbs[] = {
	{"tables", step_tables},
	{0},
};
