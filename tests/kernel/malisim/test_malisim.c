/* SPDX-License-Identifier: MIT */
/*
 * The emulated device, as a driver and a job see it. Runs in the kernel box (tests/kernel/test-malisim.sh).
 *
 * What the driver cannot be brought to do wrong is done by hand: malisim's files "reg" and "swap" write registers and
 * page tables behind its back.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../kernel/malisim/job.h"
#include "../support/gpu_job.h"
#include "../support/malisim.h"
#include "raw.h"

#define VA_A UINT64_C(0x10000000)
#define VA_B UINT64_C(0x10001000)
#define OLD  UINT64_C(0xa1d)
#define NEW  UINT64_C(0x2e3)

/* words of a job's memory */
enum { BEGUN, DONE };

/* registers of address space 1, the first that a user VM gets */
#define AS1_LOCKADDR_LO "2450"
#define AS1_LOCKADDR_HI "2454"
#define AS1_COMMAND	"2458"
#define CMD_LOCK	"2"
#define CMD_UNLOCK	"3"
#define CMD_FLUSH_MEM	"5"
#define GPU_COMMAND	"30"
#define FLUSH_L2	"304" /* clean and invalidate */

/* A VM with a job, and two pages with other contents at VA_A and VA_B. */
struct room {
	struct raw *raw;
	struct gpu_job job;
};

static uint32_t make_page(struct raw *raw, uint64_t value)
{
	uint32_t bo = raw_bo(raw, RAW_PAGE);
	uint64_t *words = raw_bo_mmap(raw, bo, RAW_PAGE);

	for (size_t i = 0; i < RAW_PAGE / sizeof(*words); i++)
		words[i] = value;
	munmap(words, RAW_PAGE);
	return bo;
}

static int set_up(void **state)
{
	struct room *room = calloc(1, sizeof(*room));
	void *raw = NULL;

	assert_non_null(room);
	assert_int_equal(raw_setup(&raw), 0);
	*state = room;
	room->raw = raw;
	assert_int_equal(gpu_job_open(&room->job, room->raw->file, room->raw->vm), 0);
	assert_int_equal(raw_map(room->raw, VA_A, RAW_PAGE, make_page(room->raw, OLD), 0, 0), 0);
	assert_int_equal(raw_map(room->raw, VA_B, RAW_PAGE, make_page(room->raw, NEW), 0, 0), 0);
	assert_int_equal(malisim_write("trace", "clear"), 0);
	assert_int_equal(malisim_write("stats", "clear"), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct room *room = *state;
	void *raw = room->raw;

	malisim_write("probe", "clear");
	malisim_write("busy", "0");
	gpu_job_close(&room->job);
	raw_teardown(&raw);
	free(room);
	return 0;
}

/* Submit the job up to @end, and an end of its own: word DONE. */
static void submit(struct room *room, uint64_t *end)
{
	end = job_store(end, GPU_JOB_WORD(DONE), 1);
	assert_int_equal(gpu_job_submit(&room->job, end), 0);
}

static int wait_done(struct room *room, unsigned int ms)
{
	return gpu_job_wait(&room->job, DONE, 1, ms);
}

static void probe_a(void)
{
	assert_int_equal(malisim_write("probe", "add %" PRIx64 " %" PRIx64 " %" PRIx64, VA_A, OLD, NEW), 0);
}

/* Longer than a test takes on a machine that is busy, and less than the five seconds after which the driver ends it. */
#define RESIDENT_MS 4000

/* A VM that has address space 1 and a probe at VA_A. */
static struct room *given_resident(void **state)
{
	struct room *room = *state;
	uint64_t *at = job_store(room->job.stream, GPU_JOB_WORD(BEGUN), 1);

	submit(room, job_run(at, RESIDENT_MS));
	assert_int_equal(gpu_job_wait(&room->job, BEGUN, 1, 2000), 0);
	probe_a();
	assert_int_equal(malisim_write("stats", "clear"), 0);
	return room;
}

/* How many lines of the trace contain @text. */
static unsigned int traced(const char *text)
{
	struct malisim_event event;
	FILE *trace = malisim_trace();
	unsigned int count = 0;

	assert_non_null(trace);
	while (malisim_next(trace, &event))
		count += strstr(event.line, text) != NULL;
	fclose(trace);
	return count;
}

static void write_register(const char *offset, const char *value)
{
	assert_int_equal(malisim_write("reg", "%s %s", offset, value), 0);
}

static void lock_by_hand(const char *region)
{
	write_register(AS1_LOCKADDR_LO, region);
	write_register(AS1_LOCKADDR_HI, "0");
	write_register(AS1_COMMAND, CMD_LOCK);
}

static void swap_by_hand(void)
{
	assert_int_equal(malisim_write("swap", "1 %" PRIx64 " %" PRIx64, VA_A, VA_B), 0);
}

/* How many loads had a verdict since the last call. */
static unsigned int loads(const char *verdict)
{
	char line[64];
	unsigned int count;

	snprintf(line, sizeof(line), "verdict=%s", verdict);
	count = traced(line);
	assert_int_equal(malisim_write("trace", "clear"), 0);
	return count;
}

static unsigned int check(const char *verdict)
{
	assert_int_equal(malisim_write("trace", "clear"), 0);
	assert_int_equal(malisim_write("probe", "check"), 0);
	return loads(verdict);
}

static void test_job_loads_and_stores(void **state)
{
	struct room *room = *state;
	uint64_t *at = room->job.stream;
	uint32_t group_state = 99;

	/* given a job that copies two words from VA_A and VA_B to its own memory */
	at = job_load(at, VA_A, GPU_JOB_WORD(2));
	at = job_load(at, VA_B + RAW_PAGE - 8, GPU_JOB_WORD(3));
	at = job_store(at, GPU_JOB_WORD(4), 0x123456789abc);
	/* when it has run */
	submit(room, at);
	assert_int_equal(wait_done(room, 2000), 0);
	/* then it saw both BOs, and the group is well */
	assert_int_equal(room->job.words[2], OLD);
	assert_int_equal(room->job.words[3], NEW);
	assert_int_equal(room->job.words[4], 0x123456789abc);
	assert_int_equal(gpu_job_state(&room->job, &group_state), 0);
	assert_int_equal(group_state, 0);
	assert_int_equal(malisim_stat("jobs"), 1);
}

static void test_job_polls_until_written(void **state)
{
	struct room *room = *state;

	submit(room, job_poll(room->job.stream, GPU_JOB_WORD(5), 7));
	/* it waits as long as nothing is written */
	assert_int_equal(wait_done(room, 100), -ETIME);
	room->job.words[5] = 7;
	assert_int_equal(wait_done(room, 2000), 0);
}

static void test_more_groups_than_slots(void **state)
{
	enum { COUNT = 11 }; /* 8 slots for groups, 7 address spaces */
	struct room *room = *state;
	struct gpu_job jobs[COUNT];
	uint32_t group_state = 99;

	/* given more groups, each with a VM of its own, than the GPU can hold, and jobs that take their time */
	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t *at;

		assert_int_equal(gpu_job_open(&jobs[i], room->raw->file, raw_vm(room->raw)), 0);
		at = job_run(jobs[i].stream, 30);
		at = job_poll(at, GPU_JOB_WORD(1), 100 + i);
		at = job_store(at, GPU_JOB_WORD(DONE), 100 + i);
		assert_int_equal(gpu_job_submit(&jobs[i], at), 0);
	}
	for (uint64_t i = 0; i < COUNT; i++)
		jobs[i].words[1] = 100 + i;
	/* then all of them end, suspended and resumed wherever there is room */
	for (uint64_t i = 0; i < COUNT; i++) {
		assert_int_equal(gpu_job_wait(&jobs[i], DONE, 100 + i, 10000), 0);
		assert_int_equal(gpu_job_state(&jobs[i], &group_state), 0);
		assert_int_equal(group_state, 0);
		assert_int_equal(gpu_job_close(&jobs[i]), 0);
	}
}

