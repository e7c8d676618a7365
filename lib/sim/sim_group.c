/* SPDX-License-Identifier: MIT */
/*
 * Groups: GROUP_CREATE, GROUP_DESTROY, GROUP_SUBMIT, GROUP_GET_STATE.
 *
 * Checks and their order are those of panthor_ioctl_group_*() and panthor_sched.c (Linux 6.12); group priorities above
 * "high" came with driver 1.2. No job runs, so no group ever times out or faults, whatever becomes of its VM: the
 * driver looks at neither the state nor the death of the VM when jobs come in.
 */
#include "sim_group.h"

#include <errno.h>
#include <stdlib.h>

#include "sim_user.h"

#define QUEUE_PRIORITY_MAX 15u
#define RINGBUF_MIN	   4096u
#define RINGBUF_MAX	   65536u
#define SYNCOBJ_SIZE	   16u
#define MINOR_REALTIME	   2
#define MINOR_EARLY_HANDLE 6 /* Linux 6.18 has it with 1.5, 6.17 not yet */
/* Of queue_submit.latest_flush, bits 24 to 30. */
#define FLUSH_MBZ	   0x7f000000u

/* ---- Life ---- */

static void release_objects(struct sim_group *group)
{
	struct sim_vm *vm = group->vm;

	group->vm = NULL;
	while (group->objects) {
		struct sim_kernel_node *node = group->objects;

		group->objects = node->owned;
		sim_kernel_bo_destroy(vm, node);
	}
	sim_vm_put(vm);
}

void sim_group_put(struct sim_group *group)
{
	if (!group || atomic_fetch_sub(&group->refs, 1) != 1)
		return;
	release_objects(group);
	pthread_mutex_destroy(&group->submit_lock);
	pthread_mutex_destroy(&group->lock);
	free(group);
}

/* A reference on the group of a handle, or NULL. */
static struct sim_group *group_get(struct sim_file *file, uint32_t handle)
{
	struct sim_group *group = NULL;

	pthread_mutex_lock(&file->lock);
	if (handle <= SIM_MAX_GROUPS)
		group = file->groups[handle];
	if (group)
		atomic_fetch_add(&group->refs, 1);
	pthread_mutex_unlock(&file->lock);
	return group;
}

static int add_object(struct sim_group *group, uint64_t size)
{
	struct sim_kernel_node *node;
	int ret = sim_kernel_bo_create(group->vm, size, &node);

	if (ret)
		return ret;
	node->owned = group->objects;
	group->objects = node;
	return 0;
}

/* group_create_queue(): ring buffer, then slots for timestamps, of which there are 32 bytes to 128 of the buffer. */
static int add_queue(struct sim_group *group, const struct pb_uapi_queue_create *args)
{
	uint32_t size = args->ringbuf_size;
	int ret;

	if (args->pad[0] || args->pad[1] || args->pad[2])
		return -EINVAL;
	if (size < RINGBUF_MIN || size > RINGBUF_MAX || size & (size - 1) || args->priority > QUEUE_PRIORITY_MAX)
		return -EINVAL;
	ret = add_object(group, size);
	if (!ret)
		ret = add_object(group, size / 4);
	if (ret)
		return ret;
	group->queues[group->queue_count].last = &group->queues[group->queue_count].first;
	group->queue_count++;
	return 0;
}

/* The lowest, or one past the last. Needs file->lock. */
static uint32_t free_handle(const struct sim_file *file)
{
	uint32_t handle = 1;

	while (handle <= SIM_MAX_GROUPS && file->groups[handle])
		handle++;
	return handle;
}

/* For another one: 0 or -EBUSY. */
static int has_room(struct sim_file *file)
{
	uint32_t handle;

	pthread_mutex_lock(&file->lock);
	handle = free_handle(file);
	pthread_mutex_unlock(&file->lock);
	return handle > SIM_MAX_GROUPS ? -EBUSY : 0;
}

/* The lowest free handle, or -EBUSY. */
static int publish(struct sim_file *file, struct sim_group *group, uint32_t *ret_handle)
{
	uint32_t handle;

	pthread_mutex_lock(&file->lock);
	handle = free_handle(file);
	if (handle <= SIM_MAX_GROUPS)
		file->groups[handle] = group;
	pthread_mutex_unlock(&file->lock);
	if (handle > SIM_MAX_GROUPS)
		return -EBUSY;
	*ret_handle = handle;
	return 0;
}

/* ---- GROUP_CREATE ---- */

