/* SPDX-License-Identifier: MIT */
/*
 * VM_BIND, the asynchronous path: as panthor_ioctl_vm_bind_async() goes about it.
 *
 * Everything is checked and collected first, for all ops, and any failure refuses the whole ioctl: each op and its
 * sync array, then the syncs (sim_submit.h). Then the jobs go into the VM's queue, and their fences into the syncobjs;
 * from there on nothing is refused, and what fails shows in the fences.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim.h"
#include "sim_queue.h"
#include "sim_submit.h"
#include "sim_user.h"

struct bind {
	struct sim_vm *vm;
	struct sim_submit submit;
	struct sim_job **jobs; /* by op; NULL once the queue has it */
	uint64_t nth;	       /* of the VM_BINDs on this device */
};

static int new_job(struct bind *bind, const struct pb_uapi_vm_bind_op *in, struct sim_job **ret_job)
{
	struct sim_job *job;
	int ret;

	if (atomic_load(&bind->vm->destroyed) || atomic_load(&bind->vm->unusable))
		return -EINVAL;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	ret = sim_op_prepare(bind->submit.file, bind->vm, in, &job->op);
	if (ret) {
		sim_job_free(job);
		return ret;
	}
	*ret_job = job;
	return 0;
}

static int add_jobs(struct bind *bind, const struct pb_uapi_vm_bind_op *ops, uint32_t count)
{
	int ret = 0;

	for (uint32_t i = 0; i < count && !ret; i++) {
		ret = new_job(bind, &ops[i], &bind->jobs[i]);
		if (!ret)
			ret = sim_submit_add(&bind->submit, &ops[i].syncs);
	}
	return ret;
}

static void push_jobs(struct bind *bind, struct sim_queue *queue)
{
	struct sim_faults *faults = &bind->submit.file->device->faults;

	for (uint32_t i = 0; i < bind->submit.count; i++) {
		struct sim_submit_entry *entry = &bind->submit.entries[i];
		struct sim_job *job = bind->jobs[i];

		job->op.error = sim_faults_op(faults, bind->nth, i, &job->op.mid);
		job->done = sim_fence_get(entry->done);
		job->deps = entry->deps;
		entry->deps = NULL;
		bind->jobs[i] = NULL;
		sim_queue_push(queue, job);
	}
}

static int submit_jobs(struct bind *bind)
{
	struct sim_queue *queue;
	int ret = sim_queue_get(bind->vm, &queue);

	if (ret)
		return ret;
	pthread_mutex_lock(&queue->submit_lock);
	ret = sim_submit_resolve(&bind->submit);
	if (!ret) {
		push_jobs(bind, queue);
		sim_submit_publish(&bind->submit);
	}
	pthread_mutex_unlock(&queue->submit_lock);
	return ret;
}

static int submit_ops(struct bind *bind, struct sim_file *file, const struct pb_uapi_vm_bind_op *ops, uint32_t count)
{
	int ret = sim_submit_init(&bind->submit, file, count);

	bind->jobs = calloc(count, sizeof(void *));
	if (!ret && !bind->jobs)
		ret = -ENOMEM;
	if (!ret)
		ret = add_jobs(bind, ops, count);
	if (!ret)
		ret = sim_submit_collect(&bind->submit);
	if (!ret)
		ret = submit_jobs(bind);
	for (uint32_t i = 0; bind->jobs && i < count; i++)
		if (bind->jobs[i])
			sim_job_free(bind->jobs[i]);
	free(bind->jobs);
	sim_submit_fini(&bind->submit);
	return ret;
}

int sim_bind_async(struct sim_file *file, const struct pb_uapi_vm_bind *args, uint64_t nth)
{
	struct bind bind = {.vm = sim_vm_get(file, args->vm_id), .nth = nth};
	struct pb_uapi_vm_bind_op *ops = NULL;
	int ret;

	if (!bind.vm)
		return -EINVAL;
	ret = sim_get_array(&args->ops, sizeof(*ops), sizeof(*ops), (void **)&ops);
	if (!ret && args->ops.count)
		ret = submit_ops(&bind, file, ops, args->ops.count);
	free(ops);
	sim_vm_put(bind.vm);
	return ret;
}
