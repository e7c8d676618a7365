/* SPDX-License-Identifier: MIT */
/*
 * Tiler heaps: memory that the GPU's tiler takes chunk by chunk while it sorts a frame's triangles.
 *
 * Checks, their order, ids and addresses are those of panthor_heap.c and panthor_ioctl_tiler_heap_*() (Linux 6.12). No
 * tiler runs here, so contexts and chunks are addresses without memory behind them, and no heap ever grows.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim.h"

#define MAX_HEAPS     128u /* of a VM: MAX_HEAPS_PER_POOL */
#define CONTEXT_SIZE  32u
#define CHUNK_MIN     (128u << 10)
#define CHUNK_MAX     (8u << 20)
/*
 * A kernel backs its objects with real pages, of which a board with this GPU has some gigabytes. Here they cost nothing
 * but a note each; the limit keeps a program that asks for millions of chunks from getting them.
 */
#define KERNEL_MEMORY (UINT64_C(4) << 30)

struct sim_heap_pool {
	struct sim_kernel_node *contexts;
	struct sim_kernel_node *chunks[MAX_HEAPS]; /* of each heap, the newest first; NULL: a free id */
};

/* ---- Objects that the driver keeps in a VM ---- */

static int create_locked(struct sim_vm *vm, uint64_t size, struct sim_kernel_node **ret_node)
{
	/* panthor_vm_alloc_va() */
	uint64_t align = size >= SIM_BLOCK_SIZE ? SIM_BLOCK_SIZE : SIM_PAGE_SIZE;
	struct sim_kernel_node *node;
	int ret = sim_kernel_va_take(&vm->kernel_va, size, align, &node);

	if (ret)
		return ret;
	/* The mapping: no pages for it, or panthor_vm_exec_op() on a VM that is lost. */
	if (vm->kernel_va.used > KERNEL_MEMORY)
		ret = -ENOMEM;
	else if (atomic_load(&vm->unusable))
		ret = -EINVAL;
	if (ret)
		sim_kernel_va_give(&vm->kernel_va, node);
	else
		*ret_node = node;
	return ret;
}

int sim_kernel_bo_create(struct sim_vm *vm, uint64_t size, struct sim_kernel_node **ret_node)
{
	int ret;

	pthread_mutex_lock(&vm->kernel_lock);
	ret = create_locked(vm, (size + SIM_PAGE_SIZE - 1) & ~(SIM_PAGE_SIZE - 1), ret_node);
	pthread_mutex_unlock(&vm->kernel_lock);
	return ret;
}

void sim_kernel_bo_destroy(struct sim_vm *vm, struct sim_kernel_node *node)
{
	if (!node)
		return;
	pthread_mutex_lock(&vm->kernel_lock);
	sim_kernel_va_give(&vm->kernel_va, node);
	pthread_mutex_unlock(&vm->kernel_lock);
}

/* ---- Heaps; all of it under kernel_lock ---- */

/* panthor_heap_ctx_stride(): contexts do not share cache lines. */
static uint32_t context_stride(void)
{
	uint32_t line = 1u << SIM_CACHE_LINE_LOG2;

	return (CONTEXT_SIZE + line - 1) & ~(line - 1);
}

/* panthor_vm_get_heap_pool(): made when the first heap is asked for, whatever becomes of that heap. */
static int get_pool(struct sim_vm *vm, struct sim_heap_pool **ret_pool)
{
	struct sim_heap_pool *pool;
	int ret;

	if (!vm->heap_pool) {
		if (atomic_load(&vm->destroyed))
			return -EINVAL;
		pool = calloc(1, sizeof(*pool));
		if (!pool)
			return -ENOMEM;
		ret = create_locked(vm, (uint64_t)MAX_HEAPS * context_stride(), &pool->contexts);
		if (ret) {
			free(pool);
			return ret;
		}
		vm->heap_pool = pool;
	}
	*ret_pool = vm->heap_pool;
	return 0;
}

static void free_chunks(struct sim_vm *vm, struct sim_kernel_node *chunks)
{
	while (chunks) {
		struct sim_kernel_node *chunk = chunks;

		chunks = chunk->owned;
		sim_kernel_va_give(&vm->kernel_va, chunk);
	}
}

