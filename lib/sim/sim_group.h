/* SPDX-License-Identifier: MIT */
/*
 * A group of queues for jobs.
 *
 * Nothing runs a job here: it is done as soon as the fences it waits for have signalled and the jobs before it in its
 * queue are done. So a group needs no thread: whoever signals the last of these fences finishes the job on the way.
 */
#ifndef SIM_GROUP_H
#define SIM_GROUP_H

#include "sim.h"
#include "sim_submit.h"

struct sim_group_job {
	struct sim_group_job *next;
	struct sim_group *group; /* a reference */
	uint32_t queue;
	bool empty; /* no command stream: it only orders syncs */
	struct sim_dep *deps;
	struct sim_fence *done; /* a reference */
};

struct sim_group_queue {
	struct sim_group_job *first, **last;
	bool draining; /* some thread finishes jobs, one after another */
};

struct sim_group {
	atomic_uint refs;  /* the file's table, ioctls in progress, jobs */
	struct sim_vm *vm; /* a reference, and with it what the group has in there; NULL once destroyed */
	struct sim_kernel_node *objects;
	uint32_t queue_count;
	pthread_mutex_t submit_lock; /* held while the jobs of one ioctl go in, so that they stay together */
	pthread_mutex_t lock;	     /* guards the rest */
	bool destroyed;
	struct sim_group_queue queues[SIM_CS_SLOTS];
};

void sim_group_put(struct sim_group *group);
/** Take over a job of this group, and finish it when nothing is in its way. */
void sim_group_push(struct sim_group_job *job);
/** Free a job that was not pushed. */
void sim_group_job_free(struct sim_group_job *job);

#endif /* SIM_GROUP_H */