/* The driver ends a group some time after the fault. */
static void assert_group_dies(struct room *room)
{
	uint32_t group_state = 0;

	for (int i = 0; i < 500 && !group_state; i++) {
		assert_int_equal(gpu_job_state(&room->job, &group_state), 0);
		usleep(10000);
	}
	assert_true(group_state & PB_GROUP_STATE_FATAL_FAULT);
}

static void test_fault_of_a_load(void **state)
{
	struct room *room = *state;

	/* when a job loads where nothing is mapped, in a range without a table of the last level */
	submit(room, job_load(room->job.stream, 0x30000000, GPU_JOB_WORD(2)));
	/* then the MMU says where and what (translation fault, level 2, read), and the driver ends the group */
	assert_group_dies(room);
	assert_int_equal(traced("FAULT as=1 va=0x30000000 status=0x2c2"), 1);
	assert_int_equal(room->job.words[DONE], 0);
}

static void test_fault_of_a_store(void **state)
{
	struct room *room = *state;

	/* nothing there, but its neighbours are: level 3, write */
	submit(room, job_store(room->job.stream, VA_A + RAW_PAGE * 2, 1));
	assert_group_dies(room);
	assert_int_equal(traced("FAULT as=1 va=0x10002000 status=0x3c3"), 1);
}

static void test_store_to_a_readonly_page(void **state)
{
	struct room *room = *state;

	assert_int_equal(raw_map(room->raw, VA_A, RAW_PAGE, make_page(room->raw, OLD), 0, PB_OP_READONLY), 0);
	submit(room, job_store(room->job.stream, VA_A, 1));
	assert_group_dies(room);
	assert_int_equal(traced("FAULT as=1 va=0x10000000 status=0x3cb"), 1);
}

