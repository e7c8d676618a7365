/* SPDX-License-Identifier: MIT */
/*
 * VM_BIND, the asynchronous path: as panthor_submit_ctx goes about it.
 *
 * Everything is checked and collected first, for all ops, and any failure refuses the whole ioctl: each op and its
 * sync array, then all signals, then op by op the waits. A wait on a point that an earlier op of the same ioctl signals
 * waits for that op; on a point that only a later op signals, it sees what the syncobj holds now. Then the jobs go into
 * the VM's queue, and their fences into the syncobjs; from there on nothing is refused, and what fails shows in the
 * fences.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim.h"
#include "sim_queue.h"
#include "sim_user.h"

/* A point that some op of this ioctl signals. */
struct signal {
	struct signal *next;
	uint32_t handle;
	uint64_t point; /* 0: binary */
	struct sim_syncobj *syncobj;
	struct sim_fence
		*fence; /* of the last op so far that signals it; at first what the syncobj holds, if anything */
};

/* One op on its way in. */
struct entry {
	struct sim_job *job; /* NULL once the queue has it */
	struct pb_uapi_sync_op *syncs;
	uint32_t sync_count;
};

struct submit {
	struct sim_file *file;
	struct sim_vm *vm;
	struct entry *entries;
	uint32_t count;
	struct signal *signals, **last;
	uint64_t nth; /* of the VM_BINDs on this device */
};

static int new_job(struct submit *submit, const struct pb_uapi_vm_bind_op *in, struct sim_job **ret_job)
{
	struct sim_job *job;
	int ret;

	if (atomic_load(&submit->vm->destroyed) || atomic_load(&submit->vm->unusable))
		return -EINVAL;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	ret = sim_op_prepare(submit->file, submit->vm, in, &job->op);
	if (!ret && !(job->done = sim_fence_create()))
		ret = -ENOMEM;
	if (ret) {
		sim_job_free(job);
		return ret;
	}
	*ret_job = job;
	return 0;
}

static int add_jobs(struct submit *submit, const struct pb_uapi_vm_bind_op *ops)
{
	int ret = 0;

	for (uint32_t i = 0; i < submit->count && !ret; i++) {
		struct entry *entry = &submit->entries[i];

		ret = new_job(submit, &ops[i], &entry->job);
		if (!ret)
			ret = sim_get_array(&ops[i].syncs, sizeof(*entry->syncs), sizeof(*entry->syncs),
					    (void **)&entry->syncs);
		if (!ret)
			entry->sync_count = ops[i].syncs.count;
	}
	return ret;
}

static int check_sync(const struct pb_uapi_sync_op *sync)
{
	uint32_t type = sync->flags & PB_SYNC_TYPE_MASK;

	if (sync->flags & ~(PB_SYNC_TYPE_MASK | PB_SYNC_SIGNAL))
		return -EINVAL;
	if (type != PB_SYNC_TYPE_SYNCOBJ && type != PB_SYNC_TYPE_TIMELINE)
		return -EINVAL;
	return type == PB_SYNC_TYPE_SYNCOBJ && sync->timeline_value ? -EINVAL : 0;
}

static struct signal *find_signal(const struct submit *submit, const struct pb_uapi_sync_op *sync)
{
	struct signal *signal = submit->signals;

	while (signal && (signal->handle != sync->handle || signal->point != sync->timeline_value))
		signal = signal->next;
	return signal;
}

static int add_signal(struct submit *submit, const struct pb_uapi_sync_op *sync)
{
	struct signal *signal = calloc(1, sizeof(*signal));

	if (!signal)
		return -ENOMEM;
	signal->syncobj = sim_syncs_find(submit->file->syncs, sync->handle);
	if (!signal->syncobj) {
		free(signal);
		return -EINVAL;
	}
	signal->handle = sync->handle;
	signal->point = sync->timeline_value;
	if (sim_syncobj_find_fence(signal->syncobj, signal->point, &signal->fence))
		signal->fence = NULL;
	*submit->last = signal;
	submit->last = &signal->next;
	return 0;
}

static int collect_signals(struct submit *submit, const struct entry *entry)
{
	int ret = 0;

	for (uint32_t i = 0; i < entry->sync_count && !ret; i++) {
		const struct pb_uapi_sync_op *sync = &entry->syncs[i];

		if (!(sync->flags & PB_SYNC_SIGNAL))
			continue;
		ret = check_sync(sync);
		if (!ret && !find_signal(submit, sync))
			ret = add_signal(submit, sync);
	}
	return ret;
}

static int find_wait_fence(const struct submit *submit, const struct pb_uapi_sync_op *sync,
			   struct sim_fence **ret_fence)
{
	const struct signal *signal = find_signal(submit, sync);
	struct sim_syncobj *syncobj;
	int ret;

