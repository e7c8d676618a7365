/* SPDX-License-Identifier: MIT */
/*
 * GPU accesses on several threads beside whatever else can happen to a VM. Run under ThreadSanitizer too.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "panbind.h"
#include "seed.h"
#include "sim_rig.h"

#define K(n)	((uint64_t)(n) << 10)
#define M(n)	((uint64_t)(n) << 20)
#define BASE	UINT64_C(0x10000000)
#define WINDOW	M(4)
#define PAGES	(WINDOW / K(4))
#define READERS 3

struct race {
	struct pb_file *file;
	uint32_t vm, bo[2];
	atomic_bool stop;
	atomic_ullong hits, faults, others, torn;
	atomic_uint started;
	uint64_t seed;
};

/* Page p of BO b holds, in its first eight bytes, b and p. */
static uint64_t mark(unsigned bo, uint64_t page)
{
	return UINT64_C(0xabcd) << 48 | (uint64_t)bo << 32 | page;
}

static void open_race(struct race *race, const char *options)
{
	memset(race, 0, sizeof(*race));
	race->file = rig_open(options);
	race->vm = rig_vm(race->file);
	for (unsigned b = 0; b < 2; b++) {
		char *ptr;

		race->bo[b] = rig_bo(race->file, WINDOW);
		ptr = rig_mmap(race->file, race->bo[b], WINDOW);
		for (uint64_t p = 0; p < PAGES; p++)
			*(uint64_t *)(ptr + p * K(4)) = mark(b, p);
		munmap(ptr, WINDOW);
	}
	assert_int_equal(rig_bind(race->file, race->vm, rig_map(BASE, WINDOW, race->bo[0], 0, 0)), 0);
	assert_int_equal(race->file->backend->gpu->resident(race->file, race->vm, 1), 0);
}

static void judge(struct race *race, int ret, uint64_t page, uint64_t value)
{
	if (ret == -EFAULT)
		atomic_fetch_add_explicit(&race->faults, 1, memory_order_relaxed);
	else if (ret)
		atomic_fetch_add_explicit(&race->others, 1, memory_order_relaxed);
	else if (value != mark(0, page) && value != mark(1, page))
		atomic_fetch_add_explicit(&race->torn, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&race->hits, 1, memory_order_relaxed);
}

static void *read_on(void *arg)
{
	struct race *race = arg;
	struct test_random random = {.state = race->seed + atomic_fetch_add(&race->started, 1)};

	while (!atomic_load_explicit(&race->stop, memory_order_relaxed)) {
		uint64_t page = test_random_below(&random, PAGES), value = 0;
		int ret = race->file->backend->gpu->access(race->file, race->vm, BASE + page * K(4), &value, 8, 0);

		judge(race, ret, page, value);
	}
	return NULL;
}

static void start(struct race *race, pthread_t *threads)
{
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, race), 0);
	while (atomic_load(&race->hits) < 100)
		sched_yield();
}

