/* SPDX-License-Identifier: MIT */
/*
 * What it costs to read the states of two VMs and to compare them, with a million mappings each, of which one in a
 * hundred differs; and with all of them different.
 *
 * Prints milliseconds of this thread, and how the comparison relates to reading the two states, which walks the same
 * mappings. Judge release builds only. Nothing here fails for being slow.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "internal.h"
#include "seed.h"

#define PAGE	 UINT64_C(4096)
#define MAPPINGS 1000000u
#define BOS	 1000u

struct bench {
	struct panbind_device *device;
	struct panbind_bo *bos[BOS];
	struct panbind_vm *vms[2];
	struct test_random random;
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void must(int r)
{
	if (r < 0)
		abort();
}

/* Straight into the shadow: how long a driver takes is not the question. Neighbours never continue each other. */
static void fill(struct bench *bench, struct panbind_vm *vm, uint32_t one_in)
{
	for (uint64_t i = 0; i < MAPPINGS; i++) {
		uint64_t other = one_in && test_random_below(&bench->random, one_in) == 0;
		struct pb_range range = {.va = i * 2 * PAGE, .size = PAGE, .bo = bench->bos[(i * 7 + other) % BOS]};

		range.bo_offset = (i % 16) * PAGE;
		must(pb_vamap_reserve(vm->map, 1));
		must(pb_vamap_set(vm->map, &range));
	}
}

static void compare(const struct bench *bench, const char *what)
{
	struct panbind_state *states[2];
	struct panbind_state_diff *diff;
	double begin, read, compared;

	begin = now_ms();
	for (int i = 0; i < 2; i++)
		must(panbind_state_of_vm(bench->vms[i], &states[i]));
	read = now_ms() - begin;
	begin = now_ms();
	must(panbind_state_diff(states[0], states[1], &diff));
	compared = now_ms() - begin;
	printf("%-24s %10.1f %10.1f %10.1f %8.2f %10zu %10zu\n", what, read, compared, read + compared, compared / read,
	       panbind_state_diff_count(diff), panbind_state_diff_op_count(diff));
	panbind_state_diff_destroy(diff);
	for (int i = 0; i < 2; i++)
		panbind_state_destroy(states[i]);
}

int main(void)
{
	struct bench bench = {.random = test_random_start("bench_state")};

	must(panbind_device_open("sim:", &bench.device, NULL));
	for (size_t i = 0; i < BOS; i++)
		must(panbind_bo_create(bench.device, 16 * PAGE, 0, NULL, &bench.bos[i], NULL));
	for (int i = 0; i < 2; i++)
		must(panbind_vm_create(bench.device, 0, &bench.vms[i], NULL));
	printf("two VMs with %u mappings each\n%-24s %10s %10s %10s %8s %10s %10s\n", MAPPINGS, "ms", "read both",
	       "compare", "together", "ratio", "ranges", "ops");
	fill(&bench, bench.vms[0], 0);
	fill(&bench, bench.vms[1], 0);
	compare(&bench, "equal");
	fill(&bench, bench.vms[1], 100);
	compare(&bench, "one in a hundred differs");
	fill(&bench, bench.vms[1], 1);
	compare(&bench, "all differ");
	for (int i = 0; i < 2; i++)
		panbind_vm_destroy(bench.vms[i]);
	for (size_t i = 0; i < BOS; i++)
		panbind_bo_unref(bench.bos[i]);
	panbind_device_unref(bench.device);
	return 0;
}
