/* SPDX-License-Identifier: MIT */
/*
 * The syncs of jobs that come in one ioctl, see sim_submit.h.
 */
#include "sim_submit.h"

#include <errno.h>
#include <stdlib.h>

#include "sim_user.h"

/* A point that some job of this ioctl signals. */
struct sim_signal {
	struct sim_signal *next;
	uint32_t handle;
	uint64_t point; /* 0: binary */
	struct sim_syncobj *syncobj;
	struct sim_fence
		*fence; /* of the last job so far that signals it; at first what the syncobj holds, if anything */
};

void sim_deps_free(struct sim_dep *deps)
{
	while (deps) {
		struct sim_dep *dep = deps;

		deps = dep->next;
		sim_fence_put(dep->fence);
		free(dep);
	}
}

int sim_submit_init(struct sim_submit *submit, struct sim_file *file, uint32_t room)
{
	*submit = (struct sim_submit){.file = file};
	submit->last = &submit->signals;
	submit->entries = calloc(room, sizeof(*submit->entries));
	return submit->entries ? 0 : -ENOMEM;
}

int sim_submit_add(struct sim_submit *submit, const struct pb_uapi_obj_array *syncs)
{
	struct sim_submit_entry *entry = &submit->entries[submit->count++];
	int ret;

	entry->done = sim_fence_create();
	if (!entry->done)
		return -ENOMEM;
	ret = sim_get_array(syncs, sizeof(*entry->syncs), sizeof(*entry->syncs), (void **)&entry->syncs);
	if (!ret)
		entry->sync_count = syncs->count;
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

static struct sim_signal *find_signal(const struct sim_submit *submit, const struct pb_uapi_sync_op *sync)
{
	struct sim_signal *signal = submit->signals;

	while (signal && (signal->handle != sync->handle || signal->point != sync->timeline_value))
		signal = signal->next;
	return signal;
}

static int add_signal(struct sim_submit *submit, const struct pb_uapi_sync_op *sync)
{
	struct sim_signal *signal = calloc(1, sizeof(*signal));

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

static int collect_signals(struct sim_submit *submit, struct sim_submit_entry *entry)
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

static int find_wait_fence(const struct sim_submit *submit, const struct pb_uapi_sync_op *sync,
			   struct sim_fence **ret_fence)
{
	const struct sim_signal *signal = find_signal(submit, sync);
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

static int add_dep(struct sim_submit *submit, struct sim_submit_entry *entry, const struct pb_uapi_sync_op *sync)
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
	dep->next = entry->deps;
	entry->deps = dep;
	return 0;
}

static int add_deps(struct sim_submit *submit, struct sim_submit_entry *entry)
{
	int ret = 0;

	for (uint32_t i = 0; i < entry->sync_count && !ret; i++)
		if (!(entry->syncs[i].flags & PB_SYNC_SIGNAL))
			ret = add_dep(submit, entry, &entry->syncs[i]);
	return ret;
}

/* From now on waits on the points that this op signals are waits for this op. */
static void update_signals(struct sim_submit *submit, struct sim_submit_entry *entry)
{
	for (uint32_t i = 0; i < entry->sync_count; i++) {
		struct sim_signal *signal;

		if (!(entry->syncs[i].flags & PB_SYNC_SIGNAL))
			continue;
		signal = find_signal(submit, &entry->syncs[i]);
		sim_fence_put(signal->fence);
		signal->fence = sim_fence_get(entry->done);
	}
}

int sim_submit_collect(struct sim_submit *submit)
{
	int ret = 0;

	for (uint32_t i = 0; i < submit->count && !ret; i++)
		ret = collect_signals(submit, &submit->entries[i]);
	return ret;
}

int sim_submit_resolve(struct sim_submit *submit)
{
	int ret = 0;

	for (uint32_t i = 0; i < submit->count && !ret; i++) {
		ret = add_deps(submit, &submit->entries[i]);
		if (!ret)
			update_signals(submit, &submit->entries[i]);
	}
	return ret;
}

void sim_submit_publish(struct sim_submit *submit)
{
	for (struct sim_signal *s = submit->signals; s; s = s->next)
		if (!s->point || sim_syncobj_add_point(s->syncobj, s->fence, s->point))
			sim_syncobj_replace_fence(s->syncobj, s->fence);
}

void sim_submit_fini(struct sim_submit *submit)
{
	for (uint32_t i = 0; i < submit->count; i++) {
		sim_deps_free(submit->entries[i].deps);
		sim_fence_put(submit->entries[i].done);
		free(submit->entries[i].syncs);
	}
	free(submit->entries);
	while (submit->signals) {
		struct sim_signal *signal = submit->signals;

		submit->signals = signal->next;
		sim_syncobj_put(signal->syncobj);
		sim_fence_put(signal->fence);
		free(signal);
	}
}
