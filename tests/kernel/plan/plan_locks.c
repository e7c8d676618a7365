/* SPDX-License-Identifier: MIT */
/*
 * A plan against the real driver: what `panbind plan` says of a script, and what that driver then writes to the
 * emulated GPU's registers while the script runs, LOCK for LOCK, on a VM that a job keeps on the GPU. In the kernel box
 * only (tests/kernel/test-plan.sh); tests/unit/test_plan_sim.c does the same with random batches on the simulator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../kernel/malisim/job.h"
#include "../support/gpu_job.h"
#include "../support/malisim.h"
#include "internal.h"
#include "session_room.h"

#define LOCKS  256
#define RUN_MS 4000 /* longer than a script, shorter than the driver lets a job run */
#define BLOCK  (UINT64_C(2) << 20)
#define PAGE   UINT64_C(4096)
#define OUR_AS 1 /* the only VM that is on the GPU beside the firmware's */

struct locks {
	struct lock {
		uint64_t va, size;
	} locks[LOCKS];
	size_t count;
};

/** What is there before, and what is planned and run. */
struct scene {
	const char *before, *script;
	size_t units; /* after merging */
};

static struct locks planned;
static size_t planned_units;

static void add(struct locks *locks, uint64_t va, uint64_t size)
{
	assert_true(locks->count < LOCKS);
	locks->locks[locks->count++] = (struct lock){va, size};
}

/** Does the GPU find a block of 2 MiB at that address? */
static bool is_block(uint64_t va)
{
	struct malisim_event event;
	unsigned int page_kib = 0;
	FILE *trace;

	assert_int_equal(malisim_write("probe", "add %llx any any", (unsigned long long)va), 0);
	assert_int_equal(malisim_write("trace", "clear"), 0);
	assert_int_equal(malisim_write("probe", "check"), 0);
	trace = malisim_trace();
	assert_non_null(trace);
	while (malisim_next(trace, &event))
		if (!strcmp(event.name, "LOAD") && event.as == OUR_AS)
			page_kib = event.page_kib;
	fclose(trace);
	assert_int_equal(malisim_write("probe", "clear"), 0);
	return page_kib == BLOCK >> 10;
}

/** The smallest power of two that holds [va, end), at a multiple of itself, as LOCKADDR takes it. */
static struct lock region_of(uint64_t va, uint64_t end)
{
	uint64_t size = 0x8000;

	while (va / size != (end - 1) / size)
		size *= 2;
	return (struct lock){va / size * size, size};
}

/** The lock of a unit that may cut blocks: around those that are there. */
static struct lock cutting_lock(const struct panbind_plan_unit *unit)
{
	uint64_t va = unit->op.va, end = va + unit->op.size;
	bool first = is_block(va), last = is_block(end - PAGE);
	struct lock lock = region_of(first ? va & ~(BLOCK - 1) : va, last ? (end + BLOCK - 1) & ~(BLOCK - 1) : end);

	assert_int_equal(unit->driver_ops, 1);
	print_message("# a unit that may cut %u blocks cuts %d\n", unit->splits,
		      (first && va % BLOCK) + (last && end % BLOCK && (end - PAGE) / BLOCK != va / BLOCK));
	if (first && last) {
		assert_int_equal(lock.va, unit->lock_va);
		assert_int_equal(lock.size, unit->lock_size);
	}
	assert_true(lock.va >= unit->lock_va && lock.va + lock.size <= unit->lock_va + unit->lock_size);
	return lock;
}

/** A unit of the plan: the locks that it says. */
static void note_unit(struct session_room *room, const struct panbind_event *event)
{
	const struct panbind_plan_unit *unit = event->unit;
	uint64_t va, size;

	if (event->type != PANBIND_EVENT_PLAN)
		return;
	planned_units++;
	for (uint32_t nth = 0; panbind_plan_lock(event->plan, event->index, nth, &va, &size) == 0; nth++)
		add(&planned, va, size);
	if (unit->driver_ops == 1) {
		assert_int_equal(unit->lock_va, planned.locks[planned.count - 1].va);
		assert_int_equal(unit->lock_size, planned.locks[planned.count - 1].size);
	}
	if (unit->splits > 0)
		planned.locks[planned.count - 1] = cutting_lock(unit);
}

