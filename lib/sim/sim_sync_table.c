/* SPDX-License-Identifier: MIT */
/*
 * The syncobj handles of one open file, and the arrays of handles that ioctls take.
 *
 * Handles are given as the kernel's idr gives them: the lowest free one, from 1. Programs must not rely on that, but
 * recorded traces replay with the same numbers.
 */
#include "sim_sync_private.h"
#include "sim_user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the kernel allocates in one piece at most. */
#define ARRAY_MAX (4u << 20)

/* The table's slot i holds handle i + 1. */
struct sim_syncs {
	pthread_mutex_t lock;
	struct sim_syncobj **slots;
	uint32_t room, lowest; /* no free slot below lowest */
	bool points;
};

/* ---- Handles ---- */

int sim_syncs_create(bool points, struct sim_syncs **ret_syncs)
{
	struct sim_syncs *syncs = calloc(1, sizeof(*syncs));

	if (!syncs)
		return -ENOMEM;
	pthread_mutex_init(&syncs->lock, NULL);
	syncs->points = points;
	*ret_syncs = syncs;
	return 0;
}

void sim_syncs_destroy(struct sim_syncs *syncs)
{
	if (!syncs)
		return;
	for (uint32_t i = 0; i < syncs->room; i++)
		sim_syncobj_put(syncs->slots[i]);
	free(syncs->slots);
	pthread_mutex_destroy(&syncs->lock);
	free(syncs);
	sim_files_sweep();
}

bool sim_syncs_know_points(const struct sim_syncs *syncs)
{
	return syncs->points;
}

struct sim_syncobj *sim_syncs_find(struct sim_syncs *syncs, uint32_t handle)
{
	struct sim_syncobj *syncobj = NULL;

	pthread_mutex_lock(&syncs->lock);
	if (handle && handle <= syncs->room && syncs->slots[handle - 1])
		syncobj = sim_syncobj_get(syncs->slots[handle - 1]);
	pthread_mutex_unlock(&syncs->lock);
	return syncobj;
}

static int grow(struct sim_syncs *syncs)
{
	uint32_t room = syncs->room ? syncs->room * 2 : 16;
	struct sim_syncobj **slots = room > syncs->room ? reallocarray(syncs->slots, room, sizeof(void *)) : NULL;

	if (!slots)
		return -ENOMEM;
	memset(slots + syncs->room, 0, (room - syncs->room) * sizeof(void *));
	syncs->slots = slots;
	syncs->room = room;
	return 0;
}

int sim_syncs_add(struct sim_syncs *syncs, struct sim_syncobj *syncobj, uint32_t *ret_handle)
{
	int ret = 0;

	if (!syncobj)
		return -ENOMEM;
	pthread_mutex_lock(&syncs->lock);
	while (syncs->lowest < syncs->room && syncs->slots[syncs->lowest])
		syncs->lowest++;
	if (syncs->lowest == syncs->room)
		ret = grow(syncs);
	if (!ret) {
		syncs->slots[syncs->lowest++] = syncobj;
		*ret_handle = syncs->lowest;
	}
	pthread_mutex_unlock(&syncs->lock);
	if (ret)
		sim_syncobj_put(syncobj);
	return ret;
}

int sim_syncs_remove(struct sim_syncs *syncs, uint32_t handle)
{
	struct sim_syncobj *syncobj = NULL;

	pthread_mutex_lock(&syncs->lock);
	if (handle && handle <= syncs->room) {
		syncobj = syncs->slots[handle - 1];
		syncs->slots[handle - 1] = NULL;
		if (handle - 1 < syncs->lowest)
			syncs->lowest = handle - 1;
	}
	pthread_mutex_unlock(&syncs->lock);
	sim_syncobj_put(syncobj);
	return syncobj ? 0 : -EINVAL;
}

/* ---- Arrays of handles ---- */

void sim_targets_put(struct sim_targets *targets)
{
	for (uint32_t i = 0; i < targets->count; i++)
		sim_syncobj_put(targets->syncobjs[i]);
	free(targets->syncobjs);
}

int sim_copy_array(uint64_t user, uint32_t count, size_t size, void **ret_array)
{
	void *array = count <= ARRAY_MAX / size ? malloc(count * size) : NULL;
	int ret;

	if (!array)
		return -ENOMEM;
	ret = sim_copy_from_user(array, user, count * size);
	if (ret) {
		free(array);
		return ret;
	}
	*ret_array = array;
	return 0;
}

int sim_targets_find(struct sim_syncs *syncs, uint64_t user, uint32_t count, struct sim_targets *ret_targets)
{
	struct sim_targets targets = {0};
	uint32_t *handles;
	int ret = sim_copy_array(user, count, sizeof(*handles), (void **)&handles);

	if (ret)
		return ret;
	if (count <= ARRAY_MAX / sizeof(void *))
		targets.syncobjs = malloc(count * sizeof(void *));
	if (!targets.syncobjs)
		ret = -ENOMEM;
	while (!ret && targets.count < count) {
		struct sim_syncobj *syncobj = sim_syncs_find(syncs, handles[targets.count]);

		if (syncobj)
			targets.syncobjs[targets.count++] = syncobj;
		else
			ret = -ENOENT;
	}
	free(handles);
	if (ret)
		sim_targets_put(&targets);
	else
		*ret_targets = targets;
	return ret;
}
