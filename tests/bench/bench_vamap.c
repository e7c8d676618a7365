/* SPDX-License-Identifier: MIT */
/*
 * What an operation on the map of live mappings costs, at 1k, 32k and a million 4 KiB mappings.
 *
 * Prints nanoseconds an operation and the ratio to 1k; a logarithmic cost shows as a small one. Judge release builds
 * only. Nothing here fails for being slow.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "seed.h"
#include "vamap.h"

#define PAGE UINT64_C(4096)
#define OPS  1000000u

struct bench {
	struct pb_vamap *map;
	struct test_random random;
	uint64_t live;
};

/* Of this thread: nothing here waits, so what other programs take of the machine does not count. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t counted;

static void count(struct panbind_bo *bo)
{
	counted += bo != NULL;
}

static void set(struct bench *bench, uint64_t page, uint64_t pages, uintptr_t bo)
{
	struct pb_range range = {page * PAGE, pages * PAGE, (struct panbind_bo *)bo, 0, 0};

	if (pb_vamap_set(bench->map, &range) < 0)
		abort();
}

static uint64_t any_page(struct bench *bench)
{
	return test_random_below(&bench->random, bench->live);
}

static void fill(struct bench *bench, uint64_t live)
{
	if (pb_vamap_create(count, count, &bench->map) < 0)
		abort();
	bench->live = live;
	for (uint64_t i = 0; i < live; i++)
		set(bench, i, 1, 0x1000 + i % 7);
	/* Stir, so that leaves are as full as they are after a while, not as they are after one sweep. */
	for (uint64_t i = 0; i < live / 2; i++) {
		uint64_t page = any_page(bench);

		pb_vamap_clear(bench->map, page * PAGE, PAGE);
		set(bench, any_page(bench), 1, 0x2000);
	}
	for (uint64_t i = 0; i < live; i++)
		set(bench, i, 1, 0x1000 + i % 7);
}

static void replace(struct bench *bench)
{
	set(bench, any_page(bench), 1, 0x3000);
}

static void clear_and_set(struct bench *bench)
{
	uint64_t page = any_page(bench);

	pb_vamap_clear(bench->map, page * PAGE, PAGE);
	set(bench, page, 1, 0x3000);
}

static void replace_16(struct bench *bench)
{
	uint64_t page = any_page(bench) & ~UINT64_C(15);

	set(bench, page, 16, 0x3000);
	for (uint64_t i = 0; i < 16; i++)
		set(bench, page + i, 1, 0x3000);
}

static void look_up(struct bench *bench)
{
	struct pb_range range;

	if (pb_vamap_next(bench->map, any_page(bench) * PAGE, &range) < 0)
		abort();
}

static const struct {
	const char *name;
	void (*run)(struct bench *bench);
	uint64_t ops; /* calls of the map in one run */
} cases[] = {
	{"replace one page", replace, 1},
	{"clear, set one page", clear_and_set, 2},
	{"join 16, set 16 again", replace_16, 17},
	{"look up", look_up, 1},
};

static double measure(struct bench *bench, size_t which)
{
	uint64_t runs = OPS / cases[which].ops, start = now_ns();

	for (uint64_t i = 0; i < runs; i++)
		cases[which].run(bench);
	return (double)(now_ns() - start) / (double)(runs * cases[which].ops);
}

int main(void)
{
	static const uint64_t sizes[] = {1000, 32000, 1000000};
	const size_t size_count = sizeof(sizes) / sizeof(sizes[0]);
	struct bench bench[3] = {0};
	struct test_random random = test_random_start("bench_vamap");

	for (size_t s = 0; s < size_count; s++) {
		bench[s].random = random;
		fill(&bench[s], sizes[s]);
	}
	printf("%-24s %12s %20s %20s\n", "ns an operation", "1k", "32k (ratio)", "1M (ratio)");
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		double ns[3];

		for (size_t s = 0; s < size_count; s++) {
			double first = measure(&bench[s], c), second = measure(&bench[s], c);

			ns[s] = first < second ? first : second;
		}
		printf("%-24s %12.1f %12.1f (%5.2f) %12.1f (%5.2f)\n", cases[c].name, ns[0], ns[1], ns[1] / ns[0],
		       ns[2], ns[2] / ns[0]);
	}
	for (size_t s = 0; s < size_count; s++) {
		printf("# %zu mappings, %.1f bytes each\n", pb_vamap_count(bench[s].map),
		       (double)pb_vamap_memory(bench[s].map) / (double)pb_vamap_count(bench[s].map));
		pb_vamap_destroy(bench[s].map);
	}
	return counted == 0;
}