/** The locks that the driver has written. */
static void read_trace(struct locks *seen)
{
	struct malisim_event event;
	FILE *trace = malisim_trace();

	assert_non_null(trace);
	while (malisim_next(trace, &event))
		if (event.as == OUR_AS && !strcmp(event.name, "LOCK"))
			add(seen, event.va, event.size);
	fclose(trace);
}

/** The first place where they differ, or -1. */
static long difference(const struct locks *one, const struct locks *two)
{
	for (size_t i = 0; i < one->count && i < two->count; i++)
		if (one->locks[i].va != two->locks[i].va || one->locks[i].size != two->locks[i].size)
			return (long)i;
	return one->count == two->count ? -1 : (long)(one->count < two->count ? one->count : two->count);
}

static void tell(const char *who, const struct locks *locks)
{
	for (size_t i = 0; i < locks->count; i++)
		print_message("# %s: 0x%llx+0x%llx\n", who, (unsigned long long)locks->locks[i].va,
			      (unsigned long long)locks->locks[i].size);
}

/** Give the VM an address space until the job is closed. */
static void keep_on_gpu(struct gpu_job *job, struct panbind_vm *vm)
{
	uint64_t *at;

	assert_int_equal(gpu_job_open(job, vm->device->file, vm->id), 0);
	at = job_store(job->stream, GPU_JOB_WORD(0), 1);
	assert_int_equal(gpu_job_submit(job, job_run(at, RUN_MS)), 0);
	assert_int_equal(gpu_job_wait(job, 0, 1, 2000), 0);
}

/** Plan and run. Both lists of locks are then there to be compared. */
static void play(const struct scene *scene, struct locks *seen)
{
	struct session_room *room = session_room_open("drm:auto");
	struct gpu_job job;

	session_room_must(room, "vm create v\nbo create b 16M\nbo create c 16M\n");
	session_room_must(room, scene->before);
	keep_on_gpu(&job, panbind_session_vm(room->session, "v"));
	planned.count = planned_units = 0;
	room->on_event = note_unit;
	assert_int_equal(session_room_run(room, scene->script, PANBIND_RUN_PLAN), 0);
	room->on_event = NULL;
	assert_int_equal(malisim_write("trace", "clear"), 0);
	session_room_must(room, scene->script);
	seen->count = 0;
	read_trace(seen);
	gpu_job_close(&job);
	session_room_close(room);
	assert_int_equal(planned_units, scene->units);
	assert_true(planned.count >= planned_units);
}

static void assert_as_planned(const struct scene *scene)
{
	struct locks seen;
	long at;

	play(scene, &seen);
	at = difference(&planned, &seen);
	if (at < 0)
		return;
	tell("planned", &planned);
	tell("written", &seen);
	fail_msg("they part at lock %ld of:\n%s", at, scene->script);
}

static void assert_all_as_planned(const struct scene *scenes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_as_planned(&scenes[i]);
}

/* ---- Scripts ---- */

static void test_single_ops(void **state)
{
	static const struct scene scenes[] = {
		{"", "map v 0x1000_0000 4K b", 1},
		{"", "map v 0x1234_5000 68K b+64K", 1},
		{"map v 0x1000_0000 64K b", "map v 0x1000_4000 16K c --readonly", 1},
		{"map v 0x1000_0000 64K b", "unmap v 0x1000_4000 16K", 1},
		{"map v 0x1000_0000 64K b\nmap v 0x1002_0000 64K c", "unmap v 0x1000_0000 1M", 1},
	};

	assert_all_as_planned(scenes, PB_ARRAY_SIZE(scenes));
}