static int alloc_chunks(struct sim_vm *vm, uint32_t count, uint32_t size, struct sim_kernel_node **ret_chunks)
{
	struct sim_kernel_node *chunks = NULL, *chunk;
	int ret = 0;

	for (uint32_t i = 0; i < count && !ret; i++) {
		ret = create_locked(vm, size, &chunk);
		if (ret)
			break;
		chunk->owned = chunks;
		chunks = chunk;
	}
	if (ret)
		free_chunks(vm, chunks);
	else
		*ret_chunks = chunks;
	return ret;
}

/* panthor_heap_create() */
static int check_heap(const struct pb_uapi_tiler_heap_create *args)
{
	if (!args->initial_chunk_count || args->initial_chunk_count > args->max_chunks)
		return -EINVAL;
	if (args->chunk_size % SIM_PAGE_SIZE || args->chunk_size < CHUNK_MIN || args->chunk_size > CHUNK_MAX)
		return -EINVAL;
	return 0;
}

/* The first chunk of the list is the one that was made last; it is told even when no id is left. */
static int create_heap(struct sim_vm *vm, struct pb_uapi_tiler_heap_create *args)
{
	struct sim_kernel_node *chunks;
	struct sim_heap_pool *pool;
	uint32_t id = 0;
	int ret = get_pool(vm, &pool);

	if (!ret)
		ret = check_heap(args);
	if (!ret)
		ret = alloc_chunks(vm, args->initial_chunk_count, args->chunk_size, &chunks);
	if (ret)
		return ret;
	args->first_heap_chunk_gpu_va = chunks->start;
	while (id < MAX_HEAPS && pool->chunks[id])
		id++;
	if (id == MAX_HEAPS) {
		free_chunks(vm, chunks);
		return -EBUSY;
	}
	pool->chunks[id] = chunks;
	args->tiler_heap_ctx_gpu_va = pool->contexts->start + (uint64_t)context_stride() * id;
	args->handle = args->vm_id << 16 | id;
	return 0;
}

/* panthor_heap_destroy(); ENOENT on a VM that never had a heap. */
static int destroy_heap(struct sim_vm *vm, uint32_t id)
{
	struct sim_heap_pool *pool = vm->heap_pool;

	if (!pool)
		return -ENOENT;
	if (id >= MAX_HEAPS || !pool->chunks[id])
		return -EINVAL;
	free_chunks(vm, pool->chunks[id]);
	pool->chunks[id] = NULL;
	return 0;
}

void sim_heaps_fini(struct sim_vm *vm)
{
	struct sim_heap_pool *pool = vm->heap_pool;

	if (!pool)
		return;
	for (uint32_t id = 0; id < MAX_HEAPS; id++)
		free_chunks(vm, pool->chunks[id]);
	sim_kernel_va_give(&vm->kernel_va, pool->contexts);
	free(pool);
	vm->heap_pool = NULL;
}

/* ---- The ioctls ---- */

int sim_tiler_heap_create_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	struct pb_uapi_tiler_heap_create *args = arg;
	struct sim_vm *vm = sim_vm_get(file, args->vm_id);
	int ret;

	if (!vm)
		return -EINVAL;
	pthread_mutex_lock(&vm->kernel_lock);
	ret = create_heap(vm, args);
	pthread_mutex_unlock(&vm->kernel_lock);
	sim_vm_put(vm);
	return ret;
}

int sim_tiler_heap_destroy_ioctl(struct sim_file *file, void *arg, uint64_t nth)
{
	const struct pb_uapi_tiler_heap_destroy *args = arg;
	struct sim_vm *vm;
	int ret;

	if (args->pad)
		return -EINVAL;
	vm = sim_vm_get(file, args->handle >> 16);
	if (!vm)
		return -EINVAL;
	pthread_mutex_lock(&vm->kernel_lock);
	ret = destroy_heap(vm, args->handle & 0xffff);
	pthread_mutex_unlock(&vm->kernel_lock);
	sim_vm_put(vm);
	return ret;
}
