/* SPDX-License-Identifier: MIT */
/*
 * Jobs that wait for another group's job, which is cancelled: the scheduler's rules for fences, on the real driver. In
 * the kernel box only (tests/kernel/test-queued-jobs.sh).
 */
#include <errno.h>

#include "../../../kernel/malisim/job.h"
#include "../support/gpu_job.h"
#include "raw.h"

#define SIGNAL(syncobj) ((struct pb_uapi_sync_op){.flags = PB_SYNC_SIGNAL, .handle = (syncobj)})
#define WAIT(syncobj)	((struct pb_uapi_sync_op){.handle = (syncobj)})

/* A job that runs until its group is destroyed, and the syncobj that it signals. */
struct blocker {
	struct gpu_job job;
	uint32_t done;
};

static void block(struct blocker *blocker, struct raw *raw)
{
	struct pb_uapi_sync_op signal;
	uint64_t *at;

	blocker->done = raw_syncobj(raw, 0);
	signal = SIGNAL(blocker->done);
	raw_expect("open", gpu_job_open(&blocker->job, raw->file, raw_vm(raw)), 0);
	at = job_store(blocker->job.stream, GPU_JOB_WORD(0), 1);
	at = job_poll(at, GPU_JOB_WORD(1), 1);
	raw_expect("submit", gpu_job_submit_synced(&blocker->job, at, &signal, 1), 0);
	raw_expect("it runs", gpu_job_wait(&blocker->job, 0, 1, 2000), 0);
}

/* A job behind the blocker: with a stream, or empty. Returns the syncobj it signals. */
static uint32_t submit_behind(struct raw *raw, struct gpu_job *job, const struct blocker *blocker, bool empty)
{
	uint32_t done = raw_syncobj(raw, 0);
	const struct pb_uapi_sync_op syncs[] = {WAIT(blocker->done), SIGNAL(done)};
	const uint64_t *end = empty ? job->stream : job_store(job->stream, GPU_JOB_WORD(0), 1);

	raw_expect("submit", gpu_job_submit_synced(job, end, syncs, 2), 0);
	return done;
}

static void jobs_that_wait_for_a_cancelled_one(void **state)
{
	struct raw *raw = *state;
	struct blocker blocker;
	struct gpu_job living, doomed;
	uint32_t after, empty_after, lost, empty;

	/* given jobs of two groups behind one that does not end */
	block(&blocker, raw);
	raw_expect("open", gpu_job_open(&living, raw->file, raw_vm(raw)), 0);
	raw_expect("open", gpu_job_open(&doomed, raw->file, raw_vm(raw)), 0);
	after = submit_behind(raw, &living, &blocker, false);
	empty_after = submit_behind(raw, &living, &blocker, true);
	lost = submit_behind(raw, &doomed, &blocker, false);
	empty = submit_behind(raw, &doomed, &blocker, true);
	/* when one of the groups is destroyed, they still wait */
	raw_expect("destroy", gpu_job_close(&doomed), 0);
	raw_expect("waits", raw_sync_poll(raw, lost, 0), -ETIME);
	raw_expect("waits", raw_sync_poll(raw, empty, 0), -ETIME);
	raw_expect("waits", raw_sync_poll(raw, after, 0), -ETIME);
	/* and when the first one is cancelled */
	raw_expect("destroy", gpu_job_close(&blocker.job), 0);
	raw_expect("wait", raw_sync_wait(raw, blocker.done, 0), 0);
	raw_expect("wait", raw_sync_wait(raw, after, 0), 0);
	raw_expect("wait", raw_sync_wait(raw, empty_after, 0), 0);
	raw_expect("wait", raw_sync_wait(raw, lost, 0), 0);
	raw_expect("wait", raw_sync_wait(raw, empty, 0), 0);
	/* then its error is its own; a job of a dead group is cancelled, unless it is empty */
	assert_int_equal(raw_sync_status(raw, blocker.done), -ECANCELED);
	assert_int_equal(raw_sync_status(raw, after), 0);
	assert_int_equal(raw_sync_status(raw, empty_after), 0);
	assert_int_equal(raw_sync_status(raw, lost), -ECANCELED);
	assert_int_equal(raw_sync_status(raw, empty), 0);
	raw_expect("the living group has run its job", gpu_job_wait(&living, 0, 1, 0), 0);
	raw_expect("close", gpu_job_close(&living), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(jobs_that_wait_for_a_cancelled_one, raw_setup, raw_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("queued jobs", tests, NULL, NULL);
}
