/* SPDX-License-Identifier: MIT */
/*
 * What the GPU sees in the middle of an op: the AS commands in order, and the verdict on a load at each of them.
 *
 * A probe writes down every event, and what a load from one watched address gives right then: h the old page, n the new
 * one, - a fault, s a stall. "LOCK(h" is a LOCK about to happen, "LOCK)s" one that has happened.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "panbind.h"
#include "sim_mmu.h"
#include "sim_rig.h"

#define K(n) ((uint64_t)(n) << 10)
#define M(n) ((uint64_t)(n) << 20)
#define BASE UINT64_C(0x10000000)

struct rig {
	struct pb_file *file;
	uint32_t vm, old, new; /* BOs of 4 MiB, full of 'h' and of 'n' */
	uint64_t watched;
	bool regions; /* write down regions, not verdicts */
	char log[2048];
};

static void open_rig(struct rig *rig, const char *options)
{
	*rig = (struct rig){.file = rig_open(options), .watched = BASE};
	rig->vm = rig_vm(rig->file);
	rig->old = rig_bo(rig->file, M(4));
	rig->new = rig_bo(rig->file, M(4));
	for (uint32_t bo = rig->old; bo <= rig->new; bo++) {
		void *ptr = rig_mmap(rig->file, bo, M(4));

		memset(ptr, bo == rig->old ? 'h' : 'n', M(4));
		munmap(ptr, M(4));
	}
}

static char verdict(struct rig *rig)
{
	char value;
	int ret = rig->file->backend->gpu->access(rig->file, rig->vm, rig->watched, &value, 1, PB_GPU_NOWAIT);

	return ret == -EFAULT ? '-' : ret == -EAGAIN ? 's' : ret == -ENXIO ? 'x' : value;
}

static void note(void *data, const struct pb_as_event *event)
{
	static const char *const names[] = {"LOCK", "FLUSH", "UNLOCK", "MAP", "UNMAP"};
	struct rig *rig = data;
	size_t used = strlen(rig->log), room = sizeof(rig->log) - used;

	if (rig->regions && event->before)
		return;
	if (used)
		used += (size_t)snprintf(rig->log + used, room, " ");
	if (rig->regions)
		snprintf(rig->log + used, room, "%s %" PRIx64 "+%" PRIx64 ";", names[event->type], event->va,
			 event->size);
	else
		snprintf(rig->log + used, room, "%s%c%c", names[event->type], event->before ? '(' : ')', verdict(rig));
}

/* Bind with the probe watching, and compare. */
static void assert_log(struct rig *rig, struct pb_uapi_vm_bind_op op, const char *want)
{
	const struct pb_gpu_ops *gpu = rig->file->backend->gpu;

	rig->log[0] = '\0';
	assert_int_equal(gpu->probe(rig->file, note, rig), 0);
	assert_int_equal(rig_bind(rig->file, rig->vm, op), 0);
	assert_int_equal(gpu->probe(rig->file, NULL, NULL), 0);
	assert_string_equal(rig->log, want);
}

static void quietly(struct rig *rig, struct pb_uapi_vm_bind_op op)
{
	assert_int_equal(rig_bind(rig->file, rig->vm, op), 0);
}

static void set_resident(struct rig *rig)
{
	assert_int_equal(rig->file->backend->gpu->resident(rig->file, rig->vm, 1), 0);
}

static void with_atomic_updates_a_remap_never_shows_a_hole(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=on");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, K(64), rig.old, 0, 0));
	assert_log(&rig, rig_map(BASE, K(64), rig.new, 0, 0),
		   "LOCK(h LOCK)s UNMAP(s UNMAP)s MAP(s MAP)s FLUSH(s FLUSH)s UNLOCK(s UNLOCK)n");
	assert_log(&rig, rig_unmap(BASE, K(64)), "LOCK(n LOCK)s UNMAP(s UNMAP)s FLUSH(s FLUSH)s UNLOCK(s UNLOCK)-");
	rig_close(rig.file);
}

static void before_atomic_updates_a_remap_has_a_hole(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=off");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, K(64), rig.old, 0, 0));
	assert_log(&rig, rig_map(BASE, K(64), rig.new, 0, 0),
		   "UNMAP(h UNMAP)- LOCK(- LOCK)s FLUSH(s FLUSH)- MAP(- MAP)n LOCK(n LOCK)s FLUSH(s FLUSH)n");
	rig_close(rig.file);
}

static void outside_the_locked_block_nothing_stalls(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=on");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, K(128), rig.old, 0, 0));
	rig.watched = BASE + K(64);
	assert_log(&rig, rig_map(BASE, K(64), rig.new, 0, 0),
		   "LOCK(h LOCK)h UNMAP(h UNMAP)h MAP(h MAP)h FLUSH(h FLUSH)h UNLOCK(h UNLOCK)h");
	/* 32 KiB is the smallest block: the neighbour of a page stalls with it. */
	rig.watched = BASE + K(28);
	assert_log(&rig, rig_map(BASE, K(4), rig.new, 0, 0),
		   "LOCK(n LOCK)s UNMAP(s UNMAP)s MAP(s MAP)s FLUSH(s FLUSH)s UNLOCK(s UNLOCK)n");
	rig_close(rig.file);
}