int sim_group_priority_permit(const struct sim_options *options, unsigned priority)
{
	unsigned highest = options->minor >= MINOR_REALTIME ? PB_GROUP_PRIORITY_REALTIME : PB_GROUP_PRIORITY_HIGH;

	if (priority > highest)
		return -EINVAL;
	return priority <= PB_GROUP_PRIORITY_MEDIUM || sim_user_may_nice() ? 0 : -EACCES;
}

static bool too_many_cores(uint64_t mask, unsigned max)
{
	return (unsigned)__builtin_popcountll(mask) < max;
}

static int check_group(const struct pb_uapi_group_create *args)
{
	if (args->pad)
		return -EINVAL;
	if ((args->compute_core_mask | args->fragment_core_mask) & ~SIM_SHADER_PRESENT ||
	    args->tiler_core_mask & ~SIM_TILER_PRESENT)
		return -EINVAL;
	if (too_many_cores(args->compute_core_mask, args->max_compute_cores) ||
	    too_many_cores(args->fragment_core_mask, args->max_fragment_cores) ||
	    too_many_cores(args->tiler_core_mask, args->max_tiler_cores))
		return -EINVAL;
	return args->queues.count > SIM_CS_SLOTS ? -EINVAL : 0;
}

static int new_group(struct sim_vm *vm, struct sim_group **ret_group)
{
	struct sim_group *group = calloc(1, sizeof(*group));

	if (!group) {
		sim_vm_put(vm);
		return -ENOMEM;
	}
	atomic_init(&group->refs, 1);
	group->vm = vm;
	pthread_mutex_init(&group->submit_lock, NULL);
	pthread_mutex_init(&group->lock, NULL);
	*ret_group = group;
	return 0;
}

static int add_queues(struct sim_group *group, const struct pb_uapi_queue_create *queues, uint32_t count)
{
	int ret = 0;

	for (uint32_t i = 0; i < count && !ret; i++)
		ret = add_queue(group, &queues[i]);
	return ret;
}

/* From MINOR_EARLY_HANDLE on queues are named after their group's handle, so that a full table is noticed before them.
 */
static int fill_group(struct sim_file *file, struct sim_group *group, struct pb_uapi_group_create *args,
		      const struct pb_uapi_queue_create *queues)
{
	bool early = file->device->options.minor >= MINOR_EARLY_HANDLE;
	int ret = add_object(group, (uint64_t)args->queues.count * SYNCOBJ_SIZE);

	if (!ret && early)
		ret = has_room(file);
	if (!ret)
		ret = add_queues(group, queues, args->queues.count);
	if (!ret)
		ret = publish(file, group, &args->group_handle);
	return ret;
}

static int create_group(struct sim_file *file, struct pb_uapi_group_create *args,
			const struct pb_uapi_queue_create *queues)
{
	struct sim_group *group;
	struct sim_vm *vm;
	int ret = check_group(args);

	if (ret)
		return ret;
	vm = sim_vm_get(file, args->vm_id);
	if (!vm)
		return -EINVAL;
	ret = new_group(vm, &group);
	if (ret)
		return ret;
	ret = fill_group(file, group, args, queues);
	if (ret)
		sim_group_put(group);
	return ret;
}

int sim_group_create_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_group_create *args = arg;
	struct pb_uapi_queue_create *queues;
	int ret;

	if (!args->queues.count || args->queues.count > PB_MAX_QUEUES)
		return -EINVAL;
	ret = sim_get_array(&args->queues, sizeof(*queues), sizeof(*queues), (void **)&queues);
	if (ret)
		return ret;
	ret = sim_group_priority_permit(&file->device->options, args->priority);
	if (!ret)
		ret = create_group(file, args, queues);
	free(queues);
	return ret;
}

/* ---- GROUP_DESTROY ---- */

static struct sim_group *take_out(struct sim_file *file, uint32_t handle)
{
	struct sim_group *group = NULL;

	pthread_mutex_lock(&file->lock);
	if (handle <= SIM_MAX_GROUPS) {
		group = file->groups[handle];
		file->groups[handle] = NULL;
	}
	pthread_mutex_unlock(&file->lock);
	return group;
}

/* What is queued stays so until its fences signal; it needs the group for that, but not the VM, nor the file. */
static void destroy_group(struct sim_group *group)
{
	pthread_mutex_lock(&group->submit_lock);
	pthread_mutex_lock(&group->lock);
	group->destroyed = true;
	pthread_mutex_unlock(&group->lock);
	release_objects(group);
	pthread_mutex_unlock(&group->submit_lock);
	sim_group_put(group);
}

int sim_group_destroy_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	const struct pb_uapi_group_destroy *args = arg;
	struct sim_group *group;

	if (args->pad)
		return -EINVAL;
	group = take_out(file, args->group_handle);
	if (!group)
		return -EINVAL;
	destroy_group(group);
	return 0;
}

