/* SPDX-License-Identifier: MIT */
/*
 * An address space that never ends a command: the driver resets the GPU and goes on. Runs in the kernel box, in one of
 * its own, because the stock driver warns of what it then finds in its page tables.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../kernel/malisim/job.h"
#include "../support/gpu_job.h"
#include "../support/malisim.h"
#include "raw.h"

static void test_stuck_and_reset(void **state)
{
	struct raw *raw = *state;
	struct gpu_job job;
	uint64_t *at;
	uint32_t vm;

	/* given a VM that has an address space */
	assert_int_equal(gpu_job_open(&job, raw->file, raw->vm), 0);
	at = job_store(job.stream, GPU_JOB_WORD(0), 1);
	assert_int_equal(gpu_job_submit(&job, job_run(at, 2000)), 0);
	assert_int_equal(gpu_job_wait(&job, 0, 1, 2000), 0);
	assert_int_equal(malisim_write("stats", "clear"), 0);
	/* when that never ends a command */
	assert_int_equal(malisim_write("busy", "stuck"), 0);
	raw_map(raw, UINT64_C(0x10000000), RAW_PAGE, raw->bo, 0, 0);
	/* then the driver resets the GPU */
	for (int i = 0; i < 500 && !malisim_stat("gpu_reset"); i++)
		usleep(10000);
	assert_true(malisim_stat("gpu_reset") >= 1);
	assert_int_equal(malisim_write("busy", "0"), 0);
	gpu_job_close(&job);
	/* and jobs of another VM run */
	vm = raw_vm(raw);
	assert_int_equal(gpu_job_open(&job, raw->file, vm), 0);
	at = job_store(job.stream, GPU_JOB_WORD(0), 1);
	assert_int_equal(gpu_job_submit(&job, at), 0);
	assert_int_equal(gpu_job_wait(&job, 0, 1, 5000), 0);
	assert_int_equal(gpu_job_close(&job), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stuck_and_reset, raw_setup, raw_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("stuck", tests, NULL, NULL);
}
