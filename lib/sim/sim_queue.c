/* SPDX-License-Identifier: MIT */
/*
 * The thread behind sim_queue.h.
 *
 * A fence that fails still lets its waiters run: errors do not travel along dependencies, as with the kernel's
 * scheduler. Whoever closes the file kills the queue: jobs that have not run end with -ESRCH, and fences that nobody
 * would ever signal are not waited for.
 */
#include "sim_queue.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

static void dep_signaled(struct sim_fence_cb *cb)
{
	struct sim_dep *dep = (struct sim_dep *)cb;
	struct sim_queue *queue = dep->owner;

	pthread_mutex_lock(&queue->lock);
	dep->done = true;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

void sim_job_free(struct sim_job *job)
{
	sim_deps_free(job->deps);
	sim_op_release(&job->op);
	sim_fence_put(job->done);
	free(job);
}

/* A callback that cannot be taken back is about to run: wait for it, it uses the dep. */
static void withdraw(struct sim_queue *queue, struct sim_dep *dep)
{
	if (sim_fence_remove_callback(dep->fence, &dep->cb))
		return;
	pthread_mutex_lock(&queue->lock);
	while (!dep->done)
		pthread_cond_wait(&queue->changed, &queue->lock);
	pthread_mutex_unlock(&queue->lock);
}

/* Wait until nothing is in the job's way. Returns false when the queue was killed meanwhile. */
static bool wait_for_deps(struct sim_queue *queue, struct sim_job *job)
{
	bool killed;

	while (job->deps) {
		struct sim_dep *dep = job->deps;

		pthread_mutex_lock(&queue->lock);
		while (!dep->done && !queue->killed)
			pthread_cond_wait(&queue->changed, &queue->lock);
		killed = !dep->done;
		pthread_mutex_unlock(&queue->lock);
		if (killed)
			withdraw(queue, dep);
		job->deps = dep->next;
		dep->next = NULL;
		sim_deps_free(dep);
	}
	pthread_mutex_lock(&queue->lock);
	killed = queue->killed;
	pthread_mutex_unlock(&queue->lock);
	return !killed;
}

/* The next job, or NULL when there are none and none will come. */
static struct sim_job *take_job(struct sim_queue *queue)
{
	struct sim_job *job;

	pthread_mutex_lock(&queue->lock);
	while (!queue->first && !queue->stop)
		pthread_cond_wait(&queue->changed, &queue->lock);
	job = queue->first;
	if (job) {
		queue->first = job->next;
		if (!queue->first)
			queue->last = &queue->first;
	} else {
		queue->ended = true;
	}
	pthread_mutex_unlock(&queue->lock);
	return job;
}

static void *work(void *arg)
{
	struct sim_queue *queue = arg;
	struct sim_job *job;

	while ((job = take_job(queue))) {
		int ret = wait_for_deps(queue, job) ? sim_op_exec(queue->vm, &job->op, true) : -ESRCH;

		sim_fence_signal(job->done, ret);
		sim_job_free(job);
	}
	return NULL;
}

static int start_thread(struct sim_queue *queue)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&queue->thread, NULL, work, queue);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret ? -ENOMEM : 0;
}

static void free_queue(struct sim_queue *queue)
{
	pthread_mutex_destroy(&queue->submit_lock);
	pthread_mutex_destroy(&queue->lock);
	pthread_cond_destroy(&queue->changed);
	free(queue);
}

static int new_queue(struct sim_vm *vm, struct sim_queue **ret_queue)
{
	struct sim_queue *queue = calloc(1, sizeof(*queue));
	int ret;

	if (!queue)
		return -ENOMEM;
	pthread_mutex_init(&queue->submit_lock, NULL);
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	queue->vm = vm;
	queue->last = &queue->first;
	ret = start_thread(queue);
	if (ret) {
		free_queue(queue);
		return ret;
	}
	*ret_queue = queue;
	return 0;
}

int sim_queue_get(struct sim_vm *vm, struct sim_queue **ret_queue)
{
	int ret = 0;

	pthread_mutex_lock(&vm->file->lock);
	if (!vm->queue)
		ret = atomic_load(&vm->destroyed) ? -EINVAL : new_queue(vm, &vm->queue);
	if (!ret)
		*ret_queue = vm->queue;
	pthread_mutex_unlock(&vm->file->lock);
	return ret;
}

void sim_queue_push(struct sim_queue *queue, struct sim_job *job)
{
	bool stopped;

	for (struct sim_dep *dep = job->deps; dep; dep = dep->next) {
		dep->cb.fn = dep_signaled;
		dep->owner = queue;
		if (sim_fence_add_callback(dep->fence, &dep->cb))
			dep->done = true; /* signalled already: nobody will call */
	}
	job->next = NULL;
	pthread_mutex_lock(&queue->lock);
	stopped = queue->stop;
	if (!stopped) {
		*queue->last = job;
		queue->last = &job->next;
		pthread_cond_broadcast(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
	if (!stopped)
		return;
	for (struct sim_dep *dep = job->deps; dep; dep = dep->next)
		withdraw(queue, dep);
	sim_fence_signal(job->done, -ECANCELED);
	sim_job_free(job);
}

bool sim_queue_stop(struct sim_queue *queue)
{
	bool ended;

	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	ended = queue->ended;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	return ended;
}

void sim_queue_finish(struct sim_queue *queue, bool kill)
{
	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	queue->killed |= kill;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	free_queue(queue);
}