/* The lock is a power of two: what lies across a border takes much more than its size. */
static void test_pieces_across_borders(void **state)
{
	static const struct scene scenes[] = {
		{"", "map v 0x1001_f000 8K b", 1},
		{"", "map v 0x1fff_f000 8K b", 1},
		{"map v 0x3fff_c000 32K c", "map v 0x3fff_e000 16K b", 1},
		{"map v 0x3fff_fff0_0000 2M b", "unmap v 0x3fff_ffff_0000 128K", 1},
	};

	assert_all_as_planned(scenes, PB_ARRAY_SIZE(scenes));
}

static void test_blocks_that_are_cut(void **state)
{
	static const struct scene scenes[] = {
		{"map v 0x2000_0000 4M b", "map v 0x2008_0000 64K c", 1},
		{"map v 0x2000_0000 4M b", "unmap v 0x2010_0000 2M", 1},
		{"map v 0x2000_0000 2M b\nmap v 0x2020_0000 2M c", "map v 0x201f_f000 8K c+4M", 1},
		{"map v 0x2000_0000 4M b\nmap v 0x2008_0000 64K c", "map v 0x2009_0000 64K c+64K", 1},
	};

	assert_all_as_planned(scenes, PB_ARRAY_SIZE(scenes));
}

static void test_batches_that_merge(void **state)
{
	static const struct scene scenes[] = {
		{"", "repeat 8 i\nmap v $(0x1000_0000 + i * 64K) 64K b+$(i * 64K)\nend", 1},
		{"map v 0x1000_0000 1M b", "unmap v 0x1000_0000 64K\nmap v 0x1000_0000 64K c", 1},
		{"", "map v 0x1000_0000 64K b\nmap v 0x1000_0000 64K c\nmap v 0x1004_0000 64K b", 2},
		{"map v 0x1000_0000 1M b", "repeat 20 i\nmap v $(0x1000_0000 + i * 32K) 16K c\nend", 20},
	};

	assert_all_as_planned(scenes, PB_ARRAY_SIZE(scenes));
}

/* This driver knows no sparse mappings: a range of a dummy BO is as many ops as it takes. */
static void test_sparse(void **state)
{
	static const struct scene scenes[] = {
		{"", "sparse reserve v 0x4000_0000 8M", 1},
		{"sparse reserve v 0x4000_0000 8M", "sparse bind v 0x4010_0000 64K b", 1},
		{"sparse reserve v 0x4000_0000 8M\nsparse bind v 0x401f_0000 128K b",
		 "sparse unbind v 0x401f_0000 128K", 1},
		{"sparse reserve v 0x4000_0000 8M\nsparse bind v 0x4010_0000 64K b", "sparse release v 0x4000_0000 8M",
		 1},
	};

	assert_all_as_planned(scenes, PB_ARRAY_SIZE(scenes));
}

/* ---- That the test can fail ---- */

static void test_a_wrong_plan_would_be_seen(void **state)
{
	static const struct scene scene = {"", "map v 0x1000_0000 64K b\nmap v 0x1004_0000 64K b", 2};
	struct locks seen, wrong;

	play(&scene, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(difference(&planned, &seen), -1);
	wrong = planned;
	wrong.locks[1].size *= 2;
	assert_int_equal(difference(&wrong, &seen), 1);
	wrong = planned;
	wrong.locks[0].va += 0x10000;
	assert_int_equal(difference(&wrong, &seen), 0);
	wrong = planned;
	wrong.count--;
	assert_int_equal(difference(&wrong, &seen), 1);
	wrong = planned;
	add(&wrong, 0, 0x8000);
	assert_int_equal(difference(&wrong, &seen), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single_ops),
		cmocka_unit_test(test_pieces_across_borders),
		cmocka_unit_test(test_blocks_that_are_cut),
		cmocka_unit_test(test_batches_that_merge),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_a_wrong_plan_would_be_seen),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("plans and locks", tests, NULL, NULL);
}
