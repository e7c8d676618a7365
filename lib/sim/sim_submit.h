/* SPDX-License-Identifier: MIT */
/*
 * What VM_BIND and GROUP_SUBMIT do alike: jobs that come in one ioctl, each with a fence and an array of syncs (driver:
 * panthor_submit_ctx).
 *
 * All signals are collected first, then job by job the waits. A wait on a point that an earlier job of the same ioctl
 * signals waits for that job; on a point that only a later job signals, it sees what the syncobj holds now. Any failure
 * refuses all jobs, and nothing has changed then.
 */
#ifndef SIM_SUBMIT_H
#define SIM_SUBMIT_H

#include <stdbool.h>

#include "sim.h"

/* A fence that a job waits for. */
struct sim_dep {
	struct sim_fence_cb cb;
	void *owner;		 /* whom the callback tells */
	struct sim_fence *fence; /* a reference */
	bool done;
	struct sim_dep *next;
};

void sim_deps_free(struct sim_dep *deps);

struct sim_signal;

struct sim_submit_entry {
	struct sim_fence *done; /* a reference; whoever runs the job signals it */
	struct sim_dep *deps;	/* the runner's, once he has taken them */
	struct pb_uapi_sync_op *syncs;
	uint32_t sync_count;
};

struct sim_submit {
	struct sim_file *file;
	struct sim_submit_entry *entries;
	uint32_t count;
	struct sim_signal *signals, **last;
};

/** Room for @room jobs. -ENOMEM; clean up with sim_submit_fini() in any case. */
int sim_submit_init(struct sim_submit *submit, struct sim_file *file, uint32_t room);
/** The next job, with its syncs from user memory. Errors as sim_get_array(). */
int sim_submit_add(struct sim_submit *submit, const struct pb_uapi_obj_array *syncs);
/** Look up what all jobs signal. -EINVAL a bad sync or no such syncobj, -ENOMEM. */
int sim_submit_collect(struct sim_submit *submit);
/**
 * Fill all jobs' deps. -EINVAL a bad sync or no fence there yet, -ENOENT no such syncobj, -ENOMEM. From here until
 * sim_submit_publish() the caller keeps others from submitting to the same queues.
 */
int sim_submit_resolve(struct sim_submit *submit);
/** The jobs are queued: put their fences into the syncobjs. */
void sim_submit_publish(struct sim_submit *submit);
void sim_submit_fini(struct sim_submit *submit);

#endif /* SIM_SUBMIT_H */