static void finish(struct race *race, pthread_t *threads)
{
	atomic_store(&race->stop, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
}

/* A run of random length, from either BO, at the same pages. */
static struct pb_uapi_vm_bind_op random_remap(struct race *race, struct test_random *random)
{
	uint64_t size = 1 + test_random_below(random, test_random_below(random, 8) ? 16 : PAGES - 1);
	uint64_t at = test_random_below(random, PAGES - size + 1);

	return rig_map(BASE + at * K(4), size * K(4), race->bo[test_random_below(random, 2)], at * K(4), 0);
}

static void loads_see_the_old_page_or_the_new_one(void **state)
{
	struct test_random random = test_random_start("race atomic=on");
	size_t rounds = test_rounds(20000, 1000000);
	pthread_t threads[READERS];
	struct race race;

	open_race(&race, "atomic=on");
	race.seed = random.state;
	start(&race, threads);
	for (size_t i = 0; i < rounds; i++)
		assert_int_equal(rig_bind(race.file, race.vm, random_remap(&race, &random)), 0);
	finish(&race, threads);
	print_message("# %zu remaps, %llu loads, %llu faults, %llu torn\n", rounds, race.hits, race.faults, race.torn);
	assert_int_equal(race.faults, 0);
	assert_int_equal(race.torn, 0);
	assert_int_equal(race.others, 0);
	rig_close(race.file);
}

/* Faults are right here, and torn values still are not. Goes on until a load has met a hole. */
static void before_atomic_updates_loads_meet_holes(void **state)
{
	struct test_random random = test_random_start("race atomic=off");
	size_t rounds = test_rounds(20000, 1000000), done = 0;
	pthread_t threads[READERS];
	struct race race;

	open_race(&race, "atomic=off");
	race.seed = random.state;
	start(&race, threads);
	while (done < rounds || !atomic_load(&race.faults)) {
		assert_int_equal(rig_bind(race.file, race.vm, random_remap(&race, &random)), 0);
		done++;
	}
	finish(&race, threads);
	print_message("# %zu remaps, %llu loads, %llu faults, %llu torn\n", done, race.hits, race.faults, race.torn);
	assert_int_not_equal(race.faults, 0);
	assert_int_equal(race.torn, 0);
	assert_int_equal(race.others, 0);
	rig_close(race.file);
}

/* Memory goes as soon as its last mapping does: an access that is still on its way must not be in it. */
static void a_bo_goes_only_when_no_access_is_in_it(void **state)
{
	size_t rounds = test_rounds(1500, 50000);

	for (int atomic = 0; atomic < 2; atomic++) {
		pthread_t threads[READERS];
		struct race race;

		open_race(&race, atomic ? "atomic=on" : "atomic=off");
		start(&race, threads);
		for (size_t i = 0; i < rounds; i++) {
			uint32_t bo = rig_bo(race.file, WINDOW);
			struct drm_gem_close args = {.handle = bo};

			assert_int_equal(rig_bind(race.file, race.vm, rig_map(BASE, WINDOW, bo, 0, 0)), 0);
			assert_int_equal(rig_ioctl(race.file, DRM_IOCTL_GEM_CLOSE, &args), 0);
			assert_int_equal(rig_bind(race.file, race.vm, rig_unmap(BASE + M(1), M(1))), 0);
		}
		finish(&race, threads);
		assert_int_equal(race.others, 0);
		rig_close(race.file);
	}
}

static void a_vm_goes_only_when_no_access_is_in_it(void **state)
{
	size_t rounds = test_rounds(1000, 50000);
	pthread_t threads[READERS];
	struct race race;

	open_race(&race, "");
	start(&race, threads);
	for (size_t i = 0; i < rounds; i++) {
		struct pb_uapi_vm_destroy args = {.id = race.vm};

		assert_int_equal(rig_ioctl(race.file, PB_IOCTL_VM_DESTROY, &args), 0);
		assert_int_equal(rig_vm(race.file), race.vm);
		assert_int_equal(rig_bind(race.file, race.vm, rig_map(BASE, WINDOW, race.bo[1], 0, 0)), 0);
		assert_int_equal(race.file->backend->gpu->resident(race.file, race.vm, 1), 0);
		if (i % 2)
			assert_int_equal(race.file->backend->gpu->resident(race.file, race.vm, 0), 0);
	}
	finish(&race, threads);
	assert_int_equal(race.torn, 0);
	rig_close(race.file);
}

static void *bind_on(void *arg)
{
	struct race *race = arg;
	struct test_random random = {.state = race->seed + atomic_fetch_add(&race->started, 1)};

	while (!atomic_load_explicit(&race->stop, memory_order_relaxed))
		if (rig_bind(race->file, race->vm, random_remap(race, &random)))
			atomic_fetch_add(&race->others, 1);
		else
			atomic_fetch_add(&race->hits, 1);
	return NULL;
}

/* The kernel takes binds of one VM from any thread: so do we, one op at a time. */
static void several_threads_may_bind_one_vm(void **state)
{
	size_t rounds = test_rounds(3000, 100000);
	pthread_t threads[READERS];
	struct race race;
	uint64_t value;

	open_race(&race, "");
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, bind_on, &race), 0);
	for (size_t i = 0; i < rounds; i++) {
		uint64_t page = i % PAGES;
		int ret = race.file->backend->gpu->access(race.file, race.vm, BASE + page * K(4), &value, 8, 0);

		judge(&race, ret, page, value);
	}
	finish(&race, threads);
	assert_int_equal(race.faults, 0);
	assert_int_equal(race.torn, 0);
	assert_int_equal(race.others, 0);
	rig_close(race.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_see_the_old_page_or_the_new_one),
		cmocka_unit_test(before_atomic_updates_loads_meet_holes),
		cmocka_unit_test(a_bo_goes_only_when_no_access_is_in_it),
		cmocka_unit_test(a_vm_goes_only_when_no_access_is_in_it),
		cmocka_unit_test(several_threads_may_bind_one_vm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