static void a_vm_without_a_slot_issues_no_commands(void **state)
{
	struct rig rig;
	struct panbind_gpu_stats stats;

	open_rig(&rig, "atomic=on");
	quietly(&rig, rig_map(BASE, K(64), rig.old, 0, 0));
	assert_log(&rig, rig_map(BASE, K(64), rig.new, 0, 0), "UNMAP(x UNMAP)x MAP(x MAP)x");
	assert_int_equal(rig.file->backend->gpu->stats(rig.file, rig.vm, &stats), 0);
	assert_int_equal(stats.locks + stats.flushes + stats.unlocks, 0);
	rig_close(rig.file);
}

static void the_lock_is_the_smallest_aligned_power_of_two(void **state)
{
	static const struct {
		uint64_t va, size, lock_va, lock_size;
	} cases[] = {
		{BASE, K(4), BASE, K(32)},
		{BASE + K(28), K(4), BASE, K(32)},
		{BASE + K(28), K(8), BASE, K(64)},
		{BASE, K(32), BASE, K(32)},
		{BASE, K(36), BASE, K(64)},
		{BASE + K(4), M(1), BASE, M(2)},
		{M(16) - K(4), K(8), 0, M(32)},
		{(UINT64_C(1) << 46) - K(4), K(8), 0, UINT64_C(1) << 47},
		{0, UINT64_C(1) << 48, 0, UINT64_C(1) << 48},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t locked = sim_lock_pack(cases[i].va, cases[i].size);

		assert_int_equal(sim_lock_start(locked), cases[i].lock_va);
		assert_int_equal(sim_lock_size(locked), cases[i].lock_size);
		assert_true(sim_lock_holds(locked, cases[i].va));
		assert_true(sim_lock_holds(locked, cases[i].va + cases[i].size - 1));
		assert_false(sim_lock_holds(locked, cases[i].lock_va + cases[i].lock_size));
		assert_false(sim_lock_holds(0, cases[i].va));
	}
}

static void events_name_regions_and_pieces(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=on");
	rig.regions = true;
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, K(16), rig.old, 0, 0));
	quietly(&rig, rig_map(BASE + K(32), K(16), rig.old, 0, 0));
	assert_log(&rig, rig_map(BASE + K(8), K(32), rig.new, 0, 0),
		   "LOCK 10000000+10000; UNMAP 10002000+2000; UNMAP 10008000+2000; MAP 10002000+8000; "
		   "FLUSH 10002000+8000; UNLOCK 10000000+10000;");
	rig_close(rig.file);
}

static void before_atomic_updates_each_piece_is_flushed_for_itself(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=off");
	rig.regions = true;
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, K(16), rig.old, 0, 0));
	quietly(&rig, rig_map(BASE + K(32), K(16), rig.old, 0, 0));
	assert_log(&rig, rig_map(BASE + K(8), K(32), rig.new, 0, 0),
		   "UNMAP 10002000+2000; LOCK 10000000+8000; FLUSH 10002000+2000; "
		   "UNMAP 10008000+2000; LOCK 10008000+8000; FLUSH 10008000+2000; "
		   "MAP 10002000+8000; LOCK 10000000+10000; FLUSH 10002000+8000;");
	rig_close(rig.file);
}

static void cutting_a_block_locks_all_of_it(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=on");
	rig.regions = true;
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, M(4), rig.old, 0, 0));
	/* Both ends are inside blocks: both blocks come out, and what is left of them goes back in as pages. */
	assert_log(&rig, rig_map(BASE + M(1), M(2), rig.new, 0, 0),
		   "LOCK 10000000+400000; UNMAP 10000000+400000; MAP 10000000+100000; MAP 10300000+100000; "
		   "MAP 10100000+200000; FLUSH 10100000+200000; UNLOCK 10000000+400000;");
	assert_string_equal(rig_pages(rig.file, rig.vm, 0, UINT64_C(1) << 47),
			    "0x10000000+0x100000 bo 1+0x0; 0x10100000+0x200000 bo 2+0x0; "
			    "0x10300000+0x100000 bo 1+0x300000");
	/* Pages, now: nothing to widen. */
	assert_log(&rig, rig_unmap(BASE + K(512), K(4)),
		   "LOCK 10080000+8000; UNMAP 10080000+1000; FLUSH 10080000+1000; UNLOCK 10080000+8000;");
	rig_close(rig.file);
}

