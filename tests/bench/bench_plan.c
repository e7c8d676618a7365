/* SPDX-License-Identifier: MIT */
/*
 * What it costs to merge and to plan a batch of 100,000 ops, on a VM of 100,000 mappings.
 *
 * Prints milliseconds, the least of five runs each. A plan merges first, so its time holds that of merging. Judge
 * release builds only. Nothing here fails for being slow.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "seed.h"

#define PAGE UINT64_C(4096)
#define OPS  100000u
#define RUNS 5

struct bench {
	struct panbind_bo bo;
	struct pb_vamap *live;
	struct panbind_batch *batch;
	uint32_t order[OPS]; /* shuffled */
	struct test_random random;
};

/* Of this thread: nothing here waits, so what other programs take of the machine does not count. */
static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void map(struct bench *bench, uint64_t page, uint64_t pages, uint64_t offset)
{
	if (panbind_batch_map(bench->batch, page * PAGE, pages * PAGE, &bench->bo, offset * PAGE, 0, NULL) < 0)
		abort();
}

static void ascending(struct bench *bench, uint32_t i)
{
	map(bench, i, 1, i);
}

static void shuffled(struct bench *bench, uint32_t i)
{
	map(bench, bench->order[i], 1, bench->order[i]);
}

/* Each by itself: none can be merged. */
static void apart(struct bench *bench, uint32_t i)
{
	map(bench, (uint64_t)bench->order[i] * 2, 1, 0);
}

static void apart_ascending(struct bench *bench, uint32_t i)
{
	map(bench, (uint64_t)i * 2, 1, 0);
}

/* A double buffer: each range unmapped, then mapped with something else. */
static void unmap_and_map(struct bench *bench, uint32_t i)
{
	uint64_t at = (uint64_t)bench->order[i / 2] * 2;

	if (i % 2 == 1)
		map(bench, at, 1, i);
	else if (panbind_batch_unmap(bench->batch, at * PAGE, PAGE, NULL) < 0)
		abort();
}

static void overlapping(struct bench *bench, uint32_t i)
{
	map(bench, test_random_below(&bench->random, OPS), 1 + test_random_below(&bench->random, 16), i);
}

/* Over borders of 16 MiB: thousands of neighbours in each lock region. */
static void wide_locks(struct bench *bench, uint32_t i)
{
	map(bench, (1 + i % 32) * 4096 - 1, 2, i);
}

static const struct {
	const char *name;
	void (*add)(struct bench *bench, uint32_t i);
} cases[] = {
	{"neighbours, ascending", ascending},	 {"neighbours, shuffled", shuffled},
	{"apart, ascending", apart_ascending},	 {"apart, shuffled", apart},
	{"unmap, map, shuffled", unmap_and_map}, {"overlapping, random", overlapping},
	{"wide locks, repeated", wide_locks},
};

static double merge_once(struct bench *bench, size_t which)
{
	double start, end;

	panbind_batch_clear(bench->batch);
	for (uint32_t i = 0; i < OPS; i++)
		cases[which].add(bench, i);
	start = now_ms();
	if (panbind_batch_merge(bench->batch) < 0)
		abort();
	end = now_ms();
	return end - start;
}

static double plan_once(struct bench *bench, size_t which, size_t *ret_units)
{
	struct pb_plan_input input = {.map = bench->live, .atomic = PANBIND_YES, .native_sparse = true};
	struct panbind_plan *plan;
	double start, end;

	panbind_batch_clear(bench->batch);
	for (uint32_t i = 0; i < OPS; i++)
		cases[which].add(bench, i);
	start = now_ms();
	if (pb_plan_build(&input, bench->batch, &plan, NULL) < 0)
		abort();
	end = now_ms();
	*ret_units = panbind_plan_count(plan);
	panbind_plan_destroy(plan);
	return end - start;
}

static void fill(struct bench *bench)
{
	bench->bo = (struct panbind_bo){.refs = 1, .size = UINT64_C(1) << 40};
	if (panbind_batch_create(&bench->batch) < 0 || pb_vamap_create(NULL, NULL, &bench->live) < 0)
		abort();
	for (uint32_t i = 0; i < OPS; i++) {
		struct pb_range range = {(uint64_t)i * 2 * PAGE, 2 * PAGE, &bench->bo, 0, 0};
		uint64_t other = test_random_below(&bench->random, i + 1);

		bench->order[i] = bench->order[other];
		bench->order[other] = i;
		if (pb_vamap_set(bench->live, &range) < 0)
			abort();
	}
}

int main(int argc, char **argv)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	if (!bench)
		abort();
	bench->random = test_random_start("bench_plan");
	fill(bench);
	printf("%-24s %10s %12s %12s\n", "100,000 ops", "units", "merge, ms", "plan, ms");
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		if (argc > 1 && strcmp(argv[1], cases[c].name) != 0)
			continue;
		double merge = 1e9, plan = 1e9;
		size_t units = 0;

		for (int run = 0; run < RUNS; run++) {
			double one = merge_once(bench, c), two = plan_once(bench, c, &units);

			merge = one < merge ? one : merge;
			plan = two < plan ? two : plan;
		}
		printf("%-24s %10zu %12.1f %12.1f\n", cases[c].name, units, merge, plan);
	}
	panbind_batch_destroy(bench->batch);
	pb_vamap_destroy(bench->live);
	free(bench);
	return 0;
}
