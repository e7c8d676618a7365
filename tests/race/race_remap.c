/* SPDX-License-Identifier: MIT */
/*
 * Loads race remaps: the claim of atomic page table updates, a million times.
 *
 * A window of pages is mapped to BO `a` or BO `b`; page p of either holds a word that says which BO and which page it
 * is. One thread remaps random runs of pages from one BO to the other while reader threads load from random pages. A
 * load may see the old page or the new one. A fault is a hole; any other value is torn.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "panbind.h"

#define PAGES	512u
#define BASE	0x100000000ull
#define READERS 2

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct race {
	struct panbind_device *device;
	struct panbind_vm *vm;
	struct panbind_bo *bo[2];
	atomic_bool stop;
	atomic_ullong loads, holes, torn, errors;
	uint64_t seed;
};

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t word_of(unsigned which, uint64_t page)
{
	return 0x50414745ull << 32 | (uint64_t)which << 31 | page;
}

static uint64_t remaps_wanted(void)
{
	const char *given = getenv("PANBIND_RACE_REMAPS");

	if (given)
		return strtoull(given, NULL, 0);
	return SANITIZED ? 20000 : 1000000;
}

static void *reader(void *data)
{
	struct race *race = data;
	uint64_t state = race->seed + (uintptr_t)&state, loads = 0;

	while (!atomic_load_explicit(&race->stop, memory_order_relaxed)) {
		uint64_t page = next_random(&state) % PAGES, value = 0;
		int r = panbind_vm_gpu_load(race->vm, BASE + page * PANBIND_PAGE_SIZE, &value, sizeof(value));

		loads++;
		if (r == -EFAULT)
			atomic_fetch_add(&race->holes, 1);
		else if (r < 0)
			atomic_fetch_add(&race->errors, 1);
		else if (value != word_of(0, page) && value != word_of(1, page))
			atomic_fetch_add(&race->torn, 1);
	}
	atomic_fetch_add(&race->loads, loads);
	return NULL;
}

static struct panbind_bo *bo_of_words(struct race *race, unsigned which)
{
	struct panbind_bo *bo;
	void *ptr;

	assert_int_equal(panbind_bo_create(race->device, PAGES * PANBIND_PAGE_SIZE, 0, NULL, &bo, NULL), 0);
	assert_int_equal(panbind_bo_mmap(bo, &ptr), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		*(uint64_t *)((char *)ptr + page * PANBIND_PAGE_SIZE) = word_of(which, page);
	return bo;
}

static void setup(struct race *race, const char *spec)
{
	const char *seed = getenv("PANBIND_SEED");

	memset(race, 0, sizeof(*race));
	race->seed = seed ? strtoull(seed, NULL, 0) : 20261122;
	assert_int_equal(panbind_device_open(spec, &race->device, NULL), 0);
	assert_int_equal(panbind_vm_create(race->device, 0, &race->vm, NULL), 0);
	race->bo[0] = bo_of_words(race, 0);
	race->bo[1] = bo_of_words(race, 1);
	assert_int_equal(panbind_vm_map(race->vm, BASE, PAGES * PANBIND_PAGE_SIZE, race->bo[0], 0, 0, NULL), 0);
	assert_int_equal(panbind_vm_gpu_resident(race->vm, 1), 0);
}

static void teardown(struct race *race)
{
	panbind_vm_destroy(race->vm);
	panbind_bo_unref(race->bo[0]);
	panbind_bo_unref(race->bo[1]);
	panbind_device_unref(race->device);
}

/* Mostly single pages; now and then a run, so that mappings are cut and joined. */
static void remap_some(struct race *race, uint64_t *state)
{
	uint64_t random = next_random(state);
	uint64_t page = random % PAGES;
	uint64_t run = (random >> 32) % 8 ? 1 : 1 + (random >> 40) % 16;

	if (run > PAGES - page)
		run = PAGES - page;
	assert_int_equal(panbind_vm_map(race->vm, BASE + page * PANBIND_PAGE_SIZE, run * PANBIND_PAGE_SIZE,
					race->bo[random >> 63], page * PANBIND_PAGE_SIZE, 0, NULL),
			 0);
}

static void run_race(struct race *race, const char *spec)
{
	uint64_t remaps = remaps_wanted(), state;
	pthread_t threads[READERS];

	setup(race, spec);
	state = race->seed;
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, race), 0);
	for (uint64_t i = 0; i < remaps; i++)
		remap_some(race, &state);
	atomic_store(&race->stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	printf("# race %s: %llu remaps, %llu loads by %d readers: %llu faults, %llu torn values (seed %llu)\n", spec,
	       (unsigned long long)remaps, (unsigned long long)race->loads, READERS, (unsigned long long)race->holes,
	       (unsigned long long)race->torn, (unsigned long long)race->seed);
	teardown(race);
}

static void atomic_updates_show_the_old_page_or_the_new(void **unused)
{
	struct race race;

	run_race(&race, "sim:atomic=on");
	assert_true(race.loads > 0);
	assert_int_equal(race.holes, 0);
	assert_int_equal(race.torn, 0);
	assert_int_equal(race.errors, 0);
}

static void without_them_the_same_loads_fall_into_holes(void **unused)
{
	struct race race;

	run_race(&race, "sim:atomic=off");
	assert_true(race.loads > 0);
	if (!SANITIZED) /* a sanitizer's scheduling may hide the hole in the few rounds it has */
		assert_true(race.holes > 0);
	assert_int_equal(race.torn, 0);
	assert_int_equal(race.errors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(atomic_updates_show_the_old_page_or_the_new),
		cmocka_unit_test(without_them_the_same_loads_fall_into_holes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
