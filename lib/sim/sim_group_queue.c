/* SPDX-License-Identifier: MIT */
/*
 * The queues of a group: which job is done when, and with which error.
 *
 * A fence that fails lets its waiters go on, and its error stays where it is: the kernel's scheduler hands none along
 * dependencies. A job with a command stream that is still waiting when its group is destroyed ends with -ECANCELED
 * (driver: queue_run_job()); an empty one is never asked whether its group can run, and ends as the job before it that
 * ran, which here is well.
 */
#include "sim_group.h"

#include <errno.h>
#include <stdlib.h>

void sim_group_job_free(struct sim_group_job *job)
{
	sim_deps_free(job->deps);
	sim_fence_put(job->done);
	sim_group_put(job->group);
	free(job);
}

static bool is_ready(const struct sim_group_job *job)
{
	for (const struct sim_dep *dep = job->deps; dep; dep = dep->next)
		if (!dep->done)
			return false;
	return true;
}

/* The first job, if nothing is in its way. Needs the lock. */
static struct sim_group_job *take_ready(struct sim_group_queue *queue)
{
	struct sim_group_job *job = queue->first;

	if (!job || !is_ready(job))
		return NULL;
	queue->first = job->next;
	if (!queue->first)
		queue->last = &queue->first;
	return job;
}

/*
 * Finish what can be finished. Fences are signalled without the lock, as their callbacks may lead back here; a queue
 * that is being drained further up the stack, or by another thread, is left to that one. So the stack is never deeper
 * than there are queues, however long the chain of jobs.
 */
static void drain(struct sim_group *group, struct sim_group_queue *queue)
{
	struct sim_group_job *job;

	pthread_mutex_lock(&group->lock);
	if (!queue->draining) {
		queue->draining = true;
		while ((job = take_ready(queue))) {
			int error = group->destroyed && !job->empty ? -ECANCELED : 0;

			pthread_mutex_unlock(&group->lock);
			sim_fence_signal(job->done, error);
			sim_group_job_free(job);
			pthread_mutex_lock(&group->lock);
		}
		queue->draining = false;
	}
	pthread_mutex_unlock(&group->lock);
}

/* As soon as the lock is free again the job may be finished by another thread, and its deps be gone. */
static void dep_signaled(struct sim_fence_cb *cb)
{
	struct sim_dep *dep = (struct sim_dep *)cb;
	struct sim_group_job *job = dep->owner;
	struct sim_group *group = job->group;
	struct sim_group_queue *queue = &group->queues[job->queue];

	pthread_mutex_lock(&group->lock);
	dep->done = true;
	atomic_fetch_add(&group->refs, 1);
	pthread_mutex_unlock(&group->lock);
	drain(group, queue);
	sim_group_put(group);
}

void sim_group_push(struct sim_group_job *job)
{
	struct sim_group *group = job->group;
	struct sim_group_queue *queue = &group->queues[job->queue];

	atomic_fetch_add(&group->refs, 1);
	for (struct sim_dep *dep = job->deps; dep; dep = dep->next) {
		dep->cb.fn = dep_signaled;
		dep->owner = job;
		if (sim_fence_add_callback(dep->fence, &dep->cb))
			dep->done = true; /* signalled already: nobody will call */
	}
	job->next = NULL;
	pthread_mutex_lock(&group->lock);
	*queue->last = job;
	queue->last = &job->next;
	pthread_mutex_unlock(&group->lock);
	drain(group, queue);
	sim_group_put(group);
}