static void the_rest_of_a_cut_block_is_never_missing(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=on");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, M(2), rig.old, 0, 0));
	rig.watched = BASE; /* in the block, not in the op */
	assert_log(&rig, rig_unmap(BASE + M(1), K(4)),
		   "LOCK(h LOCK)s UNMAP(s UNMAP)s MAP(s MAP)s MAP(s MAP)s FLUSH(s FLUSH)s UNLOCK(s UNLOCK)h");
	rig_close(rig.file);
	/* The old driver puts a table in the block's place: no need to lock what stays. */
	open_rig(&rig, "atomic=off");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, M(2), rig.old, 0, 0));
	assert_log(&rig, rig_unmap(BASE + M(1), K(4)), "UNMAP(h UNMAP)h LOCK(h LOCK)h FLUSH(h FLUSH)h");
	rig_close(rig.file);
}

static void a_patched_old_driver_flushes_and_unlocks_in_one_command(void **state)
{
	struct rig rig;
	struct panbind_gpu_stats stats;

	open_rig(&rig, "atomic=on,minor=3");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, K(64), rig.old, 0, 0));
	assert_log(&rig, rig_map(BASE, K(64), rig.new, 0, 0),
		   "LOCK(h LOCK)s UNMAP(s UNMAP)s MAP(s MAP)s FLUSH(s FLUSH)n");
	assert_int_equal(rig.file->backend->gpu->stats(rig.file, rig.vm, &stats), 0);
	assert_int_equal(stats.locks, 2);
	assert_int_equal(stats.flushes, 2);
	assert_int_equal(stats.unlocks, 0);
	rig_close(rig.file);
}

static void a_patched_old_driver_cuts_a_block_where_it_is(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=on,minor=3");
	rig.regions = true;
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, M(4), rig.old, 0, 0));
	/* Locked is the whole block, edited is the op's part of it. */
	assert_log(&rig, rig_map(BASE + M(1), M(2), rig.new, 0, 0),
		   "LOCK 10000000+400000; UNMAP 10100000+200000; MAP 10100000+200000; FLUSH 10100000+200000;");
	assert_string_equal(rig_pages(rig.file, rig.vm, 0, UINT64_C(1) << 47),
			    "0x10000000+0x100000 bo 1+0x0; 0x10100000+0x200000 bo 2+0x0; "
			    "0x10300000+0x100000 bo 1+0x300000");
	rig_close(rig.file);
}

static void a_sparse_map_is_one_op(void **state)
{
	struct rig rig;

	open_rig(&rig, "atomic=on");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, M(4), rig.old, 0, 0));
	rig.regions = true;
	assert_log(&rig, rig_sparse(BASE - M(2), M(6)),
		   "LOCK 0+20000000; UNMAP 10000000+400000; MAP fe00000+600000; FLUSH fe00000+600000; "
		   "UNLOCK 0+20000000;");
	rig_close(rig.file);
}

static void commands_are_counted(void **state)
{
	struct rig rig;
	struct panbind_gpu_stats stats;

	open_rig(&rig, "atomic=on");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, K(64), rig.old, 0, 0));
	quietly(&rig, rig_map(BASE, K(64), rig.new, 0, 0));
	assert_int_equal(rig.file->backend->gpu->stats(rig.file, rig.vm, &stats), 0);
	assert_int_equal(stats.locks, 2);
	assert_int_equal(stats.flushes, 2);
	assert_int_equal(stats.unlocks, 2);
	rig_close(rig.file);
	open_rig(&rig, "atomic=off");
	set_resident(&rig);
	quietly(&rig, rig_map(BASE, K(64), rig.old, 0, 0));
	quietly(&rig, rig_map(BASE, K(64), rig.new, 0, 0));
	assert_int_equal(rig.file->backend->gpu->stats(rig.file, rig.vm, &stats), 0);
	assert_int_equal(stats.locks, 3);
	assert_int_equal(stats.flushes, 3);
	assert_int_equal(stats.unlocks, 0); /* FLUSH_PT unlocks by itself */
	rig_close(rig.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_atomic_updates_a_remap_never_shows_a_hole),
		cmocka_unit_test(before_atomic_updates_a_remap_has_a_hole),
		cmocka_unit_test(outside_the_locked_block_nothing_stalls),
		cmocka_unit_test(a_vm_without_a_slot_issues_no_commands),
		cmocka_unit_test(the_lock_is_the_smallest_aligned_power_of_two),
		cmocka_unit_test(events_name_regions_and_pieces),
		cmocka_unit_test(before_atomic_updates_each_piece_is_flushed_for_itself),
		cmocka_unit_test(cutting_a_block_locks_all_of_it),
		cmocka_unit_test(the_rest_of_a_cut_block_is_never_missing),
		cmocka_unit_test(a_patched_old_driver_flushes_and_unlocks_in_one_command),
		cmocka_unit_test(a_patched_old_driver_cuts_a_block_where_it_is),
		cmocka_unit_test(a_sparse_map_is_one_op),
		cmocka_unit_test(commands_are_counted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
