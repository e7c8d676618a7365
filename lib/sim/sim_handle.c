/* SPDX-License-Identifier: MIT */
/*
 * GEM handles of an open file: small numbers from 1, the lowest free one first, as idr_alloc() gives them.
 *
 * A BO notes on which files it is open under which handle, so that an import of a dma-buf, and whoever asks what is
 * behind a page, find the handle without a search.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define WORD_BITS 64u

static int grow(struct sim_file *file)
{
	uint32_t room = file->handle_room ? file->handle_room * 2 : WORD_BITS;
	struct sim_bo **handles = reallocarray(file->handles, room, sizeof(void *));
	uint64_t *used;

	if (!handles)
		return -ENOMEM;
	file->handles = handles;
	used = realloc(file->used, room / WORD_BITS * sizeof(*used));
	if (!used)
		return -ENOMEM;
	file->used = used;
	for (uint32_t i = file->handle_room; i < room; i++)
		handles[i] = NULL;
	memset(used + file->handle_room / WORD_BITS, 0, (room - file->handle_room) / WORD_BITS * sizeof(*used));
	file->handle_room = room;
	return 0;
}

/* Index of the lowest free handle, marked as used. */
static int take_index(struct sim_file *file, uint32_t *ret_index)
{
	uint32_t word = file->first_word;
	unsigned bit;

	while (word < file->handle_room / WORD_BITS && file->used[word] == UINT64_MAX)
		word++;
	if (word == file->handle_room / WORD_BITS) {
		int ret = grow(file);

		if (ret)
			return ret;
	}
	bit = (unsigned)__builtin_ctzll(~file->used[word]);
	file->used[word] |= UINT64_C(1) << bit;
	file->first_word = word;
	*ret_index = word * WORD_BITS + bit;
	return 0;
}

static void free_index(struct sim_file *file, uint32_t index)
{
	uint32_t word = index / WORD_BITS;

	file->handles[index] = NULL;
	file->used[word] &= ~(UINT64_C(1) << index % WORD_BITS);
	if (word < file->first_word)
		file->first_word = word;
}

int sim_handle_create_locked(struct sim_file *file, struct sim_bo *bo, uint32_t *ret_handle)
{
	struct sim_opening *opening = malloc(sizeof(*opening));
	uint32_t index;
	int ret;

	if (!opening)
		return -ENOMEM;
	ret = take_index(file, &index);
	if (ret) {
		free(opening);
		return ret;
	}
	file->handles[index] = sim_bo_get(bo);
	opening->file = file;
	opening->handle = index + 1;
	pthread_mutex_lock(&file->device->lock);
	opening->next = bo->openings;
	bo->openings = opening;
	pthread_mutex_unlock(&file->device->lock);
	*ret_handle = index + 1;
	return 0;
}

int sim_handle_create(struct sim_file *file, struct sim_bo *bo, uint32_t *ret_handle)
{
	int ret;

	pthread_mutex_lock(&file->lock);
	ret = sim_handle_create_locked(file, bo, ret_handle);
	pthread_mutex_unlock(&file->lock);
	return ret;
}

struct sim_bo *sim_handle_find(struct sim_file *file, uint32_t handle)
{
	struct sim_bo *bo = NULL;

	pthread_mutex_lock(&file->lock);
	if (handle - 1 < file->handle_room) /* 0 wraps around and is never there */
		bo = file->handles[handle - 1];
	if (bo)
		sim_bo_get(bo);
	pthread_mutex_unlock(&file->lock);
	return bo;
}

static struct sim_opening **find_opening(struct sim_bo *bo, const struct sim_file *file)
{
	struct sim_opening **link = &bo->openings;

	while (*link && (*link)->file != file)
		link = &(*link)->next;
	return link;
}

uint32_t sim_handle_of(const struct sim_file *file, struct sim_bo *bo)
{
	const struct sim_opening *opening = *find_opening(bo, file);

	return opening ? opening->handle : 0;
}

/* Unlink the handle at @index; the caller drops its reference. */
static struct sim_bo *take_out(struct sim_file *file, uint32_t index)
{
	struct sim_bo *bo = file->handles[index];
	struct sim_opening **link, *opening;

	pthread_mutex_lock(&file->device->lock);
	link = find_opening(bo, file);
	opening = *link;
	if (opening)
		*link = opening->next;
	pthread_mutex_unlock(&file->device->lock);
	free(opening);
	free_index(file, index);
	return bo;
}

int sim_gem_close_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	const struct drm_gem_close *args = arg;
	struct sim_bo *bo = NULL;

	pthread_mutex_lock(&file->lock);
	if (args->handle - 1 < file->handle_room && file->handles[args->handle - 1])
		bo = take_out(file, args->handle - 1);
	pthread_mutex_unlock(&file->lock);
	if (!bo)
		return -EINVAL;
	sim_bo_put(bo);
	return 0;
}

void sim_handles_close(struct sim_file *file)
{
	for (uint32_t i = 0; i < file->handle_room; i++)
		if (file->handles[i])
			sim_bo_put(take_out(file, i));
	free(file->handles);
	free(file->used);
}