	if (signal) {
		if (!signal->fence)
			return -EINVAL; /* signalled by this op or a later one only */
		*ret_fence = sim_fence_get(signal->fence);
		return 0;
	}
	syncobj = sim_syncs_find(submit->file->syncs, sync->handle);
	if (!syncobj)
		return -ENOENT;
	ret = sim_syncobj_find_fence(syncobj, sync->timeline_value, ret_fence);
	sim_syncobj_put(syncobj);
	return ret;
}

static int add_dep(struct submit *submit, struct sim_job *job, const struct pb_uapi_sync_op *sync)
{
	struct sim_dep *dep;
	int ret = check_sync(sync);

	if (ret)
		return ret;
	dep = calloc(1, sizeof(*dep));
	if (!dep)
		return -ENOMEM;
	ret = find_wait_fence(submit, sync, &dep->fence);
	if (ret) {
		free(dep);
		return ret;
	}
	dep->next = job->deps;
	job->deps = dep;
	return 0;
}

static int add_deps(struct submit *submit, const struct entry *entry)
{
	int ret = 0;

	for (uint32_t i = 0; i < entry->sync_count && !ret; i++)
		if (!(entry->syncs[i].flags & PB_SYNC_SIGNAL))
			ret = add_dep(submit, entry->job, &entry->syncs[i]);
	return ret;
}

/* From now on waits on the points that this op signals are waits for this op. */
static void update_signals(struct submit *submit, const struct entry *entry)
{
	for (uint32_t i = 0; i < entry->sync_count; i++) {
		struct signal *signal;

		if (!(entry->syncs[i].flags & PB_SYNC_SIGNAL))
			continue;
		signal = find_signal(submit, &entry->syncs[i]);
		sim_fence_put(signal->fence);
		signal->fence = sim_fence_get(entry->job->done);
	}
}

static void push_jobs(struct submit *submit, struct sim_queue *queue)
{
	struct sim_faults *faults = &submit->file->device->faults;

	for (uint32_t i = 0; i < submit->count; i++) {
		struct sim_job *job = submit->entries[i].job;

		job->op.error = sim_faults_op(faults, submit->nth, i, &job->op.mid);
		submit->entries[i].job = NULL;
		sim_queue_push(queue, job);
	}
}

static void push_fences(struct submit *submit)
{
	for (struct signal *s = submit->signals; s; s = s->next)
		if (!s->point || sim_syncobj_add_point(s->syncobj, s->fence, s->point))
			sim_syncobj_replace_fence(s->syncobj, s->fence);
}

static int submit_jobs(struct submit *submit)
{
	struct sim_queue *queue;
	int ret = sim_queue_get(submit->vm, &queue);

	if (ret)
		return ret;
	pthread_mutex_lock(&queue->submit_lock);
	for (uint32_t i = 0; i < submit->count && !ret; i++) {
		ret = add_deps(submit, &submit->entries[i]);
		if (!ret)
			update_signals(submit, &submit->entries[i]);
	}
	if (!ret) {
		push_jobs(submit, queue);
		push_fences(submit);
	}
	pthread_mutex_unlock(&queue->submit_lock);
	return ret;
}

static void clean_up(struct submit *submit)
{
	for (uint32_t i = 0; i < submit->count; i++) {
		if (submit->entries[i].job)
			sim_job_free(submit->entries[i].job);
		free(submit->entries[i].syncs);
	}
	free(submit->entries);
	while (submit->signals) {
		struct signal *signal = submit->signals;

		submit->signals = signal->next;
		sim_syncobj_put(signal->syncobj);
		sim_fence_put(signal->fence);
		free(signal);
	}
}

static int submit_ops(struct submit *submit, const struct pb_uapi_vm_bind_op *ops)
{
	int ret;

	submit->entries = calloc(submit->count, sizeof(*submit->entries));
	if (!submit->entries)
		return -ENOMEM;
	submit->last = &submit->signals;
	ret = add_jobs(submit, ops);
	for (uint32_t i = 0; i < submit->count && !ret; i++)
		ret = collect_signals(submit, &submit->entries[i]);
	if (!ret)
		ret = submit_jobs(submit);
	clean_up(submit);
	return ret;
}

int sim_bind_async(struct sim_file *file, const struct pb_uapi_vm_bind *args, uint64_t nth)
{
	struct submit submit = {.file = file, .count = args->ops.count, .nth = nth};
	struct pb_uapi_vm_bind_op *ops = NULL;
	int ret;

	submit.vm = sim_vm_get(file, args->vm_id);
	if (!submit.vm)
		return -EINVAL;
	ret = sim_get_array(&args->ops, sizeof(*ops), sizeof(*ops), (void **)&ops);
	if (!ret && submit.count)
		ret = submit_ops(&submit, ops);
	free(ops);
	sim_vm_put(submit.vm);
	return ret;
}
