/* SPDX-License-Identifier: MIT */
/*
 * Jobs on malisim through plain ioctls: a group with one queue, a stream of kernel/malisim/job.h, and a page of words
 * that job and CPU share. For tests that need a VM with an address space, or a GPU that works while they bind.
 */
#ifndef TEST_KERNEL_GPU_JOB_H
#define TEST_KERNEL_GPU_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "backend.h"
#include "uapi.h"

#define GPU_JOB_VA    UINT64_C(0x1000000) /* two pages: the stream, the words */
#define GPU_JOB_WORDS (GPU_JOB_VA + 4096)
#define GPU_JOB_ROOM  512 /* instructions */

/** The VA of word @n. */
#define GPU_JOB_WORD(n) (GPU_JOB_WORDS + 8 * (uint64_t)(n))

struct gpu_job {
	struct pb_file *file;
	uint32_t vm, group, bo;
	uint64_t *stream;	  /* GPU_JOB_ROOM instructions, to be filled before gpu_job_submit() */
	volatile uint64_t *words; /* zero at first */
};

/* All return 0 or a negative errno. */

/** Make the group, and map its two pages into the VM. */
int gpu_job_open(struct gpu_job *job, struct pb_file *file, uint32_t vm);
/** Run the stream up to @end. */
int gpu_job_submit(struct gpu_job *job, const uint64_t *end);
/** The same; the syncobj @signal gets the job's fence, unless it is 0. */
int gpu_job_submit_signal(struct gpu_job *job, const uint64_t *end, uint32_t signal);
/** The same between waits and signals; with @end at the very start the job is an empty one. */
int gpu_job_submit_synced(struct gpu_job *job, const uint64_t *end, const struct pb_uapi_sync_op *syncs,
			  uint32_t count);
/** Wait until a word holds @value, for at most @ms milliseconds: -ETIME. */
int gpu_job_wait(const struct gpu_job *job, size_t word, uint64_t value, unsigned ms);
/** PB_GROUP_STATE_* of what has become of the group. */
int gpu_job_state(struct gpu_job *job, uint32_t *ret_state);
/** End the group, whatever it does, and unmap and free its pages. */
int gpu_job_close(struct gpu_job *job);

#endif /* TEST_KERNEL_GPU_JOB_H */