static void test_tlb_keeps_until_dropped(void **state)
{
	given_resident(state);
	/* given that the TLB knows VA_A */
	assert_int_equal(check("old"), 2);
	/* when the page tables change and nobody tells the TLB */
	swap_by_hand();
	/* then a core that was there sees the old page, and one that was not the new */
	assert_int_equal(check("stale"), 1);
	assert_int_equal(check("new"), 1);
	/* and a lock and unlock of another region changes nothing */
	lock_by_hand("2000000e");
	write_register(AS1_COMMAND, CMD_UNLOCK);
	assert_int_equal(check("stale"), 1);
	/* and one of this region does, once the L2 cache no longer has the tables */
	write_register(GPU_COMMAND, FLUSH_L2);
	lock_by_hand("1000000e");
	write_register(AS1_COMMAND, CMD_UNLOCK);
	assert_int_equal(check("new"), 2);
	swap_by_hand();
}

static void test_unlock_alone_leaves_tables_in_l2(void **state)
{
	given_resident(state);
	assert_int_equal(check("old"), 2);
	swap_by_hand();
	/* when the region is unlocked without a flush of the L2 cache */
	lock_by_hand("1000000e");
	assert_int_equal(malisim_write("trace", "clear"), 0);
	write_register(AS1_COMMAND, CMD_UNLOCK);
	/* then the load that comes next walks tables that are not true any more */
	assert_true(loads("stale") >= 1);
	swap_by_hand();
}

static void test_flush_mem_drops_both(void **state)
{
	given_resident(state);
	assert_int_equal(check("old"), 2);
	swap_by_hand();
	lock_by_hand("1000000e");
	write_register(AS1_COMMAND, CMD_FLUSH_MEM);
	assert_int_equal(check("stale"), 0);
	assert_int_equal(check("new"), 2);
	swap_by_hand();
}

static void test_lock_stalls(void **state)
{
	struct room *room = *state;

	/* given a job that polls VA_A, which holds OLD */
	submit(room, job_poll(room->job.stream, VA_A, NEW));
	assert_int_equal(wait_done(room, 50), -ETIME);
	probe_a();
	/* when its region is locked and the page exchanged under the lock */
	lock_by_hand("1000000e");
	assert_int_equal(check("stall"), 2);
	swap_by_hand();
	assert_int_equal(wait_done(room, 100), -ETIME);
	/* then it waits, and sees the new page after the flush, and never a fault */
	write_register(AS1_COMMAND, CMD_FLUSH_MEM);
	assert_int_equal(wait_done(room, 2000), 0);
	assert_int_equal(malisim_stat("faults"), 0);
	assert_true(malisim_stat("stalls") > 0);
}

static void test_what_no_driver_should_do(void **state)
{
	given_resident(state);
	write_register(AS1_COMMAND, CMD_UNLOCK);
	assert_int_equal(traced("VIOLATION as=1 what=UNLOCK without a lock"), 1);
	write_register(AS1_COMMAND, CMD_FLUSH_MEM);
	assert_int_equal(traced("VIOLATION as=1 what=FLUSH without a lock"), 1);
	lock_by_hand("1000000e");
	lock_by_hand("2000000e");
	assert_int_equal(traced("VIOLATION as=1 what=LOCK replaces a lock"), 1);
	write_register(AS1_COMMAND, CMD_UNLOCK);
	assert_int_equal(malisim_write("busy", "3"), 0);
	write_register(AS1_COMMAND, CMD_LOCK);
	write_register(AS1_COMMAND, CMD_UNLOCK);
	assert_int_equal(traced("VIOLATION as=1 what=command while busy"), 1);
	assert_int_equal(malisim_stat("violations"), 5); /* the last UNLOCK had no lock either */
}

static void test_driver_breaks_no_rule(void **state)
{
	struct room *room = given_resident(state);

	/* binds on a resident VM, of every shape, with commands that take their time */
	assert_int_equal(malisim_write("busy", "4"), 0);
	assert_int_equal(raw_map(room->raw, VA_A, RAW_PAGE, make_page(room->raw, NEW), 0, 0), 0);
	assert_int_equal(raw_map(room->raw, VA_A, RAW_PAGE * 4, room->raw->bo, RAW_PAGE, 0), 0);
	assert_int_equal(raw_unmap(room->raw, VA_B, RAW_PAGE), 0);
	assert_int_equal(raw_unmap(room->raw, VA_A, 8 * RAW_PAGE), 0);
	assert_true(malisim_stat("lock") >= 4);
	assert_int_equal(malisim_stat("violations"), 0);
	assert_int_equal(check("stale"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_job_loads_and_stores, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_job_polls_until_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_more_groups_than_slots, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fault_of_a_load, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fault_of_a_store, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_store_to_a_readonly_page, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tlb_keeps_until_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unlock_alone_leaves_tables_in_l2, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flush_mem_drops_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lock_stalls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_no_driver_should_do, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_driver_breaks_no_rule, set_up, tear_down),
	};

	setenv("PANBIND_DEVICE", "drm:auto", 0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("malisim", tests, NULL, NULL);
}