void sim_groups_close(struct sim_file *file)
{
	for (uint32_t handle = 1; handle <= SIM_MAX_GROUPS; handle++) {
		struct sim_group *group = take_out(file, handle);

		if (group)
			destroy_group(group);
	}
}

/* ---- GROUP_GET_STATE ---- */

int sim_group_get_state_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_group_get_state *args = arg;
	struct sim_group *group;

	if (args->pad)
		return -EINVAL;
	group = group_get(file, args->group_handle);
	if (!group)
		return -EINVAL;
	*args = (struct pb_uapi_group_get_state){0}; /* the handle too */
	sim_group_put(group);
	return 0;
}

/* ---- GROUP_SUBMIT ---- */

struct submit {
	struct sim_submit base;
	struct sim_group *group;     /* NULL until the first job has looked it up */
	struct sim_group_job **jobs; /* NULL once queued */
};

/* panthor_job_create() */
static int check_job(const struct pb_uapi_queue_submit *args)
{
	if (args->pad || !args->stream_size != !args->stream_addr)
		return -EINVAL;
	if (args->stream_addr & 63 || args->stream_size & 7 || args->latest_flush & FLUSH_MBZ)
		return -EINVAL;
	return 0;
}

static int new_job(struct submit *submit, uint32_t handle, const struct pb_uapi_queue_submit *args,
		   struct sim_group_job **ret_job)
{
	struct sim_group_job *job;
	int ret = check_job(args);

	if (ret)
		return ret;
	if (!submit->group)
		submit->group = group_get(submit->base.file, handle & 0xffff); /* all that the driver looks at */
	if (!submit->group || args->queue_index >= submit->group->queue_count)
		return -EINVAL;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->group = submit->group;
	atomic_fetch_add(&job->group->refs, 1);
	job->queue = args->queue_index;
	job->empty = !args->stream_size;
	*ret_job = job;
	return 0;
}

static int add_jobs(struct submit *submit, uint32_t handle, const struct pb_uapi_queue_submit *args, uint32_t count)
{
	int ret = 0;

	for (uint32_t i = 0; i < count && !ret; i++) {
		ret = new_job(submit, handle, &args[i], &submit->jobs[i]);
		if (!ret)
			ret = sim_submit_add(&submit->base, &args[i].syncs);
	}
	return ret;
}

static void push_jobs(struct submit *submit)
{
	for (uint32_t i = 0; i < submit->base.count; i++) {
		struct sim_submit_entry *entry = &submit->base.entries[i];
		struct sim_group_job *job = submit->jobs[i];

		job->done = sim_fence_get(entry->done);
		job->deps = entry->deps;
		entry->deps = NULL;
		submit->jobs[i] = NULL;
		sim_group_push(job);
	}
}

static int queue_jobs(struct submit *submit)
{
	int ret;

	pthread_mutex_lock(&submit->group->submit_lock);
	ret = sim_submit_resolve(&submit->base);
	if (!ret) {
		push_jobs(submit);
		sim_submit_publish(&submit->base);
	}
	pthread_mutex_unlock(&submit->group->submit_lock);
	return ret;
}

static int submit_jobs(struct sim_file *file, uint32_t handle, const struct pb_uapi_queue_submit *args, uint32_t count)
{
	struct submit submit = {0};
	int ret = sim_submit_init(&submit.base, file, count);

	submit.jobs = calloc(count, sizeof(void *));
	if (!ret && !submit.jobs)
		ret = -ENOMEM;
	if (!ret)
		ret = add_jobs(&submit, handle, args, count);
	if (!ret)
		ret = sim_submit_collect(&submit.base);
	if (!ret)
		ret = queue_jobs(&submit);
	for (uint32_t i = 0; submit.jobs && i < count; i++)
		if (submit.jobs[i])
			sim_group_job_free(submit.jobs[i]);
	free(submit.jobs);
	sim_submit_fini(&submit.base);
	sim_group_put(submit.group);
	return ret;
}

/* Without jobs the group is not even looked up. */
int sim_group_submit_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	const struct pb_uapi_group_submit *args = arg;
	struct pb_uapi_queue_submit *jobs = NULL;
	int ret;

	if (args->pad)
		return -EINVAL;
	ret = sim_get_array(&args->queue_submits, sizeof(*jobs), sizeof(*jobs), (void **)&jobs);
	if (!ret && args->queue_submits.count)
		ret = submit_jobs(file, args->group_handle, jobs, args->queue_submits.count);
	free(jobs);
	return ret;
}
