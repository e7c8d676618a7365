/* SPDX-License-Identifier: MIT */
/*
 * The bind queue of a VM: a thread that executes jobs in order, each behind its fences.
 *
 * Made on the VM's first asynchronous bind. Its thread blocks all signals: they belong to the program.
 */
#ifndef SIM_QUEUE_H
#define SIM_QUEUE_H

#include <pthread.h>

#include "sim_op.h"
#include "sim_submit.h"
#include "sim_sync.h"

struct sim_job {
	struct sim_job *next;
	struct sim_op op;
	struct sim_dep *deps;
	struct sim_fence *done; /* a reference; signalled with the op's outcome */
};

struct sim_queue {
	pthread_mutex_t submit_lock; /* held while the jobs of one ioctl go in, so that they stay together */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct sim_vm *vm;
	struct sim_job *first, **last;
	bool stop;   /* no more jobs come */
	bool killed; /* do not wait for fences either */
	bool ended;  /* the thread is through */
	pthread_t thread;
};

/** The VM's queue, made if need be. -EINVAL when the VM is destroyed, -ENOMEM. */
int sim_queue_get(struct sim_vm *vm, struct sim_queue **ret_queue);
/** Hand over a job. On a stopped queue it ends at once with -ECANCELED in its fence. */
void sim_queue_push(struct sim_queue *queue, struct sim_job *job);
/** Free a job that was not pushed. */
void sim_job_free(struct sim_job *job);

#endif /* SIM_QUEUE_H */
